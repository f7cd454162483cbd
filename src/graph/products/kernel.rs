//! Products of rows of f32 with weights of 4 or 8 bits, by AVX-512 with VNNI.
//!
//! The weights are read where and as they lie: `[N, K/block, block·bits/8]` bytes, each number without sign and `zero`
//! (8 or 128) above what it stands for, with an f32 scale for each block. A row `x` is rounded to whole numbers of 8 bits
//! with a scale `s` for each *chunk* of 128 numbers, so that
//!
//! `Σ w·x = Σ_chunk s · Σ_block scale · Σ (q − zero)·p`,
//!
//! and the innermost sum is made by `vpdpbusd`: sixteen lanes of 32 bits, four products each, twice for a chunk. No lane
//! has products of two blocks in it. Lanes start with `−zero·Σp` instead of zero, which is known before any weight is.
//! Lanes are then numbers of f32, in which everything else is added up: for a given row, the result is the same whatever
//! rows are beside it, and however many threads there are.

use std::arch::x86_64::*;
use std::ops::Range;
use std::sync::atomic::{Ordering, compiler_fence};

/// Numbers of a row that have a scale of their own.
pub(super) const CHUNK: usize = 128;

const LANES: usize = 16;

/// Rows that are multiplied together, and columns: sums, weights and scales fit the 32 vectors there are.
const ROWS: usize = 8;
const COLUMNS: usize = 2;
const COLUMNS_OF_FEW: usize = 4;

/// Chunks that are multiplied before others are, at most: those of [`ROWS`] rows stay in the first cache while columns go
/// by.
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

/// Whether this processor can do it.
pub(super) fn is_possible() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512vnni")
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
pub(super) fn round(bits: Bits, row: &[f32], chunks: &mut [Chunk]) {
    assert!(is_possible());
    // SAFETY: the processor has what is needed.
    unsafe {
        match bits {
            Bits::Four => round_for::<4>(row, chunks),
            Bits::Eight => round_for::<8>(row, chunks),
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn round_for<const BITS: usize>(row: &[f32], chunks: &mut [Chunk]) {
    let zero = _mm512_set1_epi8(if BITS == 4 { 8 } else { -128 });
    for (numbers, chunk) in row.chunks(CHUNK).zip(chunks) {
        let mut vectors = [_mm512_setzero_ps(); CHUNK / LANES];
        let (mut greatest, mut finite) = (_mm512_setzero_ps(), __mmask16::MAX);
        for (vector, numbers) in vectors.iter_mut().zip(numbers.chunks(LANES)) {
            let there = __mmask16::MAX >> (LANES - numbers.len());
            // SAFETY: only the numbers that are there are read.
            *vector = unsafe { _mm512_maskz_loadu_ps(there, numbers.as_ptr()) };
            let size = _mm512_abs_ps(*vector);
            finite &= _mm512_cmp_ps_mask::<_CMP_LT_OQ>(size, _mm512_set1_ps(f32::INFINITY));
            greatest = _mm512_max_ps(greatest, size);
        }
        let greatest = _mm512_reduce_max_ps(greatest);
        let scale = greatest / 127.0;
        chunk.scale = if finite == __mmask16::MAX {
            scale
        } else {
            f32::NAN
        };
        // Where the scale is nothing, all numbers are, or so small that nothing is left of a product with them.
        let per_scale = if scale > 0.0 { 127.0 / greatest } else { 0.0 };
        let per_scale = _mm512_set1_ps(per_scale);
        let mut whole = [_mm_setzero_si128(); CHUNK / LANES];
        for (whole, vector) in whole.iter_mut().zip(vectors) {
            let rounded = _mm512_cvtps_epi32(_mm512_mul_ps(vector, per_scale));
            *whole = _mm512_cvtsepi32_epi8(rounded);
        }
        let [a, b, c, d, e, f, g, h] = whole;
        let mut halves = [join(a, b, c, d), join(e, f, g, h)];
        if BITS == 4 {
            // A byte of weights holds two neighbours, the first in its low bits.
            let [first, second] = halves;
            let odd = |half| _mm512_srli_epi16::<8>(half);
            let low = |half| _mm512_cvtepi16_epi8(half);
            let pair = |low, high| _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high);
            halves = [
                pair(low(first), low(second)),
                pair(low(odd(first)), low(odd(second))),
            ];
        }
        let mut start = _mm512_setzero_si512();
        for half in halves {
            start = _mm512_dpbusd_epi32(start, zero, half);
        }
        let start = _mm512_sub_epi32(_mm512_setzero_si512(), start);
        // SAFETY: each has the size of a vector, and nothing but numbers in it.
        unsafe {
            _mm512_storeu_si512(chunk.halves[0].as_mut_ptr().cast(), halves[0]);
            _mm512_storeu_si512(chunk.halves[1].as_mut_ptr().cast(), halves[1]);
            _mm512_storeu_si512(chunk.start.as_mut_ptr().cast(), start);
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn join(a: __m128i, b: __m128i, c: __m128i, d: __m128i) -> __m512i {
    let joined = _mm512_inserti32x4::<1>(_mm512_castsi128_si512(a), b);
    _mm512_inserti32x4::<3>(_mm512_inserti32x4::<2>(joined, c), d)
}

/// One multiplication: `[rows, N]` of `[rows, K]` and `[N, K]`.
pub(super) struct Product<'a> {
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
    /// `weights`, `scales`: as they lie; `chunks`: of each row; `out`: `[rows, N]`. Nothing if a length is not right, or
    /// the processor not able.
    pub(super) fn new(
        shape: Shape,
        weights: &'a [u8],
        scales: &'a [f32],
        chunks: &'a [Chunk],
        out: &'a mut [f32],
    ) -> Option<Self> {
        let rows = out.len() / shape.n.max(1);
        let fits = shape.is_known()
            && is_possible()
            && weights.len() == shape.n * shape.row_bytes()
            && scales.len() == shape.n * shape.blocks()
            && chunks.len() == rows * shape.chunks()
            && out.len() == rows * shape.n;
        fits.then_some(Self {
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
        // SAFETY: `new` has checked the lengths and the processor, `is_known` the shape; the caller promises the rest.
        unsafe {
            match (self.shape.bits, self.shape.block >= CHUNK) {
                (Bits::Four, false) => self.multiply::<4, false>(columns),
                (Bits::Four, true) => self.multiply::<4, true>(columns),
                (Bits::Eight, _) => self.multiply::<8, true>(columns),
            }
        }
    }

    /// `ONE`: whether a chunk of weights has one scale.
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
    unsafe fn multiply<const BITS: usize, const ONE: bool>(&self, columns: Range<usize>) {
        let chunks = self.shape.chunks();
        let panel = chunks.div_ceil(chunks.div_ceil(PANEL));
        for start in (0..chunks).step_by(panel) {
            let panel = start..(start + panel).min(chunks);
            for row in (0..self.rows).step_by(ROWS) {
                let (panel, columns) = (panel.clone(), columns.clone());
                // SAFETY: the caller's promise, passed on.
                unsafe {
                    match self.rows - row {
                        1 => self.across::<BITS, ONE, 1, COLUMNS_OF_FEW>(row, columns, panel),
                        2 => self.across::<BITS, ONE, 2, COLUMNS_OF_FEW>(row, columns, panel),
                        3 => self.across::<BITS, ONE, 3, COLUMNS_OF_FEW>(row, columns, panel),
                        4 => self.across::<BITS, ONE, 4, COLUMNS_OF_FEW>(row, columns, panel),
                        5 => self.across::<BITS, ONE, 5, COLUMNS>(row, columns, panel),
                        6 => self.across::<BITS, ONE, 6, COLUMNS>(row, columns, panel),
                        7 => self.across::<BITS, ONE, 7, COLUMNS>(row, columns, panel),
                        _ => self.across::<BITS, ONE, ROWS, COLUMNS>(row, columns, panel),
                    }
                }
            }
        }
    }

    /// Some columns of `M` rows.
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
    unsafe fn across<const BITS: usize, const ONE: bool, const M: usize, const N: usize>(
        &self,
        row: usize,
        columns: Range<usize>,
        panel: Range<usize>,
    ) {
        let whole = columns.len() / N * N;
        // SAFETY: the caller's promise, passed on.
        unsafe {
            for column in (columns.start..columns.start + whole).step_by(N) {
                self.tile::<BITS, ONE, M, N>(row, column, panel.clone());
            }
            for column in columns.start + whole..columns.end {
                self.tile::<BITS, ONE, M, 1>(row, column, panel.clone());
            }
        }
    }

    /// `N` columns of `M` rows: what some chunks add to them.
    #[inline(never)]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
    unsafe fn tile<const BITS: usize, const ONE: bool, const M: usize, const N: usize>(
        &self,
        row: usize,
        column: usize,
        panel: Range<usize>,
    ) {
        let Shape { n, block, .. } = self.shape;
        let (chunks, blocks, row_bytes) = (
            self.shape.chunks(),
            self.shape.blocks(),
            self.shape.row_bytes(),
        );
        let chunk_bytes = CHUNK * BITS / 8;
        let low = _mm512_set1_epi8(15);
        // The scale of each lane, of those of a chunk of 4 bits: a lane has eight numbers.
        let places = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        let places = match block {
            32 => _mm512_srli_epi32::<2>(places),
            _ => _mm512_srli_epi32::<3>(places),
        };
        let mut sums = [[_mm512_setzero_ps(); N]; M];
        for chunk in panel.clone() {
            let left = row_bytes - chunk * chunk_bytes;
            let mut weights = [[_mm512_setzero_si512(); 2]; N];
            let mut scales = [_mm512_setzero_ps(); N];
            for j in 0..N {
                // SAFETY: inside `weights`, but for what the mask leaves out and for what is only fetched.
                unsafe {
                    let at = self
                        .weights
                        .as_ptr()
                        .add((column + j) * row_bytes + chunk * chunk_bytes);
                    if M == 1 {
                        _mm_prefetch::<_MM_HINT_T0>(at.wrapping_add(N * row_bytes).cast());
                    }
                    weights[j] = if BITS == 4 {
                        let both = _mm512_maskz_loadu_epi8(bytes(left), at.cast());
                        let high = _mm512_srli_epi16::<4>(both);
                        [_mm512_and_si512(both, low), _mm512_and_si512(high, low)]
                    } else {
                        let second = at.wrapping_add(64).cast();
                        [
                            _mm512_maskz_loadu_epi8(bytes(left), at.cast()),
                            _mm512_maskz_loadu_epi8(bytes(left.saturating_sub(64)), second),
                        ]
                    };
                }
                let first = chunk * CHUNK / block;
                // SAFETY: inside `scales`, but for what the mask leaves out.
                unsafe {
                    let at = self.scales.as_ptr().add((column + j) * blocks + first);
                    scales[j] = if ONE {
                        _mm512_set1_ps(*at)
                    } else {
                        let here = (blocks - first).min(CHUNK / block);
                        let some = _mm512_maskz_loadu_ps(__mmask16::MAX >> (LANES - here), at);
                        _mm512_permutexvar_ps(places, some)
                    };
                }
            }
            for (i, sums) in sums.iter_mut().enumerate() {
                // Keeps the compiler from loading all rows first: there are not so many vectors.
                compiler_fence(Ordering::SeqCst);
                // SAFETY: inside `chunks`, whose halves have the size of a vector.
                let (part, first, second, start) = unsafe {
                    let part = &*self.chunks.as_ptr().add((row + i) * chunks + chunk);
                    let [first, second] = &part.halves;
                    (
                        part,
                        _mm512_load_si512(first.as_ptr().cast()),
                        _mm512_load_si512(second.as_ptr().cast()),
                        _mm512_load_si512(part.start.as_ptr().cast()),
                    )
                };
                let scale = _mm512_set1_ps(part.scale);
                for j in 0..N {
                    let products = _mm512_dpbusd_epi32(start, weights[j][0], first);
                    let products = _mm512_dpbusd_epi32(products, weights[j][1], second);
                    let scale = _mm512_mul_ps(scales[j], scale);
                    sums[j] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(products), scale, sums[j]);
                }
            }
        }
        for (i, sums) in sums.iter().enumerate() {
            let some = totals([sums[0], sums[1 % N], sums[2 % N], sums[3 % N]]);
            let there = __mmask8::MAX >> (8 - N);
            // SAFETY: inside `out`, but for what the mask leaves out; nobody else writes these columns.
            unsafe {
                let out = self.out.add((row + i) * n + column);
                let before = match panel.start {
                    0 => _mm_setzero_ps(),
                    _ => _mm_maskz_loadu_ps(there, out),
                };
                _mm_mask_storeu_ps(out, there, _mm_add_ps(before, some));
            }
        }
    }
}

/// The bytes that are there, of a vector.
#[inline(always)]
fn bytes(left: usize) -> __mmask64 {
    match left {
        0 => 0,
        1..64 => __mmask64::MAX >> (64 - left),
        _ => __mmask64::MAX,
    }
}

/// The sums of the lanes of each.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn totals([a, b, c, d]: [__m512; 4]) -> __m128 {
    let ab = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
    let cd = _mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
    let low = _mm512_shuffle_ps::<0b01_00_01_00>(ab, cd);
    let high = _mm512_shuffle_ps::<0b11_10_11_10>(ab, cd);
    let all = _mm512_add_ps(low, high);
    let half = _mm256_add_ps(
        _mm512_castps512_ps256(all),
        _mm512_extractf32x8_ps::<1>(all),
    );
    _mm_add_ps(
        _mm256_castps256_ps128(half),
        _mm256_extractf128_ps::<1>(half),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A product as the head of this file defines it, in f64.
    fn naively(shape: Shape, weights: &[u8], scales: &[f32], row: &[f32]) -> Vec<f64> {
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
            let whole = |x: &f32| {
                if scale > 0.0 {
                    (f64::from(*x) / f64::from(scale)).round()
                } else {
                    0.0
                }
            };
            rounded.extend(chunk.iter().map(|x| whole(x) * f64::from(scale)));
        }
        let product = |column: usize| {
            let scale = |at: usize| f64::from(scales[column * shape.blocks() + at / shape.block]);
            let terms = rounded.iter().enumerate();
            terms
                .map(|(at, x)| number(column, at) * scale(at) * x)
                .sum()
        };
        (0..shape.n).map(product).collect()
    }

    fn multiply(shape: Shape, weights: &[u8], scales: &[f32], rows: &[f32]) -> Vec<f32> {
        let count = rows.len() / shape.k;
        let mut chunks = vec![Chunk::EMPTY; count * shape.chunks()];
        for (row, chunks) in rows.chunks(shape.k).zip(chunks.chunks_mut(shape.chunks())) {
            round(shape.bits, row, chunks);
        }
        let mut out = vec![f32::NAN; count * shape.n];
        let product = Product::new(shape, weights, scales, &chunks, &mut out).unwrap();
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
            if !is_possible() {
                return Ok(());
            }
            let mut state = seed;
            let mut next = || {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                state >> 8
            };
            let weights: Vec<u8> = (0..shape.n * shape.row_bytes()).map(|_| next() as u8).collect();
            let scales: Vec<f32> = (0..shape.n * shape.blocks()).map(|_| next() as f32 / 1e8).collect();
            let rows: Vec<f32> = (0..count * shape.k).map(|_| next() as f32 / 8e6 - 1.0).collect();
            let found = multiply(shape, &weights, &scales, &rows);
            for (row, found) in rows.chunks(shape.k).zip(found.chunks(shape.n)) {
                let expected = naively(shape, &weights, &scales, row);
                let size = expected.iter().fold(1e-3, |most: f64, x| most.max(x.abs()));
                for (found, expected) in found.iter().zip(&expected) {
                    // Half a step of one number may fall to the other side of the other way to round.
                    prop_assert!((f64::from(*found) - expected).abs() < 3e-3 * size, "{found}, {expected}");
                }
                prop_assert_eq!(found, &multiply(shape, &weights, &scales, row)[..]);
            }
        }
    }

    #[test]
    fn what_is_not_finite_is_not_lost() {
        if !is_possible() {
            return;
        }
        let shape = Shape {
            n: 3,
            k: 256,
            block: 32,
            bits: Bits::Four,
        };
        let (weights, scales) = (vec![0x9a; 3 * 128], vec![0.5; 3 * 8]);
        for wrong in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut row = vec![1.0; 256];
            row[200] = wrong;
            assert!(
                multiply(shape, &weights, &scales, &row)
                    .iter()
                    .all(|x| x.is_nan())
            );
        }
        assert_eq!(multiply(shape, &weights, &scales, &[0.0; 256]), [0.0; 3]);
        assert!(
            multiply(shape, &weights, &scales, &[f32::MAX; 256])
                .iter()
                .all(|x| !x.is_nan())
        );
        assert_eq!(multiply(shape, &weights, &scales, &[1e-45; 256]), [0.0; 3]);
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
        let fits = |weights: &[u8], scales: &[f32], chunks: &[Chunk], out: &mut [f32]| {
            Product::new(shape, weights, scales, chunks, out).is_some()
        };
        assert_eq!(
            fits(&weights, &scales, &chunks, &mut [0.0; 2]),
            is_possible()
        );
        assert!(!fits(&weights[1..], &scales, &chunks, &mut [0.0; 2]));
        assert!(!fits(&weights, &scales[1..], &chunks, &mut [0.0; 2]));
        assert!(!fits(&weights, &scales, &chunks, &mut [0.0; 3]));
        assert!(!fits(&weights, &scales, &[], &mut [0.0; 2]));
    }
}
