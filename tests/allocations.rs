//! What a call allocates: room for its ranking and its history, whatever the size of the catalog.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../benches/made_up/mod.rs"]
mod made_up;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::path::Path;

use oneiro::{By, Engine, Filter, Origin};

/// Counts what each thread allocates; what grows counts again with its new length.
struct Counting;

thread_local! {
    static ALLOCATED: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
}

fn count(bytes: usize) {
    ALLOCATED.set((ALLOCATED.get().0 + 1, ALLOCATED.get().1 + bytes));
}

// SAFETY: everything is the system's; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's promise, passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise, passed on.
        unsafe { System.dealloc(start, layout) }
    }

    unsafe fn realloc(&self, start: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        // SAFETY: the caller's promise, passed on.
        unsafe { System.realloc(start, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How often `call` allocates, and how many bytes.
fn allocated<T>(call: impl FnOnce() -> T) -> (usize, usize) {
    let (times, bytes) = ALLOCATED.get();
    let _kept = call();
    (ALLOCATED.get().0 - times, ALLOCATED.get().1 - bytes)
}

/// What a ranking holds of an item: its number, its score, its origin.
const RANKED: usize = size_of::<u32>() + size_of::<f32>() + size_of::<Origin>();

/// Names of stages, options, the point of a query in whole numbers, the runs of the encoder.
const BESIDE: usize = 4 << 10;

#[test]
fn a_call_allocates_for_its_ranking_and_its_history_and_not_for_the_catalog() {
    let folder = tempfile::tempdir().unwrap();
    let history: Vec<u32> = (0..50).collect();
    for dtype in ["f32", "exact"] {
        let calls = [1_000, 10_000].map(|items| {
            made_up::write(Path::new("models/demo"), folder.path(), items, dtype).unwrap();
            let engine = Engine::open(folder.path()).unwrap();
            let gathered = history.len() * engine.bundle().space("items").unwrap().width();
            let gathered = gathered * size_of::<f32>();
            let mut user = engine.recommender();
            user.observe_items(&history).unwrap();
            [10, 100].map(|count| {
                let mut retrieve = || {
                    allocated(|| {
                        let found = user.retrieve(By::Encoder, count, &Filter::default());
                        assert_eq!(found.unwrap().len(), count);
                    })
                };
                // The first call computes the state that the others use.
                retrieve();
                let [first, second] = [retrieve(), retrieve()];
                assert_eq!(first, second);
                assert!(second.0 <= 26, "{second:?}");
                assert!(second.1 <= 3 * count * RANKED + BESIDE, "{second:?}");

                user.observe_items(&[7]).unwrap();
                let encoded = allocated(|| user.retrieve(By::Encoder, count, &Filter::default()));
                let more = encoded.1 - second.1;
                assert!(more <= gathered + BESIDE, "{more} bytes to encode");
                (second, encoded)
            })
        });
        assert_eq!(calls[0], calls[1], "{dtype}");
    }
}
