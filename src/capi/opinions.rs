//! Recommender: what one user never wants to see

use super::boundary::{hand_out, on, on_mut};
use super::checks::{Out, array};
use super::error::{oneiro_error, oneiro_status};
use super::recommender::oneiro_recommender;
use super::text::oneiro_items;
use crate::error::Result;
use crate::recommender::Recommender;

/// Never shows these items to this user again; says nothing about taste. All of them or, on an error, none; again is no
/// error.
///
/// items:   borrowed for the call; `count` numbers.
/// Errors:  ONEIRO_UNKNOWN_ITEM, ONEIRO_INVALID_ARGUMENT.
/// Threads: alone on this recommender.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_recommender_hide(
    recommender: *mut oneiro_recommender,
    items: *const u32,
    count: usize,
    error: *mut *mut oneiro_error,
) -> oneiro_status {
    // SAFETY: the header's promise.
    unsafe { with_items(recommender, items, count, error, Recommender::hide) }
}

/// Takes oneiro_recommender_hide back; items that are not hidden are passed over.
///
/// items:   borrowed for the call; `count` numbers.
/// Errors:  ONEIRO_INVALID_ARGUMENT.
/// Threads: alone on this recommender.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_recommender_unhide(
    recommender: *mut oneiro_recommender,
    items: *const u32,
    count: usize,
    error: *mut *mut oneiro_error,
) -> oneiro_status {
    let unhide = |user: &mut Recommender, items: &[u32]| {
        user.unhide(items);
        Ok(())
    };
    // SAFETY: the header's promise.
    unsafe { with_items(recommender, items, count, error, unhide) }
}

/// The hidden items, rising.
///
/// out:     yours; free with oneiro_items_free.
/// Errors:  ONEIRO_INVALID_ARGUMENT.
/// Threads: alone on this recommender, or beside others that do not change it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_recommender_hidden(
    recommender: *const oneiro_recommender,
    out: *mut *mut oneiro_items,
    error: *mut *mut oneiro_error,
) -> oneiro_status {
    // SAFETY: the header's promise.
    unsafe { items_of(recommender, out, error, Recommender::hidden) }
}

/// Hides these items, leaves them out of the history that encoders see, and lowers what is like them, as
/// `dislike_weight` of oneiro_arrangement says. All of them or, on an error, none; again is no error. A bundle without
/// a space for similar items (and a call that names none) knows no likeness: nothing is lowered.
///
/// items:   borrowed for the call; `count` numbers.
/// Errors:  ONEIRO_UNKNOWN_ITEM, ONEIRO_INVALID_ARGUMENT.
/// Threads: alone on this recommender.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_recommender_dislike(
    recommender: *mut oneiro_recommender,
    items: *const u32,
    count: usize,
    error: *mut *mut oneiro_error,
) -> oneiro_status {
    // SAFETY: the header's promise.
    unsafe { with_items(recommender, items, count, error, Recommender::dislike) }
}

/// Takes oneiro_recommender_dislike back; items that are not disliked are passed over.
///
/// items:   borrowed for the call; `count` numbers.
/// Errors:  ONEIRO_INVALID_ARGUMENT.
/// Threads: alone on this recommender.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_recommender_undislike(
    recommender: *mut oneiro_recommender,
    items: *const u32,
    count: usize,
    error: *mut *mut oneiro_error,
) -> oneiro_status {
    let undislike = |user: &mut Recommender, items: &[u32]| {
        user.undislike(items);
        Ok(())
    };
    // SAFETY: the header's promise.
    unsafe { with_items(recommender, items, count, error, undislike) }
}

/// The disliked items, rising.
///
/// out:     yours; free with oneiro_items_free.
/// Errors:  ONEIRO_INVALID_ARGUMENT.
/// Threads: alone on this recommender, or beside others that do not change it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_recommender_disliked(
    recommender: *const oneiro_recommender,
    out: *mut *mut oneiro_items,
    error: *mut *mut oneiro_error,
) -> oneiro_status {
    // SAFETY: the header's promise.
    unsafe { items_of(recommender, out, error, Recommender::disliked) }
}

/// # Safety
/// The header's promise.
unsafe fn with_items(
    recommender: *mut oneiro_recommender,
    items: *const u32,
    count: usize,
    error: *mut *mut oneiro_error,
    change: impl FnOnce(&mut Recommender, &[u32]) -> Result<()>,
) -> oneiro_status {
    let body = |user: &mut Recommender| {
        // SAFETY: the caller's promise.
        change(user, unsafe { array(items, count, "items") }?)
    };
    // SAFETY: the caller's promise.
    unsafe { on_mut(recommender, error, body) }
}

/// # Safety
/// The header's promise.
unsafe fn items_of(
    recommender: *const oneiro_recommender,
    out: *mut *mut oneiro_items,
    error: *mut *mut oneiro_error,
    list: impl FnOnce(&Recommender) -> &[u32],
) -> oneiro_status {
    let body = |user: &Recommender| {
        // SAFETY: the caller's promise.
        let out = unsafe { Out::new(out, "out") }?;
        out.put(hand_out(list(user).to_vec()));
        Ok(())
    };
    // SAFETY: the caller's promise.
    unsafe { on(recommender, error, body) }
}
