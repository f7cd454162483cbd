//! Generate: a text as it is written

use std::ffi::{CString, c_char, c_void};
use std::mem::take;
use std::ptr::null;

use super::boundary::{Guarded, ask, free, hand_out, handle, on_mut};
use super::cancel::{oneiro_cancel, request_of, stoppable};
use super::catalog::ONEIRO_NO_VALUE;
use super::checks::{Out, c_string, texts};
use super::error::{oneiro_error, oneiro_status};
use super::filter::{deadline_of, oneiro_piece_fn, telling};
use super::growing::{growing, init, read};
use super::language_model::oneiro_language_model;
use super::prompt::{oneiro_prompt, prompt_of};
use super::text::start;
#[cfg(not(feature = "llm"))]
use super::without_llm::{Ended, GenerateOptions, Generated, LanguageModel};
use crate::error::Result;
#[cfg(feature = "llm")]
use crate::language_model::LanguageModel;
#[cfg(feature = "llm")]
use crate::network::llm::{Ended, GenerateOptions, Generated};

/// How a language model writes. Fill it with oneiro_generate_options_init first. Yours; borrowed for the call, with all that
/// it points to.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct oneiro_generate_options {
    /// sizeof(oneiro_generate_options).
    pub size: usize,
    /// Stops the call when requested; NULL, which nobody requests, by default.
    pub cancel: *const oneiro_cancel,
    /// Texts that end what is written and are not part of it: `stop_count` strings.
    pub stop: *const *const c_char,
    /// How many stop texts there are; 0 by default.
    pub stop_count: usize,
    /// How many tokens at most; 256 by default, at least 1.
    pub tokens: usize,
    /// Draws only among so many of the likeliest tokens; 0, for all of them, by default.
    pub top_k: usize,
    /// How long the call may take, in milliseconds from its start; ONEIRO_NO_VALUE, for ever, by default. If there are
    /// tokens when it strikes, they are the answer; otherwise the call fails with ONEIRO_DEADLINE_EXCEEDED.
    pub deadline_ms: i64,
    /// What is drawn is made from it; 0 by default. The same seed draws the same of the same logits.
    pub seed: u64,
    /// What logits are divided by before a token is drawn: the lower, the likelier the likely ones. 0, the default, always
    /// takes the likeliest token; of equal ones, the lower.
    pub temperature: f32,
    /// Draws only among the fewest likeliest tokens whose chances add up to so much: above 0, up to 1, the default.
    pub top_p: f32,
}

growing!(oneiro_generate_options {
    cancel, stop, stop_count, tokens, top_k, deadline_ms, seed, temperature, top_p
} by default Self {
    size: size_of::<Self>(),
    cancel: null(),
    stop: null(),
    stop_count: 0,
    tokens: 256,
    top_k: 0,
    deadline_ms: ONEIRO_NO_VALUE,
    seed: 0,
    temperature: 0.0,
    top_p: 1.0,
});

/// Fills `options` with defaults; `size` is sizeof(oneiro_generate_options). NULL is nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_generate_options_init(
    options: *mut oneiro_generate_options,
    size: usize,
) {
    // SAFETY: the header's promise.
    unsafe { init(options, size) }
}

/// # Safety
/// The header's promise.
unsafe fn generate_options_of(options: *const oneiro_generate_options) -> Result<GenerateOptions> {
    // SAFETY: the caller's promise.
    let given = unsafe { read(options, "options") }?;
    // SAFETY: the caller's promise.
    let stop = unsafe { texts(given.stop, given.stop_count, "stop") }?;
    Ok(GenerateOptions {
        tokens: given.tokens,
        temperature: given.temperature,
        top_k: (given.top_k > 0).then_some(given.top_k),
        top_p: given.top_p,
        seed: given.seed,
        stop: stop.into_iter().map(Into::into).collect(),
        // SAFETY: the caller's promise.
        cancel: unsafe { request_of(given.cancel) },
        deadline: deadline_of(given.deadline_ms)?,
    })
}

/// One of the model's own stop tokens ended the text.
pub const ONEIRO_ENDED_TOKEN: i32 = 1;
/// One of the call's stop texts ended it.
pub const ONEIRO_ENDED_TEXT: i32 = 2;
/// The text has as many tokens as the call asked for.
pub const ONEIRO_ENDED_COUNT: i32 = 3;
/// The model's context is full.
pub const ONEIRO_ENDED_CONTEXT: i32 = 4;
/// The call's deadline struck.
pub const ONEIRO_ENDED_DEADLINE: i32 = 5;

/// What a language model has written. Yours; free with oneiro_generated_free.
pub struct oneiro_generated(Guarded<Written>);
handle!(oneiro_generated holds Written as "generated");

/// A text, laid out as C reads it.
pub struct Written {
    text: CString,
    tokens: Vec<u32>,
    ended: i32,
}

impl From<Generated> for Written {
    fn from(generated: Generated) -> Self {
        Self {
            text: c_string(&generated.text),
            tokens: generated.tokens,
            ended: match generated.ended {
                Ended::Token => ONEIRO_ENDED_TOKEN,
                Ended::Text => ONEIRO_ENDED_TEXT,
                Ended::Count => ONEIRO_ENDED_COUNT,
                Ended::Context => ONEIRO_ENDED_CONTEXT,
                Ended::Deadline => ONEIRO_ENDED_DEADLINE,
            },
        }
    }
}

/// Continues a prompt.
///
/// prompt:  borrowed for the call.
/// options: borrowed for the call; NULL for defaults.
/// on_text, user_data: borrowed for the call, on this thread; given the text piece by piece; NULL for none.
/// out:     yours; free with oneiro_generated_free. NULL if the pieces are enough.
/// Errors:  as oneiro_language_model_score; ONEIRO_TOO_LONG if the prompt does not fit, ONEIRO_INVALID_ARGUMENT also for a
///          number of the options out of range and for an empty stop text, ONEIRO_CANCELLED also by the callback,
///          ONEIRO_DEADLINE_EXCEEDED only before the first token.
/// Threads: alone on this model.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_language_model_generate(
    model: *mut oneiro_language_model,
    prompt: *const oneiro_prompt,
    options: *const oneiro_generate_options,
    on_text: oneiro_piece_fn,
    user_data: *mut c_void,
    out: *mut *mut oneiro_generated,
    error: *mut *mut oneiro_error,
) -> oneiro_status {
    let body = |model: &mut LanguageModel| {
        // SAFETY: the header's promise.
        let (prompt, mut options) = unsafe { (prompt_of(prompt)?, generate_options_of(options)?) };
        let written = stoppable(&take(&mut options.cancel), |own| {
            options.cancel = own.clone();
            // SAFETY: the header's promise.
            let mut tell = unsafe { telling(on_text, user_data, own.clone()) };
            model.generate(&prompt, &options, &mut tell)
        })?;
        if !out.is_null() {
            // SAFETY: the header's promise.
            unsafe { Out::new(out, "out") }?.put(hand_out(written.into()));
        }
        Ok(())
    };
    // SAFETY: the header's promise.
    unsafe { on_mut(model, error, body) }
}

/// The text, all pieces one after the other, UTF-8 and NUL-terminated; a NUL that the model wrote is U+2400 here. NULL for
/// NULL.
///
/// Returns: borrowed until `generated` is freed.
/// Threads: any number at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_generated_utf8(
    generated: *const oneiro_generated,
) -> *const c_char {
    // SAFETY: the header's promise.
    unsafe { ask(generated, null(), |written| Some(written.text.as_ptr())) }
}

/// How many tokens were written, without one that ended the text; 0 for NULL.
///
/// Threads: any number at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_generated_len(generated: *const oneiro_generated) -> usize {
    // SAFETY: the header's promise.
    unsafe { ask(generated, 0, |written| Some(written.tokens.len())) }
}

/// The tokens, oneiro_generated_len of them; NULL if there are none.
///
/// Returns: borrowed until `generated` is freed.
/// Threads: any number at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_generated_tokens(generated: *const oneiro_generated) -> *const u32 {
    // SAFETY: the header's promise.
    unsafe { ask(generated, null(), |written| start(&written.tokens)) }
}

/// Why the text ended, ONEIRO_ENDED_…; 0 for NULL. Versions to come may add reasons.
///
/// Threads: any number at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_generated_ended(generated: *const oneiro_generated) -> i32 {
    // SAFETY: the header's promise.
    unsafe { ask(generated, 0, |written| Some(written.ended)) }
}

/// Frees what was written. NULL is nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_generated_free(generated: *mut oneiro_generated) {
    // SAFETY: the header's promise.
    unsafe { free(generated) }
}
