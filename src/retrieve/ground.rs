//! Items by how far the rows of their titles are from what a language model wrote.
//!
//! BIGRec's second step (Bao et al., "A Bi-Step Grounding Paradigm for Large Language Models in Recommendation Systems",
//! arXiv 2308.08434), in f32 sums over the whole catalog, before any filter:
//!
//! ```text
//! D_i = min over points of ‖q − V_i‖₂        D̂_i = (D_i − min_j D_j) / (max_j D_j − min_j D_j)
//! s_i = (w_i − min_j w_j) / (max_j w_j − min_j w_j)        D̃_i = D̂_i · (1 + s_i)^(−γ)
//! ```

#![forbid(unsafe_code)]

use std::sync::Arc;

use super::Scoring;
use crate::cancel::Cancel;
use crate::catalog::Space;
use crate::error::{Error, Result};
use crate::ranking::Origin;

/// How many rows are scored at once.
const BLOCK: usize = 4096;

/// The scores of all items: −D where there are no weights, else −D̃. `points`: at least one.
///
/// `weights`: w of all items, NaN for one that has none, which counts as the least; and γ.
pub(crate) fn by_generator<'a>(
    space: &'a Space,
    points: Vec<Arc<[f32]>>,
    weights: Option<(&[f32], f32)>,
    cancel: &Cancel,
) -> Result<Scoring<'a>> {
    match (points.len(), weights) {
        (0, _) => Err(Error::Internal {
            reason: "a language model wrote nothing, not even an empty text".into(),
        }),
        (1, None) => Ok(Scoring::rows(Origin::Generate, space, points)),
        (_, None) => {
            let values = nearest(space, &points, cancel)?;
            Ok(Scoring::values(Origin::Generate, values.into()))
        }
        (_, Some((weights, gamma))) => {
            let mut values = nearest(space, &points, cancel)?;
            weigh(&mut values, weights, gamma);
            Ok(Scoring::values(Origin::Generate, values.into()))
        }
    }
}

/// −D of every item, NaN for one whose row was never made.
fn nearest(space: &Space, points: &[Arc<[f32]>], cancel: &Cancel) -> Result<Vec<f32>> {
    let len = space.len();
    let items: Vec<u32> = (0..len).collect();
    let mut values = Vec::with_capacity(items.len());
    for block in items.chunks(BLOCK) {
        cancel.check()?;
        let mut best: Option<Vec<f32>> = None;
        for point in points {
            let scores = space.score(point, block)?;
            best = Some(match best {
                None => scores,
                Some(best) => best.iter().zip(&scores).map(|(a, b)| a.max(*b)).collect(),
            });
        }
        values.extend(best.unwrap_or_default());
    }
    Ok(values)
}

/// −D → −D̃.
fn weigh(values: &mut [f32], weights: &[f32], gamma: f32) {
    let distances = Range::of(values.iter().map(|value| -value));
    let range = Range::of(weights.iter().copied());
    for (value, &weight) in values.iter_mut().zip(weights) {
        let weight = if weight.is_nan() {
            0.0
        } else {
            range.part(weight)
        };
        let distance = distances.part(-*value);
        *value = -(distance * (1.0 + weight).powf(-f64::from(gamma))) as f32;
    }
}

/// The least and the greatest of some numbers, but for NaN.
struct Range {
    least: f64,
    greatest: f64,
}

impl Range {
    fn of(numbers: impl Iterator<Item = f32>) -> Self {
        let numbers = numbers.filter(|number| !number.is_nan()).map(f64::from);
        let (least, greatest) = numbers.fold((f64::MAX, f64::MIN), |(least, greatest), number| {
            (number.min(least), number.max(greatest))
        });
        Self { least, greatest }
    }

    /// Where between the two a number is, 0 to 1; 0 where they are one.
    fn part(&self, number: f32) -> f64 {
        let width = self.greatest - self.least;
        match width > 0.0 {
            true => (f64::from(number) - self.least) / width,
            false => f64::from(number) * 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::float_cmp, reason = "whole numbers and halves are exact")]

    use super::*;

    #[test]
    fn the_nearest_counts_nothing_and_the_farthest_by_its_weight() {
        let mut values = [-2.0, -4.0, -6.0, -6.0, f32::NAN];
        weigh(&mut values, &[5.0, 1.0, 5.0, 3.0, 1.0], 1.0);
        assert_eq!(&values[..4], &[0.0, -0.5, -0.5, -1.0 / 1.5]);
        assert!(values[4].is_nan());
    }

    #[test]
    fn an_item_without_a_weight_has_the_least() {
        let mut values = [-1.0, -2.0, -2.0];
        weigh(&mut values, &[1.0, f32::NAN, 3.0], 2.0);
        assert_eq!(values, [0.0, -1.0, -0.25]);
    }

    #[test]
    fn where_all_are_one_there_is_nothing_to_tell_apart() {
        let mut values = [-3.0, -3.0];
        weigh(&mut values, &[1.0, 2.0], 1.0);
        assert_eq!(values, [0.0, 0.0]);
        let mut values = [-3.0, -4.0];
        weigh(&mut values, &[2.0, 2.0], 7.0);
        assert_eq!(values, [0.0, -1.0]);
    }
}
