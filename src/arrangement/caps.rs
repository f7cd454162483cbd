//! At most so many items of a kind.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Cap;
use crate::bundle::Array;
use crate::catalog::{Attribute, Catalog, NO_VALUE, Tags};
use crate::error::{Error, Result};
use crate::filter::tag_index;

/// The caps of an arrangement, resolved against a catalog: one entry per attribute.
#[derive(Debug, Default)]
pub(super) struct Caps(Vec<Limits>);

#[derive(Debug)]
struct Limits {
    values: Values,
    /// Of every value that is not in `named`.
    most: Option<usize>,
    named: BTreeMap<i64, usize>,
}

/// The values of an attribute; tags by their index.
#[derive(Debug)]
enum Values {
    Tags(Arc<Tags>),
    Integers(Array<i64>),
}

impl Caps {
    pub(super) fn resolve(caps: &[Cap], catalog: &Catalog) -> Result<Self> {
        let mut limits: BTreeMap<&str, Limits> = BTreeMap::new();
        for cap in caps {
            if cap.most == 0 {
                return Err(Error::argument(
                    "cap",
                    format!(
                        "0 of `{}`: a filter leaves items out altogether",
                        cap.attribute
                    ),
                ));
            }
            if !limits.contains_key(cap.attribute.as_str()) {
                let values = match catalog.attribute(&cap.attribute)? {
                    Attribute::Tags(tags) => Values::Tags(Arc::clone(tags)),
                    Attribute::Integer(integers) => Values::Integers(integers.clone()),
                };
                limits.insert(
                    &cap.attribute,
                    Limits {
                        values,
                        most: None,
                        named: BTreeMap::new(),
                    },
                );
            }
            let Some(limits) = limits.get_mut(cap.attribute.as_str()) else {
                continue;
            };
            match &cap.tag {
                None => limits.most = Some(cap.most),
                Some(tag) => {
                    let tags = catalog.tag_attribute(&cap.attribute)?;
                    let value = tag_index(tags, &cap.attribute, tag)?;
                    limits.named.insert(value.into(), cap.most);
                }
            }
        }
        Ok(Self(limits.into_values().collect()))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A count of what is shown, with nothing shown yet.
    pub(super) fn shown(&self) -> Shown<'_> {
        Shown {
            counts: self.0.iter().map(|_| BTreeMap::new()).collect(),
            caps: self,
        }
    }
}

impl Limits {
    /// The values of an item. Of one whose attribute is damaged (`verify` says so) nothing is known.
    fn of(&self, item: u32) -> impl Iterator<Item = i64> + '_ {
        let (tags, integer) = match &self.values {
            Values::Tags(tags) => (tags.of(item), None),
            Values::Integers(values) => (None, values.get(item as usize).copied()),
        };
        let tags = tags.unwrap_or_default().iter().copied().map(i64::from);
        tags.chain(integer.filter(|&value| value != NO_VALUE))
    }

    fn most(&self, value: i64) -> usize {
        let named = self.named.get(&value).copied();
        named.or(self.most).unwrap_or(usize::MAX)
    }
}

/// How many items of each value are shown.
pub(super) struct Shown<'a> {
    caps: &'a Caps,
    /// In the order of the caps.
    counts: Vec<BTreeMap<i64, usize>>,
}

impl Shown<'_> {
    /// Whether the item would keep every cap.
    pub(super) fn has_room_for(&self, item: u32) -> bool {
        self.caps.0.iter().zip(&self.counts).all(|(cap, counts)| {
            cap.of(item)
                .all(|value| counts.get(&value).copied().unwrap_or(0) < cap.most(value))
        })
    }

    pub(super) fn add(&mut self, item: u32) {
        for (cap, counts) in self.caps.0.iter().zip(&mut self.counts) {
            for value in cap.of(item) {
                *counts.entry(value).or_default() += 1;
            }
        }
    }
}
