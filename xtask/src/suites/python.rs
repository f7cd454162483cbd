use super::summaries;
use crate::artifact;
use crate::error::Result;
use crate::python_env::PythonEnv;
use crate::report::Report;
use crate::workspace::Workspace;

const PACKAGE: &str = "models/oneiro_models";

pub fn run(workspace: &Workspace, report: &mut Report) -> Result<()> {
    let python = PythonEnv::locate(workspace)?;
    if !python.is_complete() {
        report.skip("python", "cargo xtask setup");
        return Ok(());
    }
    let oneiro = artifact::oneiro(workspace, &[], true)?;
    let mut pytest = workspace.command(python.python());
    pytest
        .args(["-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider"])
        .arg(format!("{PACKAGE}/tests"));
    pytest
        .env("PYTHONPATH", workspace.path(PACKAGE).join("src"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("ONEIRO_COMMAND", oneiro);
    report.check_counted("pytest", &mut pytest, summaries::pytest)?;
    // They are no skips, which `--all` would refuse, but they shall be seen.
    if let Some(count) = left_out(&report.log) {
        let what = format!("{count} tests of pytest");
        let install = format!("the data sets they need, see {PACKAGE}/README.md");
        report.skips.push((what, install));
    }
    Ok(())
}

/// How many tests the package left out for want of their data sets (its tests/conftest.py).
fn left_out(log: &str) -> Option<&str> {
    log.lines()
        .rev()
        .find_map(|line| line.split_once(" tests need data sets: "))
        .map(|(count, _)| count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_without_data_are_noticed() {
        let log = "....\n3 tests need data sets: set ONEIRO_DATA\n4 passed in 0.52s\n";
        assert_eq!(left_out(log), Some("3"));
        assert_eq!(left_out("4 passed in 0.52s\n"), None);
    }
}
