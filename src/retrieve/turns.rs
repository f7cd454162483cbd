//! One ranking of several: each in turn names its best item that is not named yet.
//!
//! An item's score is 1 / its place. Who has no item left passes.

#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::cancel::Cancel;
use crate::catalog::{Admission, Scored, Space};
use crate::error::Result;

/// The first `count` items of several rankings, each best first. A single one stays as it is.
pub(super) fn in_turns(mut rankings: Vec<Vec<Scored>>, count: usize) -> Vec<Scored> {
    if let [ranking] = rankings.as_mut_slice() {
        return std::mem::take(ranking);
    }
    let rankings = rankings.iter();
    let rankings = rankings.map(|ranking| ranking.iter().map(|scored| scored.item));
    let named = (1..).zip(named(rankings.collect()));
    let scored = named.map(|(place, item)| Scored {
        item,
        score: score(place),
    });
    scored.take(count).collect()
}

#[allow(clippy::cast_precision_loss, reason = "scores are f32")]
pub(super) fn score(place: u32) -> f32 {
    1.0 / place as f32
}

/// The items of some rankings, as they are named.
fn named(mut rankings: Vec<impl Iterator<Item = u32>>) -> impl Iterator<Item = u32> {
    let mut known = BTreeSet::new();
    let mut turn = 0;
    std::iter::from_fn(move || {
        for _ in 0..rankings.len() {
            let next = rankings[turn].find(|&item| known.insert(item));
            turn = (turn + 1) % rankings.len();
            if next.is_some() {
                return next;
            }
        }
        None
    })
}

/// The place, from 1, that an item gets among those that are admitted when the rankings by some points take turns, ties
/// against it; nothing for one that never ranks. The item itself takes part even if it is not admitted.
pub(super) fn place_of(
    space: &Space,
    points: &[Arc<[f32]>],
    item: u32,
    admission: &Admission,
    cancel: &Cancel,
) -> Result<Option<u32>> {
    let rank = |point: &Arc<[f32]>| space.rank_of(point, item, admission, cancel);
    let ranks = points.iter().map(rank).collect::<Result<Vec<_>>>()?;
    // A ranking names the r-th of its items in its r-th turn at the latest.
    let ranked = ranks.iter().flatten().map(|&rank| rank as usize);
    let Some(latest) = ranked.min().map(|rank| rank.saturating_mul(points.len())) else {
        return Ok(None);
    };
    let others = admission.clone().without([item]);
    let mut rankings = Vec::with_capacity(points.len());
    for (point, rank) in points.iter().zip(ranks) {
        let nearest = space.nearest(point, latest, &others, 1, cancel)?;
        let mut items: Vec<u32> = nearest.iter().map(|scored| scored.item).collect();
        if let Some(before) = rank.map(|rank| rank as usize - 1)
            && before <= items.len()
        {
            items.insert(before, item);
        }
        rankings.push(items.into_iter());
    }
    let mut places = (1..).zip(named(rankings));
    Ok(places
        .find(|&(_, named)| named == item)
        .map(|(place, _)| place))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::fixture::{Table, open_space};

    fn taken(lists: &[&[u32]], count: usize) -> Vec<(u32, f32)> {
        let scored = |&item| Scored { item, score: 7.0 };
        let lists = lists.iter().map(|items| items.iter().map(scored).collect());
        let taken = in_turns(lists.collect(), count);
        let pairs = taken.iter().map(|scored| (scored.item, scored.score));
        pairs.collect()
    }

    #[test]
    fn each_names_its_best_that_is_not_named_yet() {
        let found = taken(&[&[5, 1, 2], &[5, 3], &[4, 5, 1, 0]], 10);
        let expected = [5, 3, 4, 1, 0, 2].into_iter().zip(1u8..);
        let expected = expected.map(|(item, place)| (item, 1.0 / f32::from(place)));
        assert_eq!(found, expected.collect::<Vec<_>>());
        assert_eq!(taken(&[&[5, 1, 2], &[5, 3]], 2), [(5, 1.0), (3, 0.5)]);
        assert_eq!(taken(&[&[5, 1]], 9), [(5, 7.0), (1, 7.0)]);
        assert_eq!(taken(&[&[], &[]], 9), []);
    }

    #[test]
    fn places_of_single_items_are_those_of_the_list() {
        let rows: Vec<f32> = (0..200u32)
            .map(|at| ((at * 37 + at * at) % 101) as f32)
            .collect();
        let table = Table::default().set("rows", &[50, 4], &rows);
        let bundle = open_space(50, &(table, 4, "f32", "dot")).unwrap();
        let space = bundle.space("s").unwrap();
        let points: Vec<Arc<[f32]>> = vec![
            [1.0, -0.5, 0.25, 0.3].into(),
            [-1.0, 0.75, 0.5, 0.1].into(),
            [0.1, 0.2, -1.0, 0.9].into(),
        ];
        let (admission, cancel) = (Admission::default().without([7, 20]), Cancel::new());
        let admissions = vec![admission.clone(); 3];
        let rankings = space.nearest_many(&points.concat(), 50, &admissions, 1, &cancel);
        let list = in_turns(rankings.unwrap(), 50);
        assert_eq!(list.len(), 48);
        for (place, scored) in (1..).zip(&list) {
            let found = place_of(space, &points, scored.item, &admission, &cancel).unwrap();
            assert_eq!(found, Some(place));
            // Not admitted, it takes part for itself.
            let others = admission.clone().without([scored.item]);
            let found = place_of(space, &points, scored.item, &others, &cancel).unwrap();
            assert_eq!(found, Some(place));
        }
    }
}
