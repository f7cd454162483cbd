//! What gives items their scores in one way, for one call.

#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::Instant;

use super::stage;
use crate::cancel::Cancel;
use crate::catalog::{Admission, Scored, Space, most, rank_by_count};
use crate::error::{Error, Result};
use crate::ranking::{Origin, Stage};

/// What gives items their scores: their counts, or their rows' against a point.
#[derive(Debug)]
pub(crate) struct Scoring<'a> {
    origin: Origin,
    table: Table<'a>,
}

/// How the best are to be looked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Search<'a> {
    /// Threads that share a scan over rows.
    pub(crate) threads: usize,
    /// Of how many lists of an index to look at the rows; an exact scan without it.
    pub(crate) probes: Option<usize>,
    pub(crate) cancel: &'a Cancel,
}

#[derive(Debug)]
enum Table<'a> {
    /// An item that was never counted does not rank.
    Counts(&'a [u32]),
    /// `point`: `[width]`, finite.
    Rows { space: &'a Space, point: Arc<[f32]> },
}

impl<'a> Scoring<'a> {
    pub(super) fn counts(origin: Origin, counts: &'a [u32]) -> Self {
        let table = Table::Counts(counts);
        Self { origin, table }
    }

    pub(super) fn rows(origin: Origin, space: &'a Space, point: Arc<[f32]>) -> Self {
        let table = Table::Rows { space, point };
        Self { origin, table }
    }

    /// What a ranking by these scores gives as its items' origin.
    pub(crate) fn origin(&self) -> Origin {
        self.origin
    }

    /// The `count` best admitted items, best first, fewer if fewer are admitted; and how long that took.
    pub(crate) fn best(
        &self,
        count: usize,
        admission: &Admission,
        search: Search,
    ) -> Result<(Vec<Scored>, Stage)> {
        let Search {
            threads,
            probes,
            cancel,
        } = search;
        let started = Instant::now();
        let (scored, what) = match &self.table {
            Table::Counts(counts) => {
                let scored = most(counts, count, admission, cancel)?;
                (scored, "scan counts".into())
            }
            Table::Rows { space, point } => match probes {
                None => {
                    let scored = space.nearest(point, count, admission, threads, cancel)?;
                    (scored, format!("scan {}", space.name()))
                }
                Some(probes) => {
                    let scored = space.nearest_in_lists(point, count, admission, probes, cancel)?;
                    (scored, format!("probe {probes} lists of {}", space.name()))
                }
            },
        };
        let scanned = stage(what, scored.len(), started);
        Ok((scored, scanned))
    }

    /// The scores of some items, in their order; NaN for one that never ranks.
    pub(crate) fn of(&self, items: &[u32]) -> Result<Vec<f32>> {
        match &self.table {
            Table::Counts(counts) => items.iter().map(|&item| score(counts, item)).collect(),
            Table::Rows { space, point } => space.score(point, items),
        }
    }

    /// The rank of an item from 1, ties against it; nothing for one that never ranks.
    pub(crate) fn rank_of(
        &self,
        item: u32,
        admission: &Admission,
        cancel: &Cancel,
    ) -> Result<Option<u32>> {
        match &self.table {
            Table::Counts(counts) => rank_by_count(counts, item, admission, cancel),
            Table::Rows { space, point } => space.rank_of(point, item, admission, cancel),
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "scores are f32")]
fn score(counts: &[u32], item: u32) -> Result<f32> {
    match counts.get(item as usize) {
        Some(0) => Ok(f32::NAN),
        Some(&count) => Ok(count as f32),
        None => {
            let len = u32::try_from(counts.len()).unwrap_or(u32::MAX);
            Err(Error::UnknownItem { item, len })
        }
    }
}
