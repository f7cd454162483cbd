//! The networks of a bundle, as functions of items and vectors: rows are gathered, a graph runs, a vector comes back.

#![forbid(unsafe_code)]

mod denoiser;
mod diffusion;
mod encoder;
#[cfg(test)]
pub(crate) mod fixture;
#[cfg(feature = "llm")]
pub(crate) mod llm;
mod projector;
mod qnetwork;
mod token_table;

use std::sync::Arc;

pub(crate) use denoiser::Denoiser;
pub use diffusion::Diffusion;
pub(crate) use diffusion::{Affine, Schedule};
pub(crate) use encoder::Encoder;
pub use projector::Projector;
pub(crate) use qnetwork::QNetwork;
pub use token_table::TokenTable;

use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::graph::{Bound, Graph, Tensor};

/// Runs a graph over what `fill` writes into its inputs, whose output is finite vectors, `[B, d]`, and gives each by
/// itself.
fn vectors<const N: usize>(
    graph: &Graph,
    inputs: [Tensor; N],
    (output, shape): (&str, [usize; 2]),
    cancel: &Cancel,
    fill: impl FnOnce(&mut Bound<N>) -> Result<()>,
) -> Result<Vec<Arc<[f32]>>> {
    let finite = |vector: &[f32]| match vector.iter().position(|number| !number.is_finite()) {
        None => Ok(vector.into()),
        Some(column) => {
            let found = format!("{} in column {column}", vector[column]);
            let what = format!("output `{output}`");
            Err(Error::graph(graph.name(), what, "finite numbers", found))
        }
    };
    let expected = shape.map(|length| length as i64);
    graph.bind(inputs, (output, &expected), cancel, |bound| {
        fill(bound)?;
        bound.run()?;
        bound.output()?.chunks_exact(shape[1]).map(finite).collect()
    })
}
