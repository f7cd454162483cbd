//! The built shared library, and C programs linked to it.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::artifact;
use crate::error::{Error, Result, While};
use crate::process;
use crate::report::Report;
use crate::tools;
use crate::workspace::Workspace;

/// C as the header promises it.
const STRICT: [&str; 7] = [
    "-std=c99",
    "-pedantic",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wstrict-prototypes",
    "-g",
];

#[cfg(target_os = "macos")]
const LOADER_PATH: &str = "DYLD_LIBRARY_PATH";
#[cfg(not(target_os = "macos"))]
const LOADER_PATH: &str = "LD_LIBRARY_PATH";

pub struct SharedLibrary {
    pub file: PathBuf,
}

impl SharedLibrary {
    /// Builds the library's cdylib in cargo's dev profile.
    pub fn build(workspace: &Workspace, report: &mut Report) -> Result<Self> {
        let mut build = workspace.cargo();
        build.args(["build", "--package", "oneiro", "--lib"]);
        report.say(&format!("$ {}", process::line(&build)));
        let file = artifact::build(&mut build, true)?
            .iter()
            .filter(|artifact| artifact.name == "oneiro")
            .find_map(|artifact| artifact.shared_library().cloned())
            .ok_or_else(|| Error::new("cargo built no shared library `oneiro`"))?;
        Ok(Self { file })
    }

    /// The name that programs linked to the library ask the loader for; none outside ELF.
    pub fn soname(&self) -> Option<String> {
        let dynamic = process::answer(
            Command::new("readelf")
                .arg("-dW")
                .arg(&self.file)
                .env("LC_ALL", "C"),
        )?;
        soname(&dynamic).map(str::to_owned)
    }

    /// A folder laid out as if the library were installed: the linker's name and the loader's.
    pub fn install(&self) -> Result<Installed> {
        let folder = self.file.with_file_name("c");
        let lib = folder.join("lib");
        fs::create_dir_all(&lib).while_doing(|| format!("make {}", lib.display()))?;
        let own = self
            .file
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        for name in own.into_iter().chain(self.soname()) {
            let to = lib.join(name);
            // A new file each time: one that a running program has mapped must not change under it.
            let _ = fs::remove_file(&to);
            fs::copy(&self.file, &to)
                .while_doing(|| format!("copy the library to {}", to.display()))?;
        }
        Ok(Installed { folder, lib })
    }
}

pub struct Installed {
    folder: PathBuf,
    lib: PathBuf,
}

impl Installed {
    /// Compiles one C file to a program; a failure is counted, and gives none.
    pub fn compile(
        &self,
        workspace: &Workspace,
        report: &mut Report,
        source: &Path,
    ) -> Result<Option<PathBuf>> {
        let Some(compiler) = tools::find("gcc", "cc") else {
            return Ok(None);
        };
        let program = self.folder.join(source.file_stem().unwrap_or_default());
        let mut compile = workspace.command(compiler);
        compile
            .args(STRICT)
            .arg("-I")
            .arg(workspace.path("include"))
            .arg(source);
        compile
            .arg("-L")
            .arg(&self.lib)
            .args(["-loneiro", "-lm", "-lpthread", "-o"])
            .arg(&program);
        if report.run(&mut compile)?.status.success() {
            return Ok(Some(program));
        }
        report.fail(format!("{} does not compile", shown(workspace, source)));
        Ok(None)
    }

    /// `program`, able to find both shared libraries.
    pub fn command(&self, workspace: &Workspace, program: &Path) -> Command {
        let mut command = workspace.command(program);
        let mut path = OsString::from(&self.lib);
        if let Some(others) = env::var_os(LOADER_PATH).filter(|others| !others.is_empty()) {
            path.push(":");
            path.push(others);
        }
        command.env(LOADER_PATH, path);
        if env::var_os("ORT_DYLIB_PATH").is_none() {
            command.env("ORT_DYLIB_PATH", workspace.onnxruntime());
        }
        command
    }
}

/// The C files of a folder, by name.
pub fn sources(workspace: &Workspace, folder: &str) -> Result<Vec<PathBuf>> {
    let reading = || format!("read {folder}");
    let mut sources = Vec::new();
    for entry in fs::read_dir(workspace.path(folder)).while_doing(reading)? {
        let path = entry.while_doing(reading)?.path();
        if path.extension().is_some_and(|extension| extension == "c") {
            sources.push(path);
        }
    }
    sources.sort();
    if sources.is_empty() {
        Err(Error::new(format!("there is no C file in {folder}")))
    } else {
        Ok(sources)
    }
}

/// The path as seen from the root.
pub fn shown(workspace: &Workspace, path: &Path) -> String {
    path.strip_prefix(workspace.root())
        .unwrap_or(path)
        .display()
        .to_string()
}

fn soname(readelf: &str) -> Option<&str> {
    let line = readelf.lines().find(|line| line.contains("(SONAME)"))?;
    line.split_once('[')?
        .1
        .split_once(']')
        .map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soname_is_read() {
        let output = "\
 0x0000000000000001 (NEEDED)             Shared library: [libc.so.6]
 0x000000000000000e (SONAME)             Library soname: [liboneiro.so.0]
";
        assert_eq!(soname(output), Some("liboneiro.so.0"));
        assert_eq!(soname("0x1 (NEEDED) Shared library: [libc.so.6]"), None);
    }

    #[test]
    fn a_folder_without_c_files_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("c")).unwrap();
        let workspace = Workspace::at(folder.path());
        assert!(sources(&workspace, "c").is_err());
        fs::write(folder.path().join("c/a.c"), "").unwrap();
        fs::write(folder.path().join("c/a.h"), "").unwrap();
        assert_eq!(sources(&workspace, "c").unwrap().len(), 1);
    }
}
