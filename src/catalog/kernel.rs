//! The arithmetic of scores, written so that every processor computes the same numbers.
//!
//! Sums run in 16 independent lanes of f32: element `i` of a row goes to lane `i mod 16`, by a multiplication and an
//! addition, never a fused one; the lanes are then added in halves (16 → 8 → 4 → 2 → 1). The compiler maps the lanes
//! to whatever vectors the processor has ([`pulp`] compiles the loops once for each set and picks at run time), and
//! neither their width nor the number of threads changes a bit of the result.

#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::hint::black_box;

use half::f16;
use pulp::{Arch, Simd, WithSimd};

use crate::bundle::{Element, Metric};

pub(super) const LANES: usize = 16;

/// Rows whose lanes are summed before those of any are added up: in one loop, the compiler would mix the two and take
/// vectors apart. With 4, rows of f32 are scored as fast as memory gives them; with 8 it takes a third longer.
const GROUP: usize = 4;

/// How far ahead of its use a row is asked for, in bytes. The processor's own prefetcher stops at the end of a page and
/// falls behind while lanes are added up; this measures up to a third faster from memory.
const AHEAD: usize = 2048;

/// A number as it is stored in a row.
pub(super) trait Stored: Element + Sync + Send {
    /// Whether rows of it have a scale.
    const SCALED: bool;

    /// Its value, exactly; with `FINITE`, only that of a number that [`all_finite`](Self::all_finite) admits.
    fn widen<const FINITE: bool>(self) -> f32;

    /// Whether all are finite; true for a type whose numbers widen in one way whether they are or not.
    fn all_finite(_: &[Self]) -> bool {
        true
    }
}

impl Stored for f32 {
    const SCALED: bool = false;

    #[inline(always)]
    fn widen<const FINITE: bool>(self) -> f32 {
        self
    }
}

impl Stored for i8 {
    const SCALED: bool = true;

    #[inline(always)]
    fn widen<const FINITE: bool>(self) -> f32 {
        f32::from(self)
    }
}

impl Stored for f16 {
    const SCALED: bool = false;

    /// Without branches or calls, so that it vectorises on processors without an instruction for it.
    #[inline(always)]
    fn widen<const FINITE: bool>(self) -> f32 {
        /// 2¹¹²: the biases of the two formats' exponents, 127 and 15, differ by 112.
        const REBIAS: f32 = f32::from_bits((127 + 112) << 23);
        const INFINITE: u32 = 0x7c00 << 13;

        let bits = i32::from(self.to_bits().cast_signed()).cast_unsigned() << 13;
        // Exact for subnormals too: m·2⁻²⁴ stands here as m·2⁻¹³⁶, a subnormal f32.
        let value = f32::from_bits(bits & (0x8000_0000 | 0x7fff << 13)) * REBIAS;
        if FINITE {
            return value;
        }
        // Infinity and NaN have the greatest exponent of either format; the product has made numbers of them.
        let exponent = if bits & INFINITE == INFINITE {
            0x7f80_0000
        } else {
            0
        };
        f32::from_bits(value.to_bits() | exponent)
    }

    #[inline(always)]
    fn all_finite(numbers: &[Self]) -> bool {
        const INFINITE: u16 = 0x7c00;
        let infinite = |number: &f16| number.to_bits() & INFINITE == INFINITE;
        !numbers
            .iter()
            .fold(false, |any, number| any | infinite(number))
    }
}

#[inline(always)]
fn add_lanes(lanes: &[f32; LANES]) -> f32 {
    let eight: [f32; 8] = std::array::from_fn(|lane| lanes[lane] + lanes[lane + 8]);
    let four: [f32; 4] = std::array::from_fn(|lane| eight[lane] + eight[lane + 4]);
    (four[0] + four[2]) + (four[1] + four[3])
}

/// Asks for what lies [`AHEAD`] of a row.
#[inline(always)]
pub(super) fn prefetch<T>(row: &[T]) {
    prefetch_bytes(
        row.as_ptr().cast::<u8>().wrapping_add(AHEAD),
        size_of_val(row),
    );
}

/// Asks for so many bytes from an address, which need not be valid.
#[inline(always)]
pub(super) fn prefetch_bytes(start: *const u8, bytes: usize) {
    #[cfg(target_arch = "x86_64")]
    if let Some(sse) = pulp::core_arch::x86::Sse::try_new() {
        const LINE: usize = 64;
        const TO_ALL_CACHES: i32 = 3;
        for line in (0..bytes).step_by(LINE) {
            sse._mm_prefetch::<TO_ALL_CACHES>(start.wrapping_add(line).cast());
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (start, bytes);
}

/// Sets `sums` to the sum of `term(row[i], point[i])`, by lanes.
#[inline(always)]
fn sum<T: Stored, const FINITE: bool>(
    sums: &mut [f32; LANES],
    row: &[T],
    point: &[f32],
    term: impl Fn(f32, f32) -> f32,
) {
    let mut sum = [0.0; LANES];
    let (rows, row_rest) = row.as_chunks::<LANES>();
    let (points, point_rest) = point.as_chunks::<LANES>();
    for (row, point) in rows.iter().zip(points) {
        for lane in 0..LANES {
            sum[lane] += term(row[lane].widen::<FINITE>(), point[lane]);
        }
    }
    *sums = sum;
    for ((sum, &stored), &x) in sums.iter_mut().zip(row_rest).zip(point_rest) {
        *sum += term(stored.widen::<FINITE>(), x);
    }
}

/// Sets `sums` to the sum of `row[i]·point[i]` and `squares` to that of `row[i]²`, by lanes.
#[inline(always)]
fn sum_and_squares<T: Stored, const FINITE: bool>(
    sums: &mut [f32; LANES],
    squares: &mut [f32; LANES],
    row: &[T],
    point: &[f32],
) {
    let (mut sum, mut square) = ([0.0; LANES], [0.0; LANES]);
    let (rows, row_rest) = row.as_chunks::<LANES>();
    let (points, point_rest) = point.as_chunks::<LANES>();
    for (row, point) in rows.iter().zip(points) {
        for lane in 0..LANES {
            sum[lane] += row[lane].widen::<FINITE>() * point[lane];
        }
        for lane in 0..LANES {
            let r = row[lane].widen::<FINITE>();
            square[lane] += r * r;
        }
    }
    *sums = sum;
    *squares = square;
    for (lane, (&stored, &x)) in row_rest.iter().zip(point_rest).enumerate() {
        let r = stored.widen::<FINITE>();
        sums[lane] += r * x;
        squares[lane] += r * r;
    }
}

/// A query: the point, its norm, and how rows are compared with it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Query<'a> {
    pub(super) metric: Metric,
    pub(super) point: &'a [f32],
    /// ‖point‖₂.
    pub(super) norm: f32,
}

impl<'a> Query<'a> {
    pub(super) fn new(metric: Metric, point: &'a [f32]) -> Self {
        Self {
            metric,
            point,
            norm: squares(point).sqrt(),
        }
    }

    /// The point; for the metric `cosine`, of length 1, unless it is 0.
    pub(super) fn unit(&self) -> Cow<'a, [f32]> {
        if self.metric == Metric::Cosine && self.norm > 0.0 {
            self.point.iter().map(|x| x / self.norm).collect()
        } else {
            self.point.into()
        }
    }
}

impl Metric {
    /// A score without bias, from the sum that the metric takes of a row and a point.
    ///
    /// `square`: the sum of the row's squares, for [`Cosine`](Self::Cosine) only; `norm`: that of the point; `scale`:
    /// the row's, or 1. The sum of [`L2`](Self::L2) has the scale in it.
    #[inline(always)]
    pub(super) fn score(self, sum: f32, square: f32, norm: f32, scale: f32) -> f32 {
        match self {
            Self::Dot => scale * sum,
            Self::Cosine => {
                let norms = norm * (scale.abs() * square.sqrt());
                if norms == 0.0 {
                    0.0
                } else {
                    scale * sum / norms
                }
            }
            Self::L2 => -sum.sqrt(),
        }
    }
}

/// The sum of a row's squares.
#[inline(always)]
pub(super) fn squares(row: &[f32]) -> f32 {
    let mut lanes = [0.0; LANES];
    sum::<_, true>(&mut lanes, row, row, |r, x| r * x);
    add_lanes(&lanes)
}

/// A block of rows to score, with their scales and biases.
pub(super) struct Block<'a, T> {
    pub(super) query: Query<'a>,
    pub(super) rows: &'a [T],
    /// The rows that are scored, `scores.len()` of them: all rows one after the other, unless these are given.
    pub(super) chosen: Option<&'a [u32]>,
    pub(super) scales: Option<&'a [f32]>,
    pub(super) biases: Option<&'a [f32]>,
    pub(super) scores: &'a mut [f32],
}

impl<T: Stored> Block<'_, T> {
    /// Fills `scores`.
    pub(super) fn score(self) {
        Arch::new().dispatch(self);
    }
}

impl<T: Stored> WithSimd for Block<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        // Loops of a known length lie open to the compiler, which keeps the point in registers.
        match self.query.point.len() {
            64 => self.score_rows::<64>(),
            128 => self.score_rows::<128>(),
            _ => self.score_rows::<ANY>(),
        }
    }
}

/// Stands for a width that is not known when this is compiled.
pub(super) const ANY: usize = 0;

/// The numbers of a row, `WIDTH` of them unless that is [`ANY`].
#[inline(always)]
pub(super) fn as_wide<const WIDTH: usize, T>(row: &[T]) -> &[T] {
    match WIDTH {
        ANY => row,
        _ => row.get(..WIDTH).unwrap_or(row),
    }
}

impl<T: Stored> Block<'_, T> {
    #[inline(always)]
    fn score_rows<const WIDTH: usize>(self) {
        let width = match WIDTH {
            ANY => self.query.point.len().max(1),
            _ => WIDTH,
        };
        let scales = self.scales.filter(|_| T::SCALED);
        let mut lanes = [[[0.0; LANES]; GROUP]; 2];
        if let Some(chosen) = self.chosen {
            for (score, &row) in self.scores.iter_mut().zip(chosen) {
                let row = row as usize;
                let numbers = &self.rows[row * width..][..width];
                let scales = scales.map(|scales| &scales[row..=row]);
                let scores = std::slice::from_mut(score);
                score_group::<T, WIDTH>(self.query, numbers, scales, scores, &mut lanes);
                *score += self.biases.map_or(0.0, |biases| biases[row]);
            }
            return;
        }
        let groups = self.scores.chunks_mut(GROUP);
        for (group, (scores, rows)) in groups.zip(self.rows.chunks(GROUP * width)).enumerate() {
            let scales = scales.map(|scales| &scales[group * GROUP..][..scores.len()]);
            score_group::<T, WIDTH>(self.query, rows, scales, scores, &mut lanes);
        }
        match self.biases {
            Some(biases) => self
                .scores
                .iter_mut()
                .zip(biases)
                .for_each(|(score, bias)| *score += bias),
            // Turns −0 into 0, as adding a bias of 0 does.
            None => self.scores.iter_mut().for_each(|score| *score += 0.0),
        }
    }
}

/// Scores at most [`GROUP`] rows, without biases. `lanes` is room for those of sums and squares.
#[inline(always)]
fn score_group<T: Stored, const WIDTH: usize>(
    query: Query<'_>,
    rows: &[T],
    scales: Option<&[f32]>,
    scores: &mut [f32],
    lanes: &mut [[[f32; LANES]; GROUP]; 2],
) {
    match T::all_finite(rows) {
        true => score_numbers::<T, WIDTH, true>(query, rows, scales, scores, lanes),
        false => score_numbers::<T, WIDTH, false>(query, rows, scales, scores, lanes),
    }
}

/// The same; `FINITE`: of rows without infinities.
#[inline(always)]
fn score_numbers<T: Stored, const WIDTH: usize, const FINITE: bool>(
    query: Query<'_>,
    rows: &[T],
    scales: Option<&[f32]>,
    scores: &mut [f32],
    [sums, squares]: &mut [[[f32; LANES]; GROUP]; 2],
) {
    let Query {
        metric,
        point,
        norm,
    } = query;
    let point = as_wide::<WIDTH, _>(point);
    // After fewer rows, nobody reads on.
    if scores.len() == GROUP {
        prefetch(rows);
    }
    let rows = rows
        .chunks_exact(point.len().max(1))
        .map(as_wide::<WIDTH, _>);
    let scale = |index: usize| scales.map_or(1.0, |scales| scales[index]);
    match metric {
        Metric::Dot => {
            for (sums, row) in sums.iter_mut().zip(rows) {
                sum::<_, FINITE>(sums, row, point, |r, x| r * x);
            }
        }
        Metric::Cosine => {
            for ((sums, squares), row) in sums.iter_mut().zip(squares.iter_mut()).zip(rows) {
                sum_and_squares::<_, FINITE>(sums, squares, row, point);
            }
        }
        Metric::L2 => {
            for (index, (sums, row)) in sums.iter_mut().zip(rows).enumerate() {
                let scale = scale(index);
                sum::<_, FINITE>(sums, row, point, |r, x| {
                    let difference = x - if T::SCALED { scale * r } else { r };
                    difference * difference
                });
            }
        }
    }
    // Of few rows the compiler would mix the two loops, and take vectors apart.
    let (sums, squares) = (black_box(&*sums), black_box(&*squares));
    for (index, score) in scores.iter_mut().enumerate() {
        let square = match metric {
            Metric::Cosine => add_lanes(&squares[index]),
            _ => 0.0,
        };
        *score = metric.score(add_lanes(&sums[index]), square, norm, scale(index));
    }
}

/// How many scores reach the threshold.
pub(super) fn reaching(scores: &[f32], threshold: f32) -> usize {
    struct Reaching<'a>(&'a [f32], f32);
    impl WithSimd for Reaching<'_> {
        type Output = usize;

        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> usize {
            let count = |count, &score: &f32| count + u32::from(score >= self.1);
            self.0.iter().fold(0, count) as usize
        }
    }
    Arch::new().dispatch(Reaching(scores, threshold))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_f16_widens_exactly() {
        for bits in 0..=u16::MAX {
            let stored = f16::from_bits(bits);
            let (found, expected) = (stored.widen::<false>(), stored.to_f32_const());
            let same =
                found.to_bits() == expected.to_bits() || (found.is_nan() && expected.is_nan());
            assert!(same, "{bits:#x}: {found} for {expected}");
            assert_eq!(f16::all_finite(&[f16::ONE, stored]), stored.is_finite());
            if stored.is_finite() {
                assert_eq!(stored.widen::<true>().to_bits(), expected.to_bits());
            }
        }
    }

    #[test]
    fn an_infinite_number_changes_no_other_row() {
        let point: Vec<f32> = (0..19).map(|column| 0.3 - column as f32 / 7.0).collect();
        let mut rows: Vec<f16> = (0..19 * 2 * GROUP)
            .map(|index| f16::from_f32((index % 31) as f32 / 9.0 - 1.5))
            .collect();
        for metric in [Metric::Dot, Metric::Cosine, Metric::L2] {
            let scores = |rows: &[f16]| {
                let mut scores = vec![0.0; 2 * GROUP];
                Block {
                    query: Query::new(metric, &point),
                    rows,
                    chosen: None,
                    scales: None,
                    biases: None,
                    scores: &mut scores,
                }
                .score();
                scores
            };
            rows[19 * 3 + 18] = f16::ONE;
            let finite = scores(&rows);
            for (stored, nan) in [(f16::INFINITY, metric == Metric::Cosine), (f16::NAN, true)] {
                rows[19 * 3 + 18] = stored;
                let mut scores = scores(&rows);
                assert!(!scores[3].is_finite() && scores[3].is_nan() == nan);
                scores[3] = finite[3];
                assert_eq!(scores, finite);
            }
        }
    }

    #[test]
    fn the_lanes_are_added_in_halves() {
        // Large and small numbers whose sum depends on the order.
        let lanes: [f32; LANES] = std::array::from_fn(|lane| {
            if lane % 3 == 0 {
                1e8
            } else {
                1.0 + lane as f32
            }
        });
        let mut halves = lanes.to_vec();
        while halves.len() > 1 {
            let (low, high) = halves.split_at(halves.len() / 2);
            halves = low.iter().zip(high).map(|(a, b)| a + b).collect();
        }
        assert_eq!(add_lanes(&lanes), halves[0]);
    }

    #[test]
    fn a_threshold_is_reached_by_an_equal_score_and_never_by_nan() {
        assert_eq!(reaching(&[0.0, 1.0, 2.0], 1.0), 2);
        assert_eq!(reaching(&[0.0, f32::NAN], 1.0), 0);
        assert_eq!(reaching(&[f32::NEG_INFINITY], f32::NEG_INFINITY), 1);
    }
}
