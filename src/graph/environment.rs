//! Finding and loading ONNX Runtime, once per process.
//!
//! The library is looked for in this order, and nowhere else (never on the system's search path):
//! 1. what [`load`] or [`load_api`] was given;
//! 2. `ORT_DYLIB_PATH`: the library, or a folder that holds it. If it is set, it decides;
//! 3. the folder of the library or executable that holds oneiro.
//!
//! The first success is final for the process. Nothing is loaded before it is needed.
//!
//! ONNX Runtime's telemetry is kept from starting by `ORT_DISABLE_TELEMETRY=1`, which is set in the process's environment
//! when the library is loaded. A program whose other threads may be reading the environment just then (C's `getenv` does
//! not allow that) sets it itself, before it starts them.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use ort::environment::{Environment, EnvironmentBuilder};
use ort::logging::LogLevel;
use parking_lot::Mutex;

use super::room;
use crate::error::{Error, Result};

/// The oldest version that will do: that of the API this crate was built against.
pub(crate) const OLDEST_MINOR: u32 = ort::MINOR_VERSION;

/// ONNX Runtime's own table of functions, for a host that has loaded (or linked) it already.
pub use ort::sys::OrtApiBase;

struct Loaded {
    environment: Environment,
    path: Option<PathBuf>,
}

/// Never dropped: ONNX Runtime cannot build a second environment in one process.
static LOADED: OnceLock<Loaded> = OnceLock::new();
static LOADING: Mutex<()> = Mutex::new(());

#[cfg(target_os = "windows")]
const FILE_NAMES: [&str; 1] = ["onnxruntime.dll"];
#[cfg(target_vendor = "apple")]
const FILE_NAMES: [&str; 1] = ["libonnxruntime.dylib"];
#[cfg(not(any(target_os = "windows", target_vendor = "apple")))]
const FILE_NAMES: [&str; 2] = ["libonnxruntime.so", "libonnxruntime.so.1"];

/// Loads ONNX Runtime from this library (or from the folder that holds it).
///
/// Loading it again, from the same file, does nothing.
///
/// # Errors
/// [`Error::RuntimeNotFound`] if it is missing, not ONNX Runtime, or too old: another call may still succeed.
/// [`Error::Runtime`] if another library was loaded before.
pub fn load(path: impl AsRef<Path>) -> Result<()> {
    let _turn = LOADING.lock();
    let mut tried = Vec::new();
    let files = candidates(path.as_ref());
    if let Some(loaded) = LOADED.get() {
        let same = loaded
            .path
            .as_ref()
            .is_some_and(|path| files.iter().any(|file| same_file(file, path)));
        return if same { Ok(()) } else { Err(already(loaded)) };
    }
    for file in files {
        if open(&file, &mut tried)?.is_some() {
            return Ok(());
        }
    }
    Err(Error::RuntimeNotFound { tried })
}

/// Uses the ONNX Runtime that the host has loaded itself.
///
/// # Errors
/// As [`load`].
///
/// # Safety
/// `base` is what that library's `OrtGetApiBase()` returned, and the library is never unloaded.
pub unsafe fn load_api(base: *const OrtApiBase) -> Result<()> {
    let _turn = LOADING.lock();
    if let Some(loaded) = LOADED.get() {
        return Err(already(loaded));
    }
    // SAFETY: the caller's promise; a null table is refused.
    let api = unsafe {
        base.as_ref()
            .and_then(|base| (base.GetApi)(ort::sys::ORT_API_VERSION).as_ref())
    };
    let Some(api) = api else {
        return Err(Error::RuntimeNotFound {
            tried: vec!["the host's OrtApiBase: too old, or null".into()],
        });
    };
    // SAFETY: the table is plain function pointers; the library that owns them stays loaded.
    ort::set_api(unsafe { std::ptr::read(api) });
    start(ort::init(), None)?;
    Ok(())
}

/// The file ONNX Runtime was loaded from; `None` before that, or if the host supplied it.
#[must_use]
pub fn path() -> Option<&'static Path> {
    LOADED.get()?.path.as_deref()
}

pub(super) fn get() -> Result<&'static Environment> {
    if let Some(loaded) = LOADED.get() {
        return Ok(&loaded.environment);
    }
    let _turn = LOADING.lock();
    if let Some(loaded) = LOADED.get() {
        return Ok(&loaded.environment);
    }
    let mut tried = Vec::new();
    let files = match env::var_os("ORT_DYLIB_PATH").filter(|value| !value.is_empty()) {
        Some(value) => {
            tried.push(format!(
                "ORT_DYLIB_PATH is set to {}",
                Path::new(&value).display()
            ));
            candidates(Path::new(&value))
        }
        None => {
            tried.push("ORT_DYLIB_PATH is not set".into());
            beside()
                .iter()
                .flat_map(|folder| candidates(folder))
                .collect()
        }
    };
    for file in files {
        if let Some(loaded) = open(&file, &mut tried)? {
            return Ok(&loaded.environment);
        }
    }
    Err(Error::RuntimeNotFound { tried })
}

/// A file stands for itself, a folder for the libraries that may lie in it.
fn candidates(path: &Path) -> Vec<PathBuf> {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.into());
    if !path.is_dir() {
        return vec![path];
    }
    let mut files: Vec<PathBuf> = FILE_NAMES.iter().map(|name| path.join(name)).collect();
    files.extend(versioned(&path));
    files
}

/// The libraries of a folder that carry their version in their name, as those in ONNX Runtime's Python wheels do.
fn versioned(folder: &Path) -> Vec<PathBuf> {
    let known = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| {
            name.starts_with("libonnxruntime.so.1.")
                || name.starts_with("libonnxruntime.1.") && name.ends_with(".dylib")
        })
    };
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(known).collect();
    files.sort();
    files
}

/// The folders of the library and of the executable that hold oneiro.
fn beside() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = Vec::new();
    for file in [own_library(), env::current_exe().ok()]
        .into_iter()
        .flatten()
    {
        if let Some(folder) = file.parent()
            && !folders.iter().any(|known| known == folder)
        {
            folders.push(folder.into());
        }
    }
    folders
}

#[cfg(unix)]
fn own_library() -> Option<PathBuf> {
    use std::ffi::{CStr, OsStr};
    use std::os::unix::ffi::OsStrExt;
    // SAFETY: all zeros is a valid Dl_info; dladdr only reads the address and fills the struct; the name it gives is a
    // NUL-terminated string that lives as long as the library, which is running this code.
    unsafe {
        let mut info: libc::Dl_info = std::mem::zeroed();
        let address = own_library as fn() -> Option<PathBuf> as *const libc::c_void;
        if libc::dladdr(address, &mut info) == 0 || info.dli_fname.is_null() {
            return None;
        }
        let name = Path::new(OsStr::from_bytes(CStr::from_ptr(info.dli_fname).to_bytes()));
        // A relative name may be no more than what the program was called by: taken from the current folder, it would
        // let whoever owns that folder choose the library.
        if name.is_relative() {
            None
        } else {
            std::fs::canonicalize(name).ok()
        }
    }
}

#[cfg(not(unix))]
fn own_library() -> Option<PathBuf> {
    None
}

/// Loads `file`, or notes in `tried` why it will not do. An error means that it loaded and then failed for good.
fn open(file: &Path, tried: &mut Vec<String>) -> Result<Option<&'static Loaded>> {
    let at = file.display();
    if !file.exists() {
        tried.push(format!("{at}: no such file"));
        return Ok(None);
    }
    match ort::init_from(file) {
        Ok(builder) => {
            room::make();
            Ok(Some(start(builder, Some(file.into()))?))
        }
        Err(error) => {
            use ort::LoadDynamicError as E;
            tried.push(match error {
                E::Dlopen { error, .. } => format!("{at}: {error}"),
                E::MissingApi { .. } => {
                    format!("{at}: is not ONNX Runtime (it lacks OrtGetApiBase)")
                }
                E::BadVersion { version_str, .. } => {
                    format!("{at}: is ONNX Runtime {version_str}, too old")
                }
                E::InvalidVersionString => format!("{at}: reports a version that cannot be read"),
            });
            Ok(None)
        }
    }
}

/// Keeps ONNX Runtime's uploader from being made.
///
/// Official builds for Linux, macOS, Android and iOS carry one: with the environment it starts a thread, writes a device
/// id and a database below `~/.cache/Microsoft`, and sends events. `with_telemetry(false)` comes after that and drops
/// only some events; the switch that is read before is this variable ("Disabling Telemetry" in its Privacy.md).
fn forbid_telemetry() {
    const SWITCH: &str = "ORT_DISABLE_TELEMETRY";
    if env::var_os(SWITCH).is_some_and(|value| value == "1") {
        return;
    }
    // SAFETY: Rust code reads and writes the environment under one lock. C code of the host that calls getenv on another
    // thread at this very moment is what cannot be ruled out: the docs of this module tell such a host to set the
    // variable itself, which leaves nothing to do here.
    unsafe { env::set_var(SWITCH, "1") }
}

fn start(builder: EnvironmentBuilder, path: Option<PathBuf>) -> Result<&'static Loaded> {
    forbid_telemetry();
    let environment = builder
        .with_name("oneiro")
        .with_telemetry(false)
        .with_logger(Arc::new(|level, category, _id, location, message| {
            // Its errors come back as ours; what it logs beside them is detail.
            let level = match level {
                LogLevel::Fatal | LogLevel::Error | LogLevel::Warning => log::Level::Debug,
                LogLevel::Info | LogLevel::Verbose => log::Level::Trace,
            };
            log::log!(target: "oneiro::onnxruntime", level, "{category} {location}: {message}");
        }))
        .build()
        .map_err(|error| Error::Runtime {
            graph: "environment".into(),
            reason: error.message().into(),
        })?;
    environment.set_log_level(LogLevel::Warning);
    Ok(LOADED.get_or_init(|| Loaded { environment, path }))
}

fn already(loaded: &Loaded) -> Error {
    let from = match &loaded.path {
        Some(path) => path.display().to_string(),
        None => "the host".into(),
    };
    Error::Runtime {
        graph: "environment".into(),
        reason: format!("already loaded from {from}; the first success is final for the process"),
    }
}

fn same_file(a: &Path, b: &Path) -> bool {
    match (a.canonicalize(), b.canonicalize()) {
        (Ok(a), Ok(b)) => a == b,
        _ => a == b,
    }
}
