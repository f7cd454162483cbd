//! The options that say how a language model generates what is retrieved.

use clap::{Args, ValueEnum};
use oneiro::{Bundle, GeneratorOptions};

/// How a language model generates what is retrieved.
#[derive(Args)]
#[command(next_help_heading = "How a language model generates")]
pub struct Generating {
    /// The generator to use, instead of the recipe's
    #[arg(long, value_name = "NAME")]
    generator: Option<String>,
    /// Which of what it wrote counts
    #[arg(long, value_enum)]
    grounding: Option<Grounding>,
    /// What distances are weighed by, instead of the bundle's choice
    #[arg(long, value_enum)]
    weigh: Option<Weigh>,
    /// How much that counts, 0 or more: 0 for the distances alone; instead of the bundle's choice
    #[arg(long, value_name = "G")]
    gamma: Option<f32>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Grounding {
    /// The likeliest text
    Best,
    /// All texts of the search: an item is as far away as from the nearest
    All,
    /// The likeliest title of the catalog: nothing else is written
    Title,
}

#[derive(Clone, Copy, ValueEnum)]
enum Weigh {
    /// How many people chose an item
    Popularity,
    /// What the encoder says of it
    Encoder,
    /// What the Q-network says of it
    Q,
}

impl Generating {
    /// Whether anything was said.
    pub fn is_wanted(&self) -> bool {
        self.options() != GeneratorOptions::default()
    }

    /// The options of a call.
    pub fn options(&self) -> GeneratorOptions {
        let mut options = GeneratorOptions::default();
        options.name.clone_from(&self.generator);
        options.grounding = match self.grounding {
            None | Some(Grounding::Best) => oneiro::Grounding::Best,
            Some(Grounding::All) => oneiro::Grounding::All,
            Some(Grounding::Title) => oneiro::Grounding::Title,
        };
        options.weigh = self.weigh.map(|weigh| match weigh {
            Weigh::Popularity => oneiro::Judge::Popularity,
            Weigh::Encoder => oneiro::Judge::Encoder,
            Weigh::Q => oneiro::Judge::QNetwork,
        });
        options.gamma = self.gamma;
        options
    }

    /// The generator in use: the one asked for, the recipe's, or the first.
    pub fn name(&self, bundle: &Bundle) -> Option<String> {
        let manifest = bundle.manifest();
        let mut steps = manifest.recipe.steps.iter();
        let recipe = steps.find_map(|step| step.generator.clone());
        let first = || manifest.generators.keys().next().cloned();
        self.generator.clone().or(recipe).or_else(first)
    }
}
