//! The golden files, as `oneiro_models/golden.py` writes them: what PyTorch answers to a hundred synthetic histories.
//!
//! Among the histories are an empty one, some longer than any window, some with items that come again, and some with
//! items that were never trained.

#![allow(clippy::unwrap_used, dead_code, reason = "these are tests")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use safetensors::SafeTensors;

/// What numbers may differ by, as a part of the greatest among them: float rounding in another order. Items may change
/// places where PyTorch's own scores are that close.
pub const TOLERANCE: f32 = 1e-5;
pub const HISTORIES: usize = 100;
pub const TOP: usize = 20;

pub struct Golden {
    pub histories: Vec<Vec<u32>>,
    /// An item for each history, to be ranked.
    pub targets: Vec<u32>,
    /// By encoder.
    pub answers: BTreeMap<String, Vec<Answer>>,
}

/// What PyTorch answers to one history.
pub struct Answer {
    pub state: Vec<f32>,
    pub items: Vec<u32>,
    pub scores: Vec<f32>,
    /// Of the target; nothing if it never ranks.
    pub rank: Option<u32>,
}

impl Golden {
    pub fn read(name: &str) -> Self {
        let file = format!("{name}.safetensors");
        // This file lies in the library's package and is read by tests of others.
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .ancestors()
            .map(|folder| folder.join("tests/golden"))
            .find(|folder| folder.join(&file).is_file());
        let bytes = fs::read(folder.unwrap().join(&file)).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let items = |name: &str| -> Vec<u32> {
            let data = tensors.tensor(name).unwrap().data();
            let words = data.chunks_exact(4);
            words
                .map(|word| u32::from_le_bytes(word.try_into().unwrap()))
                .collect()
        };
        let encoders = tensors
            .names()
            .into_iter()
            .filter_map(|name| name.strip_suffix(".states"))
            .map(|encoder| (encoder.to_owned(), answers(encoder, &items)));
        let mut histories = items("histories");
        let lengths = items("lengths");
        assert_eq!(lengths.len(), HISTORIES);
        Self {
            histories: lengths
                .iter()
                .map(|&length| histories.drain(..length as usize).collect())
                .collect(),
            targets: items("targets"),
            answers: encoders.collect(),
        }
    }
}

fn answers(encoder: &str, words: &dyn Fn(&str) -> Vec<u32>) -> Vec<Answer> {
    let items = |what: &str| words(&format!("{encoder}.{what}"));
    let floats = |what: &str| -> Vec<f32> { items(what).into_iter().map(f32::from_bits).collect() };
    let (states, scores) = (floats("states"), floats("top_scores"));
    let ranks = items("ranks").into_iter();
    states
        .chunks(states.len() / HISTORIES)
        .zip(items("top_items").chunks(TOP))
        .zip(scores.chunks(TOP))
        .zip(ranks)
        .map(|(((state, items), scores), rank)| Answer {
            state: state.into(),
            items: items.into(),
            scores: scores.into(),
            rank: (rank > 0).then_some(rank),
        })
        .collect()
}

impl Answer {
    /// Checks the best items and their scores. `after`: what to say of a difference.
    #[track_caller]
    pub fn check(&self, items: &[u32], scores: &[f32], after: &str) {
        assert_close(scores, &self.scores, &format!("scores {after}"));
        assert_eq!(items.len(), TOP, "{after}");
        for (place, item) in items.iter().enumerate() {
            // A golden item as good as the one that stands here, or one that just missed the golden list.
            let other = self.items.iter().position(|golden| golden == item);
            let [here, there] = [place, other.unwrap_or(TOP - 1)].map(|place| self.scores[place]);
            let tied = (here - there).abs() <= TOLERANCE * here.abs();
            assert!(
                *item == self.items[place] || tied,
                "place {place} {after}: {items:?}, PyTorch {:?}",
                self.items
            );
        }
        let mut distinct = items.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), TOP, "{after}");
    }
}

#[track_caller]
pub fn assert_close(found: &[f32], expected: &[f32], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = expected
        .iter()
        .fold(0.0_f32, |largest, value| largest.max(value.abs()));
    for (found, expected) in found.iter().zip(expected) {
        assert!(
            (found - expected).abs() <= TOLERANCE * largest,
            "{what}: {found}, PyTorch {expected}"
        );
    }
}
