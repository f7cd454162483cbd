//! The options that say how an oracle dreams.

use clap::{Args, ValueEnum};
use oneiro::{Bundle, OracleOptions, Sampler};

/// How an oracle dreams.
#[derive(Args)]
#[command(next_help_heading = "How an oracle dreams")]
pub struct Dreaming {
    /// The oracle to use, instead of the recipe's
    #[arg(long, value_name = "NAME")]
    oracle: Option<String>,
    /// How much more the history counts than it does by itself, 0 or more, instead of the bundle's choice
    #[arg(long, value_name = "W")]
    guidance: Option<f32>,
    /// What noise is made from: the same seed gives the same dream on every machine; 0 by default
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// The way from noise to the ideal item
    #[arg(long, value_enum)]
    sampler: Option<Way>,
    /// Go in so many steps through the chain instead of all of them: quicker, and only near to it
    #[arg(long, value_name = "N")]
    steps: Option<usize>,
    /// How many ideal items are drawn, at most 64; each in turn names its best item; 1 by default
    #[arg(long, value_name = "N")]
    draws: Option<usize>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Way {
    /// Collapsed where the network is affine, the graph otherwise
    Auto,
    /// The whole chain at once; for affine networks
    Collapsed,
    /// Step by step, without a graph where the network is affine
    Chain,
    /// Step by step by the graph
    Graph,
    /// As auto, without noise
    Mean,
}

impl Dreaming {
    /// Whether anything was said.
    pub fn is_wanted(&self) -> bool {
        self.sampling() != OracleOptions::default()
    }

    /// The options of a call.
    pub fn sampling(&self) -> OracleOptions {
        let mut options = OracleOptions::default();
        options.name.clone_from(&self.oracle);
        options.guidance = self.guidance;
        options.seed = self.seed.unwrap_or(options.seed);
        options.sampler = match self.sampler {
            None | Some(Way::Auto) => Sampler::Auto,
            Some(Way::Collapsed) => Sampler::Collapsed,
            Some(Way::Chain) => Sampler::Chain,
            Some(Way::Graph) => Sampler::Graph,
            Some(Way::Mean) => Sampler::Mean,
        };
        options.steps = self.steps;
        options.draws = self.draws.unwrap_or(options.draws);
        options
    }

    /// The oracle in use: the one asked for, the recipe's, or the first.
    pub fn name(&self, bundle: &Bundle) -> Option<String> {
        let manifest = bundle.manifest();
        let mut steps = manifest.recipe.steps.iter();
        let recipe = steps.find_map(|step| step.oracle.clone());
        let first = || manifest.oracles.keys().next().cloned();
        self.oracle.clone().or(recipe).or_else(first)
    }
}
