//! `oneiro recommend`: what it prints, for whom, and which items may come.

mod command;

use command::{bundle, column, oneiro, titles};
use serde_json::json;

fn recommend(arguments: &[&str]) -> command::Answer {
    oneiro(&[&["recommend", &bundle("tiny")], arguments].concat())
}

#[test]
fn items_go_to_stdout_as_title_and_score() {
    let answer = recommend(&["--seen", "film-29", "--seen", "señor relampago"]);
    let lines = answer.lines();
    assert_eq!(lines.len(), 10);
    assert_eq!(titles(&lines)[0], "Glass... (2000)");
    assert!(!answer.stdout.contains('\u{1b}'));
    assert_eq!(
        answer.stderr,
        "After: The Lantern Keeper (1994), Señor Relámpago (1976)\n"
    );
}

#[test]
fn the_demo_recommends_ten_films() {
    let history = [
        "Inception",
        "The Dark Knight",
        "The Matrix",
        "Fight Club",
        "The Prestige",
    ];
    let seen: Vec<&str> = history.iter().flat_map(|title| ["--seen", title]).collect();
    let demo = bundle("demo");
    let answer = oneiro(&[&["recommend", &demo], seen.as_slice()].concat());
    let lines = answer.lines();
    let titles = titles(&lines);
    assert_eq!(titles.len(), 10);
    assert!(!titles.iter().any(|title| title.starts_with("Inception")));
    assert!(
        answer.stderr.starts_with("After: Inception (2010), "),
        "{}",
        answer.stderr
    );
}

#[test]
fn json_says_what_was_asked_and_found() {
    let report = recommend(&["--seen", "film-29", "-k", "3", "--json"]).json();
    let first = &report["items"][0];
    assert_eq!(first["id"], "film-15");
    assert_eq!(first["item"], 27);
    assert_eq!(first["title"], "Glass... (2000)");
    assert_eq!(first["from"], "encoder");
    assert!(first["score"].is_f64());
    assert_eq!(column(&report, "id").len(), 3);
    let history = json!([{ "item": 0, "id": "film-29", "title": "The Lantern Keeper (1994)" }]);
    assert_eq!(report["history"], history);
    assert_eq!(report["skipped"], json!([]));
    let stages = report["stages"].as_array().unwrap();
    assert_eq!(stages[0]["name"], "encode sasrec");
    assert!(
        stages
            .iter()
            .all(|stage| stage["ms"].is_f64() && stage["items"].is_u64())
    );
}

#[test]
fn cold_users_get_what_is_popular_and_are_told() {
    let answer = recommend(&["-k", "2"]);
    assert_eq!(
        answer.lines(),
        ["Kites (2007)          199", "Paper & Stone (1997)  198"]
    );
    assert_eq!(answer.stderr, "By popularity: there is no history.\n");

    // Its row was never trained.
    let answer = recommend(&["--seen", "film-14", "-k", "1", "--json"]);
    assert_eq!(answer.json()["items"][0]["from"], "popularity");
    let answer = recommend(&["--seen", "film-14", "-k", "1"]);
    assert!(
        answer
            .stderr
            .ends_with("By popularity: the encoder knows none of these.\n")
    );
}

#[test]
fn the_way_can_be_chosen() {
    let popular = recommend(&["--seen", "film-29", "--by", "popularity", "--json"]).json();
    assert!(
        column(&popular, "from")
            .iter()
            .all(|from| *from == "popularity")
    );
    let encoded = recommend(&["--by", "encoder", "--encoder", "sasrec", "--json"]).json();
    assert!(
        column(&encoded, "from")
            .iter()
            .all(|from| *from == "encoder")
    );
    assert_eq!(column(&encoded, "id").len(), 10);
}

#[test]
fn seen_items_come_again_only_if_asked() {
    let ids = |more: &[&str]| {
        let report =
            recommend(&[&["--seen", "film-29", "-k", "40", "--json"], more].concat()).json();
        column(&report, "id")
            .into_iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    let seen = "\"film-29\"".to_owned();
    assert!(!ids(&[]).contains(&seen));
    assert!(!ids(&["--exclude-seen"]).contains(&seen));
    assert!(ids(&["--allow-seen"]).contains(&seen));
}

#[test]
fn conditions_add_up() {
    let answer = recommend(&[
        "--seen",
        "film-5",
        "--tag",
        "genres=Drama",
        "--between",
        "year=1990..2005",
    ]);
    let lines = answer.lines();
    assert_eq!(
        titles(&lines),
        ["The Lantern Keeper (1994)", "Échos d'hiver (2003)"]
    );
    assert!(answer.stderr.ends_with("Only 2 items fit.\n"));

    let without = recommend(&["--tag", "genres=Drama", "--without-tag", "genres=Drama"]);
    assert_eq!(without.lines(), [""; 0]);
    assert!(without.stderr.ends_with("No item fits.\n"));

    let only = recommend(&[
        "--only",
        "film-6",
        "--only",
        "Glass",
        "--exclude",
        "Kites (2007)",
    ]);
    assert_eq!(titles(&only.lines()), ["Glass... (2000)"]);
}

#[test]
fn unknown_items_are_named_or_skipped() {
    let unknown = recommend(&["--seen", "film-29", "--seen", "nowhere to be found"]);
    assert_eq!(
        unknown.error(2),
        "no item has the id or title `nowhere to be found`"
    );
    let unknown = recommend(&["--exclude", "film-999"]);
    assert_eq!(unknown.error(2), "no item has the id or title `film-999`");

    let arguments = [
        "--seen",
        "film-29",
        "--seen",
        "nowhere",
        "--exclude",
        "film-999",
        "--skip-unknown",
    ];
    let answer = recommend(&[&arguments[..], &["--json"]].concat());
    assert_eq!(answer.json()["skipped"], json!(["nowhere", "film-999"]));
    assert_eq!(
        answer.stderr,
        "Skipped, not in the catalog: nowhere, film-999\n"
    );
}

#[test]
fn ambiguous_titles_list_their_items() {
    for more in [
        &["--seen", "two rivers"][..],
        &["--seen", "two rivers", "--skip-unknown"],
    ] {
        let answer = recommend(more);
        let error = answer.error(2);
        assert!(error.starts_with("`two rivers` fits 3 titles: "), "{error}");
        for candidate in [
            "Two Rivers (1951) [film-11]",
            "Two Rivers (1998) [film-7]",
            "[film-25]",
        ] {
            assert!(error.contains(candidate), "{error}");
        }
    }
}

#[test]
fn long_histories_are_named_by_their_end() {
    let ids: Vec<String> = (1..=12).map(|id| format!("film-{id}")).collect();
    let seen: Vec<&str> = ids.iter().flat_map(|id| ["--seen", id]).collect();
    let answer = recommend(&seen);
    answer.lines();
    assert!(
        answer.stderr.starts_with("After: 4 others, "),
        "{}",
        answer.stderr
    );
}

#[test]
fn threads_change_nothing() {
    let one = recommend(&["--seen", "film-3", "-k", "40"]);
    let four = recommend(&["--seen", "film-3", "-k", "40", "--threads", "4"]);
    assert_eq!(one.lines(), four.lines());
}

#[test]
fn times_go_to_stderr() {
    let answer = recommend(&["--seen", "film-3", "--json", "--timing"]);
    answer.json();
    let steps: Vec<&str> = answer
        .stderr
        .lines()
        .map(|line| line.split("  ").next().unwrap())
        .collect();
    assert_eq!(steps, ["open the bundle", "encode sasrec", "scan items"]);
}

#[test]
fn a_huge_count_takes_no_more_than_there_is() {
    assert_eq!(recommend(&["-k", "4294967295"]).lines().len(), 38);
}

#[test]
fn an_oracle_dreams_by_its_options() {
    let tiny = bundle("tiny-oracle");
    let dream = |arguments: &[&str]| {
        let seen = ["recommend", &tiny, "--seen", "film-29", "--json", "-k", "5"];
        let report = oneiro(&[&seen[..], arguments].concat()).json();
        assert_eq!(report["items"][0]["from"], "oracle");
        report["items"].clone()
    };
    let plain = dream(&[]);
    assert_eq!(
        plain,
        dream(&["--by", "oracle", "--oracle", "affine", "--guidance", "2"])
    );
    assert_eq!(
        plain,
        dream(&["--seed", "0", "--sampler", "collapsed", "--draws", "1"])
    );
    assert_ne!(plain, dream(&["--seed", "8"]));
    assert_ne!(plain, dream(&["--oracle", "mlp2", "--steps", "20"]));
    assert_ne!(plain, dream(&["--draws", "3"]));
}

#[test]
fn what_does_not_go_with_a_way_is_refused() {
    for (arguments, words) in [
        (
            &["--by", "encoder", "--seed", "7"][..],
            "go with --by oracle",
        ),
        (
            &["--by", "popularity", "--draws", "2"],
            "go with --by oracle",
        ),
        (&["--guidance", "2"], "go with --by oracle"),
        (
            &["--by", "oracle", "--encoder", "sasrec"],
            "--encoder does not go",
        ),
    ] {
        let answer = recommend(arguments);
        let error = answer.error(2);
        assert!(error.contains(words), "{error}");
    }
    assert!(recommend(&["--by", "oracle"]).error(3).contains("oracle"));
}

#[test]
fn a_q_network_retrieves_and_ranks() {
    let tiny = bundle("tiny-values");
    let films = |arguments: &[&str]| {
        let seen = ["recommend", &tiny, "--seen", "film-29", "--json", "-k", "5"];
        let report = oneiro(&[&seen[..], arguments].concat()).json();
        let from = report["items"][0]["from"].as_str().unwrap();
        assert!(["q_network", "pinned"].contains(&from), "{from}");
        report["items"].clone()
    };
    // The recipe ranks what the encoder finds.
    let plain = films(&[]);
    let by_hand = ["--by", "encoder", "--rank", "q", "--weight", "0.5"];
    assert_eq!(plain, films(&by_hand));
    assert_eq!(plain, films(&["--rank", "q", "--q-network", "mcrl"]));
    assert_ne!(plain, films(&["--weight", "1"]));
    // What is disliked counts once.
    let disliking = |by: &[&str]| films(&[&["--dislike", "film-3"], by].concat());
    assert_eq!(disliking(&[]), disliking(&by_hand));
    assert_ne!(disliking(&[]), plain);
    // What is pinned or boosted takes part, wherever it stands among what is retrieved.
    for aside in ["--pin=film-12@1", "--boost=film-12=100"] {
        let first = films(&[aside])[0]["id"].clone();
        assert_eq!(first, "film-12");
        assert_eq!(films(&[&[aside][..], &by_hand].concat())[0]["id"], first);
    }
    assert_ne!(plain, films(&["--by", "q"]));
    assert_ne!(
        films(&["--by", "q", "--q-network", "separate"]),
        films(&["--by", "q"])
    );
    let scores = oneiro(&["score", &tiny, "film-3", "--by", "q", "--json"]).json();
    assert!(scores["items"][0]["score"].is_number());

    for (arguments, words) in [
        (&["--weight", "0.5"][..], "--weight goes with --rank q"),
        (&["--by", "q", "--weight", "0.5"], "--weight goes with"),
        (
            &["--by", "encoder", "--q-network", "q"],
            "--q-network goes with",
        ),
        (
            &["--by", "q", "--encoder", "sasrec"],
            "--encoder does not go",
        ),
    ] {
        let answer = recommend(arguments);
        let error = answer.error(2);
        assert!(error.contains(words), "{error}");
    }
    assert!(recommend(&["--by", "q"]).error(3).contains("Q-network"));
    let whole = ["recommend", &tiny, "--by=q", "--q-network=direct"];
    let answer = oneiro(&[&whole[..], &["--approximate"]].concat());
    assert!(answer.error(2).contains("--approximate does not go"));
}
