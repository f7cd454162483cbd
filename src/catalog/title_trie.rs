//! The catalog's titles as a tree of tokens, mapped: what a language model may write, so that it is always a title.
//!
//! Nodes are numbered level by level, so that those that follow on one are neighbours. Node 0 is the text before a title;
//! the last token of each title is the end-of-title token, and its node has the items of that title.

#![forbid(unsafe_code)]

use std::ops::Range;

use crate::bundle::{Array, Tensors};
use crate::error::{Error, Result};

/// The tensors that a tree has.
const TENSORS: [&str; 4] = ["tokens", "children", "item_starts", "items"];

/// The tree of the titles of a catalog.
#[derive(Debug)]
pub(crate) struct TitleTrie {
    part: String,
    /// `[nodes]`: the token of each; that of node 0 means nothing.
    tokens: Array<u32>,
    /// `[nodes + 1]`: where the nodes that follow on each begin.
    children: Array<u32>,
    /// `[nodes + 1]`: where the items of each begin.
    item_starts: Array<u32>,
    items: Array<u32>,
    /// How many items the catalog has.
    catalog: u32,
    /// How many tokens the model has.
    vocabulary: u32,
}

impl TitleTrie {
    /// Opens a part: types, shapes, and the first and last offsets.
    pub(crate) fn open(tensors: &Tensors, catalog: u32, vocabulary: u32) -> Result<Self> {
        tensors.only(|tensor| TENSORS.contains(&tensor))?;
        let tokens = tensors.list::<u32>("tokens")?;
        let trie = Self {
            part: tensors.part().into(),
            children: tensors.array("children", &[tokens.len() + 1])?,
            item_starts: tensors.array("item_starts", &[tokens.len() + 1])?,
            items: tensors.list("items")?,
            tokens,
            catalog,
            vocabulary,
        };
        if trie.tokens.is_empty() {
            return Err(trie.wrong("tokens", "at least one node", "none"));
        }
        let ends = |tensor: &str, offsets: &[u32], first: usize, last: usize| {
            let found = (offsets.first().copied(), offsets.last().copied());
            let fits = |found: Option<u32>, expected| {
                found.is_some_and(|found| found as usize == expected)
            };
            match fits(found.0, first) && fits(found.1, last) {
                true => Ok(()),
                false => {
                    let expected = format!("offsets from {first} to {last}");
                    Err(trie.wrong(tensor, expected, format!("{found:?}")))
                }
            }
        };
        ends("children", &trie.children, 1, trie.tokens.len())?;
        ends("item_starts", &trie.item_starts, 0, trie.items.len())?;
        Ok(trie)
    }

    /// Reads every number.
    pub(crate) fn verify(&self) -> Result<()> {
        let mut there = vec![false; self.catalog as usize];
        for node in 0..self.tokens.len() as u32 {
            let children = self.children(node)?;
            let tokens = &self.tokens[children.start as usize..children.end as usize];
            if let Some(pair) = tokens.windows(2).find(|pair| pair[0] >= pair[1]) {
                return Err(self.wrong(
                    "tokens",
                    "those that follow on one in order",
                    format!("{pair:?}"),
                ));
            }
            children
                .clone()
                .try_for_each(|child| self.token(child).map(drop))?;
            let items = self.items(node)?;
            if children.is_empty() && items.is_empty() {
                return Err(self.wrong(
                    "items",
                    format!("some of node {node}, on which nothing follows"),
                    "none",
                ));
            }
            for &item in items {
                if std::mem::replace(&mut there[item as usize], true) {
                    return Err(self.wrong(
                        "items",
                        "each item once",
                        format!("item {item} twice"),
                    ));
                }
            }
        }
        match there.iter().position(|there| !there) {
            Some(item) => {
                Err(self.wrong("items", "each item once", format!("item {item} nowhere")))
            }
            None => Ok(()),
        }
    }

    /// The nodes that follow on one.
    pub(crate) fn children(&self, node: u32) -> Result<Range<u32>> {
        let at = node as usize;
        let found = self
            .children
            .get(at)
            .copied()
            .zip(self.children.get(at + 1).copied());
        match found {
            // Each is further on than the one it follows on: no way leads round.
            Some((start, end))
                if node < start && start <= end && end as usize <= self.tokens.len() =>
            {
                Ok(start..end)
            }
            _ => Err(self.wrong(
                "children",
                format!("rising offsets at node {node}"),
                format!("{found:?}"),
            )),
        }
    }

    /// The token of a node, one of the model's; that of node 0 means nothing.
    pub(crate) fn token(&self, node: u32) -> Result<u32> {
        match self.tokens.get(node as usize) {
            Some(&token) if token < self.vocabulary => Ok(token),
            found => {
                let expected = format!("a token below {} at node {node}", self.vocabulary);
                let found = found.map_or("none".into(), u32::to_string);
                Err(self.wrong("tokens", expected, found))
            }
        }
    }

    /// The items whose title ends with a node, in their order.
    pub(crate) fn items(&self, node: u32) -> Result<&[u32]> {
        let at = node as usize;
        let found = self
            .item_starts
            .get(at)
            .copied()
            .zip(self.item_starts.get(at + 1).copied());
        let items = found.and_then(|(start, end)| self.items.get(start as usize..end as usize));
        let items = items.ok_or_else(|| {
            self.wrong(
                "item_starts",
                format!("rising offsets at node {node}"),
                format!("{found:?}"),
            )
        })?;
        match items.iter().find(|&&item| item >= self.catalog) {
            Some(item) => Err(self.wrong(
                "items",
                format!("items below {}", self.catalog),
                item.to_string(),
            )),
            None => Ok(items),
        }
    }

    fn wrong(&self, tensor: &str, expected: impl Into<String>, found: impl Into<String>) -> Error {
        Error::tensor(&self.part, tensor, expected, found)
    }
}
