//! e^x, the same on every machine.
//!
//! It is 2^n·e^r with a polynomial for e^r, of the operations that IEEE 754 defines to the last bit: loops over it become
//! vectors.

#![forbid(unsafe_code)]

/// e^x for x ≤ 0, within 2 units in the last place; nothing below −87, where it is nothing beside 1; NaN for NaN.
#[inline(always)]
pub(crate) fn exponential(x: f32) -> f32 {
    /// ln 2 in two parts, of which multiples of the first are exact.
    const HIGH: f32 = 0.693_359_4;
    const LOW: f32 = -2.121_944_4e-4;
    /// Added and taken away again, it rounds to the nearest whole number, which is then in the lowest bits.
    const ROUND: f32 = 12_582_912.0;

    let is_nothing = x < -87.0;
    let x = if is_nothing { -87.0 } else { x };
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
    if is_nothing {
        0.0
    } else {
        e * f32::from_bits(exponent)
    }
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
        assert_eq!([-87.1, -1e30, f32::NEG_INFINITY].map(exponential), [0.0; 3]);
        assert!(exponential(f32::NAN).is_nan());
    }
}
