//! Sequence encoders: the last items of a history in, one state vector out.
//!
//! Every encoder keeps one contract, whatever is inside (SASRec: Kang and McAuley, ICDM 2018, in the form of DreamRec's
//! code; GRU4Rec; Caser; NextItNet). Rows come oldest first, `length` counts them, the state is that of the last one.
//! An empty history is one empty row of length 1. Items whose row was never trained are passed over.

#![forbid(unsafe_code)]

use std::sync::Arc;

use crate::bundle::{Bundle, EmptyRow, EncoderEntry, Length};
use crate::cancel::Cancel;
use crate::catalog::Space;
use crate::error::{Error, Result};
use crate::graph::{Dim, Graph, Input, Numbers};

#[derive(Debug)]
pub(crate) struct Encoder {
    graph: Arc<Graph>,
    input: Arc<Space>,
    output: Arc<Space>,
    window: usize,
    length: Length,
    /// What stands for padding and for an empty history, `[d]`.
    empty_row: Vec<f32>,
}

impl Encoder {
    /// Binds a graph to its spaces, checking that they agree.
    pub(crate) fn open(bundle: &Bundle, entry: &EncoderEntry, graph: Arc<Graph>) -> Result<Self> {
        let input = Arc::clone(bundle.space(&entry.input)?);
        let output = Arc::clone(bundle.space(&entry.output)?);
        let (d, e) = (input.width(), output.width());
        let length = match entry.length {
            Length::Dynamic => Dim::Any,
            Length::Fixed => Dim::Exactly(entry.window as usize),
        };
        graph.expect_inputs(&[
            ("rows", Numbers::F32, &[Dim::Any, length, Dim::Exactly(d)]),
            ("length", Numbers::I64, &[Dim::Any]),
        ])?;
        graph.expect_output("state", Numbers::F32, &[Dim::Any, Dim::Exactly(e)])?;
        let empty_row = match entry.empty_row {
            EmptyRow::Zero => vec![0.0; d],
            EmptyRow::Stored => input.stored_empty_row()?.to_vec(),
        };
        Ok(Self {
            graph,
            input,
            output,
            window: entry.window as usize,
            length: entry.length,
            empty_row,
        })
    }

    /// The space that states are scored against.
    pub(crate) fn output(&self) -> &Space {
        &self.output
    }

    /// The items that the encoder sees of a history: the last `window` that it knows, oldest first.
    pub(crate) fn window(&self, history: impl DoubleEndedIterator<Item = u32>) -> Vec<u32> {
        let mut items: Vec<u32> = history
            .rev()
            .filter(|item| !self.input.is_cold(*item))
            .take(self.window)
            .collect();
        items.reverse();
        items
    }

    /// The state `[e]` after a window of items.
    pub(crate) fn state(&self, window: &[u32], cancel: &Cancel) -> Result<Vec<f32>> {
        let d = self.input.width();
        let length = window.len().max(1);
        let rows = match self.length {
            Length::Dynamic => length,
            Length::Fixed => self.window,
        };
        let mut gathered = Vec::new();
        gathered
            .try_reserve_exact(rows * d)
            .map_err(|_| Error::OutOfMemory {
                what: "the rows of a window".into(),
                bytes: rows * d * size_of::<f32>(),
            })?;
        for _ in 0..rows {
            gathered.extend_from_slice(&self.empty_row);
        }
        for (item, row) in window.iter().zip(gathered.chunks_exact_mut(d)) {
            self.input.row(*item, row)?;
        }
        let inputs = [
            ("rows", Input::F32(&gathered, &[1, rows as i64, d as i64])),
            ("length", Input::I64(&[length as i64], &[1])),
        ];
        let e = self.output.width();
        self.graph
            .run(&inputs, "state", cancel, |shape, state| match shape {
                [1, width] if usize::try_from(*width) == Ok(e) => self.finite(state),
                _ => Err(self.wrong_state(format!("shape [1, {e}]"), format!("{shape:?}"))),
            })
    }

    fn finite(&self, state: &[f32]) -> Result<Vec<f32>> {
        match state.iter().position(|number| !number.is_finite()) {
            None => Ok(state.to_vec()),
            Some(column) => {
                let found = format!("{} in column {column}", state[column]);
                Err(self.wrong_state("finite numbers".into(), found))
            }
        }
    }

    fn wrong_state(&self, expected: String, found: String) -> Error {
        Error::graph(self.graph.name(), "output `state`", expected, found)
    }
}
