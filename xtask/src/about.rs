//! What figures are of: the machine, the system and the versions.

use std::fs;
use std::process::Command;

use crate::process;
use crate::workspace::Workspace;

/// The processor, how many, and their widest vectors.
pub fn machine() -> String {
    let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processor
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown", |(_, model)| model);
    let vectors = ["avx512f", "avx2", "asimd"]
        .into_iter()
        .find(|name| processor.split_whitespace().any(|flag| flag == *name))
        .unwrap_or("none known");
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{model}, {processors} processors, vectors: {vectors}")
}

/// The commit that is checked out.
pub fn commit(workspace: &Workspace) -> String {
    let ask = |arguments: &[&str]| {
        let answer = process::answer(workspace.command("git").args(arguments));
        answer.unwrap_or_default().trim().to_owned()
    };
    let commit = ask(&["describe", "--always"]);
    // Pages and the README are what commands like the asking one write.
    let changes = ask(&["status", "--porcelain", "--", ".", ":!docs", ":!README.md"]);
    match changes.is_empty() {
        true => commit,
        false => format!("{commit}-dirty"),
    }
}

/// The first line that a program says.
pub fn said(program: &str, arguments: &[&str]) -> String {
    let said = process::answer(Command::new(program).args(arguments)).unwrap_or_default();
    said.lines().next().unwrap_or("unknown").to_owned()
}

/// The Python packages that a file of requirements names.
pub fn packages(workspace: &Workspace, requirements: &str) -> String {
    let requirements = fs::read_to_string(workspace.path(requirements)).unwrap_or_default();
    let packages: Vec<_> = requirements
        .lines()
        .map(|line| line.replace("==", " "))
        .collect();
    packages.join(", ")
}
