//! `oneiro eval`: the rows it takes, and its figures, worked out here by brute force.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod command;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use command::{answer, bundle, command, copy_of, oneiro};
use oneiro::{By, CallOptions, Engine, Filter, Seen};
use serde_json::Value;

const USERS: u32 = 12;
const K: [u32; 3] = [1, 5, 10];

/// An invented event. Times rise with the place in the list.
struct Event {
    user: u32,
    /// `film-41` and above are not in the catalog.
    film: u32,
    is_val: bool,
}

/// Many users with repetitions, cold films, unknown films, and users who have no past.
fn events() -> Vec<Event> {
    let mut state = 17u32;
    let mut draw = |below: u32| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) % below
    };
    let event = |index: u32| Event {
        user: draw(USERS) + if index > 130 { 3 } else { 0 },
        film: draw(43) + 1,
        is_val: index >= 120,
    };
    (0..170).map(event).collect()
}

/// Writes the latest first: the command sorts by time.
fn write(folder: &Path, events: &[Event], with_split: bool) -> String {
    let mut csv = String::from(if with_split {
        "item,user,time,split\n"
    } else {
        "item,user,time\n"
    });
    for (time, event) in events.iter().enumerate().rev() {
        write!(
            csv,
            "film-{},user {},{}",
            event.film,
            event.user,
            1_000 + time
        )
        .unwrap();
        if with_split {
            csv.push_str(if event.is_val { ",val" } else { ",train" });
        }
        csv.push('\n');
    }
    let file = folder.join(format!("events-{with_split}.csv"));
    fs::write(&file, csv).unwrap();
    file.to_str().unwrap().into()
}

/// The rank of every predicted event: the whole ranking is asked for, and what stands in it counted.
fn ranks(events: &[Event], first: usize, by: By, seen: Seen) -> Vec<Option<usize>> {
    let engine = Engine::open(bundle("tiny")).unwrap();
    let item = |event: &Event| engine.catalog().item(&format!("film-{}", event.film)).ok();
    let mut pasts: BTreeMap<u32, Vec<Option<u32>>> = BTreeMap::new();
    let mut ranks = Vec::new();
    for (index, event) in events.iter().enumerate() {
        let past = pasts.entry(event.user).or_default();
        if index >= first && !past.is_empty() {
            let known: Vec<u32> = past.iter().flatten().copied().collect();
            let mut user = engine.recommender();
            user.observe_items(&known).unwrap();
            let all = user
                .retrieve(by, 40, &Filter::new().seen(Seen::Allow))
                .unwrap();
            let own = all.iter().find(|(found, ..)| Some(*found) == item(event));
            ranks.push(own.map(|(own, score, _)| {
                let left_out = |item| seen == Seen::Exclude && known.contains(&item);
                let before = all.iter().filter(|&(other, found, _)| {
                    other == own || found >= score && !left_out(other)
                });
                before.count()
            }));
        }
        past.push(item(event));
    }
    ranks
}

fn check(report: &Value, ranks: &[Option<usize>]) {
    let close = |found: &Value, expected: f64| {
        assert!(
            (found.as_f64().unwrap() - expected).abs() < 1e-12,
            "{report}"
        );
    };
    let n = ranks.len() as f64;
    assert_eq!(report["n"], ranks.len());
    assert_eq!(
        report["unranked"],
        ranks.iter().filter(|rank| rank.is_none()).count()
    );
    for (figures, k) in report["figures"].as_array().unwrap().iter().zip(K) {
        assert_eq!(figures["k"], k);
        let hits = ranks.iter().flatten().filter(|&&rank| rank <= k as usize);
        let hits: Vec<f64> = hits.map(|&rank| rank as f64).collect();
        let gains: Vec<f64> = hits.iter().map(|rank| 1.0 / (rank + 1.0).log2()).collect();
        let (hr, ndcg) = (hits.len() as f64 / n, gains.iter().sum::<f64>() / n);
        close(&figures["hr"]["mean"], hr);
        close(&figures["ndcg"]["mean"], ndcg);
        close(
            &figures["hr"]["error"],
            (hr * (1.0 - hr) / (n - 1.0)).sqrt(),
        );
        let square = gains.iter().map(|gain| gain * gain).sum::<f64>() / n;
        close(
            &figures["ndcg"]["error"],
            ((square - ndcg * ndcg) / (n - 1.0)).sqrt(),
        );
    }
}

/// The interactions' file has the latest event first.
fn check_ranks(written: &Path, ranks: &[Option<usize>]) {
    let text = fs::read_to_string(written).unwrap();
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("line,rank"));
    let pairs = lines.map(|pair| pair.split_once(',').unwrap());
    let (at, found): (Vec<u32>, Vec<Option<usize>>) = pairs
        .map(|(line, rank)| (line.parse::<u32>().unwrap(), rank.parse().ok()))
        .unzip();
    assert!(at.is_sorted_by(|a, b| a < b) && at[0] >= 2);
    assert!(found.iter().rev().eq(ranks), "{text}");
}

#[test]
fn figures_equal_those_of_brute_force() {
    let folder = tempfile::tempdir().unwrap();
    let events = events();
    let tiny = bundle("tiny");
    let written = folder.path().join("ranks.csv");
    // The latest tenth of 170 is 17; a share that is asked for stands above the split.
    for (with_split, held_out, first) in [
        (true, None, 120),
        (false, None, 153),
        (false, Some("0.2"), 136),
        (true, Some("0.2"), 136),
    ] {
        let file = write(folder.path(), &events, with_split);
        for (by, way) in [(By::Encoder, "encoder"), (By::Popularity, "popularity")] {
            for (seen, again) in [(Seen::Exclude, "exclude"), (Seen::Allow, "allow")] {
                let expected = ranks(&events, first, by, seen);
                assert!(expected.iter().any(Option::is_none) && expected.len() < 170 - first);
                for threads in ["1", "3"] {
                    let arguments = ["eval", &tiny, &file, "--by", way, "--seen", again];
                    let rest = ["--k", "10,1,5,5", "--threads", threads, "--json"];
                    let mut all = [&arguments[..], &rest].concat();
                    all.extend(["--ranks", written.to_str().unwrap()]);
                    all.extend(held_out.iter().flat_map(|share| ["--held-out", share]));
                    let report = oneiro(&all).json();
                    check(&report, &expected);
                    check_ranks(&written, &expected);
                    let by_time = held_out.or((!with_split).then_some("0.1"));
                    assert_eq!(
                        report["held_out"].as_f64(),
                        by_time.map(|share| share.parse().unwrap())
                    );
                    assert_eq!(
                        (&report["by"], &report["seen"]),
                        (&way.into(), &again.into())
                    );
                }
            }
        }
    }
}

#[test]
fn a_person_gets_a_table() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), &events(), true);
    let answer = oneiro(&["eval", &bundle("tiny"), &file]);
    let lines = answer.lines();
    assert!(lines[0].starts_with("sasrec, ") && lines[0].ends_with(" rows, seen items excluded"));
    assert_eq!(lines.len(), 5);
    assert_eq!(
        lines[1].split_whitespace().collect::<Vec<_>>(),
        ["K", "HR@K", "NDCG@K"]
    );
    assert!(answer.stderr.contains("rows a second"), "{}", answer.stderr);
}

#[test]
fn files_are_opened_before_the_networks() {
    let folder = tempfile::tempdir().unwrap();
    let tiny = bundle("tiny");
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let file = write(folder.path(), &events(), true);
    // Nothing can be evaluated without ONNX Runtime.
    let eval = |arguments: &[&str]| {
        let mut command = command(&[&["eval", &tiny], arguments].concat());
        answer(&command.env("ORT_DYLIB_PATH", "nowhere").output().unwrap())
    };
    assert_eq!(eval(&[&file]).code, Some(20));
    assert!(eval(&[&path("none.csv")]).error(10).contains("none.csv: "));
    let answer = eval(&[&file, "--ranks", &path("nowhere/ranks.csv")]);
    assert!(answer.error(10).contains("nowhere/ranks.csv"));
}

#[test]
fn there_are_no_more_threads_than_users() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), &events(), true);
    let report = oneiro(&["eval", &bundle("tiny"), &file, "--threads", "900", "--json"]).json();
    let threads = report["threads"].as_u64().unwrap();
    assert!((1..=u64::from(USERS) + 3).contains(&threads), "{report}");
}

#[test]
fn what_cannot_be_evaluated_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let tiny = bundle("tiny");
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let eval = |file: &str| oneiro(&["eval", &tiny, file]);
    assert!(eval(&path("none.csv")).error(10).contains("none.csv: "));
    for parquet in ["events.parquet", "events.PARQUET"] {
        let answer = eval(&path(parquet));
        assert!(answer.error(2).contains("oneiro_models events"));
    }
    fs::write(path("wrong.csv"), "user,film,time\na,film-1,1\n").unwrap();
    assert!(
        eval(&path("wrong.csv"))
            .error(10)
            .contains("wrong.csv: no column `item`")
    );
    let file = write(folder.path(), &events(), true);
    let answer = oneiro(&["eval", &tiny, &file, "--encoder", "bert4rec"]);
    assert!(answer.error(3).contains("`bert4rec`"));
    let nowhere = path("nowhere/ranks.csv");
    let answer = oneiro(&["eval", &tiny, &file, "--ranks", &nowhere]);
    assert!(answer.error(10).contains("nowhere/ranks.csv"));
    let answer = oneiro(&["eval", &tiny, &file, "--held-out", "0.999"]);
    assert!(
        answer
            .error(10)
            .contains("170 rows are too few to hold out a share of 0.999")
    );
    for wrong in [
        &["--k", "0"][..],
        &["--threads", "0"],
        &["--held-out", "0"],
        &["--held-out", "1"],
        &["--held-out", "nan"],
        &["--by", "popularity", "--encoder", "sasrec"],
    ] {
        assert_eq!(
            oneiro(&[&["eval", &tiny, &file], wrong].concat()).code,
            Some(2)
        );
    }
}

#[test]
fn each_row_of_an_oracle_has_its_own_noise() {
    let folder = tempfile::tempdir().unwrap();
    let (events, tiny) = (events(), bundle("tiny-oracle"));
    let file = write(folder.path(), &events, true);
    let written = folder.path().join("ranks.csv");
    let engine = Engine::open(&tiny).unwrap();
    let rows = rows(&events, &engine);
    let mut expected = Vec::new();
    for (row, (past, item)) in (0..).zip(&rows) {
        let mut options = CallOptions::default();
        options.oracle.seed = u64::MAX.wrapping_add(row);
        let mut user = engine.recommender();
        user.observe_items(past).unwrap();
        let rank = item.map(|item| user.rank_of(item, By::Oracle, &Filter::default(), &options));
        expected.push(rank.and_then(|rank| rank.unwrap()));
    }
    for threads in ["1", "3"] {
        let seed = u64::MAX.to_string();
        let arguments = [
            "eval",
            &tiny,
            &file,
            "--seed",
            &seed,
            "--threads",
            threads,
            "--json",
        ];
        let report =
            oneiro(&[&arguments[..], &["--ranks", written.to_str().unwrap()]].concat()).json();
        assert_eq!(
            (&report["by"], &report["oracle"]),
            (&"oracle".into(), &"affine".into())
        );
        assert_eq!(ranks_in(&written), expected);
    }
}

#[test]
fn a_chain_is_measured_by_the_places_of_its_candidates() {
    let folder = tempfile::tempdir().unwrap();
    let (events, tiny) = (events(), bundle("tiny-values"));
    let file = write(folder.path(), &events, true);
    let written = folder.path().join("ranks.csv");
    let engine = Engine::open(&tiny).unwrap();
    for again in ["allow", "exclude"] {
        let mut expected = Vec::new();
        for (past, item) in rows(&events, &engine) {
            let mut user = engine.recommender();
            user.observe_items(&past).unwrap();
            // The item to be predicted is never left out.
            let seen = past.iter().copied();
            let seen = seen.filter(|&other| again == "exclude" && Some(other) != item);
            let filter = Filter::new().seen(Seen::Allow).exclude(seen);
            let best = user.recommend_with(40, &filter, &CallOptions::default());
            let best = best.unwrap();
            let place = best.items().iter().position(|&other| Some(other) == item);
            expected.push(place.map(|place| place as u32 + 1));
        }
        assert!(expected.iter().any(Option::is_none) && expected.iter().any(Option::is_some));
        let chains: [&[&str]; 2] = [&[], &["--by", "encoder", "--rank", "q", "--weight", "0.5"]];
        for (chain, by) in chains.into_iter().zip(["recipe", "encoder"]) {
            let arguments = ["eval", &tiny, &file, "--json", "--seen", again];
            let ranks = ["--k", "40", "--ranks", written.to_str().unwrap()];
            let report = oneiro(&[&arguments[..], &ranks, chain].concat()).json();
            assert_eq!(report["by"], by);
            assert_eq!(report["q_network"], "mcrl");
            assert_eq!(ranks_in(&written), expected, "{by}, {again}");
        }
    }
    let answer = oneiro(&["eval", &tiny, &file]);
    assert!(answer.lines()[0].starts_with("recipe, mcrl, mcrl, "));
    let answer = oneiro(&["eval", &tiny, &file, "--by", "q", "--weight", "0.5"]);
    assert!(answer.error(2).contains("--weight goes with"));
}

/// A recipe whose steps keep few items ranks otherwise when it is asked for many.
#[test]
fn a_recipe_is_measured_as_it_recommends() {
    let folder = tempfile::tempdir().unwrap();
    let (events, (_keep, few)) = (events(), copy_of("tiny-values"));
    let manifest = few.join("manifest.json");
    let text = fs::read_to_string(&manifest).unwrap();
    let mut json: serde_json::Value = serde_json::from_str(&text).unwrap();
    for step in json["recipe"]["steps"].as_array_mut().unwrap() {
        step["count"] = 6.into();
    }
    json["recipe"]["steps"][1]["weight"] = 0.8.into();
    fs::write(&manifest, json.to_string()).unwrap();
    let file = write(folder.path(), &events, true);
    let engine = Engine::open(&few).unwrap();
    let options = CallOptions::default();
    let (mut hits, mut hits_of_many, mut count) = (0, 0, 0);
    for (past, item) in rows(&events, &engine) {
        let mut user = engine.recommender();
        user.observe_items(&past).unwrap();
        let filter = Filter::new().seen(Seen::Allow);
        let best = user.recommend_with(3, &filter, &options).unwrap();
        let many = user.recommend_with(40, &filter, &options).unwrap().top(3);
        let is_in =
            |ranking: &oneiro::Ranking| item.is_some_and(|item| ranking.items().contains(&item));
        count += 1;
        hits += u32::from(is_in(&best));
        hits_of_many += u32::from(is_in(&many));
    }
    assert_ne!(hits, hits_of_many);
    let few = few.to_str().unwrap();
    let report = oneiro(&["eval", few, &file, "--json", "--seen", "allow", "--k", "3"]).json();
    let found = report["figures"][0]["hr"]["mean"].as_f64().unwrap();
    assert!((found - f64::from(hits) / f64::from(count)).abs() < 1e-9);
}

/// The past and the item of each row, in the order of the file, which has the latest event first.
fn rows(events: &[Event], engine: &Engine) -> Vec<(Vec<u32>, Option<u32>)> {
    let item = |event: &Event| engine.catalog().item(&format!("film-{}", event.film)).ok();
    let mut pasts: BTreeMap<u32, (bool, Vec<u32>)> = BTreeMap::new();
    let mut rows = Vec::new();
    for event in events {
        let (any, past) = pasts.entry(event.user).or_default();
        if event.is_val && *any {
            rows.push((past.clone(), item(event)));
        }
        *any = true;
        past.extend(item(event));
    }
    rows.reverse();
    rows
}

fn ranks_in(written: &Path) -> Vec<Option<u32>> {
    let text = fs::read_to_string(written).unwrap();
    let rows = text.lines().skip(1);
    let ranks = rows.map(|row| row.split_once(',').unwrap().1.parse().ok());
    ranks.collect()
}
