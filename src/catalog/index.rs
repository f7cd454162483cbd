//! An inverted-file index of a space (IVF: Jégou, Douze and Schmid, TPAMI 2011, without their codes): the rows again, in
//! lists of near ones, each list with its centroid.
//!
//! A search scores the centroids, and then the rows of the most promising lists only. What it finds has the scores of
//! the exact scan, for the rows are the same numbers and so is the arithmetic; what lies in other lists is missed. If
//! all lists are probed, the ranking is that of the exact scan to the last bit.

#![forbid(unsafe_code)]

use std::ops::Range;

use super::admission::Admission;
use super::kernel::{Block, Query};
use super::scan::{BLOCK, STRETCH};
use super::space::{Space, TENSORS};
use super::topk::{Scored, TopK};
use crate::bundle::{Array, IndexEntry, Metric, SpaceEntry, Tensors};
use crate::cancel::Cancel;
use crate::error::{Error, Result};

/// The tensors that an index has beside the space's own, and those of a space that it does not repeat.
const OWN: [&str; 4] = ["centroids", "centroid_bias", "list.offsets", "list.items"];
const NOT_REPEATED: [&str; 2] = ["cold", "empty"];

/// Rows between two looks at `cancel` in `verify`.
const VERIFY_STRETCH: usize = 1 << 16;

#[derive(Debug)]
pub(super) struct Index {
    part: String,
    /// `[lists, width]`.
    centroids: Array<f32>,
    /// The mean bias of each list, if the space has biases.
    centroid_bias: Option<Array<f32>>,
    /// `[lists + 1]`: where each list starts.
    offsets: Array<u32>,
    /// The items, list by list, and their rows in the same order.
    items: Array<u32>,
    rows: Space,
}

impl Index {
    /// Opens the index of a space: types, shapes, the ends of the offsets.
    pub(super) fn open(
        name: &str,
        space: &SpaceEntry,
        entry: &IndexEntry,
        tensors: &Tensors,
    ) -> Result<Self> {
        tensors.only(|tensor| {
            OWN.contains(&tensor) || (TENSORS.contains(&tensor) && !NOT_REPEATED.contains(&tensor))
        })?;
        let (lists, items) = (entry.lists as usize, space.rows as usize);
        let index = Self {
            part: tensors.part().into(),
            centroids: tensors.array("centroids", &[lists, space.width as usize])?,
            centroid_bias: space
                .bias
                .then(|| tensors.array("centroid_bias", &[lists]))
                .transpose()?,
            offsets: tensors.array("list.offsets", &[lists + 1])?,
            items: tensors.array("list.items", &[items])?,
            rows: Space::open_rows(name, space, tensors)?,
        };
        let ends = (index.offsets.first(), index.offsets.last());
        if ends != (Some(&0), Some(&space.rows)) {
            let expected = format!("from 0 to {items}");
            return Err(index.wrong("list.offsets", expected, format!("{ends:?}")));
        }
        Ok(index)
    }

    pub(super) fn lists(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    /// Reads every number, and compares the rows with those of the space.
    pub(super) fn verify(&self, space: &Space, cancel: &Cancel) -> Result<()> {
        self.rows.verify(cancel)?;
        let biases = self.centroid_bias.as_deref().unwrap_or_default();
        for (tensor, values) in [("centroids", &*self.centroids), ("centroid_bias", biases)] {
            if let Some(at) = values.iter().position(|value| !value.is_finite()) {
                return Err(self.wrong(
                    tensor,
                    "finite numbers",
                    format!("{} at {at}", values[at]),
                ));
            }
        }
        let lists = (0..self.lists())
            .map(|list| self.places(list))
            .collect::<Result<Vec<_>>>()?;
        let mut met = vec![false; self.items.len()];
        for (list, places) in lists.into_iter().enumerate() {
            let items = &self.items[places];
            if let Some(pair) = items.windows(2).find(|pair| pair[0] >= pair[1]) {
                let found = format!("{} before {} in list {list}", pair[0], pair[1]);
                return Err(self.wrong("list.items", "rising items in a list", found));
            }
            for &item in items {
                match met.get_mut(item as usize) {
                    Some(met) if !*met => *met = true,
                    Some(_) => {
                        let found = format!("{item} again");
                        return Err(self.wrong("list.items", "every item once", found));
                    }
                    None => return Err(self.outside(item)),
                }
            }
        }
        for (place, &item) in self.items.iter().enumerate() {
            if place % VERIFY_STRETCH == 0 {
                cancel.check()?;
            }
            if !self.rows.same_row(place, space, item as usize) {
                let expected = format!("the row of item {item} of the space `{}`", space.name());
                return Err(self.wrong("rows", expected, format!("another at {place}")));
            }
        }
        Ok(())
    }

    /// Where the rows of a list lie.
    fn places(&self, list: usize) -> Result<Range<usize>> {
        let ends = self.offsets.get(list).zip(self.offsets.get(list + 1));
        let places = ends.map(|(&start, &end)| start as usize..end as usize);
        match places {
            Some(places) if places.start <= places.end && places.end <= self.items.len() => {
                Ok(places)
            }
            found => {
                let found = format!("{found:?} for list {list}");
                Err(self.wrong("list.offsets", "offsets that never fall", found))
            }
        }
    }

    /// All lists, the most promising first: by the score of the centroid, which for the metric `dot` is the mean score
    /// of the list's rows.
    fn promising(&self, query: Query<'_>) -> Vec<usize> {
        let mut scores = vec![0.0; self.lists()];
        let metric = match query.metric {
            // Centroids are means of rows of length 1, and shorter the more the rows differ.
            Metric::Cosine => Metric::Dot,
            other => other,
        };
        let point = query.unit();
        Block {
            query: Query::new(metric, &point),
            rows: &self.centroids,
            chosen: None,
            scales: None,
            biases: self.centroid_bias.as_deref(),
            scores: &mut scores,
        }
        .score();
        let mut lists: Vec<usize> = (0..scores.len()).collect();
        // Damaged centroids may score NaN, which `total_cmp` puts somewhere.
        lists.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
        lists
    }

    fn outside(&self, item: u32) -> Error {
        let expected = format!("items below {}", self.items.len());
        self.wrong("list.items", expected, item.to_string())
    }

    fn wrong(&self, tensor: &str, expected: impl Into<String>, found: impl Into<String>) -> Error {
        Error::tensor(&self.part, tensor, expected, found)
    }
}

impl Space {
    /// How many lists its index has; nothing if it has no index.
    #[must_use]
    pub fn lists(&self) -> Option<usize> {
        self.index.as_deref().map(Index::lists)
    }

    /// As [`nearest`](Self::nearest), looking only at the rows of the `probes` most promising lists of the index, and of
    /// more while they have fewer than `count` admitted items. Items of other lists are missed.
    ///
    /// Where the filter allows a list of items only, those are all looked at.
    pub(crate) fn nearest_in_lists(
        &self,
        point: &[f32],
        count: usize,
        admission: &Admission,
        probes: usize,
        cancel: &Cancel,
    ) -> Result<Vec<Scored>> {
        let index = self.index.as_ref().ok_or_else(|| Error::Unsupported {
            what: format!("index for the space `{}`", self.name()),
        })?;
        if admission.allowed().is_some() {
            return self.nearest(point, count, admission, 1, cancel);
        }
        let query = self.query(point)?;
        let mut best = TopK::new(count, index.items.len())?;
        let mut scores = [0.0; BLOCK];
        for (probed, list) in index.promising(query).into_iter().enumerate() {
            if probed >= probes && best.is_full() {
                break;
            }
            let places = index.places(list)?;
            for start in places.clone().step_by(BLOCK) {
                if (start - places.start) % STRETCH == 0 {
                    cancel.check()?;
                }
                let places = start..places.end.min(start + BLOCK);
                let scores = &mut scores[..places.len()];
                index.rows.score_block(query, places.clone(), scores)?;
                for (&item, &score) in index.items[places].iter().zip(scores.iter()) {
                    if item >= self.len() {
                        return Err(index.outside(item));
                    }
                    let scored = Scored { item, score };
                    if best.takes(scored) && !self.is_cold(item) && admission.admits(item) {
                        best.push(scored);
                    }
                }
            }
        }
        Ok(best.into_ranking())
    }
}

#[cfg(test)]
mod tests {
    use half::f16;

    use super::super::fixture::{Table, open_indexed, open_space, open_twins};
    use super::*;
    use crate::bundle::{Bundle, Seen};
    use crate::filter::Filter;

    const LEN: u32 = 700;
    const WIDTH: u32 = 5;
    const LISTS: u32 = 23;

    /// A table of that type with rows around a few centres, biases and some cold rows, and a point among them.
    fn rows(dtype: &str) -> (Table, Vec<f32>) {
        let mut state = 7u32;
        let mut number = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16) as i32 % 40 - 20
        };
        let centres: Vec<i32> = (0..9 * WIDTH).map(|_| 4 * number()).collect();
        let values: Vec<i8> = (0..LEN)
            .flat_map(|item| (0..WIDTH).map(move |column| (item % 9 * WIDTH + column) as usize))
            .map(|at| (centres[at] + number()).clamp(-127, 127) as i8)
            .collect();
        let shape = [LEN as usize, WIDTH as usize];
        let scale: Vec<f32> = (0..LEN)
            .map(|item| 0.01 + (item % 7) as f32 / 300.0)
            .collect();
        let wide: Vec<f32> = values
            .iter()
            .map(|&value| f32::from(value) / 64.0)
            .collect();
        let table = match dtype {
            "f32" => Table::default().set("rows", &shape, &wide),
            "f16" => {
                let rows: Vec<f16> = wide.iter().map(|&value| f16::from_f32(value)).collect();
                Table::default().set("rows", &shape, &rows)
            }
            _ => Table::default()
                .set("rows", &shape, &values)
                .list("scale", &scale)
                .list("error", &scale),
        };
        let bias: Vec<f32> = (0..LEN).map(|item| (item % 13) as f32 / 20.0).collect();
        let cold: Vec<u8> = (0..LEN).map(|item| u8::from(item % 31 == 0)).collect();
        let point = (0..WIDTH).map(|_| number() as f32 / 10.0).collect();
        (table.list("bias", &bias).list("cold", &cold), point)
    }

    fn indexed(dtype: &str, metric: &str) -> (Bundle, Vec<f32>) {
        let (table, point) = rows(dtype);
        let table = (table, WIDTH, dtype, metric);
        let plain = open_space(LEN, &table).unwrap();
        let space = plain.space("s").unwrap();
        let part = space.index(LISTS as usize, 1, &Cancel::new()).unwrap();
        let same = space.index(LISTS as usize, 1, &Cancel::new()).unwrap();
        assert!(part == same);
        let bundle = open_indexed(LEN, &table, LISTS, &Table::read(&part)).unwrap();
        (bundle, point)
    }

    fn admission(bundle: &Bundle, filter: &Filter) -> Admission {
        filter
            .admission(bundle.catalog(), std::iter::empty(), Seen::Allow)
            .unwrap()
    }

    fn pairs(scored: &[Scored]) -> Vec<(u32, u32)> {
        let bits = |scored: &Scored| (scored.item, scored.score.to_bits());
        scored.iter().map(bits).collect()
    }

    #[test]
    fn all_lists_probed_is_the_exact_ranking() {
        let cancel = Cancel::new();
        for dtype in ["f32", "f16", "i8"] {
            for metric in ["dot", "cosine", "l2"] {
                let (bundle, point) = indexed(dtype, metric);
                let space = bundle.space("s").unwrap();
                space.verify(&cancel).unwrap();
                assert_eq!(space.lists(), Some(LISTS as usize));
                let exclude = Filter::new().exclude((0..LEN).filter(|item| item % 3 == 1));
                let allow = Filter::new().allow((0..LEN).filter(|item| item % 5 == 2));
                for filter in [Filter::new(), exclude, allow] {
                    let admission = admission(&bundle, &filter);
                    for count in [1, 20, 1000] {
                        let exact = space
                            .nearest(&point, count, &admission, 1, &cancel)
                            .unwrap();
                        let near = |probes| {
                            space
                                .nearest_in_lists(&point, count, &admission, probes, &cancel)
                                .unwrap()
                        };
                        let all = near(LISTS as usize);
                        assert_eq!(pairs(&all), pairs(&exact), "{dtype} {metric} {count}");
                        // A few lists give as many, none of them better, with scores of the exact scan.
                        let few = near(2);
                        assert_eq!(few.len(), exact.len());
                        let scores = few.iter().zip(&exact);
                        assert!(scores.clone().all(|(few, exact)| few.score <= exact.score));
                        let items: Vec<u32> = few.iter().map(|scored| scored.item).collect();
                        assert!(items.iter().all(|&item| admission.admits(item)));
                        let scores = few.iter().map(|scored| scored.score);
                        assert_eq!(
                            scores.collect::<Vec<_>>(),
                            space.score(&point, &items).unwrap()
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn near_rows_share_lists() {
        for metric in ["dot", "cosine", "l2"] {
            let (bundle, point) = indexed("f32", metric);
            let (space, all, cancel) = (
                bundle.space("s").unwrap(),
                Admission::default(),
                Cancel::new(),
            );
            let exact = space.nearest(&point, 20, &all, 1, &cancel).unwrap();
            let near = space
                .nearest_in_lists(&point, 20, &all, 8, &cancel)
                .unwrap();
            let found = near.iter().filter(|scored| exact.contains(scored)).count();
            // By chance, 8 of 23 lists hold 7 of 20 items.
            assert!(found >= 12, "{metric}: {found} of 20");
        }
    }

    #[test]
    fn a_space_without_an_index_says_so() {
        let bundle = open_space(LEN, &(rows("f32").0, WIDTH, "f32", "dot")).unwrap();
        let space = bundle.space("s").unwrap();
        let found = space.nearest_in_lists(&[0.0; 5], 3, &Admission::default(), 2, &Cancel::new());
        let error = found.unwrap_err().to_string();
        assert_eq!(error, "the bundle carries no index for the space `s`");
        for lists in [0, LEN as usize + 1] {
            let error = space.index(lists, 0, &Cancel::new()).unwrap_err();
            assert!(matches!(
                error,
                Error::InvalidArgument {
                    parameter: "lists",
                    ..
                }
            ));
        }
        assert_eq!(space.lists(), None);
        let cancel = Cancel::new();
        cancel.request();
        assert!(matches!(space.index(3, 0, &cancel), Err(Error::Cancelled)));
    }

    #[test]
    fn a_space_of_exact_rows_beside_others_has_no_index() {
        let (i8_rows, exact) = ((rows("i8").0, WIDTH, "i8", "dot"), rows("f32").0);
        let bundle = open_twins(LEN, &i8_rows, &exact).unwrap();
        let space = bundle.space("s").unwrap();
        let error = space.index(LISTS as usize, 0, &Cancel::new()).unwrap_err();
        let expected = "`space`: `s` has exact rows, with which no index goes";
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn damage_is_found_and_never_crashes_a_search() {
        let table = (rows("f32").0, WIDTH, "f32", "dot");
        let plain = open_space(LEN, &table).unwrap();
        let part = plain.space("s").unwrap().index(4, 3, &Cancel::new());
        let sound = || Table::read(part.as_ref().unwrap());
        let items: Vec<u32> = (0..LEN).collect();
        let with = |at: usize, item: u32| {
            let mut items = items.clone();
            items[at] = item;
            items
        };
        let open = |index: Table| open_indexed(LEN, &table, 4, &index);
        let offsets = |offsets: [u32; 5]| sound().list("list.offsets", &offsets);
        for (index, expected) in [
            (
                sound().without("centroids"),
                "`centroids`: expected F32 [4, 5], found no such tensor",
            ),
            (
                sound().without("centroid_bias"),
                "`centroid_bias`: expected F32 [4], found no such",
            ),
            (
                sound().without("rows"),
                "`rows`: expected F32 [700, 5], found no such tensor",
            ),
            (
                sound().list("list.items", &[1u32]),
                "`list.items`: expected U32 [700], found U32 [1]",
            ),
            (
                sound().list("cold", &[0u8; 700]),
                "`cold`: expected only tensors of format 1",
            ),
            (
                offsets([1, 2, 3, 4, LEN]),
                "`list.offsets`: expected from 0 to 700",
            ),
            (
                offsets([0, 2, 3, 4, LEN + 1]),
                "`list.offsets`: expected from 0 to 700",
            ),
            (
                sound().list("list.offsets", &[0, LEN]),
                "`list.offsets`: expected U32 [5]",
            ),
        ] {
            let error = open(index).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        let whole = [0, LEN, LEN, LEN, LEN];
        let centroids = |value: f32| sound().set("centroids", &[4, 5], &[value; 20]);
        for (index, expected) in [
            (
                offsets([0, 300, 200, 400, LEN]),
                "`list.offsets`: expected offsets that never fall",
            ),
            (
                offsets([0, u32::MAX, 3, 4, LEN]),
                "`list.offsets`: expected offsets that never fall",
            ),
            (
                offsets(whole).list("list.items", &with(699, LEN)),
                "items below 700, found 700",
            ),
            (
                offsets(whole).list("list.items", &with(5, 6)),
                "rising items in a list",
            ),
            (
                offsets([0, 1, LEN, LEN, LEN]).list("list.items", &with(0, 9)),
                "every item once",
            ),
            (offsets(whole).list("list.items", &items), "the row of item"),
            (
                centroids(f32::NAN),
                "`centroids`: expected finite numbers, found NaN at 0",
            ),
            (
                sound().list("centroid_bias", &[f32::INFINITY; 4]),
                "`centroid_bias`: expected finite",
            ),
        ] {
            let bundle = open(index).unwrap();
            let (space, cancel) = (bundle.space("s").unwrap(), Cancel::new());
            let error = space.verify(&cancel).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
            for probes in [1, 4, usize::MAX] {
                // A ranking or an error.
                let all = Admission::default();
                if let Ok(found) = space.nearest_in_lists(&[1.0; 5], 10, &all, probes, &cancel) {
                    assert!(found.iter().all(|scored| scored.item < LEN));
                }
            }
        }
    }
}
