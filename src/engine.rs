//! The loaded bundle and its running graphs, shared by every user.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::bundle::{Bundle, Manifest, StepEntry};
use crate::catalog::Catalog;
use crate::error::{Error, Result};
use crate::graph::{Graph, GraphOptions};
#[cfg(feature = "llm")]
use crate::language_model::LanguageModel;
#[cfg(feature = "llm")]
use crate::network::llm::{Explainer, Generator, Interpreter, Model, Template};
use crate::network::{Encoder, QNetwork};
use crate::recommender::Recommender;
use crate::retrieve::Oracle;

/// A bundle with its graphs, ready to recommend. Immutable, `Send + Sync`, cheap to clone.
///
/// ```
/// let engine = oneiro::Engine::open("models/tiny")?;
/// let mut user = engine.recommender();
/// user.observe(&[engine.catalog().id(3)?])?;
/// for (item, score, _) in user.recommend(5)?.iter() {
///     println!("{}  {score:.2}", engine.catalog().id(item)?);
/// }
/// # Ok::<(), oneiro::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Engine(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    bundle: Bundle,
    graphs: BTreeMap<String, Arc<Graph>>,
    encoders: BTreeMap<String, Encoder>,
    oracles: BTreeMap<String, Oracle>,
    q_networks: BTreeMap<String, QNetwork>,
    #[cfg(feature = "llm")]
    language_models: BTreeMap<String, Arc<Model>>,
    #[cfg(feature = "llm")]
    prompts: BTreeMap<String, Template>,
    #[cfg(feature = "llm")]
    generators: BTreeMap<String, Generator>,
    #[cfg(feature = "llm")]
    interpreters: BTreeMap<String, Interpreter>,
    #[cfg(feature = "llm")]
    explainers: BTreeMap<String, Explainer>,
}

/// How an engine runs its graphs.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct EngineOptions {
    /// For every graph that `graphs` does not name.
    pub graph: GraphOptions,
    /// For single graphs, by their name in the manifest.
    pub graphs: BTreeMap<String, GraphOptions>,
}

impl Engine {
    /// Opens the bundle in a folder and its graphs, with default options.
    ///
    /// The files are mapped: see [`Bundle::open`] for what that asks of them.
    ///
    /// # Errors
    /// What is wrong with the bundle ([`Bundle::open`]) or its graphs; [`Error::RuntimeNotFound`].
    pub fn open(folder: impl AsRef<Path>) -> Result<Self> {
        Self::from_bundle(Bundle::open(folder)?, &EngineOptions::default())
    }

    /// Makes the graphs of an open bundle ready to run.
    ///
    /// # Errors
    /// What is wrong with its graphs; [`Error::RuntimeNotFound`]; [`Error::InvalidArgument`] if the options name a
    /// graph that is not there or ask for no replicas or too many.
    pub fn from_bundle(bundle: Bundle, options: &EngineOptions) -> Result<Self> {
        let manifest = bundle.manifest();
        if let Some(name) = options
            .graphs
            .keys()
            .find(|name| !manifest.graphs.contains_key(*name))
        {
            return Err(Error::argument(
                "options",
                format!("the bundle has no graph `{name}`"),
            ));
        }
        let mut graphs = BTreeMap::new();
        for name in manifest.graphs.keys() {
            let options = options.graphs.get(name).unwrap_or(&options.graph);
            graphs.insert(name.clone(), Arc::new(Graph::open(&bundle, name, options)?));
        }
        let mut encoders = BTreeMap::new();
        for (name, entry) in &manifest.encoders {
            encoders.insert(
                name.clone(),
                Encoder::open(&bundle, entry, Arc::clone(&graphs[&entry.graph]))?,
            );
        }
        let graph = |name: &Option<String>| name.as_ref().map(|name| Arc::clone(&graphs[name]));
        let mut oracles = BTreeMap::new();
        for (name, entry) in &manifest.oracles {
            let oracle = Oracle::open(&bundle, name, entry, graph(&entry.graph))?;
            oracles.insert(name.clone(), oracle);
        }
        let mut q_networks = BTreeMap::new();
        for (name, entry) in &manifest.q_networks {
            let network = QNetwork::open(&bundle, entry, graph(&entry.graph))?;
            q_networks.insert(name.clone(), network);
        }
        #[cfg(feature = "llm")]
        let language_models: BTreeMap<String, Arc<Model>> = (manifest.language_models.iter())
            .map(|(name, entry)| {
                let model = Model::open(&bundle, name, entry, &graphs)?;
                Ok((name.clone(), Arc::new(model)))
            })
            .collect::<Result<_>>()?;
        #[cfg(feature = "llm")]
        let prompts = (manifest.prompts.iter())
            .map(|(name, entry)| {
                let template = Template::open(&bundle, name, entry, &language_models)?;
                Ok((name.clone(), template))
            })
            .collect::<Result<_>>()?;
        #[cfg(feature = "llm")]
        let generators = (manifest.generators.iter())
            .map(|(name, entry)| Ok((name.clone(), Generator::open(&bundle, entry)?)))
            .collect::<Result<_>>()?;
        #[cfg(feature = "llm")]
        let interpreters = (manifest.interpreters.iter())
            .map(|(name, entry)| {
                let interpreter = Interpreter::open(&bundle, name, entry, &language_models)?;
                Ok((name.clone(), interpreter))
            })
            .collect::<Result<_>>()?;
        #[cfg(feature = "llm")]
        let explainers = (manifest.explainers.iter())
            .map(|(name, entry)| (name.clone(), Explainer::new(entry)))
            .collect();
        Ok(Self(Arc::new(Inner {
            #[cfg(feature = "llm")]
            explainers,
            #[cfg(feature = "llm")]
            generators,
            #[cfg(feature = "llm")]
            interpreters,
            #[cfg(feature = "llm")]
            language_models,
            #[cfg(feature = "llm")]
            prompts,
            bundle,
            graphs,
            encoders,
            oracles,
            q_networks,
        })))
    }

    /// The bundle.
    #[must_use]
    pub fn bundle(&self) -> &Bundle {
        &self.0.bundle
    }

    /// The bundle's manifest.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        self.0.bundle.manifest()
    }

    /// The bundle's catalog.
    #[must_use]
    pub fn catalog(&self) -> &Catalog {
        self.0.bundle.catalog()
    }

    /// A new user with an empty history. It keeps the engine alive.
    #[must_use]
    pub fn recommender(&self) -> Recommender {
        Recommender::new(self.clone())
    }

    /// The language model of that name, or the first, for one text at a time: it has read nothing yet. It keeps the
    /// engine alive.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if there is none.
    #[cfg(feature = "llm")]
    pub fn language_model(&self, name: Option<&str>) -> Result<LanguageModel> {
        let (name, model) = find("language model", &self.0.language_models, name)?;
        LanguageModel::new(self.clone(), name, Arc::clone(model))
    }

    /// Whether two clones are one engine.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The encoder of that name; without a name, the one that the recipe uses, or the only one.
    pub(crate) fn encoder(&self, name: Option<&str>) -> Result<(&str, &Encoder)> {
        let recipe = self.recipe_names(|step| step.encoder.as_deref());
        find("encoder", &self.0.encoders, name.or(recipe))
    }

    /// The oracle of that name; without a name, the one that the recipe uses, or the only one.
    pub(crate) fn oracle(&self, name: Option<&str>) -> Result<(&str, &Oracle)> {
        let recipe = self.recipe_names(|step| step.oracle.as_deref());
        find("oracle", &self.0.oracles, name.or(recipe))
    }

    /// The Q-network of that name; without a name, the first that the recipe uses, or the first.
    pub(crate) fn q_network(&self, name: Option<&str>) -> Result<(&str, &QNetwork)> {
        let recipe = self.recipe_names(|step| step.q_network.as_deref());
        find("Q-network", &self.0.q_networks, name.or(recipe))
    }

    /// The prompt of that name, about candidates; without a name, the first that the recipe uses, or the first.
    #[cfg(feature = "llm")]
    pub(crate) fn prompt(&self, name: Option<&str>) -> Result<(&str, &Template)> {
        let recipe = self.recipe_names(|step| step.prompt.as_deref());
        let mut prompts = self.0.prompts.iter();
        let found = prompts.find(|(own, prompt)| {
            let is_asked_for = name.or(recipe).is_none_or(|name| *own == name);
            is_asked_for && prompt.has_candidates()
        });
        let missing = || Error::Unsupported {
            what: match name.or(recipe) {
                Some(name) => format!("prompt `{name}` about candidates"),
                None => "prompt about candidates".into(),
            },
        };
        found
            .map(|(name, prompt)| (name.as_str(), prompt))
            .ok_or_else(missing)
    }

    /// The generator of that name, with the prompt that it writes by; without a name, the one that the recipe uses, or the
    /// first.
    #[cfg(feature = "llm")]
    pub(crate) fn generator(&self, name: Option<&str>) -> Result<(&str, &Generator, &Template)> {
        let recipe = self.recipe_names(|step| step.generator.as_deref());
        let (name, generator) = find("generator", &self.0.generators, name.or(recipe))?;
        Ok((name, generator, &self.0.prompts[generator.prompt()]))
    }

    /// The interpreter of that name, or the first.
    #[cfg(feature = "llm")]
    pub(crate) fn interpreter(&self, name: Option<&str>) -> Result<(&str, &Interpreter)> {
        find("interpreter", &self.0.interpreters, name)
    }

    /// The explainer of that name, or the first, with the prompt that it answers.
    #[cfg(feature = "llm")]
    pub(crate) fn explainer(&self, name: Option<&str>) -> Result<(&str, &Explainer, &Template)> {
        let (name, explainer) = find("explainer", &self.0.explainers, name)?;
        Ok((name, explainer, &self.0.prompts[explainer.prompt()]))
    }

    /// The first name of a kind in the recipe.
    fn recipe_names(&self, name: fn(&StepEntry) -> Option<&str>) -> Option<&str> {
        self.manifest().recipe.steps.iter().find_map(name)
    }

    /// What language models keep of texts that all users share, at the part of their graph.
    #[cfg(feature = "llm")]
    fn shared_bytes(&self, part: &str) -> usize {
        let models = self.0.language_models.iter();
        let of_part = models.filter(|(name, _)| {
            let graph = &self.manifest().language_models[*name].graph;
            self.manifest().graphs[graph].model == part
        });
        of_part.map(|(_, model)| model.shared_bytes()).sum()
    }

    #[cfg(not(feature = "llm"))]
    fn shared_bytes(&self, _: &str) -> usize {
        0
    }

    /// Where the engine's memory is.
    #[must_use]
    pub fn memory(&self) -> Memory {
        let prepacked = |part: &str| -> usize {
            let graphs = self.manifest().graphs.iter();
            let holders = graphs.filter(|(_, entry)| entry.weights.iter().any(|name| name == part));
            let copies = holders.filter_map(|(name, _)| self.0.graphs.get(name));
            copies.map(|graph| graph.copies()).sum()
        };
        let parts = self
            .0
            .bundle
            .parts()
            .map(|(name, bytes, mapped)| PartMemory {
                name: name.into(),
                mapped_bytes: if mapped { bytes } else { 0 },
                private_bytes: if mapped { 0 } else { bytes } + prepacked(name) * bytes,
                cached_bytes: self.shared_bytes(name),
            });
        Memory {
            parts: parts.collect(),
        }
    }
}

/// The network of that name, or the first.
fn find<'a, T>(
    kind: &str,
    networks: &'a BTreeMap<String, T>,
    name: Option<&str>,
) -> Result<(&'a str, &'a T)> {
    let found = match name {
        Some(name) => networks.get_key_value(name),
        None => networks.first_key_value(),
    };
    let missing = || Error::Unsupported {
        what: name.map_or_else(|| kind.into(), |name| format!("{kind} `{name}`")),
    };
    found
        .map(|(name, network)| (name.as_str(), network))
        .ok_or_else(missing)
}

/// Where an engine's memory is, part by part.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Memory {
    /// One entry per part of the bundle.
    pub parts: Vec<PartMemory>,
}

/// Where one part's bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PartMemory {
    /// The part's name in the manifest.
    pub name: String,
    /// Pages of the file: shared between processes, given back under pressure.
    pub mapped_bytes: usize,
    /// Copies in this process: parts that were not mapped, and weights that ONNX Runtime rearranged (counted at their
    /// full length, once per replica; what it allocates beside them is not known).
    pub private_bytes: usize,
    /// What was computed from the part and can be dropped.
    pub cached_bytes: usize,
}

impl Memory {
    /// All of it, summed over the parts, under the name `total`.
    #[must_use]
    pub fn total(&self) -> PartMemory {
        let sum = |of: fn(&PartMemory) -> usize| self.parts.iter().map(of).sum();
        PartMemory {
            name: "total".into(),
            mapped_bytes: sum(|part| part.mapped_bytes),
            private_bytes: sum(|part| part.private_bytes),
            cached_bytes: sum(|part| part.cached_bytes),
        }
    }
}
