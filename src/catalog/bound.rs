//! How high a score can be at most, judged by an i8 row in whole numbers, before f32 is asked.
//!
//! Let `e` be the row that a score is defined on, `r = scale·q` its i8 twin, `ε ≥ ‖e − r‖₂` the stored error and `x` the
//! query. (A table of i8 rows alone is its own twin: `e = r`, `ε = 0`.) From [`integer`](super::integer) come ⟨q,p⟩ and
//! ‖q‖², exactly, where `x = step·p + δ` and `ρ = ‖δ‖/‖x‖`. The kernel's score of `e` is at most the score that these
//! make plus a *slack* of three parts, for the twin, for `δ` and for rounding:
//!
//! - **dot**: `scale·step·⟨q,p⟩`. |⟨x,e⟩ − ⟨x,r⟩| ≤ ‖x‖·ε and |⟨δ,r⟩| ≤ ρ·‖x‖·‖r‖ (Cauchy–Schwarz). A sum of `d` products
//!   in f32, in any order, is off by at most γ·‖x‖·‖row‖, with ‖r‖ ≤ 128·√d·scale and ‖e‖ ≤ ‖r‖ + ε.
//! - **l2**: |‖x−e‖ − ‖x−r‖| ≤ ε (triangle), and ‖x−r‖² = ‖x‖² + ‖r‖² − 2·scale·step·⟨q,p⟩ − 2·⟨δ,r⟩, of which the last
//!   is at most 2ρ·‖x‖·‖r‖ ≤ ρ·(‖x‖² + ‖r‖²), and the rounding at most γ·(‖x‖² + ‖r‖²): both are taken off the squares
//!   before the root. The kernel's rounding takes γ·‖x−row‖ ≤ γ·(‖x‖ + ‖row‖) of the distance, and that of `scale·q`
//!   another γ·‖r‖.
//! - **cosine**: `step·⟨q,p⟩ / (‖x‖·‖q‖)`. |x̂·ê − x̂·r̂| ≤ ‖ê − r̂‖ = 2·sin(θ/2), where θ is the angle between the rows and
//!   sin θ ≤ ε/‖r‖. With ε ≤ ‖r‖/2, θ is at most 30° and the chord at most 1.04·ε/‖r‖. |x̂·r̂ − cosine of step·p| takes ρ,
//!   rounding 4γ of each.
//!
//! Here γ = (d + 32)·2⁻²⁴ covers every rounding on the way to a score (at most d/16 + 9 in a row), that of the norms,
//! that of what is made of the whole numbers (at most 16), and that of adding the slack; a small constant covers numbers
//! too small for a f32. A rounded sum never falls when a term rises, so a bias may be added to both sides. Where norms
//! or scales are so large or small that this could overflow or vanish, nothing is ruled out.

#![forbid(unsafe_code)]

use pulp::{Arch, Simd, WithSimd};

use super::integer::{IntegerPoint, Multiplier, SOUND};
use super::kernel::{ANY, Query, as_wide, prefetch};
use crate::bundle::Metric;

/// Rows whose sums are taken before they are made scores of.
const GROUP: usize = 32;

/// The largest ε, in lengths of its row, for which the chord is known.
pub(super) const LARGEST_RATIO: f32 = 0.5;

/// What a query's scores can be at most.
#[derive(Debug)]
pub(super) struct Bound {
    metric: Metric,
    point: IntegerPoint,
    norm: f32,
    /// ‖x‖².
    square: f32,
    /// What is left of the squares of a distance when ρ and γ are taken off.
    kept: f32,
    /// The slack: `per_error·ε + per_scale·scale + per_ratio·ε/‖r‖ + constant`.
    per_error: f32,
    per_scale: f32,
    per_ratio: f32,
    constant: f32,
}

impl Bound {
    /// Nothing for a query without an [`IntegerPoint`].
    pub(super) fn new(query: &Query<'_>) -> Option<Self> {
        let point = IntegerPoint::new(query.point)?;
        let (norm, rho) = (point.norm, point.error);
        let width = query.point.len() as f64;
        let gamma = (width + 32.0) * f64::from(f32::EPSILON) / 2.0;
        let row = 128.0 * width.sqrt();
        let (per_error, per_scale, per_ratio, constant) = match query.metric {
            Metric::Dot => (
                norm * (1.0 + gamma),
                (3.0 * gamma + rho) * norm * row,
                0.0,
                0.0,
            ),
            Metric::L2 => (1.0 + gamma, 4.0 * gamma * row, 0.0, 4.0 * gamma * norm),
            Metric::Cosine => (0.0, 0.0, 1.04, 10.0 * gamma + rho),
        };
        // The last digits of ε and of the slack itself.
        let up = |number: f64| (1.0001 * number) as f32;
        Some(Self {
            metric: query.metric,
            norm: norm as f32,
            square: (norm * norm) as f32,
            kept: (1.0 - gamma - rho) as f32,
            per_error: up(per_error),
            per_scale: up(per_scale),
            per_ratio: up(per_ratio),
            constant: up(constant + 1e-18 * width),
            point,
        })
    }

    /// Sets `most` to what the scores of some rows can be at most, from their sums and, except for
    /// [`Metric::Dot`], the sums of their squares.
    #[inline(always)]
    fn finish(
        &self,
        metric: Metric,
        [sums, squares]: &[[i32; GROUP]; 2],
        scales: &[f32],
        errors: &[f32],
        most: &mut [f32],
    ) {
        let sizes = *SOUND.start() as f32..=*SOUND.end() as f32;
        let sums = sums.iter().zip(squares);
        let rows = scales.iter().zip(errors).zip(sums);
        for (most, ((&scale, &error), (&sum, &square))) in most.iter_mut().zip(rows) {
            let (sum, square) = (self.point.step * sum as f32, square as f32);
            let mut sound = (scale >= *sizes.start()) & (scale <= *sizes.end());
            sound &= error <= *sizes.end();
            let mut slack = self.per_error * error + self.per_scale * scale + self.constant;
            let score = match metric {
                Metric::Dot => scale * sum,
                Metric::L2 => {
                    let squares = self.kept * (self.square + scale * scale * square);
                    -(squares - 2.0 * (scale * sum)).max(0.0).sqrt()
                }
                Metric::Cosine => {
                    let length = square.sqrt();
                    // NaN for a row of zeros, which so is not sound.
                    let ratio = error / (scale * length);
                    sound &= ratio <= LARGEST_RATIO;
                    slack += self.per_ratio * ratio;
                    sum / (self.norm * length)
                }
            };
            *most = if sound { score + slack } else { f32::INFINITY };
        }
    }
}

/// A block of i8 rows to judge: `most.len()` rows, one after the other, with what stands beside them.
pub(super) struct Block<'a> {
    pub(super) bound: &'a Bound,
    pub(super) rows: &'a [i8],
    pub(super) scales: &'a [f32],
    /// None for rows that scores are defined on themselves.
    pub(super) errors: Option<&'a [f32]>,
    pub(super) biases: Option<&'a [f32]>,
    pub(super) most: &'a mut [f32],
}

impl Block<'_> {
    /// Fills `most`.
    pub(super) fn judge(self) {
        Arch::new().dispatch(self);
    }
}

impl WithSimd for Block<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        match self.bound.point.numbers.len() {
            64 => self.judge_rows::<64>(),
            128 => self.judge_rows::<128>(),
            _ => self.judge_rows::<ANY>(),
        }
    }
}

impl Block<'_> {
    #[inline(always)]
    fn judge_rows<const WIDTH: usize>(self) {
        let bound = self.bound;
        let point = as_wide::<WIDTH, _>(&bound.point.numbers);
        let width = point.len();
        let multiplier = Multiplier::new();
        let mut sums = [[0; GROUP]; 2];
        let none = [0.0; GROUP];
        let rows = self.rows.chunks(GROUP * width);
        let groups = rows.zip(self.scales.chunks(GROUP));
        for (group, (most, (rows, scales))) in self.most.chunks_mut(GROUP).zip(groups).enumerate() {
            let errors = self.errors.map_or(&none[..], |all| &all[group * GROUP..]);
            let rows = rows.chunks_exact(width).map(as_wide::<WIDTH, _>);
            for (index, row) in rows.enumerate().take(GROUP) {
                prefetch(row);
                [sums[0][index], sums[1][index]] = match bound.metric {
                    Metric::Dot => multiplier.products::<false>(row, point),
                    Metric::Cosine | Metric::L2 => multiplier.products::<true>(row, point),
                };
            }
            // One loop for each metric, so that each is one of vectors.
            match bound.metric {
                Metric::Dot => bound.finish(Metric::Dot, &sums, scales, errors, most),
                Metric::L2 => bound.finish(Metric::L2, &sums, scales, errors, most),
                Metric::Cosine => bound.finish(Metric::Cosine, &sums, scales, errors, most),
            }
        }
        if let Some(biases) = self.biases {
            for (most, bias) in self.most.iter_mut().zip(biases) {
                *most += bias;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use half::f16;
    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::super::fixture::{Table, open_space, open_twins};
    use super::super::{Admission, Scored, Space};
    use crate::bundle::{Bundle, RowType, Seen};
    use crate::cancel::Cancel;
    use crate::filter::Filter;

    /// Exact rows, and what else their space has.
    #[derive(Clone, Debug)]
    struct Rows {
        rows: Vec<Vec<f32>>,
        bias: Option<Vec<f32>>,
        cold: Option<Vec<u8>>,
        point: Vec<f32>,
        half: bool,
    }

    impl Rows {
        fn shape(&self) -> [usize; 2] {
            [self.rows.len(), self.point.len()]
        }

        /// The numbers as they are stored.
        fn stored(&self) -> Vec<f32> {
            let stored = |&x: &f32| match self.half {
                true => f16::from_f32(x).to_f32(),
                false => x,
            };
            self.rows.iter().flatten().map(stored).collect()
        }

        fn exact(&self) -> Table {
            let halves = || self.rows.iter().flatten().map(|&x| f16::from_f32(x));
            let table = Table::default();
            match self.half {
                true => table.set("rows", &self.shape(), &halves().collect::<Vec<_>>()),
                false => table.set("rows", &self.shape(), &self.stored()),
            }
        }

        /// As `oneiro_models` makes them.
        fn twins(&self) -> Table {
            let (mut twins, mut scales, mut errors) = (Vec::new(), Vec::new(), Vec::new());
            for row in self.stored().chunks(self.point.len()) {
                let scale = row.iter().fold(0f32, |most, x| most.max(x.abs())) / 127.0;
                let mut squares = 0.0;
                for x in row {
                    let divisor = if scale > 0.0 { scale } else { 1.0 };
                    let q = (x / divisor).round_ties_even().clamp(-127.0, 127.0);
                    squares += (f64::from(*x) - f64::from(scale) * f64::from(q)).powi(2);
                    twins.push(q as i8);
                }
                scales.push(scale);
                errors.push(squares.sqrt() as f32);
            }
            Table::default()
                .set("rows", &self.shape(), &twins)
                .list("scale", &scales)
                .list("error", &errors)
        }

        /// A space of the exact rows alone, one that reads twins first, and one of the twins alone.
        fn open(&self, metric: &str) -> [Bundle; 3] {
            let dressed = |mut table: Table, dtype| {
                if let Some(bias) = &self.bias {
                    table = table.list("bias", bias);
                }
                if let Some(cold) = &self.cold {
                    table = table.list("cold", cold);
                }
                (table, self.point.len() as u32, dtype, metric)
            };
            let items = self.rows.len() as u32;
            let plain = dressed(self.exact(), if self.half { "f16" } else { "f32" });
            let twins = dressed(self.twins(), "i8");
            [
                open_space(items, &plain).unwrap(),
                open_twins(items, &twins, &self.exact()).unwrap(),
                open_space(items, &twins).unwrap(),
            ]
        }
    }

    /// Rows of one kind in one table: random ones, small whole numbers (many ties), all alike but for the last digit,
    /// and very large, small or empty ones between others.
    fn rows(items: std::ops::Range<usize>, width: usize) -> impl Strategy<Value = Rows> {
        let number = prop_oneof![Just(0u8), Just(1), Just(2), Just(3)];
        let row = (
            proptest::collection::vec((-1.0f32..1.0, -3i8..4), width),
            any::<Index>(),
            -1.0f32..1.0,
            0u8..8,
        );
        let rows = proptest::collection::vec(row, items);
        let point = (
            proptest::collection::vec(-2.0f32..2.0, width),
            any::<bool>(),
        );
        (rows, number, point, any::<[bool; 3]>()).prop_map(
            move |(drawn, kind, (point, whole), [biased, chilled, half])| {
                let first: Vec<f32> = drawn[0].0.iter().map(|&(x, _)| x).collect();
                let row = |(numbers, copied, _, odd): &(Vec<(f32, i8)>, Index, f32, u8)| {
                    let row: Vec<f32> = match kind {
                        0 => numbers.iter().map(|&(x, _)| x).collect(),
                        1 => numbers.iter().map(|&(_, x)| f32::from(x)).collect(),
                        2 => {
                            let mut row = first.clone();
                            let changed = &mut row[copied.index(width)];
                            *changed = f32::from_bits(changed.to_bits() + u32::from(*odd % 3));
                            row
                        }
                        _ => {
                            let factor = [1.0, 1e-20, 1e20, 0.0, 1e-38, 1e4, 1.0, 1e-4];
                            let factor = factor[usize::from(*odd)];
                            numbers.iter().map(|&(x, _)| x * factor).collect()
                        }
                    };
                    row
                };
                Rows {
                    rows: drawn.iter().map(row).collect(),
                    bias: biased.then(|| drawn.iter().map(|row| row.2).collect()),
                    cold: chilled.then(|| drawn.iter().map(|row| u8::from(row.3 == 0)).collect()),
                    point: match whole {
                        true => point.iter().map(|x| x.round()).collect(),
                        false => point,
                    },
                    // Large numbers are infinite in f16: such rows are for `verify` to find.
                    half: half && kind != 3,
                }
            },
        )
    }

    fn bits(found: &[Scored]) -> Vec<(u32, u32)> {
        found
            .iter()
            .map(|scored| (scored.item, scored.score.to_bits()))
            .collect()
    }

    fn admission(bundle: &Bundle, excluded: &[u32], allowed: Option<&[u32]>) -> Admission {
        let filter = Filter::new().exclude(excluded.iter().copied());
        let filter = allowed.map_or(filter.clone(), |allowed| {
            filter.allow(allowed.iter().copied())
        });
        filter
            .admission(bundle.catalog(), std::iter::empty(), Seen::Allow)
            .unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]

        #[test]
        fn twins_change_no_bit_of_a_ranking(
            table in (1usize..70).prop_flat_map(|width| rows(1..400, width)),
            count in 0usize..40,
            factor in prop_oneof![4 => Just(1.0f32), 1 => Just(1e-15), 1 => Just(1e15), 1 => Just(0.0)],
            excluded in proptest::collection::vec(any::<Index>(), 0..6),
            allowed in proptest::option::of(proptest::collection::btree_set(any::<u8>(), 0..40)),
        ) {
            let len = table.rows.len();
            let excluded: Vec<u32> = excluded.iter().map(|index| index.index(len) as u32).collect();
            let allowed: Option<Vec<u32>> = allowed
                .map(|items| items.into_iter().map(u32::from).filter(|&item| (item as usize) < len).collect());
            let point: Vec<f32> = table.point.iter().map(|x| x * factor).collect();
            for metric in ["dot", "cosine", "l2"] {
                let bundles = table.open(metric);
                let [plain, twins, alone] = bundles.each_ref().map(|bundle| &**bundle.space("s").unwrap());
                let admission = admission(&bundles[0], &excluded, allowed.as_deref());
                let nearest = |space: &Space, count| {
                    bits(&space.nearest(&point, count, &admission, 1, &Cancel::new()).unwrap())
                };
                prop_assert_eq!(nearest(twins, count), nearest(plain, count), "{}", metric);
                // Where all may enter, none is ruled out.
                let mut all = nearest(alone, len);
                all.truncate(count);
                prop_assert_eq!(nearest(alone, count), all, "{}", metric);

                let items: Vec<u32> = (0..len as u32).collect();
                let scores = |space: &Space| -> Vec<u32> {
                    space.score(&point, &items).unwrap().iter().map(|score| score.to_bits()).collect()
                };
                prop_assert_eq!(scores(twins), scores(plain), "{}", metric);
                let item = excluded.first().copied().unwrap_or_default();
                let rank = |space: &Space| space.rank_of(&point, item, &admission, &Cancel::new()).unwrap();
                prop_assert_eq!(rank(twins), rank(plain), "{}", metric);
                let mut both = [vec![0.0; point.len()], vec![0.0; point.len()]];
                twins.row(item, &mut both[0]).unwrap();
                plain.row(item, &mut both[1]).unwrap();
                prop_assert_eq!(&both[0], &both[1]);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]

        #[test]
        fn no_score_is_above_its_bound(
            table in (1usize..150).prop_flat_map(|width| rows(1..80, width)),
            factor in prop_oneof![4 => Just(1.0f32), 1 => Just(1e-11), 1 => Just(1e11)],
            near in proptest::option::of(any::<Index>()),
        ) {
            // A point among the rows is as near to some of them as can be.
            let point = match near {
                Some(index) => &table.rows[index.index(table.rows.len())],
                None => &table.point,
            };
            let point: Vec<f32> = point.iter().map(|x| x * factor).collect();
            for metric in ["dot", "cosine", "l2"] {
                for bundle in &table.open(metric)[1..] {
                    let space = bundle.space("s").unwrap();
                    let query = space.query(&point).unwrap();
                    let Some(bound) = space.bound(&query) else {
                        continue;
                    };
                    let mut most = vec![0.0; table.rows.len()];
                    space.bound_block(&bound, 0..most.len(), &mut most).unwrap();
                    let mut scores = most.clone();
                    space.score_block(query, 0..most.len(), &mut scores).unwrap();
                    for (item, (&score, &most)) in scores.iter().zip(&most).enumerate() {
                        prop_assert!(score.is_nan() || score <= most, "{} {}: {} > {}", metric, item, score, most);
                    }
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(6))]

        #[test]
        fn twins_change_nothing_for_any_number_of_threads(table in rows(9000..13000, 5), count in 1usize..300) {
            for metric in ["dot", "cosine", "l2"] {
                let bundles = table.open(metric);
                let admissions = [admission(&bundles[0], &[1, 5000], None)];
                let [plain, twins, alone] = bundles.each_ref().map(|bundle| &**bundle.space("s").unwrap());
                let nearest = |space: &Space, count, threads| {
                    bits(&space.nearest(&table.point, count, &admissions[0], threads, &Cancel::new()).unwrap())
                };
                let expected = nearest(plain, count, 1);
                let mut all = nearest(alone, table.rows.len(), 1);
                all.truncate(count);
                for threads in 1..=3 {
                    prop_assert_eq!(&nearest(twins, count, threads), &expected, "{} {}", metric, threads);
                    prop_assert_eq!(&nearest(alone, count, threads), &all, "{} {}", metric, threads);
                }
                // A column that is full and one that is not, of points that are not alike.
                let points: Vec<f32> = (0..19)
                    .flat_map(|user| (0..5).map(move |at| (user, at)))
                    .map(|(user, at)| table.point[(user + at) % 5] + (user * at) as f32 / 40.0)
                    .collect();
                let admissions = vec![admissions[0].clone(); 19];
                for space in [plain, twins, alone] {
                    let many = space.nearest_many(&points, count, &admissions, 3, &Cancel::new()).unwrap();
                    for (found, point) in many.iter().zip(points.chunks(5)) {
                        let expected = space.nearest(point, count, &admissions[0], 1, &Cancel::new()).unwrap();
                        prop_assert_eq!(bits(found), bits(&expected), "{}", metric);
                    }
                }
            }
        }
    }

    /// Rows that are not all the same, as most tables have.
    fn many() -> Rows {
        let number = |at: u32| (at.wrapping_mul(2_654_435_761) >> 8) as f32 / (1 << 24) as f32;
        let row = |item: u32| {
            (0..16)
                .map(|column| number(item * 16 + column) - 0.5)
                .collect()
        };
        Rows {
            rows: (0..20_000).map(row).collect(),
            bias: None,
            cold: None,
            point: (0..16).map(|column| number(column) - 0.5).collect(),
            half: false,
        }
    }

    #[test]
    fn most_rows_are_ruled_out() {
        let table = many();
        for metric in ["dot", "cosine", "l2"] {
            let [_, twins, alone] = table.open(metric);
            for (bundle, expected) in [(twins, 600), (alone, 150)] {
                let space = bundle.space("s").unwrap();
                assert_eq!(space.row_type(), RowType::I8);
                let query = space.query(&table.point).unwrap();
                let bound = space.bound(&query).unwrap();
                let mut most = vec![0.0; table.rows.len()];
                space.bound_block(&bound, 0..most.len(), &mut most).unwrap();
                let best = space
                    .nearest(&table.point, 100, &Admission::default(), 1, &Cancel::new())
                    .unwrap();
                let left = most.iter().filter(|&&most| most >= best[99].score).count();
                assert!(left <= expected, "{metric}: {left} rows are left");
            }
        }
    }

    #[test]
    fn verify_finds_twins_that_are_not_those_of_the_rows() {
        let table = many();
        let good = table.twins();
        let bundle = |twins: Table| {
            let twins = (twins, 16, "i8", "dot");
            open_twins(20_000, &twins, &table.exact()).unwrap()
        };
        let verify = |bundle: &Bundle| bundle.space("s").unwrap().verify(&Cancel::new());
        verify(&bundle(good.clone())).unwrap();
        for (twins, expected) in [
            (
                good.clone().list("error", &[1e-6f32; 20_000]),
                "`error`: expected at least",
            ),
            (
                good.clone().list("scale", &[0.01f32; 20_000]),
                "the distance from the exact row",
            ),
            (
                good.set("rows", &[20_000, 16], &[1i8; 320_000])
                    .list("error", &[2f32; 20_000]),
                "expected 127 as the greatest number of a row, found 1 in item 0",
            ),
        ] {
            let error = verify(&bundle(twins)).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn exact_rows_must_fit() {
        let table = many();
        let twins = (table.twins(), 16, "i8", "dot");
        for (exact, expected) in [
            (
                Table::default().set("rows", &[20_000, 8], &[0f32; 160_000]),
                "part `x`: tensor `rows`: expected F32 [20000, 16], found F32 [20000, 8]",
            ),
            (
                Table::default().set("rows", &[20_000, 16], &[0i8; 320_000]),
                "expected F32 [20000, 16], found I8 [20000, 16]",
            ),
            (
                Table::default().list("empty", &[0f32; 16]),
                "part `x`: tensor `rows`: expected F32 [20000, 16], found no such tensor",
            ),
        ] {
            let error = open_twins(20_000, &twins, &exact).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
