use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Error, Result};

/// The checkout that `cargo xtask` was started in.
pub struct Workspace {
    root: PathBuf,
}

impl Workspace {
    pub fn find() -> Result<Self> {
        let root = env::var_os("CARGO_MANIFEST_DIR")
            .and_then(|package| Path::new(&package).parent().map(Path::to_path_buf))
            .ok_or_else(|| {
                Error::new("start this program as `cargo xtask`, inside the checkout")
            })?;
        Ok(Self { root })
    }

    #[cfg(test)]
    pub fn at(root: &Path) -> Self {
        Self {
            root: root.to_path_buf(),
        }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// Where ONNX Runtime is kept, whatever CARGO_TARGET_DIR says: `.cargo/config.toml` names this folder.
    pub fn onnxruntime(&self) -> PathBuf {
        self.path("target/onnxruntime")
    }

    /// A program that runs in the root, without what `cargo run` told this program about its own package.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root);
        for (name, _) in env::vars_os() {
            if name.to_str().is_some_and(describes_own_package) {
                command.env_remove(name);
            }
        }
        command
    }

    pub fn cargo(&self) -> Command {
        self.command(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
    }
}

fn describes_own_package(variable: &str) -> bool {
    variable.starts_with("CARGO_PKG_")
        || variable.starts_with("CARGO_MANIFEST_")
        || [
            "CARGO_BIN_NAME",
            "CARGO_CRATE_NAME",
            "CARGO_PRIMARY_PACKAGE",
        ]
        .contains(&variable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_user_set_reaches_the_child() {
        assert!(!describes_own_package("CARGO_HOME"));
        assert!(!describes_own_package("CARGO_TARGET_DIR"));
        assert!(!describes_own_package("CARGO_NET_OFFLINE"));
        assert!(describes_own_package("CARGO_PKG_VERSION"));
        assert!(describes_own_package("CARGO_MANIFEST_DIR"));
    }
}
