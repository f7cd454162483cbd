//! What there is to say about a bundle, as text.

use std::io::{self, Write};

use indicatif::{HumanBytes, HumanCount};

use super::report::{Attribute, Engine, Report, Space};
use crate::output::{counted, one_line, plain};
use crate::table::{self, Side, Side::Left, Side::Right};

const INDENT: &str = "  ";

pub fn write(out: &mut impl Write, report: &Report) -> io::Result<()> {
    writeln!(out, "{} (format {})", one_line(&report.name), report.format)?;
    if !report.description.is_empty() {
        writeln!(out, "{}", one_line(&report.description))?;
    }
    section(out, "Catalog", TEXTS, &catalog(report))?;
    section(
        out,
        &parts_heading(report),
        [Left, Left, Right, Left, Left],
        &parts(report),
    )?;
    section(
        out,
        "Spaces",
        [Left, Right, Left, Left, Left],
        &spaces(report),
    )?;
    section(
        out,
        "Indexes",
        [Left, Left, Right, Left, Left],
        &indexes(report),
    )?;
    section(out, "Graphs", TEXTS, &graphs(report))?;
    section(out, "Encoders", TEXTS, &encoders(report))?;
    section(out, "Oracles", TEXTS, &oracles(report))?;
    section(out, "Q-networks", TEXTS, &q_networks(report))?;
    section(out, "Language models", TEXTS, &language_models(report))?;
    section(out, "Prompts", TEXTS, &prompts(report))?;
    section(out, "Generators", TEXTS, &generators(report))?;
    section(out, "Interpreters", TEXTS, &interpreters(report))?;
    section(out, "Explainers", TEXTS, &explainers(report))?;
    section(out, "Use", TEXTS, &usage(report))?;
    section(out, "Provenance", TEXTS, &provenance(report))?;
    match &report.engine {
        Engine::Memory(_) => section(
            out,
            ENGINE,
            [Left, Right, Right, Right, Left],
            &memory(report),
        ),
        Engine::Error(reason) => {
            writeln!(out, "\n{ENGINE}\n{INDENT}unknown, for it does not open:")?;
            plain(reason)
                .lines()
                .try_for_each(|line| writeln!(out, "{INDENT}{line}"))
        }
    }
}

const ENGINE: &str = "Memory of an engine";
const TEXTS: [Side; 5] = [Left; 5];

/// A name and up to four facts.
type Row = [String; 5];

fn section(out: &mut impl Write, heading: &str, sides: [Side; 5], rows: &[Row]) -> io::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{heading}")?;
    let rows: Vec<Row> = rows
        .iter()
        .map(|row| row.each_ref().map(|text| one_line(text)))
        .collect();
    table::write(out, INDENT, sides, &rows)
}

fn row<const N: usize>(facts: [&str; N]) -> Row {
    std::array::from_fn(|column| facts.get(column).copied().unwrap_or_default().to_owned())
}

fn catalog(report: &Report) -> Vec<Row> {
    let titles = if report.titles {
        "with titles"
    } else {
        "without titles"
    };
    let mut rows = vec![row([
        "items",
        &format!("{}, {titles}", count(report.items)),
    ])];
    let counts = match &report.counts {
        Some(counts) => {
            let (all, none) = (HumanCount(counts.interactions), count(counts.items_without));
            format!("{all} interactions, {none} items have none")
        }
        None => "none: popularity is not known".into(),
    };
    rows.push(row(["counts", &counts]));
    for (name, attribute) in &report.attributes {
        let values = match attribute {
            Attribute::Tags { names, items } => format!("{names} tags on {} items", count(*items)),
            Attribute::Integer {
                least: Some(least),
                greatest: Some(greatest),
                items,
            } => {
                format!("{least} to {greatest} on {} items", count(*items))
            }
            Attribute::Integer { .. } => "whole numbers, on no item".into(),
        };
        rows.push(row([name, &values]));
    }
    rows
}

fn parts_heading(report: &Report) -> String {
    let bytes = report.parts.values().map(|part| part.bytes).sum();
    format!("Parts ({})", HumanBytes(bytes))
}

fn parts(report: &Report) -> Vec<Row> {
    let part = |(name, part): (&String, &super::report::Part)| {
        let place = if part.mapped { "mapped" } else { "private" };
        row([name, &part.file, &HumanBytes(part.bytes).to_string(), place])
    };
    report.parts.iter().map(part).collect()
}

fn spaces(report: &Report) -> Vec<Row> {
    let space = |(name, space): (&String, &Space)| {
        let size = format!("{} x {}", space.rows, space.width);
        row([name, &size, space.dtype, space.metric, &notes(space)])
    };
    report.spaces.iter().map(space).collect()
}

fn notes(space: &Space) -> String {
    let mut notes = format!("part {}", space.part);
    if let Some(exact) = &space.exact {
        notes += &format!(", exact rows in {exact}");
    }
    if space.cold_rows > 0 {
        notes += &format!(
            ", {} cold",
            count(u32::try_from(space.cold_rows).unwrap_or(u32::MAX))
        );
    }
    if let Some(note) = space.note {
        notes += &format!("; {note}");
    }
    notes
}

/// A line per measured number of probes.
fn indexes(report: &Report) -> Vec<Row> {
    let mut rows = Vec::new();
    for (name, space) in &report.spaces {
        let Some(index) = &space.index else { continue };
        let lists = format!(
            "{} in {}",
            counted(index.lists as usize, "list"),
            index.part
        );
        rows.push(row([name, &lists]));
        rows.extend(index.recall.iter().map(|recall| {
            row([
                "",
                "",
                &counted(recall.probes as usize, "probe"),
                &format!("recall@10 {:.3}", recall.at_10),
                &format!("recall@100 {:.3}", recall.at_100),
            ])
        }));
    }
    rows
}

fn graphs(report: &Report) -> Vec<Row> {
    let graph = |(name, graph): (&String, &super::report::Graph)| {
        let weights = match graph.weights.as_slice() {
            [] => "weights inside".into(),
            parts => format!("weights {}", parts.join(", ")),
        };
        let prepack = format!(
            "prepacked {}",
            if graph.prepack == "auto" {
                "if small"
            } else {
                graph.prepack
            }
        );
        let optimised = if graph.optimised { "optimised" } else { "" };
        let model = format!("model {}", graph.model);
        row([name, &model, &weights, &prepack, optimised])
    };
    report.graphs.iter().map(graph).collect()
}

fn encoders(report: &Report) -> Vec<Row> {
    let encoder = |(name, encoder): (&String, &super::report::Encoder)| {
        let flow = format!(
            "{} -> graph {} -> {}",
            encoder.input, encoder.graph, encoder.output
        );
        let window = format!("last {} items", encoder.window);
        let length = format!("{} length", encoder.length);
        row([
            name,
            &flow,
            &window,
            &length,
            &format!("{} empty row", encoder.empty_row),
        ])
    };
    report.encoders.iter().map(encoder).collect()
}

fn oracles(report: &Report) -> Vec<Row> {
    let oracle = |(name, oracle): (&String, &super::report::Oracle)| {
        let network = match (&oracle.graph, oracle.affine) {
            (Some(graph), false) => format!("graph {graph}"),
            (Some(graph), true) => format!("graph {graph}, affine"),
            (None, _) => "affine".into(),
        };
        let flow = format!("{} -> {} -> {}", oracle.encoder, oracle.part, oracle.output);
        let steps = counted(oracle.steps, "step");
        let guidance = format!("guidance {}", oracle.guidance);
        row([name, &flow, &network, &steps, &guidance])
    };
    report.oracles.iter().map(oracle).collect()
}

fn q_networks(report: &Report) -> Vec<Row> {
    let network = |(name, network): (&String, &super::report::QNetwork)| {
        let output = network.output.as_deref().unwrap_or("all items");
        let flow = match &network.graph {
            Some(graph) => format!("{} -> graph {graph} -> {output}", network.encoder),
            None => format!("{} -> {output}", network.encoder),
        };
        row([name, &flow, &format!("weight {}", network.weight)])
    };
    report.q_networks.iter().map(network).collect()
}

fn language_models(report: &Report) -> Vec<Row> {
    let model = |(name, model): (&String, &super::report::LanguageModel)| {
        let head = match &model.head {
            Some(head) => format!(" -> {head}"),
            None => String::new(),
        };
        let flow = format!("{} -> graph {}{head}", model.tokens, model.graph);
        let precision = model.precision.unwrap_or("precision not known");
        let bytes = HumanBytes(model.token_bytes);
        let context = format!("context {}, {bytes} a token", model.context);
        let titles = match model.trees {
            Some(true) => "titles in one run",
            Some(false) => "titles branch by branch",
            None => "",
        };
        row([name, &flow, precision, &context, titles])
    };
    report.language_models.iter().map(model).collect()
}

fn prompts(report: &Report) -> Vec<Row> {
    let prompt = |(name, prompt): (&String, &super::report::Prompt)| {
        let adapter = prompt.adapter.as_ref();
        let adapter = adapter.map_or(String::new(), |adapter| format!(" with {adapter}"));
        let rows = match (&prompt.rows, prompt.placeholder) {
            (Some(space), _) => format!("titles and rows of {space}"),
            (None, Some(token)) => format!("titles and token {token}"),
            (None, None) => "titles alone".into(),
        };
        let candidates = prompt.candidates;
        let candidates = candidates.map(|count| format!(", candidates {count}"));
        let sizes = format!(
            "history {}{}",
            prompt.history,
            candidates.unwrap_or_default()
        );
        let model = format!("{}{adapter}", prompt.language_model);
        row([name, &model, &rows, &sizes, &prompt.text])
    };
    report.prompts.iter().map(prompt).collect()
}

fn generators(report: &Report) -> Vec<Row> {
    let generator = |(name, generator): (&String, &super::report::Generator)| {
        let flow = format!("{} → {}", generator.prompt, generator.space);
        let search = format!(
            "beams {}, at most {} tokens",
            generator.beams, generator.tokens
        );
        let weighed = generator
            .weigh
            .map(|by| format!("by {by} with γ {}", generator.gamma));
        row([name, &flow, &search, &weighed.unwrap_or_default()])
    };
    report.generators.iter().map(generator).collect()
}

fn interpreters(report: &Report) -> Vec<Row> {
    let interpreter = |(name, own): (&String, &super::report::Interpreter)| {
        let adapter = own.adapter.as_ref();
        let adapter = adapter.map(|adapter| format!(" with {adapter}"));
        let model = format!("{}{}", own.language_model, adapter.unwrap_or_default());
        let flow = format!("{} → {model}", own.encoder);
        let search = format!("beams {}", own.beams);
        row([name, &flow, &search, &own.questions.join(", ")])
    };
    report.interpreters.iter().map(interpreter).collect()
}

fn explainers(report: &Report) -> Vec<Row> {
    let explainer = |(name, own): (&String, &super::report::Explainer)| {
        let flow = format!("{} → {}", own.encoder, own.prompt);
        let sentences = format!("{} sentences", own.sentences.len());
        row([
            name,
            &flow,
            &sentences,
            own.tags.as_deref().unwrap_or_default(),
        ])
    };
    report.explainers.iter().map(explainer).collect()
}

fn usage(report: &Report) -> Vec<Row> {
    let step = |step: &super::report::Step| {
        let (verb, way) = match (step.retrieve, step.rank) {
            (Some(way), _) => ("retrieve", way),
            (None, way) => ("rank", way.unwrap_or_default()),
        };
        let network = [
            &step.encoder,
            &step.oracle,
            &step.q_network,
            &step.prompt,
            &step.generator,
        ];
        let network = network.into_iter().flatten().map(|name| format!(" {name}"));
        let weight = step.weight.map(|weight| format!(" of weight {weight}"));
        let details: String = network.chain(weight).collect();
        format!("{verb} {} by {way}{details}", count(step.count))
    };
    let steps: Vec<String> = report.recipe.steps.iter().map(step).collect();
    let recipe = steps.join(", then ");
    let seen = if report.seen == "allow" {
        "may come again"
    } else {
        "do not come again"
    };
    let mut rows = vec![
        row(["recipe", &recipe]),
        row(["cold users", &format!("by {}", report.recipe.cold)]),
        row(["seen items", seen]),
    ];
    if let Some(space) = &report.similar {
        rows.push(row(["similar items", &format!("by space {space}")]));
    }
    rows
}

fn provenance(report: &Report) -> Vec<Row> {
    let provenance = &report.provenance;
    let texts = [
        ("licence", &provenance.licence),
        ("credit", &provenance.credit),
        ("data set", &provenance.data_set),
        ("command", &provenance.command),
    ];
    let texts = texts
        .into_iter()
        .filter_map(|(name, text)| Some(row([name, text.as_deref()?])));
    let metrics = provenance
        .metrics
        .iter()
        .map(|(name, value)| row([name, &format!("{value:.4}")]));
    texts.chain(metrics).collect()
}

fn memory(report: &Report) -> Vec<Row> {
    let Engine::Memory(parts) = &report.engine else {
        return Vec::new();
    };
    let line = |name: &str, [mapped, private, cached]: [usize; 3]| {
        let mapped = format!("{} mapped", size(mapped));
        let private = format!("{} private", size(private));
        row([name, &mapped, &private, &format!("{} cached", size(cached))])
    };
    let mut total = [0; 3];
    let mut rows = Vec::new();
    for (name, bytes) in parts {
        let bytes = [bytes.mapped_bytes, bytes.private_bytes, bytes.cached_bytes];
        total = [
            total[0] + bytes[0],
            total[1] + bytes[1],
            total[2] + bytes[2],
        ];
        rows.push(line(name, bytes));
    }
    rows.push(line("total", total));
    rows
}

fn count(items: u32) -> String {
    HumanCount(u64::from(items)).to_string()
}

fn size(bytes: usize) -> String {
    HumanBytes(bytes as u64).to_string()
}
