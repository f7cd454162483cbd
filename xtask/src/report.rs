//! What a suite has found so far.

use std::fmt;
use std::ops::AddAssign;
use std::process::Command;

use crate::error::Result;
use crate::process::{self, Finished};
use crate::terminal;

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tally {
    pub passed: usize,
    pub failed: usize,
    pub skipped: usize,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} passed, {} failed, {} skipped",
            self.passed, self.failed, self.skipped
        )
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

/// One suite's results, and everything its commands said.
pub struct Report {
    pub tally: Tally,
    pub failures: Vec<String>,
    /// What was skipped, and what to install for it.
    pub skips: Vec<(String, String)>,
    pub log: String,
    verbose: bool,
}

impl Report {
    pub fn new(verbose: bool) -> Self {
        Self {
            tally: Tally::default(),
            failures: Vec::new(),
            skips: Vec::new(),
            log: String::new(),
            verbose,
        }
    }

    pub fn pass(&mut self) {
        self.tally.passed += 1;
    }

    pub fn fail(&mut self, what: impl Into<String>) {
        self.tally.failed += 1;
        self.failures.push(what.into());
    }

    pub fn skip(&mut self, what: impl Into<String>, install: impl Into<String>) {
        self.tally.skipped += 1;
        self.skips.push((what.into(), install.into()));
    }

    pub fn say(&mut self, text: &str) {
        if self.verbose {
            terminal::print_line(text);
        }
        self.log.push_str(text);
        self.log.push('\n');
    }

    /// Runs a command whose result the caller reads.
    pub fn run(&mut self, command: &mut Command) -> Result<Finished> {
        self.say(&format!("$ {}", process::line(command)));
        // Results are parsed: no colours, in English.
        command
            .env("CARGO_TERM_COLOR", "never")
            .env("PY_COLORS", "0")
            .env("LC_ALL", "C.UTF-8");
        let finished = process::capture(command, self.verbose)?;
        self.log.push_str(&finished.output);
        if !finished.status.success() {
            self.say(&format!("({})", finished.status));
        }
        Ok(finished)
    }

    /// Runs a command that is one test: it passes with exit code 0.
    pub fn check(&mut self, what: &str, command: &mut Command) -> Result<bool> {
        let passed = self.run(command)?.status.success();
        if passed {
            self.pass();
        } else {
            self.fail(what);
        }
        Ok(passed)
    }

    /// Runs a command that counts its own tests; `count` reads its output.
    pub fn check_counted(
        &mut self,
        what: &str,
        command: &mut Command,
        count: fn(&str) -> Tally,
    ) -> Result<()> {
        let finished = self.run(command)?;
        let tally = count(&finished.output);
        self.tally += tally;
        if tally.failed > 0 {
            self.failures
                .push(format!("{what}: {} of its tests", tally.failed));
        } else if !finished.status.success() {
            self.fail(format!("{what} ({})", finished.status));
        } else if tally == Tally::default() {
            self.fail(format!("{what}: it ran no tests"));
        }
        if tally.skipped > 0 {
            self.skips.push((
                format!("{} tests of {what}", tally.skipped),
                "what their marks ask for".into(),
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_has_its_form() {
        let tally = Tally {
            passed: 12,
            failed: 0,
            skipped: 3,
        };
        assert_eq!(tally.to_string(), "12 passed, 0 failed, 3 skipped");
    }

    #[cfg(unix)]
    #[test]
    fn a_command_that_fails_before_its_tests_is_a_failure() {
        let mut report = Report::new(false);
        report
            .check_counted("rust", &mut Command::new("false"), |_| Tally::default())
            .unwrap();
        assert_eq!(
            report.tally,
            Tally {
                failed: 1,
                ..Tally::default()
            }
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_command_without_tests_does_not_pass() {
        let mut report = Report::new(false);
        report
            .check_counted("rust", &mut Command::new("true"), |_| Tally::default())
            .unwrap();
        assert_eq!(report.tally.failed, 1);
    }
}
