//! `cargo xtask`: set-up, demo and tests, each one command on a fresh machine.
#![forbid(unsafe_code)]

mod about;
mod artifact;
mod demo;
mod digest;
mod error;
mod lock;
mod onnxruntime;
mod pages;
mod picture;
mod process;
mod python;
mod python_env;
mod race;
mod report;
mod setup;
mod suites;
mod terminal;
mod test;
mod tools;
mod workspace;

use std::process::ExitCode;

use error::{Error, Result};
use workspace::Workspace;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  demo                      recommend films from the shipped bundle to a history of five
  test [OPTIONS]            run the test suites
      --all                 a suite that cannot run is a failure
      --only NAME           run this suite only (may be repeated)
      --verbose             show the output of passing suites too
  llm                       race language models against onnxruntime-genai and llama.cpp; writes docs/llm.md
  onnxruntime               bring ONNX Runtime's library into target/onnxruntime
  oracle                    compare ways to dream (`cargo bench --bench oracle`); writes docs/oracle.md
  picture                   draw docs/demo.svg from what the demo prints
  race [OPTIONS]            race against C by hand, ONNX Runtime, numpy and faiss; writes docs/race.md
      --only PART           start, one, scan or many (may be repeated)
      --items N             catalogs of this size only: 10k, 100k, 1M (may be repeated)
      --threads N           with this many threads only: 1, 2 (may be repeated)
      --table               write the tables from the figures that are there
      --built               build nothing: the players are there
      --check               fail if a bound is missed
      --quick               a few calls on a small catalog; writes nothing
  scan                      compare ways to score rows (`cargo bench --bench scan`); writes docs/scan.md
  setup                     install the tools and the Python environment that `test --all` needs
";

fn main() -> ExitCode {
    match run(std::env::args().skip(1).collect()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Vec<String>) -> Result<ExitCode> {
    let (command, rest) = match arguments.split_first() {
        Some((command, rest)) => (command.as_str(), rest),
        None => ("help", &[][..]),
    };
    match command {
        "test" => test::run(&Workspace::find()?, &test::Options::parse(rest)?),
        "demo" => done(rest, demo::run),
        "llm" => done(rest, pages::llm),
        "onnxruntime" => done(rest, onnxruntime::fetch),
        "oracle" => done(rest, pages::oracle),
        "picture" => done(rest, picture::run),
        "race" => race::run(&Workspace::find()?, &race::Options::parse(rest)?),
        "scan" => done(rest, pages::scan),
        "setup" => done(rest, setup::run),
        "help" | "-h" | "--help" => {
            terminal::print(USAGE);
            Ok(ExitCode::SUCCESS)
        }
        unknown => Err(Error::new(format!(
            "there is no command `{unknown}`\n\n{USAGE}"
        ))),
    }
}

fn done(rest: &[String], command: fn(&Workspace) -> Result<()>) -> Result<ExitCode> {
    if let Some(extra) = rest.first() {
        return Err(Error::new(format!(
            "`{extra}` is not understood here\n\n{USAGE}"
        )));
    }
    command(&Workspace::find()?)?;
    Ok(ExitCode::SUCCESS)
}
