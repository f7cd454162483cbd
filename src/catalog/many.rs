//! The nearest rows of many points at once: every row is read once for all of them.
//!
//! Points stand in columns of 16, so that one number of a row meets the same number of 16 points in vectors. Each
//! score is summed in the order of [`kernel`](super::kernel), lane by lane, and so is the same to the bit as that of
//! its point alone.

#![forbid(unsafe_code)]

use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};

use super::admission::Admission;
use super::kernel::{LANES, Query, squares};
use super::scan::{STRETCH, by_shares};
use super::space::Space;
use super::topk::{Scored, TopK};
use crate::bundle::Metric;
use crate::cancel::Cancel;
use crate::error::{Error, Result};

/// Points that are scored together.
const COLUMN: usize = 16;

/// Fewer points than this are scored one by one: a column costs the same whether it is full or not.
const FEW: usize = 4;

/// Rows that are scored at once: with a column of points, they fit the first cache.
const BLOCK: usize = 32;

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
        let columns: Vec<Column> = users.chunks(COLUMN).map(Column::new).collect();
        let products = self.width() * users.len();
        let shares = by_shares(self.len() as usize, products, threads, |rows| {
            self.nearest_of_rows(rows, users, &columns, count, cancel)
        })?;
        let merge = |mut best: Vec<TopK>, share: Vec<TopK>| {
            for (best, share) in best.iter_mut().zip(share) {
                best.merge(share);
            }
            best
        };
        Ok(shares.into_iter().reduce(merge).unwrap_or_default())
    }

    /// The best of a range of rows, for each user.
    fn nearest_of_rows(
        &self,
        rows: Range<usize>,
        users: &[User<'_>],
        columns: &[Column],
        count: usize,
        cancel: &Cancel,
    ) -> Result<Vec<TopK>> {
        let mut best: Vec<TopK> = users
            .iter()
            .map(|_| TopK::new(count, self.len() as usize))
            .collect::<Result<_>>()?;
        let mut room = vec![0.0; BLOCK * self.width()];
        let mut scores = [[0.0; COLUMN]; BLOCK];
        for start in rows.clone().step_by(BLOCK) {
            if start % STRETCH == 0 {
                cancel.check()?;
            }
            let range = start..rows.end.min(start + BLOCK);
            let scores = &mut scores[..range.len()];
            let (wide, scales) = self.wide_rows(range.clone(), &mut room)?;
            let biases = self.biases(range)?;
            let groups = users.chunks(COLUMN).zip(best.chunks_mut(COLUMN));
            for (column, (users, best)) in columns.iter().zip(groups) {
                let block = Block {
                    metric: self.metric(),
                    column,
                    rows: wide,
                    scales,
                    biases,
                    scores,
                };
                Arch::new().dispatch(block);
                self.show(start, scores, users, best);
            }
        }
        Ok(best)
    }

    /// Shows the best of a column's users the scores of a block.
    fn show(&self, start: usize, scores: &[[f32; COLUMN]], users: &[User<'_>], best: &mut [TopK]) {
        let mut thresholds = [f32::INFINITY; COLUMN];
        for (threshold, best) in thresholds.iter_mut().zip(best.iter()) {
            *threshold = best.threshold();
        }
        // Items are numbered in u32: there are no more rows than that.
        for (item, scores) in (start as u32..).zip(scores) {
            let reaches = |any, (score, threshold)| any | (score >= threshold);
            if !scores.iter().zip(&thresholds).fold(false, reaches) || self.is_cold(item) {
                continue;
            }
            let users = users.iter().zip(best.iter_mut()).zip(&mut thresholds);
            for (((_, admission), best), (&score, threshold)) in users
                .zip(scores)
                .map(|((user, threshold), score)| (user, (score, threshold)))
            {
                let scored = Scored { item, score };
                if score >= *threshold && best.takes(scored) && admission.admits(item) {
                    best.push(scored);
                    *threshold = best.threshold();
                }
            }
        }
    }
}

/// A query, and which items may rank for it.
type User<'a> = (Query<'a>, &'a Admission);

/// Up to [`COLUMN`] points, number by number, and their norms; zeros where there are fewer.
struct Column {
    points: Vec<[f32; COLUMN]>,
    norms: [f32; COLUMN],
}

impl Column {
    fn new(users: &[User<'_>]) -> Self {
        let width = users.first().map_or(0, |(query, _)| query.point.len());
        let mut column = Self {
            points: vec![[0.0; COLUMN]; width],
            norms: [0.0; COLUMN],
        };
        for (index, (query, _)) in users.iter().enumerate() {
            column.norms[index] = query.norm;
            for (numbers, &x) in column.points.iter_mut().zip(query.point) {
                numbers[index] = x;
            }
        }
        column
    }
}

/// A block of rows to score against a column of points, as [`kernel::Block`](super::kernel::Block).
struct Block<'a> {
    metric: Metric,
    column: &'a Column,
    rows: &'a [f32],
    scales: Option<&'a [f32]>,
    biases: Option<&'a [f32]>,
    scores: &'a mut [[f32; COLUMN]],
}

impl WithSimd for Block<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // As many vectors as make a column, and as many rows as leave room for their sums in registers.
        match S::F32_LANES {
            16 => self.score::<S, 1, 8>(simd),
            8 => self.score::<S, 2, 4>(simd),
            4 => self.score::<S, 4, 4>(simd),
            _ => self.score::<S, 16, 1>(simd),
        }
    }
}

impl Block<'_> {
    #[inline(always)]
    fn score<S: Simd, const VECTORS: usize, const ROWS: usize>(self, simd: S) {
        let width = self.column.points.len();
        let points = S::as_simd_f32s(self.column.points.as_flattened()).0;
        let points = points.as_chunks::<VECTORS>().0;
        let (groups, rest) = self.scores.as_chunks_mut::<ROWS>();
        let mut rows = self.rows.chunks_exact(width);
        for scores in groups {
            let rows = [(); ROWS].map(|()| rows.next().unwrap_or_default());
            sums(simd, self.metric, rows, points, scores);
        }
        for (scores, row) in rest.as_chunks_mut::<1>().0.iter_mut().zip(rows) {
            sums(simd, self.metric, [row], points, scores);
        }
        for (index, scores) in self.scores.iter_mut().enumerate() {
            let scale = self.scales.map_or(1.0, |scales| scales[index]);
            let bias = self.biases.map_or(0.0, |biases| biases[index]);
            let square = match self.metric {
                Metric::Cosine => squares(&self.rows[index * width..][..width]),
                _ => 0.0,
            };
            // One loop for each metric, so that each is one of vectors.
            let norms = &self.column.norms;
            match self.metric {
                Metric::Dot => finish(Metric::Dot, scores, square, norms, scale, bias),
                Metric::Cosine => finish(Metric::Cosine, scores, square, norms, scale, bias),
                Metric::L2 => finish(Metric::L2, scores, square, norms, scale, bias),
            }
        }
    }
}

/// Makes scores of a row's sums.
#[inline(always)]
fn finish(
    metric: Metric,
    scores: &mut [f32; COLUMN],
    square: f32,
    norms: &[f32; COLUMN],
    scale: f32,
    bias: f32,
) {
    for (score, &norm) in scores.iter_mut().zip(norms) {
        *score = metric.score(*score, square, norm, scale) + bias;
    }
}

/// Sets `scores` to the sums that the metric takes of some rows with a column of points.
#[inline(always)]
fn sums<S: Simd, const VECTORS: usize, const ROWS: usize>(
    simd: S,
    metric: Metric,
    rows: [&[f32]; ROWS],
    points: &[[S::f32s; VECTORS]],
    scores: &mut [[f32; COLUMN]; ROWS],
) {
    let sums = match metric {
        Metric::Dot | Metric::Cosine => tile::<_, false, _, _>(simd, rows, points),
        Metric::L2 => tile::<_, true, _, _>(simd, rows, points),
    };
    for (scores, sums) in scores.iter_mut().zip(sums) {
        let (scores, _) = S::as_mut_simd_f32s(scores);
        scores.copy_from_slice(&sums);
    }
}

/// The sums of products, or of squared differences if so asked, of some rows with a column of points: the lanes of
/// [`kernel`](super::kernel), added in halves.
#[inline(always)]
fn tile<S: Simd, const DIFFERENCES: bool, const VECTORS: usize, const ROWS: usize>(
    simd: S,
    rows: [&[f32]; ROWS],
    points: &[[S::f32s; VECTORS]],
) -> [[S::f32s; VECTORS]; ROWS] {
    let rows = rows.map(|row| &row[..points.len()]);
    let even = add(
        simd,
        quarter::<_, DIFFERENCES, _, _>(simd, rows, points, 0),
        quarter::<_, DIFFERENCES, _, _>(simd, rows, points, 2),
    );
    let odd = add(
        simd,
        quarter::<_, DIFFERENCES, _, _>(simd, rows, points, 1),
        quarter::<_, DIFFERENCES, _, _>(simd, rows, points, 3),
    );
    add(simd, even, odd)
}

/// The sum of every fourth lane from `first`.
#[inline(always)]
fn quarter<S: Simd, const DIFFERENCES: bool, const VECTORS: usize, const ROWS: usize>(
    simd: S,
    rows: [&[f32]; ROWS],
    points: &[[S::f32s; VECTORS]],
    first: usize,
) -> [[S::f32s; VECTORS]; ROWS] {
    let low = add(
        simd,
        lane::<_, DIFFERENCES, _, _>(simd, rows, points, first),
        lane::<_, DIFFERENCES, _, _>(simd, rows, points, first + 8),
    );
    let high = add(
        simd,
        lane::<_, DIFFERENCES, _, _>(simd, rows, points, first + 4),
        lane::<_, DIFFERENCES, _, _>(simd, rows, points, first + 12),
    );
    add(simd, low, high)
}

#[inline(always)]
fn add<S: Simd, const VECTORS: usize, const ROWS: usize>(
    simd: S,
    mut sums: [[S::f32s; VECTORS]; ROWS],
    others: [[S::f32s; VECTORS]; ROWS],
) -> [[S::f32s; VECTORS]; ROWS] {
    for row in 0..ROWS {
        for vector in 0..VECTORS {
            sums[row][vector] = simd.add_f32s(sums[row][vector], others[row][vector]);
        }
    }
    sums
}

/// The sums of one lane.
#[inline(always)]
fn lane<S: Simd, const DIFFERENCES: bool, const VECTORS: usize, const ROWS: usize>(
    simd: S,
    rows: [&[f32]; ROWS],
    points: &[[S::f32s; VECTORS]],
    first: usize,
) -> [[S::f32s; VECTORS]; ROWS] {
    let mut sums = [[simd.splat_f32s(0.0); VECTORS]; ROWS];
    let mut at = first;
    while at < points.len() {
        for row in 0..ROWS {
            let r = simd.splat_f32s(rows[row][at]);
            for vector in 0..VECTORS {
                let x = points[at][vector];
                let term = if DIFFERENCES {
                    let difference = simd.sub_f32s(x, r);
                    simd.mul_f32s(difference, difference)
                } else {
                    simd.mul_f32s(r, x)
                };
                sums[row][vector] = simd.add_f32s(sums[row][vector], term);
            }
        }
        at += LANES;
    }
    sums
}
