//! The header says what the code does: made anew from `src/capi`, it equals the one that is checked in, and every
//! compiler that is here takes it under every standard that it promises.
//!
//! `ONEIRO_BLESS=1 cargo test --test header` writes it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests may"
)]
#![cfg(feature = "capi")]

use std::fs;
use std::path::Path;
use std::process::Command;

const HEADER: &str = "include/oneiro.h";
const CODE: &str = "src/capi";

/// One file of the code each, in the order of the header: a type comes before what uses it.
const SECTIONS: [&str; 22] = [
    "error",
    "runtime",
    "log",
    "cancel",
    "text",
    "parts",
    "bundle",
    "engine",
    "catalog",
    "ranking",
    "arrangement",
    "filter",
    "recommender",
    "opinions",
    "retrieve",
    "judge",
    "oracle",
    "generator",
    "prompt",
    "language_model",
    "generate",
    "interpret",
];
const EPILOGUE: &str =
    "\n#ifdef __cplusplus\n} /* extern \"C\" */\n#endif\n\n#endif /* ONEIRO_H */\n";

#[test]
fn the_header_is_what_the_code_says() {
    let made = header();
    if std::env::var_os("ONEIRO_BLESS").is_some() {
        fs::write(HEADER, &made).unwrap();
    }
    let checked_in = fs::read_to_string(HEADER)
        .unwrap_or_default()
        .replace("\r\n", "\n");
    if made != checked_in {
        let line = made
            .lines()
            .zip(checked_in.lines())
            .take_while(|(made, found)| made == found)
            .count();
        panic!(
            "{HEADER} is stale from line {}: ONEIRO_BLESS=1 cargo test --test header\n  made:       {:?}\n  checked in: {:?}",
            line + 1,
            made.lines().nth(line),
            checked_in.lines().nth(line)
        );
    }
}

/// The preamble, then the sections.
fn header() -> String {
    let mut header = fs::read_to_string(Path::new(CODE).join("preamble.h")).unwrap();
    for (name, value) in [
        ("@VERSION@", env!("CARGO_PKG_VERSION")),
        ("@VERSION_MAJOR@", env!("CARGO_PKG_VERSION_MAJOR")),
        ("@VERSION_MINOR@", env!("CARGO_PKG_VERSION_MINOR")),
        ("@VERSION_PATCH@", env!("CARGO_PKG_VERSION_PATCH")),
        ("@ABI_MAJOR@", env!("ONEIRO_ABI_MAJOR")),
        ("@ABI_MINOR@", env!("ONEIRO_ABI_MINOR")),
    ] {
        header = header.replace(name, value);
    }
    for section in SECTIONS {
        header += &self::section(&Path::new(CODE).join(section).with_extension("rs"));
    }
    header + EPILOGUE
}

/// One file's constants, types and functions under its title.
fn section(file: &Path) -> String {
    let source = fs::read_to_string(file).unwrap();
    let title = source
        .lines()
        .next()
        .and_then(|line| line.strip_prefix("//! "))
        .unwrap();
    let config = cbindgen::Config::from_file("cbindgen.toml").unwrap();
    let bindings = cbindgen::Builder::new()
        .with_config(config)
        .with_src(file)
        .generate()
        .unwrap();
    let mut body = Vec::new();
    bindings.write(&mut body);
    let body = tidy(String::from_utf8(body).unwrap().trim());
    let rule = "-".repeat(100_usize.saturating_sub(title.chars().count() + 10));
    format!("\n/* ---- {title} {rule} */\n\n{body}\n")
}

/// Comments of one line on one line, and types by their short names, which cbindgen does not do.
fn tidy(body: &str) -> String {
    let lines: Vec<&str> = body.lines().collect();
    let mut tidied = String::new();
    let mut i = 0;
    while i < lines.len() {
        let comment = match lines[i..] {
            [open, text, close, ..] if open.trim() == "/**" && close.trim() == "*/" => {
                text.trim().strip_prefix("* ")
            }
            _ => None,
        };
        if let Some(comment) = comment {
            let indent = lines[i].find('/').unwrap_or_default();
            tidied += &format!("{:indent$}/** {comment} */\n", "");
            i += 3;
        } else if lines[i].starts_with("typedef struct") {
            tidied += &format!("{}\n", lines[i]);
            i += 1;
        } else {
            tidied += &format!("{}\n", lines[i].replace("struct oneiro_", "oneiro_"));
            i += 1;
        }
    }
    tidied.trim_end().to_owned()
}

#[test]
fn every_public_module_is_a_section() {
    let modules = fs::read_to_string(Path::new(CODE).join("mod.rs")).unwrap();
    let mut public: Vec<&str> = modules
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'))
        .collect();
    let mut sections = SECTIONS.to_vec();
    public.sort_unstable();
    sections.sort_unstable();
    assert_eq!(public, sections);
}

/// The program in the comment at the top is one.
#[cfg(unix)]
#[test]
fn the_example_in_the_header_compiles() {
    let header = fs::read_to_string(Path::new(CODE).join("preamble.h")).unwrap();
    let first = header.find(" *   oneiro_engine *engine").unwrap();
    let last = header.find("oneiro_engine_free(engine);\n").unwrap();
    let body: String = header[first..last]
        .lines()
        .map(|line| format!("{}\n", line.trim_start_matches(" *")))
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("example.c");
    fs::write(folder.path().join("oneiro.h"), self::header()).unwrap();
    fs::write(
        &source,
        format!("#include <stdio.h>\n#include \"oneiro.h\"\nint main(void) {{\n{body}  oneiro_engine_free(engine);\n  return 0;\n}}\n"),
    )
    .unwrap();
    let output = Command::new("cc")
        .args(["-std=c99", "-Wall", "-Werror", "-fsyntax-only"])
        .arg(&source)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A file that includes the header twice and nothing before it.
#[test]
fn every_standard_takes_the_header() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("oneiro.h"), header()).unwrap();
    let mut compiled = 0;
    for (compiler, language, standards, extra) in [
        (
            "gcc",
            "c",
            ["c99", "c11", "c17"],
            &["-Wstrict-prototypes"][..],
        ),
        (
            "clang",
            "c",
            ["c99", "c11", "c17"],
            &["-Wstrict-prototypes"],
        ),
        ("g++", "cpp", ["c++11", "c++17", "c++20"], &[]),
        ("clang++", "cpp", ["c++11", "c++17", "c++20"], &[]),
    ] {
        if Command::new(compiler).arg("--version").output().is_err() {
            eprintln!("not here: {compiler}");
            continue;
        }
        let source = folder.path().join("header").with_extension(language);
        fs::write(&source, "#include \"oneiro.h\"\n#include \"oneiro.h\"\n").unwrap();
        for standard in standards {
            let output = Command::new(compiler)
                .args(["-pedantic", "-Wall", "-Wextra", "-Werror", "-fsyntax-only"])
                .arg(format!("-std={standard}"))
                .args(extra)
                .arg(&source)
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(
                output.status.success(),
                "{compiler} -std={standard}:\n{said}"
            );
            compiled += 1;
        }
    }
    assert!(cfg!(windows) || compiled > 0, "there is no C compiler here");
}
