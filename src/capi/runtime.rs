//! Version and ONNX Runtime

use std::ffi::{CString, c_char};
use std::path::Path;
use std::sync::OnceLock;

use super::boundary::{boundary, contain};
use super::checks::{c_string, text};
use super::error::{oneiro_error, oneiro_status};
use crate::error::Error;
use crate::runtime::{self, OrtApiBase};

/// The library's version, as in ONEIRO_VERSION.
///
/// Returns: borrowed for ever.
/// Threads: any number at once.
#[unsafe(no_mangle)]
pub extern "C" fn oneiro_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// The library's ABI, major << 16 | minor. It fits a program that was compiled with this header if its major is
/// ONEIRO_ABI_MAJOR and its minor at least ONEIRO_ABI_MINOR; a wrapper checks that when it loads the library.
///
/// Threads: any number at once.
#[unsafe(no_mangle)]
pub extern "C" fn oneiro_abi_version() -> u32 {
    ABI_MAJOR << 16 | ABI_MINOR
}

const ABI_MAJOR: u32 = number(env!("ONEIRO_ABI_MAJOR"));
const ABI_MINOR: u32 = number(env!("ONEIRO_ABI_MINOR"));

const fn number(digits: &str) -> u32 {
    let digits = digits.as_bytes();
    let (mut value, mut i) = (0, 0);
    while i < digits.len() {
        value = value * 10 + (digits[i] - b'0') as u32;
        i += 1;
    }
    value
}

/// Loads ONNX Runtime from `path`: the library, or a folder that holds it. Needed only if it lies neither where
/// ORT_DYLIB_PATH says nor beside this library or the program; otherwise the first engine loads it. The first success
/// is final for the process; the same file again does nothing.
///
/// path:    borrowed for the call.
/// Errors:  ONEIRO_RUNTIME (the message lists what was tried; another call may succeed), ONEIRO_INVALID_ARGUMENT.
/// Threads: any number at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_runtime_load(
    path: *const c_char,
    error: *mut *mut oneiro_error,
) -> oneiro_status {
    let body = || {
        // SAFETY: the header's promise.
        let path = unsafe { text(path, "path") }?;
        runtime::load(path)
    };
    // SAFETY: the header's promise.
    unsafe { boundary(error, body) }
}

/// Uses the ONNX Runtime that the program has loaded or linked itself.
///
/// base:    what its OrtGetApiBase() returned; that library must stay loaded for ever.
/// Errors:  ONEIRO_RUNTIME (too old, or another one is in use), ONEIRO_INVALID_ARGUMENT.
/// Threads: any number at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_runtime_load_api(
    base: *const OrtApiBase,
    error: *mut *mut oneiro_error,
) -> oneiro_status {
    let body = || {
        if base.is_null() {
            return Err(Error::argument("base", "is NULL"));
        }
        // SAFETY: the header's promise.
        unsafe { runtime::load_api(base) }
    };
    // SAFETY: the header's promise.
    unsafe { boundary(error, body) }
}

/// The file that ONNX Runtime was loaded from; NULL before that, or if the program supplied it.
///
/// Returns: borrowed for ever.
/// Threads: any number at once.
#[unsafe(no_mangle)]
pub extern "C" fn oneiro_runtime_path() -> *const c_char {
    static PATH: OnceLock<CString> = OnceLock::new();
    let path = || {
        let path: &Path = runtime::path()?;
        Some(
            PATH.get_or_init(|| c_string(&path.display().to_string()))
                .as_ptr(),
        )
    };
    contain(path).ok().flatten().unwrap_or(std::ptr::null())
}
