//! One bundle, whatever its parts come from: a folder, ranges of one file, bytes in memory, copies.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;

use oneiro::{Bundle, Cancel, Engine, EngineOptions, Error, Parts};

fn files() -> Vec<(String, Vec<u8>)> {
    let mut paths: Vec<PathBuf> = fs::read_dir("models/tiny")
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    paths
        .iter()
        .map(|path| (name(path), fs::read(path).unwrap()))
        .collect()
}

fn answer(parts: &Parts) -> (Vec<u32>, Vec<f32>) {
    let bundle = Bundle::from_parts(parts).unwrap();
    bundle.verify(&Cancel::new(), &mut |_, _| {}).unwrap();
    let mut user = Engine::from_bundle(bundle, &EngineOptions::default())
        .unwrap()
        .recommender();
    user.observe_items(&[1, 2, 3]).unwrap();
    let ranking = user.recommend(20).unwrap();
    (ranking.items().to_vec(), ranking.scores().to_vec())
}

/// Bytes at an address that is a multiple of 8.
struct Aligned(Vec<u64>, usize);

impl Aligned {
    fn new(bytes: &[u8]) -> Self {
        let words = bytes.chunks(8).map(|chunk| {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            u64::from_ne_bytes(word)
        });
        Self(words.collect(), bytes.len())
    }
}

impl AsRef<[u8]> for Aligned {
    fn as_ref(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.0)[..self.1]
    }
}

#[test]
fn every_source_gives_the_same_answer() {
    let expected = answer(&Parts::folder("models/tiny"));
    assert_eq!(answer(&Parts::folder("models/tiny").copied()), expected);

    let mut lent = Parts::new();
    for (name, bytes) in files() {
        lent.bytes(name, Aligned::new(&bytes)).unwrap();
    }
    assert_eq!(answer(&lent), expected);

    // One file after the other, at multiples of 8 and then at odd places.
    for padding in [8, 13] {
        let mut archive = tempfile::NamedTempFile::new().unwrap();
        let mut ranges = Vec::new();
        let mut end: usize = 0;
        for (name, bytes) in files() {
            let start = end + padding;
            let start = if padding == 8 {
                start.next_multiple_of(8)
            } else {
                start
            };
            archive.write_all(&vec![0xee; start - end]).unwrap();
            archive.write_all(&bytes).unwrap();
            end = start + bytes.len();
            ranges.push((name, start as u64, bytes.len() as u64));
        }
        let mut parts = Parts::new();
        for (name, start, length) in ranges {
            parts
                .range(name, File::open(archive.path()).unwrap(), start, length)
                .unwrap();
        }
        assert_eq!(answer(&parts), expected, "padding {padding}");
    }
}

#[test]
fn a_part_may_come_from_elsewhere_than_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let mut parts = Parts::folder(folder.path());
    for (name, bytes) in files() {
        if name == "items.safetensors" {
            parts.bytes(name, Aligned::new(&bytes)).unwrap();
        } else {
            fs::write(folder.path().join(name), bytes).unwrap();
        }
    }
    assert_eq!(answer(&parts), answer(&Parts::folder("models/tiny")));
}

#[test]
fn a_range_past_the_end_of_its_file_is_an_error() {
    let mut parts = Parts::new();
    for (name, bytes) in files() {
        let file = File::open(PathBuf::from("models/tiny").join(&name)).unwrap();
        let extra = if name == "items.safetensors" { 64 } else { 0 };
        parts
            .range(name, file, 0, bytes.len() as u64 + extra)
            .unwrap();
    }
    let error = Bundle::from_parts(&parts).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("part `items`: expected 2928 bytes from 0 of its file"),
        "{error}"
    );
    let file = File::open("models/tiny/manifest.json").unwrap();
    assert!(matches!(
        parts.range("x", file, u64::MAX, 2),
        Err(Error::InvalidArgument { .. })
    ));
}

#[test]
fn a_path_that_is_no_bundle_is_an_error_of_its_own() {
    let message = |path: &str| Bundle::open(path).unwrap_err().to_string();
    assert!(message("models/nowhere").starts_with("models/nowhere: "));
    assert!(message("Cargo.toml").contains("a bundle is a folder with a manifest.json"));
    assert!(message("src").contains("no manifest.json in it"));
}
