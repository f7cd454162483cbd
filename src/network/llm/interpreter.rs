//! What a language model says of what a recommender knows: states of an encoder as rows of a prompt.
//!
//! RecInterpreter (Yang et al., "Large Language Model Can Interpret Latent Space of Sequential Recommender", arXiv
//! 2310.20487): a linear layer makes a row of a state, and the model names the items behind it. The authors pool the states
//! of ten full places for the first question; here every question is asked of last states, as windows need not be full.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Model;
use super::cache::{Cache, Row};
use super::prompt::Prompt;
use super::titles::{Title, TitleOptions};
use crate::bundle::{Bundle, InterpreterEntry};
use crate::cancel::Cancel;
use crate::catalog::Catalog;
use crate::error::{Error, Result};
use crate::network::Projector;

/// What is asked of vectors, in the texts of a bundle: what stands around the vectors of a question.
#[derive(Debug)]
pub(crate) struct Interpreter {
    model: Arc<Model>,
    adapter: Option<String>,
    encoder: String,
    projector: Arc<Projector>,
    recover: Option<Vec<String>>,
    residual: Option<Vec<String>>,
    item: Option<Vec<String>>,
    beams: usize,
}

/// Vectors and what is asked of them.
pub(crate) enum Asked {
    /// Which items led to this state?
    Recover(Arc<[f32]>),
    /// Which item came between these two states?
    Residual(Arc<[f32]>, Arc<[f32]>),
    /// Which item's row is this?
    Item(Arc<[f32]>),
}

/// Titles, and whether there was time for all of them.
pub(crate) struct Answer {
    pub(crate) titles: Vec<Title>,
    pub(crate) whole: bool,
}

impl Interpreter {
    /// Binds the texts to their model.
    pub(crate) fn open(
        bundle: &Bundle,
        name: &str,
        entry: &InterpreterEntry,
        models: &BTreeMap<String, Arc<Model>>,
    ) -> Result<Self> {
        if !bundle.catalog().has_titles() {
            let at = format!("interpreters.{name}");
            return Err(Error::manifest(at, "a catalog with titles", "none"));
        }
        let cut = |text: &Option<String>, slots: &[&str]| {
            let text = text.as_ref();
            text.and_then(|text| InterpreterEntry::cut(text, slots))
        };
        Ok(Self {
            model: Arc::clone(&models[&entry.language_model]),
            adapter: entry.adapter.clone(),
            encoder: entry.encoder.clone(),
            projector: Arc::clone(bundle.projector(name)?),
            recover: cut(&entry.recover, &InterpreterEntry::RECOVER),
            residual: cut(&entry.residual, &InterpreterEntry::RESIDUAL),
            item: cut(&entry.item, &InterpreterEntry::ITEM),
            beams: entry.beams as usize,
        })
    }

    /// The encoder whose states it reads.
    pub(crate) fn encoder(&self) -> &str {
        &self.encoder
    }

    /// The likeliest titles, best first, or those of a list in its order; `on_title` is given each title of an answer as
    /// soon as it is known: all of a list, and else the first.
    ///
    /// A deadline leaves what there is; a full context ends a list.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the bundle has no text for it; [`Error::Tensor`] for a projector with numbers that are not
    /// finite; as [`Model::likeliest_titles`] and [`Model::list`].
    pub(crate) fn ask(
        &self,
        catalog: &Catalog,
        asked: &Asked,
        count: usize,
        cancel: &Cancel,
        on_title: &mut dyn FnMut(&str),
    ) -> Result<Answer> {
        let (texts, vectors, what) = match asked {
            Asked::Recover(state) => (&self.recover, vec![state], "recover"),
            Asked::Residual(before, after) => (&self.residual, vec![before, after], "residual"),
            Asked::Item(row) => (&self.item, vec![row], "item"),
        };
        let texts = texts.as_ref().ok_or_else(|| Error::Unsupported {
            what: format!("question: the interpreter has no text for `{what}`"),
        })?;
        let mut prompt = Prompt::new();
        for (place, text) in texts.iter().enumerate() {
            if !text.is_empty() {
                prompt = prompt.text(text);
            }
            if place == 0 {
                prompt = prompt.shared();
            }
            if let Some(vector) = vectors.get(place) {
                prompt = prompt.row(self.projector.row(vector)?);
            }
        }
        let (rows, shared) = self.model.rows(&prompt, cancel)?;
        let mut cache = self.model.cache(self.adapter.as_deref())?;
        cache.shared = shared;
        let model = &self.model;
        let title_of = |title: &Title| match title.items.first() {
            Some(&item) => Ok(catalog.title(item)?.unwrap_or_default()),
            None => Ok(""),
        };
        if let Asked::Recover(_) = asked {
            let mut tell = |title: &Title| {
                let text = title_of(title)?;
                on_title(text);
                Ok(text.to_owned())
            };
            return model.list(&mut cache, rows, count, self.beams, cancel, &mut tell);
        }
        let mut options = TitleOptions::default();
        (options.count, options.beams) = (count, self.beams.max(count));
        let (titles, whole) = model.likeliest_titles(&mut cache, &rows, &options, cancel)?;
        if let Some(best) = titles.first() {
            on_title(title_of(best)?);
        }
        Ok(Answer { titles, whole })
    }
}

impl Model {
    /// Titles of the catalog one after the other, each the likeliest that is not there yet, until the list ends: where the
    /// token that ends a title is likelier than that any title begins. `on_title` is given each, and answers its text.
    ///
    /// A deadline or a full context ends the list, unless it is empty.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the model has no tree of titles, or no token that ends one; as
    /// [`likeliest_titles`](Self::likeliest_titles).
    fn list(
        &self,
        cache: &mut Cache,
        mut rows: Vec<Row>,
        most: usize,
        beams: usize,
        cancel: &Cancel,
        on_title: &mut dyn FnMut(&Title) -> Result<String>,
    ) -> Result<Answer> {
        let (mut listed, mut whole): (Vec<Title>, bool) = (Vec::new(), true);
        while listed.len() < most {
            match self.next_of_list(cache, &rows, &listed, beams, cancel) {
                Ok(Some(next)) => {
                    let tokens = self.tokens_of_title(&on_title(&next)?)?;
                    rows.extend(tokens.into_iter().map(Row::Token));
                    listed.push(next);
                }
                Ok(None) => break,
                Err(Error::DeadlineExceeded) if !listed.is_empty() => {
                    whole = false;
                    break;
                }
                Err(Error::TooLong { .. }) if !listed.is_empty() => break,
                Err(error) => return Err(error),
            }
        }
        Ok(Answer {
            titles: listed,
            whole,
        })
    }

    /// The likeliest title that is not in a list, after the rows of a prompt and the list; nothing where the list ends.
    fn next_of_list(
        &self,
        cache: &mut Cache,
        rows: &[Row],
        listed: &[Title],
        beams: usize,
        cancel: &Cancel,
    ) -> Result<Option<Title>> {
        let trie = self.tree_of_titles()?;
        let end = self.end_of_title.ok_or_else(|| Error::Unsupported {
            what: "a list of titles: the language model has no token that ends one".into(),
        })?;
        self.read(cache, rows, cancel)?;
        let logits = self.logits(cache, cancel)?;
        let first = trie
            .children(0)?
            .map(|node| Ok(logits[trie.token(node)? as usize]));
        let first = first.collect::<Result<Vec<f32>>>()?;
        if first.is_empty() || f64::from(logits[end as usize]) >= self.normaliser(&first)? {
            return Ok(None);
        }
        self.likeliest_title(cache, rows, beams, listed, cancel)
    }
}
