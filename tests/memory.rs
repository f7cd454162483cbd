//! What an engine holds, and that it gives it back.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

#[path = "../benches/made_up/mod.rs"]
mod made_up;

use std::path::Path;
use std::sync::Mutex;

use oneiro::{Bundle, Engine, EngineOptions, GraphOptions, Parts, Prepack};

/// The tests share one process, and what they measure: each waits for the others.
static ALONE: Mutex<()> = Mutex::new(());

#[test]
fn memory_is_mapped_except_what_is_rearranged() {
    let _alone = ALONE.lock();
    let engine = |prepack, replicas| {
        let mut options = EngineOptions::default();
        options.graph = GraphOptions::default();
        options.graph.prepack = prepack;
        options.graph.replicas = replicas;
        Engine::from_bundle(Bundle::open("models/tiny").unwrap(), &options).unwrap()
    };
    let part = |engine: &Engine, name: &str| {
        engine
            .memory()
            .parts
            .into_iter()
            .find(|part| part.name == name)
            .unwrap()
    };
    let weights = std::fs::metadata("models/tiny/encoder.weights")
        .unwrap()
        .len() as usize;
    let (packed, plain) = (engine(Some(Prepack::On), 1), engine(Some(Prepack::Off), 3));
    let found = part(&packed, "encoder.weights");
    assert_eq!(
        (found.mapped_bytes, found.private_bytes),
        (weights, weights)
    );
    let found = part(&plain, "encoder.weights");
    assert_eq!((found.mapped_bytes, found.private_bytes), (weights, 0));
    assert_eq!(plain.memory().total().private_bytes, 0);
    let found = part(&engine(Some(Prepack::On), 3), "encoder.weights");
    assert_eq!(
        (found.mapped_bytes, found.private_bytes),
        (weights, 3 * weights)
    );

    let copied = Bundle::from_parts(&Parts::folder("models/tiny").copied()).unwrap();
    let copied = Engine::from_bundle(copied, &EngineOptions::default()).unwrap();
    assert_eq!(copied.memory().total().mapped_bytes, 0);
}

#[cfg(target_os = "linux")]
fn rollup(field: &str) -> i64 {
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap();
    let line = rollup
        .lines()
        .find_map(|line| line.strip_prefix(field))
        .unwrap();
    line.trim()
        .strip_suffix("kB")
        .unwrap()
        .trim()
        .parse()
        .unwrap()
}

#[cfg(target_os = "linux")]
#[test]
fn a_large_table_takes_no_private_memory() {
    let _alone = ALONE.lock();
    let folder = tempfile::tempdir().unwrap();
    made_up::write(Path::new("models/demo"), folder.path(), 400_000, "f32").unwrap();
    let _warm = Engine::open("models/demo").unwrap();
    let before = rollup("Private_Dirty:");
    let _large = Engine::open(folder.path()).unwrap();
    let growth = rollup("Private_Dirty:") - before;
    assert!(
        growth < 1024,
        "{growth} KiB more for a bundle with 100 MB of rows"
    );
}

#[cfg(target_os = "linux")]
#[test]
fn memory_returns_after_a_hundred_opens() {
    let _alone = ALONE.lock();
    let open = || {
        let mut user = Engine::open("models/tiny").unwrap().recommender();
        user.observe_items(&[1, 2]).unwrap();
        assert_eq!(user.recommend(10).unwrap().len(), 10);
    };
    (0..20).for_each(|_| open());
    let before = rollup("Anonymous:");
    (0..100).for_each(|_| open());
    let growth = rollup("Anonymous:") - before;
    // One engine of the tiny bundle keeps over 200 KiB alive; a hundred leaked ones would be 20 MiB.
    assert!(growth < 4096, "{growth} KiB more after a hundred opens");
}
