//! Language models get the same answer from Rust and from C: one library, to the last bit.
//!
//! `language_model.rs` holds Rust's to transformers'.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests may"
)]
#![cfg(all(feature = "capi", feature = "llm", unix))]

mod shared_library;

use std::fmt::Write;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

use oneiro::{Ended, Engine, GenerateOptions, Generated, LanguageModel, Prompt, ScoreOptions};

const BUNDLE: &str = "models/tiny-lm";
const TEXTS: [&str; 4] = ["After", "People who liked ", "", "Übermut: naïve 映画 🎬 "];

/// What tests/c/language_model_parity.c prints.
fn by_rust(engine: &Engine, name: &str) -> String {
    let mut model = engine.language_model(Some(name)).unwrap();
    let titles: Vec<_> = (0..engine.catalog().len())
        .map(|item| engine.catalog().title(item).unwrap().unwrap())
        .collect();
    let mut likeliest = GenerateOptions::default();
    likeliest.tokens = 24;
    let mut drawn = GenerateOptions::default();
    drawn.tokens = 40;
    drawn.temperature = 0.75;
    drawn.top_k = Some(200);
    drawn.top_p = 0.9;
    drawn.seed = 7;
    drawn.stop = vec!["th".into(), "\n\n".into()];
    let row: Vec<f32> = (0..32_u8).map(|i| f32::from(i) / 16.0 - 1.0).collect();
    let mut out = String::new();
    for text in TEXTS {
        write_tokens(&mut out, &model.encode(text).unwrap());
        let prompt = Prompt::new().text(text).title("The\nLantern").token(77);
        let prompt = prompt.row(row.as_slice());
        for options in [&likeliest, &drawn] {
            write_written(&mut out, &written(&mut model, &prompt, options));
        }
        let scores = model
            .score(&prompt, &titles, &ScoreOptions::default())
            .unwrap();
        let scores: Vec<_> = scores.iter().map(|score| score.to_bits()).collect();
        write_tokens(&mut out, &scores);
    }
    out
}

fn written(model: &mut LanguageModel, prompt: &Prompt, options: &GenerateOptions) -> Generated {
    model.generate(prompt, options, &mut |_| {}).unwrap()
}

fn write_tokens(out: &mut String, tokens: &[u32]) {
    for token in tokens {
        write!(out, "{token} ").unwrap();
    }
    out.push('\n');
}

fn write_written(out: &mut String, written: &Generated) {
    let ended = match written.ended {
        Ended::Token => 1,
        Ended::Text => 2,
        Ended::Count => 3,
        Ended::Context => 4,
        Ended::Deadline => 5,
        _ => 0,
    };
    write!(out, "{ended} ").unwrap();
    write_tokens(out, &written.tokens);
    for byte in written.text.replace('\0', "\u{2400}").bytes() {
        write!(out, "{byte:02x}").unwrap();
    }
    out.push('\n');
}

/// What the program prints, its scores (every sixth line) as bits.
fn by_c(program: &Path, input: &Path, name: &str) -> String {
    let answered = Command::new(program)
        .args([BUNDLE, name])
        .stdin(Stdio::from(File::open(input).unwrap()))
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&answered.stderr);
    assert!(answered.status.success(), "{errors}");
    let printed = String::from_utf8(answered.stdout).unwrap();
    let mut out = String::new();
    for (place, line) in printed.lines().enumerate() {
        if place % 6 < 5 {
            out.push_str(line);
            out.push('\n');
        } else {
            let scores = line.split_whitespace().map(|score| score.parse::<f32>());
            let scores: Vec<_> = scores.map(|score| score.unwrap().to_bits()).collect();
            write_tokens(&mut out, &scores);
        }
    }
    out
}

#[test]
fn c_reads_writes_and_judges_as_rust_does() {
    let folder = tempfile::tempdir().unwrap();
    let program = shared_library::compile("tests/c/language_model_parity.c", folder.path());
    let input = folder.path().join("texts");
    fs::write(&input, TEXTS.map(|text| format!("{text}\n")).concat()).unwrap();
    let engine = Engine::open(BUNDLE).unwrap();
    for name in ["lm", "plain"] {
        let rust = by_rust(&engine, name);
        assert_eq!(rust.lines().count(), 6 * TEXTS.len());
        assert_eq!(rust, by_c(&program, &input, name), "`{name}`");
    }
}
