//! The best few of many scores: exact, with one order for all ways of ranking.
//!
//! Higher scores are better, NaN never ranks, and ties go to the lower item. Because that is a total order of distinct
//! items, the best `count` are one set whatever order they are met in, so the results of several threads merge into
//! exactly what one thread finds.

#![forbid(unsafe_code)]

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::admission::Admission;
use crate::cancel::Cancel;
use crate::error::{Error, Result};

/// Scores between two looks at `cancel`.
const STRETCH: usize = 1 << 16;

/// An item and its score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Scored {
    pub(crate) item: u32,
    pub(crate) score: f32,
}

/// An item and its score as one number: the greater ranks before the less. Scores are never NaN here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank(u64);

impl Rank {
    pub(super) fn of(scored: Scored) -> Self {
        // As integers, positive floats rise with their value and negative ones fall. −0 and 0 tie.
        let bits = (scored.score + 0.0).to_bits();
        let rising = if bits & SIGN == 0 { bits | SIGN } else { !bits };
        Self(u64::from(rising) << 32 | u64::from(!scored.item))
    }

    pub(super) fn scored(self) -> Scored {
        let (rising, item) = ((self.0 >> 32) as u32, !(self.0 as u32));
        let bits = if rising & SIGN == 0 {
            !rising
        } else {
            rising & !SIGN
        };
        Scored {
            item,
            score: f32::from_bits(bits),
        }
    }
}

const SIGN: u32 = 1 << 31;

/// The best `count` of the scores it has been shown.
#[derive(Debug)]
pub(crate) struct TopK {
    count: usize,
    /// Has at its top what ranks last.
    heap: BinaryHeap<Reverse<Rank>>,
}

impl TopK {
    /// Room for the best `count` of `len` items.
    pub(crate) fn new(count: usize, len: usize) -> Result<Self> {
        let count = count.min(len);
        let mut room = Vec::new();
        room.try_reserve_exact(count)
            .map_err(|_| Error::OutOfMemory {
                what: format!("the best {count} of {len} items"),
                bytes: count.saturating_mul(size_of::<Rank>()),
            })?;
        Ok(Self {
            count,
            heap: BinaryHeap::from(room),
        })
    }

    /// The lowest score that could still enter; minus infinity while there is room. A score equal to it may be too
    /// late, which [`takes`](Self::takes) knows.
    pub(crate) fn threshold(&self) -> f32 {
        match self.heap.peek() {
            Some(last) if self.heap.len() >= self.count => last.0.scored().score,
            _ => f32::NEG_INFINITY,
        }
    }

    /// Whether it has as many as it keeps.
    pub(crate) fn is_full(&self) -> bool {
        self.heap.len() >= self.count
    }

    /// Whether a score would enter. Ask what costs more, such as a filter, only of those that would.
    pub(crate) fn takes(&self, scored: Scored) -> bool {
        if scored.score.is_nan() {
            return false;
        }
        if self.heap.len() < self.count {
            return true;
        }
        self.heap
            .peek()
            .is_some_and(|last| Rank::of(scored) > last.0)
    }

    /// Shows it a score. Every item comes once.
    pub(crate) fn push(&mut self, scored: Scored) {
        if !self.takes(scored) {
            return;
        }
        if self.heap.len() < self.count {
            self.heap.push(Reverse(Rank::of(scored)));
        } else if let Some(mut last) = self.heap.peek_mut() {
            *last = Reverse(Rank::of(scored));
        }
    }

    /// Shows it the best of other items.
    pub(crate) fn merge(&mut self, other: Self) {
        for Reverse(rank) in other.heap {
            self.push(rank.scored());
        }
    }

    /// The best, best first.
    pub(crate) fn into_ranking(self) -> Vec<Scored> {
        let mut ranks = self.heap.into_vec();
        // Quicker than taking one after the other off the heap.
        ranks.sort_unstable();
        let ranks = ranks.into_iter();
        ranks.map(|Reverse(rank)| rank.scored()).collect()
    }
}

/// The `count` best admitted items of some that come once each, best first.
pub(crate) fn best(
    scored: impl ExactSizeIterator<Item = Scored>,
    count: usize,
    admission: &Admission,
    cancel: &Cancel,
) -> Result<Vec<Scored>> {
    let mut best = TopK::new(count, scored.len())?;
    for (turn, scored) in scored.enumerate() {
        if turn % STRETCH == 0 {
            cancel.check()?;
        }
        if best.takes(scored) && admission.admits(scored.item) {
            best.push(scored);
        }
    }
    Ok(best.into_ranking())
}

/// The `count` best admitted items of a catalog with a number for each, best first. `score` makes a score of a number.
pub(crate) fn best_by_number<T: Copy>(
    numbers: &[T],
    score: impl Fn(T) -> f32,
    count: usize,
    admission: &Admission,
    cancel: &Cancel,
) -> Result<Vec<Scored>> {
    let scored = |item, number| Scored {
        item,
        score: score(number),
    };
    let Some(allowed) = admission.allowed() else {
        let all = numbers.iter().enumerate();
        // Items are numbered in u32: there are no more numbers than that.
        let all = all.map(|(item, &number)| scored(item as u32, number));
        return best(all, count, admission, cancel);
    };
    let some = allowed
        .iter()
        .map(|&item| match numbers.get(item as usize) {
            Some(&number) => scored(item, number),
            None => Scored {
                item,
                score: f32::NAN,
            },
        });
    best(some, count, admission, cancel)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn best(scores: &[f32], count: usize) -> Vec<Scored> {
        let mut best = TopK::new(count, scores.len()).unwrap();
        for (item, &score) in (0..).zip(scores) {
            best.push(Scored { item, score });
        }
        best.into_ranking()
    }

    fn items(scores: &[f32], count: usize) -> Vec<u32> {
        best(scores, count)
            .iter()
            .map(|scored| scored.item)
            .collect()
    }

    fn sorted(scores: &[f32], count: usize) -> Vec<u32> {
        let mut items: Vec<u32> = (0..)
            .zip(scores)
            .filter(|(_, score)| !score.is_nan())
            .map(|(item, _)| item)
            .collect();
        items.sort_by(|&a, &b| scores[b as usize].partial_cmp(&scores[a as usize]).unwrap());
        items.truncate(count);
        items
    }

    #[test]
    fn ties_go_to_the_lower_item() {
        assert_eq!(items(&[1.0, 2.0, 2.0, 2.0, 1.0], 2), [1, 2]);
        assert_eq!(items(&[0.0, -0.0, 0.0], 2), [0, 1]);
    }

    #[test]
    fn ties_go_to_the_lower_item_when_it_comes_later() {
        let mut best = TopK::new(1, 3).unwrap();
        for item in [2, 0, 1] {
            best.push(Scored { item, score: 1.0 });
        }
        assert_eq!(
            best.into_ranking(),
            [Scored {
                item: 0,
                score: 1.0
            }]
        );
    }

    #[test]
    fn nan_never_ranks() {
        assert_eq!(
            items(&[f32::NAN, 1.0, -f32::NAN, f32::NEG_INFINITY], 4),
            [1, 3]
        );
    }

    #[test]
    fn a_count_of_none_takes_nothing() {
        assert_eq!(items(&[1.0, 2.0], 0), [0u32; 0]);
    }

    #[test]
    fn a_huge_count_allocates_for_the_items_only() {
        let best = TopK::new(usize::MAX, 3).unwrap();
        assert!(best.heap.capacity() < 100);
    }

    #[test]
    fn numbers_are_ranked_like_scores() {
        let (admission, cancel) = (Admission::default(), Cancel::new());
        let numbers = [f32::NAN, 7.0, 3.0, 7.0];
        let ranking = best_by_number(&numbers, |x| x, 10, &admission, &cancel).unwrap();
        let ranking: Vec<_> = ranking
            .iter()
            .map(|scored| (scored.item, scored.score))
            .collect();
        assert_eq!(ranking, [(1, 7.0), (3, 7.0), (2, 3.0)]);
    }

    fn scores() -> impl Strategy<Value = Vec<f32>> {
        let score = prop_oneof![
            8 => (-4i8..4).prop_map(f32::from),
            2 => any::<f32>(),
            1 => Just(f32::NAN),
            1 => Just(f32::INFINITY),
            1 => Just(f32::NEG_INFINITY),
        ];
        proptest::collection::vec(score, 0..200)
    }

    proptest! {
        #[test]
        fn the_best_are_the_first_of_a_stable_sort(scores in scores(), count in 0usize..210) {
            prop_assert_eq!(items(&scores, count), sorted(&scores, count));
        }

        #[test]
        fn merged_parts_are_the_whole(scores in scores(), count in 0usize..50, parts in 1usize..6, turn in 0usize..6) {
            let mut tops: Vec<_> = (0..parts).map(|_| TopK::new(count, scores.len()).unwrap()).collect();
            for (item, &score) in (0..).zip(&scores) {
                tops[item as usize % parts].push(Scored { item, score });
            }
            tops.rotate_left(turn % parts);
            let mut merged = tops.pop().unwrap();
            for top in tops {
                merged.merge(top);
            }
            let merged: Vec<u32> = merged.into_ranking().iter().map(|scored| scored.item).collect();
            prop_assert_eq!(merged, sorted(&scores, count));
        }
    }
}
