//! What a language model is asked about a history, and some candidates or none: the text of a bundle's prompt, filled in.
//!
//! LLaRA's hybrid prompt (Liao et al., "LLaRA: Large Language-Recommendation Assistant", SIGIR 2024, arXiv 2312.02445): an
//! item is its title and behind it a row, what a projector made of the row that a recommender has for it. The projector ran
//! when the bundle was made. A prompt without rows has text alone. Every text is a piece of its own: a title has the same
//! tokens in the history, among the candidates and as the answer.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Model;
use super::beam::{Beam, BeamOptions};
use super::cache::{Cache, Row};
use super::prompt::Prompt;
use super::score::Among;
use super::titles::Title;
use crate::bundle::{Bundle, PromptEntry};
use crate::cancel::Cancel;
use crate::catalog::{Catalog, Space};
use crate::error::{Error, Result};

/// A prompt of a bundle, with the model that it is for.
#[derive(Debug)]
pub(crate) struct Template {
    model: Arc<Model>,
    adapter: Option<String>,
    /// Before the history, between it and the candidates if there is a place for them, and after all of it.
    before: String,
    between: Option<String>,
    after: String,
    separator: String,
    /// The most items of the history: its last ones.
    history: usize,
    behind: Behind,
    /// The token behind all of it, before the answer.
    answer: Option<u32>,
}

/// What stands behind a title.
#[derive(Debug)]
enum Behind {
    Nothing,
    Token(u32),
    Row(Arc<Space>),
}

impl Template {
    /// The prompt of this name and its model.
    pub(crate) fn open(
        bundle: &Bundle,
        name: &str,
        entry: &PromptEntry,
        models: &BTreeMap<String, Arc<Model>>,
    ) -> Result<Self> {
        if !bundle.catalog().has_titles() {
            let at = format!("prompts.{name}");
            return Err(Error::manifest(at, "a catalog with titles", "none"));
        }
        let texts = entry.texts().ok_or_else(|| Error::Internal {
            reason: format!("the prompt `{name}` without its slots passed the manifest's checks"),
        })?;
        Ok(Self {
            model: Arc::clone(&models[&entry.language_model]),
            adapter: entry.adapter.clone(),
            before: texts.before.into(),
            between: texts.between.map(Into::into),
            after: texts.after.into(),
            separator: entry.separator.clone(),
            history: entry.history as usize,
            behind: match (&entry.rows, entry.placeholder) {
                (Some(space), _) => Behind::Row(Arc::clone(bundle.space(space)?)),
                (None, Some(token)) => Behind::Token(token),
                (None, None) => Behind::Nothing,
            },
            answer: entry.answer,
        })
    }

    /// The model that it is for.
    pub(crate) fn model(&self) -> &Model {
        &self.model
    }

    /// Whether it is about candidates.
    pub(crate) fn has_candidates(&self) -> bool {
        self.between.is_some()
    }

    /// A cache for it that has read nothing.
    pub(crate) fn cache(&self) -> Result<Cache> {
        self.model.cache(self.adapter.as_deref())
    }

    /// The scores of candidates, each that of its title behind the prompt about all of them in this order.
    ///
    /// `history`: oldest first.
    ///
    /// # Errors
    /// As [`Model::score`]; [`Error::Tensor`] for a row that is not finite.
    pub(crate) fn score(
        &self,
        catalog: &Catalog,
        cache: &mut Cache,
        history: &[u32],
        candidates: &[u32],
        among: Among,
        cancel: &Cancel,
    ) -> Result<Vec<f32>> {
        let titles = candidates.iter().map(|&item| title(catalog, item));
        let titles = titles.collect::<Result<Vec<_>>>()?;
        self.score_texts(catalog, cache, history, candidates, &titles, among, cancel)
    }

    /// The scores of texts behind the prompt about a history and candidates.
    ///
    /// # Errors
    /// As [`Model::score`]; [`Error::Tensor`] for a row that is not finite.
    #[allow(clippy::too_many_arguments, reason = "what is asked, and how")]
    pub(crate) fn score_texts<T: AsRef<str>>(
        &self,
        catalog: &Catalog,
        cache: &mut Cache,
        history: &[u32],
        candidates: &[u32],
        texts: &[T],
        among: Among,
        cancel: &Cancel,
    ) -> Result<Vec<f32>> {
        let rows = self.rows(catalog, cache, history, candidates, cancel)?;
        self.model.score(cache, &rows, texts, among, cancel)
    }

    /// The likeliest that the model would write about a history, best first; the text of the first is given to `on_text`.
    ///
    /// # Errors
    /// As [`Model::search`]; [`Error::Tensor`] for a row that is not finite.
    pub(crate) fn write(
        &self,
        catalog: &Catalog,
        cache: &mut Cache,
        history: &[u32],
        options: &BeamOptions,
        cancel: &Cancel,
        on_text: &mut dyn FnMut(&str),
    ) -> Result<Vec<Beam>> {
        let rows = self.rows(catalog, cache, history, &[], cancel)?;
        self.model.search(cache, &rows, options, cancel, on_text)
    }

    /// The likeliest title of the catalog that the model would write about a history.
    ///
    /// # Errors
    /// As [`Model::likeliest_titles`]; [`Error::Tensor`] for a row that is not finite.
    pub(crate) fn title(
        &self,
        catalog: &Catalog,
        cache: &mut Cache,
        history: &[u32],
        beams: usize,
        cancel: &Cancel,
    ) -> Result<Option<Title>> {
        let rows = self.rows(catalog, cache, history, &[], cancel)?;
        self.model.likeliest_title(cache, &rows, beams, &[], cancel)
    }

    /// The rows that the model reads; how many of them all users share is noted.
    fn rows(
        &self,
        catalog: &Catalog,
        cache: &mut Cache,
        history: &[u32],
        candidates: &[u32],
        cancel: &Cancel,
    ) -> Result<Vec<Row>> {
        let history = &history[history.len().saturating_sub(self.history)..];
        let prompt = Prompt::new().text(&self.before).shared();
        let mut prompt = self.list(prompt, catalog, history)?;
        if let Some(between) = &self.between {
            prompt = self.list(prompt.text(between), catalog, candidates)?;
        }
        let prompt = prompt.text(&self.after);
        let prompt = match self.answer {
            Some(token) => prompt.token(token),
            None => prompt,
        };
        let (rows, shared) = self.model.rows(&prompt, cancel)?;
        cache.shared = shared;
        Ok(rows)
    }

    fn list(&self, mut prompt: Prompt, catalog: &Catalog, items: &[u32]) -> Result<Prompt> {
        for (place, &item) in items.iter().enumerate() {
            if place > 0 {
                prompt = prompt.text(&self.separator);
            }
            prompt = prompt.title(title(catalog, item)?);
            prompt = match &self.behind {
                Behind::Nothing => prompt,
                Behind::Token(token) => prompt.token(*token),
                // One that was never trained says nothing.
                Behind::Row(space) if space.is_cold(item) => prompt,
                Behind::Row(space) => {
                    let mut row = vec![0.0; space.width()];
                    space.row(item, &mut row)?;
                    prompt.row(row)
                }
            };
        }
        Ok(prompt)
    }
}

fn title(catalog: &Catalog, item: u32) -> Result<&str> {
    Ok(catalog.title(item)?.unwrap_or_default())
}
