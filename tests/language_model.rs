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
    Among, BeamOptions, Bundle, By, CallOptions, Cancel, Ended, Engine, Error, Filter,
    GenerateOptions, Judge, LanguageModel, Origin, Precision, Prompt, Rank, ScoreOptions,
    TitleOptions,
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
    beams: Beams,
    /// The logits after the last row, with the adapter `taste`.
    taste: Vec<f32>,
}

/// What a beam search finds.
struct Beams {
    stop: Vec<u32>,
    length_penalty: f32,
    tokens: Vec<Vec<u32>>,
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
        let lists_of = |tokens: &str, lengths: &str| -> Vec<Vec<u32>> {
            let mut tokens = whole(tokens);
            let lengths = whole(lengths).into_iter();
            lengths
                .map(|length| tokens.drain(..length as usize).collect())
                .collect()
        };
        let lists = |name: &str| lists_of(&format!("{name}.tokens"), &format!("{name}.lengths"));
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
                taste: floats(&format!("text{number}.taste")),
                beams: Beams {
                    stop: whole(&format!("text{number}.beam_stop")),
                    length_penalty: floats(&format!("text{number}.beam_penalty"))[0],
                    tokens: lists_of(
                        &format!("text{number}.beam_tokens"),
                        &format!("text{number}.beam_lengths"),
                    ),
                    scores: floats(&format!("text{number}.beam_scores")),
                },
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
fn scoring(cancel: &Cancel) -> ScoreOptions {
    let mut options = ScoreOptions::default();
    options.cancel = cancel.clone();
    options
}

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
            let scores = model
                .score(&prompt(&case.ids), &titles, &scoring(&cancel))
                .unwrap();
            assert_close(&scores, &case.scores, &what);
            // The prompt is still there, and only it.
            let found = model.logits(&prompt(&case.ids), &cancel).unwrap();
            assert_close(&found, case.logits.last().unwrap(), &what);
        }
    }
}

#[test]
fn among_the_titles_a_token_is_one_of_those_that_go_on_with_them() {
    let engine = Engine::open(BUNDLE).unwrap();
    let titles = titles(&engine);
    let mut options = ScoreOptions::default();
    options.among = Among::Titles;
    for name in MODELS {
        let mut model = model(&engine, name);
        let end = engine.manifest().language_models[name].end_of_title;
        let tokens: Vec<Vec<u32>> = titles
            .iter()
            .map(|title| {
                model
                    .encode(title)
                    .unwrap()
                    .into_iter()
                    .chain(end)
                    .collect()
            })
            .collect();
        let found = model.score(&"After".into(), &titles, &options).unwrap();
        for (own, found) in tokens.iter().zip(found).step_by(7) {
            let mut expected = 0.0;
            for length in 0..own.len() {
                let mut next: Vec<u32> = tokens
                    .iter()
                    .filter(|other| other.starts_with(&own[..length]) && other.len() > length)
                    .map(|other| other[length])
                    .collect();
                next.sort_unstable();
                next.dedup();
                let text = Prompt::from("After");
                let text = own[..length]
                    .iter()
                    .fold(text, |text, &token| text.token(token));
                let logits = model.logits(&text, &Cancel::new()).unwrap();
                let sum: f32 = next.iter().map(|&token| logits[token as usize].exp()).sum();
                expected += logits[own[length] as usize] - sum.ln();
            }
            assert!(
                (found - expected).abs() < TOLERANCE,
                "{name}: {found}, {expected}"
            );
        }
        // Alone, all of it is forced.
        assert_eq!(
            model
                .score(&"After".into(), &titles[..1], &options)
                .unwrap(),
            [0.0]
        );
    }
}

#[test]
fn an_adapter_may_be_exchanged_from_call_to_call() {
    let (engine, golden, cancel) = (Engine::open(BUNDLE).unwrap(), Golden::read(), Cancel::new());
    let mut model = model(&engine, "lm");
    assert_eq!(model.adapter(), None);
    for case in &golden.cases {
        for adapter in [None, Some("taste"), Some("taste"), None] {
            model.adapt(adapter).unwrap();
            assert_eq!(model.adapter(), adapter);
            let logits = model.logits(&prompt(&case.ids), &cancel).unwrap();
            let expected = match adapter {
                Some(_) => &case.taste,
                None => case.logits.last().unwrap(),
            };
            assert_close(&logits, expected, &case.prompt);
        }
        assert_ne!(case.taste, *case.logits.last().unwrap());
        // What users share is shared by those with the same adapter only.
        let shared = case.ids[1..]
            .iter()
            .fold(Prompt::new(), |text, &token| text.token(token));
        let shared = shared.shared();
        for (adapter, expected) in [
            (None, case.logits.last().unwrap()),
            (Some("taste"), &case.taste),
        ] {
            let mut user = engine.language_model(Some("lm")).unwrap();
            user.adapt(adapter).unwrap();
            let logits = user.logits(&shared, &cancel).unwrap();
            assert_close(&logits, expected, &case.prompt);
        }
    }
    model.adapt(Some("taste")).unwrap();
    let outcome = model.adapt(Some("other"));
    assert!(
        matches!(outcome, Err(Error::Unsupported { .. })),
        "{outcome:?}"
    );
    assert_eq!(model.adapter(), Some("taste"));
    let error = refused(|manifest| {
        manifest["language_models"]["lm"]["adapters"] = json!({"taste": "tokenizer"});
    });
    assert!(
        error.contains("part `tokenizer`: expected an `.onnx_adapter`"),
        "{error}"
    );
    // An adapter for other products than the graph's.
    let folder = changed::copy(BUNDLE, |manifest| {
        manifest["language_models"]["plain"]["adapters"] = json!({"taste": "lm.taste"});
    });
    let engine = Engine::open(folder.path()).unwrap();
    let mut plain = engine.language_model(Some("plain")).unwrap();
    plain.adapt(Some("taste")).unwrap();
    let outcome = plain.logits(&"After".into(), &cancel);
    assert!(matches!(outcome, Err(Error::Runtime { .. })), "{outcome:?}");
    plain.adapt(None).unwrap();
    plain.logits(&"After".into(), &cancel).unwrap();
}

#[test]
fn what_all_users_share_is_read_once_and_changes_no_answer() {
    let (engine, cancel) = (Engine::open(BUNDLE).unwrap(), Cancel::new());
    for name in MODELS {
        let graph = &engine.manifest().language_models[name].graph;
        let kept = || {
            let memory = engine.memory();
            let part = memory
                .parts
                .iter()
                .find(|part| part.name == *graph)
                .unwrap();
            part.cached_bytes
        };
        assert_eq!(kept(), 0);
        let shared = |rest: &str| {
            Prompt::new()
                .text("This user has watched ")
                .shared()
                .text(rest)
        };
        let whole = |rest: &str| Prompt::new().text("This user has watched ").text(rest);
        for rest in ["Nightjar", "", "Two Rivers", "Nightjar"] {
            // Another user each time.
            let mut user = model(&engine, name);
            let found = user.logits(&shared(rest), &cancel).unwrap();
            let expected = model(&engine, name).logits(&whole(rest), &cancel).unwrap();
            assert_close(&found, &expected, rest);
            // And one who goes on with something else.
            let found = user.logits(&whole("Kites"), &cancel).unwrap();
            let expected = model(&engine, name)
                .logits(&whole("Kites"), &cancel)
                .unwrap();
            assert_close(&found, &expected, rest);
            assert!(kept() > 0);
        }
        // Another beginning is kept beside it, up to so many; one that is there already takes nothing more.
        let mut before = kept();
        for number in 0..20 {
            let template = Prompt::new().text(format!("Template {number}: ")).shared();
            let found = model(&engine, name).logits(&template, &cancel).unwrap();
            assert_eq!(kept() > before, number < 7, "{number}");
            before = kept();
            let again = model(&engine, name).logits(&template, &cancel).unwrap();
            assert_eq!((found, kept()), (again, before));
        }
        let other = Prompt::new().text("Another").shared().text(" text");
        let found = model(&engine, name).logits(&other, &cancel).unwrap();
        let expected = model(&engine, name)
            .logits(&"Another".into(), &cancel)
            .unwrap();
        assert_ne!(found, expected);
        let whole = Prompt::new().text("Another").text(" text");
        let expected = model(&engine, name).logits(&whole, &cancel).unwrap();
        assert_close(&found, &expected, "another");
    }
}

#[test]
fn the_likeliest_titles_of_the_catalog_are_those_that_score_best() {
    let engine = Engine::open(BUNDLE).unwrap();
    let titles = titles(&engine);
    for name in MODELS {
        let mut model = model(&engine, name);
        for among in [Among::Vocabulary, Among::Titles] {
            let mut scoring = ScoreOptions::default();
            scoring.among = among;
            let scores = model.score(&"After".into(), &titles, &scoring).unwrap();
            let mut expected: Vec<(u32, f32)> = (0..).zip(scores).collect();
            expected.sort_by(|a, b| b.1.total_cmp(&a.1));
            let mut options = TitleOptions::default();
            // As many beams as there are titles: nothing is dropped.
            (options.among, options.beams) = (among, 40);
            let found = model.titles(&"After".into(), &options).unwrap();
            let items: Vec<u32> = found.iter().flat_map(|title| title.items.clone()).collect();
            let best: Vec<u32> = expected[..items.len()]
                .iter()
                .map(|(item, _)| *item)
                .collect();
            assert_eq!((items, found.len()), (best, 10), "{name}, {among:?}");
            for (title, (_, score)) in found.iter().zip(&expected) {
                assert!((title.score - score).abs() < TOLERANCE, "{name}, {among:?}");
            }
            // With one beam it still is a title, and no better than the best.
            (options.beams, options.count) = (1, 40);
            let greedy = model.titles(&"After".into(), &options).unwrap();
            assert!(!greedy.is_empty() && greedy[0].score <= expected[0].1 + TOLERANCE);
        }
    }
}

#[test]
fn titles_share_their_node_and_a_tree_that_does_not_fit_is_refused() {
    let folder = changed::copy(BUNDLE, |manifest| {
        manifest["language_models"]["lm"]["titles"]["tokenizer_sha256"] = json!("0".repeat(64));
    });
    let refused = Bundle::open(folder.path()).unwrap_err().to_string();
    assert!(
        refused.contains("language_models.lm.titles.tokenizer_sha256"),
        "{refused}"
    );
    let folder = changed::copy(BUNDLE, |manifest| {
        manifest["interpreters"] = json!({});
        manifest["language_models"]["lm"]["titles"] = json!(null);
    });
    let engine = Engine::open(folder.path()).unwrap();
    let mut model = model(&engine, "lm");
    let outcome = model.titles(&"After".into(), &TitleOptions::default());
    assert!(
        matches!(outcome, Err(Error::Unsupported { .. })),
        "{outcome:?}"
    );

    // What is wrong in the tree itself is found by `verify` and by whoever comes there.
    let part = |name: &str| format!("{BUNDLE}/{name}");
    let bytes = fs::read(part("title_trie.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let start = |tensor: &str| {
        let data = file.tensor(tensor).unwrap().data();
        data.as_ptr().addr() - bytes.as_ptr().addr()
    };
    for (tensor, place, number) in [
        ("children", 3, 0_u32),
        ("items", 0, 40),
        ("item_starts", 30, 99),
        ("tokens", 5, 100_000),
    ] {
        let folder = changed::copy(BUNDLE, |_| {});
        let at = start(tensor) + 4 * place;
        let mut bytes = bytes.clone();
        bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
        changed::replace(folder.path(), "title_trie", &bytes);
        let bundle = Bundle::open(folder.path()).unwrap();
        let found = bundle
            .verify(&Cancel::new(), &mut |_, _| {})
            .unwrap_err()
            .to_string();
        assert!(
            found.contains("title_trie") && found.contains(tensor),
            "{found}"
        );
        let engine = Engine::open(folder.path()).unwrap();
        let mut model = engine.language_model(Some("lm")).unwrap();
        let mut options = TitleOptions::default();
        (options.beams, options.count) = (40, 40);
        let found = model
            .titles(&"After".into(), &options)
            .unwrap_err()
            .to_string();
        assert!(found.contains(tensor), "{found}");
    }
}

#[test]
fn equal_titles_share_a_score_and_line_breaks_are_spaces() {
    let engine = Engine::open(BUNDLE).unwrap();
    for name in MODELS {
        let mut model = model(&engine, name);
        let titles = ["The Lantern", "The\nLantern", "The", "The Lantern"];
        let scores = model
            .score(&"After".into(), &titles, &ScoreOptions::default())
            .unwrap();
        assert_eq!(scores[0], scores[1]);
        assert_eq!(scores[0], scores[3]);
        assert!(scores.iter().all(|score| score.is_finite() && *score < 0.0));
        let none: [&str; 0] = [];
        assert!(
            model
                .score(&"After".into(), &none, &ScoreOptions::default())
                .unwrap()
                .is_empty()
        );
        // The end-of-title token alone.
        assert_eq!(
            model
                .score(&"After".into(), &[""], &ScoreOptions::default())
                .unwrap()
                .len(),
            1
        );
    }
}

#[test]
fn a_title_longer_than_a_run_scores_as_token_by_token() {
    // The graph has positions for so many rows.
    let folder = changed::copy(BUNDLE, |manifest| {
        for name in MODELS {
            manifest["language_models"][name]["context"] = json!(384);
        }
    });
    let engine = Engine::open(folder.path()).unwrap();
    // Each of these characters is as many tokens as bytes.
    let long = "ŧ".repeat(140) + "€".repeat(12).as_str();
    let titles = ["The Lantern", &long, "The Lighthouse"];
    for name in MODELS {
        let mut model = model(&engine, name);
        let end = engine.manifest().language_models[name].end_of_title;
        let tokens: Vec<u32> = model
            .encode(&long)
            .unwrap()
            .into_iter()
            .chain(end)
            .collect();
        assert!(tokens.len() > 257, "{}", tokens.len());
        let scoring = ScoreOptions::default();
        let scores = model.score(&"After".into(), &titles, &scoring).unwrap();
        let alone = |title| model.score(&"After".into(), &[title], &scoring).unwrap()[0];
        assert_close(&scores, &titles.map(alone), name);
        let (mut text, mut expected) = (Prompt::from("After"), 0.0);
        for token in tokens {
            let logits = model.logits(&text, &Cancel::new()).unwrap();
            let sum: f64 = logits.iter().map(|&logit| f64::from(logit).exp()).sum();
            expected += f64::from(logits[token as usize]) - sum.ln();
            text = text.token(token);
        }
        let error = (f64::from(scores[1]) / expected - 1.0).abs();
        assert!(error < 1e-5, "{name}: {}, expected {expected}", scores[1]);
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
    let scores = model.score(
        &prompt(&case.ids),
        &titles(&engine),
        &ScoreOptions::default(),
    );
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
fn a_beam_search_finds_what_that_of_transformers_finds() {
    let golden = Golden::read();
    for (name, narrow) in [("lm", false), ("lm", true), ("plain", false)] {
        for case in &golden.cases {
            let beams = &case.beams;
            let folder = changed::copy(BUNDLE, |manifest| {
                let model = &mut manifest["language_models"][name];
                model["stop"] = json!(beams.stop);
                if narrow {
                    // Little room: branches are read anew when it is full, and one by one when it is too small for them.
                    model["context"] = json!(case.ids.len() + 40);
                    model["packed"] = json!(case.ids.len() + 60);
                }
            });
            let engine = Engine::open(folder.path()).unwrap();
            let mut model = model(&engine, name);
            let mut options = BeamOptions::default();
            (options.tokens, options.length_penalty) = (24, beams.length_penalty);
            let found = model.search(&prompt(&case.ids), &options).unwrap();
            let tokens: Vec<_> = found.iter().map(|beam| beam.tokens.clone()).collect();
            assert_eq!(tokens, beams.tokens, "{name}, {narrow}: {}", case.prompt);
            let scores: Vec<f32> = found.iter().map(|beam| beam.score).collect();
            assert_close(&scores, &beams.scores, name);
            // The prompt is still read, and nothing else is.
            let logits = model.logits(&prompt(&case.ids), &Cancel::new()).unwrap();
            assert_close(&logits, case.logits.last().unwrap(), name);
        }
    }
}

#[test]
fn one_beam_is_the_likeliest_token_each_time() {
    let golden = Golden::read();
    let engine = Engine::open(BUNDLE).unwrap();
    let mut model = model(&engine, "lm");
    let mut options = BeamOptions::default();
    (options.beams, options.tokens) = (1, 32);
    for case in &golden.cases {
        let found = model.search(&prompt(&case.ids), &options).unwrap();
        assert_eq!(found[0].tokens, case.greedy);
        let mut written = GenerateOptions::default();
        written.tokens = 32;
        let written = model
            .generate(&prompt(&case.ids), &written, &mut |_| {})
            .unwrap();
        assert_eq!(found[0].text, written.text);
    }
    for (beams, tokens, penalty) in [(0, 1, 1.0), (257, 1, 1.0), (1, 0, 1.0), (1, 1, f32::NAN)] {
        (options.beams, options.tokens, options.length_penalty) = (beams, tokens, penalty);
        let outcome = model.search(&"After".into(), &options);
        assert!(
            matches!(outcome, Err(Error::InvalidArgument { .. })),
            "{outcome:?}"
        );
    }
    options = BeamOptions::default();
    options.cancel.request();
    assert!(matches!(
        model.search(&"After".into(), &options),
        Err(Error::Cancelled)
    ));
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
        assert!(too_long(
            model.score(&long, &[""], &scoring(&cancel)).unwrap_err()
        ));
        let full = (0..127).fold(Prompt::new(), |prompt, _| prompt.token(50));
        // Room for no token of a title but the last.
        let title = model.encode("The Lantern").unwrap().len();
        let outcome = model.score(&full, &["", "The Lantern"], &scoring(&cancel));
        assert!(matches!(outcome, Err(Error::TooLong { rows, .. }) if rows == 128 + title));
        assert_eq!(model.cached_bytes(), 0, "nothing was read");
        assert_eq!(
            model.score(&full, &[""], &scoring(&cancel)).unwrap().len(),
            1
        );
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
            model.score(&prompt(&case.ids), &["a"], &scoring(&options.cancel)),
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
        stopped(&mut |cancel| model.score(&long, &["a"], &scoring(cancel)).unwrap_err());
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
            match model.score(&prompt(&case.ids), &titles, &scoring(&cancel)) {
                Ok(scores) => assert_close(&scores, &case.scores, "in time"),
                Err(Error::Cancelled) => stopped += 1,
                Err(other) => panic!("{other}"),
            }
        });
        if round % 10 == 0 {
            let scores = model.score(&prompt(&case.ids), &titles, &ScoreOptions::default());
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
                        let scores =
                            model.score(&prompt(&case.ids), titles, &scoring(&options.cancel));
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
            .map(|title| by_itself.score(&prompt, &[title], &scoring(&cancel)).unwrap()[0])
            .collect();
        for name in MODELS {
            let found = model(&engine, name).score(&prompt, &titles, &scoring(&cancel)).unwrap();
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
        let error = refused(|manifest| {
            (manifest["generators"], manifest["interpreters"]) = (json!({}), json!({}));
            manifest["language_models"]["lm"][field] = value;
        });
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
    let error = refused(|manifest| {
        manifest["interpreters"] = json!({});
        let model = &mut manifest["language_models"]["lm"];
        (model["tokenizer"], model["titles"]) = (json!("catalog"), json!(null));
    });
    assert!(
        error.contains("part `catalog`: expected a tokenizer.json"),
        "{error}"
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
        let error = refused(|manifest| {
            edit(&mut manifest["token_tables"]["tokens"]);
            // Their rows would not fit either.
            manifest["prompts"]["hybrid"]["rows"] = Value::Null;
            manifest["generators"] = json!({});
        });
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
            .score(&"After ".into(), &titles, &scoring(&options.cancel))
            .unwrap_err(),
    );
    assert_eq!(model.cached_bytes(), 0, "nothing was read");
    let scores = model.score(&"After ".into(), &["one"], &scoring(&options.cancel));
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

/// What transformers says of candidates, by prompt.
fn choices(prompt: &str) -> Vec<(Vec<u32>, Vec<u32>, Vec<f32>)> {
    let bytes = fs::read("tests/golden/tiny-lm.safetensors").unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let choice = |number| {
        let tensor = |kind| file.tensor(&format!("choice.{prompt}.{number}.{kind}"));
        let items = |kind| -> Vec<u32> {
            let data = tensor(kind).unwrap().data().chunks_exact(8);
            let numbers = data.map(|bytes| i64::from_le_bytes(bytes.try_into().unwrap()));
            numbers.map(|item| u32::try_from(item).unwrap()).collect()
        };
        let scores = tensor("scores").unwrap().data().chunks_exact(4);
        let scores = scores.map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()));
        (items("history"), items("candidates"), scores.collect())
    };
    (0..4).map(choice).collect()
}

fn by_prompt(name: &str) -> CallOptions {
    let mut options = CallOptions::default();
    options.prompt.name = Some(name.into());
    options
}

#[test]
fn candidates_score_as_transformers_scores_them_whatever_was_asked_before() {
    let engine = Engine::open(BUNDLE).unwrap();
    // One user all the time, and a new one each time.
    let mut same = engine.recommender();
    for name in ["hybrid", "text", "hybrid"] {
        let options = by_prompt(name);
        for (history, candidates, expected) in choices(name) {
            same.forget_item(u32::MAX);
            let items: Vec<u32> = same.history().iter().map(|event| event.item).collect();
            for item in items {
                same.forget_item(item);
            }
            same.observe_items(&history).unwrap();
            let mut new = engine.recommender();
            new.observe_items(&history).unwrap();
            for user in [&mut same, &mut new] {
                let scores = user
                    .score(Judge::LanguageModel, &candidates, &options)
                    .unwrap();
                assert_close(&scores, &expected, name);
                assert!(user.cached_bytes() > 0);
            }
            let filter = Filter::default();
            let ranked = new
                .rank_with(Judge::LanguageModel, &candidates, 2, &filter, &options)
                .unwrap();
            let mut order: Vec<usize> = (0..candidates.len()).collect();
            order.sort_by(|&a, &b| expected[b].total_cmp(&expected[a]));
            let best: Vec<u32> = order[..2].iter().map(|&place| candidates[place]).collect();
            assert_eq!(ranked.items(), best, "{name}");
            let best: Vec<f32> = order[..2].iter().map(|&place| expected[place]).collect();
            assert_close(ranked.scores(), &best, name);
            assert!(
                ranked
                    .origins()
                    .iter()
                    .all(|origin| *origin == Origin::LanguageModel)
            );
            assert_eq!(ranked.stages().last().unwrap().name, format!("rank {name}"));
        }
    }
    same.forget();
    assert_eq!(same.cached_bytes(), 0);
}

#[test]
fn a_recipe_a_call_and_a_chain_by_hand_ask_the_same() {
    let engine = Engine::open(BUNDLE).unwrap();
    let (filter, mut options) = (Filter::default(), CallOptions::default());
    let mut user = engine.recommender();
    user.observe_items(&[3, 7]).unwrap();
    let recipe = user.recommend(3).unwrap();
    assert!(
        recipe
            .origins()
            .iter()
            .all(|origin| *origin == Origin::LanguageModel)
    );
    let broad = user.retrieve(By::Popularity, 3, &filter).unwrap();
    let by_hand = user.rank(Judge::LanguageModel, &broad, 3, &filter).unwrap();
    assert_eq!(
        (recipe.items(), recipe.scores()),
        (by_hand.items(), by_hand.scores())
    );
    options.rank = Some(Rank {
        by: Judge::LanguageModel,
        candidates: 3,
    });
    let call = user
        .retrieve_with(By::Popularity, 3, &filter, &options)
        .unwrap();
    assert_eq!(
        (call.items(), call.scores()),
        (by_hand.items(), by_hand.scores())
    );
    let best = user
        .retrieve_with(By::Popularity, 1, &filter, &options)
        .unwrap();
    assert_eq!(best.items(), &call.items()[..1]);
    // A batch is as its users alone, and a clone reads anew.
    let mut users = [user.clone(), engine.recommender()];
    assert_eq!(users[0].cached_bytes(), 0);
    let batch = engine
        .retrieve_batch(&mut users, By::Popularity, 3, &filter, &options)
        .unwrap();
    assert_eq!(batch[0].items(), call.items());
    assert_close(batch[0].scores(), call.scores(), "batch");
    assert!(users.iter().all(|user| user.cached_bytes() == 0));
    // Nobody is asked about a user of whom nothing is known.
    let mut cold = engine.recommender();
    for options in [&CallOptions::default(), &options] {
        let popular = cold.recommend_with(3, &filter, options).unwrap();
        let origins = popular.origins();
        assert!(origins.iter().all(|origin| *origin == Origin::Popularity));
    }
    assert_eq!(cold.cached_bytes(), 0);
    // The order in which candidates are named, and what is disliked, are part of the prompt.
    let reversed: Vec<u32> = broad.items().iter().rev().copied().collect();
    let other = user
        .score(Judge::LanguageModel, &reversed, &CallOptions::default())
        .unwrap();
    let same = user
        .score(Judge::LanguageModel, broad.items(), &CallOptions::default())
        .unwrap();
    assert_ne!(other, same.iter().rev().copied().collect::<Vec<_>>());
    user.dislike(&[7]).unwrap();
    let without = user
        .score(Judge::LanguageModel, broad.items(), &CallOptions::default())
        .unwrap();
    assert_ne!(without, same);
    let mut one = engine.recommender();
    one.observe_items(&[3]).unwrap();
    let alone = one
        .score(Judge::LanguageModel, broad.items(), &CallOptions::default())
        .unwrap();
    assert_close(&without, &alone, "disliked");
}

#[test]
fn what_a_prompt_cannot_do_is_said() {
    let engine = Engine::open(BUNDLE).unwrap();
    let mut user = engine.recommender();
    user.observe_items(&[3, 7]).unwrap();
    let all: Vec<u32> = (0..engine.catalog().len()).collect();
    let outcome = user.score(Judge::LanguageModel, &all, &CallOptions::default());
    assert!(matches!(outcome, Err(Error::TooLong { .. })), "{outcome:?}");
    let outcome = user.score(Judge::LanguageModel, &[1, 2], &by_prompt("other"));
    assert!(
        matches!(&outcome, Err(Error::Unsupported { what }) if what == "prompt `other` about candidates"),
        "{outcome:?}"
    );
    let none = user.score(Judge::LanguageModel, &[], &CallOptions::default());
    assert!(none.unwrap().is_empty());
    let mut options = CallOptions::default();
    options.rank = Some(Rank {
        by: Judge::LanguageModel,
        candidates: 0,
    });
    let filter = Filter::default();
    let outcome = user.recommend_with(3, &filter, &options);
    assert!(
        matches!(
            outcome,
            Err(Error::InvalidArgument {
                parameter: "rank",
                ..
            })
        ),
        "{outcome:?}"
    );
    options.rank = Some(Rank {
        by: Judge::LanguageModel,
        candidates: 3,
    });
    let outcome = user.rank_with(Judge::LanguageModel, &[1, 2], 2, &filter, &options);
    assert!(
        matches!(
            outcome,
            Err(Error::InvalidArgument {
                parameter: "options",
                ..
            })
        ),
        "{outcome:?}"
    );
    // Cancelled, it is usable at once.
    let options = CallOptions::default();
    options.cancel.request();
    let outcome = user.score(Judge::LanguageModel, &[1, 2], &options);
    assert!(matches!(outcome, Err(Error::Cancelled)), "{outcome:?}");
    user.score(Judge::LanguageModel, &[1, 2], &CallOptions::default())
        .unwrap();
    let wrong: [(&str, Value, &str); 8] = [
        (
            "text",
            json!("{candidates} {history}"),
            "prompts.hybrid.text",
        ),
        (
            "text",
            json!("{history} {candidates} {history}"),
            "prompts.hybrid.text",
        ),
        (
            "language_model",
            json!("other"),
            "prompts.hybrid.language_model",
        ),
        ("adapter", json!("other"), "prompts.hybrid.adapter"),
        ("rows", json!("other"), "prompts.hybrid.rows"),
        ("placeholder", json!(3), "prompts.hybrid.rows"),
        ("answer", json!(100_000), "prompts.hybrid.answer"),
        ("history", json!(0), "prompts.hybrid.history"),
    ];
    for (field, value, at) in wrong {
        let error = refused(|manifest| manifest["prompts"]["hybrid"][field] = value.clone());
        assert!(error.contains(at), "{error}");
    }
    let error = refused(|manifest| manifest["recipe"]["steps"][1]["prompt"] = json!("other"));
    assert!(error.contains("recipe.steps[1].prompt"), "{error}");
    let error = refused(|manifest| manifest["recipe"]["steps"][1]["weight"] = json!(0.5));
    assert!(error.contains("recipe.steps[1].weight"), "{error}");
}
