//! A hundred synthetic histories get the same answer from Rust, from C and from PyTorch, by every encoder of a bundle.
//!
//! `golden/mod.rs` says what may differ. Rust and C are one library: they agree to the last bit.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests may"
)]
#![cfg(feature = "capi")]

mod golden;
#[cfg(unix)]
mod shared_library;

#[cfg(unix)]
use std::fs;

use golden::{Golden, TOP, assert_close};
use oneiro::{By, CallOptions, Engine, Filter};

/// What one history gets.
#[derive(Debug, PartialEq)]
struct Answer {
    items: Vec<u32>,
    scores: Vec<f32>,
    state: Vec<f32>,
}

fn by_rust(bundle: &str, encoder: &str, golden: &Golden) -> Vec<Answer> {
    let engine = Engine::open(bundle).unwrap();
    let mut options = CallOptions::default();
    options.encoder = Some(encoder.into());
    let answer = |history: &Vec<u32>| {
        let mut user = engine.recommender();
        user.observe_items(history).unwrap();
        let best = user.retrieve_with(By::Encoder, TOP, &Filter::default(), &options);
        let best = best.unwrap();
        let state = user.state(&options).unwrap();
        Answer {
            items: best.items().into(),
            scores: best.scores().into(),
            state: state.to_vec(),
        }
    };
    golden.histories.iter().map(answer).collect()
}

/// Compiles tests/c/parity.c against the shared library and asks it.
#[cfg(unix)]
fn by_c(bundle: &str, encoder: &str, golden: &Golden) -> Vec<Answer> {
    use std::process::{Command, Stdio};

    let folder = tempfile::tempdir().unwrap();
    let program = shared_library::compile("tests/c/parity.c", folder.path());
    let histories = folder.path().join("histories");
    let words = |history: &Vec<u32>| {
        history
            .iter()
            .map(u32::to_string)
            .collect::<Vec<_>>()
            .join(" ")
            + "\n"
    };
    fs::write(
        &histories,
        golden.histories.iter().map(words).collect::<String>(),
    )
    .unwrap();
    let answered = Command::new(program)
        .args([bundle, encoder])
        .stdin(Stdio::from(fs::File::open(&histories).unwrap()))
        .output()
        .unwrap();
    assert!(
        answered.status.success(),
        "{}",
        String::from_utf8_lossy(&answered.stderr)
    );
    let lines = String::from_utf8(answered.stdout).unwrap();
    let lines: Vec<&str> = lines.lines().collect();
    let answer = |lines: &[&str]| {
        let pairs = lines[0]
            .split_whitespace()
            .map(|pair| pair.split_once(':').unwrap());
        let (items, scores) = pairs
            .map(|(item, score)| (item.parse::<u32>().unwrap(), score.parse::<f32>().unwrap()))
            .unzip();
        Answer {
            items,
            scores,
            state: lines[1]
                .split_whitespace()
                .map(|value| value.parse().unwrap())
                .collect(),
        }
    };
    lines.chunks(2).map(answer).collect()
}

fn check(name: &str, encoders: &[&str]) {
    let bundle = format!("models/{name}");
    let golden = Golden::read(name);
    // Those of Q-networks are `q_network.rs`'s.
    let answers = golden.answers.iter();
    let answers: Vec<_> = answers
        .filter(|(name, _)| !name.starts_with("q."))
        .collect();
    assert!(answers.iter().map(|(encoder, _)| *encoder).eq(encoders));
    for (encoder, expected) in answers {
        let rust = by_rust(&bundle, encoder, &golden);
        assert_eq!(rust.len(), expected.len());
        for ((history, answer), expected) in golden.histories.iter().zip(&rust).zip(expected) {
            let after = format!("by {encoder} after {history:?}");
            assert_close(&answer.state, &expected.state, &format!("state {after}"));
            expected.check(&answer.items, &answer.scores, &after);
        }
        #[cfg(unix)]
        assert_eq!(rust, by_c(&bundle, encoder, &golden));
    }
}

#[test]
fn the_tiny_bundle_answers_as_pytorch_does() {
    check("tiny", &["caser", "gru4rec", "nextitnet", "sasrec"]);
}

#[test]
fn the_demo_bundle_answers_as_pytorch_does() {
    check("demo", &["mcrl", "sasrec"]);
}
