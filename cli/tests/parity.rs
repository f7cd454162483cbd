//! The command ranks as PyTorch does: a hundred histories, their best items, and the rank of an item after each.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod command;
#[path = "../../tests/golden/mod.rs"]
mod golden;

use std::collections::HashMap;
use std::fmt::Write;
use std::fs;

use command::{bundle, column, oneiro};
use golden::{Golden, TOP};
use oneiro::Bundle;

#[test]
fn tiny_ranks_as_pytorch_does() {
    check("tiny");
}

#[test]
fn demo_ranks_as_pytorch_does() {
    check("demo");
}

#[test]
fn tiny_values_ranks_as_pytorch_does() {
    check("tiny-values");
}

/// The options that choose a network of a golden file.
fn way(network: &str) -> [&str; 4] {
    match network.strip_prefix("q.") {
        Some(network) => ["--by", "q", "--q-network", network],
        None => ["--by", "encoder", "--encoder", network],
    }
}

fn check(name: &str) {
    let golden = Golden::read(name);
    let folder = bundle(name);
    let bundle = Bundle::open(&folder).unwrap();
    let id = |&item: &u32| bundle.catalog().id(item).unwrap();
    // The encoders take turns: the library's own test asks each for every history.
    let turns = golden.answers.len();
    for (turn, (encoder, expected)) in golden.answers.iter().enumerate() {
        let rows = golden.histories.iter().zip(expected);
        for (history, expected) in rows.skip(turn).step_by(turns) {
            let mut arguments = vec!["recommend", &folder];
            arguments.extend(way(encoder));
            arguments.extend(["-k", "20", "--json"]);
            arguments.extend(history.iter().flat_map(|item| ["--seen", id(item)]));
            let report = oneiro(&arguments).json();
            let items = column(&report, "item").into_iter();
            let items: Vec<u32> = items.map(|item| item.as_u64().unwrap() as u32).collect();
            let scores = column(&report, "score").into_iter();
            let scores: Vec<f32> = scores.map(|score| score.as_f64().unwrap() as f32).collect();
            assert_eq!(scores.len(), TOP);
            expected.check(&items, &scores, &format!("by {encoder} after {history:?}"));
        }
    }
}

/// Each history is a user whose last event, the only one of the split `val`, is the target.
#[test]
fn eval_gives_every_target_the_rank_that_pytorch_gives_it() {
    let working = tempfile::tempdir().unwrap();
    let path = |name: &str| working.path().join(name).to_str().unwrap().to_owned();
    for name in ["tiny", "demo", "tiny-values"] {
        let golden = Golden::read(name);
        let folder = bundle(name);
        let bundle = Bundle::open(&folder).unwrap();
        let mut csv = String::from("user,item,time,split\n");
        let mut rows = HashMap::new();
        let mut line = 1;
        for (row, history) in golden.histories.iter().enumerate() {
            let events = history.iter().chain([&golden.targets[row]]);
            for (time, &item) in events.enumerate() {
                let split = if time < history.len() { "train" } else { "val" };
                let id = bundle.catalog().id(item).unwrap();
                writeln!(csv, "{row},{id},{time},{split}").unwrap();
                line += 1;
            }
            rows.insert(line, row);
        }
        fs::write(path("events.csv"), csv).unwrap();
        for (encoder, expected) in &golden.answers {
            let files = [path("events.csv"), path("ranks.csv")];
            let arguments = ["eval", &folder, &files[0], "--ranks", &files[1]];
            let report = oneiro(&[&arguments[..], &way(encoder), &["--json"]].concat()).json();
            // A user without a past is not asked about.
            assert_eq!(report["n"], golden.histories.len() - 1);
            let found = fs::read_to_string(&files[1]).unwrap();
            let mut found = found.lines();
            assert_eq!(found.next(), Some("line,rank"));
            let mut count = 0;
            for pair in found {
                let (line, rank) = pair.split_once(',').unwrap();
                let row = rows[&line.parse().unwrap()];
                let what = format!("{name}, {encoder}, row {row}");
                assert_eq!(rank.parse().ok(), expected[row].rank, "{what}");
                count += 1;
            }
            assert_eq!(report["n"], count);
        }
    }
}
