//! Samplers against plain chains in f64.

use std::cell::Cell;
use std::thread;

use super::*;
use crate::network::fixture::Model;

/// Noise that was written down: a row of numbers a step, `[draws, d]`.
struct Recorded(Vec<Vec<f32>>);

impl Recorded {
    fn new(model: &Model, draws: usize) -> Self {
        let fill = |step: usize| {
            let mut row = vec![0.0; draws * model.width];
            Philox::new(17).fill(step as u32, 0, &mut row);
            row
        };
        Self((0..=model.steps).map(fill).collect())
    }
}

impl Noise for Recorded {
    fn fill(&self, step: u32, draw: u32, out: &mut [f32]) {
        let start = draw as usize * out.len();
        out.copy_from_slice(&self.0[step as usize][start..][..out.len()]);
    }
}

fn tables(model: &Model) -> Diffusion {
    Diffusion::open(&model.table().tensors().unwrap(), model.width).unwrap()
}

fn states(model: &Model, count: usize) -> Vec<Arc<[f32]>> {
    let state = |user: usize| {
        let numbers = (0..model.width).map(|at| ((user * 31 + at * 7) % 13) as f32 / 6.0 - 1.0);
        numbers.collect()
    };
    (0..count).map(state).collect()
}

fn wide(numbers: &[f32]) -> Vec<f64> {
    numbers.iter().map(|&number| number.into()).collect()
}

fn dream<'a, N>(
    diffusion: &'a Diffusion,
    w: f32,
    noise: &'a N,
    cancel: &'a Cancel,
) -> Dream<'a, N> {
    Dream {
        diffusion,
        guidance: w,
        noise,
        draw: 0,
        cancel,
    }
}

#[track_caller]
fn assert_close(found: &[f32], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
    for (&found, expected) in found.iter().zip(expected) {
        let error = (f64::from(found) - expected).abs();
        assert!(error <= tolerance * largest, "{found}, expected {expected}");
    }
}

/// The reference predicts twice a step, with the history and without: folding both into one changes nothing.
#[test]
fn a_chain_of_matrices_follows_recorded_noise_at_every_guidance() {
    for model in [
        Model::new(16, 500),
        Model::cosine(12, 2000),
        Model::new(45, 20),
    ] {
        let (diffusion, noise, cancel) = (tables(&model), Recorded::new(&model, 1), Cancel::new());
        let affine = diffusion.affine().unwrap();
        let states = states(&model, 3);
        for w in [0.0, 2.0, 4.0] {
            let dream = dream(&diffusion, w, &noise, &cancel);
            let found = dream.by_matrices(affine, None, &states).unwrap();
            for (state, found) in states.iter().zip(found.chunks(model.width)) {
                let noise = |step: usize| wide(&noise.0[step]);
                let expected = model.chain(&wide(state), w.into(), noise);
                assert_close(found, &expected, 1e-4);
            }
        }
    }
}

#[test]
fn a_chain_that_skips_steps_is_that_of_its_formula() {
    let model = Model::new(16, 500);
    let (diffusion, noise, cancel) = (tables(&model), Recorded::new(&model, 1), Cancel::new());
    let states = states(&model, 1);
    let dream = dream(&diffusion, 2.0, &noise, &cancel);
    let affine = diffusion.affine().unwrap();
    let found = dream.by_matrices(affine, Some(5), &states).unwrap();
    let mut x = wide(&noise.0[500]);
    for (t, next) in [
        (499, Some(374)),
        (374, Some(249)),
        (249, Some(124)),
        (124, Some(0)),
        (0, None),
    ] {
        let with = model.denoise(&x, &wide(&states[0]), t);
        let without = model.denoise(&x, &model.unconditional, t);
        for at in 0..model.width {
            let x0 = 3.0 * with[at] - 2.0 * without[at];
            let signal = model.schedule[t][3];
            let epsilon = (x[at] - signal.sqrt() * x0) / (1.0 - signal).sqrt();
            x[at] = match next {
                None => x0,
                Some(next) => {
                    let signal: f64 = model.schedule[next][3];
                    signal.sqrt() * x0 + (1.0 - signal).sqrt() * epsilon
                }
            };
        }
    }
    assert_close(&found, &x, 1e-4);
}

#[test]
fn the_mean_is_the_chain_without_noise_by_either_way() {
    let model = Model::new(16, 500);
    let (diffusion, cancel) = (tables(&model), Cancel::new());
    let states = states(&model, 2);
    let dream = dream(&diffusion, 2.0, &Silence, &cancel);
    let affine = diffusion.affine().unwrap();
    let at_once = dream.at_once(affine, &states).unwrap();
    let by_steps = dream.by_matrices(affine, None, &states).unwrap();
    assert_close(&at_once, &wide(&by_steps), 1e-5);
}

/// The mean within five standard errors, and each covariance.
#[test]
fn the_collapsed_chain_is_distributed_as_twenty_thousand_chains() {
    const CHAINS: usize = 20_000;
    let model = Model::new(4, 40);
    let (diffusion, noise, cancel) = (tables(&model), Recorded::new(&model, CHAINS), Cancel::new());
    let affine = diffusion.affine().unwrap();
    let states = states(&model, 1);
    let mut chains = Vec::with_capacity(CHAINS);
    for draw in 0..CHAINS as u32 {
        let dream = Dream {
            draw,
            ..dream(&diffusion, 2.0, &noise, &cancel)
        };
        chains.push(wide(&dream.by_matrices(affine, None, &states).unwrap()));
    }
    let silent = dream(&diffusion, 2.0, &Silence, &cancel);
    let expected = wide(&silent.at_once(affine, &states).unwrap());
    let factor = |row: usize, column: usize| f64::from(affine.collapsed_noise[row * 4 + column]);
    let covariance = |i, j| (0..4).map(|k| factor(i, k) * factor(j, k)).sum::<f64>();
    let n = CHAINS as f64;
    let mean: Vec<f64> = (0..4)
        .map(|i| chains.iter().map(|x| x[i]).sum::<f64>() / n)
        .collect();
    for i in 0..4 {
        let error = (mean[i] - expected[i]).abs();
        assert!(
            error < 5.0 * (covariance(i, i) / n).sqrt(),
            "mean {i}: {error}"
        );
        for j in 0..4 {
            let products = chains.iter().map(|x| (x[i] - mean[i]) * (x[j] - mean[j]));
            let error = (products.sum::<f64>() / n - covariance(i, j)).abs();
            let variance = covariance(i, i) * covariance(j, j) + covariance(i, j).powi(2);
            assert!(
                error < 5.0 * (variance / n).sqrt(),
                "covariance {i}, {j}: {error}"
            );
        }
    }
    // And a draw is the mean with the noise through the factor.
    let drawn = dream(&diffusion, 2.0, &noise, &cancel)
        .at_once(affine, &states)
        .unwrap();
    let z = &noise.0[model.steps];
    let spread = |i: usize| (0..4).map(|k| factor(i, k) * f64::from(z[k])).sum::<f64>();
    let expected: Vec<f64> = (0..4).map(|i| expected[i] + spread(i)).collect();
    assert_close(&drawn, &expected, 1e-5);
}

#[test]
fn a_user_dreams_the_same_alone_and_among_others() {
    let model = Model::new(40, 30);
    let (diffusion, cancel) = (tables(&model), Cancel::new());
    let states = states(&model, 7);
    let noise = Philox::new(5);
    let dream = dream(&diffusion, 2.0, &noise, &cancel);
    let affine = diffusion.affine().unwrap();
    let all = dream.by_matrices(affine, None, &states).unwrap();
    let at_once = dream.at_once(affine, &states).unwrap();
    for (user, state) in states.iter().enumerate() {
        let own = user * 40..(user + 1) * 40;
        let alone = std::slice::from_ref(state);
        assert_eq!(
            dream.by_matrices(affine, None, alone).unwrap(),
            all[own.clone()]
        );
        assert_eq!(dream.at_once(affine, alone).unwrap(), at_once[own]);
    }
}

#[test]
fn a_chain_can_be_cancelled() {
    let model = Model::new(4, 10);
    let (diffusion, cancel) = (tables(&model), Cancel::new());
    cancel.request();
    let dream = dream(&diffusion, 2.0, &Silence, &cancel);
    let affine = diffusion.affine().unwrap();
    for outcome in [
        dream.by_matrices(affine, None, &states(&model, 1)),
        dream.at_once(affine, &states(&model, 1)),
    ] {
        assert!(matches!(outcome, Err(Error::Cancelled)));
    }
}

/// Silence, in which another thread asks for a stop at one step.
struct Interrupted<'a> {
    cancel: &'a Cancel,
    at: u32,
    last: Cell<u32>,
}

impl Noise for Interrupted<'_> {
    fn fill(&self, step: u32, _draw: u32, out: &mut [f32]) {
        self.last.set(step);
        if step == self.at {
            thread::scope(|scope| drop(scope.spawn(|| self.cancel.request())));
        }
        out.fill(0.0);
    }
}

#[test]
fn no_step_follows_the_one_in_which_a_stop_was_asked_for() {
    let model = Model::new(4, 10);
    let (diffusion, cancel) = (tables(&model), Cancel::new());
    let noise = Interrupted {
        cancel: &cancel,
        at: 6,
        last: Cell::new(0),
    };
    let dream = dream(&diffusion, 2.0, &noise, &cancel);
    let affine = diffusion.affine().unwrap();
    let outcome = dream.by_matrices(affine, None, &states(&model, 1));
    assert!(matches!(outcome, Err(Error::Cancelled)));
    assert_eq!(noise.last.get(), 6);
}
