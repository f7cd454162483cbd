//! Results: text, lists, vectors

use std::ffi::{CString, c_char};
use std::ptr::null;

use super::boundary::{Guarded, ask, free, handle};
use super::checks::c_string;

/// One string. Yours; free with oneiro_text_free.
pub struct oneiro_text(Guarded<CString>);
handle!(oneiro_text holds CString as "text");

/// The string, UTF-8 and NUL-terminated; NULL for NULL.
///
/// Returns: borrowed until `text` is freed.
/// Threads: any number at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_text_utf8(text: *const oneiro_text) -> *const c_char {
    // SAFETY: the header's promise.
    unsafe { ask(text, null(), |text| Some(text.as_ptr())) }
}

/// Frees a text. NULL is nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_text_free(text: *mut oneiro_text) {
    // SAFETY: the header's promise.
    unsafe { free(text) }
}

/// A list of strings. Yours; free with oneiro_texts_free.
pub struct oneiro_texts(Guarded<Vec<CString>>);
handle!(oneiro_texts holds Vec<CString> as "texts");

/// How many strings there are; 0 for NULL.
///
/// Threads: any number at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_texts_len(texts: *const oneiro_texts) -> usize {
    // SAFETY: the header's promise.
    unsafe { ask(texts, 0, |texts| Some(texts.len())) }
}

/// The string at `index`, UTF-8 and NUL-terminated; NULL at the end of the list and beyond.
///
/// Returns: borrowed until `texts` is freed.
/// Threads: any number at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_texts_utf8(
    texts: *const oneiro_texts,
    index: usize,
) -> *const c_char {
    // SAFETY: the header's promise.
    unsafe {
        ask(texts, null(), |texts| {
            texts.get(index).map(|text| text.as_ptr())
        })
    }
}

/// Frees a list of strings. NULL is nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_texts_free(texts: *mut oneiro_texts) {
    // SAFETY: the header's promise.
    unsafe { free(texts) }
}

pub(super) fn c_strings<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<CString> {
    texts.into_iter().map(c_string).collect()
}

/// A list of items. Yours; free with oneiro_items_free.
pub struct oneiro_items(Guarded<Vec<u32>>);
handle!(oneiro_items holds Vec<u32> as "items");

/// How many items there are; 0 for NULL.
///
/// Threads: any number at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_items_len(items: *const oneiro_items) -> usize {
    // SAFETY: the header's promise.
    unsafe { ask(items, 0, |items| Some(items.len())) }
}

/// The items, oneiro_items_len of them; NULL if there are none.
///
/// Returns: borrowed until `items` is freed.
/// Threads: any number at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_items_values(items: *const oneiro_items) -> *const u32 {
    // SAFETY: the header's promise.
    unsafe { ask(items, null(), |items| start(items)) }
}

/// Frees a list of items. NULL is nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_items_free(items: *mut oneiro_items) {
    // SAFETY: the header's promise.
    unsafe { free(items) }
}

/// A list of tokens. Yours; free with oneiro_tokens_free.
pub struct oneiro_tokens(Guarded<Vec<u32>>);
handle!(oneiro_tokens holds Vec<u32> as "tokens");

/// How many tokens there are; 0 for NULL.
///
/// Threads: any number at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_tokens_len(tokens: *const oneiro_tokens) -> usize {
    // SAFETY: the header's promise.
    unsafe { ask(tokens, 0, |tokens| Some(tokens.len())) }
}

/// The tokens, oneiro_tokens_len of them; NULL if there are none.
///
/// Returns: borrowed until `tokens` is freed.
/// Threads: any number at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_tokens_values(tokens: *const oneiro_tokens) -> *const u32 {
    // SAFETY: the header's promise.
    unsafe { ask(tokens, null(), |tokens| start(tokens)) }
}

/// Frees a list of tokens. NULL is nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_tokens_free(tokens: *mut oneiro_tokens) {
    // SAFETY: the header's promise.
    unsafe { free(tokens) }
}

/// A vector that rows are scored against. Yours; free with oneiro_point_free.
pub struct oneiro_point(Guarded<Vec<f32>>);
handle!(oneiro_point holds Vec<f32> as "point");

/// How many numbers it has; 0 for NULL.
///
/// Threads: any number at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_point_width(point: *const oneiro_point) -> usize {
    // SAFETY: the header's promise.
    unsafe { ask(point, 0, |point| Some(point.len())) }
}

/// The numbers, oneiro_point_width of them; NULL for NULL.
///
/// Returns: borrowed until `point` is freed.
/// Threads: any number at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_point_values(point: *const oneiro_point) -> *const f32 {
    // SAFETY: the header's promise.
    unsafe { ask(point, null(), |point| start(point)) }
}

/// Frees a vector. NULL is nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_point_free(point: *mut oneiro_point) {
    // SAFETY: the header's promise.
    unsafe { free(point) }
}

/// Where an array starts; an empty one has no address worth giving away.
pub(super) fn start<T>(values: &[T]) -> Option<*const T> {
    (!values.is_empty()).then_some(values.as_ptr())
}
