//! From a history to scores: one function a way.

#![forbid(unsafe_code)]

mod encoder;
#[cfg(feature = "llm")]
mod ground;
mod noise;
mod oracle;
mod popularity;
mod qnetwork;
mod schedule;
mod scoring;
mod similar;
mod turns;

use std::time::Instant;

pub(crate) use encoder::by_encoder;
#[cfg(feature = "llm")]
pub(crate) use ground::by_generator;
#[cfg(feature = "llm")]
pub(crate) use noise::Philox;
pub(crate) use oracle::{Oracle, by_oracle};
pub use oracle::{OracleOptions, Sampler};
pub(crate) use popularity::by_popularity;
pub use qnetwork::QNetworkOptions;
pub(crate) use qnetwork::by_q_network;
pub(crate) use scoring::{Scoring, Search};
pub(crate) use similar::{similar, similar_to};

use crate::ranking::Stage;

/// A step of the work that began at `since` and left so many items.
pub(crate) fn stage(name: impl Into<String>, items: usize, since: Instant) -> Stage {
    Stage {
        name: name.into(),
        items,
        time: since.elapsed(),
    }
}
