//! Language models where the library is built without the feature `llm`: the types that `prompt` and `language_model` know,
//! with prompts that hold nothing and models that nobody can have.

#![allow(
    dead_code,
    reason = "what the host says to a model is checked and then told to nobody"
)]

use std::convert::Infallible;
use std::time::Duration;

use crate::call::{CallOptions, Judge};
use crate::cancel::Cancel;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::ranking::Ranking;
use crate::recommender::Recommender;

impl Engine {
    pub(super) fn language_model(&self, _name: Option<&str>) -> Result<LanguageModel> {
        Err(Error::Unsupported {
            what: "language model that this build of the library can run".into(),
        })
    }
}

#[derive(Clone, Copy)]
pub(super) enum Question {
    Recover,
    Residual(u32),
    Dream,
    DreamAsItem,
    Explain(u32),
}

impl Recommender {
    pub(super) fn interpret_with(
        &mut self,
        _question: Question,
        _count: usize,
        _options: &CallOptions,
        _on_text: &mut dyn FnMut(&str),
    ) -> Result<Ranking> {
        Err(Error::Unsupported {
            what: "language model that this build of the library can run".into(),
        })
    }
}

#[derive(Clone, Default)]
pub struct Prompt;

impl Prompt {
    pub(super) fn new() -> Self {
        Self
    }

    pub(super) fn text(self, _text: &str) -> Self {
        self
    }

    pub(super) fn title(self, _title: &str) -> Self {
        self
    }

    pub(super) fn token(self, _token: u32) -> Self {
        self
    }

    pub(super) fn row(self, _row: Vec<f32>) -> Self {
        self
    }

    pub(super) fn shared(self) -> Self {
        self
    }
}

pub(super) struct ScoreOptions {
    pub among: Among,
    pub cancel: Cancel,
    pub deadline: Option<Duration>,
}

pub(super) struct GeneratorOptions {
    pub name: Option<String>,
    pub grounding: Grounding,
    pub weigh: Option<Judge>,
    pub gamma: Option<f32>,
}

pub(super) enum Grounding {
    Best,
    All,
    Title,
}

pub(super) enum Among {
    Vocabulary,
    Titles,
}

pub struct LanguageModel(Infallible);

impl LanguageModel {
    pub(super) fn name(&self) -> &str {
        match self.0 {}
    }

    pub(super) fn context(&self) -> usize {
        match self.0 {}
    }

    pub(super) fn encode(&self, _text: &str) -> Result<Vec<u32>> {
        match self.0 {}
    }

    pub(super) fn generate(
        &mut self,
        _prompt: &Prompt,
        _options: &GenerateOptions,
        _on_text: &mut dyn FnMut(&str),
    ) -> Result<Generated> {
        match self.0 {}
    }

    pub(super) fn score(
        &mut self,
        _prompt: &Prompt,
        _titles: &[&str],
        _options: &ScoreOptions,
    ) -> Result<Vec<f32>> {
        match self.0 {}
    }

    pub(super) fn adapt(&mut self, _adapter: Option<&str>) -> Result<()> {
        match self.0 {}
    }

    pub(super) fn cached_bytes(&self) -> usize {
        match self.0 {}
    }

    pub(super) fn forget(&mut self) {
        match self.0 {}
    }
}

pub(super) struct GenerateOptions {
    pub tokens: usize,
    pub temperature: f32,
    pub top_k: Option<usize>,
    pub top_p: f32,
    pub seed: u64,
    pub stop: Vec<String>,
    pub cancel: Cancel,
    pub deadline: Option<Duration>,
}

pub(super) struct Generated {
    pub text: String,
    pub tokens: Vec<u32>,
    pub ended: Ended,
}

pub(super) enum Ended {
    Token,
    Text,
    Count,
    Context,
    Deadline,
}
