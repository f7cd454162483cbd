//! What an engine holds, and that it gives it back.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use oneiro::{Bundle, Engine, EngineOptions, GraphOptions, Parts, Prepack};

#[test]
fn memory_is_mapped_except_what_is_rearranged() {
    let engine = |prepack| {
        let mut options = EngineOptions::default();
        options.graph = GraphOptions::default();
        options.graph.prepack = prepack;
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
    let (packed, plain) = (engine(Some(Prepack::On)), engine(Some(Prepack::Off)));
    let found = part(&packed, "encoder.weights");
    assert_eq!(
        (found.mapped_bytes, found.private_bytes),
        (weights, weights)
    );
    let found = part(&plain, "encoder.weights");
    assert_eq!((found.mapped_bytes, found.private_bytes), (weights, 0));
    assert_eq!(plain.memory().total().private_bytes, 0);

    let copied = Bundle::from_parts(&Parts::folder("models/tiny").copied()).unwrap();
    let copied = Engine::from_bundle(copied, &EngineOptions::default()).unwrap();
    assert_eq!(copied.memory().total().mapped_bytes, 0);
}

#[cfg(target_os = "linux")]
#[test]
fn memory_returns_after_a_hundred_opens() {
    let anonymous = || -> i64 {
        let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap();
        let line = rollup
            .lines()
            .find_map(|line| line.strip_prefix("Anonymous:"))
            .unwrap();
        line.trim()
            .strip_suffix("kB")
            .unwrap()
            .trim()
            .parse()
            .unwrap()
    };
    let open = || {
        let mut user = Engine::open("models/tiny").unwrap().recommender();
        user.observe_items(&[1, 2]).unwrap();
        assert_eq!(user.recommend(10).unwrap().len(), 10);
    };
    (0..20).for_each(|_| open());
    let before = anonymous();
    (0..100).for_each(|_| open());
    let growth = anonymous() - before;
    // One engine of the tiny bundle keeps over 200 KiB alive; a hundred leaked ones would be 20 MiB.
    assert!(growth < 4096, "{growth} KiB more after a hundred opens");
}
