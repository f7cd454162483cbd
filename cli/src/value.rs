//! The options that say which Q-network ranks, and how.

use clap::{Args, ValueEnum};
use oneiro::{Bundle, QNetworkOptions};

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

impl Valuing {
    /// The options of a call.
    pub fn options(&self) -> QNetworkOptions {
        let mut options = QNetworkOptions::default();
        options.name.clone_from(&self.q_network);
        options.weight = self.weight;
        options
    }
}

/// The Q-network in use: the one asked for, the recipe's, or the first.
pub fn name(asked: Option<&String>, bundle: &Bundle) -> Option<String> {
    let manifest = bundle.manifest();
    let mut steps = manifest.recipe.steps.iter();
    let recipe = steps.find_map(|step| step.q_network.as_ref());
    let first = || manifest.q_networks.keys().next();
    asked.or(recipe).or_else(first).cloned()
}
