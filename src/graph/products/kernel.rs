//! Products of rows of f32 with weights of 4 or 8 bits, by the vectors of an x86-64 processor.
//!
//! The weights are read where and as they lie: `[N, K/block, block·bits/8]` bytes, each number without sign and `zero`
//! (8 or 128) above what it stands for, with an f32 scale for each block. A row `x` is rounded to whole numbers of 8 bits
//! with a scale `s` for each *chunk* of 128 numbers, so that
//!
//! `Σ w·x = Σ_chunk s · Σ_block scale · Σ (q − zero)·p`,
//!
//! and the innermost sum is made in whole numbers, in sixteen lanes of eight products each. No lane has products of two
//! blocks in it. Lanes start with `−zero·Σp` instead of zero, which is known before any weight is. Lanes are then numbers
//! of f32, in which everything else is added up: for a given row, the result is the same whatever rows are beside it, and
//! however many threads there are.

mod avx2;
mod avx512;

use std::ops::Range;

/// Numbers of a row that have a scale of their own.
pub(super) const CHUNK: usize = 128;

const LANES: usize = 16;

/// Chunks that are multiplied before others are, at most: those of a few rows stay in the first cache while columns go by.
const PANEL: usize = 16;

/// A matrix of weights `[N, K]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) n: usize,
    pub(super) k: usize,
    /// Numbers that share a scale.
    pub(super) block: usize,
    pub(super) bits: Bits,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bits {
    Four,
    Eight,
}

impl Shape {
    /// What is computed here; everything else is left to ONNX Runtime.
    pub(super) fn is_known(self) -> bool {
        let blocks = match self.bits {
            Bits::Four => 32..=256,
            // A block of fewer would share lanes with another.
            Bits::Eight => CHUNK..=256,
        };
        self.n > 0
            && self.k > 0
            && self.block.is_power_of_two()
            && blocks.contains(&self.block)
            && self.k.is_multiple_of(self.block)
    }

    /// Bytes of a row of weights.
    pub(super) fn row_bytes(self) -> usize {
        match self.bits {
            Bits::Four => self.k / 2,
            Bits::Eight => self.k,
        }
    }

    /// Scales of a row of weights.
    pub(super) fn blocks(self) -> usize {
        self.k / self.block
    }

    /// Chunks of a row that is multiplied.
    pub(super) fn chunks(self) -> usize {
        self.k.div_ceil(CHUNK)
    }
}

/// Vectors that this processor has: whoever holds one may use them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Vectors(Known);

#[derive(Clone, Copy, Debug)]
enum Known {
    Avx512,
    Avx2,
}

impl Vectors {
    /// The best of this processor, if it has any.
    pub(super) fn best() -> Option<Self> {
        Self::all().next()
    }

    /// Those of this processor, the best first.
    fn all() -> impl Iterator<Item = Self> {
        let avx512 = avx512::is_possible().then_some(Known::Avx512);
        let avx2 = avx2::is_possible().then_some(Known::Avx2);
        [avx512, avx2].into_iter().flatten().map(Self)
    }
}

/// Part of a row, rounded: `scale·p`.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(super) struct Chunk {
    /// The numbers that meet the first 64 weights that are unpacked, and the others: of 4 bits, every other one.
    halves: [[i8; 64]; 2],
    /// What lanes start with.
    start: [i32; LANES],
    /// NaN where a number is not finite, so that no product is either.
    scale: f32,
}

impl Chunk {
    pub(super) const EMPTY: Self = Self {
        halves: [[0; 64]; 2],
        start: [0; LANES],
        scale: 0.0,
    };
}

/// Rounds a row of `[K]` to `[chunks]`.
pub(super) fn round(vectors: Vectors, bits: Bits, row: &[f32], chunks: &mut [Chunk]) {
    // SAFETY: the processor has them.
    unsafe {
        match (vectors.0, bits) {
            (Known::Avx512, Bits::Four) => avx512::round::<4>(row, chunks),
            (Known::Avx512, Bits::Eight) => avx512::round::<8>(row, chunks),
            (Known::Avx2, Bits::Four) => avx2::round::<4>(row, chunks),
            (Known::Avx2, Bits::Eight) => avx2::round::<8>(row, chunks),
        }
    }
}

/// One multiplication: `[rows, N]` of `[rows, K]` and `[N, K]`.
pub(super) struct Product<'a> {
    vectors: Vectors,
    shape: Shape,
    weights: &'a [u8],
    scales: &'a [f32],
    chunks: &'a [Chunk],
    rows: usize,
    out: *mut f32,
}

// SAFETY: `out` is borrowed for as long as this lives, and whoever computes columns is the only one who writes them.
unsafe impl Sync for Product<'_> {}

impl<'a> Product<'a> {
    /// `weights`, `scales`: as they lie; `chunks`: of each row; `out`: `[rows, N]`. Nothing if a length is not right.
    pub(super) fn new(
        vectors: Vectors,
        shape: Shape,
        weights: &'a [u8],
        scales: &'a [f32],
        chunks: &'a [Chunk],
        out: &'a mut [f32],
    ) -> Option<Self> {
        let rows = out.len() / shape.n.max(1);
        let fits = shape.is_known()
            && weights.len() == shape.n * shape.row_bytes()
            && scales.len() == shape.n * shape.blocks()
            && chunks.len() == rows * shape.chunks()
            && out.len() == rows * shape.n;
        fits.then_some(Self {
            vectors,
            shape,
            weights,
            scales,
            chunks,
            rows,
            out: out.as_mut_ptr(),
        })
    }

    /// Computes some columns.
    ///
    /// # Safety
    /// No other thread is computing one of them.
    pub(super) unsafe fn columns(&self, columns: Range<usize>) {
        let columns = columns.start..columns.end.min(self.shape.n);
        let one = self.shape.block >= CHUNK;
        // SAFETY: `new` has checked the lengths, `is_known` the shape; the processor has the vectors; the caller promises
        // the rest.
        unsafe {
            match (self.vectors.0, self.shape.bits, one) {
                (Known::Avx512, Bits::Four, false) => self.multiply_avx512::<4, false>(columns),
                (Known::Avx512, Bits::Four, true) => self.multiply_avx512::<4, true>(columns),
                (Known::Avx512, Bits::Eight, _) => self.multiply_avx512::<8, true>(columns),
                (Known::Avx2, Bits::Four, false) => self.multiply_avx2::<4, false>(columns),
                (Known::Avx2, Bits::Four, true) => self.multiply_avx2::<4, true>(columns),
                (Known::Avx2, Bits::Eight, _) => self.multiply_avx2::<8, true>(columns),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A product as the head of this file defines it, in f64, and how far another may be from it: numbers half-way between
    /// two steps may fall to either, and sums of f32 are rounded.
    fn naively(shape: Shape, weights: &[u8], scales: &[f32], row: &[f32]) -> Vec<(f64, f64)> {
        let number = |column: usize, at: usize| {
            let byte = |place: usize| weights[column * shape.row_bytes() + place];
            match shape.bits {
                Bits::Four => f64::from(byte(at / 2) >> (4 * (at % 2)) & 15) - 8.0,
                Bits::Eight => f64::from(byte(at)) - 128.0,
            }
        };
        let mut rounded = Vec::new();
        for chunk in row.chunks(CHUNK) {
            let scale = chunk.iter().fold(0.0, |most: f32, x| most.max(x.abs())) / 127.0;
            let scale = f64::from(scale);
            rounded.extend(chunk.iter().map(|x| {
                let steps = if scale > 0.0 {
                    f64::from(*x) / scale
                } else {
                    0.0
                };
                let is_between = (steps.abs().fract() - 0.5).abs() < 1e-4;
                let apart = if is_between { scale } else { 0.0 };
                (steps.round() * scale, apart)
            }));
        }
        let product = |column: usize| {
            let weight = |at: usize| {
                let scale = scales[column * shape.blocks() + at / shape.block];
                number(column, at) * f64::from(scale)
            };
            let mut sums = (0.0, 1e-6);
            for (at, (x, apart)) in rounded.iter().enumerate() {
                sums.0 += weight(at) * x;
                sums.1 += weight(at).abs() * (apart + 1e-5 * x.abs());
            }
            sums
        };
        (0..shape.n).map(product).collect()
    }

    fn multiply(
        vectors: Vectors,
        shape: Shape,
        weights: &[u8],
        scales: &[f32],
        rows: &[f32],
    ) -> Vec<f32> {
        let count = rows.len() / shape.k;
        let mut chunks = vec![Chunk::EMPTY; count * shape.chunks()];
        for (row, chunks) in rows.chunks(shape.k).zip(chunks.chunks_mut(shape.chunks())) {
            round(vectors, shape.bits, row, chunks);
        }
        let mut out = vec![f32::NAN; count * shape.n];
        let product = Product::new(vectors, shape, weights, scales, &chunks, &mut out).unwrap();
        // SAFETY: one thread.
        unsafe {
            product.columns(0..shape.n / 3);
            product.columns(shape.n / 3..shape.n + 5);
        }
        out
    }

    fn shapes() -> impl Strategy<Value = Shape> {
        let four = (
            prop::sample::select(vec![32, 64, 128, 256]),
            Just(Bits::Four),
        );
        let eight = (prop::sample::select(vec![128, 256]), Just(Bits::Eight));
        (prop_oneof![four, eight], 1..5_usize, 1..12_usize).prop_map(
            |((block, bits), blocks, n)| Shape {
                n,
                k: block * blocks,
                block,
                bits,
            },
        )
    }

    proptest! {
        #[test]
        fn products_are_those_of_f64_and_the_same_whatever_is_beside_them(
            shape in shapes(),
            count in 1..20_usize,
            seed in any::<u32>(),
        ) {
            let mut state = seed;
            let mut next = || {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                state >> 8
            };
            let weights: Vec<u8> = (0..shape.n * shape.row_bytes()).map(|_| next() as u8).collect();
            let scales: Vec<f32> = (0..shape.n * shape.blocks()).map(|_| next() as f32 / 1e8).collect();
            let rows: Vec<f32> = (0..count * shape.k).map(|_| next() as f32 / 8e6 - 1.0).collect();
            for vectors in Vectors::all() {
                let found = multiply(vectors, shape, &weights, &scales, &rows);
                for (row, found) in rows.chunks(shape.k).zip(found.chunks(shape.n)) {
                    let expected = naively(shape, &weights, &scales, row);
                    for (found, (expected, most)) in found.iter().zip(expected) {
                        let apart = (f64::from(*found) - expected).abs();
                        prop_assert!(apart <= most, "{vectors:?}: {found}, {expected} within {most}");
                    }
                    prop_assert_eq!(found, &multiply(vectors, shape, &weights, &scales, row)[..]);
                }
            }
        }
    }

    #[test]
    fn what_is_not_finite_is_not_lost() {
        let shape = Shape {
            n: 3,
            k: 256,
            block: 32,
            bits: Bits::Four,
        };
        let (weights, scales) = (vec![0x9a; 3 * 128], vec![0.5; 3 * 8]);
        for vectors in Vectors::all() {
            let multiply = |row: &[f32]| multiply(vectors, shape, &weights, &scales, row);
            for wrong in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                let mut row = vec![1.0; 256];
                row[200] = wrong;
                assert!(multiply(&row).iter().all(|x| x.is_nan()), "{vectors:?}");
            }
            assert_eq!(multiply(&[0.0; 256]), [0.0; 3]);
            assert!(multiply(&[f32::MAX; 256]).iter().all(|x| !x.is_nan()));
            assert_eq!(multiply(&[1e-45; 256]), [0.0; 3]);
        }
    }

    #[test]
    fn no_sum_is_cut_off() {
        // The greatest weights of either sign, and numbers that all round to 127.
        let four = Shape {
            n: 2,
            k: 128,
            block: 32,
            bits: Bits::Four,
        };
        let eight = Shape {
            block: 128,
            bits: Bits::Eight,
            ..four
        };
        for vectors in Vectors::all() {
            for (shape, most, least) in [(four, 7.0, -8.0), (eight, 127.0, -128.0)] {
                let mut weights = vec![0xff; shape.n * shape.row_bytes()];
                weights[shape.row_bytes()..].fill(0);
                let scales = vec![1.0; shape.n * shape.blocks()];
                for sign in [1.0, -1.0] {
                    let found = multiply(vectors, shape, &weights, &scales, &[sign * 127.0; 128]);
                    let expected = [most, least].map(|weight: f32| sign * 127.0 * 128.0 * weight);
                    assert_eq!(found, expected, "{vectors:?}, {shape:?}");
                }
            }
        }
    }

    #[test]
    fn lengths_that_do_not_fit_are_refused() {
        let shape = Shape {
            n: 2,
            k: 64,
            block: 32,
            bits: Bits::Four,
        };
        let (weights, scales, chunks) = ([0; 64], [0.0; 4], [Chunk::EMPTY; 1]);
        let Some(vectors) = Vectors::best() else {
            return;
        };
        let fits = |weights: &[u8], scales: &[f32], chunks: &[Chunk], out: &mut [f32]| {
            Product::new(vectors, shape, weights, scales, chunks, out).is_some()
        };
        assert!(fits(&weights, &scales, &chunks, &mut [0.0; 2]));
        assert!(!fits(&weights[1..], &scales, &chunks, &mut [0.0; 2]));
        assert!(!fits(&weights, &scales[1..], &chunks, &mut [0.0; 2]));
        assert!(!fits(&weights, &scales, &chunks, &mut [0.0; 3]));
        assert!(!fits(&weights, &scales, &[], &mut [0.0; 2]));
    }
}
