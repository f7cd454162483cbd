//! A Q-network: what each next item is worth in the long run, from the state of an encoder.
//!
//! Q(s, a) is the expected sum of the rewards to come if `a` is chosen in state `s`, each worth γ of the one before. Our
//! reading of MCRL (Li et al., "Model-enhanced Contrastive Reinforcement Learning for Sequential Recommendation",
//! arXiv 2310.16566), whose authors published no code: one linear head over the state, Q = ⟨query, row⟩ + bias.

#![forbid(unsafe_code)]

use std::sync::Arc;

use super::vectors;
use crate::bundle::{Bundle, QNetworkEntry};
use crate::cancel::Cancel;
use crate::catalog::Space;
use crate::error::Result;
use crate::graph::{Dim, Graph, Numbers, Tensor};

/// The most numbers that come out of one run, `B · q` or `B · N`, unless those of one state are more.
const RUN_NUMBERS: usize = 1 << 16;

#[derive(Debug)]
pub(crate) struct QNetwork {
    encoder: String,
    weight: f32,
    graph: Option<Arc<Graph>>,
    /// e.
    state: usize,
    output: Output,
}

#[derive(Debug)]
enum Output {
    /// `query` `[B, q]`: Q is its score against an item's row.
    Query(Arc<Space>),
    /// `q_values` `[B, N]`: Q itself.
    Values { items: usize },
}

impl Output {
    fn tensor(&self) -> (&'static str, usize) {
        match self {
            Self::Query(space) => ("query", space.width()),
            Self::Values { items } => ("q_values", *items),
        }
    }
}

impl QNetwork {
    /// Binds a graph, if there is one, to its encoder and its space, checking that they agree.
    pub(crate) fn open(
        bundle: &Bundle,
        entry: &QNetworkEntry,
        graph: Option<Arc<Graph>>,
    ) -> Result<Self> {
        let encoder = &bundle.manifest().encoders[&entry.encoder];
        let state = bundle.space(&encoder.output)?.width();
        let output = match &entry.output {
            Some(space) => Output::Query(Arc::clone(bundle.space(space)?)),
            None => Output::Values {
                items: bundle.catalog().len() as usize,
            },
        };
        if let Some(graph) = &graph {
            let (tensor, width) = output.tensor();
            let inputs = [Dim::Any, Dim::Exactly(state)];
            graph.expect_inputs(&[("state", Numbers::F32, &inputs)])?;
            graph.expect_output(tensor, Numbers::F32, &[Dim::Any, Dim::Exactly(width)])?;
        }
        Ok(Self {
            encoder: entry.encoder.clone(),
            weight: entry.weight,
            graph,
            state,
            output,
        })
    }

    /// The encoder whose state it reads.
    pub(crate) fn encoder(&self) -> &str {
        &self.encoder
    }

    /// What Q counts in a blend where nobody says otherwise, 0 to 1.
    pub(crate) fn weight(&self) -> f32 {
        self.weight
    }

    /// The space that queries are scored against; none if what comes out are the values of all items.
    pub(crate) fn space(&self) -> Option<&Space> {
        match &self.output {
            Output::Query(space) => Some(space),
            Output::Values { .. } => None,
        }
    }

    /// The query `[q]`, or the values of all items `[N]`, of each state `[e]`, in their order.
    ///
    /// # Errors
    /// [`Error::Cancelled`](crate::Error::Cancelled), [`Error::DeadlineExceeded`](crate::Error::DeadlineExceeded),
    /// [`Error::Runtime`](crate::Error::Runtime), [`Error::Graph`](crate::Error::Graph) if a number is not finite.
    pub(crate) fn run(&self, states: &[Arc<[f32]>], cancel: &Cancel) -> Result<Vec<Arc<[f32]>>> {
        cancel.check()?;
        let Some(graph) = &self.graph else {
            return Ok(states.to_vec());
        };
        let (tensor, width) = self.output.tensor();
        let mut outputs = Vec::with_capacity(states.len());
        for run in states.chunks((RUN_NUMBERS / width).max(1)) {
            let shape = [run.len() as i64, self.state as i64];
            let input = Tensor {
                name: "state",
                numbers: Numbers::F32,
                shape: &shape,
            };
            let output = (tensor, [run.len(), width]);
            outputs.extend(vectors(graph, [input], output, cancel, |bound| {
                let rows = bound.f32s(0)?.chunks_exact_mut(self.state);
                rows.zip(run)
                    .for_each(|(row, state)| row.copy_from_slice(state));
                Ok(())
            })?);
        }
        Ok(outputs)
    }
}
