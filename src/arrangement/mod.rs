//! How the best candidates become the list that is shown (the field's word is re-ranking).
//!
//! A [`Filter`](crate::Filter) says which items may rank, an [`Arrangement`] what is made of those that do. It applies
//! to `recommend`, `retrieve`, `similar` and `rank` alike, in this order:
//!
//! 1. **Scores**: every admitted item has the score of its way (an encoder's, a count, a cosine).
//! 2. **Boosts** are added. Boosted items are scored by themselves, so they compete however low they stood.
//! 3. **Pins** take their places, before all others are chosen.
//! 4. The best `pool` of the rest are the **pool**; dislikes and diversity look no further. Its *spread* is its greatest
//!    own score (as in 1) less its least, and is the unit of both, so that their weights mean the same for every
//!    network.
//! 5. **Dislikes**: an item falls by weight · spread · max(0, c), c its largest cosine with a disliked item.
//! 6. **Diversity and caps**: the other places go, one after the other, to the item that no cap forbids and that has
//!    the largest λ · score / spread − (1 − λ) · c, c its largest cosine with what was chosen, 0 at first (maximal
//!    marginal relevance: Carbonell and Goldstein, SIGIR 1998, with min-max normalised scores; a constant apart, which
//!    changes no choice). Without diversity λ is 1, and the list is by score. Ties go to the higher score, then to the
//!    lower item. Where caps leave the list short and there are more candidates, the pool becomes four times as large
//!    and 4 to 6 are done again.
//!
//! The scores of the ranking are those after 5; a pinned item's is that after 2, NaN if it has none. A row that was
//! never trained is like nothing: its cosines are 0.

#![forbid(unsafe_code)]

mod caps;
mod choice;
mod plan;

pub(crate) use plan::Plan;

/// The pool's size when nobody says otherwise.
const POOL: usize = 200;

/// How the best candidates become the list that is shown. The default shows the best first.
///
/// Filters always hold: what may not rank is not shown, boosted or pinned as it may be. So an app can pin an item for
/// everyone, and those who have seen or hidden it do not get it.
///
/// In this order: boosts are added to the scores; pins take their places; likeness to disliked items lowers the scores
/// of the others; and the other places go to the best items that no cap forbids, by maximal marginal relevance if
/// diversity is asked for.
///
/// ```
/// # let engine = oneiro::Engine::open("models/tiny")?;
/// use oneiro::{Arrangement, CallOptions, Filter};
/// let mut user = engine.recommender();
/// user.observe_items(&[3, 7])?;
/// let mut options = CallOptions::default();
/// options.arrangement = Arrangement::new()
///     .boost(12, 0.5)
///     .pin(30, 1)
///     .cap("genres", 2)
///     .diversity(0.7);
/// let best = user.recommend_with(5, &Filter::default(), &options)?;
/// assert_eq!(best.items()[0], 30);
/// # Ok::<(), oneiro::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Arrangement {
    boosts: Vec<(u32, f32)>,
    pins: Vec<(u32, usize)>,
    caps: Vec<Cap>,
    diversity: f32,
    dislike_weight: f32,
    pool: usize,
    space: Option<String>,
}

#[derive(Clone, Debug)]
struct Cap {
    attribute: String,
    /// One tag; every value without it.
    tag: Option<String>,
    most: usize,
}

impl Default for Arrangement {
    fn default() -> Self {
        Self {
            boosts: Vec::new(),
            pins: Vec::new(),
            caps: Vec::new(),
            diversity: 1.0,
            dislike_weight: 1.0,
            pool: POOL,
            space: None,
        }
    }
}

impl Arrangement {
    /// The best first.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds `amount` to the score of an item, in the unit of the scores; below 0 it lowers it. Amounts for one item add
    /// up. An item without a score (never trained, never counted) has none to add to and does not come.
    #[must_use]
    pub fn boost(mut self, item: u32, amount: f32) -> Self {
        self.boosts.push((item, amount));
        self
    }

    /// Puts an item at a place, from 1, whatever its score, even if it has none. It comes at no other: beyond the count
    /// asked for it is not shown. Where there are too few items to reach its place, it is at the end.
    #[must_use]
    pub fn pin(mut self, item: u32, place: usize) -> Self {
        self.pins.push((item, place));
        self
    }

    /// At most `most` items of each tag, or of each integer, of an attribute. Items without a value are not capped.
    /// Pins count, and are never left out for it. A second cap of the same replaces the first.
    #[must_use]
    pub fn cap(mut self, attribute: impl Into<String>, most: usize) -> Self {
        self.caps.push(Cap {
            attribute: attribute.into(),
            tag: None,
            most,
        });
        self
    }

    /// At most `most` items of this tag, whatever [`cap`](Self::cap) says of the attribute's others.
    #[must_use]
    pub fn cap_tag(
        mut self,
        attribute: impl Into<String>,
        tag: impl Into<String>,
        most: usize,
    ) -> Self {
        self.caps.push(Cap {
            attribute: attribute.into(),
            tag: Some(tag.into()),
            most,
        });
        self
    }

    /// Maximal marginal relevance with this λ: 1, the default, looks at scores only, 0 (after the first item) only at
    /// how different the items are; 0.7 is a usual choice.
    #[must_use]
    pub fn diversity(mut self, lambda: f32) -> Self {
        self.diversity = lambda;
        self
    }

    /// How far likeness to a [disliked](crate::Recommender::dislike) item lowers a score: by this share of the spread
    /// of the pool's scores for a cosine of 1. 1 by default; 0 leaves the scores alone.
    #[must_use]
    pub fn dislike_weight(mut self, weight: f32) -> Self {
        self.dislike_weight = weight;
        self
    }

    /// How many of the best candidates diversity and dislikes look at: 200 by default, always at least the count asked
    /// for. The time of both grows with it.
    #[must_use]
    pub fn pool(mut self, size: usize) -> Self {
        self.pool = size;
        self
    }

    /// The space whose cosines are the likeness of items, for diversity and dislikes; the manifest's `similar` by
    /// default.
    #[must_use]
    pub fn space(mut self, name: impl Into<String>) -> Self {
        self.space = Some(name.into());
        self
    }
}
