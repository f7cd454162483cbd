//! Retrieval by an oracle: the items nearest to an ideal one that a diffusion model dreams up for the history.
//!
//! DreamRec (Yang et al., "Generate What You Prefer: Reshaping Sequential Recommendation via Guided Diffusion", NeurIPS
//! 2023): the state `h` of an encoder guides a chain of T denoising steps from Gaussian noise to an item vector `x`, and
//! items are ranked by ⟨x, row⟩. The network predicts `x̂_0` itself, and classifier-free guidance takes
//! `(1 + w)·f(x, h, t) − w·f(x, φ, t)` for it, φ standing for no history. The authors' code leaves dropout on when it
//! evaluates; here it is off.

#![forbid(unsafe_code)]

mod affine;
mod options;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use options::{OracleOptions, Sampler};

use super::Scoring;
use super::noise::{Noise, Philox, Silence};
use super::schedule::{self, Step};
use crate::bundle::{Bundle, OracleEntry};
use crate::cancel::Cancel;
use crate::catalog::Space;
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::network::{Affine, Denoiser, Diffusion};
use crate::ranking::Origin;
use affine::{Collapsed, Recurrence};

/// The most ideal items that one call may draw.
const MOST_DRAWS: usize = 64;

/// The most numbers of `x` that are denoised in one run of a graph, unless one vector alone has more.
const RUN_NUMBERS: usize = 1 << 15;

/// Scores against the ideal items of one user, one a draw.
pub(crate) fn by_oracle(oracle: &Oracle, points: Vec<Arc<[f32]>>) -> Scoring<'_> {
    Scoring::rows(Origin::Oracle, oracle.output(), points)
}

/// A diffusion model that dreams up ideal items.
#[derive(Debug)]
pub(crate) struct Oracle {
    name: String,
    encoder: String,
    output: Arc<Space>,
    diffusion: Arc<Diffusion>,
    denoiser: Option<Denoiser>,
    guidance: f32,
}

/// What a caller's options come to for one oracle.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sampling {
    way: Way,
    /// As in [`OracleOptions::steps`].
    steps: Option<usize>,
    guidance: f32,
    draws: usize,
    /// None without noise.
    seed: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Collapsed,
    Recurrence,
    Graph,
}

impl Oracle {
    /// Binds a denoiser, if there is one, to its tables.
    pub(crate) fn open(
        bundle: &Bundle,
        name: &str,
        entry: &OracleEntry,
        graph: Option<Arc<Graph>>,
    ) -> Result<Self> {
        let diffusion = Arc::clone(bundle.diffusion(name)?);
        let denoiser = graph.map(|graph| Denoiser::open(graph, diffusion.width()));
        Ok(Self {
            name: name.into(),
            encoder: entry.encoder.clone(),
            output: Arc::clone(bundle.space(&entry.output)?),
            denoiser: denoiser.transpose()?,
            diffusion,
            guidance: entry.guidance,
        })
    }

    /// The encoder whose state guides it.
    pub(crate) fn encoder(&self) -> &str {
        &self.encoder
    }

    /// The space that ideal items are scored against.
    pub(crate) fn output(&self) -> &Space {
        &self.output
    }

    /// What these options mean here.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a number out of range or options that do not go together; [`Error::Unsupported`] if
    /// the bundle lacks what the sampler needs.
    pub(crate) fn sampling(&self, options: &OracleOptions) -> Result<Sampling> {
        let guidance = options.guidance.unwrap_or(self.guidance);
        if !(guidance.is_finite() && guidance >= 0.0) {
            let reason = format!("is {guidance}, expected a finite number, not below 0");
            return Err(Error::argument("guidance", reason));
        }
        if !(1..=MOST_DRAWS).contains(&options.draws) {
            let reason = format!("is {}, expected 1 to {MOST_DRAWS}", options.draws);
            return Err(Error::argument("draws", reason));
        }
        let all = self.diffusion.steps();
        if let Some(steps) = options.steps
            && !(1..=all).contains(&steps)
        {
            let reason = format!("is {steps}, expected 1 to {all}");
            return Err(Error::argument("steps", reason));
        }
        if options.sampler == Sampler::Mean && options.draws > 1 {
            let reason = format!("is {}, and without noise all are one", options.draws);
            return Err(Error::argument("draws", reason));
        }
        let affine = self.diffusion.is_affine();
        let way = match options.sampler {
            Sampler::Auto | Sampler::Mean if affine && options.steps.is_none() => Way::Collapsed,
            Sampler::Auto | Sampler::Mean | Sampler::Chain if affine => Way::Recurrence,
            Sampler::Auto | Sampler::Mean | Sampler::Chain | Sampler::Graph => Way::Graph,
            Sampler::Collapsed if options.steps.is_some() => {
                let reason = "the collapsed chain has none";
                return Err(Error::argument("steps", reason));
            }
            Sampler::Collapsed => Way::Collapsed,
        };
        let missing = |what: &str| Error::Unsupported {
            what: format!("{what} of the oracle `{}`", self.name),
        };
        match way {
            Way::Graph if self.denoiser.is_none() => return Err(missing("graph of the denoiser")),
            Way::Collapsed if !affine => return Err(missing("collapsed chain")),
            _ => {}
        }
        Ok(Sampling {
            way,
            steps: options.steps,
            guidance,
            draws: options.draws,
            seed: (options.sampler != Sampler::Mean).then_some(options.seed),
        })
    }

    /// The ideal items of some users, `[d]` each: one a draw. `states`: `[d]` each.
    ///
    /// # Errors
    /// [`Error::Cancelled`] and [`Error::DeadlineExceeded`] between two steps; [`Error::Runtime`];
    /// [`Error::InvalidArgument`] if so much guidance makes an ideal item infinite.
    pub(crate) fn dream(
        &self,
        states: &[Arc<[f32]>],
        sampling: &Sampling,
        cancel: &Cancel,
    ) -> Result<Vec<Vec<Arc<[f32]>>>> {
        match sampling.seed {
            Some(seed) => self.dream_with(states, sampling, &Philox::new(seed), cancel),
            None => self.dream_with(states, sampling, &Silence, cancel),
        }
    }

    /// The same with noise from somewhere else.
    fn dream_with(
        &self,
        states: &[Arc<[f32]>],
        sampling: &Sampling,
        noise: &impl Noise,
        cancel: &Cancel,
    ) -> Result<Vec<Vec<Arc<[f32]>>>> {
        let mut points = vec![Vec::with_capacity(sampling.draws); states.len()];
        let width = self.diffusion.width();
        let together = match sampling.way {
            Way::Graph => (RUN_NUMBERS / width).max(1),
            _ => states.len().max(1),
        };
        for draw in 0..sampling.draws as u32 {
            let dream = Dream {
                diffusion: &self.diffusion,
                guidance: sampling.guidance,
                noise,
                draw,
                cancel,
            };
            let users = states.chunks(together);
            for (states, points) in users.zip(points.chunks_mut(together)) {
                let drawn = match (sampling.way, self.diffusion.affine(), &self.denoiser) {
                    (Way::Collapsed, Some(affine), _) => dream.at_once(affine, states)?,
                    (Way::Recurrence, Some(affine), _) => {
                        dream.by_matrices(affine, sampling.steps, states)?
                    }
                    (Way::Graph, _, Some(denoiser)) => {
                        dream.by_graph(denoiser, sampling.steps, states)?
                    }
                    _ => {
                        return Err(Error::Internal {
                            reason: format!(
                                "{:?} was planned for an oracle without it",
                                sampling.way
                            ),
                        });
                    }
                };
                for (points, point) in points.iter_mut().zip(drawn.chunks_exact(width)) {
                    points.push(self.finite(point, sampling.guidance)?);
                }
            }
        }
        Ok(points)
    }

    fn finite(&self, point: &[f32], guidance: f32) -> Result<Arc<[f32]>> {
        match point.iter().all(|number| number.is_finite()) {
            true => Ok(point.into()),
            false => {
                let reason = format!("{guidance} makes an ideal item of `{}` infinite", self.name);
                Err(Error::argument("guidance", reason))
            }
        }
    }
}

/// One draw for some users.
struct Dream<'a, N> {
    diffusion: &'a Diffusion,
    guidance: f32,
    noise: &'a N,
    draw: u32,
    cancel: &'a Cancel,
}

impl<N: Noise> Dream<'_, N> {
    /// The whole chain of an affine denoiser in one product; `[B, d]`.
    fn at_once(&self, affine: &Affine, states: &[Arc<[f32]>]) -> Result<Vec<f32>> {
        self.cancel.check()?;
        let width = self.diffusion.width();
        let collapsed = Collapsed::new(affine, width);
        let (mut z, mut spread) = (vec![0.0; width], vec![0.0; width]);
        self.first_noise(&mut z);
        collapsed.spread(&z, &mut spread);
        let conditions = self.folded(states);
        let mut points = vec![0.0; conditions.len()];
        let rows = conditions.chunks_exact(width);
        for (condition, point) in rows.zip(points.chunks_exact_mut(width)) {
            collapsed.point(condition, &spread, point);
        }
        Ok(points)
    }

    /// The chain of an affine denoiser, step by step; `[B, d]`.
    fn by_matrices(
        &self,
        affine: &Affine,
        steps: Option<usize>,
        states: &[Arc<[f32]>],
    ) -> Result<Vec<f32>> {
        let width = self.diffusion.width();
        let mut recurrence = Recurrence::new(affine, width, &self.folded(states));
        self.chain(steps, states.len(), |step, x, z| {
            self.cancel.check()?;
            recurrence.step(step, x, z);
            Ok(())
        })
    }

    /// The chain by a graph: conditional and unconditional as one batch, where guidance asks for both; `[B, d]`.
    fn by_graph(
        &self,
        denoiser: &Denoiser,
        steps: Option<usize>,
        states: &[Arc<[f32]>],
    ) -> Result<Vec<f32>> {
        let folds = self.diffusion.is_affine() || self.guidance == 0.0;
        let mut conditions = match folds {
            true => self.folded(states),
            false => states.concat(),
        };
        if !folds {
            conditions.extend(self.diffusion.unconditional().repeat(states.len()));
        }
        let w = self.guidance;
        denoiser.under(&conditions, self.cancel, |denoising| {
            self.chain(steps, states.len(), |step, x, z| {
                let x0 = denoising.step(x, step.t)?;
                let (with, without) = x0.split_at(x.len());
                let width = z.len();
                for (at, x) in x.iter_mut().enumerate() {
                    let x0 = match without.get(at) {
                        Some(without) => (1.0 + w) * with[at] - w * without,
                        None => with[at],
                    };
                    *x = step.x0 * x0 + step.x * *x + step.deviation * z[at % width];
                }
                Ok(())
            })
        })
    }

    /// From the first noise through the steps; `[B, d]`. `take` takes one from `x`, `[B, d]`, with the noise `z`, `[d]`.
    fn chain(
        &self,
        steps: Option<usize>,
        users: usize,
        mut take: impl FnMut(Step, &mut [f32], &[f32]) -> Result<()>,
    ) -> Result<Vec<f32>> {
        let schedule = self.diffusion.schedule();
        let steps = match steps {
            None => schedule::all(schedule),
            Some(count) => schedule::some(schedule, count),
        };
        let mut z = vec![0.0; self.diffusion.width()];
        self.first_noise(&mut z);
        let mut x = z.repeat(users);
        z.fill(0.0);
        for step in steps {
            if step.deviation > 0.0 {
                self.noise.fill(step.t as u32, self.draw, &mut z);
            }
            take(step, &mut x, &z)?;
        }
        Ok(x)
    }

    fn first_noise(&self, z: &mut [f32]) {
        self.noise.fill(self.diffusion.steps() as u32, self.draw, z);
    }

    /// `c' = (1 + w)·h − w·φ` of each state, `[B, d]`: for an affine denoiser the guided prediction is the one at `c'`.
    fn folded(&self, states: &[Arc<[f32]>]) -> Vec<f32> {
        let w = self.guidance;
        let unconditional = self.diffusion.unconditional();
        let fold = |(&h, &phi): (&f32, &f32)| (1.0 + w) * h - w * phi;
        let states = states.iter();
        states
            .flat_map(|state| state.iter().zip(unconditional).map(fold))
            .collect()
    }
}
