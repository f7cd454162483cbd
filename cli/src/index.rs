//! `oneiro index`.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use oneiro::{Bundle, By, CallOptions, Cancel, Engine, Filter, Ranking, RecallEntry, Seen};
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::failure::Failure;
use crate::table::{self, Side};
use crate::{output, wait};

/// Give a bundle an index for approximate search, and measure what it finds
///
/// Writes a copy of the bundle with one more part: the rows of a space again, in lists of near ones. `recommend` and
/// `similar` use it if they are given --approximate, and are quicker and miss some items. How many is measured here
/// and kept in the new bundle: the share of the best 10 and 100 items that the search finds, over many queries.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// The bundle's folder
    bundle: PathBuf,
    /// The folder for the new bundle; there must be none yet
    #[arg(long, value_name = "DIR")]
    output: PathBuf,
    /// The space to index; the one that the recipe's encoder is scored in if not given
    #[arg(long, value_name = "NAME")]
    space: Option<String>,
    /// How many lists; the square root of the number of items if not given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    lists: Option<u32>,
    /// What the random numbers start from: the same seed gives the same lists
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  oneiro index models/demo --output indexed
  oneiro recommend indexed --seen Inception --approximate 8";

/// Queries that recall is measured with.
const QUERIES: u32 = 200;

/// Items of a history that a query comes from.
const HISTORY: usize = 10;

/// How many of the best items are looked for.
const DEPTHS: [usize; 2] = [10, 100];

pub fn run(arguments: &Arguments, cancel: Cancel) -> Result<(), Failure> {
    let bundle = wait::on("Opening the bundle", || Bundle::open(&arguments.bundle))?;
    let name = match &arguments.space {
        Some(name) => name,
        None => scored_space(&bundle, None).ok_or(Failure::Usage(
            "the bundle has no encoder: name a space with --space",
        ))?,
    };
    let space = bundle.space(name)?;
    let lists = match arguments.lists {
        Some(lists) => lists,
        None => f64::from(space.len()).sqrt().round() as u32,
    };
    let started = Instant::now();
    let part = wait::on("Making the lists", || {
        space.index(lists as usize, arguments.seed, &cancel)
    })?;
    let seconds = started.elapsed().as_secs_f64();
    let mut written = Written::new(arguments, &bundle)?;
    written.add_index(name, lists, &part)?;
    drop(part);

    let measured = wait::on("Measuring recall", || {
        let engine = Engine::open(&arguments.output)?;
        measure(&engine, name, lists, &cancel)
    })?;
    written.keep_recall(name, &measured)?;
    let report = Report {
        space: name.into(),
        lists,
        seconds,
        queries: QUERIES,
        measured,
    };
    if arguments.json {
        output::json(&report)
    } else {
        report.print()
    }
}

/// The space that an encoder is scored in; without a name, the recipe's encoder, or the first.
pub fn scored_space<'a>(bundle: &'a Bundle, encoder: Option<&'a str>) -> Option<&'a str> {
    let manifest = bundle.manifest();
    let mut steps = manifest.recipe.steps.iter();
    let encoder = encoder
        .or_else(|| steps.find_map(|step| step.encoder.as_deref()))
        .or_else(|| manifest.encoders.keys().next().map(String::as_str))?;
    Some(&manifest.encoders.get(encoder)?.output)
}

/// The new bundle.
struct Written<'a> {
    folder: &'a Path,
    manifest: Value,
}

impl<'a> Written<'a> {
    /// Copies a bundle to a new folder, all but its manifest.
    fn new(arguments: &'a Arguments, bundle: &Bundle) -> Result<Self, Failure> {
        let (from, folder) = (&arguments.bundle, arguments.output.as_path());
        fs::create_dir(folder).map_err(|error| failed(folder, &error))?;
        for part in bundle.manifest().parts.values() {
            let copy = folder.join(&part.file);
            fs::copy(from.join(&part.file), &copy).map_err(|error| failed(&copy, &error))?;
        }
        let path = from.join("manifest.json");
        let text = fs::read(&path).map_err(|error| failed(&path, &error))?;
        let manifest = serde_json::from_slice(&text)
            .map_err(|error| Failure::Input(path, error.to_string()))?;
        Ok(Self { folder, manifest })
    }

    /// Writes the index of a space, in the place of one that it has, and the manifest.
    fn add_index(&mut self, space: &str, lists: u32, bytes: &[u8]) -> Result<(), Failure> {
        let before = self.manifest["spaces"][space]["index"]["part"].as_str();
        let part = before.map_or_else(|| format!("{space}.index"), str::to_owned);
        let file = match self.manifest["parts"][&part]["file"].as_str() {
            Some(file) => file.to_owned(),
            None => format!("{part}.safetensors"),
        };
        let path = self.folder.join(&file);
        fs::write(&path, bytes).map_err(|error| failed(&path, &error))?;
        let digest: String = Sha256::digest(bytes)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        self.manifest["parts"][&part] =
            json!({ "file": file, "bytes": bytes.len(), "sha256": digest });
        self.manifest["spaces"][space]["index"] = json!({ "part": part, "lists": lists });
        self.write()
    }

    /// Keeps what was measured, and writes the manifest again.
    fn keep_recall(&mut self, space: &str, measured: &[Measured]) -> Result<(), Failure> {
        let recall = measured.iter().map(|measured| {
            json!({ "probes": measured.probes, "at_10": measured.recall[0], "at_100": measured.recall[1] })
        });
        self.manifest["spaces"][space]["index"]["recall"] = recall.collect();
        self.write()
    }

    fn write(&self) -> Result<(), Failure> {
        let path = self.folder.join("manifest.json");
        let text = format!("{:#}\n", self.manifest);
        fs::write(&path, text).map_err(|error| failed(&path, &error))
    }
}

fn failed(path: &Path, error: &io::Error) -> Failure {
    Failure::Input(path.into(), error.to_string())
}

/// What a search of so many lists finds and takes.
#[derive(Serialize)]
struct Measured {
    probes: u32,
    /// The share of the exact search's best 10 and 100.
    recall: [f64; 2],
    /// How much quicker it is than the exact search.
    speed: f64,
}

/// Measures searches of 1, 2, 4, … lists.
///
/// In the space of an encoder the queries are its states after histories of items drawn at random, elsewhere the rows
/// of items drawn at random: what the space is asked in use.
fn measure(
    engine: &Engine,
    space: &str,
    lists: u32,
    cancel: &Cancel,
) -> oneiro::Result<Vec<Measured>> {
    let manifest = engine.manifest();
    let encoder = manifest
        .encoders
        .iter()
        .find(|(_, encoder)| encoder.output == space)
        .map(|(name, _)| name.clone());
    if encoder.is_none() && manifest.similar.as_deref() != Some(space) {
        return Ok(Vec::new());
    }
    let table = engine.bundle().space(space)?;
    let known: Vec<u32> = (0..table.len())
        .filter(|&item| !table.is_cold(item))
        .collect();
    if known.is_empty() {
        return Ok(Vec::new());
    }
    // Numerical Recipes' generator: any items will do, but the same ones every time.
    let mut state = 1u32;
    let mut item = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        known[((u64::from(state) * known.len() as u64) >> 32) as usize]
    };
    let mut options = CallOptions::default();
    options.cancel = cancel.clone();
    options.encoder.clone_from(&encoder);
    let filter = Filter::new().seen(Seen::Allow);
    let mut ask = |user: &mut oneiro::Recommender, first, count, probes: Option<u32>| {
        options.probes = probes.map(|probes| probes as usize);
        match &encoder {
            Some(_) => user.retrieve_with(By::Encoder, count, &filter, &options),
            None => user.similar_with(first, count, &filter, &options),
        }
    };

    let probes: Vec<u32> = (0..32)
        .map(|power| 1 << power)
        .take_while(|&probes| probes < lists)
        .chain([lists])
        .collect();
    let mut found = vec![[0usize; 2]; probes.len()];
    let mut best = [0usize; 2];
    let mut times = vec![Duration::ZERO; probes.len()];
    let mut exactly = Duration::ZERO;
    for _ in 0..QUERIES {
        let history: Vec<u32> = (0..HISTORY).map(|_| item()).collect();
        let mut user = engine.recommender();
        user.observe_items(&history)?;
        for (depth, count) in DEPTHS.into_iter().enumerate() {
            let exact = ask(&mut user, history[0], count, None)?;
            best[depth] += exact.len();
            exactly += search_time(&exact);
            for (place, &probes) in probes.iter().enumerate() {
                let near = ask(&mut user, history[0], count, Some(probes))?;
                times[place] += search_time(&near);
                let items = near.items().iter();
                found[place][depth] += items.filter(|item| exact.items().contains(item)).count();
            }
        }
    }
    let measured = probes.iter().enumerate().map(|(place, &probes)| Measured {
        probes,
        recall: [0, 1].map(|depth| found[place][depth] as f64 / best[depth].max(1) as f64),
        speed: exactly.as_secs_f64() / times[place].as_secs_f64(),
    });
    Ok(measured.collect())
}

/// How long the search itself took.
fn search_time(ranking: &Ranking) -> Duration {
    let last = ranking.stages().last();
    last.map_or(Duration::ZERO, |stage| stage.time)
}

#[derive(Serialize)]
struct Report {
    space: String,
    lists: u32,
    /// How long it took to make the lists.
    seconds: f64,
    queries: u32,
    measured: Vec<Measured>,
}

impl Report {
    fn print(&self) -> Result<(), Failure> {
        let mut rows = vec![["probes", "recall@10", "recall@100", "speed"].map(String::from)];
        for Measured {
            probes,
            recall: [at_10, at_100],
            speed,
        } in &self.measured
        {
            rows.push([
                probes.to_string(),
                format!("{at_10:.3}"),
                format!("{at_100:.3}"),
                format!("{speed:.1} x"),
            ]);
        }
        output::results(|out| {
            let name = output::one_line(&self.space);
            writeln!(out, "{name}, {} lists", self.lists)?;
            table::write(out, "", [Side::Right; 4], &rows)
        })?;
        output::note(format_args!(
            "{:.1} s for the lists; recall and speed against the exact search, {} queries",
            self.seconds, self.queries
        ));
        Ok(())
    }
}

/// The fewest probes that were measured to find this share of the best 10.
const ENOUGH: f64 = 0.95;

/// How a search may be approximate.
#[derive(Args)]
pub struct Approximate {
    /// Look only at the rows of so many lists of the bundle's index: quicker, and some items are missed
    ///
    /// Without a number, the fewest that were measured to find 95 % of the best 10.
    #[arg(long, value_name = "PROBES", value_parser = clap::value_parser!(u32).range(1..))]
    approximate: Option<Option<u32>>,
}

impl Approximate {
    /// The number of lists to look at in that space.
    pub fn probes(&self, bundle: &Bundle, space: Option<&str>) -> Option<usize> {
        let probes = self.approximate?.unwrap_or_else(|| {
            let space = space.and_then(|space| bundle.manifest().spaces.get(space));
            let index = space.and_then(|space| space.index.as_ref());
            // A space without an index is the library's to report.
            index.map_or(1, |index| {
                let enough = |recall: &&RecallEntry| recall.at_10 >= ENOUGH;
                let measured = index.recall.iter().filter(enough);
                let fewest = measured.map(|recall| recall.probes).min();
                fewest.unwrap_or(index.lists)
            })
        });
        Some(probes as usize)
    }

    /// Whether it was asked for.
    pub fn is_wanted(&self) -> bool {
        self.approximate.is_some()
    }
}
