use super::shared_library::{SharedLibrary, shown, sources};
use crate::demo;
use crate::error::Result;
use crate::report::Report;
use crate::tools;
use crate::workspace::Workspace;

/// The bundle of the example that needs an oracle and a Q-network.
const CHAINED: &str = "models/tiny-oracle";

/// The bundle of the example that needs a language model.
const WRITTEN: &str = "models/tiny-lm";

/// How many films an example recommends.
const RECOMMENDED: usize = 10;

pub fn run(workspace: &Workspace, report: &mut Report) -> Result<()> {
    if cfg!(windows) {
        report.skip("c", "a Unix: there are no C tests on Windows");
        return Ok(());
    }
    if tools::find("gcc", "cc").is_none() {
        report.skip("c", tools::packages("gcc"));
        return Ok(());
    }
    let installed = SharedLibrary::build(workspace, report)?.install()?;
    for source in sources(workspace, "tests/c")? {
        if let Some(program) = installed.compile(workspace, report, &source)? {
            report.check(
                &shown(workspace, &source),
                &mut installed.command(workspace, &program),
            )?;
        }
    }
    for source in sources(workspace, "examples/c")? {
        let Some(program) = installed.compile(workspace, report, &source)? else {
            continue;
        };
        let stem = source.file_stem().and_then(|name| name.to_str());
        let bundle = match stem {
            Some("chain") => CHAINED,
            Some("generate") => WRITTEN,
            _ => demo::BUNDLE,
        };
        let finished = report.run(installed.command(workspace, &program).arg(bundle))?;
        let fault = match bundle {
            WRITTEN => fault_of_text(&finished.output),
            _ => fault_of_films(&finished.output),
        };
        if finished.status.success() && fault.is_none() {
            report.pass();
        } else {
            let (name, fault) = (shown(workspace, &source), fault.unwrap_or("stopped".into()));
            report.fail(format!("{name}: {fault} ({})", finished.status));
        }
    }
    Ok(())
}

fn fault_of_text(output: &str) -> Option<String> {
    output.trim().is_empty().then(|| "no text".into())
}

fn fault_of_films(output: &str) -> Option<String> {
    let scored = output.lines().filter(|line| is_scored(line)).count();
    (scored != RECOMMENDED).then(|| format!("{scored} films with scores, expected {RECOMMENDED}"))
}

/// `Title  score`
fn is_scored(line: &str) -> bool {
    let fields = line.trim_end().rsplit_once("  ");
    fields.is_some_and(|(title, score)| {
        !title.trim().is_empty() && score.parse::<f32>().is_ok_and(f32::is_finite)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_film_has_a_title_and_a_score() {
        assert!(is_scored("The Prestige (2006)  4.2517"));
        assert!(is_scored(" 1  Se7en (1995)   -0.25"));
        assert!(is_scored("Nightjar  0.6403"));
        assert!(!is_scored("For someone who saw Inception (2010):"));
        assert!(!is_scored("The Prestige (2006)  NaN"));
        assert!(!is_scored("  4.2517"));
        assert!(!is_scored(""));
    }
}
