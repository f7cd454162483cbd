//! What a diffusion model has beside its denoiser: the schedule, the vector that stands for no history and, where the
//! denoiser is affine, the denoiser itself as matrices, and its whole chain collapsed into one.
//!
//! A part of the bundle holds it (`models/README.md`), which is mapped and read in place: opening checks types and
//! shapes, [`Diffusion::verify`] reads every number. DreamRec: Yang et al., NeurIPS 2023.

#![forbid(unsafe_code)]

use crate::bundle::{Array, Tensors};
use crate::error::{Error, Result};

/// The most steps that a schedule may have: far above any real one, and each is counted in an i64 and a u32.
const MOST_STEPS: usize = 1 << 20;

const SCHEDULE: [&str; 4] = [
    "schedule.x0",
    "schedule.x",
    "schedule.deviation",
    "schedule.signal",
];
const AFFINE: [&str; 6] = [
    "affine.x",
    "affine.condition",
    "affine.steps",
    "collapsed.condition",
    "collapsed.constant",
    "collapsed.noise",
];

/// In how many directions the collapsed chain is looked at.
const PROBES: usize = 3;
/// What its mean and variance may be off, as a part of themselves: the rounding of tables to f32.
const CLOSE: f64 = 1e-3;
/// Multiples of it leave no pattern after the point.
const GOLDEN: f64 = 0.618_033_988_749_894_9;

/// The tables of a diffusion model over vectors of one width.
#[derive(Debug)]
pub struct Diffusion {
    part: String,
    width: usize,
    unconditional: Array<f32>,
    schedule: Schedule,
    affine: Option<Affine>,
}

/// The posterior of each step of the chain, and what is left of the item then: each `[T]`, from t = 0.
#[derive(Debug)]
pub(crate) struct Schedule {
    /// `β_t·√ᾱ_{t−1}/(1 − ᾱ_t)`: what the denoised vector counts in the mean.
    pub(crate) x0: Array<f32>,
    /// `(1 − ᾱ_{t−1})·√(1 − β_t)/(1 − ᾱ_t)`: what `x_t` counts in the mean.
    pub(crate) x: Array<f32>,
    /// The square root of the variance.
    pub(crate) deviation: Array<f32>,
    /// `ᾱ_t`.
    pub(crate) signal: Array<f32>,
}

impl Schedule {
    /// T.
    pub(crate) fn len(&self) -> usize {
        self.x0.len()
    }

    /// What `x̂_0`, `x_t` and noise count in a step.
    fn step(&self, t: usize) -> [f64; 3] {
        [&self.x0, &self.x, &self.deviation].map(|table| f64::from(table[t]))
    }
}

/// An affine denoiser, `f(x, c, t) = W_x·x + W_c·c + u_t`, and the chain that it makes, `P·c + q + L·z`. Matrices are
/// `[d, d]`, row by row, and multiply from the left.
#[derive(Debug)]
pub(crate) struct Affine {
    /// `W_x`.
    pub(crate) x: Array<f32>,
    /// `W_c`.
    pub(crate) condition: Array<f32>,
    /// `u_t`, `[T, d]`: what the step and the bias add.
    pub(crate) steps: Array<f32>,
    /// `P`.
    pub(crate) collapsed_condition: Array<f32>,
    /// `q`, `[d]`.
    pub(crate) collapsed_constant: Array<f32>,
    /// `L`, lower triangular: the factor of the covariance.
    pub(crate) collapsed_noise: Array<f32>,
}

impl Diffusion {
    /// Opens the tables of a part for vectors of this width: types and shapes.
    pub(crate) fn open(tensors: &Tensors, width: usize) -> Result<Self> {
        tensors.only(|tensor| {
            tensor == "unconditional" || SCHEDULE.contains(&tensor) || AFFINE.contains(&tensor)
        })?;
        let steps = tensors.list::<f32>(SCHEDULE[0])?.len();
        if !(1..=MOST_STEPS).contains(&steps) {
            let expected = format!("1 to {MOST_STEPS} steps");
            let found = steps.to_string();
            return Err(Error::tensor(tensors.part(), SCHEDULE[0], expected, found));
        }
        let [x0, x, deviation, signal] = SCHEDULE.map(|name| tensors.array(name, &[steps]));
        let affine = AFFINE.iter().any(|name| tensors.has(name));
        let matrix = |name| tensors.array(name, &[width, width]);
        Ok(Self {
            part: tensors.part().into(),
            width,
            unconditional: tensors.array("unconditional", &[width])?,
            schedule: Schedule {
                x0: x0?,
                x: x?,
                deviation: deviation?,
                signal: signal?,
            },
            affine: match affine {
                false => None,
                true => Some(Affine {
                    x: matrix("affine.x")?,
                    condition: matrix("affine.condition")?,
                    steps: tensors.array("affine.steps", &[steps, width])?,
                    collapsed_condition: matrix("collapsed.condition")?,
                    collapsed_constant: tensors.array("collapsed.constant", &[width])?,
                    collapsed_noise: matrix("collapsed.noise")?,
                }),
            },
        })
    }

    /// Reads every number.
    pub(crate) fn verify(&self) -> Result<()> {
        let finite = |tensor, values: &[f32]| {
            self.all(tensor, values, "finite numbers", |_, value| {
                value.is_finite()
            })
        };
        finite("unconditional", &self.unconditional)?;
        let Schedule {
            x0,
            x,
            deviation,
            signal,
        } = &self.schedule;
        finite(SCHEDULE[0], x0)?;
        finite(SCHEDULE[1], x)?;
        self.all(
            SCHEDULE[2],
            deviation,
            "finite numbers, none negative",
            |_, value| value.is_finite() && value >= 0.0,
        )?;
        self.all(
            SCHEDULE[3],
            signal,
            "numbers above 0 and below 1, never rising",
            |t, value| value > 0.0 && value < 1.0 && (t == 0 || value <= signal[t - 1]),
        )?;
        let Some(affine) = &self.affine else {
            return Ok(());
        };
        finite(AFFINE[0], &affine.x)?;
        finite(AFFINE[1], &affine.condition)?;
        finite(AFFINE[2], &affine.steps)?;
        finite(AFFINE[3], &affine.collapsed_condition)?;
        finite(AFFINE[4], &affine.collapsed_constant)?;
        finite(AFFINE[5], &affine.collapsed_noise)?;
        self.all(
            AFFINE[5],
            &affine.collapsed_noise,
            "a lower triangle whose diagonal is not negative",
            |at, value| {
                let (row, column) = (at / self.width, at % self.width);
                column < row || (column == row && value >= 0.0) || value == 0.0
            },
        )?;
        (0..PROBES).try_for_each(|probe| self.verify_collapse(affine, probe))
    }

    /// Whether the collapsed chain is that of the steps, along one direction each of conditions and of results: that
    /// needs no product of two matrices.
    fn verify_collapse(&self, affine: &Affine, probe: usize) -> Result<()> {
        let spacing = GOLDEN * (probe + 1) as f64;
        let direction = (0..self.width).map(|at| ((at + 1) as f64 * spacing).fract() - 0.5);
        let direction: Vec<f64> = direction.collect();
        let wrong = |tensor: &str, what: &str, expected: f64, found: f64| {
            let expected = format!("the {what} of the chain of `affine`, {expected:e}");
            Err(Error::tensor(
                &self.part,
                tensor,
                expected,
                found.to_string(),
            ))
        };
        let mean = self.mean(affine, &direction);
        let largest = mean.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
        let collapsed = times(&affine.collapsed_condition, &direction);
        for ((p, &q), expected) in collapsed.iter().zip(&*affine.collapsed_constant).zip(mean) {
            let found = p + f64::from(q);
            let close = (found - expected).abs() <= CLOSE * largest;
            if !close {
                return wrong(AFFINE[3], "mean", expected, found);
            }
        }
        let expected = self.variance(affine, &direction);
        let found = square(&transposed_times(&affine.collapsed_noise, &direction));
        let close = (found - expected).abs() <= CLOSE * expected;
        match close {
            true => Ok(()),
            false => wrong(AFFINE[5], "variance", expected, found),
        }
    }

    /// Where the chain ends without noise, under a condition.
    fn mean(&self, affine: &Affine, condition: &[f64]) -> Vec<f64> {
        let condition = times(&affine.condition, condition);
        let mut x = vec![0.0; self.width];
        for t in (0..self.schedule.len()).rev() {
            let [a, b, _] = self.schedule.step(t);
            let constant = &affine.steps[t * self.width..][..self.width];
            let product = times(&affine.x, &x);
            for (at, x) in x.iter_mut().enumerate() {
                let x0 = product[at] + condition[at] + f64::from(constant[at]);
                *x = a * x0 + b * *x;
            }
        }
        x
    }

    /// The variance of `⟨v, x⟩` at the end of the chain: backwards, `v` is what the noise of a step still counts in it.
    fn variance(&self, affine: &Affine, direction: &[f64]) -> f64 {
        let (mut v, mut variance) = (direction.to_vec(), 0.0);
        for t in 0..self.schedule.len() {
            let [a, b, deviation] = self.schedule.step(t);
            if t > 0 {
                variance += deviation * deviation * square(&v);
            }
            let back = transposed_times(&affine.x, &v);
            v.iter_mut()
                .zip(back)
                .for_each(|(v, back)| *v = a * back + b * *v);
        }
        variance + square(&v)
    }

    /// Fails on the first number of a tensor that is not `sound`, given its place.
    fn all(
        &self,
        tensor: &str,
        values: &[f32],
        expected: &str,
        sound: impl Fn(usize, f32) -> bool,
    ) -> Result<()> {
        let mut places = values.iter().enumerate();
        match places.find(|&(at, &value)| !sound(at, value)) {
            Some((at, value)) => {
                let found = format!("{value} at {at}");
                Err(Error::tensor(&self.part, tensor, expected, found))
            }
            None => Ok(()),
        }
    }

    /// How many numbers a vector has.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// How many steps the whole chain has: T.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.schedule.len()
    }

    /// Whether the denoiser is affine, so that the chain needs no graph and is also there collapsed.
    #[must_use]
    pub fn is_affine(&self) -> bool {
        self.affine.is_some()
    }

    pub(crate) fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    pub(crate) fn affine(&self) -> Option<&Affine> {
        self.affine.as_ref()
    }

    /// φ, `[d]`: what stands for no history.
    pub(crate) fn unconditional(&self) -> &[f32] {
        &self.unconditional
    }
}

/// `M·v`, of a square matrix.
fn times(matrix: &[f32], vector: &[f64]) -> Vec<f64> {
    let product = |row: &[f32]| {
        let terms = row.iter().zip(vector);
        terms.map(|(&number, x)| f64::from(number) * x).sum()
    };
    matrix.chunks_exact(vector.len()).map(product).collect()
}

/// `Mᵀ·v`.
fn transposed_times(matrix: &[f32], vector: &[f64]) -> Vec<f64> {
    let mut sums = vec![0.0; vector.len()];
    for (row, x) in matrix.chunks_exact(vector.len()).zip(vector) {
        for (sum, &number) in sums.iter_mut().zip(row) {
            *sum += f64::from(number) * x;
        }
    }
    sums
}

/// ‖v‖².
fn square(vector: &[f64]) -> f64 {
    vector.iter().map(|x| x * x).sum()
}
