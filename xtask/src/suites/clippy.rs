use crate::error::Result;
use crate::process;
use crate::report::Report;
use crate::workspace::Workspace;

/// The whole workspace, then the library with no, the default and all features, and with the C ABI alone: its header is the
/// same without language models.
const CHOICES: [&[&str]; 5] = [
    &["--workspace"],
    &["--package", "oneiro", "--no-default-features"],
    &["--package", "oneiro"],
    &["--package", "oneiro", "--all-features"],
    &[
        "--package",
        "oneiro",
        "--no-default-features",
        "--features",
        "capi",
    ],
];

pub fn run(workspace: &Workspace, report: &mut Report) -> Result<()> {
    if process::answer(workspace.cargo().args(["clippy", "--version"])).is_none() {
        report.skip("clippy", "clippy");
        return Ok(());
    }
    for choice in CHOICES {
        let mut clippy = workspace.cargo();
        clippy
            .arg("clippy")
            .args(choice)
            .args(["--all-targets", "--", "-D", "warnings"]);
        report.check(&choice.join(" "), &mut clippy)?;
    }
    Ok(())
}
