//! Cancel

use std::sync::Arc;

use super::boundary::{boundary, contain};
use super::checks::Out;
use super::error::{oneiro_error, oneiro_status};
use crate::cancel::Cancel;
use crate::error::Result;

/// A request to stop, for any number of calls. Reference-counted; every function takes it from any thread, before,
/// during and after the call that it stops. A request is not taken back: make a new object for the next call.
pub struct oneiro_cancel(Cancel);

/// A new object with one owner. Nobody has asked to stop yet.
///
/// out:     yours; free with oneiro_cancel_free.
/// Errors:  ONEIRO_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_cancel_new(
    out: *mut *mut oneiro_cancel,
    error: *mut *mut oneiro_error,
) -> oneiro_status {
    let body = || {
        // SAFETY: the header's promise.
        let out = unsafe { Out::new(out, "out") }?;
        out.put(Arc::into_raw(Arc::new(oneiro_cancel(Cancel::new()))).cast_mut());
        Ok(())
    };
    // SAFETY: the header's promise.
    unsafe { boundary(error, body) }
}

/// Adds an owner, who calls oneiro_cancel_free too. NULL is nothing.
///
/// Threads: any number at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_cancel_retain(cancel: *const oneiro_cancel) {
    if !cancel.is_null() {
        // SAFETY: the header's promise: the caller is an owner, so the count is at least one.
        unsafe { Arc::increment_strong_count(cancel) }
    }
}

/// Stops every call that was given this object, now and later: each returns ONEIRO_CANCELLED, and its handles stay
/// usable. A second request does nothing. NULL is nothing.
///
/// Threads: any number at once, also while the call is running.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_cancel_request(cancel: *const oneiro_cancel) {
    // SAFETY: the header's promise: null, or the caller is an owner.
    if let Some(cancel) = unsafe { cancel.as_ref() } {
        // A panic was logged by the hook; the flag is set first.
        let _ = contain(|| cancel.0.request());
    }
}

/// 1 if somebody has asked to stop, 0 if not or for NULL.
///
/// Threads: any number at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_cancel_is_requested(cancel: *const oneiro_cancel) -> i32 {
    // SAFETY: the header's promise: null, or the caller is an owner.
    unsafe { cancel.as_ref() }.map_or(0, |cancel| i32::from(cancel.0.is_requested()))
}

/// Gives up one ownership; the last frees the object. A call that it was given to is not stopped. NULL is nothing.
///
/// Threads: any number at once, also while a call that it was given to is running.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_cancel_free(cancel: *mut oneiro_cancel) {
    if !cancel.is_null() {
        // SAFETY: the header's promise: the caller is an owner and gives that up.
        drop(unsafe { Arc::from_raw(cancel.cast_const()) });
    }
}

/// The request behind a pointer; NULL is one that nobody makes.
///
/// # Safety
/// `cancel` is null, or an owner keeps it while this function runs.
pub(super) unsafe fn request_of(cancel: *const oneiro_cancel) -> Cancel {
    // SAFETY: the caller's promise. A clone shares the request and outlives the object.
    unsafe { cancel.as_ref() }.map_or_else(Cancel::new, |cancel| cancel.0.clone())
}

/// Runs a call that may be stopped by the host's object and by the host's callback: `body` is given a request of its own,
/// which follows the first and which it makes itself when the callback wishes to stop. So that wish ends this call only,
/// not the others that the host's object may stop.
pub(super) fn stoppable<T>(asked: &Cancel, body: impl FnOnce(&Cancel) -> Result<T>) -> Result<T> {
    asked.check()?;
    let own = Cancel::new();
    let relay = own.clone();
    let outcome = asked.during(move || relay.request(), || body(&own));
    // All may have been done when the callback wished to stop.
    outcome.and_then(|value| own.check().map(|()| value))
}
