//! The demo's language model ranks the same from Rust, from C and in PyTorch, after a hundred made-up histories.
//!
//! `tests/golden/demo-taste.safetensors` has what transformers says of the titles of the encoder's best twenty, with the
//! bundle's weights read back as f32. The library multiplies them with numbers rounded to 16 bits.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests may")]
#![cfg(all(feature = "capi", feature = "llm"))]

#[cfg(unix)]
mod shared_library;

use std::fs;

use oneiro::{CallOptions, Engine, Filter, Judge, Origin, Rank};
use safetensors::SafeTensors;

const BUNDLE: &str = "models/demo";
const HISTORIES: usize = 100;

/// How far the log-probability of a title is from PyTorch's: the root of the mean square, and the most of any.
const ERROR: f32 = 0.001;
const MOST: f32 = 0.01;

/// In how many of the histories the two have the same item best.
const SAME_BEST: usize = 99;

/// What one history gets: items, best first, with scores.
type Answer = Vec<(u32, f32)>;

struct Golden {
    histories: Vec<Vec<u32>>,
    answers: Vec<Answer>,
}

impl Golden {
    fn read() -> Self {
        let bytes = fs::read("tests/golden/demo-taste.safetensors").unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let words = |name: &str| -> Vec<u32> {
            let words = tensors.tensor(name).unwrap().data().chunks_exact(4);
            words
                .map(|word| u32::from_le_bytes(word.try_into().unwrap()))
                .collect()
        };
        let (mut histories, lengths) = (words("histories"), words("lengths"));
        assert_eq!(lengths.len(), HISTORIES);
        let scores = words("scores").into_iter().map(f32::from_bits);
        let scored: Answer = words("candidates").into_iter().zip(scores).collect();
        Self {
            histories: lengths
                .iter()
                .map(|&length| histories.drain(..length as usize).collect())
                .collect(),
            answers: scored
                .chunks(scored.len() / HISTORIES)
                .map(|scored| {
                    let mut answer = scored.to_vec();
                    answer.sort_by(|(_, a), (_, b)| b.total_cmp(a));
                    answer
                })
                .collect(),
        }
    }
}

fn by_rust(golden: &Golden) -> Vec<Answer> {
    let engine = Engine::open(BUNDLE).unwrap();
    let mut options = CallOptions::default();
    options.rank = Some(Rank {
        by: Judge::LanguageModel,
        candidates: 20,
    });
    let answer = |history: &Vec<u32>| {
        let mut user = engine.recommender();
        user.observe_items(history).unwrap();
        let best = user
            .recommend_with(20, &Filter::default(), &options)
            .unwrap();
        let mut origins = best.origins().iter();
        assert!(origins.all(|origin| *origin == Origin::LanguageModel));
        let items = best.items().iter().copied();
        items.zip(best.scores().iter().copied()).collect()
    };
    golden.histories.iter().map(answer).collect()
}

/// Compiles tests/c/taste.c against the shared library and asks it.
#[cfg(unix)]
fn by_c(golden: &Golden) -> Vec<Answer> {
    use std::process::{Command, Stdio};

    let folder = tempfile::tempdir().unwrap();
    let program = shared_library::compile("tests/c/taste.c", folder.path());
    let histories = folder.path().join("histories");
    let line = |history: &Vec<u32>| {
        let words: Vec<_> = history.iter().map(u32::to_string).collect();
        words.join(" ") + "\n"
    };
    let lines: String = golden.histories.iter().map(line).collect();
    fs::write(&histories, lines).unwrap();
    let answered = Command::new(program)
        .arg(BUNDLE)
        .stdin(Stdio::from(fs::File::open(&histories).unwrap()))
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&answered.stderr);
    assert!(answered.status.success(), "{told}");
    let pair = |pair: &str| {
        let (item, score) = pair.split_once(':').unwrap();
        (item.parse().unwrap(), score.parse().unwrap())
    };
    let answer = |line: &str| line.split_whitespace().map(pair).collect();
    let lines = String::from_utf8(answered.stdout).unwrap();
    lines.lines().map(answer).collect()
}

#[test]
fn a_hundred_histories_are_ranked_the_same_from_rust_from_c_and_in_pytorch() {
    let golden = Golden::read();
    let found = by_rust(&golden);
    let (mut same, mut squares, mut most) = (0, vec![], 0_f32);
    for (found, expected) in found.iter().zip(&golden.answers) {
        same += usize::from(found[0].0 == expected[0].0);
        for (item, score) in found {
            let own = expected.iter().find(|(own, _)| own == item);
            let (_, own) = own.unwrap_or_else(|| panic!("{item} is not among the best twenty"));
            squares.push((score - own).powi(2));
            most = most.max((score - own).abs());
        }
    }
    let error = (squares.iter().sum::<f32>() / squares.len() as f32).sqrt();
    println!("the same best after {same}; scores {error:.4} apart, at most {most:.4}");
    assert!(same >= SAME_BEST, "another best after {}", HISTORIES - same);
    assert!(error <= ERROR && most <= MOST, "{error}, at most {most}");
    #[cfg(unix)]
    assert_eq!(found, by_c(&golden));
}
