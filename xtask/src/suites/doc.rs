use crate::error::Result;
use crate::report::Report;
use crate::workspace::Workspace;

pub fn run(workspace: &Workspace, report: &mut Report) -> Result<()> {
    let mut doc = workspace.cargo();
    doc.args(["doc", "--no-deps", "--package", "oneiro"])
        .env("RUSTDOCFLAGS", "-D warnings");
    report.check("cargo doc", &mut doc)?;
    Ok(())
}
