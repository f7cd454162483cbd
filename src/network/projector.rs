//! A linear layer that makes of a recommender's vector a row that a language model reads where a token's would stand.
//!
//! RecInterpreter's adapter (Yang et al., arXiv 2310.20487): `W·v + b`, no activation. A part of the bundle holds it, which
//! is mapped and read in place.

#![forbid(unsafe_code)]

use crate::bundle::{Array, Tensors};
use crate::error::{Error, Result};

const WEIGHT: &str = "weight";
const BIAS: &str = "bias";

/// From vectors of one width to rows of another.
#[derive(Debug)]
pub struct Projector {
    part: String,
    #[cfg(feature = "llm")]
    width: usize,
    /// `W`, `[D, d]`, row by row.
    weight: Array<f32>,
    /// `b`, `[D]`.
    bias: Array<f32>,
}

impl Projector {
    /// Opens the two tensors of a part, for vectors of the width `from`.
    pub(crate) fn open(tensors: &Tensors, from: usize, to: usize) -> Result<Self> {
        tensors.only(|tensor| [WEIGHT, BIAS].contains(&tensor))?;
        Ok(Self {
            part: tensors.part().into(),
            #[cfg(feature = "llm")]
            width: from,
            weight: tensors.array(WEIGHT, &[to, from])?,
            bias: tensors.array(BIAS, &[to])?,
        })
    }

    /// Reads every number.
    pub(crate) fn verify(&self) -> Result<()> {
        for (tensor, values) in [(WEIGHT, &self.weight), (BIAS, &self.bias)] {
            if let Some(value) = values.iter().find(|value| !value.is_finite()) {
                let found = value.to_string();
                return Err(Error::tensor(&self.part, tensor, "finite numbers", found));
            }
        }
        Ok(())
    }

    /// The row of a vector, in sums of f64.
    ///
    /// # Errors
    /// [`Error::Tensor`] if it is not finite.
    #[cfg(feature = "llm")]
    pub(crate) fn row(&self, vector: &[f32]) -> Result<Vec<f32>> {
        let weights = self.weight.chunks_exact(self.width);
        let products = weights.zip(&*self.bias).map(|(weights, &bias)| {
            let pairs = weights.iter().zip(vector);
            let sum: f64 = pairs.map(|(&w, &v)| f64::from(w) * f64::from(v)).sum();
            (sum + f64::from(bias)) as f32
        });
        let row: Vec<f32> = products.collect();
        match row.iter().find(|number| !number.is_finite()) {
            None => Ok(row),
            Some(number) => {
                let expected = "numbers that make finite rows";
                let found = format!("one that makes {number}");
                Err(Error::tensor(&self.part, WEIGHT, expected, found))
            }
        }
    }
}
