//! An arrangement, resolved against one bundle and one user, and carried out.

#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::Arrangement;
use super::caps::Caps;
use super::choice::{Candidate, Comparison, choose, in_time, sort};
use crate::bundle::Bundle;
use crate::cancel::Cancel;
use crate::catalog::{Admission, Catalog, Scored, Space};
use crate::error::{Error, Result};
use crate::ranking::{Origin, Ranking, Stage};
use crate::retrieve::{Scoring, Search, stage};

/// How many times as large the next pool is.
const GROWTH: usize = 4;

/// What to fetch, and what to make of it.
///
/// Whoever retrieves fetches the [`fetch`](Self::fetch) best items that [`admission`](Self::admission) admits and gives
/// them to [`list`](Self::list).
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    count: usize,
    fetch: usize,
    /// Admitted items that are not pinned, and the amounts.
    boosts: BTreeMap<u32, f32>,
    /// Of admitted items, by place; none beyond `count`.
    pins: Vec<Pin>,
    caps: Caps,
    comparison: Option<Comparison<'a>>,
    /// Who may rank, but for the boosted and the pinned, who are scored by themselves.
    admission: Admission,
}

#[derive(Clone, Copy, Debug)]
struct Pin {
    /// From 0.
    place: usize,
    item: u32,
    boost: f32,
}

impl<'a> Plan<'a> {
    /// Plans a list of `count` items, of which at least `depth` are fetched; a pool if there is one.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`], [`Error::UnknownItem`], [`Error::Unsupported`] if the bundle lacks an attribute or a
    /// space.
    pub(crate) fn new(
        arrangement: &Arrangement,
        bundle: &'a Bundle,
        disliked: &[u32],
        admission: Admission,
        count: usize,
        depth: usize,
    ) -> Result<Self> {
        if arrangement.pool == 0 {
            return Err(Error::argument("pool", "is 0"));
        }
        let catalog = bundle.catalog();
        let caps = Caps::resolve(&arrangement.caps, catalog)?;
        let comparison = comparison(arrangement, bundle, disliked)?;
        let mut boosts = boosts(&arrangement.boosts, catalog)?;
        let mut pins = pins(&arrangement.pins, catalog)?;
        let aside: BTreeSet<u32> = boosts
            .keys()
            .copied()
            .chain(pins.iter().map(|pin| pin.item))
            .collect();
        for pin in &mut pins {
            pin.boost = boosts.remove(&pin.item).unwrap_or_default();
        }
        boosts.retain(|&item, _| admission.admits(item));
        pins.retain(|pin| pin.place < count && admission.admits(pin.item));
        let narrows = !caps.is_empty() || comparison.is_some();
        let depth = if narrows { arrangement.pool } else { depth };
        Ok(Self {
            count,
            fetch: count.max(depth),
            boosts,
            pins,
            caps,
            comparison,
            admission: admission.without(aside),
        })
    }

    /// How many items to fetch.
    pub(crate) fn fetch(&self) -> usize {
        self.fetch
    }

    /// Which items to fetch.
    pub(crate) fn admission(&self) -> &Admission {
        &self.admission
    }

    /// Which items come beside what is fetched, if they have a score: the boosted and the pinned.
    pub(crate) fn aside(&self) -> Vec<u32> {
        let pinned = self.pins.iter().map(|pin| pin.item);
        self.boosts.keys().copied().chain(pinned).collect()
    }

    /// The list, from what was fetched in `stages`. More is fetched if caps ask for it.
    pub(crate) fn list(
        &self,
        fetched: Vec<Scored>,
        mut stages: Vec<Stage>,
        scoring: &Scoring,
        search: Search,
    ) -> Result<Ranking> {
        if self.is_plain() {
            return Ok(Ranking::new(fetched, scoring.origin(), stages).top(self.count));
        }
        // Boosts and pins are no part of what a deadline leaves out.
        let patient = search.cancel.patient();
        let boosted = self.boosted(scoring, &patient)?;
        let pinned: Vec<u32> = self.pins.iter().map(|pin| pin.item).collect();
        let (mut fetched, mut fetch) = (fetched, self.fetch);
        let (list, whole) = loop {
            let arranging = Instant::now();
            let (pool, more) = pool(&fetched, &boosted, fetch);
            let choice = choose(
                pool,
                &pinned,
                self.count - pinned.len(),
                &self.caps,
                self.comparison.as_ref(),
                search.cancel,
            )?;
            let list = choice.list;
            let len = list.len() + pinned.len();
            if !choice.whole {
                break (list, false);
            }
            stages.push(stage("arrange", len, arranging));
            if !more || len >= self.count {
                break (list, true);
            }
            if !in_time(search.cancel.check())? {
                break (list, false);
            }
            fetch = fetch.saturating_mul(GROWTH);
            match scoring.best(fetch, &self.admission, search) {
                Ok((again, scanned)) => {
                    fetched = again;
                    stages.push(scanned);
                }
                Err(Error::DeadlineExceeded) => break (list, false),
                Err(error) => return Err(error),
            }
        };
        let own = scoring.of(&pinned, &self.admission, &patient)?;
        let mut others = list
            .iter()
            .map(|candidate| (candidate.item, candidate.score, scoring.origin()));
        let mut entries: Vec<(u32, f32, Origin)> = Vec::with_capacity(list.len() + pinned.len());
        for (pin, own) in self.pins.iter().zip(own) {
            let before = pin.place.saturating_sub(entries.len());
            entries.extend(others.by_ref().take(before));
            entries.push((pin.item, own + pin.boost, Origin::Pinned));
        }
        entries.extend(others);
        Ok(Ranking::arranged(&entries, stages, whole))
    }

    /// Whether the list is what was fetched.
    fn is_plain(&self) -> bool {
        self.boosts.is_empty()
            && self.pins.is_empty()
            && self.caps.is_empty()
            && self.comparison.is_none()
    }

    /// The boosted items that have a score.
    fn boosted(&self, scoring: &Scoring, cancel: &Cancel) -> Result<Vec<Candidate>> {
        let items: Vec<u32> = self.boosts.keys().copied().collect();
        let scores = scoring.of(&items, &self.admission, cancel)?;
        let candidates = self.boosts.iter().zip(scores);
        let candidates = candidates.map(|((&item, boost), own)| Candidate {
            item,
            own,
            score: own + boost,
        });
        Ok(candidates
            .filter(|candidate| !candidate.score.is_nan())
            .collect())
    }
}

/// The best `size` of what was fetched and what is boosted, and whether there may be more.
fn pool(fetched: &[Scored], boosted: &[Candidate], size: usize) -> (Vec<Candidate>, bool) {
    let candidates = fetched.iter().map(|&Scored { item, score }| Candidate {
        item,
        own: score,
        score,
    });
    let mut pool: Vec<Candidate> = candidates.chain(boosted.iter().copied()).collect();
    sort(&mut pool);
    let more = fetched.len() >= size || pool.len() > size;
    pool.truncate(size);
    (pool, more)
}

/// What of it needs likeness, and the space for that.
fn comparison<'a>(
    arrangement: &Arrangement,
    bundle: &'a Bundle,
    disliked: &[u32],
) -> Result<Option<Comparison<'a>>> {
    let (lambda, weight) = (arrangement.diversity, arrangement.dislike_weight);
    if !(0.0..=1.0).contains(&lambda) {
        return Err(Error::argument(
            "diversity",
            format!("is {lambda}, expected 0 to 1"),
        ));
    }
    if !(weight.is_finite() && weight >= 0.0) {
        let reason = format!("is {weight}, expected a finite number, not below 0");
        return Err(Error::argument("dislike_weight", reason));
    }
    let space: Option<&Space> = match &arrangement.space {
        Some(name) => Some(bundle.space(name)?),
        None if lambda == 1.0 && bundle.manifest().similar.is_none() => None,
        None => Some(bundle.similar_space()?),
    };
    let disliked = if weight > 0.0 { disliked } else { &[] };
    Ok(space
        .filter(|_| lambda < 1.0 || !disliked.is_empty())
        .map(|space| Comparison {
            space,
            disliked: disliked.to_vec(),
            dislike_weight: weight.into(),
            lambda: lambda.into(),
        }))
}

/// The sum of the amounts of each boosted item.
fn boosts(boosts: &[(u32, f32)], catalog: &Catalog) -> Result<BTreeMap<u32, f32>> {
    let mut sums: BTreeMap<u32, f32> = BTreeMap::new();
    for &(item, amount) in boosts {
        catalog.check(item)?;
        let sum = sums.entry(item).or_default();
        *sum += amount;
        if !sum.is_finite() {
            let reason = format!("{sum} for item {item}, expected a finite number");
            return Err(Error::argument("boost", reason));
        }
    }
    Ok(sums)
}

/// The pins by their places.
fn pins(pins: &[(u32, usize)], catalog: &Catalog) -> Result<Vec<Pin>> {
    let mut places: Vec<Pin> = Vec::with_capacity(pins.len());
    for &(item, place) in pins {
        catalog.check(item)?;
        let Some(place) = place.checked_sub(1) else {
            let reason = format!("place 0 for item {item}: places start at 1");
            return Err(Error::argument("pin", reason));
        };
        places.push(Pin {
            place,
            item,
            boost: 0.0,
        });
    }
    places.sort_unstable_by_key(|pin| (pin.place, pin.item));
    if let Some(pair) = places
        .windows(2)
        .find(|pair| pair[0].place == pair[1].place)
    {
        let (one, other, place) = (pair[0].item, pair[1].item, pair[0].place + 1);
        let reason = format!("items {one} and {other} at place {place}");
        return Err(Error::argument("pin", reason));
    }
    let mut items: Vec<u32> = places.iter().map(|pin| pin.item).collect();
    items.sort_unstable();
    match items.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(Error::argument(
            "pin",
            format!("item {} at two places", pair[0]),
        )),
        None => Ok(places),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::bundle::Seen;
    use crate::cancel::Cancel;
    use crate::catalog::fixture::{Table, open_all, plain};
    use crate::filter::Filter;
    use crate::retrieve::by_popularity;

    /// Items 0 to 3 with falling counts; 0 and 1 are alike, 2 and 3 are like nothing; 0, 1 and 2 are red.
    fn bundle() -> Bundle {
        let catalog = plain(4).list("counts", &[9u32, 8, 7, 1]).tags(
            "colour",
            &["red", "blue"],
            &[&[0], &[0], &[0], &[1]],
        );
        let rows = [
            [1f32, 0.0, 0.0],
            [1.0, 0.0, 0.0],
            [0.0, 1.0, 0.0],
            [0.0, 0.0, 1.0],
        ];
        let space = Table::default().set("rows", &[4, 3], rows.as_flattened());
        open_all(4, &catalog, r#""colour":"tags""#, &(space, 3, "f32", "dot")).unwrap()
    }

    /// The list of 3 items by count, when `cancel` says what it says once the first items were fetched.
    fn list(arrangement: Arrangement, disliked: &[u32], cancel: Cancel) -> Result<Ranking> {
        list_by(arrangement, disliked, cancel, |bundle| {
            by_popularity(bundle.catalog()).unwrap()
        })
    }

    fn list_by(
        arrangement: Arrangement,
        disliked: &[u32],
        cancel: Cancel,
        scoring: impl Fn(&Bundle) -> Scoring<'_>,
    ) -> Result<Ranking> {
        let bundle = bundle();
        let arrangement = arrangement.space("s");
        let history = std::iter::empty();
        let admission = Filter::new()
            .admission(bundle.catalog(), history, Seen::Allow)
            .unwrap();
        let plan = Plan::new(&arrangement, &bundle, disliked, admission, 3, 3).unwrap();
        let scoring = scoring(&bundle);
        let search = |cancel| Search {
            threads: 1,
            probes: None,
            cancel,
        };
        let patience = Cancel::new();
        let (fetched, scanned) = scoring
            .best(plan.fetch(), plan.admission(), search(&patience))
            .unwrap();
        plan.list(fetched, vec![scanned], &scoring, search(&cancel))
    }

    fn late() -> Cancel {
        Cancel::new().within(Duration::ZERO)
    }

    fn seen_of(ranking: &Ranking) -> (&[u32], Option<&str>) {
        (ranking.items(), ranking.stopped_after())
    }

    #[test]
    fn at_the_deadline_scores_decide_what_likeness_should_have() {
        let diverse = Arrangement::new().diversity(0.1);
        let whole = list(diverse.clone(), &[], Cancel::new()).unwrap();
        assert_eq!(seen_of(&whole), (&[0, 2, 3][..], None));
        let cut = list(diverse, &[], late()).unwrap();
        assert_eq!(seen_of(&cut), (&[0, 1, 2][..], Some("scan counts")));

        let whole = list(Arrangement::new(), &[0], Cancel::new()).unwrap();
        assert_eq!(whole.items()[0], 2);
        assert!(whole.scores()[1] < 2.0);
        let cut = list(Arrangement::new(), &[0], late()).unwrap();
        assert_eq!(seen_of(&cut), (&[0, 1, 2][..], Some("scan counts")));
        assert_eq!(cut.scores(), [9.0, 8.0, 7.0]);
    }

    #[test]
    fn at_the_deadline_boosts_pins_and_caps_hold_and_the_list_may_be_short() {
        let capped = Arrangement::new().cap("colour", 1).boost(2, 5.0).pool(1);
        let whole = list(capped.clone(), &[], Cancel::new()).unwrap();
        assert_eq!(seen_of(&whole), (&[2, 3][..], None));
        let cut = list(capped.clone(), &[], late()).unwrap();
        assert_eq!(seen_of(&cut), (&[2][..], Some("arrange")));
        let cut = list(capped.pin(1, 1), &[], late()).unwrap();
        assert_eq!(seen_of(&cut), (&[1, 3][..], None));
    }

    /// The places of boosted and pinned items in turns of several points are looked up by scans.
    #[test]
    fn at_the_deadline_boosts_and_pins_hold_among_the_turns_of_several_points() {
        fn points(bundle: &Bundle) -> Scoring<'_> {
            let points = [[1.0f32, 0.0, 0.0], [0.0, 1.0, 0.0]].map(|point| point.as_slice().into());
            Scoring::rows(Origin::Oracle, bundle.space("s").unwrap(), points.into())
        }
        let arrangement = Arrangement::new().boost(3, 5.0).pin(1, 1);
        let whole = list_by(arrangement.clone(), &[], Cancel::new(), points);
        let cut = list_by(arrangement, &[], late(), points);
        assert_eq!(cut.unwrap().items(), whole.unwrap().items());
    }

    #[test]
    fn a_request_to_stop_leaves_nothing() {
        for arrangement in [
            Arrangement::new().diversity(0.5),
            Arrangement::new().cap("colour", 1).pool(1),
        ] {
            let cancel = Cancel::new();
            cancel.request();
            let stopped = list(arrangement, &[], cancel);
            assert!(matches!(stopped, Err(Error::Cancelled)), "{stopped:?}");
        }
    }
}
