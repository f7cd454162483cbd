//! The test suites, one file each.

mod c_programs;
mod clippy;
mod doc;
mod fmt;
mod header;
mod python;
mod race;
mod rust;
mod shared_library;
mod summaries;
mod symbols;
mod valgrind;

use crate::error::Result;
use crate::report::Report;
use crate::workspace::Workspace;

pub struct Suite {
    pub name: &'static str,
    pub promise: &'static str,
    pub uses_onnxruntime: bool,
    pub run: fn(&Workspace, &mut Report) -> Result<()>,
}

/// In the order they run: what fails fastest comes first.
#[rustfmt::skip]
pub const SUITES: &[Suite] = &[
    Suite { name: "fmt",      promise: "the Rust code is formatted",          uses_onnxruntime: false, run: fmt::run },
    Suite { name: "clippy",   promise: "no warnings, whatever the features",  uses_onnxruntime: false, run: clippy::run },
    Suite { name: "doc",      promise: "the documentation has no dead links", uses_onnxruntime: false, run: doc::run },
    Suite { name: "header",   promise: "every C and C++ standard takes it",   uses_onnxruntime: false, run: header::run },
    Suite { name: "rust",     promise: "unit, integration and doc tests",     uses_onnxruntime: true,  run: rust::run },
    Suite { name: "c",        promise: "C programs and examples work",        uses_onnxruntime: true,  run: c_programs::run },
    Suite { name: "symbols",  promise: "only oneiro_* leaves the library",    uses_onnxruntime: false, run: symbols::run },
    Suite { name: "valgrind", promise: "the C tests leak and misuse nothing", uses_onnxruntime: true,  run: valgrind::run },
    Suite { name: "python",   promise: "the models package's own tests",      uses_onnxruntime: true,  run: python::run },
    Suite { name: "race",     promise: "the race's players agree",            uses_onnxruntime: true,  run: race::run },
];
