use crate::error::Result;
use crate::process;
use crate::report::Report;
use crate::workspace::Workspace;

pub fn run(workspace: &Workspace, report: &mut Report) -> Result<()> {
    if process::answer(workspace.cargo().args(["fmt", "--version"])).is_none() {
        report.skip("fmt", "rustfmt");
        return Ok(());
    }
    report.check(
        "cargo fmt",
        workspace.cargo().args(["fmt", "--all", "--check"]),
    )?;
    Ok(())
}
