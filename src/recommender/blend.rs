//! Candidates ranked by a Q-network, blended with the scores that they come with.
//!
//! Q and such scores are on different scales: each is standardised over the candidates of the request,
//! `(s − mean) / deviation` with the deviation of the population, and the blend is `(1 − w)·score + w·Q`, in f64
//! (`models/README.md`). A candidate without one of the two has no part in it.

#![forbid(unsafe_code)]

use std::time::Instant;

use super::Recommender;
use super::rank::Draft;
use crate::arrangement::Plan;
use crate::call::CallOptions;
use crate::engine::Engine;
use crate::error::Result;
use crate::ranking::Origin;
use crate::retrieve::Scoring;

impl Engine {
    /// The best `most` of each draft, and what the plan sets aside, ranked by Q and the scores that they have: by the
    /// network and the weight that the options name, or else these, or else the network's own weight.
    pub(super) fn blended<'a>(
        &'a self,
        users: &mut [&mut Recommender],
        plans: &[Plan],
        drafts: &[Draft],
        (name, weight): (Option<&str>, Option<f32>),
        most: usize,
        options: &CallOptions,
    ) -> Result<Vec<Draft<'a>>> {
        let search = options.search();
        let (values, stages) = self.values(users, name, options)?;
        let (name, network) = self.q_network(options.q_network.name.as_deref().or(name))?;
        let weight = options.q_network.weight.or(weight);
        let weight = weight.unwrap_or(network.weight());
        let ranked = plans.iter().zip(drafts).zip(values);
        let ranked = ranked.map(|((plan, draft), values)| {
            let started = Instant::now();
            let items = draft.candidates(plan, most);
            let fetched = draft.fetched.iter().take(most);
            let mut scores: Vec<f32> = fetched.map(|scored| scored.score).collect();
            let aside = &items[scores.len()..];
            scores.extend(draft.scoring.of(aside, plan.admission(), search.cancel)?);
            let values = values.of(&items, plan.admission(), search.cancel)?;
            let blended = blend(&scores, &values, weight);
            let scoring = Scoring::some(Origin::QNetwork, items.into_iter().zip(blended));
            draft.again(scoring, plan, most, search, (&stages, name, started))
        });
        ranked.collect()
    }
}

/// `(1 − w)·score + w·Q` of each candidate, both standardised; NaN for one that lacks a finite one.
fn blend(scores: &[f32], values: &[f32], weight: f32) -> Vec<f32> {
    let pairs = || scores.iter().zip(values);
    let has_both = |(score, value): &(&f32, &f32)| score.is_finite() && value.is_finite();
    let score = Standard::of(pairs().filter(has_both).map(|(&score, _)| score));
    let value = Standard::of(pairs().filter(has_both).map(|(_, &value)| value));
    let weight = f64::from(weight);
    let blended = pairs().map(|pair| match has_both(&pair) {
        true => ((1.0 - weight) * score.at(*pair.0) + weight * value.at(*pair.1)) as f32,
        false => f32::NAN,
    });
    blended.collect()
}

/// The mean and the deviation of some numbers.
struct Standard {
    mean: f64,
    /// 1 where all are equal, which makes zeros of them.
    deviation: f64,
}

impl Standard {
    fn of(numbers: impl Iterator<Item = f32> + Clone) -> Self {
        let count = numbers.clone().count().max(1) as f64;
        let mean = numbers.clone().map(f64::from).sum::<f64>() / count;
        let squares: f64 = numbers.map(|x| (f64::from(x) - mean).powi(2)).sum();
        let deviation = (squares / count).sqrt();
        Self {
            mean,
            deviation: if deviation > 0.0 { deviation } else { 1.0 },
        }
    }

    fn at(&self, number: f32) -> f64 {
        (f64::from(number) - self.mean) / self.deviation
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_counts_in_units_of_its_own_spread() {
        let (scores, values) = ([1.0, 3.0], [200.0, 100.0]);
        assert_eq!(blend(&scores, &values, 0.0), [-1.0, 1.0]);
        assert_eq!(blend(&scores, &values, 1.0), [1.0, -1.0]);
        assert_eq!(blend(&scores, &values, 0.75), [0.5, -0.5]);
    }

    #[test]
    fn equal_numbers_decide_nothing() {
        assert_eq!(blend(&[0.1; 3], &[5.0, 5.0, 5.0], 0.5), [0.0; 3]);
        assert_eq!(blend(&[7.0], &[-2.0], 0.5), [0.0]);
        assert_eq!(blend(&[], &[], 0.5), [0.0; 0]);
    }

    #[test]
    fn who_lacks_one_of_the_two_has_no_part_in_it() {
        let scores = [1.0, f32::NEG_INFINITY, 3.0, 50.0];
        let values = [200.0, 900.0, 100.0, f32::NAN];
        let blended = blend(&scores, &values, 0.5);
        assert_eq!([blended[0], blended[2]], [0.0, 0.0]);
        assert!(blended[1].is_nan() && blended[3].is_nan());
    }
}
