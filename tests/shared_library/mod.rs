//! The shared library that cargo has built for the tests.

use std::env;
use std::path::PathBuf;

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
