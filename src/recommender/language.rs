//! Candidates ranked by a language model, which is asked about all of them at once.

#![forbid(unsafe_code)]

use std::time::Instant;

use super::Recommender;
use super::rank::Draft;
use crate::arrangement::Plan;
use crate::call::CallOptions;
use crate::engine::Engine;
use crate::error::Result;
use crate::network::llm::{Cache, Template};
use crate::ranking::Origin;
use crate::retrieve::Scoring;

/// What a language model has read for a user, by the prompt that it was asked. A clone of the user reads anew.
#[derive(Debug, Default)]
pub(super) struct Reading(Option<(String, Cache)>);

impl Clone for Reading {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Reading {
    pub(super) fn bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |(_, cache)| cache.bytes())
    }

    /// What was read by the prompt of this name: nothing yet, if another was the last.
    pub(super) fn of(&mut self, name: &str, template: &Template) -> Result<&mut Cache> {
        if self.0.as_ref().is_none_or(|(of, _)| of != name) {
            self.0 = None;
        }
        let (_, cache) = match &mut self.0 {
            Some(reading) => reading,
            none => none.insert((name.to_owned(), template.cache()?)),
        };
        Ok(cache)
    }
}

impl Engine {
    /// The best `most` of each draft, and what the plan sets aside, ranked by a language model: asked by the prompt that
    /// the options name, or this one.
    pub(super) fn asked<'a>(
        &'a self,
        users: &mut [&mut Recommender],
        plans: &[Plan],
        drafts: &[Draft],
        name: Option<&str>,
        most: usize,
        options: &CallOptions,
    ) -> Result<Vec<Draft<'a>>> {
        let name = options.prompt.name.as_deref().or(name);
        let search = options.search();
        // What is read for one of many would be kept for all of them.
        let is_alone = users.len() == 1;
        let each = users.iter_mut().zip(plans).zip(drafts);
        let ranked = each.map(|((user, plan), draft)| {
            let started = Instant::now();
            let items = draft.candidates(plan, most);
            let outcome = user.ask(self, name, &items, options);
            if !is_alone {
                user.trim();
            }
            let (name, scores) = outcome?;
            let scoring = Scoring::some(Origin::LanguageModel, items.into_iter().zip(scores));
            draft.again(scoring, plan, most, search, (&[], name, started))
        });
        ranked.collect()
    }
}

impl Recommender {
    /// The name of the prompt that a language model was asked by, and the scores of its candidates, in their order.
    pub(super) fn ask<'a>(
        &mut self,
        engine: &'a Engine,
        name: Option<&str>,
        candidates: &[u32],
        options: &CallOptions,
    ) -> Result<(&'a str, Vec<f32>)> {
        let (name, template) = engine.prompt(name)?;
        if candidates.is_empty() {
            return Ok((name, Vec::new()));
        }
        let history: Vec<u32> = self.taste().collect();
        let scores = template.score(
            engine.catalog(),
            self.reading.of(name, template)?,
            &history,
            candidates,
            options.prompt.among,
            &options.cancel,
        )?;
        Ok((name, scores))
    }
}
