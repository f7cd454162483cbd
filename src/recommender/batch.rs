//! Many users at once, for services: their histories share runs of the graph, their states one pass over the rows.

#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::Instant;

use super::rank::{Draft, Step};
use super::{By, Chain, Recommender, check_count};
use crate::arrangement::Plan;
use crate::call::CallOptions;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::filter::Filter;
use crate::network::Encoder;
use crate::ranking::{Ranking, Stage};
use crate::retrieve::{self, Scoring, stage};

impl Engine {
    /// The `count` best items of each user by the bundle's recipe, in the order of the users: what
    /// [`Recommender::recommend_with`] gives them one by one, in less time.
    ///
    /// States that users already have are used, new ones are kept. Those that are computed together may differ from
    /// those computed alone by the rounding of sums in another order, at most 1e-5 of the largest number of the state, and
    /// so may what an oracle dreams, or a Q-network values, by its graph; for equal states, dreams and values the rankings
    /// are equal to the last bit. The time of a stage is that of all users who took its way.
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
        let options = options.started();
        check_count(count)?;
        let mut users = self.batch(users)?;
        let are_cold = users
            .iter()
            .map(|user| user.is_cold(&options))
            .collect::<Result<Vec<_>>>()?;
        let mut rankings = vec![Ranking::default(); users.len()];
        for cold in [true, false] {
            let (places, mut chosen): (Vec<usize>, Vec<&mut Recommender>) = users
                .iter_mut()
                .enumerate()
                .filter(|(place, _)| are_cold[*place] == cold)
                .map(|(place, user)| (place, &mut **user))
                .unzip();
            if chosen.is_empty() {
                continue;
            }
            let chain = self.recipe(cold)?;
            let lists = self.lists(&mut chosen, chain, count, filter, &options)?;
            for (place, list) in places.into_iter().zip(lists) {
                rankings[place] = list;
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
        let options = options.started();
        let mut users = self.batch(users)?;
        self.lists(&mut users, Chain::by(by, count), count, filter, &options)
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

    /// The `count` best items of each of some users of this engine by a chain.
    pub(super) fn lists(
        &self,
        users: &mut [&mut Recommender],
        chain: Chain,
        count: usize,
        filter: &Filter,
        options: &CallOptions,
    ) -> Result<Vec<Ranking>> {
        let steps = chain.ranks.iter();
        let steps = steps.map(|entry| (Step::of(entry), entry.count as usize));
        let rank = options.rank.filter(|_| !chain.is_final);
        let then = rank.map(|rank| (rank.by.into(), rank.candidates));
        let ranks: Vec<(Step, usize)> = steps.chain(then).collect();
        let depth = match (chain.ranks, rank) {
            ([], Some(rank)) => chain.depth.max(rank.candidates),
            _ => chain.depth,
        };
        let plans = users
            .iter()
            .map(|user| user.plan(self, count, depth, filter, options))
            .collect::<Result<Vec<_>>>()?;
        let (scorings, stages) = self.scorings(users, chain.by, options)?;
        let fetch = match ranks[..] {
            [] => plans.iter().map(Plan::fetch).max().unwrap_or_default(),
            // What is ranked is what the recipe retrieves, whatever the lists will be arranged of.
            _ => count.max(depth),
        };
        let admissions = plans.iter().map(Plan::admission);
        let found = Scoring::best_of_all(&scorings, fetch, admissions, options.search())?;
        let drafts = scorings.into_iter().zip(found);
        let drafts = drafts.map(|(scoring, (fetched, scanned))| Draft {
            scoring,
            fetched,
            stages: stages.iter().cloned().chain([scanned]).collect(),
        });
        let mut drafts: Vec<Draft> = drafts.collect();
        let mut stopped = false;
        for (step, candidates) in ranks {
            let most = count.max(candidates);
            match self.ranked(users, &plans, &drafts, step, most, options) {
                Ok(ranked) => drafts = ranked,
                Err(Error::DeadlineExceeded) => {
                    stopped = true;
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        let lists = plans.iter().zip(drafts).map(|(plan, draft)| {
            let list = draft.list(plan, options.search())?;
            Ok(if stopped { list.stopped() } else { list })
        });
        lists.collect()
    }

    /// What gives items their scores for each of some users in one way, once the states that it needs were computed, and
    /// what was done for it.
    pub(super) fn scorings(
        &self,
        users: &mut [&mut Recommender],
        by: By,
        options: &CallOptions,
    ) -> Result<(Vec<Scoring<'_>>, Vec<Stage>)> {
        match by {
            By::Popularity => {
                let scoring = |_: &&mut Recommender| retrieve::by_popularity(self.catalog());
                let scorings = users.iter().map(scoring).collect::<Result<_>>()?;
                Ok((scorings, Vec::new()))
            }
            By::Encoder => {
                let (name, encoder) = self.encoder(options.encoder.as_deref())?;
                let encoded = encode(users, name, encoder, options)?;
                let scoring = |user: &&mut Recommender| {
                    Ok(retrieve::by_encoder(encoder, user.kept_state(name)?))
                };
                let scorings = users.iter().map(scoring).collect::<Result<_>>()?;
                Ok((scorings, vec![encoded]))
            }
            By::QNetwork => self.values(users, None, options),
            #[cfg(feature = "llm")]
            By::Generate => self.generated(users, options),
            #[cfg(not(feature = "llm"))]
            By::Generate => Err(super::rank::without_language_models()),
            By::Oracle => {
                let (points, stages) = self.dream(users, options)?;
                let (_, oracle) = self.oracle(options.oracle.name.as_deref())?;
                let scoring = |points| retrieve::by_oracle(oracle, points);
                Ok((points.into_iter().map(scoring).collect(), stages))
            }
        }
    }

    /// Q for each of some users, by the network that the options name, or this one, and what was done for it.
    pub(super) fn values(
        &self,
        users: &mut [&mut Recommender],
        name: Option<&str>,
        options: &CallOptions,
    ) -> Result<(Vec<Scoring<'_>>, Vec<Stage>)> {
        let (name, network) = self.q_network(options.q_network.name.as_deref().or(name))?;
        let (states, encoded) = self.states(users, network.encoder(), options)?;
        let started = Instant::now();
        let outputs = network.run(&states, &options.cancel)?;
        let valued = stage(format!("value {name}"), 0, started);
        let scoring = |output| retrieve::by_q_network(network, output);
        let scorings = outputs.into_iter().map(scoring).collect();
        Ok((scorings, vec![encoded, valued]))
    }

    /// The ideal items of each of some users, one a draw, and what was done for them.
    #[allow(clippy::type_complexity, reason = "by user, by draw")]
    pub(super) fn dream(
        &self,
        users: &mut [&mut Recommender],
        options: &CallOptions,
    ) -> Result<(Vec<Vec<Arc<[f32]>>>, Vec<Stage>)> {
        let (name, oracle) = self.oracle(options.oracle.name.as_deref())?;
        let sampling = oracle.sampling(&options.oracle)?;
        let (states, encoded) = self.states(users, oracle.encoder(), options)?;
        let started = Instant::now();
        let points = oracle.dream(&states, &sampling, &options.cancel)?;
        let dreamt = stage(format!("dream {name}"), 0, started);
        Ok((points, vec![encoded, dreamt]))
    }

    /// The states of some users by an encoder, and what was done for them.
    fn states(
        &self,
        users: &mut [&mut Recommender],
        encoder: &str,
        options: &CallOptions,
    ) -> Result<(Vec<Arc<[f32]>>, Stage)> {
        let (name, encoder) = self.encoder(Some(encoder))?;
        let encoded = encode(users, name, encoder, options)?;
        let states = users.iter().map(|user| user.kept_state(name));
        Ok((states.collect::<Result<_>>()?, encoded))
    }
}

/// Computes the states that these users do not have, and says how long that took.
fn encode(
    users: &mut [&mut Recommender],
    name: &str,
    encoder: &Encoder,
    options: &CallOptions,
) -> Result<Stage> {
    let started = Instant::now();
    keep_states(users, name, encoder, options)?;
    Ok(stage(format!("encode {name}"), 0, started))
}

/// Computes the states that these users do not have.
pub(super) fn keep_states(
    users: &mut [&mut Recommender],
    name: &str,
    encoder: &Encoder,
    options: &CallOptions,
) -> Result<()> {
    let mut without: Vec<_> = users
        .iter_mut()
        .filter(|user| !user.states.contains_key(name))
        .collect();
    let windows: Vec<Vec<u32>> = without
        .iter()
        .map(|user| encoder.window(user.taste()))
        .collect();
    let states = encoder.states(&windows, options.threads, &options.cancel)?;
    for (user, state) in without.iter_mut().zip(states) {
        user.states.insert(name.into(), Arc::clone(&state));
    }
    Ok(())
}
