//! Which row of each group seems to score best.
//!
//! That is a guess, by ⟨q,p⟩ alone: nothing is taken off for what the bytes leave out, and the last bits of what a row
//! seems to score give way to its place. Whoever asks has the rows scored before anything rests on them.

#![forbid(unsafe_code)]

use pulp::{Arch, NullaryFnOnce};

use super::{BLOCK, COLUMN, Column, Metric, Multiply, Plain, ROWS, Rows, multiply};

/// Rows of which the best is sought.
pub(in super::super) const GROUP: usize = 16;

/// What the best row of each group seems to score for each point, in numbers that are comparable for one point; the last
/// bits are its place. Minus infinity where no row is sound.
pub(in super::super) type Leaders = [[f32; COLUMN]; BLOCK / GROUP];

/// The place in its group of the row that seems to score this.
pub(in super::super) fn place(leader: f32) -> usize {
    leader.to_bits() as usize % GROUP
}

impl Rows {
    /// Makes sure that a row does not lead: it may not rank.
    pub(in super::super) fn pass_over(&mut self, row: usize) {
        self.steps[row] = f32::NAN;
    }

    /// Which row of each group seems to score best for each point.
    pub(in super::super) fn leaders(&self, column: &Column) -> Leaders {
        /// Not a closure, like what says which rows reach a goal.
        struct Leading<'a, M>(M, &'a Rows, &'a Column);
        impl<M: Multiply> NullaryFnOnce for Leading<'_, M> {
            type Output = Leaders;

            #[inline(always)]
            fn call(self) -> Leaders {
                let Self(by, rows, column) = self;
                rows.leaders_by(by, column)
            }
        }
        #[cfg(target_arch = "x86_64")]
        if let Some(simd) = pulp::x86::V4::try_new() {
            return simd.vectorize(Leading(simd, self, column));
        }
        #[cfg(target_arch = "x86_64")]
        if let Some(simd) = pulp::x86::V3::try_new() {
            return simd.vectorize(Leading(simd, self, column));
        }
        Arch::new().dispatch(Leading(Plain, self, column))
    }

    #[inline(always)]
    pub(super) fn leaders_by<M: Multiply>(&self, by: M, column: &Column) -> Leaders {
        // One loop for each metric, so that each is one of vectors.
        match (column.metric, self.biased) {
            (Metric::Dot | Metric::Cosine, false) => self.leading::<M, Product>(by, column),
            (Metric::Dot | Metric::Cosine, true) => self.leading::<M, Biased>(by, column),
            (Metric::L2, _) => self.leading::<M, Distance>(by, column),
        }
    }

    #[inline(always)]
    fn leading<M: Multiply, G: Guess>(&self, by: M, column: &Column) -> Leaders {
        let mut leaders = [[f32::NEG_INFINITY; COLUMN]; BLOCK / GROUP];
        let mut products = [[0; COLUMN]; ROWS];
        let len = column.segments.len();
        for (group, leaders) in leaders.iter_mut().enumerate() {
            let mut leading = *leaders;
            for first in (group * GROUP..self.len.min((group + 1) * GROUP)).step_by(ROWS) {
                let segments = &self.segments[first * len..][..ROWS * len];
                multiply(by, segments, &column.segments, &mut products);
                for (row, products) in (first..).zip(&products) {
                    let scores = G::scores(self, row, column, products);
                    for lane in 0..COLUMN {
                        let bits = scores[lane].to_bits() & !(GROUP as u32 - 1);
                        let score = f32::from_bits(bits | (row % GROUP) as u32);
                        // A branch would take the vectors apart. NaN leads nowhere.
                        let leads = score > leading[lane];
                        leading[lane] = if leads { score } else { leading[lane] };
                    }
                }
            }
            *leaders = leading;
        }
        leaders
    }
}

/// What rows seem to score, by their products.
trait Guess {
    fn scores(rows: &Rows, row: usize, column: &Column, products: &[i32; COLUMN]) -> [f32; COLUMN];
}

/// In steps of the point, for the metrics `dot` and `cosine`.
struct Product;

impl Guess for Product {
    #[inline(always)]
    fn scores(rows: &Rows, row: usize, _: &Column, products: &[i32; COLUMN]) -> [f32; COLUMN] {
        let mut scores = [0.0; COLUMN];
        for lane in 0..COLUMN {
            scores[lane] = products[lane] as f32 * rows.steps[row];
        }
        scores
    }
}

/// The same with a bias.
struct Biased;

impl Guess for Biased {
    #[inline(always)]
    fn scores(rows: &Rows, row: usize, column: &Column, products: &[i32; COLUMN]) -> [f32; COLUMN] {
        let mut scores = [0.0; COLUMN];
        for lane in 0..COLUMN {
            let score = products[lane] as f32 * rows.steps[row];
            scores[lane] = score + rows.biases[row] * column.per_step[lane];
        }
        scores
    }
}

/// For the metric `l2`.
struct Distance;

impl Guess for Distance {
    #[inline(always)]
    fn scores(rows: &Rows, row: usize, column: &Column, products: &[i32; COLUMN]) -> [f32; COLUMN] {
        let mut scores = [0.0; COLUMN];
        for lane in 0..COLUMN {
            let product = products[lane] as f32 * rows.steps[row] / column.per_step[lane];
            let square = rows.squares[row] + column.squares[lane] - product;
            // A NaN stays one.
            let square = if square < 0.0 { 0.0 } else { square };
            scores[lane] = rows.biases[row] - square.sqrt();
        }
        scores
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Points, Source};
    use super::*;
    use crate::catalog::kernel::{Block, Query};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn leaders_score_nearly_the_best_of_their_group(
            (rows, points) in (24usize..150).prop_flat_map(|width| (
                proptest::collection::vec((proptest::collection::vec(-1.0f32..1.0, width), -1.0f32..1.0), 1..=BLOCK),
                proptest::collection::vec(proptest::collection::vec(-1.0f32..1.0, width), 1..=COLUMN),
            )),
            biased: bool,
            passed in proptest::option::of(0..BLOCK),
        ) {
            let width = points[0].len();
            let biases: Vec<f32> = rows.iter().map(|row| row.1).collect();
            let biases = biased.then_some(&biases[..]);
            let len = rows.len();
            let rows: Vec<f32> = rows.into_iter().flat_map(|row| row.0).collect();
            for metric in [Metric::Dot, Metric::Cosine, Metric::L2] {
                let queries: Vec<Query<'_>> = points.iter().map(|point| Query::new(metric, point)).collect();
                let columns = Points::new(metric, width, queries.iter().copied());
                let mut coarse = Rows::new(&columns);
                coarse.set(&Source::Wide(&rows), biases);
                if let Some(row) = passed {
                    coarse.pass_over(row);
                }
                let column = &columns.columns[0];
                let leaders = coarse.leaders(column);
                let same = |others: Leaders| others.map(|of| of.map(f32::to_bits)) == leaders.map(|of| of.map(f32::to_bits));
                prop_assert!(same(coarse.leaders_by(Plain, column)));
                #[cfg(target_arch = "x86_64")]
                if let Some(simd) = pulp::x86::V3::try_new() {
                    prop_assert!(same(coarse.leaders_by(simd, column)));
                }
                for (lane, &query) in queries.iter().enumerate() {
                    let mut scores = vec![0.0; len];
                    Block { query, rows: &rows, chosen: None, scales: None, biases, scores: &mut scores }.score();
                    if let Some(score) = passed.and_then(|row| scores.get_mut(row)) {
                        *score = f32::NEG_INFINITY;
                    }
                    for (scores, leaders) in scores.chunks(GROUP).zip(&leaders) {
                        let best = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                        if best == f32::NEG_INFINITY {
                            prop_assert_eq!(leaders[lane], best);
                            continue;
                        }
                        let leading = scores[place(leaders[lane])];
                        let near = match metric {
                            Metric::Dot => leading + 0.05 * width as f32 >= best,
                            Metric::Cosine => leading + 0.1 >= best,
                            Metric::L2 => leading + 0.05 * (width as f32).sqrt() >= best,
                        };
                        prop_assert!(near, "{metric:?}: {leading} for {best}");
                    }
                }
            }
        }
    }
}
