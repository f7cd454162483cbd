use std::process::ExitCode;
use std::time::Instant;

use crate::error::{Error, Result};
use crate::onnxruntime;
use crate::report::{Report, Tally};
use crate::suites::{SUITES, Suite};
use crate::terminal;
use crate::workspace::Workspace;

#[derive(Debug, Default, PartialEq)]
pub struct Options {
    all: bool,
    verbose: bool,
    only: Vec<String>,
}

impl Options {
    pub fn parse(arguments: &[String]) -> Result<Self> {
        let mut options = Self::default();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            match argument.as_str() {
                "--all" => options.all = true,
                "--verbose" => options.verbose = true,
                "--only" => {
                    let names: Vec<_> = SUITES.iter().map(|suite| suite.name).collect();
                    match rest.next() {
                        Some(name) if names.contains(&name.as_str()) => {
                            options.only.push(name.clone())
                        }
                        _ => {
                            return Err(Error::new(format!(
                                "--only takes one of: {}",
                                names.join(" ")
                            )));
                        }
                    }
                }
                other => return Err(Error::new(format!("`test` does not know `{other}`"))),
            }
        }
        Ok(options)
    }
}

/// `cargo xtask test`: every suite in turn; the last line is the sum.
pub fn run(workspace: &Workspace, options: &Options) -> Result<ExitCode> {
    let chosen = |suite: &&Suite| {
        options.only.is_empty() || options.only.iter().any(|name| name == suite.name)
    };
    let suites: Vec<_> = SUITES.iter().filter(chosen).collect();
    if suites.iter().any(|suite| suite.uses_onnxruntime) {
        onnxruntime::ensure(workspace)?;
    }
    let mut sum = Tally::default();
    for suite in suites {
        sum += run_suite(suite, workspace, options);
    }
    terminal::print_line(sum);
    let failed = sum.failed > 0 || (options.all && sum.skipped > 0);
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn run_suite(suite: &Suite, workspace: &Workspace, options: &Options) -> Tally {
    let end = if options.verbose { "\n" } else { " ... " };
    terminal::print(format!("== {}: {}{end}", suite.name, suite.promise));
    let start = Instant::now();
    let mut report = Report::new(options.verbose);
    if let Err(error) = (suite.run)(workspace, &mut report) {
        report.fail(error.to_string());
    }
    let seconds = start.elapsed().as_secs_f64();
    terminal::print_line(format!("{} in {seconds:.1} s", verdict(&report.tally)));
    for (what, install) in &report.skips {
        terminal::print_line(format!("skipped: {what} (install: {install})"));
    }
    if report.tally.failed > 0 && !options.verbose {
        terminal::print(&report.log);
    }
    for failure in &report.failures {
        terminal::print_line(format!("FAILED: {}: {failure}", suite.name));
    }
    report.tally
}

fn verdict(tally: &Tally) -> String {
    match tally {
        Tally {
            failed: 0,
            skipped: 0,
            passed,
        } => format!("{passed} passed"),
        Tally {
            passed: 0,
            failed: 0,
            ..
        } => "skipped".to_owned(),
        mixed => mixed.to_string(),
    }
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
        let expected = Options {
            all: true,
            verbose: true,
            only: vec!["fmt".into(), "c".into()],
        };
        assert_eq!(
            parse("--only fmt --all --verbose --only c").unwrap(),
            expected
        );
    }

    #[test]
    fn an_unknown_suite_is_an_error_that_lists_the_known_ones() {
        let error = parse("--only nothing").unwrap_err().to_string();
        assert!(error.contains("valgrind"), "{error}");
        assert!(parse("--only").is_err());
    }

    #[test]
    fn a_verdict_is_short_when_all_is_well() {
        let passed = Tally {
            passed: 3,
            ..Tally::default()
        };
        assert_eq!(verdict(&passed), "3 passed");
        assert_eq!(
            verdict(&Tally {
                skipped: 1,
                ..Tally::default()
            }),
            "skipped"
        );
        assert_eq!(
            verdict(&Tally {
                failed: 1,
                ..passed
            }),
            "3 passed, 1 failed, 0 skipped"
        );
    }
}
