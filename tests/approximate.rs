//! Approximate search: only when asked for, never wrong about what it finds.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod changed;

use std::fs;

use oneiro::{Bundle, By, CallOptions, Cancel, Engine, Error, Filter, Origin, Ranking};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

const LISTS: usize = 6;

/// The tiny bundle with an index of two spaces, and a manifest that may be changed further.
fn indexed(edit: impl FnOnce(&mut Value)) -> TempDir {
    let plain = Bundle::open("models/tiny").unwrap();
    let part = |space: &str| {
        let space = plain.space(space).unwrap();
        space.index(LISTS, 1, &Cancel::new()).unwrap()
    };
    let neighbours = plain.manifest().similar.clone().unwrap();
    let parts = [
        ("items", part("items")),
        (neighbours.as_str(), part(&neighbours)),
    ];
    let folder = changed::tiny(|manifest| {
        for (space, bytes) in &parts {
            let digest: String = Sha256::digest(bytes)
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            let name = format!("{space}.index");
            manifest["parts"][&name] =
                json!({ "file": name, "bytes": bytes.len(), "sha256": digest });
            manifest["spaces"][*space]["index"] = json!({ "part": name, "lists": LISTS });
        }
        edit(manifest);
    });
    for (space, bytes) in parts {
        fs::write(folder.path().join(format!("{space}.index")), bytes).unwrap();
    }
    folder
}

fn probing(probes: usize) -> CallOptions {
    let mut options = CallOptions::default();
    options.probes = Some(probes);
    options
}

fn same(one: &Ranking, other: &Ranking) {
    assert_eq!((one.items(), one.scores()), (other.items(), other.scores()));
}

#[test]
fn every_way_of_asking_gives_the_exact_ranking_when_all_lists_are_probed() {
    let folder = indexed(|_| ());
    Bundle::open(folder.path())
        .unwrap()
        .verify(&Cancel::new(), &mut |_, _| ())
        .unwrap();
    let engine = Engine::open(folder.path()).unwrap();
    let filter = Filter::new().with_tag("genres", "Drama");
    let mut user = engine.recommender();
    user.observe_items(&[1, 2]).unwrap();
    let (exact, all, one) = (CallOptions::default(), probing(LISTS), probing(1));
    let scanned = user.recommend_with(40, &filter, &exact).unwrap();
    assert_eq!(scanned.stages()[1].name, "scan items");
    same(&user.recommend_with(40, &filter, &all).unwrap(), &scanned);
    // With a count that one list cannot fill, all are probed unasked.
    let probed = user.recommend_with(40, &filter, &one).unwrap();
    same(&probed, &scanned);
    assert_eq!(probed.stages()[1].name, "probe 1 lists of items");
    same(
        &user.similar_with(3, 5, &filter, &all).unwrap(),
        &user.similar_with(3, 5, &filter, &exact).unwrap(),
    );

    let mut users = vec![user.clone(), engine.recommender(), user.clone()];
    let batch = engine
        .recommend_batch(&mut users, 4, &filter, &one)
        .unwrap();
    same(
        &batch[0],
        &users[0].recommend_with(4, &filter, &one).unwrap(),
    );
    same(&batch[2], &batch[0]);
    // Popularity has no lists.
    assert_eq!(batch[1].origins()[0], Origin::Popularity);
    // A rank is exact whatever is asked.
    let rank = |options| {
        let mut user = user.clone();
        user.rank_of(9, By::Encoder, &Filter::new(), options)
            .unwrap()
    };
    assert_eq!(rank(&one), rank(&exact));
}

#[test]
fn no_lists_and_no_index_are_errors() {
    let mut user = Engine::open("models/tiny").unwrap().recommender();
    user.observe_items(&[1]).unwrap();
    let error = user
        .recommend_with(3, &Filter::new(), &probing(2))
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the bundle carries no index for the space `items`"
    );
    let error = user
        .recommend_with(3, &Filter::new(), &probing(0))
        .unwrap_err();
    assert!(matches!(
        error,
        Error::InvalidArgument {
            parameter: "probes",
            ..
        }
    ));
}

#[test]
fn wrong_manifests_are_refused() {
    let index = |field: &str, value: Value| {
        let field = field.to_owned();
        let folder = indexed(|manifest| manifest["spaces"]["items"]["index"][field] = value);
        Bundle::open(folder.path()).unwrap_err().to_string()
    };
    let recall = |probes: u32, at_10: f64| {
        index(
            "recall",
            json!([{ "probes": probes, "at_10": at_10, "at_100": 0.5 }]),
        )
    };
    for (error, expected) in [
        (index("part", "none".into()), "spaces.items.index.part"),
        (
            index("part", "items".into()),
            "tensor `empty`: expected only tensors",
        ),
        (index("lists", 0.into()), "spaces.items.index.lists"),
        (index("lists", 41.into()), "expected 1 to 40, found 41"),
        (
            index("lists", 7.into()),
            "expected F32 [7, 16], found F32 [6, 16]",
        ),
        (index("probes", 1.into()), "probes"),
        (recall(0, 0.5), "spaces.items.index.recall[0]"),
        (recall(7, 0.5), "for 1 to 6 probes"),
        (recall(1, 1.5), "shares from 0 to 1"),
    ] {
        assert!(error.contains(expected), "{error}");
    }
}
