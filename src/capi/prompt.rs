//! Prompt: what a language model is to continue

use std::ffi::c_char;
use std::mem::take;

use super::boundary::{Guarded, boundary, free, hand_out, handle, on_mut, with};
use super::checks::{Out, array, room, text};
use super::error::{oneiro_error, oneiro_status};
#[cfg(not(feature = "llm"))]
use super::without_llm::Prompt;
use crate::error::Result;
#[cfg(feature = "llm")]
use crate::network::llm::Prompt;

/// What a language model reads: texts, titles, tokens and rows, in the order they are added. Of no model by itself: what
/// does not fit a model is that model's error. The model's begin token, if it has one, is put in front by itself. Yours;
/// free with oneiro_prompt_free.
pub struct oneiro_prompt(Guarded<Prompt>);
handle!(oneiro_prompt holds Prompt as "prompt");

/// A prompt of nothing yet.
///
/// out:     yours; free with oneiro_prompt_free.
/// Errors:  ONEIRO_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_prompt_new(
    out: *mut *mut oneiro_prompt,
    error: *mut *mut oneiro_error,
) -> oneiro_status {
    let body = || {
        // SAFETY: the header's promise.
        let out = unsafe { Out::new(out, "out") }?;
        out.put(hand_out(Prompt::new()));
        Ok(())
    };
    // SAFETY: the header's promise.
    unsafe { boundary(error, body) }
}

/// Adds a text. It is encoded by itself, and nothing in it is taken for a special token: those are added as tokens.
///
/// text:    borrowed for the call.
/// Errors:  ONEIRO_INVALID_ARGUMENT.
/// Threads: alone on this prompt.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_prompt_add_text(
    prompt: *mut oneiro_prompt,
    text: *const c_char,
    error: *mut *mut oneiro_error,
) -> oneiro_status {
    let body = |prompt: &mut Prompt| {
        // SAFETY: the header's promise.
        let text = unsafe { self::text(text, "text") }?;
        *prompt = take(prompt).text(text);
        Ok(())
    };
    // SAFETY: the header's promise.
    unsafe { on_mut(prompt, error, body) }
}

/// Adds a title: as oneiro_prompt_add_text, but that line breaks in it become spaces.
///
/// title:   borrowed for the call.
/// Errors:  ONEIRO_INVALID_ARGUMENT.
/// Threads: alone on this prompt.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_prompt_add_title(
    prompt: *mut oneiro_prompt,
    title: *const c_char,
    error: *mut *mut oneiro_error,
) -> oneiro_status {
    let body = |prompt: &mut Prompt| {
        // SAFETY: the header's promise.
        let title = unsafe { text(title, "title") }?;
        *prompt = take(prompt).title(title);
        Ok(())
    };
    // SAFETY: the header's promise.
    unsafe { on_mut(prompt, error, body) }
}

/// Adds a token, by its number in the model's tokenizer.
///
/// Errors:  ONEIRO_INVALID_ARGUMENT.
/// Threads: alone on this prompt.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_prompt_add_token(
    prompt: *mut oneiro_prompt,
    token: u32,
    error: *mut *mut oneiro_error,
) -> oneiro_status {
    let body = |prompt: &mut Prompt| {
        *prompt = take(prompt).token(token);
        Ok(())
    };
    // SAFETY: the header's promise.
    unsafe { on_mut(prompt, error, body) }
}

/// Adds a row in the place of a token's, such as an item's, projected to the width of the model.
///
/// row:     borrowed for the call; `width` numbers, which are copied.
/// Errors:  ONEIRO_INVALID_ARGUMENT.
/// Threads: alone on this prompt.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_prompt_add_row(
    prompt: *mut oneiro_prompt,
    row: *const f32,
    width: usize,
    error: *mut *mut oneiro_error,
) -> oneiro_status {
    let body = |prompt: &mut Prompt| {
        // SAFETY: the header's promise.
        let row = unsafe { array(row, width, "row") }?;
        let mut copy = room(width, "row")?;
        copy.extend_from_slice(row);
        *prompt = take(prompt).row(copy);
        Ok(())
    };
    // SAFETY: the header's promise.
    unsafe { on_mut(prompt, error, body) }
}

/// Says that what a prompt has so far is the same for all users, such as the beginning of a template: it is read once for an
/// engine, and kept for whoever comes next.
///
/// Errors:  ONEIRO_INVALID_ARGUMENT.
/// Threads: alone on this prompt.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_prompt_share(
    prompt: *mut oneiro_prompt,
    error: *mut *mut oneiro_error,
) -> oneiro_status {
    let body = |prompt: &mut Prompt| {
        *prompt = take(prompt).shared();
        Ok(())
    };
    // SAFETY: the header's promise.
    unsafe { on_mut(prompt, error, body) }
}

/// Takes everything out of a prompt.
///
/// Errors:  ONEIRO_INVALID_ARGUMENT.
/// Threads: alone on this prompt.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_prompt_clear(
    prompt: *mut oneiro_prompt,
    error: *mut *mut oneiro_error,
) -> oneiro_status {
    let body = |prompt: &mut Prompt| {
        *prompt = Prompt::new();
        Ok(())
    };
    // SAFETY: the header's promise.
    unsafe { on_mut(prompt, error, body) }
}

/// Frees a prompt. NULL is nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_prompt_free(prompt: *mut oneiro_prompt) {
    // SAFETY: the header's promise.
    unsafe { free(prompt) }
}

/// The prompt behind a pointer, as the call found it.
///
/// # Safety
/// The header's promise.
pub(super) unsafe fn prompt_of(prompt: *const oneiro_prompt) -> Result<Prompt> {
    // SAFETY: the caller's promise.
    unsafe { with(prompt, |prompt| Ok(prompt.clone())) }
}
