//! How alike items are: cosines between their rows in one space.

#![forbid(unsafe_code)]

use super::kernel::{Block, Query};
use super::space::Space;
use crate::bundle::Metric;
use crate::cancel::Cancel;
use crate::error::{Error, Result};

/// Rows between two looks at `cancel`.
const STRETCH: usize = 4096;

/// The rows of some items, each of length 1, so that their products are cosines.
#[derive(Debug)]
pub(crate) struct Likeness {
    width: usize,
    rows: Vec<f32>,
}

impl Likeness {
    /// Gathers the rows of `items`. A row that was never trained, or is all zeros, is like nothing: its cosines are 0.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], [`Error::Tensor`] if a row is damaged, [`Error::Cancelled`],
    /// [`Error::DeadlineExceeded`].
    pub(crate) fn gather(space: &Space, items: &[u32], cancel: &Cancel) -> Result<Self> {
        let width = space.width();
        let numbers = items.len().saturating_mul(width);
        let mut rows = Vec::new();
        rows.try_reserve_exact(numbers)
            .map_err(|_| Error::OutOfMemory {
                what: format!("the rows of {} items", items.len()),
                bytes: numbers.saturating_mul(size_of::<f32>()),
            })?;
        rows.resize(numbers, 0.0);
        let places = items.iter().zip(rows.chunks_exact_mut(width));
        for (index, (&item, row)) in places.enumerate() {
            if index % STRETCH == 0 {
                cancel.check()?;
            }
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

    /// The gathered rows, in the order of their items.
    pub(crate) fn rows(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.rows.chunks_exact(self.width)
    }

    /// The row of the item at `index`.
    pub(crate) fn row(&self, index: usize) -> &[f32] {
        &self.rows[index * self.width..][..self.width]
    }

    /// The cosines of all gathered items with one whose gathered row this is, in their order.
    pub(crate) fn to(&self, row: &[f32]) -> Vec<f32> {
        let mut cosines = vec![0.0; self.rows().len()];
        Block {
            query: Query::new(Metric::Dot, row),
            rows: &self.rows,
            chosen: None,
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
            let gather = |items: &[u32]| Likeness::gather(space, items, &Cancel::new()).unwrap();
            let likeness = gather(&[2, 0, 1, 3, 4]);
            assert_eq!(likeness.rows().len(), 5);
            for (item, expected) in [
                (2, [1.0, 0.0, 0.0, 0.0, 0.0]),
                (0, [0.0, 1.0, -1.0, 0.0, 0.0]),
                (3, [0.0; 5]),
                (4, [0.0; 5]),
            ] {
                for (found, expected) in likeness.to(gather(&[item]).row(0)).iter().zip(expected) {
                    assert!((found - expected).abs() < 1e-6, "{metric}: {found}");
                }
            }
        }
    }

    #[test]
    fn gathering_can_be_stopped() {
        let table = Table::default().set("rows", &[1, 2], &[1f32, 0.0]);
        let bundle = open_space(1, &(table, 2, "f32", "dot")).unwrap();
        let cancel = Cancel::new();
        cancel.request();
        let gathered = Likeness::gather(bundle.space("s").unwrap(), &[0, 0], &cancel);
        assert!(matches!(gathered, Err(Error::Cancelled)), "{gathered:?}");
    }
}
