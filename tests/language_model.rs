//! Language models answer as the transformers library does, however their rows are read, and fail without harm.
//!
//! `models/tiny-lm` has one network in two forms: `lm` reads a tree in one run, `plain` is as onnxruntime-genai's builder
//! makes them. `golden_lm.py` wrote what transformers answers: all logits, continuations, and the score of every title.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]
#![cfg(feature = "llm")]

mod changed;

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use oneiro::{
    Bundle, Cancel, Ended, Engine, Error, GenerateOptions, LanguageModel, Precision, Prompt,
};
use proptest::prelude::*;
use safetensors::SafeTensors;
use serde_json::{Value, json};

const BUNDLE: &str = "models/tiny-lm";
const MODELS: [&str; 2] = ["lm", "plain"];

/// What logits and scores may differ by: float rounding in another order.
const TOLERANCE: f32 = 1e-4;

struct Golden {
    cases: Vec<Case>,
    /// Texts and titles with their tokens.
    pieces: Vec<(String, Vec<u32>)>,
    titles: Vec<Vec<u32>>,
}

struct Case {
    prompt: String,
    /// The begin token first.
    ids: Vec<u32>,
    /// `[S]` of `[V]`.
    logits: Vec<Vec<f32>>,
    greedy: Vec<u32>,
    scores: Vec<f32>,
}

impl Golden {
    fn read() -> Self {
        let bytes = fs::read("tests/golden/tiny-lm.safetensors").unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let data = |name: &str| file.tensor(name).unwrap().data().to_vec();
        let whole = |name: &str| -> Vec<u32> {
            let data = data(name);
            let numbers = data
                .chunks_exact(8)
                .map(|n| i64::from_le_bytes(n.try_into().unwrap()));
            numbers
                .map(|number| u32::try_from(number).unwrap())
                .collect()
        };
        let words = |name: &str| -> Vec<u32> {
            let data = data(name);
            let words = data
                .chunks_exact(4)
                .map(|n| u32::from_le_bytes(n.try_into().unwrap()));
            words.collect()
        };
        let floats =
            |name: &str| -> Vec<f32> { words(name).into_iter().map(f32::from_bits).collect() };
        let strings = |name: &str| -> Vec<String> {
            let (ends, bytes) = (
                words(&format!("{name}.offsets")),
                data(&format!("{name}.bytes")),
            );
            let string = |ends: &[u32]| bytes[ends[0] as usize..ends[1] as usize].to_vec();
            ends.windows(2)
                .map(|ends| String::from_utf8(string(ends)).unwrap())
                .collect()
        };
        let lists = |name: &str| -> Vec<Vec<u32>> {
            let mut tokens = whole(&format!("{name}.tokens"));
            let lengths = whole(&format!("{name}.lengths")).into_iter();
            lengths
                .map(|length| tokens.drain(..length as usize).collect())
                .collect()
        };
        let case = |(number, prompt): (usize, String)| {
            let ids = whole(&format!("text{number}.ids"));
            let logits = floats(&format!("text{number}.logits"));
            assert_eq!(whole(&format!("titles{number}.prompt")), ids);
            Case {
                prompt,
                logits: logits
                    .chunks(logits.len() / ids.len())
                    .map(<[f32]>::to_vec)
                    .collect(),
                ids,
                greedy: whole(&format!("text{number}.greedy")),
                scores: floats(&format!("titles{number}.scores")),
            }
        };
        Self {
            cases: strings("prompts")
                .into_iter()
                .enumerate()
                .map(case)
                .collect(),
            pieces: strings("pieces").into_iter().zip(lists("pieces")).collect(),
            titles: lists("titles"),
        }
    }
}

/// Tokens as a prompt; the model puts its begin token in front by itself.
fn prompt(ids: &[u32]) -> Prompt {
    ids[1..]
        .iter()
        .fold(Prompt::new(), |prompt, &token| prompt.token(token))
}

fn model(engine: &Engine, name: &str) -> LanguageModel {
    engine.language_model(Some(name)).unwrap()
}

fn titles(engine: &Engine) -> Vec<String> {
    let catalog = engine.catalog();
    let title = |item| catalog.title(item).unwrap().unwrap().to_owned();
    (0..catalog.len()).map(title).collect()
}

#[track_caller]
fn assert_close(found: &[f32], expected: &[f32], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (place, (found, expected)) in found.iter().zip(expected).enumerate() {
        let close = (found - expected).abs() <= TOLERANCE;
        assert!(close, "{what}, at {place}: {found}, expected {expected}");
    }
}

#[test]
fn a_text_is_the_same_tokens_as_in_python() {
    let (engine, golden) = (Engine::open(BUNDLE).unwrap(), Golden::read());
    let model = model(&engine, "lm");
    for (text, tokens) in &golden.pieces {
        assert_eq!(model.encode(text).unwrap(), *tokens, "{text:?}");
    }
    for (title, tokens) in titles(&engine).iter().zip(&golden.titles) {
        assert_eq!(model.encode(title).unwrap(), *tokens, "{title:?}");
    }
    for case in &golden.cases {
        assert_eq!(
            model.encode(&case.prompt).unwrap(),
            case.ids[1..],
            "{:?}",
            case.prompt
        );
    }
}

#[test]
fn logits_are_those_of_transformers_read_at_once_one_by_one_and_after_going_back() {
    let (engine, golden, cancel) = (Engine::open(BUNDLE).unwrap(), Golden::read(), Cancel::new());
    for name in MODELS {
        let (mut growing, mut back) = (model(&engine, name), model(&engine, name));
        for case in &golden.cases {
            let whole = prompt(&case.ids);
            for (row, expected) in case.logits.iter().enumerate() {
                let after = format!("`{name}` after {} rows of {:?}", row + 1, case.prompt);
                let part = prompt(&case.ids[..=row]);
                let found = model(&engine, name).logits(&part, &cancel).unwrap();
                assert_close(&found, expected, &format!("{after}, at once"));
                let found = growing.logits(&part, &cancel).unwrap();
                assert_close(&found, expected, &format!("{after}, one by one"));
                back.logits(&whole, &cancel).unwrap();
                let found = back.logits(&part, &cancel).unwrap();
                assert_close(&found, expected, &format!("{after}, going back"));
                let mut other = case.ids[..=row].to_vec();
                other.extend([17, 23, 5]);
                back.logits(&prompt(&other), &cancel).unwrap();
                let found = back.logits(&whole, &cancel).unwrap();
                let last = case.logits.last().unwrap();
                assert_close(&found, last, &format!("{after}, another way"));
            }
        }
    }
}

#[test]
fn a_row_in_a_tokens_place_is_that_token() {
    let engine = Engine::open(BUNDLE).unwrap();
    let table = engine.bundle().token_table("tokens").unwrap();
    let cancel = Cancel::new();
    for name in MODELS {
        let mut row = vec![0.0; table.width()];
        table.row(77, &mut row).unwrap();
        let mut model = model(&engine, name);
        let expected = model.logits(&Prompt::new().text("a").token(77).text("b"), &cancel);
        let found = model.logits(&Prompt::new().text("a").row(row).text("b"), &cancel);
        assert_close(&found.unwrap(), &expected.unwrap(), name);
    }
}

#[test]
fn a_continuation_is_that_of_transformers_and_streams_whole_characters() {
    let (engine, golden) = (Engine::open(BUNDLE).unwrap(), Golden::read());
    for name in MODELS {
        let mut model = model(&engine, name);
        for case in &golden.cases {
            let mut options = GenerateOptions::default();
            options.tokens = case.greedy.len();
            let mut streamed = String::new();
            let written = model.generate(&prompt(&case.ids), &options, &mut |text| {
                assert!(!text.is_empty());
                streamed.push_str(text);
            });
            let written = written.unwrap();
            assert_eq!(
                written.tokens, case.greedy,
                "`{name}` after {:?}",
                case.prompt
            );
            assert_eq!((written.ended, &written.text), (Ended::Count, &streamed));
        }
    }
}

#[test]
fn titles_score_as_transformers_scores_each_by_itself() {
    let (golden, cancel) = (Golden::read(), Cancel::new());
    // Without `packed`, a tree has no more room than the context leaves, and the titles need several runs.
    let narrow = changed::copy(BUNDLE, |manifest| {
        let lm = manifest["language_models"]["lm"].as_object_mut().unwrap();
        lm.remove("packed").unwrap();
    });
    let narrow = narrow.path().to_str().unwrap();
    for (bundle, name) in [(BUNDLE, "lm"), (narrow, "lm"), (BUNDLE, "plain")] {
        let engine = Engine::open(bundle).unwrap();
        let titles = titles(&engine);
        let mut model = model(&engine, name);
        for case in &golden.cases {
            let what = format!("`{name}` of {bundle} after {:?}", case.prompt);
            let scores = model.score(&prompt(&case.ids), &titles, &cancel).unwrap();
            assert_close(&scores, &case.scores, &what);
            // The prompt is still there, and only it.
            let found = model.logits(&prompt(&case.ids), &cancel).unwrap();
            assert_close(&found, case.logits.last().unwrap(), &what);
        }
    }
}

#[test]
fn equal_titles_share_a_score_and_line_breaks_are_spaces() {
    let engine = Engine::open(BUNDLE).unwrap();
    for name in MODELS {
        let mut model = model(&engine, name);
        let titles = ["The Lantern", "The\nLantern", "The", "The Lantern"];
        let scores = model
            .score(&"After".into(), &titles, &Cancel::new())
            .unwrap();
        assert_eq!(scores[0], scores[1]);
        assert_eq!(scores[0], scores[3]);
        assert!(scores.iter().all(|score| score.is_finite() && *score < 0.0));
        let none: [&str; 0] = [];
        assert!(
            model
                .score(&"After".into(), &none, &Cancel::new())
                .unwrap()
                .is_empty()
        );
        // The end-of-title token alone.
        assert_eq!(
            model
                .score(&"After".into(), &[""], &Cancel::new())
                .unwrap()
                .len(),
            1
        );
    }
}

#[test]
fn the_table_makes_the_same_logits_as_the_head() {
    let golden = Golden::read();
    let folder = changed::copy(BUNDLE, |manifest| {
        manifest["language_models"]["lm"]["head"] = json!({ "table": "tokens" });
    });
    let engine = Engine::open(folder.path()).unwrap();
    let mut model = model(&engine, "lm");
    let case = &golden.cases[3];
    let found = model.logits(&prompt(&case.ids), &Cancel::new()).unwrap();
    assert_close(&found, case.logits.last().unwrap(), "by the table");
    let scores = model.score(&prompt(&case.ids), &titles(&engine), &Cancel::new());
    assert_close(&scores.unwrap(), &case.scores, "by the table");
}

#[test]
fn what_a_graph_is_can_be_asked_without_running_it() {
    let bundle = Bundle::open(BUNDLE).unwrap();
    for (name, takes_trees) in [("lm", true), ("plain", false)] {
        let graph = bundle.language_graph(name).unwrap();
        assert_eq!(
            (graph.precision, graph.takes_trees),
            (Precision::F32, takes_trees)
        );
    }
    let missing = bundle.language_graph("other");
    assert!(matches!(missing, Err(Error::Unsupported { .. })));
    bundle.verify(&Cancel::new(), &mut |_, _| {}).unwrap();
}

#[test]
fn a_seed_draws_the_same_text_again_and_another_draws_another() {
    let engine = Engine::open(BUNDLE).unwrap();
    let mut model = model(&engine, "lm");
    let mut write = |seed, top_k, top_p| {
        let mut options = GenerateOptions::default();
        (options.tokens, options.temperature, options.seed) = (20, 1.0, seed);
        (options.top_k, options.top_p) = (top_k, top_p);
        let written = model.generate(&"After".into(), &options, &mut |_| {});
        written.unwrap().tokens
    };
    let first = write(1, None, 1.0);
    assert_eq!(first, write(1, None, 1.0));
    assert_ne!(first, write(2, None, 1.0));
    // One token to choose from is the likeliest.
    assert_eq!(write(1, Some(1), 1.0), write(2, None, 1e-9));
}

#[test]
fn a_text_ends_where_it_was_told_to() {
    let engine = Engine::open(BUNDLE).unwrap();
    let mut model = model(&engine, "lm");
    let mut options = GenerateOptions::default();
    options.tokens = 24;
    let whole = model
        .generate(&"After".into(), &options, &mut |_| {})
        .unwrap();
    let (middle, _) = whole
        .text
        .char_indices()
        .nth(whole.text.chars().count() / 2)
        .unwrap();
    let stop: String = whole.text[middle..].chars().take(2).collect();
    let end = whole.text.find(&stop).unwrap();
    options.stop = vec!["never in it".into(), stop];
    let mut streamed = String::new();
    let cut = model.generate(&"After".into(), &options, &mut |text| {
        streamed.push_str(text)
    });
    let cut = cut.unwrap();
    assert_eq!(
        (cut.ended, cut.text.as_str()),
        (Ended::Text, &whole.text[..end])
    );
    assert_eq!(streamed, cut.text);
    assert!(whole.tokens.starts_with(&cut.tokens));
}

#[test]
fn a_text_ends_with_a_stop_token_and_with_the_context() {
    let case = &Golden::read().cases[1];
    let folder = changed::copy(BUNDLE, |manifest| {
        manifest["language_models"]["lm"]["stop"] = json!([2, case.greedy[5]]);
    });
    let engine = Engine::open(folder.path()).unwrap();
    let mut stopping = model(&engine, "lm");
    let options = GenerateOptions::default();
    let written = stopping
        .generate(&prompt(&case.ids), &options, &mut |_| {})
        .unwrap();
    assert_eq!(
        (written.ended, written.tokens.as_slice()),
        (Ended::Token, &case.greedy[..5])
    );
    // Room for 128 rows; the last token that is written needs none.
    let engine = Engine::open(BUNDLE).unwrap();
    for name in MODELS {
        let written = model(&engine, name).generate(&prompt(&case.ids), &options, &mut |_| {});
        let written = written.unwrap();
        assert_eq!(
            (written.ended, written.tokens.len()),
            (Ended::Context, 128 - case.ids.len() + 1)
        );
    }
}

#[test]
fn what_is_too_long_is_refused_before_any_work() {
    let engine = Engine::open(BUNDLE).unwrap();
    for name in MODELS {
        let mut model = model(&engine, name);
        assert_eq!(model.context(), 128);
        let cancel = Cancel::new();
        let long = (0..128).fold(Prompt::new(), |prompt, _| prompt.token(50));
        let too_long = |error| {
            matches!(
                error,
                Error::TooLong {
                    rows: 129,
                    context: 128
                }
            )
        };
        assert!(too_long(model.logits(&long, &cancel).unwrap_err()));
        let mut options = GenerateOptions::default();
        assert!(too_long(
            model.generate(&long, &options, &mut |_| {}).unwrap_err()
        ));
        assert!(too_long(model.score(&long, &[""], &cancel).unwrap_err()));
        let full = (0..127).fold(Prompt::new(), |prompt, _| prompt.token(50));
        // Room for no token of a title but the last.
        let title = model.encode("The Lantern").unwrap().len();
        let outcome = model.score(&full, &["", "The Lantern"], &cancel);
        assert!(matches!(outcome, Err(Error::TooLong { rows, .. }) if rows == 128 + title));
        assert_eq!(model.cached_bytes(), 0, "nothing was read");
        assert_eq!(model.score(&full, &[""], &cancel).unwrap().len(), 1);
        options.tokens = 3;
        let written = model.generate(&full, &options, &mut |_| {}).unwrap();
        assert_eq!((written.ended, written.tokens.len()), (Ended::Context, 1));
        assert!(model.cached_bytes() > 0);
        model.forget();
        assert_eq!(model.cached_bytes(), 0);
    }
}

#[test]
fn pieces_and_options_that_make_no_sense_are_refused() {
    let engine = Engine::open(BUNDLE).unwrap();
    let mut model = model(&engine, "lm");
    let cancel = Cancel::new();
    let wrong = [
        (Prompt::new().token(388), "token 388"),
        (Prompt::new().row(vec![0.0; 31]), "31 numbers, expected 32"),
        (Prompt::new().row(vec![f32::NAN; 32]), "NaN"),
    ];
    for (prompt, words) in wrong {
        let error = model.logits(&prompt, &cancel).unwrap_err();
        assert!(
            matches!(
                &error,
                Error::InvalidArgument {
                    parameter: "prompt",
                    ..
                }
            ),
            "{error}"
        );
        assert!(error.to_string().contains(words), "{error}");
    }
    let mut options = GenerateOptions::default();
    options.top_p = 0.0;
    let refused = model.generate(&"a".into(), &options, &mut |_| {});
    assert!(matches!(
        refused,
        Err(Error::InvalidArgument {
            parameter: "options",
            ..
        })
    ));
    assert!(matches!(
        engine.language_model(Some("other")),
        Err(Error::Unsupported { .. })
    ));
    let without = Engine::open("models/tiny").unwrap();
    assert!(matches!(
        without.language_model(None),
        Err(Error::Unsupported { .. })
    ));
}

#[test]
fn a_stopped_call_leaves_everything_usable() {
    let (engine, golden) = (Engine::open(BUNDLE).unwrap(), Golden::read());
    let case = &golden.cases[2];
    for name in MODELS {
        let mut model = model(&engine, name);
        let mut options = GenerateOptions::default();
        options.cancel.request();
        let stopped = model.generate(&prompt(&case.ids), &options, &mut |_| {});
        assert!(matches!(stopped, Err(Error::Cancelled)));
        assert!(matches!(
            model.score(&prompt(&case.ids), &["a"], &options.cancel),
            Err(Error::Cancelled)
        ));
        // While it writes.
        options.cancel = Cancel::new();
        let (button, mut pieces) = (options.cancel.clone(), 0);
        let stopped = model.generate(&prompt(&case.ids), &options, &mut |_| {
            pieces += 1;
            button.request();
        });
        assert!(matches!(stopped, Err(Error::Cancelled)));
        assert_eq!(pieces, 1);
        options.cancel = Cancel::new();
        options.tokens = 32;
        let written = model
            .generate(&prompt(&case.ids), &options, &mut |_| {})
            .unwrap();
        assert_eq!(written.tokens, case.greedy);
    }
}

#[test]
fn a_graph_that_would_never_end_is_stopped_within_a_token() {
    let folder = changed::endless_language_model();
    let (engine, golden) = (Engine::open(folder.path()).unwrap(), Golden::read());
    let mut model = model(&engine, "plain");
    let case = &golden.cases[1];
    let (short, long) = (prompt(&case.ids), prompt(&golden.cases[2].ids));
    assert!(case.ids.len() < 16 && golden.cases[2].ids.len() > 16);
    // What a call says that is stopped while it runs, soon after the request.
    let stopped = |call: &mut dyn FnMut(&Cancel) -> Error| {
        let cancel = Cancel::new();
        let (error, requested) = thread::scope(|scope| {
            let button = cancel.clone();
            let stopping = scope.spawn(move || {
                thread::sleep(Duration::from_millis(200));
                button.request();
                Instant::now()
            });
            (call(&cancel), stopping.join().unwrap())
        });
        assert!(matches!(error, Error::Cancelled), "{error}");
        let took = requested.elapsed();
        assert!(took < Duration::from_secs(2), "{took:?} after the request");
    };
    for _ in 0..2 {
        stopped(&mut |cancel| model.logits(&long, cancel).unwrap_err());
        stopped(&mut |cancel| model.score(&long, &["a"], cancel).unwrap_err());
        // In the midst of a text, and what was written stays read.
        stopped(&mut |cancel| {
            let mut options = GenerateOptions::default();
            options.cancel = cancel.clone();
            let stopped = model.generate(&short, &options, &mut |_| {});
            stopped.unwrap_err()
        });
        let mut options = GenerateOptions::default();
        options.deadline = Some(Duration::from_millis(500));
        let written = model.generate(&short, &options, &mut |_| {}).unwrap();
        let count = 16 - case.ids.len() + 1;
        assert_eq!(
            (written.ended, &written.tokens[..]),
            (Ended::Deadline, &case.greedy[..count])
        );
        let found = model.logits(&short, &Cancel::new()).unwrap();
        assert_close(&found, case.logits.last().unwrap(), "afterwards");
    }
}

#[test]
fn requests_at_any_moment_end_in_an_answer_or_in_cancelled() {
    let (engine, golden) = (Engine::open(BUNDLE).unwrap(), Golden::read());
    let case = &golden.cases[4];
    let titles = titles(&engine);
    let mut model = model(&engine, "lm");
    let mut stopped = 0;
    for round in 0..100 {
        let cancel = Cancel::new();
        let button = cancel.clone();
        thread::scope(|scope| {
            scope.spawn(move || {
                thread::sleep(Duration::from_micros(round * 50));
                button.request();
            });
            model.forget();
            match model.score(&prompt(&case.ids), &titles, &cancel) {
                Ok(scores) => assert_close(&scores, &case.scores, "in time"),
                Err(Error::Cancelled) => stopped += 1,
                Err(other) => panic!("{other}"),
            }
        });
        if round % 10 == 0 {
            let scores = model.score(&prompt(&case.ids), &titles, &Cancel::new());
            assert_close(&scores.unwrap(), &case.scores, "afterwards");
        }
    }
    assert!(stopped > 0, "no request came in time to stop anything");
}

#[test]
fn a_deadline_leaves_what_was_written() {
    let engine = Engine::open(BUNDLE).unwrap();
    let mut model = model(&engine, "lm");
    let mut options = GenerateOptions::default();
    options.deadline = Some(Duration::ZERO);
    let late = model.generate(&"After".into(), &options, &mut |_| {});
    assert!(matches!(late, Err(Error::DeadlineExceeded)));
    options.deadline = Some(Duration::from_millis(300));
    let written = model.generate(&"After".into(), &options, &mut |_| {
        thread::sleep(Duration::from_millis(400));
    });
    let written = written.unwrap();
    assert_eq!(written.ended, Ended::Deadline);
    assert!(!written.tokens.is_empty() && written.tokens.len() < 10);
}

#[test]
fn texts_of_one_engine_do_not_disturb_each_other() {
    let (engine, golden) = (Engine::open(BUNDLE).unwrap(), Golden::read());
    let titles = titles(&engine);
    thread::scope(|scope| {
        for case in &golden.cases {
            let (engine, titles) = (&engine, &titles);
            scope.spawn(move || {
                for name in MODELS {
                    let mut model = model(engine, name);
                    let mut options = GenerateOptions::default();
                    options.tokens = case.greedy.len();
                    for _ in 0..3 {
                        let written = model.generate(&prompt(&case.ids), &options, &mut |_| {});
                        assert_eq!(written.unwrap().tokens, case.greedy);
                        let scores = model.score(&prompt(&case.ids), titles, &options.cancel);
                        assert_close(&scores.unwrap(), &case.scores, &case.prompt);
                    }
                }
            });
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_cache_changes_no_answer(
        texts in prop::collection::vec((prop::collection::vec(4..9_u32, 0..30), 0..6_usize), 1..6),
    ) {
        let engine = Engine::open(BUNDLE).unwrap();
        let cancel = Cancel::new();
        for name in MODELS {
            let mut kept = model(&engine, name);
            for (tokens, count) in &texts {
                let prompt = tokens.iter().fold(Prompt::new(), |prompt, &token| prompt.token(token));
                let found = kept.logits(&prompt, &cancel).unwrap();
                let expected = model(&engine, name).logits(&prompt, &cancel).unwrap();
                assert_close(&found, &expected, name);
                if *count > 0 {
                    let mut options = GenerateOptions::default();
                    options.tokens = *count;
                    let found = kept.generate(&prompt, &options, &mut |_| {}).unwrap();
                    let expected = model(&engine, name).generate(&prompt, &options, &mut |_| {});
                    prop_assert_eq!(found, expected.unwrap());
                }
            }
        }
    }

    #[test]
    fn titles_score_together_as_each_by_itself(
        titles in prop::collection::vec("[ab ]{0,6}", 1..20),
        prompt in "[ab ]{0,20}",
    ) {
        let engine = Engine::open(BUNDLE).unwrap();
        let cancel = Cancel::new();
        let prompt = Prompt::new().text(prompt);
        let mut by_itself = model(&engine, "plain");
        let expected: Vec<f32> = titles
            .iter()
            .map(|title| by_itself.score(&prompt, &[title], &cancel).unwrap()[0])
            .collect();
        for name in MODELS {
            let found = model(&engine, name).score(&prompt, &titles, &cancel).unwrap();
            assert_close(&found, &expected, name);
        }
    }
}

/// What an engine says of a bundle whose manifest was changed.
fn refused(edit: impl FnOnce(&mut Value)) -> String {
    let folder = changed::copy(BUNDLE, edit);
    match Engine::open(folder.path()) {
        Ok(_) => "nothing".into(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_language_model_that_does_not_fit_together_is_refused_and_says_why() {
    type Edit = fn(&mut Value);
    let lm = |field: &'static str, value: Value, words: &'static str| {
        let error = refused(|manifest| manifest["language_models"]["lm"][field] = value);
        assert!(error.contains(words), "{field}: {error}");
    };
    lm("graph", json!("other"), "language_models.lm.graph");
    lm("graph", json!("head"), "graph `head`");
    lm(
        "graph",
        json!("plain"),
        "expected nothing: the graph gives logits",
    );
    lm("tokens", json!("other"), "the name of a token table");
    lm("tokenizer", json!("other"), "language_models.lm.tokenizer");
    lm(
        "tokenizer",
        json!("catalog"),
        "part `catalog`: expected a tokenizer.json",
    );
    lm(
        "head",
        json!({}),
        "expected a `table` or a `graph`, found neither",
    );
    lm(
        "head",
        json!({"table": "other"}),
        "language_models.lm.head.table",
    );
    lm(
        "head",
        json!({"graph": "lm"}),
        "graph `lm`: input `hidden_states`",
    );
    lm("head", Value::Null, "language_models.lm.head");
    lm("context", json!(0), "language_models.lm.context");
    lm("packed", json!(127), "language_models.lm.packed");
    lm("layers", json!(3), "expected 3, one a layer, found 2");
    lm(
        "kv_heads",
        json!(4),
        "input `past_key_values.0.key`: expected Float32 [1, 4, any, 16]",
    );
    lm("head_size", json!(32), "[1, 2, any, 32]");
    lm("begin", json!(388), "language_models.lm.begin");
    lm("stop", json!([2, 400]), "language_models.lm.stop[1]");
    lm(
        "end_of_title",
        json!(u32::MAX),
        "language_models.lm.end_of_title",
    );
    lm("surplus", json!(1), "unknown field `surplus`");
    let tables: [(Edit, &str); 5] = [
        (
            |table| table["rows"] = 389.into(),
            "tensor `rows`: expected F32 [389, 32], found F32 [388, 32]",
        ),
        (
            |table| table["width"] = 64.into(),
            "tensor `rows`: expected F32 [388, 64]",
        ),
        (
            |table| table["dtype"] = "i8".into(),
            "tensor `rows`: expected I8 [388, 32]",
        ),
        (
            |table| table["part"] = "catalog".into(),
            "only tensors of format 1",
        ),
        (
            |table| table["width"] = 0.into(),
            "token_tables.tokens.width",
        ),
    ];
    for (edit, words) in tables {
        let error = refused(|manifest| edit(&mut manifest["token_tables"]["tokens"]));
        assert!(error.contains(words), "{words}: {error}");
    }
}

/// A copy of the bundle with another tokenizer.
fn with_tokenizer(edit: impl FnOnce(&mut Value)) -> tempfile::TempDir {
    let folder = changed::copy(BUNDLE, |_| {});
    let path = folder.path().join("tokenizer.json");
    let mut tokenizer: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    edit(&mut tokenizer);
    let text = tokenizer.to_string();
    changed::change(folder.path(), |manifest| {
        manifest["parts"]["tokenizer"]["bytes"] = text.len().into();
    });
    fs::write(path, text).unwrap();
    folder
}

#[test]
fn a_tokenizer_whose_pattern_does_not_end_fails_by_name_and_soon() {
    let folder = with_tokenizer(|tokenizer| {
        let pattern = json!({"Regex": r"(?:(?=a)a+)+$"});
        tokenizer["pre_tokenizer"] =
            json!({"type": "Split", "pattern": pattern, "behavior": "Isolated", "invert": false});
    });
    let engine = Engine::open(folder.path()).unwrap();
    let mut model = model(&engine, "lm");
    let bomb = format!("{}b", "a".repeat(50));
    let fails = |error: Error| {
        let error = error.to_string();
        let words = "part `tokenizer`: expected a tokenizer that reads any text in time, \
                     found pre_tokenizer: `(?:(?=a)a+)+$`: ";
        assert!(error.starts_with(words), "{error}");
    };
    let start = Instant::now();
    fails(model.encode(&bomb).unwrap_err());
    let took = start.elapsed();
    assert!(took < Duration::from_secs(3), "{took:?}");
    let options = GenerateOptions::default();
    let mut nothing = |text: &str| panic!("{text}");
    let prompt = Prompt::new().text("After ").text(&bomb);
    fails(model.generate(&prompt, &options, &mut nothing).unwrap_err());
    let titles = ["one", &bomb];
    fails(
        model
            .score(&"After ".into(), &titles, &options.cancel)
            .unwrap_err(),
    );
    assert_eq!(model.cached_bytes(), 0, "nothing was read");
    let scores = model.score(&"After ".into(), &["one"], &options.cancel);
    assert_eq!(scores.unwrap().len(), 1);
}

#[test]
fn a_tokenizer_with_more_tokens_than_the_table_has_rows_is_refused() {
    let folder = with_tokenizer(|tokenizer| {
        tokenizer["model"]["vocab"]["one too many"] = 388.into();
    });
    let error = Engine::open(folder.path()).unwrap_err().to_string();
    let expected =
        "part `tokenizer`: expected tokens below 388, as the token table has rows, found token 388";
    assert_eq!(error, expected);
}
