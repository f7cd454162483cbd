//! `oneiro similar`: an item's neighbours.

mod command;

use command::{bundle, column, oneiro, titles};

#[test]
fn neighbours_come_without_the_item() {
    let answer = oneiro(&["similar", &bundle("tiny"), "film-5", "-k", "40"]);
    let lines = answer.lines();
    let titles = titles(&lines);
    assert_eq!(titles[0], "Paper/Scissors (1996)");
    assert!(!titles.contains(&"Ørkenvinter (1999)"));
    assert!(answer.stderr.starts_with("Like: Ørkenvinter (1999)\n"));
}

#[test]
fn filters_and_json_work_as_for_recommend() {
    let tiny = bundle("tiny");
    let report = oneiro(&[
        "similar",
        &tiny,
        "film-5",
        "--between",
        "year=2010..",
        "--json",
    ])
    .json();
    assert_eq!(report["history"][0]["id"], "film-5");
    assert!(!column(&report, "id").is_empty());
    for title in column(&report, "title") {
        let year = title.as_str().unwrap().rsplit_once('(').unwrap().1;
        assert!(
            year.trim_end_matches(')').parse::<u32>().unwrap() >= 2010,
            "{title}"
        );
    }
}

#[test]
fn an_item_that_was_never_trained_has_no_neighbours() {
    let answer = oneiro(&["similar", &bundle("tiny"), "film-14"]);
    assert!(answer.error(3).contains("trained row"));
}

#[test]
fn the_item_must_be_known() {
    let answer = oneiro(&["similar", &bundle("tiny"), "nowhere", "--skip-unknown"]);
    assert_eq!(answer.error(2), "no item has the id or title `nowhere`");
}
