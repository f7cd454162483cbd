//! Candidates on their way to a list: ranked once more, step by step, by what judges them.

#![forbid(unsafe_code)]

use std::time::Instant;

use super::{By, Recommender};
use crate::arrangement::Plan;
use crate::bundle::{RankEntry, StepEntry};
use crate::call::{CallOptions, Judge};
use crate::catalog::Scored;
use crate::engine::Engine;
use crate::error::Result;
use crate::ranking::{Ranking, Stage};
use crate::retrieve::{Scoring, Search, stage};

/// What will be a list.
pub(super) struct Draft<'a> {
    pub(super) scoring: Scoring<'a>,
    /// Best first, but for those that the arrangement sets aside.
    pub(super) fetched: Vec<Scored>,
    pub(super) stages: Vec<Stage>,
}

/// What ranks candidates, by its name if it has been named.
#[derive(Clone, Copy)]
pub(super) enum Step<'a> {
    /// By the scores of a way of retrieving.
    Way(By),
    /// With its weight.
    QNetwork(Option<&'a str>, Option<f32>),
    LanguageModel(#[cfg_attr(not(feature = "llm"), expect(dead_code))] Option<&'a str>),
}

impl<'a> Step<'a> {
    pub(super) fn of(entry: &'a StepEntry) -> Self {
        match entry.rank {
            Some(RankEntry::LanguageModel) => Self::LanguageModel(entry.prompt.as_deref()),
            _ => Self::QNetwork(entry.q_network.as_deref(), entry.weight),
        }
    }
}

impl From<Judge> for Step<'_> {
    fn from(judge: Judge) -> Self {
        match judge {
            Judge::Popularity => Self::Way(By::Popularity),
            Judge::Encoder => Self::Way(By::Encoder),
            Judge::QNetwork => Self::QNetwork(None, None),
            Judge::LanguageModel => Self::LanguageModel(None),
        }
    }
}

impl<'a> Draft<'a> {
    pub(super) fn list(self, plan: &Plan, search: Search) -> Result<Ranking> {
        plan.list(self.fetched, self.stages, &self.scoring, search)
    }

    /// The items of the best `most`, and those that the plan sets aside.
    pub(super) fn candidates(&self, plan: &Plan, most: usize) -> Vec<u32> {
        let fetched = self.fetched.iter().take(most).map(|scored| scored.item);
        fetched.chain(plan.aside()).collect()
    }

    /// The best `most` by other scores, and what was done for them, `name` since `started`.
    pub(super) fn again<'b>(
        &self,
        scoring: Scoring<'b>,
        plan: &Plan,
        most: usize,
        search: Search,
        (before, name, started): (&[Stage], &str, Instant),
    ) -> Result<Draft<'b>> {
        let (fetched, _) = scoring.best(most, plan.admission(), search)?;
        let ranked = stage(format!("rank {name}"), fetched.len(), started);
        Ok(Draft {
            stages: [&self.stages, before, &[ranked]].concat(),
            scoring,
            fetched,
        })
    }
}

impl Engine {
    /// The best `most` of each draft, and what the plan sets aside, ranked once more.
    pub(super) fn ranked<'a>(
        &'a self,
        users: &mut [&mut Recommender],
        plans: &[Plan],
        drafts: &[Draft],
        by: Step,
        most: usize,
        options: &CallOptions,
    ) -> Result<Vec<Draft<'a>>> {
        options.cancel.check()?;
        match by {
            Step::Way(by) => self.scored(users, plans, drafts, by, most, options),
            Step::QNetwork(name, weight) => {
                self.blended(users, plans, drafts, (name, weight), most, options)
            }
            #[cfg(feature = "llm")]
            Step::LanguageModel(name) => self.asked(users, plans, drafts, name, most, options),
            #[cfg(not(feature = "llm"))]
            Step::LanguageModel(_) => Err(without_language_models()),
        }
    }

    /// The same by the scores of one way.
    fn scored<'a>(
        &'a self,
        users: &mut [&mut Recommender],
        plans: &[Plan],
        drafts: &[Draft],
        by: By,
        most: usize,
        options: &CallOptions,
    ) -> Result<Vec<Draft<'a>>> {
        let search = options.search();
        let (scorings, stages) = self.scorings(users, by, options)?;
        let each = plans.iter().zip(drafts).zip(scorings);
        let ranked = each.map(|((plan, draft), scoring)| {
            let started = Instant::now();
            let items = draft.candidates(plan, most);
            let scores = scoring.of(&items, plan.admission(), search.cancel)?;
            let (origin, scores) = (scoring.origin(), items.into_iter().zip(scores));
            let done = (stages.as_slice(), origin.as_str(), started);
            draft.again(Scoring::some(origin, scores), plan, most, search, done)
        });
        ranked.collect()
    }
}

/// What a library without the feature `llm` says of everything that needs it.
#[cfg(not(feature = "llm"))]
pub(super) fn without_language_models() -> crate::error::Error {
    crate::error::Error::Unsupported {
        what: "language model that this build of the library can run".into(),
    }
}
