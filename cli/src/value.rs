//! The options that say what ranks items once more, and how.

use clap::{Args, ValueEnum};
use oneiro::{Among, Bundle, CallOptions, Manifest, Rank, RankEntry};

use crate::failure::Failure;
use crate::recommend::Way;

/// What ranks items once more, and how a Q-network does.
#[derive(Args)]
#[command(next_help_heading = "Ranking once more")]
pub struct Ranking {
    /// Rank once more what the way to retrieve finds, --by or the recipe's first step: its best items, --candidates of them
    #[arg(long, value_enum)]
    pub rank: Option<Judge>,
    /// How many are ranked once more, or as many as are asked for if that is more: 200 by a Q-network; by a language model
    /// as many as it was trained with
    #[arg(long, value_name = "N", requires = "rank", value_parser = clap::value_parser!(u32).range(1..))]
    candidates: Option<u32>,
    /// The Q-network to use, instead of the recipe's
    #[arg(long, value_name = "NAME")]
    q_network: Option<String>,
    /// What Q counts against the scores that items come with, 0 to 1, instead of the bundle's choice
    #[arg(long, value_name = "W")]
    weight: Option<f32>,
    /// What a language model is asked, a prompt of the bundle, instead of the recipe's
    #[arg(long, value_name = "NAME")]
    prompt: Option<String>,
    /// Let titles compete with titles only, not with all else that could be written: quicker, and another order
    #[arg(long)]
    among_titles: bool,
}

/// What ranks items once more.
#[derive(Clone, Copy, PartialEq, ValueEnum)]
pub enum Judge {
    /// What each is worth in the long run, blended with the score that it comes with
    Q,
    /// The log-probability of its title, by a language model that is asked about all of them
    Llm,
}

impl Judge {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Q => "q",
            Self::Llm => "llm",
        }
    }
}

/// How many items a Q-network ranks at least.
pub const CANDIDATES: usize = 200;

impl Ranking {
    /// Puts them into the options of a call.
    pub fn apply(&self, manifest: &Manifest, options: &mut CallOptions) {
        options.q_network.name.clone_from(&self.q_network);
        options.q_network.weight = self.weight;
        options.prompt.name.clone_from(&self.prompt);
        if self.among_titles {
            options.prompt.among = Among::Titles;
        }
        options.rank = self.rank.map(|judge| Rank {
            by: match judge {
                Judge::Q => oneiro::Judge::QNetwork,
                Judge::Llm => oneiro::Judge::LanguageModel,
            },
            candidates: self.candidates(judge, manifest),
        });
    }

    fn candidates(&self, judge: Judge, manifest: &Manifest) -> usize {
        let trained = || {
            let prompt = self.prompt_name(manifest);
            let prompt = prompt.and_then(|name| manifest.prompts.get(name));
            let candidates = prompt.and_then(|prompt| prompt.candidates);
            candidates.map(|count| count as usize)
        };
        let usual = match judge {
            Judge::Q => None,
            Judge::Llm => trained(),
        };
        let given = self.candidates.map(|count| count as usize);
        given.or(usual).unwrap_or(CANDIDATES)
    }

    /// The prompt in use: the one asked for, the recipe's, or the first.
    fn prompt_name<'a>(&'a self, manifest: &'a Manifest) -> Option<&'a str> {
        self.prompt.as_deref().or_else(|| usual_prompt(manifest))
    }

    /// Fails if options are given that nothing looks at. `by`: the way that was asked for, instead of the recipe.
    pub fn check(&self, by: Option<Way>, bundle: &Bundle) -> Result<(), Failure> {
        let recipe = bundle.manifest().recipe.steps.iter();
        // What ranks once more takes the place of the recipe's steps that rank.
        let mut steps =
            recipe.filter(|step| by.is_none() && (self.rank.is_none() || step.retrieve.is_some()));
        let ranks = |judge, entry| {
            let mut steps = steps.clone();
            self.rank == Some(judge) || steps.any(|step| step.rank == Some(entry))
        };
        let by_q = ranks(Judge::Q, RankEntry::QNetwork);
        let by_llm = ranks(Judge::Llm, RankEntry::LanguageModel);
        let values = by_q || by == Some(Way::Q) || steps.any(|step| step.q_network.is_some());
        let misplaced = match self {
            _ if self.q_network.is_some() && !values => {
                "--q-network goes with --by q, --rank q or a recipe with a Q-network"
            }
            _ if self.weight.is_some() && !by_q => {
                "--weight goes with --rank q or a recipe that ranks by a Q-network"
            }
            _ if self.prompt.is_some() && !by_llm => {
                "--prompt goes with --rank llm or a recipe that ranks by a language model"
            }
            _ if self.among_titles && !by_llm => {
                "--among-titles goes with --rank llm or a recipe that ranks by a language model"
            }
            _ => return Ok(()),
        };
        Err(Failure::Usage(misplaced))
    }

    /// The Q-network in use: the one asked for, the recipe's, or the first.
    pub fn q_network(&self, bundle: &Bundle) -> Option<String> {
        let manifest = bundle.manifest();
        let mut steps = manifest.recipe.steps.iter();
        let recipe = steps.find_map(|step| step.q_network.clone());
        let first = || manifest.q_networks.keys().next().cloned();
        self.q_network.clone().or(recipe).or_else(first)
    }
}

/// The prompt about candidates that is in use when none is asked for: the recipe's, or the first.
pub fn usual_prompt(manifest: &Manifest) -> Option<&str> {
    let mut steps = manifest.recipe.steps.iter();
    let recipe = steps.find_map(|step| step.prompt.as_deref());
    let mut prompts = manifest.prompts.iter();
    let mut first = || prompts.find(|(_, prompt)| prompt.candidates.is_some());
    recipe.or_else(|| first().map(|(name, _)| name.as_str()))
}
