use super::summaries;
use crate::error::Result;
use crate::report::Report;
use crate::workspace::Workspace;

pub fn run(workspace: &Workspace, report: &mut Report) -> Result<()> {
    let mut tests = workspace.cargo();
    tests.args(["test", "--workspace", "--no-fail-fast"]);
    report.check_counted("cargo test", &mut tests, summaries::cargo)?;

    let mut bare = workspace.cargo();
    bare.args([
        "test",
        "--package",
        "oneiro",
        "--no-default-features",
        "--no-run",
    ]);
    report.check("the tests compile without features", &mut bare)?;
    Ok(())
}
