//! Logits as log-probabilities.
//!
//! The sum of exponentials is the same on every machine: e^x is 2^n·e^r with a polynomial for e^r, of the operations that
//! IEEE 754 defines to the last bit, sixteen lanes at once; the lanes of each block are added up in f64.

#![forbid(unsafe_code)]

use pulp::{Arch, Simd, WithSimd};

const LANES: usize = 16;

/// Numbers whose lanes are summed in f32 before they are added up in f64.
const BLOCK: usize = 64 * LANES;

/// `ln Σ exp(logit)`, what a logit is above its log-probability by; not finite if the logits are not.
pub(super) fn normaliser(logits: &[f32]) -> f64 {
    // NaN loses every comparison: it is found by the sum.
    let greatest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum = Arch::new().dispatch(Sum { logits, greatest });
    f64::from(greatest) + sum.ln()
}

/// `Σ exp(logit − greatest)`.
struct Sum<'a> {
    logits: &'a [f32],
    greatest: f32,
}

impl WithSimd for Sum<'_> {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> f64 {
        let mut total = 0.0;
        for block in self.logits.chunks(BLOCK) {
            let mut sums = [0.0_f32; LANES];
            let (whole, rest) = block.as_chunks::<LANES>();
            for logits in whole {
                for lane in 0..LANES {
                    sums[lane] += exponential(logits[lane] - self.greatest);
                }
            }
            for (sum, logit) in sums.iter_mut().zip(rest) {
                *sum += exponential(logit - self.greatest);
            }
            total += sums.iter().map(|&sum| f64::from(sum)).sum::<f64>();
        }
        total
    }
}

/// e^x for x ≤ 0, within 2 units in the last place; below −87 it is e^−87, which is nothing beside 1; NaN for NaN.
#[inline(always)]
fn exponential(x: f32) -> f32 {
    /// ln 2 in two parts, of which multiples of the first are exact.
    const HIGH: f32 = 0.693_359_4;
    const LOW: f32 = -2.121_944_4e-4;
    /// Added and taken away again, it rounds to the nearest whole number, which is then in the lowest bits.
    const ROUND: f32 = 12_582_912.0;

    let x = if x < -87.0 { -87.0 } else { x };
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = x - n * HIGH - n * LOW;
    // e^r for |r| ≤ ln 2/2: the series of e^r − 1 − r − r²/2 fitted to that range (Cephes, expf).
    let mut p = 1.987_569_1e-4;
    for coefficient in [
        1.398_199_9e-3,
        8.333_452e-3,
        4.166_579_6e-2,
        1.666_666_5e-1,
        0.5,
    ] {
        p = p * r + coefficient;
    }
    let e = p * r * r + r + 1.0;
    let exponent = (shifted.to_bits().wrapping_add(127)) << 23;
    e * f32::from_bits(exponent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponential_is_that_of_f64() {
        for step in 0..=870_000 {
            let x = -(step as f32) * 1e-4;
            let expected = f64::from(x).exp();
            let error = (f64::from(exponential(x)) / expected - 1.0).abs();
            assert!(error < 2.5e-7, "e^{x}: {error}");
        }
        assert_eq!(exponential(0.0), 1.0);
        assert!(exponential(-1e30) < 2e-38 && exponential(f32::NEG_INFINITY) < 2e-38);
        assert!(exponential(f32::NAN).is_nan());
    }

    #[test]
    fn the_normaliser_is_that_of_f64_for_any_number_of_logits() {
        for count in [1, 2, 15, 16, 17, 1000, 1025, 50_000] {
            let logit = |at: usize| ((at * 7919 + 13) % 2003) as f32 / 100.0 - 10.0;
            let logits: Vec<f32> = (0..count).map(logit).collect();
            let greatest = logits.iter().copied().fold(f32::MIN, f32::max);
            let sum: f64 = logits.iter().map(|&x| f64::from(x - greatest).exp()).sum();
            let expected = f64::from(greatest) + sum.ln();
            let found = normaliser(&logits);
            assert!(
                (found - expected).abs() < 1e-6,
                "{count}: {found}, {expected}"
            );
        }
        for wrong in [f32::NAN, f32::INFINITY] {
            assert!(!normaliser(&[1.0, wrong, 2.0]).is_finite());
        }
    }
}
