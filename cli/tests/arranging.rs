//! How the list is arranged, and scores of given items, from the command line.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod command;

use command::{bundle, column, oneiro, titles};
use serde_json::{Value, json};

fn recommend(arguments: &[&str]) -> Value {
    let tiny = bundle("tiny");
    let arguments = [
        &["recommend", &tiny, "--seen", "film-29", "--json"],
        arguments,
    ]
    .concat();
    oneiro(&arguments).json()
}

fn ids(report: &Value) -> Vec<&str> {
    let ids = column(report, "id").into_iter();
    ids.map(|id| id.as_str().unwrap()).collect()
}

#[test]
fn boosts_and_pins_are_named() {
    let plain = recommend(&["-k", "40"]);
    let all = ids(&plain);
    let last = *all.last().unwrap();
    let (boost, pin) = (format!("{last}=50"), format!("{}@3", all[9]));
    let report = recommend(&["-k", "3", "--boost", &boost, "--pin", &pin]);
    assert_eq!(ids(&report), [last, all[0], all[9]]);
    assert_eq!(column(&report, "from"), ["encoder", "encoder", "pinned"]);
    assert_eq!(report["items"][0]["boost"], json!(50.0));
    assert_eq!(report["items"][1].get("boost"), None);
    assert_eq!(report["stopped_after"], Value::Null);
    // film-14 was never trained: it has a place, but no score.
    let report = recommend(&["-k", "2", "--pin", "film-14@1"]);
    assert_eq!(report["items"][0]["score"], Value::Null);
    let tiny = bundle("tiny");
    let answer = oneiro(&["recommend", &tiny, "--pin", "film-14@1", "-k", "2"]);
    assert!(answer.lines()[0].ends_with("  none"), "{}", answer.stdout);
    assert_eq!(answer.stderr, "By popularity: there is no history.\n");
}

#[test]
fn caps_and_diversity_change_the_list() {
    let plain = recommend(&[]);
    let capped = recommend(&[
        "--cap",
        "genres=3",
        "--cap",
        "genres=Drama=1",
        "--cap",
        "year=1",
    ]);
    let diverse = recommend(&["--diversity", "0.3", "--pool", "40"]);
    let other = recommend(&["--diversity", "0.3", "--space", "texts"]);
    assert_eq!(ids(&plain).len(), 10);
    for changed in [&capped, &diverse, &other] {
        assert_ne!(ids(changed), ids(&plain));
    }
    assert_ne!(ids(&diverse), ids(&other));
    assert_eq!(ids(&recommend(&["--diversity", "1"])), ids(&plain));
}

#[test]
fn what_a_user_hides_or_dislikes_does_not_come() {
    let plain = recommend(&["-k", "40"]);
    let first = ids(&plain)[0];
    let hidden = recommend(&["-k", "40", "--hide", first]);
    assert_eq!(ids(&hidden), &ids(&plain)[1..]);
    let disliked = recommend(&["-k", "40", "--dislike", first]);
    assert_eq!(ids(&disliked).len(), ids(&plain).len() - 1);
    assert_ne!(column(&disliked, "score"), column(&hidden, "score"));
    let lenient = recommend(&["-k", "40", "--dislike", first, "--dislike-weight", "0"]);
    assert_eq!(column(&lenient, "score"), column(&hidden, "score"));

    let tiny = bundle("tiny");
    let near = oneiro(&["similar", &tiny, "film-5", "-k", "39"]);
    let near = near.lines();
    let second = titles(&near)[1];
    let pin = format!("{second}@1");
    let pinned = oneiro(&["similar", &tiny, "film-5", "-k", "3", "--pin", &pin]);
    assert_eq!(titles(&pinned.lines())[0], second);
    let without = oneiro(&["similar", &tiny, "film-5", "-k", "39", "--hide", second]);
    assert!(!titles(&without.lines()).contains(&second));
}

#[test]
fn no_time_at_all_has_its_own_exit_code() {
    let tiny = bundle("tiny");
    for command in [
        &["recommend", &tiny][..],
        &["similar", &tiny, "film-5"],
        &["score", &tiny, "film-5"],
    ] {
        let answer = oneiro(&[command, &["--deadline-ms", "0"]].concat());
        assert!(answer.error(31).contains("deadline"));
    }
    let in_time = recommend(&["--deadline-ms", "3600000"]);
    assert_eq!(ids(&in_time).len(), 10);
}

#[test]
fn given_items_are_scored_in_their_order() {
    let tiny = bundle("tiny");
    let ranked = recommend(&["-k", "40"]);
    let given = ["film-3", "film-14", "film-15"];
    let report = oneiro(
        &[
            &["score", &tiny][..],
            &given,
            &["--seen", "film-29", "--json"],
        ]
        .concat(),
    )
    .json();
    assert_eq!(ids(&report), given);
    let scores = column(&report, "score");
    assert_eq!(scores[1], &Value::Null);
    for position in [0, 2] {
        let place = ids(&ranked).iter().position(|id| *id == given[position]);
        assert_eq!(scores[position], column(&ranked, "score")[place.unwrap()]);
    }
    let lines = oneiro(&["score", &tiny, "Kites", "film-14", "--by", "popularity"]);
    assert_eq!(titles(&lines.lines()[..1]), ["Kites (2007)"]);
    assert!(lines.lines()[0].ends_with(" 199") && lines.lines()[1].ends_with(" none"));
    assert_eq!(oneiro(&["score", &tiny]).code, Some(2));
    let unknown = oneiro(&["score", &tiny, "film-3", "nowhere"]);
    assert_eq!(unknown.error(2), "no item has the id or title `nowhere`");
}

#[test]
fn wrong_boosts_and_pins_are_named_as_they_were_typed() {
    let tiny = bundle("tiny");
    for (wishes, reason) in [
        (
            ["--pin", "Kites@1", "--pin", "film-29@1"],
            "`pin`: `Kites` and `film-29` at place 1",
        ),
        (
            ["--pin", "Kites@1", "--pin", "kites@2"],
            "`pin`: `kites` at two places",
        ),
        (
            ["--boost", "Kites=1", "--boost", "kites=nan"],
            "`boost`: NaN for `kites`",
        ),
        (
            ["--boost", "Kites=3e38", "--boost", "Kites=3e38"],
            "`boost`: inf for `Kites`",
        ),
    ] {
        let answer = oneiro(&[&["recommend", &tiny][..], &wishes].concat());
        assert_eq!(answer.error(1), reason);
    }
}

#[test]
fn help_says_what_the_space_is_for_and_where_the_deadline_belongs() {
    for command in ["recommend", "similar"] {
        let help = oneiro(&[command, "-h"]).stdout;
        let (before, looks) = help.split_once("What the list looks like:").unwrap();
        assert!(before.contains("--deadline-ms") && !looks.contains("--deadline-ms"));
        let space = looks.lines().find(|line| line.contains("--space")).unwrap();
        assert!(space.contains("for --diversity and --dislike"), "{space}");
    }
}

#[test]
fn wrong_wishes_are_named() {
    let tiny = bundle("tiny");
    for (code, arguments) in [
        (2, ["--boost", "film-3"]),
        (2, ["--boost", "nowhere=1"]),
        (2, ["--pin", "film-3@0"]),
        (2, ["--cap", "genres=none"]),
        (1, ["--cap", "genres=Polka=1"]),
        (3, ["--cap", "mood=1"]),
        (1, ["--diversity", "2"]),
        (3, ["--space", "moods"]),
        (1, ["--pool", "0"]),
    ] {
        let answer = oneiro(&[&["recommend", &tiny][..], &arguments].concat());
        assert_eq!(answer.code, Some(code), "{arguments:?}: {}", answer.stderr);
        assert_eq!(answer.stdout, "");
    }
}
