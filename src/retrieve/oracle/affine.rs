//! An affine denoiser, without a graph: its chain step by step, and the whole of it at once.
//!
//! With `f(x, c, t) = W_x·x + W_c·c + u_t` both guided predictions are one at `c' = (1 + w)·h − w·φ`, a step is
//! `x ← a·(W_x·x + W_c·c' + u_t) + b·x + s·z`, and all steps together are distributed as `P·c' + q + L·z`.

#![forbid(unsafe_code)]

use pulp::{Arch, Simd, WithSimd};

use super::super::schedule::Step;
use crate::network::Affine;

/// Rows that are summed at once where there are so many: their sums wait for each other less than those of fewer.
const MANY: usize = 64;

/// Rows that are summed at once of those that are left.
const FEW: usize = 16;

/// A square matrix, laid out for products with vectors.
#[derive(Debug)]
pub(super) struct Matrix {
    width: usize,
    /// `[d, d]`, column by column.
    columns: Vec<f32>,
}

impl Matrix {
    /// `rows`: `[width, width]`, row by row.
    fn new(rows: &[f32], width: usize) -> Self {
        let mut columns = vec![0.0; rows.len()];
        for (row, numbers) in rows.chunks_exact(width).enumerate() {
            for (column, number) in numbers.iter().enumerate() {
                columns[column * width + row] = *number;
            }
        }
        Self { width, columns }
    }

    /// `out ← M·x`. Each number is a sum from the first column to the last, whatever the processor.
    fn times(&self, x: &[f32], out: &mut [f32]) {
        Arch::new().dispatch(Product {
            matrix: self,
            x,
            out,
        });
    }

    /// Some blocks of the product, from the row `first`. Gives the row after them.
    #[inline(always)]
    fn sum<const LANES: usize>(
        &self,
        mut first: usize,
        x: &[f32],
        blocks: &mut [[f32; LANES]],
    ) -> usize {
        for out in blocks {
            let mut sums = [0.0; LANES];
            for (column, x) in self.columns.chunks_exact(self.width).zip(x) {
                let (numbers, _) = column[first..].as_chunks::<LANES>();
                for (sum, number) in sums.iter_mut().zip(&numbers[0]) {
                    *sum += number * x;
                }
            }
            *out = sums;
            first += LANES;
        }
        first
    }
}

struct Product<'a> {
    matrix: &'a Matrix,
    x: &'a [f32],
    out: &'a mut [f32],
}

impl WithSimd for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { matrix, x, out } = self;
        let (many, rest) = out.as_chunks_mut::<MANY>();
        let done = matrix.sum(0, x, many);
        let (few, rest) = rest.as_chunks_mut::<FEW>();
        let done = matrix.sum(done, x, few);
        rest.fill(0.0);
        for (column, x) in matrix.columns.chunks_exact(matrix.width).zip(x) {
            for (sum, number) in rest.iter_mut().zip(&column[done..]) {
                *sum += number * x;
            }
        }
    }
}

/// The matrices of the collapsed chain.
pub(super) struct Collapsed<'a> {
    condition: Matrix,
    noise: Matrix,
    constant: &'a [f32],
}

impl<'a> Collapsed<'a> {
    pub(super) fn new(affine: &'a Affine, width: usize) -> Self {
        Self {
            condition: Matrix::new(&affine.collapsed_condition, width),
            noise: Matrix::new(&affine.collapsed_noise, width),
            constant: &affine.collapsed_constant,
        }
    }

    /// `L·z`, which all conditions share.
    pub(super) fn spread(&self, z: &[f32], out: &mut [f32]) {
        self.noise.times(z, out);
    }

    /// `P·c' + q + spread`.
    pub(super) fn point(&self, condition: &[f32], spread: &[f32], out: &mut [f32]) {
        self.condition.times(condition, out);
        for ((out, constant), spread) in out.iter_mut().zip(self.constant).zip(spread) {
            *out += constant + spread;
        }
    }
}

/// The matrices of one step of the chain.
pub(super) struct Recurrence<'a> {
    x: Matrix,
    steps: &'a [f32],
    /// `W_c·c'` of each condition, `[B, d]`.
    conditions: Vec<f32>,
    /// `W_x·x`, `[d]`.
    product: Vec<f32>,
}

impl<'a> Recurrence<'a> {
    /// `conditions`: `[B, d]`.
    pub(super) fn new(affine: &'a Affine, width: usize, conditions: &[f32]) -> Self {
        let matrix = Matrix::new(&affine.condition, width);
        let mut products = vec![0.0; conditions.len()];
        let rows = conditions.chunks_exact(width);
        for (condition, product) in rows.zip(products.chunks_exact_mut(width)) {
            matrix.times(condition, product);
        }
        Self {
            x: Matrix::new(&affine.x, width),
            steps: &affine.steps,
            conditions: products,
            product: vec![0.0; width],
        }
    }

    /// Takes one step from `x`, `[B, d]`, with the noise `z`, `[d]`, that all share.
    pub(super) fn step(&mut self, step: Step, x: &mut [f32], z: &[f32]) {
        let width = self.product.len();
        let constant = &self.steps[step.t * width..][..width];
        let rows = x.chunks_exact_mut(width);
        for (x, condition) in rows.zip(self.conditions.chunks_exact(width)) {
            self.x.times(x, &mut self.product);
            for (column, x) in x.iter_mut().enumerate() {
                let x0 = self.product[column] + condition[column] + constant[column];
                *x = step.x0 * x0 + step.x * *x + step.deviation * z[column];
            }
        }
    }
}
