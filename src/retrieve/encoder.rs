//! Retrieval by a sequence encoder: the rows that score best against the state of a history.

#![forbid(unsafe_code)]

use std::time::Instant;

use super::stage;
use crate::call::CallOptions;
use crate::catalog::Admission;
use crate::error::Result;
use crate::network::Encoder;
use crate::ranking::{Origin, Ranking};

/// The `count` best items for a state that was computed since `started`.
pub(crate) fn by_encoder(
    name: &str,
    encoder: &Encoder,
    state: &[f32],
    started: Instant,
    count: usize,
    admission: &Admission,
    options: &CallOptions,
) -> Result<Ranking> {
    let encoded = stage(format!("encode {name}"), 0, started);
    let scanning = Instant::now();
    let scored =
        encoder
            .output()
            .nearest(state, count, admission, options.threads, &options.cancel)?;
    let scanned = stage(
        format!("scan {}", encoder.output().name()),
        scored.len(),
        scanning,
    );
    Ok(Ranking::new(
        scored,
        Origin::Encoder,
        vec![encoded, scanned],
    ))
}
