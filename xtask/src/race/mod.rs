//! `cargo xtask race`: oneiro against what one would write instead, on made-up catalogs, in turns.
//!
//! The players of `benches/race` are programs that answer the same questions (`player.h`); this one asks them in turn,
//! compares their answers before any time counts, and keeps the times in `target/race`, from which the table of
//! `docs/race.md` is written.

mod course;
mod figures;
mod part;
mod player;
mod table;

use std::process::ExitCode;

use crate::error::{Error, Result};
use crate::onnxruntime;
use crate::terminal;
use crate::workspace::Workspace;
use course::Course;
use figures::Figures;
use part::{PARTS, Part};

#[derive(Debug, Default, PartialEq)]
pub struct Options {
    only: Vec<Part>,
    items: Vec<usize>,
    threads: Vec<usize>,
    quick: bool,
    check: bool,
    table: bool,
    built: bool,
}

impl Options {
    pub fn parse(arguments: &[String]) -> Result<Self> {
        let mut options = Self::default();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let mut value = || rest.next().map(String::as_str).unwrap_or_default();
            match argument.as_str() {
                "--only" => options.only.push(Part::parse(value())?),
                "--items" => options.items.push(items(value())?),
                "--threads" => options.threads.push(threads(value())?),
                "--quick" => options.quick = true,
                "--check" => options.check = true,
                "--table" => options.table = true,
                "--built" => options.built = true,
                other => return Err(Error::new(format!("`race` does not know `{other}`"))),
            }
        }
        if options.only.is_empty() {
            options.only = PARTS.to_vec();
        }
        if options.items.is_empty() {
            options.items = vec![10_000, 100_000, 1_000_000];
        }
        if options.threads.is_empty() {
            options.threads = vec![1, 2];
        }
        Ok(options)
    }
}

fn items(word: &str) -> Result<usize> {
    let (digits, unit) = match word.strip_suffix('k') {
        Some(digits) => (digits, 1_000),
        None => match word.strip_suffix('M') {
            Some(digits) => (digits, 1_000_000),
            None => (word, 1),
        },
    };
    match digits.parse::<usize>() {
        Ok(number) if number > 0 => Ok(number * unit),
        _ => Err(Error::new("--items takes a number such as 10k or 1M")),
    }
}

fn threads(word: &str) -> Result<usize> {
    match word.parse() {
        Ok(number @ 1..=64) => Ok(number),
        _ => Err(Error::new("--threads takes a number from 1 to 64")),
    }
}

/// `--table` writes the table from the figures that are there; otherwise the parts run first.
pub fn run(workspace: &Workspace, options: &Options) -> Result<ExitCode> {
    if !cfg!(target_os = "linux") {
        return Err(Error::new("the race is run on Linux only"));
    }
    let mut figures = match options.quick {
        true => Figures::default(),
        false => Figures::load(workspace)?,
    };
    if !options.table {
        if !options.built {
            onnxruntime::ensure(workspace)?;
        }
        let course = Course::prepare(workspace, options.quick, options.built)?;
        for part in &options.only {
            let sizes = match options.quick {
                true => &[1_000][..],
                false => part.sizes(&options.items),
            };
            for &size in sizes {
                for &threads in part.threads(&options.threads) {
                    part.run(&course, size, threads, options.quick, &mut figures)?;
                    if !options.quick {
                        figures.save(workspace)?;
                    }
                }
            }
        }
    }
    if !options.quick {
        table::write(workspace, &figures)?;
    }
    let missed = figures.missed();
    for bound in &missed {
        terminal::print_line(format!("missed: {bound}"));
    }
    Ok(if options.check && !missed.is_empty() {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &str) -> Result<Options> {
        let words: Vec<_> = words.split_whitespace().map(str::to_owned).collect();
        Options::parse(&words)
    }

    #[test]
    fn options_are_read() {
        let options = parse("--only one --items 10k --items 1M --threads 2 --check").unwrap();
        assert_eq!(options.only, [Part::One]);
        assert_eq!(options.items, [10_000, 1_000_000]);
        assert_eq!(options.threads, [2]);
        assert!(options.check && !options.quick);
    }

    #[test]
    fn everything_runs_if_nothing_is_chosen() {
        let options = parse("").unwrap();
        assert_eq!(options.only, PARTS);
        assert_eq!(options.items, [10_000, 100_000, 1_000_000]);
        assert_eq!(options.threads, [1, 2]);
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        for words in ["--only all", "--items ten", "--threads 0", "--fast"] {
            assert!(parse(words).is_err(), "{words}");
        }
    }
}
