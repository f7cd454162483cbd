//! The nearest rows of many points at once: every row is read once for all of them.
//!
//! [`coarse`](super::coarse) tells which rows of a block could score high enough for which points, at a fraction of what
//! the scores cost. Those few are scored by [`kernel`](super::kernel), so what is found is the same to the bit as for
//! each point alone. What is high enough is known from the start, by [`start`](super::start), and rises with what is
//! found.

#![forbid(unsafe_code)]

use parking_lot::Mutex;

use super::admission::Admission;
use super::coarse::{BLOCK, COLUMN, Goals, Points, Rows};
use super::kernel::Query;
use super::scan::STRETCH;
use super::shares::{Shares, by_shares};
use super::space::Space;
use super::start::Start;
use super::topk::{Scored, TopK};
use crate::cancel::Cancel;
use crate::error::{Error, Result};

/// Fewer points than this are scored one by one: a column costs the same whether it is full or not.
const FEW: usize = 4;

impl Space {
    /// What [`nearest`](Self::nearest) gives for each of some points, to the bit, with one pass over the rows.
    ///
    /// `points`: `[B, width]`, finite; `admissions`: `[B]`.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if `points` does not fit `admissions` and the width, or is not finite;
    /// [`Error::Cancelled`].
    pub(crate) fn nearest_many(
        &self,
        points: &[f32],
        count: usize,
        admissions: &[Admission],
        threads: usize,
        cancel: &Cancel,
    ) -> Result<Vec<Vec<Scored>>> {
        let width = self.width();
        if points.len() != admissions.len() * width {
            let reason = format!(
                "{} numbers for {} points of width {width}",
                points.len(),
                admissions.len()
            );
            return Err(Error::argument("points", reason));
        }
        // Where few items are allowed, only their rows are read.
        let users = || points.chunks_exact(width).zip(admissions);
        let together: Vec<User<'_>> = users()
            .filter(|(_, admission)| admission.allowed().is_none())
            .map(|(point, admission)| Ok((self.query(point)?, admission)))
            .collect::<Result<_>>()?;
        let mut found = match together.len() {
            0..FEW => Vec::new(),
            _ => self.nearest_together(&together, count, threads, cancel)?,
        }
        .into_iter();
        users()
            .map(|(point, admission)| match admission.allowed() {
                None if together.len() >= FEW => {
                    Ok(found.next().map(TopK::into_ranking).unwrap_or_default())
                }
                _ => self.nearest(point, count, admission, threads, cancel),
            })
            .collect()
    }

    fn nearest_together(
        &self,
        users: &[User<'_>],
        count: usize,
        threads: usize,
        cancel: &Cancel,
    ) -> Result<Vec<TopK>> {
        let queries = users.iter().map(|(query, _)| *query);
        let points = Points::new(self.metric(), self.width(), queries);
        let best: Vec<Mutex<TopK>> = users
            .iter()
            .map(|_| Ok(Mutex::new(TopK::new(count, self.len() as usize)?)))
            .collect::<Result<_>>()?;
        let start = Start {
            space: self,
            users,
            points: &points,
            count,
            threads,
            cancel,
        };
        let starts = start.thresholds()?;
        let search = Search {
            space: self,
            users,
            points: &points,
            starts: &starts,
            best: &best,
        };
        let products = self.width() * users.len();
        by_shares(self.len() as usize, products, threads, |shares| {
            search.rows(shares, cancel)
        })?;
        Ok(best.into_iter().map(Mutex::into_inner).collect())
    }
}

/// One search for all users.
#[derive(Clone, Copy)]
struct Search<'a> {
    space: &'a Space,
    users: &'a [User<'a>],
    points: &'a Points,
    /// What the best of each user score at least.
    starts: &'a [f32],
    /// The best of each user, of all threads: what one has found rules rows out for all.
    best: &'a [Mutex<TopK>],
}

impl Search<'_> {
    /// Adds the best of some shares of the rows to the best of each user.
    fn rows(&self, shares: Shares<'_>, cancel: &Cancel) -> Result<()> {
        let Self { space, points, .. } = *self;
        let mut finds = Finds::new(*self);
        let mut room = vec![0.0; BLOCK * space.width()];
        let mut coarse = Rows::new(points);
        let mut lanes = [0; BLOCK];
        for rows in shares.blocks(BLOCK) {
            if rows.start % STRETCH == 0 {
                cancel.check()?;
                finds.score_all()?;
            }
            let start = rows.start;
            let source = space.coarse_rows(rows.clone(), &mut room)?;
            coarse.set(&source, space.biases(rows)?);
            for (index, column) in points.columns.iter().enumerate() {
                for row in ones(coarse.reaching(column, &finds.goals[index], &mut lanes)) {
                    // Items are numbered in u32: there are no more rows than that.
                    let item = (start + row) as u32;
                    space.prefetch_row(item);
                    for lane in ones(lanes[row].into()) {
                        finds.add(index * COLUMN + lane, item)?;
                    }
                }
            }
        }
        finds.score_all()
    }
}

/// So many items of a user are scored together, when their rows have come from memory, and then enter together: the best
/// of a user are in use by all threads, and what one has written there comes to another processor at the cost of many
/// scores.
const TOGETHER: usize = 16;

/// What one thread finds for all users.
struct Finds<'a> {
    search: Search<'a>,
    goals: Vec<Goals>,
    /// Items of each user that could enter, at most [`TOGETHER`].
    found: Vec<Vec<u32>>,
}

impl<'a> Finds<'a> {
    fn new(search: Search<'a>) -> Self {
        let columns = search
            .points
            .columns
            .iter()
            .zip(search.starts.chunks(COLUMN));
        Self {
            search,
            goals: columns
                .map(|(column, starts)| column.goals(starts))
                .collect(),
            found: vec![Vec::new(); search.users.len()],
        }
    }

    fn add(&mut self, user: usize, item: u32) -> Result<()> {
        self.found[user].push(item);
        match self.found[user].len() {
            TOGETHER => self.score(user),
            _ => Ok(()),
        }
    }

    fn score_all(&mut self) -> Result<()> {
        (0..self.search.users.len()).try_for_each(|user| self.score(user))
    }

    /// Scores a user's items, puts those that are good enough among the best, and sets the goal to what these have left
    /// of it.
    fn score(&mut self, user: usize) -> Result<()> {
        let Search { space, points, .. } = self.search;
        let (query, admission) = self.search.users[user];
        let start = self.search.starts[user];
        let items = &mut self.found[user];
        let scores = &mut [0.0; TOGETHER][..items.len()];
        space.score_items(query, items, scores)?;
        let mut best = self.search.best[user].lock();
        for (item, &mut score) in items.drain(..).zip(scores) {
            let scored = Scored { item, score };
            if score >= start && best.takes(scored) && admission.admits(item) {
                best.push(scored);
            }
        }
        let (column, lane) = (user / COLUMN, user % COLUMN);
        let threshold = best.threshold().max(start);
        self.goals[column][lane] = points.columns[column].goal(lane, threshold);
        Ok(())
    }
}

/// The places of the ones among bits.
fn ones(mut bits: u32) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let place = bits.trailing_zeros();
        bits &= bits.wrapping_sub(1);
        (place < u32::BITS).then_some(place as usize)
    })
}

/// A query, and which items may rank for it.
pub(super) type User<'a> = (Query<'a>, &'a Admission);
