//! A token table: a row for every token of a vocabulary, which a language model reads instead of the token, and which
//! hidden states are multiplied with where it is also the output head.

#![forbid(unsafe_code)]

use crate::bundle::{Metric, RowType, SpaceEntry, Tensors, TokenTableEntry};
use crate::cancel::Cancel;
use crate::catalog::Space;
use crate::error::{Error, Result};

/// The tensors that a token table may have.
const TENSORS: [&str; 3] = ["rows", "scale", "error"];

/// How many bytes of rows are multiplied with all states before the next are read: they stay in the nearest cache.
#[cfg(feature = "llm")]
const BLOCK_BYTES: usize = 32 << 10;

/// A table of rows, `[V, D]`, one per token: f32, f16 or i8 at rest, f32 in arithmetic. It is a [`Space`] of tokens.
#[derive(Debug)]
pub struct TokenTable(Space);

impl TokenTable {
    /// Opens the rows of a part: types and shapes.
    pub(crate) fn open(name: &str, entry: &TokenTableEntry, tensors: &Tensors) -> Result<Self> {
        tensors.only(|tensor| TENSORS.contains(&tensor))?;
        let space = SpaceEntry {
            part: entry.part.clone(),
            rows: entry.rows,
            width: entry.width,
            dtype: entry.dtype,
            metric: Metric::Dot,
            exact: None,
            bias: false,
            index: None,
        };
        Space::open(name, &space, tensors, None, None).map(Self)
    }

    /// Reads every number.
    pub(crate) fn verify(&self, cancel: &Cancel) -> Result<()> {
        self.0.verify(cancel)
    }

    /// Its name in the manifest.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.name()
    }

    /// How many rows there are: V, at least one for each token.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.0.len()
    }

    /// Whether there are no rows. A bundle's tables always have some.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many numbers a row has: D.
    #[must_use]
    pub fn width(&self) -> usize {
        self.0.width()
    }

    /// How rows are stored.
    #[must_use]
    pub fn row_type(&self) -> RowType {
        self.0.row_type()
    }

    /// Copies a token's row to `out`: `[D]`, as f32, whatever it is stored as.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if there is no such token, or `out` is not as long as a row; [`Error::Tensor`] if the
    /// row holds a number that is not finite.
    pub fn row(&self, token: u32, out: &mut [f32]) -> Result<()> {
        if token >= self.len() {
            let reason = format!(
                "{token} is not one of the {} of `{}`",
                self.len(),
                self.name()
            );
            return Err(Error::argument("token", reason));
        }
        self.0.row(token, out)
    }

    /// The products of a state `[D]`, finite numbers, with the rows of some tokens.
    #[cfg(feature = "llm")]
    pub(crate) fn products_of(&self, state: &[f32], tokens: &[u32]) -> Result<Vec<f32>> {
        self.0.score(state, tokens)
    }

    /// The products of states `[R, D]`, finite numbers, with every row, into `out`, `[R, V]`.
    ///
    /// # Errors
    /// [`Error::Cancelled`], [`Error::DeadlineExceeded`].
    #[cfg(feature = "llm")]
    pub(crate) fn products(&self, states: &[f32], out: &mut [f32], cancel: &Cancel) -> Result<()> {
        let (rows, width) = (self.len() as usize, self.width());
        let block = (BLOCK_BYTES / (width * size_of::<f32>())).max(1);
        for start in (0..rows).step_by(block) {
            cancel.check()?;
            let range = start..rows.min(start + block);
            let states = states.chunks_exact(width);
            for (state, out) in states.zip(out.chunks_exact_mut(rows)) {
                self.0
                    .score_range(state, range.clone(), &mut out[range.clone()])?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::fixture::Table;

    fn entry(rows: u32, width: u32, dtype: RowType) -> TokenTableEntry {
        TokenTableEntry {
            part: "table".into(),
            rows,
            width,
            dtype,
        }
    }

    #[test]
    fn rows_come_as_f32_however_they_are_stored() {
        let f16 = [1.0, -2.0, 0.5, 4.0].map(half::f16::from_f32);
        let tables = [
            (
                RowType::F32,
                Table::default().set("rows", &[2, 2], &[1.0_f32, -2.0, 0.5, 4.0]),
            ),
            (RowType::F16, Table::default().set("rows", &[2, 2], &f16)),
            (
                RowType::I8,
                Table::default()
                    .set("rows", &[2, 2], &[64_i8, -127, 16, 127])
                    .list("scale", &[2.0_f32 / 127.0, 4.0 / 127.0])
                    .list("error", &[0.1_f32, 0.1]),
            ),
        ];
        for (dtype, tensors) in tables {
            let table = TokenTable::open("t", &entry(2, 2, dtype), &tensors.tensors().unwrap());
            let table = table.unwrap();
            table.verify(&Cancel::new()).unwrap();
            let mut row = [0.0; 2];
            for (token, expected) in [(0, [1.0, -2.0]), (1, [0.5, 4.0])] {
                table.row(token, &mut row).unwrap();
                let close = |(a, b): (&f32, f32)| (a - b).abs() < 0.02;
                assert!(row.iter().zip(expected).all(close), "{dtype:?} {row:?}");
            }
            let outside = table.row(2, &mut row);
            assert!(matches!(outside, Err(Error::InvalidArgument { .. })));
        }
    }

    #[test]
    fn only_the_tensors_of_a_token_table_are_in_it() {
        let rows = Table::default().set("rows", &[1, 2], &[1.0_f32, 2.0]);
        let open = |table: Table, entry: &TokenTableEntry| {
            TokenTable::open("t", entry, &table.tensors().unwrap()).map(|_| ())
        };
        let f32s = entry(1, 2, RowType::F32);
        open(rows.clone(), &f32s).unwrap();
        for wrong in [
            open(rows.clone().list("cold", &[0_u8]), &f32s),
            open(rows.clone().list("scale", &[1.0_f32]), &f32s),
            open(rows.clone(), &entry(2, 2, RowType::F32)),
            open(rows.clone(), &entry(1, 2, RowType::F16)),
            open(rows.without("rows"), &f32s),
        ] {
            assert!(matches!(wrong, Err(Error::Tensor { .. })), "{wrong:?}");
        }
    }

    #[cfg(feature = "llm")]
    #[test]
    fn products_are_those_of_each_state_with_each_row() {
        let (rows, width) = (700, 24);
        let number = |at: usize| ((at * 37 + 11) % 101) as f32 / 50.0 - 1.0;
        let values: Vec<f32> = (0..rows * width).map(number).collect();
        let table = Table::default().set("rows", &[rows, width], &values);
        let entry = entry(rows as u32, width as u32, RowType::F32);
        let table = TokenTable::open("t", &entry, &table.tensors().unwrap()).unwrap();
        let states: Vec<f32> = (0..3 * width).map(|at| number(at * 7 + 5)).collect();
        let mut found = vec![0.0; 3 * rows];
        table.products(&states, &mut found, &Cancel::new()).unwrap();
        for (state, found) in states.chunks(width).zip(found.chunks(rows)) {
            for (row, found) in values.chunks(width).zip(found) {
                let expected: f32 = row.iter().zip(state).map(|(a, b)| a * b).sum();
                assert!((found - expected).abs() < 1e-4);
            }
        }
    }
}
