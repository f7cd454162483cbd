//! String tables: n strings as `<name>.offsets` and `<name>.bytes`, and the order that makes one searchable.
//!
//! Opening looks at the two ends of the offsets only; every accessor checks the row it reads, so that a damaged table
//! gives an error that names the row, whatever its bytes are. [`StringTable::verify`] reads all of it.

#![forbid(unsafe_code)]

use crate::bundle::{Array, Tensors};
use crate::error::{Error, Result};

/// The strings of a catalog part under one name.
#[derive(Debug)]
pub(super) struct StringTable {
    part: String,
    name: String,
    offsets: Array<u32>,
    bytes: Array<u8>,
}

/// The names of a string table's two tensors.
pub(super) fn tensors_of(name: &str) -> [String; 2] {
    [format!("{name}.offsets"), format!("{name}.bytes")]
}

/// Checks the first and the last of `offsets` into a table of `length` entries.
pub(super) fn check_ends(part: &str, tensor: &str, offsets: &[u32], length: usize) -> Result<()> {
    let (Some(&first), Some(&last)) = (offsets.first(), offsets.last()) else {
        return Err(Error::tensor(part, tensor, "at least one offset", "none"));
    };
    if first != 0 {
        return Err(Error::tensor(
            part,
            tensor,
            "0 as the first offset",
            first.to_string(),
        ));
    }
    if last as usize != length {
        return Err(Error::tensor(
            part,
            tensor,
            format!("{length} as the last offset"),
            last.to_string(),
        ));
    }
    Ok(())
}

/// The entries from `offsets[row]` to `offsets[row + 1]`, if the offsets are sound there.
pub(super) fn entries_of<'a, T>(offsets: &[u32], entries: &'a [T], row: usize) -> Option<&'a [T]> {
    let (&start, &end) = (offsets.get(row)?, offsets.get(row.checked_add(1)?)?);
    entries.get(start as usize..end as usize)
}

impl StringTable {
    /// Opens a table of `rows` strings, or of any number.
    pub(super) fn open(tensors: &Tensors, name: &str, rows: Option<usize>) -> Result<Self> {
        let [offsets_name, bytes_name] = tensors_of(name);
        let offsets = match rows {
            Some(rows) => tensors.array(&offsets_name, &[rows + 1])?,
            None => tensors.list::<u32>(&offsets_name)?,
        };
        let bytes = tensors.list::<u8>(&bytes_name)?;
        check_ends(tensors.part(), &offsets_name, &offsets, bytes.len())?;
        Ok(Self {
            part: tensors.part().into(),
            name: name.into(),
            offsets,
            bytes,
        })
    }

    pub(super) fn len(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    /// The bytes of a string, whatever they are.
    pub(super) fn bytes(&self, row: usize) -> Result<&[u8]> {
        entries_of(&self.offsets, &self.bytes, row).ok_or_else(|| {
            let [offsets, _] = tensors_of(&self.name);
            let end = self.offsets.get(row..).unwrap_or_default();
            let found = match end {
                [start, end, ..] => format!("{start} and {end}"),
                _ => "no such row".into(),
            };
            let expected = format!(
                "row {row} between rising offsets up to {}",
                self.bytes.len()
            );
            Error::tensor(&self.part, &offsets, expected, found)
        })
    }

    /// A string.
    pub(super) fn get(&self, row: usize) -> Result<&str> {
        let wrong = |found: String| {
            let [_, bytes] = tensors_of(&self.name);
            Error::tensor(
                &self.part,
                &bytes,
                format!("UTF-8 without NUL in row {row}"),
                found,
            )
        };
        let text =
            std::str::from_utf8(self.bytes(row)?).map_err(|error| wrong(error.to_string()))?;
        if text.contains('\0') {
            return Err(wrong("NUL".into()));
        }
        Ok(text)
    }

    /// Reads every string.
    pub(super) fn verify(&self) -> Result<()> {
        (0..self.len()).try_for_each(|row| self.get(row).map(drop))
    }

    /// An error about the bytes of one row.
    pub(super) fn wrong(&self, row: usize, expected: &str, found: &str) -> Error {
        let [_, bytes] = tensors_of(&self.name);
        Error::tensor(
            &self.part,
            &bytes,
            format!("{expected} in row {row}"),
            found,
        )
    }
}

/// A string table with one row per item, and the items in the order of their strings' bytes (`<name>.order`).
#[derive(Debug)]
pub(super) struct Index {
    pub(super) table: StringTable,
    order: Array<u32>,
}

impl Index {
    pub(super) fn open(tensors: &Tensors, name: &str, items: usize) -> Result<Self> {
        let table = StringTable::open(tensors, name, Some(items))?;
        let order = tensors.array(&format!("{name}.order"), &[items])?;
        Ok(Self { table, order })
    }

    /// The item at a position of the order.
    pub(super) fn item(&self, position: usize) -> Result<u32> {
        let found = self.order.get(position).copied();
        match found {
            Some(item) if (item as usize) < self.table.len() => Ok(item),
            _ => {
                let expected = format!("an item below {} at position {position}", self.table.len());
                let found =
                    found.map_or_else(|| "no such position".into(), |item| item.to_string());
                Err(self.wrong_order(expected, found))
            }
        }
    }

    /// The string at a position of the order.
    pub(super) fn bytes(&self, position: usize) -> Result<&[u8]> {
        self.table.bytes(self.item(position)? as usize)
    }

    /// The first position at or after `from` whose string is not `before`, by bisection: at most 32 steps, whatever
    /// the order holds.
    pub(super) fn partition(&self, from: usize, before: impl Fn(&[u8]) -> bool) -> Result<usize> {
        let (mut low, mut high) = (from, self.order.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if before(self.bytes(middle)?) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// The items at positions `from..to` of the order.
    pub(super) fn items(&self, from: usize, to: usize) -> Result<Vec<u32>> {
        (from..to).map(|position| self.item(position)).collect()
    }

    /// Reads every string, and checks that the order is a permutation that sorts them, equal strings by item.
    pub(super) fn verify(&self, distinct: bool) -> Result<()> {
        self.table.verify()?;
        let mut previous: Option<(&[u8], u32)> = None;
        for position in 0..self.order.len() {
            let item = self.item(position)?;
            let bytes = self.table.bytes(item as usize)?;
            if let Some((before, lower)) = previous {
                if distinct && before == bytes && lower != item {
                    let found = format!("`{}` also in row {lower}", String::from_utf8_lossy(bytes));
                    return Err(self
                        .table
                        .wrong(item as usize, "a string of its own", &found));
                }
                // Strictly rising pairs within range are all items, each once.
                if (before, lower) >= (bytes, item) {
                    let expected =
                        format!("an item that sorts after item {lower} at position {position}");
                    return Err(self.wrong_order(expected, format!("item {item}")));
                }
            }
            previous = Some((bytes, item));
        }
        Ok(())
    }

    fn wrong_order(&self, expected: String, found: String) -> Error {
        Error::tensor(
            &self.table.part,
            &format!("{}.order", self.table.name),
            expected,
            found,
        )
    }
}
