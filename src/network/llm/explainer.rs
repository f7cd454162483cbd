//! Why an item is recommended, in a sentence.
//!
//! Ours: the language model chooses among the sentences of a bundle, filled in with titles of the history, and can name
//! nothing else.

#![forbid(unsafe_code)]

use super::cache::Cache;
use super::score::Among;
use super::template::Template;
use crate::bundle::ExplainerEntry;
use crate::cancel::Cancel;
use crate::catalog::Catalog;
use crate::error::{Error, Result};

/// Sentences with places for the strongest items of a history, and the prompt that they answer.
#[derive(Debug)]
pub(crate) struct Explainer {
    prompt: String,
    encoder: String,
    sentences: Vec<String>,
    tags: Option<String>,
}

/// What a sentence is about.
pub(crate) struct Reason<'a> {
    pub(crate) history: &'a [u32],
    pub(crate) item: u32,
    /// The items of the history that raise its score the most: one or two.
    pub(crate) named: &'a [u32],
}

impl Explainer {
    pub(crate) fn new(entry: &ExplainerEntry) -> Self {
        Self {
            prompt: entry.prompt.clone(),
            encoder: entry.encoder.clone(),
            sentences: entry.sentences.clone(),
            tags: entry.tags.clone(),
        }
    }

    /// The name of the prompt that the sentences answer: about a history and one candidate, the item.
    pub(crate) fn prompt(&self) -> &str {
        &self.prompt
    }

    /// The encoder whose scores are explained.
    pub(crate) fn encoder(&self) -> &str {
        &self.encoder
    }

    /// The likeliest sentence about an item that names one or two items of the history.
    ///
    /// # Errors
    /// As [`Template::score_texts`]; [`Error::Unsupported`] if no sentence can be filled in.
    pub(crate) fn sentence(
        &self,
        template: &Template,
        catalog: &Catalog,
        cache: &mut Cache,
        reason: &Reason,
        cancel: &Cancel,
    ) -> Result<String> {
        let mut sentences = self.filled(catalog, reason)?;
        let scores = template.score_texts(
            catalog,
            cache,
            reason.history,
            &[reason.item],
            &sentences,
            Among::Vocabulary,
            cancel,
        )?;
        let best = (0..scores.len()).reduce(|best, place| match scores[place] > scores[best] {
            true => place,
            false => best,
        });
        let best = best.ok_or_else(|| Error::Unsupported {
            what: "a sentence that can be filled in with what there is to name".into(),
        })?;
        Ok(sentences.swap_remove(best))
    }

    /// The sentences that name all of these items.
    fn filled(&self, catalog: &Catalog, reason: &Reason) -> Result<Vec<String>> {
        let mut titles = Vec::with_capacity(reason.named.len());
        for &item in reason.named {
            titles.push(catalog.title(item)?.unwrap_or_default());
        }
        let tags = self.shared_tags(catalog, reason)?;
        let fill = |sentence: &String| {
            let asks = |slot| sentence.contains(slot);
            let (first, second) = (titles.first()?, titles.get(1));
            if asks(ExplainerEntry::SECOND) != second.is_some()
                || (asks(ExplainerEntry::TAGS) && tags.is_none())
            {
                return None;
            }
            let slots = [
                (ExplainerEntry::FIRST, Some(*first)),
                (ExplainerEntry::SECOND, second.copied()),
                (ExplainerEntry::TAGS, tags.as_deref()),
            ];
            // What is put in has no slots of its own.
            let mut rest = sentence.as_str();
            let mut text = String::new();
            loop {
                let next = slots
                    .iter()
                    .filter_map(|(slot, with)| Some((rest.find(slot)?, slot, with)));
                match next.min_by_key(|(at, _, _)| *at) {
                    None => break,
                    Some((at, slot, with)) => {
                        text.push_str(&rest[..at]);
                        text.push_str(with.unwrap_or_default());
                        rest = &rest[at + slot.len()..];
                    }
                }
            }
            text.push_str(rest);
            Some(text)
        };
        Ok(self.sentences.iter().filter_map(fill).collect())
    }

    /// The tags that an item shares with all that are named, with ` and ` between.
    fn shared_tags(&self, catalog: &Catalog, reason: &Reason) -> Result<Option<String>> {
        let Some(attribute) = &self.tags else {
            return Ok(None);
        };
        let mut shared = catalog.tags(attribute, reason.item)?;
        for &other in reason.named {
            let own = catalog.tags(attribute, other)?;
            shared.retain(|tag| own.contains(tag));
        }
        Ok((!shared.is_empty()).then(|| shared.join(" and ")))
    }
}
