use std::env;

use crate::error::{Result, While};
use crate::python_env::PythonEnv;
use crate::report::Report;
use crate::tools;
use crate::workspace::Workspace;

/// That the race can be run and that its players agree; how fast they are is no test.
pub fn run(workspace: &Workspace, report: &mut Report) -> Result<()> {
    if !cfg!(target_os = "linux") {
        report.skip("race", "Linux: the race is run there only");
        return Ok(());
    }
    let mut language_models = workspace.cargo();
    language_models.args(["test", "--package", "oneiro", "--bench", "llm"]);
    language_models.args(["--", "--quick"]);
    report.check("a quick race of language models", &mut language_models)?;
    if tools::find("gcc", "cc").is_none() {
        report.skip("race", tools::packages("gcc"));
        return Ok(());
    }
    if !PythonEnv::locate(workspace)?.is_complete() {
        report.skip("race", "cargo xtask setup");
        return Ok(());
    }
    let program = env::current_exe().while_doing(|| "find this program".into())?;
    let mut race = workspace.command(program);
    race.env("CARGO_MANIFEST_DIR", workspace.path("xtask"))
        .args(["race", "--quick"]);
    report.check("a quick race", &mut race)?;
    Ok(())
}
