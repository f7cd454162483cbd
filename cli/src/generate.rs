//! `oneiro generate`.

use std::fmt::Display;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use oneiro::{
    Among, Bundle, Cancel, Ended, Engine, EngineOptions, GenerateOptions, Generated, GraphOptions,
    LanguageModel, Prompt, TitleOptions,
};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::ranking::{Named, name};
use crate::table::{self, Side};
use crate::{output, wait};

/// Continue a text with a language model of a bundle
///
/// The text goes to stdout as it comes. The same model and the same seed write the same text.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// The bundle's folder
    bundle: PathBuf,
    /// The text to continue
    #[arg(long, value_name = "TEXT")]
    prompt: String,
    /// The language model to use, instead of the first
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// Write with an adapter of the bundle
    #[arg(long, value_name = "NAME")]
    adapter: Option<String>,
    /// Instead of a text, the N titles of the catalog that are likeliest to come next, by a beam search
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..),
          conflicts_with_all = ["tokens", "temperature", "top_k", "top_p", "seed", "stop", "logprobs"])]
    titles: Option<u8>,
    /// Let titles compete with titles only, not with all else that could be written
    #[arg(long, requires = "titles")]
    among_titles: bool,
    /// How many tokens at most
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..))]
    tokens: u32,
    /// How freely tokens are drawn; 0 always takes the likeliest
    #[arg(long, value_name = "T", default_value_t = 0.0)]
    temperature: f32,
    /// Draw only among so many of the likeliest tokens
    #[arg(long, value_name = "N")]
    top_k: Option<usize>,
    /// Draw only among the likeliest tokens whose chances add up to so much, up to 1
    #[arg(long, value_name = "P")]
    top_p: Option<f32>,
    /// What is drawn is made from it
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// A text that ends what is written, and is not part of it; repeat it for several
    #[arg(long, value_name = "TEXT")]
    stop: Vec<String>,
    /// Threads that share the work
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: u16,
    /// End after so long with what there is
    #[arg(long, value_name = "MS")]
    deadline_ms: Option<u64>,
    /// Print one JSON object at the end instead of the text as it comes
    #[arg(long)]
    json: bool,
    /// Tell in the JSON how likely each token was, as the logarithm of its chance, and which N were the likeliest, best
    /// first; the text is read once more for it
    #[arg(long, value_name = "N", requires = "json")]
    logprobs: Option<usize>,
    /// Tell on stderr how long it took
    #[arg(long)]
    timing: bool,
}

const EXAMPLES: &str = "\
Examples:
  oneiro generate models/tiny-lm --prompt \"After Nightjar people like \" --tokens 20
  oneiro generate models/tiny-lm --prompt Once --temperature 0.8 --top-p 0.95 --seed 7
  oneiro generate models/tiny-lm --prompt Once --tokens 5 --json --logprobs 3
  oneiro generate models/tiny-lm --prompt \"After Nightjar people like \" --titles 5";

/// When the first text came, and why no more went out.
#[derive(Default)]
struct Progress {
    first: Option<Duration>,
    failed: Option<io::Error>,
    /// Whether the last line is not ended.
    open: bool,
}

pub fn run(arguments: &Arguments, cancel: Cancel) -> Result<(), Failure> {
    let opening = Instant::now();
    let engine = wait::on("Opening the bundle", || open(arguments))?;
    let opening = opening.elapsed();
    let mut model = engine.language_model(arguments.model.as_deref())?;
    model.adapt(arguments.adapter.as_deref())?;
    let prompt = Prompt::new().text(arguments.prompt.as_str());
    if let Some(count) = arguments.titles {
        let took = titles(arguments, &mut model, &prompt, count.into(), cancel)?;
        if arguments.timing {
            let [opening, took] = [opening, took].map(|time| time.as_secs_f64() * 1e3);
            output::note(format_args!(
                "opened in {opening:.1} ms; titles after {took:.1} ms"
            ));
        }
        return Ok(());
    }
    let button = cancel.clone();
    let options = options(arguments, cancel);
    let writing = Instant::now();
    let mut progress = Progress::default();
    let outcome = model.generate(&prompt, &options, &mut |text| {
        progress.first.get_or_insert_with(|| writing.elapsed());
        if arguments.json || progress.failed.is_some() {
            return;
        }
        progress.open = !text.ends_with('\n');
        if let Err(error) = write(&shown(text)) {
            progress.failed = Some(error);
            button.request();
        }
    });
    let took = writing.elapsed();
    if progress.open && progress.failed.is_none() {
        progress.failed = write(&"\n").err();
    }
    if let Some(error) = progress.failed {
        return Err(error.into());
    }
    let written = outcome?;
    if arguments.json {
        let (text, tokens, ended) = (&written.text, &written.tokens, reason(written.ended));
        let mut report = json!({ "text": text, "tokens": tokens, "ended": ended });
        if let Some(count) = arguments.logprobs {
            report["logprobs"] = logprobs(&mut model, prompt, tokens, count, &options.cancel)?;
        }
        output::json(&report)?;
    }
    if arguments.timing {
        print_times(opening, progress.first.unwrap_or(took), took, &written);
    }
    Ok(())
}

fn open(arguments: &Arguments) -> oneiro::Result<Engine> {
    let mut options = EngineOptions::default();
    options.graph = GraphOptions::default();
    options.graph.threads = arguments.threads.into();
    Engine::from_bundle(Bundle::open(&arguments.bundle)?, &options)
}

fn options(arguments: &Arguments, cancel: Cancel) -> GenerateOptions {
    let mut options = GenerateOptions::default();
    options.tokens = arguments.tokens as usize;
    options.temperature = arguments.temperature;
    options.top_k = arguments.top_k;
    options.top_p = arguments.top_p.unwrap_or(options.top_p);
    options.seed = arguments.seed;
    options.stop.clone_from(&arguments.stop);
    options.deadline = arguments.deadline_ms.map(Duration::from_millis);
    options.cancel = cancel;
    options
}

/// Prints the likeliest titles, best first. How long it took to find them.
fn titles(
    arguments: &Arguments,
    model: &mut LanguageModel,
    prompt: &Prompt,
    count: usize,
    cancel: Cancel,
) -> Result<Duration, Failure> {
    let mut options = TitleOptions::default();
    options.count = count;
    options.beams = options.beams.max(count);
    if arguments.among_titles {
        options.among = Among::Titles;
    }
    options.deadline = arguments.deadline_ms.map(Duration::from_millis);
    options.cancel = cancel;
    let started = Instant::now();
    let found = model.titles(prompt, &options)?;
    let took = started.elapsed();
    let catalog = model.engine().catalog();
    if arguments.json {
        let mut titles = Vec::with_capacity(found.len());
        for title in &found {
            let items = Named::all(catalog, &title.items)?;
            titles.push(json!({ "items": items, "score": title.score }));
        }
        output::json(&json!({ "titles": titles }))?;
        return Ok(took);
    }
    let mut rows = Vec::with_capacity(found.len());
    for (rank, title) in (1..).zip(&found) {
        let rank = if output::is_read() {
            format!("{rank}")
        } else {
            String::new()
        };
        // All of its items have it.
        let title_of = title
            .items
            .first()
            .map_or(Ok(String::new()), |&item| name(catalog, item))?;
        rows.push([rank, title_of, format!("{:.3}", title.score)]);
    }
    output::results(|out| table::write(out, "", [Side::Right, Side::Left, Side::Right], &rows))?;
    Ok(took)
}

/// How likely each token was after the prompt and the tokens before, whatever the temperature, and the `count` likeliest.
fn logprobs(
    model: &mut LanguageModel,
    mut prompt: Prompt,
    tokens: &[u32],
    count: usize,
    cancel: &Cancel,
) -> oneiro::Result<Value> {
    let mut told = Vec::with_capacity(tokens.len());
    for &token in tokens {
        let logits = model.logits(&prompt, cancel)?;
        let greatest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let above = |logit: f32| f64::from(logit) - f64::from(greatest);
        let sum: f64 = logits.iter().map(|&logit| above(logit).exp()).sum();
        let logprob = |token: u32| above(logits[token as usize]) - sum.ln();
        let mut likeliest: Vec<u32> = (0..).take(logits.len()).collect();
        // Of equal ones the lower first.
        likeliest.sort_by(|&a, &b| logits[b as usize].total_cmp(&logits[a as usize]));
        likeliest.truncate(count);
        let of = |token: u32| json!({ "token": token, "logprob": logprob(token) });
        let mut own = of(token);
        own["likeliest"] = likeliest.into_iter().map(of).collect();
        told.push(own);
        prompt = prompt.token(token);
    }
    Ok(told.into())
}

/// A text as it may stand on a terminal, its tabs too.
fn shown(text: &str) -> String {
    let parts: Vec<String> = text.split('\t').map(output::plain).collect();
    parts.join("\t")
}

/// Writes a piece at once.
fn write(text: &impl Display) -> io::Result<()> {
    let mut out = io::stdout().lock();
    write!(out, "{text}")?;
    out.flush()
}

fn reason(ended: Ended) -> &'static str {
    match ended {
        Ended::Token => "token",
        Ended::Text => "text",
        Ended::Count => "count",
        Ended::Context => "context",
        Ended::Deadline => "deadline",
        _ => "other",
    }
}

fn print_times(opening: Duration, first: Duration, took: Duration, written: &Generated) {
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let tokens = output::counted(written.tokens.len(), "token");
    let rest = took.saturating_sub(first).as_secs_f64();
    let speed = match written.tokens.len() {
        more @ 2.. if rest > 0.0 => format!(", then {:.1} a second", (more - 1) as f64 / rest),
        _ => String::new(),
    };
    output::note(format_args!(
        "opened in {:.1} ms; {tokens}, the first text after {:.1} ms{speed}; ended by {}",
        ms(opening),
        ms(first),
        reason(written.ended)
    ));
}
