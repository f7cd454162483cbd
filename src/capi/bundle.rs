//! Bundle

use std::ffi::{c_char, c_void};

use super::boundary::{Guarded, boundary, free, hand_out, handle, on};
use super::cancel::{oneiro_cancel, request_of, stoppable};
use super::checks::{Out, c_string, text};
use super::error::{oneiro_error, oneiro_status};
use super::parts::oneiro_parts;
use super::text::oneiro_text;
use crate::bundle::{Bundle, Parts};

/// A catalog and its networks, mapped and checked, not yet running. Yours; free with oneiro_bundle_free.
pub struct oneiro_bundle(Guarded<Bundle>);
handle!(oneiro_bundle holds Bundle as "bundle");

/// Told how many of all bytes are done. 0 to go on; anything else stops the call. Must not unwind or longjmp.
pub type oneiro_progress_fn =
    Option<unsafe extern "C" fn(user_data: *mut c_void, done_bytes: u64, total_bytes: u64) -> i32>;

/// Opens the bundle in a folder: the manifest, and the header of every file that it names.
///
/// path:    borrowed for the call. The files must not shrink or change while anything made from them lives.
/// out:     yours; free with oneiro_bundle_free.
/// Errors:  ONEIRO_IO, ONEIRO_BAD_BUNDLE, ONEIRO_BUNDLE_VERSION, ONEIRO_INVALID_ARGUMENT.
/// Threads: any number at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_bundle_open(
    path: *const c_char,
    out: *mut *mut oneiro_bundle,
    error: *mut *mut oneiro_error,
) -> oneiro_status {
    let body = || {
        // SAFETY: the header's promise.
        let (path, out) = unsafe { (text(path, "path")?, Out::new(out, "out")?) };
        out.put(hand_out(Bundle::open(path)?));
        Ok(())
    };
    // SAFETY: the header's promise.
    unsafe { boundary(error, body) }
}

/// Opens the bundle in files named one by one.
///
/// parts:   borrowed for the call; bytes added to them are borrowed for longer, see oneiro_parts_add_bytes.
/// out:     yours; free with oneiro_bundle_free.
/// Errors:  as oneiro_bundle_open.
/// Threads: any number at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_bundle_open_parts(
    parts: *const oneiro_parts,
    out: *mut *mut oneiro_bundle,
    error: *mut *mut oneiro_error,
) -> oneiro_status {
    let body = |parts: &Parts| {
        // SAFETY: the header's promise.
        let out = unsafe { Out::new(out, "out") }?;
        out.put(hand_out(Bundle::from_parts(parts)?));
        Ok(())
    };
    // SAFETY: the header's promise.
    unsafe { on(parts, error, body) }
}

/// Reads everything: each file's digest, each string, each order, each number, each graph's structure. Opening checks
/// what it can without that.
///
/// cancel:  borrowed for the call; NULL if nobody will stop it.
/// progress, user_data: borrowed for the call, on this thread; NULL for none.
/// Errors:  ONEIRO_BAD_BUNDLE (the first defect), ONEIRO_CANCELLED, ONEIRO_INVALID_ARGUMENT.
/// Threads: any number at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_bundle_verify(
    bundle: *const oneiro_bundle,
    cancel: *const oneiro_cancel,
    progress: oneiro_progress_fn,
    user_data: *mut c_void,
    error: *mut *mut oneiro_error,
) -> oneiro_status {
    let body = |bundle: &Bundle| {
        // SAFETY: the header's promise.
        stoppable(&unsafe { request_of(cancel) }, |own| {
            let mut tell = |done: u64, total: u64| {
                if let Some(progress) = progress {
                    // SAFETY: the header's promise.
                    let answer = unsafe { progress(user_data, done, total) };
                    if answer != 0 {
                        own.request();
                    }
                }
            };
            bundle.verify(own, &mut tell)
        })
    };
    // SAFETY: the header's promise.
    unsafe { on(bundle, error, body) }
}

/// The bundle's name in its manifest.
///
/// out:     yours; free with oneiro_text_free.
/// Errors:  ONEIRO_INVALID_ARGUMENT.
/// Threads: any number at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_bundle_name(
    bundle: *const oneiro_bundle,
    out: *mut *mut oneiro_text,
    error: *mut *mut oneiro_error,
) -> oneiro_status {
    let body = |bundle: &Bundle| {
        // SAFETY: the header's promise.
        let out = unsafe { Out::new(out, "out") }?;
        out.put(hand_out(c_string(&bundle.manifest().name)));
        Ok(())
    };
    // SAFETY: the header's promise.
    unsafe { on(bundle, error, body) }
}

/// Frees a bundle. Engines made from it live on. NULL is nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_bundle_free(bundle: *mut oneiro_bundle) {
    // SAFETY: the header's promise.
    unsafe { free(bundle) }
}
