//! Running the command, and bundles to run it on.

#![allow(dead_code, reason = "each test program uses its part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// What a run of the command gave.
pub struct Answer {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// The command, to be run from anywhere.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oneiro"));
    command.args(arguments).stdin(Stdio::null());
    command
}

/// Runs the command to its end.
pub fn oneiro(arguments: &[&str]) -> Answer {
    answer(&command(arguments).output().unwrap())
}

pub fn answer(output: &Output) -> Answer {
    Answer {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout.clone()).unwrap(),
        stderr: String::from_utf8(output.stderr.clone()).unwrap(),
    }
}

/// A bundle that ships with the project.
pub fn bundle(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../models")
        .join(name);
    folder.to_str().unwrap().into()
}

/// A copy of a bundle, to be damaged.
pub fn copy_of(name: &str) -> (tempfile::TempDir, PathBuf) {
    let keep = tempfile::tempdir().unwrap();
    let copy = keep.path().join(name);
    fs::create_dir(&copy).unwrap();
    for file in fs::read_dir(bundle(name)).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), copy.join(file.file_name())).unwrap();
    }
    (keep, copy)
}

impl Answer {
    /// Checks that all went well, and gives the lines of stdout.
    #[track_caller]
    pub fn lines(&self) -> Vec<&str> {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        self.stdout.lines().collect()
    }

    /// Checks that all went well, and gives stdout as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        serde_json::from_str(&self.stdout).unwrap()
    }

    /// Checks that the command failed with `code`, printed nothing, and said why in one line.
    #[track_caller]
    pub fn error(&self, code: i32) -> &str {
        assert_eq!(self.code, Some(code), "{}", self.stderr);
        assert_eq!(self.stdout, "");
        let lines: Vec<&str> = self.stderr.lines().collect();
        let [line] = lines.as_slice() else {
            panic!("not one line: {}", self.stderr)
        };
        line.strip_prefix("error: ").unwrap()
    }
}

/// The titles of lines of the form `Title  score`.
#[track_caller]
pub fn titles<'a>(lines: &[&'a str]) -> Vec<&'a str> {
    lines
        .iter()
        .map(|line| {
            let (title, score) = line.rsplit_once("  ").unwrap();
            score.parse::<f32>().unwrap();
            title.trim_end()
        })
        .collect()
}

/// One field of every ranked item.
pub fn column<'a>(report: &'a Value, field: &str) -> Vec<&'a Value> {
    report["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| &item[field])
        .collect()
}
