//! Python environments, of the models package and of the races: outside the checkout, because they are large, and shared
//! by checkouts with the same lock file.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use crate::digest;
use crate::error::{Error, Result, While};
use crate::lock;
use crate::process;
use crate::python::Python;
use crate::workspace::Workspace;

const REQUIREMENTS: &str = "models/oneiro_models/requirements.lock";

pub struct PythonEnv {
    folder: PathBuf,
    requirements: PathBuf,
    requirements_sha256: String,
}

impl PythonEnv {
    /// Where the environment of the models package belongs, whether it is there or not.
    pub fn locate(workspace: &Workspace) -> Result<Self> {
        let mut environment = Self::of(workspace, REQUIREMENTS, "python")?;
        if let Some(folder) = set("ONEIRO_PYTHON_ENV") {
            environment.folder = folder;
        }
        Ok(environment)
    }

    /// Where the environment for a lock file belongs, in the cache under this name.
    pub fn of(workspace: &Workspace, requirements: &str, name: &str) -> Result<Self> {
        let requirements = workspace.path(requirements);
        let requirements_sha256 = digest::of_file(&requirements)?;
        let folder = cache()?
            .join("oneiro")
            .join(format!("{name}-{}", &requirements_sha256[..12]));
        Ok(Self {
            folder,
            requirements,
            requirements_sha256,
        })
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn python(&self) -> PathBuf {
        self.folder.join(if cfg!(windows) {
            "Scripts/python.exe"
        } else {
            "bin/python"
        })
    }

    /// Whether a whole installation of this very lock file is there. The stamp is written last.
    pub fn is_complete(&self) -> bool {
        let stamp = fs::read_to_string(self.stamp()).unwrap_or_default();
        stamp.trim() == self.requirements_sha256 && self.python().is_file()
    }

    /// Makes the environment, or finishes one that was left half made.
    pub fn install(&self) -> Result<()> {
        self.install_with(&[])
    }

    /// The same; these variables are for what has to be compiled.
    pub fn install_with(&self, variables: &[(&str, &str)]) -> Result<()> {
        let beside = self.folder.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(beside).while_doing(|| format!("make {}", beside.display()))?;
        let _lock = lock::hold(&self.folder.with_extension("lock"))?;
        if self.is_complete() {
            return Ok(());
        }
        if !self.python().is_file() {
            let python = Python::find()?;
            if !python.is_at_least(3, 11) {
                return Err(Error::new(
                    "the models package needs Python 3.11 or newer, and PATH has an older one",
                ));
            }
            if !python.has_venv() {
                return Err(Error::new(
                    "Python's venv is needed and missing (Debian: apt-get install python3-venv)",
                ));
            }
            process::run(python.command().args(["-m", "venv"]).arg(&self.folder))?;
        }
        let mut pip = std::process::Command::new(self.python());
        pip.envs(variables.iter().copied()).args([
            "-m",
            "pip",
            "install",
            "--disable-pip-version-check",
            "--no-input",
            "--require-hashes",
            "-r",
        ]);
        process::run(pip.arg(&self.requirements))?;
        let stamp = self.stamp();
        fs::write(&stamp, format!("{}\n", self.requirements_sha256))
            .while_doing(|| format!("write {}", stamp.display()))
    }

    fn stamp(&self) -> PathBuf {
        self.folder.join(".complete")
    }
}

fn cache() -> Result<PathBuf> {
    if let Some(cache) = set("XDG_CACHE_HOME") {
        return Ok(cache);
    }
    set("HOME")
        .or_else(|| set("USERPROFILE"))
        .map(|home| home.join(".cache"))
        .ok_or_else(|| {
            Error::new(
                "HOME is not set: name a folder for the Python environment in ONEIRO_PYTHON_ENV",
            )
        })
}

/// An absolute path from the environment; an empty or relative one counts as not set.
fn set(variable: &str) -> Option<PathBuf> {
    env::var_os(variable)
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(folder: &Path) -> PythonEnv {
        let python = PythonEnv {
            folder: folder.to_path_buf(),
            requirements: folder.join("requirements.lock"),
            requirements_sha256: "ab".repeat(32),
        };
        fs::create_dir_all(python.python().parent().unwrap()).unwrap();
        fs::write(python.python(), "").unwrap();
        python
    }

    #[test]
    fn without_a_stamp_it_is_not_complete() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!environment(folder.path()).is_complete());
    }

    #[test]
    fn the_stamp_of_another_lock_file_does_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let python = environment(folder.path());
        fs::write(python.stamp(), "cd".repeat(32)).unwrap();
        assert!(!python.is_complete());
        fs::write(python.stamp(), format!("{}\n", "ab".repeat(32))).unwrap();
        assert!(python.is_complete());
    }

    #[test]
    fn a_missing_lock_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = PythonEnv::locate(&Workspace::at(folder.path()))
            .err()
            .unwrap();
        assert!(error.to_string().contains("requirements.lock"));
    }
}
