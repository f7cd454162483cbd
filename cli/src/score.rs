//! `oneiro score`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use oneiro::{CallOptions, Cancel, Catalog, Engine, Judge};
use serde::Serialize;

use crate::failure::Failure;
use crate::lookup::Lookup;
use crate::ranking::{self, Named};
use crate::recommend::{Way, heading};
use crate::table::{self, Side};
use crate::{output, wait};

/// Score items of your own for a history, in their order
///
/// One line an item goes to stdout; `none` (in JSON null) stands for one that never ranks in this way. To have them
/// ranked instead, name them with `oneiro recommend --only`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// The bundle's folder
    bundle: PathBuf,
    /// The items, ids or titles
    #[arg(required = true)]
    items: Vec<String>,
    /// An item of the history, an id or a title; repeat it, the oldest first
    #[arg(long, value_name = "ITEM")]
    seen: Vec<String>,
    /// What judges them
    #[arg(long, value_enum, default_value = "encoder")]
    by: Way,
    /// The encoder to use, instead of the recipe's
    #[arg(long, value_name = "NAME")]
    encoder: Option<String>,
    /// The Q-network to use, instead of the recipe's
    #[arg(long, value_name = "NAME")]
    q_network: Option<String>,
    /// Pass over ids and titles that are not in the catalog, and report them
    #[arg(long)]
    skip_unknown: bool,
    /// Take no longer than this, in milliseconds from the call to the library
    #[arg(long, value_name = "MS")]
    deadline_ms: Option<u64>,
    /// Print one JSON object instead of lines
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  oneiro score models/demo \"The Prestige\" tt0133093 --seen Inception
  oneiro score models/demo \"The Prestige\" Up --by popularity --json";

#[derive(Serialize)]
struct Report {
    items: Vec<Scored>,
    history: Vec<Named>,
    skipped: Vec<String>,
}

#[derive(Serialize)]
struct Scored {
    #[serde(flatten)]
    item: Named,
    /// NaN is null.
    score: f32,
}

pub fn run(arguments: &Arguments, cancel: Cancel) -> Result<(), Failure> {
    if arguments.q_network.is_some() && arguments.by != Way::Q {
        return Err(Failure::Usage("--q-network goes with --by q"));
    }
    let engine = wait::on("Opening the bundle", || Engine::open(&arguments.bundle))?;
    let catalog = engine.catalog();
    let mut lookup = Lookup::new(catalog, arguments.skip_unknown);
    let items = lookup.items(&arguments.items)?;
    let history = lookup.items(&arguments.seen)?;
    let skipped = lookup.report();

    let mut options = CallOptions::default();
    options.cancel = cancel;
    options.encoder.clone_from(&arguments.encoder);
    options.q_network.name.clone_from(&arguments.q_network);
    options.deadline = arguments.deadline_ms.map(Duration::from_millis);
    let judge = match arguments.by {
        Way::Encoder => Judge::Encoder,
        Way::Popularity => Judge::Popularity,
        Way::Q => Judge::QNetwork,
        Way::Oracle => return Err(Failure::Usage("--by oracle retrieves and does not judge")),
        Way::Generate => {
            return Err(Failure::Usage("--by generate retrieves and does not judge"));
        }
    };
    let mut user = engine.recommender();
    user.observe_items(&history)?;
    let scores = wait::on("Scoring", || user.score(judge, &items, &options))?;

    if arguments.json {
        let scored = items.iter().zip(scores).map(|(&item, score)| {
            let item = Named::new(catalog, item)?;
            Ok(Scored { item, score })
        });
        output::json(&Report {
            items: scored.collect::<oneiro::Result<_>>()?,
            history: Named::all(catalog, &history)?,
            skipped,
        })?;
        return Ok(());
    }
    if !history.is_empty() {
        output::note(format_args!("After: {}", heading(catalog, &history)?));
    }
    print(catalog, &items, &scores, judge == Judge::Popularity)
}

fn print(catalog: &Catalog, items: &[u32], scores: &[f32], counted: bool) -> Result<(), Failure> {
    let rows = items
        .iter()
        .zip(scores)
        .map(|(&item, &score)| {
            Ok([
                ranking::name(catalog, item)?,
                ranking::shown(score, counted),
            ])
        })
        .collect::<oneiro::Result<Vec<_>>>()?;
    output::results(|out| table::write(out, "", [Side::Left, Side::Right], &rows))?;
    Ok(())
}
