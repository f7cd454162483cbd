//! With AVX-512 and its VNNI: `vpdpbusd` makes sixteen sums of four products each, twice for a chunk.

use std::arch::x86_64::*;
use std::ops::Range;
use std::sync::atomic::{Ordering, compiler_fence};

use super::{CHUNK, Chunk, LANES, PANEL, Product, Shape};

/// Rows that are multiplied together, and columns: sums, weights and scales fit the 32 vectors there are.
const ROWS: usize = 8;
const COLUMNS: usize = 2;
const COLUMNS_OF_FEW: usize = 4;

/// Whether this processor can do it.
pub(super) fn is_possible() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512vnni")
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(super) fn round<const BITS: usize>(row: &[f32], chunks: &mut [Chunk]) {
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

impl Product<'_> {
    /// `ONE`: whether a chunk of weights has one scale.
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
    pub(super) unsafe fn multiply_avx512<const BITS: usize, const ONE: bool>(
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
                        1 => {
                            self.across_avx512::<BITS, ONE, 1, COLUMNS_OF_FEW>(row, columns, panel)
                        }
                        2 => {
                            self.across_avx512::<BITS, ONE, 2, COLUMNS_OF_FEW>(row, columns, panel)
                        }
                        3 => {
                            self.across_avx512::<BITS, ONE, 3, COLUMNS_OF_FEW>(row, columns, panel)
                        }
                        4 => {
                            self.across_avx512::<BITS, ONE, 4, COLUMNS_OF_FEW>(row, columns, panel)
                        }
                        5 => self.across_avx512::<BITS, ONE, 5, COLUMNS>(row, columns, panel),
                        6 => self.across_avx512::<BITS, ONE, 6, COLUMNS>(row, columns, panel),
                        7 => self.across_avx512::<BITS, ONE, 7, COLUMNS>(row, columns, panel),
                        _ => self.across_avx512::<BITS, ONE, ROWS, COLUMNS>(row, columns, panel),
                    }
                }
            }
        }
    }

    /// Some columns of `M` rows.
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
    unsafe fn across_avx512<const BITS: usize, const ONE: bool, const M: usize, const N: usize>(
        &self,
        row: usize,
        columns: Range<usize>,
        panel: Range<usize>,
    ) {
        let whole = columns.len() / N * N;
        // SAFETY: the caller's promise, passed on.
        unsafe {
            for column in (columns.start..columns.start + whole).step_by(N) {
                self.tile_avx512::<BITS, ONE, M, N>(row, column, panel.clone());
            }
            for column in columns.start + whole..columns.end {
                self.tile_avx512::<BITS, ONE, M, 1>(row, column, panel.clone());
            }
        }
    }

    /// `N` columns of `M` rows: what some chunks add to them.
    #[inline(never)]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
    unsafe fn tile_avx512<const BITS: usize, const ONE: bool, const M: usize, const N: usize>(
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
