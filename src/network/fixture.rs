//! A made-up affine diffusion model and what it does in f64, for the tests of samplers.

use super::Diffusion;
use crate::catalog::fixture::Table;

/// An affine diffusion model whose numbers are those of its tables, in f64.
pub(crate) struct Model {
    pub(crate) width: usize,
    pub(crate) steps: usize,
    pub(crate) unconditional: Vec<f64>,
    /// `c1`, `c2`, `√v`, `ᾱ` of each step.
    pub(crate) schedule: Vec<[f64; 4]>,
    /// `W_x`, `W_c`, `u`.
    pub(crate) x: Vec<f64>,
    pub(crate) condition: Vec<f64>,
    pub(crate) constants: Vec<f64>,
}

/// The collapsed chain: `P`, `q` and the covariance.
pub(crate) struct Collapse {
    pub(crate) condition: Vec<f64>,
    pub(crate) constant: Vec<f64>,
    pub(crate) covariance: Vec<f64>,
}

/// Numbers in −1 to 1 without a pattern.
fn numbers(count: usize, seed: u32) -> impl Iterator<Item = f64> {
    (0..count as u32).map(move |at| {
        let mixed = (at.wrapping_add(seed) ^ seed.rotate_left(16)).wrapping_mul(2_654_435_769);
        let mixed = (mixed ^ mixed >> 15).wrapping_mul(2_246_822_519);
        f64::from(mixed ^ mixed >> 13) / f64::from(u32::MAX) * 2.0 - 1.0
    })
}

/// What a table in f32 makes of it.
fn rounded(values: impl Iterator<Item = f64>) -> Vec<f64> {
    values.map(|value| f64::from(value as f32)).collect()
}

impl Model {
    /// β rises evenly from 1e-4 to 0.02, as DreamRec's `linear`.
    pub(crate) fn new(width: usize, steps: usize) -> Self {
        let span = (steps.max(2) - 1) as f64;
        let betas = (0..steps).map(|t| 1e-4 + (0.02 - 1e-4) * t as f64 / span);
        Self::with_betas(width, betas)
    }

    /// DreamRec's `cosine`.
    pub(crate) fn cosine(width: usize, steps: usize) -> Self {
        let g = |u: usize| {
            let angle = (u as f64 / steps as f64 + 0.008) / 1.008 * std::f64::consts::FRAC_PI_2;
            angle.cos().powi(2)
        };
        let betas = (0..steps).map(|t| (1.0 - g(t + 1) / g(t)).clamp(1e-4, 0.9999));
        Self::with_betas(width, betas)
    }

    fn with_betas(width: usize, betas: impl Iterator<Item = f64>) -> Self {
        let mut previous = 1.0;
        let schedule: Vec<[f64; 4]> = betas
            .map(|beta| {
                let signal = previous * (1.0 - beta);
                let row: [f64; 4] = [
                    beta * f64::sqrt(previous) / (1.0 - signal),
                    (1.0 - previous) * f64::sqrt(1.0 - beta) / (1.0 - signal),
                    f64::sqrt(beta * (1.0 - previous) / (1.0 - signal)),
                    signal,
                ];
                previous = signal;
                row.map(|value| f64::from(value as f32))
            })
            .collect();
        let steps = schedule.len();
        let scale = 1.0 / (width as f64).sqrt();
        let matrix = |seed, scale: f64| rounded(numbers(width * width, seed).map(|x| x * scale));
        Self {
            width,
            steps,
            unconditional: rounded(numbers(width, 3)),
            schedule,
            x: matrix(1, 0.8 * scale),
            condition: matrix(2, 1.5 * scale),
            constants: rounded(numbers(steps * width, 4).map(|x| 0.3 * x)),
        }
    }

    /// `f(x, c, t)`.
    pub(crate) fn denoise(&self, x: &[f64], condition: &[f64], t: usize) -> Vec<f64> {
        let d = self.width;
        let row = |matrix: &[f64], row: usize, vector: &[f64]| -> f64 {
            let numbers = matrix[row * d..][..d].iter().zip(vector);
            numbers.map(|(a, b)| a * b).sum()
        };
        let out = |at| {
            row(&self.x, at, x) + row(&self.condition, at, condition) + self.constants[t * d + at]
        };
        (0..d).map(out).collect()
    }

    /// The whole chain with two predictions a step, as the authors have it. `noise`: step T first, then by step.
    pub(crate) fn chain(
        &self,
        state: &[f64],
        w: f64,
        noise: impl Fn(usize) -> Vec<f64>,
    ) -> Vec<f64> {
        let mut x = noise(self.steps);
        for t in (0..self.steps).rev() {
            let [c1, c2, deviation, _] = self.schedule[t];
            let with = self.denoise(&x, state, t);
            let without = self.denoise(&x, &self.unconditional, t);
            let z = if t == 0 {
                vec![0.0; self.width]
            } else {
                noise(t)
            };
            for at in 0..self.width {
                let x0 = (1.0 + w) * with[at] - w * without[at];
                x[at] = c1 * x0 + c2 * x[at] + deviation * z[at];
            }
        }
        x
    }

    /// `P ← A·P + c1·W_c`, `q ← A·q + c1·u_t`, `Σ ← A·Σ·Aᵀ + v·I`, with `A = c1·W_x + c2·I`.
    pub(crate) fn collapse(&self) -> Collapse {
        let d = self.width;
        let product = |a: &[f64], b: &[f64], transposed: bool| -> Vec<f64> {
            let mut out = vec![0.0; d * d];
            for i in 0..d {
                for k in 0..d {
                    for j in 0..d {
                        out[i * d + j] += a[i * d + k]
                            * if transposed {
                                b[j * d + k]
                            } else {
                                b[k * d + j]
                            };
                    }
                }
            }
            out
        };
        let (mut p, mut q) = (vec![0.0; d * d], vec![0.0; d]);
        let mut sigma = vec![0.0; d * d];
        (0..d).for_each(|at| sigma[at * d + at] = 1.0);
        for t in (0..self.steps).rev() {
            let [c1, c2, deviation, _] = self.schedule[t];
            let mut a: Vec<f64> = self.x.iter().map(|w| c1 * w).collect();
            (0..d).for_each(|at| a[at * d + at] += c2);
            p = product(&a, &p, false);
            p.iter_mut()
                .zip(&self.condition)
                .for_each(|(p, w)| *p += c1 * w);
            let before = q.clone();
            for (at, q) in q.iter_mut().enumerate() {
                let row = a[at * d..][..d].iter().zip(&before);
                *q = row.map(|(a, b)| a * b).sum::<f64>() + c1 * self.constants[t * d + at];
            }
            sigma = product(&product(&a, &sigma, false), &a, true);
            if t > 0 {
                (0..d).for_each(|at| sigma[at * d + at] += deviation * deviation);
            }
        }
        Collapse {
            condition: p,
            constant: q,
            covariance: sigma,
        }
    }

    /// The tables of a bundle's part.
    pub(crate) fn table(&self) -> Table {
        let (d, collapse) = (self.width, self.collapse());
        let narrow = |values: &[f64]| -> Vec<f32> { values.iter().map(|&x| x as f32).collect() };
        let column =
            |at: usize| -> Vec<f32> { self.schedule.iter().map(|row| row[at] as f32).collect() };
        Table::default()
            .list("unconditional", &narrow(&self.unconditional))
            .list("schedule.x0", &column(0))
            .list("schedule.x", &column(1))
            .list("schedule.deviation", &column(2))
            .list("schedule.signal", &column(3))
            .set("affine.x", &[d, d], &narrow(&self.x))
            .set("affine.condition", &[d, d], &narrow(&self.condition))
            .set("affine.steps", &[self.steps, d], &narrow(&self.constants))
            .set("collapsed.condition", &[d, d], &narrow(&collapse.condition))
            .list("collapsed.constant", &narrow(&collapse.constant))
            .set(
                "collapsed.noise",
                &[d, d],
                &narrow(&cholesky(&collapse.covariance, d)),
            )
    }
}

/// The lower triangular factor `L` of `L·Lᵀ`.
fn cholesky(matrix: &[f64], d: usize) -> Vec<f64> {
    let mut factor = vec![0.0; d * d];
    for i in 0..d {
        for j in 0..=i {
            let known: f64 = (0..j).map(|k| factor[i * d + k] * factor[j * d + k]).sum();
            let rest = matrix[i * d + j] - known;
            factor[i * d + j] = if i == j {
                rest.sqrt()
            } else {
                rest / factor[j * d + j]
            };
        }
    }
    factor
}

/// The tables of [`Model::new`].
pub(crate) fn diffusion(width: usize, steps: usize) -> Diffusion {
    let tensors = Model::new(width, steps).table().tensors().unwrap();
    Diffusion::open(&tensors, width).unwrap()
}
