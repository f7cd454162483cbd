//! Parts: where a bundle's files are

use std::ffi::{c_char, c_void};
use std::fs::File;
use std::mem::take;

use super::boundary::{Guarded, boundary, free, hand_out, handle, on_mut};
use super::checks::{Out, array, optional_text, text};
use super::error::{oneiro_error, oneiro_status};
use crate::bundle::Parts;
use crate::error::{Error, Result};

/// A bundle's files, named one by one, for bundles that are no folder: assets inside an archive, bytes in memory.
/// Yours; free with oneiro_parts_free, at any time after the bundle is open.
pub struct oneiro_parts(Guarded<Parts>);
handle!(oneiro_parts holds Parts as "parts");

/// No files yet: add manifest.json and every file that it names.
///
/// folder:  borrowed for the call; where to look for files that are not added; NULL if all of them are.
/// out:     yours; free with oneiro_parts_free.
/// Errors:  ONEIRO_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_parts_new(
    folder: *const c_char,
    out: *mut *mut oneiro_parts,
    error: *mut *mut oneiro_error,
) -> oneiro_status {
    let body = || {
        // SAFETY: the header's promise.
        let (folder, out) = unsafe { (optional_text(folder, "folder")?, Out::new(out, "out")?) };
        out.put(hand_out(folder.map_or_else(Parts::new, Parts::folder)));
        Ok(())
    };
    // SAFETY: the header's promise.
    unsafe { boundary(error, body) }
}

/// Adds the file `name` of the bundle, which lies at `path`.
///
/// name, path: borrowed for the call. The file is opened now and must not shrink or change while it is in use.
/// Errors:  ONEIRO_IO, ONEIRO_INVALID_ARGUMENT (the name was added before).
/// Threads: alone on these parts.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_parts_add_file(
    parts: *mut oneiro_parts,
    name: *const c_char,
    path: *const c_char,
    error: *mut *mut oneiro_error,
) -> oneiro_status {
    let body = |parts: &mut Parts| {
        // SAFETY: the header's promise.
        let (name, path) = unsafe { (text(name, "name")?, text(path, "path")?) };
        let io = |source| Error::Io {
            path: path.into(),
            source,
        };
        let file = File::open(path).map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        parts.range(name, file, 0, length)
    };
    // SAFETY: the header's promise.
    unsafe { on_mut(parts, error, body) }
}

/// Adds the file `name` of the bundle as `length` bytes from `offset` of an open file, such as an Android asset.
/// At an offset that is not a multiple of 8 the bytes are copied; at any other they are mapped. Not on Windows.
///
/// descriptor: duplicated; yours to close, and its position stays where it is.
/// Errors:  ONEIRO_IO (not an open file), ONEIRO_INVALID_ARGUMENT (the name was added before), ONEIRO_UNSUPPORTED.
/// Threads: alone on these parts.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_parts_add_descriptor(
    parts: *mut oneiro_parts,
    name: *const c_char,
    descriptor: i32,
    offset: u64,
    length: u64,
    error: *mut *mut oneiro_error,
) -> oneiro_status {
    let body = |parts: &mut Parts| {
        // SAFETY: the header's promise.
        let name = unsafe { text(name, "name") }?;
        parts.range(name, duplicate(name, descriptor)?, offset, length)
    };
    // SAFETY: the header's promise.
    unsafe { on_mut(parts, error, body) }
}

#[cfg(unix)]
fn duplicate(name: &str, descriptor: i32) -> Result<File> {
    use std::os::fd::BorrowedFd;
    if descriptor < 0 {
        return Err(Error::argument("descriptor", format!("is {descriptor}")));
    }
    // SAFETY: not negative, and only duplicated, which fails if it is not open.
    let borrowed = unsafe { BorrowedFd::borrow_raw(descriptor) };
    let owned = borrowed.try_clone_to_owned().map_err(|source| Error::Io {
        path: name.into(),
        source,
    })?;
    Ok(File::from(owned))
}

#[cfg(not(unix))]
fn duplicate(_name: &str, _descriptor: i32) -> Result<File> {
    Err(Error::Unsupported {
        what: "parts by descriptor on this platform".into(),
    })
}

/// Adds the file `name` of the bundle as bytes in memory.
///
/// bytes:   borrowed until every bundle, engine and recommender made from these parts is freed, and the parts too;
///          its address must be a multiple of 8.
/// Errors:  ONEIRO_INVALID_ARGUMENT (the name was added before, the address).
/// Threads: alone on these parts.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_parts_add_bytes(
    parts: *mut oneiro_parts,
    name: *const c_char,
    bytes: *const c_void,
    length: usize,
    error: *mut *mut oneiro_error,
) -> oneiro_status {
    let body = |parts: &mut Parts| {
        // SAFETY: the header's promise.
        let name = unsafe { text(name, "name") }?;
        // SAFETY: the header's promise: they stay as they are for as long as anything made from the parts lives, which
        // is what holds this slice.
        let bytes: &'static [u8] = unsafe { array(bytes.cast(), length, "bytes") }?;
        parts.bytes(name, bytes)
    };
    // SAFETY: the header's promise.
    unsafe { on_mut(parts, error, body) }
}

/// Has the files copied to private memory when the bundle is opened instead of mapped: slower and larger, but safe if
/// somebody may truncate them, which kills a process that maps them.
///
/// Errors:  ONEIRO_INVALID_ARGUMENT.
/// Threads: alone on these parts.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_parts_copy_files(
    parts: *mut oneiro_parts,
    error: *mut *mut oneiro_error,
) -> oneiro_status {
    let body = |parts: &mut Parts| {
        *parts = take(parts).copied();
        Ok(())
    };
    // SAFETY: the header's promise.
    unsafe { on_mut(parts, error, body) }
}

/// Frees parts. Bundles made from them live on. NULL is nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_parts_free(parts: *mut oneiro_parts) {
    // SAFETY: the header's promise.
    unsafe { free(parts) }
}
