//! Ranking and scoring items of the caller's own.

#![forbid(unsafe_code)]

use super::rank::{Draft, Step};
use super::{By, Chain, Recommender};
use crate::call::{CallOptions, Judge};
use crate::catalog::Admission;
use crate::error::{Error, Result};
use crate::filter::Filter;
use crate::ranking::{Origin, Ranking};
use crate::retrieve::Scoring;

/// Items to be ranked, and the scores that they come with, if any: a [`Ranking`], items of the caller's own, or these
/// with scores beside them.
pub trait Candidates {
    /// The items.
    fn items(&self) -> &[u32];
    /// Their scores, one each, if they come with scores.
    fn scores(&self) -> Option<&[f32]> {
        None
    }
}

impl Candidates for [u32] {
    fn items(&self) -> &[u32] {
        self
    }
}

impl<const N: usize> Candidates for [u32; N] {
    fn items(&self) -> &[u32] {
        self
    }
}

impl Candidates for Vec<u32> {
    fn items(&self) -> &[u32] {
        self
    }
}

impl Candidates for (&[u32], &[f32]) {
    fn items(&self) -> &[u32] {
        self.0
    }

    fn scores(&self) -> Option<&[f32]> {
        Some(self.1)
    }
}

impl Candidates for Ranking {
    fn items(&self) -> &[u32] {
        self.items()
    }

    fn scores(&self) -> Option<&[f32]> {
        Some(self.scores())
    }
}

impl<T: Candidates + ?Sized> Candidates for &T {
    fn items(&self) -> &[u32] {
        (**self).items()
    }

    fn scores(&self) -> Option<&[f32]> {
        (**self).scores()
    }
}

impl Judge {
    /// The way of retrieving that has the same scores, if there is one.
    pub(super) fn way(self) -> Option<By> {
        match self {
            Self::Popularity => Some(By::Popularity),
            Self::Encoder => Some(By::Encoder),
            Self::QNetwork => Some(By::QNetwork),
            Self::LanguageModel => None,
        }
    }
}

impl Recommender {
    /// The `count` best of some candidates, with default options.
    ///
    /// # Errors
    /// As [`rank_with`](Self::rank_with).
    pub fn rank(
        &mut self,
        judge: Judge,
        candidates: &(impl Candidates + ?Sized),
        count: usize,
        filter: &Filter,
    ) -> Result<Ranking> {
        self.rank_with(judge, candidates, count, filter, &CallOptions::default())
    }

    /// The `count` best of some candidates, a ranking or items of the caller's own; fewer if the filter leaves fewer or
    /// some never rank. No other item comes, whatever the arrangement says. Seen items are candidates like any other
    /// only if the filter, or the bundle, lets them be.
    ///
    /// [`Judge::QNetwork`] blends Q with the scores that candidates come with, by the weight of the options or else of
    /// the network; without scores it ranks by Q alone. The others do not look at them. Of a chain by hand, arrange the
    /// last step only: boosts and dislikes are already in the scores of a ranking that was arranged.
    ///
    /// [`Judge::LanguageModel`] reads a prompt of the bundle with the history, less what is disliked, and the candidates
    /// that the filter leaves, in the order in which they come, what is boosted or pinned last; and it scores their titles as
    /// [`LanguageModel::score`](crate::LanguageModel::score) does. As many fit as the model's context holds; it does best
    /// with as many as it was trained with, `candidates` of the prompt. What it has read is kept for the next call
    /// ([`cached_bytes`](Self::cached_bytes), [`trim`](Self::trim)).
    ///
    /// ```
    /// # let engine = oneiro::Engine::open("models/tiny")?;
    /// use oneiro::{By, Filter, Judge};
    /// let mut user = engine.recommender();
    /// user.observe_items(&[3, 7])?;
    /// let broad = user.retrieve(By::Popularity, 20, &Filter::default())?;
    /// let best = user.rank(Judge::Encoder, &broad, 5, &Filter::default())?;
    /// let mine = engine.catalog().items(&["film-5", "film-2"])?;
    /// let order = user.rank(Judge::Encoder, &mine, 2, &Filter::default())?;
    /// # assert!(best.len() == 5 && order.len() == 2);
    /// # Ok::<(), oneiro::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::UnknownItem`], [`Error::InvalidArgument`] if a candidate comes twice, there are not as many scores as
    /// items, or the options have a weight and the candidates no scores; [`Error::TooLong`] if the prompt is longer than
    /// the model's context; as [`retrieve_with`](Self::retrieve_with).
    pub fn rank_with(
        &mut self,
        judge: Judge,
        candidates: &(impl Candidates + ?Sized),
        count: usize,
        filter: &Filter,
        options: &CallOptions,
    ) -> Result<Ranking> {
        let (items, scores) = (candidates.items(), candidates.scores());
        if let Some(scores) = scores.filter(|scores| scores.len() != items.len()) {
            let reason = format!("{} scores for {} items", scores.len(), items.len());
            return Err(Error::argument("candidates", reason));
        }
        let mut sorted = items.to_vec();
        sorted.sort_unstable();
        if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            let reason = format!("item {} comes twice", pair[0]);
            return Err(Error::argument("candidates", reason));
        }
        if options.rank.is_some() {
            let reason = "`rank` is for what is retrieved: these are ranked by the judge";
            return Err(Error::argument("options", reason));
        }
        let (filter, options) = (filter.clone().allow(sorted), options.started());
        match (judge.way(), scores, options.q_network.weight) {
            (None, ..) => {
                // They stay in the order in which they come.
                let order = (0..).map(|place: u32| -(place as f32));
                let scoring =
                    Scoring::some(Origin::LanguageModel, items.iter().copied().zip(order));
                let by = Step::LanguageModel(None);
                self.rank_again(scoring, by, items.len(), count, &filter, &options)
            }
            (Some(By::QNetwork), Some(scores), _) => {
                let scores = items.iter().copied().zip(scores.iter().copied());
                let scoring = Scoring::some(Origin::QNetwork, scores);
                let by = Step::QNetwork(None, None);
                self.rank_again(scoring, by, items.len(), count, &filter, &options)
            }
            (Some(By::QNetwork), None, Some(weight)) if weight < 1.0 => {
                let reason = format!("is {weight}, and the candidates come without scores");
                Err(Error::argument("weight", reason))
            }
            (Some(way), ..) => self.list(Chain::by(way, count), count, &filter, &options),
        }
    }

    /// The `count` best of so many candidates, which have scores already.
    fn rank_again(
        &mut self,
        scoring: Scoring,
        by: Step,
        len: usize,
        count: usize,
        filter: &Filter,
        options: &CallOptions,
    ) -> Result<Ranking> {
        let engine = self.engine.clone();
        let plan = self.plan(&engine, count, count, filter, options)?;
        let (fetched, _) = scoring.best(len, plan.admission(), options.search())?;
        let draft = Draft {
            scoring,
            fetched,
            stages: Vec::new(),
        };
        let plans = [plan];
        let mut ranked = engine.ranked(&mut [self], &plans, &[draft], by, len, options)?;
        let [plan] = &plans;
        let ranked = ranked.pop().ok_or_else(|| Error::Internal {
            reason: "a draft that was not ranked".into(),
        })?;
        ranked.list(plan, options.search())
    }

    /// The judge's own scores of some items, in their order: NaN for one that never ranks. Neither filters nor the
    /// options' arrangement have a part in it.
    ///
    /// # Errors
    /// [`Error::UnknownItem`]; [`Error::Unsupported`] if the bundle has no such network, [`Error::TooLong`] if the prompt of
    /// a language model is longer than its context, [`Error::Cancelled`], [`Error::DeadlineExceeded`], [`Error::Runtime`].
    pub fn score(
        &mut self,
        judge: Judge,
        items: &(impl AsRef<[u32]> + ?Sized),
        options: &CallOptions,
    ) -> Result<Vec<f32>> {
        let options = options.started();
        let items = items.as_ref();
        self.check_items(items)?;
        options.cancel.check()?;
        let engine = self.engine.clone();
        let Some(way) = judge.way() else {
            #[cfg(feature = "llm")]
            return self
                .ask(&engine, options.prompt.name.as_deref(), items, &options)
                .map(|(_, scores)| scores);
            #[cfg(not(feature = "llm"))]
            return Err(super::rank::without_language_models());
        };
        let scoring = self.scoring(&engine, way, &options)?;
        scoring.of(items, &Admission::default(), &options.cancel)
    }
}
