//! One user: a history, and what can be retrieved for it.

#![forbid(unsafe_code)]

mod batch;
mod blend;
#[cfg(feature = "llm")]
mod explain;
#[cfg(feature = "llm")]
mod generate;
#[cfg(feature = "llm")]
mod interpret;
mod judge;
#[cfg(feature = "llm")]
mod language;
mod opinions;
mod rank;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::arrangement::Plan;
use crate::bundle::{RankEntry, RetrieveEntry, StepEntry};
use crate::call::{CallOptions, Judge, MOST_THREADS, Rank};
use crate::catalog::Admission;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::filter::Filter;
use crate::ranking::Ranking;
use crate::retrieve::{self, Scoring, Search};

#[cfg(feature = "llm")]
pub use interpret::Question;
pub use judge::Candidates;

/// One user's history and the states computed from it. Cheap to make; one thread at a time.
///
/// ```
/// # let engine = oneiro::Engine::open("models/tiny")?;
/// use oneiro::{By, Filter};
/// let mut user = engine.recommender();
/// user.observe_items(&[3, 7])?;
/// let broad = user.retrieve(By::Encoder, 20, &Filter::default())?;
/// assert!(!broad.items().contains(&7));
/// # Ok::<(), oneiro::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Recommender {
    engine: Engine,
    history: Vec<Event>,
    /// Rising.
    hidden: Vec<u32>,
    /// Rising.
    disliked: Vec<u32>,
    /// The state per encoder after `history`, less what is disliked; emptied when either changes.
    states: BTreeMap<String, Arc<[f32]>>,
    #[cfg(feature = "llm")]
    reading: language::Reading,
}

/// Something the user did with an item.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// The item.
    pub item: u32,
    /// What was done, in the app's words (`watched`, `ordered`); kept for methods that tell kinds apart.
    pub kind: Option<String>,
    /// When, in seconds since 1970; kept as given. The order of observation is the order of the history.
    pub time: Option<i64>,
}

impl Event {
    /// An event without kind or time.
    #[must_use]
    pub fn new(item: u32) -> Self {
        Self {
            item,
            kind: None,
            time: None,
        }
    }

    /// The same with a kind.
    #[must_use]
    pub fn with_kind(mut self, kind: impl Into<String>) -> Self {
        self.kind = Some(kind.into());
        self
    }

    /// The same with a time, in seconds since 1970.
    #[must_use]
    pub fn with_time(mut self, time: i64) -> Self {
        self.time = Some(time);
        self
    }
}

/// A way to retrieve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(i32)]
pub enum By {
    /// The items with the highest counts in the training data; needs no history.
    Popularity = 1,
    /// The rows nearest to the state of a sequence encoder.
    Encoder = 2,
    /// The rows nearest to an ideal item that a diffusion model dreams up, guided by the state of an encoder.
    Oracle = 3,
    /// The items that a Q-network values highest: what each is worth in the long run.
    QNetwork = 4,
    /// The items whose titles are nearest to what a language model writes when it is told of the history.
    Generate = 5,
}

impl From<RetrieveEntry> for By {
    fn from(entry: RetrieveEntry) -> Self {
        match entry {
            RetrieveEntry::Popularity => Self::Popularity,
            RetrieveEntry::Encoder => Self::Encoder,
            RetrieveEntry::Oracle => Self::Oracle,
            RetrieveEntry::QNetwork => Self::QNetwork,
            RetrieveEntry::Generate => Self::Generate,
        }
    }
}

/// A way to retrieve, and how what it finds is then ranked.
#[derive(Clone, Copy)]
struct Chain<'a> {
    by: By,
    /// How many items are retrieved at least.
    depth: usize,
    /// Steps of the recipe that rank.
    ranks: &'a [StepEntry],
    /// Whether what comes is the answer, whatever else the call wants to rank it.
    is_final: bool,
}

impl Recommender {
    pub(crate) fn new(engine: Engine) -> Self {
        Self {
            engine,
            history: Vec::new(),
            hidden: Vec::new(),
            disliked: Vec::new(),
            states: BTreeMap::new(),
            #[cfg(feature = "llm")]
            reading: language::Reading::default(),
        }
    }

    /// The engine behind it.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Adds items, by their outside ids, to the end of the history. All of them or, on an error, none.
    ///
    /// # Errors
    /// [`Error::UnknownId`] naming the first id that no item has.
    pub fn observe(&mut self, ids: &[impl AsRef<str>]) -> Result<()> {
        let items = self.engine.catalog().items(ids)?;
        self.observe_items(&items)
    }

    /// Adds the items that the catalog knows and gives back the ids that it does not.
    ///
    /// # Errors
    /// Only if the bundle is damaged.
    pub fn observe_known<'a, S: AsRef<str>>(&mut self, ids: &'a [S]) -> Result<Vec<&'a str>> {
        let mut items = Vec::new();
        let mut unknown = Vec::new();
        for id in ids {
            match self.engine.catalog().item(id.as_ref()) {
                Ok(item) => items.push(item),
                Err(Error::UnknownId { .. }) => unknown.push(id.as_ref()),
                Err(error) => return Err(error),
            }
        }
        self.observe_items(&items)?;
        Ok(unknown)
    }

    /// Adds items by number. All of them or, on an error, none.
    ///
    /// # Errors
    /// [`Error::UnknownItem`] for a number outside the catalog.
    pub fn observe_items(&mut self, items: &[u32]) -> Result<()> {
        let events: Vec<Event> = items.iter().map(|item| Event::new(*item)).collect();
        self.observe_events(&events)
    }

    /// Adds events, with kinds and times. All of them or, on an error, none.
    ///
    /// # Errors
    /// [`Error::UnknownItem`] for a number outside the catalog.
    pub fn observe_events(&mut self, events: &[Event]) -> Result<()> {
        let len = self.engine.catalog().len();
        match events.iter().find(|event| event.item >= len) {
            Some(event) => Err(Error::UnknownItem {
                item: event.item,
                len,
            }),
            None => {
                self.history.extend_from_slice(events);
                self.states.clear();
                Ok(())
            }
        }
    }

    /// Removes every event of an item from the history, and says how many there were.
    pub fn forget_item(&mut self, item: u32) -> usize {
        let before = self.history.len();
        self.history.retain(|event| event.item != item);
        self.states.clear();
        before - self.history.len()
    }

    /// Empties the history, and gives back what a language model keeps of it.
    pub fn forget(&mut self) {
        self.history.clear();
        self.states.clear();
        self.trim();
    }

    /// Gives back what a language model keeps of what it has read for this user; the next prompt is read from its
    /// beginning.
    pub fn trim(&mut self) {
        #[cfg(feature = "llm")]
        {
            self.reading = language::Reading::default();
        }
    }

    /// What the keys and values of what a language model has read for this user take, in bytes: private memory, kept
    /// until [`trim`](Self::trim) or [`forget`](Self::forget), so that the next prompt is read only from where it differs.
    #[must_use]
    pub fn cached_bytes(&self) -> usize {
        #[cfg(feature = "llm")]
        return self.reading.bytes();
        #[cfg(not(feature = "llm"))]
        0
    }

    /// What was observed, oldest first.
    #[must_use]
    pub fn history(&self) -> &[Event] {
        &self.history
    }

    /// The `count` best items: the bundle's recipe with default options.
    ///
    /// # Errors
    /// As [`recommend_with`](Self::recommend_with).
    pub fn recommend(&mut self, count: usize) -> Result<Ranking> {
        self.recommend_with(count, &Filter::default(), &CallOptions::default())
    }

    /// The `count` best items by the bundle's recipe. Where there is nothing to go by (an empty history, or none of its
    /// items known to the encoder) the recipe's way for cold users is taken; the origins say so.
    ///
    /// # Errors
    /// As [`retrieve_with`](Self::retrieve_with).
    pub fn recommend_with(
        &mut self,
        count: usize,
        filter: &Filter,
        options: &CallOptions,
    ) -> Result<Ranking> {
        let options = options.started();
        check_count(count)?;
        let engine = self.engine.clone();
        let chain = engine.recipe(self.is_cold(&options)?)?;
        self.list(chain, count, filter, &options)
    }

    /// Whether an encoder or a language model that the recipe, or the call, needs has nothing to go by.
    fn is_cold(&self, options: &CallOptions) -> Result<bool> {
        let mut steps = self.engine.manifest().recipe.steps.iter();
        let is_asked = steps.any(|step| {
            step.rank == Some(RankEntry::LanguageModel)
                || step.retrieve == Some(RetrieveEntry::Generate)
        }) || options
            .rank
            .is_some_and(|rank| rank.by == Judge::LanguageModel);
        if is_asked && self.taste().next().is_none() {
            return Ok(true);
        }
        for encoder in self.engine.encoders_of_recipe(options)? {
            let (_, encoder) = self.engine.encoder(encoder)?;
            if encoder.window(self.taste()).is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The `count` best items in one way, with default options.
    ///
    /// # Errors
    /// As [`retrieve_with`](Self::retrieve_with).
    pub fn retrieve(&mut self, by: By, count: usize, filter: &Filter) -> Result<Ranking> {
        self.retrieve_with(by, count, filter, &CallOptions::default())
    }

    /// The `count` best items in one way; fewer if the filter, or the options' arrangement, leaves fewer.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if `count` is 0 or the filter, the arrangement or the options of an oracle or a Q-network
    /// name what the catalog does not have or a number out of range, [`Error::UnknownItem`], [`Error::Unsupported`] if the
    /// bundle has no such network, no index where `options.probes` asks for one, or no space for the likeness that
    /// diversity needs; [`Error::TooLong`] if a language model is to rank more than its context holds;
    /// [`Error::Cancelled`], [`Error::DeadlineExceeded`], [`Error::Runtime`], [`Error::Graph`] if a network gives numbers
    /// that are not finite.
    pub fn retrieve_with(
        &mut self,
        by: By,
        count: usize,
        filter: &Filter,
        options: &CallOptions,
    ) -> Result<Ranking> {
        let chain = Chain::by(by, count);
        self.list(chain, count, filter, &options.started())
    }

    /// The `count` best items of a chain.
    fn list(
        &mut self,
        chain: Chain,
        count: usize,
        filter: &Filter,
        options: &CallOptions,
    ) -> Result<Ranking> {
        let engine = self.engine.clone();
        let mut rankings = engine.lists(&mut [self], chain, count, filter, options)?;
        rankings.pop().ok_or_else(|| Error::Internal {
            reason: "a user without a ranking".into(),
        })
    }

    /// What gives items their scores in one way, once a state that it needs was computed.
    fn scoring<'a>(
        &mut self,
        engine: &'a Engine,
        by: By,
        options: &CallOptions,
    ) -> Result<Scoring<'a>> {
        let (mut scorings, _) = engine.scorings(&mut [self], by, options)?;
        scorings.pop().ok_or_else(|| Error::Internal {
            reason: "a user without scores".into(),
        })
    }

    /// The rank, from 1, that an item would have in a ranking of the whole catalog: one more than the number of other
    /// items that may rank and score at least as high, so that ties count against it. Nothing for an item that never
    /// ranks in this way. The item itself takes part even if the filter, or the history, leaves it out. The scores are
    /// the way's own: the options' arrangement has no part in it.
    ///
    /// This is what evaluation asks. The scan is done by the calling thread, whatever `options.threads` says, and is
    /// exact, whatever `options.probes` says: to be quick with many users, give each thread a recommender.
    ///
    /// ```
    /// # let engine = oneiro::Engine::open("models/tiny")?;
    /// use oneiro::{By, CallOptions, Filter};
    /// let mut user = engine.recommender();
    /// user.observe_items(&[3, 7])?;
    /// let next = user.retrieve(By::Encoder, 5, &Filter::default())?.items()[4];
    /// let rank = user.rank_of(next, By::Encoder, &Filter::default(), &CallOptions::default())?;
    /// assert_eq!(rank, Some(5));
    /// # Ok::<(), oneiro::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::UnknownItem`]; as [`retrieve_with`](Self::retrieve_with).
    pub fn rank_of(
        &mut self,
        item: u32,
        by: By,
        filter: &Filter,
        options: &CallOptions,
    ) -> Result<Option<u32>> {
        let options = options.started();
        self.engine.catalog().check(item)?;
        let admission = self.admission(1, filter, &options)?;
        let engine = self.engine.clone();
        let scoring = self.scoring(&engine, by, &options)?;
        scoring.rank_of(item, &admission, &options.cancel)
    }

    /// The `count` items most like `item`, which is not among them, with default options.
    ///
    /// # Errors
    /// As [`similar_with`](Self::similar_with).
    pub fn similar(&self, item: u32, count: usize) -> Result<Ranking> {
        self.similar_with(item, count, &Filter::default(), &CallOptions::default())
    }

    /// The `count` items whose rows are nearest to the row of `item`, in the bundle's space for that.
    ///
    /// # Errors
    /// [`Error::UnknownItem`]; [`Error::Unsupported`] if the bundle names no such space or the item's row was never
    /// trained; [`Error::InvalidArgument`] as in [`retrieve_with`](Self::retrieve_with); [`Error::Cancelled`].
    pub fn similar_with(
        &self,
        item: u32,
        count: usize,
        filter: &Filter,
        options: &CallOptions,
    ) -> Result<Ranking> {
        let options = options.started();
        self.engine.catalog().check(item)?;
        let filter = filter.clone().exclude([item]);
        let plan = self.plan(&self.engine, count, count, &filter, &options)?;
        let scoring = retrieve::similar(self.engine.bundle(), item)?;
        finish(&plan, &scoring, options.search())
    }

    /// The `count` items whose rows are nearest to a point of the bundle's space for that, such as an
    /// [`oracle`](Self::oracle)'s where that space has the rows that oracles are scored against.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if the point is not of the space's width or not finite, and as in
    /// [`retrieve_with`](Self::retrieve_with); [`Error::Unsupported`] if the bundle names no such space;
    /// [`Error::Cancelled`].
    pub fn similar_to(
        &self,
        point: &[f32],
        count: usize,
        filter: &Filter,
        options: &CallOptions,
    ) -> Result<Ranking> {
        let options = options.started();
        let plan = self.plan(&self.engine, count, count, filter, &options)?;
        let scoring = retrieve::similar_to(self.engine.bundle(), point)?;
        finish(&plan, &scoring, options.search())
    }

    /// The ideal items that the oracle of `options` dreams up for the history, `[d]` each: one a draw, as
    /// [`By::Oracle`] takes them.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the bundle has no such oracle, or not what its sampler needs;
    /// [`Error::InvalidArgument`] for a number out of range; [`Error::Cancelled`], [`Error::DeadlineExceeded`],
    /// [`Error::Runtime`].
    pub fn oracle(&mut self, options: &CallOptions) -> Result<Vec<Arc<[f32]>>> {
        let options = options.started();
        let engine = self.engine.clone();
        let (mut points, _) = engine.dream(&mut [self], &options)?;
        points.pop().ok_or_else(|| Error::Internal {
            reason: "a user without a dream".into(),
        })
    }

    /// The encoder's state after the history, `[e]`: computed once, then kept until the history changes. Disliked items
    /// are no part of it.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the bundle has no such encoder, [`Error::Cancelled`], [`Error::DeadlineExceeded`],
    /// [`Error::Runtime`].
    pub fn state(&mut self, options: &CallOptions) -> Result<Arc<[f32]>> {
        let options = options.started();
        let engine = self.engine.clone();
        let (name, encoder) = engine.encoder(options.encoder.as_deref())?;
        batch::keep_states(&mut [self], name, encoder, &options)?;
        self.kept_state(name)
    }

    /// The state by this encoder, which was computed.
    fn kept_state(&self, encoder: &str) -> Result<Arc<[f32]>> {
        let state = self.states.get(encoder).ok_or_else(|| Error::Internal {
            reason: format!("the state by `{encoder}` was computed and is not there"),
        })?;
        Ok(Arc::clone(state))
    }

    /// The items of the history.
    fn items(&self) -> impl DoubleEndedIterator<Item = u32> + '_ {
        self.history.iter().map(|event| event.item)
    }

    /// The same, less what is disliked: what an encoder sees.
    fn taste(&self) -> impl DoubleEndedIterator<Item = u32> + '_ {
        self.items()
            .filter(|item| self.disliked.binary_search(item).is_err())
    }

    /// What to fetch for a list of `count` items, at least `depth` of them, and what to make of it.
    fn plan<'a>(
        &self,
        engine: &'a Engine,
        count: usize,
        depth: usize,
        filter: &Filter,
        options: &CallOptions,
    ) -> Result<Plan<'a>> {
        let admission = self.admission(count, filter, options)?;
        let arrangement = &options.arrangement;
        Plan::new(
            arrangement,
            engine.bundle(),
            &self.disliked,
            admission,
            count,
            depth,
        )
    }

    fn admission(&self, count: usize, filter: &Filter, options: &CallOptions) -> Result<Admission> {
        check_count(count)?;
        if !(1..=MOST_THREADS).contains(&options.threads) {
            let reason = format!("is {}, expected 1 to {MOST_THREADS}", options.threads);
            return Err(Error::argument("threads", reason));
        }
        if options.probes == Some(0) {
            return Err(Error::argument("probes", "is 0"));
        }
        if let Some(encoder) = &options.encoder {
            self.engine.encoder(Some(encoder))?;
        }
        if let Some(oracle) = &options.oracle.name {
            self.engine.oracle(Some(oracle))?;
        }
        if let Some(network) = &options.q_network.name {
            self.engine.q_network(Some(network))?;
        }
        if let Some(Rank { candidates: 0, .. }) = options.rank {
            return Err(Error::argument("rank", "is of 0 candidates"));
        }
        if let Some(weight) = options.q_network.weight
            && !(0.0..=1.0).contains(&weight)
        {
            let reason = format!("is {weight}, expected 0 to 1");
            return Err(Error::argument("weight", reason));
        }
        #[cfg(feature = "llm")]
        if let Some(prompt) = &options.prompt.name {
            self.engine.prompt(Some(prompt))?;
        }
        #[cfg(feature = "llm")]
        if let Some(generator) = &options.generator.name {
            self.engine.generator(Some(generator))?;
        }
        options.cancel.check()?;
        let (catalog, seen) = (self.engine.catalog(), self.engine.manifest().seen);
        let admission = filter.admission(catalog, self.items(), seen)?;
        let never = self.hidden.iter().chain(&self.disliked);
        Ok(admission.without(never.copied()))
    }
}

impl Chain<'_> {
    /// One way alone, by which so many items are retrieved.
    fn by(by: By, depth: usize) -> Self {
        Self {
            by,
            depth,
            ranks: &[],
            is_final: false,
        }
    }
}

impl Engine {
    /// What the recipe does for users who are cold, or for those who are not. What popularity gives to the cold stays as it
    /// is.
    fn recipe(&self, cold: bool) -> Result<Chain<'_>> {
        let recipe = &self.manifest().recipe;
        let Some((first, ranks)) = recipe.steps.split_first() else {
            return Err(Error::Internal {
                reason: "a recipe without steps passed the manifest's checks".into(),
            });
        };
        let way = first.retrieve.filter(|_| !cold).unwrap_or(recipe.cold);
        let nothing = cold && way == RetrieveEntry::Popularity;
        Ok(Chain {
            by: way.into(),
            depth: first.count as usize,
            ranks: if nothing { &[] } else { ranks },
            is_final: nothing,
        })
    }

    /// The encoders whose states the recipe, and what the call ranks by after it, need.
    fn encoders_of_recipe<'a>(&'a self, options: &'a CallOptions) -> Result<Vec<Option<&'a str>>> {
        let mut encoders = Vec::new();
        for step in &self.manifest().recipe.steps {
            match step.retrieve {
                Some(RetrieveEntry::Popularity) => {}
                Some(RetrieveEntry::Encoder) => encoders.push(options.encoder.as_deref()),
                Some(RetrieveEntry::Oracle) => {
                    let (_, oracle) = self.oracle(options.oracle.name.as_deref())?;
                    encoders.push(Some(oracle.encoder()));
                }
                Some(RetrieveEntry::Generate) => {}
                None if step.rank == Some(RankEntry::LanguageModel) => {}
                Some(RetrieveEntry::QNetwork) | None => {
                    let name = options.q_network.name.as_ref().or(step.q_network.as_ref());
                    let (_, network) = self.q_network(name.map(String::as_str))?;
                    encoders.push(Some(network.encoder()));
                }
            }
        }
        match options.rank.map(|rank| rank.by) {
            Some(Judge::Encoder) => encoders.push(options.encoder.as_deref()),
            Some(Judge::QNetwork) => {
                let (_, network) = self.q_network(options.q_network.name.as_deref())?;
                encoders.push(Some(network.encoder()));
            }
            _ => {}
        }
        Ok(encoders)
    }
}

/// Fetches what the plan asks for and makes its list of it.
fn finish(plan: &Plan, scoring: &Scoring, search: Search) -> Result<Ranking> {
    let (fetched, scanned) = scoring.best(plan.fetch(), plan.admission(), search)?;
    plan.list(fetched, vec![scanned], scoring, search)
}

fn check_count(count: usize) -> Result<()> {
    match count {
        0 => Err(Error::argument("count", "is 0")),
        _ => Ok(()),
    }
}
