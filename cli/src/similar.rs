//! `oneiro similar`.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use oneiro::{CallOptions, Cancel, Engine};

use crate::arrangement::Arranging;
use crate::choice::Choice;
use crate::failure::Failure;
use crate::index::Approximate;
use crate::lookup::Lookup;
use crate::ranking::{self, Report};
use crate::{output, wait};

/// List the items most like one item
///
/// By the space that the bundle names for it.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// The bundle's folder
    bundle: PathBuf,
    /// The item, an id or a title
    item: String,
    /// How many items
    #[arg(short = 'k', long, value_name = "K", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
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
    #[command(flatten)]
    approximate: Approximate,
    #[command(flatten)]
    choice: Choice,
    #[command(flatten)]
    arranging: Arranging,
}

const EXAMPLES: &str = "\
Examples:
  oneiro similar models/demo Inception
  oneiro similar models/demo tt1375666 -k 5 --between year=2000.. --json";

pub fn run(arguments: &Arguments, cancel: Cancel) -> Result<(), Failure> {
    let opening = Instant::now();
    let engine = wait::on("Opening the bundle", || Engine::open(&arguments.bundle))?;
    let opening = opening.elapsed();
    let catalog = engine.catalog();

    let item = catalog.resolve(&arguments.item)?;
    let mut lookup = Lookup::new(catalog, arguments.skip_unknown);
    let filter = arguments.choice.filter(&mut lookup)?;
    let mut options = CallOptions::default();
    options.cancel = cancel;
    options.threads = arguments.threads.into();
    let space = engine.manifest().similar.as_deref();
    options.probes = arguments.approximate.probes(engine.bundle(), space);
    let mut user = engine.recommender();
    let boosts = arguments
        .arranging
        .apply(&mut lookup, &mut user, &mut options)?;
    let skipped = lookup.report();
    let count = arguments.count as usize;
    let ranking = wait::on("Comparing", || {
        user.similar_with(item, count, &filter, &options)
    })?;

    if arguments.json {
        output::json(&Report::new(catalog, &ranking, &[item], skipped, &boosts)?)?;
    } else {
        output::note(format_args!("Like: {}", ranking::name(catalog, item)?));
        ranking::print(catalog, &ranking, count)?;
    }
    if arguments.timing {
        ranking::print_times(opening, &ranking);
    }
    Ok(())
}
