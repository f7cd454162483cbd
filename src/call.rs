//! What a single call may be told beside its arguments.

#![forbid(unsafe_code)]

use std::borrow::Cow;
#[cfg(feature = "llm")]
use std::fmt;
#[cfg(feature = "llm")]
use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "llm")]
use parking_lot::Mutex;

use crate::arrangement::Arrangement;
use crate::cancel::Cancel;
#[cfg(feature = "llm")]
use crate::network::llm::{Among, Grounding};
use crate::retrieve::{OracleOptions, QNetworkOptions, Search};

/// The largest number of threads of one call.
pub(crate) const MOST_THREADS: usize = 1024;

/// What a single call may be told beside its arguments.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CallOptions {
    /// Stops the call when requested.
    pub cancel: Cancel,
    /// Threads that share the scan over the catalog, and the runs of the encoder for a batch as far as its graph has
    /// [`replicas`](crate::GraphOptions::replicas); 1 by default, at least 1, at most 1024. The result does not depend on
    /// it.
    pub threads: usize,
    /// The encoder of ways that use one; the recipe's by default.
    pub encoder: Option<String>,
    /// How the best candidates become the list of a ranking; the best first by default.
    pub arrangement: Arrangement,
    /// How long the call may take, from its start; for ever by default. It stops a running graph and a scan too.
    ///
    /// A call that has candidates when it strikes gives back the list that it can make of them at once, and
    /// [`Ranking::stopped_after`](crate::Ranking::stopped_after) says what was done; any other call fails with
    /// [`Error::DeadlineExceeded`](crate::Error::DeadlineExceeded). A batch has candidates once each of its users does.
    pub deadline: Option<Duration>,
    /// Looks only at the rows of so many lists of the space's index, which is quicker and misses some items: what share,
    /// the bundle's manifest says. `None`, the default, is exact.
    pub probes: Option<usize>,
    /// How the oracle of ways that use one is sampled.
    pub oracle: OracleOptions,
    /// The Q-network of ways and judges that use one.
    pub q_network: QNetworkOptions,
    /// What ranks the best candidates once more, after the way or all steps of the recipe; nothing by default. Of
    /// `retrieve` and `recommend`, of one user or many; what popularity gives to users whom the recipe takes for cold stays
    /// as it is.
    pub rank: Option<Rank>,
    /// What a language model that judges is asked.
    #[cfg(feature = "llm")]
    pub prompt: PromptOptions,
    /// How a language model generates what is retrieved.
    #[cfg(feature = "llm")]
    pub generator: GeneratorOptions,
    /// The interpreter or, for explanations, the explainer to ask, by its name in the manifest; the first by default.
    #[cfg(feature = "llm")]
    pub interpreter: Option<String>,
    /// What is given the title that a generator writes, piece by piece as soon as it is certain; nothing by default. Of one
    /// user: what is written for many is told to nobody.
    #[cfg(feature = "llm")]
    pub on_text: Option<OnText>,
}

/// What is given a text as it is written, on the thread of the call.
#[cfg(feature = "llm")]
#[derive(Clone)]
pub struct OnText(Arc<Mutex<Callback>>);

#[cfg(feature = "llm")]
type Callback = dyn FnMut(&str) + Send;

#[cfg(feature = "llm")]
impl OnText {
    /// Calls `on_text` with every piece: whole characters, at least one.
    ///
    /// ```
    /// # let engine = oneiro::Engine::open("models/tiny-lm")?;
    /// use oneiro::{By, CallOptions, Filter, OnText};
    /// let mut user = engine.recommender();
    /// user.observe_items(&[3, 7])?;
    /// let mut options = CallOptions::default();
    /// options.on_text = Some(OnText::new(|piece| print!("{piece}")));
    /// user.retrieve_with(By::Generate, 5, &Filter::default(), &options)?;
    /// # Ok::<(), oneiro::Error>(())
    /// ```
    pub fn new(on_text: impl FnMut(&str) + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(on_text)))
    }

    pub(crate) fn tell(&self, piece: &str) {
        (self.0.lock())(piece);
    }
}

#[cfg(feature = "llm")]
impl fmt::Debug for OnText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnText")
    }
}

/// What judges candidates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(i32)]
pub enum Judge {
    /// Their counts in the training data; needs no history.
    Popularity = 1,
    /// Their rows against the state of a sequence encoder.
    Encoder = 2,
    /// Their Q by a Q-network, blended with the scores that they come with, if they come with any.
    QNetwork = 3,
    /// The log-probabilities of their titles by a language model that is asked about the history and all of them.
    LanguageModel = 4,
}

/// What ranks candidates once more.
///
/// What is boosted or pinned takes part, and the list is arranged afterwards. [`Judge::QNetwork`] blends Q with the scores
/// that candidates have; the others look at items alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rank {
    /// What judges them.
    pub by: Judge,
    /// So many of the best candidates, or as many as the call asks for if that is more.
    pub candidates: usize,
}

/// What a language model that judges is asked.
#[cfg(feature = "llm")]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PromptOptions {
    /// The prompt's name in the manifest, which says which model it is for; the recipe's by default, or the first.
    pub name: Option<String>,
    /// What the probability of a token of a title is one of.
    pub among: Among,
}

/// How a language model generates what is retrieved.
#[cfg(feature = "llm")]
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct GeneratorOptions {
    /// The generator's name in the manifest; the recipe's by default, or the first.
    pub name: Option<String>,
    /// Which of what was written counts.
    pub grounding: Grounding,
    /// What distances are weighed by: popularity, or what an encoder or a Q-network says of all items; as the bundle has it
    /// by default.
    pub weigh: Option<Judge>,
    /// How much that counts, γ, at least 0: 0 for the distances alone; as the bundle has it by default.
    pub gamma: Option<f32>,
}

impl Default for CallOptions {
    fn default() -> Self {
        Self {
            cancel: Cancel::new(),
            threads: 1,
            encoder: None,
            arrangement: Arrangement::default(),
            deadline: None,
            probes: None,
            oracle: OracleOptions::default(),
            q_network: QNetworkOptions::default(),
            rank: None,
            #[cfg(feature = "llm")]
            prompt: PromptOptions::default(),
            #[cfg(feature = "llm")]
            generator: GeneratorOptions::default(),
            #[cfg(feature = "llm")]
            interpreter: None,
            #[cfg(feature = "llm")]
            on_text: None,
        }
    }
}

impl CallOptions {
    /// What of it a search needs.
    pub(crate) fn search(&self) -> Search<'_> {
        Search {
            threads: self.threads,
            probes: self.probes,
            cancel: &self.cancel,
        }
    }

    /// The options of a call that starts now: the clock of its deadline runs, as a part of `cancel`.
    pub(crate) fn started(&self) -> Cow<'_, Self> {
        match self.deadline {
            None => Cow::Borrowed(self),
            Some(time) => Cow::Owned(Self {
                cancel: self.cancel.within(time),
                deadline: None,
                ..self.clone()
            }),
        }
    }
}
