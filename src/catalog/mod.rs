//! The catalog: outside ids, titles, popularity and attributes, by item; and the spaces beside it.
//!
//! Items are numbered in the order of the models' rows, and every table is mapped and read in place. Opening checks
//! types, shapes and the ends of offsets, in O(1) per tensor; accessors check the row they return, and so a damaged
//! table gives an error, never a crash; `verify` checks all of it.
//!
//! A [`Space`] is a table of rows, one per item, that a query is scored against.

#![forbid(unsafe_code)]

mod admission;
mod attributes;
mod bound;
mod cluster;
mod coarse;
mod index;
mod integer;
mod kernel;
mod likeness;
mod many;
mod rank;
mod scan;
mod shares;
mod space;
mod start;
mod strings;
mod title_trie;
mod titles;
mod topk;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

pub(crate) use admission::{Admission, Test};
pub(crate) use attributes::{Attribute, NO_VALUE, Tags};
pub(crate) use likeness::Likeness;
pub(crate) use rank::rank_by_number;
pub use space::Space;
pub(crate) use title_trie::TitleTrie;
pub(crate) use topk::{Scored, best, best_by_number};

use crate::bundle::{Array, AttributeKind, CatalogEntry, Tensors};
use crate::error::{Error, Result};
use strings::Index;
use titles::Titles;

/// How many titles an [`Error::AmbiguousTitle`] lists.
const LISTED_TITLES: usize = 10;

/// The largest number of names that an error lists.
const LISTED_NAMES: usize = 40;

/// What is known of the items: id, title, count and attributes.
#[derive(Debug)]
pub struct Catalog {
    len: u32,
    ids: Index,
    titles: Option<Titles>,
    counts: Option<Array<u32>>,
    attributes: BTreeMap<String, Attribute>,
}

impl Catalog {
    /// Opens the catalog of a part: types, shapes, the ends of offsets.
    pub(crate) fn open(entry: &CatalogEntry, tensors: &Tensors) -> Result<Self> {
        let mut known: BTreeSet<String> = ["ids.offsets", "ids.bytes", "ids.order", "counts"]
            .into_iter()
            .chain(Titles::TENSORS)
            .map(Into::into)
            .collect();
        known.extend(
            entry
                .attributes
                .iter()
                .flat_map(|(name, &kind)| Attribute::tensors(name, kind)),
        );
        tensors.only(|tensor| known.contains(tensor))?;

        let items = entry.items as usize;
        let mut attributes = BTreeMap::new();
        for (name, &kind) in &entry.attributes {
            attributes.insert(name.clone(), Attribute::open(tensors, name, kind, items)?);
        }
        Ok(Self {
            len: entry.items,
            ids: Index::open(tensors, "ids", items)?,
            titles: Titles::open(tensors, items)?,
            counts: tensors
                .has("counts")
                .then(|| tensors.array("counts", &[items]))
                .transpose()?,
            attributes,
        })
    }

    /// Reads everything: strings, orders, keys, tags.
    pub(crate) fn verify(&self) -> Result<()> {
        for item in 0..self.len {
            if self.ids.table.bytes(item as usize)?.is_empty() {
                return Err(self.ids.table.wrong(item as usize, "an id", "nothing"));
            }
        }
        self.ids.verify(true)?;
        if let Some(titles) = &self.titles {
            titles.verify()?;
        }
        self.attributes.values().try_for_each(Attribute::verify)
    }

    /// How many items there are.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Whether there are no items. A bundle's catalog always has some.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The app's own id of an item.
    ///
    /// # Errors
    /// [`Error::UnknownItem`]; [`Error::Tensor`] if its bytes are damaged.
    pub fn id(&self, item: u32) -> Result<&str> {
        self.check(item)?;
        self.ids.table.get(item as usize)
    }

    /// Whether items have titles.
    #[must_use]
    pub fn has_titles(&self) -> bool {
        self.titles.is_some()
    }

    /// The title of an item as a person should see it, or nothing if the bundle has no titles.
    ///
    /// # Errors
    /// [`Error::UnknownItem`]; [`Error::Tensor`] if its bytes are damaged.
    pub fn title(&self, item: u32) -> Result<Option<&str>> {
        self.check(item)?;
        self.titles
            .as_ref()
            .map(|titles| titles.get(item))
            .transpose()
    }

    /// How often an item occurs in the training data.
    ///
    /// # Errors
    /// [`Error::UnknownItem`]; [`Error::Unsupported`] if the bundle has no counts.
    pub fn count(&self, item: u32) -> Result<u32> {
        self.check(item)?;
        let count = self.counts()?.get(item as usize).copied();
        count.ok_or(Error::UnknownItem {
            item,
            len: self.len,
        })
    }

    /// The counts of all items.
    pub(crate) fn counts(&self) -> Result<&[u32]> {
        self.counts.as_deref().ok_or_else(|| Error::Unsupported {
            what: "counts (popularity)".into(),
        })
    }

    /// The item with an outside id.
    ///
    /// # Errors
    /// [`Error::UnknownId`]; [`Error::Tensor`] if what the search meets is damaged.
    pub fn item(&self, id: &str) -> Result<u32> {
        let position = self.ids.partition(0, |found| found < id.as_bytes())?;
        if position < self.len as usize && self.ids.bytes(position)? == id.as_bytes() {
            return self.ids.item(position);
        }
        Err(Error::UnknownId { id: id.into() })
    }

    /// The items with these outside ids, in their order.
    ///
    /// # Errors
    /// [`Error::UnknownId`] naming the first that no item has; as [`item`](Self::item).
    pub fn items(&self, ids: &[impl AsRef<str>]) -> Result<Vec<u32>> {
        ids.iter().map(|id| self.item(id.as_ref())).collect()
    }

    /// The items whose title a text means, the most popular first.
    ///
    /// Case, accents, punctuation and a leading or trailing article do not matter. A text with a year, as in
    /// `Heat (1995)`, means that year's title; one without means every title with these words; failing that, its last
    /// word is taken as the year if it looks like one; failing that, it is the beginning of titles.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the bundle has no titles; [`Error::Tensor`] if what the search meets is damaged.
    pub fn find_title(&self, text: &str) -> Result<Vec<u32>> {
        let titles = self.titles.as_ref().ok_or_else(|| Error::Unsupported {
            what: "titles".into(),
        })?;
        let mut found = titles.find(text)?;
        let counts = self.counts.as_deref().unwrap_or_default();
        found.sort_unstable_by_key(|&item| (Reverse(counts.get(item as usize)), item));
        found.dedup();
        Ok(found)
    }

    /// The one item that a text means: its id, or else its title as in [`find_title`](Self::find_title).
    ///
    /// # Errors
    /// [`Error::UnknownTitle`] ([`Error::UnknownId`] if the bundle has no titles), [`Error::AmbiguousTitle`];
    /// [`Error::Tensor`] if what the search meets is damaged.
    pub fn resolve(&self, text: &str) -> Result<u32> {
        let unknown = match self.item(text) {
            Err(error @ Error::UnknownId { .. }) => error,
            found => return found,
        };
        if self.titles.is_none() {
            return Err(unknown);
        }
        match self.find_title(text)?.as_slice() {
            [] => Err(Error::UnknownTitle { text: text.into() }),
            &[item] => Ok(item),
            several => {
                let titles = several
                    .iter()
                    .take(LISTED_TITLES)
                    .map(|&item| self.describe(item));
                Err(Error::AmbiguousTitle {
                    text: text.into(),
                    matches: several.len(),
                    titles: titles.collect::<Result<_>>()?,
                })
            }
        }
    }

    fn describe(&self, item: u32) -> Result<String> {
        Ok(format!(
            "{} [{}]",
            self.title(item)?.unwrap_or_default(),
            self.id(item)?
        ))
    }

    /// The tags of an item, in the order of the attribute's names.
    ///
    /// # Errors
    /// [`Error::UnknownItem`]; [`Error::Unsupported`] if there is no such attribute; [`Error::InvalidArgument`] if it
    /// is an integer; [`Error::Tensor`] if the item's tags are damaged.
    pub fn tags(&self, attribute: &str, item: u32) -> Result<Vec<&str>> {
        self.check(item)?;
        self.tag_attribute(attribute)?.names(item)
    }

    /// The integer of an item, or nothing if it has none.
    ///
    /// # Errors
    /// [`Error::UnknownItem`]; [`Error::Unsupported`] if there is no such attribute; [`Error::InvalidArgument`] if it
    /// is a list of tags.
    pub fn integer(&self, attribute: &str, item: u32) -> Result<Option<i64>> {
        self.check(item)?;
        let value = self
            .integer_attribute(attribute)?
            .get(item as usize)
            .copied();
        Ok(value.filter(|&value| value != NO_VALUE))
    }

    /// The attributes and their kinds, by name.
    pub fn attributes(&self) -> impl Iterator<Item = (&str, AttributeKind)> {
        self.attributes
            .iter()
            .map(|(name, attribute)| (name.as_str(), attribute.kind()))
    }

    pub(crate) fn tag_attribute(&self, name: &str) -> Result<&std::sync::Arc<Tags>> {
        match self.attribute(name)? {
            Attribute::Tags(tags) => Ok(tags),
            Attribute::Integer(_) => Err(wrong_kind(name, "an integer", "tags")),
        }
    }

    pub(crate) fn integer_attribute(&self, name: &str) -> Result<&Array<i64>> {
        match self.attribute(name)? {
            Attribute::Integer(values) => Ok(values),
            Attribute::Tags(_) => Err(wrong_kind(name, "tags", "an integer")),
        }
    }

    pub(crate) fn attribute(&self, name: &str) -> Result<&Attribute> {
        self.attributes.get(name).ok_or_else(|| {
            let known = list_names(self.attributes.keys().map(String::as_str));
            Error::Unsupported {
                what: format!("attribute `{name}`; {known}"),
            }
        })
    }

    /// [`Error::UnknownItem`] if there is no such item.
    pub(crate) fn check(&self, item: u32) -> Result<()> {
        if item < self.len {
            Ok(())
        } else {
            Err(Error::UnknownItem {
                item,
                len: self.len,
            })
        }
    }
}

fn wrong_kind(name: &str, found: &str, expected: &str) -> Error {
    Error::argument("attribute", format!("`{name}` is {found}, not {expected}"))
}

/// `it has …`, for the end of a message that says what is not there.
pub(crate) fn list_names<'a>(names: impl Iterator<Item = &'a str> + Clone) -> String {
    match names.clone().count() {
        0 => "it has none".into(),
        1..=LISTED_NAMES => format!(
            "it has {}",
            names
                .map(|name| format!("`{name}`"))
                .collect::<Vec<_>>()
                .join(", ")
        ),
        many => format!("it has {many} others"),
    }
}

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;
