use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::error::{Error, Result, While};
use crate::process;
use crate::workspace::Workspace;

/// Builds with cargo and says where the results lie, wherever the target folder is.
///
/// `command` is a `cargo build`; its progress and diagnostics go to the terminal, or into the error if `quiet`.
pub fn build(command: &mut Command, quiet: bool) -> Result<Vec<Artifact>> {
    command
        .arg("--message-format=json-render-diagnostics")
        .stdin(Stdio::null());
    let line = process::line(command);
    if !quiet {
        command.stderr(Stdio::inherit());
    }
    let output = command.output().while_doing(|| format!("run `{line}`"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Error::new(format!(
            "`{line}` failed ({})\n{said}",
            output.status
        )));
    }
    Ok(String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(parse)
        .collect())
}

/// Builds the command `oneiro`. `profile`: what to tell cargo beside that.
pub fn oneiro(workspace: &Workspace, profile: &[&str], quiet: bool) -> Result<PathBuf> {
    let mut build = workspace.cargo();
    build.args(["build", "--package", "oneiro-cli", "--bin", "oneiro"]);
    self::build(build.args(profile), quiet)?
        .into_iter()
        .find_map(|artifact| artifact.executable.filter(|_| artifact.name == "oneiro"))
        .ok_or_else(|| Error::new("cargo built no program `oneiro`"))
}

/// One target that cargo has built.
#[derive(Debug, PartialEq)]
pub struct Artifact {
    pub name: String,
    pub kinds: Vec<String>,
    pub files: Vec<PathBuf>,
    pub executable: Option<PathBuf>,
}

impl Artifact {
    /// The file that the system's loader opens, if this is a shared library.
    pub fn shared_library(&self) -> Option<&PathBuf> {
        let extension = std::env::consts::DLL_EXTENSION;
        let is_shared = self.kinds.iter().any(|kind| kind == "cdylib");
        self.files
            .iter()
            .find(|file| is_shared && file.extension().is_some_and(|found| found == extension))
    }
}

fn parse(line: &str) -> Option<Artifact> {
    let message: Value = serde_json::from_str(line).ok()?;
    if message["reason"] != "compiler-artifact" {
        return None;
    }
    let strings = |value: &Value| -> Vec<String> {
        value
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|v| v.as_str().map(str::to_owned))
            .collect()
    };
    Some(Artifact {
        name: message["target"]["name"].as_str()?.to_owned(),
        kinds: strings(&message["target"]["kind"]),
        files: strings(&message["filenames"])
            .into_iter()
            .map(PathBuf::from)
            .collect(),
        executable: message["executable"].as_str().map(PathBuf::from),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shared_library_is_found_among_its_siblings() {
        let file = format!("out/liboneiro{}", std::env::consts::DLL_SUFFIX);
        let line = serde_json::json!({
            "reason": "compiler-artifact",
            "target": {"name": "oneiro", "kind": ["rlib", "cdylib", "staticlib"]},
            "filenames": ["out/liboneiro.rlib", file, "out/liboneiro.a"],
            "executable": null,
        });
        let artifact = parse(&line.to_string()).unwrap();
        assert_eq!(artifact.shared_library(), Some(&PathBuf::from(file)));
        assert_eq!(artifact.executable, None);
    }

    #[test]
    fn other_messages_are_no_artifacts() {
        assert_eq!(parse(r#"{"reason":"build-finished","success":true}"#), None);
        assert_eq!(parse("plain text"), None);
    }
}
