use std::path::Path;
use std::process::Stdio;

use super::wheel::{NOTICES, PYTHON_ABI, PYTHON_VERSION, VERSION, Wheel};
use crate::digest;
use crate::error::{Error, Result, While};
use crate::process;
use crate::python::Python;

/// Takes the members named after the folder out of a wheel, which is a ZIP.
const UNPACK: &str = "\
import sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as wheel:
    wheel.extractall(sys.argv[2], sys.argv[3:])
";

/// Downloads the wheel with pip, checks it, and unpacks the library and its licence into `folder`.
pub fn download(wheel: &Wheel, folder: &Path) -> Result<()> {
    let python = Python::find()?;
    if !python.has_pip() {
        return Err(Error::new(
            "Python's pip is needed and missing (Debian: apt-get install python3-pip)",
        ));
    }
    let name = wheel.file_name();
    eprintln!("ONNX Runtime {VERSION}: downloading {name}");

    let mut pip = python.command();
    pip.args([
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--only-binary=:all:",
        "--disable-pip-version-check",
        "--no-input",
    ])
    .args([
        "--platform",
        wheel.tag,
        "--implementation",
        "cp",
        "--python-version",
        PYTHON_VERSION,
        "--abi",
        PYTHON_ABI,
    ])
    .arg("--dest")
    .arg(folder)
    .arg(format!("onnxruntime=={VERSION}"));
    let finished = process::capture(&mut pip, false)?;
    if !finished.status.success() {
        return Err(Error::new(format!(
            "cannot download {name} with pip; this step needs a network once. pip said:\n{}",
            indented(&finished.output)
        )));
    }

    let path = folder.join(&name);
    if !path.is_file() {
        return Err(Error::new(format!(
            "pip succeeded without bringing {name}:\n{}",
            indented(&finished.output)
        )));
    }
    digest::expect(&path, wheel.sha256)?;

    let mut unpack = python.command();
    unpack
        .args(["-c", UNPACK])
        .arg(&path)
        .arg(folder)
        .arg(wheel.member);
    unpack.args(NOTICES.map(|notice| format!("onnxruntime/{notice}")));
    let output = unpack
        .stdin(Stdio::null())
        .output()
        .while_doing(|| format!("unpack {name}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(Error::new(format!(
        "cannot unpack {name}:\n{}",
        indented(&String::from_utf8_lossy(&output.stderr))
    )))
}

fn indented(text: &str) -> String {
    text.trim_end()
        .lines()
        .map(|line| format!("  {line}\n"))
        .collect::<String>()
        .trim_end()
        .to_owned()
}
