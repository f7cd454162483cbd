//! Retrieval by popularity: the items with the highest counts in the training data.

#![forbid(unsafe_code)]

use std::time::Instant;

use super::stage;
use crate::cancel::Cancel;
use crate::catalog::{Admission, Catalog, most};
use crate::error::Result;
use crate::ranking::{Origin, Ranking};

/// The `count` most popular items; those that were never counted do not rank.
pub(crate) fn by_popularity(
    catalog: &Catalog,
    count: usize,
    admission: &Admission,
    cancel: &Cancel,
) -> Result<Ranking> {
    let started = Instant::now();
    let scored = most(catalog.counts()?, count, admission, cancel)?;
    let counted = stage("scan counts", scored.len(), started);
    Ok(Ranking::new(scored, Origin::Popularity, vec![counted]))
}
