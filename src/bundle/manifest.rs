//! `manifest.json`: what a bundle holds and what it is for. The format is described in `models/README.md`.

#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Deserialize;
use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::error::{Error, Result};

/// The format that this version reads and [`models/README.md`] describes.
///
/// [`models/README.md`]: https://docs.rs/crate/oneiro/latest/source/models/README.md
pub const FORMAT: u32 = 1;

/// The features that a manifest's `requires` may name. Format 1 has none.
const FEATURES: [&str; 0] = [];

pub(super) const MAX_MANIFEST_BYTES: usize = 16 << 20;

/// A bundle's manifest, field by field as in `models/README.md`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the fields are described in models/README.md")]
pub struct Manifest {
    pub format: u32,
    #[serde(default)]
    pub requires: Vec<String>,
    pub name: String,
    #[serde(default)]
    pub description: String,
    pub parts: BTreeMap<String, PartEntry>,
    pub catalog: CatalogEntry,
    #[serde(default)]
    pub spaces: BTreeMap<String, SpaceEntry>,
    #[serde(default)]
    pub graphs: BTreeMap<String, GraphEntry>,
    #[serde(default)]
    pub encoders: BTreeMap<String, EncoderEntry>,
    pub similar: Option<String>,
    pub seen: Seen,
    pub recipe: RecipeEntry,
    #[serde(default)]
    pub provenance: Provenance,
}

/// A file of the bundle.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the fields are described in models/README.md")]
pub struct PartEntry {
    pub file: String,
    pub bytes: u64,
    pub sha256: String,
}

/// The catalog: its part, its length and its attributes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the fields are described in models/README.md")]
pub struct CatalogEntry {
    pub part: String,
    pub items: u32,
    #[serde(default)]
    pub attributes: BTreeMap<String, AttributeKind>,
}

/// What an attribute's values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AttributeKind {
    /// Any number of names per item, such as genres.
    Tags,
    /// One whole number per item, or none.
    Integer,
}

/// A table of rows and how it is scored.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the fields are described in models/README.md")]
pub struct SpaceEntry {
    pub part: String,
    pub rows: u32,
    pub width: u32,
    pub dtype: RowType,
    pub metric: Metric,
    #[serde(default)]
    pub bias: bool,
}

/// How rows are stored. Arithmetic is always in f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names say it")]
pub enum RowType {
    F32,
    F16,
    I8,
}

/// How a query is compared with a row; higher is always better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Metric {
    /// ⟨query, row⟩.
    Dot,
    /// ⟨query, row⟩ / (‖query‖·‖row‖), 0 where a norm is 0.
    Cosine,
    /// −‖query − row‖₂.
    L2,
}

/// An ONNX file with its external weights.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the fields are described in models/README.md")]
pub struct GraphEntry {
    pub model: String,
    #[serde(default)]
    pub weights: Vec<String>,
    #[serde(default)]
    pub prepack: Prepack,
}

/// Whether ONNX Runtime may rearrange a graph's weights, which copies them to private memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Prepack {
    /// For small graphs only: large ones stay mapped.
    #[default]
    Auto,
    /// Always: faster in batches and for quantised weights.
    On,
    /// Never: the weights stay mapped.
    Off,
}

/// A sequence encoder: history in, state out.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the fields are described in models/README.md")]
pub struct EncoderEntry {
    pub graph: String,
    pub input: String,
    pub output: String,
    pub window: u32,
    pub length: Length,
    pub empty_row: EmptyRow,
}

/// How many rows an encoder is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Length {
    /// As many as there are items.
    Dynamic,
    /// Always the whole window, padded on the right (Caser's filters see the padding).
    Fixed,
}

/// What stands for padding and for an empty history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EmptyRow {
    /// A row of zeros.
    Zero,
    /// The tensor `empty` of the input space's part.
    Stored,
}

/// Whether items of the history may be recommended again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Seen {
    /// They are left out.
    Exclude,
    /// They rank like all others.
    Allow,
}

/// What `recommend` does.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the fields are described in models/README.md")]
pub struct RecipeEntry {
    pub steps: Vec<StepEntry>,
    pub cold: RetrieveEntry,
}

/// One step of a recipe.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the fields are described in models/README.md")]
pub struct StepEntry {
    pub retrieve: RetrieveEntry,
    pub encoder: Option<String>,
    pub count: u32,
}

/// A way of retrieving, as a recipe names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names say it")]
pub enum RetrieveEntry {
    Popularity,
    Encoder,
}

/// Where the bundle comes from and how well it did.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, reason = "the fields are described in models/README.md")]
pub struct Provenance {
    pub licence: Option<String>,
    pub credit: Option<String>,
    pub data_set: Option<String>,
    pub command: Option<String>,
    pub metrics: BTreeMap<String, f64>,
}

impl Manifest {
    /// Reads and checks a manifest: its fields, and that every name it uses is defined in it.
    ///
    /// # Errors
    /// [`Error::BundleVersion`] for another format or an unknown feature, [`Error::Manifest`] for anything else.
    pub fn parse(json: &[u8]) -> Result<Self> {
        if json.len() > MAX_MANIFEST_BYTES {
            return Err(Error::manifest(
                ".",
                format!("at most {MAX_MANIFEST_BYTES} bytes"),
                format!("{} bytes", json.len()),
            ));
        }
        let mut reader = serde_json::Deserializer::from_slice(json);
        let tree = Strict
            .deserialize(&mut reader)
            .and_then(|tree| reader.end().map(|()| tree))
            .map_err(|error| {
                Error::manifest(".", "JSON without repeated keys", error.to_string())
            })?;
        check_version(&tree)?;
        let manifest: Self = serde_path_to_error::deserialize(tree).map_err(|error| {
            let at = error.path().to_string();
            Error::manifest(at, "a field of format 1", error.into_inner().to_string())
        })?;
        manifest.check()?;
        Ok(manifest)
    }

    fn check(&self) -> Result<()> {
        self.check_parts()?;
        let part = |at: String, name: &str| match self.parts.contains_key(name) {
            true => Ok(()),
            false => Err(Error::manifest(
                at,
                "the name of a part",
                format!("`{name}`"),
            )),
        };
        part("catalog.part".into(), &self.catalog.part)?;
        if self.catalog.items == 0 || self.catalog.items == u32::MAX {
            return Err(Error::manifest(
                "catalog.items",
                "1 to 4294967294",
                self.catalog.items.to_string(),
            ));
        }
        for (name, space) in &self.spaces {
            part(format!("spaces.{name}.part"), &space.part)?;
            if space.rows != self.catalog.items {
                return Err(Error::manifest(
                    format!("spaces.{name}.rows"),
                    format!("{} (catalog.items)", self.catalog.items),
                    space.rows.to_string(),
                ));
            }
            if !(1..=65536).contains(&space.width) {
                return Err(Error::manifest(
                    format!("spaces.{name}.width"),
                    "1 to 65536",
                    space.width.to_string(),
                ));
            }
        }
        for (name, graph) in &self.graphs {
            part(format!("graphs.{name}.model"), &graph.model)?;
            for (index, weights) in graph.weights.iter().enumerate() {
                part(format!("graphs.{name}.weights[{index}]"), weights)?;
            }
        }
        for (name, encoder) in &self.encoders {
            if !self.graphs.contains_key(&encoder.graph) {
                return Err(Error::manifest(
                    format!("encoders.{name}.graph"),
                    "the name of a graph",
                    format!("`{}`", encoder.graph),
                ));
            }
            self.check_space(&format!("encoders.{name}.input"), &encoder.input)?;
            self.check_space(&format!("encoders.{name}.output"), &encoder.output)?;
            if !(1..=65536).contains(&encoder.window) {
                return Err(Error::manifest(
                    format!("encoders.{name}.window"),
                    "1 to 65536",
                    encoder.window.to_string(),
                ));
            }
        }
        if let Some(similar) = &self.similar {
            self.check_space("similar", similar)?;
        }
        self.check_recipe()
    }

    /// Names of files are plain names, and no two parts share a file.
    fn check_parts(&self) -> Result<()> {
        let mut files = BTreeSet::new();
        for (name, part) in &self.parts {
            let plain = !part.file.is_empty()
                && part.file.len() <= 255
                && part.file != "."
                && part.file != ".."
                && part.file != "manifest.json"
                && !part.file.contains(['/', '\\', ':', '\0']);
            if !plain {
                return Err(Error::manifest(
                    format!("parts.{name}.file"),
                    "a plain file name in the bundle's folder",
                    format!("`{}`", part.file.escape_debug()),
                ));
            }
            if !files.insert(&part.file) {
                return Err(Error::manifest(
                    format!("parts.{name}.file"),
                    "a file of its own",
                    format!("`{}` again", part.file),
                ));
            }
            if part.sha256.len() != 64
                || !part
                    .sha256
                    .bytes()
                    .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
            {
                return Err(Error::manifest(
                    format!("parts.{name}.sha256"),
                    "64 lower-case hex digits",
                    format!("`{}`", part.sha256.escape_debug()),
                ));
            }
        }
        Ok(())
    }

    fn check_space(&self, at: &str, name: &str) -> Result<()> {
        match self.spaces.contains_key(name) {
            true => Ok(()),
            false => Err(Error::manifest(
                at,
                "the name of a space",
                format!("`{name}`"),
            )),
        }
    }

    fn check_recipe(&self) -> Result<()> {
        let [step] = self.recipe.steps.as_slice() else {
            return Err(Error::manifest(
                "recipe.steps",
                "one step",
                format!("{} steps", self.recipe.steps.len()),
            ));
        };
        if step.count == 0 {
            return Err(Error::manifest("recipe.steps[0].count", "at least 1", "0"));
        }
        let at = "recipe.steps[0].encoder";
        match (step.retrieve, &step.encoder) {
            (RetrieveEntry::Encoder, Some(name)) if self.encoders.contains_key(name) => {}
            (RetrieveEntry::Encoder, Some(name)) => {
                return Err(Error::manifest(
                    at,
                    "the name of an encoder",
                    format!("`{name}`"),
                ));
            }
            (RetrieveEntry::Encoder, None) => {
                return Err(Error::manifest(at, "the name of an encoder", "nothing"));
            }
            (RetrieveEntry::Popularity, Some(name)) => {
                return Err(Error::manifest(
                    at,
                    "nothing beside `popularity`",
                    format!("`{name}`"),
                ));
            }
            (RetrieveEntry::Popularity, None) => {}
        }
        if self.recipe.cold == RetrieveEntry::Encoder && step.encoder.is_none() {
            return Err(Error::manifest(
                "recipe.cold",
                "popularity: no step names an encoder",
                "encoder",
            ));
        }
        Ok(())
    }
}

/// Version questions come before all others: a newer manifest may have any shape.
fn check_version(tree: &Value) -> Result<()> {
    match tree.get("format") {
        Some(format) if format.as_u64() == Some(u64::from(FORMAT)) => {}
        Some(format) if format.is_u64() => {
            return Err(Error::BundleVersion {
                feature: format!("format {format}"),
            });
        }
        Some(other) => return Err(Error::manifest("format", "1", other.to_string())),
        None if tree.is_object() => return Err(Error::manifest("format", "1", "nothing")),
        None => return Err(Error::manifest(".", "an object", kind_of(tree))),
    }
    let Some(Value::Array(required)) = tree.get("requires") else {
        return Ok(());
    };
    for feature in required {
        let known = feature.as_str().is_none_or(|name| FEATURES.contains(&name));
        if !known {
            return Err(Error::BundleVersion {
                feature: format!("the feature {feature}"),
            });
        }
    }
    Ok(())
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// Reads JSON into a tree, refusing repeated keys (serde takes the last one) and dropping `x-` fields.
struct Strict;

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: de::Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("a number that is not finite"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(Strict)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let mut seen = BTreeSet::new();
        let mut fields = Map::new();
        while let Some(key) = object.next_key::<String>()? {
            let value = object.next_value_seed(Strict)?;
            if !seen.insert(key.clone()) {
                return Err(de::Error::custom(format_args!("the key `{key}` twice")));
            }
            if !key.starts_with("x-") {
                fields.insert(key, value);
            }
        }
        Ok(Value::Object(fields))
    }
}
