//! Filter and call options

use std::ffi::{c_char, c_void};
use std::ptr::{null, null_mut};
use std::time::Duration;

use super::arrangement::{arrangement_of, oneiro_arrangement};
use super::cancel::{oneiro_cancel, request_of};
use super::catalog::ONEIRO_NO_VALUE;
use super::checks::{array, flag, optional_text, text, texts, unknown};
use super::generator::{ONEIRO_GROUNDING_BEST, generator_options_of};
use super::growing::{growing, init, read, read_array};
use super::judge::judge_of;
use super::language_model::{ONEIRO_AMONG_VOCABULARY, among_of};
use super::oracle::{ONEIRO_SAMPLER_AUTO, oracle_options_of};
use crate::bundle::Seen;
#[cfg(feature = "llm")]
use crate::call::PromptOptions;
use crate::call::{CallOptions, Rank};
use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::filter::Filter;
use crate::retrieve::QNetworkOptions;

/// Only items with at least one of the condition's tags; none at all if it has no tags.
pub const ONEIRO_WITH_ANY_TAG: i32 = 1;
/// No item with one of the condition's tags.
pub const ONEIRO_WITHOUT_TAGS: i32 = 2;
/// Only items whose integer lies between the condition's least and greatest, both included.
pub const ONEIRO_BETWEEN: i32 = 3;

/// What must be true of an item's attribute. Fill it with oneiro_condition_init first, then set `kind`. Yours;
/// borrowed for the call, with all that it points to.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct oneiro_condition {
    /// sizeof(oneiro_condition).
    pub size: usize,
    /// The attribute's name in the manifest.
    pub attribute: *const c_char,
    /// For the kinds with tags: `tag_count` names.
    pub tags: *const *const c_char,
    /// How many tags there are; 0 by default.
    pub tag_count: usize,
    /// For ONEIRO_BETWEEN: the smallest value; INT64_MIN by default.
    pub least: i64,
    /// For ONEIRO_BETWEEN: the largest value; INT64_MAX by default.
    pub greatest: i64,
    /// ONEIRO_WITH_ANY_TAG, ONEIRO_WITHOUT_TAGS or ONEIRO_BETWEEN; 0, which is none of them, by default.
    pub kind: i32,
    /// Must be 0; for a field to come.
    pub reserved: i32,
}

growing!(oneiro_condition { attribute, tags, tag_count, least, greatest, kind, reserved } by default Self {
    size: size_of::<Self>(),
    attribute: null(),
    tags: null(),
    tag_count: 0,
    least: i64::MIN,
    greatest: i64::MAX,
    kind: 0,
    reserved: 0,
});

/// Fills `condition` with defaults; `size` is sizeof(oneiro_condition). NULL is nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_condition_init(condition: *mut oneiro_condition, size: usize) {
    // SAFETY: the header's promise.
    unsafe { init(condition, size) }
}

/// Whether items of the history may come again is the bundle's choice.
pub const ONEIRO_SEEN_BUNDLE: i32 = 0;
/// Items of the history do not come again.
pub const ONEIRO_SEEN_EXCLUDE: i32 = 1;
/// Items of the history may come again.
pub const ONEIRO_SEEN_ALLOW: i32 = 2;

/// Which items may rank: those that meet everything said here. Fill it with oneiro_filter_init first. Yours; borrowed
/// for the call, with all that it points to.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct oneiro_filter {
    /// sizeof(oneiro_filter).
    pub size: usize,
    /// ONEIRO_SEEN_…; the bundle's choice by default.
    pub seen: i32,
    /// 1: only items in `allowed` may rank, none if it is empty; 0 by default.
    pub only_allowed: i32,
    /// Items that may not rank.
    pub excluded: *const u32,
    /// How many items are excluded; 0 by default.
    pub excluded_count: usize,
    /// With `only_allowed`: the items that may rank.
    pub allowed: *const u32,
    /// How many items are allowed; 0 by default, and without `only_allowed`.
    pub allowed_count: usize,
    /// What must be true of attributes, all of it, one condition after the other.
    pub conditions: *const oneiro_condition,
    /// How many conditions there are; 0 by default.
    pub condition_count: usize,
}

growing!(oneiro_filter {
    seen, only_allowed, excluded, excluded_count, allowed, allowed_count, conditions, condition_count
} by default Self {
    size: size_of::<Self>(),
    seen: ONEIRO_SEEN_BUNDLE,
    only_allowed: 0,
    excluded: null(),
    excluded_count: 0,
    allowed: null(),
    allowed_count: 0,
    conditions: null(),
    condition_count: 0,
});

/// Fills `filter` with defaults, which let every item rank that the bundle lets rank; `size` is sizeof(oneiro_filter).
/// NULL is nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_filter_init(filter: *mut oneiro_filter, size: usize) {
    // SAFETY: the header's promise.
    unsafe { init(filter, size) }
}

/// # Safety
/// The header's promise.
pub(super) unsafe fn filter_of(filter: *const oneiro_filter) -> Result<Filter> {
    // SAFETY: the caller's promise.
    let given = unsafe { read(filter, "filter") }?;
    // SAFETY: the caller's promise.
    let excluded = unsafe { array(given.excluded, given.excluded_count, "excluded") }?;
    // SAFETY: the caller's promise.
    let allowed = unsafe { array(given.allowed, given.allowed_count, "allowed") }?;
    let mut filter = Filter::new().exclude(excluded.iter().copied());
    filter = match given.seen {
        ONEIRO_SEEN_BUNDLE => filter,
        ONEIRO_SEEN_EXCLUDE => filter.seen(Seen::Exclude),
        ONEIRO_SEEN_ALLOW => filter.seen(Seen::Allow),
        other => return Err(unknown("seen", other)),
    };
    if flag(given.only_allowed, "only_allowed")? {
        filter = filter.allow(allowed.iter().copied());
    } else if !allowed.is_empty() {
        return Err(Error::argument(
            "allowed",
            "has items, and only_allowed is 0",
        ));
    }
    // SAFETY: the caller's promise.
    for condition in unsafe { read_array(given.conditions, given.condition_count, "conditions") }? {
        // SAFETY: the caller's promise.
        filter = unsafe { with_condition(filter, &condition) }?;
    }
    Ok(filter)
}

/// # Safety
/// The header's promise.
unsafe fn with_condition(filter: Filter, condition: &oneiro_condition) -> Result<Filter> {
    // SAFETY: the caller's promise.
    let attribute = unsafe { text(condition.attribute, "attribute") }?;
    // SAFETY: the caller's promise.
    let tags = unsafe { texts(condition.tags, condition.tag_count, "tags") }?;
    if condition.reserved != 0 {
        return Err(unknown("reserved", condition.reserved));
    }
    match condition.kind {
        ONEIRO_WITH_ANY_TAG => Ok(filter.with_any_tag(attribute, tags)),
        ONEIRO_WITHOUT_TAGS => Ok(tags
            .into_iter()
            .fold(filter, |filter, tag| filter.without_tag(attribute, tag))),
        ONEIRO_BETWEEN if !tags.is_empty() => {
            Err(Error::argument("tags", "are for the kinds with tags"))
        }
        ONEIRO_BETWEEN => Ok(filter.between(attribute, condition.least..=condition.greatest)),
        other => Err(unknown("kind", other)),
    }
}

/// Takes a piece of a text as it is written: `length` bytes of UTF-8, whole characters only, at least one, NOT
/// NUL-terminated; borrowed for the call. 0 to go on; anything else stops the call, which then returns ONEIRO_CANCELLED.
/// Must not unwind, longjmp or use the object that the call is about.
pub type oneiro_piece_fn = Option<
    unsafe extern "C" fn(user_data: *mut c_void, piece: *const c_char, length: usize) -> i32,
>;

/// What a single call may be told beside its arguments. Fill it with oneiro_call_options_init first. Yours; borrowed
/// for the call, with all that it points to.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct oneiro_call_options {
    /// sizeof(oneiro_call_options).
    pub size: usize,
    /// Stops the call when requested; NULL, which nobody requests, by default.
    pub cancel: *const oneiro_cancel,
    /// The encoder's name in the manifest; NULL, for the recipe's, by default.
    pub encoder: *const c_char,
    /// Threads that share the scan over the catalog, and the runs of the encoder for a batch as far as its graph has
    /// `replicas`; 1 by default, at least 1, at most 1024. The result does not depend on it.
    pub threads: usize,
    /// Looks only at the rows of so many lists of the bundle's index, which is quicker and misses some items; 0, for an
    /// exact scan, by default.
    pub probes: usize,
    /// How the best candidates become the list; NULL, for the best first, by default. Functions that make no ranking do
    /// not look at it.
    pub arrangement: *const oneiro_arrangement,
    /// How long the call may take, in milliseconds from its start; ONEIRO_NO_VALUE, for ever, by default. It stops a
    /// running network and a scan too. A call that has candidates then makes the list that it can make of them at once
    /// (see oneiro_ranking_stopped_after); any other fails with ONEIRO_DEADLINE_EXCEEDED. A batch has candidates once
    /// each of its users does.
    pub deadline_ms: i64,
    /// The oracle's name in the manifest; NULL, for the recipe's, by default. This and what follows, up to `seed`, is for ways
    /// that use an oracle.
    pub oracle: *const c_char,
    /// Goes in so many steps through the oracle's chain, without noise on the way: quicker, and only near to the whole
    /// chain; 0, for all of them, by default. Not with ONEIRO_SAMPLER_COLLAPSED.
    pub steps: usize,
    /// How many ideal items are drawn; 1 by default, at least 1, at most 64; 1 with ONEIRO_SAMPLER_MEAN. Of several, each
    /// in turn names its best item that is not named yet, and an item's score is 1 / its place.
    pub draws: usize,
    /// How much more the history counts than it does by itself, 0 or more; -1, for the bundle's choice, by default.
    pub guidance: f32,
    /// ONEIRO_SAMPLER_…; ONEIRO_SAMPLER_AUTO by default.
    pub sampler: i32,
    /// What noise is made from; 0 by default. The same seed gives the same noise on every machine and to every user.
    pub seed: u64,
    /// The Q-network's name in the manifest; NULL, for the recipe's, by default. For ways, judges and recipes that use one.
    pub q_network: *const c_char,
    /// For oneiro_recommender_rank by ONEIRO_JUDGE_Q_NETWORK: the scores that candidates come with, one each, such as
    /// oneiro_ranking_scores; NULL, to rank by Q alone, by default.
    pub candidate_scores: *const f32,
    /// What Q counts against the scores that candidates come with, 0 to 1: each is standardised over the candidates. -1,
    /// for that of the recipe's step, or else the network's own, by default.
    pub weight: f32,
    /// ONEIRO_AMONG_…: what the probability of a token of a title is one of, for ONEIRO_JUDGE_LANGUAGE_MODEL; the vocabulary
    /// by default.
    pub among: i32,
    /// What a language model that judges is asked: a prompt's name in the manifest; NULL, for the recipe's, or the first, by
    /// default.
    pub prompt: *const c_char,
    /// How many of the best candidates `rank` ranks, at least 1, or as many as the call asks for if that is more; 0 by
    /// default, for there is no `rank`.
    pub candidates: usize,
    /// ONEIRO_JUDGE_…: what ranks the best `candidates` once more, after the way or all steps of the recipe; 0, for
    /// nothing, by default. For recommend and retrieve, of one user or many; a language model is asked about all candidates
    /// at once, and fails with ONEIRO_TOO_LONG if that is more than its context holds.
    pub rank: i32,
    /// ONEIRO_GROUNDING_…: which of what a generator wrote counts; ONEIRO_GROUNDING_BEST by default. This and what follows is
    /// for ways that use a generator.
    pub grounding: i32,
    /// The generator's name in the manifest; NULL, for the recipe's, or the first, by default.
    pub generator: *const c_char,
    /// ONEIRO_JUDGE_…: what distances are weighed by, popularity, an encoder or a Q-network; 0, for the bundle's choice, by
    /// default.
    pub weigh: i32,
    /// How much that counts, 0 or more: 0 for the distances alone; -1, for the bundle's choice, by default.
    pub gamma: f32,
    /// The interpreter or, for explanations, the explainer to ask, by its name in the manifest; NULL, for the first, by
    /// default.
    pub interpreter: *const c_char,
    /// Given the title that a generator writes, piece by piece as soon as it is certain, on the thread of the call; NULL, for
    /// nothing, by default. For calls about one user; not 0 ends the call with ONEIRO_CANCELLED.
    pub on_text: oneiro_piece_fn,
    /// What on_text is called with; NULL by default.
    pub user_data: *mut c_void,
}

growing!(oneiro_call_options {
    cancel, encoder, threads, probes, arrangement, deadline_ms, oracle, steps, draws, guidance, sampler, seed,
    q_network, candidate_scores, weight, among, prompt, candidates, rank, grounding,
    generator, weigh, gamma, interpreter, on_text, user_data
} by default Self {
    size: size_of::<Self>(),
    cancel: null(),
    encoder: null(),
    threads: 1,
    probes: 0,
    arrangement: null(),
    deadline_ms: ONEIRO_NO_VALUE,
    oracle: null(),
    steps: 0,
    draws: 1,
    guidance: -1.0,
    sampler: ONEIRO_SAMPLER_AUTO,
    seed: 0,
    q_network: null(),
    candidate_scores: null(),
    weight: -1.0,
    among: ONEIRO_AMONG_VOCABULARY,
    prompt: null(),
    candidates: 0,
    rank: 0,
    grounding: ONEIRO_GROUNDING_BEST,
    generator: null(),
    weigh: 0,
    gamma: -1.0,
    interpreter: null(),
    on_text: None,
    user_data: null_mut(),
});

/// Fills `options` with defaults; `size` is sizeof(oneiro_call_options). NULL is nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_call_options_init(options: *mut oneiro_call_options, size: usize) {
    // SAFETY: the header's promise.
    unsafe { init(options, size) }
}

/// The host's callback for what is written, and what it is called with.
///
/// # Safety
/// The header's promise.
pub(super) unsafe fn on_text_of(
    options: *const oneiro_call_options,
) -> Result<(oneiro_piece_fn, *mut c_void)> {
    // SAFETY: the caller's promise.
    let given = unsafe { read(options, "options") }?;
    Ok((given.on_text, given.user_data))
}

/// Hands pieces to the host's callback, and requests `own` when that wishes to stop.
///
/// # Safety
/// The header's promise.
pub(super) unsafe fn telling(
    on_text: oneiro_piece_fn,
    user_data: *mut c_void,
    own: Cancel,
) -> impl FnMut(&str) + 'static {
    move |piece: &str| {
        // What is held back when the callback has stopped the call does not go out.
        if let Some(on_text) = on_text.filter(|_| !own.is_requested() && !piece.is_empty()) {
            // SAFETY: the header's promise.
            let answer = unsafe { on_text(user_data, piece.as_ptr().cast(), piece.len()) };
            if answer != 0 {
                own.request();
            }
        }
    }
}

/// # Safety
/// The header's promise.
pub(super) unsafe fn call_options_of(options: *const oneiro_call_options) -> Result<CallOptions> {
    // SAFETY: the caller's promise.
    let given = unsafe { read(options, "options") }?;
    let among = among_of(given.among)?;
    // SAFETY: the caller's promise.
    let prompt = unsafe { optional_text(given.prompt, "prompt") }?;
    // SAFETY: the caller's promise.
    let generator = unsafe { generator_options_of(&given) }?;
    // SAFETY: the caller's promise.
    let interpreter = unsafe { optional_text(given.interpreter, "interpreter") }?;
    #[cfg(not(feature = "llm"))]
    let _ = (among, prompt, generator, interpreter);
    Ok(CallOptions {
        // SAFETY: the caller's promise.
        cancel: unsafe { request_of(given.cancel) },
        threads: given.threads,
        // SAFETY: the caller's promise.
        encoder: unsafe { optional_text(given.encoder, "encoder") }?.map(Into::into),
        // SAFETY: the caller's promise.
        arrangement: unsafe { arrangement_of(given.arrangement) }?,
        deadline: deadline_of(given.deadline_ms)?,
        probes: (given.probes > 0).then_some(given.probes),
        // SAFETY: the caller's promise.
        oracle: unsafe { oracle_options_of(&given) }?,
        // SAFETY: the caller's promise.
        q_network: unsafe { q_network_options_of(&given) }?,
        rank: rank_of(&given)?,
        #[cfg(feature = "llm")]
        prompt: PromptOptions {
            name: prompt.map(Into::into),
            among,
        },
        #[cfg(feature = "llm")]
        generator,
        #[cfg(feature = "llm")]
        interpreter: interpreter.map(Into::into),
        // Its wish to stop has to become a request: see `put_ranking`.
        #[cfg(feature = "llm")]
        on_text: None,
    })
}

/// # Safety
/// The header's promise.
unsafe fn q_network_options_of(given: &oneiro_call_options) -> Result<QNetworkOptions> {
    // SAFETY: the caller's promise.
    let name = unsafe { optional_text(given.q_network, "q_network") }?;
    let bundled = given.weight == -1.0;
    Ok(QNetworkOptions {
        name: name.map(Into::into),
        weight: (!bundled).then_some(given.weight),
    })
}

fn rank_of(given: &oneiro_call_options) -> Result<Option<Rank>> {
    if given.rank == 0 {
        return Ok(None);
    }
    Ok(Some(Rank {
        by: judge_of("rank", given.rank)?,
        candidates: given.candidates,
    }))
}

/// The scores of so many candidates, if they come with any.
///
/// # Safety
/// The header's promise.
pub(super) unsafe fn candidate_scores_of<'a>(
    options: *const oneiro_call_options,
    count: usize,
) -> Result<Option<&'a [f32]>> {
    // SAFETY: the caller's promise.
    let scores = unsafe { read(options, "options") }?.candidate_scores;
    if scores.is_null() {
        return Ok(None);
    }
    // SAFETY: the caller's promise.
    unsafe { array(scores, count, "candidate_scores") }.map(Some)
}

pub(super) fn deadline_of(ms: i64) -> Result<Option<Duration>> {
    if ms == ONEIRO_NO_VALUE {
        return Ok(None);
    }
    let ms = u64::try_from(ms)
        .map_err(|_| Error::argument("deadline_ms", format!("is {ms}, expected 0 or more")))?;
    Ok(Some(Duration::from_millis(ms)))
}
