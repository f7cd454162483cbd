//! The shared library that cargo has built for the tests, and C programs linked to it.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Beside the test's own executable, or one folder above.
pub fn shared_library() -> PathBuf {
    let name = format!(
        "{}oneiro{}",
        env::consts::DLL_PREFIX,
        env::consts::DLL_SUFFIX
    );
    let executable = env::current_exe().unwrap();
    let folders = executable.ancestors().skip(1).take(2);
    let found = folders
        .map(|folder| folder.join(&name))
        .find(|file| file.is_file());
    found.unwrap_or_else(|| panic!("there is no {name} near {}", executable.display()))
}

/// Compiles a C file against the shared library, to a program in a folder.
#[allow(dead_code, reason = "not every test of the library needs it")]
pub fn compile(source: &str, folder: &Path) -> PathBuf {
    let library = shared_library();
    let major = env!("ONEIRO_ABI_MAJOR");
    for name in [
        format!("liboneiro.so.{major}"),
        format!("liboneiro.{major}.dylib"),
    ] {
        std::os::unix::fs::symlink(&library, folder.join(name)).unwrap();
    }
    let program = folder.join("program");
    let compiled = Command::new("cc")
        .args(["-std=c99", "-Iinclude", source])
        .arg(&library)
        .arg(format!("-Wl,-rpath,{}", folder.display()))
        .args(["-lpthread", "-o"])
        .arg(&program)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&compiled.stderr);
    assert!(compiled.status.success(), "{errors}");
    program
}
