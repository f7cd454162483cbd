use super::shared_library::{SharedLibrary, shown, sources};
use crate::error::Result;
use crate::report::Report;
use crate::tools;
use crate::workspace::Workspace;

const SUPPRESSIONS: &str = "tests/c/valgrind.supp";

pub fn run(workspace: &Workspace, report: &mut Report) -> Result<()> {
    if !tools::valgrind_works() {
        report.skip("valgrind", tools::packages("valgrind"));
        return Ok(());
    }
    if tools::find("gcc", "cc").is_none() {
        report.skip("valgrind", tools::packages("gcc"));
        return Ok(());
    }
    let installed = SharedLibrary::build(workspace, report)?.install()?;
    for source in sources(workspace, "tests/c")? {
        let Some(program) = installed.compile(workspace, report, &source)? else {
            continue;
        };
        let mut valgrind = installed.command(workspace, "valgrind".as_ref());
        valgrind.args([
            "--error-exitcode=97",
            "--leak-check=full",
            "--errors-for-leak-kinds=definite",
        ]);
        valgrind.args(["--num-callers=30", "--quiet"]);
        if workspace.path(SUPPRESSIONS).is_file() {
            valgrind.arg(format!("--suppressions={SUPPRESSIONS}"));
        }
        report.check(&shown(workspace, &source), valgrind.arg(program))?;
    }
    Ok(())
}
