//! Recommend, retrieve, similar; one user or many

#[cfg(feature = "llm")]
use std::ffi::c_void;
use std::mem::take;

use super::boundary::{hand_out, on, on_all, on_mut};
use super::cancel::stoppable;
use super::checks::{Out, OutArray, array, unknown};
use super::engine::oneiro_engine;
use super::error::{oneiro_error, oneiro_status};
use super::filter::{call_options_of, filter_of, on_text_of, oneiro_call_options, oneiro_filter};
#[cfg(feature = "llm")]
use super::filter::{oneiro_piece_fn, telling};
use super::ranking::{hand_out_ranking, oneiro_ranking};
use super::recommender::oneiro_recommender;
use super::text::oneiro_point;
use crate::call::CallOptions;
#[cfg(feature = "llm")]
use crate::call::OnText;
#[cfg(feature = "llm")]
use crate::cancel::Cancel;
use crate::engine::Engine;
use crate::error::Result;
use crate::filter::Filter;
use crate::ranking::Ranking;
use crate::recommender::{By, Recommender};

/// The items with the highest counts in the training data; needs no history.
pub const ONEIRO_BY_POPULARITY: i32 = 1;
/// The rows nearest to the state of a sequence encoder.
pub const ONEIRO_BY_ENCODER: i32 = 2;
/// The rows nearest to an ideal item that a diffusion model dreams up, guided by the state of an encoder.
pub const ONEIRO_BY_ORACLE: i32 = 3;
/// The items that a Q-network values highest: what each is worth in the long run.
pub const ONEIRO_BY_Q_NETWORK: i32 = 4;
/// The items whose titles are nearest to what a language model writes when it is told of the history.
pub const ONEIRO_BY_GENERATE: i32 = 5;

fn way(by: i32) -> Result<By> {
    match by {
        ONEIRO_BY_POPULARITY => Ok(By::Popularity),
        ONEIRO_BY_ENCODER => Ok(By::Encoder),
        ONEIRO_BY_ORACLE => Ok(By::Oracle),
        ONEIRO_BY_Q_NETWORK => Ok(By::QNetwork),
        ONEIRO_BY_GENERATE => Ok(By::Generate),
        other => Err(unknown("by", other)),
    }
}

/// Inside of a body: hands out the ranking that `rank` makes under the host's filter and options.
///
/// # Safety
/// `filter` and `options` are null or valid; `out` is null or may be written.
pub(super) unsafe fn put_ranking(
    filter: *const oneiro_filter,
    options: *const oneiro_call_options,
    out: *mut *mut oneiro_ranking,
    rank: impl FnOnce(&Filter, &CallOptions) -> Result<Ranking>,
) -> Result<()> {
    // SAFETY: the caller's promise.
    let (filter, mut given, out) = unsafe {
        (
            filter_of(filter)?,
            call_options_of(options)?,
            Out::new(out, "out")?,
        )
    };
    // SAFETY: the caller's promise.
    let (on_text, user_data) = unsafe { on_text_of(options)? };
    #[cfg(not(feature = "llm"))]
    let _ = user_data;
    let ranking = match on_text {
        None => rank(&filter, &given)?,
        Some(_) => stoppable(&take(&mut given.cancel), |own| {
            given.cancel = own.clone();
            // SAFETY: the caller's promise; it is called on this thread.
            #[cfg(feature = "llm")]
            let on_text = Some(unsafe { OnText::of_host(on_text, user_data, own) });
            #[cfg(feature = "llm")]
            (given.on_text = on_text);
            rank(&filter, &given)
        })?,
    };
    out.put(hand_out_ranking(&ranking));
    Ok(())
}

#[cfg(feature = "llm")]
impl OnText {
    /// # Safety
    /// The header's promise; the call that is told stays on this thread.
    unsafe fn of_host(on_text: oneiro_piece_fn, user_data: *mut c_void, own: &Cancel) -> Self {
        /// What a callback of the host is called with.
        struct Host<T>(T);
        // SAFETY: it stays on the thread of the call.
        unsafe impl<T> Send for Host<T> {}
        impl<T: FnMut(&str)> Host<T> {
            fn tell(&mut self, piece: &str) {
                (self.0)(piece);
            }
        }
        // SAFETY: the caller's promise.
        let mut host = Host(unsafe { telling(on_text, user_data, own.clone()) });
        Self::new(move |piece| host.tell(piece))
    }
}

/// The `count` best items by the bundle's recipe; fewer if the filter or the arrangement leaves fewer. Where there is
/// nothing to go by, the recipe's way for cold users is taken, and the origins say so.
///
/// filter:  borrowed for the call; NULL takes the bundle's default for seen items.
/// options: borrowed for the call; NULL for defaults.
/// out:     yours; free with oneiro_ranking_free.
/// Errors:  ONEIRO_INVALID_ARGUMENT (count is 0; the filter or the arrangement names a tag that the attribute does not
///          have, or a number out of range; a `gamma` above 0 with nothing to weigh by, or `weigh` where `gamma` is 0),
///          ONEIRO_UNKNOWN_ITEM, ONEIRO_UNSUPPORTED (no such encoder, oracle, Q-network, prompt, generator, attribute or
///          space), ONEIRO_TOO_LONG (the prompt is longer than the language model's context), ONEIRO_CANCELLED,
///          ONEIRO_DEADLINE_EXCEEDED, ONEIRO_RUNTIME.
/// Threads: alone on this recommender.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_recommender_recommend(
    recommender: *mut oneiro_recommender,
    count: usize,
    filter: *const oneiro_filter,
    options: *const oneiro_call_options,
    out: *mut *mut oneiro_ranking,
    error: *mut *mut oneiro_error,
) -> oneiro_status {
    let body = |user: &mut Recommender| {
        // SAFETY: the header's promise.
        unsafe {
            put_ranking(filter, options, out, |filter, options| {
                user.recommend_with(count, filter, options)
            })
        }
    };
    // SAFETY: the header's promise.
    unsafe { on_mut(recommender, error, body) }
}

/// The `count` best items in one way, ONEIRO_BY_…; NaN never ranks, ties go to the lower item.
///
/// filter:  borrowed for the call; NULL takes the bundle's default for seen items.
/// options: borrowed for the call; NULL for defaults.
/// out:     yours; free with oneiro_ranking_free.
/// Errors:  as oneiro_recommender_recommend; ONEIRO_INVALID_ARGUMENT also for an unknown `by`.
/// Threads: alone on this recommender.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_recommender_retrieve(
    recommender: *mut oneiro_recommender,
    by: i32,
    count: usize,
    filter: *const oneiro_filter,
    options: *const oneiro_call_options,
    out: *mut *mut oneiro_ranking,
    error: *mut *mut oneiro_error,
) -> oneiro_status {
    let body = |user: &mut Recommender| {
        // SAFETY: the header's promise.
        unsafe {
            put_ranking(filter, options, out, |filter, options| {
                user.retrieve_with(way(by)?, count, filter, options)
            })
        }
    };
    // SAFETY: the header's promise.
    unsafe { on_mut(recommender, error, body) }
}

/// The `count` best items of each of many users by the bundle's recipe: what oneiro_recommender_recommend gives them one
/// by one, in less time, for their histories share runs of the network and one pass over the rows. A score may differ
/// from that of the user alone by 1e-5 of the largest; states that users have already are used, and new ones kept. The
/// time of a step is that of all users who took it.
///
/// users:   borrowed for the call; `user_count` recommenders of this engine, each once.
/// filter:  borrowed for the call; NULL takes the bundle's default for seen items. It holds for every user.
/// options: borrowed for the call; NULL for defaults.
/// out:     room for `user_count` rankings, in the order of the users; each yours, free with oneiro_ranking_free. All are
///          written or, on an error, none.
/// Errors:  as oneiro_recommender_recommend; ONEIRO_INVALID_ARGUMENT also if there are no users, one of another engine,
///          or one twice.
/// Threads: any number at once on one engine; alone on each of these recommenders.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_engine_recommend_batch(
    engine: *const oneiro_engine,
    users: *const *mut oneiro_recommender,
    user_count: usize,
    count: usize,
    filter: *const oneiro_filter,
    options: *const oneiro_call_options,
    out: *mut *mut oneiro_ranking,
    error: *mut *mut oneiro_error,
) -> oneiro_status {
    let body = |engine: &Engine| {
        // SAFETY: the header's promise.
        let (filter, options) = unsafe { (filter_of(filter)?, call_options_of(options)?) };
        // SAFETY: the header's promise.
        unsafe {
            batch(users, user_count, out, |users| {
                engine.recommend_batch(users, count, &filter, &options)
            })
        }
    };
    // SAFETY: the header's promise.
    unsafe { on(engine, error, body) }
}

/// The `count` best items of each of many users in one way, ONEIRO_BY_…: what oneiro_recommender_retrieve gives them one
/// by one, as oneiro_engine_recommend_batch does.
///
/// users:   borrowed for the call; `user_count` recommenders of this engine, each once.
/// filter:  borrowed for the call; NULL takes the bundle's default for seen items. It holds for every user.
/// options: borrowed for the call; NULL for defaults.
/// out:     room for `user_count` rankings, in the order of the users; each yours, free with oneiro_ranking_free. All are
///          written or, on an error, none.
/// Errors:  as oneiro_engine_recommend_batch; ONEIRO_INVALID_ARGUMENT also for an unknown `by`.
/// Threads: any number at once on one engine; alone on each of these recommenders.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_engine_retrieve_batch(
    engine: *const oneiro_engine,
    users: *const *mut oneiro_recommender,
    user_count: usize,
    by: i32,
    count: usize,
    filter: *const oneiro_filter,
    options: *const oneiro_call_options,
    out: *mut *mut oneiro_ranking,
    error: *mut *mut oneiro_error,
) -> oneiro_status {
    let body = |engine: &Engine| {
        // SAFETY: the header's promise.
        let (filter, options) = unsafe { (filter_of(filter)?, call_options_of(options)?) };
        let by = way(by)?;
        // SAFETY: the header's promise.
        unsafe {
            batch(users, user_count, out, |users| {
                engine.retrieve_batch(users, by, count, &filter, &options)
            })
        }
    };
    // SAFETY: the header's promise.
    unsafe { on(engine, error, body) }
}

/// # Safety
/// `users` is null or holds `user_count` recommenders, each null or valid and in no other call; `out` is null or has
/// room for as many rankings.
unsafe fn batch(
    users: *const *mut oneiro_recommender,
    user_count: usize,
    out: *mut *mut oneiro_ranking,
    rank: impl FnOnce(Vec<&mut Recommender>) -> Result<Vec<Ranking>>,
) -> Result<()> {
    // SAFETY: the caller's promise.
    let (users, out) = unsafe {
        (
            array(users, user_count, "users")?,
            OutArray::new(out, user_count, "out")?,
        )
    };
    // SAFETY: the caller's promise.
    let rankings = unsafe { on_all(users, "users", rank) }?;
    let rankings: Vec<_> = rankings.iter().map(hand_out_ranking).collect();
    out.put(&rankings);
    Ok(())
}

/// The `count` items most like `item`, which is not among them.
///
/// filter:  borrowed for the call; NULL takes the bundle's default for seen items.
/// options: borrowed for the call; NULL for defaults.
/// out:     yours; free with oneiro_ranking_free.
/// Errors:  as oneiro_recommender_recommend; ONEIRO_UNSUPPORTED also if the bundle has no space for that, or no
///          trained row for the item.
/// Threads: alone on this recommender, or beside others that do not change it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_recommender_similar(
    recommender: *const oneiro_recommender,
    item: u32,
    count: usize,
    filter: *const oneiro_filter,
    options: *const oneiro_call_options,
    out: *mut *mut oneiro_ranking,
    error: *mut *mut oneiro_error,
) -> oneiro_status {
    let body = |user: &Recommender| {
        // SAFETY: the header's promise.
        unsafe {
            put_ranking(filter, options, out, |filter, options| {
                user.similar_with(item, count, filter, options)
            })
        }
    };
    // SAFETY: the header's promise.
    unsafe { on(recommender, error, body) }
}

/// The encoder's state after the history, less what is disliked: computed once, then kept until either changes.
///
/// options: borrowed for the call; NULL for defaults.
/// out:     yours; free with oneiro_point_free.
/// Errors:  ONEIRO_UNSUPPORTED (no such encoder), ONEIRO_CANCELLED, ONEIRO_DEADLINE_EXCEEDED, ONEIRO_RUNTIME,
///          ONEIRO_INVALID_ARGUMENT.
/// Threads: alone on this recommender.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_recommender_state(
    recommender: *mut oneiro_recommender,
    options: *const oneiro_call_options,
    out: *mut *mut oneiro_point,
    error: *mut *mut oneiro_error,
) -> oneiro_status {
    let body = |user: &mut Recommender| {
        // SAFETY: the header's promise.
        let (options, out) = unsafe { (call_options_of(options)?, Out::new(out, "out")?) };
        out.put(hand_out(user.state(&options)?.to_vec()));
        Ok(())
    };
    // SAFETY: the header's promise.
    unsafe { on_mut(recommender, error, body) }
}
