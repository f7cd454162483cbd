//! The networks of a bundle, as functions of items and vectors: rows are gathered, a graph runs, a vector comes back.

#![forbid(unsafe_code)]

mod encoder;

pub(crate) use encoder::Encoder;
