//! Ranking

use std::ffi::{CString, c_char};
use std::ptr::null;

use super::boundary::{Guarded, ask, free, hand_out, handle};
use super::checks::c_string;
use super::text::start;
use crate::ranking::{Origin, Ranking};

/// Put there by its count in the training data.
pub const ONEIRO_ORIGIN_POPULARITY: i32 = 1;
/// Put there by its row's score against the state of an encoder.
pub const ONEIRO_ORIGIN_ENCODER: i32 = 2;
/// Put there by its row's score against the row of another item.
pub const ONEIRO_ORIGIN_SIMILAR: i32 = 3;
/// Put there by a pin; its score is that of the ranking's way, NaN if it has none.
pub const ONEIRO_ORIGIN_PINNED: i32 = 4;
/// Put there by its row's score against the ideal item of an oracle; of several, by 1 / its place when each
/// in turn names its best.
pub const ONEIRO_ORIGIN_ORACLE: i32 = 5;
/// Put there by its Q by a Q-network, or by that blended with the score it came with.
pub const ONEIRO_ORIGIN_Q_NETWORK: i32 = 6;
/// Put there by the log-probability of its title, by a language model that was asked about the candidates.
pub const ONEIRO_ORIGIN_LANGUAGE_MODEL: i32 = 7;
/// Put there by how near its title is to what a language model wrote; the score is minus the distance, or that weighed.
pub const ONEIRO_ORIGIN_GENERATE: i32 = 8;
/// The log-probability of its title by a language model that names what a recommender knows.
pub const ONEIRO_ORIGIN_INTERPRETATION: i32 = 9;
/// How far the score of the item that is explained falls without this item of the history.
pub const ONEIRO_ORIGIN_ATTRIBUTION: i32 = 10;

/// Items with scores and origins, best first or as an oneiro_arrangement has them. Scores of one ranking can be compared
/// with each other, but for a history that ONEIRO_QUESTION_RECOVER names: its titles are in the order of the list, each with
/// what it scores behind those before it. Yours; free with oneiro_ranking_free.
pub struct oneiro_ranking(Guarded<Columns>);
handle!(oneiro_ranking holds Columns as "ranking");

/// A ranking, laid out as C reads it.
pub struct Columns {
    items: Vec<u32>,
    scores: Vec<f32>,
    origins: Vec<i32>,
    stages: Vec<Stage>,
    stopped: bool,
}

struct Stage {
    name: CString,
    items: usize,
    ms: f64,
}

pub(super) fn hand_out_ranking(ranking: &Ranking) -> *mut oneiro_ranking {
    let stages = ranking.stages().iter().map(|stage| Stage {
        name: c_string(&stage.name),
        items: stage.items,
        ms: stage.time.as_secs_f64() * 1e3,
    });
    hand_out(Columns {
        items: ranking.items().into(),
        scores: ranking.scores().into(),
        origins: ranking.origins().iter().copied().map(origin_of).collect(),
        stages: stages.collect(),
        stopped: ranking.stopped_after().is_some(),
    })
}

fn origin_of(origin: Origin) -> i32 {
    match origin {
        Origin::Popularity => ONEIRO_ORIGIN_POPULARITY,
        Origin::Encoder => ONEIRO_ORIGIN_ENCODER,
        Origin::Similar => ONEIRO_ORIGIN_SIMILAR,
        Origin::Pinned => ONEIRO_ORIGIN_PINNED,
        Origin::Oracle => ONEIRO_ORIGIN_ORACLE,
        Origin::QNetwork => ONEIRO_ORIGIN_Q_NETWORK,
        Origin::LanguageModel => ONEIRO_ORIGIN_LANGUAGE_MODEL,
        Origin::Generate => ONEIRO_ORIGIN_GENERATE,
        Origin::Interpretation => ONEIRO_ORIGIN_INTERPRETATION,
        Origin::Attribution => ONEIRO_ORIGIN_ATTRIBUTION,
    }
}

/// How many items there are; 0 for NULL.
///
/// Threads: any number at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_ranking_len(ranking: *const oneiro_ranking) -> usize {
    // SAFETY: the header's promise.
    unsafe { ask(ranking, 0, |ranking| Some(ranking.items.len())) }
}

/// The items, best first, oneiro_ranking_len of them; NULL if there are none.
///
/// Returns: borrowed until `ranking` is freed.
/// Threads: any number at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_ranking_items(ranking: *const oneiro_ranking) -> *const u32 {
    // SAFETY: the header's promise.
    unsafe { ask(ranking, null(), |ranking| start(&ranking.items)) }
}

/// Their scores, oneiro_ranking_len of them; NULL if there are none. Never rising and never NaN, unless an
/// oneiro_arrangement asked for another order or for pins.
///
/// Returns: borrowed until `ranking` is freed.
/// Threads: any number at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_ranking_scores(ranking: *const oneiro_ranking) -> *const f32 {
    // SAFETY: the header's promise.
    unsafe { ask(ranking, null(), |ranking| start(&ranking.scores)) }
}

/// What put each of them there, ONEIRO_ORIGIN_…, oneiro_ranking_len of them; NULL if there are none. Versions to come
/// may add origins.
///
/// Returns: borrowed until `ranking` is freed.
/// Threads: any number at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_ranking_origins(ranking: *const oneiro_ranking) -> *const i32 {
    // SAFETY: the header's promise.
    unsafe { ask(ranking, null(), |ranking| start(&ranking.origins)) }
}

/// How many steps the work had; 0 for NULL.
///
/// Threads: any number at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_ranking_stage_count(ranking: *const oneiro_ranking) -> usize {
    // SAFETY: the header's promise.
    unsafe { ask(ranking, 0, |ranking| Some(ranking.stages.len())) }
}

/// What the step at `index` did, for example `encode sasrec`; NULL at the end of the list and beyond.
///
/// Returns: borrowed until `ranking` is freed.
/// Threads: any number at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_ranking_stage_name(
    ranking: *const oneiro_ranking,
    index: usize,
) -> *const c_char {
    // SAFETY: the header's promise.
    unsafe {
        ask(ranking, null(), |ranking| {
            ranking.stages.get(index).map(|stage| stage.name.as_ptr())
        })
    }
}

/// How many items were left after the step at `index`.
///
/// Threads: any number at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_ranking_stage_items(
    ranking: *const oneiro_ranking,
    index: usize,
) -> usize {
    // SAFETY: the header's promise.
    unsafe {
        ask(ranking, 0, |ranking| {
            ranking.stages.get(index).map(|stage| stage.items)
        })
    }
}

/// How long the step at `index` took, in milliseconds.
///
/// Threads: any number at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_ranking_stage_ms(
    ranking: *const oneiro_ranking,
    index: usize,
) -> f64 {
    // SAFETY: the header's promise.
    unsafe {
        ask(ranking, 0.0, |ranking| {
            ranking.stages.get(index).map(|stage| stage.ms)
        })
    }
}

/// The name of the last step that was done when the call's deadline struck; NULL if it did not. Filters, boosts, pins
/// and caps hold then too, but the list may be short, and scores may have decided where likeness was to.
///
/// Returns: borrowed until `ranking` is freed.
/// Threads: any number at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_ranking_stopped_after(
    ranking: *const oneiro_ranking,
) -> *const c_char {
    // SAFETY: the header's promise.
    unsafe {
        ask(ranking, null(), |ranking| {
            let last = ranking.stages.last().filter(|_| ranking.stopped);
            last.map(|stage| stage.name.as_ptr())
        })
    }
}

/// Frees a ranking. NULL is nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_ranking_free(ranking: *mut oneiro_ranking) {
    // SAFETY: the header's promise.
    unsafe { free(ranking) }
}
