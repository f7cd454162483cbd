//! Small bundles made in memory, for the tests of this folder.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::fmt::Write;

use safetensors::tensor::{Dtype, TensorView};

use super::titles::title_key;
use crate::bundle::{Bundle, Element, Parts, Tensors, lent};
use crate::error::Result;

/// The tensors of one part.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table(BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>);

impl Table {
    pub(crate) fn set<T: Element>(mut self, name: &str, shape: &[usize], values: &[T]) -> Self {
        let bytes = bytemuck::cast_slice(values).to_vec();
        self.0
            .insert(name.into(), (T::DTYPE, shape.to_vec(), bytes));
        self
    }

    pub(crate) fn list<T: Element>(self, name: &str, values: &[T]) -> Self {
        self.set(name, &[values.len()], values)
    }

    /// The tensors of a part that was written.
    pub(crate) fn read(part: &[u8]) -> Self {
        let tensors = safetensors::SafeTensors::deserialize(part).unwrap();
        let tensor = |(name, view): (String, TensorView)| {
            (
                name,
                (view.dtype(), view.shape().to_vec(), view.data().to_vec()),
            )
        };
        Self(tensors.tensors().into_iter().map(tensor).collect())
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        assert!(self.0.remove(name).is_some());
        self
    }

    pub(crate) fn strings(self, name: &str, strings: &[impl AsRef<str>]) -> Self {
        let mut offsets = vec![0];
        let mut bytes = Vec::new();
        for string in strings {
            bytes.extend_from_slice(string.as_ref().as_bytes());
            offsets.push(bytes.len() as u32);
        }
        self.list(&format!("{name}.offsets"), &offsets)
            .list(&format!("{name}.bytes"), &bytes)
    }

    pub(crate) fn index(self, name: &str, strings: &[impl AsRef<str>]) -> Self {
        let mut order: Vec<u32> = (0..strings.len() as u32).collect();
        order.sort_by_key(|&item| strings[item as usize].as_ref());
        self.strings(name, strings)
            .list(&format!("{name}.order"), &order)
    }

    pub(crate) fn titles(self, titles: &[impl AsRef<str>]) -> Self {
        let keys: Vec<String> = titles
            .iter()
            .map(|title| title_key(title.as_ref()))
            .collect();
        self.strings("titles", titles).index("title_keys", &keys)
    }

    pub(crate) fn tags(self, attribute: &str, names: &[&str], rows: &[&[u32]]) -> Self {
        let mut offsets = vec![0];
        offsets.extend(rows.iter().scan(0, |end, row| {
            *end += row.len() as u32;
            Some(*end)
        }));
        self.strings(&format!("attribute.{attribute}.names"), names)
            .list(&format!("attribute.{attribute}.offsets"), &offsets)
            .list(&format!("attribute.{attribute}.values"), &rows.concat())
    }

    /// The tensors as those of a part.
    pub(crate) fn tensors(&self) -> Result<Tensors> {
        Tensors::open("table", lent(self.part())?)
    }

    fn part(&self) -> Words {
        let views = self.0.iter().map(|(name, (dtype, shape, bytes))| {
            (name, TensorView::new(*dtype, shape.clone(), bytes).unwrap())
        });
        Words::new(&safetensors::serialize(views, None).unwrap())
    }
}

/// Bytes at an address that suits every element type.
struct Words(Vec<u64>, usize);

impl Words {
    fn new(bytes: &[u8]) -> Self {
        let mut words = vec![0; bytes.len().div_ceil(8)];
        bytemuck::cast_slice_mut(&mut words)[..bytes.len()].copy_from_slice(bytes);
        Self(words, bytes.len())
    }
}

impl AsRef<[u8]> for Words {
    fn as_ref(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.0)[..self.1]
    }
}

/// A catalog of that many items, ids `i000` and on, and no more.
pub(crate) fn plain(items: u32) -> Table {
    let ids: Vec<String> = (0..items).map(|item| format!("i{item:03}")).collect();
    Table::default().index("ids", &ids)
}

/// Opens a bundle of a catalog with these attributes (`"genres": "tags"`).
pub(crate) fn open(items: u32, catalog: &Table, attributes: &str) -> Result<Bundle> {
    let space = Table::default().set("rows", &[items as usize, 1], &vec![0f32; items as usize]);
    let space = (space, 1, "f32", "dot");
    open_all(items, catalog, attributes, &space)
}

/// Opens a bundle of a plain catalog and one space, `s`, of this table, width, dtype and metric.
pub(crate) fn open_space(items: u32, space: &(Table, u32, &str, &str)) -> Result<Bundle> {
    open_all(items, &plain(items), "", space)
}

/// The same with an index of so many lists, the part `i`.
pub(crate) fn open_indexed(
    items: u32,
    space: &(Table, u32, &str, &str),
    lists: u32,
    index: &Table,
) -> Result<Bundle> {
    let entry = format!(r#","index":{{"part":"i","lists":{lists}}}"#);
    open_with(items, &plain(items), "", space, Some(("i", index, &entry)))
}

/// The same with the exact rows of an i8 space, the part `x`.
pub(crate) fn open_twins(
    items: u32,
    space: &(Table, u32, &str, &str),
    exact: &Table,
) -> Result<Bundle> {
    let entry = r#","exact":"x""#;
    open_with(items, &plain(items), "", space, Some(("x", exact, entry)))
}

/// Opens a bundle of a catalog and one space, `s`. Its recipe names an encoder that nobody runs.
pub(crate) fn open_all(
    items: u32,
    catalog: &Table,
    attributes: &str,
    space: &(Table, u32, &str, &str),
) -> Result<Bundle> {
    open_with(items, catalog, attributes, space, None)
}

/// `more`: another part with its table, and what the manifest says of it in the space.
fn open_with(
    items: u32,
    catalog: &Table,
    attributes: &str,
    (space, width, dtype, metric): &(Table, u32, &str, &str),
    more: Option<(&str, &Table, &str)>,
) -> Result<Bundle> {
    let mut files = vec![
        ("c", catalog.part()),
        ("s", space.part()),
        ("g", Words::new(b"graph")),
    ];
    let mut entry = "";
    if let Some((part, table, said)) = more {
        files.push((part, table.part()));
        entry = said;
    }
    let mut entries = String::new();
    let mut parts = Parts::new();
    for (name, words) in files {
        let comma = if entries.is_empty() { "" } else { "," };
        let (bytes, digest) = (words.1, "0".repeat(64));
        write!(
            entries,
            r#"{comma}"{name}":{{"file":"{name}","bytes":{bytes},"sha256":"{digest}"}}"#
        )
        .unwrap();
        parts.bytes(name, words)?;
    }
    let bias = space.0.contains_key("bias");
    let manifest = format!(
        r#"{{"format":1,"name":"fixture","seen":"allow","parts":{{{entries}}},
        "catalog":{{"part":"c","items":{items},"attributes":{{{attributes}}}}},
        "spaces":{{"s":{{"part":"s","rows":{items},"width":{width},"dtype":"{dtype}","metric":"{metric}","bias":{bias}{entry}}}}},
        "graphs":{{"g":{{"model":"g"}}}},
        "encoders":{{"e":{{"graph":"g","input":"s","output":"s","window":1,"length":"dynamic","empty_row":"zero"}}}},
        "recipe":{{"steps":[{{"retrieve":"encoder","encoder":"e","count":1}}],"cold":"encoder"}}}}"#
    );
    parts.bytes("manifest.json", Words::new(manifest.as_bytes()))?;
    Bundle::from_parts(&parts)
}
