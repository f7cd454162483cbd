//! A language model at work on one text: it writes, and it judges what may be written.

#![forbid(unsafe_code)]

use std::sync::Arc;

use crate::cancel::Cancel;
use crate::engine::Engine;
use crate::error::Result;
use crate::network::llm::{
    Beam, BeamOptions, Cache, GenerateOptions, Generated, Model, Prompt, Row, ScoreOptions, Title,
    TitleOptions,
};
use crate::retrieve::Philox;

/// A language model of a bundle, with what it has read: one text at a time, one thread at a time.
///
/// It keeps the keys and values of the last prompt and reads only what differs from it in the next, so that prompts that
/// begin alike come one after the other at little cost. A call that fails or is stopped leaves it usable.
///
/// ```
/// use oneiro::{Engine, GenerateOptions, Prompt, ScoreOptions};
///
/// let engine = Engine::open("models/tiny-lm")?;
/// let mut model = engine.language_model(None)?;
/// let prompt = Prompt::new().text("After ").title("Dune").text(" people like ");
/// let mut options = GenerateOptions::default();
/// options.tokens = 8;
/// let written = model.generate(&prompt, &options, &mut |piece| print!("{piece}"))?;
/// let scores = model.score(&prompt, &["Arrival", "Solaris"], &ScoreOptions::default())?;
/// # assert!(written.tokens.len() <= 8 && scores.len() == 2);
/// # Ok::<(), oneiro::Error>(())
/// ```
#[derive(Debug)]
pub struct LanguageModel {
    engine: Engine,
    name: String,
    model: Arc<Model>,
    adapter: Option<String>,
    cache: Cache,
}

impl LanguageModel {
    pub(crate) fn new(engine: Engine, name: &str, model: Arc<Model>) -> Result<Self> {
        Ok(Self {
            engine,
            name: name.into(),
            adapter: None,
            cache: model.cache(None)?,
            model,
        })
    }

    /// Its name in the manifest.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The engine it belongs to.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// How many rows, tokens or others, a prompt and what follows it may have.
    #[must_use]
    pub fn context(&self) -> usize {
        self.model.context()
    }

    /// The tokens of a text by itself: without a begin token, without a space in front, and nothing in it is taken for a
    /// special token.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) for a text of more than a mebibyte;
    /// [`Error::Part`](crate::Error::Part) if the tokenizer cannot read it in time.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        self.model.encode(text)
    }

    /// Continues a prompt. `on_text` is given the text as it comes, in whole characters, on this thread.
    ///
    /// # Errors
    /// [`Error::TooLong`](crate::Error::TooLong) before any work if the prompt does not fit;
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) for options or pieces that make no sense;
    /// [`Error::Cancelled`](crate::Error::Cancelled), and [`Error::DeadlineExceeded`](crate::Error::DeadlineExceeded)
    /// before the first token; [`Error::Runtime`](crate::Error::Runtime),
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory), [`Error::Graph`](crate::Error::Graph) if a number is not finite.
    pub fn generate(
        &mut self,
        prompt: &Prompt,
        options: &GenerateOptions,
        on_text: &mut dyn FnMut(&str),
    ) -> Result<Generated> {
        let cancel = options.cancel.limited(options.deadline);
        let rows = self.rows(prompt, &cancel)?;
        let noise = Philox::new(options.seed);
        let uniform = |step| noise.uniform(step);
        self.model
            .generate(&mut self.cache, &rows, options, &uniform, &cancel, on_text)
    }

    /// The likeliest continuations of a prompt, best first, by beam search.
    ///
    /// # Errors
    /// As [`generate`](Self::generate).
    pub fn search(&mut self, prompt: &Prompt, options: &BeamOptions) -> Result<Vec<Beam>> {
        let cancel = options.cancel.limited(options.deadline);
        let rows = self.rows(prompt, &cancel)?;
        let (model, cache) = (&self.model, &mut self.cache);
        model.search(cache, &rows, options, &cancel, &mut |_| {})
    }

    /// The likeliest titles of the whole catalog as the continuation of a prompt, best first, by a beam search along the
    /// tree of its titles: whatever the model would rather write, a title comes out, scored as [`score`](Self::score) does.
    ///
    /// # Errors
    /// As [`generate`](Self::generate); [`Error::Unsupported`](crate::Error::Unsupported) if the bundle has no such tree for
    /// this model.
    pub fn titles(&mut self, prompt: &Prompt, options: &TitleOptions) -> Result<Vec<Title>> {
        let cancel = options.cancel.limited(options.deadline);
        let rows = self.rows(prompt, &cancel)?;
        let cache = &mut self.cache;
        let (titles, _) = self
            .model
            .likeliest_titles(cache, &rows, options, &cancel)?;
        Ok(titles)
    }

    /// How likely each title is as the continuation of a prompt: the sum of the log-probabilities of its tokens and of the
    /// model's end-of-title token, if it has one. Higher is likelier; lengths are not made up for. Line breaks in titles
    /// are spaces; equal titles have equal scores.
    ///
    /// What titles begin with in common is read once, and where the graph allows it, all of them in one run behind the
    /// prompt.
    ///
    /// # Errors
    /// As [`generate`](Self::generate); [`Error::TooLong`](crate::Error::TooLong) also if the longest title does not fit
    /// behind the prompt, [`Error::InvalidArgument`](crate::Error::InvalidArgument) for a title without tokens.
    pub fn score<T: AsRef<str>>(
        &mut self,
        prompt: &Prompt,
        titles: &[T],
        options: &ScoreOptions,
    ) -> Result<Vec<f32>> {
        let cancel = options.cancel.limited(options.deadline);
        let rows = self.rows(prompt, &cancel)?;
        self.model
            .score(&mut self.cache, &rows, titles, options.among, &cancel)
    }

    /// The logits `[V]` of what may come after a prompt.
    ///
    /// # Errors
    /// As [`generate`](Self::generate).
    pub fn logits(&mut self, prompt: &Prompt, cancel: &Cancel) -> Result<Vec<f32>> {
        let rows = self.rows(prompt, cancel)?;
        self.model.read(&mut self.cache, &rows, cancel)?;
        self.model.logits(&self.cache, cancel)
    }

    /// The rows that a prompt is; how many of them all users share is noted.
    fn rows(&mut self, prompt: &Prompt, cancel: &Cancel) -> Result<Vec<Row>> {
        let (rows, shared) = self.model.rows(prompt, cancel)?;
        self.cache.shared = shared;
        Ok(rows)
    }

    /// What the keys and values of what it has read take, in bytes: private memory, kept until [`forget`](Self::forget).
    #[must_use]
    pub fn cached_bytes(&self) -> usize {
        self.cache.bytes()
    }

    /// Forgets what it has read, and gives its memory back.
    pub fn forget(&mut self) {
        self.cache = self.model.cache_like(&self.cache);
    }

    /// Reads and writes with an adapter of the bundle from now on, or without one again. If that is a change, what it has
    /// read is forgotten.
    ///
    /// # Errors
    /// [`Error::Unsupported`](crate::Error::Unsupported) if there is no such adapter.
    pub fn adapt(&mut self, adapter: Option<&str>) -> Result<()> {
        if self.adapter.as_deref() != adapter {
            self.cache = self.model.cache(adapter)?;
            self.adapter = adapter.map(str::to_owned);
        }
        Ok(())
    }

    /// The adapter it reads and writes with.
    #[must_use]
    pub fn adapter(&self) -> Option<&str> {
        self.adapter.as_deref()
    }
}
