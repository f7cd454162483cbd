//! The arithmetic of scores, written so that every processor computes the same numbers.
//!
//! Sums run in 16 independent lanes of f32: element `i` of a row goes to lane `i mod 16`, by a multiplication and an
//! addition, never a fused one; the lanes are then added in halves (16 → 8 → 4 → 2 → 1). The compiler maps the lanes
//! to whatever vectors the processor has ([`pulp`] compiles the loops once for each set and picks at run time), and
//! neither their width nor the number of threads changes a bit of the result.

#![forbid(unsafe_code)]

use half::f16;
use pulp::{Arch, Simd, WithSimd};

use crate::bundle::{Element, Metric};

const LANES: usize = 16;

/// A number as it is stored in a row.
pub(super) trait Stored: Element + Sync + Send {
    /// Whether rows of it have a scale.
    const SCALED: bool;

    /// Its value, exactly.
    fn widen(self) -> f32;
}

impl Stored for f32 {
    const SCALED: bool = false;

    #[inline(always)]
    fn widen(self) -> f32 {
        self
    }
}

impl Stored for i8 {
    const SCALED: bool = true;

    #[inline(always)]
    fn widen(self) -> f32 {
        f32::from(self)
    }
}

impl Stored for f16 {
    const SCALED: bool = false;

    /// Without branches or calls, so that it vectorises on processors without an instruction for it.
    #[inline(always)]
    fn widen(self) -> f32 {
        /// 2¹¹²: the biases of the two formats' exponents, 127 and 15, differ by 112.
        const REBIAS: f32 = f32::from_bits((127 + 112) << 23);
        const INFINITE: u32 = 0x7c00 << 13;

        let bits = i32::from(self.to_bits().cast_signed()).cast_unsigned() << 13;
        let (sign, magnitude) = (bits & 0x8000_0000, bits & (0x7fff << 13));
        // Infinity and NaN have the greatest exponent of either format; the product would make numbers of them.
        let exponent = if magnitude >= INFINITE {
            0x7f80_0000
        } else {
            0
        };
        // Exact for subnormals too: m·2⁻²⁴ stands here as m·2⁻¹³⁶, a subnormal f32.
        let value = f32::from_bits(sign | magnitude) * REBIAS;
        f32::from_bits(value.to_bits() | exponent)
    }
}

#[inline(always)]
fn add_lanes(lanes: [f32; LANES]) -> f32 {
    let eight: [f32; 8] = std::array::from_fn(|lane| lanes[lane] + lanes[lane + 8]);
    let four: [f32; 4] = std::array::from_fn(|lane| eight[lane] + eight[lane + 4]);
    (four[0] + four[2]) + (four[1] + four[3])
}

/// The sum of `term(row[i], point[i])` and, if `SQUARES`, that of `row[i]²`, in one pass over the row.
#[inline(always)]
fn sums<T: Stored, const SQUARES: bool>(
    row: &[T],
    point: &[f32],
    term: impl Fn(f32, f32) -> f32,
) -> (f32, f32) {
    let (mut sum, mut squares) = ([0.0; LANES], [0.0; LANES]);
    let (rows, row_rest) = row.as_chunks::<LANES>();
    let (points, point_rest) = point.as_chunks::<LANES>();
    for (row, point) in rows.iter().zip(points) {
        for lane in 0..LANES {
            sum[lane] += term(row[lane].widen(), point[lane]);
        }
        if SQUARES {
            for lane in 0..LANES {
                let r = row[lane].widen();
                squares[lane] += r * r;
            }
        }
    }
    for (lane, (&stored, &x)) in row_rest.iter().zip(point_rest).enumerate() {
        let r = stored.widen();
        sum[lane] += term(r, x);
        squares[lane] += r * r;
    }
    (add_lanes(sum), add_lanes(squares))
}

#[inline(always)]
fn sum<T: Stored>(row: &[T], point: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
    sums::<T, false>(row, point, term).0
}

/// A query: the point, its norm, and how rows are compared with it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Query<'a> {
    pub(super) metric: Metric,
    pub(super) point: &'a [f32],
    norm: f32,
}

impl<'a> Query<'a> {
    pub(super) fn new(metric: Metric, point: &'a [f32]) -> Self {
        Self {
            metric,
            point,
            norm: sum(point, point, |x, y| x * y).sqrt(),
        }
    }
}

/// A block of rows to score: `scores.len()` rows, one after the other, with their scales and biases.
pub(super) struct Block<'a, T> {
    pub(super) query: Query<'a>,
    pub(super) rows: &'a [T],
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
        let Query {
            metric,
            point,
            norm,
        } = self.query;
        let rows = self.rows.chunks_exact(point.len().max(1));
        let scales = self.scales.filter(|_| T::SCALED);
        match metric {
            Metric::Dot => {
                for (score, row) in self.scores.iter_mut().zip(rows) {
                    *score = sum(row, point, |r, x| r * x);
                }
                scale(self.scores, scales);
            }
            Metric::Cosine => {
                for (index, (score, row)) in self.scores.iter_mut().zip(rows).enumerate() {
                    let scale = scales.map_or(1.0, |scales| scales[index]);
                    let (product, square) = sums::<T, true>(row, point, |r, x| r * x);
                    let norms = norm * (scale.abs() * square.sqrt());
                    *score = if norms == 0.0 {
                        0.0
                    } else {
                        scale * product / norms
                    };
                }
            }
            Metric::L2 => {
                for (index, (score, row)) in self.scores.iter_mut().zip(rows).enumerate() {
                    let scale = scales.map_or(1.0, |scales| scales[index]);
                    let square = |r: f32, x: f32| {
                        let difference = x - if T::SCALED { scale * r } else { r };
                        difference * difference
                    };
                    *score = -sum(row, point, square).sqrt();
                }
            }
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

#[inline(always)]
fn scale(scores: &mut [f32], scales: Option<&[f32]>) {
    if let Some(scales) = scales {
        scores
            .iter_mut()
            .zip(scales)
            .for_each(|(score, scale)| *score *= scale);
    }
}

/// Whether any score reaches the threshold.
pub(super) fn any_reaches(scores: &[f32], threshold: f32) -> bool {
    struct Reaches<'a>(&'a [f32], f32);
    impl WithSimd for Reaches<'_> {
        type Output = bool;

        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> bool {
            self.0
                .iter()
                .fold(false, |reached, &score| reached | (score >= self.1))
        }
    }
    Arch::new().dispatch(Reaches(scores, threshold))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_f16_widens_exactly() {
        for bits in 0..=u16::MAX {
            let stored = f16::from_bits(bits);
            let (found, expected) = (stored.widen(), stored.to_f32_const());
            let same =
                found.to_bits() == expected.to_bits() || (found.is_nan() && expected.is_nan());
            assert!(same, "{bits:#x}: {found} for {expected}");
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
        assert_eq!(add_lanes(lanes), halves[0]);
    }

    #[test]
    fn a_threshold_is_reached_by_an_equal_score_and_never_by_nan() {
        assert!(any_reaches(&[0.0, 1.0], 1.0));
        assert!(!any_reaches(&[0.0, f32::NAN], 1.0));
        assert!(any_reaches(&[f32::NEG_INFINITY], f32::NEG_INFINITY));
    }
}
