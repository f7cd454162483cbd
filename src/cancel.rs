//! Stopping a call: from another thread, or when its time is up.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::error::{Error, Result};

/// A request to stop, shared between the call it stops and whoever may stop it.
///
/// Clones are the same request. It may be made before, during or after the call; a stopped call returns
/// [`Error::Cancelled`] and leaves everything usable. A request is not taken back: use a new one for the next call.
///
/// ```
/// let cancel = oneiro::Cancel::new();
/// let button = cancel.clone();
/// button.request();
/// assert!(cancel.is_requested());
/// ```
#[derive(Clone, Default)]
pub struct Cancel {
    request: Arc<Request>,
    /// When the call that holds this clone ends by itself.
    deadline: Option<Instant>,
}

#[derive(Default)]
struct Request {
    requested: AtomicBool,
    running: Mutex<Running>,
}

#[derive(Default)]
struct Running {
    next: u64,
    stops: BTreeMap<u64, Box<dyn Fn() + Send>>,
}

impl Cancel {
    /// Nobody has asked to stop yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks every call that was given this object to stop, now and later. Never blocks for long.
    pub fn request(&self) {
        self.request.requested.store(true, Ordering::SeqCst);
        for stop in self.request.running.lock().stops.values() {
            stop();
        }
    }

    /// Whether somebody has asked.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.request.requested.load(Ordering::SeqCst)
    }

    /// The same request, for a call that also ends by itself after `time` from now. A time beyond what the clock can
    /// hold is none.
    pub(crate) fn within(&self, time: Duration) -> Self {
        Self {
            request: Arc::clone(&self.request),
            deadline: Instant::now().checked_add(time),
        }
    }

    /// The same request, with a deadline so long from now if there is one.
    #[cfg(feature = "llm")]
    pub(crate) fn limited(&self, deadline: Option<Duration>) -> Self {
        deadline.map_or_else(|| self.clone(), |time| self.within(time))
    }

    /// The same request, for what is done even when the time is up.
    pub(crate) fn patient(&self) -> Self {
        Self {
            request: Arc::clone(&self.request),
            deadline: None,
        }
    }

    /// [`Error::Cancelled`] if somebody has asked, [`Error::DeadlineExceeded`] if the time is up.
    pub(crate) fn check(&self) -> Result<()> {
        if self.is_requested() {
            return Err(Error::Cancelled);
        }
        match self.deadline {
            Some(deadline) if Instant::now() >= deadline => Err(Error::DeadlineExceeded),
            _ => Ok(()),
        }
    }

    /// Runs `body`, with `stop` called (from another thread) if somebody asks meanwhile or the time is up.
    pub(crate) fn during<T>(
        &self,
        stop: impl Fn() + Clone + Send + 'static,
        body: impl FnOnce() -> T,
    ) -> T {
        match self.deadline {
            None => self.unless_requested(stop, body),
            Some(deadline) => {
                let timed = stop.clone();
                until(deadline, timed, || self.unless_requested(stop, body))
            }
        }
    }

    fn unless_requested<T>(&self, stop: impl Fn() + Send + 'static, body: impl FnOnce() -> T) -> T {
        struct Registered<'a>(&'a Request, u64);
        impl Drop for Registered<'_> {
            fn drop(&mut self) {
                self.0.running.lock().stops.remove(&self.1);
            }
        }
        let key = {
            let mut running = self.request.running.lock();
            // Seen under the lock: a request either finds `stop` in the map or is noticed here.
            if self.is_requested() {
                stop();
            }
            running.next += 1;
            let key = running.next;
            running.stops.insert(key, Box::new(stop));
            key
        };
        let _registered = Registered(&self.request, key);
        body()
    }
}

/// Runs `body`, with `stop` called (from a thread that waits for it) if it is still running at `deadline`.
fn until<T>(deadline: Instant, stop: impl FnOnce() + Send, body: impl FnOnce() -> T) -> T {
    let (running, ended) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let watch = move || {
            let left = deadline.saturating_duration_since(Instant::now());
            if ended.recv_timeout(left) == Err(RecvTimeoutError::Timeout) {
                stop();
            }
        };
        // On a system that grants no more threads the body runs to its end, and its caller looks at the clock then.
        let _ = thread::Builder::new()
            .name("oneiro-deadline".into())
            .spawn_scoped(scope, watch);
        // Dropped when the body ends, in whatever way; then the thread has nothing to wait for.
        let _running = running;
        body()
    })
}

impl fmt::Debug for Cancel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cancel {{ requested: {} }}", self.is_requested())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_with_a_deadline_ends_by_itself_and_by_request() {
        let cancel = Cancel::new();
        assert!(cancel.within(Duration::from_secs(3600)).check().is_ok());
        assert!(cancel.within(Duration::MAX).check().is_ok());
        let late = cancel.within(Duration::ZERO);
        assert!(matches!(late.check(), Err(Error::DeadlineExceeded)));
        assert!(!late.is_requested() && cancel.check().is_ok());
        cancel.request();
        assert!(matches!(late.check(), Err(Error::Cancelled)));
    }

    #[test]
    fn what_runs_is_stopped_at_the_deadline_and_only_then() {
        for (time, stopped) in [
            (Duration::from_millis(20), true),
            (Duration::MAX / 4, false),
        ] {
            let cancel = Cancel::new().within(time);
            let (stop, stops) = mpsc::channel();
            let outcome = cancel.during(
                move || {
                    let _ = stop.send(());
                },
                || match stopped {
                    true => stops.recv().is_ok(),
                    false => stops.try_recv().is_ok(),
                },
            );
            assert_eq!(outcome, stopped);
        }
    }
}
