//! What a manifest must keep beyond its form: versions first, then that every name it uses is defined in it.

#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    AttributeKind, ExplainerEntry, FORMAT, GeneratorEntry, InterpreterEntry, LanguageModelEntry,
    MOST_BEAMS, Manifest, Metric, OracleEntry, PromptEntry, QNetworkEntry, RankEntry,
    RetrieveEntry, RowType, StepEntry, WeighEntry,
};
use crate::bundle::json::kind_of;
use crate::error::{Error, Result};

/// The features that a manifest's `requires` may name. Format 1 has none.
const FEATURES: [&str; 0] = [];

/// The most numbers that a window of rows may have: what is gathered for one run, 64 MiB.
const MAX_WINDOW_NUMBERS: u64 = 16 << 20;

/// The most tokens that a language model's context may hold, and the most layers and heads that it may have: far above
/// any real one, and the products of all of them are counted in an i64.
const MAX_CONTEXT: u32 = 1 << 22;
const MAX_LAYERS: u32 = 1 << 10;
const MAX_HEADS: u32 = 1 << 12;
const MAX_HEAD_SIZE: u32 = 1 << 12;

impl Manifest {
    pub(super) fn check(&self) -> Result<()> {
        self.check_parts()?;
        let part = |at: String, name: &str| self.check_part(&at, name);
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
            if let Some(exact) = &space.exact {
                let at = || format!("spaces.{name}.exact");
                part(at(), exact)?;
                if space.dtype != RowType::I8 {
                    let found = "a space of rows that are exact themselves";
                    return Err(Error::manifest(at(), "a space of i8 rows", found));
                }
                if space.index.is_some() {
                    let found = "`index` and `exact`";
                    return Err(Error::manifest(at(), "one of the two", found));
                }
                if exact == &space.part {
                    let found = format!("`{exact}` again");
                    return Err(Error::manifest(at(), "another part than `part`", found));
                }
            }
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
            let Some(index) = &space.index else { continue };
            let at = format!("spaces.{name}.index");
            part(format!("{at}.part"), &index.part)?;
            if !(1..=space.rows).contains(&index.lists) {
                return Err(Error::manifest(
                    format!("{at}.lists"),
                    format!("1 to {}", space.rows),
                    index.lists.to_string(),
                ));
            }
            for (place, recall) in index.recall.iter().enumerate() {
                let shares = 0.0..=1.0;
                if !(1..=index.lists).contains(&recall.probes)
                    || !shares.contains(&recall.at_10)
                    || !shares.contains(&recall.at_100)
                {
                    return Err(Error::manifest(
                        format!("{at}.recall[{place}]"),
                        format!("shares from 0 to 1 for 1 to {} probes", index.lists),
                        format!("{recall:?}"),
                    ));
                }
            }
        }
        for (name, graph) in &self.graphs {
            part(format!("graphs.{name}.model"), &graph.model)?;
            for (index, weights) in graph.weights.iter().enumerate() {
                part(format!("graphs.{name}.weights[{index}]"), weights)?;
            }
        }
        for (name, encoder) in &self.encoders {
            self.check_graph(&format!("encoders.{name}.graph"), &encoder.graph)?;
            self.check_space(&format!("encoders.{name}.input"), &encoder.input)?;
            self.check_space(&format!("encoders.{name}.output"), &encoder.output)?;
            if !(1..=65536).contains(&encoder.window) {
                return Err(Error::manifest(
                    format!("encoders.{name}.window"),
                    "1 to 65536",
                    encoder.window.to_string(),
                ));
            }
            let width = self.spaces[&encoder.input].width;
            let numbers = u64::from(encoder.window) * u64::from(width);
            if numbers > MAX_WINDOW_NUMBERS {
                return Err(Error::manifest(
                    format!("encoders.{name}.window"),
                    format!("at most {MAX_WINDOW_NUMBERS} numbers in a window"),
                    format!("{} rows of {width}", encoder.window),
                ));
            }
        }
        for (name, oracle) in &self.oracles {
            self.check_oracle(&format!("oracles.{name}"), oracle)?;
        }
        for (name, network) in &self.q_networks {
            self.check_q_network(&format!("q_networks.{name}"), network)?;
        }
        for (name, table) in &self.token_tables {
            let at = |field| format!("token_tables.{name}.{field}");
            part(at("part"), &table.part)?;
            check_range(at("rows"), table.rows, u32::MAX - 1)?;
            check_range(at("width"), table.width, 65536)?;
        }
        for (name, model) in &self.language_models {
            self.check_language_model(&format!("language_models.{name}"), model)?;
        }
        for (name, prompt) in &self.prompts {
            self.check_prompt(&format!("prompts.{name}"), prompt)?;
        }
        for (name, generator) in &self.generators {
            self.check_generator(&format!("generators.{name}"), generator)?;
        }
        for (name, explainer) in &self.explainers {
            self.check_explainer(&format!("explainers.{name}"), explainer)?;
        }
        for (name, interpreter) in &self.interpreters {
            self.check_interpreter(&format!("interpreters.{name}"), interpreter)?;
        }
        if let Some(similar) = &self.similar {
            self.check_space("similar", similar)?;
        }
        self.check_recipe()
    }

    /// What a language model is made of is there, and its tables and tokens agree.
    fn check_language_model(&self, at: &str, model: &LanguageModelEntry) -> Result<()> {
        self.check_graph(&format!("{at}.graph"), &model.graph)?;
        self.check_part(&format!("{at}.tokenizer"), &model.tokenizer)?;
        let table = |at: &str, name: &str| known(at, "token table", &self.token_tables, name);
        table(&format!("{at}.tokens"), &model.tokens)?;
        let tokens = &self.token_tables[&model.tokens];
        if let Some(head) = &model.head {
            let at = format!("{at}.head");
            if let Some(graph) = &head.graph {
                self.check_graph(&format!("{at}.graph"), graph)?;
            }
            match &head.table {
                None if head.graph.is_none() => {
                    return Err(Error::manifest(at, "a `table` or a `graph`", "neither"));
                }
                None => {}
                Some(name) => {
                    let at = format!("{at}.table");
                    table(&at, name)?;
                    let head = &self.token_tables[name];
                    let size = |rows, width| format!("{rows} rows of {width}");
                    if (head.rows, head.width) != (tokens.rows, tokens.width) {
                        let expected = format!("a table of {}", size(tokens.rows, tokens.width));
                        let found = format!("`{name}` of {}", size(head.rows, head.width));
                        return Err(Error::manifest(at, expected, found));
                    }
                }
            }
        }
        if let Some(titles) = &model.titles {
            let at = format!("{at}.titles");
            self.check_part(&format!("{at}.part"), &titles.part)?;
            if model.end_of_title.is_none() {
                let expected = "an `end_of_title` beside it, which ends each title";
                return Err(Error::manifest(at, expected, "none"));
            }
            let tokenizer = &self.parts[&model.tokenizer].sha256;
            if titles.tokenizer_sha256 != *tokenizer {
                let at = format!("{at}.tokenizer_sha256");
                let expected = format!("{tokenizer}, that of the tokenizer whose tokens they are");
                return Err(Error::manifest(at, expected, &titles.tokenizer_sha256));
            }
        }
        for (name, part) in &model.adapters {
            self.check_part(&format!("{at}.adapters.{name}"), part)?;
        }
        check_range(format!("{at}.context"), model.context, MAX_CONTEXT)?;
        if let Some(packed) = model.packed
            && !(model.context..=MAX_CONTEXT).contains(&packed)
        {
            let expected = format!("{} (context) to {MAX_CONTEXT}", model.context);
            return Err(Error::manifest(
                format!("{at}.packed"),
                expected,
                packed.to_string(),
            ));
        }
        check_range(format!("{at}.layers"), model.layers, MAX_LAYERS)?;
        check_range(format!("{at}.kv_heads"), model.kv_heads, MAX_HEADS)?;
        check_range(format!("{at}.head_size"), model.head_size, MAX_HEAD_SIZE)?;
        let single = [("begin", model.begin), ("end_of_title", model.end_of_title)];
        let single = single.map(|(field, token)| (format!("{at}.{field}"), token));
        let stops = model.stop.iter().enumerate();
        let stops = stops.map(|(place, token)| (format!("{at}.stop[{place}]"), Some(*token)));
        check_tokens(single.into_iter().chain(stops), tokens.rows)
    }

    /// A prompt has its slots, and what stands behind titles is of its model's width or one of its tokens.
    fn check_prompt(&self, at: &str, prompt: &PromptEntry) -> Result<()> {
        let name = &prompt.language_model;
        let at_model = format!("{at}.language_model");
        known(&at_model, "language model", &self.language_models, name)?;
        let model = &self.language_models[name];
        if let Some(adapter) = &prompt.adapter {
            let at = format!("{at}.adapter");
            known(&at, "adapter", &model.adapters, adapter)?;
        }
        let Some(texts) = prompt.texts() else {
            let expected = "a text with one `{history}` and behind it at most one `{candidates}`";
            let found = format!("`{}`", prompt.text);
            return Err(Error::manifest(format!("{at}.text"), expected, found));
        };
        check_range(format!("{at}.history"), prompt.history, MAX_CONTEXT)?;
        let at_candidates = format!("{at}.candidates");
        match (texts.between, prompt.candidates) {
            (Some(_), Some(candidates)) => check_range(at_candidates, candidates, MAX_CONTEXT)?,
            (None, None) => {}
            (Some(_), None) => {
                let expected = "how many: the text has `{candidates}`";
                return Err(Error::manifest(at_candidates, expected, "nothing"));
            }
            (None, Some(candidates)) => {
                let expected = "nothing: the text has no `{candidates}`";
                let found = candidates.to_string();
                return Err(Error::manifest(at_candidates, expected, found));
            }
        }
        let tokens = &self.token_tables[&model.tokens];
        if let Some(rows) = &prompt.rows {
            let at = format!("{at}.rows");
            self.check_space(&at, rows)?;
            let found = self.spaces[rows].width;
            if found != tokens.width {
                let expected = format!("a space of width {}, the model's", tokens.width);
                return Err(Error::manifest(
                    at,
                    expected,
                    format!("`{rows}` of width {found}"),
                ));
            }
            if prompt.placeholder.is_some() {
                let found = "`rows` and `placeholder`";
                return Err(Error::manifest(at, "one of the two", found));
            }
        }
        let single = [
            ("placeholder", prompt.placeholder),
            ("answer", prompt.answer),
        ];
        let single = single.map(|(field, token)| (format!("{at}.{field}"), token));
        check_tokens(single, tokens.rows)
    }

    /// A generator writes by a prompt without candidates, and what it writes can be compared with a row of every title.
    fn check_generator(&self, at: &str, generator: &GeneratorEntry) -> Result<()> {
        let at_prompt = format!("{at}.prompt");
        known(&at_prompt, "prompt", &self.prompts, &generator.prompt)?;
        let prompt = &self.prompts[&generator.prompt];
        if prompt.candidates.is_some() {
            let found = format!("`{}`, which has them", generator.prompt);
            return Err(Error::manifest(
                at_prompt,
                "a prompt without candidates",
                found,
            ));
        }
        let model = &self.language_models[&prompt.language_model];
        let needed = [
            ("a `begin`", model.begin.is_some()),
            ("a `stop` token", !model.stop.is_empty()),
            ("a `head`, apart from its graph", model.head.is_some()),
        ];
        if let Some((what, _)) = needed.iter().find(|(_, has)| !has) {
            let found = format!("`{}`, which has none", prompt.language_model);
            let expected = format!("a prompt of a language model with {what}");
            return Err(Error::manifest(at_prompt, expected, found));
        }
        let at_space = format!("{at}.space");
        self.check_space(&at_space, &generator.space)?;
        let (space, width) = (
            &self.spaces[&generator.space],
            self.token_tables[&model.tokens].width,
        );
        if (space.metric, space.width, space.bias) != (Metric::L2, width, false) {
            let expected = format!("a space by l2 of width {width}, the model's, without bias");
            let by = match space.metric {
                Metric::Dot => "dot",
                Metric::Cosine => "cosine",
                Metric::L2 => "l2",
            };
            let bias = if space.bias { ", with bias" } else { "" };
            let found = format!(
                "`{}` by {by} of width {}{bias}",
                generator.space, space.width
            );
            return Err(Error::manifest(at_space, expected, found));
        }
        check_range(format!("{at}.beams"), generator.beams, MOST_BEAMS)?;
        check_range(format!("{at}.tokens"), generator.tokens, MAX_CONTEXT)?;
        if !generator.length_penalty.is_finite() {
            let (at, found) = (format!("{at}.length_penalty"), generator.length_penalty);
            return Err(Error::manifest(at, "a finite number", found.to_string()));
        }
        if !(0.0..f32::INFINITY).contains(&generator.gamma) {
            let (at, found) = (format!("{at}.gamma"), generator.gamma.to_string());
            return Err(Error::manifest(at, "a number of at least 0", found));
        }
        let at = format!("{at}.weigh");
        let missing = |what: &str| {
            Err(Error::manifest(
                &at,
                format!("what to weigh by: {what}"),
                "nothing",
            ))
        };
        match generator.weigh {
            None if generator.gamma != 0.0 => missing("`gamma` is not 0"),
            Some(WeighEntry::Encoder) if self.encoders.is_empty() => missing("an encoder"),
            Some(WeighEntry::QNetwork) if self.q_networks.is_empty() => missing("a Q-network"),
            None | Some(_) => Ok(()),
        }
    }

    /// An explainer answers a prompt about one candidate, in sentences that name an item.
    fn check_explainer(&self, at: &str, explainer: &ExplainerEntry) -> Result<()> {
        let at_prompt = format!("{at}.prompt");
        known(&at_prompt, "prompt", &self.prompts, &explainer.prompt)?;
        if self.prompts[&explainer.prompt].candidates != Some(1) {
            let found = format!("`{}`", explainer.prompt);
            return Err(Error::manifest(
                at_prompt,
                "a prompt about 1 candidate",
                found,
            ));
        }
        known(
            &format!("{at}.encoder"),
            "encoder",
            &self.encoders,
            &explainer.encoder,
        )?;
        let once = |sentence: &str, slot: &str| sentence.matches(slot).count() <= 1;
        let slots = [
            ExplainerEntry::FIRST,
            ExplainerEntry::SECOND,
            ExplainerEntry::TAGS,
        ];
        for (place, sentence) in explainer.sentences.iter().enumerate() {
            let repeats = slots.iter().any(|slot| !once(sentence, slot));
            if repeats || !sentence.contains(ExplainerEntry::FIRST) {
                let at = format!("{at}.sentences[{place}]");
                let expected = "a sentence with one {first}, at most one {second} and one {tags}";
                return Err(Error::manifest(at, expected, format!("`{sentence}`")));
            }
        }
        let of_one = |sentence: &String| {
            !sentence.contains(ExplainerEntry::SECOND) && !sentence.contains(ExplainerEntry::TAGS)
        };
        let of_two = |sentence: &String| {
            sentence.contains(ExplainerEntry::SECOND) && !sentence.contains(ExplainerEntry::TAGS)
        };
        let sentences = || explainer.sentences.iter();
        if !sentences().any(of_one) || !sentences().any(of_two) {
            let expected =
                "one sentence at least with {first} alone, and one with {first} and {second}";
            return Err(Error::manifest(format!("{at}.sentences"), expected, "none"));
        }
        match &explainer.tags {
            Some(tags) if self.catalog.attributes.get(tags) != Some(&AttributeKind::Tags) => {
                let expected = "the name of an attribute of tags";
                Err(Error::manifest(
                    format!("{at}.tags"),
                    expected,
                    format!("`{tags}`"),
                ))
            }
            None if sentences().any(|sentence| sentence.contains(ExplainerEntry::TAGS)) => {
                let expected = "the name of an attribute, for a sentence has {tags}";
                Err(Error::manifest(format!("{at}.tags"), expected, "nothing"))
            }
            _ => Ok(()),
        }
    }

    /// An interpreter reads the states of an encoder, and has a text with their slots for at least one question.
    fn check_interpreter(&self, at: &str, interpreter: &InterpreterEntry) -> Result<()> {
        let at_model = format!("{at}.language_model");
        let name = &interpreter.language_model;
        known(&at_model, "language model", &self.language_models, name)?;
        let model = &self.language_models[name];
        if let Some(adapter) = &interpreter.adapter {
            known(
                &format!("{at}.adapter"),
                "adapter",
                &model.adapters,
                adapter,
            )?;
        }
        if model.titles.is_none() {
            let (expected, found) = (
                "a language model with `titles`",
                format!("`{name}`, which has none"),
            );
            return Err(Error::manifest(at_model, expected, found));
        }
        let at_encoder = format!("{at}.encoder");
        known(&at_encoder, "encoder", &self.encoders, &interpreter.encoder)?;
        self.check_part(&format!("{at}.projector"), &interpreter.projector)?;
        check_range(format!("{at}.beams"), interpreter.beams, MOST_BEAMS)?;
        let texts = [
            (
                "recover",
                &interpreter.recover,
                &InterpreterEntry::RECOVER[..],
            ),
            (
                "residual",
                &interpreter.residual,
                &InterpreterEntry::RESIDUAL[..],
            ),
            ("item", &interpreter.item, &InterpreterEntry::ITEM[..]),
        ];
        for (field, text, slots) in texts {
            if let Some(text) = text
                && InterpreterEntry::cut(text, slots).is_none()
            {
                let expected = format!("a text with one {}", slots.join(" and behind it one "));
                return Err(Error::manifest(
                    format!("{at}.{field}"),
                    expected,
                    format!("`{text}`"),
                ));
            }
        }
        if texts.iter().all(|(_, text, _)| text.is_none()) {
            return Err(Error::manifest(
                at,
                "a text for at least one question",
                "none",
            ));
        }
        let encoder = &self.encoders[&interpreter.encoder];
        let (input, output) = (&self.spaces[&encoder.input], &self.spaces[&encoder.output]);
        match interpreter.item {
            Some(_) if input.width != output.width => {
                let expected = format!(
                    "nothing: states are {} wide, rows {}",
                    output.width, input.width
                );
                Err(Error::manifest(format!("{at}.item"), expected, "a text"))
            }
            _ => Ok(()),
        }
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

    fn check_part(&self, at: &str, name: &str) -> Result<()> {
        known(at, "part", &self.parts, name)
    }

    fn check_space(&self, at: &str, name: &str) -> Result<()> {
        known(at, "space", &self.spaces, name)
    }

    fn check_graph(&self, at: &str, name: &str) -> Result<()> {
        known(at, "graph", &self.graphs, name)
    }

    /// What guides an oracle and what it is scored against are of one width.
    fn check_oracle(&self, at: &str, oracle: &OracleEntry) -> Result<()> {
        known(
            &format!("{at}.encoder"),
            "encoder",
            &self.encoders,
            &oracle.encoder,
        )?;
        let width = self.width_of_state(&oracle.encoder);
        self.check_points(&format!("{at}.output"), &oracle.output, Some(width))?;
        self.check_part(&format!("{at}.part"), &oracle.part)?;
        if let Some(graph) = &oracle.graph {
            self.check_graph(&format!("{at}.graph"), graph)?;
        }
        if !(oracle.guidance.is_finite() && oracle.guidance >= 0.0) {
            return Err(Error::manifest(
                format!("{at}.guidance"),
                "a finite number, not below 0",
                oracle.guidance.to_string(),
            ));
        }
        Ok(())
    }

    /// A Q-network values items by a space or by itself.
    fn check_q_network(&self, at: &str, network: &QNetworkEntry) -> Result<()> {
        let QNetworkEntry {
            encoder,
            output,
            graph,
            weight,
        } = network;
        known(&format!("{at}.encoder"), "encoder", &self.encoders, encoder)?;
        if let Some(graph) = graph {
            self.check_graph(&format!("{at}.graph"), graph)?;
        }
        match output {
            Some(output) => {
                let state = graph.is_none().then(|| self.width_of_state(encoder));
                self.check_points(&format!("{at}.output"), output, state)?;
            }
            None if graph.is_some() => {}
            None => return Err(Error::manifest(at, "an `output` or a `graph`", "neither")),
        }
        check_weight(&format!("{at}.weight"), *weight)
    }

    /// A space for points, which are states of this width if there is one: its metric is dot.
    fn check_points(&self, at: &str, name: &str, state: Option<u32>) -> Result<()> {
        self.check_space(at, name)?;
        let space = &self.spaces[name];
        if space.metric != Metric::Dot {
            let found = format!("`{name}`, whose metric is another");
            return Err(Error::manifest(at, "a space with the metric dot", found));
        }
        match state {
            Some(width) if width != space.width => Err(Error::manifest(
                at,
                format!("a space of width {width}, that of the encoder's state"),
                format!("`{name}` of width {}", space.width),
            )),
            _ => Ok(()),
        }
    }

    /// Of an encoder that is known.
    fn width_of_state(&self, encoder: &str) -> u32 {
        self.spaces[&self.encoders[encoder].output].width
    }

    /// The first step retrieves, the others rank.
    fn check_recipe(&self) -> Result<()> {
        let steps = &self.recipe.steps;
        let Some(first) = steps.first() else {
            let expected = "a step that retrieves";
            return Err(Error::manifest("recipe.steps", expected, "no steps"));
        };
        for (index, step) in steps.iter().enumerate() {
            let at = format!("recipe.steps[{index}]");
            let expected = match index {
                0 => "a step that retrieves",
                _ => "a step that ranks",
            };
            let found = match (step.retrieve, step.rank) {
                (Some(_), None) => "a step that retrieves",
                (None, Some(_)) => "a step that ranks",
                (Some(_), Some(_)) => "`retrieve` and `rank`",
                (None, None) => "neither `retrieve` nor `rank`",
            };
            if found != expected {
                return Err(Error::manifest(at, expected, found));
            }
            self.check_step(&at, step)?;
        }
        let cold = self.recipe.cold;
        match cold {
            RetrieveEntry::Popularity => Ok(()),
            _ if first.retrieve == Some(cold) => Ok(()),
            _ => Err(Error::manifest(
                "recipe.cold",
                "popularity, or the way of the first step",
                "another way",
            )),
        }
    }

    /// A step names what it needs, and nothing else.
    fn check_step(&self, at: &str, step: &StepEntry) -> Result<()> {
        if step.count == 0 {
            return Err(Error::manifest(format!("{at}.count"), "at least 1", "0"));
        }
        check_named(
            &format!("{at}.encoder"),
            step.retrieve == Some(RetrieveEntry::Encoder),
            ("encoder", step.encoder.as_deref()),
            &self.encoders,
        )?;
        check_named(
            &format!("{at}.oracle"),
            step.retrieve == Some(RetrieveEntry::Oracle),
            ("oracle", step.oracle.as_deref()),
            &self.oracles,
        )?;
        check_named(
            &format!("{at}.q_network"),
            step.retrieve == Some(RetrieveEntry::QNetwork)
                || step.rank == Some(RankEntry::QNetwork),
            ("q_network", step.q_network.as_deref()),
            &self.q_networks,
        )?;
        check_named(
            &format!("{at}.prompt"),
            step.rank == Some(RankEntry::LanguageModel),
            ("prompt", step.prompt.as_deref()),
            &self.prompts,
        )?;
        if let Some(name) = &step.prompt
            && self.prompts[name].candidates.is_none()
        {
            let (at, found) = (format!("{at}.prompt"), format!("`{name}`, which has none"));
            return Err(Error::manifest(at, "a prompt with candidates", found));
        }
        check_named(
            &format!("{at}.generator"),
            step.retrieve == Some(RetrieveEntry::Generate),
            ("generator", step.generator.as_deref()),
            &self.generators,
        )?;
        let at = format!("{at}.weight");
        match step.weight {
            None => Ok(()),
            Some(weight) if step.rank == Some(RankEntry::QNetwork) => check_weight(&at, weight),
            Some(weight) => {
                let expected = "nothing: the step does not rank by a Q-network";
                Err(Error::manifest(at, expected, weight.to_string()))
            }
        }
    }
}

/// Fails unless `name` is one of a map's.
fn known<T>(at: &str, kind: &str, entries: &BTreeMap<String, T>, name: &str) -> Result<()> {
    match entries.contains_key(name) {
        true => Ok(()),
        false => Err(Error::manifest(
            at,
            format!("the name of {} {kind}", article(kind)),
            format!("`{name}`"),
        )),
    }
}

/// Fails unless every token there is has one of so many rows.
fn check_tokens(tokens: impl IntoIterator<Item = (String, Option<u32>)>, rows: u32) -> Result<()> {
    for (at, token) in tokens {
        if let Some(token) = token.filter(|&token| token >= rows) {
            let expected = format!("a token below {rows} (token_tables)");
            return Err(Error::manifest(at, expected, token.to_string()));
        }
    }
    Ok(())
}

fn check_range(at: String, number: u32, most: u32) -> Result<()> {
    match (1..=most).contains(&number) {
        true => Ok(()),
        false => Err(Error::manifest(
            at,
            format!("1 to {most}"),
            number.to_string(),
        )),
    }
}

fn check_weight(at: &str, weight: f32) -> Result<()> {
    match (0.0..=1.0).contains(&weight) {
        true => Ok(()),
        false => Err(Error::manifest(at, "0 to 1", weight.to_string())),
    }
}

fn article(kind: &str) -> &'static str {
    match kind.starts_with(['a', 'e', 'i', 'o', 'u']) {
        true => "an",
        false => "a",
    }
}

/// Fails unless a step that needs a network names one, and any other does not.
fn check_named<T>(
    at: &str,
    needed: bool,
    (kind, name): (&str, Option<&str>),
    entries: &BTreeMap<String, T>,
) -> Result<()> {
    match (needed, name) {
        (true, Some(name)) => known(at, kind, entries, name),
        (false, None) => Ok(()),
        (true, None) => {
            let expected = format!("the name of {} {kind}", article(kind));
            Err(Error::manifest(at, expected, "nothing"))
        }
        (false, Some(name)) => {
            let expected = format!("nothing: the step is not by {kind}");
            Err(Error::manifest(at, expected, format!("`{name}`")))
        }
    }
}

/// Version questions come before all others: a newer manifest may have any shape.
pub(super) fn version(tree: &Value) -> Result<()> {
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
