//! Oracle

use super::boundary::{hand_out, on, on_mut};
use super::checks::{OutArray, array, optional_text, unknown};
use super::error::{oneiro_error, oneiro_status};
use super::filter::{call_options_of, oneiro_call_options, oneiro_filter};
use super::ranking::oneiro_ranking;
use super::recommender::oneiro_recommender;
use super::retrieve::put_ranking;
use super::text::oneiro_point;
use crate::error::{Error, Result};
use crate::recommender::Recommender;
use crate::retrieve::{OracleOptions, Sampler};

/// The collapsed chain where the denoiser is affine, the graph otherwise; with `steps`, the chain.
pub const ONEIRO_SAMPLER_AUTO: i32 = 0;
/// The whole chain at once, by what an affine denoiser makes of it: another draw from the same distribution.
pub const ONEIRO_SAMPLER_COLLAPSED: i32 = 1;
/// Step by step: by the matrices of an affine denoiser, by the graph otherwise.
pub const ONEIRO_SAMPLER_CHAIN: i32 = 2;
/// Step by step by the graph, even where the denoiser is affine.
pub const ONEIRO_SAMPLER_GRAPH: i32 = 3;
/// As ONEIRO_SAMPLER_AUTO, without any noise: by an affine denoiser the mean of all draws.
pub const ONEIRO_SAMPLER_MEAN: i32 = 4;

fn sampler_of(sampler: i32) -> Result<Sampler> {
    match sampler {
        ONEIRO_SAMPLER_AUTO => Ok(Sampler::Auto),
        ONEIRO_SAMPLER_COLLAPSED => Ok(Sampler::Collapsed),
        ONEIRO_SAMPLER_CHAIN => Ok(Sampler::Chain),
        ONEIRO_SAMPLER_GRAPH => Ok(Sampler::Graph),
        ONEIRO_SAMPLER_MEAN => Ok(Sampler::Mean),
        other => Err(unknown("sampler", other)),
    }
}

/// # Safety
/// The header's promise.
pub(super) unsafe fn oracle_options_of(given: &oneiro_call_options) -> Result<OracleOptions> {
    // SAFETY: the caller's promise.
    let name = unsafe { optional_text(given.oracle, "oracle") }?;
    let bundled = given.guidance == -1.0;
    Ok(OracleOptions {
        name: name.map(Into::into),
        guidance: (!bundled).then_some(given.guidance),
        seed: given.seed,
        sampler: sampler_of(given.sampler)?,
        steps: (given.steps > 0).then_some(given.steps),
        draws: given.draws,
    })
}

/// The ideal items that the options' oracle dreams up for the history: what ONEIRO_BY_ORACLE scores rows against.
///
/// options: borrowed for the call; NULL for defaults.
/// count:   how many there are: as many as the options' draws, 1 by default.
/// out:     room for `count` points; each yours, free with oneiro_point_free. All are written or, on an error, none.
/// Errors:  ONEIRO_UNSUPPORTED (no such oracle, or not what the sampler needs), ONEIRO_INVALID_ARGUMENT (a number out of
///          range; count is not that of the draws), ONEIRO_CANCELLED, ONEIRO_DEADLINE_EXCEEDED, ONEIRO_RUNTIME.
/// Threads: alone on this recommender.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_recommender_oracle(
    recommender: *mut oneiro_recommender,
    options: *const oneiro_call_options,
    count: usize,
    out: *mut *mut oneiro_point,
    error: *mut *mut oneiro_error,
) -> oneiro_status {
    let body = |user: &mut Recommender| {
        // SAFETY: the header's promise.
        let options = unsafe { call_options_of(options) }?;
        // SAFETY: the header's promise.
        let out = unsafe { OutArray::new(out, count, "out") }?;
        if count != options.oracle.draws {
            let reason = format!("is {count}, and draws is {}", options.oracle.draws);
            return Err(Error::argument("count", reason));
        }
        let points = user.oracle(&options)?;
        let points: Vec<_> = points
            .iter()
            .map(|point| hand_out(point.to_vec()))
            .collect();
        out.put(&points);
        Ok(())
    };
    // SAFETY: the header's promise.
    unsafe { on_mut(recommender, error, body) }
}

/// The `count` items whose rows are nearest to a point of the bundle's space for similar items, such as an oracle's ideal
/// item where that space has the rows that it is scored against.
///
/// point:   borrowed for the call; `width` numbers.
/// filter:  borrowed for the call; NULL takes the bundle's default for seen items.
/// options: borrowed for the call; NULL for defaults.
/// out:     yours; free with oneiro_ranking_free.
/// Errors:  as oneiro_recommender_recommend; ONEIRO_UNSUPPORTED also if the bundle has no space for that;
///          ONEIRO_INVALID_ARGUMENT also if the point is not of its width or not finite.
/// Threads: alone on this recommender, or beside others that do not change it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_recommender_similar_to(
    recommender: *const oneiro_recommender,
    point: *const f32,
    width: usize,
    count: usize,
    filter: *const oneiro_filter,
    options: *const oneiro_call_options,
    out: *mut *mut oneiro_ranking,
    error: *mut *mut oneiro_error,
) -> oneiro_status {
    let body = |user: &Recommender| {
        // SAFETY: the header's promise.
        unsafe {
            let point = array(point, width, "point")?;
            put_ranking(filter, options, out, |filter, options| {
                user.similar_to(point, count, filter, options)
            })
        }
    };
    // SAFETY: the header's promise.
    unsafe { on(recommender, error, body) }
}
