//! What a language model writes about a history, and where that stands among the catalog's titles.
//!
//! BIGRec (Bao et al., "A Bi-Step Grounding Paradigm for Large Language Models in Recommendation Systems", arXiv 2308.08434):
//! the model, tuned, writes a title as it comes to its mind; the same model, untuned, makes a point of it, as it has made a
//! row of every title of the catalog.

#![forbid(unsafe_code)]

use std::sync::Arc;

use super::beam::BeamOptions;
use super::cache::Cache;
use super::template::Template;
use crate::bundle::{Bundle, GeneratorEntry, WeighEntry};
use crate::cancel::Cancel;
use crate::catalog::{Catalog, Space};
use crate::error::{Error, Result};

/// How titles that a language model writes become points of a space.
#[derive(Debug)]
pub(crate) struct Generator {
    prompt: String,
    space: Arc<Space>,
    beams: usize,
    tokens: usize,
    length_penalty: f32,
    /// What distances are weighed by, and how much.
    pub(crate) weigh: Option<WeighEntry>,
    pub(crate) gamma: f32,
}

/// Which of what was written counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Grounding {
    /// The likeliest text, as in the paper.
    #[default]
    Best,
    /// All of them: an item is as far away as from the nearest.
    All,
    /// The likeliest title of the catalog: nothing else is written. It needs the model's tree of titles.
    Title,
}

impl Generator {
    pub(crate) fn open(bundle: &Bundle, entry: &GeneratorEntry) -> Result<Self> {
        Ok(Self {
            prompt: entry.prompt.clone(),
            space: Arc::clone(bundle.space(&entry.space)?),
            beams: entry.beams as usize,
            tokens: entry.tokens as usize,
            length_penalty: entry.length_penalty,
            weigh: entry.weigh,
            gamma: entry.gamma,
        })
    }

    /// The name of the prompt that it writes by.
    pub(crate) fn prompt(&self) -> &str {
        &self.prompt
    }

    /// The space of the titles' rows.
    pub(crate) fn space(&self) -> &Space {
        &self.space
    }

    /// Where what the model writes about a history stands, `[D]` each: at least one point. `on_text` is given the likeliest
    /// text as it is written.
    ///
    /// # Errors
    /// As [`Template::write`], [`Template::titles`] and [`Model::embed`](super::Model::embed).
    #[allow(clippy::too_many_arguments, reason = "what is asked, and how")]
    pub(crate) fn points(
        &self,
        template: &Template,
        catalog: &Catalog,
        cache: &mut Cache,
        history: &[u32],
        grounding: Grounding,
        cancel: &Cancel,
        on_text: &mut dyn FnMut(&str),
    ) -> Result<Vec<Arc<[f32]>>> {
        if grounding == Grounding::Title {
            let title = template.title(catalog, cache, history, self.beams, cancel)?;
            let item = title.as_ref().and_then(|title| title.items.first());
            let what = "a title to write: the tree of titles has none".into();
            let item = item.ok_or(Error::Unsupported { what })?;
            on_text(catalog.title(*item)?.unwrap_or_default());
            return Ok(vec![self.row(*item)?]);
        }
        let options = BeamOptions {
            beams: self.beams,
            tokens: self.tokens,
            length_penalty: self.length_penalty,
            ..BeamOptions::default()
        };
        let beams = template.write(catalog, cache, history, &options, cancel, on_text)?;
        let counted = match grounding {
            Grounding::All => beams.len(),
            _ => 1,
        };
        let point = |text: &str| Ok(template.model().embed(text, cancel)?.into());
        let beams = beams.iter().take(counted);
        beams
            .map(|beam| point(beam.text.trim_matches('"')))
            .collect()
    }

    fn row(&self, item: u32) -> Result<Arc<[f32]>> {
        let mut row = vec![0.0; self.space.width()];
        self.space.row(item, &mut row)?;
        Ok(row.into())
    }
}
