//! Language model: what it has read, and which titles are likely next

use std::ffi::c_char;
use std::ptr::null;

use super::boundary::{Guarded, ask, free, hand_out, handle, on, on_mut};
use super::cancel::{oneiro_cancel, request_of};
use super::catalog::ONEIRO_NO_VALUE;
use super::checks::{Out, OutArray, c_string, optional_text, text, texts, unknown};
use super::engine::oneiro_engine;
use super::error::{oneiro_error, oneiro_status};
use super::filter::deadline_of;
use super::growing::{growing, init, read};
use super::prompt::{oneiro_prompt, prompt_of};
use super::text::{oneiro_text, oneiro_tokens};
#[cfg(not(feature = "llm"))]
use super::without_llm::{Among, LanguageModel, ScoreOptions};
use crate::engine::Engine;
use crate::error::Result;
#[cfg(feature = "llm")]
use crate::language_model::LanguageModel;
#[cfg(feature = "llm")]
use crate::network::llm::{Among, ScoreOptions};

/// A language model of a bundle, with what it has read: it reads only what a prompt does not have in common with the one
/// before. One thread at a time. Yours; free with oneiro_language_model_free.
pub struct oneiro_language_model(Guarded<LanguageModel>);
handle!(oneiro_language_model holds LanguageModel as "model");

/// A language model that has read nothing yet. Any number of them share one network.
///
/// engine:  borrowed for the call; the model keeps what it needs.
/// name:    borrowed for the call; the language model's name in the manifest; NULL for the first.
/// out:     yours; free with oneiro_language_model_free.
/// Errors:  ONEIRO_UNSUPPORTED (no such language model, or a library that was built without them), ONEIRO_INVALID_ARGUMENT.
/// Threads: any number at once on one engine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_language_model_new(
    engine: *const oneiro_engine,
    name: *const c_char,
    out: *mut *mut oneiro_language_model,
    error: *mut *mut oneiro_error,
) -> oneiro_status {
    let body = |engine: &Engine| {
        // SAFETY: the header's promise.
        let (name, out) = unsafe { (optional_text(name, "name")?, Out::new(out, "out")?) };
        out.put(hand_out(engine.language_model(name)?));
        Ok(())
    };
    // SAFETY: the header's promise.
    unsafe { on(engine, error, body) }
}

/// The language model's name in the manifest.
///
/// out:     yours; free with oneiro_text_free.
/// Errors:  ONEIRO_INVALID_ARGUMENT.
/// Threads: alone on this model, or beside others that do not change it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_language_model_name(
    model: *const oneiro_language_model,
    out: *mut *mut oneiro_text,
    error: *mut *mut oneiro_error,
) -> oneiro_status {
    let body = |model: &LanguageModel| {
        // SAFETY: the header's promise.
        let out = unsafe { Out::new(out, "out") }?;
        out.put(hand_out(c_string(model.name())));
        Ok(())
    };
    // SAFETY: the header's promise.
    unsafe { on(model, error, body) }
}

/// How many rows, of tokens or others, a prompt and what follows it may have; 0 for NULL.
///
/// Threads: alone on this model, or beside others that do not change it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_language_model_context(
    model: *const oneiro_language_model,
) -> usize {
    // SAFETY: the header's promise.
    unsafe { ask(model, 0, |model| Some(model.context())) }
}

/// The tokens of a text by itself: without a begin token, without a space in front, and nothing in it is taken for a
/// special token.
///
/// text:    borrowed for the call.
/// out:     yours; free with oneiro_tokens_free.
/// Errors:  ONEIRO_INVALID_ARGUMENT (also a text of more than a mebibyte), ONEIRO_BAD_BUNDLE (a tokenizer that cannot
///          read it in time).
/// Threads: alone on this model, or beside others that do not change it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_language_model_encode(
    model: *const oneiro_language_model,
    text: *const c_char,
    out: *mut *mut oneiro_tokens,
    error: *mut *mut oneiro_error,
) -> oneiro_status {
    let body = |model: &LanguageModel| {
        // SAFETY: the header's promise.
        let (text, out) = unsafe { (self::text(text, "text")?, Out::new(out, "out")?) };
        out.put(hand_out(model.encode(text)?));
        Ok(())
    };
    // SAFETY: the header's promise.
    unsafe { on(model, error, body) }
}

/// A token's probability is that among all of the vocabulary.
pub const ONEIRO_AMONG_VOCABULARY: i32 = 0;
/// A token's probability is that among the tokens that go on with any of the titles. Quicker, and another order: a title
/// loses nothing for what could have been written instead.
pub const ONEIRO_AMONG_TITLES: i32 = 1;

/// How titles are judged. Fill it with oneiro_score_options_init first. Yours; borrowed for the call, with all that it
/// points to.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct oneiro_score_options {
    /// sizeof(oneiro_score_options).
    pub size: usize,
    /// Stops the call when requested; NULL, which nobody requests, by default.
    pub cancel: *const oneiro_cancel,
    /// How long the call may take, in milliseconds from its start; ONEIRO_NO_VALUE, for ever, by default. When it strikes,
    /// the call fails with ONEIRO_DEADLINE_EXCEEDED.
    pub deadline_ms: i64,
    /// ONEIRO_AMONG_…: what the probability of a token is one of; the vocabulary by default.
    pub among: i32,
    /// Must be 0; for a field to come.
    pub reserved: i32,
}

growing!(oneiro_score_options { cancel, deadline_ms, among, reserved } by default Self {
    size: size_of::<Self>(),
    cancel: null(),
    deadline_ms: ONEIRO_NO_VALUE,
    among: ONEIRO_AMONG_VOCABULARY,
    reserved: 0,
});

/// Fills `options` with defaults; `size` is sizeof(oneiro_score_options). NULL is nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_score_options_init(
    options: *mut oneiro_score_options,
    size: usize,
) {
    // SAFETY: the header's promise.
    unsafe { init(options, size) }
}

pub(super) fn among_of(among: i32) -> Result<Among> {
    match among {
        ONEIRO_AMONG_VOCABULARY => Ok(Among::Vocabulary),
        ONEIRO_AMONG_TITLES => Ok(Among::Titles),
        other => Err(unknown("among", other)),
    }
}

/// # Safety
/// The header's promise.
unsafe fn score_options_of(options: *const oneiro_score_options) -> Result<ScoreOptions> {
    // SAFETY: the caller's promise.
    let given = unsafe { read(options, "options") }?;
    if given.reserved != 0 {
        return Err(unknown("reserved", given.reserved));
    }
    Ok(ScoreOptions {
        among: among_of(given.among)?,
        // SAFETY: the caller's promise.
        cancel: unsafe { request_of(given.cancel) },
        deadline: deadline_of(given.deadline_ms)?,
    })
}

/// How likely each title is as the continuation of a prompt: the sum of the log-probabilities of its tokens, each among
/// what the options say, and of the model's end-of-title token, if it has one. Higher is likelier; lengths are not made up for.
/// Line breaks in titles are spaces; equal titles have equal scores. What titles begin with in common is read once.
///
/// prompt:  borrowed for the call.
/// titles:  borrowed for the call; `count` strings.
/// options: borrowed for the call; NULL for defaults.
/// out:     yours; written on success: `count` scores.
/// Errors:  ONEIRO_TOO_LONG before any work if the prompt and the longest title do not fit; ONEIRO_INVALID_ARGUMENT (an empty
///          prompt for a model without a begin token, a token that the model does not have, a row of another width or with a
///          number that is not finite, a title without tokens), ONEIRO_CANCELLED, ONEIRO_DEADLINE_EXCEEDED,
///          ONEIRO_BAD_BUNDLE (logits that are no finite numbers), ONEIRO_RUNTIME.
/// Threads: alone on this model.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_language_model_score(
    model: *mut oneiro_language_model,
    prompt: *const oneiro_prompt,
    titles: *const *const c_char,
    count: usize,
    options: *const oneiro_score_options,
    out: *mut f32,
    error: *mut *mut oneiro_error,
) -> oneiro_status {
    let body = |model: &mut LanguageModel| {
        // SAFETY: the header's promise.
        let (prompt, titles, options, out) = unsafe {
            (
                prompt_of(prompt)?,
                texts(titles, count, "titles")?,
                score_options_of(options)?,
                OutArray::new(out, count, "out")?,
            )
        };
        out.put(&model.score(&prompt, &titles, &options)?);
        Ok(())
    };
    // SAFETY: the header's promise.
    unsafe { on_mut(model, error, body) }
}

/// Reads and writes with an adapter of the bundle from now on, or without one again. If that is a change, what the model has
/// read is forgotten.
///
/// adapter: borrowed for the call; its name in the manifest; NULL for none.
/// Errors:  ONEIRO_UNSUPPORTED (no such adapter), ONEIRO_INVALID_ARGUMENT.
/// Threads: alone on this model.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_language_model_adapt(
    model: *mut oneiro_language_model,
    adapter: *const c_char,
    error: *mut *mut oneiro_error,
) -> oneiro_status {
    let body = |model: &mut LanguageModel| {
        // SAFETY: the header's promise.
        let adapter = unsafe { optional_text(adapter, "adapter") }?;
        model.adapt(adapter)
    };
    // SAFETY: the header's promise.
    unsafe { on_mut(model, error, body) }
}

/// What the keys and values of what the model has read take, in bytes: private memory, kept until
/// oneiro_language_model_forget; 0 for NULL.
///
/// Threads: alone on this model, or beside others that do not change it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_language_model_cached_bytes(
    model: *const oneiro_language_model,
) -> usize {
    // SAFETY: the header's promise.
    unsafe { ask(model, 0, |model| Some(model.cached_bytes())) }
}

/// Forgets what the model has read, and gives its memory back.
///
/// Errors:  ONEIRO_INVALID_ARGUMENT.
/// Threads: alone on this model.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_language_model_forget(
    model: *mut oneiro_language_model,
    error: *mut *mut oneiro_error,
) -> oneiro_status {
    let body = |model: &mut LanguageModel| {
        model.forget();
        Ok(())
    };
    // SAFETY: the header's promise.
    unsafe { on_mut(model, error, body) }
}

/// Frees a language model. NULL is nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_language_model_free(model: *mut oneiro_language_model) {
    // SAFETY: the header's promise.
    unsafe { free(model) }
}

/// The header lets a model move between threads, and several ask it at once.
const _: () = {
    const fn is_shared<T: Send + Sync>() {}
    is_shared::<LanguageModel>();
};
