//! The command ranks as PyTorch does: 100 histories, their best 20 items and scores.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod command;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use command::{bundle, column, oneiro};
use oneiro::Bundle;
use safetensors::{Dtype, SafeTensors};

/// Scores agree to this part of the ranking's greatest: each is a sum whose terms may cancel, and a score near 0 keeps
/// the rounding of its terms. Items whose own scores lie closer together than this part of them may change places.
const TOLERANCE: f64 = 1e-5;
const TOP: usize = 20;

#[test]
fn tiny_ranks_as_pytorch_does() {
    check("tiny");
}

#[test]
fn demo_ranks_as_pytorch_does() {
    check("demo");
}

fn check(name: &str) {
    let golden = Golden::read(name);
    assert_eq!(golden.histories.len(), 100);
    let folder = bundle(name);
    let catalog = Bundle::open(&folder).unwrap();
    let catalog = catalog.catalog();
    for (row, history) in golden.histories.iter().enumerate() {
        let ids: Vec<&str> = history
            .iter()
            .map(|&item| catalog.id(item).unwrap())
            .collect();
        let mut arguments = vec![
            "recommend",
            &folder,
            "--by",
            "encoder",
            "-k",
            "20",
            "--json",
        ];
        arguments.extend(ids.iter().flat_map(|id| ["--seen", id]));
        let report = oneiro(&arguments).json();

        let items: Vec<u64> = column(&report, "item")
            .iter()
            .map(|item| item.as_u64().unwrap())
            .collect();
        let scores: Vec<f64> = column(&report, "score")
            .iter()
            .map(|score| score.as_f64().unwrap())
            .collect();
        let (expected, expected_scores) = (&golden.items[row], &golden.scores[row]);
        let distinct: BTreeSet<&u64> = items.iter().collect();
        assert_eq!(
            (items.len(), distinct.len()),
            (TOP, TOP),
            "{name} history {row}"
        );
        let scale = expected_scores
            .iter()
            .fold(0.0, |scale: f64, score| scale.max(score.abs()));
        for rank in 0..TOP {
            let (found, score) = (scores[rank], expected_scores[rank]);
            let tied =
                |other: usize| (score - expected_scores[other]).abs() <= TOLERANCE * score.abs();
            let may_be_here = (0..TOP).any(|other| expected[other] == items[rank] && tied(other));
            assert!(
                may_be_here,
                "{name} history {row}: {items:?}, PyTorch {expected:?}"
            );
            let is_close = (found - score).abs() <= TOLERANCE * scale;
            assert!(
                is_close,
                "{name} history {row} rank {rank}: {found}, PyTorch {score}"
            );
        }
    }
}

struct Golden {
    histories: Vec<Vec<u32>>,
    items: Vec<Vec<u64>>,
    scores: Vec<Vec<f64>>,
}

impl Golden {
    fn read(name: &str) -> Self {
        let file = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join(format!("../tests/golden/{name}.safetensors"));
        let bytes = fs::read(file).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let lengths = integers(&tensors, "lengths").concat();
        let mut histories: Vec<Vec<u32>> = Vec::new();
        for (row, length) in integers(&tensors, "histories").iter().zip(lengths) {
            let seen = &row[..usize::try_from(length).unwrap()];
            histories.push(
                seen.iter()
                    .map(|&item| u32::try_from(item).unwrap())
                    .collect(),
            );
        }
        let floats = tensors.tensor("top_scores").unwrap();
        assert_eq!(
            (floats.dtype(), floats.shape()),
            (Dtype::F32, &[histories.len(), TOP][..])
        );
        let score = |bytes: &[u8]| f64::from(f32::from_le_bytes(bytes.try_into().unwrap()));
        let scores: Vec<f64> = floats.data().chunks_exact(4).map(score).collect();
        Self {
            histories,
            items: integers(&tensors, "top_items"),
            scores: scores.chunks_exact(TOP).map(<[f64]>::to_vec).collect(),
        }
    }
}

/// A tensor of whole numbers, row by row.
fn integers(tensors: &SafeTensors, name: &str) -> Vec<Vec<u64>> {
    let tensor = tensors.tensor(name).unwrap();
    let wide = |bytes: &[u8]| u64::try_from(i64::from_le_bytes(bytes.try_into().unwrap())).unwrap();
    let narrow = |bytes: &[u8]| u64::from(u32::from_le_bytes(bytes.try_into().unwrap()));
    let numbers: Vec<u64> = match tensor.dtype() {
        Dtype::I64 => tensor.data().chunks_exact(8).map(wide).collect(),
        _ => tensor.data().chunks_exact(4).map(narrow).collect(),
    };
    let width = tensor.shape().last().copied().unwrap();
    numbers.chunks_exact(width).map(<[u64]>::to_vec).collect()
}
