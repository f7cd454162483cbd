//! A denoiser: from vectors on their way to an ideal item to the item that each seems to be.

#![forbid(unsafe_code)]

use std::sync::Arc;

use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::graph::{Bound, Dim, Graph, Numbers, Tensor};

/// A graph `x`, `condition`, `step` → `x0`: a network that predicts `x̂_0` from `x_t` itself, not the noise.
#[derive(Debug)]
pub(crate) struct Denoiser {
    graph: Arc<Graph>,
    width: usize,
}

impl Denoiser {
    /// Binds a graph, checking that it is one for vectors of this width.
    pub(crate) fn open(graph: Arc<Graph>, width: usize) -> Result<Self> {
        let vectors = [Dim::Any, Dim::Exactly(width)];
        graph.expect_inputs(&[
            ("x", Numbers::F32, &vectors),
            ("condition", Numbers::F32, &vectors),
            ("step", Numbers::I64, &[Dim::Any]),
        ])?;
        graph.expect_output("x0", Numbers::F32, &vectors)?;
        Ok(Self { graph, width })
    }

    /// Lets `chain` denoise again and again under the same conditions, `[B, d]`.
    ///
    /// The graph is the chain's until it ends, and its tensors are made once.
    pub(crate) fn under<T>(
        &self,
        conditions: &[f32],
        cancel: &Cancel,
        chain: impl FnOnce(&mut Denoising) -> Result<T>,
    ) -> Result<T> {
        let rows = conditions.len() / self.width;
        let shape = [rows as i64, self.width as i64];
        let [x, condition, step] = [
            ("x", Numbers::F32, &shape[..]),
            ("condition", Numbers::F32, &shape[..]),
            ("step", Numbers::I64, &shape[..1]),
        ]
        .map(|(name, numbers, shape)| Tensor {
            name,
            numbers,
            shape,
        });
        // At the places that [`Denoising::step`] knows.
        let inputs = [x, condition, step];
        self.graph.bind(inputs, ("x0", &shape), cancel, |bound| {
            bound.f32s(1)?.copy_from_slice(conditions);
            chain(&mut Denoising { bound, cancel })
        })
    }
}

/// A denoiser under its conditions.
pub(crate) struct Denoising<'a, 'b> {
    bound: &'a mut Bound<'b, 3>,
    cancel: &'a Cancel,
}

impl Denoising<'_, '_> {
    /// `x̂_0`, `[B, d]`, for `x_t`, which may be given for the first rows only and then stands for the others in turn.
    ///
    /// # Errors
    /// [`Error::Cancelled`], [`Error::DeadlineExceeded`], [`Error::Runtime`], [`Error::Graph`] if a number is not
    /// finite.
    pub(crate) fn step(&mut self, x: &[f32], t: usize) -> Result<&[f32]> {
        self.cancel.check()?;
        for rows in self.bound.f32s(0)?.chunks_exact_mut(x.len()) {
            rows.copy_from_slice(x);
        }
        self.bound.i64s(2)?.fill(t as i64);
        self.bound.run()?;
        let (graph, x0) = (self.bound.graph(), self.bound.output()?);
        match x0.iter().find(|number| !number.is_finite()) {
            None => Ok(x0),
            Some(number) => {
                let found = format!("{number} in step {t}");
                Err(Error::graph(graph, "output `x0`", "finite numbers", found))
            }
        }
    }
}
