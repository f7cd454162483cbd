//! Gaussian noise that is the same on every machine, and the same wherever in a chain it is asked for.
//!
//! Words come from the counter-based generator Philox4x32-10 (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as
//! easy as 1, 2, 3", SC'11), pairs of Gaussians from pairs of words by the transform of Box and Muller (1958), in f64,
//! rounded to f32. Logarithm, sine and cosine are sums of their series, made of the operations that IEEE 754 defines to
//! the last bit: no platform's mathematics has a part in it, and sixteen of each are computed at once.

#![forbid(unsafe_code)]

use std::f64::consts::{LN_2, SQRT_2, TAU};

use pulp::{Arch, Simd, WithSimd};

/// Where a sampler takes its noise from.
pub(crate) trait Noise {
    /// Fills `out`, `[d]`, with the noise that a draw adds in a step; in step T, with what its chain starts from.
    fn fill(&self, step: u32, draw: u32, out: &mut [f32]);
}

/// No noise at all.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Silence;

impl Noise for Silence {
    fn fill(&self, _step: u32, _draw: u32, out: &mut [f32]) {
        out.fill(0.0);
    }
}

/// Standard Gaussians by a seed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Philox {
    key: [u32; 2],
}

impl Philox {
    #[allow(clippy::cast_possible_truncation, reason = "the two halves")]
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            key: [seed as u32, (seed >> 32) as u32],
        }
    }
}

#[cfg(feature = "llm")]
impl Philox {
    /// A number above 0 and below 1, evenly spread: (w + ½)·2⁻³² of a word of a block that no noise is made of.
    pub(crate) fn uniform(&self, step: u32) -> f64 {
        let counter = [[0; LANES], [step; LANES], [0; LANES], [1; LANES]];
        let [word, ..] = philox(counter, self.key);
        (f64::from(word[0]) + 0.5) * STEP
    }
}

impl Noise for Philox {
    fn fill(&self, step: u32, draw: u32, out: &mut [f32]) {
        Arch::new().dispatch(Fill {
            key: self.key,
            step,
            draw,
            out,
        });
    }
}

/// Blocks of four words that are computed at once.
const LANES: usize = 16;

/// One word of each of some blocks.
type Words = [u32; LANES];

struct Fill<'a> {
    key: [u32; 2],
    step: u32,
    draw: u32,
    out: &'a mut [f32],
}

impl WithSimd for Fill<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let starts = (0u32..).step_by(LANES);
        for (start, out) in starts.zip(self.out.chunks_mut(4 * LANES)) {
            let mut counter = [
                [0; LANES],
                [self.step; LANES],
                [self.draw; LANES],
                [0; LANES],
            ];
            for (block, lane) in (start..).zip(&mut counter[0]) {
                *lane = block;
            }
            let [a, b, c, d] = philox(counter, self.key);
            let ([a, b], [c, d]) = (gaussians(a, b), gaussians(c, d));
            for (block, four) in out.chunks_mut(4).enumerate() {
                let block = [a[block], b[block], c[block], d[block]];
                four.copy_from_slice(&block[..four.len()]);
            }
        }
    }
}

/// Philox4x32-10 of some counters, word by word.
#[inline(always)]
fn philox([mut a, mut b, mut c, mut d]: [Words; 4], mut key: [u32; 2]) -> [Words; 4] {
    for _ in 0..10 {
        for lane in 0..LANES {
            let first = u64::from(a[lane]) * 0xD251_1F53;
            let second = u64::from(c[lane]) * 0xCD9E_8D57;
            a[lane] = (second >> 32) as u32 ^ b[lane] ^ key[0];
            b[lane] = second as u32;
            c[lane] = (first >> 32) as u32 ^ d[lane] ^ key[1];
            d[lane] = first as u32;
        }
        key[0] = key[0].wrapping_add(0x9E37_79B9);
        key[1] = key[1].wrapping_add(0xBB67_AE85);
    }
    [a, b, c, d]
}

/// √(−2 ln u)·cos(2πv) and √(−2 ln u)·sin(2πv), where a word w stands for (w + ½)·2⁻³².
#[inline(always)]
fn gaussians(u: Words, v: Words) -> [[f32; LANES]; 2] {
    let mut pair = [[0.0; LANES]; 2];
    for lane in 0..LANES {
        let radius = (-2.0 * logarithm((f64::from(u[lane]) + 0.5) * STEP)).sqrt();
        let [cosine, sine] = on_circle(v[lane]);
        pair[0][lane] = (radius * cosine) as f32;
        pair[1][lane] = (radius * sine) as f32;
    }
    pair
}

/// 2⁻³².
const STEP: f64 = 1.0 / 4_294_967_296.0;

/// ln u for 0 < u < 1: u = m·2ᵏ with √½ ≤ m < √2, and ln m = 2·artanh((m − 1)/(m + 1)), whose series is within 1e-17.
#[inline(always)]
fn logarithm(u: f64) -> f64 {
    let above = u.to_bits().wrapping_sub((SQRT_2 / 2.0).to_bits());
    let exponent = (above >> 32) as i32 >> 20;
    let m = f64::from_bits(u.to_bits().wrapping_sub(above & (0xFFF << 52)));
    let s = (m - 1.0) / (m + 1.0);
    let series = horner(s * s, ODD_PARTS);
    f64::from(exponent) * LN_2 + 2.0 * s * series
}

/// cos and sin of 2πv for v = (word + ½)·2⁻³²: of what is left to the nearest quarter of the circle, and turned.
#[inline(always)]
fn on_circle(word: u32) -> [f64; 2] {
    let quarter = word.wrapping_add(1 << 29) >> 30;
    let rest = word.wrapping_sub(quarter << 30) as i32;
    let x = (f64::from(rest) + 0.5) * (STEP * TAU);
    let (cosine, sine) = (horner(x * x, COSINE), x * horner(x * x, SINE));
    let (a, b) = if quarter & 1 == 1 {
        (sine, cosine)
    } else {
        (cosine, sine)
    };
    let turned = |negative: bool, value: f64| if negative { -value } else { value };
    [
        turned((quarter + 1) & 2 != 0, a),
        turned(quarter & 2 != 0, b),
    ]
}

/// 1, 1/3, 1/5, …
const ODD_PARTS: [f64; 11] = {
    let mut parts = [0.0; 11];
    let mut at = 0;
    while at < 11 {
        parts[at] = 1.0 / (2 * at + 1) as f64;
        at += 1;
    }
    parts
};
const COSINE: [f64; 9] = alternating(0);
const SINE: [f64; 9] = alternating(1);

/// The coefficients ±1/n! of every other power, from n = `first`.
const fn alternating(first: usize) -> [f64; 9] {
    let mut parts = [1.0; 9];
    let mut at = 1;
    while at < 9 {
        let n = first + 2 * at;
        parts[at] = -parts[at - 1] / (n * (n - 1)) as f64;
        at += 1;
    }
    parts
}

#[inline(always)]
fn horner<const N: usize>(x: f64, coefficients: [f64; N]) -> f64 {
    let mut sum = coefficients[N - 1];
    for coefficient in coefficients[..N - 1].iter().rev() {
        sum = sum * x + coefficient;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
        philox(counter.map(|word| [word; LANES]), key).map(|words| words[LANES - 1])
    }

    /// `philox4x32 10` of Random123's kat_vectors.
    #[test]
    fn words_are_those_of_the_authors() {
        assert_eq!(
            words([0; 4], [0; 2]),
            [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]
        );
        assert_eq!(
            words([u32::MAX; 4], [u32::MAX; 2]),
            [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
        );
        assert_eq!(
            words(
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0]
            ),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    /// Words at both ends, at the turns between quarters and between powers of two, and many others.
    fn some_words() -> impl Iterator<Item = u32> {
        let edges = (0..33).flat_map(|bits| {
            let edge = (1u64 << bits) as u32;
            [edge.wrapping_sub(1), edge, edge.wrapping_mul(3), !edge]
        });
        let eighths = (0..8u32).flat_map(|eighth| [eighth << 29, (eighth << 29).wrapping_sub(1)]);
        let others = (0..100_000u32).map(|number| number.wrapping_mul(2_654_435_769));
        edges.chain(eighths).chain(others)
    }

    #[test]
    fn series_are_the_functions() {
        for word in some_words() {
            let u = (f64::from(word) + 0.5) * STEP;
            let error = (logarithm(u) - u.ln()).abs();
            assert!(error <= 4e-16 * u.ln().abs(), "ln {u}: {error}");
            let (sine, cosine) = (TAU * u).sin_cos();
            let [x, y] = on_circle(word);
            let error = (x - cosine).abs().max((y - sine).abs());
            assert!(error <= 2e-15, "{u} of a turn: {error}");
        }
    }

    #[test]
    fn noise_is_the_transform_of_its_block_whatever_its_length() {
        let noise = Philox::new(0x299f_31d0_a409_3822);
        let mut whole = [0.0; 77];
        noise.fill(500, 3, &mut whole);
        for (block, found) in (0..).zip(whole.chunks(4)) {
            let u =
                words([block, 500, 3, 0], noise.key).map(|w| (f64::from(w) + 0.5) / 2f64.powi(32));
            let pair = |u: f64, v: f64| {
                let radius = (-2.0 * u.ln()).sqrt();
                [radius * (TAU * v).cos(), radius * (TAU * v).sin()]
            };
            let expected = [pair(u[0], u[1]), pair(u[2], u[3])];
            for (found, expected) in found.iter().zip(expected.as_flattened()) {
                assert!((f64::from(*found) - expected).abs() < 1e-6);
            }
        }
        for length in 0..77 {
            let mut shorter = vec![0.0; length];
            noise.fill(500, 3, &mut shorter);
            assert_eq!(shorter, whole[..length]);
        }
    }

    /// Bits, which numpy finds too.
    #[test]
    fn bits_are_the_same_everywhere() {
        let mut out = [0.0; 4];
        Philox::new(7).fill(500, 0, &mut out);
        assert_eq!(
            out.map(f32::to_bits),
            [3_177_784_239, 3_220_002_049, 1_068_383_034, 1_017_936_783]
        );
    }

    #[cfg(feature = "llm")]
    #[test]
    fn uniform_numbers_are_even_and_by_seed_and_step() {
        let numbers = |seed| {
            let noise = Philox::new(seed);
            (0..10_000).map(move |step| noise.uniform(step))
        };
        for share in 1..10 {
            let share = f64::from(share) / 10.0;
            let found = numbers(3).filter(|&number| number < share).count() as f64 / 1e4;
            assert!((found - share).abs() < 0.02, "{found} below {share}");
        }
        assert!(numbers(3).eq(numbers(3)) && !numbers(3).eq(numbers(4)));
        assert!(numbers(3).all(|number| number > 0.0 && number < 1.0));
    }

    #[test]
    fn steps_and_draws_and_seeds_differ_and_look_gaussian() {
        let mut seen = Vec::new();
        for (seed, step, draw) in [(1, 5, 0), (1, 6, 0), (1, 5, 1), (2, 5, 0), (1 << 32, 5, 0)] {
            let mut out = vec![0.0; 100_000];
            Philox::new(seed).fill(step, draw, &mut out);
            let n = out.len() as f64;
            let moment = |power| out.iter().map(|&z| f64::from(z).powi(power)).sum::<f64>() / n;
            // Five standard errors: √(1/n), √(2/n), √(15/n), √(96/n).
            for (power, expected, variance) in
                [(1, 0.0, 1.0), (2, 1.0, 2.0), (3, 0.0, 15.0), (4, 3.0, 96.0)]
            {
                let error = (moment(power) - expected).abs();
                assert!(error < 5.0 * f64::sqrt(variance / n), "{power}: {error}");
            }
            assert!(!seen.contains(&out[0].to_bits()));
            seen.push(out[0].to_bits());
        }
    }
}
