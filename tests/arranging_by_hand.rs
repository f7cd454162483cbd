//! Any arrangement, held against its definition: scores and cosines worked out here, in f64, from rows and counts.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use std::collections::BTreeMap;
use std::sync::OnceLock;

use oneiro::{Arrangement, By, CallOptions, Catalog, Engine, Filter, Origin, Ranking, Seen};
use proptest::prelude::*;

const ITEMS: usize = 40;

/// Values of f32 that are closer than this may go either way.
const ROUNDING: f64 = 1e-4;

#[derive(Clone, Debug)]
struct Wish {
    by: By,
    count: usize,
    history: Vec<u32>,
    hidden: Vec<u32>,
    disliked: Vec<u32>,
    drama_only: bool,
    boosts: BTreeMap<u32, f32>,
    pins: BTreeMap<u32, usize>,
    genres: Option<usize>,
    year: Option<usize>,
    lambda: f32,
    weight: f32,
    pool: usize,
}

prop_compose! {
    fn wishes()(
        by in prop_oneof![Just(By::Encoder), Just(By::Popularity)],
        count in 1..ITEMS,
        history in items(1..6),
        (hidden, disliked) in (items(0..4), items(0..4)),
        drama_only in proptest::bool::weighted(0.1),
        boosts in proptest::collection::btree_map(0..40u32, -3f32..3.0, 0..5),
        pins in proptest::collection::btree_map(1..ITEMS, 0..40u32, 0..5),
        genres in proptest::option::of(1..6usize),
        year in proptest::option::weighted(0.3, 1..3usize),
        lambda in prop_oneof![Just(1f32), Just(0.7), Just(0.3), Just(0.0)],
        weight in prop_oneof![Just(0f32), Just(0.5), Just(2.0)],
        pool in 1..ITEMS,
    ) -> Wish {
        // One place an item.
        let pins = pins.into_iter().map(|(place, item)| (item, place)).collect();
        Wish {
            by, count, history, hidden, disliked, drama_only, boosts, pins, genres, year, lambda, weight, pool,
        }
    }
}

fn items(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<u32>> {
    proptest::collection::vec(0..40u32, count)
}

impl Wish {
    fn arrangement(&self) -> Arrangement {
        let mut arrangement = Arrangement::new()
            .diversity(self.lambda)
            .dislike_weight(self.weight)
            .pool(self.pool);
        for (&item, &amount) in &self.boosts {
            arrangement = arrangement.boost(item, amount);
        }
        for (&item, &place) in &self.pins {
            arrangement = arrangement.pin(item, place);
        }
        for (attribute, most) in [("genres", self.genres), ("year", self.year)] {
            if let Some(most) = most {
                arrangement = arrangement.cap(attribute, most);
            }
        }
        arrangement
    }

    fn ask(&self, engine: &Engine, count: usize, arrangement: Arrangement) -> Ranking {
        let mut user = engine.recommender();
        user.observe_items(&self.history).unwrap();
        user.hide(&self.hidden).unwrap();
        user.dislike(&self.disliked).unwrap();
        let filter = Filter::new();
        let filter = match self.drama_only {
            true => filter.with_tag("genres", "Drama"),
            false => filter,
        };
        let mut options = CallOptions::default();
        options.arrangement = arrangement;
        user.retrieve_with(self.by, count, &filter, &options)
            .unwrap()
    }

    /// Whether a pinned item may come: as a filter, and the user, have it.
    fn admits(&self, catalog: &Catalog, item: u32) -> bool {
        let never = [&self.history, &self.hidden, &self.disliked];
        !never.iter().any(|items| items.contains(&item))
            && (!self.drama_only || catalog.tags("genres", item).unwrap().contains(&"Drama"))
    }

    /// The values of an item that are capped, and at how many.
    fn capped(&self, catalog: &Catalog, item: u32) -> Vec<(String, usize)> {
        let mut values = Vec::new();
        if let Some(most) = self.genres {
            let tags = catalog.tags("genres", item).unwrap();
            values.extend(tags.iter().map(|tag| ((*tag).to_owned(), most)));
        }
        if let (Some(most), Some(year)) = (self.year, catalog.integer("year", item).unwrap()) {
            values.push((year.to_string(), most));
        }
        values
    }
}

/// The cosine of two items; 0 where a row was never trained.
fn cosine(one: u32, other: u32) -> f64 {
    static ROWS: OnceLock<Vec<Vec<f64>>> = OnceLock::new();
    let rows = ROWS.get_or_init(|| {
        let space = engine().bundle().space("neighbours").unwrap();
        let unit = |item| {
            let mut row = vec![0.0; space.width()];
            space.row(item, &mut row).unwrap();
            let row: Vec<f64> = row.into_iter().map(f64::from).collect();
            let norm = row.iter().map(|x| x * x).sum::<f64>().sqrt();
            let norm = if space.is_cold(item) { f64::MAX } else { norm };
            row.iter().map(|x| x / norm).collect()
        };
        (0..space.len()).map(unit).collect()
    });
    let (x, y) = (&rows[one as usize], &rows[other as usize]);
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}

fn largest(cosines: impl Iterator<Item = f64>) -> Option<f64> {
    cosines.reduce(f64::max)
}

/// Walks through the list and checks every choice.
fn check(engine: &Engine, wish: &Wish) {
    let catalog = engine.catalog();
    let found = wish.ask(engine, wish.count, wish.arrangement());
    let own = wish.ask(engine, ITEMS, Arrangement::new().dislike_weight(0.0));
    let pins: BTreeMap<usize, u32> = wish
        .pins
        .iter()
        .filter(|&(&item, &place)| place <= wish.count && wish.admits(catalog, item))
        .map(|(&item, &place)| (place, item))
        .collect();

    // Pins are in place, or last where there are too few items.
    let pinned: Vec<(usize, u32)> = (1..)
        .zip(found.iter())
        .filter(|(_, entry)| entry.2 == Origin::Pinned)
        .map(|(place, entry)| (place, entry.0))
        .collect();
    let in_order: Vec<u32> = pins.values().copied().collect();
    assert_eq!(pinned.iter().map(|pin| pin.1).collect::<Vec<_>>(), in_order);
    for &(place, item) in &pinned {
        let wanted = wish.pins[&item];
        let after = &found.origins()[place..];
        let last = after.iter().all(|&origin| origin == Origin::Pinned);
        assert!(place == wanted || (place < wanted && last), "{item}");
    }

    // The pool: the best others after boosts.
    let mut pool: Vec<(u32, f32, f64)> = own
        .iter()
        .filter(|(item, ..)| !wish.pins.contains_key(item))
        .map(|(item, score, _)| {
            let boost = wish.boosts.get(&item).copied().unwrap_or_default();
            (item, score, f64::from(score + boost))
        })
        .collect();
    pool.sort_by(|a, b| b.2.total_cmp(&a.2).then(a.0.cmp(&b.0)));
    let candidates = pool.len();
    let compared = wish.lambda < 1.0 || (wish.weight > 0.0 && !wish.disliked.is_empty());
    let rounds = found
        .stages()
        .iter()
        .filter(|stage| stage.name == "arrange");
    let rounds = u32::try_from(rounds.count()).unwrap();
    if compared {
        pool.truncate(wish.count.max(wish.pool) * 4usize.pow(rounds - 1));
    }
    let least = pool
        .iter()
        .map(|entry| f64::from(entry.1))
        .fold(f64::INFINITY, f64::min);
    let most = pool
        .iter()
        .map(|entry| f64::from(entry.1))
        .fold(f64::NEG_INFINITY, f64::max);
    let spread = if most > least { most - least } else { 1.0 };
    if compared {
        for (item, _, score) in &mut pool {
            let like = largest(wish.disliked.iter().map(|&other| cosine(*item, other)));
            *score -= f64::from(wish.weight) * spread * like.unwrap_or(0.0).max(0.0);
        }
    }

    // Every other place went to the best that no cap forbids.
    let mut shown: Vec<u32> = in_order;
    let has_room = |shown: &[u32], item: u32| {
        wish.capped(catalog, item).iter().all(|(value, most)| {
            let same = shown.iter().filter(|&&other| {
                wish.capped(catalog, other)
                    .iter()
                    .any(|cap| cap.0 == *value)
            });
            same.count() < *most
        })
    };
    let lambda = f64::from(wish.lambda);
    for (item, score, origin) in found.iter() {
        if origin == Origin::Pinned {
            continue;
        }
        let open = |shown: &[u32], item: u32| !shown.contains(&item) && has_room(shown, item);
        let value = |item: u32, score: f64| {
            let like = largest(shown.iter().map(|&other| cosine(item, other)));
            lambda * score / spread - (1.0 - lambda) * like.unwrap_or(0.0)
        };
        let entry = pool.iter().find(|entry| entry.0 == item).unwrap();
        assert!(
            (entry.2 - f64::from(score)).abs() <= ROUNDING * spread.max(1.0),
            "the score of {item} is {score}, expected {}",
            entry.2
        );
        assert!(open(&shown, item), "{item} comes twice or breaks a cap");
        let best = pool
            .iter()
            .filter(|entry| open(&shown, entry.0))
            .map(|entry| value(entry.0, entry.2))
            .fold(f64::NEG_INFINITY, f64::max);
        let value = value(item, entry.2);
        assert!(
            value >= best - ROUNDING,
            "{item} with {value} is not the best, {best}"
        );
        shown.push(item);
    }

    // The list ends early only where nothing else may come.
    if found.len() < wish.count {
        assert!(!compared || pool.len() == candidates);
        assert!(
            pool.iter()
                .all(|entry| shown.contains(&entry.0) || !has_room(&shown, entry.0))
        );
    }
    assert!(found.items().iter().all(|&item| wish.admits(catalog, item)));
    assert_eq!(found.stopped_after(), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn every_place_goes_to_whom_the_definition_gives_it(wish in wishes()) {
        let engine = engine();
        check(engine, &wish);
    }

    #[test]
    fn what_asks_for_nothing_changes_nothing(wish in wishes()) {
        let engine = engine();
        let plain = wish.ask(engine, wish.count, Arrangement::new().dislike_weight(0.0));
        let zeros = wish
            .boosts
            .keys()
            .fold(Arrangement::new(), |arrangement, &item| arrangement.boost(item, 0.0));
        let found = wish.ask(
            engine,
            wish.count,
            zeros.diversity(1.0).dislike_weight(0.0).cap("genres", 99).pool(wish.pool),
        );
        prop_assert_eq!(found.items(), plain.items());
        prop_assert_eq!(found.scores(), plain.scores());
        prop_assert_eq!(found.origins(), plain.origins());
    }
}

fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| {
        let engine = Engine::open("models/tiny").unwrap();
        assert_eq!(engine.manifest().seen, Seen::Exclude);
        engine
    })
}
