//! `oneiro recommend`.

use std::path::PathBuf;
use std::time::Instant;

use clap::{Args, ValueEnum};
use oneiro::{
    Bundle, By, CallOptions, Cancel, Catalog, Engine, Origin, RankEntry, Ranking, RetrieveEntry,
    Seen,
};

use crate::arrangement::Arranging;
use crate::choice::Choice;
use crate::failure::Failure;
use crate::generating::Generating;
use crate::index::{self, Approximate};
use crate::lookup::Lookup;
use crate::oracle::Dreaming;
use crate::ranking::{self, Report};
use crate::value::Ranking as Again;
use crate::{output, wait};

/// Recommend the next items for a history
///
/// Follows the bundle's recipe unless --by says otherwise. Items go to stdout, one line each; what else there is to
/// say goes to stderr.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// The bundle's folder
    bundle: PathBuf,
    /// An item of the history, an id or a title; repeat it, the oldest first
    #[arg(long, value_name = "ITEM")]
    seen: Vec<String>,
    /// How many items
    #[arg(short = 'k', long, value_name = "K", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
    /// The way to retrieve, instead of the bundle's recipe
    #[arg(long, value_enum)]
    by: Option<Way>,
    /// The encoder to use, instead of the recipe's
    #[arg(long, value_name = "NAME")]
    encoder: Option<String>,
    /// Threads that share the scan over the catalog; the ranking does not depend on it
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: u16,
    /// Pass over ids and titles that are not in the catalog, and report them
    #[arg(long)]
    skip_unknown: bool,
    /// Print one JSON object instead of lines
    #[arg(long)]
    json: bool,
    /// Tell on stderr how long each step took
    #[arg(long)]
    timing: bool,
    /// Items of the history may come again, whatever the bundle says
    #[arg(
        long,
        conflicts_with = "exclude_seen",
        help_heading = "Which items may come"
    )]
    allow_seen: bool,
    /// Items of the history do not come again, whatever the bundle says
    #[arg(long, help_heading = "Which items may come")]
    exclude_seen: bool,
    #[command(flatten)]
    approximate: Approximate,
    #[command(flatten)]
    choice: Choice,
    #[command(flatten)]
    arranging: Arranging,
    #[command(flatten)]
    dreaming: Dreaming,
    #[command(flatten)]
    generating: Generating,
    #[command(flatten)]
    again: Again,
}

const EXAMPLES: &str = "\
Examples:
  oneiro recommend models/demo --seen Inception --seen tt0137523
  oneiro recommend models/demo --seen \"The Matrix\" -k 5 --tag genres=Comedy --between year=1990..1999
  oneiro recommend models/demo --seen Inception --diversity 0.7 --cap genres=4 --pin \"Blade Runner@2\"
  oneiro recommend models/demo --by popularity --json
  oneiro recommend models/demo --seen Inception --by oracle --guidance 2 --seed 7
  oneiro recommend models/demo --seen Inception --by encoder --rank q --weight 0.3
  oneiro recommend models/demo --seen Inception --seen Heat --rank llm";

/// A way to retrieve.
#[derive(Clone, Copy, PartialEq, ValueEnum)]
pub enum Way {
    /// What fits the history best by a sequence encoder
    Encoder,
    /// What most people chose
    Popularity,
    /// What is nearest to an ideal item that a diffusion model dreams up for the history
    Oracle,
    /// What is worth most in the long run, by a Q-network
    Q,
    /// What is nearest to the title that a language model writes when it is told of the history
    Generate,
}

impl From<Way> for By {
    fn from(way: Way) -> Self {
        match way {
            Way::Encoder => Self::Encoder,
            Way::Popularity => Self::Popularity,
            Way::Oracle => Self::Oracle,
            Way::Q => Self::QNetwork,
            Way::Generate => Self::Generate,
        }
    }
}

impl Way {
    /// The first one of a bundle's recipe.
    pub fn of_recipe(bundle: &Bundle) -> Option<Self> {
        Some(match bundle.manifest().recipe.steps.first()?.retrieve? {
            RetrieveEntry::Encoder => Self::Encoder,
            RetrieveEntry::Popularity => Self::Popularity,
            RetrieveEntry::Oracle => Self::Oracle,
            RetrieveEntry::QNetwork => Self::Q,
            RetrieveEntry::Generate => Self::Generate,
        })
    }

    /// Fails if options are given that this way does not look at.
    pub fn check(
        self,
        encoder: Option<&str>,
        approximate: bool,
        dreaming: &Dreaming,
        generating: &Generating,
    ) -> Result<(), Failure> {
        let misplaced = match self {
            Self::Popularity if encoder.is_some() => "--encoder does not go with --by popularity",
            Self::Popularity if approximate => "--approximate does not go with --by popularity",
            way if way != Self::Oracle && dreaming.is_wanted() => {
                "the options of an oracle go with --by oracle"
            }
            way if way != Self::Generate && generating.is_wanted() => {
                "the options of a generator go with --by generate"
            }
            Self::Oracle if encoder.is_some() => {
                "--encoder does not go with --by oracle, which has its own"
            }
            Self::Q if encoder.is_some() => "--encoder does not go with --by q, which has its own",
            _ => return Ok(()),
        };
        Err(Failure::Usage(misplaced))
    }
}

/// How much of a long history the heading shows.
const SHOWN: usize = 8;

pub fn run(arguments: &Arguments, cancel: Cancel) -> Result<(), Failure> {
    let check = |way: Way| {
        let encoder = arguments.encoder.as_deref();
        way.check(
            encoder,
            arguments.approximate.is_wanted(),
            &arguments.dreaming,
            &arguments.generating,
        )
    };
    arguments.by.map_or(Ok(()), check)?;
    let opening = Instant::now();
    let engine = wait::on("Opening the bundle", || Engine::open(&arguments.bundle))?;
    let opening = opening.elapsed();
    let catalog = engine.catalog();

    let mut lookup = Lookup::new(catalog, arguments.skip_unknown);
    let history = lookup.items(&arguments.seen)?;
    let mut filter = arguments.choice.filter(&mut lookup)?;
    if arguments.allow_seen {
        filter = filter.seen(Seen::Allow);
    } else if arguments.exclude_seen {
        filter = filter.seen(Seen::Exclude);
    }
    let mut options = CallOptions::default();
    options.cancel = cancel;
    options.threads = arguments.threads.into();
    options.encoder.clone_from(&arguments.encoder);
    options.oracle = arguments.dreaming.sampling();
    options.generator = arguments.generating.options();
    arguments.again.apply(engine.manifest(), &mut options);
    let way = arguments.by.or_else(|| Way::of_recipe(engine.bundle()));
    let dreams = arguments.dreaming.is_wanted() && way != Some(Way::Oracle);
    let generates = arguments.generating.is_wanted() && way != Some(Way::Generate);
    if dreams || generates {
        way.map_or(Ok(()), check)?;
    }
    arguments.again.check(arguments.by, engine.bundle())?;
    if arguments.approximate.is_wanted() && way == Some(Way::Q) {
        let name = arguments.again.q_network(engine.bundle());
        let entry = name.and_then(|name| engine.manifest().q_networks.get(&name));
        if entry.is_some_and(|entry| entry.output.is_none()) {
            let misplaced =
                "--approximate does not go with a Q-network that values all items itself";
            return Err(Failure::Usage(misplaced));
        }
    }
    let oracle = arguments.dreaming.name(engine.bundle());
    let q_network = arguments.again.q_network(engine.bundle());
    let generator = arguments.generating.name(engine.bundle());
    let space = match (way, &oracle, &q_network) {
        (Some(Way::Oracle), Some(name), _) => {
            let entry = engine.manifest().oracles.get(name);
            entry.map(|entry| entry.output.as_str())
        }
        (Some(Way::Q), _, Some(name)) => {
            let entry = engine.manifest().q_networks.get(name);
            entry.and_then(|entry| entry.output.as_deref())
        }
        (Some(Way::Generate), ..) => {
            let entry = generator.and_then(|name| engine.manifest().generators.get(&name));
            entry.map(|entry| entry.space.as_str())
        }
        _ => index::scored_space(engine.bundle(), arguments.encoder.as_deref()),
    };
    options.probes = arguments.approximate.probes(engine.bundle(), space);
    let mut user = engine.recommender();
    user.observe_items(&history)?;
    let boosts = arguments
        .arranging
        .apply(&mut lookup, &mut user, &mut options)?;
    let skipped = lookup.report();
    let count = arguments.count as usize;
    // What ranks once more takes the place of the recipe's own steps that rank.
    let by = arguments
        .by
        .or(way.filter(|_| arguments.again.rank.is_some()));
    let ranking = wait::on("Recommending", || match by {
        None => user.recommend_with(count, &filter, &options),
        Some(way) => user.retrieve_with(way.into(), count, &filter, &options),
    })?;

    if arguments.json {
        output::json(&Report::new(catalog, &ranking, &history, skipped, &boosts)?)?;
    } else {
        if !history.is_empty() {
            output::note(format_args!("After: {}", heading(catalog, &history)?));
        }
        if arguments.by.is_none()
            && arguments.again.rank.is_none()
            && ranking.stopped_after().is_none()
            && let Some(origin) = other_way(&engine, &ranking)
        {
            let reason = if history.is_empty() {
                "there is no history"
            } else {
                "the encoder knows none of these"
            };
            output::note(format_args!("By {origin}: {reason}."));
        }
        ranking::print(catalog, &ranking, count)?;
    }
    if arguments.timing {
        ranking::print_times(opening, &ranking);
    }
    Ok(())
}

/// The end of a history, by name.
pub fn heading(catalog: &Catalog, history: &[u32]) -> oneiro::Result<String> {
    let earlier = history.len().saturating_sub(SHOWN);
    let mut names = Vec::new();
    if earlier > 0 {
        names.push(format!("{earlier} others"));
    }
    for &item in &history[earlier..] {
        names.push(ranking::name(catalog, item)?);
    }
    Ok(names.join(", "))
}

/// Where a ranking comes from, if that is not what the recipe ends with.
fn other_way(engine: &Engine, ranking: &Ranking) -> Option<Origin> {
    let last = engine.manifest().recipe.steps.last()?.rank;
    let usual = match Way::of_recipe(engine.bundle())? {
        _ if last == Some(RankEntry::QNetwork) => Origin::QNetwork,
        _ if last == Some(RankEntry::LanguageModel) => Origin::LanguageModel,
        Way::Encoder => Origin::Encoder,
        Way::Popularity => Origin::Popularity,
        Way::Oracle => Origin::Oracle,
        Way::Q => Origin::QNetwork,
        Way::Generate => Origin::Generate,
    };
    let chosen = |origin: &&Origin| **origin != Origin::Pinned;
    let origin = ranking.origins().iter().find(chosen).copied();
    origin.filter(|&origin| origin != usual)
}
