//! Threads of one call. They last as long as the call that asked for them.

#![forbid(unsafe_code)]

use std::thread;

use crate::error::{Error, Result};

/// What they are called.
pub(crate) const NAME: &str = "oneiro-call";

/// What `work` gives in each of at most so many threads, of which the caller's is one.
///
/// How the work is shared among them is up to `work`, and must not show in what is made of all results: a system that
/// grants fewer threads costs time only.
pub(crate) fn in_threads<T: Send>(
    threads: usize,
    work: impl Fn() -> Result<T> + Sync,
) -> Result<Vec<T>> {
    if threads <= 1 {
        return Ok(vec![work()?]);
    }
    thread::scope(|scope| {
        let start = |_| {
            let thread = thread::Builder::new().name(NAME.to_owned());
            thread.spawn_scoped(scope, &work).ok()
        };
        let others: Vec<_> = (1..threads).map_while(start).collect();
        let mut results = vec![work()];
        for thread in others {
            results.push(thread.join().unwrap_or_else(|_| Err(panicked())));
        }
        results.into_iter().collect()
    })
}

fn panicked() -> Error {
    Error::Internal {
        reason: "a thread of the call panicked".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_thread_gives_a_result() {
        for threads in [0, 1, 3] {
            let mut names = in_threads(threads, || Ok(thread::current().name() == Some(NAME)))
                .unwrap_or_default();
            names.sort_unstable();
            let mut expected = vec![true; threads.max(1)];
            expected[0] = false;
            assert_eq!(names, expected);
        }
    }

    #[test]
    fn what_goes_wrong_in_any_thread_is_an_error() {
        let outcome = |fail: fn() -> Result<()>| {
            in_threads(3, || match thread::current().name() {
                Some(NAME) => fail(),
                _ => Ok(()),
            })
        };
        assert!(matches!(
            outcome(|| Err(Error::Cancelled)),
            Err(Error::Cancelled)
        ));
        #[allow(clippy::panic, reason = "it is what is tested")]
        let panicked = outcome(|| panic!("on purpose"));
        assert!(matches!(panicked, Err(Error::Internal { .. })));
    }
}
