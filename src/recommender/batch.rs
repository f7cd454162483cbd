//! Many users at once, for services: their histories share runs of the graph, their states one pass over the rows.

#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::Instant;

use super::{By, Recommender, check_count};
use crate::call::CallOptions;
use crate::cancel::Cancel;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::filter::Filter;
use crate::network::Encoder;
use crate::ranking::Ranking;
use crate::retrieve;

impl Engine {
    /// The `count` best items of each user by the bundle's recipe, in the order of the users: what
    /// [`Recommender::recommend_with`] gives them one by one, in less time.
    ///
    /// States that users already have are used, new ones are kept. Those that are computed together may differ from
    /// those computed alone by the rounding of sums in another order, at most 1e-5 of the largest number of the state;
    /// for equal states the rankings are equal to the last bit. The time of a stage is that of all users who took its
    /// way.
    ///
    /// ```
    /// # let engine = oneiro::Engine::open("models/tiny")?;
    /// use oneiro::{CallOptions, Filter};
    /// let mut users = vec![engine.recommender(); 3];
    /// users[0].observe_items(&[3, 7])?;
    /// users[1].observe_items(&[12])?;
    /// let best = engine.recommend_batch(&mut users, 5, &Filter::default(), &CallOptions::default())?;
    /// assert_eq!(best.len(), 3);
    /// # Ok::<(), oneiro::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Recommender::recommend_with`], and then nobody gets a ranking; [`Error::InvalidArgument`] also if there are
    /// no users or one of another engine.
    pub fn recommend_batch<'a>(
        &self,
        users: impl IntoIterator<Item = &'a mut Recommender>,
        count: usize,
        filter: &Filter,
        options: &CallOptions,
    ) -> Result<Vec<Ranking>> {
        check_count(count)?;
        let mut users = self.batch(users)?;
        let plans = users
            .iter()
            .map(|user| user.plan(count, options))
            .collect::<Result<Vec<_>>>()?;
        let mut rankings = vec![Ranking::default(); users.len()];
        for by in [By::Popularity, By::Encoder] {
            let (places, mut chosen): (Vec<usize>, Vec<&mut Recommender>) = users
                .iter_mut()
                .enumerate()
                .filter(|(place, _)| plans[*place].0 == by)
                .map(|(place, user)| (place, &mut **user))
                .unzip();
            let Some(depth) = places.first().map(|&place| plans[place].1) else {
                continue;
            };
            let broad = self.retrieve_for(&mut chosen, by, depth, filter, options)?;
            for (place, broad) in places.into_iter().zip(broad) {
                rankings[place] = broad.top(count);
            }
        }
        Ok(rankings)
    }

    /// The `count` best items of each user in one way, in the order of the users: what
    /// [`Recommender::retrieve_with`] gives them one by one, as [`recommend_batch`](Self::recommend_batch) does.
    ///
    /// # Errors
    /// As [`Recommender::retrieve_with`], and then nobody gets a ranking; [`Error::InvalidArgument`] also if there are
    /// no users or one of another engine.
    pub fn retrieve_batch<'a>(
        &self,
        users: impl IntoIterator<Item = &'a mut Recommender>,
        by: By,
        count: usize,
        filter: &Filter,
        options: &CallOptions,
    ) -> Result<Vec<Ranking>> {
        let mut users = self.batch(users)?;
        self.retrieve_for(&mut users, by, count, filter, options)
    }

    /// The users of a batch: some, all of this engine.
    fn batch<'a>(
        &self,
        users: impl IntoIterator<Item = &'a mut Recommender>,
    ) -> Result<Vec<&'a mut Recommender>> {
        let users: Vec<_> = users.into_iter().collect();
        if users.is_empty() {
            return Err(Error::argument("users", "is empty"));
        }
        match users.iter().position(|user| !user.engine.is(self)) {
            None => Ok(users),
            Some(index) => {
                let reason = format!("entry {index} is a user of another engine");
                Err(Error::argument("users", reason))
            }
        }
    }

    /// As [`retrieve_batch`](Self::retrieve_batch), for users of this engine.
    pub(super) fn retrieve_for(
        &self,
        users: &mut [&mut Recommender],
        by: By,
        count: usize,
        filter: &Filter,
        options: &CallOptions,
    ) -> Result<Vec<Ranking>> {
        let admissions = users
            .iter()
            .map(|user| user.admission(count, filter, options))
            .collect::<Result<Vec<_>>>()?;
        match by {
            By::Popularity => admissions
                .iter()
                .map(|admission| {
                    retrieve::by_popularity(self.catalog(), count, admission, &options.cancel)
                })
                .collect(),
            By::Encoder => {
                let (name, encoder) = self.encoder(options.encoder.as_deref())?;
                let started = Instant::now();
                keep_states(users, name, encoder, &options.cancel)?;
                let states = users
                    .iter()
                    .map(|user| user.kept_state(name))
                    .collect::<Result<Vec<_>>>()?;
                retrieve::by_encoder(name, encoder, &states, started, count, &admissions, options)
            }
        }
    }
}

/// Computes the states that these users do not have.
pub(super) fn keep_states(
    users: &mut [&mut Recommender],
    name: &str,
    encoder: &Encoder,
    cancel: &Cancel,
) -> Result<()> {
    let mut without: Vec<_> = users
        .iter_mut()
        .filter(|user| !user.states.contains_key(name))
        .collect();
    let windows: Vec<Vec<u32>> = without
        .iter()
        .map(|user| encoder.window(user.items()))
        .collect();
    let states = encoder.states(&windows, cancel)?;
    for (user, state) in without.iter_mut().zip(states) {
        user.states.insert(name.into(), Arc::clone(&state));
    }
    Ok(())
}
