//! Results go to stdout, everything else to stderr.

use std::env;
use std::fmt::Display;
use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};

use indicatif::HumanCount;
use serde::Serialize;

use crate::failure::Failure;

/// Writes a line beside the results. That nobody reads it is no reason to stop.
pub fn note(line: impl Display) {
    let line = plain(&line.to_string());
    let _ = writeln!(io::stderr(), "{line}");
}

/// Writes results.
pub fn results(
    write: impl FnOnce(&mut BufWriter<StdoutLock>) -> io::Result<()>,
) -> Result<(), Failure> {
    let mut out = BufWriter::new(io::stdout().lock());
    write(&mut out)?;
    Ok(out.flush()?)
}

/// Writes results as JSON.
pub fn json(results: &impl Serialize) -> Result<(), Failure> {
    self::results(|out| {
        serde_json::to_writer_pretty(&mut *out, results)?;
        writeln!(out)
    })
}

/// Whether a person reads stdout.
pub fn is_read() -> bool {
    io::stdout().is_terminal()
}

/// Whether that person likes it styled (<https://no-color.org>).
pub fn is_styled() -> bool {
    let wanted = env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let able = env::var_os("TERM").is_none_or(|value| value != "dumb");
    is_read() && wanted && able
}

/// A text without control characters, nor those that turn the direction of writing, which titles and messages from
/// elsewhere may bring to the terminal.
pub fn plain(text: &str) -> String {
    let turns = |c| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let visible = |c: char| {
        if c.is_control() && c != '\n' || turns(c) {
            '\u{fffd}'
        } else {
            c
        }
    };
    text.chars().map(visible).collect()
}

/// A number of things: `1 list`, `2,000 lists`.
pub fn counted(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", HumanCount(number as u64))
}

/// A text as one line.
pub fn one_line(text: &str) -> String {
    plain(text).replace('\n', " ")
}
