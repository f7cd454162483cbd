//! Bundles of any size with invented items: the demo's encoder, seeded random rows, generated ids and titles.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Writes a bundle of `items` items into `folder`, with the encoder of the bundle in `like`; its rows are stored as
/// `dtype`: `f32`, `f16`, `i8`, or `exact`, which is i8 with the f32 rows beside them.
pub fn write(like: &Path, folder: &Path, items: usize, dtype: &str) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    let mut manifest: Value = serde_json::from_slice(&fs::read(like.join("manifest.json"))?)?;
    keep_encoder(&mut manifest);
    let width = manifest["spaces"]["items"]["width"].as_u64().unwrap_or(64) as usize;
    for part in ["encoder", "encoder.weights"] {
        let file = manifest["parts"][part]["file"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        fs::copy(like.join(&file), folder.join(&file))?;
    }
    let is_exact = dtype == "exact";
    let dtype = if is_exact { "i8" } else { dtype };
    let mut parts = vec![
        ("catalog", catalog(items)),
        ("items", table(items, width, dtype)),
    ];
    if is_exact {
        parts.push(("exact", table(items, width, "f32")));
    }
    for (part, bytes) in parts {
        let file = format!("{part}.safetensors");
        let mut written = fs::File::create(folder.join(&file))?;
        written.write_all(&bytes)?;
        // Pages that are still to be written count as dirty, and so as private, in whoever maps them.
        written.sync_all()?;
        let digest: String = Sha256::digest(&bytes)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        manifest["parts"][part] = json!({ "file": file, "bytes": bytes.len(), "sha256": digest });
    }
    manifest["name"] = format!("made up, {items} items").into();
    manifest["catalog"] = json!({ "part": "catalog", "items": items });
    for space in ["items", "neighbours"] {
        manifest["spaces"][space]["rows"] = items.into();
        manifest["spaces"][space]["dtype"] = dtype.into();
        if is_exact {
            manifest["spaces"][space]["exact"] = "exact".into();
        }
    }
    fs::write(
        folder.join("manifest.json"),
        serde_json::to_vec_pretty(&manifest)?,
    )
}

/// Leaves of a bundle what its encoder over the space `items` needs.
fn keep_encoder(manifest: &mut Value) {
    for section in [
        "oracles",
        "q_networks",
        "token_tables",
        "language_models",
        "prompts",
    ] {
        manifest[section] = json!({});
    }
    let wanted = |section: &str, name: &str, entry: &Value| match section {
        "encoders" => entry["graph"] == "encoder",
        "graphs" => name == "encoder",
        "spaces" => ["items", "neighbours"].contains(&name),
        _ => ["encoder", "encoder.weights"].contains(&name),
    };
    for section in ["encoders", "graphs", "spaces", "parts"] {
        if let Some(entries) = manifest[section].as_object_mut() {
            entries.retain(|name, entry| wanted(section, name, entry));
        }
    }
}

/// The catalog part of invented items.
pub fn catalog(items: usize) -> Vec<u8> {
    let ids: Vec<String> = (0..items).map(|item| format!("m{item:08}")).collect();
    let titles: Vec<String> = (0..items)
        .map(|item| format!("Made up {item:08}"))
        .collect();
    let keys: Vec<String> = titles.iter().map(|title| title.to_lowercase()).collect();
    let order: Vec<u8> = (0..items as u32).flat_map(u32::to_le_bytes).collect();
    let counts: Vec<u8> = (0..items as u32)
        .flat_map(|item| (1 + item % 997).to_le_bytes())
        .collect();
    let mut tensors = BTreeMap::new();
    for (name, strings) in [("ids", &ids), ("titles", &titles), ("title_keys", &keys)] {
        let mut offsets = vec![0u32];
        offsets.extend(strings.iter().scan(0, |end, string| {
            *end += string.len() as u32;
            Some(*end)
        }));
        let offsets: Vec<u8> = offsets
            .iter()
            .flat_map(|offset| offset.to_le_bytes())
            .collect();
        tensors.insert(format!("{name}.offsets"), ("U32", vec![items + 1], offsets));
        let bytes = strings.concat().into_bytes();
        tensors.insert(format!("{name}.bytes"), ("U8", vec![bytes.len()], bytes));
    }
    for (name, bytes) in [
        ("ids.order", order.clone()),
        ("title_keys.order", order),
        ("counts", counts),
    ] {
        tensors.insert(name.into(), ("U32", vec![items], bytes));
    }
    safetensors(&tensors)
}

fn table(items: usize, width: usize, dtype: &str) -> Vec<u8> {
    // xorshift64*: any numbers will do, but the same ones on every machine.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut number = || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        let bits = (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 40) as f32;
        bits / (1u32 << 24) as f32 - 0.5
    };
    let mut floats = |count: usize| -> Vec<f32> { (0..count).map(|_| number()).collect() };
    let empty = bytes(floats(width), f32::to_le_bytes);
    let rows = floats(items * width);
    let mut tensors = BTreeMap::from([("empty".to_owned(), ("F32", vec![width], empty))]);
    let shape = vec![items, width];
    match dtype {
        "f16" => {
            let rows = bytes(rows, |value| half(value).to_le_bytes());
            tensors.insert("rows".into(), ("F16", shape, rows));
        }
        "i8" => {
            let (mut quantised, mut scales, mut errors) = (Vec::new(), Vec::new(), Vec::new());
            for row in rows.chunks_exact(width) {
                let scale = row.iter().fold(0f32, |most, value| most.max(value.abs())) / 127.0;
                let start = quantised.len();
                quantised.extend(row.iter().map(|value| (value / scale).round() as i8));
                let error = |(&value, &q): (&f32, &i8)| {
                    (f64::from(value) - f64::from(scale) * f64::from(q)).powi(2)
                };
                let squares: f64 = row.iter().zip(&quantised[start..]).map(error).sum();
                scales.push(scale);
                // Never less than it is.
                errors.push((squares.sqrt() as f32).next_up());
            }
            tensors.insert(
                "rows".into(),
                ("I8", shape, bytes(quantised, i8::to_le_bytes)),
            );
            tensors.insert(
                "scale".into(),
                ("F32", vec![items], bytes(scales, f32::to_le_bytes)),
            );
            tensors.insert(
                "error".into(),
                ("F32", vec![items], bytes(errors, f32::to_le_bytes)),
            );
        }
        _ => {
            tensors.insert("rows".into(), ("F32", shape, bytes(rows, f32::to_le_bytes)));
        }
    }
    safetensors(&tensors)
}

/// The nearest f16 of a number below 65504, as its bits: 2⁻¹¹² sets the exponent of an f32 as that of an f16.
fn half(value: f32) -> u16 {
    let bits = (value.abs() * f32::from_bits((127 - 112) << 23)).to_bits();
    let nearest = (bits + 0xfff + (bits >> 13 & 1)) >> 13;
    nearest as u16 | if value < 0.0 { 0x8000 } else { 0 }
}

fn bytes<T, const N: usize>(values: Vec<T>, of: impl Fn(T) -> [u8; N]) -> Vec<u8> {
    values.into_iter().flat_map(of).collect()
}

/// A safetensors file.
pub fn safetensors(tensors: &BTreeMap<String, (&str, Vec<usize>, Vec<u8>)>) -> Vec<u8> {
    // The widest numbers first, so that all stay aligned.
    let narrow = |dtype: &str| match dtype {
        "F16" => 1,
        "U8" | "I8" => 2,
        _ => 0,
    };
    let mut order: Vec<_> = tensors.iter().collect();
    order.sort_by_key(|(name, (dtype, ..))| (narrow(dtype), *name));
    let (mut header, mut end) = (serde_json::Map::new(), 0);
    for (name, (dtype, shape, bytes)) in &order {
        let offsets = [end, end + bytes.len()];
        header.insert(
            (*name).clone(),
            json!({ "dtype": dtype, "shape": shape, "data_offsets": offsets }),
        );
        end += bytes.len();
    }
    let mut file = Value::Object(header).to_string().into_bytes();
    file.resize(file.len().next_multiple_of(8), b' ');
    let mut file = [(file.len() as u64).to_le_bytes().to_vec(), file].concat();
    for (_, (_, _, bytes)) in order {
        file.extend_from_slice(bytes);
    }
    file
}
