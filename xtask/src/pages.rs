//! Benchmarks as pages: what one prints, with what it was measured on.

mod llm;
mod oracle;
mod scan;

use std::fs;

use crate::about;
use crate::error::{Error, Result, While};
use crate::process;
use crate::workspace::Workspace;

pub use llm::run as llm;
pub use oracle::run as oracle;
pub use scan::run as scan;

/// A benchmark of the library and its page.
struct Page<'a> {
    bench: &'a str,
    arguments: &'a [String],
    before: &'a str,
    /// What else it was measured with.
    with: &'a [(&'a str, String)],
    /// Which of the benchmark's lines belong there.
    takes: fn(&str) -> bool,
    after: &'a str,
}

impl Page<'_> {
    fn write(&self, workspace: &Workspace) -> Result<()> {
        let file = format!("docs/{}.md", self.bench);
        let mut bench = workspace.cargo();
        bench.args([
            "bench",
            "--quiet",
            "--package",
            "oneiro",
            "--bench",
            self.bench,
        ]);
        bench.arg("--").args(self.arguments);
        let finished = process::capture(&mut bench, true)?;
        if !finished.status.success() {
            return Err(Error::new("the benchmark failed"));
        }
        let mut page = self.before.to_owned();
        let about = [
            ("machine", about::machine()),
            ("system", about::said("uname", &["-sr"])),
            ("oneiro", about::commit(workspace)),
            ("Rust", about::said("rustc", &["--version"])),
            ("date", about::said("date", &["-u", "+%F"])),
        ];
        for (name, value) in about.iter().chain(self.with) {
            page += &format!("- {name}: {value}\n");
        }
        page += "\n";
        for line in finished.output.lines().filter(|line| (self.takes)(line)) {
            page += line;
            page += "\n";
        }
        let page = format!("{}\n{}", page.trim_end(), self.after);
        fs::write(workspace.path(&file), page).while_doing(|| format!("write {file}"))?;
        eprintln!("wrote {file}");
        Ok(())
    }
}
