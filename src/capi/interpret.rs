//! Interpret

use std::ffi::c_void;
use std::mem::take;

use super::boundary::on_mut;
use super::cancel::stoppable;
use super::checks::{Out, unknown};
use super::error::{oneiro_error, oneiro_status};
use super::filter::{call_options_of, oneiro_call_options, oneiro_piece_fn, telling};
use super::ranking::{hand_out_ranking, oneiro_ranking};
use super::recommender::oneiro_recommender;
#[cfg(not(feature = "llm"))]
use super::without_llm::Question;
use crate::error::Result;
#[cfg(feature = "llm")]
use crate::recommender::Question;
use crate::recommender::Recommender;

/// Which items is the history of? Asked of the encoder's state alone.
pub const ONEIRO_QUESTION_RECOVER: i32 = 1;
/// Which item came behind the history? Asked of the states before and after `item`.
pub const ONEIRO_QUESTION_RESIDUAL: i32 = 2;
/// What does the oracle dream of? Asked of the states before and after its ideal item, which stands where the next item's row
/// would.
pub const ONEIRO_QUESTION_DREAM: i32 = 3;
/// The same, asked of the ideal item alone, as of an item's row.
pub const ONEIRO_QUESTION_DREAM_AS_ITEM: i32 = 4;
/// Why does `item` score as it does? Ours, not of the paper: a sentence that names the one or two items of the history without
/// which its score falls the most. The ranking is of the history, by that fall; where nothing raises the score, there is no
/// text.
pub const ONEIRO_QUESTION_EXPLAIN: i32 = 5;

fn question_of(question: i32, item: u32) -> Result<Question> {
    match question {
        ONEIRO_QUESTION_RECOVER => Ok(Question::Recover),
        ONEIRO_QUESTION_RESIDUAL => Ok(Question::Residual(item)),
        ONEIRO_QUESTION_DREAM => Ok(Question::Dream),
        ONEIRO_QUESTION_DREAM_AS_ITEM => Ok(Question::DreamAsItem),
        ONEIRO_QUESTION_EXPLAIN => Ok(Question::Explain(item)),
        other => Err(unknown("question", other)),
    }
}

/// What a recommender knows of a user, in titles of the catalog (RecInterpreter), or why an item scores as it does: a language
/// model answers. The text comes piece by piece, and the ranking has the items.
///
/// question: ONEIRO_QUESTION_….
/// item:    for ONEIRO_QUESTION_RESIDUAL and ONEIRO_QUESTION_EXPLAIN; else any number.
/// count:   1 to 256. RECOVER: the most titles of the list that is the text; the ranking is in its order, with the
///          log-probability of each title behind those before it. RESIDUAL, DREAM, DREAM_AS_ITEM: how many of the likeliest
///          titles the ranking has, with their log-probabilities; the text is the first; items of one title come together.
///          EXPLAIN: how many items of the history the ranking has, with the fall of the score without each; the text is a
///          sentence.
/// options: borrowed for the call; NULL for defaults. `cancel`, `threads`, `deadline_ms`, `interpreter` and, for dreams,
///          those of an oracle count.
/// on_text, user_data: borrowed for the call, on this thread; given the text piece by piece; NULL for none. It must not use
///          the same recommender.
/// out:     yours; free with oneiro_ranking_free.
/// Errors:  ONEIRO_UNSUPPORTED (no such interpreter or explainer, no text for the question, no oracle over the interpreter's
///          encoder),
///          ONEIRO_UNKNOWN_ITEM, ONEIRO_INVALID_ARGUMENT (an unknown `question`, `count` out of range, an item that the
///          encoder has never seen or, for EXPLAIN, does not score, an oracle of several draws), ONEIRO_TOO_LONG, ONEIRO_CANCELLED also by the callback,
///          ONEIRO_DEADLINE_EXCEEDED if no title was found (else oneiro_ranking_stopped_after says that it struck),
///          ONEIRO_RUNTIME.
/// Threads: alone on this recommender.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_recommender_interpret(
    recommender: *mut oneiro_recommender,
    question: i32,
    item: u32,
    count: usize,
    options: *const oneiro_call_options,
    on_text: oneiro_piece_fn,
    user_data: *mut c_void,
    out: *mut *mut oneiro_ranking,
    error: *mut *mut oneiro_error,
) -> oneiro_status {
    let body = |user: &mut Recommender| {
        // SAFETY: the header's promise.
        let (mut options, out) = unsafe { (call_options_of(options)?, Out::new(out, "out")?) };
        let question = question_of(question, item)?;
        let named = stoppable(&take(&mut options.cancel), |own| {
            options.cancel = own.clone();
            // SAFETY: the header's promise.
            let mut tell = unsafe { telling(on_text, user_data, own.clone()) };
            user.interpret_with(question, count, &options, &mut tell)
        })?;
        out.put(hand_out_ranking(&named));
        Ok(())
    };
    // SAFETY: the header's promise.
    unsafe { on_mut(recommender, error, body) }
}
