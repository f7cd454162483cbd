//! What there is to say about a bundle, as JSON.

use std::collections::{BTreeMap, BTreeSet};

use oneiro::{
    AttributeKind, Bundle, Catalog, EmptyRow, IndexEntry, Length, Memory, Metric, Precision,
    Prepack, RankEntry, Result, RetrieveEntry, RowType, Seen,
};
use serde::Serialize;

#[derive(Serialize)]
pub struct Report {
    pub name: String,
    pub description: String,
    pub format: u32,
    pub requires: Vec<String>,
    pub items: u32,
    pub titles: bool,
    pub counts: Option<Counts>,
    pub attributes: BTreeMap<String, Attribute>,
    pub parts: BTreeMap<String, Part>,
    pub spaces: BTreeMap<String, Space>,
    pub graphs: BTreeMap<String, Graph>,
    pub encoders: BTreeMap<String, Encoder>,
    pub oracles: BTreeMap<String, Oracle>,
    pub q_networks: BTreeMap<String, QNetwork>,
    pub language_models: BTreeMap<String, LanguageModel>,
    pub prompts: BTreeMap<String, Prompt>,
    pub generators: BTreeMap<String, Generator>,
    pub interpreters: BTreeMap<String, Interpreter>,
    pub explainers: BTreeMap<String, Explainer>,
    pub similar: Option<String>,
    pub seen: &'static str,
    pub recipe: Recipe,
    pub provenance: Provenance,
    /// What the running engine takes, or why there is none.
    pub engine: Engine,
}

#[derive(Serialize)]
pub struct Counts {
    pub interactions: u64,
    pub items_without: u32,
}

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Attribute {
    Tags {
        names: usize,
        items: u32,
    },
    Integer {
        least: Option<i64>,
        greatest: Option<i64>,
        items: u32,
    },
}

#[derive(Serialize)]
pub struct Part {
    pub file: String,
    pub bytes: u64,
    pub mapped: bool,
}

#[derive(Serialize)]
pub struct Space {
    pub part: String,
    pub rows: u32,
    pub width: u32,
    pub dtype: &'static str,
    pub metric: &'static str,
    pub cold_rows: usize,
    pub index: Option<Index>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exact: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<&'static str>,
}

#[derive(Serialize)]
pub struct Index {
    pub part: String,
    pub lists: u32,
    pub recall: Vec<Recall>,
}

#[derive(Serialize)]
pub struct Recall {
    pub probes: u32,
    pub at_10: f64,
    pub at_100: f64,
}

#[derive(Serialize)]
pub struct Graph {
    pub model: String,
    pub weights: Vec<String>,
    pub prepack: &'static str,
    pub optimised: bool,
}

#[derive(Serialize)]
pub struct Encoder {
    pub graph: String,
    pub input: String,
    pub output: String,
    pub window: u32,
    pub length: &'static str,
    pub empty_row: &'static str,
}

#[derive(Serialize)]
pub struct Oracle {
    pub encoder: String,
    pub output: String,
    pub part: String,
    pub graph: Option<String>,
    pub guidance: f32,
    pub steps: usize,
    pub affine: bool,
}

#[derive(Serialize)]
pub struct QNetwork {
    pub encoder: String,
    pub graph: Option<String>,
    pub output: Option<String>,
    pub weight: f32,
}

#[derive(Serialize)]
pub struct LanguageModel {
    pub graph: String,
    pub tokens: String,
    /// The table or graph that makes logits; none if the model's own graph does.
    pub head: Option<String>,
    pub tokenizer: String,
    pub context: u32,
    /// Of the graph's weights; not known if the graph cannot be read.
    pub precision: Option<&'static str>,
    /// Whether many titles are scored in one run.
    pub trees: Option<bool>,
    /// What the keys and values of one token take, in private memory.
    pub token_bytes: u64,
}

#[derive(Serialize)]
pub struct Prompt {
    pub language_model: String,
    pub adapter: Option<String>,
    /// The space whose rows stand behind titles; without one it has text alone.
    pub rows: Option<String>,
    /// The token that stands there instead.
    pub placeholder: Option<u32>,
    pub text: String,
    pub history: u32,
    /// Of a prompt about candidates: how many the model was trained to choose from.
    pub candidates: Option<u32>,
}

#[derive(Serialize)]
pub struct Generator {
    pub prompt: String,
    pub space: String,
    pub beams: u32,
    pub tokens: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weigh: Option<&'static str>,
    pub gamma: f32,
}

#[derive(Serialize)]
pub struct Interpreter {
    pub language_model: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adapter: Option<String>,
    pub encoder: String,
    /// The questions that it has a text for.
    pub questions: Vec<&'static str>,
    pub beams: u32,
}

#[derive(Serialize)]
pub struct Explainer {
    pub prompt: String,
    pub encoder: String,
    pub sentences: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<String>,
}

#[derive(Serialize)]
pub struct Recipe {
    pub steps: Vec<Step>,
    pub cold: &'static str,
}

#[derive(Serialize)]
pub struct Step {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retrieve: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rank: Option<&'static str>,
    pub encoder: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oracle: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub q_network: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generator: Option<String>,
    pub count: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<f32>,
}

#[derive(Serialize)]
pub struct Provenance {
    pub licence: Option<String>,
    pub credit: Option<String>,
    pub data_set: Option<String>,
    pub command: Option<String>,
    pub metrics: BTreeMap<String, f64>,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    Memory(BTreeMap<String, Bytes>),
    Error(String),
}

#[derive(Serialize)]
pub struct Bytes {
    pub mapped_bytes: usize,
    pub private_bytes: usize,
    pub cached_bytes: usize,
}

impl Report {
    pub fn new(bundle: &Bundle, memory: Result<Memory>) -> Result<Self> {
        let manifest = bundle.manifest();
        let catalog = bundle.catalog();
        let provenance = manifest.provenance.clone();
        Ok(Self {
            name: manifest.name.clone(),
            description: manifest.description.clone(),
            format: manifest.format,
            requires: manifest.requires.clone(),
            items: catalog.len(),
            titles: catalog.title(0)?.is_some(),
            counts: counts(catalog),
            attributes: attributes(catalog)?,
            parts: parts(bundle),
            spaces: spaces(bundle)?,
            graphs: graphs(bundle),
            encoders: encoders(bundle),
            oracles: oracles(bundle)?,
            q_networks: q_networks(bundle),
            language_models: language_models(bundle),
            prompts: prompts(bundle),
            generators: generators(bundle),
            interpreters: interpreters(bundle),
            explainers: explainers(bundle),
            similar: manifest.similar.clone(),
            seen: match manifest.seen {
                Seen::Exclude => "exclude",
                Seen::Allow => "allow",
            },
            recipe: recipe(bundle),
            provenance: Provenance {
                licence: provenance.licence,
                credit: provenance.credit,
                data_set: provenance.data_set,
                command: provenance.command,
                metrics: provenance.metrics,
            },
            engine: match memory {
                Ok(memory) => Engine::Memory(by_part(memory)),
                Err(error) => Engine::Error(error.to_string()),
            },
        })
    }
}

fn counts(catalog: &Catalog) -> Option<Counts> {
    let mut counts = Counts {
        interactions: 0,
        items_without: 0,
    };
    for item in 0..catalog.len() {
        let count = catalog.count(item).ok()?;
        counts.interactions += u64::from(count);
        counts.items_without += u32::from(count == 0);
    }
    Some(counts)
}

fn attributes(catalog: &Catalog) -> Result<BTreeMap<String, Attribute>> {
    let of = |(name, kind): (&str, AttributeKind)| {
        let attribute = match kind {
            AttributeKind::Tags => tags(catalog, name)?,
            AttributeKind::Integer => integers(catalog, name)?,
        };
        Ok((name.to_owned(), attribute))
    };
    catalog.attributes().map(of).collect()
}

fn tags(catalog: &Catalog, name: &str) -> Result<Attribute> {
    let mut names = BTreeSet::new();
    let mut items = 0;
    for item in 0..catalog.len() {
        let tags = catalog.tags(name, item)?;
        items += u32::from(!tags.is_empty());
        names.extend(tags);
    }
    Ok(Attribute::Tags {
        names: names.len(),
        items,
    })
}

fn integers(catalog: &Catalog, name: &str) -> Result<Attribute> {
    let (mut least, mut greatest, mut items) = (None, None, 0);
    for item in 0..catalog.len() {
        if let Some(value) = catalog.integer(name, item)? {
            least = Some(least.map_or(value, |least: i64| least.min(value)));
            greatest = greatest.max(Some(value));
            items += 1;
        }
    }
    Ok(Attribute::Integer {
        least,
        greatest,
        items,
    })
}

fn parts(bundle: &Bundle) -> BTreeMap<String, Part> {
    let mapped: BTreeMap<&str, bool> = bundle
        .parts()
        .map(|(name, _, mapped)| (name, mapped))
        .collect();
    let part = |(name, entry): (&String, &oneiro::PartEntry)| {
        let mapped = mapped.get(name.as_str()).copied().unwrap_or(false);
        (
            name.clone(),
            Part {
                file: entry.file.clone(),
                bytes: entry.bytes,
                mapped,
            },
        )
    };
    bundle.manifest().parts.iter().map(part).collect()
}

fn spaces(bundle: &Bundle) -> Result<BTreeMap<String, Space>> {
    let mut spaces = BTreeMap::new();
    for (name, entry) in &bundle.manifest().spaces {
        let space = bundle.space(name)?;
        let report = Space {
            part: entry.part.clone(),
            rows: entry.rows,
            width: entry.width,
            dtype: match entry.dtype {
                RowType::F32 => "f32",
                RowType::F16 => "f16",
                RowType::I8 => "i8",
            },
            metric: match entry.metric {
                Metric::Dot => "dot",
                Metric::Cosine => "cosine",
                Metric::L2 => "l2",
            },
            cold_rows: (0..entry.rows).filter(|&item| space.is_cold(item)).count(),
            index: entry.index.as_ref().map(index),
            exact: entry.exact.clone(),
            note: (entry.dtype == RowType::I8).then_some(match entry.exact {
                None => "ranking is defined on the dequantised rows",
                Some(_) => "ranking is that of the exact rows",
            }),
        };
        spaces.insert(name.clone(), report);
    }
    Ok(spaces)
}

fn index(entry: &IndexEntry) -> Index {
    let recall = entry.recall.iter().map(|recall| Recall {
        probes: recall.probes,
        at_10: recall.at_10,
        at_100: recall.at_100,
    });
    Index {
        part: entry.part.clone(),
        lists: entry.lists,
        recall: recall.collect(),
    }
}

fn graphs(bundle: &Bundle) -> BTreeMap<String, Graph> {
    let graph = |(name, entry): (&String, &oneiro::GraphEntry)| {
        let prepack = match entry.prepack {
            Prepack::Auto => "auto",
            Prepack::On => "on",
            Prepack::Off => "off",
        };
        let (model, weights) = (entry.model.clone(), entry.weights.clone());
        (
            name.clone(),
            Graph {
                model,
                weights,
                prepack,
                optimised: entry.optimised,
            },
        )
    };
    bundle.manifest().graphs.iter().map(graph).collect()
}

fn encoders(bundle: &Bundle) -> BTreeMap<String, Encoder> {
    let encoder = |(name, entry): (&String, &oneiro::EncoderEntry)| {
        let encoder = Encoder {
            graph: entry.graph.clone(),
            input: entry.input.clone(),
            output: entry.output.clone(),
            window: entry.window,
            length: match entry.length {
                Length::Dynamic => "dynamic",
                Length::Fixed => "fixed",
            },
            empty_row: match entry.empty_row {
                EmptyRow::Zero => "zero",
                EmptyRow::Stored => "stored",
            },
        };
        (name.clone(), encoder)
    };
    bundle.manifest().encoders.iter().map(encoder).collect()
}

fn oracles(bundle: &Bundle) -> Result<BTreeMap<String, Oracle>> {
    let oracle = |(name, entry): (&String, &oneiro::OracleEntry)| {
        let diffusion = bundle.diffusion(name)?;
        let oracle = Oracle {
            encoder: entry.encoder.clone(),
            output: entry.output.clone(),
            part: entry.part.clone(),
            graph: entry.graph.clone(),
            guidance: entry.guidance,
            steps: diffusion.steps(),
            affine: diffusion.is_affine(),
        };
        Ok((name.clone(), oracle))
    };
    bundle.manifest().oracles.iter().map(oracle).collect()
}

fn q_networks(bundle: &Bundle) -> BTreeMap<String, QNetwork> {
    let network = |(name, entry): (&String, &oneiro::QNetworkEntry)| {
        let network = QNetwork {
            encoder: entry.encoder.clone(),
            graph: entry.graph.clone(),
            output: entry.output.clone(),
            weight: entry.weight,
        };
        (name.clone(), network)
    };
    bundle.manifest().q_networks.iter().map(network).collect()
}

fn language_models(bundle: &Bundle) -> BTreeMap<String, LanguageModel> {
    let model = |(name, entry): (&String, &oneiro::LanguageModelEntry)| {
        let graph = bundle.language_graph(name).ok();
        let head = entry.head.as_ref();
        let head = head.and_then(|head| head.graph.clone().or(head.table.clone()));
        let numbers = [2, entry.layers, entry.kv_heads, entry.head_size].map(u64::from);
        let model = LanguageModel {
            graph: entry.graph.clone(),
            tokens: entry.tokens.clone(),
            head,
            tokenizer: entry.tokenizer.clone(),
            context: entry.context,
            precision: graph.map(|graph| precision(graph.precision)),
            trees: graph.map(|graph| graph.takes_trees),
            token_bytes: numbers.iter().product::<u64>() * 4,
        };
        (name.clone(), model)
    };
    bundle
        .manifest()
        .language_models
        .iter()
        .map(model)
        .collect()
}

fn prompts(bundle: &Bundle) -> BTreeMap<String, Prompt> {
    let prompt = |(name, entry): (&String, &oneiro::PromptEntry)| {
        let prompt = Prompt {
            language_model: entry.language_model.clone(),
            adapter: entry.adapter.clone(),
            rows: entry.rows.clone(),
            placeholder: entry.placeholder,
            text: entry.text.clone(),
            history: entry.history,
            candidates: entry.candidates,
        };
        (name.clone(), prompt)
    };
    bundle.manifest().prompts.iter().map(prompt).collect()
}

fn generators(bundle: &Bundle) -> BTreeMap<String, Generator> {
    let generator = |(name, entry): (&String, &oneiro::GeneratorEntry)| {
        let generator = Generator {
            prompt: entry.prompt.clone(),
            space: entry.space.clone(),
            beams: entry.beams,
            tokens: entry.tokens,
            weigh: entry.weigh.map(|weigh| way(weigh.into())),
            gamma: entry.gamma,
        };
        (name.clone(), generator)
    };
    bundle.manifest().generators.iter().map(generator).collect()
}

fn interpreters(bundle: &Bundle) -> BTreeMap<String, Interpreter> {
    let interpreter = |(name, entry): (&String, &oneiro::InterpreterEntry)| {
        let texts = [
            ("recover", &entry.recover),
            ("residual", &entry.residual),
            ("item", &entry.item),
        ];
        let asked = texts.iter().filter(|(_, text)| text.is_some());
        let interpreter = Interpreter {
            language_model: entry.language_model.clone(),
            adapter: entry.adapter.clone(),
            encoder: entry.encoder.clone(),
            questions: asked.map(|(question, _)| *question).collect(),
            beams: entry.beams,
        };
        (name.clone(), interpreter)
    };
    let entries = bundle.manifest().interpreters.iter();
    entries.map(interpreter).collect()
}

fn explainers(bundle: &Bundle) -> BTreeMap<String, Explainer> {
    let explainer = |(name, entry): (&String, &oneiro::ExplainerEntry)| {
        let explainer = Explainer {
            prompt: entry.prompt.clone(),
            encoder: entry.encoder.clone(),
            sentences: entry.sentences.clone(),
            tags: entry.tags.clone(),
        };
        (name.clone(), explainer)
    };
    bundle.manifest().explainers.iter().map(explainer).collect()
}

fn precision(precision: Precision) -> &'static str {
    match precision {
        Precision::F32 => "f32",
        Precision::F16 => "f16",
        Precision::I8 => "i8",
        Precision::I4 => "i4",
        _ => "other",
    }
}

fn way(way: RetrieveEntry) -> &'static str {
    match way {
        RetrieveEntry::Popularity => "popularity",
        RetrieveEntry::Encoder => "encoder",
        RetrieveEntry::Oracle => "oracle",
        RetrieveEntry::QNetwork => "q_network",
        RetrieveEntry::Generate => "generate",
    }
}

fn recipe(bundle: &Bundle) -> Recipe {
    let recipe = &bundle.manifest().recipe;
    let steps = recipe.steps.iter().map(|step| Step {
        retrieve: step.retrieve.map(way),
        rank: step.rank.map(|way| match way {
            RankEntry::QNetwork => "q_network",
            RankEntry::LanguageModel => "language_model",
        }),
        encoder: step.encoder.clone(),
        oracle: step.oracle.clone(),
        q_network: step.q_network.clone(),
        prompt: step.prompt.clone(),
        generator: step.generator.clone(),
        count: step.count,
        weight: step.weight,
    });
    Recipe {
        steps: steps.collect(),
        cold: way(recipe.cold),
    }
}

fn by_part(memory: Memory) -> BTreeMap<String, Bytes> {
    let part = |part: oneiro::PartMemory| {
        let bytes = Bytes {
            mapped_bytes: part.mapped_bytes,
            private_bytes: part.private_bytes,
            cached_bytes: part.cached_bytes,
        };
        (part.name, bytes)
    };
    memory.parts.into_iter().map(part).collect()
}
