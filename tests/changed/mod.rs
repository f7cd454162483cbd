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

/// The tiny bundle with an encoder that ends at once for a history of one item and never for a longer one.
#[allow(dead_code, reason = "not every test that changes a bundle needs it")]
pub fn endless() -> TempDir {
    endless_encoder("B")
}

/// The same, but its graph takes one window at a time.
#[allow(dead_code, reason = "not every test that changes a bundle needs it")]
pub fn one_at_a_time() -> TempDir {
    endless_encoder("1")
}

fn endless_encoder(batch: &str) -> TempDir {
    let axes = attribute("axes", vec![0x40, 1], 7);
    let keepdims = attribute("keepdims", vec![0x18, 0], 2);
    let graph = [
        node(&["rows"], "mean", "ReduceMean", [axes, keepdims].concat()),
        turning(["length", "limit"], 1, ("mean", "state")),
        value(11, "rows", 1, Some(&[batch, "L", "16"])),
        value(11, "length", 7, Some(&[batch])),
        value(12, "state", 1, Some(&[batch, "16"])),
    ];
    let folder = tiny(|_| {});
    put(folder.path(), "encoder", &graph.concat());
    folder
}

/// The tiny bundle with oracles, whose recipe has a denoiser of 2000 steps that ends at once in each but for the steps
/// below 1990, which never end. It can take one row at a time only, which is what one user without guidance gives it.
#[allow(dead_code, reason = "not every test that changes a bundle needs it")]
pub fn endless_denoiser() -> TempDir {
    let graph = [
        turning(["limit", "step"], 1990, ("x", "x0")),
        value(11, "x", 1, Some(&["B", "16"])),
        value(11, "condition", 1, Some(&["B", "16"])),
        value(11, "step", 7, Some(&["B"])),
        value(12, "x0", 1, Some(&["B", "16"])),
    ];
    let folder = copy("models/tiny-oracle", |manifest| {
        manifest["oracles"]["mlp2"]["guidance"] = 0.into();
        manifest["recipe"]["steps"][0]["oracle"] = "mlp2".into();
    });
    put(folder.path(), "mlp2.denoiser", &graph.concat());
    folder
}

/// The tiny language models, of which `plain` ends at once for up to 16 rows and never for more: a `Loop` stands between
/// its rows and all that reads them.
#[allow(dead_code, reason = "not every test that changes a bundle needs it")]
pub fn endless_language_model() -> TempDir {
    const ROWS: &[u8] = b"inputs_embeds";
    let folder = copy("models/tiny-lm", |_| {});
    let mut model = fs::read(folder.path().join("plain.onnx")).unwrap();
    let places = (0..model.len()).filter(|&place| model[place..].starts_with(ROWS));
    // The graph's inputs come after its nodes, and this is the first of them.
    let mut places: Vec<usize> = places.collect();
    places.pop().unwrap();
    for place in places {
        model[place..place + ROWS.len()].copy_from_slice(b"turned_embeds");
    }
    // A message that comes again is the same message, with more in it. `total_count` is how many rows there are.
    let turning = turning(
        ["total_count", "limit"],
        16,
        ("inputs_embeds", "turned_embeds"),
    );
    model.extend(block(7, &turning));
    replace(folder.path(), "plain", &model);
    folder
}

/// Makes an ONNX graph the part of a bundle.
fn put(folder: &Path, part: &str, graph: &[u8]) {
    let model = [vec![0x08, 9], block(7, graph), block(8, &[0x10, 17])].concat();
    replace(folder, part, &model);
}

/// Puts other bytes in the place of a part's, and says so in the manifest.
pub fn replace(folder: &Path, part: &str, bytes: &[u8]) {
    let mut file = String::new();
    change(folder, |manifest| {
        let digest = Sha256::digest(bytes);
        let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let entry = &mut manifest["parts"][part];
        entry["bytes"] = bytes.len().into();
        entry["sha256"] = digest.into();
        file = entry["file"].as_str().unwrap().into();
    });
    fs::write(folder.join(file), bytes).unwrap();
}

/// Of a graph that ends at once or never: a `Loop` of `(from − less) · 2⁵⁶` turns over one `Identity`, where one of the two
/// is the constant `limit`.
fn turning([from, less]: [&str; 2], limit: i64, (before, after): (&str, &str)) -> Vec<u8> {
    let body = [
        node(&["go"], "go_on", "Identity", vec![]),
        node(&["turned"], "turned_on", "Identity", vec![]),
        text(2, "body"),
        value(11, "turn", 7, Some(&[])),
        value(11, "go", 9, Some(&[])),
        value(11, "turned", 1, None),
        value(12, "go_on", 9, Some(&[])),
        value(12, "turned_on", 1, None),
    ];
    let body = attribute("body", block(6, &body.concat()), 5);
    let constant = |name: &str, element: u8, bytes: &[u8]| {
        let tensor = [vec![0x10, element], text(8, name), block(9, bytes)];
        block(5, &tensor.concat())
    };
    [
        node(&[from, less], "more", "Sub", vec![]),
        node(&["more", "huge"], "turns", "Mul", vec![]),
        node(&["turns", "always", before], after, "Loop", body),
        text(2, "turning"),
        constant("limit", 7, &limit.to_le_bytes()),
        constant("huge", 7, &(1i64 << 56).to_le_bytes()),
        constant("always", 9, &[1]),
    ]
    .concat()
}

fn node(inputs: &[&str], output: &str, operator: &str, attributes: Vec<u8>) -> Vec<u8> {
    let inputs: Vec<u8> = inputs.iter().flat_map(|input| text(1, input)).collect();
    let node = [inputs, text(2, output), text(4, operator), attributes];
    block(1, &node.concat())
}

fn attribute(name: &str, content: Vec<u8>, kind: u8) -> Vec<u8> {
    block(
        5,
        &[text(1, name), content, vec![0xa0, 0x01, kind]].concat(),
    )
}

/// A ValueInfoProto: a tensor of an element type (1 f32, 7 i64, 9 bool) and, perhaps, a shape.
fn value(field: u8, name: &str, element: u8, shape: Option<&[&str]>) -> Vec<u8> {
    // A length, or a name for any.
    let dim = |dim: &&str| match dim.parse::<u8>() {
        Ok(length) => block(1, &[0x08, length]),
        Err(_) => block(1, &text(2, dim)),
    };
    let dims = |dims: &[&str]| block(2, &dims.iter().flat_map(dim).collect::<Vec<u8>>());
    let tensor = [vec![0x08, element], shape.map(dims).unwrap_or_default()].concat();
    let kind = block(2, &block(1, &tensor));
    block(field, &[text(1, name), kind].concat())
}

fn text(field: u8, text: &str) -> Vec<u8> {
    block(field, text.as_bytes())
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
