//! The rank of one item in a ranking of all of them, without making the ranking.

#![forbid(unsafe_code)]

use super::admission::Admission;
use super::space::Space;
use crate::cancel::Cancel;
use crate::error::Result;

/// Rows that are scored at once: their scores stay in the first cache.
const BLOCK: usize = 256;

/// Rows between two looks at `cancel`.
const STRETCH: usize = 4096;

impl Space {
    /// The rank of `item` from 1, behind every other admitted item that scores at least as high; nothing for an item
    /// that never ranks. Whether `item` itself is admitted is not asked.
    ///
    /// `point`: `[width]`, finite.
    pub(crate) fn rank_of(
        &self,
        point: &[f32],
        item: u32,
        admission: &Admission,
        cancel: &Cancel,
    ) -> Result<Option<u32>> {
        let query = self.query(point)?;
        let score = self.score_item(query, item)?;
        if score.is_nan() {
            return Ok(None);
        }
        if let Some(allowed) = admission.allowed() {
            let mut others = Others::new(item, score, admission);
            for stretch in allowed.chunks(STRETCH) {
                cancel.check()?;
                for (&other, found) in stretch.iter().zip(self.score(point, stretch)?) {
                    others.meet(other, found);
                }
            }
            return Ok(Some(others.rank()));
        }
        let len = self.len() as usize;
        let mut others = Others::new(item, score, admission);
        let mut scores = [0.0; BLOCK];
        for start in (0..len).step_by(BLOCK) {
            if start % STRETCH == 0 {
                cancel.check()?;
            }
            let end = len.min(start + BLOCK);
            let scores = &mut scores[..end - start];
            self.score_block(query, start..end, scores)?;
            for (other, &found) in (start as u32..).zip(scores.iter()) {
                if found >= score && !self.is_cold(other) {
                    others.meet(other, found);
                }
            }
        }
        Ok(Some(others.rank()))
    }
}

/// The rank of `item` by a number that each item of the catalog has, as in [`Space::rank_of`]; nothing for an item whose
/// number does not rank.
pub(crate) fn rank_by_number<T: Copy + PartialOrd>(
    numbers: &[T],
    ranks: impl Fn(T) -> bool,
    item: u32,
    admission: &Admission,
    cancel: &Cancel,
) -> Result<Option<u32>> {
    let Some(&own) = numbers.get(item as usize).filter(|own| ranks(**own)) else {
        return Ok(None);
    };
    let mut others = Others::new(item, own, admission);
    let mut start = 0;
    for stretch in numbers.chunks(STRETCH) {
        cancel.check()?;
        for (other, &found) in (start..).zip(stretch) {
            others.meet(other, found);
        }
        // Items are numbered in u32: there are no more numbers than that.
        start += stretch.len() as u32;
    }
    Ok(Some(others.rank()))
}

/// Counts those that stand before an item.
struct Others<'a, S> {
    item: u32,
    score: S,
    admission: &'a Admission,
    before: u32,
}

impl<'a, S: PartialOrd> Others<'a, S> {
    fn new(item: u32, score: S, admission: &'a Admission) -> Self {
        Self {
            item,
            score,
            admission,
            before: 0,
        }
    }

    fn meet(&mut self, other: u32, score: S) {
        if score >= self.score && other != self.item && self.admission.admits(other) {
            self.before += 1;
        }
    }

    fn rank(&self) -> u32 {
        self.before + 1
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::fixture::{Table, open_space};
    use super::*;
    use crate::bundle::Seen;
    use crate::error::Error;
    use crate::filter::Filter;

    /// Rows of small whole numbers, so that many scores are equal.
    fn space_of(rows: &[(i8, i8, bool)]) -> crate::bundle::Bundle {
        let numbers: Vec<f32> = rows
            .iter()
            .flat_map(|row| [f32::from(row.0), f32::from(row.1)])
            .collect();
        let cold: Vec<u8> = rows.iter().map(|row| u8::from(row.2)).collect();
        let table = Table::default()
            .set("rows", &[rows.len(), 2], &numbers)
            .list("cold", &cold);
        open_space(rows.len() as u32, &(table, 2, "f32", "dot")).unwrap()
    }

    proptest! {
        #[test]
        fn a_rank_is_one_more_than_the_others_with_at_least_the_score(
            rows in proptest::collection::vec((-3i8..4, -3i8..4, proptest::bool::weighted(0.2)), 1..600),
            counts in proptest::collection::vec(0u32..6, 1..600),
            item in any::<proptest::sample::Index>(),
            excluded in proptest::collection::vec(any::<proptest::sample::Index>(), 0..6),
            allowed in proptest::option::of(proptest::collection::vec(any::<proptest::sample::Index>(), 0..40)),
            point in (-3i8..4, -3i8..4),
        ) {
            let inside = |indices: &[proptest::sample::Index], len: usize| -> Vec<u32> {
                indices.iter().map(|index| index.index(len) as u32).collect()
            };
            let len = rows.len().min(counts.len());
            let (rows, counts) = (&rows[..len], &counts[..len]);
            let item = item.index(len) as u32;
            let excluded = inside(&excluded, len);
            let allowed = allowed.map(|allowed| inside(&allowed, len));
            let filter = Filter::new().exclude(excluded.iter().copied());
            let filter = allowed.iter().fold(filter, |filter, items| filter.allow(items.iter().copied()));
            let bundle = space_of(rows);
            let admission = filter.admission(bundle.catalog(), std::iter::empty(), Seen::Allow).unwrap();
            // The definition, over all scores.
            let naively = |scores: &[Option<i32>]| {
                let own = scores[item as usize]?;
                let before = (0..len as u32).filter(|other| {
                    *other != item
                        && scores[*other as usize].is_some_and(|score| score >= own)
                        && !excluded.contains(other)
                        && allowed.as_ref().is_none_or(|allowed| allowed.contains(other))
                });
                Some(before.count() as u32 + 1)
            };

            let scores: Vec<Option<i32>> = rows
                .iter()
                .map(|&(x, y, cold)| {
                    (!cold).then(|| i32::from(x) * i32::from(point.0) + i32::from(y) * i32::from(point.1))
                })
                .collect();
            let point = [f32::from(point.0), f32::from(point.1)];
            let space = bundle.space("s").unwrap();
            let rank = space.rank_of(&point, item, &admission, &Cancel::new()).unwrap();
            prop_assert_eq!(rank, naively(&scores));

            let scores: Vec<Option<i32>> = counts
                .iter()
                .map(|&count| (count > 0).then_some(count as i32))
                .collect();
            let rank = rank_by_number(counts, |count| count > 0, item, &admission, &Cancel::new()).unwrap();
            prop_assert_eq!(rank, naively(&scores));
        }
    }

    #[test]
    fn a_requested_cancel_stops_it() {
        let bundle = space_of(&[(1, 1, false); 3]);
        let space = bundle.space("s").unwrap();
        let cancel = Cancel::new();
        cancel.request();
        let all = Admission::default();
        let rank = space.rank_of(&[1.0, 1.0], 0, &all, &cancel);
        assert!(matches!(rank, Err(Error::Cancelled)));
        let rank = rank_by_number(&[1], |_| true, 0, &all, &cancel);
        assert!(matches!(rank, Err(Error::Cancelled)));
    }
}
