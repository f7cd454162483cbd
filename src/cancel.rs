//! Stopping a call from another thread.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

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
pub struct Cancel(Arc<Inner>);

#[derive(Default)]
struct Inner {
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
        self.0.requested.store(true, Ordering::SeqCst);
        for stop in self.0.running.lock().stops.values() {
            stop();
        }
    }

    /// Whether somebody has asked.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.0.requested.load(Ordering::SeqCst)
    }

    /// [`Error::Cancelled`] if somebody has asked.
    pub(crate) fn check(&self) -> Result<()> {
        if self.is_requested() {
            Err(Error::Cancelled)
        } else {
            Ok(())
        }
    }

    /// Runs `body`, with `stop` called (from the requesting thread) if somebody asks meanwhile.
    pub(crate) fn during<T>(
        &self,
        stop: impl Fn() + Send + 'static,
        body: impl FnOnce() -> T,
    ) -> T {
        struct Registered<'a>(&'a Inner, u64);
        impl Drop for Registered<'_> {
            fn drop(&mut self) {
                self.0.running.lock().stops.remove(&self.1);
            }
        }
        let key = {
            let mut running = self.0.running.lock();
            // Seen under the lock: a request either finds `stop` in the map or is noticed here.
            if self.is_requested() {
                stop();
            }
            running.next += 1;
            let key = running.next;
            running.stops.insert(key, Box::new(stop));
            key
        };
        let _registered = Registered(&self.0, key);
        body()
    }
}

impl fmt::Debug for Cancel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cancel {{ requested: {} }}", self.is_requested())
    }
}
