//! A space: a table of rows, one per item, and the metric that a query is compared with them by.
//!
//! Rows are f32, f16 or i8 at rest and f32 in arithmetic. Where a space of i8 rows names exact ones beside them, scores
//! are defined on the exact rows, and the i8 rows are their twins: a scan reads the twins and only those exact rows
//! that [`bound`](super::bound) cannot rule out. They are mapped and read in place: opening checks types and
//! shapes, [`Space::verify`] reads every number.

#![forbid(unsafe_code)]

use std::ops::Range;

use half::f16;
use pulp::{Arch, Simd, WithSimd};
use safetensors::tensor::Dtype;

use super::bound::{self, Bound};
use super::cluster::TensorBytes;
use super::coarse::Source;
use super::index::Index;
use super::kernel::{Block, Query, Stored, prefetch_bytes};
use crate::bundle::{Array, Metric, RowType, SpaceEntry, Tensors};
use crate::cancel::Cancel;
use crate::error::{Error, Result};

/// Numbers between two looks at `cancel` in `verify`.
const VERIFY_BLOCK: usize = 1 << 20;

/// What an `error` may fall short by: the rounding of whoever wrote it.
const ERROR_TOLERANCE: f64 = 1.000_01;

/// The tensors that an item table may have.
pub(super) const TENSORS: [&str; 6] = ["rows", "scale", "error", "bias", "cold", "empty"];

/// The rows that scores are defined on, as they are stored.
#[derive(Debug)]
enum Rows {
    F32(Array<f32>),
    F16(Array<f16>),
    I8(Quantised),
}

/// Rows of i8: `scale·q`, each within `error` of what it was made from.
#[derive(Debug)]
struct Quantised {
    rows: Array<i8>,
    scale: Array<f32>,
    error: Array<f32>,
}

/// A table of rows, one per item, that a query is scored against.
#[derive(Debug)]
pub struct Space {
    name: String,
    part: String,
    len: u32,
    width: usize,
    metric: Metric,
    rows: Rows,
    /// What tells most rows apart from the nearest before they are read, where `rows` are those of `exact`.
    twins: Option<Quantised>,
    bias: Option<Array<f32>>,
    cold: Option<Array<u8>>,
    empty: Option<Array<f32>>,
    pub(super) index: Option<Box<Index>>,
}

impl Space {
    /// Opens the item table of a part with, if the space has them, its index or the rows of its part `exact`: types and
    /// shapes.
    pub(crate) fn open(
        name: &str,
        entry: &SpaceEntry,
        tensors: &Tensors,
        index: Option<&Tensors>,
        exact: Option<&Tensors>,
    ) -> Result<Self> {
        tensors.only(|tensor| TENSORS.contains(&tensor))?;
        let mut space = Self::open_rows(name, entry, tensors)?;
        if let Some((entry_of_index, tensors)) = entry.index.as_ref().zip(index) {
            space.index = Some(Box::new(Index::open(name, entry, entry_of_index, tensors)?));
        }
        if let Some(exact) = exact {
            space.add_exact(exact)?;
        }
        Ok(space)
    }

    /// Puts the exact rows in the place of the i8 ones, which become their twins.
    fn add_exact(&mut self, tensors: &Tensors) -> Result<()> {
        tensors.only(|tensor| TENSORS.contains(&tensor))?;
        let shape = [self.len as usize, self.width];
        let exact = match tensors.holds::<f16>("rows") {
            true => Rows::F16(tensors.array("rows", &shape)?),
            false => Rows::F32(tensors.array("rows", &shape)?),
        };
        if let Rows::I8(quantised) = std::mem::replace(&mut self.rows, exact) {
            self.twins = Some(quantised);
        }
        Ok(())
    }

    /// Opens the rows of a part, and what belongs to them.
    pub(super) fn open_rows(name: &str, entry: &SpaceEntry, tensors: &Tensors) -> Result<Self> {
        let (items, width) = (entry.rows as usize, entry.width as usize);
        let shape = [items, width];
        let rows = match entry.dtype {
            RowType::F32 => Rows::F32(tensors.array("rows", &shape)?),
            RowType::F16 => Rows::F16(tensors.array("rows", &shape)?),
            RowType::I8 => Rows::I8(Quantised {
                rows: tensors.array("rows", &shape)?,
                scale: tensors.array("scale", &[items])?,
                error: tensors.array("error", &[items])?,
            }),
        };
        if entry.dtype != RowType::I8
            && let Some(tensor) = ["scale", "error"]
                .into_iter()
                .find(|tensor| tensors.has(tensor))
        {
            return Err(Error::tensor(
                tensors.part(),
                tensor,
                "none: the rows are not I8",
                "a tensor",
            ));
        }
        Ok(Self {
            name: name.into(),
            part: tensors.part().into(),
            len: entry.rows,
            width,
            metric: entry.metric,
            rows,
            twins: None,
            bias: entry
                .bias
                .then(|| tensors.array("bias", &[items]))
                .transpose()?,
            cold: tensors
                .has("cold")
                .then(|| tensors.array("cold", &[items]))
                .transpose()?,
            empty: tensors
                .has("empty")
                .then(|| tensors.array("empty", &[width]))
                .transpose()?,
            index: None,
        })
    }

    /// Reads every number.
    pub(crate) fn verify(&self, cancel: &Cancel) -> Result<()> {
        match &self.rows {
            Rows::F32(rows) => {
                self.verify_rows(cancel, rows, "finite numbers", |value| value.is_finite())?
            }
            Rows::F16(rows) => {
                self.verify_rows(cancel, rows, "finite numbers", |value| value.is_finite())?
            }
            Rows::I8(quantised) => self.verify_quantised(cancel, quantised)?,
        }
        if let Some(twins) = &self.twins {
            self.verify_quantised(cancel, twins)?;
            self.verify_twins(cancel, twins)?;
        }
        for (tensor, values) in [("bias", &self.bias), ("empty", &self.empty)] {
            if let Some(values) = values {
                self.verify_numbers(tensor, values, "finite numbers", f32::is_finite)?;
            }
        }
        let cold = self.cold.as_deref().unwrap_or_default();
        match cold.iter().position(|&flag| flag > 1) {
            Some(item) => {
                Err(self.wrong("cold", "0 or 1", format!("{} for item {item}", cold[item])))
            }
            None => match &self.index {
                Some(index) => index.verify(self, cancel),
                None => Ok(()),
            },
        }
    }

    fn verify_quantised(&self, cancel: &Cancel, quantised: &Quantised) -> Result<()> {
        let Quantised { rows, scale, error } = quantised;
        self.verify_rows(cancel, rows, "−127 to 127", |&value| value != i8::MIN)?;
        for (tensor, values) in [("scale", scale), ("error", error)] {
            self.verify_numbers(tensor, values, "finite numbers, none negative", |value| {
                value.is_finite() && value >= 0.0
            })?;
        }
        Ok(())
    }

    /// Whether the twins are as near to the exact rows, and as long, as [`bound`](super::bound) takes for granted.
    fn verify_twins(&self, cancel: &Cancel, twins: &Quantised) -> Result<()> {
        let mut exact = vec![0.0; self.width];
        for item in 0..self.len {
            if item % 4096 == 0 {
                cancel.check()?;
            }
            let index = item as usize;
            self.row(item, &mut exact)?;
            let twin = self.block(&twins.rows, index..index + 1)?;
            let number = |tensor, values| {
                let numbers = self.entries(tensor, values, index..index + 1)?;
                Ok(f64::from(numbers[0]))
            };
            let scale = number("scale", &twins.scale)?;
            let error = number("error", &twins.error)?;
            let squares = exact.iter().zip(twin).map(|(&e, &q)| {
                let difference = f64::from(e) - scale * f64::from(q);
                difference * difference
            });
            let distance = squares.sum::<f64>().sqrt();
            if distance > error * ERROR_TOLERANCE {
                let expected = format!("at least {distance:e}, the distance from the exact row");
                return Err(self.wrong("error", expected, format!("{error:e} at {item}")));
            }
            let greatest = twin.iter().map(|q| q.unsigned_abs()).max();
            if scale > 0.0 && greatest != Some(127) {
                let found = format!("{} in item {item}", greatest.unwrap_or_default());
                return Err(self.wrong("rows", "127 as the greatest number of a row", found));
            }
        }
        Ok(())
    }

    fn verify_rows<T: Stored>(
        &self,
        cancel: &Cancel,
        rows: &[T],
        expected: &str,
        sound: impl Fn(&T) -> bool,
    ) -> Result<()> {
        for (block, values) in rows.chunks(VERIFY_BLOCK).enumerate() {
            cancel.check()?;
            if let Some(index) = values.iter().position(|value| !sound(value)) {
                let at = block * VERIFY_BLOCK + index;
                let (item, column) = (at / self.width, at % self.width);
                let found = format!(
                    "{} in column {column} of item {item}",
                    values[index].widen::<false>()
                );
                return Err(self.wrong("rows", expected, found));
            }
        }
        Ok(())
    }

    fn verify_numbers(
        &self,
        tensor: &str,
        values: &[f32],
        expected: &str,
        sound: impl Fn(f32) -> bool,
    ) -> Result<()> {
        match values.iter().position(|&value| !sound(value)) {
            Some(index) => {
                Err(self.wrong(tensor, expected, format!("{} at {index}", values[index])))
            }
            None => Ok(()),
        }
    }

    fn wrong(&self, tensor: &str, expected: impl Into<String>, found: impl Into<String>) -> Error {
        Error::tensor(&self.part, tensor, expected, found)
    }

    /// Its name in the manifest.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many rows there are: one per item.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Whether there are no rows. A bundle's spaces always have some.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many numbers a row has.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// How a query is compared with a row.
    #[must_use]
    pub fn metric(&self) -> Metric {
        self.metric
    }

    /// Whether its exact rows have i8 twins.
    pub(super) fn has_twins(&self) -> bool {
        self.twins.is_some()
    }

    /// How the rows that a scan runs over are stored.
    #[must_use]
    pub fn row_type(&self) -> RowType {
        match self.rows {
            _ if self.twins.is_some() => RowType::I8,
            Rows::F32(_) => RowType::F32,
            Rows::F16(_) => RowType::F16,
            Rows::I8(_) => RowType::I8,
        }
    }

    /// Whether an item's row was never trained. Such a row never ranks, and encoders pass over the item.
    #[must_use]
    pub fn is_cold(&self, item: u32) -> bool {
        self.cold
            .as_ref()
            .is_some_and(|cold| cold.get(item as usize) != Some(&0))
    }

    /// The row that stands for padding and for an empty history: `[width]`.
    pub(crate) fn stored_empty_row(&self) -> Result<&[f32]> {
        let expected = || format!("F32 [{}]", self.width);
        let row = self
            .empty
            .as_deref()
            .ok_or_else(|| self.wrong("empty", expected(), "no such tensor"))?;
        match row.len() == self.width {
            true => Ok(row),
            false => Err(self.wrong("empty", expected(), format!("F32 [{}]", row.len()))),
        }
    }

    /// Copies an item's row to `out`: `[width]`, as f32, whatever it is stored as.
    ///
    /// # Errors
    /// [`Error::UnknownItem`]; [`Error::InvalidArgument`] if `out` is not as long as a row; [`Error::Tensor`] if the row
    /// holds a number that is not finite.
    pub fn row(&self, item: u32, out: &mut [f32]) -> Result<()> {
        if item >= self.len {
            return Err(Error::UnknownItem {
                item,
                len: self.len,
            });
        }
        if out.len() != self.width {
            return Err(Error::argument(
                "out",
                format!("{} numbers for a row of {}", out.len(), self.width),
            ));
        }
        let range = item as usize..item as usize + 1;
        match &self.rows {
            Rows::F32(rows) => out.copy_from_slice(self.block(rows, range)?),
            Rows::F16(rows) => widen(self.block(rows, range)?, 1.0, out),
            Rows::I8(Quantised { rows, scale, .. }) => {
                let scale = scale.get(item as usize).copied().unwrap_or_default();
                widen(self.block(rows, range)?, scale, out);
            }
        }
        // First without a way out of the loop, so that it vectorises.
        if out
            .iter()
            .fold(true, |finite, number| finite & number.is_finite())
        {
            return Ok(());
        }
        match out.iter().position(|number| !number.is_finite()) {
            None => Ok(()),
            Some(column) => {
                let found = format!("{} in column {column} of item {item}", out[column]);
                Err(self.wrong("rows", "finite numbers", found))
            }
        }
    }

    /// Fails unless `point` has `width` finite numbers.
    pub(crate) fn check_point(&self, point: &[f32]) -> Result<()> {
        if point.len() != self.width {
            let reason = format!(
                "{} numbers for the space `{}` of width {}",
                point.len(),
                self.name,
                self.width
            );
            return Err(Error::argument("point", reason));
        }
        if let Some(column) = point.iter().position(|x| !x.is_finite()) {
            return Err(Error::argument(
                "point",
                format!("{} in column {column} is not finite", point[column]),
            ));
        }
        Ok(())
    }

    /// A query of this space: `point` has `width` finite numbers.
    pub(super) fn query<'a>(&self, point: &'a [f32]) -> Result<Query<'a>> {
        self.check_point(point)?;
        Ok(Query::new(self.metric, point))
    }

    /// The biases of the rows `range`, if the space has them.
    pub(super) fn biases(&self, range: Range<usize>) -> Result<Option<&[f32]>> {
        self.bias
            .as_deref()
            .map(|bias| self.entries("bias", bias, range))
            .transpose()
    }

    /// What tells rows of `range` apart at a glance: their whole numbers if they have such, else themselves, in place
    /// or in `room`.
    ///
    /// `room`: at least `[range, width]`.
    pub(super) fn coarse_rows<'a>(
        &'a self,
        range: Range<usize>,
        room: &'a mut [f32],
    ) -> Result<Source<'a>> {
        let quantised = |of: &'a Quantised, errors: Option<&'a Array<f32>>| -> Result<_> {
            let errors = errors.map(|errors| self.entries("error", errors, range.clone()));
            Ok(Source::Quantised {
                rows: self.block(&of.rows, range.clone())?,
                scales: self.entries("scale", &of.scale, range.clone())?,
                errors: errors.transpose()?,
            })
        };
        match (&self.twins, &self.rows) {
            (Some(twins), _) => quantised(twins, Some(&twins.error)),
            (None, Rows::I8(rows)) => quantised(rows, None),
            (None, Rows::F32(rows)) => Ok(Source::Wide(self.block(rows, range)?)),
            (None, Rows::F16(rows)) => {
                let room = &mut room[..range.len() * self.width];
                widen(self.block(rows, range)?, 1.0, room);
                Ok(Source::Wide(room))
            }
        }
    }

    /// Asks memory for the row that an item's scores are defined on.
    pub(super) fn prefetch_row(&self, item: u32) {
        fn ask<T>(rows: &[T], item: u32, width: usize) {
            let start = rows.as_ptr().wrapping_add(item as usize * width);
            prefetch_bytes(start.cast(), width * size_of::<T>());
        }
        match &self.rows {
            Rows::F32(rows) => ask(rows, item, self.width),
            Rows::F16(rows) => ask(rows, item, self.width),
            Rows::I8(quantised) => ask(&quantised.rows, item, self.width),
        }
    }

    /// Scores the rows `range`, cold ones too, against a point of `width` numbers, into `scores` of the same length.
    #[cfg(feature = "llm")]
    pub(crate) fn score_range(
        &self,
        point: &[f32],
        range: Range<usize>,
        scores: &mut [f32],
    ) -> Result<()> {
        self.score_block(self.query(point)?, range, scores)
    }

    /// Scores the rows `range`, cold ones too, into `scores` of the same length.
    pub(super) fn score_block(
        &self,
        query: Query<'_>,
        range: Range<usize>,
        scores: &mut [f32],
    ) -> Result<()> {
        self.score_rows(query, range, None, scores)
    }

    /// Scores the rows `range`, or those of them that are `chosen`, cold ones too.
    pub(super) fn score_rows(
        &self,
        query: Query<'_>,
        range: Range<usize>,
        chosen: Option<&[u32]>,
        scores: &mut [f32],
    ) -> Result<()> {
        let biases = self.biases(range.clone())?;
        match &self.rows {
            Rows::F32(rows) => {
                let rows = self.block(rows, range)?;
                Block {
                    query,
                    rows,
                    chosen,
                    scales: None,
                    biases,
                    scores,
                }
                .score();
            }
            Rows::F16(rows) => {
                let rows = self.block(rows, range)?;
                Block {
                    query,
                    rows,
                    chosen,
                    scales: None,
                    biases,
                    scores,
                }
                .score();
            }
            Rows::I8(Quantised { rows, scale, .. }) => {
                let scales = Some(self.entries("scale", scale, range.clone())?);
                let rows = self.block(rows, range)?;
                Block {
                    query,
                    rows,
                    chosen,
                    scales,
                    biases,
                    scores,
                }
                .score();
            }
        }
        Ok(())
    }

    /// Whether a row is the same numbers as a row of another table of the same type, with the same scale and bias.
    pub(super) fn same_row(&self, place: usize, other: &Self, item: usize) -> bool {
        fn same<T: Stored>(a: &[T], place: usize, b: &[T], item: usize, width: usize) -> bool {
            let a = a.get(place * width..(place + 1) * width);
            let b = b.get(item * width..(item + 1) * width);
            a.is_some() && a.map(bytemuck::cast_slice::<T, u8>) == b.map(bytemuck::cast_slice)
        }
        let entry = |values: &Option<Array<f32>>, at: usize| {
            values
                .as_ref()
                .map(|values| values.get(at).map(|value| value.to_bits()))
        };
        let rows = match (&self.rows, &other.rows) {
            (Rows::F32(a), Rows::F32(b)) => same(a, place, b, item, self.width),
            (Rows::F16(a), Rows::F16(b)) => same(a, place, b, item, self.width),
            (Rows::I8(a), Rows::I8(b)) => {
                same(&a.rows, place, &b.rows, item, self.width)
                    && same(&a.scale, place, &b.scale, item, 1)
            }
            _ => false,
        };
        rows && entry(&self.bias, place) == entry(&other.bias, item)
    }

    /// The tensors of these items' rows, in this order: what [`open_rows`](Self::open_rows) reads, as bytes.
    pub(super) fn tensors_of(&self, items: &[u32]) -> Result<TensorBytes> {
        let len = items.len();
        let mut tensors = TensorBytes::new();
        let mut set = |name, values: Option<&[f32]>| -> Result<()> {
            if let Some(values) = values {
                let bytes = self.bytes_of(name, values, 1, items)?;
                tensors.insert(name, (Dtype::F32, vec![len], bytes));
            }
            Ok(())
        };
        set("bias", self.bias.as_deref())?;
        if let Rows::I8(quantised) = &self.rows {
            set("scale", Some(&quantised.scale))?;
            set("error", Some(&quantised.error))?;
        }
        let (dtype, bytes) = match &self.rows {
            Rows::F32(rows) => (Dtype::F32, self.bytes_of("rows", rows, self.width, items)?),
            Rows::F16(rows) => (Dtype::F16, self.bytes_of("rows", rows, self.width, items)?),
            Rows::I8(quantised) => {
                let rows = self.bytes_of("rows", &quantised.rows, self.width, items)?;
                (Dtype::I8, rows)
            }
        };
        tensors.insert("rows", (dtype, vec![len, self.width], bytes));
        Ok(tensors)
    }

    fn bytes_of<T: Stored>(
        &self,
        tensor: &str,
        values: &[T],
        width: usize,
        items: &[u32],
    ) -> Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(items.len() * width * size_of::<T>());
        for &item in items {
            let item = item as usize;
            let row = self.entries(tensor, values, item * width..(item + 1) * width)?;
            bytes.extend_from_slice(bytemuck::cast_slice(row));
        }
        Ok(bytes)
    }

    /// The rows of i8 that scores are judged by before anything else is read, if there are any, and their errors where
    /// scores are defined on other rows.
    fn quantised(&self) -> Option<(&Quantised, Option<&[f32]>)> {
        match (&self.twins, &self.rows) {
            (Some(twins), _) => Some((twins, Some(&twins.error))),
            (None, Rows::I8(rows)) => Some((rows, None)),
            _ => None,
        }
    }

    /// What bounds the scores of a query, where there are rows of i8 to judge by.
    pub(super) fn bound(&self, query: &Query<'_>) -> Option<Bound> {
        self.quantised().and_then(|_| Bound::new(query))
    }

    /// Sets `most` to what the scores of the rows `range`, cold ones too, can be at most: infinity where that is not
    /// known.
    pub(super) fn bound_block(
        &self,
        bound: &Bound,
        range: Range<usize>,
        most: &mut [f32],
    ) -> Result<()> {
        let Some((Quantised { rows, scale, .. }, errors)) = self.quantised() else {
            most.fill(f32::INFINITY);
            return Ok(());
        };
        let errors = errors.map(|errors| self.entries("error", errors, range.clone()));
        bound::Block {
            bound,
            scales: self.entries("scale", scale, range.clone())?,
            errors: errors.transpose()?,
            biases: self.biases(range.clone())?,
            rows: self.block(rows, range)?,
            most,
        }
        .judge();
        Ok(())
    }

    fn block<'a, T>(&self, rows: &'a [T], range: Range<usize>) -> Result<&'a [T]> {
        self.entries(
            "rows",
            rows,
            range.start * self.width..range.end * self.width,
        )
    }

    /// Lengths were checked when the space was opened; only bytes that a host lends can have shrunk since.
    fn entries<'a, T>(
        &self,
        tensor: &str,
        values: &'a [T],
        range: Range<usize>,
    ) -> Result<&'a [T]> {
        let end = range.end;
        values.get(range).ok_or_else(|| {
            self.wrong(
                tensor,
                format!("at least {end} numbers"),
                format!("{} (the bytes have shrunk)", values.len()),
            )
        })
    }
}

/// Sets `out` to the numbers of some rows, as f32, times `scale`.
fn widen<T: Stored>(rows: &[T], scale: f32, out: &mut [f32]) {
    struct Widen<'a, T>(&'a [T], f32, &'a mut [f32]);
    impl<T: Stored> WithSimd for Widen<'_, T> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) {
            let Self(rows, scale, out) = self;
            for (out, &stored) in out.iter_mut().zip(rows) {
                *out = scale * stored.widen::<false>();
            }
        }
    }
    Arch::new().dispatch(Widen(rows, scale, out));
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Table, open_space};
    use super::*;

    fn i8_rows() -> Table {
        Table::default()
            .set("rows", &[2, 2], &[127i8, -127, 1, 0])
            .list("scale", &[0.5f32, 0.25])
            .list("error", &[0f32, 0.0])
    }

    fn f32_rows() -> Table {
        Table::default().set("rows", &[2, 2], &[1f32, 2.0, 3.0, 4.0])
    }

    #[test]
    fn rows_come_back_as_f32() {
        let f16_rows = [1.5f32, -2.0, 6e-8, 65504.0].map(f16::from_f32);
        let f16_rows = Table::default().set("rows", &[2, 2], &f16_rows);
        for (table, dtype, first, second) in [
            (f32_rows(), "f32", [1.0, 2.0], [3.0, 4.0]),
            (
                f16_rows,
                "f16",
                [1.5, -2.0],
                [f16::from_f32(6e-8).to_f32(), 65504.0],
            ),
            (i8_rows(), "i8", [63.5, -63.5], [0.25, 0.0]),
        ] {
            let bundle = open_space(2, &(table, 2, dtype, "dot")).unwrap();
            let space = bundle.space("s").unwrap();
            space.verify(&Cancel::new()).unwrap();
            let mut row = [0.0; 2];
            for (item, expected) in [(0, first), (1, second)] {
                space.row(item, &mut row).unwrap();
                assert_eq!(row, expected, "{dtype}");
            }
            assert!(matches!(
                space.row(2, &mut row),
                Err(Error::UnknownItem { item: 2, len: 2 })
            ));
            assert!(matches!(
                space.row(0, &mut [0.0]),
                Err(Error::InvalidArgument { .. })
            ));
        }
    }

    #[test]
    fn a_missing_empty_row_is_named() {
        let bundle = open_space(2, &(f32_rows(), 2, "f32", "dot")).unwrap();
        let error = bundle
            .space("s")
            .unwrap()
            .stored_empty_row()
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "part `s`: tensor `empty`: expected F32 [2], found no such tensor"
        );
        let bundle = open_space(
            2,
            &(f32_rows().list("empty", &[7f32, 8.0]), 2, "f32", "dot"),
        )
        .unwrap();
        assert_eq!(
            bundle.space("s").unwrap().stored_empty_row().unwrap(),
            [7.0, 8.0]
        );
    }

    #[test]
    fn cold_items_are_those_marked() {
        let bundle = open_space(2, &(f32_rows().list("cold", &[0u8, 1]), 2, "f32", "dot")).unwrap();
        let space = bundle.space("s").unwrap();
        assert!(!space.is_cold(0) && space.is_cold(1));
        assert!(space.score(&[1.0, 1.0], &[0, 1]).unwrap()[1].is_nan());
    }

    #[test]
    fn opening_refuses_what_it_can_see_at_once() {
        let cases = [
            (
                f32_rows().without("rows"),
                "f32",
                "`rows`: expected F32 [2, 2], found no such tensor",
            ),
            (
                f32_rows(),
                "f16",
                "`rows`: expected F16 [2, 2], found F32 [2, 2]",
            ),
            (
                Table::default().set("rows", &[1, 4], &[0f32; 4]),
                "f32",
                "expected F32 [2, 2], found F32 [1, 4]",
            ),
            (
                i8_rows().without("scale"),
                "i8",
                "`scale`: expected F32 [2], found no such tensor",
            ),
            (
                i8_rows().without("error"),
                "i8",
                "`error`: expected F32 [2], found no such tensor",
            ),
            (
                f32_rows().list("scale", &[0f32; 2]),
                "f32",
                "`scale`: expected none: the rows are not I8",
            ),
            (
                f32_rows().list("error", &[0f32; 2]),
                "f32",
                "`error`: expected none: the rows are not I8",
            ),
            (
                f32_rows().list("bias", &[0f32]),
                "f32",
                "`bias`: expected F32 [2], found F32 [1]",
            ),
            (
                f32_rows().list("cold", &[0u8; 3]),
                "f32",
                "`cold`: expected U8 [2], found U8 [3]",
            ),
            (
                f32_rows().list("empty", &[0f32; 3]),
                "f32",
                "`empty`: expected F32 [2], found F32 [3]",
            ),
            (
                f32_rows().list("warm", &[0u8; 2]),
                "f32",
                "`warm`: expected only tensors of format 1",
            ),
        ];
        for (table, dtype, expected) in cases {
            let error = open_space(2, &(table, 2, dtype, "dot"))
                .unwrap_err()
                .to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn verify_reads_every_number() {
        let half = |value: f32| {
            Table::default().set("rows", &[2, 2], &[1.0, 1.0, 1.0, value].map(f16::from_f32))
        };
        let cases = [
            (
                f32_rows().set("rows", &[2, 2], &[0.0, 0.0, f32::NAN, 0.0]),
                "f32",
                "NaN in column 0 of item 1",
            ),
            (
                half(f32::INFINITY),
                "f16",
                "finite numbers, found inf in column 1 of item 1",
            ),
            (half(f32::NAN), "f16", "found NaN in column 1 of item 1"),
            (
                i8_rows().set("rows", &[2, 2], &[0i8, -128, 0, 0]),
                "i8",
                "found -128 in column 1 of item 0",
            ),
            (
                i8_rows().list("scale", &[1f32, -1.0]),
                "i8",
                "`scale`: expected finite numbers, none negative, found -1 at 1",
            ),
            (
                i8_rows().list("scale", &[f32::NAN, 1.0]),
                "i8",
                "found NaN at 0",
            ),
            (
                i8_rows().list("error", &[0.0, f32::INFINITY]),
                "i8",
                "`error`: expected finite numbers, none negative",
            ),
            (
                f32_rows().list("bias", &[0.0, f32::NAN]),
                "f32",
                "`bias`: expected finite numbers, found NaN at 1",
            ),
            (
                f32_rows().list("empty", &[f32::INFINITY, 0.0]),
                "f32",
                "`empty`: expected finite numbers",
            ),
            (
                f32_rows().list("cold", &[0u8, 2]),
                "f32",
                "`cold`: expected 0 or 1, found 2 for item 1",
            ),
        ];
        for (table, dtype, expected) in cases {
            let bundle = open_space(2, &(table, 2, dtype, "dot")).unwrap();
            let space = bundle.space("s").unwrap();
            let error = space.verify(&Cancel::new()).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
