//! What a recommender promises: histories, ways of retrieving, cold users, filters, neighbours.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod changed;

use oneiro::{By, CallOptions, Engine, Error, Event, Filter, Origin, Ranking, Seen};
use serde_json::json;

fn engine() -> Engine {
    Engine::open("models/tiny").unwrap()
}

/// The first item whose row was never trained.
fn cold_item(engine: &Engine) -> u32 {
    let space = engine.bundle().space("items").unwrap();
    (0..space.len()).find(|item| space.is_cold(*item)).unwrap()
}

fn falls(ranking: &Ranking) -> bool {
    ranking.scores().windows(2).all(|pair| pair[0] >= pair[1])
}

#[test]
fn a_history_is_added_whole_or_not_at_all() {
    let engine = engine();
    let mut user = engine.recommender();
    let known = engine.catalog().id(4).unwrap();
    let error = user.observe(&[known, "no-such-id"]).unwrap_err();
    assert!(
        matches!(&error, Error::UnknownId { id } if id == "no-such-id"),
        "{error}"
    );
    assert!(user.history().is_empty());
    assert!(matches!(
        user.observe_items(&[1, 40]),
        Err(Error::UnknownItem { item: 40, len: 40 })
    ));
    assert!(user.history().is_empty());
}

#[test]
fn unknown_ids_are_skipped_and_reported_on_request() {
    let engine = engine();
    let mut user = engine.recommender();
    let known = engine.catalog().id(4).unwrap();
    assert_eq!(user.observe_known(&["x", known, "y"]).unwrap(), ["x", "y"]);
    assert_eq!(user.history(), [Event::new(4)]);
}

#[test]
fn events_keep_their_kind_and_time() {
    let mut user = engine().recommender();
    let event = Event::new(3).with_kind("ordered").with_time(1_700_000_000);
    user.observe_events(std::slice::from_ref(&event)).unwrap();
    assert_eq!(user.history(), [event]);
}

#[test]
fn forgetting_is_as_if_it_had_never_happened() {
    let mut user = engine().recommender();
    user.observe_items(&[1, 2, 3]).unwrap();
    let before = user.recommend(10).unwrap();
    user.observe_items(&[9, 8, 9]).unwrap();
    assert_ne!(user.recommend(10).unwrap().items(), before.items());
    assert_eq!(
        (
            user.forget_item(9),
            user.forget_item(8),
            user.forget_item(30)
        ),
        (2, 1, 0)
    );
    let after = user.recommend(10).unwrap();
    assert_eq!(
        (after.items(), after.scores()),
        (before.items(), before.scores())
    );
    user.forget();
    assert!(user.history().is_empty());
    assert_eq!(
        user.recommend(5).unwrap().origins(),
        [Origin::Popularity; 5]
    );
}

#[test]
fn a_user_without_anything_to_go_by_gets_what_is_popular() {
    let engine = engine();
    let catalog = engine.catalog();
    let mut user = engine.recommender();
    let nothing = user.recommend(10).unwrap();
    assert_eq!(nothing.origins(), [Origin::Popularity; 10]);
    let counts: Vec<f32> = nothing
        .items()
        .iter()
        .map(|item| catalog.count(*item).unwrap() as f32)
        .collect();
    assert_eq!(nothing.scores(), counts);
    assert!(falls(&nothing));

    // An item that the encoder cannot read is no more to go by than no item.
    let cold = cold_item(&engine);
    user.observe_items(&[cold]).unwrap();
    assert_eq!(
        user.recommend(10).unwrap().origins(),
        [Origin::Popularity; 10]
    );
    user.observe_items(&[1]).unwrap();
    assert_eq!(user.recommend(10).unwrap().origins(), [Origin::Encoder; 10]);
}

#[test]
fn the_encoder_passes_over_items_that_it_never_learned() {
    let engine = engine();
    let cold = cold_item(&engine);
    let (mut with, mut without) = (engine.recommender(), engine.recommender());
    with.observe_items(&[1, cold, 2, cold, 3]).unwrap();
    without.observe_items(&[1, 2, 3]).unwrap();
    let options = CallOptions::default();
    assert_eq!(
        with.state(&options).unwrap(),
        without.state(&options).unwrap()
    );
    let all = with
        .retrieve(By::Encoder, 40, &Filter::new().seen(Seen::Allow))
        .unwrap();
    assert!(!all.items().contains(&cold));
}

#[test]
fn only_the_window_counts() {
    let engine = engine();
    let (mut long, mut short) = (engine.recommender(), engine.recommender());
    long.observe_items(&[30, 31, 1, 2, 3, 4, 5]).unwrap();
    short.observe_items(&[1, 2, 3, 4, 5]).unwrap();
    let options = CallOptions::default();
    assert_eq!(
        long.state(&options).unwrap(),
        short.state(&options).unwrap()
    );
}

#[test]
fn seen_items_come_again_only_if_asked_or_if_the_bundle_says_so() {
    let history = [1, 2, 3];
    let seen = |ranking: &Ranking| {
        ranking
            .items()
            .iter()
            .filter(|item| history.contains(item))
            .count()
    };
    let mut user = engine().recommender();
    user.observe_items(&history).unwrap();
    for by in [By::Encoder, By::Popularity] {
        assert_eq!(seen(&user.retrieve(by, 40, &Filter::new()).unwrap()), 0);
        assert_eq!(
            seen(
                &user
                    .retrieve(by, 40, &Filter::new().seen(Seen::Allow))
                    .unwrap()
            ),
            3
        );
    }
    let shop = changed::tiny(|manifest| manifest["seen"] = "allow".into());
    let mut user = Engine::open(shop.path()).unwrap().recommender();
    user.observe_items(&history).unwrap();
    assert_eq!(seen(&user.recommend(40).unwrap()), 3);
    let filter = Filter::new().seen(Seen::Exclude);
    assert_eq!(
        seen(
            &user
                .recommend_with(40, &filter, &CallOptions::default())
                .unwrap()
        ),
        0
    );
}

#[test]
fn filters_hold_for_every_way() {
    let engine = engine();
    let catalog = engine.catalog();
    let mut user = engine.recommender();
    user.observe_items(&[1, 2]).unwrap();
    let filter = Filter::new()
        .with_tag("genres", "Drama")
        .between("year", 1980..)
        .exclude([5]);
    let options = CallOptions::default();
    let rankings = [
        user.recommend_with(40, &filter, &options).unwrap(),
        user.retrieve(By::Popularity, 40, &filter).unwrap(),
        user.similar_with(1, 40, &filter, &options).unwrap(),
    ];
    for ranking in rankings {
        assert!(!ranking.is_empty());
        for &item in ranking.items() {
            assert!(catalog.tags("genres", item).unwrap().contains(&"Drama"));
            assert!(catalog.integer("year", item).unwrap().unwrap() >= 1980);
            assert!(![1, 2, 5].contains(&item));
        }
    }
}

#[test]
fn an_item_is_not_its_own_neighbour() {
    let engine = engine();
    let user = engine.recommender();
    let near = user.similar(6, 39).unwrap();
    assert!(falls(&near) && !near.items().contains(&6));
    assert_eq!(near.origins()[0], Origin::Similar);
    assert!(
        near.scores()
            .iter()
            .all(|cosine| cosine.abs() <= 1.0 + 1e-6)
    );
    let cold = cold_item(&engine);
    assert!(matches!(
        user.similar(cold, 5),
        Err(Error::Unsupported { .. })
    ));
    assert!(matches!(
        user.similar(40, 5),
        Err(Error::UnknownItem { item: 40, .. })
    ));
}

#[test]
fn a_ranking_says_what_each_stage_did() {
    let mut user = engine().recommender();
    user.observe_items(&[1]).unwrap();
    let ranking = user.recommend(7).unwrap();
    let stages: Vec<&str> = ranking
        .stages()
        .iter()
        .map(|stage| stage.name.as_str())
        .collect();
    assert_eq!(stages, ["encode sasrec", "scan items"]);
    assert_eq!(ranking.len(), 7);
    assert_eq!(ranking.clone().top(3).items(), &ranking.items()[..3]);
}

#[test]
fn threads_do_not_change_a_ranking() {
    let mut user = engine().recommender();
    user.observe_items(&[1, 5]).unwrap();
    let mut options = CallOptions::default();
    let one = user.recommend_with(40, &Filter::new(), &options).unwrap();
    options.threads = 4;
    let four = user.recommend_with(40, &Filter::new(), &options).unwrap();
    assert_eq!((one.items(), one.scores()), (four.items(), four.scores()));
}

#[test]
fn wrong_arguments_are_named() {
    let mut user = engine().recommender();
    let parameter = |result: oneiro::Result<Ranking>| match result {
        Err(Error::InvalidArgument { parameter, .. }) => parameter,
        other => panic!("{other:?}"),
    };
    assert_eq!(parameter(user.recommend(0)), "count");
    assert_eq!(
        parameter(user.retrieve(By::Popularity, 0, &Filter::new())),
        "count"
    );
    assert_eq!(
        parameter(user.retrieve(
            By::Popularity,
            1,
            &Filter::new().with_tag("genres", "Opera")
        )),
        "tag"
    );
    let mut options = CallOptions::default();
    options.threads = 0;
    assert_eq!(
        parameter(user.recommend_with(1, &Filter::new(), &options)),
        "threads"
    );
    options.threads = 1;
    options.encoder = Some("other".into());
    let error = user
        .retrieve_with(By::Encoder, 1, &Filter::new(), &options)
        .unwrap_err();
    assert_eq!(error.to_string(), "the bundle carries no encoder `other`");
}

#[test]
fn a_bundle_holds_any_number_of_encoders() {
    let folder = changed::tiny(|manifest| {
        let mut short = manifest["encoders"]["sasrec"].clone();
        short["window"] = 2.into();
        let mut fixed = manifest["encoders"]["sasrec"].clone();
        fixed["length"] = "fixed".into();
        manifest["encoders"]["short"] = short;
        manifest["encoders"]["fixed"] = fixed;
    });
    let engine = Engine::open(folder.path()).unwrap();
    let mut user = engine.recommender();
    user.observe_items(&[7, 8, 9]).unwrap();
    let mut state = |name: &str| {
        let mut options = CallOptions::default();
        options.encoder = Some(name.into());
        user.state(&options).unwrap().to_vec()
    };
    let (full, short, fixed) = (state("sasrec"), state("short"), state("fixed"));
    assert_ne!(full, short);
    let mut two = engine.recommender();
    two.observe_items(&[8, 9]).unwrap();
    assert_eq!(two.state(&CallOptions::default()).unwrap().to_vec(), short);
    // Padding on the right changes nothing but the order of additions inside the kernels.
    for (a, b) in full.iter().zip(&fixed) {
        assert!((a - b).abs() < 1e-5, "{a} {b}");
    }
}

#[test]
fn a_graph_that_was_optimised_ahead_answers_as_before() {
    let plain = engine();
    let folder = changed::tiny(|manifest| {
        for graph in manifest["graphs"].as_object_mut().unwrap().values_mut() {
            graph["optimised"] = json!(true);
        }
    });
    let optimised = Engine::open(folder.path()).unwrap();
    assert!(
        optimised
            .manifest()
            .graphs
            .values()
            .all(|graph| graph.optimised)
    );
    let state = |engine: &Engine| {
        let mut user = engine.recommender();
        user.observe_items(&[3, 7, 5]).unwrap();
        user.state(&CallOptions::default()).unwrap()
    };
    for (a, b) in state(&plain).iter().zip(state(&optimised).iter()) {
        assert!((a - b).abs() < 1e-5, "{a} {b}");
    }
}

#[test]
fn a_recipe_may_ask_for_popularity_alone() {
    let folder = changed::tiny(|manifest| {
        manifest["recipe"] =
            json!({ "steps": [{ "retrieve": "popularity", "count": 5 }], "cold": "popularity" });
    });
    let mut user = Engine::open(folder.path()).unwrap().recommender();
    user.observe_items(&[1]).unwrap();
    assert_eq!(
        user.recommend(8).unwrap().origins(),
        [Origin::Popularity; 8]
    );
}

#[test]
fn a_rank_is_the_place_in_the_whole_ranking() {
    let engine = engine();
    let cold = cold_item(&engine);
    let options = CallOptions::default();
    let history = [3, 7, 12];
    let mut user = engine.recommender();
    user.observe_items(&history).unwrap();
    for by in [By::Encoder, By::Popularity] {
        for filter in [Filter::default(), Filter::new().seen(Seen::Allow)] {
            let all = user.retrieve(by, 40, &filter).unwrap();
            for (index, &item) in all.items().iter().enumerate() {
                let last = all
                    .scores()
                    .iter()
                    .rposition(|&score| score == all.scores()[index]);
                let expected = last.and_then(|last| u32::try_from(last + 1).ok());
                assert_eq!(user.rank_of(item, by, &filter, &options).unwrap(), expected);
            }
        }
        assert_eq!(
            user.rank_of(cold, by, &Filter::default(), &options)
                .unwrap(),
            None
        );
        let error = user
            .rank_of(40, by, &Filter::default(), &options)
            .unwrap_err();
        assert!(matches!(error, Error::UnknownItem { item: 40, len: 40 }));
    }
}

#[test]
fn an_item_that_is_left_out_still_has_a_rank() {
    let engine = engine();
    let options = CallOptions::default();
    let mut user = engine.recommender();
    user.observe_items(&[3, 7, 12]).unwrap();
    let open = Filter::new().seen(Seen::Allow);
    let all = user.retrieve(By::Encoder, 40, &open).unwrap();
    let before = all.items().iter().take_while(|&&item| item != 7);
    let expected = before.filter(|&&item| ![3, 12].contains(&item)).count();
    let closed = Filter::new().seen(Seen::Exclude).exclude([7]);
    let rank = user.rank_of(7, By::Encoder, &closed, &options).unwrap();
    assert_eq!(rank, u32::try_from(expected + 1).ok());
}
