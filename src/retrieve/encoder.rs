//! Retrieval by a sequence encoder: the rows that score best against the state of a history.

#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::Instant;

use super::stage;
use crate::call::CallOptions;
use crate::catalog::Admission;
use crate::error::Result;
use crate::network::Encoder;
use crate::ranking::{Origin, Ranking};

/// The `count` best items for each of some states, which were computed since `started`.
pub(crate) fn by_encoder(
    name: &str,
    encoder: &Encoder,
    states: &[Arc<[f32]>],
    started: Instant,
    count: usize,
    admissions: &[Admission],
    options: &CallOptions,
) -> Result<Vec<Ranking>> {
    let encoded = stage(format!("encode {name}"), 0, started);
    let scanning = Instant::now();
    let space = encoder.output();
    let (threads, cancel) = (options.threads, &options.cancel);
    let found = match (states, admissions) {
        ([state], [admission]) => vec![space.nearest(state, count, admission, threads, cancel)?],
        _ => space.nearest_many(&states.concat(), count, admissions, threads, cancel)?,
    };
    let scan = format!("scan {}", space.name());
    let rankings = found.into_iter().map(|scored| {
        let scanned = stage(scan.clone(), scored.len(), scanning);
        Ranking::new(scored, Origin::Encoder, vec![encoded.clone(), scanned])
    });
    Ok(rankings.collect())
}
