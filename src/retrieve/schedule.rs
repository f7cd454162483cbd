//! The steps of a chain: which are taken, and what each makes of `x_t` and of the denoised `x̂_0`.
//!
//! Whatever the chain, a step is `x ← a·x̂_0 + b·x + s·z` with `z` standard Gaussian (DreamRec, Yang et al., NeurIPS 2023,
//! generation phase). The whole chain of T steps takes the posterior's mean and deviation (Ho et al., NeurIPS 2020). One
//! that skips steps goes from `t` straight to the next `s` without noise (DDIM: Song et al., ICLR 2021, η = 0):
//! `x_s = √ᾱ_s·x̂_0 + √(1 − ᾱ_s)·ε̂` with `ε̂ = (x_t − √ᾱ_t·x̂_0)/√(1 − ᾱ_t)`, and ends with `x̂_0` itself.

#![forbid(unsafe_code)]

use crate::network::Schedule;

/// One step of a chain.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Step {
    /// The timestep `t`, from 0.
    pub(super) t: usize,
    /// `a`: what `x̂_0` counts.
    pub(super) x0: f32,
    /// `b`: what `x_t` counts.
    pub(super) x: f32,
    /// `s`: what the noise counts.
    pub(super) deviation: f32,
}

/// All T steps, the last first.
pub(super) fn all(schedule: &Schedule) -> Vec<Step> {
    let step = |t| Step {
        t,
        x0: schedule.x0[t],
        x: schedule.x[t],
        deviation: if t == 0 { 0.0 } else { schedule.deviation[t] },
    };
    (0..schedule.len()).rev().map(step).collect()
}

/// `count` steps, 1 to T: `⌊i·(T − 1)/(count − 1)⌋` from i = count − 1 to 0; only T − 1, if it is one.
#[allow(clippy::cast_possible_truncation, reason = "coefficients are f32")]
pub(super) fn some(schedule: &Schedule, count: usize) -> Vec<Step> {
    let (last, gaps) = (schedule.len() - 1, count - 1);
    // In u64, for the product outgrows a small machine's usize.
    let timestep = |i: usize| {
        let below = (last as u64 * i as u64).checked_div(gaps as u64);
        below.map_or(last, |t| t as usize)
    };
    let step = |i: usize| {
        let t = timestep(i);
        let (x0, x) = match i.checked_sub(1) {
            None => (1.0, 0.0),
            Some(next) => {
                let [from, to] = [t, timestep(next)].map(|t| f64::from(schedule.signal[t]));
                let x = ((1.0 - to) / (1.0 - from)).sqrt();
                (to.sqrt() - x * from.sqrt(), x)
            }
        };
        Step {
            t,
            x0: x0 as f32,
            x: x as f32,
            deviation: 0.0,
        }
    };
    (0..count).rev().map(step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::fixture;

    #[test]
    fn a_whole_chain_takes_every_step_and_ends_without_noise() {
        let diffusion = fixture::diffusion(2, 7);
        let schedule = diffusion.schedule();
        let steps = all(schedule);
        let order: Vec<usize> = steps.iter().map(|step| step.t).collect();
        assert_eq!(order, [6, 5, 4, 3, 2, 1, 0]);
        assert!(steps[0].deviation > 0.0);
        assert_eq!(steps[0].deviation, schedule.deviation[6]);
        assert_eq!((steps[6].x, steps[6].deviation), (0.0, 0.0));
    }

    #[test]
    fn steps_are_skipped_evenly_from_the_first_to_the_last() {
        let diffusion = fixture::diffusion(2, 500);
        let taken = |count| -> Vec<usize> {
            let steps = some(diffusion.schedule(), count);
            steps.iter().map(|step| step.t).collect()
        };
        assert_eq!(taken(1), [499]);
        assert_eq!(taken(2), [499, 0]);
        assert_eq!(taken(5), [499, 374, 249, 124, 0]);
        assert_eq!(taken(500), (0..500).rev().collect::<Vec<_>>());
        for count in 1..=500 {
            let steps = taken(count);
            assert_eq!(steps.len(), count);
            assert!(steps.is_sorted_by(|a, b| a > b), "{count}");
        }
    }

    /// With the true x_0 as every x̂_0, a noised x_t goes to the x_s of the same noise, and in the end to x_0.
    #[test]
    fn a_skipping_chain_keeps_the_noise_and_ends_with_the_item() {
        let diffusion = fixture::diffusion(2, 500);
        let signal = |t: usize| f64::from(diffusion.schedule().signal[t]);
        let (item, noise) = (0.7, -1.3);
        let noised = |t| signal(t).sqrt() * item + (1.0 - signal(t)).sqrt() * noise;
        let steps = some(diffusion.schedule(), 50);
        let mut x = noised(499);
        for (at, step) in steps.iter().enumerate() {
            assert!((x - noised(step.t)).abs() < 1e-5, "{}: {x}", step.t);
            x = f64::from(step.x0) * item + f64::from(step.x) * x;
            assert_eq!(at == 49, step.t == 0);
        }
        assert_eq!(x, item);
    }
}
