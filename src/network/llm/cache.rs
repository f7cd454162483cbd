//! What a language model has read: its rows, their keys and values, and the state after the last.
//!
//! What prompts of all users begin with is read once for an engine: whoever needs it next takes a copy.

#![forbid(unsafe_code)]

use std::sync::Arc;

use crate::error::Result;
use crate::graph::Past;

/// What stands at one place of a text, as the model reads it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Row {
    Token(u32),
    Vector(Arc<[f32]>),
}

/// The rows of one text, read once.
#[derive(Debug)]
pub(crate) struct Cache {
    pub(super) past: Past,
    rows: Vec<Row>,
    /// What came out for the last row; nothing if that is not known any more.
    last: Vec<f32>,
    /// How many rows of the next text are those of other users' as well.
    pub(crate) shared: usize,
}

impl Cache {
    pub(super) fn new(past: Past) -> Self {
        Self {
            past,
            rows: Vec::new(),
            last: Vec::new(),
            shared: 0,
        }
    }

    /// How many rows have been read.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// What it takes, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.past.bytes()
    }

    /// What came out for the last row.
    pub(super) fn last(&self) -> &[f32] {
        &self.last
    }

    /// Forgets all but what can stay for these rows, and says how many those are: those that both begin with, and if
    /// they are all that is wanted but not all that was read, one less, so that there is a row to read.
    pub(super) fn keep(&mut self, rows: &[Row]) -> usize {
        let common = self.common(rows);
        let known = common == self.rows.len() && !self.last.is_empty();
        let kept = match common == rows.len() && !known {
            true => common.saturating_sub(1),
            false => common,
        };
        self.truncate(kept);
        kept
    }

    /// How many rows both begin with.
    pub(super) fn common(&self, rows: &[Row]) -> usize {
        let same = |(a, b): &(&Row, &Row)| a == b;
        self.rows.iter().zip(rows).take_while(same).count()
    }

    /// Takes what another cache of the same model holds, in the place of whatever this one does.
    pub(super) fn copy(&mut self, graph: &str, other: &Self) -> Result<()> {
        self.truncate(0);
        self.past.copy(graph, &other.past, other.len())?;
        self.rows.clone_from(&other.rows);
        self.last.clone_from(&other.last);
        Ok(())
    }

    /// Forgets the rows from `len` on.
    pub(super) fn truncate(&mut self, len: usize) {
        if len < self.rows.len() {
            self.rows.truncate(len);
            self.last.clear();
        }
    }

    /// Takes in rows whose keys and values are behind those of the others in `past`, with what came out for the last.
    pub(super) fn append(&mut self, rows: &[Row], last: &[f32]) {
        self.rows.extend_from_slice(rows);
        self.last.clear();
        self.last.extend_from_slice(last);
    }
}
