//! Exact nearest rows: every admitted row is scored, in blocks, and the best are kept.
//!
//! A block's scores are computed first and then compared with the worst of the best so far; the filter is asked only
//! about the few that would enter. Of rows in i8, and of exact rows with twins in i8, only those are scored that
//! [`bound`](super::bound) cannot rule out. Where the filter allows few items, only their rows are read. Scores do not
//! depend on the way: [`kernel`](super::kernel) fixes the arithmetic, [`topk`](super::topk) the order.

#![forbid(unsafe_code)]

use super::admission::Admission;
use super::bound::Bound;
use super::kernel::{Query, reaching};
use super::shares::{Shares, by_shares};
use super::space::Space;
use super::topk::{Scored, TopK};
use crate::cancel::Cancel;
use crate::error::{Error, Result};

/// Rows that are scored at once: their scores stay in the first cache.
pub(super) const BLOCK: usize = 256;

/// Scores that are compared with the threshold at once.
const GLANCE: usize = 16;

/// More rows of a block than this are scored with the whole block, where a row costs less than alone.
const FEW: usize = BLOCK / 8;

/// Rows between two looks at `cancel`.
pub(super) const STRETCH: usize = 4096;

impl Space {
    /// The scores of some items, in their order; NaN (which never ranks) for a cold one.
    ///
    /// `point`: `[width]`, finite.
    pub fn score(&self, point: &[f32], items: &[u32]) -> Result<Vec<f32>> {
        let query = self.query(point)?;
        let mut scores = vec![0.0; items.len()];
        self.score_items(query, items, &mut scores)?;
        Ok(scores)
    }

    /// The same, into `scores` of the same length.
    pub(super) fn score_items(
        &self,
        query: Query<'_>,
        items: &[u32],
        scores: &mut [f32],
    ) -> Result<()> {
        let len = self.len();
        if let Some(&item) = items.iter().find(|&&item| item >= len) {
            return Err(Error::UnknownItem { item, len });
        }
        self.score_rows(query, 0..len as usize, Some(items), scores)?;
        for (score, &item) in scores.iter_mut().zip(items) {
            if self.is_cold(item) {
                *score = f32::NAN;
            }
        }
        Ok(())
    }

    pub(super) fn score_item(&self, query: Query<'_>, item: u32) -> Result<f32> {
        let mut score = [0.0];
        self.score_items(query, &[item], &mut score)?;
        Ok(score[0])
    }

    /// The `count` best admitted items, best first; fewer if fewer are admitted. Cold rows never rank.
    ///
    /// `point`: `[width]`, finite. The result is the same for every number of `threads`.
    pub(crate) fn nearest(
        &self,
        point: &[f32],
        count: usize,
        admission: &Admission,
        threads: usize,
        cancel: &Cancel,
    ) -> Result<Vec<Scored>> {
        let query = self.query(point)?;
        let scan = Scan {
            space: self,
            query,
            bound: self.bound(&query),
            count,
            admission,
            cancel,
        };
        let best = match admission.allowed() {
            Some(allowed) => scan.items(allowed)?,
            None => scan.rows_by(threads)?,
        };
        Ok(best.into_ranking())
    }
}

/// One search.
struct Scan<'a> {
    space: &'a Space,
    query: Query<'a>,
    /// What rules rows out, where there are rows of i8.
    bound: Option<Bound>,
    count: usize,
    admission: &'a Admission,
    cancel: &'a Cancel,
}

impl Scan<'_> {
    /// The best of some items.
    fn items(&self, items: &[u32]) -> Result<TopK> {
        let mut best = TopK::new(self.count, items.len())?;
        for stretch in items.chunks(STRETCH) {
            self.cancel.check()?;
            let scores = self.space.score(self.query.point, stretch)?;
            for (&item, score) in stretch.iter().zip(scores) {
                let scored = Scored { item, score };
                if best.takes(scored) && self.admission.admits(item) {
                    best.push(scored);
                }
            }
        }
        Ok(best)
    }

    /// The best of all rows, by so many threads.
    fn rows_by(&self, threads: usize) -> Result<TopK> {
        let len = self.space.len() as usize;
        let found = by_shares(len, self.space.width(), threads, |shares| self.rows(shares))?;
        let mut best = TopK::new(self.count, len)?;
        found.into_iter().for_each(|share| best.merge(share));
        Ok(best)
    }

    /// The best of some shares of the rows.
    fn rows(&self, shares: Shares<'_>) -> Result<TopK> {
        let mut best = TopK::new(self.count, self.space.len() as usize)?;
        let mut scores = [0.0; BLOCK];
        for rows in shares.blocks(BLOCK) {
            if rows.start % STRETCH == 0 {
                self.cancel.check()?;
            }
            let scores = &mut scores[..rows.len()];
            let mut threshold = best.threshold();
            // Any row enters while there is room: a bound would rule nothing out.
            let mut bounded = false;
            if let Some(bound) = self.bound.as_ref().filter(|_| best.is_full()) {
                self.space.bound_block(bound, rows.clone(), scores)?;
                match reaching(scores, threshold) {
                    0 => continue,
                    few => bounded = few <= FEW,
                }
            }
            if !bounded {
                self.space.score_block(self.query, rows.clone(), scores)?;
                if reaching(scores, threshold) == 0 {
                    continue;
                }
            }
            for (first, scores) in rows.step_by(GLANCE).zip(scores.chunks(GLANCE)) {
                let reached = scores
                    .iter()
                    .fold(false, |any, &score| any | (score >= threshold));
                if !reached {
                    continue;
                }
                for (item, &score) in (first..).zip(scores) {
                    // Items are numbered in u32: there are no more rows than that.
                    let mut scored = Scored {
                        item: item as u32,
                        score,
                    };
                    if score >= threshold
                        && best.takes(scored)
                        && !self.space.is_cold(scored.item)
                        && self.admission.admits(scored.item)
                    {
                        if bounded {
                            scored.score = self.space.score_item(self.query, scored.item)?;
                        }
                        best.push(scored);
                        threshold = best.threshold();
                    }
                }
            }
        }
        Ok(best)
    }
}

#[cfg(test)]
mod tests {
    use half::f16;
    use proptest::prelude::*;

    use super::super::fixture::{Table, open_space};
    use super::*;
    use crate::bundle::{Bundle, Seen};
    use crate::filter::Filter;

    /// A table of rows in the three types, and what else a space has.
    #[derive(Clone, Debug)]
    struct Rows {
        width: usize,
        rows: Vec<i8>,
        scale: Vec<f32>,
        bias: Option<Vec<f32>>,
        cold: Option<Vec<u8>>,
        point: Vec<f32>,
    }

    impl Rows {
        fn len(&self) -> usize {
            self.scale.len()
        }

        fn open(&self, dtype: &str, metric: &str) -> Bundle {
            let shape = [self.len(), self.width];
            let table = match dtype {
                "f32" => Table::default().set("rows", &shape, &self.wide(dtype)),
                "f16" => {
                    let rows: Vec<f16> = self
                        .wide(dtype)
                        .iter()
                        .map(|&value| f16::from_f32(value))
                        .collect();
                    Table::default().set("rows", &shape, &rows)
                }
                _ => Table::default()
                    .set("rows", &shape, &self.rows)
                    .list("scale", &self.scale)
                    .list("error", &self.scale),
            };
            let table = self
                .bias
                .iter()
                .fold(table, |table, bias| table.list("bias", bias));
            let table = self
                .cold
                .iter()
                .fold(table, |table, cold| table.list("cold", cold));
            open_space(
                self.len() as u32,
                &(table, self.width as u32, dtype, metric),
            )
            .unwrap()
        }

        /// The stored numbers as f32, before an i8 row's scale.
        fn wide(&self, dtype: &str) -> Vec<f32> {
            let value = |(index, &q): (usize, &i8)| match dtype {
                "i8" => f32::from(q),
                _ => f16::from_f32(f32::from(q) * self.scale[index / self.width]).to_f32_const(),
            };
            self.rows.iter().enumerate().map(value).collect()
        }

        /// Every score as the kernel defines it: 16 lanes, added in halves.
        fn scores(&self, dtype: &str, metric: &str) -> Vec<f32> {
            let wide = self.wide(dtype);
            let norm = in_lanes(self.point.iter().map(|x| x * x)).sqrt();
            let score = |(item, row): (usize, &[f32])| {
                let scale = if dtype == "i8" { self.scale[item] } else { 1.0 };
                let pairs = || row.iter().zip(&self.point);
                let score = match metric {
                    "dot" => scale * in_lanes(pairs().map(|(r, x)| r * x)),
                    "cosine" => {
                        let norms = norm * (scale * in_lanes(row.iter().map(|r| r * r)).sqrt());
                        let product = scale * in_lanes(pairs().map(|(r, x)| r * x));
                        if norms == 0.0 { 0.0 } else { product / norms }
                    }
                    _ => -in_lanes(pairs().map(|(r, x)| (x - scale * r) * (x - scale * r))).sqrt(),
                };
                score + self.bias.as_ref().map_or(0.0, |bias| bias[item])
            };
            wide.chunks(self.width).enumerate().map(score).collect()
        }

        fn is_cold(&self, item: u32) -> bool {
            self.cold
                .as_ref()
                .is_some_and(|cold| cold[item as usize] == 1)
        }
    }

    fn in_lanes(terms: impl Iterator<Item = f32>) -> f32 {
        let mut lanes = vec![0.0; 16];
        for (index, term) in terms.enumerate() {
            lanes[index % 16] += term;
        }
        while lanes.len() > 1 {
            let (low, high) = lanes.split_at(lanes.len() / 2);
            lanes = low.iter().zip(high).map(|(a, b)| a + b).collect();
        }
        lanes[0]
    }

    fn rows(
        items: impl Into<proptest::collection::SizeRange>,
        width: usize,
    ) -> impl Strategy<Value = Rows> {
        let row = (
            proptest::collection::vec(-127i8..=127, width),
            0.0f32..0.1,
            -1.0f32..1.0,
            0u8..2,
        );
        let rows = proptest::collection::vec(row, items);
        let point = proptest::collection::vec(-2.0f32..2.0, width);
        (rows, point, any::<bool>(), any::<bool>()).prop_map(
            move |(rows, point, biased, chilled)| Rows {
                width,
                point,
                scale: rows.iter().map(|row| row.1).collect(),
                bias: biased.then(|| rows.iter().map(|row| row.2).collect()),
                cold: chilled.then(|| rows.iter().map(|row| row.3).collect()),
                rows: rows.into_iter().flat_map(|row| row.0).collect(),
            },
        )
    }

    fn tables() -> impl Strategy<Value = Rows> {
        (1usize..70).prop_flat_map(|width| rows(1..40, width))
    }

    const DTYPES: [&str; 3] = ["f32", "f16", "i8"];
    const METRICS: [&str; 3] = ["dot", "cosine", "l2"];

    fn admission(bundle: &Bundle, filter: &Filter) -> Admission {
        filter
            .admission(bundle.catalog(), std::iter::empty(), Seen::Allow)
            .unwrap()
    }

    fn pairs(scored: &[Scored]) -> Vec<(u32, u32)> {
        scored
            .iter()
            .map(|scored| (scored.item, scored.score.to_bits()))
            .collect()
    }

    /// The definition: score all, drop what may not rank, sort.
    fn naively(scores: &[f32], count: usize, admits: impl Fn(u32) -> bool) -> Vec<(u32, u32)> {
        let mut best: Vec<(u32, f32)> = (0..)
            .zip(scores.iter().copied())
            .filter(|&(item, _)| admits(item))
            .collect();
        best.retain(|(_, score)| !score.is_nan());
        best.sort_by(|a, b| b.1.partial_cmp(&a.1).unwrap());
        best.truncate(count);
        best.into_iter()
            .map(|(item, score)| (item, score.to_bits()))
            .collect()
    }

    proptest! {
        #[test]
        fn nearest_are_the_first_of_all_scores_sorted(
            table in tables(),
            count in 0usize..50,
            excluded in proptest::collection::vec(0u32..40, 0..6),
            allowed in proptest::option::of(proptest::collection::vec(0u32..40, 0..20)),
        ) {
            let inside = |items: &[u32]| -> Vec<u32> {
                items.iter().copied().filter(|&item| (item as usize) < table.len()).collect()
            };
            let excluded = inside(&excluded);
            let allowed = allowed.as_deref().map(inside);
            let filter = Filter::new().exclude(excluded.iter().copied());
            let filter = allowed.iter().fold(filter, |filter, items| filter.allow(items.iter().copied()));
            let admits = |item: u32| {
                !table.is_cold(item)
                    && !excluded.contains(&item)
                    && allowed.as_ref().is_none_or(|items| items.contains(&item))
            };
            for dtype in DTYPES {
                for metric in METRICS {
                    let bundle = table.open(dtype, metric);
                    let space = bundle.space("s").unwrap();
                    let admission = admission(&bundle, &filter);
                    let found = space.nearest(&table.point, count, &admission, 1, &Cancel::new()).unwrap();
                    let expected = naively(&table.scores(dtype, metric), count, admits);
                    prop_assert_eq!(pairs(&found), expected, "{} {}", dtype, metric);
                }
            }
        }

        #[test]
        fn many_points_find_what_each_finds_alone(
            table in tables(),
            count in 0usize..50,
            users in proptest::collection::vec((-2.0f32..2.0, proptest::option::of(0u32..40), any::<bool>()), 0..40),
        ) {
            for dtype in DTYPES {
                for metric in METRICS {
                    let bundle = table.open(dtype, metric);
                    let space = bundle.space("s").unwrap();
                    let points: Vec<f32> = users
                        .iter()
                        .flat_map(|(factor, ..)| table.point.iter().map(move |x| x * factor))
                        .collect();
                    let admissions: Vec<Admission> = users
                        .iter()
                        .map(|(_, item, allow)| {
                            let item = item.filter(|&item| item < space.len());
                            let filter = match (item, allow) {
                                (Some(item), true) => Filter::new().allow([item]),
                                (item, _) => Filter::new().exclude(item),
                            };
                            admission(&bundle, &filter)
                        })
                        .collect();
                    let found = space.nearest_many(&points, count, &admissions, 1, &Cancel::new()).unwrap();
                    let alone: Vec<_> = points
                        .chunks(table.width)
                        .zip(&admissions)
                        .map(|(point, admission)| space.nearest(point, count, admission, 1, &Cancel::new()).unwrap())
                        .collect();
                    let bits = |found: &[Vec<Scored>]| -> Vec<_> { found.iter().map(|found| pairs(found)).collect() };
                    prop_assert_eq!(bits(&found), bits(&alone), "{} {}", dtype, metric);
                }
            }
        }

        #[test]
        fn scores_are_close_to_those_of_exact_arithmetic(table in tables()) {
            for dtype in DTYPES {
                for metric in METRICS {
                    let bundle = table.open(dtype, metric);
                    let space = bundle.space("s").unwrap();
                    let items: Vec<u32> = (0..space.len()).collect();
                    let scores = space.score(&table.point, &items).unwrap();
                    let mut row = vec![0.0; table.width];
                    for (&item, score) in items.iter().zip(scores) {
                        space.row(item, &mut row).unwrap();
                        let pairs = || row.iter().zip(&table.point).map(|(&r, &x)| (f64::from(r), f64::from(x)));
                        let norm = |terms: &mut dyn Iterator<Item = f64>| terms.map(|x| x * x).sum::<f64>().sqrt();
                        let norms = norm(&mut pairs().map(|pair| pair.0)) * norm(&mut pairs().map(|pair| pair.1));
                        let product: f64 = pairs().map(|(r, x)| r * x).sum();
                        let expected = match metric {
                            "dot" => product,
                            "cosine" if norms == 0.0 => 0.0,
                            "cosine" => product / norms,
                            _ => -norm(&mut pairs().map(|(r, x)| x - r)),
                        };
                        let expected = expected + table.bias.as_ref().map_or(0.0, |bias| f64::from(bias[item as usize]));
                        let tolerance = 1e-5 * norms.max(expected.abs()).max(1.0);
                        let close = (f64::from(score) - expected).abs() <= tolerance;
                        prop_assert!(close || table.is_cold(item), "{dtype} {metric}: {score} for {expected}");
                    }
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3))]

        #[test]
        fn threads_change_nothing(table in rows(2 * STRETCH..4 * STRETCH, 3), count in prop_oneof![1usize..300, 3000usize..20000]) {
            for dtype in DTYPES {
                for metric in METRICS {
                    let bundle = table.open(dtype, metric);
                    let space = bundle.space("s").unwrap();
                    let all_but = |bundle: &Bundle| admission(bundle, &Filter::new().exclude([1, 5000]));
                    let admission = all_but(&bundle);
                    let admits = |item| !table.is_cold(item) && item != 1 && item != 5000;
                    let expected = naively(&table.scores(dtype, metric), count, admits);
                    for threads in 1..=4 {
                        let found = space.nearest(&table.point, count, &admission, threads, &Cancel::new()).unwrap();
                        prop_assert_eq!(&pairs(&found), &expected, "{} {} {}", dtype, metric, threads);
                    }
                    let (points, admissions) = (table.point.repeat(5), [(); 5].map(|()| all_but(&bundle)));
                    let many = space.nearest_many(&points, count, &admissions, 2, &Cancel::new()).unwrap();
                    prop_assert!(many.iter().all(|found| pairs(found) == expected));
                }
            }
        }
    }

    fn small(rows: &[f32], metric: &str) -> Bundle {
        let table = Table::default().set("rows", &[rows.len() / 2, 2], rows);
        open_space((rows.len() / 2) as u32, &(table, 2, "f32", metric)).unwrap()
    }

    fn nearest(bundle: &Bundle, point: &[f32]) -> Vec<(u32, f32)> {
        let space = bundle.space("s").unwrap();
        let found = space
            .nearest(point, 10, &Admission::default(), 1, &Cancel::new())
            .unwrap();
        found
            .iter()
            .map(|scored| (scored.item, scored.score))
            .collect()
    }

    #[test]
    fn a_row_of_nan_never_ranks() {
        let bundle = small(&[f32::NAN, 1.0, 1.0, 1.0, f32::INFINITY, 0.0], "dot");
        assert_eq!(
            nearest(&bundle, &[1.0, 1.0]),
            [(2, f32::INFINITY), (1, 2.0)]
        );
    }

    #[test]
    fn a_norm_of_zero_gives_a_cosine_of_zero() {
        let bundle = small(&[0.0, 0.0, -1.0, 0.0, 2.0, 0.0], "cosine");
        assert_eq!(
            nearest(&bundle, &[1.0, 0.0]),
            [(2, 1.0), (0, 0.0), (1, -1.0)]
        );
        assert_eq!(
            nearest(&bundle, &[0.0, 0.0]),
            [(0, 0.0), (1, 0.0), (2, 0.0)]
        );
    }

    #[test]
    fn a_distance_of_zero_is_not_negative() {
        let bundle = small(&[1.0, 0.0], "l2");
        let [(0, score)] = nearest(&bundle, &[1.0, 0.0])[..] else {
            unreachable!("one row")
        };
        assert_eq!(score.to_bits(), 0);
    }

    #[test]
    fn a_query_must_fit_and_be_finite() {
        let bundle = small(&[1.0, 0.0], "dot");
        for point in [
            &[1.0][..],
            &[1.0, f32::NAN],
            &[f32::INFINITY, 0.0],
            &[1.0; 3],
        ] {
            let space = bundle.space("s").unwrap();
            let error = space
                .nearest(point, 1, &Admission::default(), 1, &Cancel::new())
                .unwrap_err();
            assert!(
                matches!(
                    error,
                    Error::InvalidArgument {
                        parameter: "point",
                        ..
                    }
                ),
                "{error}"
            );
        }
    }

    #[test]
    fn a_requested_cancel_stops_every_way_of_searching() {
        let bundle = small(&vec![0.0; 6 * STRETCH], "dot");
        let cancel = Cancel::new();
        cancel.request();
        let space = bundle.space("s").unwrap();
        for (filter, threads) in [
            (Filter::new(), 1),
            (Filter::new(), 3),
            (Filter::new().allow([1]), 1),
        ] {
            let found = space.nearest(
                &[1.0, 1.0],
                1,
                &admission(&bundle, &filter),
                threads,
                &cancel,
            );
            assert!(matches!(found, Err(Error::Cancelled)));
        }
        let admissions = [(); 5].map(|()| Admission::default());
        let found = space.nearest_many(&[1.0; 10], 1, &admissions, 1, &cancel);
        assert!(matches!(found, Err(Error::Cancelled)));
    }

    #[test]
    fn many_points_must_fit() {
        let bundle = small(&[1.0, 0.0], "dot");
        let space = bundle.space("s").unwrap();
        let admissions = [(); 5].map(|()| Admission::default());
        for points in [&[1.0; 9][..], &[f32::NAN; 10]] {
            let error = space
                .nearest_many(points, 1, &admissions, 1, &Cancel::new())
                .unwrap_err();
            assert!(error.to_string().contains("point"), "{error}");
        }
    }
}
