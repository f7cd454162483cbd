//! `oneiro index`, and what `--approximate` makes of it.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod command;

use std::fs;
use std::path::Path;

use command::{answer, bundle, command, copy_of, oneiro};
use serde_json::{Value, json};

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
    assert_eq!(inspected["parts"]["index"]["file"], "index.safetensors");
    let text = oneiro(&["inspect", &one]);
    assert!(text.lines().contains(&"Indexes"), "{}", text.stdout);

    // The same seed, the same lists; and an index may be made anew.
    make(&two, "4");
    let part = |folder: &str| fs::read(format!("{folder}/index.safetensors")).unwrap();
    assert!(part(&one) == part(&two));
    let again = path("again");
    oneiro(&["index", &one, "--output", &again, "--lists", "2"]).lines();
    oneiro(&["verify", &again]).lines();
    // The old lists are not kept beside the new ones.
    assert_eq!(names(&again), names(&one));

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

/// What lies in a folder.
fn names(folder: impl AsRef<Path>) -> Vec<String> {
    let files = fs::read_dir(folder).unwrap();
    let name = |file: fs::DirEntry| file.file_name().into_string().unwrap();
    let mut names: Vec<String> = files.map(|file| name(file.unwrap())).collect();
    names.sort_unstable();
    names
}

/// A copy of the bundle `tiny` whose manifest is changed.
fn changed(change: impl FnOnce(&mut Value)) -> (tempfile::TempDir, String) {
    let (keep, folder) = copy_of("tiny");
    let path = folder.join("manifest.json");
    let mut manifest = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut manifest);
    fs::write(&path, manifest.to_string()).unwrap();
    (keep, folder.to_str().unwrap().into())
}

#[test]
fn files_are_not_named_by_what_the_manifest_names() {
    for hostile in ["../../x", "my/items", "/tmp/x", "C:x", ""] {
        let (keep, folder) = changed(|manifest| {
            let items = manifest["spaces"]["items"].clone();
            manifest["spaces"][hostile] = items;
        });
        let deep = keep.path().join("a/b");
        fs::create_dir_all(&deep).unwrap();
        let output = deep.join("new");
        let new = output.to_str().unwrap();
        oneiro(&["index", &folder, "--output", new, "--space", hostile]).lines();
        oneiro(&["verify", new]).lines();
        let mut expected = names(&folder);
        expected.push("index.safetensors".into());
        expected.sort_unstable();
        assert_eq!(names(new), expected, "{hostile}");
        assert_eq!(names(keep.path()), ["a", "tiny"]);
        assert_eq!(
            (names(keep.path().join("a")), names(&deep)),
            (vec!["b".into()], vec!["new".into()])
        );
    }
}

#[test]
fn other_parts_are_left_alone() {
    for name in ["items.index", "index", "index.safetensors"] {
        let (keep, folder) = changed(|manifest| {
            let parts = manifest["parts"].as_object_mut().unwrap();
            let catalog = parts.remove("catalog").unwrap();
            parts.insert(name.into(), catalog);
            manifest["catalog"]["part"] = name.into();
        });
        let new = keep.path().join("new");
        let new = new.to_str().unwrap();
        oneiro(&["index", &folder, "--output", new]).lines();
        oneiro(&["verify", new]).lines();
    }
    // A file that some systems take for `index.safetensors`.
    let (keep, folder) = changed(|manifest| {
        manifest["parts"]["catalog"]["file"] = "Index.safetensors".into();
    });
    let file = |name: &str| Path::new(&folder).join(name);
    fs::rename(file("catalog.safetensors"), file("Index.safetensors")).unwrap();
    let new = keep.path().join("new");
    let new = new.to_str().unwrap();
    oneiro(&["index", &folder, "--output", new]).lines();
    assert!(names(new).contains(&"index-2.safetensors".into()));
    oneiro(&["verify", new]).lines();
}

#[test]
fn an_index_that_another_space_shares_stays() {
    let (keep, folder) = changed(|manifest| {
        let items = manifest["spaces"]["items"].clone();
        manifest["spaces"]["same"] = items;
    });
    let path = |name: &str| keep.path().join(name).to_str().unwrap().to_owned();
    let (one, two) = (path("one"), path("two"));
    oneiro(&["index", &folder, "--output", &one, "--lists", "6"]).lines();
    let manifest = Path::new(&one).join("manifest.json");
    let mut json: Value = serde_json::from_slice(&fs::read(&manifest).unwrap()).unwrap();
    json["spaces"]["same"]["index"] = json["spaces"]["items"]["index"].clone();
    fs::write(&manifest, json.to_string()).unwrap();
    oneiro(&["index", &one, "--output", &two, "--lists", "2"]).lines();
    oneiro(&["verify", &two]).lines();
    let spaces = &oneiro(&["inspect", &two, "--json"]).json()["spaces"];
    let of = |space: &str| {
        (
            &spaces[space]["index"]["part"],
            &spaces[space]["index"]["lists"],
        )
    };
    assert_eq!(of("items"), (&json!("index-2"), &json!(2)));
    assert_eq!(of("same"), (&json!("index"), &json!(6)));
}

#[test]
fn what_fails_leaves_nothing() {
    let keep = tempfile::tempdir().unwrap();
    let output = keep.path().join("new");
    let output = output.to_str().unwrap();
    let (kept, exact) = changed(|manifest| manifest["spaces"]["small"]["exact"] = "items".into());
    let refused = oneiro(&["index", &exact, "--output", output, "--space", "small"]);
    assert_eq!(
        refused.error(1),
        "`space`: `small` has exact rows, with which no index goes"
    );
    drop(kept);
    // Recall cannot be measured.
    let mut late = command(&["index", &bundle("tiny"), "--output", output]);
    let late = late.env("ORT_DYLIB_PATH", "nowhere").output().unwrap();
    assert_eq!(answer(&late).code, Some(20));
    assert!(names(keep.path()).is_empty(), "{:?}", names(keep.path()));
    // What is there is seen before anything is read.
    fs::write(output, "mine").unwrap();
    let refused = oneiro(&["index", "nowhere", "--output", output]);
    assert!(refused.error(10).contains("new: "), "{}", refused.stderr);
    assert_eq!(fs::read(output).unwrap(), b"mine");
    assert_eq!(names(keep.path()), ["new"]);
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
