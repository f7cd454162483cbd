//! Which items may rank: seen or not, excluded, allowed, by attribute.
//!
//! A [`Filter`] is the caller's wish, in names; an `Admission` is the same resolved against one catalog and one
//! history, which a scan asks about the few items whose score would enter its ranking.

#![forbid(unsafe_code)]

use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use crate::bundle::Seen;
use crate::catalog::{Admission, Catalog, Tags, Test, list_names};
use crate::error::{Error, Result};

/// Which items may rank. The default lets every item through, except seen ones where the bundle says so.
///
/// Conditions add up: an item ranks if it meets all of them.
///
/// ```
/// use oneiro::{Filter, Seen};
///
/// let filter = Filter::new()
///     .seen(Seen::Allow)
///     .exclude([17, 4])
///     .with_any_tag("genres", ["Comedy", "Drama"])
///     .without_tag("genres", "Horror")
///     .between("year", 1990..=1999);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Filter {
    seen: Option<Seen>,
    excluded: Vec<u32>,
    /// Rising.
    allowed: Option<Arc<[u32]>>,
    conditions: Vec<Condition>,
}

#[derive(Clone, Debug)]
enum Condition {
    AnyTag {
        attribute: String,
        tags: Vec<String>,
    },
    NoTag {
        attribute: String,
        tag: String,
    },
    Between {
        attribute: String,
        least: i64,
        greatest: i64,
    },
}

impl Filter {
    /// Every item, except seen ones where the bundle says so.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether items of the history may come again, whatever the bundle's default.
    #[must_use]
    pub fn seen(mut self, seen: Seen) -> Self {
        self.seen = Some(seen);
        self
    }

    /// Not these items.
    #[must_use]
    pub fn exclude(mut self, items: impl IntoIterator<Item = u32>) -> Self {
        self.excluded.extend(items);
        self
    }

    /// Only these items; none at all if there are none. A second list leaves the items that are in both.
    #[must_use]
    pub fn allow(mut self, items: impl IntoIterator<Item = u32>) -> Self {
        let mut items: Vec<u32> = items.into_iter().collect();
        items.sort_unstable();
        items.dedup();
        if let Some(before) = &self.allowed {
            items.retain(|item| before.binary_search(item).is_ok());
        }
        self.allowed = Some(items.into());
        self
    }

    /// Only items with this tag.
    #[must_use]
    pub fn with_tag(self, attribute: impl Into<String>, tag: impl Into<String>) -> Self {
        self.with_any_tag(attribute, [tag])
    }

    /// Only items with at least one of these tags; none at all if there are no tags.
    #[must_use]
    pub fn with_any_tag<T: Into<String>>(
        mut self,
        attribute: impl Into<String>,
        tags: impl IntoIterator<Item = T>,
    ) -> Self {
        let tags = tags.into_iter().map(Into::into).collect();
        self.conditions.push(Condition::AnyTag {
            attribute: attribute.into(),
            tags,
        });
        self
    }

    /// Not items with this tag.
    #[must_use]
    pub fn without_tag(mut self, attribute: impl Into<String>, tag: impl Into<String>) -> Self {
        self.conditions.push(Condition::NoTag {
            attribute: attribute.into(),
            tag: tag.into(),
        });
        self
    }

    /// Only items whose integer lies in the range, such as `1990..=1999` or `2000..`. Items without a value do not.
    #[must_use]
    pub fn between(mut self, attribute: impl Into<String>, range: impl RangeBounds<i64>) -> Self {
        let (least, greatest) = inclusive(&range);
        self.conditions.push(Condition::Between {
            attribute: attribute.into(),
            least,
            greatest,
        });
        self
    }

    /// Resolves the filter for one catalog and one history.
    ///
    /// # Errors
    /// [`Error::UnknownItem`] for an item that is not in the catalog, [`Error::Unsupported`] for an attribute that it
    /// has not, [`Error::InvalidArgument`] for an unknown tag or an attribute of the other kind.
    pub(crate) fn admission(
        &self,
        catalog: &Catalog,
        history: impl Iterator<Item = u32>,
        default_seen: Seen,
    ) -> Result<Admission> {
        // They rise: if one is unknown, so is the last.
        let last = self.allowed.as_deref().and_then(<[u32]>::last);
        self.excluded
            .iter()
            .chain(last)
            .try_for_each(|&item| catalog.check(item))?;
        let mut excluded = self.excluded.clone();
        if self.seen.unwrap_or(default_seen) == Seen::Exclude {
            excluded.extend(history);
        }
        let tests = self
            .conditions
            .iter()
            .map(|condition| condition.test(catalog))
            .collect::<Result<_>>()?;
        let allowed = self.allowed.as_ref().map(Arc::clone);
        Ok(Admission::new(excluded, allowed, tests))
    }
}

/// The first and last number of a range; the first lies above the last if it is empty.
fn inclusive(range: &impl RangeBounds<i64>) -> (i64, i64) {
    const EMPTY: (i64, i64) = (1, 0);
    let least = match range.start_bound() {
        Bound::Unbounded => i64::MIN,
        Bound::Included(&least) => least,
        Bound::Excluded(&below) => match below.checked_add(1) {
            Some(least) => least,
            None => return EMPTY,
        },
    };
    let greatest = match range.end_bound() {
        Bound::Unbounded => i64::MAX,
        Bound::Included(&greatest) => greatest,
        Bound::Excluded(&above) => match above.checked_sub(1) {
            Some(greatest) => greatest,
            None => return EMPTY,
        },
    };
    (least, greatest)
}

impl Condition {
    fn test(&self, catalog: &Catalog) -> Result<Test> {
        match self {
            Self::AnyTag { attribute, tags } => {
                let known = catalog.tag_attribute(attribute)?;
                let wanted = tags
                    .iter()
                    .map(|tag| tag_index(known, attribute, tag))
                    .collect::<Result<_>>()?;
                Ok(Test::AnyTag {
                    tags: Arc::clone(known),
                    wanted,
                })
            }
            Self::NoTag { attribute, tag } => {
                let known = catalog.tag_attribute(attribute)?;
                Ok(Test::NoTag {
                    tags: Arc::clone(known),
                    unwanted: tag_index(known, attribute, tag)?,
                })
            }
            &Self::Between {
                ref attribute,
                least,
                greatest,
            } => Ok(Test::Between {
                values: catalog.integer_attribute(attribute)?.clone(),
                least,
                greatest,
            }),
        }
    }
}

/// The index of a tag that the attribute has.
pub(crate) fn tag_index(tags: &Tags, attribute: &str, tag: &str) -> Result<u32> {
    if let Some(index) = tags.index(tag)? {
        return Ok(index);
    }
    let known = list_names((0..tags.len()).filter_map(|index| tags.name(index).ok()));
    Err(Error::argument(
        "tag",
        format!("`{attribute}` has no `{tag}`; {known}"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::Bundle;
    use crate::catalog::NO_VALUE;
    use crate::catalog::fixture::{open, plain};

    fn bundle() -> Bundle {
        let catalog = plain(5)
            .tags(
                "genres",
                &["Action", "Comedy", "Crime"],
                &[&[0], &[0, 2], &[], &[1], &[1, 2]],
            )
            .list("attribute.year", &[1989i64, 1990, NO_VALUE, 1999, 2000]);
        open(5, &catalog, r#""genres":"tags","year":"integer""#).unwrap()
    }

    fn admitted(filter: &Filter) -> Vec<u32> {
        let bundle = bundle();
        let admission = filter
            .admission(bundle.catalog(), [0, 3].into_iter(), Seen::Allow)
            .unwrap();
        (0..5).filter(|&item| admission.admits(item)).collect()
    }

    fn refused(filter: &Filter) -> String {
        filter
            .admission(bundle().catalog(), std::iter::empty(), Seen::Allow)
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn the_bundle_decides_about_seen_items_unless_the_caller_does() {
        let bundle = bundle();
        for (filter, default, expected) in [
            (Filter::new(), Seen::Allow, true),
            (Filter::new(), Seen::Exclude, false),
            (Filter::new().seen(Seen::Exclude), Seen::Allow, false),
            (Filter::new().seen(Seen::Allow), Seen::Exclude, true),
        ] {
            let admission = filter
                .admission(bundle.catalog(), [4, 2].into_iter(), default)
                .unwrap();
            assert_eq!(admission.admits(2), expected);
            assert_eq!(admission.admits(4), expected);
            assert!(admission.admits(3));
        }
    }

    #[test]
    fn excluded_items_do_not_rank() {
        assert_eq!(
            admitted(&Filter::new().exclude([3, 0]).exclude([3])),
            [1, 2, 4]
        );
    }

    #[test]
    fn only_allowed_items_rank() {
        assert_eq!(admitted(&Filter::new().allow([3, 0, 3])), [0, 3]);
        assert_eq!(admitted(&Filter::new().allow([3, 0]).allow([1, 3])), [3]);
        assert_eq!(admitted(&Filter::new().allow([3, 0]).exclude([3])), [0]);
    }

    #[test]
    fn users_share_one_list_of_allowed_items() {
        let bundle = bundle();
        let filter = Filter::new().allow([3, 0]);
        let [one, other] = [1, 2].map(|item| {
            let history = std::iter::once(item);
            let admission = filter.admission(bundle.catalog(), history, Seen::Exclude);
            admission.unwrap().without([4]).clone()
        });
        let start = |admission: &Admission| admission.allowed().unwrap().as_ptr();
        assert_eq!(start(&one), start(&other));
    }

    #[test]
    fn an_empty_list_allows_nothing() {
        assert_eq!(admitted(&Filter::new().allow([])), [0u32; 0]);
        assert_eq!(
            admitted(&Filter::new().with_any_tag("genres", [""; 0])),
            [0u32; 0]
        );
    }

    #[test]
    fn tags_let_items_in_and_out() {
        assert_eq!(
            admitted(&Filter::new().with_tag("genres", "Comedy")),
            [3, 4]
        );
        assert_eq!(
            admitted(&Filter::new().with_any_tag("genres", ["Comedy", "Action"])),
            [0, 1, 3, 4]
        );
        assert_eq!(
            admitted(&Filter::new().without_tag("genres", "Crime")),
            [0, 2, 3]
        );
        let both = Filter::new()
            .with_tag("genres", "Comedy")
            .with_tag("genres", "Crime");
        assert_eq!(admitted(&both), [4]);
    }

    #[test]
    fn ranges_hold_their_ends_and_no_item_without_a_value() {
        assert_eq!(
            admitted(&Filter::new().between("year", 1990..=1999)),
            [1, 3]
        );
        assert_eq!(admitted(&Filter::new().between("year", 1990..1999)), [1]);
        assert_eq!(admitted(&Filter::new().between("year", ..=1989)), [0]);
        assert_eq!(admitted(&Filter::new().between("year", ..)), [0, 1, 3, 4]);
        assert_eq!(
            admitted(&Filter::new().between("year", i64::MIN..=i64::MIN)),
            [0u32; 0]
        );
        assert_eq!(
            admitted(&Filter::new().between("year", ..i64::MIN)),
            [0u32; 0]
        );
        #[allow(clippy::reversed_empty_ranges)]
        let empty = 1999..=1990;
        assert_eq!(admitted(&Filter::new().between("year", empty)), [0u32; 0]);
    }

    #[test]
    fn what_the_catalog_lacks_is_named() {
        for (filter, expected) in [
            (
                Filter::new().exclude([5]),
                "item 5 is not in the catalog of 5 items",
            ),
            (
                Filter::new().allow([9]),
                "item 9 is not in the catalog of 5 items",
            ),
            (
                Filter::new().with_tag("genres", "Noir"),
                "`tag`: `genres` has no `Noir`; it has `Action`, `Comedy`, `Crime`",
            ),
            (
                Filter::new().without_tag("mood", "sad"),
                "the bundle carries no attribute `mood`; it has `genres`, `year`",
            ),
            (
                Filter::new().with_tag("year", "1990"),
                "`attribute`: `year` is an integer, not tags",
            ),
            (
                Filter::new().between("genres", 1..),
                "`attribute`: `genres` is tags, not an integer",
            ),
        ] {
            assert_eq!(refused(&filter), expected);
        }
    }
}
