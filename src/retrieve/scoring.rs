//! What gives items their scores in one way, for one call.

#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::Instant;

use super::stage;
use super::turns;
use crate::cancel::Cancel;
use crate::catalog::{Admission, Scored, Space, most, rank_by_count};
use crate::error::{Error, Result};
use crate::ranking::{Origin, Stage};

/// What gives items their scores: their counts, or their rows' against points.
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
    /// `points`: at least one, `[width]` each, finite. Of several, each [in turn](super::turns) names its best items.
    Rows {
        space: &'a Space,
        points: Vec<Arc<[f32]>>,
    },
}

impl<'a> Scoring<'a> {
    pub(super) fn counts(origin: Origin, counts: &'a [u32]) -> Self {
        let table = Table::Counts(counts);
        Self { origin, table }
    }

    pub(super) fn rows(origin: Origin, space: &'a Space, points: Vec<Arc<[f32]>>) -> Self {
        let table = Table::Rows { space, points };
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
        let (scored, what) = match (&self.table, probes) {
            (Table::Counts(counts), _) => {
                let scored = most(counts, count, admission, cancel)?;
                (scored, "scan counts".into())
            }
            (Table::Rows { space, points }, None) => {
                let scored = match points.as_slice() {
                    [point] => space.nearest(point, count, admission, threads, cancel)?,
                    points => {
                        let admissions = vec![admission.clone(); points.len()];
                        let points = points.concat();
                        let lists =
                            space.nearest_many(&points, count, &admissions, threads, cancel)?;
                        turns::in_turns(lists, count)
                    }
                };
                (scored, format!("scan {}", space.name()))
            }
            (Table::Rows { space, points }, Some(probes)) => {
                let probe = |point: &Arc<[f32]>| {
                    space.nearest_in_lists(point, count, admission, probes, cancel)
                };
                let scored = match points.as_slice() {
                    [point] => probe(point)?,
                    points => {
                        let lists = points.iter().map(probe).collect::<Result<_>>()?;
                        turns::in_turns(lists, count)
                    }
                };
                (scored, format!("probe {probes} lists of {}", space.name()))
            }
        };
        let scanned = stage(what, scored.len(), started);
        Ok((scored, scanned))
    }

    /// What [`best`](Self::best) gives each of some scorings over the rows of one space, with one pass over them. At
    /// least the `count` best of each.
    pub(crate) fn best_of_all<'b>(
        scorings: &[Self],
        count: usize,
        admissions: impl Iterator<Item = &'b Admission>,
        search: Search,
    ) -> Result<Vec<(Vec<Scored>, Stage)>> {
        let each = scorings.iter().zip(admissions);
        // The lists of an index that one search looks at are not another's.
        let space = match (scorings, search.probes) {
            ([_, second, ..], None) => second.space(),
            _ => None,
        };
        let Some(space) = space else {
            let best = |(scoring, admission): (&Self, _)| scoring.best(count, admission, search);
            return each.map(best).collect();
        };
        let started = Instant::now();
        let mut points = Vec::new();
        let mut of_points = Vec::new();
        for (scoring, admission) in each {
            for point in scoring.points() {
                points.extend_from_slice(point);
                of_points.push(admission.clone());
            }
        }
        let (threads, cancel) = (search.threads, search.cancel);
        let found = space.nearest_many(&points, count, &of_points, threads, cancel)?;
        let mut found = found.into_iter();
        let name = format!("scan {}", space.name());
        let best = |scoring: &Self| {
            let lists = found.by_ref().take(scoring.points().len()).collect();
            let scored = turns::in_turns(lists, count);
            let scanned = stage(name.as_str(), scored.len(), started);
            (scored, scanned)
        };
        Ok(scorings.iter().map(best).collect())
    }

    fn space(&self) -> Option<&'a Space> {
        match self.table {
            Table::Counts(_) => None,
            Table::Rows { space, .. } => Some(space),
        }
    }

    fn points(&self) -> &[Arc<[f32]>] {
        match &self.table {
            Table::Counts(_) => &[],
            Table::Rows { points, .. } => points,
        }
    }

    /// The scores of some items, in their order, among those that are admitted; NaN for one that never ranks.
    pub(crate) fn of(
        &self,
        items: &[u32],
        admission: &Admission,
        cancel: &Cancel,
    ) -> Result<Vec<f32>> {
        match &self.table {
            Table::Counts(counts) => items.iter().map(|&item| score(counts, item)).collect(),
            Table::Rows { space, points } => match points.as_slice() {
                [point] => space.score(point, items),
                points => {
                    let score = |&item: &u32| {
                        let place = turns::place_of(space, points, item, admission, cancel)?;
                        Ok(place.map_or(f32::NAN, turns::score))
                    };
                    items.iter().map(score).collect()
                }
            },
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
            Table::Rows { space, points } => match points.as_slice() {
                [point] => space.rank_of(point, item, admission, cancel),
                points => turns::place_of(space, points, item, admission, cancel),
            },
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
