//! What a language model writes about a history becomes items, as BIGRec has it.
//!
//! `golden_lm.py` wrote what transformers answers for the generator of `models/tiny-lm`: texts by beam search with the
//! prompt's adapter, points of them without it, and in f64 the distances of the points to the rows of all titles.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![cfg(feature = "llm")]

mod changed;
#[allow(dead_code, reason = "each test takes its part")]
mod golden_file;

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use golden_file::GoldenFile;
use oneiro::{
    BeamOptions, By, CallOptions, Engine, Error, Filter, Grounding, Judge, OnText, Origin, Prompt,
    Ranking, Seen, TitleOptions,
};
use parking_lot::Mutex;
use serde_json::{Value, json};

const BUNDLE: &str = "models/tiny-lm";
const ITEMS: usize = 40;

/// What distances may differ by: float rounding in another order.
const TOLERANCE: f32 = 1e-4;

/// What comes of one history.
struct Golden {
    history: Vec<u32>,
    /// Of every item to the likeliest text, and to the nearest of all texts.
    distances: Vec<f32>,
    nearest: Vec<f32>,
    /// The first, weighed as the bundle has it.
    weighed: Vec<f32>,
}

fn golden() -> Vec<Golden> {
    let file = GoldenFile::read("tests/golden/tiny-lm.safetensors");
    let name = |number: usize, kind: &str| format!("generate.bigrec.{number}.{kind}");
    let one = |number| Golden {
        history: file.items(&name(number, "history")),
        distances: file.numbers(&name(number, "distances")),
        nearest: file.numbers(&name(number, "nearest")),
        weighed: file.numbers(&name(number, "weighed")),
    };
    (0..4).map(one).collect()
}

fn options(grounding: Grounding, gamma: Option<f32>) -> CallOptions {
    let mut options = CallOptions::default();
    options.generator.grounding = grounding;
    options.generator.gamma = gamma;
    options
}

/// All items that may rank, with scores that are minus what is expected, the least first.
#[track_caller]
fn assert_ranked(found: &Ranking, expected: &[f32], what: &str) {
    assert_eq!(found.items().len(), ITEMS, "{what}");
    let mut last = f32::MIN;
    for (item, score, origin) in found.iter() {
        let expected = expected[item as usize];
        assert!(
            (expected + score).abs() <= TOLERANCE,
            "{what}: {item} is {} away, by PyTorch {expected}",
            -score
        );
        assert!(expected >= last - TOLERANCE, "{what}: the order");
        last = expected.max(last);
        assert_eq!(origin, Origin::Generate);
    }
}

#[test]
fn items_are_as_far_away_as_by_pytorch() {
    let engine = Engine::open(BUNDLE).unwrap();
    let all = Filter::default().seen(Seen::Allow);
    let mut same = engine.recommender();
    for (number, golden) in golden().into_iter().enumerate() {
        let mut new = engine.recommender();
        same.forget();
        for user in [&mut same, &mut new] {
            user.observe_items(&golden.history).unwrap();
            for (grounding, gamma, expected) in [
                (Grounding::Best, Some(0.0), &golden.distances),
                (Grounding::All, Some(0.0), &golden.nearest),
                (Grounding::Best, None, &golden.weighed),
            ] {
                let options = options(grounding, gamma);
                let found = user
                    .retrieve_with(By::Generate, ITEMS, &all, &options)
                    .unwrap();
                let what = format!("history {number}, {grounding:?}, {gamma:?}");
                assert_ranked(&found, expected, &what);
                assert_eq!(found.stages()[0].name, "generate bigrec");
            }
            assert!(user.cached_bytes() > 0);
        }
    }
}

#[test]
fn weights_count_as_much_as_gamma_says() {
    let engine = Engine::open(BUNDLE).unwrap();
    let all = Filter::default().seen(Seen::Allow);
    let mut user = engine.recommender();
    user.observe_items(&[3, 9]).unwrap();
    let mut ask = |gamma| {
        let mut options = options(Grounding::Best, Some(gamma));
        options.generator.weigh = Some(Judge::Popularity);
        let found = user.retrieve_with(By::Generate, ITEMS, &all, &options);
        found.unwrap()
    };
    let near = ask(0.0);
    let counts = |item| engine.catalog().count(item).unwrap();
    let most = (0..ITEMS as u32).map(counts).max().unwrap();
    let least = (0..ITEMS as u32).map(counts).min().unwrap();
    let (nearest, farthest) = (near.scores()[0], near.scores()[ITEMS - 1]);
    for gamma in [0.5, 30.0] {
        let weighed = |item: u32, score: f32| {
            let far = f64::from(nearest - score) / f64::from(nearest - farthest);
            let share = f64::from(counts(item) - least) / f64::from(most - least);
            far * (1.0 + share).powf(-f64::from(gamma))
        };
        let mut expected: Vec<(u32, f64)> = near
            .iter()
            .map(|(item, score, _)| (item, weighed(item, score)))
            .collect();
        expected.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
        let found = ask(gamma);
        for ((item, score, _), (own, expected)) in found.iter().zip(expected) {
            assert_eq!(item, own, "γ {gamma}");
            assert!((expected + f64::from(score)).abs() < 1e-6, "γ {gamma}");
        }
        // The nearest remains first, whatever counts: it is 0 away of 1.
        assert_eq!(found.items()[0], near.items()[0]);
    }
}

#[test]
fn constrained_it_writes_a_title_of_the_catalog() {
    let engine = Engine::open(BUNDLE).unwrap();
    let all = Filter::default().seen(Seen::Allow);
    let mut user = engine.recommender();
    user.observe_items(&[3, 9]).unwrap();
    let options = options(Grounding::Title, Some(0.0));
    let found = user.retrieve_with(By::Generate, 5, &all, &options).unwrap();
    let mut model = engine.language_model(Some("lm")).unwrap();
    model.adapt(Some("taste")).unwrap();
    let title = |item| engine.catalog().title(item).unwrap().unwrap();
    let prompt = Prompt::new().text("After \"").title(title(3));
    let prompt = prompt.text("\", \"").title(title(9)).text("\" comes: ");
    let mut options = TitleOptions::default();
    (options.count, options.beams) = (1, 3);
    let likeliest = model.titles(&prompt, &options).unwrap();
    assert_eq!(found.items()[0], likeliest[0].items[0]);
    assert_eq!(found.scores()[0], 0.0);
}

#[test]
fn many_users_get_what_each_gets_alone() {
    let engine = Engine::open(BUNDLE).unwrap();
    let mut users = vec![engine.recommender(); 3];
    for (user, history) in users.iter_mut().zip([&[3, 9][..], &[1], &[30, 2, 5]]) {
        user.observe_items(history).unwrap();
    }
    let filter = Filter::default();
    for (grounding, gamma) in [
        (Grounding::Best, None),
        (Grounding::Best, Some(0.0)),
        (Grounding::All, Some(0.0)),
    ] {
        let options = options(grounding, gamma);
        let together = engine
            .retrieve_batch(&mut users, By::Generate, 6, &filter, &options)
            .unwrap();
        for (user, found) in users.iter_mut().zip(together) {
            assert_eq!(user.cached_bytes(), 0);
            let alone = user
                .retrieve_with(By::Generate, 6, &filter, &options)
                .unwrap();
            user.trim();
            assert_eq!(alone.items(), found.items(), "{grounding:?}, {gamma:?}");
            for (own, other) in alone.scores().iter().zip(found.scores()) {
                assert!(
                    (own - other).abs() <= TOLERANCE,
                    "{own} alone, {other} of many"
                );
            }
        }
    }
}

#[test]
fn requests_at_any_moment_end_in_an_answer_or_in_cancelled_and_deadlines_too() {
    let engine = Engine::open(BUNDLE).unwrap();
    let mut user = engine.recommender();
    user.observe_items(&[3, 9]).unwrap();
    let filter = Filter::default();
    let whole = user
        .retrieve_with(By::Generate, 5, &filter, &CallOptions::default())
        .unwrap();
    let (mut stopped, mut late) = (0, 0);
    for round in 0..60 {
        let mut options = CallOptions::default();
        let moment = Duration::from_micros(round * 100);
        let by_request = round % 2 == 0;
        let button = options.cancel.clone();
        if !by_request {
            options.deadline = Some(moment);
        }
        user.trim();
        let found = thread::scope(|scope| {
            if by_request {
                scope.spawn(move || {
                    thread::sleep(moment);
                    button.request();
                });
            }
            user.retrieve_with(By::Generate, 5, &filter, &options)
        });
        match found {
            Ok(found) => assert_eq!(found.items(), whole.items()),
            Err(Error::Cancelled) => stopped += 1,
            Err(Error::DeadlineExceeded) => late += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert!(
        stopped > 0 && late > 0,
        "none came in time to stop anything"
    );
    let again = user.retrieve_with(By::Generate, 5, &filter, &CallOptions::default());
    assert_eq!(again.unwrap().items(), whole.items());
}

#[test]
fn what_cannot_be_is_said_and_a_stop_does_no_harm() {
    let engine = Engine::open(BUNDLE).unwrap();
    let mut user = engine.recommender();
    user.observe_items(&[3, 9]).unwrap();
    let mut ask =
        |options: &CallOptions| user.retrieve_with(By::Generate, 5, &Filter::default(), options);
    let whole = ask(&CallOptions::default()).unwrap();
    let mut wrong = options(Grounding::Best, Some(-2.0));
    let refused = |outcome, parameter: &str| match outcome {
        Err(Error::InvalidArgument { parameter: own, .. }) => assert_eq!(own, parameter),
        other => unreachable!("{other:?}"),
    };
    refused(ask(&wrong), "gamma");
    wrong.generator.gamma = None;
    wrong.generator.weigh = Some(Judge::LanguageModel);
    refused(ask(&wrong), "weigh");
    let folder = changed::copy(BUNDLE, |manifest| {
        manifest["generators"]["bigrec"]["weigh"] = Value::Null;
        manifest["generators"]["bigrec"]["gamma"] = json!(0.0);
    });
    let bare = Engine::open(folder.path()).unwrap();
    let mut other = bare.recommender();
    other.observe_items(&[3, 9]).unwrap();
    let mut ask_other =
        |options: &CallOptions| other.retrieve_with(By::Generate, 5, &Filter::default(), options);
    ask_other(&CallOptions::default()).unwrap();
    refused(ask_other(&options(Grounding::Best, Some(1.0))), "gamma");
    wrong.generator.weigh = Some(Judge::Popularity);
    refused(ask_other(&wrong), "weigh");
    let mut other = CallOptions::default();
    other.generator.name = Some("other".into());
    for by in [By::Generate, By::Popularity] {
        let outcome = user.retrieve_with(by, 5, &Filter::default(), &other);
        assert!(
            matches!(&outcome, Err(Error::Unsupported { what }) if what == "generator `other`"),
            "{outcome:?}"
        );
    }
    let mut ask =
        |options: &CallOptions| user.retrieve_with(By::Generate, 5, &Filter::default(), options);
    let stopped = CallOptions::default();
    stopped.cancel.request();
    let outcome = ask(&stopped);
    assert!(matches!(outcome, Err(Error::Cancelled)), "{outcome:?}");
    let again = ask(&CallOptions::default()).unwrap();
    assert_eq!(
        (again.items(), again.scores()),
        (whole.items(), whole.scores())
    );
}

#[test]
fn the_text_is_told_while_it_is_searched() {
    let engine = Engine::open(BUNDLE).unwrap();
    let mut user = engine.recommender();
    user.observe_items(&[3, 9]).unwrap();
    let filter = Filter::default();
    let pieces = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&pieces);
    let mut options = options(Grounding::Best, None);
    options.on_text = Some(OnText::new(move |piece| {
        told.lock().push(piece.to_owned());
    }));
    let found = user.retrieve_with(By::Generate, 5, &filter, &options);
    let mut model = engine.language_model(Some("lm")).unwrap();
    model.adapt(Some("taste")).unwrap();
    let title = |item| engine.catalog().title(item).unwrap().unwrap();
    let prompt = Prompt::new().text("After \"").title(title(3));
    let prompt = prompt.text("\", \"").title(title(9)).text("\" comes: ");
    let mut asked = BeamOptions::default();
    (asked.beams, asked.tokens) = (3, 12);
    let best = model.search(&prompt, &asked).unwrap().swap_remove(0);
    let written = std::mem::take(&mut *pieces.lock());
    assert_eq!(written.concat(), best.text);
    assert!(written.iter().all(|piece| !piece.is_empty()));
    let plain = user.retrieve_with(By::Generate, 5, &filter, &CallOptions::default());
    assert_eq!(found.unwrap().items(), plain.unwrap().items());
    // One hypothesis is certain from the first token on.
    let folder = changed::copy(BUNDLE, |manifest| {
        manifest["generators"]["bigrec"]["beams"] = json!(1);
    });
    let greedy = Engine::open(folder.path()).unwrap();
    let mut other = greedy.recommender();
    other.observe_items(&[3, 9]).unwrap();
    other
        .retrieve_with(By::Generate, 5, &filter, &options)
        .unwrap();
    let written = std::mem::take(&mut *pieces.lock());
    asked.beams = 1;
    let best = model.search(&prompt, &asked).unwrap().swap_remove(0);
    assert_eq!(written.concat(), best.text);
    assert!(written.len() > 3, "{written:?}");
    // Of many users nothing is told.
    let mut users = vec![user.clone(), user];
    engine
        .retrieve_batch(&mut users, By::Generate, 5, &filter, &options)
        .unwrap();
    assert!(pieces.lock().is_empty());
    options.generator.grounding = Grounding::Title;
    options.generator.gamma = Some(0.0);
    let found = users[0].retrieve_with(
        By::Generate,
        1,
        &Filter::default().seen(Seen::Allow),
        &options,
    );
    assert_eq!(pieces.lock().concat(), title(found.unwrap().items()[0]));
}

#[test]
fn a_recipe_may_generate() {
    let folder = changed::copy(BUNDLE, |manifest| {
        manifest["recipe"]["steps"] = json!([
            { "retrieve": "generate", "generator": "bigrec", "count": 10 },
            { "rank": "language_model", "prompt": "hybrid", "count": 3 },
        ]);
    });
    let engine = Engine::open(folder.path()).unwrap();
    let mut user = engine.recommender();
    let cold = user.recommend(3).unwrap();
    assert!(cold.origins().iter().all(|one| *one == Origin::Popularity));
    user.observe_items(&[3, 9]).unwrap();
    let found = user.recommend(3).unwrap();
    let names: Vec<&str> = found.stages().iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names[0], "generate bigrec");
    assert_eq!(names[names.len() - 1], "rank hybrid");
}

#[test]
fn a_manifest_with_a_generator_that_cannot_be_is_refused() {
    let wrong: [(&str, Value, &str); 11] = [
        ("prompt", json!("other"), "prompt"),
        ("prompt", json!("hybrid"), "prompt"),
        ("space", json!("other"), "space"),
        ("space", json!("projected"), "space"),
        ("beams", json!(0), "beams"),
        ("beams", json!(257), "beams"),
        ("tokens", json!(0), "tokens"),
        ("gamma", json!(-1.0), "gamma"),
        ("weigh", json!("generate"), "weigh"),
        ("weigh", json!("oracle"), "weigh"),
        ("weigh", json!("q_network"), "weigh"),
    ];
    for (field, value, at) in wrong {
        let folder = changed::copy(BUNDLE, |manifest| {
            manifest["generators"]["bigrec"][field] = value.clone();
        });
        let error = Engine::open(folder.path()).unwrap_err().to_string();
        assert!(
            error.contains(&format!("generators.bigrec.{at}")),
            "{error}"
        );
    }
    let folder = changed::copy(BUNDLE, |manifest| {
        manifest["generators"]["bigrec"]["weigh"] = Value::Null;
    });
    let error = Engine::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("generators.bigrec.weigh"), "{error}");
    let folder = changed::copy(BUNDLE, |manifest| {
        for kind in ["encoders", "oracles", "interpreters"] {
            manifest[kind] = json!({});
        }
        manifest["generators"]["bigrec"]["weigh"] = json!("encoder");
    });
    let error = Engine::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("generators.bigrec.weigh"), "{error}");
    for (what, field, value) in [
        ("begin", "begin", Value::Null),
        ("stop", "stop", json!([])),
        ("head", "head", Value::Null),
    ] {
        let folder = changed::copy(BUNDLE, |manifest| {
            manifest["language_models"]["lm"][field] = value;
        });
        let error = Engine::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains(&format!("with a `{what}`")), "{error}");
    }
    let folder = changed::copy(BUNDLE, |manifest| {
        manifest["spaces"]["text"]["bias"] = json!(true);
    });
    let error = Engine::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("generators.bigrec.space"), "{error}");
    let folder = changed::copy(BUNDLE, |manifest| {
        manifest["prompts"]["write"]["candidates"] = json!(3);
    });
    let error = Engine::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("prompts.write.candidates"), "{error}");
}
