//! What C hands over, checked before it is used: NULL, alignment, lengths, UTF-8, numbers that stand for names.

use std::ffi::{CStr, CString, c_char};

use crate::error::{Error, Result};

/// A NUL-terminated string.
///
/// # Safety
/// `pointer` is null or a NUL-terminated string that stays as it is for `'a`.
pub(super) unsafe fn text<'a>(pointer: *const c_char, parameter: &'static str) -> Result<&'a str> {
    // SAFETY: the caller's promise.
    unsafe { optional_text(pointer, parameter) }?
        .ok_or_else(|| Error::argument(parameter, "is NULL"))
}

/// A NUL-terminated string, or nothing for NULL.
///
/// # Safety
/// As [`text`].
pub(super) unsafe fn optional_text<'a>(
    pointer: *const c_char,
    parameter: &'static str,
) -> Result<Option<&'a str>> {
    if pointer.is_null() {
        return Ok(None);
    }
    // SAFETY: not null; the rest is the caller's promise.
    let bytes = unsafe { CStr::from_ptr(pointer) };
    let text = bytes
        .to_str()
        .map_err(|error| Error::argument(parameter, format!("is not UTF-8: {error}")))?;
    Ok(Some(text))
}

/// An array. NULL is an array of none.
///
/// # Safety
/// `pointer` is null or points to `count` values that stay as they are for `'a`.
pub(super) unsafe fn array<'a, T>(
    pointer: *const T,
    count: usize,
    parameter: &'static str,
) -> Result<&'a [T]> {
    check_array(pointer, count, parameter)?;
    if count == 0 {
        return Ok(&[]);
    }
    // SAFETY: not null, aligned, not larger than memory; the rest is the caller's promise.
    Ok(unsafe { std::slice::from_raw_parts(pointer, count) })
}

/// What can be seen of an array without reading it.
fn check_array<T>(pointer: *const T, count: usize, parameter: &'static str) -> Result<()> {
    if count == 0 {
        return Ok(());
    }
    if pointer.is_null() {
        return Err(Error::argument(
            parameter,
            format!("is NULL, with a count of {count}"),
        ));
    }
    if !pointer.is_aligned() {
        let reason = format!("its address is not a multiple of {}", align_of::<T>());
        return Err(Error::argument(parameter, reason));
    }
    if count > isize::MAX as usize / size_of::<T>().max(1) {
        return Err(Error::argument(
            parameter,
            format!("a count of {count} is more than memory holds"),
        ));
    }
    Ok(())
}

/// An array of NUL-terminated strings.
///
/// # Safety
/// As [`array`], and each entry is null or as in [`text`].
pub(super) unsafe fn texts<'a>(
    pointer: *const *const c_char,
    count: usize,
    parameter: &'static str,
) -> Result<Vec<&'a str>> {
    // SAFETY: the caller's promise.
    let pointers = unsafe { array(pointer, count, parameter) }?;
    let mut texts = room(count, parameter)?;
    for (position, &entry) in pointers.iter().enumerate() {
        // SAFETY: the caller's promise.
        let text = unsafe { text(entry, parameter) };
        texts.push(text.map_err(|error| match error {
            Error::InvalidArgument { parameter, reason } => {
                Error::argument(parameter, format!("entry {position} {reason}"))
            }
            other => other,
        })?);
    }
    Ok(texts)
}

/// A vector for `count` values, so that what the caller counts wrongly is an error and does not end the process.
pub(super) fn room<T>(count: usize, parameter: &'static str) -> Result<Vec<T>> {
    let mut room = Vec::new();
    room.try_reserve_exact(count)
        .map_err(|_| Error::OutOfMemory {
            what: format!("the {count} entries of `{parameter}`"),
            bytes: count.saturating_mul(size_of::<T>()),
        })?;
    Ok(room)
}

/// Where a result goes, once there is one.
pub(super) struct Out<T>(*mut T);

impl<T> Out<T> {
    /// # Safety
    /// `pointer` is null or may be written until the call returns.
    pub(super) unsafe fn new(pointer: *mut T, parameter: &'static str) -> Result<Self> {
        if pointer.is_null() {
            return Err(Error::argument(parameter, "is NULL"));
        }
        Ok(Self(pointer))
    }

    pub(super) fn put(self, value: T) {
        // SAFETY: not null, and may be written: promised to `new`. What stood there is the host's, not ours to drop.
        unsafe { self.0.write_unaligned(value) }
    }
}

/// Where an array of results goes, once there is one: the caller's memory for `count` values.
pub(super) struct OutArray<T> {
    start: *mut T,
    count: usize,
}

impl<T: Copy> OutArray<T> {
    /// # Safety
    /// `pointer` is null or `count` values from it may be written until the call returns.
    pub(super) unsafe fn new(
        pointer: *mut T,
        count: usize,
        parameter: &'static str,
    ) -> Result<Self> {
        check_array(pointer.cast_const(), count, parameter)?;
        Ok(Self {
            start: pointer,
            count,
        })
    }

    /// Writes `values`, of which there are as many as was promised.
    pub(super) fn put(self, values: &[T]) {
        let count = self.count.min(values.len());
        if count > 0 {
            // SAFETY: `count` values may be written: promised to `new`, where the pointer was checked. They are ours,
            // so that they do not overlap.
            unsafe { self.start.copy_from_nonoverlapping(values.as_ptr(), count) }
        }
    }
}

/// 0 or 1.
pub(super) fn flag(value: i32, parameter: &'static str) -> Result<bool> {
    match value {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(Error::argument(
            parameter,
            format!("is {other}, expected 0 or 1"),
        )),
    }
}

/// An error about a number that stands for none of the names it could.
pub(super) fn unknown(parameter: &'static str, value: i32) -> Error {
    Error::argument(parameter, format!("{value} is none of its values"))
}

/// A string for C. A NUL inside, which no bundle and no caller of ours can bring, is shown instead of cutting it off.
pub(super) fn c_string(text: &str) -> CString {
    CString::new(text)
        .unwrap_or_else(|_| CString::new(text.replace('\0', "\u{2400}")).unwrap_or_default())
}
