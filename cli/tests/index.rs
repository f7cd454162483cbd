//! `oneiro index`, and what `--approximate` makes of it.

mod command;

use std::fs;

use command::{bundle, oneiro};

#[test]
fn an_index_is_made_measured_and_used() {
    let keep = tempfile::tempdir().unwrap();
    let path = |name: &str| keep.path().join(name).to_str().unwrap().to_owned();
    let (one, two) = (path("one"), path("two"));
    let make = |output: &str, seed: &str| {
        let arguments = ["index", &bundle("tiny"), "--output", output, "--lists", "6"];
        oneiro(&[&arguments[..], &["--seed", seed, "--json"]].concat()).json()
    };
    let report = make(&one, "4");
    assert_eq!(report["space"], "items");
    let measured = report["measured"].as_array().unwrap();
    let probes: Vec<u64> = measured
        .iter()
        .filter_map(|row| row["probes"].as_u64())
        .collect();
    assert_eq!(probes, [1, 2, 4, 6]);
    // Two of tiny's 40 items are cold: all others come when all lists are looked at.
    assert_eq!(measured[3]["recall"], serde_json::json!([1.0, 1.0]));
    oneiro(&["verify", &one]).lines();

    let inspected = oneiro(&["inspect", &one, "--json"]).json();
    let index = &inspected["spaces"]["items"]["index"];
    assert_eq!(index["lists"], 6);
    assert_eq!(index["recall"][0]["at_10"], measured[0]["recall"][0]);
    assert_eq!(
        inspected["parts"]["items.index"]["file"],
        "items.index.safetensors"
    );
    let text = oneiro(&["inspect", &one]);
    assert!(text.lines().contains(&"Indexes"), "{}", text.stdout);

    // The same seed, the same lists; and an index may be made anew.
    make(&two, "4");
    let part = |folder: &str| fs::read(format!("{folder}/items.index.safetensors")).unwrap();
    assert!(part(&one) == part(&two));
    let again = path("again");
    oneiro(&["index", &one, "--output", &again, "--lists", "2"]).lines();
    oneiro(&["verify", &again]).lines();

    let recommend = |more: &[&str]| {
        let arguments = ["recommend", &one, "--seen", "film-17", "--json"];
        oneiro(&[&arguments[..], more].concat()).json()
    };
    let (exact, all) = (recommend(&[]), recommend(&["--approximate", "6"]));
    assert_eq!(exact["items"], all["items"]);
    assert_eq!(exact["stages"][1]["name"], "scan items");
    assert_eq!(all["stages"][1]["name"], "probe 6 lists of items");
    let chosen = recommend(&["--approximate"]);
    assert_eq!(chosen["items"].as_array().map(Vec::len), Some(10));
}

#[test]
fn what_cannot_be_indexed_is_said() {
    let keep = tempfile::tempdir().unwrap();
    let output = keep.path().join("new");
    let output = output.to_str().unwrap();
    let tiny = bundle("tiny");
    let there = keep.path().to_str().unwrap();
    let index = |more: &[&str]| oneiro(&[&["index", &tiny, "--output"], more].concat());
    for (answer, code, words) in [
        (index(&[there]), 10, "exists"),
        (index(&[output, "--lists", "41"]), 1, "expected 1 to 40"),
        (index(&[output, "--space", "none"]), 3, "space `none`"),
        (index(&[output, "--lists", "0"]), 2, "0 is not in 1.."),
        (
            oneiro(&["recommend", &tiny, "--seen", "film-17", "--approximate"]),
            3,
            "no index for the space `items`",
        ),
        (
            oneiro(&[
                "recommend",
                &tiny,
                "--by",
                "popularity",
                "--approximate",
                "2",
            ]),
            2,
            "--approximate does not go with --by popularity",
        ),
        (
            oneiro(&["similar", &tiny, "film-17", "--approximate", "0"]),
            2,
            "0 is not in 1..",
        ),
    ] {
        assert_eq!(answer.code, Some(code), "{}", answer.stderr);
        assert!(answer.stderr.contains(words), "{}", answer.stderr);
    }
    assert!(!std::path::Path::new(output).exists());
}
