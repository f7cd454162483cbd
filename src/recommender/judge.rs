//! Ranking and scoring items of the caller's own.

#![forbid(unsafe_code)]

use super::{By, Recommender};
use crate::call::CallOptions;
use crate::catalog::Admission;
use crate::error::{Error, Result};
use crate::filter::Filter;
use crate::ranking::Ranking;

/// What judges candidates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(i32)]
pub enum Judge {
    /// Their counts in the training data; needs no history.
    Popularity = 1,
    /// Their rows against the state of a sequence encoder.
    Encoder = 2,
}

impl Judge {
    /// The way of retrieving that has the same scores.
    fn way(self) -> By {
        match self {
            Self::Popularity => By::Popularity,
            Self::Encoder => By::Encoder,
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
        candidates: &(impl AsRef<[u32]> + ?Sized),
        count: usize,
        filter: &Filter,
    ) -> Result<Ranking> {
        self.rank_with(judge, candidates, count, filter, &CallOptions::default())
    }

    /// The `count` best of some candidates, a ranking or items of the caller's own; fewer if the filter leaves fewer or
    /// some never rank. No other item comes, whatever the arrangement says. Seen items are candidates like any other
    /// only if the filter, or the bundle, lets them be.
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
    /// [`Error::UnknownItem`], [`Error::InvalidArgument`] if a candidate comes twice; as
    /// [`retrieve_with`](Self::retrieve_with).
    pub fn rank_with(
        &mut self,
        judge: Judge,
        candidates: &(impl AsRef<[u32]> + ?Sized),
        count: usize,
        filter: &Filter,
        options: &CallOptions,
    ) -> Result<Ranking> {
        let candidates = candidates.as_ref();
        let mut sorted = candidates.to_vec();
        sorted.sort_unstable();
        if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            let reason = format!("item {} comes twice", pair[0]);
            return Err(Error::argument("candidates", reason));
        }
        let filter = filter.clone().allow(sorted);
        self.retrieve_with(judge.way(), count, &filter, options)
    }

    /// The judge's own scores of some items, in their order: NaN for one that never ranks. Neither filters nor the
    /// options' arrangement have a part in it.
    ///
    /// # Errors
    /// [`Error::UnknownItem`]; [`Error::Unsupported`] if the bundle has no such network, [`Error::Cancelled`],
    /// [`Error::DeadlineExceeded`], [`Error::Runtime`].
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
        let scoring = self.scoring(&engine, judge.way(), &options)?;
        scoring.of(items, &Admission::default(), &options.cancel)
    }
}
