use std::fs;
use std::process::Command;

use super::shared_library::SharedLibrary;
use crate::error::{Error, Result, While};
use crate::process;
use crate::report::Report;
use crate::tools;
use crate::workspace::Workspace;

/// Prints the ABI major that the library itself names.
const ABI_MAJOR: &str = r#"
#include "oneiro.h"
#include <stdio.h>

int main(void) {
  printf("%u\n", (unsigned)(oneiro_abi_version() >> 16));
  return 0;
}
"#;

pub fn run(workspace: &Workspace, report: &mut Report) -> Result<()> {
    if cfg!(windows) {
        report.skip("symbols", "a Unix: the exports are not read on Windows");
        return Ok(());
    }
    let elf = cfg!(target_os = "linux");
    for tool in if elf {
        &["nm", "readelf", "gcc"][..]
    } else {
        &["nm"]
    } {
        if tools::find(tool, if *tool == "gcc" { "cc" } else { tool }).is_none() {
            report.skip("symbols", tools::packages(tool));
            return Ok(());
        }
    }
    let library = SharedLibrary::build(workspace, report)?;
    exports(&library, report)?;
    if elf {
        abi_major(workspace, &library, report)?;
    }
    Ok(())
}

fn exports(library: &SharedLibrary, report: &mut Report) -> Result<()> {
    let arguments: &[&str] = if cfg!(target_os = "macos") {
        &["-gU"]
    } else {
        &["-D", "--defined-only"]
    };
    let listed = process::answer(Command::new("nm").args(arguments).arg(&library.file))
        .ok_or_else(|| Error::new(format!("nm cannot read {}", library.file.display())))?;
    let symbols = exported(&listed);
    let foreign: Vec<_> = symbols
        .iter()
        .filter(|name| !name.starts_with("oneiro_"))
        .copied()
        .collect();
    report.say(&format!("{} symbols leave the library", symbols.len()));
    match (symbols.len(), foreign.as_slice()) {
        (0, _) => report.fail("the library exports nothing"),
        (_, []) => report.pass(),
        (_, foreign) => report.fail(format!(
            "foreign symbols leave the library: {}",
            foreign.join(" ")
        )),
    }
    Ok(())
}

/// A program built against one major must not start with another: the soname carries it.
fn abi_major(workspace: &Workspace, library: &SharedLibrary, report: &mut Report) -> Result<()> {
    let source = library.file.with_file_name("abi_major.c");
    fs::write(&source, ABI_MAJOR).while_doing(|| format!("write {}", source.display()))?;
    let installed = library.install()?;
    let Some(program) = installed.compile(workspace, report, &source)? else {
        return Ok(());
    };
    let major = report
        .run(&mut installed.command(workspace, &program))?
        .output;
    let expected = format!("liboneiro.so.{}", major.trim());
    let soname = library.soname().unwrap_or_default();
    if soname == expected {
        report.pass();
    } else {
        report.fail(format!("the soname is `{soname}`, expected `{expected}`"));
    }
    Ok(())
}

/// The last word of each of nm's lines, without the underscore that macOS puts before C names.
fn exported(nm: &str) -> Vec<&str> {
    let names = nm.lines().filter_map(|line| line.split_whitespace().last());
    if cfg!(target_os = "macos") {
        names
            .map(|name| name.strip_prefix('_').unwrap_or(name))
            .collect()
    } else {
        names.collect()
    }
}

#[cfg(all(test, not(target_os = "macos")))]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_last_words() {
        let output = "0000000000001130 T oneiro_engine_open\n0000000000004010 D leaked\n";
        assert_eq!(exported(output), ["oneiro_engine_open", "leaked"]);
    }
}
