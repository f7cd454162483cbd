//! `oneiro bench`.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use oneiro::{By, CallOptions, Cancel, Engine, Error, Filter, Judge, Recommender};
use serde::Serialize;

use crate::failure::Failure;
use crate::oracle::Dreaming;
use crate::table::{self, Side};
use crate::{output, value, wait};

/// Measure how long a bundle's answers take on this machine
///
/// Each verb is called again and again by one caller, for one made-up user after the other: open (the bundle and its
/// graphs), state (a history in, the encoder's state out), recommend (a history in, the recipe's ranking out),
/// retrieve (the same in one way), rank (200 candidates by a Q-network; by a language model as many as it was trained
/// with), similar (the neighbours of an item) and batch (recommend for all users in one call). A tenth of the time warms up and is not counted. What the bundle does not have is left out.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// The bundle's folder
    bundle: PathBuf,
    /// How many made-up users; a batch is all of them
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    users: u32,
    /// How many items each of them has seen; the longest window of the encoders if not given
    #[arg(long, value_name = "L", value_parser = clap::value_parser!(u32).range(..=100_000))]
    history: Option<u32>,
    /// How many items are asked for
    #[arg(short = 'k', long, value_name = "K", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
    /// Threads that share the scan over the catalog
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: u16,
    /// How long each verb is measured; at least ten calls are
    #[arg(long, value_name = "S", default_value_t = 1.0)]
    seconds: f64,
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    dreaming: Dreaming,
}

const EXAMPLES: &str = "\
Examples:
  oneiro bench models/demo
  oneiro bench models/demo --users 256 --threads 2 --seconds 5 --json";

/// Calls that are measured at least, and warm up at least.
const LEAST: usize = 10;
const LEAST_WARM: usize = 3;

pub fn run(arguments: &Arguments, cancel: Cancel) -> Result<(), Failure> {
    if !(arguments.seconds >= 0.0 && arguments.seconds <= 3600.0) {
        return Err(Failure::Usage("--seconds takes a number from 0 to 3600"));
    }
    let started = Instant::now();
    let engine = wait::on("Opening the bundle", || Engine::open(&arguments.bundle))?;
    let first_open = started.elapsed();
    if let Some(oracle) = &arguments.dreaming.sampling().name {
        engine.bundle().diffusion(oracle)?;
    }
    let bench = Bench::new(arguments, &engine, cancel);

    let mut verbs = Vec::new();
    for verb in [
        Verb::Open,
        Verb::State,
        Verb::Recommend,
        Verb::Retrieve(By::Encoder),
        Verb::Retrieve(By::Oracle),
        Verb::Retrieve(By::QNetwork),
        Verb::Retrieve(By::Generate),
        Verb::Retrieve(By::Popularity),
        Verb::Rank(Judge::QNetwork),
        Verb::Rank(Judge::LanguageModel),
        Verb::Similar,
        Verb::Batch,
    ] {
        match wait::on(verb.name(), || bench.measure(verb)) {
            Ok(times) => verbs.push(Figures::of(verb.name(), times)),
            Err(Error::Unsupported { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let report = Report {
        items: engine.catalog().len(),
        users: bench.histories.len(),
        history: bench.histories.first().map_or(0, Vec::len),
        count: arguments.count,
        threads: arguments.threads,
        first_open_ms: milliseconds(first_open),
        verbs,
    };
    if arguments.json {
        output::json(&report)
    } else {
        report.print()
    }
}

#[derive(Clone, Copy)]
enum Verb {
    Open,
    State,
    Recommend,
    Retrieve(By),
    Rank(Judge),
    Similar,
    Batch,
}

impl Verb {
    fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::State => "state",
            Self::Recommend => "recommend",
            Self::Retrieve(By::Popularity) => "retrieve by popularity",
            Self::Retrieve(By::Oracle) => "retrieve by oracle",
            Self::Retrieve(By::QNetwork) => "retrieve by Q",
            Self::Retrieve(By::Generate) => "retrieve by generate",
            Self::Retrieve(_) => "retrieve by encoder",
            Self::Rank(Judge::LanguageModel) => "rank by LLM",
            Self::Rank(_) => "rank by Q",
            Self::Similar => "similar",
            Self::Batch => "batch",
        }
    }
}

struct Bench<'a> {
    arguments: &'a Arguments,
    engine: &'a Engine,
    histories: Vec<Vec<u32>>,
    options: CallOptions,
}

impl<'a> Bench<'a> {
    fn new(arguments: &'a Arguments, engine: &'a Engine, cancel: Cancel) -> Self {
        let encoders = engine.manifest().encoders.values();
        let window = encoders.map(|encoder| encoder.window).max().unwrap_or(0);
        let length = arguments.history.unwrap_or(window) as usize;
        let mut items = Items::new(engine.catalog().len());
        let histories = (0..arguments.users).map(|_| items.by_ref().take(length).collect());
        let mut options = CallOptions::default();
        options.cancel = cancel;
        options.threads = arguments.threads.into();
        options.oracle = arguments.dreaming.sampling();
        Self {
            arguments,
            engine,
            histories: histories.collect(),
            options,
        }
    }

    /// The times of the calls, after those that warm up.
    fn measure(&self, verb: Verb) -> oneiro::Result<Vec<Duration>> {
        let count = self.arguments.count as usize;
        let filter = Filter::default();
        let (engine, options) = (self.engine, &self.options);
        let mut user = engine.recommender();
        let mut users: Vec<Recommender> = self
            .histories
            .iter()
            .map(|_| engine.recommender())
            .collect();
        let mut turn = self.histories.iter().cycle();
        let mut items = Items::new(engine.catalog().len());
        let mut history = || turn.next().map_or(&[][..], Vec::as_slice);
        match verb {
            Verb::Open => self.repeat(|| {
                let started = Instant::now();
                let engine = Engine::open(&self.arguments.bundle)?;
                let time = started.elapsed();
                drop(engine);
                Ok(time)
            }),
            Verb::State => self.repeat(|| {
                timed(|| {
                    observe(&mut user, history())?;
                    user.state(options)
                })
            }),
            Verb::Recommend => self.repeat(|| {
                timed(|| {
                    observe(&mut user, history())?;
                    user.recommend_with(count, &filter, options)
                })
            }),
            Verb::Retrieve(by) => self.repeat(|| {
                timed(|| {
                    observe(&mut user, history())?;
                    user.retrieve_with(by, count, &filter, options)
                })
            }),
            Verb::Rank(judge) => {
                let manifest = engine.manifest();
                let trained = value::usual_prompt(manifest);
                let trained = trained.and_then(|name| manifest.prompts.get(name));
                let most = match judge {
                    Judge::LanguageModel => {
                        trained.and_then(|prompt| prompt.candidates).unwrap_or(0)
                    }
                    _ => u32::try_from(value::CANDIDATES).unwrap_or(u32::MAX),
                };
                let candidates: Vec<u32> = (0..engine.catalog().len().min(most)).collect();
                self.repeat(|| {
                    timed(|| {
                        observe(&mut user, history())?;
                        user.rank_with(judge, &candidates, count, &filter, options)
                    })
                })
            }
            Verb::Similar => {
                let name = engine.manifest().similar.as_deref();
                let space = name.map(|name| engine.bundle().space(name)).transpose()?;
                let is_warm = |item: &u32| space.is_none_or(|space| !space.is_cold(*item));
                self.repeat(|| {
                    let item = items.by_ref().take(1000).find(is_warm).unwrap_or(0);
                    timed(|| user.similar_with(item, count, &filter, options))
                })
            }
            Verb::Batch => self.repeat(|| {
                timed(|| {
                    for (user, history) in users.iter_mut().zip(&self.histories) {
                        observe(user, history)?;
                    }
                    engine.recommend_batch(&mut users, count, &filter, options)
                })
            }),
        }
    }

    fn repeat(
        &self,
        mut call: impl FnMut() -> oneiro::Result<Duration>,
    ) -> oneiro::Result<Vec<Duration>> {
        let mut calls = |seconds: f64, least: usize| {
            let started = Instant::now();
            let mut times = Vec::new();
            while times.len() < least || started.elapsed().as_secs_f64() < seconds {
                if self.options.cancel.is_requested() {
                    return Err(Error::Cancelled);
                }
                times.push(call()?);
            }
            Ok(times)
        };
        calls(self.arguments.seconds / 10.0, LEAST_WARM)?;
        calls(self.arguments.seconds, LEAST)
    }
}

fn observe(user: &mut Recommender, history: &[u32]) -> oneiro::Result<()> {
    user.forget();
    user.observe_items(history)
}

fn timed<T>(call: impl FnOnce() -> oneiro::Result<T>) -> oneiro::Result<Duration> {
    let started = Instant::now();
    let result = call()?;
    let time = started.elapsed();
    drop(result);
    Ok(time)
}

/// Items of a catalog without end, seeded: the same on every machine (a linear congruential generator, its high bits).
struct Items {
    len: u32,
    state: u64,
}

impl Items {
    fn new(len: u32) -> Self {
        Self { len, state: 1 }
    }
}

impl Iterator for Items {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let next = self.state.wrapping_mul(6_364_136_223_846_793_005);
        self.state = next.wrapping_add(1_442_695_040_888_963_407);
        u32::try_from((self.state >> 32) % u64::from(self.len.max(1))).ok()
    }
}

/// What was measured.
#[derive(Serialize)]
struct Report {
    items: u32,
    users: usize,
    history: usize,
    count: u32,
    threads: u16,
    /// The very first, which loads ONNX Runtime and reads the files.
    first_open_ms: f64,
    verbs: Vec<Figures>,
}

#[derive(Serialize)]
struct Figures {
    verb: &'static str,
    calls: usize,
    mean_ms: f64,
    p50_ms: f64,
    p90_ms: f64,
    p99_ms: f64,
}

impl Figures {
    /// A percentile is the time that so many in a hundred calls do not exceed.
    fn of(verb: &'static str, mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let calls = times.len();
        let at = |percent: usize| {
            let rank = (calls * percent).div_ceil(100).max(1);
            times.get(rank - 1).copied().map_or(0.0, milliseconds)
        };
        Self {
            verb,
            calls,
            mean_ms: times.iter().copied().map(milliseconds).sum::<f64>() / calls.max(1) as f64,
            p50_ms: at(50),
            p90_ms: at(90),
            p99_ms: at(99),
        }
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

impl Report {
    fn print(&self) -> Result<(), Failure> {
        let mut rows = vec![["ms", "mean", "p50", "p90", "p99", "calls"].map(String::from)];
        for figures in &self.verbs {
            let [mean, p50, p90, p99] = [
                figures.mean_ms,
                figures.p50_ms,
                figures.p90_ms,
                figures.p99_ms,
            ]
            .map(|ms| format!("{ms:.3}"));
            rows.push([
                figures.verb.into(),
                mean,
                p50,
                p90,
                p99,
                figures.calls.to_string(),
            ]);
        }
        output::results(|out| {
            let mut sides = [Side::Right; 6];
            sides[0] = Side::Left;
            table::write(out, "", sides, &rows)
        })?;
        output::note(format_args!(
            "{} items, the best {}; histories of {}; {} users in a batch; {} for a scan; the first open took {:.1} ms.",
            self.items,
            self.count,
            self.history,
            self.users,
            if self.threads == 1 {
                "1 thread".into()
            } else {
                format!("{} threads", self.threads)
            },
            self.first_open_ms,
        ));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_times_that_occurred() {
        let times = (1..=200).rev().map(Duration::from_millis).collect();
        let found = Figures::of("open", times);
        assert_eq!((found.calls, found.mean_ms), (200, 100.5));
        assert_eq!(
            (found.p50_ms, found.p90_ms, found.p99_ms),
            (100.0, 180.0, 198.0)
        );
        let one = Figures::of("open", vec![Duration::from_millis(3)]);
        assert_eq!((one.p50_ms, one.p99_ms), (3.0, 3.0));
    }

    #[test]
    fn made_up_items_are_of_the_catalog_and_differ() {
        let items: Vec<u32> = Items::new(40).take(1000).collect();
        assert!(items.iter().all(|item| *item < 40));
        assert!((0..40).all(|item| items.contains(&item)));
    }
}
