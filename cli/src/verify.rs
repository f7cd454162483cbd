//! `oneiro verify`.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use oneiro::{Bundle, Cancel};
use serde_json::json;

use crate::failure::{Failure, exit_code};
use crate::{output, wait};

/// Check everything in a bundle: digests, tables, texts, graphs
///
/// Reads every byte. The first defect is named; without one, the bundle is what its manifest says.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// The bundle's folder
    bundle: PathBuf,
    /// Print one JSON object instead of a line
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  oneiro verify models/demo
  oneiro verify models/demo --json";

pub fn run(arguments: &Arguments, cancel: &Cancel) -> Result<(), Failure> {
    match check(arguments, cancel) {
        Ok((parts, bytes)) if arguments.json => {
            output::json(&json!({ "ok": true, "parts": parts, "bytes": bytes }))
        }
        Ok((parts, bytes)) => {
            let parts = output::counted(parts, "part");
            output::results(|out| writeln!(out, "OK: {parts}, {bytes} bytes"))
        }
        Err(error) => {
            if arguments.json {
                let (reason, code) = (error.to_string(), exit_code(error.code()));
                output::json(&json!({ "ok": false, "error": reason, "code": code }))?;
            }
            Err(error.into())
        }
    }
}

/// How many parts and bytes there are, all sound.
fn check(arguments: &Arguments, cancel: &Cancel) -> oneiro::Result<(usize, u64)> {
    let bundle = Bundle::open(&arguments.bundle)?;
    wait::reading(|read| bundle.verify(cancel, &mut |done, total| read.set(done, total)))?;
    let parts = &bundle.manifest().parts;
    Ok((parts.len(), parts.values().map(|part| part.bytes).sum()))
}
