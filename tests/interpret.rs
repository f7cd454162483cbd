//! What a language model says of a recommender's states, against transformers (RecInterpreter).
//!
//! `golden_lm.py` wrote the answers for the interpreter of `models/tiny-lm`: states by ONNX Runtime in Python, the linear layer
//! in numpy, every title by a run of transformers' Llama of its own.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![cfg(feature = "llm")]

mod changed;
mod golden_file;

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use golden_file::GoldenFile;
use oneiro::{Bundle, CallOptions, Cancel, Engine, Error, Origin, Question, Ranking, Sampler};
use safetensors::SafeTensors;
use serde_json::{Value, json};

const BUNDLE: &str = "models/tiny-lm";
const ITEMS: usize = 40;

/// What a log-probability of a title may differ by: float rounding in another order.
const TOLERANCE: f32 = 2e-3;

struct Golden {
    history: Vec<u32>,
    item: u32,
    list: Vec<u32>,
    list_scores: Vec<f32>,
    residual: Vec<f32>,
    dream: Vec<f32>,
    dream_as_item: Vec<f32>,
}

fn golden() -> Vec<Golden> {
    let file = GoldenFile::read("tests/golden/tiny-lm.safetensors");
    let name = |number: usize, kind: &str| format!("interpret.films.{number}.{kind}");
    let one = |number| Golden {
        history: file.items(&name(number, "history")),
        item: file.items(&name(number, "item"))[0],
        list: file.items(&name(number, "list")),
        list_scores: file.numbers(&name(number, "list_scores")),
        residual: file.numbers(&name(number, "residual")),
        dream: file.numbers(&name(number, "dream")),
        dream_as_item: file.numbers(&name(number, "dream_as_item")),
    };
    (0..4).map(one).collect()
}

fn mean() -> CallOptions {
    let mut options = CallOptions::default();
    options.oracle.sampler = Sampler::Mean;
    options
}

#[track_caller]
fn assert_ranked(found: &Ranking, expected: &[f32], what: &str) {
    assert_eq!(found.len(), ITEMS, "{what}");
    let mut last = f32::MAX;
    for (item, score, origin) in found.iter() {
        let expected = expected[item as usize];
        assert!(
            (expected - score).abs() <= TOLERANCE,
            "{what}: {item} scores {score}, by PyTorch {expected}"
        );
        assert!(score <= last, "{what}: the order");
        last = score;
        assert_eq!(origin, Origin::Interpretation);
    }
}

#[test]
fn titles_are_as_likely_as_by_transformers() {
    let engine = Engine::open(BUNDLE).unwrap();
    let mut user = engine.recommender();
    for (number, golden) in golden().into_iter().enumerate() {
        user.forget();
        user.observe_items(&golden.history).unwrap();
        for (question, expected) in [
            (Question::Residual(golden.item), &golden.residual),
            (Question::Dream, &golden.dream),
            (Question::DreamAsItem, &golden.dream_as_item),
        ] {
            let mut text = String::new();
            let found = user.interpret_with(question, ITEMS, &mean(), &mut |piece| {
                text.push_str(piece);
            });
            let found = found.unwrap();
            assert_ranked(&found, expected, &format!("history {number}, {question:?}"));
            let best = engine.catalog().title(found.items()[0]).unwrap();
            assert_eq!(Some(text.as_str()), best);
        }
    }
}

#[test]
fn a_history_is_recovered_title_by_title_as_by_transformers() {
    let engine = Engine::open(BUNDLE).unwrap();
    for (number, golden) in golden().into_iter().enumerate() {
        let mut user = engine.recommender();
        user.observe_items(&golden.history).unwrap();
        let mut pieces = Vec::new();
        let count = golden.list.len();
        let found = user.interpret(Question::Recover, count, &mut |piece| {
            pieces.push(piece.to_owned());
        });
        let found = found.unwrap();
        assert_eq!(found.items(), golden.list, "history {number}");
        for (score, expected) in found.scores().iter().zip(&golden.list_scores) {
            assert!((score - expected).abs() <= TOLERANCE, "{score}, {expected}");
        }
        let titles = golden.list.iter().map(|&item| engine.catalog().title(item));
        let titles: Vec<&str> = titles.map(|title| title.unwrap().unwrap()).collect();
        assert_eq!(pieces.concat(), titles.join(", "));
        assert_eq!(
            pieces.len(),
            2 * count - 1,
            "one piece a title, and one between"
        );
        let first = user.interpret(Question::Recover, 1, &mut |_| {}).unwrap();
        assert_eq!(first.items(), &golden.list[..1]);
    }
}

#[test]
fn equal_titles_come_together() {
    // The first leaf of the tree that has an item takes that of the next, too.
    let folder = changed::copy(BUNDLE, |_| {});
    let mut bytes = fs::read(folder.path().join("title_trie.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let data = |tensor: &str| {
        let data = file.tensor(tensor).unwrap().data();
        let at = data.as_ptr().addr() - bytes.as_ptr().addr();
        let words = data.chunks_exact(4);
        let words = words.map(|word| u32::from_le_bytes(word.try_into().unwrap()));
        (at, words.collect::<Vec<u32>>())
    };
    let (at, starts) = data("item_starts");
    let (_, items) = data("items");
    let shared = &items[..2];
    let moved: Vec<usize> = (0..starts.len())
        .filter(|&node| starts[node] == 1)
        .collect();
    for node in moved {
        let place = at + 4 * node;
        bytes[place..place + 4].copy_from_slice(&2_u32.to_le_bytes());
    }
    changed::replace(folder.path(), "title_trie", &bytes);
    let engine = Engine::open(folder.path()).unwrap();
    let mut user = engine.recommender();
    user.observe_items(&[3]).unwrap();
    let found = user
        .interpret(Question::Residual(9), ITEMS, &mut |_| {})
        .unwrap();
    assert_eq!(found.len(), ITEMS);
    let place = found.items().iter().position(|item| *item == shared[0]);
    let place = place.unwrap();
    assert_eq!(&found.items()[place..place + 2], shared);
    assert_eq!(found.scores()[place], found.scores()[place + 1]);
    let names: Vec<&str> = found.stages().iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["encode affine", "interpret films"]);
}

#[test]
fn what_cannot_be_asked_is_said() {
    let engine = Engine::open(BUNDLE).unwrap();
    let mut user = engine.recommender();
    user.observe_items(&[3, 9]).unwrap();
    let mut ask = |question, count, options: &CallOptions| {
        user.interpret_with(question, count, options, &mut |_| {})
    };
    let default = CallOptions::default();
    let argument = |outcome, parameter: &str| match outcome {
        Err(Error::InvalidArgument { parameter: own, .. }) => assert_eq!(own, parameter),
        other => unreachable!("{other:?}"),
    };
    argument(ask(Question::Recover, 0, &default), "count");
    argument(ask(Question::Recover, 257, &default), "count");
    // It is cold: nobody chose it in training.
    argument(ask(Question::Residual(15), 3, &default), "item");
    let outcome = ask(Question::Residual(40), 3, &default);
    assert!(
        matches!(outcome, Err(Error::UnknownItem { .. })),
        "{outcome:?}"
    );
    let mut draws = CallOptions::default();
    draws.oracle.draws = 2;
    argument(ask(Question::Dream, 3, &draws), "draws");
    let mut other = CallOptions::default();
    other.interpreter = Some("other".into());
    let outcome = ask(Question::Recover, 3, &other);
    assert!(
        matches!(&outcome, Err(Error::Unsupported { what }) if what == "interpreter `other`"),
        "{outcome:?}"
    );
    let mut late = CallOptions::default();
    late.deadline = Some(Duration::ZERO);
    let outcome = ask(Question::Recover, 3, &late);
    assert!(
        matches!(outcome, Err(Error::DeadlineExceeded)),
        "{outcome:?}"
    );
    let stopped = CallOptions::default();
    stopped.cancel.request();
    let outcome = ask(Question::Recover, 3, &stopped);
    assert!(matches!(outcome, Err(Error::Cancelled)), "{outcome:?}");

    let folder = changed::copy(BUNDLE, |manifest| {
        manifest["interpreters"]["films"]["residual"] = Value::Null;
    });
    let engine = Engine::open(folder.path()).unwrap();
    let mut user = engine.recommender();
    for question in [Question::Residual(3), Question::Dream] {
        let outcome = user.interpret(question, 3, &mut |_| {});
        assert!(
            matches!(&outcome, Err(Error::Unsupported { what }) if what.contains("`residual`")),
            "{outcome:?}"
        );
    }
    user.interpret(Question::DreamAsItem, 3, &mut |_| {})
        .unwrap();
}

#[test]
fn a_list_that_is_stopped_or_late_ends_in_order() {
    let engine = Engine::open(BUNDLE).unwrap();
    let mut user = engine.recommender();
    user.observe_items(&[3, 9]).unwrap();
    let started = Instant::now();
    let whole = user.interpret(Question::Recover, 6, &mut |_| {}).unwrap();
    let took = started.elapsed();
    assert_eq!(whole.stopped_after(), None);
    let mut options = CallOptions::default();
    let button = options.cancel.clone();
    let mut titles = 0;
    let outcome = user.interpret_with(Question::Recover, 6, &options, &mut |_| {
        titles += 1;
        button.request();
    });
    assert!(matches!(outcome, Err(Error::Cancelled)), "{outcome:?}");
    assert_eq!(titles, 1);
    options = CallOptions::default();
    options.deadline = Some(Duration::from_secs(1).max(20 * took));
    let late = user.interpret_with(Question::Recover, 6, &options, &mut |_| {
        thread::sleep(Duration::from_secs(1).max(20 * took));
    });
    let late = late.unwrap();
    assert_eq!(late.items(), &whole.items()[..1]);
    assert_eq!(late.stopped_after(), Some("interpret films"));
    let again = user.interpret(Question::Recover, 6, &mut |_| {}).unwrap();
    assert_eq!(again.items(), whole.items());
}

#[test]
fn a_deadline_at_any_moment_leaves_a_beginning_or_says_that_it_struck() {
    let engine = Engine::open(BUNDLE).unwrap();
    let mut user = engine.recommender();
    user.observe_items(&[3, 9]).unwrap();
    let mut ask = |question, deadline| {
        let mut options = CallOptions::default();
        options.deadline = deadline;
        user.interpret_with(question, 6, &options, &mut |_| {})
    };
    for question in [Question::Recover, Question::Residual(5)] {
        // What all users share is read once.
        ask(question, None).unwrap();
        let started = Instant::now();
        let whole = ask(question, None).unwrap();
        let took = started.elapsed();
        let (mut late, mut parts) = (0, 0);
        for tenth in 0..30 {
            match ask(question, Some(took * tenth / 20)) {
                Err(Error::DeadlineExceeded) => late += 1,
                Err(other) => panic!("{other}"),
                Ok(found) if found.stopped_after().is_none() => {
                    assert_eq!(found.items(), whole.items(), "{question:?}");
                }
                Ok(found) => {
                    parts += 1;
                    if question == Question::Recover {
                        assert!(whole.items().starts_with(found.items()));
                        assert!(found.len() < whole.len());
                    }
                }
            }
        }
        assert!(late > 0, "{question:?}");
        if question == Question::Recover {
            assert!(parts > 0, "no deadline struck in the middle");
        }
    }
}

#[test]
fn a_manifest_with_an_interpreter_that_cannot_be_is_refused() {
    let wrong: [(&str, Value, &str); 12] = [
        ("language_model", json!("other"), "language_model"),
        ("adapter", json!("other"), "adapter"),
        ("encoder", json!("other"), "encoder"),
        ("projector", json!("other"), "projector"),
        ("recover", json!("no slot"), "recover"),
        ("recover", json!("{state} and {state}"), "recover"),
        ("residual", json!("{after} {before}"), "residual"),
        ("residual", json!("{before}"), "residual"),
        ("item", json!("{state}"), "item"),
        ("beams", json!(0), "beams"),
        ("beams", json!(257), "beams"),
        ("more", json!(1), "more"),
    ];
    for (field, value, at) in wrong {
        let folder = changed::copy(BUNDLE, |manifest| {
            manifest["interpreters"]["films"][field] = value.clone();
        });
        let error = Engine::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("interpreters.films"), "{error}");
        assert!(error.contains(at), "{error}");
    }
    let folder = changed::copy(BUNDLE, |manifest| {
        for field in ["recover", "residual", "item"] {
            manifest["interpreters"]["films"][field] = Value::Null;
        }
    });
    let error = Engine::open(folder.path()).unwrap_err().to_string();
    assert!(
        error.contains("a text for at least one question"),
        "{error}"
    );
    let folder = changed::copy(BUNDLE, |manifest| {
        manifest["language_models"]["lm"]["titles"] = Value::Null;
    });
    let error = Engine::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("a language model with `titles`"), "{error}");
    // A projector for other widths.
    let folder = changed::copy(BUNDLE, |manifest| {
        manifest["interpreters"]["films"]["projector"] = json!("projected");
    });
    let error = Engine::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("projected"), "{error}");
}

#[test]
fn a_projector_with_numbers_that_are_none_is_found_by_verify() {
    let folder = changed::copy(BUNDLE, |_| {});
    let mut bytes = fs::read(folder.path().join("films.projector.safetensors")).unwrap();
    let end = bytes.len();
    bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    changed::replace(folder.path(), "films.projector", &bytes);
    let bundle = Bundle::open(folder.path()).unwrap();
    let error = bundle
        .verify(&Cancel::new(), &mut |_, _| {})
        .unwrap_err()
        .to_string();
    assert!(error.contains("films.projector"), "{error}");
}

struct Explained {
    history: Vec<u32>,
    item: u32,
    seen: Vec<u32>,
    drops: Vec<f32>,
    /// The sentences that can be, the likeliest first.
    sentences: Vec<String>,
}

fn explained() -> Vec<Explained> {
    let file = GoldenFile::read("tests/golden/tiny-lm.safetensors");
    let name = |kind: &str| format!("explain.why.{kind}");
    let texts = String::from_utf8(file.bytes(&name("texts.bytes"))).unwrap();
    let offsets = file.bytes(&name("texts.offsets"));
    let offsets = offsets
        .chunks_exact(4)
        .map(|word| u32::from_le_bytes(word.try_into().unwrap()) as usize);
    let offsets: Vec<usize> = offsets.collect();
    let one = |number: usize| Explained {
        history: file.items(&name(&format!("{number}.history"))),
        item: file.items(&name(&format!("{number}.item")))[0],
        seen: file.items(&name(&format!("{number}.seen"))),
        drops: file.numbers(&name(&format!("{number}.drops"))),
        sentences: texts[offsets[number]..offsets[number + 1]]
            .lines()
            .map(Into::into)
            .collect(),
    };
    (0..offsets.len() - 1).map(one).collect()
}

#[test]
fn an_explanation_names_what_raises_the_score_as_by_transformers() {
    let engine = Engine::open(BUNDLE).unwrap();
    let mut sentences = 0;
    for (number, golden) in explained().into_iter().enumerate() {
        let mut user = engine.recommender();
        user.observe_items(&golden.history).unwrap();
        let mut text = String::new();
        let found = user
            .interpret(Question::Explain(golden.item), 256, &mut |piece| {
                text.push_str(piece);
            })
            .unwrap();
        assert_eq!(found.items(), golden.seen, "history {number}");
        for (drop, expected) in found.scores().iter().zip(&golden.drops) {
            assert!((drop - expected).abs() < 1e-4, "{drop}, {expected}");
        }
        assert!(
            found
                .origins()
                .iter()
                .all(|one| *one == Origin::Attribution)
        );
        assert_eq!(text, golden.sentences.first().map_or("", String::as_str));
        sentences += golden.sentences.len();
        let mut again = String::new();
        let top = user.interpret(Question::Explain(golden.item), 1, &mut |piece| {
            again.push_str(piece);
        });
        assert_eq!(top.unwrap().items(), &golden.seen[..1]);
        assert_eq!(again, text, "the number of items is the ranking's");
    }
    assert!(sentences > 7, "the goldens leave a choice");
}

#[test]
fn an_item_without_a_score_is_not_explained_nor_anything_by_no_history() {
    let engine = Engine::open(BUNDLE).unwrap();
    let mut user = engine.recommender();
    let mut pieces = 0;
    let nothing = user.interpret(Question::Explain(3), 5, &mut |_| pieces += 1);
    assert!(nothing.unwrap().is_empty());
    assert_eq!(pieces, 0);
    user.observe_items(&[3, 9]).unwrap();
    let outcome = user.interpret(Question::Explain(15), 5, &mut |_| {});
    assert!(
        matches!(&outcome, Err(Error::InvalidArgument { parameter, .. }) if *parameter == "item"),
        "{outcome:?}"
    );
    let outcome = user.interpret(Question::Explain(40), 5, &mut |_| {});
    assert!(
        matches!(outcome, Err(Error::UnknownItem { .. })),
        "{outcome:?}"
    );
}

#[test]
fn a_manifest_with_an_explainer_that_cannot_be_is_refused() {
    let wrong: [(&str, Value, &str); 9] = [
        ("prompt", json!("other"), "prompt"),
        ("prompt", json!("hybrid"), "prompt"),
        ("encoder", json!("other"), "encoder"),
        ("sentences", json!([]), "sentences"),
        ("sentences", json!(["{first}"]), "sentences"),
        ("sentences", json!(["{first}", "{second}"]), "sentences[1]"),
        ("sentences", json!(["{first}{first}"]), "sentences[0]"),
        ("tags", json!("year"), "tags"),
        ("tags", Value::Null, "tags"),
    ];
    for (field, value, at) in wrong {
        let folder = changed::copy(BUNDLE, |manifest| {
            manifest["explainers"]["why"][field] = value.clone();
        });
        let error = Engine::open(folder.path()).unwrap_err().to_string();
        let at = format!("explainers.why.{at}");
        assert!(error.contains(&at), "{at}: {error}");
    }
}
