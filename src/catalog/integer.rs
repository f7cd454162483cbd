//! Products of i8 rows with a point in whole numbers: as fast as the rows are read, and exact.
//!
//! A point `x` is taken as `step·p`, where `p` are whole numbers of at most 16 bits. What that leaves out is `δ = x −
//! step·p`, known by its length: for a row `q`, ⟨q,x⟩ = step·⟨q,p⟩ + ⟨q,δ⟩, and |⟨q,δ⟩| ≤ ‖q‖·‖δ‖ (Cauchy–Schwarz). The
//! numbers of `p` are small enough for ⟨q,p⟩ and ‖q‖² never to overflow an i32, in any order of the terms.

#![forbid(unsafe_code)]

use std::ops::RangeInclusive;

#[cfg(target_arch = "x86_64")]
use pulp::core_arch::x86::Avx2;

/// The greatest size of a number of a row.
const MOST: i32 = 128;

/// Norms whose products with each other and with a row fit f32 with room to spare.
pub(super) const SOUND: RangeInclusive<f64> = 1e-12..=1e12;

/// A point as `step·p`, for sums of whole numbers.
#[derive(Clone, Debug)]
pub(super) struct IntegerPoint {
    /// `p`.
    pub(super) numbers: Vec<i16>,
    pub(super) step: f32,
    /// ‖x‖₂ of the point itself.
    pub(super) norm: f64,
    /// ‖x − step·p‖₂ / ‖x‖₂, rounded up.
    pub(super) error: f64,
}

impl IntegerPoint {
    /// Nothing for a point whose norm is not [`SOUND`], or that is too wide for the sum of a row's squares.
    pub(super) fn new(point: &[f32]) -> Option<Self> {
        let norm = length(point.iter().map(|&x| f64::from(x)));
        let greatest = point.iter().fold(0f32, |most, x| most.max(x.abs()));
        let width = i32::try_from(point.len()).ok()?;
        let limit = i32::MAX / MOST.checked_mul(width)?.max(1);
        if !SOUND.contains(&norm) || limit < MOST {
            return None;
        }
        let limit = limit.min(i32::from(i16::MAX));
        let step = greatest / limit as f32;
        // At most `limit`: the rounding of `step` moves no quotient by half.
        let number = |&x: &f32| (f64::from(x) / f64::from(step)).round() as i16;
        let numbers: Vec<i16> = point.iter().map(number).collect();
        let left = |(&x, &p): (&f32, &i16)| f64::from(x) - f64::from(step) * f64::from(p);
        let left = length(point.iter().zip(&numbers).map(left));
        Some(Self {
            numbers,
            step,
            norm,
            error: 1.000_001 * left / norm,
        })
    }
}

/// ‖numbers‖₂.
pub(super) fn length(numbers: impl Iterator<Item = f64>) -> f64 {
    numbers.map(|x| x * x).sum::<f64>().sqrt()
}

/// The instruction that multiplies pairs of 16 bits and adds them, where this processor has it. The compiler does not
/// find it by itself.
#[derive(Clone, Copy)]
pub(super) struct Multiplier {
    #[cfg(target_arch = "x86_64")]
    avx2: Option<Avx2>,
}

impl Multiplier {
    #[inline(always)]
    pub(super) fn new() -> Self {
        Self {
            #[cfg(target_arch = "x86_64")]
            avx2: Avx2::try_new(),
        }
    }

    /// ⟨row, point⟩ and, with `SQUARES`, ⟨row, row⟩. The numbers of an [`IntegerPoint`] are small enough for both.
    #[inline(always)]
    pub(super) fn products<const SQUARES: bool>(self, row: &[i8], point: &[i16]) -> [i32; 2] {
        #[cfg(target_arch = "x86_64")]
        if let Some(avx2) = self.avx2 {
            let (rows, row) = row.as_chunks::<16>();
            let (points, point) = point.as_chunks::<16>();
            let mut lanes = [pulp::cast([0i32; 8]); 2];
            for (&row, &point) in rows.iter().zip(points) {
                let row = avx2._mm256_cvtepi8_epi16(pulp::cast(row));
                let pairs = avx2._mm256_madd_epi16(row, pulp::cast(point));
                lanes[0] = avx2._mm256_add_epi32(lanes[0], pairs);
                if SQUARES {
                    let pairs = avx2._mm256_madd_epi16(row, row);
                    lanes[1] = avx2._mm256_add_epi32(lanes[1], pairs);
                }
            }
            let rest = [product(row, point), product(row, row)];
            let sum = |lanes| pulp::cast::<_, [i32; 8]>(lanes).iter().sum::<i32>();
            return [sum(lanes[0]) + rest[0], sum(lanes[1]) + rest[1]];
        }
        let square = if SQUARES { product(row, row) } else { 0 };
        [product(row, point), square]
    }

    /// ⟨row, row⟩.
    #[inline(always)]
    pub(super) fn square(self, row: &[i8]) -> i32 {
        #[cfg(target_arch = "x86_64")]
        if let Some(avx2) = self.avx2 {
            let (rows, rest) = row.as_chunks::<16>();
            let mut lanes = pulp::cast([0i32; 8]);
            for &row in rows {
                let row = avx2._mm256_cvtepi8_epi16(pulp::cast(row));
                lanes = avx2._mm256_add_epi32(lanes, avx2._mm256_madd_epi16(row, row));
            }
            return pulp::cast::<_, [i32; 8]>(lanes).iter().sum::<i32>() + product(rest, rest);
        }
        product(row, row)
    }
}

#[inline(always)]
fn product<T: Copy + Into<i32>>(row: &[i8], point: &[T]) -> i32 {
    let terms = row.iter().zip(point);
    terms.map(|(&q, &p)| i32::from(q) * p.into()).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_integer_point_is_as_near_as_it_says(
            (point, row) in (1usize..200).prop_flat_map(|width| (
                proptest::collection::vec(prop_oneof![-1f32..1.0, Just(0.0), -1e-6f32..1e-6], width),
                proptest::collection::vec(any::<i8>(), width),
            )),
            factor in prop_oneof![Just(1f32), Just(1e-9), Just(1e9)],
        ) {
            let point: Vec<f32> = point.iter().map(|x| x * factor).collect();
            let Some(integer) = IntegerPoint::new(&point) else {
                prop_assert!(point.iter().all(|x| x.abs() < 1e-11));
                return Ok(());
            };
            let exact: f64 = row.iter().zip(&point).map(|(&q, &x)| f64::from(q) * f64::from(x)).sum();
            let wide = |at: usize| i64::from(row[at]);
            let expected: i64 = (0..row.len()).map(|at| wide(at) * i64::from(integer.numbers[at])).sum();
            let squares: i64 = (0..row.len()).map(|at| wide(at) * wide(at)).sum();
            let [found, square] = Multiplier::new().products::<true>(&row, &integer.numbers);
            prop_assert_eq!((i64::from(found), i64::from(square)), (expected, squares));
            let plain = [product(&row, &integer.numbers), product(&row, &row)];
            prop_assert_eq!(plain, [found, square]);
            let slack = integer.error * integer.norm * (squares as f64).sqrt();
            let difference = (exact - f64::from(integer.step) * f64::from(found)).abs();
            prop_assert!(difference <= slack * 1.000_001 + 1e-9 * integer.norm, "{} > {}", difference, slack);
            prop_assert!(integer.error < 1e-3, "{}", integer.error);
        }
    }

    #[test]
    fn the_greatest_sums_do_not_overflow() {
        for width in [1, 515, 516, 4096, 131_071] {
            let point = IntegerPoint::new(&vec![-3.0; width]).unwrap();
            let row = vec![i8::MIN; width];
            let number = i64::from(point.numbers[0]);
            let [sum, square] = Multiplier::new().products::<true>(&row, &point.numbers);
            assert_eq!(i64::from(sum), -128 * number * width as i64);
            assert_eq!(square as usize, 128 * 128 * width);
            assert!(point.error < 0.01);
        }
        assert!(IntegerPoint::new(&vec![1.0; 131_072]).is_none());
    }

    #[test]
    fn a_point_that_is_too_small_or_too_large_has_none() {
        for x in [0.0, 1e-20, 1e-40, 1e20, f32::MAX] {
            assert!(IntegerPoint::new(&[x; 64]).is_none(), "{x}");
        }
    }
}
