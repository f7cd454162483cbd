//! The C ABI: one public module per section of `include/oneiro.h`, in its order.
//!
//! `tests/header.rs` makes the header from these files; their documentation is written for C programmers. What stands
//! between C and Rust (panics, NULL, UTF-8, structs that grow) is in `boundary`, `checks` and `growing`.
//!
//! The header is one, whatever the features: `without_llm` stands for what a library without language models lacks.

#![allow(
    non_camel_case_types,
    reason = "the names of the header, which C programmers read"
)]
#![allow(
    clippy::missing_safety_doc,
    reason = "the comments of the header are the contract"
)]

mod boundary;
mod checks;
mod growing;
#[cfg(not(feature = "llm"))]
mod without_llm;

pub mod arrangement;
pub mod bundle;
pub mod cancel;
pub mod catalog;
pub mod engine;
pub mod error;
pub mod filter;
pub mod generate;
pub mod generator;
pub mod interpret;
pub mod judge;
pub mod language_model;
pub mod log;
pub mod opinions;
pub mod oracle;
pub mod parts;
pub mod prompt;
pub mod ranking;
pub mod recommender;
pub mod retrieve;
pub mod runtime;
pub mod text;
