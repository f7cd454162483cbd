//! `oneiro eval`.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Write};
use std::num::NonZero;
use std::panic;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use clap::{Args, ValueEnum};
use oneiro::{Bundle, By, CallOptions, Cancel, Engine, EngineOptions, Filter, Recommender, Seen};
use serde::Serialize;

use crate::failure::Failure;
use crate::generating::Generating;
use crate::interactions::{Event, Interactions};
use crate::oracle::Dreaming;
use crate::recommend::Way;
use crate::table::{self, Side};
use crate::value::{self, Ranking};
use crate::{output, wait};

/// Measure how well a bundle predicts what people chose next
///
/// Every item is ranked, none is sampled. HR@K is the share of rows whose item is among the first K, NDCG@K the mean
/// of 1 / log2(rank + 1) over those; each with its standard error. Ties count against the bundle, and so does an item
/// that never ranks or that the catalog does not have. Seen items are left out of the ranking where the bundle says
/// so, the item to be predicted never. Of a chain, what is ranked last are the candidates: all others are misses.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// The bundle's folder
    bundle: PathBuf,
    /// A CSV file with the columns user, item (the catalog's ids), time (Unix seconds or dates) and, if wanted, split
    ///
    /// Predicted are the events whose split is `val`, each from all earlier events of its user; without that column,
    /// the latest tenth of all events (see --held-out). The others are history. Events of users without a past are
    /// passed over. Parquet is read by the Python package only: `python -m oneiro_models events` makes a CSV file of it.
    interactions: PathBuf,
    /// The share of the latest events to predict, whatever the split says; 0.1 in a file without splits
    ///
    /// Events are ordered by time, those of one moment as in the file. The Python package splits alike.
    #[arg(long, value_name = "SHARE", value_parser = share)]
    held_out: Option<f64>,
    /// The way to retrieve; the bundle's recipe if not given
    #[arg(long, value_enum)]
    by: Option<Way>,
    /// The encoder to use, instead of the recipe's
    #[arg(long, value_name = "NAME")]
    encoder: Option<String>,
    /// The lengths of ranking to measure
    #[arg(long, value_name = "K,K,…", value_delimiter = ',', default_value = "5,10,20", value_parser = clap::value_parser!(u32).range(1..))]
    k: Vec<u32>,
    /// Whether items of the history may come again, whatever the bundle says
    #[arg(long, value_enum)]
    seen: Option<Again>,
    /// Threads, each with its own users; as many as there are processors if not given. The figures do not depend on it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// A CSV file to write with the rank of every row: its line in INTERACTIONS, and the rank, empty where there is none
    #[arg(long, value_name = "FILE")]
    ranks: Option<PathBuf>,
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
    /// Of an oracle, row i is dreamt with the seed N + i: rows are numbered from 0, in the order of their lines
    #[command(flatten)]
    dreaming: Dreaming,
    #[command(flatten)]
    generating: Generating,
    #[command(flatten)]
    again: Ranking,
}

const EXAMPLES: &str = "\
Examples:
  oneiro eval models/demo events.csv
  oneiro eval models/demo events.csv --held-out 0.2 --ranks ranks.csv
  oneiro eval models/demo events.csv --by popularity --k 10 --json
  oneiro eval models/demo events.csv --by oracle --guidance 2 --seed 7
  oneiro eval models/demo events.csv --by q --seen allow
  oneiro eval models/demo events.csv --by encoder --rank q --weight 0.3
  oneiro eval models/demo events.csv --held-out 0.2 --rank llm --among-titles";

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Again {
    /// They do not
    Exclude,
    /// They may
    Allow,
}

/// A share of the events that leaves some on both sides.
fn share(text: &str) -> Result<f64, String> {
    let share = text
        .parse()
        .ok()
        .filter(|share| *share > 0.0 && *share < 1.0);
    share.ok_or_else(|| "expected a share between 0 and 1".into())
}

pub fn run(arguments: &Arguments, cancel: Cancel) -> Result<(), Failure> {
    let check = |way: Way| {
        let (dreaming, generating) = (&arguments.dreaming, &arguments.generating);
        way.check(arguments.encoder.as_deref(), false, dreaming, generating)
    };
    arguments.by.map_or(Ok(()), check)?;
    let threads = match arguments.threads {
        Some(threads) => threads.into(),
        None => thread::available_parallelism().map_or(1, NonZero::get),
    };
    let bundle = wait::on("Opening the bundle", || Bundle::open(&arguments.bundle))?;
    let interactions = wait::on("Reading the interactions", || {
        Interactions::open(
            &arguments.interactions,
            bundle.catalog(),
            arguments.held_out,
            &cancel,
        )
    })?;
    let threads = threads.min(interactions.users.len()).max(1);
    // Before the evaluation, whose figures it should not cost.
    let file = arguments.ranks.as_deref().map(RanksFile::create);
    let file = file.transpose()?;
    let way = way(arguments, &bundle);
    check(way)?;
    let method = Method::of(arguments, way, &bundle);
    let asked = (method != Method::Recipe).then_some(way);
    arguments.again.check(asked, &bundle)?;
    let mut options = EngineOptions::default();
    options.graph.replicas = replicas(method, threads);
    let engine = wait::on("Opening the networks", || {
        Engine::from_bundle(bundle, &options)
    })?;
    let evaluation = Evaluation::new(arguments, &engine, (way, method), &interactions, cancel);
    let started = Instant::now();
    let ranks = wait::rows(interactions.rows(), |done| {
        evaluation.ranks(&interactions.users, threads, done)
    })?;
    let seconds = started.elapsed().as_secs_f64();
    if let Some(file) = file {
        file.write(&interactions.users, &ranks)?;
    }

    let mut cutoffs = arguments.k.clone();
    cutoffs.sort_unstable();
    cutoffs.dedup();
    let report = Report {
        by: evaluation.by_name(),
        rank: match method {
            Method::Ranked(_, judge) => Some(judge.as_str()),
            _ => None,
        },
        encoder: evaluation.encoder_name(),
        oracle: evaluation.oracle.clone(),
        q_network: evaluation.q_network.clone(),
        seen: evaluation.seen_name(),
        held_out: interactions.held_out,
        n: ranks.len(),
        unranked: ranks.iter().filter(|rank| rank.is_none()).count(),
        figures: cutoffs.iter().map(|&k| Figures::of(&ranks, k)).collect(),
        threads,
        seconds,
        rows_per_second: ranks.len() as f64 / seconds,
    };
    if arguments.json {
        output::json(&report)
    } else {
        report.print()
    }
}

/// Where the ranks go.
struct RanksFile<'a> {
    path: &'a Path,
    file: File,
}

impl<'a> RanksFile<'a> {
    fn create(path: &'a Path) -> oneiro::Result<Self> {
        let file = File::create(path).map_err(|source| failed(path, source))?;
        Ok(Self { path, file })
    }

    /// One line a row, in the order of the interactions' file. `ranks`: user by user.
    fn write(mut self, users: &[Vec<Event>], ranks: &[Option<u32>]) -> oneiro::Result<()> {
        let rows = users.iter().flatten().filter(|event| event.predicted);
        let mut lines: Vec<_> = rows.map(|row| row.line).zip(ranks).collect();
        lines.sort_unstable();
        let mut text = String::from("line,rank\n");
        for (line, rank) in lines {
            let rank = rank.map_or_else(String::new, |rank| rank.to_string());
            text += &format!("{line},{rank}\n");
        }
        let written = self.file.write_all(text.as_bytes());
        written.map_err(|source| failed(self.path, source))
    }
}

fn failed(path: &Path, source: io::Error) -> oneiro::Error {
    let path = path.into();
    oneiro::Error::Io { path, source }
}

/// The way to be measured.
fn way(arguments: &Arguments, bundle: &Bundle) -> Way {
    match (arguments.by, Way::of_recipe(bundle)) {
        (Some(way), _) => way,
        (None, _) if arguments.encoder.is_some() => Way::Encoder,
        (None, way) => way.unwrap_or(Way::Encoder),
    }
}

/// What is measured.
#[derive(Clone, Copy, PartialEq)]
enum Method {
    /// One way to retrieve.
    Way(By),
    /// Its best items, ranked once more.
    Ranked(By, value::Judge),
    /// A recipe of several steps.
    Recipe,
}

impl Method {
    fn of(arguments: &Arguments, way: Way, bundle: &Bundle) -> Self {
        match arguments.again.rank {
            Some(judge) => Self::Ranked(way.into(), judge),
            None if arguments.by.is_none() && bundle.manifest().recipe.steps.len() > 1 => {
                Self::Recipe
            }
            None => Self::Way(way.into()),
        }
    }
}

/// How many sessions each network needs, for so many threads.
fn replicas(method: Method, threads: usize) -> usize {
    match method {
        Method::Way(By::Popularity) => 1,
        _ => threads.min(MOST_REPLICAS),
    }
}

/// The most that the library takes.
const MOST_REPLICAS: usize = 1024;

/// One way of ranking, to be measured.
struct Evaluation<'a> {
    engine: &'a Engine,
    method: Method,
    /// How many items a chain gives.
    depth: usize,
    /// How it retrieves.
    way: Way,
    filter: Filter,
    seen: Seen,
    options: CallOptions,
    /// The oracle in use.
    oracle: Option<String>,
    /// The Q-network in use.
    q_network: Option<String>,
    /// The lines of the rows, rising.
    lines: Vec<u64>,
}

impl<'a> Evaluation<'a> {
    fn new(
        arguments: &Arguments,
        engine: &'a Engine,
        (way, method): (Way, Method),
        interactions: &Interactions,
        cancel: Cancel,
    ) -> Self {
        let seen = match arguments.seen {
            Some(Again::Exclude) => Seen::Exclude,
            Some(Again::Allow) => Seen::Allow,
            None => engine.manifest().seen,
        };
        let mut options = CallOptions::default();
        options.cancel = cancel;
        options.encoder.clone_from(&arguments.encoder);
        options.oracle = arguments.dreaming.sampling();
        options.generator = arguments.generating.options();
        arguments.again.apply(engine.manifest(), &mut options);
        let oracle = arguments.dreaming.name(engine.bundle());
        let q_network = arguments.again.q_network(engine.bundle());
        let cutoffs = arguments.k.iter().map(|&k| k as usize);
        // All that are ranked once more have a rank.
        let candidates = options.rank.map(|rank| rank.candidates);
        let events = interactions.users.iter().flatten();
        let rows = events.filter(|event| event.predicted);
        let mut lines: Vec<u64> = rows.map(|event| event.line).collect();
        lines.sort_unstable();
        Self {
            engine,
            method,
            depth: cutoffs.chain(candidates).max().unwrap_or_default(),
            way,
            filter: Filter::new().seen(seen),
            seen,
            options,
            oracle: oracle.filter(|_| way == Way::Oracle),
            q_network: q_network.filter(|_| {
                let by_llm = matches!(method, Method::Ranked(_, value::Judge::Llm));
                way == Way::Q || !(by_llm || matches!(method, Method::Way(_)))
            }),
            lines,
        }
    }

    /// The rank of everything that is to be predicted, user by user, by so many threads.
    fn ranks(
        &self,
        users: &[Vec<Event>],
        threads: usize,
        done: &AtomicU64,
    ) -> oneiro::Result<Vec<Option<u32>>> {
        let next = AtomicUsize::new(0);
        let work = || self.share(users, &next, done);
        let mut shares = thread::scope(|scope| {
            // A system that grants no more threads costs time, not the result.
            let others: Vec<_> = (1..threads)
                .map_while(|_| thread::Builder::new().spawn_scoped(scope, work).ok())
                .collect();
            let mut shares = vec![work()];
            for other in others {
                shares.push(
                    other
                        .join()
                        .unwrap_or_else(|cause| panic::resume_unwind(cause)),
                );
            }
            shares.into_iter().collect::<oneiro::Result<Vec<_>>>()
        })?
        .concat();
        shares.sort_unstable_by_key(|(user, _)| *user);
        Ok(shares.into_iter().flat_map(|(_, ranks)| ranks).collect())
    }

    /// The ranks of the users that one thread took, with their numbers.
    fn share(
        &self,
        users: &[Vec<Event>],
        next: &AtomicUsize,
        done: &AtomicU64,
    ) -> oneiro::Result<Vec<(usize, Vec<Option<u32>>)>> {
        let mut found = Vec::new();
        loop {
            let user = next.fetch_add(1, Ordering::Relaxed);
            let Some(events) = users.get(user) else {
                return Ok(found);
            };
            match self.user(events, done) {
                Ok(ranks) => found.push((user, ranks)),
                Err(error) => {
                    // The others need not go on.
                    next.store(users.len(), Ordering::Relaxed);
                    return Err(error);
                }
            }
        }
    }

    fn user(&self, events: &[Event], done: &AtomicU64) -> oneiro::Result<Vec<Option<u32>>> {
        let mut user = self.engine.recommender();
        let mut ranks = Vec::new();
        for event in events {
            if event.predicted {
                ranks.push(match event.item {
                    Some(item) => {
                        let options = self.options_of(event);
                        self.rank(&mut user, item, &options)?
                    }
                    None => None,
                });
                done.fetch_add(1, Ordering::Relaxed);
            }
            user.observe_items(event.item.as_slice())?;
        }
        Ok(ranks)
    }

    /// The rank of an item, as [`Recommender::rank_of`] counts.
    fn rank(
        &self,
        user: &mut Recommender,
        item: u32,
        options: &CallOptions,
    ) -> oneiro::Result<Option<u32>> {
        let filter = match self.seen {
            Seen::Allow => self.filter.clone(),
            Seen::Exclude => {
                let seen = user.history().iter().map(|event| event.item);
                let others = seen.filter(|&other| other != item);
                Filter::new().seen(Seen::Allow).exclude(others)
            }
        };
        let best = match self.method {
            Method::Way(by) => return user.rank_of(item, by, &self.filter, options),
            Method::Ranked(by, _) => user.retrieve_with(by, self.depth, &filter, options)?,
            Method::Recipe => user.recommend_with(self.depth, &filter, options)?,
        };
        let own = best.iter().find(|(other, ..)| *other == item);
        let ahead = |own| best.scores().iter().filter(|&&score| score >= own).count();
        Ok(own.and_then(|(_, own, _)| u32::try_from(ahead(own)).ok()))
    }

    /// The options of a call for one row: of an oracle, each row has its own noise.
    fn options_of(&self, row: &Event) -> Cow<'_, CallOptions> {
        match (self.way, self.lines.binary_search(&row.line)) {
            (Way::Oracle, Ok(place)) => {
                let mut options = self.options.clone();
                options.oracle.seed = options.oracle.seed.wrapping_add(place as u64);
                Cow::Owned(options)
            }
            _ => Cow::Borrowed(&self.options),
        }
    }

    fn by_name(&self) -> &'static str {
        match (self.method, self.way) {
            (Method::Recipe, _) => "recipe",
            (_, Way::Popularity) => "popularity",
            (_, Way::Oracle) => "oracle",
            (_, Way::Q) => "q",
            (_, Way::Encoder) => "encoder",
            (_, Way::Generate) => "generate",
        }
    }

    /// The encoder in use: the one asked for, the recipe's, or the first.
    fn encoder_name(&self) -> Option<String> {
        if self.way != Way::Encoder {
            return None;
        }
        let manifest = self.engine.manifest();
        let recipe = || {
            let mut steps = manifest.recipe.steps.iter();
            steps.find_map(|step| step.encoder.clone())
        };
        let first = || manifest.encoders.keys().next().cloned();
        self.options.encoder.clone().or_else(recipe).or_else(first)
    }

    fn seen_name(&self) -> &'static str {
        match self.seen {
            Seen::Exclude => "exclude",
            Seen::Allow => "allow",
        }
    }
}

/// What was measured.
#[derive(Serialize)]
struct Report {
    by: &'static str,
    rank: Option<&'static str>,
    encoder: Option<String>,
    oracle: Option<String>,
    q_network: Option<String>,
    seen: &'static str,
    held_out: Option<f64>,
    n: usize,
    unranked: usize,
    figures: Vec<Figures>,
    threads: usize,
    seconds: f64,
    rows_per_second: f64,
}

/// Means over all rows at one cutoff, with their standard errors.
#[derive(Serialize)]
struct Figures {
    k: u32,
    hr: Figure,
    ndcg: Figure,
}

#[derive(Serialize)]
struct Figure {
    mean: f64,
    error: f64,
}

impl Figures {
    fn of(ranks: &[Option<u32>], k: u32) -> Self {
        let hits = || ranks.iter().map(move |rank| rank.filter(|&rank| rank <= k));
        let gain = |rank: u32| (f64::from(rank) + 1.0).log2().recip();
        Self {
            k,
            hr: Figure::of(hits().map(|hit| hit.map_or(0.0, |_| 1.0))),
            ndcg: Figure::of(hits().map(|hit| hit.map_or(0.0, gain))),
        }
    }
}

impl Figure {
    fn of(values: impl Iterator<Item = f64> + Clone) -> Self {
        let n = values.clone().count() as f64;
        let mean = values.clone().sum::<f64>() / n;
        let squares: f64 = values.map(|value| (value - mean).powi(2)).sum();
        let variance = if n > 1.0 { squares / (n - 1.0) } else { 0.0 };
        Self {
            mean,
            error: (variance / n).sqrt(),
        }
    }
}

impl Report {
    fn print(&self) -> Result<(), Failure> {
        let networks = [&self.encoder, &self.oracle, &self.q_network];
        let mut names: Vec<&str> = networks.into_iter().flatten().map(String::as_str).collect();
        if let "popularity" | "recipe" = self.by {
            names.insert(0, self.by);
        }
        let method = names.join(", ");
        let seen = match self.seen {
            "exclude" => "seen items excluded",
            _ => "seen items allowed",
        };
        let cell = |figure: &Figure| format!("{:.4} ± {:.4}", figure.mean, figure.error);
        let mut rows = vec![["K", "HR@K", "NDCG@K"].map(String::from)];
        for Figures { k, hr, ndcg } in &self.figures {
            rows.push([k.to_string(), cell(hr), cell(ndcg)]);
        }
        output::results(|out| {
            writeln!(
                out,
                "{}, {} rows, {seen}",
                output::one_line(&method),
                self.n
            )?;
            table::write(out, "", [Side::Right, Side::Left, Side::Left], &rows)
        })?;
        if self.unranked > 0 {
            output::note(format_args!(
                "Misses because the item does not rank or is not in the catalog: {}",
                self.unranked
            ));
        }
        output::note(format_args!(
            "{:.1} s, {:.0} rows a second, {}",
            self.seconds,
            self.rows_per_second,
            output::counted(self.threads, "thread"),
        ));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_networks_need_a_session_a_thread() {
        assert_eq!(replicas(Method::Way(By::Encoder), 3), 3);
        assert_eq!(replicas(Method::Way(By::Encoder), 5000), 1024);
        assert_eq!(replicas(Method::Way(By::Popularity), 3), 1);
        assert_eq!(
            replicas(Method::Ranked(By::Popularity, value::Judge::Q), 3),
            3
        );
    }

    #[test]
    fn figures_are_those_of_the_definition() {
        let ranks = [Some(1), Some(3), Some(11), None];
        let found = Figures::of(&ranks, 10);
        assert_eq!((found.hr.mean, found.ndcg.mean), (0.5, 0.375));
        // numpy: [1, 1, 0, 0].std(ddof=1) / 2, [1, 0.5, 0, 0].std(ddof=1) / 2
        assert!((found.hr.error - 0.288_675_134_594_812_9).abs() < 1e-12);
        assert!((found.ndcg.error - 0.239_356_776_939_084_53).abs() < 1e-12);
        let one = Figures::of(&[Some(2)], 1);
        assert_eq!((one.hr.mean, one.hr.error), (0.0, 0.0));
    }
}
