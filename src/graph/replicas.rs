//! Copies of something that only one caller at a time may use. Who finds none free waits for its turn.

#![forbid(unsafe_code)]

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::cancel::Cancel;
use crate::error::Result;

/// How long one that waits for its turn goes without looking whether it was cancelled.
const TURN: Duration = Duration::from_millis(5);

pub(super) struct Replicas<T> {
    copies: Vec<Mutex<T>>,
    /// Indices of the copies that nobody uses.
    free: Mutex<Vec<usize>>,
    returned: Condvar,
}

impl<T> Replicas<T> {
    pub(super) fn new(copies: Vec<T>) -> Self {
        Self {
            free: Mutex::new((0..copies.len()).collect()),
            copies: copies.into_iter().map(Mutex::new).collect(),
            returned: Condvar::new(),
        }
    }

    /// How many there are, free or not.
    pub(super) fn len(&self) -> usize {
        self.copies.len()
    }

    /// A free copy, as soon as there is one; others may have it again when the result is dropped.
    pub(super) fn take(&self, cancel: &Cancel) -> Result<Taken<'_, T>> {
        let mut free = self.free.lock();
        loop {
            cancel.check()?;
            if let Some(index) = free.pop() {
                return Ok(Taken {
                    copy: self.copies[index].lock(),
                    _place: Place { index, of: self },
                });
            }
            self.returned.wait_for(&mut free, TURN);
        }
    }
}

/// A copy in use.
pub(super) struct Taken<'a, T> {
    // Dropped before it is announced as free.
    copy: MutexGuard<'a, T>,
    _place: Place<'a, T>,
}

impl<T> Deref for Taken<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.copy
    }
}

impl<T> DerefMut for Taken<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.copy
    }
}

struct Place<'a, T> {
    index: usize,
    of: &'a Replicas<T>,
}

impl<T> Drop for Place<'_, T> {
    fn drop(&mut self) {
        self.of.free.lock().push(self.index);
        self.of.returned.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::error::Error;

    #[test]
    fn every_copy_is_used_by_one_at_a_time() {
        let replicas = Replicas::new(vec![1, 2]);
        let cancel = Cancel::new();
        let first = replicas.take(&cancel).unwrap();
        let second = replicas.take(&cancel).unwrap();
        assert_eq!(*first + *second, 3);
        thread::scope(|scope| {
            let third = scope.spawn(|| replicas.take(&cancel).map(|copy| *copy));
            let given_back = *first;
            drop(first);
            assert_eq!(third.join().unwrap().unwrap(), given_back);
        });
        drop(second);
        assert_eq!((replicas.len(), replicas.free.lock().len()), (2, 2));
    }

    #[test]
    fn who_waits_can_be_cancelled() {
        let replicas = Replicas::new(vec![()]);
        let cancel = Cancel::new();
        let _only = replicas.take(&cancel).unwrap();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| replicas.take(&cancel).map(|_| ()));
            cancel.request();
            assert!(matches!(waiting.join().unwrap(), Err(Error::Cancelled)));
        });
    }

    #[test]
    fn a_panic_gives_its_copy_back() {
        let replicas = Replicas::new(vec![7]);
        let outcome = thread::scope(|scope| {
            let panicking = || -> () {
                let _taken = replicas.take(&Cancel::new()).unwrap();
                std::panic::resume_unwind(Box::new("on purpose"));
            };
            scope.spawn(panicking).join()
        });
        assert!(outcome.is_err());
        assert_eq!(*replicas.take(&Cancel::new()).unwrap(), 7);
    }
}
