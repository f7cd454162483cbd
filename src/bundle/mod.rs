//! A bundle: the manifest and the parts it names, opened and checked in O(1) work per part.
//!
//! The format is described in `models/README.md`. Opening checks the manifest, that every part is there with its
//! length, and each part's header; [`Bundle::verify`] reads everything: digests, offsets, order, text, numbers.

#![deny(unsafe_code)] // `source` maps files

mod json;
mod manifest;
mod source;
mod tensors;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use manifest::MAX_MANIFEST_BYTES;
#[cfg(feature = "llm")]
pub(crate) use manifest::MOST_BEAMS;
pub use manifest::{
    AttributeKind, CatalogEntry, EmptyRow, EncoderEntry, ExplainerEntry, FORMAT, GeneratorEntry,
    GraphEntry, HeadEntry, IndexEntry, InterpreterEntry, LanguageModelEntry, Length, Manifest,
    Metric, OracleEntry, PartEntry, Prepack, PromptEntry, Provenance, QNetworkEntry, RankEntry,
    RecallEntry, RecipeEntry, RetrieveEntry, RowType, Seen, SpaceEntry, StepEntry, TitlesEntry,
    TokenTableEntry, WeighEntry,
};
pub(crate) use source::Bytes;
pub use source::Parts;
use source::{Expected, NO_FILE};
pub(crate) use tensors::{Array, Element, Tensors};

use crate::cancel::Cancel;
use crate::catalog::{Catalog, Space, TitleTrie};
use crate::error::{Error, Result};
use crate::graph::Precision;
use crate::network::{Diffusion, Projector, TokenTable};

/// A catalog and its networks, mapped from disk and checked, not yet running.
///
/// Cheap to clone; clones share the maps.
#[derive(Clone, Debug)]
pub struct Bundle(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    manifest: Manifest,
    parts: BTreeMap<String, Bytes>,
    catalog: Catalog,
    spaces: BTreeMap<String, Arc<Space>>,
    /// By oracle.
    diffusions: BTreeMap<String, Arc<Diffusion>>,
    projectors: BTreeMap<String, Arc<Projector>>,
    token_tables: BTreeMap<String, Arc<TokenTable>>,
    /// By language model.
    title_tries: BTreeMap<String, Arc<TitleTrie>>,
}

/// What the graph of a language model is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LanguageGraph {
    /// What its weights are.
    pub precision: Precision,
    /// Whether it can read a tree in one run, and so score many titles at once; otherwise they are read branch by branch.
    pub takes_trees: bool,
}

impl Bundle {
    /// Opens the bundle in a folder.
    ///
    /// The files are mapped: nobody may shorten or rewrite them while the bundle is in use. Where that cannot be promised,
    /// use [`Parts::copied`].
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::BundleVersion`], or what is wrong with the manifest or a part.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self> {
        Self::from_parts(&Parts::folder(folder.as_ref()))
    }

    /// Opens a bundle from wherever its parts are.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn from_parts(source: &Parts) -> Result<Self> {
        source.check_folder()?;
        let json = source
            .open(
                "manifest",
                "manifest.json",
                Expected::AtMost(MAX_MANIFEST_BYTES),
            )
            .map_err(|error| match error {
                Error::Part { found, .. } if found == NO_FILE => Error::Io {
                    path: source.describe(),
                    source: std::io::Error::new(
                        std::io::ErrorKind::NotFound,
                        "there is no manifest.json in it",
                    ),
                },
                other => other,
            })?;
        let manifest = Manifest::parse(&json)?;
        let mut parts = BTreeMap::new();
        for (name, entry) in &manifest.parts {
            let length = Expected::Exactly(entry.bytes);
            parts.insert(name.clone(), source.open(name, &entry.file, length)?);
        }
        let mut tables = BTreeMap::new();
        for part in manifest
            .spaces
            .values()
            .flat_map(|space| {
                let index = space.index.as_ref().map(|index| &index.part);
                [Some(&space.part), index, space.exact.as_ref()]
            })
            .flatten()
            .chain(manifest.oracles.values().map(|oracle| &oracle.part))
            .chain(manifest.token_tables.values().map(|entry| &entry.part))
            .chain(titles(&manifest).map(|(_, entry)| &entry.part))
            .chain(manifest.interpreters.values().map(|entry| &entry.projector))
            .chain([&manifest.catalog.part])
        {
            if !tables.contains_key(part) {
                tables.insert(part.clone(), Tensors::open(part, bytes_of(&parts, part)?)?);
            }
        }
        let table = |part: &str| {
            tables.get(part).ok_or_else(|| Error::Internal {
                reason: format!("the table `{part}` was not opened"),
            })
        };
        let catalog = Catalog::open(&manifest.catalog, table(&manifest.catalog.part)?)?;
        let mut spaces = BTreeMap::new();
        for (name, entry) in &manifest.spaces {
            let index = entry.index.as_ref().map(|index| table(&index.part));
            let exact = entry.exact.as_deref().map(table);
            let part = table(&entry.part)?;
            let space = Space::open(name, entry, part, index.transpose()?, exact.transpose()?)?;
            spaces.insert(name.clone(), Arc::new(space));
        }
        let mut diffusions = BTreeMap::new();
        for (name, entry) in &manifest.oracles {
            let diffusion = Diffusion::open(table(&entry.part)?, spaces[&entry.output].width())?;
            if entry.graph.is_none() && !diffusion.is_affine() {
                return Err(Error::manifest(
                    format!("oracles.{name}.graph"),
                    format!(
                        "the name of a graph: `{}` holds no affine denoiser",
                        entry.part
                    ),
                    "nothing",
                ));
            }
            diffusions.insert(name.clone(), Arc::new(diffusion));
        }
        let mut token_tables = BTreeMap::new();
        for (name, entry) in &manifest.token_tables {
            let rows = TokenTable::open(name, entry, table(&entry.part)?)?;
            token_tables.insert(name.clone(), Arc::new(rows));
        }
        let mut projectors = BTreeMap::new();
        for (name, entry) in &manifest.interpreters {
            let encoder = &manifest.encoders[&entry.encoder];
            let model = &manifest.language_models[&entry.language_model];
            let (from, to) = (
                spaces[&encoder.output].width(),
                token_tables[&model.tokens].width(),
            );
            let projector = Projector::open(table(&entry.projector)?, from, to)?;
            projectors.insert(name.clone(), Arc::new(projector));
        }
        let mut title_tries = BTreeMap::new();
        for (name, entry) in titles(&manifest) {
            let (items, model) = (manifest.catalog.items, &manifest.language_models[name]);
            let vocabulary = manifest.token_tables[&model.tokens].rows;
            let trie = TitleTrie::open(table(&entry.part)?, items, vocabulary)?;
            title_tries.insert(name.clone(), Arc::new(trie));
        }
        for entry in manifest.encoders.values() {
            if entry.empty_row == EmptyRow::Stored {
                spaces[&entry.input].stored_empty_row()?;
            }
        }
        let (recipe, mut generators) = (&manifest.recipe, manifest.generators.values());
        let mut steps = recipe.steps.iter();
        if recipe.cold == RetrieveEntry::Popularity
            || steps.any(|step| step.retrieve == Some(RetrieveEntry::Popularity))
            || generators.any(|generator| generator.weigh == Some(WeighEntry::Popularity))
        {
            catalog.counts()?;
        }
        Ok(Self(Arc::new(Inner {
            manifest,
            parts,
            catalog,
            spaces,
            diffusions,
            projectors,
            token_tables,
            title_tries,
        })))
    }

    /// The manifest.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.0.manifest
    }

    /// The catalog.
    #[must_use]
    pub fn catalog(&self) -> &Catalog {
        &self.0.catalog
    }

    /// The space of that name.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if there is none.
    pub fn space(&self, name: &str) -> Result<&Arc<Space>> {
        self.0.spaces.get(name).ok_or_else(|| Error::Unsupported {
            what: format!("space `{name}`"),
        })
    }

    /// What the oracle of that name has beside its graph.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if there is none.
    pub fn diffusion(&self, oracle: &str) -> Result<&Arc<Diffusion>> {
        let found = self.0.diffusions.get(oracle);
        found.ok_or_else(|| Error::Unsupported {
            what: format!("oracle `{oracle}`"),
        })
    }

    /// What makes rows for the interpreter of that name.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if there is none.
    #[cfg(feature = "llm")]
    pub(crate) fn projector(&self, interpreter: &str) -> Result<&Arc<Projector>> {
        let found = self.0.projectors.get(interpreter);
        found.ok_or_else(|| Error::Unsupported {
            what: format!("interpreter `{interpreter}`"),
        })
    }

    /// The token table of that name.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if there is none.
    pub fn token_table(&self, name: &str) -> Result<&Arc<TokenTable>> {
        let found = self.0.token_tables.get(name);
        found.ok_or_else(|| Error::Unsupported {
            what: format!("token table `{name}`"),
        })
    }

    /// The tree of titles that a language model has.
    #[cfg(feature = "llm")]
    pub(crate) fn title_trie(&self, model: &str) -> Option<&Arc<TitleTrie>> {
        self.0.title_tries.get(model)
    }

    /// What the graph of the language model of that name is.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if there is no such model; what is wrong with its graph.
    pub fn language_graph(&self, model: &str) -> Result<LanguageGraph> {
        let entry = self.manifest().language_models.get(model);
        let entry = entry.ok_or_else(|| Error::Unsupported {
            what: format!("language model `{model}`"),
        })?;
        let outline = crate::graph::outline(self, &entry.graph)?;
        Ok(LanguageGraph {
            precision: outline.precision,
            takes_trees: outline.takes_trees(),
        })
    }

    /// The space by which items are alike.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the manifest names none.
    pub(crate) fn similar_space(&self) -> Result<&Arc<Space>> {
        let name = self.manifest().similar.as_ref();
        self.space(name.ok_or_else(|| Error::Unsupported {
            what: "space for similar items (`similar` in the manifest)".into(),
        })?)
    }

    /// A part's bytes.
    pub(crate) fn part(&self, name: &str) -> Result<Bytes> {
        bytes_of(&self.0.parts, name)
    }

    /// Every part with its length in bytes and whether it is mapped (rather than copied or lent).
    pub fn parts(&self) -> impl Iterator<Item = (&str, usize, bool)> {
        self.0
            .parts
            .iter()
            .map(|(name, bytes)| (name.as_str(), bytes.len(), bytes.is_mapped()))
    }

    /// Reads everything: each part's digest, each string, each order, each number, each graph's structure.
    ///
    /// `progress` is told how many of all bytes are done, on the calling thread.
    ///
    /// # Errors
    /// The first defect; [`Error::Cancelled`].
    pub fn verify(&self, cancel: &Cancel, progress: &mut dyn FnMut(u64, u64)) -> Result<()> {
        let total: u64 = self
            .0
            .manifest
            .parts
            .values()
            .map(|entry| entry.bytes)
            .sum();
        let mut done = 0;
        for (name, entry) in &self.0.manifest.parts {
            let mut digest = Sha256::new();
            for block in self.part(name)?.chunks(1 << 20) {
                cancel.check()?;
                digest.update(block);
                done += block.len() as u64;
                progress(done, total);
            }
            let found: String = digest
                .finalize()
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            if found != entry.sha256 {
                return Err(Error::part(
                    name,
                    format!("SHA-256 {}", entry.sha256),
                    format!("SHA-256 {found}"),
                ));
            }
        }
        cancel.check()?;
        self.0.catalog.verify()?;
        for space in self.0.spaces.values() {
            cancel.check()?;
            space.verify(cancel)?;
        }
        for diffusion in self.0.diffusions.values() {
            cancel.check()?;
            diffusion.verify()?;
        }
        for projector in self.0.projectors.values() {
            cancel.check()?;
            projector.verify()?;
        }
        for table in self.0.token_tables.values() {
            cancel.check()?;
            table.verify(cancel)?;
        }
        for trie in self.0.title_tries.values() {
            cancel.check()?;
            trie.verify()?;
        }
        for name in self.0.manifest.graphs.keys() {
            cancel.check()?;
            crate::graph::check(self, name)?;
        }
        Ok(())
    }
}

/// The trees of titles, by language model.
fn titles(manifest: &Manifest) -> impl Iterator<Item = (&String, &TitlesEntry)> {
    let models = manifest.language_models.iter();
    models.filter_map(|(name, model)| model.titles.as_ref().map(|titles| (name, titles)))
}

fn bytes_of(parts: &BTreeMap<String, Bytes>, name: &str) -> Result<Bytes> {
    parts.get(name).cloned().ok_or_else(|| Error::Internal {
        reason: format!("the part `{name}` is not in the manifest"),
    })
}

/// Bytes in memory as those of a part.
#[cfg(test)]
pub(crate) fn lent(bytes: impl AsRef<[u8]> + Send + Sync + 'static) -> Result<Bytes> {
    let length = bytes.as_ref().len() as u64;
    let mut parts = Parts::new();
    parts.bytes("lent", bytes)?;
    parts.open("lent", "lent", Expected::Exactly(length))
}
