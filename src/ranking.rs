//! A ranking: items with scores, best first, and where they came from.

#![forbid(unsafe_code)]

use std::fmt;
use std::time::Duration;

use crate::catalog::Scored;

/// Items with their scores, best first, or as an [`Arrangement`](crate::Arrangement) has them.
///
/// Scores of one ranking can be compared with each other; scores of different origins cannot, nor those of a history that
/// [`Question::Recover`](crate::Recommender::interpret_with) names: each title's is what it is behind those before it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ranking {
    items: Vec<u32>,
    scores: Vec<f32>,
    origins: Vec<Origin>,
    stages: Vec<Stage>,
    stopped: bool,
}

/// What put an item into a ranking and gave it its score.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(i32)]
pub enum Origin {
    /// Its count in the training data is the score.
    Popularity = 1,
    /// Its row's score against the state of an encoder.
    Encoder = 2,
    /// Its row's score against the row of another item.
    Similar = 3,
    /// The caller, who [pinned](crate::Arrangement::pin) it; its score is that of the ranking's way, NaN if it has none.
    Pinned = 4,
    /// Its row's score against the ideal item of an oracle; of several, 1 / its place when each in turn
    /// names its best.
    Oracle = 5,
    /// Its Q by a Q-network, or that blended with the score it came with.
    QNetwork = 6,
    /// The log-probability of its title by a language model that was asked about the candidates.
    LanguageModel = 7,
    /// How near its title's row is to what a language model wrote: −‖point − row‖₂, or that weighed.
    Generate = 8,
    /// The log-probability of its title by a language model that names what a recommender knows.
    Interpretation = 9,
    /// How far the score of the item that is explained falls without this item of the history.
    Attribution = 10,
}

impl Origin {
    /// The name used in JSON and tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Popularity => "popularity",
            Self::Encoder => "encoder",
            Self::Similar => "similar",
            Self::Pinned => "pinned",
            Self::Oracle => "oracle",
            Self::QNetwork => "q_network",
            Self::LanguageModel => "language_model",
            Self::Generate => "generate",
            Self::Interpretation => "interpretation",
            Self::Attribution => "attribution",
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One step of the work behind a ranking.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Stage {
    /// What was done, for example `encode sasrec`.
    pub name: String,
    /// How many items were left after it.
    pub items: usize,
    /// How long it took.
    pub time: Duration,
}

impl Ranking {
    pub(crate) fn new(scored: Vec<Scored>, origin: Origin, stages: Vec<Stage>) -> Self {
        Self {
            items: scored.iter().map(|scored| scored.item).collect(),
            scores: scored.iter().map(|scored| scored.score).collect(),
            origins: vec![origin; scored.len()],
            stages,
            stopped: false,
        }
    }

    /// A ranking of these items, in this order; `whole` unless the deadline struck after the last stage.
    pub(crate) fn arranged(
        entries: &[(u32, f32, Origin)],
        stages: Vec<Stage>,
        whole: bool,
    ) -> Self {
        Self {
            items: entries.iter().map(|entry| entry.0).collect(),
            scores: entries.iter().map(|entry| entry.1).collect(),
            origins: entries.iter().map(|entry| entry.2).collect(),
            stages,
            stopped: !whole,
        }
    }

    /// The same, made when the deadline had struck.
    pub(crate) fn stopped(mut self) -> Self {
        self.stopped = true;
        self
    }

    /// How many items there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The items, best first; those of a list that a language model names in its order.
    #[must_use]
    pub fn items(&self) -> &[u32] {
        &self.items
    }

    /// Their scores: never rising and never NaN, unless they are those of a list that a language model names, or the caller's [`Arrangement`](crate::Arrangement) asked for
    /// another order or for pins.
    #[must_use]
    pub fn scores(&self) -> &[f32] {
        &self.scores
    }

    /// What put each item here.
    #[must_use]
    pub fn origins(&self) -> &[Origin] {
        &self.origins
    }

    /// The work behind the ranking, in order.
    #[must_use]
    pub fn stages(&self) -> &[Stage] {
        &self.stages
    }

    /// The last stage that was done when the [deadline](crate::CallOptions::deadline) struck, if it did: filters, boosts,
    /// pins and caps hold, but the list may be short, and scores may have decided where likeness was to.
    #[must_use]
    pub fn stopped_after(&self) -> Option<&str> {
        let last = self.stages.last().filter(|_| self.stopped);
        last.map(|stage| stage.name.as_str())
    }

    /// Each item with its score and origin, best first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (u32, f32, Origin)> + '_ {
        (0..self.len()).map(|i| (self.items[i], self.scores[i], self.origins[i]))
    }

    /// The best `count` of it.
    #[must_use]
    pub fn top(mut self, count: usize) -> Self {
        self.items.truncate(count);
        self.scores.truncate(count);
        self.origins.truncate(count);
        self
    }
}

impl AsRef<[u32]> for Ranking {
    fn as_ref(&self) -> &[u32] {
        &self.items
    }
}
