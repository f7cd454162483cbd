//! `oneiro interpret`.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use oneiro::{CallOptions, Cancel, Engine, Question};
use serde::Serialize;

use crate::failure::Failure;
use crate::lookup::Lookup;
use crate::oracle::Dreaming;
use crate::ranking::{self, Report};
use crate::{output, wait};

/// Say in titles what a recommender knows of a history
///
/// A language model reads the state that an encoder has of it, or an ideal item that an oracle dreams up for it, and names
/// items: without more options those that it takes to be in the history. Items go to stdout, one line each, with the
/// log-probability of their titles.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// The bundle's folder
    bundle: PathBuf,
    /// An item of the history, an id or a title; repeat it, the oldest first
    #[arg(long, value_name = "ITEM")]
    seen: Vec<String>,
    /// Name instead what comes behind the history, from the states before and after this item
    #[arg(long, value_name = "ITEM", conflicts_with_all = ["dream", "dream_as_item"])]
    residual: Option<String>,
    /// Name instead what an oracle dreams of, from the states before and after its ideal item
    #[arg(long, conflicts_with = "dream_as_item")]
    dream: bool,
    /// Name instead what an oracle dreams of, from its ideal item alone
    #[arg(long)]
    dream_as_item: bool,
    /// Say instead why this item is recommended, and list what of the history raises its score
    #[arg(long, value_name = "ITEM", conflicts_with_all = ["residual", "dream", "dream_as_item"])]
    explain: Option<String>,
    /// How many titles at most
    #[arg(short = 'k', long, value_name = "K", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=256))]
    count: u16,
    /// The interpreter or explainer to ask, instead of the first
    #[arg(long, value_name = "NAME")]
    interpreter: Option<String>,
    /// Write the answer as a text, as it comes, instead of lines
    #[arg(long, conflicts_with = "json")]
    text: bool,
    /// End a list after so long with the titles that there are
    #[arg(long, value_name = "MS")]
    deadline_ms: Option<u64>,
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
    dreaming: Dreaming,
}

const EXAMPLES: &str = "\
Examples:
  oneiro interpret models/tiny-lm --seen Nightjar --seen Glass...
  oneiro interpret models/tiny-lm --seen Nightjar --residual Kites --text
  oneiro interpret models/tiny-lm --seen Nightjar --seen Glass... --explain Kites
  oneiro interpret models/tiny-lm --seen Nightjar --dream --sampler mean --json";

/// The answer as JSON.
#[derive(Serialize)]
struct Answer {
    text: String,
    #[serde(flatten)]
    report: Report,
}

impl Arguments {
    fn question(&self, item: Option<u32>) -> Question {
        match item {
            Some(item) if self.explain.is_some() => Question::Explain(item),
            Some(item) => Question::Residual(item),
            None if self.dream => Question::Dream,
            None if self.dream_as_item => Question::DreamAsItem,
            None => Question::Recover,
        }
    }
}

pub fn run(arguments: &Arguments, cancel: Cancel) -> Result<(), Failure> {
    let dreams = arguments.dream || arguments.dream_as_item;
    if arguments.dreaming.is_wanted() && !dreams {
        let reason = "the options of an oracle go with --dream and --dream-as-item";
        return Err(Failure::Usage(reason));
    }
    let opening = Instant::now();
    let engine = wait::on("Opening the bundle", || Engine::open(&arguments.bundle))?;
    let opening = opening.elapsed();
    let catalog = engine.catalog();
    let mut lookup = Lookup::new(catalog, arguments.skip_unknown);
    let history = lookup.items(&arguments.seen)?;
    let item = arguments.residual.as_deref();
    let item = item.or(arguments.explain.as_deref());
    let item = item.map(|item| catalog.resolve(item)).transpose()?;
    let skipped = lookup.report();

    let button = cancel.clone();
    let mut options = CallOptions::default();
    options.cancel = cancel;
    options.interpreter.clone_from(&arguments.interpreter);
    options.deadline = arguments.deadline_ms.map(Duration::from_millis);
    options.oracle = arguments.dreaming.sampling();
    let mut user = engine.recommender();
    user.observe_items(&history)?;
    let (question, count) = (arguments.question(item), arguments.count.into());
    let mut failed: Option<io::Error> = None;
    let mut text = String::new();
    let outcome = user.interpret_with(question, count, &options, &mut |piece| {
        text.push_str(piece);
        if arguments.text && failed.is_none() {
            failed = write(&output::plain(piece)).err();
            if failed.is_some() {
                button.request();
            }
        }
    });
    if arguments.text && failed.is_none() && !text.is_empty() {
        failed = write("\n").err();
    }
    if let Some(error) = failed {
        return Err(error.into());
    }
    let named = outcome?;
    if arguments.json {
        let boosts = BTreeMap::new();
        let report = Report::new(catalog, &named, &history, skipped, &boosts)?;
        output::json(&Answer { text, report })?;
    } else if arguments.text {
        ranking::note_deadline(&named);
    } else if !named.is_empty() {
        if arguments.explain.is_some() && !text.is_empty() {
            output::note(format_args!("{}", output::plain(&text)));
        }
        ranking::print(catalog, &named, named.len())?;
    }
    if arguments.timing {
        ranking::print_times(opening, &named);
    }
    Ok(())
}

/// Writes a piece at once.
fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
