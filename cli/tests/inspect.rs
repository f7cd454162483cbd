//! `oneiro inspect`: what a bundle holds.

mod command;

use command::{answer, bundle, command, copy_of, oneiro};

#[test]
fn text_covers_every_section() {
    let output = oneiro(&["inspect", &bundle("tiny")]);
    let lines = output.lines();
    assert_eq!(lines[0], "tiny (format 1)");
    for heading in [
        "Catalog",
        "Spaces",
        "Graphs",
        "Encoders",
        "Use",
        "Provenance",
        "Memory of an engine",
    ] {
        assert!(lines.contains(&heading), "{heading}");
    }
    let small = lines
        .iter()
        .find(|line| line.starts_with("  small  ") && line.contains("i8"));
    assert!(
        small
            .unwrap()
            .ends_with("ranking is defined on the dequantised rows")
    );
    assert!(lines.iter().all(|line| *line == line.trim_end()));
}

#[test]
fn i8_rows_with_exact_ones_rank_by_those() {
    let (_keep, folder) = copy_of("tiny");
    let path = folder.join("manifest.json");
    let mut manifest: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    manifest["spaces"]["small"]["exact"] = "items".into();
    std::fs::write(&path, manifest.to_string()).unwrap();
    let folder = folder.to_str().unwrap();
    let text = oneiro(&["inspect", folder]).stdout;
    let expected = "part small, exact rows in items, 2 cold; ranking is that of the exact rows";
    assert!(text.contains(expected), "{text}");
    let report = oneiro(&["inspect", folder, "--json"]).json();
    assert_eq!(report["spaces"]["small"]["exact"], "items");
    assert_eq!(oneiro(&["verify", folder, "--json"]).json()["ok"], true);
}

#[test]
fn one_is_no_plural_and_optimised_graphs_are_told() {
    let (keep, folder) = copy_of("tiny");
    let path = folder.join("manifest.json");
    let mut manifest: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    manifest["graphs"]["encoder"]["optimised"] = true.into();
    std::fs::write(&path, manifest.to_string()).unwrap();
    let one = keep.path().join("one");
    let (folder, one) = (folder.to_str().unwrap(), one.to_str().unwrap());
    let made = oneiro(&["index", folder, "--output", one, "--lists", "1"]);
    assert_eq!(made.lines()[0], "items, 1 list");
    let text = oneiro(&["inspect", one]).stdout;
    let line = |words: &str| text.lines().find(|line| line.contains(words));
    assert!(line("  1 list in ").is_some() && line("  1 probe  ").is_some());
    let (_, graphs) = text.split_once("\nGraphs\n").unwrap();
    let graph = |name: &str| {
        let name = format!("  {name} ");
        let mut rows = graphs.lines();
        let row = rows.find(|row| row.starts_with(&name)).unwrap();
        row.ends_with("  optimised")
    };
    assert!(graph("encoder") && !graph("gru4rec.encoder"), "{text}");
    let graphs = &oneiro(&["inspect", one, "--json"]).json()["graphs"];
    assert_eq!(graphs["encoder"]["optimised"], true);
    assert_eq!(graphs["gru4rec.encoder"]["optimised"], false);
}

#[test]
fn json_holds_the_same() {
    let report = oneiro(&["inspect", &bundle("tiny"), "--json"]).json();
    assert_eq!(report["name"], "tiny");
    assert_eq!(report["items"], 40);
    assert_eq!(report["counts"]["items_without"], 2);
    assert_eq!(report["attributes"]["genres"]["kind"], "tags");
    assert_eq!(report["attributes"]["year"]["least"], 1947);
    assert_eq!(report["parts"]["items"]["file"], "items.safetensors");
    assert_eq!(report["parts"]["items"]["mapped"], cfg!(unix));
    assert_eq!(report["spaces"]["small"]["dtype"], "i8");
    assert_eq!(report["spaces"]["items"]["cold_rows"], 2);
    assert_eq!(report["encoders"]["sasrec"]["window"], 5);
    assert_eq!(report["recipe"]["steps"][0]["encoder"], "sasrec");
    assert_eq!(report["seen"], "exclude");
    assert!(report["engine"]["memory"]["encoder.weights"]["private_bytes"].is_u64());
}

#[test]
fn oracles_are_told() {
    let text = oneiro(&["inspect", &bundle("tiny-oracle")]).stdout;
    let (_, oracles) = text.split_once("\nOracles\n").unwrap();
    let words = |line: &str| {
        line.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let lines: Vec<Vec<String>> = oracles.lines().map(words).collect();
    let affine = "affine affine -> oracle -> items graph denoiser, affine 500 steps guidance 2";
    assert_eq!(lines[0].join(" "), affine);
    let mlp2 = "mlp2 mlp2 -> mlp2.oracle -> mlp2.items graph mlp2.denoiser 2,000 steps guidance 2";
    assert_eq!(lines[1].join(" "), mlp2);
    assert!(text.contains("40 by oracle affine"), "{text}");
    let report = oneiro(&["inspect", &bundle("tiny-oracle"), "--json"]).json();
    assert_eq!(report["oracles"]["affine"]["affine"], true);
    assert_eq!(report["oracles"]["mlp2"]["steps"], 2000);
    assert_eq!(report["recipe"]["steps"][0]["oracle"], "affine");
}

#[test]
fn the_demo_says_where_it_comes_from() {
    let report = oneiro(&["inspect", &bundle("demo"), "--json"]).json();
    let provenance = &report["provenance"];
    for field in ["licence", "credit", "data_set", "command"] {
        assert!(provenance[field].is_string(), "{field}");
    }
    assert!(
        provenance["metrics"]
            .as_object()
            .is_some_and(|metrics| !metrics.is_empty())
    );
}

#[test]
fn onnx_runtime_is_not_needed() {
    let inspect = |more: &[&str]| {
        let tiny = bundle("tiny");
        let mut command = command(&[&["inspect", &tiny], more].concat());
        answer(&command.env("ORT_DYLIB_PATH", "nowhere").output().unwrap())
    };
    let text = inspect(&[]);
    assert!(text.lines().contains(&"  unknown, for it does not open:"));
    let report = inspect(&["--json"]).json();
    assert!(
        report["engine"]["error"]
            .as_str()
            .is_some_and(|error| error.contains("ONNX Runtime"))
    );
}

#[test]
fn q_networks_are_told() {
    let text = oneiro(&["inspect", &bundle("tiny-values")]).stdout;
    for words in [
        "mcrl -> graph direct -> all items",
        "mcrl -> graph q -> value",
        "separate -> separate.value",
        "weight 0.25",
        "retrieve 40 by encoder mcrl, then rank 40 by q_network mcrl of weight 0.5",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let report = oneiro(&["inspect", &bundle("tiny-values"), "--json"]).json();
    assert_eq!(report["q_networks"]["separate"]["output"], "separate.value");
    assert_eq!(report["recipe"]["steps"][1]["rank"], "q_network");
}
