//! Why a command stopped, as a line on stderr and an exit code. The codes are listed in `oneiro --help`.

use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::process::ExitCode;

use oneiro::{Error, ErrorCode};

use crate::output;

/// The exit code of a bug of ours.
pub const INTERNAL: u8 = 70;
const USAGE: u8 = 2;

/// Why a command stopped.
#[derive(Debug)]
pub enum Failure {
    /// The library said no.
    Library(Error),
    /// The options do not go together.
    Usage(&'static str),
    /// A file of the caller's does not hold what it should.
    Input(PathBuf, String),
    /// The results could not be written.
    Output(io::Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Library(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl Failure {
    /// Says what is wrong, and gives the code to exit with.
    pub fn report(&self) -> ExitCode {
        match self {
            Self::Library(error) => output::note(format_args!("error: {error}")),
            Self::Usage(reason) => output::note(format_args!("error: {reason}")),
            Self::Input(path, reason) => {
                output::note(format_args!("error: {}: {reason}", path.display()));
            }
            // Whoever read the results has enough of them: `oneiro … | head -1`.
            Self::Output(error) if error.kind() == ErrorKind::BrokenPipe => {
                return ExitCode::SUCCESS;
            }
            Self::Output(error) => output::note(format_args!("error: standard output: {error}")),
        }
        ExitCode::from(self.code())
    }

    fn code(&self) -> u8 {
        match self {
            Self::Library(error) => exit_code(error.code()),
            Self::Usage(_) => USAGE,
            Self::Input(..) | Self::Output(_) => exit_code(ErrorCode::Io),
        }
    }
}

/// The library's own code, but for its bugs, whose code is the one that `sysexits.h` has for them.
pub fn exit_code(code: ErrorCode) -> u8 {
    match code {
        ErrorCode::Internal => INTERNAL,
        other => u8::try_from(other as i32).unwrap_or(INTERNAL),
    }
}
