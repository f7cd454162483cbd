//! Where ONNX Runtime is looked for, and what is said when it is not there.
//!
//! The first success is final for a process, so each case is a process of its own: this test, run again.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests may"
)]

mod shared_library;

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use oneiro::{Engine, Error, runtime};

const GOOD: &str = "ONEIRO_TEST_GOOD_RUNTIME";

/// Opens an engine, which fails; then loads the good library, and opens one.
#[test]
fn child() {
    let Some(good) = env::var_os(GOOD) else {
        return;
    };
    let error = Engine::open("models/tiny").unwrap_err();
    assert!(matches!(error, Error::RuntimeNotFound { .. }), "{error:?}");
    assert_eq!(runtime::path(), None);
    println!("said: {error}");
    runtime::load(&good).unwrap();
    assert!(
        Engine::open("models/tiny")
            .unwrap()
            .recommender()
            .recommend(3)
            .unwrap()
            .len()
            == 3
    );
    let loaded = runtime::path().unwrap();
    runtime::load(loaded).unwrap();
    let refused = runtime::load("another/library").unwrap_err().to_string();
    assert!(refused.contains("first success is final"), "{refused}");
    println!("then loaded {}", loaded.display());
}

/// The child, without any setting.
fn child_process() -> Command {
    let good =
        env::var_os("ORT_DYLIB_PATH").expect("cargo sets ORT_DYLIB_PATH; see .cargo/config.toml");
    let mut child = Command::new(env::current_exe().unwrap());
    child.args(["--exact", "child", "--nocapture"]);
    child.env(GOOD, good).env_remove("ORT_DYLIB_PATH");
    child
}

/// What the child's first engine says with `ORT_DYLIB_PATH` set so.
fn said_with(library: Option<&Path>) -> String {
    let mut child = child_process();
    if let Some(library) = library {
        child.env("ORT_DYLIB_PATH", library);
    }
    let output = child.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.contains("then loaded"),
        "{said}\n{complained}"
    );
    assert!(!complained.contains("panicked"), "{complained}");
    assert!(said.contains("no usable ONNX Runtime"), "{said}");
    said
}

/// Official builds of ONNX Runtime upload events unless they are told not to before their environment exists; the first
/// trace of that is a device id below the user's cache folder.
#[test]
fn telemetry_leaves_no_trace() {
    let home = tempfile::tempdir().unwrap();
    let mut child = child_process();
    child.envs(
        [
            "HOME",
            "USERPROFILE",
            "LOCALAPPDATA",
            "XDG_CACHE_HOME",
            "XDG_DATA_HOME",
        ]
        .map(|name| (name, home.path())),
    );
    // What ONNX Runtime takes for an automatic build, where it keeps quiet by itself.
    for name in [
        "CI",
        "GITHUB_ACTIONS",
        "TF_BUILD",
        "BUILD_ID",
        "JENKINS_URL",
        "ORT_RUNNING_UNIT_TESTS",
    ] {
        child.env_remove(name);
    }
    let output = child.env("ORT_DISABLE_TELEMETRY", "0").output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let left: Vec<_> = fs::read_dir(home.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_missing_library_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("libnowhere.so");
    let said = said_with(Some(&missing));
    assert!(
        said.contains(&format!("{}: no such file", missing.display())),
        "{said}"
    );
    assert!(said.contains("ORT_DYLIB_PATH is set"), "{said}");
}

#[test]
fn an_empty_folder_is_searched_for_the_platforms_names() {
    let folder = tempfile::tempdir().unwrap();
    let said = said_with(Some(folder.path()));
    assert!(said.contains("onnxruntime"), "{said}");
    assert!(said.contains("no such file"), "{said}");
}

#[test]
fn a_file_that_is_no_library_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("libtext.so");
    fs::write(&text, "not a library").unwrap();
    let said = said_with(Some(&text));
    assert!(said.contains(&format!("{}: ", text.display())), "{said}");
    assert!(!said.contains("no such file"), "{said}");
}

#[test]
fn another_library_is_refused() {
    let said = said_with(Some(&shared_library::shared_library()));
    assert!(said.contains("is not ONNX Runtime"), "{said}");
}

#[cfg(unix)]
#[test]
fn an_old_library_is_refused_with_its_version() {
    let folder = tempfile::tempdir().unwrap();
    let (source, old) = (folder.path().join("old.c"), folder.path().join("libold.so"));
    let code = "#include <stddef.h>\n\
        static const void *get_api(unsigned version) { (void)version; return NULL; }\n\
        static const char *get_version(void) { return \"1.10.0\"; }\n\
        struct base { const void *(*api)(unsigned); const char *(*version)(void); };\n\
        const struct base *OrtGetApiBase(void);\n\
        const struct base *OrtGetApiBase(void) { static const struct base b = {get_api, get_version}; return &b; }\n";
    fs::write(&source, code).unwrap();
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .args([&old, &source])
        .status()
        .unwrap();
    assert!(compiled.success());
    let said = said_with(Some(&old));
    assert!(said.contains("ONNX Runtime 1.10.0, too old"), "{said}");
}

#[test]
fn without_a_setting_the_folder_of_the_program_is_searched_and_no_other() {
    let said = said_with(None);
    assert!(said.contains("ORT_DYLIB_PATH is not set"), "{said}");
    let own = env::current_exe().unwrap();
    let own = own.parent().unwrap().display().to_string();
    let tried: Vec<&str> = said
        .lines()
        .filter(|line| line.contains("no such file"))
        .collect();
    assert!(
        !tried.is_empty() && tried.iter().all(|line| line.contains(&own)),
        "{said}"
    );
}

/// The system's loader knows a program only by what it was called, which may be a bare name: nothing of that name in the
/// current folder may choose the library.
#[cfg(unix)]
#[test]
fn the_current_folder_never_chooses_the_library() {
    use std::os::unix::process::CommandExt;
    let root = env::current_dir().unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("models")).unwrap();
    fs::create_dir(folder.path().join("oneiro")).unwrap();
    std::os::unix::fs::symlink(root.join("models/tiny"), folder.path().join("models/tiny"))
        .unwrap();
    for name in ["libonnxruntime.so", "libonnxruntime.dylib"] {
        fs::write(folder.path().join(name), "not a library").unwrap();
    }
    let output = child_process()
        .arg0("oneiro")
        .current_dir(folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("no usable ONNX Runtime"), "{said}");
    let planted = folder.path().canonicalize().unwrap();
    assert!(!said.contains(planted.to_str().unwrap()), "{said}");
    assert!(output.status.success(), "{said}");
}
