//! The networks of a bundle, as functions of items and vectors: rows are gathered, a graph runs, a vector comes back.

#![forbid(unsafe_code)]

mod denoiser;
mod diffusion;
mod encoder;
#[cfg(test)]
pub(crate) mod fixture;
mod qnetwork;

use std::sync::Arc;

pub(crate) use denoiser::Denoiser;
pub use diffusion::Diffusion;
pub(crate) use diffusion::{Affine, Schedule};
pub(crate) use encoder::Encoder;
pub(crate) use qnetwork::QNetwork;

use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::graph::{Graph, Input};

/// Runs a graph whose output is finite vectors, `[B, d]`, and gives each by itself.
fn vectors(
    graph: &Graph,
    inputs: &[(&str, Input)],
    (output, shape): (&str, [usize; 2]),
    cancel: &Cancel,
) -> Result<Vec<Arc<[f32]>>> {
    let wrong = |expected: String, found: String| {
        let what = format!("output `{output}`");
        Error::graph(graph.name(), what, expected, found)
    };
    let finite = |vector: &[f32]| match vector.iter().position(|number| !number.is_finite()) {
        None => Ok(vector.into()),
        Some(column) => {
            let found = format!("{} in column {column}", vector[column]);
            Err(wrong("finite numbers".into(), found))
        }
    };
    graph.run(inputs, output, cancel, |found, numbers| {
        match *found == shape.map(|length| length as i64) {
            true => numbers.chunks_exact(shape[1]).map(finite).collect(),
            false => Err(wrong(format!("shape {shape:?}"), format!("{found:?}"))),
        }
    })
}
