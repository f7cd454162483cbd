//! How high the scores of many rows for many points can be at most, at one multiplication of whole numbers a pair.
//!
//! A row `r` of `d` numbers is rounded to `s·q`: whole numbers `q`, none greater than `Q`, in steps of `s = max|r|/Q`; a
//! point `x` to `t·p` in the same way. `Q` is the greatest with `d·Q² < 2³¹`, so ⟨q,p⟩ is exact in i32, and sixteen
//! products take one instruction of AVX2. No number is off by more than `h = 0.51` steps: half of one by rounding, the
//! rest by the arithmetic of the steps in f32. Hence
//!
//! `|⟨r,x⟩ − s·t·⟨q,p⟩| ≤ s·t·(h·Σ|q| + h·Σ|p| + h²·d) ≤ s·t·C`, with `C = 2·h·d·Q + h²·d + 4γ·d·Q² + 1024`.
//!
//! The last two terms are for [`kernel`](super::kernel)'s rounding and for that of the bound itself. With
//! `γ = (d + 32)·2⁻²⁴`, a sum of `d` products in f32, in any order, is off by at most γ·‖r‖·‖x‖ ≤ γ·s·t·d·Q², and so are
//! together the norms and the quotient of a cosine, relative to them; ⟨q,p⟩ < 2³¹ as f32 and the operations that follow
//! lose less than 1024. So no score without its bias exceeds
//!
//! - **dot**: `s·t·(⟨q,p⟩ + C)`;
//! - **cosine**: the same over ‖r‖·‖x‖; 0 where ‖r‖ is;
//! - **l2**: `−√(‖r‖² + ‖x‖² − 2·s·t·(⟨q,p⟩ + C))`, where the squares are first lowered by 16γ of them, more than all
//!   rounding of sums, differences and root takes: a squared distance is at most twice the sum of the squares.
//!
//! Rounding never turns the order of two sums with the same bias, which is therefore added to a bound as to a score.
//! Where a row is so large, small or broken that this could overflow or vanish, its bound is infinite; where a point is,
//! [`Points::threshold`] rules nothing out.

#![forbid(unsafe_code)]

use std::ops::RangeInclusive;

use pulp::{Arch, Simd, WithSimd};

use super::kernel::{Query, prefetch, squares};
use crate::bundle::Metric;

/// Points that are multiplied together.
pub(super) const COLUMN: usize = 16;

/// Rows that are bounded at once: with a column of points, they fit the first cache.
pub(super) const BLOCK: usize = 32;

/// Rows that are multiplied together: their sums and those of a column stay in registers.
const ROWS: usize = 4;

/// Lanes of a vector.
const LANES: usize = 8;

/// How far a number may be from its rounded one, in steps.
const OFF: f64 = 0.51;

/// The greatest numbers of rows and points that the argument holds for.
const SOUND: RangeInclusive<f32> = 1e-9..=1e9;

/// Two neighbouring numbers of a row or point, rounded.
type Pair = [i16; 2];

/// What the width of rows and points decides.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grid {
    /// `Q`.
    most: f32,
    /// `C`.
    slack: f32,
    /// What squares are lowered by: `1 − 16γ`.
    lowered: f32,
}

impl Grid {
    pub(super) fn new(width: usize) -> Self {
        let width = width as f64;
        let most = (f64::from(i32::MAX) / width).sqrt().floor();
        let most = most.min(f64::from(i16::MAX));
        let gamma = (width + 32.0) * f64::from(f32::EPSILON) / 2.0;
        let slack = 2.0 * OFF * width * most
            + OFF * OFF * width
            + 4.0 * gamma * width * most * most
            + 1024.0;
        Self {
            most: most as f32,
            slack: (1.0001 * slack) as f32,
            lowered: (1.0 - 16.0 * gamma).max(0.0) as f32,
        }
    }

    /// Rounds some numbers, the greatest of which is `greatest`, to `out`, whose place of a missing last number is left
    /// alone. Gives the step.
    #[inline(always)]
    fn round(self, numbers: &[f32], greatest: f32, out: &mut [i16]) -> f32 {
        /// The last digit of a f32 near it is 1, so adding it rounds, and the low bits are those of a whole number.
        const WHOLE: f32 = 1.5 * (1 << 23) as f32;
        let per_step = self.most / greatest;
        for (out, number) in out.iter_mut().zip(numbers) {
            *out = (number * per_step + WHOLE).to_bits() as i16;
        }
        greatest / self.most
    }
}

/// The greatest magnitude; infinite or NaN if any number is.
#[inline(always)]
fn greatest(numbers: &[f32]) -> f32 {
    // As integers, magnitudes rise with their value: this vectorises.
    let bits = numbers.iter().map(|number| number.abs().to_bits());
    f32::from_bits(bits.fold(0, u32::max))
}

/// Up to [`COLUMN`] points, pair by pair; zeros where there are fewer.
pub(super) struct Points {
    len: usize,
    pairs: Vec<[Pair; COLUMN]>,
    /// What a bound of a row is multiplied by: the step; for the metric `cosine`, over the norm.
    steps: [f32; COLUMN],
    /// Lowered squares of the norms.
    squares: [f32; COLUMN],
    sound: [bool; COLUMN],
}

impl Points {
    /// At most [`COLUMN`] queries of one space.
    pub(super) fn new<'a>(grid: Grid, queries: impl Iterator<Item = Query<'a>>) -> Self {
        let mut points = Self {
            len: 0,
            pairs: Vec::new(),
            steps: [0.0; COLUMN],
            squares: [0.0; COLUMN],
            sound: [false; COLUMN],
        };
        for (lane, query) in queries.enumerate().take(COLUMN) {
            points.len = lane + 1;
            let len = query.point.len().div_ceil(2);
            points.pairs.resize(len, [[0; 2]; COLUMN]);
            let greatest = greatest(query.point);
            points.sound[lane] = SOUND.contains(&greatest);
            if !points.sound[lane] {
                continue;
            }
            let mut rounded = vec![[0; 2]; len];
            let step = grid.round(query.point, greatest, rounded.as_flattened_mut());
            for (pairs, pair) in points.pairs.iter_mut().zip(rounded) {
                pairs[lane] = pair;
            }
            points.squares[lane] = grid.lowered * (query.norm * query.norm);
            points.steps[lane] = match query.metric {
                Metric::Cosine => step / query.norm,
                Metric::Dot | Metric::L2 => step,
            };
        }
        points
    }

    /// What the bounds of a point must reach for its scores to reach `threshold`.
    pub(super) fn threshold(&self, lane: usize, threshold: f32) -> f32 {
        match self.sound[lane] {
            true => threshold,
            false => f32::NEG_INFINITY,
        }
    }

    /// What they must reach while every score may enter; nothing reaches that of a point that is not there.
    pub(super) fn thresholds(&self) -> [f32; COLUMN] {
        std::array::from_fn(|lane| match lane < self.len {
            true => f32::NEG_INFINITY,
            false => f32::NAN,
        })
    }
}

/// What turns a row's products into bounds.
#[derive(Clone, Copy, Debug)]
struct Row {
    /// What a product is multiplied by: the step; for the metric `cosine`, over the norm; for `l2`, twice.
    step: f32,
    /// What is added to it then: the step times `C`.
    slack: f32,
    /// The lowered square of the norm, for the metric `l2`.
    square: f32,
    bias: f32,
}

impl Row {
    /// A row that is not there: its bound is NaN, which reaches no threshold.
    const NONE: Self = Self::constant(f32::NAN);

    /// A row of this bound.
    const fn constant(bias: f32) -> Self {
        Self {
            step: 0.0,
            slack: 0.0,
            square: 0.0,
            bias,
        }
    }

    /// What its scores can be at most, from its products with a column of points.
    #[inline(always)]
    fn bound(self, metric: Metric, products: &[i32; COLUMN], points: &Points) -> [f32; COLUMN] {
        let mut bounds = [0.0; COLUMN];
        for lane in 0..COLUMN {
            let product = products[lane] as f32 * self.step + self.slack;
            bounds[lane] = product * points.steps[lane];
        }
        if metric == Metric::L2 {
            for (bound, square) in bounds.iter_mut().zip(&points.squares) {
                *bound = -(self.square + square - *bound).max(0.0).sqrt();
            }
        }
        for bound in &mut bounds {
            *bound += self.bias;
        }
        bounds
    }
}

/// Up to [`BLOCK`] rows, rounded.
pub(super) struct Rows {
    metric: Metric,
    grid: Grid,
    width: usize,
    /// `[BLOCK, ⌈width / 2⌉]`.
    pairs: Vec<Pair>,
    rows: [Row; BLOCK],
}

impl Rows {
    pub(super) fn new(metric: Metric, grid: Grid, width: usize) -> Self {
        Self {
            metric,
            grid,
            width,
            pairs: vec![[0; 2]; BLOCK * width.div_ceil(2)],
            rows: [Row::NONE; BLOCK],
        }
    }

    /// Takes these rows instead, with what [`kernel::Block`](super::kernel::Block) would be given of them.
    pub(super) fn set(&mut self, rows: &[f32], scales: Option<&[f32]>, biases: Option<&[f32]>) {
        struct Set<'a>(
            &'a mut Rows,
            &'a [f32],
            Option<&'a [f32]>,
            Option<&'a [f32]>,
        );
        impl WithSimd for Set<'_> {
            type Output = ();

            #[inline(always)]
            fn with_simd<S: Simd>(self, _: S) {
                let Self(this, rows, scales, biases) = self;
                this.rows = [Row::NONE; BLOCK];
                let pairs = this.pairs.chunks_exact_mut(this.width.div_ceil(2));
                let rounded = this.rows.iter_mut().zip(pairs);
                for (index, (row, (out, pairs))) in
                    rows.chunks_exact(this.width).zip(rounded).enumerate()
                {
                    let scale = scales.map_or(1.0, |scales| scales[index]);
                    let bias = biases.map_or(0.0, |biases| biases[index]);
                    let pairs = pairs.as_flattened_mut();
                    prefetch(row);
                    *out = round_row(this.metric, this.grid, row, scale, bias, pairs);
                }
            }
        }
        Arch::new().dispatch(Set(self, rows, scales, biases));
    }

    /// Sets `bounds` to what the scores can be at most, row by row. Gives those rows, a bit each, for which any point's
    /// bound reaches that point's threshold.
    pub(super) fn bound(
        &self,
        points: &Points,
        thresholds: &[f32; COLUMN],
        bounds: &mut [[f32; COLUMN]; BLOCK],
    ) -> u32 {
        #[cfg(target_arch = "x86_64")]
        if let Some(simd) = pulp::x86::V3::try_new() {
            return simd.vectorize(
                #[inline(always)]
                || self.bound_by(simd, points, thresholds, bounds),
            );
        }
        Arch::new().dispatch(
            #[inline(always)]
            || self.bound_by(Plain, points, thresholds, bounds),
        )
    }

    #[inline(always)]
    fn bound_by<M: Multiply>(
        &self,
        by: M,
        points: &Points,
        thresholds: &[f32; COLUMN],
        bounds: &mut [[f32; COLUMN]; BLOCK],
    ) -> u32 {
        let mut reaching = 0;
        let groups = self.rows.as_chunks::<ROWS>().0.iter();
        let pairs = self.pairs.chunks_exact(ROWS * points.pairs.len());
        let bounds = bounds.as_chunks_mut::<ROWS>().0;
        for (group, ((rows, pairs), bounds)) in groups.zip(pairs).zip(bounds).enumerate() {
            let products = multiply(by, pairs, &points.pairs);
            for (index, (row, bounds)) in rows.iter().zip(bounds).enumerate() {
                *bounds = row.bound(self.metric, &products[index], points);
                let mut any = false;
                for (bound, threshold) in bounds.iter().zip(thresholds) {
                    any |= bound >= threshold;
                }
                reaching |= u32::from(any) << (group * ROWS + index);
            }
        }
        reaching
    }
}

#[inline(always)]
fn round_row(
    metric: Metric,
    grid: Grid,
    row: &[f32],
    scale: f32,
    bias: f32,
    pairs: &mut [i16],
) -> Row {
    let greatest = greatest(row);
    let nothing = greatest == 0.0 || (scale == 0.0 && greatest.is_finite());
    if !bias.is_finite() || !(nothing || SOUND.contains(&(scale * greatest))) {
        return Row::constant(f32::INFINITY);
    }
    if nothing {
        return Row::constant(bias);
    }
    let step = grid.round(row, greatest, pairs);
    let square = match metric {
        Metric::Dot => 0.0,
        Metric::Cosine | Metric::L2 => squares(row),
    };
    let step = match metric {
        Metric::Dot => scale * step,
        Metric::Cosine => step / square.sqrt(),
        Metric::L2 => 2.0 * step,
    };
    Row {
        step,
        slack: grid.slack * step,
        square: grid.lowered * square,
        bias,
    }
}

/// Sums of products of whole numbers.
trait Multiply: Copy {
    /// Pairs of [`LANES`] points.
    type Points: Copy;
    /// A sum for each.
    type Sums: Copy;

    fn points(self, points: &[Pair; LANES]) -> Self::Points;
    fn zero(self) -> Self::Sums;
    /// Adds the two products of a row's pair and each point's.
    fn add(self, sums: Self::Sums, row: Pair, points: Self::Points) -> Self::Sums;
    fn sums(self, sums: Self::Sums) -> [i32; LANES];
}

#[cfg(target_arch = "x86_64")]
impl Multiply for pulp::x86::V3 {
    type Points = pulp::i32x8;
    type Sums = pulp::i32x8;

    #[inline(always)]
    fn points(self, points: &[Pair; LANES]) -> Self::Points {
        pulp::cast(*points)
    }

    #[inline(always)]
    fn zero(self) -> Self::Sums {
        pulp::cast([0; LANES])
    }

    #[inline(always)]
    fn add(self, sums: Self::Sums, row: Pair, points: Self::Points) -> Self::Sums {
        let row = self.avx._mm256_set1_epi32(pulp::cast(row));
        let products = self.avx2._mm256_madd_epi16(row, pulp::cast(points));
        pulp::cast(self.avx2._mm256_add_epi32(pulp::cast(sums), products))
    }

    #[inline(always)]
    fn sums(self, sums: Self::Sums) -> [i32; LANES] {
        pulp::cast(sums)
    }
}

/// What the compiler makes of it.
#[derive(Clone, Copy, Debug)]
struct Plain;

impl Multiply for Plain {
    /// First numbers, second numbers.
    type Points = [[i16; LANES]; 2];
    type Sums = [i32; LANES];

    #[inline(always)]
    fn points(self, points: &[Pair; LANES]) -> Self::Points {
        [points.map(|pair| pair[0]), points.map(|pair| pair[1])]
    }

    #[inline(always)]
    fn zero(self) -> Self::Sums {
        [0; LANES]
    }

    #[inline(always)]
    fn add(self, mut sums: Self::Sums, row: Pair, points: Self::Points) -> Self::Sums {
        for (r, points) in row.into_iter().zip(points) {
            for lane in 0..LANES {
                sums[lane] += i32::from(r) * i32::from(points[lane]);
            }
        }
        sums
    }

    #[inline(always)]
    fn sums(self, sums: Self::Sums) -> [i32; LANES] {
        sums
    }
}

/// The products of [`ROWS`] rows and a column of points.
#[inline(always)]
fn multiply<M: Multiply>(by: M, rows: &[Pair], points: &[[Pair; COLUMN]]) -> [[i32; COLUMN]; ROWS] {
    const VECTORS: usize = COLUMN / LANES;
    let len = points.len();
    let rows: [&[Pair]; ROWS] = std::array::from_fn(|row| &rows[row * len..][..len]);
    let mut sums = [[by.zero(); VECTORS]; ROWS];
    for (at, points) in points.iter().enumerate() {
        let (points, _) = points.as_chunks::<LANES>();
        let points: [M::Points; VECTORS] = std::array::from_fn(|vector| by.points(&points[vector]));
        for row in 0..ROWS {
            for vector in 0..VECTORS {
                sums[row][vector] = by.add(sums[row][vector], rows[row][at], points[vector]);
            }
        }
    }
    let mut products = [[0; COLUMN]; ROWS];
    for (products, sums) in products.iter_mut().zip(sums) {
        for (products, sums) in products.as_chunks_mut::<LANES>().0.iter_mut().zip(sums) {
            *products = by.sums(sums);
        }
    }
    products
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::kernel::Block;
    use super::*;

    const METRICS: [Metric; 3] = [Metric::Dot, Metric::Cosine, Metric::L2];

    /// The scores of some rows for some points, as the kernel gives them, and their bounds, both by AVX2, where it is
    /// there, and without.
    fn scores_and_bounds(
        metric: Metric,
        width: usize,
        rows: &[f32],
        biases: &[f32],
        points: &[f32],
    ) -> Vec<(f32, f32)> {
        let grid = Grid::new(width);
        let queries: Vec<_> = points
            .chunks(width)
            .map(|point| Query::new(metric, point))
            .collect();
        let column = Points::new(grid, queries.iter().copied());
        let mut rounded = Rows::new(metric, grid, width);
        rounded.set(rows, None, Some(biases));
        let thresholds = [f32::INFINITY; COLUMN];
        let [mut bounds, mut plain] = [[[0.0; COLUMN]; BLOCK]; 2];
        let reaching = rounded.bound(&column, &thresholds, &mut bounds);
        let plain_reaching = rounded.bound_by(Plain, &column, &thresholds, &mut plain);
        assert_eq!(reaching, plain_reaching);
        let mut found = Vec::new();
        for (lane, &query) in queries.iter().enumerate() {
            let mut scores = vec![0.0; biases.len()];
            Block {
                query,
                rows,
                scales: None,
                biases: Some(biases),
                scores: &mut scores,
            }
            .score();
            for (row, score) in scores.into_iter().enumerate() {
                let bound = bounds[row][lane];
                assert_eq!(bound.to_bits(), plain[row][lane].to_bits());
                let out_of_range = column.threshold(lane, f32::MAX) == f32::NEG_INFINITY;
                found.push((score, if out_of_range { f32::INFINITY } else { bound }));
            }
        }
        found
    }

    /// Factors of rows and points, from those that the argument holds for to those that it does not.
    fn factor() -> impl Strategy<Value = f32> {
        let odd = vec![
            0.0,
            1e-45,
            1e-30,
            1e-9,
            1e-8,
            1e-3,
            1e3,
            1e8,
            1e9,
            1e19,
            1e30,
            f32::INFINITY,
        ];
        prop_oneof![3 => Just(1.0f32), 1 => proptest::sample::select(odd)]
    }

    proptest! {
        #[test]
        fn no_score_exceeds_its_bound(
            (rows, points) in (1usize..70).prop_flat_map(|width| {
                let numbers = || prop_oneof![
                    proptest::collection::vec(-1.0f32..1.0, width),
                    proptest::collection::vec((-3i8..=3).prop_map(f32::from), width),
                    proptest::collection::vec(prop_oneof![Just(0.499f32), Just(-0.501), Just(1.0)], width),
                ];
                let rows = (numbers(), factor(), prop_oneof![Just(0.0), -1.0f32..1.0, Just(1e6)]);
                (
                    proptest::collection::vec(rows, 1..BLOCK),
                    proptest::collection::vec((numbers(), factor()), 1..COLUMN),
                )
            }),
        ) {
            let width = points[0].0.len();
            let times = |numbers: &[f32], factor: f32| -> Vec<f32> {
                numbers.iter().map(|number| number * factor).collect()
            };
            let biases: Vec<f32> = rows.iter().map(|row| row.2).collect();
            let points: Vec<f32> = points.iter().flat_map(|(point, factor)| times(point, factor.min(1e30))).collect();
            let mut rows: Vec<f32> = rows.iter().flat_map(|(row, factor, _)| times(row, *factor)).collect();
            for copied in [false, true] {
                if copied {
                    // Points among the rows: the largest products and the least distances.
                    rows.iter_mut().zip(points.iter().cycle()).for_each(|(row, point)| *row = *point);
                }
                for metric in METRICS {
                    for (score, bound) in scores_and_bounds(metric, width, &rows, &biases, &points) {
                        prop_assert!(score.is_nan() || score <= bound, "{metric:?}: {score} over {bound}");
                    }
                }
            }
        }

        #[test]
        fn bounds_are_close_to_scores(
            (rows, points) in (2usize..200).prop_flat_map(|width| (
                proptest::collection::vec(proptest::collection::vec(-1.0f32..1.0, width), BLOCK),
                proptest::collection::vec(proptest::collection::vec(-1.0f32..1.0, width), COLUMN),
            )),
        ) {
            let width = rows[0].len();
            let (rows, points) = (rows.concat(), points.concat());
            for metric in METRICS {
                for (score, bound) in scores_and_bounds(metric, width, &rows, &[0.0; BLOCK], &points) {
                    let (score, bound, most) = match metric {
                        Metric::Dot => (score, bound, 0.002 * width as f32),
                        Metric::Cosine => (score, bound, 0.05),
                        Metric::L2 => (-score * score, -bound * bound, 0.004 * width as f32),
                    };
                    prop_assert!(bound - score < most, "{metric:?}: {bound} for {score}");
                }
            }
        }
    }
}
