//! How alike items are: cosines between their rows in one space.

#![forbid(unsafe_code)]

use super::kernel::{Block, Query};
use super::space::Space;
use crate::bundle::Metric;
use crate::error::{Error, Result};

/// The rows of some items, each of length 1, so that their products are cosines.
#[derive(Debug)]
pub(crate) struct Likeness {
    width: usize,
    rows: Vec<f32>,
}

impl Likeness {
    /// Gathers the rows of `items`. A row that was never trained, or is all zeros, is like nothing: its cosines are 0.
    pub(crate) fn gather(space: &Space, items: &[u32]) -> Result<Self> {
        let width = space.width();
        let numbers = items.len().saturating_mul(width);
        let mut rows = Vec::new();
        rows.try_reserve_exact(numbers)
            .map_err(|_| Error::OutOfMemory {
                what: format!("the rows of {} items", items.len()),
                bytes: numbers.saturating_mul(size_of::<f32>()),
            })?;
        rows.resize(numbers, 0.0);
        for (&item, row) in items.iter().zip(rows.chunks_exact_mut(width)) {
            if space.is_cold(item) {
                continue;
            }
            space.row(item, row)?;
            let norm = row
                .iter()
                .map(|&x| f64::from(x) * f64::from(x))
                .sum::<f64>()
                .sqrt();
            if norm > 0.0 {
                #[allow(clippy::cast_possible_truncation, reason = "at most 1 in size")]
                row.iter_mut()
                    .for_each(|x| *x = (f64::from(*x) / norm) as f32);
            }
        }
        Ok(Self { width, rows })
    }

    /// The cosines of all gathered items with the one at `index`, in their order.
    pub(crate) fn to(&self, index: usize) -> Vec<f32> {
        let mut cosines = vec![0.0; self.rows.len() / self.width];
        let start = index * self.width;
        let point = self.rows.get(start..start + self.width).unwrap_or_default();
        Block {
            query: Query::new(Metric::Dot, point),
            rows: &self.rows,
            scales: None,
            biases: None,
            scores: &mut cosines,
        }
        .score();
        cosines
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Table, open_space};
    use super::*;

    #[test]
    fn likeness_is_the_cosine_whatever_the_metric_and_the_bias() {
        let table = Table::default()
            .set(
                "rows",
                &[5, 2],
                &[3f32, 4.0, -6.0, -8.0, 4.0, -3.0, 0.0, 0.0, 1.0, 1.0],
            )
            .list("bias", &[9f32; 5])
            .list("cold", &[0u8, 0, 0, 0, 1]);
        for metric in ["dot", "cosine", "l2"] {
            let bundle = open_space(5, &(table.clone(), 2, "f32", metric)).unwrap();
            let space = bundle.space("s").unwrap();
            let likeness = Likeness::gather(space, &[2, 0, 1, 3, 4]).unwrap();
            for (index, expected) in [
                (0, [1.0, 0.0, 0.0, 0.0, 0.0]),
                (1, [0.0, 1.0, -1.0, 0.0, 0.0]),
                (3, [0.0; 5]),
                (4, [0.0; 5]),
            ] {
                for (found, expected) in likeness.to(index).iter().zip(expected) {
                    assert!((found - expected).abs() < 1e-6, "{metric}: {found}");
                }
            }
        }
    }
}
