//! The rows of a scan, shared among threads.
//!
//! Each thread takes a share of the rows whenever it has none, so that
//! one that starts late, or that the system interrupts, takes fewer, and the others do not wait for it.

#![forbid(unsafe_code)]

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::Result;
use crate::threads::in_threads;

/// Shares are whole multiples of so many rows, the last one excepted.
const UNIT: usize = 256;

/// Shares for every thread: each long enough to be read in one go, the last ones short enough to end together.
const EACH: usize = 16;

/// Products that are worth a thread: starting and joining one costs about as much. (Tests are small.)
const WORTH: usize = if cfg!(test) { 1 << 12 } else { 1 << 20 };

/// The rows that nobody has taken yet; its items are what this thread takes of them.
pub(super) struct Shares<'a> {
    next: &'a AtomicUsize,
    share: usize,
    len: usize,
}

impl Iterator for Shares<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        // Passes the end by no more than a share a thread.
        let start = self.next.fetch_add(self.share, Ordering::Relaxed);
        (start < self.len).then(|| start..self.len.min(start.saturating_add(self.share)))
    }
}

impl Shares<'_> {
    /// The same, a block of at most so many rows at a time.
    pub(super) fn blocks(self, rows: usize) -> impl Iterator<Item = Range<usize>> {
        self.flat_map(move |share| {
            let starts = share.clone().step_by(rows);
            starts.map(move |start| start..share.end.min(start + rows))
        })
    }
}

/// What `search` finds, once in each of at most so many threads, in those of the rows `0..len` that it takes; together
/// they take every row once. It takes `products` of a row.
///
/// Which thread takes which rows is left to chance, so what is made of all results must not depend on it.
pub(super) fn by_shares<T: Send>(
    len: usize,
    products: usize,
    threads: usize,
    search: impl Fn(Shares<'_>) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let threads = threads.clamp(1, (len.saturating_mul(products) / WORTH).max(1));
    let share = match threads {
        1 => len.max(1),
        _ => (len / threads / EACH + 1).next_multiple_of(UNIT),
    };
    let next = AtomicUsize::new(0);
    in_threads(threads, || {
        search(Shares {
            next: &next,
            share,
            len,
        })
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::thread;

    use super::*;
    use crate::threads::NAME;

    #[test]
    fn every_row_is_taken_once() {
        for len in [0, 1, UNIT, 10 * UNIT + 1, 100 * UNIT - 1] {
            for threads in [1, 2, 3, 1000] {
                let found = by_shares(len, 64, threads, |shares| {
                    Ok(shares.blocks(100).collect::<Vec<_>>())
                });
                let mut blocks = found.unwrap().concat();
                blocks.sort_by_key(|rows| rows.start);
                assert!(blocks.iter().all(|rows| (1..=100).contains(&rows.len())));
                let rows: Vec<usize> = blocks.into_iter().flatten().collect();
                assert_eq!(rows, (0..len).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn a_thread_that_is_held_up_leaves_its_rows_to_the_others() {
        let done = AtomicBool::new(false);
        let found = by_shares(100 * UNIT, 64, 2, |mut shares| {
            let first = shares.next().map_or(0, |rows| rows.len());
            if thread::current().name() == Some(NAME) {
                while !done.load(Ordering::Relaxed) {
                    thread::yield_now();
                }
                return Ok(first);
            }
            let rest: usize = shares.map(|rows| rows.len()).sum();
            done.store(true, Ordering::Relaxed);
            Ok(first + rest)
        });
        let [rows, of_late] = found.unwrap()[..] else {
            panic!("there are two threads");
        };
        assert_eq!(rows + of_late, 100 * UNIT);
        assert!(of_late <= rows / 10);
    }
}
