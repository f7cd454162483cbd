//! Q-networks value, retrieve, rank and blend as PyTorch does, alone and in recipes.
//!
//! `models/tiny-values` has three: `mcrl`, whose graph makes queries of states, `separate`, whose states are its queries,
//! and `direct`, whose graph values all items. `oneiro_models/golden.py` says what the golden file holds.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod changed;
mod golden;

use std::fs;
use std::time::Duration;

use golden::{Golden, HISTORIES, TOP, assert_close};
use oneiro::{
    Arrangement, By, CallOptions, Engine, Error, Filter, Judge, Origin, Ranking, Recommender, Seen,
};
use safetensors::SafeTensors;
use serde_json::json;

const BUNDLE: &str = "models/tiny-values";
const NETWORKS: [&str; 3] = ["mcrl", "separate", "direct"];
const ITEMS: usize = 40;
const CANDIDATES: usize = 12;

fn engine() -> Engine {
    Engine::open(BUNDLE).unwrap()
}

fn by(network: &str) -> CallOptions {
    let mut options = CallOptions::default();
    options.q_network.name = Some(network.into());
    options
}

fn weighing(network: &str, weight: f32) -> CallOptions {
    let mut options = by(network);
    options.q_network.weight = Some(weight);
    options
}

fn anything() -> Filter {
    Filter::new().seen(Seen::Allow)
}

/// Each history as a user.
fn users(engine: &Engine, golden: &Golden) -> Vec<Recommender> {
    let user = |history: &Vec<u32>| {
        let mut user = engine.recommender();
        user.observe_items(history).unwrap();
        user
    };
    golden.histories.iter().map(user).collect()
}

/// The words of a tensor of the golden file, in rows of one a history.
fn rows(tensor: &str) -> Vec<Vec<u32>> {
    let bytes = fs::read("tests/golden/tiny-values.safetensors").unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let words = tensors.tensor(tensor).unwrap().data().chunks_exact(4);
    let words: Vec<u32> = words
        .map(|word| u32::from_le_bytes(word.try_into().unwrap()))
        .collect();
    let rows = words.chunks(words.len() / HISTORIES);
    rows.map(<[u32]>::to_vec).collect()
}

fn floats(tensor: &str) -> Vec<Vec<f32>> {
    let floats = |row: Vec<u32>| row.into_iter().map(f32::from_bits).collect();
    rows(tensor).into_iter().map(floats).collect()
}

/// Compares what is not NaN, and that the same is.
#[track_caller]
fn assert_close_but_for_nan(found: &[f32], expected: &[f32], what: &str) {
    let numbers = |values: &[f32]| -> Vec<f32> {
        let numbers = values.iter().copied();
        numbers.filter(|value| !value.is_nan()).collect()
    };
    let places = |values: &[f32]| -> Vec<bool> { values.iter().map(|x| x.is_nan()).collect() };
    assert_eq!(places(found), places(expected), "{what}");
    assert_close(&numbers(found), &numbers(expected), what);
}

fn stages(ranking: &Ranking) -> Vec<&str> {
    let stages = ranking.stages().iter();
    stages.map(|stage| stage.name.as_str()).collect()
}

#[test]
fn the_best_items_by_q_and_the_ranks_of_targets_are_those_of_pytorch() {
    let (golden, engine) = (Golden::read("tiny-values"), engine());
    for name in NETWORKS {
        let answers = &golden.answers[&format!("q.{name}")];
        let options = by(name);
        let mut empty = 0;
        for ((mut user, answer), &target) in users(&engine, &golden)
            .into_iter()
            .zip(answers)
            .zip(&golden.targets)
        {
            empty += usize::from(user.history().is_empty());
            let filter = Filter::default();
            let best = user.retrieve_with(By::QNetwork, TOP, &filter, &options);
            let best = best.unwrap();
            answer.check(best.items(), best.scores(), name);
            assert_eq!(best.origins(), [Origin::QNetwork; TOP]);
            let rank = user.rank_of(target, By::QNetwork, &filter, &options);
            assert_eq!(rank.unwrap(), answer.rank, "{name}");
        }
        assert!(empty > 0);
    }
}

#[test]
fn q_of_candidates_and_its_blend_with_their_scores_are_those_of_pytorch() {
    let (golden, engine) = (Golden::read("tiny-values"), engine());
    let (candidates, scores) = (rows("candidates"), floats("scores"));
    for name in NETWORKS {
        let values = floats(&format!("q.{name}.values"));
        let blended = floats(&format!("q.{name}.blended"));
        let options = by(name);
        for (row, mut user) in users(&engine, &golden).into_iter().enumerate() {
            let items = &candidates[row];
            let own = user.score(Judge::QNetwork, items, &options).unwrap();
            assert_close_but_for_nan(&own, &values[row], name);

            let filter = anything();
            let scored = (items.as_slice(), scores[row].as_slice());
            let ranked = user.rank_with(Judge::QNetwork, &scored, CANDIDATES, &filter, &options);
            let ranked = ranked.unwrap();
            let mut found = vec![f32::NAN; CANDIDATES];
            for (item, score, origin) in ranked.iter() {
                assert_eq!(origin, Origin::QNetwork);
                found[items.iter().position(|&other| other == item).unwrap()] = score;
            }
            assert_close_but_for_nan(&found, &blended[row], name);
            assert!(ranked.scores().is_sorted_by(|a, b| a >= b));

            // Without scores, Q alone; by their scores alone, their own order.
            let ranked = user.rank_with(Judge::QNetwork, items, CANDIDATES, &filter, &options);
            let ranked = ranked.unwrap();
            let by_item = |item: &u32| own[items.iter().position(|other| other == item).unwrap()];
            let expected: Vec<f32> = ranked.items().iter().map(by_item).collect();
            assert_eq!(ranked.scores(), expected);
            let options = weighing(name, 0.0);
            let ranked = user.rank_with(Judge::QNetwork, &scored, CANDIDATES, &filter, &options);
            let came = |item: &u32| scores[row][items.iter().position(|i| i == item).unwrap()];
            let came: Vec<f32> = ranked.unwrap().items().iter().map(came).collect();
            assert!(came.is_sorted_by(|a, b| a >= b));
        }
    }
}

#[test]
fn the_recipe_retrieves_and_ranks_and_the_cold_get_what_is_popular() {
    let engine = engine();
    let mut user = engine.recommender();
    let filter = Filter::default();
    let cold = user.recommend(5).unwrap();
    assert_eq!(cold.origins(), [Origin::Popularity; 5]);
    user.observe_items(&[3, 7]).unwrap();
    let best = user.recommend(5).unwrap();
    assert_eq!(best.origins(), [Origin::QNetwork; 5]);
    let chain = [
        "encode mcrl",
        "scan items",
        "encode mcrl",
        "value mcrl",
        "rank mcrl",
    ];
    assert_eq!(stages(&best), chain);
    // By hand, the same.
    let broad = user.retrieve(By::Encoder, ITEMS, &filter).unwrap();
    let ranked = user.rank(Judge::QNetwork, &broad, 5, &filter).unwrap();
    assert_eq!(ranked.items(), best.items());
    assert_eq!(ranked.scores(), best.scores());
    assert_eq!(stages(&ranked), chain[2..]);
    // What the call says goes before what the recipe says.
    let other = user.recommend_with(5, &filter, &weighing("separate", 1.0));
    let other = other.unwrap();
    let options = by("separate");
    let alone = user.rank_with(Judge::QNetwork, broad.items(), 5, &filter, &options);
    assert_eq!(other.items(), alone.unwrap().items());
    assert_eq!(stages(&other).last(), Some(&"rank separate"));
    let whole = user.retrieve_with(By::QNetwork, 5, &filter, &by("direct"));
    let whole = whole.unwrap();
    assert_eq!(
        stages(&whole),
        ["encode mcrl", "value direct", "scan values"]
    );
}

#[test]
fn a_step_that_ranks_drops_what_it_does_not_rank() {
    let folder = changed::copy(BUNDLE, |manifest| {
        let steps = &mut manifest["recipe"]["steps"];
        steps[0]["count"] = 8.into();
        steps[1]["count"] = 4.into();
        let mut last = steps[1].clone();
        last["q_network"] = "direct".into();
        steps.as_array_mut().unwrap().push(last);
    });
    let engine = Engine::open(folder.path()).unwrap();
    let mut user = engine.recommender();
    user.observe_items(&[3, 7]).unwrap();
    let filter = Filter::default();
    let broad = user.retrieve(By::Encoder, 8, &filter).unwrap();
    let best = user.recommend(2).unwrap();
    assert!(best.items().iter().all(|i| broad.items()[..4].contains(i)));
    let counts: Vec<usize> = best.stages().iter().map(|stage| stage.items).collect();
    assert_eq!(counts, [0, 8, 0, 0, 4, 0, 0, 4]);
    let first = broad.top(4);
    let first = user.rank(Judge::QNetwork, &first, 4, &filter).unwrap();
    let options = weighing("direct", 0.5);
    let second = user.rank_with(Judge::QNetwork, &first, 2, &filter, &options);
    assert_eq!(best.items(), second.unwrap().items());
    // Who asks for more gets more.
    assert_eq!(user.recommend(6).unwrap().len(), 6);
}

#[test]
fn a_batch_gives_each_user_what_it_gets_alone() {
    let (golden, engine) = (Golden::read("tiny-values"), engine());
    let filter = Filter::new().exclude([3]);
    for name in NETWORKS {
        let mut options = by(name);
        options.arrangement = Arrangement::new().boost(5, 0.3).pin(9, 2).diversity(0.8);
        let mut together = users(&engine, &golden);
        let mut alone = together.clone();
        let recommended = engine.recommend_batch(&mut together, 10, &filter, &options);
        let retrieved = engine.retrieve_batch(&mut together, By::QNetwork, 10, &filter, &options);
        let lists = recommended.unwrap().into_iter().zip(retrieved.unwrap());
        for (user, (recommended, retrieved)) in alone.iter_mut().zip(lists) {
            let own = user.recommend_with(10, &filter, &options).unwrap();
            assert_eq!(recommended.items(), own.items());
            assert_eq!(recommended.origins(), own.origins());
            assert_eq!(stages(&recommended), stages(&own));
            assert_close_but_for_nan(recommended.scores(), own.scores(), name);
            assert!(!own.items().contains(&3));
            let own = user.retrieve_with(By::QNetwork, 10, &filter, &options);
            assert_eq!(retrieved.items(), own.unwrap().items());
        }
    }
}

#[test]
fn a_batch_of_several_runs_gives_each_user_what_it_gets_alone() {
    // All items of 2000 users are more numbers than come out of one run.
    let engine = engine();
    let (filter, options) = (Filter::default(), by("direct"));
    let mut two = [engine.recommender(), engine.recommender()];
    two[0].observe_items(&[3, 7]).unwrap();
    two[1].observe_items(&[12]).unwrap();
    let alone = two.each_mut().map(|user| {
        let best = user.retrieve_with(By::QNetwork, 3, &filter, &options);
        best.unwrap().items().to_vec()
    });
    let mut users: Vec<Recommender> = two.iter().cycle().take(2000).cloned().collect();
    let batch = engine.retrieve_batch(&mut users, By::QNetwork, 3, &filter, &options);
    for (place, best) in batch.unwrap().iter().enumerate() {
        assert_eq!(best.items(), alone[place % 2]);
    }
}

#[test]
fn what_one_user_dislikes_changes_nothing_for_others_in_a_batch() {
    let folder = changed::copy(BUNDLE, |manifest| {
        manifest["recipe"]["steps"][0]["count"] = 3.into();
    });
    let engine = Engine::open(folder.path()).unwrap();
    let mut user = engine.recommender();
    user.observe_items(&[3, 7]).unwrap();
    let mut other = user.clone();
    other.dislike(&[26]).unwrap();
    let (filter, options) = (Filter::default(), CallOptions::default());
    let alone = user.recommend(3).unwrap();
    let broad = user.retrieve(By::Encoder, 3, &filter).unwrap();
    assert!(broad.items().iter().all(|i| alone.items().contains(i)));
    let batch = engine.recommend_batch([&mut other, &mut user], 3, &filter, &options);
    let batch = batch.unwrap();
    assert_eq!(batch[1].items(), alone.items());
    assert_eq!(batch[1].scores(), alone.scores());
    // Nor what is a candidate for the one who dislikes.
    assert!(batch[0].items().iter().all(|i| broad.items().contains(i)));
}

#[test]
fn boosts_and_pins_hold_in_a_chain() {
    let engine = engine();
    let mut user = engine.recommender();
    user.observe_items(&[3, 7]).unwrap();
    let plain = user.recommend(10).unwrap();
    let last = *plain.items().last().unwrap();
    let mut options = CallOptions::default();
    options.arrangement = Arrangement::new()
        .boost(last, 100.0)
        .pin(plain.items()[0], 3);
    let best = user.recommend_with(10, &Filter::default(), &options);
    let best = best.unwrap();
    assert_eq!((best.items()[0], best.items()[2]), (last, plain.items()[0]));
    assert_eq!(best.origins()[2], Origin::Pinned);
    assert_close(&[best.scores()[2]], &[plain.scores()[0]], "the pinned");
}

#[test]
fn the_clock_stops_a_chain_between_its_steps() {
    // The encoder that the Q-network reads never ends for a history of two items.
    let endless = changed::endless();
    changed::change(endless.path(), |manifest| {
        manifest["q_networks"] = json!({ "slow": { "encoder": "sasrec", "output": "items" } });
        manifest["recipe"]["steps"] = json!([
            { "retrieve": "popularity", "count": 10 },
            { "rank": "q_network", "q_network": "slow", "count": 10 },
        ]);
    });
    let engine = Engine::open(endless.path()).unwrap();
    let mut user = engine.recommender();
    user.observe_items(&[3, 7]).unwrap();
    let mut options = CallOptions::default();
    options.deadline = Some(Duration::from_millis(50));
    let filter = Filter::default();
    let cut = user.recommend_with(5, &filter, &options).unwrap();
    let popular = user.retrieve(By::Popularity, 5, &filter).unwrap();
    assert_eq!(cut.items(), popular.items());
    assert_eq!(cut.stopped_after(), Some("scan counts"));
    let mut users = [engine.recommender(), user.clone()];
    let cut = engine.recommend_batch(&mut users, 5, &filter, &options);
    let stopped: Vec<_> = cut.iter().flatten().map(Ranking::stopped_after).collect();
    assert_eq!(stopped, [None, Some("scan counts")]);
    // By itself, ranking has nothing to give back.
    let outcome = user.rank_with(Judge::QNetwork, &popular, 5, &filter, &options);
    assert!(
        matches!(outcome, Err(Error::DeadlineExceeded)),
        "{outcome:?}"
    );
}

#[test]
fn what_does_not_go_is_said() {
    let engine = engine();
    let mut user = engine.recommender();
    user.observe_items(&[3, 7]).unwrap();
    let filter = Filter::default();
    let mut fails = |words: &[&str], candidates: (&[u32], &[f32]), options: &CallOptions| {
        let outcome = user.rank_with(Judge::QNetwork, &candidates, 5, &filter, options);
        let text = outcome.unwrap_err().to_string();
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
    };
    let sound: (&[u32], &[f32]) = (&[1, 2], &[0.5, 0.25]);
    for weight in [-0.5, 1.5, f32::NAN] {
        fails(&["`weight`", "0 to 1"], sound, &weighing("mcrl", weight));
    }
    fails(&["no Q-network `none`"], sound, &by("none"));
    let plain = CallOptions::default();
    fails(&["`candidates`", "1 scores"], (&[1, 2], &[0.5]), &plain);
    fails(&["item 1 comes twice"], (&[1, 1], &[0.5, 0.5]), &plain);
    fails(&["item 40 "], (&[1, 40], &[0.5, 0.5]), &plain);
    let nothing: (&[u32], &[f32]) = (&[], &[]);
    let none = user.rank_with(Judge::QNetwork, &nothing, 5, &filter, &plain);
    assert!(none.unwrap().is_empty());
    let outcome = user.rank_with(Judge::QNetwork, &[1], 5, &filter, &weighing("mcrl", 0.5));
    let text = outcome.unwrap_err().to_string();
    assert!(text.contains("come without scores"), "{text}");
    let mut other = Engine::open("models/tiny").unwrap().recommender();
    let outcome = other.retrieve(By::QNetwork, 5, &filter);
    let text = outcome.unwrap_err().to_string();
    assert_eq!(text, "the bundle carries no Q-network");
}
