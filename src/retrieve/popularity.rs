//! Retrieval by popularity: the items with the highest counts in the training data.

#![forbid(unsafe_code)]

use super::Scoring;
use crate::catalog::Catalog;
use crate::error::Result;
use crate::ranking::Origin;

/// Counts as scores; an item that was never counted does not rank.
pub(crate) fn by_popularity(catalog: &Catalog) -> Result<Scoring<'_>> {
    Ok(Scoring::counts(Origin::Popularity, catalog.counts()?))
}
