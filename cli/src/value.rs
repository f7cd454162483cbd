//! The options that say which Q-network ranks, and how; and ranking by one.

use std::time::Instant;

use clap::{Args, ValueEnum};
use oneiro::{
    Arrangement, Bundle, By, CallOptions, Error, Filter, QNetworkOptions, Ranking, Recommender,
};

use crate::failure::Failure;
use crate::recommend::Way;

/// How items are ranked by what they are worth in the long run.
#[derive(Args)]
#[command(next_help_heading = "How a Q-network ranks")]
pub struct Valuing {
    /// Rank once more what the way to retrieve finds, its 200 best items or as many as are asked for
    #[arg(long, value_enum)]
    pub rank: Option<Judge>,
    /// The Q-network to use, instead of the recipe's
    #[arg(long, value_name = "NAME")]
    q_network: Option<String>,
    /// What Q counts against the scores that items come with, 0 to 1, instead of the bundle's choice
    #[arg(long, value_name = "W")]
    weight: Option<f32>,
}

/// What ranks items once more.
#[derive(Clone, Copy, PartialEq, ValueEnum)]
pub enum Judge {
    /// What each is worth in the long run, blended with the score that it comes with
    Q,
}

/// How many items are retrieved at least to be ranked once more.
pub const CANDIDATES: usize = 200;

impl Valuing {
    /// The options of a call.
    pub fn options(&self) -> QNetworkOptions {
        let mut options = QNetworkOptions::default();
        options.name.clone_from(&self.q_network);
        options.weight = self.weight;
        options
    }

    /// Fails if options are given that nothing looks at. `by`: the way that was asked for, instead of the recipe.
    pub fn check(&self, by: Option<Way>, bundle: &Bundle) -> Result<(), Failure> {
        let recipe = bundle.manifest().recipe.steps.iter();
        let mut steps = recipe.filter(|_| by.is_none());
        let ranks = self.rank.is_some() || steps.clone().any(|step| step.rank.is_some());
        let values = ranks || by == Some(Way::Q) || steps.any(|step| step.q_network.is_some());
        if self.q_network.is_some() && !values {
            let misplaced = "--q-network goes with --by q, --rank q or a recipe with a Q-network";
            return Err(Failure::Usage(misplaced));
        }
        match self.weight {
            Some(_) if !ranks => {
                let misplaced = "--weight goes with --rank q or a recipe that ranks";
                Err(Failure::Usage(misplaced))
            }
            _ => Ok(()),
        }
    }

    /// The Q-network in use: the one asked for, the recipe's, or the first.
    pub fn name(&self, bundle: &Bundle) -> Option<String> {
        let manifest = bundle.manifest();
        let mut steps = manifest.recipe.steps.iter();
        let recipe = steps.find_map(|step| step.q_network.clone());
        let first = || manifest.q_networks.keys().next().cloned();
        self.q_network.clone().or(recipe).or_else(first)
    }
}

/// The `count` best of what a way retrieves, and of items that are set `aside`, ranked once more by a Q-network and the
/// scores that they come with. A deadline is one for both steps.
pub fn rank(
    user: &mut Recommender,
    by: By,
    count: usize,
    aside: &[u32],
    filter: &Filter,
    options: &CallOptions,
) -> oneiro::Result<Ranking> {
    let started = Instant::now();
    let (mut plain, mut options) = (options.clone(), options.clone());
    // Only the list is arranged.
    plain.arrangement = Arrangement::new().dislike_weight(0.0);
    let found = user.retrieve_with(by, count.max(CANDIDATES), filter, &plain)?;
    let aside = aside.iter().copied();
    let aside: Vec<u32> = aside.filter(|item| !found.items().contains(item)).collect();
    let (mut items, mut scores) = (found.items().to_vec(), found.scores().to_vec());
    if !aside.is_empty() {
        let judge = match by {
            By::Popularity => oneiro::Judge::Popularity,
            By::Encoder => oneiro::Judge::Encoder,
            By::QNetwork => oneiro::Judge::QNetwork,
            _ => {
                let what = "boosts and pins of what an oracle finds, ranked once more".into();
                return Err(Error::Unsupported { what });
            }
        };
        scores.extend(user.score(judge, &aside, &plain)?);
        items.extend(aside);
    }
    options.deadline = options
        .deadline
        .map(|deadline| deadline.saturating_sub(started.elapsed()));
    let candidates = (items.as_slice(), scores.as_slice());
    user.rank_with(
        oneiro::Judge::QNetwork,
        &candidates,
        count,
        filter,
        &options,
    )
}
