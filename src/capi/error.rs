//! Status and error

use std::ffi::{CString, c_char};

use super::boundary::free;
use super::checks::c_string;
use crate::error::Error;

/// 0 (`ONEIRO_OK`) or what went wrong. Codes are never renumbered; treat one you do not know as a failure.
pub type oneiro_status = i32;

/// The call did what it should.
pub const ONEIRO_OK: i32 = 0;
/// The caller's mistake; the message names the parameter.
pub const ONEIRO_INVALID_ARGUMENT: i32 = 1;
/// No such item, id or title, or a title that fits several items.
pub const ONEIRO_UNKNOWN_ITEM: i32 = 2;
/// The bundle carries no such network, table or attribute.
pub const ONEIRO_UNSUPPORTED: i32 = 3;
/// The prompt exceeds the model's context.
pub const ONEIRO_TOO_LONG: i32 = 4;
/// A file could not be read.
pub const ONEIRO_IO: i32 = 10;
/// The bundle is damaged or wrong; the message says where.
pub const ONEIRO_BAD_BUNDLE: i32 = 11;
/// The bundle needs a newer version of the library.
pub const ONEIRO_BUNDLE_VERSION: i32 = 12;
/// ONNX Runtime is missing or failed; the message says what was tried.
pub const ONEIRO_RUNTIME: i32 = 20;
/// Not enough memory.
pub const ONEIRO_OUT_OF_MEMORY: i32 = 21;
/// Stopped by an oneiro_cancel or by a callback.
pub const ONEIRO_CANCELLED: i32 = 30;
/// The call's deadline struck before there was anything to give back.
pub const ONEIRO_DEADLINE_EXCEEDED: i32 = 31;
/// A bug of the library; the handle of that call may then only be freed.
pub const ONEIRO_INTERNAL: i32 = 99;

/// What went wrong, as a code and as words. Yours; free with oneiro_error_free.
pub struct oneiro_error {
    status: oneiro_status,
    message: CString,
}

impl oneiro_error {
    pub(super) fn new(error: &Error) -> Self {
        Self {
            status: error.code() as oneiro_status,
            message: c_string(&error.to_string()),
        }
    }
}

/// The same code that the function returned; ONEIRO_OK for NULL.
///
/// Threads: any number at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_error_status(error: *const oneiro_error) -> oneiro_status {
    // SAFETY: the header's promise: null or a live error.
    unsafe { error.as_ref() }.map_or(ONEIRO_OK, |error| error.status)
}

/// What went wrong, in English, for a log or a developer; an empty string for NULL.
///
/// Returns: borrowed until `error` is freed.
/// Threads: any number at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_error_message(error: *const oneiro_error) -> *const c_char {
    // SAFETY: the header's promise: null or a live error.
    unsafe { error.as_ref() }.map_or(c"".as_ptr(), |error| error.message.as_ptr())
}

/// Frees an error. NULL is nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_error_free(error: *mut oneiro_error) {
    // SAFETY: the header's promise: null or an error that is never used again.
    unsafe { free(error) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorCode;

    #[test]
    fn codes_are_those_of_the_rust_error() {
        for (constant, code) in [
            (ONEIRO_INVALID_ARGUMENT, ErrorCode::InvalidArgument),
            (ONEIRO_UNKNOWN_ITEM, ErrorCode::UnknownItem),
            (ONEIRO_UNSUPPORTED, ErrorCode::Unsupported),
            (ONEIRO_TOO_LONG, ErrorCode::TooLong),
            (ONEIRO_IO, ErrorCode::Io),
            (ONEIRO_BAD_BUNDLE, ErrorCode::BadBundle),
            (ONEIRO_BUNDLE_VERSION, ErrorCode::BundleVersion),
            (ONEIRO_RUNTIME, ErrorCode::Runtime),
            (ONEIRO_OUT_OF_MEMORY, ErrorCode::OutOfMemory),
            (ONEIRO_CANCELLED, ErrorCode::Cancelled),
            (ONEIRO_DEADLINE_EXCEEDED, ErrorCode::DeadlineExceeded),
            (ONEIRO_INTERNAL, ErrorCode::Internal),
        ] {
            assert_eq!(constant, code as i32);
        }
    }
}
