//! The nearest rows of many points at once: every row is read once for all of them.
//!
//! [`coarse`](super::coarse) bounds the scores of a block of rows for a column of points, at a fraction of what the
//! scores cost. The few rows that it cannot rule out for a point are scored by [`kernel`](super::kernel), so what is
//! found is the same to the bit as for each point alone.

#![forbid(unsafe_code)]

use super::admission::Admission;
use super::coarse::{BLOCK, COLUMN, Grid, Points, Rows};
use super::kernel::Query;
use super::scan::STRETCH;
use super::shares::{Shares, by_shares};
use super::space::Space;
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
        let grid = Grid::new(self.width());
        let columns: Vec<Points> = users
            .chunks(COLUMN)
            .map(|users| Points::new(grid, users.iter().map(|(query, _)| *query)))
            .collect();
        let products = self.width() * users.len();
        let shares = by_shares(self.len() as usize, products, threads, |shares| {
            self.nearest_of_shares(shares, users, grid, &columns, count, cancel)
        })?;
        let merge = |mut best: Vec<TopK>, share: Vec<TopK>| {
            for (best, share) in best.iter_mut().zip(share) {
                best.merge(share);
            }
            best
        };
        Ok(shares.into_iter().reduce(merge).unwrap_or_default())
    }

    /// The best of some shares of the rows, for each user.
    fn nearest_of_shares(
        &self,
        shares: Shares<'_>,
        users: &[User<'_>],
        grid: Grid,
        columns: &[Points],
        count: usize,
        cancel: &Cancel,
    ) -> Result<Vec<TopK>> {
        let mut best: Vec<TopK> = users
            .iter()
            .map(|_| TopK::new(count, self.len() as usize))
            .collect::<Result<_>>()?;
        let mut thresholds: Vec<[f32; COLUMN]> = columns.iter().map(Points::thresholds).collect();
        let mut room = vec![0.0; BLOCK * self.width()];
        let mut rounded = Rows::new(self.metric(), grid, self.width());
        let mut bounds = [[0.0; COLUMN]; BLOCK];
        for rows in shares.blocks(BLOCK) {
            if rows.start % STRETCH == 0 {
                cancel.check()?;
            }
            let start = rows.start;
            let (wide, scales) = self.wide_rows(rows.clone(), &mut room)?;
            rounded.set(wide, scales, self.biases(rows)?);
            let groups = users.chunks(COLUMN).zip(best.chunks_mut(COLUMN));
            for ((points, thresholds), (users, best)) in
                columns.iter().zip(&mut thresholds).zip(groups)
            {
                let mut reaching = rounded.bound(points, thresholds, &mut bounds);
                while reaching != 0 {
                    let row = reaching.trailing_zeros() as usize;
                    reaching &= reaching - 1;
                    // Items are numbered in u32: there are no more rows than that.
                    let item = (start + row) as u32;
                    for (lane, ((query, admission), best)) in
                        users.iter().zip(&mut *best).enumerate()
                    {
                        if bounds[row][lane] < thresholds[lane] {
                            continue;
                        }
                        let score = self.score_item(*query, item)?;
                        let scored = Scored { item, score };
                        if best.takes(scored) && admission.admits(item) {
                            best.push(scored);
                            thresholds[lane] = points.threshold(lane, best.threshold());
                        }
                    }
                }
            }
        }
        Ok(best)
    }
}

/// A query, and which items may rank for it.
type User<'a> = (Query<'a>, &'a Admission);
