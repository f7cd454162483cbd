//! What gives items their scores in one way, for one call.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use super::stage;
use super::turns;
use crate::cancel::Cancel;
use crate::catalog::{Admission, Scored, Space, best, best_by_number, rank_by_number};
use crate::error::{Error, Result};
use crate::ranking::{Origin, Stage};

/// What gives items their scores: their counts, their rows' against points, or a network or a blend by itself.
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
    /// A score for every item of the catalog, `[N]`.
    Values(Arc<[f32]>),
    /// A score for some; no other item ranks.
    Some(BTreeMap<u32, f32>),
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

    pub(super) fn values(origin: Origin, values: Arc<[f32]>) -> Self {
        let table = Table::Values(values);
        Self { origin, table }
    }

    /// Scores of some items; no other item ranks.
    pub(crate) fn some(origin: Origin, scores: impl IntoIterator<Item = (u32, f32)>) -> Self {
        let table = Table::Some(scores.into_iter().collect());
        Self { origin, table }
    }

    pub(crate) fn rows(origin: Origin, space: &'a Space, points: Vec<Arc<[f32]>>) -> Self {
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
                let scored = best_by_number(counts, score_of, count, admission, cancel)?;
                (scored, "scan counts".into())
            }
            (Table::Values(values), _) => {
                let scored = best_by_number(values, |value| value, count, admission, cancel)?;
                (scored, "scan values".into())
            }
            (Table::Some(scores), _) => {
                let each = scores.iter().map(|(&item, &score)| Scored { item, score });
                (best(each, count, admission, cancel)?, "sort".into())
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
            Table::Rows { space, .. } => Some(space),
            _ => None,
        }
    }

    fn points(&self) -> &[Arc<[f32]>] {
        match &self.table {
            Table::Rows { points, .. } => points,
            _ => &[],
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
            Table::Counts(counts) => numbers(counts, items, score_of),
            Table::Values(values) => numbers(values, items, |value| value),
            Table::Some(scores) => {
                let score = |item| scores.get(item).copied().unwrap_or(f32::NAN);
                Ok(items.iter().map(score).collect())
            }
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
            Table::Counts(counts) => {
                rank_by_number(counts, |count| count > 0, item, admission, cancel)
            }
            Table::Values(values) => {
                rank_by_number(values, |value| !value.is_nan(), item, admission, cancel)
            }
            Table::Some(_) => Err(Error::Internal {
                reason: "a rank among all items was asked of scores of some".into(),
            }),
            Table::Rows { space, points } => match points.as_slice() {
                [point] => space.rank_of(point, item, admission, cancel),
                points => turns::place_of(space, points, item, admission, cancel),
            },
        }
    }
}

/// NaN for an item that was never counted.
#[allow(clippy::cast_precision_loss, reason = "scores are f32")]
fn score_of(count: u32) -> f32 {
    match count {
        0 => f32::NAN,
        count => count as f32,
    }
}

/// The scores of some items, of whose whole catalog each has a number.
fn numbers<T: Copy>(numbers: &[T], items: &[u32], score: impl Fn(T) -> f32) -> Result<Vec<f32>> {
    let score = |&item: &u32| match numbers.get(item as usize) {
        Some(&number) => Ok(score(number)),
        None => {
            let len = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
            Err(Error::UnknownItem { item, len })
        }
    };
    items.iter().map(score).collect()
}
