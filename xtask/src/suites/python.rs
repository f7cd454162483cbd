use super::summaries;
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
    let mut pytest = workspace.command(python.python());
    pytest
        .args(["-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider"])
        .arg(format!("{PACKAGE}/tests"));
    pytest
        .env("PYTHONPATH", workspace.path(PACKAGE).join("src"))
        .env("PYTHONDONTWRITEBYTECODE", "1");
    report.check_counted("pytest", &mut pytest, summaries::pytest)
}
