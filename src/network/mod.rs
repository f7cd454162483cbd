//! The networks of a bundle, as functions of items and vectors: rows are gathered, a graph runs, a vector comes back.

#![forbid(unsafe_code)]

mod denoiser;
mod diffusion;
mod encoder;
#[cfg(test)]
pub(crate) mod fixture;

pub(crate) use denoiser::Denoiser;
pub use diffusion::Diffusion;
pub(crate) use diffusion::{Affine, Schedule};
pub(crate) use encoder::Encoder;
