//! A copy of a bundle with a changed manifest.

use std::fs;
use std::path::Path;

use serde_json::Value;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// Copies `models/tiny` to a folder of its own and edits its manifest.
pub fn tiny(edit: impl FnOnce(&mut Value)) -> TempDir {
    copy("models/tiny", edit)
}

/// Copies a bundle to a folder of its own and edits its manifest.
pub fn copy(bundle: &str, edit: impl FnOnce(&mut Value)) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(bundle).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    change(folder.path(), edit);
    folder
}

/// Edits the manifest of the bundle in a folder.
pub fn change(folder: &Path, edit: impl FnOnce(&mut Value)) {
    let manifest = folder.join("manifest.json");
    let mut json = serde_json::from_slice(&fs::read(&manifest).unwrap()).unwrap();
    edit(&mut json);
    fs::write(manifest, serde_json::to_vec(&json).unwrap()).unwrap();
}

/// The tiny bundle with an encoder that ends at once for a history of one item and never for a longer one: an ONNX
/// `Loop` of `(length − 1) · 2⁵⁶` turns over one `Identity`.
#[allow(dead_code, reason = "not every test that changes a bundle needs it")]
pub fn endless() -> TempDir {
    looping("B")
}

/// The same, but its graph takes one window at a time.
#[allow(dead_code, reason = "not every test that changes a bundle needs it")]
pub fn one_at_a_time() -> TempDir {
    looping("1")
}

fn looping(batch: &str) -> TempDir {
    let text = |field, text: &str| block(field, text.as_bytes());
    // A length, or a name for any.
    let dim = |dim: &str| match dim.parse::<u8>() {
        Ok(length) => block(1, &[0x08, length]),
        Err(_) => block(1, &text(2, dim)),
    };
    let dims = |dims: &[&str]| {
        let dims: Vec<u8> = dims.iter().flat_map(|name| dim(name)).collect();
        block(2, &dims)
    };
    // TypeProto: a tensor of an element type (1 f32, 7 i64, 9 bool) and, perhaps, a shape.
    let value = |field, name: &str, element: u8, shape: Option<&[&str]>| {
        let tensor = [vec![0x08, element], shape.map(dims).unwrap_or_default()].concat();
        block(
            field,
            &[text(1, name), block(2, &block(1, &tensor))].concat(),
        )
    };
    let node = |inputs: &[&str], output: &str, operator: &str, attributes: Vec<u8>| {
        let inputs: Vec<u8> = inputs.iter().flat_map(|input| text(1, input)).collect();
        block(
            1,
            &[inputs, text(2, output), text(4, operator), attributes].concat(),
        )
    };
    let body = [
        node(&["go"], "go_on", "Identity", vec![]),
        node(&["x"], "x_on", "Identity", vec![]),
        text(2, "body"),
        value(11, "turn", 7, Some(&[])),
        value(11, "go", 9, Some(&[])),
        value(11, "x", 1, None),
        value(12, "go_on", 9, Some(&[])),
        value(12, "x_on", 1, None),
    ]
    .concat();
    let attribute = |name: &str, rest: Vec<u8>, kind: u8| {
        block(5, &[text(1, name), rest, vec![0xa0, 0x01, kind]].concat())
    };
    let constant = |name: &str, element: u8, bytes: &[u8]| {
        block(
            5,
            &[vec![0x10, element], text(8, name), block(9, bytes)].concat(),
        )
    };
    let axes = attribute("axes", vec![0x40, 1], 7);
    let keepdims = attribute("keepdims", vec![0x18, 0], 2);
    let graph = [
        node(&["rows"], "mean", "ReduceMean", [axes, keepdims].concat()),
        node(&["length", "one"], "more", "Sub", vec![]),
        node(&["more", "huge"], "turns", "Mul", vec![]),
        node(
            &["turns", "always", "mean"],
            "state",
            "Loop",
            attribute("body", block(6, &body), 5),
        ),
        text(2, "endless"),
        constant("one", 7, &1i64.to_le_bytes()),
        constant("huge", 7, &(1i64 << 56).to_le_bytes()),
        constant("always", 9, &[1]),
        value(11, "rows", 1, Some(&[batch, "L", "16"])),
        value(11, "length", 7, Some(&[batch])),
        value(12, "state", 1, Some(&[batch, "16"])),
    ]
    .concat();
    let model = [vec![0x08, 9], block(7, &graph), block(8, &[0x10, 17])].concat();
    let folder = tiny(|manifest| {
        let digest: String = Sha256::digest(&model)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        manifest["parts"]["encoder"]["bytes"] = model.len().into();
        manifest["parts"]["encoder"]["sha256"] = digest.into();
    });
    fs::write(folder.path().join("encoder.onnx"), model).unwrap();
    folder
}

/// A protobuf field with a length.
fn block(field: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![field << 3 | 2];
    let mut length = content.len();
    while length > 0x7f {
        bytes.push(length as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
    bytes.extend(content);
    bytes
}
