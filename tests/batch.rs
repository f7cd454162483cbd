//! Many users at once get what each would get alone.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod changed;

use oneiro::{
    Arrangement, Bundle, By, CallOptions, Engine, EngineOptions, Error, Filter, Origin, Ranking,
    Recommender,
};
use serde_json::json;

/// States that were computed together and alone: sums in another order.
const TOLERANCE: f32 = 1e-5;

/// Users with histories of every length from none to past the demo's window of 50, cold items among them.
fn users(engine: &Engine, count: u32) -> Vec<Recommender> {
    let len = engine.catalog().len();
    let user = |number: u32| {
        let items = (0..number * 7 % 61).map(|place| (number * 11 + place * place + place) % len);
        let mut user = engine.recommender();
        user.observe_items(&items.collect::<Vec<u32>>()).unwrap();
        user
    };
    (0..count).map(user).collect()
}

fn same(one: &Ranking, other: &Ranking) {
    assert_eq!(one.items(), other.items());
    let bits = |ranking: &Ranking| -> Vec<u32> {
        ranking
            .scores()
            .iter()
            .map(|score| score.to_bits())
            .collect()
    };
    assert_eq!(bits(one), bits(other));
    assert_eq!(one.origins(), other.origins());
}

fn assert_close(found: &[f32], expected: &[f32]) {
    let largest = expected
        .iter()
        .fold(0.0_f32, |most, value| most.max(value.abs()));
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        let difference = (found - expected).abs();
        assert!(
            difference <= TOLERANCE * largest,
            "{found}, expected {expected}"
        );
    }
}

/// Asks for so many users at once, and for each alone.
fn agree(engine: &Engine, count: u32) {
    let options = CallOptions::default();
    let filter = Filter::new().exclude([5]);
    let mut together = users(engine, count);
    let mut alone = together.clone();
    let batch = engine
        .recommend_batch(&mut together, 12, &filter, &options)
        .unwrap();
    assert_eq!(batch.len(), together.len());
    for ((user, ranking), alone) in together.iter_mut().zip(&batch).zip(&mut alone) {
        // Computed in the batch and kept: with that state, the very same ranking.
        same(
            &user.recommend_with(12, &filter, &options).unwrap(),
            ranking,
        );
        let expected = alone.recommend_with(12, &filter, &options).unwrap();
        assert_eq!(ranking.origins(), expected.origins());
        assert_eq!(ranking.stages().len(), expected.stages().len());
        assert_close(ranking.scores(), expected.scores());
        if ranking.origins()[0] == Origin::Encoder {
            assert_close(
                &user.state(&options).unwrap(),
                &alone.state(&options).unwrap(),
            );
        }
    }
    // States that are there already: no rounding at all.
    let again = engine
        .recommend_batch(&mut alone, 12, &filter, &options)
        .unwrap();
    for (user, ranking) in alone.iter_mut().zip(&again) {
        same(
            &user.recommend_with(12, &filter, &options).unwrap(),
            ranking,
        );
    }
}

/// 70 windows of the demo are more than one run takes: 27 rows of 64 on average.
#[test]
fn a_batch_gives_each_user_what_the_user_gets_alone() {
    agree(&Engine::open("models/tiny").unwrap(), 70);
    agree(&Engine::open("models/demo").unwrap(), 70);
}

#[test]
fn so_it_does_with_windows_of_fixed_length() {
    let folder = changed::tiny(|manifest| {
        manifest["encoders"]["sasrec"]["length"] = "fixed".into();
    });
    agree(&Engine::open(folder.path()).unwrap(), 40);
}

#[test]
fn users_may_be_lent_from_anywhere() {
    let engine = Engine::open("models/tiny").unwrap();
    let (mut one, mut two) = (engine.recommender(), engine.clone().recommender());
    one.observe_items(&[1]).unwrap();
    two.observe_items(&[2]).unwrap();
    let options = CallOptions::default();
    let batch = engine
        .retrieve_batch(
            [&mut one, &mut two],
            By::Encoder,
            5,
            &Filter::new(),
            &options,
        )
        .unwrap();
    same(
        &batch[0],
        &one.retrieve(By::Encoder, 5, &Filter::new()).unwrap(),
    );
    same(
        &batch[1],
        &two.retrieve(By::Encoder, 5, &Filter::new()).unwrap(),
    );
    let popular = engine
        .retrieve_batch([&mut two], By::Popularity, 5, &Filter::new(), &options)
        .unwrap();
    same(
        &popular[0],
        &two.retrieve(By::Popularity, 5, &Filter::new()).unwrap(),
    );
}

#[test]
fn a_recipe_of_popularity_needs_no_encoder() {
    let folder = changed::tiny(|manifest| {
        manifest["recipe"] =
            json!({ "steps": [{ "retrieve": "popularity", "count": 5 }], "cold": "popularity" });
        manifest["encoders"] = json!({});
    });
    agree(&Engine::open(folder.path()).unwrap(), 9);
}

#[test]
fn wrong_batches_are_refused() {
    let engine = Engine::open("models/tiny").unwrap();
    let options = CallOptions::default();
    let reason = |users: Vec<&mut Recommender>, count: usize, options: &CallOptions| {
        let outcome = engine.recommend_batch(users, count, &Filter::new(), options);
        match outcome.unwrap_err() {
            Error::InvalidArgument { parameter, reason } => format!("{parameter} {reason}"),
            other => other.to_string(),
        }
    };
    let mut ours = engine.recommender();
    ours.observe_items(&[1]).unwrap();
    let mut other = Engine::open("models/tiny").unwrap().recommender();
    assert_eq!(reason(vec![], 1, &options), "users is empty");
    assert_eq!(
        reason(vec![&mut ours, &mut other], 1, &options),
        "users entry 1 is a user of another engine"
    );
    assert_eq!(reason(vec![&mut ours], 0, &options), "count is 0");
    let mut wrong = options.clone();
    for threads in [0, 1025, usize::MAX] {
        wrong.threads = threads;
        let expected = format!("threads is {threads}, expected 1 to 1024");
        assert_eq!(reason(vec![&mut ours], 1, &wrong), expected);
    }
    wrong.threads = 1024;
    assert!(
        engine
            .recommend_batch([&mut ours], 1, &Filter::new(), &wrong)
            .is_ok()
    );
    options.cancel.request();
    assert_eq!(
        reason(vec![&mut ours], 1, &options),
        Error::Cancelled.to_string()
    );
    // Nobody is worse off.
    assert_eq!(ours.recommend(3).unwrap().len(), 3);
}

#[test]
fn threads_and_replicas_change_no_bit() {
    let best = |replicas: usize, threads: usize| {
        let mut options = EngineOptions::default();
        options.graph.replicas = replicas;
        let engine = Engine::from_bundle(Bundle::open("models/demo").unwrap(), &options).unwrap();
        let mut users = users(&engine, 70);
        let mut options = CallOptions::default();
        options.threads = threads;
        let filter = Filter::default();
        let best = engine.retrieve_batch(&mut users, By::Encoder, 20, &filter, &options);
        best.unwrap()
    };
    let expected = best(1, 1);
    for (replicas, threads) in [(1, 3), (2, 2), (3, 2), (2, 5)] {
        for (found, expected) in best(replicas, threads).iter().zip(&expected) {
            same(found, expected);
        }
    }
}

#[test]
fn a_graph_of_one_length_is_refused() {
    let folder = changed::one_at_a_time();
    let bundle = Bundle::open(folder.path()).unwrap();
    let error = Engine::from_bundle(bundle, &EngineOptions::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "graph `encoder`: input `rows`: expected Float32 [any, any, 16], found Float32 [1, -1, 16]"
    );
}

#[test]
fn each_user_of_a_batch_gets_a_list_arranged_for_them() {
    let engine = Engine::open("models/tiny").unwrap();
    let mut users = users(&engine, 9);
    for (number, user) in (0..).zip(&mut users) {
        user.hide(&[number]).unwrap();
        user.dislike(&[20, 30][..number as usize % 3]).unwrap();
    }
    let mut options = CallOptions::default();
    options.arrangement = Arrangement::new()
        .boost(4, 0.5)
        .pin(6, 2)
        .cap("genres", 2)
        .diversity(0.6)
        .pool(5);
    let filter = Filter::new();
    let lists = engine
        .recommend_batch(&mut users, 6, &filter, &options)
        .unwrap();
    for (number, (list, user)) in (0..).zip(lists.iter().zip(&mut users)) {
        same(&user.recommend_with(6, &filter, &options).unwrap(), list);
        assert!(!list.is_empty() && !list.items().contains(&number));
    }
    assert!(
        lists
            .windows(2)
            .any(|pair| pair[0].items() != pair[1].items())
    );

    options.deadline = Some(std::time::Duration::ZERO);
    let late = engine.recommend_batch(&mut users, 6, &filter, &options);
    assert!(matches!(late, Err(Error::DeadlineExceeded)));
}
