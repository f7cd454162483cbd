//! Attributes: what else the catalog knows of an item, for filters and for display.
//!
//! A `tags` attribute is a list of distinct names and, for each item, a rising list of indices into them; an `integer`
//! attribute is one number per item, or none.

#![forbid(unsafe_code)]

use std::sync::Arc;

use super::strings::{StringTable, check_ends, entries_of, tensors_of};
use crate::bundle::{Array, AttributeKind, Tensors};
use crate::error::{Error, Result};

/// Stands in an `integer` attribute for an item without a value.
pub(crate) const NO_VALUE: i64 = i64::MIN;

/// The values of one attribute; a clone shares them.
#[derive(Clone, Debug)]
pub(crate) enum Attribute {
    Tags(Arc<Tags>),
    Integer(Array<i64>),
}

impl Attribute {
    /// The names of the tensors that an attribute has.
    pub(super) fn tensors(name: &str, kind: AttributeKind) -> Vec<String> {
        let column = format!("attribute.{name}");
        match kind {
            AttributeKind::Integer => vec![column],
            AttributeKind::Tags => {
                let names = tensors_of(&format!("{column}.names"));
                names
                    .into_iter()
                    .chain([format!("{column}.offsets"), format!("{column}.values")])
                    .collect()
            }
        }
    }

    pub(super) fn open(
        tensors: &Tensors,
        name: &str,
        kind: AttributeKind,
        items: usize,
    ) -> Result<Self> {
        match kind {
            AttributeKind::Integer => Ok(Self::Integer(
                tensors.array(&format!("attribute.{name}"), &[items])?,
            )),
            AttributeKind::Tags => Ok(Self::Tags(Arc::new(Tags::open(tensors, name, items)?))),
        }
    }

    pub(super) fn kind(&self) -> AttributeKind {
        match self {
            Self::Tags(_) => AttributeKind::Tags,
            Self::Integer(_) => AttributeKind::Integer,
        }
    }

    pub(super) fn verify(&self) -> Result<()> {
        match self {
            Self::Tags(tags) => tags.verify(),
            Self::Integer(_) => Ok(()),
        }
    }
}

/// A `tags` attribute.
#[derive(Debug)]
pub(crate) struct Tags {
    part: String,
    column: String,
    names: StringTable,
    offsets: Array<u32>,
    values: Array<u32>,
}

impl Tags {
    fn open(tensors: &Tensors, name: &str, items: usize) -> Result<Self> {
        let column = format!("attribute.{name}");
        let names = StringTable::open(tensors, &format!("{column}.names"), None)?;
        let offsets_name = format!("{column}.offsets");
        let offsets = tensors.array(&offsets_name, &[items + 1])?;
        let values = tensors.list::<u32>(&format!("{column}.values"))?;
        check_ends(tensors.part(), &offsets_name, &offsets, values.len())?;
        Ok(Self {
            part: tensors.part().into(),
            column,
            names,
            offsets,
            values,
        })
    }

    /// The indices of an item's tags, if its offsets are sound.
    pub(crate) fn of(&self, item: u32) -> Option<&[u32]> {
        entries_of(&self.offsets, &self.values, item as usize)
    }

    /// The index of a tag.
    pub(crate) fn index(&self, tag: &str) -> Result<Option<u32>> {
        for index in 0..self.names.len() {
            if self.names.bytes(index)? == tag.as_bytes() {
                return Ok(u32::try_from(index).ok());
            }
        }
        Ok(None)
    }

    /// How many tags there are.
    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    /// The name of a tag.
    pub(crate) fn name(&self, index: usize) -> Result<&str> {
        self.names.get(index)
    }

    /// The names of an item's tags.
    pub(super) fn names(&self, item: u32) -> Result<Vec<&str>> {
        let tags = self.of(item).ok_or_else(|| self.wrong_offsets(item))?;
        tags.iter()
            .map(|&tag| match (tag as usize) < self.len() {
                true => self.name(tag as usize),
                false => Err(self.wrong_value(item, tag)),
            })
            .collect()
    }

    fn verify(&self) -> Result<()> {
        self.names.verify()?;
        let mut sorted = (0..self.names.len())
            .map(|tag| self.names.get(tag))
            .collect::<Result<Vec<_>>>()?;
        sorted.sort_unstable();
        if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            let tensor = format!("{}.names.bytes", self.column);
            return Err(Error::tensor(
                &self.part,
                &tensor,
                "distinct names",
                format!("`{}` twice", pair[0]),
            ));
        }
        for item in
            (0..self.offsets.len().saturating_sub(1)).filter_map(|item| u32::try_from(item).ok())
        {
            let tags = self.of(item).ok_or_else(|| self.wrong_offsets(item))?;
            if let Some(&tag) = tags.iter().find(|&&tag| tag as usize >= self.names.len()) {
                return Err(self.wrong_value(item, tag));
            }
            if let Some(pair) = tags.windows(2).find(|pair| pair[0] >= pair[1]) {
                let tensor = format!("{}.values", self.column);
                let found = format!("{} before {}", pair[0], pair[1]);
                return Err(Error::tensor(
                    &self.part,
                    &tensor,
                    format!("rising tags of item {item}"),
                    found,
                ));
            }
        }
        Ok(())
    }

    fn wrong_offsets(&self, item: u32) -> Error {
        let expected = format!("rising offsets of item {item} up to {}", self.values.len());
        let found = match self.offsets.get(item as usize..).unwrap_or_default() {
            [start, end, ..] => format!("{start} and {end}"),
            _ => "no such row".into(),
        };
        Error::tensor(
            &self.part,
            &format!("{}.offsets", self.column),
            expected,
            found,
        )
    }

    fn wrong_value(&self, item: u32, tag: u32) -> Error {
        let expected = format!("tags of item {item} below {}", self.names.len());
        Error::tensor(
            &self.part,
            &format!("{}.values", self.column),
            expected,
            tag.to_string(),
        )
    }
}
