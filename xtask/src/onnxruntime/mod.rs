//! ONNX Runtime's shared library, out of the published Python wheel.
//!
//! The library's own digest is fixed beside the wheel's, so a later run needs neither Python nor a network to know
//! that what lies under the target folder is right.

mod download;
mod wheel;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use crate::digest;
use crate::error::{Error, Result, While};
use crate::lock;
use crate::workspace::Workspace;
use wheel::{NOTICES, VERSION, Wheel};

/// `cargo xtask onnxruntime`.
pub fn fetch(workspace: &Workspace) -> Result<()> {
    let wheel = Wheel::for_host().ok_or_else(|| {
        Error::new(format!(
            "ONNX Runtime {VERSION} is not published for this platform ({} {}): build it and name it in ORT_DYLIB_PATH",
            env::consts::OS,
            env::consts::ARCH
        ))
    })?;
    let (library, how) = provide(wheel, &workspace.onnxruntime(), download::download)?;
    let shown = library.strip_prefix(workspace.root()).unwrap_or(&library);
    eprintln!("ONNX Runtime {VERSION}: {} ({how})", shown.display());
    Ok(())
}

/// What the demo and the tests call first: a library that the user named in ORT_DYLIB_PATH is left alone.
pub fn ensure(workspace: &Workspace) -> Result<()> {
    match env::var_os("ORT_DYLIB_PATH") {
        Some(named) if !named.is_empty() && Path::new(&named) != workspace.onnxruntime() => {
            eprintln!(
                "ONNX Runtime: {} (named by ORT_DYLIB_PATH)",
                Path::new(&named).display()
            );
            Ok(())
        }
        _ => fetch(workspace),
    }
}

/// Leaves the checked library in `folder`, and says how it came there.
///
/// `download` puts the wheel's members, already checked against the wheel's digest, into an empty folder.
fn provide(
    wheel: &Wheel,
    folder: &Path,
    download: impl FnOnce(&Wheel, &Path) -> Result<()>,
) -> Result<(PathBuf, &'static str)> {
    fs::create_dir_all(folder).while_doing(|| format!("make {}", folder.display()))?;
    let _lock = lock::hold(&folder.join(".lock"))?;
    let library = folder.join(wheel.library);
    let there = library.is_file();
    if there && is_whole(wheel, folder)? {
        return Ok((library, "already there, SHA-256 checked"));
    }

    let incoming = folder.join("incoming");
    clear(&incoming)?;
    fs::create_dir_all(&incoming).while_doing(|| format!("make {}", incoming.display()))?;
    let brought = download(wheel, &incoming).and_then(|()| put_in_place(wheel, &incoming, folder));
    let cleared = clear(&incoming);
    brought?;
    cleared?;
    Ok((
        library,
        if there {
            "the one there was not whole or of another version: fetched again"
        } else {
            "fetched"
        },
    ))
}

fn is_whole(wheel: &Wheel, folder: &Path) -> Result<bool> {
    let notices = NOTICES.iter().all(|name| folder.join(name).is_file());
    Ok(notices && digest::of_file(&folder.join(wheel.library))? == wheel.member_sha256)
}

/// Moves, never copies: the library is whole or absent. It comes last, so it never stands without its licence.
fn put_in_place(wheel: &Wheel, incoming: &Path, folder: &Path) -> Result<()> {
    let member = incoming.join(wheel.member);
    digest::expect(&member, wheel.member_sha256)?;
    let rename = |from: &Path, name: &str| {
        let to = folder.join(name);
        fs::rename(from, &to).while_doing(|| format!("move {} to {}", from.display(), to.display()))
    };
    for name in NOTICES {
        rename(&incoming.join("onnxruntime").join(name), name)?;
    }
    rename(&member, wheel.library)
}

fn clear(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).while_doing(|| format!("remove {}", folder.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
