//! `oneiro inspect`.

mod report;
mod text;

use std::path::PathBuf;

use clap::Args;
use oneiro::{Bundle, EngineOptions};

use crate::failure::Failure;
use crate::{output, wait};
use report::Report;

/// Show what a bundle holds, where it comes from and what it takes
///
/// Works without ONNX Runtime too, but then cannot tell what a running engine takes.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// The bundle's folder
    bundle: PathBuf,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  oneiro inspect models/demo
  oneiro inspect models/demo --json";

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let bundle = Bundle::open(&arguments.bundle)?;
    let report = wait::on("Reading the bundle", || {
        let engine = oneiro::Engine::from_bundle(bundle.clone(), &EngineOptions::default());
        Report::new(&bundle, engine.map(|engine| engine.memory()))
    })?;
    if arguments.json {
        output::json(&report)
    } else {
        output::results(|out| text::write(out, &report))
    }
}
