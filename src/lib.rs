//! **oneiro** predicts the next item a person will like, on their own device.
//!
//! An app opens a [`Bundle`] (a catalog and its trained networks, memory-mapped) as an [`Engine`], gives each user a
//! [`Recommender`], tells it what the user did, and gets a [`Ranking`] back. No server, no Python, no network.
//!
//! ```
//! use oneiro::{By, Engine, Filter};
//!
//! let engine = Engine::open("models/tiny")?;
//! let mut user = engine.recommender();
//! user.observe(&["film-3", "film-7"])?;
//! let best = user.recommend(10)?;                                    // the bundle's recipe
//! let popular = user.retrieve(By::Popularity, 10, &Filter::default())?; // or a way of one's own choice
//! let like = user.similar(best.items()[0], 5)?;
//! # assert!(best.len() == 10 && popular.len() == 10 && like.len() == 5);
//! # Ok::<(), oneiro::Error>(())
//! ```
//!
//! ONNX Runtime is loaded at run time: [`runtime`] says from where. The bundle's format is described in
//! `models/README.md`, the C header is `include/oneiro.h`.

mod arrangement;
mod bundle;
mod call;
mod cancel;
mod catalog;
mod engine;
mod error;
#[cfg(any(feature = "llm", target_arch = "x86_64"))]
mod exponential;
mod filter;
mod graph;
#[cfg(feature = "llm")]
mod language_model;
mod network;
mod ranking;
mod recommender;
mod retrieve;
mod threads;

#[cfg(feature = "capi")]
#[allow(
    missing_docs,
    reason = "documented in the header, where C programmers read"
)]
pub mod capi;

pub use arrangement::Arrangement;
pub use bundle::{
    AttributeKind, Bundle, CatalogEntry, EmptyRow, EncoderEntry, ExplainerEntry, FORMAT,
    GeneratorEntry, GraphEntry, HeadEntry, IndexEntry, InterpreterEntry, LanguageGraph,
    LanguageModelEntry, Length, Manifest, Metric, OracleEntry, PartEntry, Parts, Prepack,
    PromptEntry, Provenance, QNetworkEntry, RankEntry, RecallEntry, RecipeEntry, RetrieveEntry,
    RowType, Seen, SpaceEntry, StepEntry, TitlesEntry, TokenTableEntry, WeighEntry,
};
pub use call::{CallOptions, Judge, Rank};
#[cfg(feature = "llm")]
pub use call::{GeneratorOptions, OnText, PromptOptions};
pub use cancel::Cancel;
pub use catalog::{Catalog, Space};
pub use engine::{Engine, EngineOptions, Memory, PartMemory};
pub use error::{Error, ErrorCode, Result};
pub use filter::Filter;
pub use graph::environment as runtime;
pub use graph::{GraphOptions, Kernels, Precision, Provider};
#[cfg(feature = "llm")]
pub use language_model::LanguageModel;
#[cfg(feature = "llm")]
pub use network::llm::{
    Among, Beam, BeamOptions, Ended, GenerateOptions, Generated, Grounding, Prompt, ScoreOptions,
    Title, TitleOptions,
};
pub use network::{Diffusion, TokenTable};
pub use ranking::{Origin, Ranking, Stage};
#[cfg(feature = "llm")]
pub use recommender::Question;
pub use recommender::{By, Candidates, Event, Recommender};
pub use retrieve::{OracleOptions, QNetworkOptions, Sampler};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
