//! Which of many rows could score high enough for which of many points, by products of bytes.
//!
//! A row is judged by whole numbers `q` of 8 bits: its i8 twin, or what it is rounded to here, `r = s·q` with `s` a
//! 127th of its greatest number. A point `x` is taken as `t·p + δ`, with whole numbers `p` so small that nothing
//! overflows: none is greater than 63, and those of a *lane* come to at most 255 in sum. The argument is that of
//! [`bound`](super::bound), with ‖q‖ itself in the place of the greatest it could be, `ρ` the greatest ‖δ‖/‖x‖ of all
//! points, and `ε = 0.51·s·√d` for a row that is rounded here: half a step a number by rounding, the rest by the
//! arithmetic of the steps in f32. A score without its bias is at most
//!
//! - **dot**: `s·t·⟨q,p⟩ + ‖x‖·(ε·(1 + γ) + (ρ + 4γ)·s·‖q‖)`;
//! - **cosine**: `t·⟨q,p⟩ / (‖x‖·‖q‖) + 1.04·ε/(s·‖q‖) + ρ + 10γ`, if ε is at most half of `s·‖q‖`;
//! - **l2**: `−√((1 − 2γ − ρ)·(‖x‖² + s²·‖q‖²) − 2·s·t·⟨q,p⟩) + ε·(1 + 5γ) + 4γ·(s·‖q‖ + ‖x‖)`.
//!
//! All of these rise with ⟨q,p⟩, so a row can reach a point's threshold only if ⟨q,p⟩ is not less than the number that
//! solves the equation. That number is what is computed here, in f32, a few operations for a row and a point; γ has room
//! for their rounding. Whatever is too large, too small or broken makes it a NaN, and a NaN rules nothing out.
//!
//! How ⟨q,p⟩ is summed tells [`multiply`].

#![forbid(unsafe_code)]

mod leaders;
mod multiply;

pub(super) use leaders::{GROUP, place};
pub(super) use multiply::COLUMN;

use multiply::{Multiply, Plain, QUAD, ROWS, SEGMENT, SIGN, Segment, multiply, segments};
use pulp::{Arch, NullaryFnOnce, Simd, WithSimd};

use super::bound::LARGEST_RATIO;
use super::integer::{Multiplier, SOUND, length};
use super::kernel::{ANY, Query, as_wide, prefetch};
use crate::bundle::Metric;

/// Rows that are judged at once: with a column of points, they fit the first cache.
pub(super) const BLOCK: usize = 32;

/// The greatest `p`.
const MOST: f64 = 63.0;

/// The greatest sum of a lane's |p| before they are rounded, which adds at most half for each of sixteen.
const MOST_OF_LANE: f64 = 246.0;

/// The widest rows whose sums fit 32 bits: 2¹⁵ for each of two lanes of a segment, 2¹⁴ for each square.
const WIDEST: usize = 1 << 16;

/// How far a number of a row that is rounded here may be from it, in steps.
const OFF: f64 = 0.51;

/// What the metric, the width, and the rounding of points make of bounds.
#[derive(Clone, Copy, Debug)]
struct Slack {
    metric: Metric,
    /// ε/s of a row that is rounded here.
    rounding: f32,
    /// A row's slack is `per_error·ε + per_length·s·‖q‖ + constant`; for the metric `cosine`, ε is in lengths of the row.
    per_error: f32,
    per_length: f32,
    constant: f32,
    /// What is left of the squares of a distance.
    kept: f32,
    /// A point's slack is `per_norm·‖x‖ + least`.
    per_norm: f64,
    least: f64,
}

impl Slack {
    /// `rho`: the greatest error of a point.
    fn new(metric: Metric, width: usize, rho: f64) -> Self {
        let gamma = (width as f64 + 32.0) * f64::from(f32::EPSILON) / 2.0;
        let (per_error, per_length, constant, per_norm) = match metric {
            Metric::Dot => (1.0 + gamma, rho + 4.0 * gamma, 0.0, 0.0),
            Metric::Cosine => (1.04, 0.0, rho + 10.0 * gamma, 0.0),
            Metric::L2 => (1.0 + 5.0 * gamma, 4.0 * gamma, 0.0, 4.0 * gamma),
        };
        Self {
            metric,
            rounding: up(OFF * (width as f64).sqrt()),
            per_error: up(per_error),
            per_length: up(per_length),
            constant: up(constant),
            kept: (1.0 - 2.0 * gamma - rho) as f32,
            per_norm,
            least: 1e-18 * width as f64,
        }
    }
}

/// The same, and more than what rounding takes of what is made of it in f32.
fn up(number: f64) -> f32 {
    (1.0001 * number) as f32
}

/// Points of one space, in columns.
pub(super) struct Points {
    slack: Slack,
    width: usize,
    pub(super) columns: Vec<Column>,
}

impl Points {
    /// Queries of one space, of this metric and width.
    pub(super) fn new<'a>(
        metric: Metric,
        width: usize,
        queries: impl Iterator<Item = Query<'a>>,
    ) -> Self {
        let points: Vec<Option<Point>> = queries.map(|query| Point::new(query.point)).collect();
        let rho = points.iter().flatten().map(|point| point.error);
        let slack = Slack::new(metric, width, rho.fold(0.0, f64::max));
        let columns = points.chunks(COLUMN);
        Self {
            slack,
            width,
            columns: columns
                .map(|points| Column::new(slack, width, points))
                .collect(),
        }
    }
}

/// Up to [`COLUMN`] points; where there are fewer, nothing is asked of the rest.
pub(super) struct Column {
    metric: Metric,
    len: usize,
    segments: Vec<Segment>,
    /// 1/τ, where τ is what a product is multiplied by: `t`; for the metric `cosine`, over the norm.
    per_step: [f32; COLUMN],
    /// What a row's slack is multiplied by, over τ: the norm for the metric `dot`, else 1.
    weights: [f32; COLUMN],
    /// What is left of the squares of the norms, for the metric `l2`.
    squares: [f32; COLUMN],
    /// The slack that does not depend on the row.
    slacks: [f32; COLUMN],
    sound: [bool; COLUMN],
}

/// What a column's scores have to reach: a threshold less the point's slack.
pub(super) type Goals = [f32; COLUMN];

impl Column {
    fn new(slack: Slack, width: usize, points: &[Option<Point>]) -> Self {
        let empty = Segment {
            quads: [[[0; QUAD]; COLUMN]; SEGMENT],
            starts: [[0; 2]; COLUMN],
        };
        let mut column = Self {
            metric: slack.metric,
            len: points.len(),
            segments: vec![empty; segments(width)],
            // So that no product reaches an infinite goal where there is no point.
            per_step: [1.0; COLUMN],
            weights: [0.0; COLUMN],
            squares: [f32::INFINITY; COLUMN],
            slacks: [0.0; COLUMN],
            sound: [false; COLUMN],
        };
        for (lane, point) in points.iter().enumerate() {
            if let Some(point) = point {
                column.set(lane, point, slack);
            }
        }
        column
    }

    fn set(&mut self, lane: usize, point: &Point, slack: Slack) {
        let segments = point.numbers.chunks(SEGMENT * QUAD);
        for (segment, numbers) in self.segments.iter_mut().zip(segments) {
            for (quads, numbers) in segment.quads.iter_mut().zip(numbers.chunks(QUAD)) {
                quads[lane][..numbers.len()].copy_from_slice(numbers);
            }
            segment.starts[lane] = [0, 2].map(|first| {
                let pairs = segment
                    .quads
                    .iter()
                    .map(|quads| &quads[lane][first..first + 2]);
                let sum: i32 = pairs.flatten().map(|&p| i32::from(p)).sum();
                // Lanes wrap around.
                (-i32::from(SIGN) * sum) as i16
            });
        }
        let norm = point.norm as f32;
        let (step, weight) = match self.metric {
            Metric::Dot => (point.step, up(point.norm)),
            Metric::Cosine => (point.step / norm, 1.0),
            Metric::L2 => (point.step, 0.0),
        };
        self.per_step[lane] = 1.0 / step;
        self.weights[lane] = weight / step;
        self.squares[lane] = slack.kept * (norm * norm);
        self.slacks[lane] = up(slack.per_norm * point.norm + slack.least);
        self.sound[lane] = true;
    }

    /// What a point's scores have to reach `threshold`.
    pub(super) fn goal(&self, lane: usize, threshold: f32) -> f32 {
        match self.sound[lane] {
            // A score is a sum with a bias, rounded; so is the goal.
            true => (threshold.next_down() - self.slacks[lane]).next_down(),
            false => f32::NAN,
        }
    }

    /// What the scores of each point have to reach its threshold; what none reaches where there is no point.
    pub(super) fn goals(&self, thresholds: &[f32]) -> Goals {
        let mut goals = [f32::INFINITY; COLUMN];
        for (lane, &threshold) in thresholds.iter().enumerate() {
            goals[lane] = self.goal(lane, threshold);
        }
        goals
    }
}

/// A point as `step·p`.
struct Point {
    numbers: Vec<i8>,
    step: f32,
    norm: f64,
    /// ‖x − step·p‖₂ / ‖x‖₂, rounded up.
    error: f64,
}

impl Point {
    /// Nothing for a point whose norm is not [`SOUND`], or that is too wide.
    fn new(point: &[f32]) -> Option<Self> {
        let numbers = || point.iter().map(|&x| f64::from(x));
        let norm = length(numbers());
        if !SOUND.contains(&norm) || point.len() > WIDEST {
            return None;
        }
        let greatest = numbers().fold(0.0, |most: f64, x| most.max(x.abs()));
        let mut step = greatest / MOST;
        for segment in point.chunks(QUAD * SEGMENT) {
            for lane in [0, 1] {
                let pairs = segment.chunks(2).skip(lane).step_by(2).flatten();
                let sum: f64 = pairs.map(|&x| f64::from(x.abs())).sum();
                step = step.max(sum / MOST_OF_LANE);
            }
        }
        let step = step as f32;
        let rounded: Vec<f64> = numbers().map(|x| (x / f64::from(step)).round()).collect();
        let left = length(
            numbers()
                .zip(&rounded)
                .map(|(x, p)| x - f64::from(step) * p),
        );
        Some(Self {
            numbers: rounded.into_iter().map(|p| p as i8).collect(),
            step,
            norm,
            error: 1.000_001 * left / norm,
        })
    }
}

/// Rows to judge: [`BLOCK`] at most.
pub(super) enum Source<'a> {
    /// The ones that scores are defined on.
    Wide(&'a [f32]),
    /// Whole numbers and their scales; and how far these may be from the rows that scores are defined on.
    Quantised {
        rows: &'a [i8],
        scales: &'a [f32],
        errors: Option<&'a [f32]>,
    },
}

/// Up to [`BLOCK`] rows, as bytes, and what their products are judged by.
pub(super) struct Rows {
    slack: Slack,
    width: usize,
    len: usize,
    /// `[BLOCK, segments]`: `q + 128`.
    segments: Vec<[[u8; QUAD]; SEGMENT]>,
    /// Room for `q` of a row that is rounded here.
    whole: Vec<i8>,
    /// 1/σ, where σ is what a product is multiplied by: `s`; for the metric `cosine`, 1/‖q‖; for `l2`, 2·s. NaN for a
    /// row that nothing rules out.
    per_step: [f32; BLOCK],
    /// σ; NaN for a row that does not lead others.
    steps: [f32; BLOCK],
    /// The slack, for the metrics `dot` and `cosine` over σ.
    slacks: [f32; BLOCK],
    biases: [f32; BLOCK],
    /// Whether there are any.
    biased: bool,
    /// What is left of the square of the length, for the metric `l2`.
    squares: [f32; BLOCK],
}

impl Rows {
    /// Rows to be judged for these points.
    pub(super) fn new(points: &Points) -> Self {
        Self {
            slack: points.slack,
            width: points.width,
            len: 0,
            segments: vec![[[SIGN; QUAD]; SEGMENT]; BLOCK * segments(points.width)],
            whole: vec![0; points.width],
            per_step: [0.0; BLOCK],
            steps: [0.0; BLOCK],
            slacks: [0.0; BLOCK],
            biases: [0.0; BLOCK],
            biased: false,
            squares: [0.0; BLOCK],
        }
    }

    /// Takes these rows instead.
    pub(super) fn set(&mut self, source: &Source<'_>, biases: Option<&[f32]>) {
        struct Set<'a>(&'a mut Rows, &'a Source<'a>, Option<&'a [f32]>);
        impl WithSimd for Set<'_> {
            type Output = ();

            #[inline(always)]
            fn with_simd<S: Simd>(self, _: S) {
                let Self(rows, source, biases) = self;
                match rows.width {
                    64 => rows.set_rows::<64>(source, biases),
                    128 => rows.set_rows::<128>(source, biases),
                    _ => rows.set_rows::<ANY>(source, biases),
                }
            }
        }
        Arch::new().dispatch(Set(self, source, biases));
    }

    #[inline(always)]
    fn set_rows<const WIDTH: usize>(&mut self, source: &Source<'_>, biases: Option<&[f32]>) {
        let width = self.width;
        let multiplier = Multiplier::new();
        let places = self.segments.chunks_exact_mut(segments(width));
        let mut places = places.map(|segments| segments.as_flattened_mut().as_flattened_mut());
        let [mut scales, mut errors] = [[0.0; BLOCK]; 2];
        let mut squares = [0; BLOCK];
        match *source {
            Source::Wide(rows) => {
                self.len = rows.len() / width;
                let rows = rows.chunks_exact(width).zip(&mut places);
                let found = squares.iter_mut().zip(&mut scales);
                for ((row, bytes), (square, scale)) in rows.zip(found) {
                    prefetch(row);
                    *scale = round::<WIDTH>(row, &mut self.whole);
                    *square = in_bytes::<WIDTH>(multiplier, &self.whole, bytes);
                }
                errors = scales.map(|scale| self.slack.rounding * scale);
            }
            Source::Quantised {
                rows,
                scales: given,
                errors: distances,
            } => {
                self.len = given.len();
                prefetch(given);
                prefetch(distances.unwrap_or_default());
                let rows = rows.chunks_exact(width).zip(&mut places);
                for ((row, bytes), square) in rows.zip(&mut squares) {
                    prefetch(row);
                    *square = in_bytes::<WIDTH>(multiplier, row, bytes);
                }
                scales[..given.len()].copy_from_slice(given);
                if let Some(distances) = distances {
                    errors[..distances.len()].copy_from_slice(distances);
                }
            }
        }
        self.biased = biases.is_some();
        if let Some(biases) = biases {
            self.biases[..biases.len()].copy_from_slice(biases);
        }
        // One loop for each metric, so that each is one of vectors.
        match self.slack.metric {
            Metric::Dot => self.weigh(Metric::Dot, &scales, &squares, &errors),
            Metric::Cosine => self.weigh(Metric::Cosine, &scales, &squares, &errors),
            Metric::L2 => self.weigh(Metric::L2, &scales, &squares, &errors),
        }
        self.steps[self.len..].fill(f32::NAN);
    }

    /// Of rows `s·q`, with ‖q‖², within ε of what scores are defined on.
    #[inline(always)]
    fn weigh(
        &mut self,
        metric: Metric,
        scales: &[f32; BLOCK],
        squares: &[i32; BLOCK],
        errors: &[f32; BLOCK],
    ) {
        let (least, most) = (*SOUND.start() as f32, *SOUND.end() as f32);
        let slack = self.slack;
        for row in 0..BLOCK {
            let (mut scale, mut error) = (scales[row], errors[row]);
            let mut norm = (squares[row] as f32).sqrt();
            let mut length = scale * norm;
            // Of a row of zeros, nothing but the bias is left of its scores: any scale is as good.
            if (norm == 0.0) & (error == 0.0) {
                (scale, norm, length) = (1.0, 1.0, if metric == Metric::L2 { 0.0 } else { 1.0 });
            }
            let mut sound = (scale >= least) & (scale <= most) & (error <= most);
            let per_step = match metric {
                Metric::Dot => 1.0 / scale,
                Metric::L2 => 0.5 / scale,
                Metric::Cosine => {
                    error /= length;
                    sound &= error <= LARGEST_RATIO;
                    norm
                }
            };
            let of_row = slack.per_error * error + slack.per_length * length + slack.constant;
            let over = match metric {
                Metric::Dot | Metric::Cosine => per_step,
                Metric::L2 => 1.0,
            };
            self.per_step[row] = if sound { per_step } else { f32::NAN };
            self.steps[row] = 1.0 / self.per_step[row];
            self.slacks[row] = of_row * over;
            self.squares[row] = slack.kept * (length * length);
        }
    }

    /// Which rows could reach the goal of any point, a bit each; of such a row, `lanes` then has a bit for each point.
    pub(super) fn reaching(&self, column: &Column, goals: &Goals, lanes: &mut [u16; BLOCK]) -> u32 {
        /// Not a closure: the compiler may leave one outside of the function that has the vectors.
        struct Reaching<'a, M>(M, &'a Rows, &'a Column, &'a Goals, &'a mut [u16; BLOCK]);
        impl<M: Multiply> NullaryFnOnce for Reaching<'_, M> {
            type Output = u32;

            #[inline(always)]
            fn call(self) -> u32 {
                let Self(by, rows, column, goals, lanes) = self;
                rows.reaching_by(by, column, goals, lanes)
            }
        }
        #[cfg(target_arch = "x86_64")]
        if let Some(simd) = pulp::x86::V4::try_new() {
            return simd.vectorize(Reaching(simd, self, column, goals, lanes));
        }
        #[cfg(target_arch = "x86_64")]
        if let Some(simd) = pulp::x86::V3::try_new() {
            return simd.vectorize(Reaching(simd, self, column, goals, lanes));
        }
        Arch::new().dispatch(Reaching(Plain, self, column, goals, lanes))
    }

    #[inline(always)]
    fn reaching_by<M: Multiply>(
        &self,
        by: M,
        column: &Column,
        goals: &Goals,
        lanes: &mut [u16; BLOCK],
    ) -> u32 {
        // One loop for each metric, so that each is one of vectors.
        match column.metric {
            Metric::L2 => self.reaching_least(by, column, lanes, |row| {
                self.least_by_distance(row, column, goals)
            }),
            Metric::Dot | Metric::Cosine if self.biased => {
                self.reaching_least(by, column, lanes, |row| {
                    let mut least = [0.0; COLUMN];
                    for lane in 0..COLUMN {
                        least[lane] = (goals[lane] - self.biases[row]) * column.per_step[lane];
                    }
                    self.least(row, column, &least)
                })
            }
            Metric::Dot | Metric::Cosine => {
                let mut least = *goals;
                for (least, per_step) in least.iter_mut().zip(&column.per_step) {
                    *least *= per_step;
                }
                self.reaching_least(by, column, lanes, |row| self.least(row, column, &least))
            }
        }
    }

    #[inline(always)]
    fn reaching_least<M: Multiply>(
        &self,
        by: M,
        column: &Column,
        lanes: &mut [u16; BLOCK],
        least: impl Fn(usize) -> [f32; COLUMN],
    ) -> u32 {
        let mut reaching = 0;
        let mut products = [[0; COLUMN]; ROWS];
        let groups = self.segments.chunks_exact(ROWS * column.segments.len());
        let groups = groups.zip(lanes.as_chunks_mut::<ROWS>().0);
        for (group, (segments, lanes)) in groups.enumerate().take(self.len.div_ceil(ROWS)) {
            multiply(by, segments, &column.segments, &mut products);
            for (index, (products, lanes)) in products.iter().zip(lanes).enumerate() {
                let row = group * ROWS + index;
                let least = least(row);
                let mut less = true;
                for lane in 0..COLUMN {
                    less &= (products[lane] as f32) < least[lane];
                }
                if !less {
                    reaching |= 1 << row;
                    *lanes = 0;
                    for lane in 0..column.len {
                        let less = (products[lane] as f32) < least[lane];
                        *lanes |= u16::from(!less) << lane;
                    }
                }
            }
        }
        match self.len {
            BLOCK => reaching,
            fewer => reaching & ((1 << fewer) - 1),
        }
    }

    /// The least products of a row by which its scores could reach the goals, for the metrics `dot` and `cosine`.
    ///
    /// `goals`: less the bias, over τ.
    #[inline(always)]
    fn least(&self, row: usize, column: &Column, goals: &Goals) -> [f32; COLUMN] {
        let mut least = [0.0; COLUMN];
        for lane in 0..COLUMN {
            least[lane] =
                goals[lane] * self.per_step[row] - self.slacks[row] * column.weights[lane];
        }
        least
    }

    /// The same for the metric `l2`.
    #[inline(always)]
    fn least_by_distance(&self, row: usize, column: &Column, goals: &Goals) -> [f32; COLUMN] {
        let mut least = [0.0; COLUMN];
        for lane in 0..COLUMN {
            // The greatest distance; no row is as near as a negative one.
            let distance = (self.biases[row] - goals[lane]) + self.slacks[row];
            let distance = if distance < 0.0 { 0.0 } else { distance };
            let product = self.squares[row] + column.squares[lane] - distance * distance;
            least[lane] = product * self.per_step[row] * column.per_step[lane];
        }
        least
    }
}

/// Rounds a row to whole numbers of a byte. Gives its scale.
#[inline(always)]
fn round<const WIDTH: usize>(row: &[f32], whole: &mut [i8]) -> f32 {
    /// The last digit of a f32 near it is 1, so adding it rounds, and the low bits are those of a whole number.
    const WHOLE: f32 = 1.5 * (1 << 23) as f32;
    let row = as_wide::<WIDTH, _>(row);
    // As integers, magnitudes rise with their value: this vectorises.
    let bits = row.iter().map(|number| number.abs().to_bits());
    let greatest = f32::from_bits(bits.fold(0, u32::max));
    // So small a scale is not sound, nor is one that is not finite.
    let per_step = 127.0 / greatest.max(f32::MIN_POSITIVE);
    for (whole, number) in whole.iter_mut().zip(row) {
        *whole = (number * per_step + WHOLE).to_bits() as i8;
    }
    greatest / 127.0
}

/// Writes a row's numbers as bytes without sign. Gives the sum of their squares.
#[inline(always)]
fn in_bytes<const WIDTH: usize>(multiplier: Multiplier, row: &[i8], bytes: &mut [u8]) -> i32 {
    let row = as_wide::<WIDTH, _>(row);
    for (byte, &q) in bytes.iter_mut().zip(row) {
        *byte = q.cast_unsigned() ^ SIGN;
    }
    multiplier.square(row)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::kernel::Block;
    use super::*;

    const METRICS: [Metric; 3] = [Metric::Dot, Metric::Cosine, Metric::L2];

    /// Rows and points, and the scores of every row for every point, as the kernel gives them.
    struct Judged {
        points: Points,
        coarse: Rows,
        scores: Vec<Vec<f32>>,
    }

    impl Judged {
        fn new(
            metric: Metric,
            width: usize,
            table: &Table<'_>,
            biases: &[f32],
            points: &[f32],
        ) -> Self {
            let queries: Vec<_> = points
                .chunks(width)
                .map(|point| Query::new(metric, point))
                .collect();
            let points = Points::new(metric, width, queries.iter().copied());
            let mut coarse = Rows::new(&points);
            let source = match *table {
                Table::Wide(rows) => Source::Wide(rows),
                Table::Whole(rows, scales) => Source::Quantised {
                    rows,
                    scales,
                    errors: None,
                },
                Table::Twins(_, rows, scales, errors) => Source::Quantised {
                    rows,
                    scales,
                    errors: Some(errors),
                },
            };
            let biases = Some(biases).filter(|biases| biases.iter().any(|&bias| bias != 0.0));
            coarse.set(&source, biases);
            let of_query = |&query: &Query<'_>| {
                let mut scores = vec![0.0; coarse.len];
                match *table {
                    Table::Wide(rows) | Table::Twins(rows, ..) => Block {
                        query,
                        rows,
                        chosen: None,
                        scales: None,
                        biases,
                        scores: &mut scores,
                    }
                    .score(),
                    Table::Whole(rows, scales) => Block {
                        query,
                        rows,
                        chosen: None,
                        scales: Some(scales),
                        biases,
                        scores: &mut scores,
                    }
                    .score(),
                }
                scores
            };
            let scores = queries.iter().map(of_query).collect();
            Self {
                points,
                coarse,
                scores,
            }
        }

        /// The points by which a row could score as high as it does and `more`, a bit each: by the widest vectors that are
        /// there, and just so by others and without. Scores that are no numbers are no goals.
        fn reached(&self, row: usize, more: impl Fn(f32) -> f32) -> u16 {
            let column = &self.points.columns[0];
            let mut goals = column.goals(&[f32::NEG_INFINITY; COLUMN][..column.len]);
            for (lane, scores) in self.scores.iter().enumerate() {
                if !scores[row].is_nan() {
                    goals[lane] = column.goal(lane, more(scores[row]));
                }
            }
            let [mut lanes, mut plain] = [[0; BLOCK]; 2];
            let reaching = self.coarse.reaching(column, &goals, &mut lanes);
            let plain_reaching = self.coarse.reaching_by(Plain, column, &goals, &mut plain);
            assert_eq!((reaching, lanes), (plain_reaching, plain));
            #[cfg(target_arch = "x86_64")]
            if let Some(simd) = pulp::x86::V3::try_new() {
                let mut half = [0; BLOCK];
                let reaching_by_half = self.coarse.reaching_by(simd, column, &goals, &mut half);
                assert_eq!((reaching, lanes), (reaching_by_half, half));
            }
            match reaching >> row & 1 {
                1 => {
                    assert_ne!(lanes[row], 0, "a row that reaches no goal");
                    lanes[row]
                }
                _ => 0,
            }
        }

        fn all(&self) -> u16 {
            ((1u32 << self.scores.len()) - 1) as u16
        }
    }

    /// Rows, as numbers or as whole numbers with their scales.
    enum Table<'a> {
        Wide(&'a [f32]),
        Whole(&'a [i8], &'a [f32]),
        /// Rows with twins, and how far apart they are.
        Twins(&'a [f32], &'a [i8], &'a [f32], &'a [f32]),
    }

    /// Rows as far from what they are judged by as they can be, and just towards the point.
    #[test]
    fn rows_that_are_rounded_away_from_the_point_reach_their_scores() {
        for width in 2..=5 {
            // No more than three numbers a lane: the point itself is not rounded.
            let point: Vec<f32> = (0..width).map(|i| [1.0, -1.0][i % 2]).collect();
            let mut whole: Vec<i8> = vec![0; width];
            whole[0] = 127;
            let mut row: Vec<f32> = point.iter().map(|x| 0.499 * x).collect();
            row[0] = 127.0;
            let away = row[1..].iter().map(|x| x * x).sum::<f32>().sqrt();
            for metric in METRICS {
                for table in [
                    Table::Wide(&row),
                    Table::Twins(&row, &whole, &[1.0], &[away.next_up()]),
                ] {
                    let judged = Judged::new(metric, width, &table, &[0.0], &point);
                    assert_eq!(judged.reached(0, |score| score), 1, "{metric:?} {width}");
                }
            }
        }
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
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn every_row_reaches_its_score(
            (rows, points) in (1usize..70).prop_flat_map(|width| {
                let numbers = || prop_oneof![
                    proptest::collection::vec(-1.0f32..1.0, width),
                    proptest::collection::vec((-3i8..=3).prop_map(f32::from), width),
                    proptest::collection::vec(prop_oneof![Just(0.499f32), Just(-0.501), Just(1.0)], width),
                ];
                let rows = (numbers(), factor(), prop_oneof![Just(0.0), -1.0f32..1.0, Just(1e6)]);
                (
                    proptest::collection::vec(rows, 1..8),
                    proptest::collection::vec((numbers(), factor()), 1..5),
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
                    let judged = Judged::new(metric, width, &Table::Wide(&rows), &biases, &points);
                    for row in 0..biases.len() {
                        prop_assert_eq!(judged.reached(row, |score| score), judged.all(), "{:?}", metric);
                    }
                }
            }
        }

        #[test]
        fn every_row_of_whole_numbers_reaches_its_score(
            (rows, points) in (1usize..140).prop_flat_map(|width| {
                let extreme = proptest::sample::select(vec![-128i8, -127, 127]);
                let row = prop_oneof![
                    proptest::collection::vec(any::<i8>(), width),
                    proptest::collection::vec(extreme, width),
                    Just(vec![127i8; width]),
                ];
                let point = prop_oneof![
                    proptest::collection::vec(-1.0f32..1.0, width),
                    Just(vec![1.0f32; width]),
                    proptest::collection::vec(proptest::sample::select(vec![-1.0f32, 1.0]), width),
                ];
                (
                    proptest::collection::vec((row, prop_oneof![Just(0.0f32), 1e-3f32..1.0]), 1..8),
                    proptest::collection::vec(point, 1..5),
                )
            }),
        ) {
            let width = points[0].len();
            let scales: Vec<f32> = rows.iter().map(|row| row.1).collect();
            let rows: Vec<i8> = rows.into_iter().flat_map(|row| row.0).collect();
            let biases = vec![0.0; scales.len()];
            let points = points.concat();
            for metric in METRICS {
                let judged = Judged::new(metric, width, &Table::Whole(&rows, &scales), &biases, &points);
                for row in 0..biases.len() {
                    prop_assert_eq!(judged.reached(row, |score| score), judged.all(), "{:?}", metric);
                }
            }
        }

        #[test]
        fn no_row_reaches_much_more(
            (rows, points) in (24usize..200).prop_flat_map(|width| (
                proptest::collection::vec(proptest::collection::vec(-1.0f32..1.0, width), 6),
                proptest::collection::vec(proptest::collection::vec(-1.0f32..1.0, width), 4),
            )),
        ) {
            let width = rows[0].len();
            let (rows, points) = (rows.concat(), points.concat());
            for metric in METRICS {
                let judged = Judged::new(metric, width, &Table::Wide(&rows), &[0.0; 6], &points);
                for row in 0..6 {
                    let more = |score: f32| match metric {
                        Metric::Dot => score + 0.05 * width as f32,
                        Metric::Cosine => score + 0.1,
                        Metric::L2 => -(score * score - 0.12 * width as f32).max(0.0).sqrt(),
                    };
                    prop_assert_eq!(judged.reached(row, more), 0, "{:?}", metric);
                }
            }
        }
    }
}
