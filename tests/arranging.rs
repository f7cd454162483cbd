//! How the best candidates become the list that is shown: boosts, pins, caps, diversity, dislikes, as users meet them.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod changed;

use oneiro::{
    Arrangement, By, CallOptions, Engine, Error, Filter, Judge, Origin, Ranking, Recommender, Seen,
};

const ITEMS: usize = 40;

fn engine() -> Engine {
    Engine::open("models/tiny").unwrap()
}

fn user_of(engine: &Engine) -> Recommender {
    let mut user = engine.recommender();
    user.observe_items(&[3, 7, 12]).unwrap();
    user
}

fn options(arrangement: Arrangement) -> CallOptions {
    let mut options = CallOptions::default();
    options.arrangement = arrangement;
    options
}

fn arranged(user: &mut Recommender, count: usize, arrangement: Arrangement) -> Ranking {
    user.recommend_with(count, &Filter::new(), &options(arrangement))
        .unwrap()
}

fn score_of(ranking: &Ranking, item: u32) -> f32 {
    ranking.iter().find(|found| found.0 == item).unwrap().1
}

/// The items whose row was never trained.
fn cold_items(engine: &Engine) -> Vec<u32> {
    let space = engine.bundle().space("items").unwrap();
    (0..space.len())
        .filter(|item| space.is_cold(*item))
        .collect()
}

#[test]
fn a_boosted_item_competes_however_low_it_stood() {
    let engine = engine();
    let mut user = user_of(&engine);
    let all = user.recommend(ITEMS).unwrap();
    let (first, last) = (all.scores()[0], *all.items().last().unwrap());
    let amount = first - score_of(&all, last) + 1.0;
    let boosted = arranged(&mut user, 3, Arrangement::new().boost(last, amount));
    assert_eq!(boosted.items(), [last, all.items()[0], all.items()[1]]);
    assert_eq!(boosted.scores()[0], score_of(&all, last) + amount);
    assert_eq!(boosted.origins(), [Origin::Encoder; 3]);

    // Amounts add up, and may lower: the best item leaves a list that another one enters.
    let best = all.items()[0];
    let lowered = Arrangement::new().boost(best, -amount).boost(best, -1.0);
    let lowered = arranged(&mut user, 3, lowered);
    assert_eq!(lowered.items(), &all.items()[1..4]);

    let cold = cold_items(&engine)[0];
    let boosted = arranged(&mut user, ITEMS, Arrangement::new().boost(cold, 1e9));
    assert_eq!(boosted.items(), all.items());
}

#[test]
fn a_pinned_item_has_its_place_and_no_other() {
    let engine = engine();
    let mut user = user_of(&engine);
    let all = user.recommend(ITEMS).unwrap();
    let (best, tenth, cold) = (all.items()[0], all.items()[9], cold_items(&engine)[0]);
    let pins = Arrangement::new().pin(tenth, 1).pin(cold, 3).pin(best, 6);
    let found = arranged(&mut user, 5, pins.clone());
    let rest = &all.items()[1..];
    assert_eq!(found.items(), [tenth, rest[0], cold, rest[1], rest[2]]);
    let (pinned, encoder) = (Origin::Pinned, Origin::Encoder);
    assert_eq!(found.origins(), [pinned, encoder, pinned, encoder, encoder]);
    assert_eq!(found.scores()[0], score_of(&all, tenth));
    assert!(found.scores()[2].is_nan());
    assert_eq!(
        arranged(&mut user, 6, pins.boost(best, 2.0)).items()[5],
        best
    );

    // Filters hold for pins: what was seen, or is left out, is not pinned.
    let seen = arranged(&mut user, 5, Arrangement::new().pin(7, 1).pin(tenth, 2));
    assert_eq!(seen.items()[..3], [best, tenth, rest[0]]);
    // Where there are too few items to reach the place, the pin is last.
    let filter = Filter::new().allow([best, tenth, rest[3]]);
    let few = user
        .recommend_with(10, &filter, &options(Arrangement::new().pin(best, 9)))
        .unwrap();
    assert_eq!(few.len(), 3);
    assert_eq!((few.items()[2], few.origins()[2]), (best, pinned));
}

#[test]
fn caps_fetch_what_they_need_to_fill_the_list() {
    let engine = engine();
    let catalog = engine.catalog();
    let mut user = user_of(&engine);
    let all = user.recommend(ITEMS).unwrap();
    // A pool of one item: everything else has to be fetched in rounds.
    let caps = Arrangement::new()
        .cap("genres", 2)
        .cap_tag("genres", "Drama", 1);
    let found = user
        .retrieve_with(By::Encoder, 9, &Filter::new(), &options(caps.pool(1)))
        .unwrap();
    let mut counts = std::collections::BTreeMap::new();
    let mut expected = Vec::new();
    for &item in all.items() {
        let tags = catalog.tags("genres", item).unwrap();
        let most = |tag: &str| if tag == "Drama" { 1 } else { 2 };
        if tags
            .iter()
            .all(|tag| counts.get(tag).unwrap_or(&0) < &most(tag))
        {
            tags.iter()
                .for_each(|tag| *counts.entry(*tag).or_insert(0) += 1);
            expected.push(item);
        }
    }
    assert!(expected.len() >= 9, "the test asks for too many");
    assert_eq!(found.items(), &expected[..9]);
    let scans = found
        .stages()
        .iter()
        .filter(|stage| stage.name == "scan items");
    assert!(scans.count() > 1);
    assert_eq!(found.stopped_after(), None);

    // Integers are capped too, and pins count.
    let year = |item: u32| catalog.integer("year", item).unwrap();
    let by_year = user
        .retrieve_with(
            By::Popularity,
            ITEMS,
            &Filter::new(),
            &options(Arrangement::new().cap("year", 1).pin(0, 1)),
        )
        .unwrap();
    let mut years: Vec<i64> = by_year
        .items()
        .iter()
        .filter_map(|&item| year(item))
        .collect();
    let len = years.len();
    years.sort_unstable();
    years.dedup();
    assert_eq!(years.len(), len);
    assert_eq!(by_year.items()[0], 0);
}

#[test]
fn arrangements_apply_to_every_verb() {
    let engine = engine();
    let mut user = user_of(&engine);
    let options = options(
        Arrangement::new()
            .pin(20, 2)
            .cap("genres", 1)
            .diversity(0.5),
    );
    let filter = Filter::new();
    let rankings = [
        user.recommend_with(5, &filter, &options).unwrap(),
        user.retrieve_with(By::Popularity, 5, &filter, &options)
            .unwrap(),
        user.similar_with(1, 5, &filter, &options).unwrap(),
        user.rank_with(
            Judge::Encoder,
            &[1, 2, 4, 5, 6, 20, 30, 31],
            5,
            &filter,
            &options,
        )
        .unwrap(),
    ];
    for ranking in rankings {
        assert_eq!(
            (ranking.items()[1], ranking.origins()[1]),
            (20, Origin::Pinned)
        );
        assert_eq!(ranking.stages().last().unwrap().name, "arrange");
    }
}

#[test]
fn hidden_items_do_not_come_and_change_nothing_else() {
    let engine = engine();
    let mut user = user_of(&engine);
    let before = user.recommend(ITEMS).unwrap();
    let (first, third) = (before.items()[0], before.items()[2]);
    user.hide(&[third, first, third]).unwrap();
    let mut rising = [first, third];
    rising.sort_unstable();
    assert_eq!(user.hidden(), rising);
    let after = user.recommend(ITEMS).unwrap();
    let kept: Vec<u32> = before
        .items()
        .iter()
        .copied()
        .filter(|item| ![first, third].contains(item))
        .collect();
    assert_eq!(after.items(), kept);
    let ways = [
        user.retrieve(By::Popularity, ITEMS, &Filter::new().seen(Seen::Allow)),
        user.similar(1, ITEMS),
        user.rank(Judge::Popularity, &[first, 1, third], 3, &Filter::new()),
        user.recommend_with(
            5,
            &Filter::new(),
            &options(Arrangement::new().pin(first, 1).boost(third, 99.0)),
        ),
    ];
    for ranking in ways {
        let ranking = ranking.unwrap();
        assert!(!ranking.is_empty());
        assert!(!ranking.items().contains(&first) && !ranking.items().contains(&third));
    }
    user.unhide(&[first, 39]);
    assert_eq!(user.hidden(), [third]);
    user.unhide(&[third]);
    assert_eq!(user.recommend(ITEMS).unwrap().items(), before.items());
    assert!(matches!(
        user.hide(&[1, 40]),
        Err(Error::UnknownItem { item: 40, len: 40 })
    ));
    assert!(user.hidden().is_empty());
}

#[test]
fn disliked_items_are_no_part_of_the_taste() {
    let engine = engine();
    let plain = CallOptions::default();
    let (mut user, mut without) = (user_of(&engine), engine.recommender());
    without.observe_items(&[3, 12]).unwrap();
    let before = user.state(&plain).unwrap();
    user.dislike(&[7]).unwrap();
    assert_eq!(user.disliked(), [7]);
    assert_eq!(user.history().len(), 3);
    assert_eq!(user.state(&plain).unwrap(), without.state(&plain).unwrap());
    let best = user
        .retrieve(By::Encoder, ITEMS, &Filter::new().seen(Seen::Allow))
        .unwrap();
    assert!(best.items().contains(&3) && !best.items().contains(&7));
    user.undislike(&[7, 8]);
    assert_eq!(user.state(&plain).unwrap(), before);
    // A user who dislikes all that was seen is as one who saw nothing.
    user.dislike(&[12, 3, 7]).unwrap();
    assert_eq!(
        user.recommend(3).unwrap().origins(),
        [Origin::Popularity; 3]
    );
    assert!(matches!(
        user.dislike(&[40]),
        Err(Error::UnknownItem { .. })
    ));
    assert_eq!(user.disliked(), [3, 7, 12]);
}

#[test]
fn without_a_space_for_likeness_dislikes_hide_and_diversity_is_refused() {
    let folder =
        changed::tiny(|manifest| drop(manifest.as_object_mut().unwrap().remove("similar")));
    let engine = Engine::open(folder.path()).unwrap();
    let mut user = user_of(&engine);
    let before = user.recommend(ITEMS).unwrap();
    let disliked = before.items()[4];
    user.dislike(&[disliked]).unwrap();
    let after = user.recommend(ITEMS).unwrap();
    for (item, score, _) in after.iter() {
        assert_eq!(score, score_of(&before, item));
    }
    assert_eq!(after.len(), before.len() - 1);
    let diverse = options(Arrangement::new().diversity(0.5));
    let error = user
        .recommend_with(5, &Filter::new(), &diverse)
        .unwrap_err();
    assert!(matches!(error, Error::Unsupported { .. }), "{error}");
    // A space that the call names does as well.
    let named = arranged(
        &mut user,
        5,
        Arrangement::new().diversity(0.5).space("texts"),
    );
    assert_eq!(named.len(), 5);
    let lowered = arranged(&mut user, ITEMS, Arrangement::new().space("texts"));
    assert!(
        lowered
            .iter()
            .any(|(item, score, _)| score < score_of(&before, item))
    );
}

#[test]
fn candidates_of_the_callers_own_are_ranked_and_scored() {
    let engine = engine();
    let cold = cold_items(&engine)[0];
    let mut user = user_of(&engine);
    let all = user
        .retrieve(By::Encoder, ITEMS, &Filter::new().seen(Seen::Allow))
        .unwrap();
    let mine = [30, 1, cold, 22, 7, 5];
    let seen = Filter::new().seen(Seen::Allow);
    let ranked = user.rank(Judge::Encoder, &mine, ITEMS, &seen).unwrap();
    let expected: Vec<u32> = all
        .items()
        .iter()
        .copied()
        .filter(|item| mine.contains(item))
        .collect();
    assert_eq!(ranked.items(), expected);
    let two = user.rank(Judge::Encoder, &mine, 2, &seen).unwrap();
    assert_eq!(two.items(), &expected[..2]);
    let unseen = user
        .rank(Judge::Encoder, &mine, ITEMS, &Filter::new())
        .unwrap();
    assert_eq!(unseen.len(), 4);

    let options = CallOptions::default();
    let scores = user
        .score(Judge::Encoder, &[5, cold, 5, 30], &options)
        .unwrap();
    assert_eq!(scores[0], score_of(&all, 5));
    assert_eq!((scores[2], scores[3]), (scores[0], score_of(&all, 30)));
    assert!(scores[1].is_nan());
    let counts = user.score(Judge::Popularity, &all, &options).unwrap();
    for (&item, score) in all.items().iter().zip(counts) {
        let count = engine.catalog().count(item).unwrap() as f32;
        assert!(score == count || (count == 0.0 && score.is_nan()));
    }
    assert!(
        user.score(Judge::Encoder, &[], &options)
            .unwrap()
            .is_empty()
    );

    let broad = user.retrieve(By::Popularity, 10, &Filter::new()).unwrap();
    let narrow = user
        .rank(Judge::Encoder, &broad, 3, &Filter::new())
        .unwrap();
    assert!(
        narrow
            .items()
            .iter()
            .all(|item| broad.items().contains(item))
    );

    let twice = user.rank(Judge::Encoder, &[4, 9, 4], 2, &Filter::new());
    assert_eq!(
        twice.unwrap_err().to_string(),
        "`candidates`: item 4 comes twice"
    );
    for unknown in [
        user.rank(Judge::Encoder, &[4, 40], 2, &Filter::new())
            .map(drop),
        user.score(Judge::Encoder, &[4, 40], &options).map(drop),
    ] {
        assert!(matches!(
            unknown,
            Err(Error::UnknownItem { item: 40, len: 40 })
        ));
    }
    let ids = engine.catalog().items(&["film-3", "no-such-id"]);
    assert!(matches!(ids, Err(Error::UnknownId { id }) if id == "no-such-id"));
}

#[test]
fn wrong_arrangements_are_named() {
    let mut user = engine().recommender();
    let mut refused = |arrangement: Arrangement| {
        let refused = user.recommend_with(5, &Filter::new(), &options(arrangement));
        refused.unwrap_err().to_string()
    };
    let new = Arrangement::new;
    for (arrangement, expected) in [
        (
            new().boost(40, 1.0),
            "item 40 is not in the catalog of 40 items",
        ),
        (
            new().pin(40, 1),
            "item 40 is not in the catalog of 40 items",
        ),
        (
            new().boost(4, f32::NAN),
            "`boost`: NaN for item 4, expected a finite number",
        ),
        (
            new().boost(4, f32::MAX).boost(4, f32::MAX),
            "`boost`: inf for item 4, expected a finite number",
        ),
        (
            new().pin(4, 0),
            "`pin`: place 0 for item 4: places start at 1",
        ),
        (new().pin(4, 2).pin(5, 2), "`pin`: items 4 and 5 at place 2"),
        (new().pin(4, 1).pin(4, 2), "`pin`: item 4 at two places"),
        (
            new().cap("genres", 0),
            "`cap`: 0 of `genres`: a filter leaves items out altogether",
        ),
        (
            new().cap("mood", 1),
            "the bundle carries no attribute `mood`; it has `genres`, `year`",
        ),
        (
            new().cap_tag("year", "1990", 1),
            "`attribute`: `year` is an integer, not tags",
        ),
        (new().diversity(1.5), "`diversity`: is 1.5, expected 0 to 1"),
        (
            new().diversity(f32::NAN),
            "`diversity`: is NaN, expected 0 to 1",
        ),
        (
            new().dislike_weight(-1.0),
            "`dislike_weight`: is -1, expected a finite number, not below 0",
        ),
        (new().pool(0), "`pool`: is 0"),
        (
            new().diversity(0.5).space("moods"),
            "the bundle carries no space `moods`",
        ),
    ] {
        assert_eq!(refused(arrangement), expected);
    }
    assert!(
        refused(new().cap_tag("genres", "Polka", 1)).starts_with("`tag`: `genres` has no `Polka`")
    );
}
