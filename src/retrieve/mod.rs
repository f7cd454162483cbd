//! From a history to a ranking: one function a way.

#![forbid(unsafe_code)]

mod encoder;
mod popularity;
mod similar;

use std::time::Instant;

pub(crate) use encoder::by_encoder;
pub(crate) use popularity::by_popularity;
pub(crate) use similar::similar;

use crate::ranking::Stage;

fn stage(name: impl Into<String>, items: usize, since: Instant) -> Stage {
    Stage {
        name: name.into(),
        items,
        time: since.elapsed(),
    }
}
