//! `manifest.json`: what a bundle holds and what it is for. The format is described in `models/README.md`.

#![forbid(unsafe_code)]

mod check;

use std::collections::BTreeMap;

use serde::Deserialize;

use super::json;
use crate::error::{Error, Result};

/// The format that this version reads and [`models/README.md`] describes.
///
/// [`models/README.md`]: https://docs.rs/crate/oneiro/latest/source/models/README.md
pub const FORMAT: u32 = 1;

/// Far above any real manifest, small enough to read at once.
pub(super) const MAX_MANIFEST_BYTES: u64 = 16 << 20;

/// The most hypotheses that a beam search follows at once.
pub(crate) const MOST_BEAMS: u32 = 256;

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
    #[serde(default)]
    pub oracles: BTreeMap<String, OracleEntry>,
    #[serde(default)]
    pub q_networks: BTreeMap<String, QNetworkEntry>,
    #[serde(default)]
    pub token_tables: BTreeMap<String, TokenTableEntry>,
    #[serde(default)]
    pub language_models: BTreeMap<String, LanguageModelEntry>,
    #[serde(default)]
    pub prompts: BTreeMap<String, PromptEntry>,
    #[serde(default)]
    pub generators: BTreeMap<String, GeneratorEntry>,
    #[serde(default)]
    pub interpreters: BTreeMap<String, InterpreterEntry>,
    #[serde(default)]
    pub explainers: BTreeMap<String, ExplainerEntry>,
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
    pub exact: Option<String>,
    #[serde(default)]
    pub bias: bool,
    pub index: Option<IndexEntry>,
}

/// The lists of an approximate index, and what was measured when they were made.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the fields are described in models/README.md")]
pub struct IndexEntry {
    pub part: String,
    pub lists: u32,
    #[serde(default)]
    pub recall: Vec<RecallEntry>,
}

/// The share of the best 10 and 100 items that a search of so many lists finds.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the fields are described in models/README.md")]
pub struct RecallEntry {
    pub probes: u32,
    pub at_10: f64,
    pub at_100: f64,
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
    #[serde(default)]
    pub optimised: bool,
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

/// A diffusion model that dreams up ideal items: the state of an encoder in, a point of a space out.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the fields are described in models/README.md")]
pub struct OracleEntry {
    pub encoder: String,
    pub output: String,
    pub part: String,
    pub graph: Option<String>,
    #[serde(default)]
    pub guidance: f32,
}

/// What a choice is worth in the long run: the state of an encoder in, a query of a space or the values of all items out.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the fields are described in models/README.md")]
pub struct QNetworkEntry {
    pub encoder: String,
    pub output: Option<String>,
    pub graph: Option<String>,
    #[serde(default = "half")]
    pub weight: f32,
}

fn half() -> f32 {
    0.5
}

/// A row for every token of a vocabulary.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the fields are described in models/README.md")]
pub struct TokenTableEntry {
    pub part: String,
    pub rows: u32,
    pub width: u32,
    pub dtype: RowType,
}

/// A decoder-only language model: rows of tokens and of anything else in, what may come next out.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the fields are described in models/README.md")]
pub struct LanguageModelEntry {
    pub graph: String,
    pub tokens: String,
    pub head: Option<HeadEntry>,
    pub tokenizer: String,
    pub context: u32,
    pub packed: Option<u32>,
    pub layers: u32,
    pub kv_heads: u32,
    pub head_size: u32,
    pub begin: Option<u32>,
    #[serde(default)]
    pub stop: Vec<u32>,
    pub end_of_title: Option<u32>,
    pub titles: Option<TitlesEntry>,
    #[serde(default)]
    pub adapters: BTreeMap<String, String>,
}

/// The catalog's titles as a tree of the model's tokens.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the fields are described in models/README.md")]
pub struct TitlesEntry {
    pub part: String,
    pub tokenizer_sha256: String,
}

/// What makes logits of hidden states: a table that they are multiplied with, a graph, or either.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the fields are described in models/README.md")]
pub struct HeadEntry {
    pub table: Option<String>,
    pub graph: Option<String>,
}

/// What a language model is asked about a history, and some candidates or none.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the fields are described in models/README.md")]
pub struct PromptEntry {
    pub language_model: String,
    pub adapter: Option<String>,
    pub text: String,
    #[serde(default = "comma")]
    pub separator: String,
    pub history: u32,
    pub candidates: Option<u32>,
    pub rows: Option<String>,
    pub placeholder: Option<u32>,
    pub answer: Option<u32>,
}

fn comma() -> String {
    ", ".into()
}

/// The texts of a prompt around its slots.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct PromptTexts<'a> {
    pub(crate) before: &'a str,
    /// Between the history and the candidates; nothing in a prompt without candidates.
    pub(crate) between: Option<&'a str>,
    pub(crate) after: &'a str,
}

impl PromptEntry {
    /// Its texts; nothing unless there is one slot for the history and behind it at most one for candidates.
    pub(crate) fn texts(&self) -> Option<PromptTexts<'_>> {
        const HISTORY: &str = "{history}";
        const CANDIDATES: &str = "{candidates}";
        let (before, rest) = self.text.split_once(HISTORY)?;
        let (between, after) = match rest.split_once(CANDIDATES) {
            Some((between, after)) => (Some(between), after),
            None => (None, rest),
        };
        let mut texts = [before, between.unwrap_or_default(), after].into_iter();
        let has_slot = texts.any(|text| text.contains(HISTORY) || text.contains(CANDIDATES));
        (!has_slot).then_some(PromptTexts {
            before,
            between,
            after,
        })
    }
}

/// How titles that a language model writes become items: by the distance of their rows from those of the catalog's titles.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the fields are described in models/README.md")]
pub struct GeneratorEntry {
    pub prompt: String,
    pub space: String,
    #[serde(default = "four")]
    pub beams: u32,
    #[serde(default = "a_long_title")]
    pub tokens: u32,
    #[serde(default = "one")]
    pub length_penalty: f32,
    pub weigh: Option<WeighEntry>,
    #[serde(default)]
    pub gamma: f32,
}

/// What a language model is asked about the states of an encoder.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the fields are described in models/README.md")]
pub struct InterpreterEntry {
    pub language_model: String,
    pub adapter: Option<String>,
    pub encoder: String,
    pub projector: String,
    pub recover: Option<String>,
    pub residual: Option<String>,
    pub item: Option<String>,
    #[serde(default = "sixteen")]
    pub beams: u32,
}

impl InterpreterEntry {
    pub(crate) const RECOVER: [&'static str; 1] = ["{state}"];
    pub(crate) const RESIDUAL: [&'static str; 2] = ["{before}", "{after}"];
    pub(crate) const ITEM: [&'static str; 1] = ["{item}"];

    /// The texts around the slots of a text; nothing unless each is there once, in this order.
    pub(crate) fn cut(text: &str, slots: &[&str]) -> Option<Vec<String>> {
        let mut texts = Vec::with_capacity(slots.len() + 1);
        let mut rest = text;
        for slot in slots {
            let (before, after) = rest.split_once(slot)?;
            texts.push(before.to_owned());
            rest = after;
        }
        texts.push(rest.to_owned());
        let again = |text: &String| slots.iter().any(|slot| text.contains(slot));
        (!texts.iter().any(again)).then_some(texts)
    }
}

/// The sentences that say why an item is recommended.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the fields are described in models/README.md")]
pub struct ExplainerEntry {
    pub prompt: String,
    pub encoder: String,
    pub sentences: Vec<String>,
    pub tags: Option<String>,
}

impl ExplainerEntry {
    pub(crate) const FIRST: &'static str = "{first}";
    pub(crate) const SECOND: &'static str = "{second}";
    pub(crate) const TAGS: &'static str = "{tags}";
}

fn sixteen() -> u32 {
    16
}

fn four() -> u32 {
    4
}

fn a_long_title() -> u32 {
    128
}

fn one() -> f32 {
    1.0
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

/// One step of a recipe: the first retrieves, the others rank.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the fields are described in models/README.md")]
pub struct StepEntry {
    pub retrieve: Option<RetrieveEntry>,
    pub rank: Option<RankEntry>,
    pub encoder: Option<String>,
    pub oracle: Option<String>,
    pub q_network: Option<String>,
    pub prompt: Option<String>,
    pub generator: Option<String>,
    pub count: u32,
    pub weight: Option<f32>,
}

/// A way of retrieving, as a recipe names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum RetrieveEntry {
    Popularity,
    Encoder,
    Oracle,
    QNetwork,
    Generate,
}

/// What distances are weighed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum WeighEntry {
    Popularity,
    Encoder,
    QNetwork,
}

impl From<WeighEntry> for RetrieveEntry {
    /// The way of retrieving that scores so.
    fn from(entry: WeighEntry) -> Self {
        match entry {
            WeighEntry::Popularity => Self::Popularity,
            WeighEntry::Encoder => Self::Encoder,
            WeighEntry::QNetwork => Self::QNetwork,
        }
    }
}

/// A way of ranking, as a recipe names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum RankEntry {
    QNetwork,
    LanguageModel,
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
    pub fn parse(text: &[u8]) -> Result<Self> {
        let tree = json::parse(text)
            .map_err(|error| Error::manifest(".", "JSON without repeated keys", error))?;
        check::version(&tree)?;
        let manifest: Self = serde_path_to_error::deserialize(tree).map_err(|error| {
            let at = error.path().to_string();
            Error::manifest(at, "a field of format 1", error.into_inner().to_string())
        })?;
        manifest.check()?;
        Ok(manifest)
    }
}
