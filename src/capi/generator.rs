//! Generator

use super::checks::{optional_text, unknown};
use super::filter::oneiro_call_options;
use super::judge::judge_of;
#[cfg(not(feature = "llm"))]
use super::without_llm::{GeneratorOptions, Grounding};
#[cfg(feature = "llm")]
use crate::call::GeneratorOptions;
use crate::error::Result;
#[cfg(feature = "llm")]
use crate::network::llm::Grounding;

/// The likeliest text.
pub const ONEIRO_GROUNDING_BEST: i32 = 0;
/// All texts that the search found: an item is as far away as from the nearest.
pub const ONEIRO_GROUNDING_ALL: i32 = 1;
/// The likeliest title of the catalog: nothing else is written. The bundle has the tree of titles of the language model, or
/// the call fails with ONEIRO_UNSUPPORTED.
pub const ONEIRO_GROUNDING_TITLE: i32 = 2;

fn grounding_of(grounding: i32) -> Result<Grounding> {
    match grounding {
        ONEIRO_GROUNDING_BEST => Ok(Grounding::Best),
        ONEIRO_GROUNDING_ALL => Ok(Grounding::All),
        ONEIRO_GROUNDING_TITLE => Ok(Grounding::Title),
        other => Err(unknown("grounding", other)),
    }
}

/// # Safety
/// The header's promise.
pub(super) unsafe fn generator_options_of(given: &oneiro_call_options) -> Result<GeneratorOptions> {
    // SAFETY: the caller's promise.
    let name = unsafe { optional_text(given.generator, "generator") }?;
    let weigh = (given.weigh != 0).then(|| judge_of("weigh", given.weigh));
    let bundled = given.gamma == -1.0;
    Ok(GeneratorOptions {
        name: name.map(Into::into),
        grounding: grounding_of(given.grounding)?,
        weigh: weigh.transpose()?,
        gamma: (!bundled).then_some(given.gamma),
    })
}
