//! Logits as log-probabilities.
//!
//! The sum of exponentials is the same on every machine: sixteen lanes at once, of which those of each block are added up
//! in f64.

#![forbid(unsafe_code)]

use pulp::{Arch, Simd, WithSimd};

use crate::exponential::exponential;

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

#[cfg(test)]
mod tests {
    use super::*;

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
