//! The programs that the suites call, and the Debian packages that bring them.

use std::path::PathBuf;
use std::process::Command;

use crate::process;
use crate::python::Python;

pub struct Tool {
    pub name: &'static str,
    pub packages: &'static str,
    is_there: fn() -> bool,
}

const TOOLS: [Tool; 9] = [
    Tool {
        name: "gcc",
        packages: "gcc libc6-dev",
        is_there: || find("gcc", "cc").is_some(),
    },
    Tool {
        name: "g++",
        packages: "g++",
        is_there: || find("g++", "c++").is_some(),
    },
    Tool {
        name: "clang",
        packages: "clang",
        is_there: || find("clang", "clang").is_some(),
    },
    Tool {
        name: "clang++",
        packages: "clang",
        is_there: || find("clang++", "clang++").is_some(),
    },
    Tool {
        name: "nm",
        packages: "binutils",
        is_there: || find("nm", "nm").is_some(),
    },
    Tool {
        name: "readelf",
        packages: "binutils",
        is_there: || find("readelf", "readelf").is_some(),
    },
    Tool {
        name: "valgrind",
        packages: "valgrind libc6-dbg",
        is_there: valgrind_works,
    },
    Tool {
        name: "pip",
        packages: "python3 python3-pip",
        is_there: || Python::find().is_ok_and(|p| p.has_pip()),
    },
    Tool {
        name: "venv",
        packages: "python3 python3-venv",
        is_there: || Python::find().is_ok_and(|p| p.has_venv()),
    },
];

/// The tools that are needed here and missing.
pub fn missing() -> Vec<&'static Tool> {
    TOOLS
        .iter()
        .filter(|tool| !(tool.is_there)() && tool.belongs_here())
        .collect()
}

/// What to install for a tool, in words for a `skipped:` line.
pub fn packages(name: &str) -> &'static str {
    TOOLS
        .iter()
        .find(|tool| tool.name == name)
        .map_or("it is not a tool known here", |tool| tool.packages)
}

pub fn find(name: &str, otherwise: &str) -> Option<PathBuf> {
    process::find_program(name).or_else(|| process::find_program(otherwise))
}

/// Without the C library's debug symbols, valgrind starts and then gives up.
pub fn valgrind_works() -> bool {
    process::find_program("true").is_some_and(|program| {
        process::answer(Command::new("valgrind").arg("--quiet").arg(program)).is_some()
    })
}

impl Tool {
    fn belongs_here(&self) -> bool {
        let linux_only = ["valgrind", "readelf"].contains(&self.name);
        cfg!(target_os = "linux") || !linux_only
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_name_stands_in() {
        assert!(find("no-such-program-here", "cargo").is_some());
        assert!(find("no-such-program-here", "nor-this-one").is_none());
    }

    #[test]
    fn every_tool_has_its_packages() {
        assert_eq!(packages("g++"), "g++");
        assert!(TOOLS.iter().all(|tool| !tool.packages.is_empty()));
    }
}
