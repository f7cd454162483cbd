//! Which items may rank: a [`Filter`](crate::Filter) resolved against one catalog and one history.
//!
//! A scan asks about the few items whose score would enter its ranking.

#![forbid(unsafe_code)]

use std::sync::Arc;

use super::attributes::{NO_VALUE, Tags};
use crate::bundle::Array;

/// A filter, resolved. The default admits everything. Clones share the lists.
#[derive(Clone, Debug, Default)]
pub(crate) struct Admission {
    /// Rising.
    excluded: Arc<Vec<u32>>,
    /// Has the mark of every excluded item: most others are told from them by it alone.
    marks: [u64; MARKS],
    /// Rising.
    allowed: Option<Arc<[u32]>>,
    tests: Arc<[Test]>,
}

/// One condition on an attribute.
#[derive(Clone, Debug)]
pub(crate) enum Test {
    AnyTag {
        tags: Arc<Tags>,
        wanted: Vec<u32>,
    },
    NoTag {
        tags: Arc<Tags>,
        unwanted: u32,
    },
    Between {
        values: Array<i64>,
        least: i64,
        greatest: i64,
    },
}

impl Admission {
    /// `allowed` rises; `excluded` may be in any order.
    pub(crate) fn new(
        mut excluded: Vec<u32>,
        allowed: Option<Arc<[u32]>>,
        tests: Arc<[Test]>,
    ) -> Self {
        excluded.sort_unstable();
        excluded.dedup();
        Self {
            marks: marks(&excluded),
            excluded: Arc::new(excluded),
            allowed,
            tests,
        }
    }

    /// The same, but for these items.
    pub(crate) fn without(mut self, items: impl IntoIterator<Item = u32>) -> Self {
        let excluded = Arc::make_mut(&mut self.excluded);
        let before = excluded.len();
        excluded.extend(items);
        if excluded.len() > before {
            excluded.sort_unstable();
            excluded.dedup();
            self.marks = marks(excluded);
        }
        self
    }

    /// Whether an item may rank.
    pub(crate) fn admits(&self, item: u32) -> bool {
        let (word, bit) = place(item);
        (self.marks[word] & bit == 0 || self.excluded.binary_search(&item).is_err())
            && self
                .allowed
                .as_ref()
                .is_none_or(|allowed| allowed.binary_search(&item).is_ok())
            && self.tests.iter().all(|test| test.admits(item))
    }

    /// The items that may not rank, rising, unless there are others that only asking tells.
    pub(super) fn excluded(&self) -> Option<&[u32]> {
        (self.allowed.is_none() && self.tests.is_empty()).then_some(&self.excluded[..])
    }

    /// The only items that may rank, rising, if there is such a list: whoever searches need look at no others.
    pub(crate) fn allowed(&self) -> Option<&[u32]> {
        self.allowed.as_deref()
    }
}

/// Words of the marks of excluded items: of a history of 50, they leave one item in ten to be looked up.
const MARKS: usize = 8;

/// The word and the bit of an item's mark.
fn place(item: u32) -> (usize, u64) {
    (item as usize / 64 % MARKS, 1 << (item % 64))
}

fn marks(items: &[u32]) -> [u64; MARKS] {
    let mut marks = [0; MARKS];
    for (word, bit) in items.iter().map(|&item| place(item)) {
        marks[word] |= bit;
    }
    marks
}

impl Test {
    /// Nothing is known of an item whose attribute is damaged (`verify` says so), so it passes no test.
    fn admits(&self, item: u32) -> bool {
        match self {
            Self::AnyTag { tags, wanted } => tags
                .of(item)
                .is_some_and(|tags| wanted.iter().any(|tag| tags.contains(tag))),
            Self::NoTag { tags, unwanted } => {
                tags.of(item).is_some_and(|tags| !tags.contains(unwanted))
            }
            Self::Between {
                values,
                least,
                greatest,
            } => values
                .get(item as usize)
                .is_some_and(|value| *value != NO_VALUE && (least..=greatest).contains(&value)),
        }
    }
}
