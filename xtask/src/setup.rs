use std::env;

use crate::error::{Error, Result};
use crate::onnxruntime;
use crate::process;
use crate::python_env::PythonEnv;
use crate::tools;
use crate::workspace::Workspace;

/// `cargo xtask setup`: everything that `cargo xtask test --all` needs, installed where it is missing.
pub fn run(workspace: &Workspace) -> Result<()> {
    install_tools(workspace)?;
    install_rust_components(workspace)?;
    onnxruntime::ensure(workspace)?;

    let python = PythonEnv::locate(workspace)?;
    if !python.is_complete() {
        eprintln!(
            "Python environment: making {} (several GB)",
            python.folder().display()
        );
        python.install()?;
    }
    eprintln!("Python environment: {}", python.folder().display());
    Ok(())
}

fn install_tools(workspace: &Workspace) -> Result<()> {
    let missing = tools::missing();
    if missing.is_empty() {
        eprintln!("tools: all there");
        return Ok(());
    }
    let names: Vec<_> = missing.iter().map(|tool| tool.name).collect();
    let mut packages: Vec<_> = missing
        .iter()
        .flat_map(|tool| tool.packages.split(' '))
        .collect();
    packages.sort_unstable();
    packages.dedup();
    let needed = format!(
        "{} (Debian packages: {})",
        names.join(" "),
        packages.join(" ")
    );
    if process::find_program("apt-get").is_none() {
        eprintln!("tools: missing, install them yourself: {needed}");
        return Ok(());
    }

    eprintln!("tools: installing {needed}");
    let Some(root) = privileges() else {
        return Err(Error::new(format!(
            "only root may install packages, and sudo is not to be had; as root: apt-get install {}",
            packages.join(" ")
        )));
    };
    let apt = |arguments: &[&str]| {
        let quietly = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"];
        let words = [root, &quietly, arguments].concat();
        process::run(workspace.command(words[0]).args(&words[1..]))
    };
    apt(&["update", "-qq"])?;
    apt(&[
        &["install", "-qq", "-y", "--no-install-recommends"],
        packages.as_slice(),
    ]
    .concat())
}

/// The words before `apt-get` that make it root; none if there is no way without asking.
fn privileges() -> Option<&'static [&'static str]> {
    let user = process::answer(std::process::Command::new("id").arg("-u"))?;
    if user.trim() == "0" {
        return Some(&[]);
    }
    const SUDO: &[&str] = &["sudo", "--non-interactive"];
    process::answer(std::process::Command::new(SUDO[0]).args([SUDO[1], "true"])).map(|_| SUDO)
}

fn install_rust_components(workspace: &Workspace) -> Result<()> {
    for (command, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        if process::answer(workspace.cargo().args([command, "--version"])).is_some() {
            continue;
        }
        let Some(rustup) = process::find_program("rustup") else {
            let toolchain = env::var("CARGO").unwrap_or_else(|_| "cargo".into());
            return Err(Error::new(format!(
                "`{toolchain} {command}` is missing: install {component}"
            )));
        };
        process::run(
            workspace
                .command(rustup)
                .args(["component", "add", component]),
        )?;
    }
    Ok(())
}
