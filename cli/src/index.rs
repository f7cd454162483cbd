//! `oneiro index`.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::time::{Duration, Instant};

use clap::Args;
use oneiro::{Bundle, By, CallOptions, Cancel, Engine, Error, Filter, Ranking, RecallEntry, Seen};
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

/// Bytes that are copied between two looks at `cancel`.
const STRETCH: u64 = 16 << 20;

pub fn run(arguments: &Arguments, cancel: Cancel) -> Result<(), Failure> {
    let output = &arguments.output;
    if output.symlink_metadata().is_ok() {
        return Err(Failure::Input(output.clone(), "exists already".into()));
    }
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
    let mut new = NewBundle::new(&arguments.bundle, output)?;
    let started = Instant::now();
    let part = wait::on("Making the lists", || {
        space.index(lists as usize, arguments.seed, &cancel)
    })?;
    let seconds = started.elapsed().as_secs_f64();
    wait::on("Copying the bundle", || {
        new.drop_index(&bundle, name);
        new.parts(&bundle, &cancel)?;
        new.add_index(name, lists, &part, &cancel)
    })?;
    drop(part);

    let measured = wait::on("Measuring recall", || {
        let engine = Engine::open(&new.folder)?;
        measure(&engine, name, lists, &cancel)
    })?;
    new.keep_recall(name, &measured)?;
    new.finish()?;
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

/// The new bundle while it is made, in a folder beside the one that it becomes when all is done. Dropped earlier, it
/// leaves nothing.
struct NewBundle<'a> {
    from: &'a Path,
    folder: PathBuf,
    output: PathBuf,
    manifest: Value,
}

impl<'a> NewBundle<'a> {
    /// An empty folder, and the manifest of the bundle to new.
    fn new(from: &'a Path, output: &Path) -> Result<Self, Failure> {
        let path = from.join("manifest.json");
        let text = fs::read(&path).map_err(|error| failed(&path, &error))?;
        let manifest = serde_json::from_slice(&text)
            .map_err(|error| Failure::Input(path, error.to_string()))?;
        let Some(name) = output.file_name() else {
            return Err(Failure::Input(output.into(), "names no folder".into()));
        };
        let mut hidden = OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{}", process::id()));
        let folder = output.with_file_name(hidden);
        fs::create_dir(&folder).map_err(|error| failed(&folder, &error))?;
        Ok(Self {
            from,
            folder,
            output: output.with_file_name(name),
            manifest,
        })
    }

    /// Takes the index that a space has out of the manifest, and its part if nothing else names that.
    fn drop_index(&mut self, bundle: &Bundle, space: &str) {
        let manifest = bundle.manifest();
        let Some(index) = manifest
            .spaces
            .get(space)
            .and_then(|space| space.index.as_ref())
        else {
            return;
        };
        let spaces = manifest.spaces.values().flat_map(|space| {
            let index = space.index.as_ref().map(|index| &index.part);
            [Some(&space.part), space.exact.as_ref(), index]
        });
        let graphs = manifest.graphs.values();
        let graphs = graphs.flat_map(|graph| graph.weights.iter().chain([&graph.model]));
        let names = spaces.flatten().chain(graphs);
        let names = names.chain([&manifest.catalog.part]);
        let remove = |from: &mut Value, name: &str| {
            from.as_object_mut().and_then(|fields| fields.remove(name));
        };
        if names.filter(|name| **name == index.part).count() == 1 {
            remove(&mut self.manifest["parts"], &index.part);
        }
        remove(&mut self.manifest["spaces"][space], "index");
    }

    /// Copies the parts that the manifest has.
    fn parts(&self, bundle: &Bundle, cancel: &Cancel) -> Result<(), Failure> {
        for (name, part) in &bundle.manifest().parts {
            if self.manifest["parts"].get(name).is_some() {
                let path = self.from.join(&part.file);
                let file = File::open(&path).map_err(|error| failed(&path, &error))?;
                self.write(&part.file, file, cancel)?;
            }
        }
        Ok(())
    }

    /// Writes the index of a space, under names that nothing has, and the manifest.
    fn add_index(
        &mut self,
        space: &str,
        lists: u32,
        bytes: &[u8],
        cancel: &Cancel,
    ) -> Result<(), Failure> {
        let (part, file) = self.free_names();
        self.write(&file, bytes, cancel)?;
        let digest: String = Sha256::digest(bytes)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        self.manifest["parts"][&part] =
            json!({ "file": file, "bytes": bytes.len(), "sha256": digest });
        self.manifest["spaces"][space]["index"] = json!({ "part": part, "lists": lists });
        self.write_manifest()
    }

    /// `index` or `index-2` or …, as the name of a part and of its file. Some systems take `Index` for the same file.
    fn free_names(&self) -> (String, String) {
        let parts = self.manifest["parts"].as_object();
        let mut number = 1;
        loop {
            let part = match number {
                1 => "index".to_owned(),
                _ => format!("index-{number}"),
            };
            let file = format!("{part}.safetensors");
            let taken = parts.into_iter().flatten().any(|(name, entry)| {
                let taken = entry["file"].as_str();
                *name == part || taken.is_some_and(|taken| taken.eq_ignore_ascii_case(&file))
            });
            if !taken {
                return (part, file);
            }
            number += 1;
        }
    }

    /// Writes a part of the new bundle, which it does not have yet.
    fn write(&self, file: &str, mut bytes: impl Read, cancel: &Cancel) -> Result<(), Failure> {
        let path = self.folder.join(file);
        let mut copy = File::create_new(&path).map_err(|error| failed(&path, &error))?;
        loop {
            if cancel.is_requested() {
                return Err(Error::Cancelled.into());
            }
            let mut stretch = bytes.by_ref().take(STRETCH);
            match io::copy(&mut stretch, &mut copy) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) => return Err(failed(&path, &error)),
            }
        }
    }

    /// Keeps what was measured, and writes the manifest again.
    fn keep_recall(&mut self, space: &str, measured: &[Measured]) -> Result<(), Failure> {
        let recall = measured.iter().map(|measured| {
            json!({ "probes": measured.probes, "at_10": measured.recall[0], "at_100": measured.recall[1] })
        });
        self.manifest["spaces"][space]["index"]["recall"] = recall.collect();
        self.write_manifest()
    }

    fn write_manifest(&self) -> Result<(), Failure> {
        let path = self.folder.join("manifest.json");
        let text = format!("{:#}\n", self.manifest);
        fs::write(&path, text).map_err(|error| failed(&path, &error))
    }

    /// Gives the folder its name.
    fn finish(self) -> Result<(), Failure> {
        fs::rename(&self.folder, &self.output).map_err(|error| failed(&self.output, &error))
    }
}

impl Drop for NewBundle<'_> {
    fn drop(&mut self) {
        // Nothing is there any more once it has its name.
        let _ = fs::remove_dir_all(&self.folder);
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
            let lists = output::counted(self.lists as usize, "list");
            writeln!(out, "{name}, {lists}")?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cancelled_copy_leaves_nothing() {
        let keep = tempfile::tempdir().unwrap();
        let tiny = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/tiny");
        let new = NewBundle::new(&tiny, &keep.path().join("new")).unwrap();
        let cancel = Cancel::new();
        cancel.request();
        let stopped = new.parts(&Bundle::open(&tiny).unwrap(), &cancel);
        assert!(matches!(stopped, Err(Failure::Library(Error::Cancelled))));
        drop(new);
        assert_eq!(fs::read_dir(keep.path()).unwrap().count(), 0);
    }
}
