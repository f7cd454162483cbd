//! Rank and score: items of the caller's own

use super::boundary::on_mut;
use super::checks::{OutArray, array, unknown};
use super::error::{oneiro_error, oneiro_status};
use super::filter::{call_options_of, candidate_scores_of, oneiro_call_options, oneiro_filter};
use super::ranking::oneiro_ranking;
use super::recommender::oneiro_recommender;
use super::retrieve::put_ranking;
use crate::call::Judge;
use crate::error::Result;
use crate::recommender::Recommender;

/// Candidates are judged by their counts in the training data; needs no history.
pub const ONEIRO_JUDGE_POPULARITY: i32 = 1;
/// Candidates are judged by their rows against the state of a sequence encoder.
pub const ONEIRO_JUDGE_ENCODER: i32 = 2;
/// Candidates are judged by their Q by a Q-network, what each is worth in the long run; blended with the options'
/// `candidate_scores`, if there are any.
pub const ONEIRO_JUDGE_Q_NETWORK: i32 = 3;

/// Candidates are judged by the log-probabilities of their titles, by a language model that reads a prompt of the bundle
/// with the history, less what is disliked, and all candidates in their order.
pub const ONEIRO_JUDGE_LANGUAGE_MODEL: i32 = 4;

pub(super) fn judge_of(parameter: &'static str, judge: i32) -> Result<Judge> {
    match judge {
        ONEIRO_JUDGE_POPULARITY => Ok(Judge::Popularity),
        ONEIRO_JUDGE_ENCODER => Ok(Judge::Encoder),
        ONEIRO_JUDGE_Q_NETWORK => Ok(Judge::QNetwork),
        ONEIRO_JUDGE_LANGUAGE_MODEL => Ok(Judge::LanguageModel),
        other => Err(unknown(parameter, other)),
    }
}

/// The `count` best of some candidates by one judge, ONEIRO_JUDGE_…; fewer if the filter leaves fewer or some never
/// rank. No other item comes. Seen items are candidates like any other only if the filter, or the bundle, lets them be.
///
/// candidates: borrowed for the call; `candidate_count` numbers, none twice: of a ranking, or your own.
/// filter:  borrowed for the call; NULL takes the bundle's default for seen items.
/// options: borrowed for the call; NULL for defaults.
/// out:     yours; free with oneiro_ranking_free.
/// Errors:  as oneiro_recommender_recommend; ONEIRO_INVALID_ARGUMENT also for an unknown `judge`, for a candidate that
///          comes twice, for a `weight` below 1 without `candidate_scores` and for options with a `rank`; ONEIRO_TOO_LONG
///          if the prompt is longer than the language model's context.
/// Threads: alone on this recommender.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_recommender_rank(
    recommender: *mut oneiro_recommender,
    judge: i32,
    candidates: *const u32,
    candidate_count: usize,
    count: usize,
    filter: *const oneiro_filter,
    options: *const oneiro_call_options,
    out: *mut *mut oneiro_ranking,
    error: *mut *mut oneiro_error,
) -> oneiro_status {
    let body = |user: &mut Recommender| {
        // SAFETY: the header's promise.
        unsafe {
            let candidates = array(candidates, candidate_count, "candidates")?;
            let scores = candidate_scores_of(options, candidate_count)?;
            put_ranking(filter, options, out, |filter, options| {
                let judge = judge_of("judge", judge)?;
                match scores {
                    None => user.rank_with(judge, candidates, count, filter, options),
                    Some(scores) => {
                        user.rank_with(judge, &(candidates, scores), count, filter, options)
                    }
                }
            })
        }
    };
    // SAFETY: the header's promise.
    unsafe { on_mut(recommender, error, body) }
}

/// The scores of some items by one judge, ONEIRO_JUDGE_…, in their order: NaN for one that never ranks. Neither filters
/// nor an arrangement have a part in it.
///
/// items:   borrowed for the call; `count` numbers.
/// options: borrowed for the call; NULL for defaults.
/// out:     yours; written on success: `count` scores.
/// Errors:  ONEIRO_UNKNOWN_ITEM, ONEIRO_INVALID_ARGUMENT (an unknown `judge`), ONEIRO_UNSUPPORTED (no such network),
///          ONEIRO_TOO_LONG (the prompt is longer than the language model's context), ONEIRO_CANCELLED, ONEIRO_DEADLINE_EXCEEDED, ONEIRO_RUNTIME.
/// Threads: alone on this recommender.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_recommender_score(
    recommender: *mut oneiro_recommender,
    judge: i32,
    items: *const u32,
    count: usize,
    options: *const oneiro_call_options,
    out: *mut f32,
    error: *mut *mut oneiro_error,
) -> oneiro_status {
    let body = |user: &mut Recommender| {
        // SAFETY: the header's promise.
        let (items, options, out) = unsafe {
            (
                array(items, count, "items")?,
                call_options_of(options)?,
                OutArray::new(out, count, "out")?,
            )
        };
        out.put(&user.score(judge_of("judge", judge)?, items, &options)?);
        Ok(())
    };
    // SAFETY: the header's promise.
    unsafe { on_mut(recommender, error, body) }
}
