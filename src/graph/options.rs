//! How a graph is run.

#![forbid(unsafe_code)]

use crate::bundle::Prepack;

/// How one graph, or every graph of an engine, is run.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GraphOptions {
    /// Threads that share the work of one run; 1 by default, which is fastest for small networks. Those that share products
    /// of few bits are the same for all sessions of as many threads: of runs at once, one has them, and the others are done
    /// by their callers.
    pub threads: usize,
    /// Whether ONNX Runtime's waiting threads spin: quicker to wake, but they burn a core. Off by default. Those that share
    /// products of few bits stay awake for half a millisecond after each, whatever this says.
    pub spinning: bool,
    /// What computes.
    pub provider: Provider,
    /// What multiplies with weights of 4 and 8 bits.
    pub kernels: Kernels,
    /// Whether weights may be rearranged in private memory; `None` leaves it to the bundle.
    pub prepack: Option<Prepack>,
    /// Sessions of the graph, and so how many runs go at once: for servers, whose threads would otherwise take turns.
    /// 1 by default, at most 1024. Mapped weights are shared between them, prepacked ones are copied for each.
    pub replicas: usize,
}

impl Default for GraphOptions {
    fn default() -> Self {
        Self {
            threads: 1,
            spinning: false,
            provider: Provider::Cpu,
            kernels: Kernels::Own,
            prepack: None,
            replicas: 1,
        }
    }
}

/// An execution provider of ONNX Runtime.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Provider {
    /// The processor.
    #[default]
    Cpu,
}

/// What multiplies with weights of 4 and 8 bits (the operator MatMulNBits, with activations of 8 bits).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kernels {
    /// oneiro's own where the processor has AVX2, or AVX-512 with VNNI: weights stay mapped, and a graph opens at once.
    /// Elsewhere, and for what they do not know, ONNX Runtime's.
    #[default]
    Own,
    /// ONNX Runtime's, which need prepacked weights.
    Runtime,
}
