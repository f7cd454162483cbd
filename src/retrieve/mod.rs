//! From a history to scores: one function a way.

#![forbid(unsafe_code)]

mod encoder;
mod popularity;
mod scoring;
mod similar;

use std::time::Instant;

pub(crate) use encoder::by_encoder;
pub(crate) use popularity::by_popularity;
pub(crate) use scoring::{Scoring, Search};
pub(crate) use similar::similar;

use crate::ranking::Stage;

/// A step of the work that began at `since` and left so many items.
pub(crate) fn stage(name: impl Into<String>, items: usize, since: Instant) -> Stage {
    Stage {
        name: name.into(),
        items,
        time: since.elapsed(),
    }
}
