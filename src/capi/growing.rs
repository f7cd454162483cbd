//! Structs that grow: the caller's may be older and shorter than ours, or newer and longer.
//!
//! The first field is `size`, which says which version of the struct the caller was compiled with. Missing fields are
//! defaults; fields that this version does not know must be zero, for a wish that cannot be granted is an error.

use std::mem::MaybeUninit;

use super::checks::room;
use crate::error::{Error, Result};

/// No version of a struct will be longer: a larger `size` is memory that nobody has initialised.
const LONGEST_BYTES: usize = 4096;

/// A struct whose first field is `size_t size`, made of numbers and pointers only, without padding at its end.
///
/// # Safety
/// `#[repr(C)]`; every pattern of bits is a value; the first field is `size: usize`.
pub(super) unsafe trait Growing: Copy {
    /// Its name in the header.
    const NAME: &'static str;
    /// Where its fields after `size` start: an older version ends where a field of a newer one starts.
    const FIELDS: &'static [usize];
    /// What NULL and missing fields stand for.
    fn defaults() -> Self;
}

macro_rules! growing {
    ($name:ident { $($field:ident),+ } by default $defaults:expr) => {
        // SAFETY: `repr(C)`, `size` first, numbers and pointers after it.
        unsafe impl $crate::capi::growing::Growing for $name {
            const NAME: &'static str = stringify!($name);
            const FIELDS: &'static [usize] = &[$(std::mem::offset_of!($name, $field)),+];

            fn defaults() -> Self {
                $defaults
            }
        }
    };
}
pub(super) use growing;

/// Fills the caller's struct of `size` bytes with defaults.
///
/// # Safety
/// `target` is null or `size` bytes from it may be written.
pub(super) unsafe fn init<T: Growing>(target: *mut T, size: usize) {
    if target.is_null() || size < size_of::<usize>() {
        return;
    }
    let defaults = T::defaults();
    let known = size.min(size_of::<T>());
    let target = target.cast::<u8>();
    // SAFETY: `size` bytes may be written; `known` is at most that, and at most the size of `defaults`.
    unsafe {
        target.write_bytes(0, size);
        target.copy_from_nonoverlapping((&raw const defaults).cast::<u8>(), known);
        target.cast::<usize>().write_unaligned(size);
    }
}

/// The caller's struct as ours, or the defaults for NULL.
///
/// # Safety
/// `source` is null or points to a struct that says its size.
pub(super) unsafe fn read<T: Growing>(source: *const T, parameter: &'static str) -> Result<T> {
    if source.is_null() {
        return Ok(T::defaults());
    }
    // SAFETY: the caller's promise: at least `size` can be read.
    let size = unsafe { source.cast::<usize>().read_unaligned() };
    check_size::<T>(size, parameter)?;
    // SAFETY: the caller's promise: the struct is as long as it says.
    unsafe { widen(source.cast::<u8>(), size, parameter) }
}

/// An array of the caller's structs, each as long as the first says.
///
/// # Safety
/// `source` is null or points to `count` structs that say their size.
pub(super) unsafe fn read_array<T: Growing>(
    source: *const T,
    count: usize,
    parameter: &'static str,
) -> Result<Vec<T>> {
    if count == 0 {
        return Ok(Vec::new());
    }
    if source.is_null() {
        return Err(Error::argument(
            parameter,
            format!("is NULL, with a count of {count}"),
        ));
    }
    // SAFETY: the caller's promise: there is a first struct.
    let size = unsafe { source.cast::<usize>().read_unaligned() };
    check_size::<T>(size, parameter)?;
    if count > isize::MAX as usize / size.max(size_of::<T>()) {
        return Err(Error::argument(
            parameter,
            format!("a count of {count} is more than memory holds"),
        ));
    }
    let mut values = room(count, parameter)?;
    for position in 0..count {
        // SAFETY: the caller's promise: `count` structs of `size` bytes, one after the other.
        let entry = unsafe { source.cast::<u8>().add(position * size) };
        // SAFETY: as above: each says its size first.
        let own = unsafe { entry.cast::<usize>().read_unaligned() };
        if own != size {
            let reason = format!("entry {position} has size {own}, the first has {size}");
            return Err(Error::argument(parameter, reason));
        }
        // SAFETY: as above.
        values.push(unsafe { widen(entry, size, parameter) }?);
    }
    Ok(values)
}

fn check_size<T: Growing>(size: usize, parameter: &'static str) -> Result<()> {
    let whole = (size_of::<T>()..=LONGEST_BYTES).contains(&size);
    if whole || T::FIELDS.contains(&size) {
        return Ok(());
    }
    let reason = format!(
        "no version of {} has size {size}: was it initialised?",
        T::NAME
    );
    Err(Error::argument(parameter, reason))
}

/// # Safety
/// `size` bytes can be read from `source`.
unsafe fn widen<T: Growing>(source: *const u8, size: usize, parameter: &'static str) -> Result<T> {
    let known = size.min(size_of::<T>());
    let mut value = MaybeUninit::new(T::defaults());
    // SAFETY: `known` bytes can be read and fit; what the caller left out keeps its default, and any bits are a value.
    let value = unsafe {
        value
            .as_mut_ptr()
            .cast::<u8>()
            .copy_from_nonoverlapping(source, known);
        value.assume_init()
    };
    // SAFETY: `size` bytes can be read, and `known` is at most that.
    let unknown = unsafe { std::slice::from_raw_parts(source.add(known), size - known) };
    if unknown.iter().any(|&byte| byte != 0) {
        let reason = format!(
            "uses a field of {} that this version does not know",
            T::NAME
        );
        return Err(Error::argument(parameter, reason));
    }
    Ok(value)
}

#[cfg(test)]
mod tests;
