//! The one door between C and Rust: panics stop here, and errors become a status and an object.
//!
//! Every `extern "C"` function runs its body through [`boundary`], [`on`] or [`on_mut`] (fallible) or [`ask`] (not).
//! A handle in whose call a panic occurred answers everything with `ONEIRO_INTERNAL` from then on: what it holds may
//! be half changed. It can still be freed.

#[cfg(not(panic = "unwind"))]
compile_error!("the C ABI contains panics: build with panic = \"unwind\"");

use std::any::Any;
use std::cell::Cell;
use std::mem;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use super::checks::room;
use super::error::{ONEIRO_OK, oneiro_error, oneiro_status};
use crate::error::{Error, Result};

/// Runs the body of a fallible function.
///
/// # Safety
/// `out_error` is null or may be written.
pub(super) unsafe fn boundary(
    out_error: *mut *mut oneiro_error,
    body: impl FnOnce() -> Result<()>,
) -> oneiro_status {
    let outcome = contain(body).unwrap_or_else(|reason| Err(Error::Internal { reason }));
    let Err(error) = outcome else {
        return ONEIRO_OK;
    };
    let status = error.code() as oneiro_status;
    // SAFETY: the caller's promise, passed on from the header.
    if let Some(slot) = unsafe { out_error.as_mut() } {
        *slot = Box::into_raw(Box::new(oneiro_error::new(&error)));
    }
    status
}

/// Runs the body of a fallible function on what a handle holds.
///
/// # Safety
/// `handle` is null or valid, and no call that changes it is running; `out_error` is null or may be written.
pub(super) unsafe fn on<H: Handle>(
    handle: *const H,
    out_error: *mut *mut oneiro_error,
    body: impl FnOnce(&H::Inner) -> Result<()>,
) -> oneiro_status {
    // SAFETY: the caller's promise.
    let body = || unsafe { with(handle, body) };
    // SAFETY: the caller's promise.
    unsafe { boundary(out_error, body) }
}

/// Inside of a body: gives another one what a handle holds.
///
/// # Safety
/// `handle` is null or valid, and no call that changes it is running.
pub(super) unsafe fn with<H: Handle, T>(
    handle: *const H,
    body: impl FnOnce(&H::Inner) -> Result<T>,
) -> Result<T> {
    // SAFETY: the caller's promise.
    let handle = unsafe { handle.as_ref() };
    let guarded = handle.ok_or_else(H::null)?.guarded();
    let guard = guarded.enter()?;
    let outcome = body(&guarded.value);
    guard.leave();
    outcome
}

/// Runs the body of a fallible function that changes what a handle holds.
///
/// # Safety
/// `handle` is null or valid, and no other call on it is running; `out_error` is null or may be written.
pub(super) unsafe fn on_mut<H: Handle>(
    handle: *mut H,
    out_error: *mut *mut oneiro_error,
    body: impl FnOnce(&mut H::Inner) -> Result<()>,
) -> oneiro_status {
    // SAFETY: the caller's promise.
    let handle = unsafe { handle.as_mut() };
    let body = || {
        let Guarded { value, panicked } = handle.ok_or_else(H::null)?.guarded_mut();
        let guard = Guard::enter(panicked)?;
        let outcome = body(value);
        guard.leave();
        outcome
    };
    // SAFETY: the caller's promise.
    unsafe { boundary(out_error, body) }
}

/// Inside of a body: gives another one what all these handles hold, to change.
///
/// # Safety
/// Each of `handles` is null or valid, and no other call on it is running.
pub(super) unsafe fn on_all<H: Handle, T>(
    handles: &[*mut H],
    parameter: &'static str,
    body: impl FnOnce(Vec<&mut H::Inner>) -> Result<T>,
) -> Result<T> {
    let mut order = room(handles.len(), parameter)?;
    order.extend(handles.iter().copied().zip(0..));
    order.sort_unstable();
    let entry =
        |index: usize, fault: &str| Error::argument(parameter, format!("entry {index} {fault}"));
    if let Some((_, index)) = order.first().filter(|(first, _)| first.is_null()) {
        return Err(entry(*index, "is NULL"));
    }
    if let Some(pair) = order.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        let ((_, first), (_, again)) = (pair[0], pair[1]);
        return Err(entry(again, &format!("is entry {first} again")));
    }
    let mut values = room(handles.len(), parameter)?;
    let mut guards = room(handles.len(), parameter)?;
    for &handle in handles {
        // SAFETY: the caller's promise; none is null, and each is there once.
        let Guarded { value, panicked } = unsafe { &mut *handle }.guarded_mut();
        match Guard::enter(panicked) {
            Ok(guard) => guards.push(guard),
            Err(error) => {
                // Nothing has happened to the others.
                guards.into_iter().for_each(Guard::leave);
                return Err(error);
            }
        }
        values.push(value);
    }
    let outcome = body(values);
    guards.into_iter().for_each(Guard::leave);
    outcome
}

/// Reads from a handle; `otherwise` stands for NULL, for nothing to read, and for a handle that may only be freed.
///
/// # Safety
/// `handle` is null or valid, and no call that changes it is running.
pub(super) unsafe fn ask<H: Handle, T>(
    handle: *const H,
    otherwise: T,
    body: impl FnOnce(&H::Inner) -> Option<T>,
) -> T {
    // SAFETY: the caller's promise.
    let handle = unsafe { handle.as_ref() };
    let body = || {
        let guarded = handle?.guarded();
        let guard = guarded.enter().ok()?;
        let answer = body(&guarded.value);
        guard.leave();
        answer
    };
    contain(body).ok().flatten().unwrap_or(otherwise)
}

/// Gives a new handle to the host.
pub(super) fn hand_out<H: Handle>(inner: H::Inner) -> *mut H {
    Box::into_raw(Box::new(H::hold(Guarded {
        value: inner,
        panicked: AtomicBool::new(false),
    })))
}

/// Takes a handle back and drops it; null is nothing.
///
/// # Safety
/// `handle` is null or comes from [`hand_out`], and is never used again.
pub(super) unsafe fn free<H>(handle: *mut H) {
    if !handle.is_null() {
        // SAFETY: the caller's promise: the box is whole, and its only owner has given it up.
        let owned = unsafe { Box::from_raw(handle) };
        // A panic while dropping was logged by the hook; there is nobody to tell.
        let _ = contain(move || drop(owned));
    }
}

/// What stands behind an opaque pointer of the header.
pub(super) trait Handle {
    type Inner;
    /// The parameter that carries it, for messages.
    const PARAMETER: &'static str;
    fn hold(inner: Guarded<Self::Inner>) -> Self;
    fn guarded(&self) -> &Guarded<Self::Inner>;
    fn guarded_mut(&mut self) -> &mut Guarded<Self::Inner>;

    fn null() -> Error {
        Error::argument(Self::PARAMETER, "is NULL")
    }
}

/// Makes `pub struct oneiro_x(Guarded<Inner>)` a [`Handle`].
macro_rules! handle {
    ($name:ident holds $inner:ty as $parameter:literal) => {
        impl $crate::capi::boundary::Handle for $name {
            type Inner = $inner;
            const PARAMETER: &'static str = $parameter;

            fn hold(inner: $crate::capi::boundary::Guarded<$inner>) -> Self {
                Self(inner)
            }

            fn guarded(&self) -> &$crate::capi::boundary::Guarded<$inner> {
                &self.0
            }

            fn guarded_mut(&mut self) -> &mut $crate::capi::boundary::Guarded<$inner> {
                &mut self.0
            }
        }
    };
}
pub(super) use handle;

/// A value, and whether a panic may have left it half changed.
pub struct Guarded<T> {
    value: T,
    panicked: AtomicBool,
}

impl<T> Guarded<T> {
    fn enter(&self) -> Result<Guard<'_>> {
        Guard::enter(&self.panicked)
    }
}

/// Marks a handle unless the call is left in the ordinary way.
struct Guard<'a>(&'a AtomicBool);

impl<'a> Guard<'a> {
    fn enter(panicked: &'a AtomicBool) -> Result<Self> {
        if panicked.load(Ordering::Acquire) {
            let reason = "an earlier call on this handle panicked: it may only be freed".into();
            return Err(Error::Internal { reason });
        }
        Ok(Self(panicked))
    }

    fn leave(self) {
        mem::forget(self);
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

thread_local! {
    /// How many boundaries this thread is inside of.
    static INSIDE: Cell<u32> = const { Cell::new(0) };
}

/// Runs `body`; a panic in it becomes its message.
pub(super) fn contain<T>(body: impl FnOnce() -> T) -> Result<T, String> {
    struct Inside;
    impl Drop for Inside {
        fn drop(&mut self) {
            INSIDE.set(INSIDE.get() - 1);
        }
    }
    install_hook();
    INSIDE.set(INSIDE.get() + 1);
    let _inside = Inside;
    // What the body can leave half changed lies behind a `Guard` or is dropped.
    catch_unwind(AssertUnwindSafe(body)).map_err(|payload| message_of(&*payload))
}

fn message_of(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&str>() {
        return (*text).into();
    }
    match payload.downcast_ref::<String>() {
        Some(text) => text.clone(),
        None => "a panic without a message".into(),
    }
}

/// Sends panics inside the boundary to the log; every other one goes where it went before.
fn install_hook() {
    static INSTALL: Once = Once::new();
    // The hook cannot be changed by a thread that is panicking already.
    if INSTALL.is_completed() || std::thread::panicking() {
        return;
    }
    INSTALL.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let current = std::thread::current();
            let ours = current.name() == Some(crate::threads::NAME);
            match INSIDE.get() {
                0 if !ours => before(info),
                _ => log::error!(target: "oneiro::panic", "{info}"),
            }
        }));
    });
}

#[cfg(test)]
mod tests;
