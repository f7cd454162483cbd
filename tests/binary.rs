//! What leaves the shared library: the functions of the header, and nothing else.
//!
//! `ONEIRO_BLESS=1 cargo test --test binary` writes `tests/abi/symbols.txt`. A line that goes away, or changes, is a new
//! ABI major; a line more is a new minor; both belong in the changelog.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests may"
)]
#![cfg(all(feature = "capi", unix))]

mod shared_library;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use shared_library::shared_library;

const SNAPSHOT: &str = "tests/abi/symbols.txt";

/// The defined dynamic symbols, or nothing without `nm`.
fn exported(library: &Path) -> Option<BTreeSet<String>> {
    let apple = cfg!(target_vendor = "apple");
    let arguments: &[&str] = if apple {
        &["-gU"]
    } else {
        &["-D", "--defined-only"]
    };
    let output = Command::new("nm")
        .args(arguments)
        .arg(library)
        .output()
        .ok()?;
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let listed = String::from_utf8(output.stdout).unwrap();
    let names = listed
        .lines()
        .filter_map(|line| line.split_whitespace().last());
    Some(
        names
            .map(|name| {
                if apple {
                    name.trim_start_matches('_')
                } else {
                    name
                }
                .to_owned()
            })
            .collect(),
    )
}

/// The functions that the header declares.
fn declared() -> BTreeSet<String> {
    let header = fs::read_to_string("include/oneiro.h").unwrap();
    let mut names = BTreeSet::new();
    for declaration in header.split("ONEIRO_API").skip(1) {
        let Some((head, _)) = declaration.split_once('(') else {
            continue;
        };
        if let Some(name) = head
            .split_whitespace()
            .last()
            .map(|name| name.trim_start_matches('*'))
            && name.starts_with("oneiro_")
        {
            names.insert(name.to_owned());
        }
    }
    names
}

#[test]
fn only_the_functions_of_the_header_leave_the_library() {
    let Some(exported) = exported(&shared_library()) else {
        eprintln!("not here: nm");
        return;
    };
    assert_eq!(exported, declared());
}

#[test]
fn the_functions_are_those_of_the_snapshot() {
    let declared: String = declared().iter().map(|name| format!("{name}\n")).collect();
    if std::env::var_os("ONEIRO_BLESS").is_some() {
        fs::write(SNAPSHOT, &declared).unwrap();
    }
    let snapshot = fs::read_to_string(SNAPSHOT).unwrap_or_default();
    assert!(
        declared == snapshot,
        "{SNAPSHOT} is not what the header declares:\n{declared}"
    );
}

#[cfg(target_os = "linux")]
#[test]
fn the_loader_knows_the_library_by_its_abi() {
    let library = fs::read(shared_library()).unwrap();
    let soname = concat!("\0liboneiro.so.", env!("ONEIRO_ABI_MAJOR"), "\0");
    let mut found = library
        .windows(soname.len())
        .filter(|window| *window == soname.as_bytes());
    assert!(
        found.next().is_some(),
        "there is no {} in the library",
        soname.trim_matches('\0')
    );
}
