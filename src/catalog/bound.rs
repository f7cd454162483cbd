//! How high the exact score of a row can be at most, judged by its i8 twin.
//!
//! Let `e` be a row, `r = scale·q` its i8 twin, `ε ≥ ‖e − r‖₂` the stored error and `x` the query. The kernel's score of
//! `r` differs from that of `e` by no more than a *slack* of two parts, one for the twin and one for rounding:
//!
//! - **dot**: |⟨x,e⟩ − ⟨x,r⟩| ≤ ‖x‖·ε (Cauchy–Schwarz). A sum of `d` products in f32, in any order, is off by at most
//!   γ·‖x‖·‖row‖, with ‖r‖ ≤ 128·√d·scale and ‖e‖ ≤ ‖r‖ + ε.
//! - **l2**: |‖x−e‖ − ‖x−r‖| ≤ ε (triangle). Rounding takes γ·‖x−row‖ ≤ γ·(‖x‖ + ‖row‖) of each distance, and `scale·q`
//!   another γ·‖r‖.
//! - **cosine**: |x̂·ê − x̂·r̂| ≤ ‖ê − r̂‖ = 2·sin(θ/2), where θ is the angle between the rows and sin θ ≤ ε/‖r‖. A row's
//!   greatest `|q|` is 127, so ‖r‖ ≥ 127·scale; with ε ≤ 63·scale, θ is below 30° and the chord at most 1.04·ε/‖r‖.
//!   Rounding takes 4γ of each.
//!
//! Here γ = (d + 32)·2⁻²⁴ covers every rounding on the way to a score (at most d/16 + 9 in a row), that of the norms,
//! and that of adding the slack; a small constant covers numbers too small for a f32. A rounded sum never falls when a
//! term rises, so a bias may be added to both sides. Where norms or scales are so large or small that this could
//! overflow or vanish, nothing is ruled out.

#![forbid(unsafe_code)]

use std::ops::RangeInclusive;

use pulp::{Arch, Simd, WithSimd};

use super::kernel::Query;
use crate::bundle::Metric;

/// Scales and norms that the argument holds for.
const SOUND: RangeInclusive<f64> = 1e-12..=1e12;

/// The largest error, in scales, of a row that is judged by its twin: half of its greatest number.
const LARGEST_ERROR: f32 = 63.0;

/// The slack of a query: `per_error·ε + per_scale·scale + per_ratio·ε/scale + constant`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bound {
    per_error: f32,
    per_scale: f32,
    per_ratio: f32,
    constant: f32,
}

impl Bound {
    /// Nothing for a query whose norm is out of range.
    pub(super) fn new(query: &Query<'_>) -> Option<Self> {
        let squares = query.point.iter().map(|&x| f64::from(x) * f64::from(x));
        let norm = squares.sum::<f64>().sqrt();
        if !SOUND.contains(&norm) {
            return None;
        }
        let width = query.point.len() as f64;
        let gamma = (width + 32.0) * f64::from(f32::EPSILON) / 2.0;
        let row = 128.0 * width.sqrt();
        let (per_error, per_scale, per_ratio, constant) = match query.metric {
            Metric::Dot => (norm * (1.0 + gamma), 3.0 * gamma * norm * row, 0.0, 0.0),
            Metric::L2 => (1.0 + gamma, 4.0 * gamma * row, 0.0, 4.0 * gamma * norm),
            Metric::Cosine => (0.0, 0.0, 1.04 / 127.0, 10.0 * gamma),
        };
        // The last digits of ε and of the slack itself.
        let up = |number: f64| (1.0001 * number) as f32;
        Some(Self {
            per_error: up(per_error),
            per_scale: up(per_scale),
            per_ratio: up(per_ratio),
            constant: up(constant + 1e-18 * width),
        })
    }
}

/// The scores of a block of twins without biases, to be raised to what the exact ones can be at most.
pub(super) struct Raise<'a> {
    pub(super) bound: Bound,
    pub(super) scales: &'a [f32],
    pub(super) errors: &'a [f32],
    pub(super) biases: Option<&'a [f32]>,
    pub(super) scores: &'a mut [f32],
}

impl Raise<'_> {
    pub(super) fn raise(self) {
        Arch::new().dispatch(self);
    }
}

impl WithSimd for Raise<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Bound {
            per_error,
            per_scale,
            per_ratio,
            constant,
        } = self.bound;
        let (least, most) = (*SOUND.start() as f32, *SOUND.end() as f32);
        let rows = self.scales.iter().zip(self.errors);
        for (score, (&scale, &error)) in self.scores.iter_mut().zip(rows) {
            let slack =
                per_error * error + per_scale * scale + per_ratio * (error / scale) + constant;
            let sound = (scale >= least) & (scale <= most) & (error <= LARGEST_ERROR * scale);
            *score = if sound { *score + slack } else { f32::INFINITY };
        }
        if let Some(biases) = self.biases {
            for (score, bias) in self.scores.iter_mut().zip(biases) {
                *score += bias;
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

        /// A space of the exact rows alone, and one that reads twins first.
        fn open(&self, metric: &str) -> [Bundle; 2] {
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
                let [plain, twins] = bundles.each_ref().map(|bundle| &**bundle.space("s").unwrap());
                let admission = admission(&bundles[0], &excluded, allowed.as_deref());
                let nearest = |space: &Space| {
                    bits(&space.nearest(&point, count, &admission, 1, &Cancel::new()).unwrap())
                };
                prop_assert_eq!(nearest(twins), nearest(plain), "{}", metric);

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
        #![proptest_config(ProptestConfig::with_cases(6))]

        #[test]
        fn twins_change_nothing_for_any_number_of_threads(table in rows(9000..13000, 5), count in 1usize..300) {
            for metric in ["dot", "cosine", "l2"] {
                let bundles = table.open(metric);
                let admissions = [(); 5].map(|()| admission(&bundles[0], &[1, 5000], None));
                let [plain, twins] = bundles.each_ref().map(|bundle| &**bundle.space("s").unwrap());
                let expected = bits(&plain.nearest(&table.point, count, &admissions[0], 1, &Cancel::new()).unwrap());
                for threads in 1..=3 {
                    let found = twins.nearest(&table.point, count, &admissions[0], threads, &Cancel::new()).unwrap();
                    prop_assert_eq!(&bits(&found), &expected, "{} {}", metric, threads);
                }
                let points = table.point.repeat(5);
                let many = twins.nearest_many(&points, count, &admissions, 2, &Cancel::new()).unwrap();
                prop_assert!(many.iter().all(|found| bits(found) == expected));
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
            let [_, twins] = table.open(metric);
            let space = twins.space("s").unwrap();
            assert_eq!(space.row_type(), RowType::I8);
            let query = space.query(&table.point).unwrap();
            let bound = space.bound(&query).unwrap();
            let mut most = vec![0.0; table.rows.len()];
            space
                .bound_block(query, bound, 0..most.len(), &mut most)
                .unwrap();
            let best = space
                .nearest(&table.point, 100, &Admission::default(), 1, &Cancel::new())
                .unwrap();
            let left = most.iter().filter(|&&most| most >= best[99].score).count();
            assert!(
                left < 1000,
                "{metric}: {left} rows of {} are left",
                most.len()
            );
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
