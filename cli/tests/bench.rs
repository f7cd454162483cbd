//! `oneiro bench`: what is measured, not how fast it is.

mod command;

use command::{bundle, oneiro};

#[test]
fn every_verb_that_the_bundle_has_is_measured() {
    let arguments = ["bench", &bundle("tiny"), "--seconds", "0", "--users", "3"];
    let report = oneiro(&[&arguments[..], &["--json"]].concat()).json();
    let verbs: Vec<_> = report["verbs"].as_array().unwrap().iter().collect();
    let names: Vec<_> = verbs
        .iter()
        .map(|verb| verb["verb"].as_str().unwrap())
        .collect();
    let expected = [
        "open",
        "state",
        "recommend",
        "retrieve by encoder",
        "retrieve by popularity",
        "similar",
        "batch",
    ];
    assert_eq!(names, expected);
    for verb in verbs {
        assert_eq!(verb["calls"], 10);
        let at = |name: &str| verb[name].as_f64().unwrap();
        assert!(
            0.0 < at("p50_ms") && at("p50_ms") <= at("p90_ms") && at("p90_ms") <= at("p99_ms"),
            "{verb}"
        );
    }
    assert_eq!(report["users"], 3);

    let answer = oneiro(&arguments);
    let lines = answer.lines();
    assert_eq!(lines.len(), 1 + expected.len());
    assert!(lines[0].starts_with("ms"), "{}", lines[0]);
    assert!(
        answer.stderr.contains("3 users in a batch"),
        "{}",
        answer.stderr
    );
}

#[test]
fn an_oracle_is_measured_as_it_is_asked_for() {
    let tiny = bundle("tiny-oracle");
    let bench = |oracle: &str| {
        let arguments = ["bench", &tiny, "--seconds", "0", "--users", "2", "--json"];
        oneiro(&[&arguments[..], &["--oracle", oracle, "--steps", "3"]].concat())
    };
    let report = bench("mlp2").json();
    let verbs = report["verbs"].as_array().unwrap();
    assert!(
        verbs
            .iter()
            .any(|verb| verb["verb"] == "retrieve by oracle")
    );
    assert!(bench("none").error(3).contains("oracle `none`"));
}

#[test]
fn a_time_that_is_none_is_refused() {
    for seconds in ["-1", "NaN", "1e9"] {
        let answer = oneiro(&["bench", &bundle("tiny"), &format!("--seconds={seconds}")]);
        assert_eq!(answer.error(2), "--seconds takes a number from 0 to 3600");
    }
}

#[test]
fn a_q_network_is_measured() {
    let arguments = ["bench", &bundle("tiny-values"), "--seconds", "0", "--json"];
    let report = oneiro(&arguments).json();
    let verbs = report["verbs"].as_array().unwrap();
    for name in ["retrieve by Q", "rank by Q"] {
        assert!(verbs.iter().any(|verb| verb["verb"] == name), "{name}");
    }
}
