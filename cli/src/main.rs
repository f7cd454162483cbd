//! `oneiro`: recommend from a bundle, let it write, measure it, look into it, check it.

#![forbid(unsafe_code)]

mod arrangement;
mod bench;
mod choice;
mod eval;
mod failure;
mod generate;
mod generating;
mod index;
mod inspect;
mod interactions;
mod interpret;
mod interrupt;
mod lookup;
mod oracle;
mod output;
mod ranking;
mod recommend;
mod score;
mod similar;
mod table;
mod value;
mod verify;
mod wait;

use std::panic::{self, PanicHookInfo};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use oneiro::Cancel;

use failure::{Failure, INTERNAL};

/// Predict the next item a person will like, from a bundle on this machine.
///
/// A bundle is a folder with a catalog and its trained networks. Nothing leaves this machine.
#[derive(Parser)]
#[command(name = "oneiro", version, after_help = EXIT_CODES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Recommend(Box<recommend::Arguments>),
    Similar(similar::Arguments),
    Score(score::Arguments),
    Generate(generate::Arguments),
    Interpret(interpret::Arguments),
    Eval(eval::Arguments),
    Bench(bench::Arguments),
    Inspect(inspect::Arguments),
    Index(index::Arguments),
    Verify(verify::Arguments),
}

const EXIT_CODES: &str = "\
Exit codes:
   0  done
   1  an argument does not fit the bundle
   2  the command line is wrong, or an item is unknown or ambiguous
   3  the bundle carries no such network, table or attribute
   4  the prompt is longer than the language model can hold
  10  a file could not be read or written
  11  the bundle is damaged
  12  the bundle needs a newer oneiro
  20  ONNX Runtime is missing or failed
  21  out of memory
  30  stopped with Ctrl-C
  31  --deadline-ms struck before there was a result
  70  a bug in oneiro";

fn main() -> ExitCode {
    panic::set_hook(Box::new(report_panic));
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(refusal) => {
            // Help and version go to a pipe that may be closed, like any other output.
            let _ = refusal.print();
            return ExitCode::from(u8::try_from(refusal.exit_code()).unwrap_or(INTERNAL));
        }
    };
    match panic::catch_unwind(|| run(&arguments.command)) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(failure)) => failure.report(),
        Err(_) => ExitCode::from(INTERNAL),
    }
}

fn run(command: &Command) -> Result<(), Failure> {
    let cancel = Cancel::new();
    interrupt::stops(&cancel);
    match command {
        Command::Recommend(arguments) => recommend::run(arguments, cancel),
        Command::Similar(arguments) => similar::run(arguments, cancel),
        Command::Score(arguments) => score::run(arguments, cancel),
        Command::Generate(arguments) => generate::run(arguments, cancel),
        Command::Interpret(arguments) => interpret::run(arguments, cancel),
        Command::Eval(arguments) => eval::run(arguments, cancel),
        Command::Bench(arguments) => bench::run(arguments, cancel),
        Command::Inspect(arguments) => inspect::run(arguments),
        Command::Index(arguments) => index::run(arguments, cancel),
        Command::Verify(arguments) => verify::run(arguments, &cancel),
    }
}

/// One line, and no trace of the stack.
fn report_panic(panic: &PanicHookInfo) {
    let reason = panic.payload_as_str().unwrap_or("unknown");
    let place = panic
        .location()
        .map(|at| format!(" ({}:{})", at.file(), at.line()));
    let place = place.unwrap_or_default();
    output::note(format_args!(
        "error: internal error, please report it: {reason}{place}"
    ));
}
