//! The shared library's name for the loader, and the ABI version, both from `Cargo.toml`.
//!
//! Nothing else is needed to keep foreign symbols in: rustc itself gives the linker the list of `extern "C"` functions
//! (as a version script, an exported-symbols list or a .def file), and `tests/binary.rs` holds it to that.

use std::env;
use std::error::Error;
use std::fs;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=Cargo.toml");
    let manifest =
        fs::read_to_string(PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("Cargo.toml"))?;
    let (major, minor) =
        abi(&manifest).ok_or("Cargo.toml has no version in [package.metadata.capi.library]")?;
    println!("cargo::rustc-env=ONEIRO_ABI_MAJOR={major}");
    println!("cargo::rustc-env=ONEIRO_ABI_MINOR={minor}");

    let os = env::var("CARGO_CFG_TARGET_OS")?;
    let apple = env::var("CARGO_CFG_TARGET_VENDOR")? == "apple";
    if os == "android" {
        // Android's package manager only takes files named lib*.so, so the name cannot carry the ABI there.
        link("-Wl,-soname,liboneiro.so");
        link("-Wl,-z,max-page-size=16384");
    } else if apple {
        link(&format!("-Wl,-install_name,@rpath/liboneiro.{major}.dylib"));
    } else if env::var_os("CARGO_CFG_UNIX").is_some() {
        link(&format!("-Wl,-soname,liboneiro.so.{major}"));
    }
    Ok(())
}

fn link(argument: &str) {
    println!("cargo::rustc-cdylib-link-arg={argument}");
}

/// Major and minor of `version` in `[package.metadata.capi.library]`, where cargo-c looks for it too.
fn abi(manifest: &str) -> Option<(u16, u16)> {
    let (_, section) = manifest.split_once("[package.metadata.capi.library]")?;
    let line = section
        .lines()
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .find(|l| l.starts_with("version"))?;
    let mut numbers = line.split('"').nth(1)?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}
