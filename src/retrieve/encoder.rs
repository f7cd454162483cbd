//! Retrieval by a sequence encoder: the rows that score best against the state of a history.

#![forbid(unsafe_code)]

use std::sync::Arc;

use super::Scoring;
use crate::network::Encoder;
use crate::ranking::Origin;

/// Scores against a state of the encoder, `[e]`.
pub(crate) fn by_encoder(encoder: &Encoder, state: Arc<[f32]>) -> Scoring<'_> {
    Scoring::rows(Origin::Encoder, encoder.output(), vec![state])
}
