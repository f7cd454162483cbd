//! What the best of a user score at least, known before all rows are judged.
//!
//! While the best of a user are few, almost any row could enter them, and each costs its score. So of every group of
//! the first rows the one is sought that seems to score best for a user ([`coarse`](super::coarse)), and the `count` that
//! seem best of those that may rank are scored. They are as many rows as the user gets: whatever scores less than all of
//! them is not among the best. What scores the same may be, if its item is lower.
//!
//! The guess decides only how much that rules out. Groups keep it from costing more than it saves: to choose among all
//! rows would take as long as to let them enter.

#![forbid(unsafe_code)]

use super::coarse::{BLOCK, COLUMN, GROUP, Points, Rows, place};
use super::many::User;
use super::scan::STRETCH;
use super::shares::{Shares, by_shares};
use super::space::Space;
use super::topk::{Rank, Scored};
use crate::cancel::Cancel;
use crate::error::Result;

/// So many rows for each of the best: groups enough that few have two of these.
const EACH: usize = 128;

/// The start of a search for the best `count` of each of some users.
pub(super) struct Start<'a> {
    pub(super) space: &'a Space,
    pub(super) users: &'a [User<'a>],
    pub(super) points: &'a Points,
    pub(super) count: usize,
    pub(super) threads: usize,
    pub(super) cancel: &'a Cancel,
}

impl Start<'_> {
    /// A score for each user that at least `count` rows reach which may rank; minus infinity if none is known.
    pub(super) fn thresholds(&self) -> Result<Vec<f32>> {
        let rows = self.count.saturating_mul(EACH);
        let rows = rows.min(self.space.len() as usize);
        if self.count == 0 || self.count > rows / GROUP {
            return Ok(vec![f32::NEG_INFINITY; self.users.len()]);
        }
        let products = self.space.width() * self.users.len();
        let groups = by_shares(rows, products, self.threads, |shares| self.groups(shares))?;
        let (mut leaders, mut scores) = (Vec::new(), vec![0.0; self.count]);
        (0..self.users.len())
            .map(|user| {
                self.cancel.check()?;
                leaders.clear();
                groups
                    .iter()
                    .for_each(|groups| groups.of(user, &mut leaders));
                self.threshold(user, &mut leaders, &mut scores)
            })
            .collect()
    }

    /// The groups of some shares of the rows.
    fn groups(&self, shares: Shares<'_>) -> Result<Groups> {
        let mut groups = Groups {
            starts: Vec::new(),
            leaders: vec![Vec::new(); self.points.columns.len()],
        };
        let mut room = vec![0.0; BLOCK * self.space.width()];
        let mut coarse = Rows::new(self.points);
        for rows in shares.blocks(BLOCK) {
            if rows.start % STRETCH == 0 {
                self.cancel.check()?;
            }
            // Items are numbered in u32: there are no more rows than that.
            let items = rows.start as u32..rows.end as u32;
            let source = self.space.coarse_rows(rows.clone(), &mut room)?;
            coarse.set(&source, self.space.biases(rows)?);
            for (row, item) in items.clone().enumerate() {
                if self.space.is_cold(item) {
                    coarse.pass_over(row);
                }
            }
            groups.starts.extend(items.step_by(GROUP));
            for (column, leaders) in self.points.columns.iter().zip(&mut groups.leaders) {
                leaders.extend_from_slice(&coarse.leaders(column));
                leaders.truncate(groups.starts.len());
            }
        }
        Ok(groups)
    }

    /// The least score of the `count` leaders that seem best of those that may rank.
    fn threshold(&self, user: usize, leaders: &mut Vec<Rank>, scores: &mut [f32]) -> Result<f32> {
        let (query, admission) = self.users[user];
        // Among these, so many may rank: the others need not be asked about.
        let enough = admission.excluded().map(|items| items.len() + self.count);
        keep_best(leaders, enough.unwrap_or(usize::MAX));
        leaders.retain(|leader| admission.admits(leader.scored().item));
        keep_best(leaders, self.count);
        if leaders.len() < self.count {
            return Ok(f32::NEG_INFINITY);
        }
        let items: Vec<u32> = leaders.iter().map(|leader| leader.scored().item).collect();
        self.space.score_items(query, &items, scores)?;
        match scores.iter().any(|score| score.is_nan()) {
            true => Ok(f32::NEG_INFINITY),
            false => Ok(scores.iter().copied().fold(f32::INFINITY, f32::min)),
        }
    }
}

/// Keeps the first `count`, in any order.
fn keep_best(ranks: &mut Vec<Rank>, count: usize) {
    if ranks.len() > count {
        ranks.select_nth_unstable_by(count, |a, b| b.cmp(a));
        ranks.truncate(count);
    }
}

/// Groups of rows, and who leads them.
struct Groups {
    /// The first item of each.
    starts: Vec<u32>,
    /// `[columns, groups, COLUMN]`.
    leaders: Vec<Vec<[f32; COLUMN]>>,
}

impl Groups {
    /// Adds the leaders for a user, with what they seem to score.
    fn of(&self, user: usize, leaders: &mut Vec<Rank>) {
        let lane = user % COLUMN;
        let of_column = self.starts.iter().zip(&self.leaders[user / COLUMN]);
        let of_user = of_column.map(|(&start, leaders)| Scored {
            item: start + place(leaders[lane]) as u32,
            score: leaders[lane],
        });
        let of_user = of_user.filter(|leader| leader.score > f32::NEG_INFINITY);
        leaders.extend(of_user.map(Rank::of));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Admission;
    use super::super::fixture::{Table, open_all, plain};
    use super::*;
    use crate::bundle::{Bundle, Seen};
    use crate::filter::Filter;

    const METRICS: [&str; 3] = ["dot", "cosine", "l2"];
    const WIDTH: usize = 3;

    /// Rows of small whole numbers, and what keeps some of them from ranking.
    #[derive(Clone, Debug)]
    struct Rows {
        rows: Vec<i8>,
        bias: Option<Vec<f32>>,
        /// Every row of which this is a divisor of the item.
        cold: Option<u32>,
        /// NaN for every row of which this is a divisor of the item.
        broken: Option<u32>,
    }

    impl Rows {
        fn len(&self) -> u32 {
            (self.rows.len() / WIDTH) as u32
        }

        fn open(&self, dtype: &str, metric: &str) -> Bundle {
            let shape = [self.len() as usize, WIDTH];
            let is_broken = |item: usize| {
                self.broken
                    .is_some_and(|each| (item as u32).is_multiple_of(each))
            };
            let mut wide: Vec<f32> = self.rows.iter().map(|&q| f32::from(q)).collect();
            for (item, row) in wide.chunks_mut(WIDTH).enumerate() {
                if is_broken(item) {
                    row[0] = f32::NAN;
                }
            }
            let scales = (0..shape[0]).map(|item| if is_broken(item) { f32::NAN } else { 1.0 });
            let mut table = match dtype {
                "i8" => {
                    let scales: Vec<f32> = scales.collect();
                    Table::default()
                        .set("rows", &shape, &self.rows)
                        .list("scale", &scales)
                        .list("error", &vec![0f32; shape[0]])
                }
                _ => Table::default().set("rows", &shape, &wide),
            };
            if let Some(bias) = &self.bias {
                table = table.list("bias", bias);
            }
            if let Some(each) = self.cold {
                let cold: Vec<u8> = (0..self.len())
                    .map(|item| u8::from(item.is_multiple_of(each)))
                    .collect();
                table = table.list("cold", &cold);
            }
            let halves: Vec<[u32; 1]> = (0..self.len()).map(|item| [item % 2]).collect();
            let halves: Vec<&[u32]> = halves.iter().map(|tags| &tags[..]).collect();
            let catalog = plain(self.len()).tags("half", &["even", "odd"], &halves);
            let space = (table, WIDTH as u32, dtype, metric);
            open_all(self.len(), &catalog, r#""half":"tags""#, &space).unwrap()
        }
    }

    fn rows() -> impl Strategy<Value = Rows> {
        let number = prop_oneof![Just(1i8), Just(3), Just(100)];
        let rows = number.prop_flat_map(|most| {
            let row = (proptest::collection::vec(-most..=most, WIDTH), -1.0f32..1.0);
            proptest::collection::vec(row, 1..800)
        });
        let each = || proptest::option::of(1u32..4);
        (rows, any::<bool>(), each(), each()).prop_map(|(rows, biased, cold, broken)| Rows {
            bias: biased.then(|| rows.iter().map(|row| row.1.round()).collect()),
            rows: rows.into_iter().flat_map(|row| row.0).collect(),
            cold,
            broken,
        })
    }

    fn admission(bundle: &Bundle, filter: &Filter) -> Admission {
        let filter = filter.admission(bundle.catalog(), std::iter::empty(), Seen::Allow);
        filter.unwrap()
    }

    /// The thresholds of users with one point and these admissions.
    fn thresholds(
        space: &Space,
        point: &[f32],
        count: usize,
        admissions: &[Admission],
        threads: usize,
    ) -> Vec<f32> {
        let query = space.query(point).unwrap();
        let users: Vec<User<'_>> = admissions
            .iter()
            .map(|admission| (query, admission))
            .collect();
        let points = Points::new(
            space.metric(),
            space.width(),
            users.iter().map(|user| user.0),
        );
        let start = Start {
            space,
            users: &users,
            points: &points,
            count,
            threads,
            cancel: &Cancel::new(),
        };
        start.thresholds().unwrap()
    }

    fn bits(found: &[Scored]) -> Vec<(u32, u32)> {
        found
            .iter()
            .map(|scored| (scored.item, scored.score.to_bits()))
            .collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 32, max_shrink_iters: 200, ..ProptestConfig::default() })]

        #[test]
        fn enough_rows_that_may_rank_reach_the_start(
            table in rows(),
            point in proptest::collection::vec(-2i8..=2, WIDTH),
            count in prop_oneof![4 => 1usize..20, 1 => Just(0), 1 => 90usize..2000],
            excluded in 0usize..30,
            threads in 1usize..4,
        ) {
            let point: Vec<f32> = point.into_iter().map(f32::from).collect();
            for (dtype, metric) in ["f32", "i8"].into_iter().flat_map(|dtype| METRICS.map(|metric| (dtype, metric))) {
                let bundle = table.open(dtype, metric);
                let space = bundle.space("s").unwrap();
                let search = |admission: &Admission, count| {
                    space.nearest(&point, count, admission, 1, &Cancel::new()).unwrap()
                };
                // The best are those who may not rank.
                let best = search(&Admission::default(), excluded);
                let best = || best.iter().map(|scored| scored.item);
                let admissions = [
                    Filter::new(),
                    Filter::new().exclude(best()),
                    Filter::new().with_tag("half", "odd"),
                    Filter::new().without_tag("half", "odd").exclude(best()),
                ]
                .map(|filter| admission(&bundle, &filter));
                let alone = admissions.clone().map(|admission| search(&admission, count));
                let starts = thresholds(space, &point, count, &admissions, threads);
                for (found, start) in alone.iter().zip(starts) {
                    let reaching = found.iter().filter(|scored| scored.score >= start).count();
                    prop_assert!(reaching == count || start == f32::NEG_INFINITY, "{reaching} of {count}");
                }
                let points = point.repeat(admissions.len());
                let many = space.nearest_many(&points, count, &admissions, threads, &Cancel::new()).unwrap();
                for (found, alone) in many.iter().zip(&alone) {
                    prop_assert_eq!(bits(found), bits(alone), "{} {}", dtype, metric);
                }
            }
        }
    }

    #[test]
    fn a_start_is_near_the_last_of_the_best() {
        let numbers =
            (0..WIDTH as u32 * 2000).map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8);
        let table = Rows {
            rows: numbers.map(|number| number.cast_signed()).collect(),
            bias: None,
            cold: None,
            broken: None,
        };
        let point = [0.3, -1.0, 0.7];
        for (dtype, metric) in ["f32", "i8"]
            .into_iter()
            .flat_map(|dtype| METRICS.map(|metric| (dtype, metric)))
        {
            let bundle = table.open(dtype, metric);
            let space = bundle.space("s").unwrap();
            let filters = [
                Filter::new(),
                Filter::new().exclude(0..20),
                Filter::new().with_tag("half", "odd"),
            ];
            let admissions = filters.map(|filter| admission(&bundle, &filter));
            let starts = thresholds(space, &point, 10, &admissions, 1);
            for (admission, start) in admissions.iter().zip(starts) {
                let found = space
                    .nearest(&point, 50, admission, 1, &Cancel::new())
                    .unwrap();
                assert!(
                    found[9].score >= start && start >= found[49].score,
                    "{dtype} {metric}"
                );
            }
        }
    }

    /// All score the same, and so does the start: it must not keep the lower items out.
    #[test]
    fn rows_that_are_all_alike_go_to_the_lower_items() {
        let table = Rows {
            rows: vec![1; WIDTH * 600],
            bias: None,
            cold: None,
            broken: None,
        };
        for metric in METRICS {
            let bundle = table.open("f32", metric);
            let space = bundle.space("s").unwrap();
            let admissions = [Filter::new(), Filter::new().exclude(0..5)]
                .map(|filter| admission(&bundle, &filter));
            let admissions = [&admissions[..], &admissions[..]].concat();
            let point = [1.0, 0.5, 0.25];
            let starts = thresholds(space, &point, 4, &admissions, 1);
            assert!(starts.iter().all(|start| start.is_finite()));
            let found = space
                .nearest_many(&point.repeat(4), 4, &admissions, 1, &Cancel::new())
                .unwrap();
            let items =
                |found: &[Scored]| -> Vec<u32> { found.iter().map(|scored| scored.item).collect() };
            assert_eq!(items(&found[0]), [0, 1, 2, 3]);
            assert_eq!(items(&found[1]), [5, 6, 7, 8]);
        }
    }

    #[test]
    fn a_start_asks_for_more_groups_than_results() {
        let table = Rows {
            rows: vec![1; WIDTH * 64],
            bias: None,
            cold: None,
            broken: None,
        };
        let bundle = table.open("f32", "dot");
        let space = bundle.space("s").unwrap();
        let all = [Admission::default()];
        for (count, known) in [
            (0, false),
            (1, true),
            (4, true),
            (5, false),
            (usize::MAX, false),
        ] {
            let starts = thresholds(space, &[1.0; WIDTH], count, &all, 1);
            assert_eq!(starts[0].is_finite(), known, "{count}");
        }
    }
}
