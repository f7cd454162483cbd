//! Every public header, alone and twice in one file, under every standard that the C ABI promises.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result, While};
use crate::report::Report;
use crate::tools;
use crate::workspace::Workspace;

const STRICT: [&str; 5] = ["-pedantic", "-Wall", "-Wextra", "-Werror", "-fsyntax-only"];

struct Compiler {
    tool: &'static str,
    otherwise: &'static str,
    language: Language,
}

#[derive(Clone, Copy, PartialEq)]
enum Language {
    C,
    Cpp,
}

const COMPILERS: [Compiler; 4] = [
    Compiler {
        tool: "gcc",
        otherwise: "cc",
        language: Language::C,
    },
    Compiler {
        tool: "g++",
        otherwise: "c++",
        language: Language::Cpp,
    },
    Compiler {
        tool: "clang",
        otherwise: "clang",
        language: Language::C,
    },
    Compiler {
        tool: "clang++",
        otherwise: "clang++",
        language: Language::Cpp,
    },
];

pub fn run(workspace: &Workspace, report: &mut Report) -> Result<()> {
    let include = workspace.path("include");
    let headers = headers(&include)?;
    for compiler in &COMPILERS {
        let Some(program) = tools::find(compiler.tool, compiler.otherwise) else {
            report.skip(
                format!("header under {}", compiler.tool),
                tools::packages(compiler.tool),
            );
            continue;
        };
        for header in &headers {
            for standard in standards(header, compiler.language) {
                let source = including_twice(workspace, header, compiler.language)?;
                let mut compile = workspace.command(&program);
                compile
                    .arg(format!("-std={standard}"))
                    .args(STRICT)
                    .arg("-I")
                    .arg(&include);
                if compiler.language == Language::C {
                    compile.arg("-Wstrict-prototypes");
                }
                let name = header.file_name().unwrap_or_default().display();
                report.check(
                    &format!("{name} under {} -std={standard}", compiler.tool),
                    compile.arg(source),
                )?;
            }
        }
    }
    Ok(())
}

fn headers(include: &Path) -> Result<Vec<PathBuf>> {
    let reading = || format!("read {}", include.display());
    let mut headers = Vec::new();
    for entry in fs::read_dir(include).while_doing(reading)? {
        let path = entry.while_doing(reading)?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "h" || extension == "hpp")
        {
            headers.push(path);
        }
    }
    headers.sort();
    if headers.is_empty() {
        return Err(Error::new(format!(
            "there is no header in {}",
            include.display()
        )));
    }
    Ok(headers)
}

fn standards(header: &Path, language: Language) -> &'static [&'static str] {
    let cpp_only = header
        .extension()
        .is_some_and(|extension| extension == "hpp");
    match (language, cpp_only) {
        (Language::C, false) => &["c99", "c11", "c17"],
        (Language::Cpp, false) => &["c++11", "c++17", "c++20"],
        (Language::C, true) => &[],
        (Language::Cpp, true) => &["c++17", "c++20"],
    }
}

/// A source file that includes the header and nothing before it: it must bring what it uses, and guard itself.
fn including_twice(workspace: &Workspace, header: &Path, language: Language) -> Result<PathBuf> {
    let name = header.file_name().unwrap_or_default().display();
    let folder = workspace.path("target/header");
    fs::create_dir_all(&folder).while_doing(|| format!("make {}", folder.display()))?;
    let extension = if language == Language::C { "c" } else { "cpp" };
    let source = folder.join(format!("{name}.{extension}"));
    let text = format!("#include \"{name}\"\n#include \"{name}\"\n");
    fs::write(&source, text).while_doing(|| format!("write {}", source.display()))?;
    Ok(source)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cpp_header_meets_no_c_compiler() {
        assert!(standards(Path::new("oneiro.hpp"), Language::C).is_empty());
        assert_eq!(
            standards(Path::new("oneiro.hpp"), Language::Cpp),
            ["c++17", "c++20"]
        );
        assert_eq!(
            standards(Path::new("oneiro.h"), Language::C),
            ["c99", "c11", "c17"]
        );
    }

    #[test]
    fn only_headers_are_headers() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["oneiro.hpp", "oneiro.h", "README.md"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let names: Vec<_> = headers(folder.path())
            .unwrap()
            .iter()
            .map(|p| p.file_name().unwrap().to_owned())
            .collect();
        assert_eq!(names, ["oneiro.h", "oneiro.hpp"]);
    }
}
