//! Sequence encoders: the last items of a history in, one state vector out.
//!
//! Every encoder keeps one contract, whatever is inside (SASRec: Kang and McAuley, ICDM 2018, in the form of DreamRec's
//! code; GRU4Rec; Caser; NextItNet). Rows come oldest first, `length` counts them, the state is that of the last one.
//! An empty history is one empty row of length 1. Items whose row was never trained are passed over.

#![forbid(unsafe_code)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::vectors;
use crate::bundle::{Bundle, EmptyRow, EncoderEntry, Length};
use crate::cancel::Cancel;
use crate::catalog::Space;
#[cfg(feature = "llm")]
use crate::error::Error;
use crate::error::Result;
use crate::graph::{Dim, Graph, Numbers, Tensor};
use crate::threads::in_threads;

/// The most numbers that go into one run, `B · L' · d`, unless one window alone has more: 20 windows of 50 rows of 64.
///
/// More together would save little, and pad shorter windows more: 64 users of the demo took twice as long in one run.
const RUN_NUMBERS: usize = 1 << 16;

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

    /// Whether it has never seen an item.
    #[cfg(feature = "llm")]
    pub(crate) fn is_cold(&self, item: u32) -> bool {
        self.input.is_cold(item)
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

    /// The state `[e]` after each window of items, in their order.
    ///
    /// Windows share graph runs of at most [`RUN_NUMBERS`] numbers going in; those of like lengths come together, for
    /// in a run all are as long as the longest. As many runs go at once as there are `threads` and the graph has replicas.
    pub(crate) fn states(
        &self,
        windows: &[Vec<u32>],
        threads: usize,
        cancel: &Cancel,
    ) -> Result<Vec<Arc<[f32]>>> {
        let runs = self.runs(windows);
        let next = AtomicUsize::new(0);
        let threads = threads.min(self.graph.replicas()).min(runs.len());
        let found = in_threads(threads, || {
            let mut found = Vec::new();
            while let Some(run) = runs.get(next.fetch_add(1, Ordering::Relaxed)) {
                let windows: Vec<&[u32]> = run.iter().map(|&index| &*windows[index]).collect();
                found.extend(run.iter().copied().zip(self.run(&windows, &[], cancel)?));
            }
            Ok(found)
        })?;
        let mut states = vec![Arc::default(); windows.len()];
        for (index, state) in found.into_iter().flatten() {
            states[index] = state;
        }
        Ok(states)
    }

    /// The state `[e]` after one window of items.
    #[cfg(feature = "llm")]
    pub(crate) fn state(&self, window: Vec<u32>, cancel: &Cancel) -> Result<Arc<[f32]>> {
        let states = self.states(&[window], 1, cancel)?;
        only(states)
    }

    /// The state `[e]` after the last items of a window and one more row `[d]`, which stands where an item's would.
    #[cfg(feature = "llm")]
    pub(crate) fn state_after(
        &self,
        window: &[u32],
        row: &[f32],
        cancel: &Cancel,
    ) -> Result<Arc<[f32]>> {
        if row.len() != self.input.width() {
            let (found, width) = (row.len(), self.input.width());
            return Err(Error::Unsupported {
                what: format!("a row of {found} numbers in an encoder of rows of {width}"),
            });
        }
        let window = &window[window.len().saturating_sub(self.window - 1)..];
        only(self.run(&[window], row, cancel)?)
    }

    /// Which windows go into which run. They differ neither with threads nor with replicas, nor do states.
    fn runs(&self, windows: &[Vec<u32>]) -> Vec<Vec<usize>> {
        let mut order: Vec<usize> = (0..windows.len()).collect();
        order.sort_by_key(|&index| windows[index].len());
        let mut runs = Vec::new();
        while let Some(&longest) = order.last() {
            let rows = self.rows(windows[longest].len());
            let most = RUN_NUMBERS / (rows * self.input.width()).max(1);
            // Those that are left, in runs of about equal length.
            let left = order.len().div_ceil(most.max(1));
            runs.push(order.split_off(order.len() - order.len().div_ceil(left)));
        }
        runs
    }

    /// How many rows the graph gets for a window of so many items.
    fn rows(&self, items: usize) -> usize {
        match self.length {
            Length::Dynamic => items.max(1),
            Length::Fixed => self.window,
        }
    }

    /// The states after some windows and the rows `behind` each of them, by one run of the graph.
    fn run(&self, windows: &[&[u32]], behind: &[f32], cancel: &Cancel) -> Result<Vec<Arc<[f32]>>> {
        let (d, e) = (self.input.width(), self.output.width());
        let length = |window: &[u32]| window.len() + behind.len() / d;
        let longest = windows.iter().map(|window| length(window)).max();
        let rows = self.rows(longest.unwrap_or_default());
        let batch = windows.len() as i64;
        let inputs = [
            Tensor {
                name: "rows",
                numbers: Numbers::F32,
                shape: &[batch, rows as i64, d as i64],
            },
            Tensor {
                name: "length",
                numbers: Numbers::I64,
                shape: &[batch],
            },
        ];
        let output = ("state", [windows.len(), e]);
        vectors(&self.graph, inputs, output, cancel, |bound| {
            let gathered = bound.f32s(0)?.chunks_exact_mut(rows * d);
            for (window, gathered) in windows.iter().zip(gathered) {
                let (known, padding) = gathered.split_at_mut(window.len() * d);
                for (item, row) in window.iter().zip(known.chunks_exact_mut(d)) {
                    self.input.row(*item, row)?;
                }
                let (more, padding) = padding.split_at_mut(behind.len());
                more.copy_from_slice(behind);
                for row in padding.chunks_exact_mut(d) {
                    row.copy_from_slice(&self.empty_row);
                }
            }
            let lengths = bound.i64s(1)?.iter_mut();
            for (own, window) in lengths.zip(windows) {
                *own = length(window).max(1) as i64;
            }
            Ok(())
        })
    }
}

#[cfg(feature = "llm")]
fn only(states: Vec<Arc<[f32]>>) -> Result<Arc<[f32]>> {
    let state = states.into_iter().next();
    state.ok_or_else(|| Error::Internal {
        reason: "a window without a state".into(),
    })
}
