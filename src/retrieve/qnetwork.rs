//! Retrieval by a Q-network: the items that are worth most in the long run.

#![forbid(unsafe_code)]

use std::sync::Arc;

use super::Scoring;
use crate::network::QNetwork;
use crate::ranking::Origin;

/// Which Q-network is used, and how.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct QNetworkOptions {
    /// Its name in the manifest; the recipe's by default, or the first.
    pub name: Option<String>,
    /// What Q counts, 0 to 1, when it ranks candidates that come with scores: `(1 − weight)·score + weight·Q`, each
    /// standardised over the candidates. In a recipe that of its step by
    /// default; or else the network's own.
    pub weight: Option<f32>,
}

/// Q as scores, by what the network makes of a state.
pub(crate) fn by_q_network(network: &QNetwork, output: Arc<[f32]>) -> Scoring<'_> {
    match network.space() {
        Some(space) => Scoring::rows(Origin::QNetwork, space, vec![output]),
        None => Scoring::values(Origin::QNetwork, output),
    }
}
