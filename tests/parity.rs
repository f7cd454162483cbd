//! A hundred synthetic histories get the same answer from Rust, from C and from PyTorch.
//!
//! The golden files hold what PyTorch computed with the bundles' weights (`oneiro_models/golden.py`). Numbers may differ
//! by 1e-5 of the largest among them, which is float rounding in another order; items may differ only where PyTorch's
//! own scores are that close. Rust and C are one library: they agree to the last bit.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests may"
)]
#![cfg(feature = "capi")]

#[cfg(unix)]
mod shared_library;

use std::fs;

use oneiro::{By, CallOptions, Engine, Filter};
use safetensors::SafeTensors;

const TOLERANCE: f32 = 1e-5;
const HISTORIES: usize = 100;
const TOP: usize = 20;

struct Golden {
    histories: Vec<Vec<u32>>,
    states: Vec<Vec<f32>>,
    top_items: Vec<Vec<u32>>,
    top_scores: Vec<Vec<f32>>,
}

/// What one history gets.
#[derive(Debug, PartialEq)]
struct Answer {
    items: Vec<u32>,
    scores: Vec<f32>,
    state: Vec<f32>,
}

impl Golden {
    fn read(name: &str) -> Self {
        let file = fs::read(format!("tests/golden/{name}.safetensors")).unwrap();
        let tensors = SafeTensors::deserialize(&file).unwrap();
        let integers = |name: &str| -> Vec<i64> {
            let data = tensors.tensor(name).unwrap().data();
            data.chunks_exact(8)
                .map(|bytes| i64::from_le_bytes(bytes.try_into().unwrap()))
                .collect()
        };
        let items = |name: &str| -> Vec<u32> {
            let data = tensors.tensor(name).unwrap().data();
            data.chunks_exact(4)
                .map(|bytes| u32::from_le_bytes(bytes.try_into().unwrap()))
                .collect()
        };
        let floats = |name: &str| {
            items(name)
                .into_iter()
                .map(f32::from_bits)
                .collect::<Vec<f32>>()
        };
        let lengths = integers("lengths");
        let histories = integers("histories");
        let longest = histories.len() / HISTORIES;
        let rows = histories.chunks(longest).zip(&lengths);
        let states = floats("states");
        Self {
            histories: rows
                .map(|(row, &length)| {
                    row[..length as usize]
                        .iter()
                        .map(|&item| item as u32)
                        .collect()
                })
                .collect(),
            states: states
                .chunks(states.len() / HISTORIES)
                .map(Into::into)
                .collect(),
            top_items: items("top_items").chunks(TOP).map(Into::into).collect(),
            top_scores: floats("top_scores").chunks(TOP).map(Into::into).collect(),
        }
    }

    fn check(&self, answers: &[Answer]) {
        assert_eq!(
            (self.histories.len(), answers.len()),
            (HISTORIES, HISTORIES)
        );
        for (i, answer) in answers.iter().enumerate() {
            let history = &self.histories[i];
            assert_close(
                &answer.state,
                &self.states[i],
                &format!("state after {history:?}"),
            );
            assert_close(
                &answer.scores,
                &self.top_scores[i],
                &format!("scores after {history:?}"),
            );
            let (expected, scores) = (&self.top_items[i], &self.top_scores[i]);
            for (place, item) in answer.items.iter().enumerate() {
                // A golden item as good as the one that stands here, or one that just missed the golden list.
                let other = expected
                    .iter()
                    .position(|golden| golden == item)
                    .unwrap_or(TOP - 1);
                let same = *item == expected[place];
                let tied = (scores[place] - scores[other]).abs() <= TOLERANCE * scores[place].abs();
                assert!(
                    same || tied,
                    "place {place} after {history:?}: {:?}, expected {expected:?}",
                    answer.items
                );
            }
        }
    }
}

fn assert_close(found: &[f32], expected: &[f32], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = expected
        .iter()
        .fold(0.0_f32, |largest, value| largest.max(value.abs()));
    for (found, expected) in found.iter().zip(expected) {
        assert!(
            (found - expected).abs() <= TOLERANCE * largest,
            "{what}: {found}, expected {expected}"
        );
    }
}

fn by_rust(bundle: &str, golden: &Golden) -> Vec<Answer> {
    let engine = Engine::open(bundle).unwrap();
    let answer = |history: &Vec<u32>| {
        let mut user = engine.recommender();
        user.observe_items(history).unwrap();
        let best = user.retrieve(By::Encoder, TOP, &Filter::default()).unwrap();
        let state = user.state(&CallOptions::default()).unwrap();
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
fn by_c(bundle: &str, golden: &Golden) -> Vec<Answer> {
    use std::process::{Command, Stdio};

    let folder = tempfile::tempdir().unwrap();
    let library = shared_library::shared_library();
    let major = env!("ONEIRO_ABI_MAJOR");
    for name in [
        format!("liboneiro.so.{major}"),
        format!("liboneiro.{major}.dylib"),
    ] {
        std::os::unix::fs::symlink(&library, folder.path().join(name)).unwrap();
    }
    let program = folder.path().join("parity");
    let compiled = Command::new("cc")
        .args(["-std=c99", "-Iinclude", "tests/c/parity.c"])
        .arg(&library)
        .arg(format!("-Wl,-rpath,{}", folder.path().display()))
        .arg("-o")
        .arg(&program)
        .output()
        .unwrap();
    assert!(
        compiled.status.success(),
        "{}",
        String::from_utf8_lossy(&compiled.stderr)
    );

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
        .arg(bundle)
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

fn check(name: &str) {
    let bundle = format!("models/{name}");
    let golden = Golden::read(name);
    let rust = by_rust(&bundle, &golden);
    golden.check(&rust);
    #[cfg(unix)]
    assert_eq!(rust, by_c(&bundle, &golden));
}

#[test]
fn the_tiny_bundle_answers_as_pytorch_does() {
    check("tiny");
}

#[test]
fn the_demo_bundle_answers_as_pytorch_does() {
    check("demo");
}
