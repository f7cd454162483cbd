use std::process::Command;

use crate::artifact;
use crate::error::{Error, Result};
use crate::onnxruntime;
use crate::process;
use crate::workspace::Workspace;

pub const BUNDLE: &str = "models/demo";

/// Films that were out when the demo's data set was gathered, in 2013.
pub const HISTORY: [&str; 5] = [
    "Inception",
    "The Dark Knight",
    "The Matrix",
    "Fight Club",
    "The Prestige",
];

/// `cargo xtask demo`: ten films for a history of five. The films go to the standard output, all else to stderr.
pub fn run(workspace: &Workspace) -> Result<()> {
    let mut recommend = command(workspace)?;
    eprintln!("$ {}\n", typed(&recommend));
    process::run(&mut recommend)
}

/// The command that recommends, built and ready to run.
pub fn command(workspace: &Workspace) -> Result<Command> {
    if !workspace.path(BUNDLE).join("manifest.json").is_file() {
        return Err(Error::new(format!(
            "there is no bundle in {BUNDLE}: the checkout is not whole"
        )));
    }
    onnxruntime::ensure(workspace)?;
    eprintln!("oneiro: building the command, in release mode");
    let oneiro = artifact::oneiro(workspace, &["--release"], false)?;
    let mut recommend = workspace.command(oneiro);
    recommend.args(["recommend", BUNDLE]);
    for title in HISTORY {
        recommend.args(["--seen", title]);
    }
    recommend.args(["-k", "10"]);
    Ok(recommend)
}

/// The command as a person would type it.
pub fn typed(command: &Command) -> String {
    let line = process::line(command);
    let arguments = line.split_once(' ').map_or("", |(_, arguments)| arguments);
    format!("oneiro {arguments}")
}
