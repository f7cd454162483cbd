//! Threads that help with products, and stay awake for a moment after each.
//!
//! A token of a small model is some forty products of a few microseconds each; waking a thread that sleeps takes longer
//! than any of them. All sessions that have as many threads share one crew, so that no two crews wait for each other's
//! work on the same processors. It ends with the last of them.

use std::cell::UnsafeCell;
use std::hint;
use std::num::NonZero;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// How long a helper that has nothing to do stays awake: longer than what lies between two products, and two tokens.
const AWAKE: Duration = Duration::from_micros(500);

/// So many helpers at most, beside what processors there are.
fn helpers(threads: usize) -> usize {
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    threads.min(processors) - 1
}

/// So many looks for work lie between two looks at the clock.
const LOOKS: u32 = 64;

/// So many looks at what helpers still do, before who waits for them lets others run.
const PATIENCE: u32 = 10_000;

/// In the state of a crew: that there is work, and below it the number of helpers that are at it. Above it is the number
/// of the work.
const OPEN: u64 = 1 << 31;
const INSIDE: u64 = OPEN - 1;
const ROUND: u64 = 1 << 32;

static CREWS: Mutex<Vec<Weak<Crew>>> = Mutex::new(Vec::new());

/// Some helpers, who work for one caller at a time.
pub(super) struct Crew {
    shared: Arc<Shared>,
    helpers: Vec<JoinHandle<()>>,
    /// How many threads it has, the caller's among them, if the system grants them.
    threads: usize,
    turn: Mutex<()>,
}

struct Shared {
    state: AtomicU64,
    /// Written while nobody is inside and the state is not open; read by those inside.
    work: UnsafeCell<Option<Work>>,
    /// The next piece that nobody has taken.
    next: AtomicUsize,
    /// Whether a piece of the work has panicked.
    failed: AtomicBool,
    ended: AtomicBool,
    asleep: AtomicUsize,
    bed: Mutex<()>,
    alarm: Condvar,
}

// SAFETY: `work` is written by the one caller whose turn it is, while the state lets nobody in, and read only by those who
// are inside; all else is atomic or locked.
unsafe impl Sync for Shared {}
// SAFETY: what the pointer in `work` points to may be called from any thread.
unsafe impl Send for Shared {}

#[derive(Clone, Copy)]
struct Work {
    piece: *const (dyn Fn(usize) + Sync),
    pieces: usize,
}

impl Crew {
    /// That of sessions with so many threads; none for one thread.
    pub(super) fn of(threads: usize) -> Option<Arc<Self>> {
        if threads < 2 {
            return None;
        }
        let mut crews = CREWS.lock();
        crews.retain(|crew| crew.strong_count() > 0);
        let known = crews.iter().filter_map(Weak::upgrade);
        if let Some(crew) = known.into_iter().find(|crew| crew.threads == threads) {
            return Some(crew);
        }
        let crew = Arc::new(Self::new(threads));
        crews.push(Arc::downgrade(&crew));
        Some(crew)
    }

    fn new(threads: usize) -> Self {
        let shared = Arc::new(Shared {
            state: AtomicU64::new(0),
            work: UnsafeCell::new(None),
            next: AtomicUsize::new(0),
            failed: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            asleep: AtomicUsize::new(0),
            bed: Mutex::new(()),
            alarm: Condvar::new(),
        });
        // A system that grants no more threads costs time, not the result.
        let helper = |_| {
            let shared = Arc::clone(&shared);
            let builder = thread::Builder::new().name("oneiro-products".into());
            builder.spawn(move || shared.help()).ok()
        };
        Self {
            helpers: (0..helpers(threads)).map_while(helper).collect(),
            shared,
            threads,
            turn: Mutex::new(()),
        }
    }

    /// Does every piece once; an error if one has panicked at a helper's. Whoever comes while others are served does all of
    /// its own.
    pub(super) fn share(&self, pieces: usize, piece: &(dyn Fn(usize) + Sync)) -> ort::Result<()> {
        let Some(_turn) = self.turn.try_lock() else {
            (0..pieces).for_each(piece);
            return Ok(());
        };
        let shared = &*self.shared;
        // SAFETY: of the pointer only the lifetime is changed. It is called by those inside only, and `Opened` waits until
        // nobody is, however this ends. The state lets nobody in now, and it is this caller's turn.
        unsafe {
            let piece = std::mem::transmute::<
                *const (dyn Fn(usize) + Sync + '_),
                *const (dyn Fn(usize) + Sync + 'static),
            >(piece);
            *shared.work.get() = Some(Work { piece, pieces });
        }
        let opened = Opened::new(shared);
        while let Some(next) = shared.take(pieces) {
            piece(next);
        }
        drop(opened);
        match shared.failed.load(Ordering::Relaxed) {
            false => Ok(()),
            true => Err(ort::Error::new("a piece of work has panicked")),
        }
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        self.shared.wake();
        for helper in self.helpers.drain(..) {
            let _ = helper.join();
        }
    }
}

/// Work that helpers may come to; none is left at it when this ends.
struct Opened<'a>(&'a Shared);

impl<'a> Opened<'a> {
    fn new(shared: &'a Shared) -> Self {
        shared.next.store(0, Ordering::Relaxed);
        shared.failed.store(false, Ordering::Relaxed);
        // Nobody is inside, and it is not open.
        let before = shared.state.load(Ordering::Relaxed);
        let after = before.wrapping_add(ROUND) | OPEN;
        shared.state.store(after, Ordering::SeqCst);
        if shared.asleep.load(Ordering::SeqCst) > 0 {
            shared.wake();
        }
        Self(shared)
    }
}

impl Drop for Opened<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state.fetch_and(!OPEN, Ordering::AcqRel);
        let mut looks = 0;
        while state & INSIDE > 0 {
            looks += 1;
            match looks < PATIENCE {
                true => hint::spin_loop(),
                false => thread::yield_now(),
            }
            state = self.0.state.load(Ordering::Acquire);
        }
    }
}

/// A helper at work.
struct Inside<'a>(&'a Shared);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.state.fetch_sub(1, Ordering::Release);
    }
}

impl Shared {
    fn take(&self, pieces: usize) -> Option<usize> {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        (next < pieces).then_some(next)
    }

    fn wake(&self) {
        // Who is on the way to bed has looked before, or will be in it.
        drop(self.bed.lock());
        self.alarm.notify_all();
    }

    /// What a helper does, until the crew ends.
    fn help(&self) {
        let mut done = 0;
        let mut since = Instant::now();
        let mut looks = 0_u32;
        while !self.ended.load(Ordering::Relaxed) {
            let state = self.state.load(Ordering::Acquire);
            if state & OPEN > 0 && state / ROUND != done {
                let entered = self.state.compare_exchange_weak(
                    state,
                    state + 1,
                    Ordering::AcqRel,
                    Ordering::Relaxed,
                );
                if entered.is_ok() {
                    let _inside = Inside(self);
                    done = state / ROUND;
                    // SAFETY: the state was open when this thread entered, so that the work is there, and it stays until
                    // nobody is inside.
                    if let Some(Work { piece, pieces }) = unsafe { *self.work.get() } {
                        while let Some(next) = self.take(pieces) {
                            // SAFETY: as above.
                            let piece = || unsafe { (*piece)(next) };
                            if panic::catch_unwind(AssertUnwindSafe(piece)).is_err() {
                                self.failed.store(true, Ordering::Relaxed);
                            }
                        }
                    }
                    (since, looks) = (Instant::now(), 0);
                }
                continue;
            }
            looks = looks.wrapping_add(1);
            if looks.is_multiple_of(LOOKS) && since.elapsed() > AWAKE {
                self.sleep(state);
                since = Instant::now();
            }
            hint::spin_loop();
        }
    }

    /// Sleeps until there may be work, unless there has been since this state.
    fn sleep(&self, seen: u64) {
        let mut bed = self.bed.lock();
        self.asleep.fetch_add(1, Ordering::SeqCst);
        let is_new = self.state.load(Ordering::SeqCst) / ROUND != seen / ROUND;
        if !is_new && !self.ended.load(Ordering::SeqCst) {
            self.alarm.wait(&mut bed);
        }
        self.asleep.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_piece_is_done_once_awake_or_asleep() {
        let crew = Crew::of(3).unwrap();
        for round in 0..2000_usize {
            let pieces = round % 40;
            let counts: Vec<AtomicUsize> = (0..pieces).map(|_| AtomicUsize::new(0)).collect();
            let outcome = crew.share(pieces, &|piece| {
                counts[piece].fetch_add(1, Ordering::Relaxed);
            });
            outcome.unwrap();
            let once = |count: &AtomicUsize| count.load(Ordering::Relaxed) == 1;
            assert!(counts.iter().all(once), "{counts:?}");
            if round.is_multiple_of(400) {
                thread::sleep(3 * AWAKE);
            }
        }
    }

    #[test]
    fn callers_at_once_are_all_served() {
        let crew = Crew::of(2).unwrap();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for round in 1..500_usize {
                        let sum = AtomicUsize::new(0);
                        let outcome = crew.share(round % 9, &|piece| {
                            sum.fetch_add(piece, Ordering::Relaxed);
                        });
                        outcome.unwrap();
                        let pieces = round % 9;
                        assert_eq!(sum.into_inner(), pieces * pieces.saturating_sub(1) / 2);
                    }
                });
            }
        });
    }

    #[test]
    fn a_panic_is_told_whoever_meets_it_and_the_crew_stays_usable() {
        let crew = Crew::new(2);
        for _ in 0..200 {
            let done = AtomicUsize::new(0);
            let outcome = panic::catch_unwind(AssertUnwindSafe(|| {
                crew.share(8, &|piece| match piece {
                    3 => panic::resume_unwind(Box::new("on purpose")),
                    _ => done.store(done.load(Ordering::Relaxed).max(piece), Ordering::Relaxed),
                })
            }));
            assert!(!matches!(outcome, Ok(Ok(()))));
            assert!(done.into_inner() < 8);
            let count = AtomicUsize::new(0);
            let outcome = crew.share(8, &|_| {
                count.fetch_add(1, Ordering::Relaxed);
            });
            outcome.unwrap();
            assert_eq!(count.into_inner(), 8);
        }
    }

    #[cfg(feature = "llm")]
    #[test]
    fn an_engine_takes_its_crew_with_it() {
        let mut options = crate::EngineOptions::default();
        options.graph.threads = 7;
        let there = || {
            let crews = CREWS.lock();
            let mut crews = crews.iter().filter_map(Weak::upgrade);
            crews.any(|crew| crew.threads == 7)
        };
        let bundle = crate::Bundle::open("models/tiny-lm-int").unwrap();
        let engine = crate::Engine::from_bundle(bundle, &options).unwrap();
        let mut model = engine.language_model(Some("lm")).unwrap();
        let prompt = crate::Prompt::from("After");
        model.logits(&prompt, &crate::Cancel::new()).unwrap();
        assert!(there());
        drop((model, engine));
        assert!(!there());
    }

    #[test]
    fn sessions_with_as_many_threads_share_one_that_ends_with_them() {
        assert!(Crew::of(1).is_none());
        let (a, b) = (Crew::of(5).unwrap(), Crew::of(5).unwrap());
        assert!(Arc::ptr_eq(&a, &b));
        let shared = Arc::downgrade(&a.shared);
        drop((a, b));
        assert!(shared.upgrade().is_none());
    }
}
