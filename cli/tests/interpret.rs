//! `oneiro interpret`: what a recommender knows, in titles.

mod command;

use command::{bundle, oneiro};

fn interpret(more: &[&str]) -> command::Answer {
    let bundle = bundle("tiny-lm");
    let arguments = [
        "interpret",
        &bundle,
        "--seen",
        "Nightjar",
        "--seen",
        "Glass...",
    ];
    oneiro(&[&arguments, more].concat())
}

#[test]
fn lines_text_and_json_name_the_same_titles() {
    let json = interpret(&["-k", "3", "--json"]).json();
    let items = json["items"].as_array().unwrap();
    let titles: Vec<&str> = items
        .iter()
        .map(|one| one["title"].as_str().unwrap())
        .collect();
    assert_eq!(titles.len(), 3);
    assert_eq!(json["text"], titles.join(", "));
    assert_eq!(items[0]["from"], "interpretation");
    let lines = interpret(&["-k", "3"]);
    assert_eq!(lines.code, Some(0));
    for (line, title) in lines.stdout.lines().zip(&titles) {
        assert!(line.starts_with(title), "{line}");
    }
    let text = interpret(&["-k", "3", "--text"]);
    assert_eq!((text.code, text.stderr.as_str()), (Some(0), ""));
    assert_eq!(text.stdout, titles.join(", ") + "\n");
}

#[test]
fn other_questions_rank_titles() {
    for question in [
        &["--residual", "Kites"][..],
        &["--dream"],
        &["--dream-as-item"],
    ] {
        let json = interpret(&[question, &["-k", "2", "--json"]].concat()).json();
        let items = json["items"].as_array().unwrap();
        assert_eq!(items.len(), 2);
        assert_eq!(json["text"], items[0]["title"]);
    }
    let one = interpret(&["--dream", "--seed", "1", "--json"]).json();
    let other = interpret(&["--dream", "--seed", "2", "--json"]).json();
    assert_ne!(one["items"][0]["score"], other["items"][0]["score"]);
}

#[test]
fn an_explanation_is_a_sentence_beside_what_raises_the_score() {
    let json = interpret(&["--explain", "Kitesurfers", "--json"]).json();
    let items = json["items"].as_array().unwrap();
    assert_eq!(items.len(), 2);
    assert_eq!(items[0]["from"], "attribution");
    let text = json["text"].as_str().unwrap();
    assert!(text.contains(items[0]["title"].as_str().unwrap()), "{text}");
    let lines = interpret(&["--explain", "Kitesurfers"]);
    assert_eq!(lines.stderr.trim_end(), text);
    assert_eq!(lines.stdout.lines().count(), 2);
}

#[test]
fn what_does_not_go_together_is_a_wrong_command_line() {
    for wrong in [
        &["--dream", "--residual", "Kites"][..],
        &["--explain", "Kites", "--dream"],
        &["--seed", "3"],
        &["-k", "257"],
        &["--text", "--json"],
    ] {
        let answer = interpret(wrong);
        assert_eq!(answer.code, Some(2), "{wrong:?}: {}", answer.stderr);
        assert!(answer.stdout.is_empty());
    }
    assert_eq!(interpret(&["--interpreter", "other"]).code, Some(3));
    assert_eq!(interpret(&["--residual", "The Orchard"]).code, Some(1));
    let tiny = bundle("tiny");
    assert_eq!(oneiro(&["interpret", &tiny]).code, Some(3));
    let late = interpret(&["--deadline-ms", "0", "--text"]);
    assert_eq!((late.code, late.stdout.as_str()), (Some(31), ""));
}
