//! Products of rows of bytes with a column of points, summed in whole numbers.
//!
//! Thirty-two products take one instruction of AVX2, sixty-four one of AVX-512, which wants one side without signs and
//! adds neighbours into 16 bits: rows are stored as `q + 128`, and |(q + 128)·p| of two neighbours is at most 2·255·63 <
//! 2¹⁵. The numbers of a *segment* (32 neighbours) go to two such lanes, pairs by turns. A lane starts with −128·Σp, so
//! that it ends with the products of `q`, at most 128·255 < 2¹⁵; what it wraps around on the way does no harm. Lanes are
//! widened to 32 bits after each segment.

#![forbid(unsafe_code)]

use bytemuck::Pod;

/// Points that are multiplied together.
pub(in super::super) const COLUMN: usize = 16;

/// Rows that are multiplied together: their sums and those of a column stay in registers.
pub(super) const ROWS: usize = 4;

/// Four neighbouring numbers of a row or point: one lane of 32 bits.
pub(super) const QUAD: usize = 4;

/// Quads of a segment: a lane of 16 bits sums sixteen numbers. The last segment of a row is filled up with zeros.
pub(super) const SEGMENT: usize = 8;

/// What is added to a number of a row to make it a byte without sign.
pub(super) const SIGN: u8 = 128;

/// A segment of a column, where no vector of it lies across two lines of the cache.
#[derive(Clone)]
#[repr(align(64))]
pub(super) struct Segment {
    pub(super) quads: [[[i8; QUAD]; COLUMN]; SEGMENT],
    /// What the two lanes of each point start with.
    pub(super) starts: [[i16; 2]; COLUMN],
}

/// How many segments a row has.
pub(super) fn segments(width: usize) -> usize {
    width.div_ceil(SEGMENT * QUAD)
}

/// Sums of products of whole numbers.
pub(super) trait Multiply: Copy {
    /// A quad of each point of a column.
    type Points: Pod;
    /// Two lanes of a segment for each.
    type Sums: Pod;

    #[inline(always)]
    fn points(self, points: &[[i8; QUAD]; COLUMN]) -> Self::Points {
        pulp::cast(*points)
    }

    #[inline(always)]
    fn start(self, starts: &[[i16; 2]; COLUMN]) -> Self::Sums {
        pulp::cast(*starts)
    }

    /// Adds the products of a row's quad and each point's.
    fn add(self, sums: Self::Sums, row: [u8; QUAD], points: Self::Points) -> Self::Sums;
    /// Adds the two lanes to each total.
    fn widen(self, totals: &mut [i32; COLUMN], sums: Self::Sums);
}

#[cfg(target_arch = "x86_64")]
impl Multiply for pulp::x86::V4 {
    type Points = pulp::i8x64;
    type Sums = pulp::i16x32;

    #[inline(always)]
    fn add(self, sums: Self::Sums, row: [u8; QUAD], points: Self::Points) -> Self::Sums {
        let row = self.avx512f._mm512_set1_epi32(pulp::cast(row));
        let products = self.avx512bw._mm512_maddubs_epi16(row, pulp::cast(points));
        pulp::cast(self.avx512bw._mm512_add_epi16(pulp::cast(sums), products))
    }

    #[inline(always)]
    fn widen(self, totals: &mut [i32; COLUMN], sums: Self::Sums) {
        let ones = self.avx512f._mm512_set1_epi16(1);
        let sums = self.avx512bw._mm512_madd_epi16(pulp::cast(sums), ones);
        *totals = pulp::cast(self.avx512f._mm512_add_epi32(pulp::cast(*totals), sums));
    }
}

/// Points of a vector of AVX2.
#[cfg(target_arch = "x86_64")]
const HALF: usize = COLUMN / 2;

#[cfg(target_arch = "x86_64")]
impl Multiply for pulp::x86::V3 {
    type Points = [pulp::i8x32; 2];
    type Sums = [pulp::i16x16; 2];

    #[inline(always)]
    fn add(self, mut sums: Self::Sums, row: [u8; QUAD], points: Self::Points) -> Self::Sums {
        let row = self.avx._mm256_set1_epi32(pulp::cast(row));
        for half in 0..2 {
            let products = self
                .avx2
                ._mm256_maddubs_epi16(row, pulp::cast(points[half]));
            sums[half] = pulp::cast(self.avx2._mm256_add_epi16(pulp::cast(sums[half]), products));
        }
        sums
    }

    #[inline(always)]
    fn widen(self, totals: &mut [i32; COLUMN], sums: Self::Sums) {
        let ones = self.avx._mm256_set1_epi16(1);
        let (totals, _) = totals.as_chunks_mut::<HALF>();
        for half in 0..2 {
            let sums = self.avx2._mm256_madd_epi16(pulp::cast(sums[half]), ones);
            totals[half] = pulp::cast(self.avx2._mm256_add_epi32(pulp::cast(totals[half]), sums));
        }
    }
}

/// What the compiler makes of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plain;

impl Multiply for Plain {
    type Points = [[i8; QUAD]; COLUMN];
    type Sums = [[i16; 2]; COLUMN];

    #[inline(always)]
    fn add(self, mut sums: Self::Sums, row: [u8; QUAD], points: Self::Points) -> Self::Sums {
        let row = row.map(i16::from);
        for (sums, points) in sums.iter_mut().zip(points) {
            let points = points.map(i16::from);
            for (lane, sum) in sums.iter_mut().enumerate() {
                let product = |at: usize| row[at] * points[at];
                *sum = sum.wrapping_add(product(2 * lane) + product(2 * lane + 1));
            }
        }
        sums
    }

    #[inline(always)]
    fn widen(self, totals: &mut [i32; COLUMN], sums: Self::Sums) {
        for (total, [even, odd]) in totals.iter_mut().zip(sums) {
            *total += i32::from(even) + i32::from(odd);
        }
    }
}

/// Sets `products` to those of [`ROWS`] rows and a column of points.
#[inline(always)]
pub(super) fn multiply<M: Multiply>(
    by: M,
    rows: &[[[u8; QUAD]; SEGMENT]],
    points: &[Segment],
    products: &mut [[i32; COLUMN]; ROWS],
) {
    let len = points.len();
    let rows: [&[[[u8; QUAD]; SEGMENT]]; ROWS] =
        std::array::from_fn(|row| &rows[row * len..][..len]);
    *products = [[0; COLUMN]; ROWS];
    for (segment, points) in points.iter().enumerate() {
        let rows = rows.map(|row| &row[segment]);
        let mut sums = [by.start(&points.starts); ROWS];
        for (at, points) in points.quads.iter().enumerate() {
            let points = by.points(points);
            for row in 0..ROWS {
                sums[row] = by.add(sums[row], rows[row][at], points);
            }
        }
        for row in 0..ROWS {
            by.widen(&mut products[row], sums[row]);
        }
    }
}
