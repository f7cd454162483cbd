//! Running ONNX graphs: the only place that knows ONNX Runtime. It hears of tensors, never of items.
//!
//! A graph's weights stay in the bundle's maps: the small model is read from memory, its external data is handed to
//! ONNX Runtime as pointers into the mapped parts, and those are used directly.

#[cfg(feature = "llm")]
mod adapter;
mod bound;
mod check;
#[cfg(feature = "llm")]
mod decoder;
pub mod environment;
mod onnx;
mod options;
#[cfg(target_arch = "x86_64")]
mod products;
mod replicas;
mod room;

use std::borrow::Cow;
use std::ffi::{CString, c_char};

use ort::AsPointer;
use ort::session::Session;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::value::{TensorElementType, ValueType};

#[cfg(feature = "llm")]
pub(crate) use adapter::Adapter;
pub(crate) use bound::{Bound, Tensor};
#[cfg(feature = "llm")]
pub(crate) use check::Outline;
pub use check::Precision;
pub(crate) use check::{check, outline};
#[cfg(feature = "llm")]
pub(crate) use decoder::{Decoder, Layout, Output, Past, Sizes, Step};
pub use options::{GraphOptions, Kernels, Provider};

use crate::bundle::{Bundle, Bytes, Prepack};
use crate::cancel::Cancel;
use crate::error::{Error, Result};
use bound::Runner;
#[cfg(target_arch = "x86_64")]
use products::Runs;
use replicas::Replicas;

/// Weights up to this size are prepacked when nobody says otherwise: the copy is small, the runs are faster.
const PREPACK_UP_TO_BYTES: usize = 16 << 20;

/// The largest number of sessions of one graph.
const MOST_REPLICAS: usize = 1024;

/// A graph ready to run. As many runs go at once as it has sessions; the others wait for their turn.
pub(crate) struct Graph {
    name: String,
    // Dropped before `weights`, which it points into.
    runners: Replicas<Runner>,
    #[allow(dead_code, reason = "kept alive for the session")]
    weights: Vec<Bytes>,
    prepacked: bool,
}

/// What a tensor's numbers are.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Numbers {
    F32,
    #[cfg(feature = "llm")]
    I32,
    I64,
}

impl Numbers {
    fn of_runtime(self) -> TensorElementType {
        match self {
            Self::F32 => TensorElementType::Float32,
            #[cfg(feature = "llm")]
            Self::I32 => TensorElementType::Int32,
            Self::I64 => TensorElementType::Int64,
        }
    }

    fn bytes(self) -> usize {
        match self {
            Self::F32 => size_of::<f32>(),
            #[cfg(feature = "llm")]
            Self::I32 => size_of::<i32>(),
            Self::I64 => size_of::<i64>(),
        }
    }
}

/// One dimension of a contract: any length, or this one.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Dim {
    Any,
    Exactly(usize),
}

impl Graph {
    /// Checks the graph `name` of the bundle and makes it ready to run.
    pub(crate) fn open(bundle: &Bundle, name: &str, options: &GraphOptions) -> Result<Self> {
        let nodes = check::read(bundle, name)?;
        let environment = environment::get()?;
        let entry = bundle
            .manifest()
            .graphs
            .get(name)
            .ok_or_else(|| Error::Unsupported {
                what: format!("graph `{name}`"),
            })?;
        let failed = |error: ort::Error| runtime(name, &error);
        let built =
            |error: ort::Error<SessionBuilder>| runtime(name, &ort::Error::<()>::from(error));

        let mut files = Vec::new();
        let mut weights = Vec::new();
        for part in &entry.weights {
            files.push(bundle.manifest().parts[part].file.as_str());
            weights.push(bundle.part(part)?);
        }
        let bytes = bundle.part(&entry.model)?;
        let mut model = Cow::Borrowed(&bytes[..]);
        let mut prepack = options.prepack.unwrap_or(entry.prepack);
        #[cfg_attr(not(target_arch = "x86_64"), allow(unused_mut))]
        let (mut own, mut lone) = (false, None);
        #[cfg(target_arch = "x86_64")]
        let hand_over = |runs| {
            products::hand_over(&bytes, &nodes, runs)
                .map_err(|error| Error::part(&entry.model, "an ONNX model", error.to_string()))
        };
        #[cfg(target_arch = "x86_64")]
        if options.kernels == Kernels::Own
            && let Some(handed) = hand_over(Runs::Any)?
        {
            if cfg!(feature = "llm") && handed.left == 0 {
                let handed = hand_over(Runs::OfOneRow)?;
                lone = handed
                    .filter(|handed| handed.attention)
                    .map(|handed| handed.model);
            }
            model = Cow::Owned(handed.model);
            own = true;
            // What the bundle asks for is for products that ONNX Runtime does not have any more.
            if handed.left == 0 && options.prepack.is_none() {
                prepack = Prepack::Off;
            }
        }
        let prepacked = match prepack {
            Prepack::On => true,
            Prepack::Off => false,
            Prepack::Auto => {
                weights.iter().map(|bytes| bytes.len()).sum::<usize>() <= PREPACK_UP_TO_BYTES
            }
        };
        if !(1..=MOST_REPLICAS).contains(&options.replicas) {
            let reason = format!("is {}, expected 1 to {MOST_REPLICAS}", options.replicas);
            return Err(Error::argument("replicas", reason));
        }
        let optimisation = match entry.optimised {
            true => GraphOptimizationLevel::Disable,
            false => GraphOptimizationLevel::All,
        };
        let Provider::Cpu = options.provider;
        let session = |model: &[u8], threads: usize| {
            let mut builder = Session::builder(environment)
                .map_err(failed)?
                .with_intra_threads(threads)
                .map_err(built)?
                .with_intra_op_spinning(options.spinning)
                .map_err(built)?
                .with_prepacking(prepacked)
                .map_err(built)?
                .with_optimization_level(optimisation)
                .map_err(built)?
                .with_config_entry(
                    "session.use_external_initializer_file_buffers_directly",
                    "1",
                )
                .map_err(built)?
                // Only what `check` has read may be loaded: not the other format, told apart by its bytes.
                .with_config_entry("session.load_model_format", "ONNX")
                .map_err(built)?;
            #[cfg(target_arch = "x86_64")]
            if own {
                let domain = products::domain(options.threads).map_err(failed)?;
                builder = builder.with_operators(domain).map_err(built)?;
            }
            lend_weights(&mut builder, name, &files, &weights)?;
            builder.commit_from_memory(model).map_err(|error| {
                Error::graph(
                    name,
                    "model",
                    "one that ONNX Runtime accepts",
                    error.message().trim_end(),
                )
            })
        };
        #[cfg(target_arch = "x86_64")]
        let session =
            |model: &[u8], threads: usize| products::listed(own, || session(model, threads));
        let runner = || {
            let shared = session(&model, options.threads.max(1))?;
            // Our operators share their work by themselves; for what else a row needs, ONNX Runtime would wake its threads
            // longer than it takes.
            let lone = lone.as_ref().and_then(|model: &Vec<u8>| {
                let lone = session(model, 1);
                let told = |error: &Error| log::debug!("rows of {name} by themselves: {error}");
                lone.inspect_err(told).ok()
            });
            Runner::new(shared, lone).map_err(failed)
        };
        let runners = (0..options.replicas)
            .map(|_| runner())
            .collect::<Result<Vec<_>>>()?;
        Ok(Self {
            name: name.into(),
            runners: Replicas::new(runners),
            weights,
            prepacked,
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Fails unless the graph's inputs are exactly these.
    pub(crate) fn expect_inputs(&self, expected: &[(&str, Numbers, &[Dim])]) -> Result<()> {
        let runner = self.runners.take(&Cancel::new())?;
        let session = runner.session();
        let names: Vec<&str> = session
            .inputs()
            .iter()
            .map(|outlet| outlet.name())
            .collect();
        for (input, numbers, dims) in expected {
            let found = session
                .inputs()
                .iter()
                .find(|outlet| outlet.name() == *input);
            self.expect(
                "input",
                input,
                *numbers,
                dims,
                found.map(|outlet| outlet.dtype()),
                &names,
            )?;
        }
        match names
            .iter()
            .find(|name| !expected.iter().any(|(input, ..)| input == *name))
        {
            Some(name) => Err(Error::graph(
                &self.name,
                format!("input `{name}`"),
                format!("only {}", list(expected.iter().map(|(input, ..)| *input))),
                "one more",
            )),
            None => Ok(()),
        }
    }

    /// Fails unless the graph has this output.
    pub(crate) fn expect_output(&self, output: &str, numbers: Numbers, dims: &[Dim]) -> Result<()> {
        let runner = self.runners.take(&Cancel::new())?;
        let session = runner.session();
        let names: Vec<&str> = session
            .outputs()
            .iter()
            .map(|outlet| outlet.name())
            .collect();
        let found = session
            .outputs()
            .iter()
            .find(|outlet| outlet.name() == output);
        self.expect(
            "output",
            output,
            numbers,
            dims,
            found.map(|outlet| outlet.dtype()),
            &names,
        )
    }

    fn expect(
        &self,
        kind: &str,
        tensor: &str,
        numbers: Numbers,
        dims: &[Dim],
        found: Option<&ValueType>,
        names: &[&str],
    ) -> Result<()> {
        let dtype = numbers.of_runtime();
        let wrong = |found: String| {
            let expected = format!("{dtype:?} {}", shape_of(dims));
            Error::graph(&self.name, format!("{kind} `{tensor}`"), expected, found)
        };
        match found {
            None => Err(wrong(format!("only {}", list(names.iter().copied())))),
            Some(ValueType::Tensor { ty, shape, .. }) => {
                let fits = *ty == dtype
                    && shape.len() == dims.len()
                    && dims
                        .iter()
                        .zip(shape.iter())
                        .all(|(dim, length)| match dim {
                            // −1 stands for a symbolic length. What comes out is looked at again after each run.
                            Dim::Any => kind == "output" || *length == -1,
                            Dim::Exactly(expected) => {
                                usize::try_from(*length) == Ok(*expected) || *length == -1
                            }
                        });
                if fits {
                    Ok(())
                } else {
                    Err(wrong(format!("{ty:?} {:?}", &shape[..])))
                }
            }
            Some(other) => Err(wrong(format!("{other:?}"))),
        }
    }

    /// How many runs may go at once.
    pub(crate) fn replicas(&self) -> usize {
        self.runners.len()
    }

    /// How many rearranged copies of the weights ONNX Runtime holds: one per session, or none.
    pub(crate) fn copies(&self) -> usize {
        if self.prepacked { self.replicas() } else { 0 }
    }
}

impl std::fmt::Debug for Graph {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Graph `{}`", self.name)
    }
}

/// Lets ONNX Runtime read external data straight from the bundle's maps.
fn lend_weights(
    builder: &mut SessionBuilder,
    graph: &str,
    files: &[&str],
    weights: &[Bytes],
) -> Result<()> {
    if files.is_empty() {
        return Ok(());
    }
    #[cfg(windows)]
    let names: Vec<Vec<u16>> = files
        .iter()
        .map(|file| file.encode_utf16().chain([0]).collect())
        .collect();
    #[cfg(not(windows))]
    let names: Vec<CString> = files
        .iter()
        .map(|file| CString::new(*file))
        .collect::<Result<_, _>>()
        .map_err(|_| Error::Internal {
            reason: "a file name with NUL passed the manifest's checks".into(),
        })?;
    let name_pointers: Vec<_> = names.iter().map(|name| name.as_ptr()).collect();
    let pointers: Vec<*mut c_char> = weights
        .iter()
        .map(|bytes| bytes.as_ptr().cast::<c_char>().cast_mut())
        .collect();
    let lengths: Vec<usize> = weights.iter().map(|bytes| bytes.len()).collect();
    // SAFETY: the three arrays have one entry per file and outlive the call, which copies them. The buffers themselves
    // are only read, and `Graph` keeps them alive until after its session is dropped.
    let status = unsafe {
        (ort::api().AddExternalInitializersFromMemory)(
            builder.ptr_mut(),
            name_pointers.as_ptr(),
            pointers.as_ptr(),
            lengths.as_ptr(),
            files.len(),
        )
    };
    // SAFETY: the status comes from the call above and is consumed once.
    unsafe { ort::Error::result_from_status(status) }.map_err(|error| runtime(graph, &error))
}

fn runtime(graph: &str, error: &ort::Error) -> Error {
    Error::Runtime {
        graph: graph.into(),
        reason: error.message().trim_end().into(),
    }
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

fn shape_of(dims: &[Dim]) -> String {
    let lengths: Vec<String> = dims
        .iter()
        .map(|dim| match dim {
            Dim::Any => "any".into(),
            Dim::Exactly(length) => length.to_string(),
        })
        .collect();
    format!("[{}]", lengths.join(", "))
}
