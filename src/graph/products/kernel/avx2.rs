//! With AVX2: `vpmaddubsw` and `vpmaddwd` make eight sums of four products each, four times for a chunk.

use std::arch::x86_64::*;
use std::ops::Range;

use super::{CHUNK, Chunk, PANEL, Product, Shape};

/// Rows that are multiplied together, or columns where there is one row: their sums fit the 16 vectors there are, beside
/// the weights.
const ROWS: usize = 4;
const COLUMNS_OF_ONE: usize = 2;

/// Vectors of 32 bytes in a half of a chunk, and of sums.
const VECTORS: usize = 2;

/// Whether this processor can do it.
pub(super) fn is_possible() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
}

#[target_feature(enable = "avx2,fma")]
pub(super) fn round<const BITS: usize>(row: &[f32], chunks: &mut [Chunk]) {
    let zero = if BITS == 4 { 8 } else { 128 };
    for (numbers, chunk) in row.chunks(CHUNK).zip(chunks) {
        let mut all = [0.0_f32; CHUNK];
        all[..numbers.len()].copy_from_slice(numbers);
        let (mut greatest, mut finite) = (0.0_f32, true);
        for number in all {
            greatest = greatest.max(number.abs());
            finite &= number.is_finite();
        }
        let scale = greatest / 127.0;
        chunk.scale = if finite { scale } else { f32::NAN };
        // Where the scale is nothing, all numbers are, or so small that nothing is left of a product with them.
        let per_scale = if scale > 0.0 { 127.0 / greatest } else { 0.0 };
        let mut whole = [0_i8; CHUNK];
        for (whole, number) in whole.iter_mut().zip(all) {
            *whole = (number * per_scale).round_ties_even() as i8;
        }
        let [first, second] = &mut chunk.halves;
        if BITS == 4 {
            // A byte of weights holds two neighbours, the first in its low bits.
            for (at, pair) in whole.chunks_exact(2).enumerate() {
                (first[at], second[at]) = (pair[0], pair[1]);
            }
        } else {
            first.copy_from_slice(&whole[..CHUNK / 2]);
            second.copy_from_slice(&whole[CHUNK / 2..]);
        }
        for (lane, start) in chunk.start.iter_mut().enumerate() {
            let mut sum = 0;
            for at in 4 * lane..4 * lane + 4 {
                sum += i32::from(first[at]) + i32::from(second[at]);
            }
            *start = -zero * sum;
        }
    }
}

impl Product<'_> {
    /// `ONE`: whether a chunk of weights has one scale.
    #[target_feature(enable = "avx2,fma")]
    pub(super) unsafe fn multiply_avx2<const BITS: usize, const ONE: bool>(
        &self,
        columns: Range<usize>,
    ) {
        let chunks = self.shape.chunks();
        let panel = chunks.div_ceil(chunks.div_ceil(PANEL));
        for start in (0..chunks).step_by(panel) {
            let panel = start..(start + panel).min(chunks);
            for row in (0..self.rows).step_by(ROWS) {
                let (panel, columns) = (panel.clone(), columns.clone());
                // SAFETY: the caller's promise, passed on.
                unsafe {
                    match self.rows - row {
                        1 => self.across_avx2::<BITS, ONE, 1, COLUMNS_OF_ONE>(row, columns, panel),
                        2 => self.across_avx2::<BITS, ONE, 2, 1>(row, columns, panel),
                        3 => self.across_avx2::<BITS, ONE, 3, 1>(row, columns, panel),
                        _ => self.across_avx2::<BITS, ONE, ROWS, 1>(row, columns, panel),
                    }
                }
            }
        }
    }

    /// Some columns of `M` rows.
    #[target_feature(enable = "avx2,fma")]
    unsafe fn across_avx2<const BITS: usize, const ONE: bool, const M: usize, const N: usize>(
        &self,
        row: usize,
        columns: Range<usize>,
        panel: Range<usize>,
    ) {
        let whole = columns.len() / N * N;
        // SAFETY: the caller's promise, passed on.
        unsafe {
            for column in (columns.start..columns.start + whole).step_by(N) {
                self.tile_avx2::<BITS, ONE, M, N>(row, column, panel.clone());
            }
            for column in columns.start + whole..columns.end {
                self.tile_avx2::<BITS, ONE, M, 1>(row, column, panel.clone());
            }
        }
    }

    /// `N` columns of `M` rows: what some chunks add to them.
    #[inline(never)]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn tile_avx2<const BITS: usize, const ONE: bool, const M: usize, const N: usize>(
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
        let (low, ones) = (_mm256_set1_epi8(15), _mm256_set1_epi16(1));
        let mut sums = [[[_mm256_setzero_ps(); VECTORS]; N]; M];
        for chunk in panel.clone() {
            let left = (row_bytes - chunk * chunk_bytes).min(chunk_bytes);
            // By vector and half.
            let mut weights = [[[_mm256_setzero_si256(); 2]; VECTORS]; N];
            let mut scales = [[_mm256_setzero_ps(); VECTORS]; N];
            for j in 0..N {
                let start = (column + j) * row_bytes + chunk * chunk_bytes;
                let mut copy = [0; CHUNK];
                let at = match &self.weights[start..start + left] {
                    whole if left == chunk_bytes => whole.as_ptr(),
                    some => {
                        copy[..left].copy_from_slice(some);
                        copy.as_ptr()
                    }
                };
                for (v, weights) in weights[j].iter_mut().enumerate() {
                    // SAFETY: `chunk_bytes` are there.
                    let load = |bytes| unsafe { _mm256_loadu_si256(at.add(bytes).cast()) };
                    *weights = if BITS == 4 {
                        let both = load(32 * v);
                        let high = _mm256_srli_epi16::<4>(both);
                        [_mm256_and_si256(both, low), _mm256_and_si256(high, low)]
                    } else {
                        let zero = _mm256_set1_epi8(-128);
                        [32 * v, 64 + 32 * v].map(|bytes| _mm256_xor_si256(load(bytes), zero))
                    };
                }
                let first = chunk * CHUNK / block;
                let here = &self.scales[(column + j) * blocks..][..blocks][first..];
                scales[j] = if ONE {
                    [_mm256_set1_ps(here[0]); VECTORS]
                } else {
                    let scale = |at: usize| _mm_set1_ps(here.get(at).copied().unwrap_or(0.0));
                    match block {
                        32 => [
                            _mm256_set_m128(scale(1), scale(0)),
                            _mm256_set_m128(scale(3), scale(2)),
                        ],
                        _ => [
                            _mm256_set_m128(scale(0), scale(0)),
                            _mm256_set_m128(scale(1), scale(1)),
                        ],
                    }
                };
            }
            for (i, sums) in sums.iter_mut().enumerate() {
                let part = &self.chunks[(row + i) * chunks + chunk];
                let scale = _mm256_set1_ps(part.scale);
                for v in 0..VECTORS {
                    // SAFETY: halves have 64 bytes, and there are 16 starts.
                    let [first, second, start] = unsafe {
                        [
                            _mm256_load_si256(part.halves[0].as_ptr().add(32 * v).cast()),
                            _mm256_load_si256(part.halves[1].as_ptr().add(32 * v).cast()),
                            _mm256_load_si256(part.start.as_ptr().add(8 * v).cast()),
                        ]
                    };
                    for j in 0..N {
                        let [low, high] = weights[j][v];
                        let products = if BITS == 4 {
                            // At most 4 · 15 · 127: no sum of 16 bits is cut off.
                            let pairs = _mm256_add_epi16(
                                _mm256_maddubs_epi16(low, first),
                                _mm256_maddubs_epi16(high, second),
                            );
                            _mm256_add_epi32(start, _mm256_madd_epi16(pairs, ones))
                        } else {
                            // Two of at most 128 · 127 do not fit with any other two.
                            let pairs = |weights, numbers| {
                                let signed = _mm256_sign_epi8(numbers, weights);
                                let pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(weights), signed);
                                _mm256_madd_epi16(pairs, ones)
                            };
                            _mm256_add_epi32(pairs(low, first), pairs(high, second))
                        };
                        let scale = _mm256_mul_ps(scales[j][v], scale);
                        let products = _mm256_cvtepi32_ps(products);
                        sums[j][v] = _mm256_fmadd_ps(products, scale, sums[j][v]);
                    }
                }
            }
        }
        for (i, sums) in sums.iter().enumerate() {
            for (j, &[first, second]) in sums.iter().enumerate() {
                let some = total(_mm256_add_ps(first, second));
                // SAFETY: inside `out`; nobody else writes these columns.
                unsafe {
                    let out = self.out.add((row + i) * n + column + j);
                    *out = some + if panel.start == 0 { 0.0 } else { *out };
                }
            }
        }
    }
}

/// The sum of the lanes.
#[target_feature(enable = "avx2,fma")]
fn total(lanes: __m256) -> f32 {
    let half = _mm_add_ps(
        _mm256_castps256_ps128(lanes),
        _mm256_extractf128_ps::<1>(lanes),
    );
    let quarter = _mm_add_ps(half, _mm_movehl_ps(half, half));
    _mm_cvtss_f32(_mm_add_ss(quarter, _mm_movehdup_ps(quarter)))
}
