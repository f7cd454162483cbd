//! The one error of the crate: what went wrong, where, what was expected and what was found.

#![forbid(unsafe_code)]

use std::path::PathBuf;

/// A result with the crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong, sorted by who can do something about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The caller's mistake.
    #[error("`{parameter}`: {reason}")]
    InvalidArgument {
        /// The parameter at fault.
        parameter: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// An item number outside the catalog.
    #[error("item {item} is not in the catalog of {len} items")]
    UnknownItem {
        /// The number asked for.
        item: u32,
        /// How many items there are.
        len: u32,
    },
    /// An outside id that no item has.
    #[error("no item has the id `{id}`")]
    UnknownId {
        /// The id asked for.
        id: String,
    },
    /// A text that is neither an id nor (the beginning of) a title.
    #[error("no item has the id or title `{text}`")]
    UnknownTitle {
        /// The text asked for.
        text: String,
    },
    /// A text that fits several titles.
    #[error("`{text}` fits {matches} titles: {}{}", .titles.join("; "), if .titles.len() < *.matches { "; …" } else { "" })]
    AmbiguousTitle {
        /// The text asked for.
        text: String,
        /// How many titles it fits.
        matches: usize,
        /// The most popular of them, each with its id.
        titles: Vec<String>,
    },
    /// The bundle carries no such network, table or attribute.
    #[error("the bundle carries no {what}")]
    Unsupported {
        /// What it lacks.
        what: String,
    },
    /// A file or folder could not be read.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The bundle needs a newer reader.
    #[error("the bundle needs {feature}, which this version of oneiro ({}) does not know", env!("CARGO_PKG_VERSION"))]
    BundleVersion {
        /// The unknown format or feature.
        feature: String,
    },
    /// `manifest.json` says something it must not.
    #[error("manifest.json: `{at}`: expected {expected}, found {found}")]
    Manifest {
        /// The field, as a path through the JSON; `.` is the whole file.
        at: String,
        /// What stands there in a sound bundle.
        expected: String,
        /// What stands there.
        found: String,
    },
    /// A part as a whole is wrong: missing, too short, not the format it should be.
    #[error("part `{part}`: expected {expected}, found {found}")]
    Part {
        /// The part's name in the manifest.
        part: String,
        /// What a sound part is.
        expected: String,
        /// What it is.
        found: String,
    },
    /// A tensor of a part is wrong: missing, of another type or shape, or holding values it must not.
    #[error("part `{part}`: tensor `{tensor}`: expected {expected}, found {found}")]
    Tensor {
        /// The part's name in the manifest.
        part: String,
        /// The tensor.
        tensor: String,
        /// What a sound tensor is.
        expected: String,
        /// What it is.
        found: String,
    },
    /// A graph does not keep its contract.
    #[error("graph `{graph}`: {what}: expected {expected}, found {found}")]
    Graph {
        /// The graph's name in the manifest.
        graph: String,
        /// The input, output, operator or weight at fault.
        what: String,
        /// What the contract asks for.
        expected: String,
        /// What the graph has.
        found: String,
    },
    /// No usable ONNX Runtime library.
    #[error("no usable ONNX Runtime (1.{} or later) was found; set ORT_DYLIB_PATH to the library or its folder, or load it first; tried:{}", crate::graph::environment::OLDEST_MINOR, list(.tried))]
    RuntimeNotFound {
        /// Each place that was tried, and why it did not do.
        tried: Vec<String>,
    },
    /// ONNX Runtime reported a failure.
    #[error("graph `{graph}`: ONNX Runtime: {reason}")]
    Runtime {
        /// The graph, or `environment`.
        graph: String,
        /// ONNX Runtime's words.
        reason: String,
    },
    /// An allocation whose size a file or the caller sets did not succeed.
    #[error("out of memory: {bytes} bytes for {what}")]
    OutOfMemory {
        /// What it was for.
        what: String,
        /// Its size.
        bytes: usize,
    },
    /// A prompt, or what was to follow it, is longer than the language model can hold.
    #[error("the prompt takes {rows} rows, the model holds {context}")]
    TooLong {
        /// How many rows it takes: tokens, and rows in their place.
        rows: usize,
        /// How many the model holds.
        context: usize,
    },
    /// The caller's [`Cancel`](crate::Cancel) stopped the call.
    #[error("cancelled")]
    Cancelled,
    /// The call's [`deadline`](crate::CallOptions::deadline) struck before there was anything to give back.
    #[error("the deadline struck before there was a result")]
    DeadlineExceeded,
    /// A bug of ours.
    #[error("internal error, please report it: {reason}")]
    Internal {
        /// What should have been impossible.
        reason: String,
    },
}

fn list(lines: &[String]) -> String {
    lines.iter().map(|line| format!("\n  {line}")).collect()
}

/// The kind of an [`Error`], as a number that never changes its meaning (the C ABI's `oneiro_status`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(i32)]
pub enum ErrorCode {
    /// The caller's mistake; the message names the parameter.
    InvalidArgument = 1,
    /// No such item, id or title, or a title that fits several items.
    UnknownItem = 2,
    /// The bundle carries no such network.
    Unsupported = 3,
    /// The prompt exceeds the language model's context.
    TooLong = 4,
    /// A file could not be read.
    Io = 10,
    /// The bundle is damaged or wrong.
    BadBundle = 11,
    /// The bundle needs a newer version.
    BundleVersion = 12,
    /// ONNX Runtime is missing or failed.
    Runtime = 20,
    /// Not enough memory.
    OutOfMemory = 21,
    /// Stopped by the caller.
    Cancelled = 30,
    /// The deadline struck before there was a result.
    DeadlineExceeded = 31,
    /// A bug of ours.
    Internal = 99,
}

impl Error {
    /// The kind of this error.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::InvalidArgument { .. } => ErrorCode::InvalidArgument,
            Self::UnknownItem { .. }
            | Self::UnknownId { .. }
            | Self::UnknownTitle { .. }
            | Self::AmbiguousTitle { .. } => ErrorCode::UnknownItem,
            Self::Unsupported { .. } => ErrorCode::Unsupported,
            Self::TooLong { .. } => ErrorCode::TooLong,
            Self::Io { .. } => ErrorCode::Io,
            Self::Manifest { .. }
            | Self::Part { .. }
            | Self::Tensor { .. }
            | Self::Graph { .. } => ErrorCode::BadBundle,
            Self::BundleVersion { .. } => ErrorCode::BundleVersion,
            Self::RuntimeNotFound { .. } | Self::Runtime { .. } => ErrorCode::Runtime,
            Self::OutOfMemory { .. } => ErrorCode::OutOfMemory,
            Self::Cancelled => ErrorCode::Cancelled,
            Self::DeadlineExceeded => ErrorCode::DeadlineExceeded,
            Self::Internal { .. } => ErrorCode::Internal,
        }
    }

    pub(crate) fn argument(parameter: &'static str, reason: impl Into<String>) -> Self {
        Self::InvalidArgument {
            parameter,
            reason: reason.into(),
        }
    }

    pub(crate) fn part(part: &str, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self::Part {
            part: part.into(),
            expected: expected.into(),
            found: found.into(),
        }
    }

    pub(crate) fn tensor(
        part: &str,
        tensor: &str,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        Self::Tensor {
            part: part.into(),
            tensor: tensor.into(),
            expected: expected.into(),
            found: found.into(),
        }
    }

    pub(crate) fn manifest(
        at: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        Self::Manifest {
            at: at.into(),
            expected: expected.into(),
            found: found.into(),
        }
    }

    pub(crate) fn graph(
        graph: &str,
        what: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        Self::Graph {
            graph: graph.into(),
            what: what.into(),
            expected: expected.into(),
            found: found.into(),
        }
    }
}
