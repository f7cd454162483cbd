//! Engine

use std::ffi::{CString, c_char};
use std::ptr::null;

use super::boundary::{Guarded, ask, boundary, free, hand_out, handle, on};
use super::bundle::oneiro_bundle;
use super::checks::{Out, c_string, flag, text, unknown};
use super::error::{oneiro_error, oneiro_status};
use super::growing::{growing, init, read, read_array};
use crate::bundle::{Bundle, Prepack};
use crate::engine::{Engine, EngineOptions};
use crate::error::{Error, Result};
use crate::graph::{GraphOptions, Kernels, Provider};

/// The processor computes.
pub const ONEIRO_PROVIDER_CPU: i32 = 0;

/// The bundle says whether weights are prepacked.
pub const ONEIRO_PREPACK_BUNDLE: i32 = 0;
/// Small weights are prepacked, large ones stay mapped.
pub const ONEIRO_PREPACK_AUTO: i32 = 1;
/// Weights are copied to private memory in the order that computes fastest.
pub const ONEIRO_PREPACK_ON: i32 = 2;
/// Weights stay mapped.
pub const ONEIRO_PREPACK_OFF: i32 = 3;

/// oneiro's own kernels multiply with weights of 4 and 8 bits, straight from the mapped files, where the processor has
/// AVX2 or AVX-512 with VNNI; elsewhere, and what they do not know, ONNX Runtime's.
pub const ONEIRO_KERNELS_OWN: i32 = 0;
/// ONNX Runtime's kernels multiply with weights of 4 and 8 bits: these have to be prepacked.
pub const ONEIRO_KERNELS_RUNTIME: i32 = 1;

/// How one graph runs. Fill it with oneiro_graph_options_init first. Yours; borrowed for the call.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct oneiro_graph_options {
    /// sizeof(oneiro_graph_options).
    pub size: usize,
    /// The graph's name in the manifest.
    pub name: *const c_char,
    /// Threads that share one run; 1 by default, at least 1.
    pub threads: usize,
    /// 1: ONNX Runtime's waiting threads spin, which wakes them sooner and burns a core; 0 by default. Those that share
    /// products with weights of 4 and 8 bits stay awake for half a millisecond after each, whatever this says.
    pub spinning: i32,
    /// ONEIRO_PROVIDER_…; the processor by default.
    pub provider: i32,
    /// ONEIRO_PREPACK_…; as the bundle says by default.
    pub prepack: i32,
    /// ONEIRO_KERNELS_…; oneiro's own by default.
    pub kernels: i32,
    /// How many runs of the graph may go at once; 1 by default, at least 1, at most 1024. Mapped weights are shared
    /// between them, prepacked ones are copied for each.
    pub replicas: usize,
}

growing!(oneiro_graph_options { name, threads, spinning, provider, prepack, kernels, replicas } by default Self {
    size: size_of::<Self>(),
    name: null(),
    threads: 1,
    spinning: 0,
    provider: ONEIRO_PROVIDER_CPU,
    prepack: ONEIRO_PREPACK_BUNDLE,
    kernels: ONEIRO_KERNELS_OWN,
    replicas: 1,
});

/// How an engine runs its graphs. Fill it with oneiro_engine_options_init first. Yours; borrowed for the call.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct oneiro_engine_options {
    /// sizeof(oneiro_engine_options).
    pub size: usize,
    /// Threads that share one run; 1 by default, at least 1. This and the next three are for every graph that `graphs`
    /// does not name.
    pub threads: usize,
    /// 1: ONNX Runtime's waiting threads spin, which wakes them sooner and burns a core; 0 by default. Those that share
    /// products with weights of 4 and 8 bits stay awake for half a millisecond after each, whatever this says.
    pub spinning: i32,
    /// ONEIRO_PROVIDER_…; the processor by default.
    pub provider: i32,
    /// ONEIRO_PREPACK_…; as the bundle says by default.
    pub prepack: i32,
    /// ONEIRO_KERNELS_…; oneiro's own by default.
    pub kernels: i32,
    /// Options of single graphs, `graph_count` of them, one after the other; NULL if 0.
    pub graphs: *const oneiro_graph_options,
    /// How many graphs have options of their own; 0 by default.
    pub graph_count: usize,
    /// How many runs of one graph may go at once, for every graph that `graphs` does not name: for servers, whose threads
    /// would otherwise take turns. 1 by default, at least 1, at most 1024. Mapped weights are shared between them,
    /// prepacked ones are copied for each.
    pub replicas: usize,
}

growing!(oneiro_engine_options { threads, spinning, provider, prepack, kernels, graphs, graph_count, replicas } by default Self {
    size: size_of::<Self>(),
    threads: 1,
    spinning: 0,
    provider: ONEIRO_PROVIDER_CPU,
    prepack: ONEIRO_PREPACK_BUNDLE,
    kernels: ONEIRO_KERNELS_OWN,
    graphs: null(),
    graph_count: 0,
    replicas: 1,
});

/// Fills `options` with defaults; `size` is sizeof(oneiro_graph_options). NULL is nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_graph_options_init(
    options: *mut oneiro_graph_options,
    size: usize,
) {
    // SAFETY: the header's promise.
    unsafe { init(options, size) }
}

/// Fills `options` with defaults; `size` is sizeof(oneiro_engine_options). NULL is nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_engine_options_init(
    options: *mut oneiro_engine_options,
    size: usize,
) {
    // SAFETY: the header's promise.
    unsafe { init(options, size) }
}

/// # Safety
/// The header's promise.
unsafe fn options_of(options: *const oneiro_engine_options) -> Result<EngineOptions> {
    // SAFETY: the caller's promise.
    let given = unsafe { read(options, "options") }?;
    // SAFETY: the caller's promise.
    let graphs = unsafe { read_array(given.graphs, given.graph_count, "graphs") }?;
    let mut options = EngineOptions {
        graph: graph_options(
            given.threads,
            given.spinning,
            given.provider,
            given.prepack,
            given.kernels,
            given.replicas,
        )?,
        ..EngineOptions::default()
    };
    for graph in graphs {
        // SAFETY: the caller's promise.
        let name = unsafe { text(graph.name, "name") }?;
        let own = graph_options(
            graph.threads,
            graph.spinning,
            graph.provider,
            graph.prepack,
            graph.kernels,
            graph.replicas,
        )?;
        if options.graphs.insert(name.into(), own).is_some() {
            return Err(Error::argument("graphs", format!("name `{name}` twice")));
        }
    }
    Ok(options)
}

fn graph_options(
    threads: usize,
    spinning: i32,
    provider: i32,
    prepack: i32,
    kernels: i32,
    replicas: usize,
) -> Result<GraphOptions> {
    if threads == 0 || i32::try_from(threads).is_err() {
        return Err(Error::argument("threads", format!("is {threads}")));
    }
    Ok(GraphOptions {
        threads,
        spinning: flag(spinning, "spinning")?,
        provider: match provider {
            ONEIRO_PROVIDER_CPU => Provider::Cpu,
            other => return Err(unknown("provider", other)),
        },
        kernels: match kernels {
            ONEIRO_KERNELS_OWN => Kernels::Own,
            ONEIRO_KERNELS_RUNTIME => Kernels::Runtime,
            other => return Err(unknown("kernels", other)),
        },
        prepack: match prepack {
            ONEIRO_PREPACK_BUNDLE => None,
            ONEIRO_PREPACK_AUTO => Some(Prepack::Auto),
            ONEIRO_PREPACK_ON => Some(Prepack::On),
            ONEIRO_PREPACK_OFF => Some(Prepack::Off),
            other => return Err(unknown("prepack", other)),
        },
        replicas,
    })
}

/// A bundle with its graphs, ready to recommend, shared by every user. Yours; free with oneiro_engine_free.
pub struct oneiro_engine(Guarded<Engine>);
handle!(oneiro_engine holds Engine as "engine");

/// Opens the bundle in a folder and makes its graphs ready to run. Loads ONNX Runtime if that has not happened.
///
/// path:    borrowed for the call. The files must not shrink or change while anything made from them lives.
/// options: borrowed for the call; NULL for defaults.
/// out:     yours; free with oneiro_engine_free.
/// Errors:  ONEIRO_IO, ONEIRO_BAD_BUNDLE, ONEIRO_BUNDLE_VERSION, ONEIRO_RUNTIME, ONEIRO_INVALID_ARGUMENT.
/// Threads: any number at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_engine_open(
    path: *const c_char,
    options: *const oneiro_engine_options,
    out: *mut *mut oneiro_engine,
    error: *mut *mut oneiro_error,
) -> oneiro_status {
    let body = || {
        // SAFETY: the header's promise.
        let (path, options, out) = unsafe {
            (
                text(path, "path")?,
                options_of(options)?,
                Out::new(out, "out")?,
            )
        };
        out.put(open(Bundle::open(path)?, &options)?);
        Ok(())
    };
    // SAFETY: the header's promise.
    unsafe { boundary(error, body) }
}

/// Makes the graphs of an open bundle ready to run. Loads ONNX Runtime if that has not happened.
///
/// bundle:  borrowed for the call; the engine keeps what it needs.
/// options: borrowed for the call; NULL for defaults.
/// out:     yours; free with oneiro_engine_free.
/// Errors:  ONEIRO_BAD_BUNDLE, ONEIRO_RUNTIME, ONEIRO_INVALID_ARGUMENT (the options name an unknown graph).
/// Threads: any number at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_engine_open_bundle(
    bundle: *const oneiro_bundle,
    options: *const oneiro_engine_options,
    out: *mut *mut oneiro_engine,
    error: *mut *mut oneiro_error,
) -> oneiro_status {
    let body = |bundle: &Bundle| {
        // SAFETY: the header's promise.
        let (options, out) = unsafe { (options_of(options)?, Out::new(out, "out")?) };
        out.put(open(bundle.clone(), &options)?);
        Ok(())
    };
    // SAFETY: the header's promise.
    unsafe { on(bundle, error, body) }
}

fn open(bundle: Bundle, options: &EngineOptions) -> Result<*mut oneiro_engine> {
    let engine = Engine::from_bundle(bundle, options)?;
    log::info!(
        "opened the bundle `{}`: {} items",
        engine.manifest().name,
        engine.catalog().len()
    );
    Ok(hand_out(engine))
}

/// Frees an engine. Recommenders and language models made from it live on. Not while a call that was given this engine is
/// running. NULL is nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_engine_free(engine: *mut oneiro_engine) {
    // SAFETY: the header's promise.
    unsafe { free(engine) }
}

/// Where an engine's memory is, part by part, at one moment. Yours; free with oneiro_memory_free.
pub struct oneiro_memory(Guarded<Vec<Part>>);
handle!(oneiro_memory holds Vec<Part> as "memory");

/// One part's name and bytes.
pub struct Part {
    name: CString,
    mapped_bytes: usize,
    private_bytes: usize,
    cached_bytes: usize,
}

/// Where the engine's memory is now.
///
/// out:     yours; free with oneiro_memory_free.
/// Errors:  ONEIRO_INVALID_ARGUMENT.
/// Threads: any number at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_engine_memory(
    engine: *const oneiro_engine,
    out: *mut *mut oneiro_memory,
    error: *mut *mut oneiro_error,
) -> oneiro_status {
    let body = |engine: &Engine| {
        // SAFETY: the header's promise.
        let out = unsafe { Out::new(out, "out") }?;
        let parts = engine.memory().parts;
        let parts = parts.iter().map(|part| Part {
            name: c_string(&part.name),
            mapped_bytes: part.mapped_bytes,
            private_bytes: part.private_bytes,
            cached_bytes: part.cached_bytes,
        });
        out.put(hand_out(parts.collect()));
        Ok(())
    };
    // SAFETY: the header's promise.
    unsafe { on(engine, error, body) }
}

/// How many parts the bundle has; 0 for NULL.
///
/// Threads: any number at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_memory_len(memory: *const oneiro_memory) -> usize {
    // SAFETY: the header's promise.
    unsafe { ask(memory, 0, |parts| Some(parts.len())) }
}

/// The name of the part at `index`; NULL at the end of the list and beyond.
///
/// Returns: borrowed until `memory` is freed.
/// Threads: any number at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_memory_name(
    memory: *const oneiro_memory,
    index: usize,
) -> *const c_char {
    // SAFETY: the header's promise.
    unsafe {
        ask(memory, null(), |parts| {
            parts.get(index).map(|part| part.name.as_ptr())
        })
    }
}

/// Bytes of the part at `index` that are pages of its file: shared between processes, given back under pressure.
///
/// Threads: any number at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_memory_mapped_bytes(
    memory: *const oneiro_memory,
    index: usize,
) -> usize {
    // SAFETY: the header's promise.
    unsafe {
        ask(memory, 0, |parts| {
            parts.get(index).map(|part| part.mapped_bytes)
        })
    }
}

/// Bytes of the part at `index` that are copies in this process: files that were not mapped, prepacked weights.
///
/// Threads: any number at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_memory_private_bytes(
    memory: *const oneiro_memory,
    index: usize,
) -> usize {
    // SAFETY: the header's promise.
    unsafe {
        ask(memory, 0, |parts| {
            parts.get(index).map(|part| part.private_bytes)
        })
    }
}

/// Bytes that were computed from the part at `index` and can be dropped.
///
/// Threads: any number at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_memory_cached_bytes(
    memory: *const oneiro_memory,
    index: usize,
) -> usize {
    // SAFETY: the header's promise.
    unsafe {
        ask(memory, 0, |parts| {
            parts.get(index).map(|part| part.cached_bytes)
        })
    }
}

/// Frees the account. NULL is nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oneiro_memory_free(memory: *mut oneiro_memory) {
    // SAFETY: the header's promise.
    unsafe { free(memory) }
}
