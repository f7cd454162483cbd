use std::path::PathBuf;
use std::process::Command;

use crate::error::{Error, Result};
use crate::process;

/// The machine's own Python 3.
pub struct Python {
    program: PathBuf,
}

impl Python {
    pub fn find() -> Result<Self> {
        ["python3", "python"]
            .into_iter()
            .filter_map(process::find_program)
            .map(|program| Self { program })
            .find(|python| python.is_at_least(3, 8))
            .ok_or_else(|| {
                Error::new("Python 3.8 or newer is needed, and PATH has none (Debian: apt-get install python3 python3-pip)")
            })
    }

    pub fn command(&self) -> Command {
        Command::new(&self.program)
    }

    pub fn has_pip(&self) -> bool {
        process::answer(self.command().args(["-m", "pip", "--version"])).is_some()
    }

    pub fn has_venv(&self) -> bool {
        self.accepts("import venv, ensurepip")
    }

    pub fn is_at_least(&self, major: u32, minor: u32) -> bool {
        self.accepts(&format!(
            "import sys; sys.exit(sys.version_info < ({major}, {minor}))"
        ))
    }

    fn accepts(&self, program: &str) -> bool {
        process::answer(self.command().args(["-c", program])).is_some()
    }
}
