//! What a graph may contain, checked before ONNX Runtime sees it.
//!
//! Operators come from an allow-list, and external data only from the parts that the manifest names, inside their
//! bounds.

#![forbid(unsafe_code)]

use prost::Message;

use super::onnx::{Model, Node, Nodes, SparseTensor, Tensor, Value};
use crate::bundle::Bundle;
use crate::error::{Error, Result};

/// Weights belong outside the model: what is in it would be copied when it is parsed. The limit also bounds what
/// decoding a hostile model takes: some fifty times its length.
const MAX_MODEL_BYTES: usize = 2 << 20;

/// Every tensor of external data begins at a multiple of this.
const ALIGNMENT: u64 = 64;

const EXTERNAL: i32 = 1;

/// Operators of the `com.microsoft` domain that are pure arithmetic. (`EPContext`, which loads files, is not here.)
const CONTRIBUTED: [&str; 34] = [
    "Attention",
    "BiasGelu",
    "BiasSoftmax",
    "BiasSplitGelu",
    "DequantizeLinear",
    "DynamicQuantizeMatMul",
    "DynamicQuantizeLSTM",
    "EmbedLayerNormalization",
    "FastGelu",
    "FusedConv",
    "FusedGemm",
    "FusedMatMul",
    "GatherBlockQuantized",
    "Gelu",
    "GroupNorm",
    "GroupQueryAttention",
    "MatMulBnb4",
    "MatMulFpQ4",
    "MatMulInteger16",
    "MatMulIntegerToFloat",
    "MatMulNBits",
    "MultiHeadAttention",
    "NhwcFusedConv",
    "QAttention",
    "QLinearAdd",
    "QLinearMul",
    "QLinearSoftmax",
    "QuantizeLinear",
    "QuickGelu",
    "RotaryEmbedding",
    "SimplifiedLayerNormalization",
    "SkipLayerNormalization",
    "SkipSimplifiedLayerNormalization",
    "SkipGroupNorm",
];

/// What a graph's weights are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Precision {
    /// 32-bit floats.
    F32,
    /// 16-bit floats.
    F16,
    /// Whole numbers of 8 bits with scales.
    I8,
    /// Whole numbers of 4 bits with scales.
    I4,
}

/// What the model of a graph says of itself.
#[derive(Debug)]
pub(crate) struct Outline {
    pub(crate) inputs: Vec<String>,
    #[cfg(feature = "llm")]
    pub(crate) outputs: Vec<String>,
    /// Of its largest weights.
    pub(crate) precision: Precision,
    /// How many nodes are GroupQueryAttention, which can keep its past in place.
    #[cfg(feature = "llm")]
    pub(crate) attentions: usize,
}

impl Outline {
    /// Whether it is told where its rows stand and who may look at whom, as a language model's graph may be.
    pub(crate) fn takes_trees(&self) -> bool {
        self.inputs.iter().any(|name| name == "attention_bias")
    }
}

/// Checks the structure of the graph `name`: its operators and where its weights lie.
pub(crate) fn check(bundle: &Bundle, name: &str) -> Result<()> {
    read(bundle, name).map(|_| ())
}

/// Checks the graph `name` and says what it is.
pub(crate) fn outline(bundle: &Bundle, name: &str) -> Result<Outline> {
    let graph = read(bundle, name)?;
    let names = |values: &[Value]| values.iter().map(|value| value.name.clone()).collect();
    #[cfg(feature = "llm")]
    let attention = |node: &&Node| node.op_type == "GroupQueryAttention";
    Ok(Outline {
        inputs: names(&graph.input),
        #[cfg(feature = "llm")]
        outputs: names(&graph.output),
        precision: precision(&graph),
        #[cfg(feature = "llm")]
        attentions: graph.node.iter().filter(attention).count(),
    })
}

/// Quantised products tell the precision; without any, the largest tensor does.
fn precision(graph: &Nodes) -> Precision {
    const FLOAT16: i32 = 10;
    const BITS: i64 = 4;
    let bits = |node: &Node| match node.op_type.as_str() {
        "MatMulNBits" => {
            let mut attributes = node.attribute.iter();
            let bits = attributes.find(|attribute| attribute.name == "bits");
            Some(bits.map_or(BITS, |attribute| attribute.i))
        }
        "DynamicQuantizeMatMul" | "MatMulInteger" | "MatMulIntegerToFloat" => Some(8),
        _ => None,
    };
    match graph.node.iter().filter_map(bits).min() {
        Some(..=4) => return Precision::I4,
        Some(_) => return Precision::I8,
        None => {}
    }
    let size = |tensor: &&Tensor| tensor.dims.iter().fold(1_i64, |a, &b| a.saturating_mul(b));
    match graph.initializer.iter().max_by_key(size) {
        Some(tensor) if tensor.data_type == FLOAT16 => Precision::F16,
        _ => Precision::F32,
    }
}

/// The model of the graph `name`, checked.
pub(super) fn read(bundle: &Bundle, name: &str) -> Result<Nodes> {
    let manifest = bundle.manifest();
    let entry = manifest
        .graphs
        .get(name)
        .ok_or_else(|| Error::Unsupported {
            what: format!("graph `{name}`"),
        })?;
    let bytes = bundle.part(&entry.model)?;
    if bytes.len() > MAX_MODEL_BYTES {
        return Err(Error::part(
            &entry.model,
            format!(
                "an ONNX model of at most {MAX_MODEL_BYTES} bytes, with its weights as external data"
            ),
            format!("{} bytes", bytes.len()),
        ));
    }
    // The other format that ONNX Runtime reads, which may be made to look like this one.
    if bytes.get(4..8) == Some(b"ORTM") {
        return Err(Error::part(
            &entry.model,
            "an ONNX model",
            "a model in the ORT format",
        ));
    }
    let model = Model::decode(&bytes[..])
        .map_err(|error| Error::part(&entry.model, "an ONNX model", error.to_string()))?;
    let graph = model
        .graph
        .ok_or_else(|| Error::part(&entry.model, "an ONNX model", "no graph in it"))?;
    if let Some(function) = model.functions.first() {
        return Err(Error::graph(
            name,
            "functions",
            "none",
            format!("`{}`", function.name),
        ));
    }
    let weights = entry.weights.iter().map(|part| {
        (
            manifest.parts[part].file.as_str(),
            manifest.parts[part].bytes,
        )
    });
    Checker {
        graph: name,
        weights: weights.collect(),
    }
    .nodes(&graph)?;
    Ok(graph)
}

struct Checker<'a> {
    graph: &'a str,
    /// File and length in bytes of each part with weights.
    weights: Vec<(&'a str, u64)>,
}

impl Checker<'_> {
    fn nodes(&self, nodes: &Nodes) -> Result<()> {
        for node in &nodes.node {
            let allowed = match node.domain.as_str() {
                "" | "ai.onnx" => true,
                "com.microsoft" => CONTRIBUTED.contains(&node.op_type.as_str()),
                _ => false,
            };
            if !allowed {
                let found = format!("`{}` of the domain `{}`", node.op_type, node.domain);
                return Err(Error::graph(
                    self.graph,
                    "operators",
                    "only those of the allow-list",
                    found,
                ));
            }
            for attribute in &node.attribute {
                attribute
                    .t
                    .as_deref()
                    .into_iter()
                    .chain(&attribute.tensors)
                    .try_for_each(|tensor| self.tensor(tensor))?;
                attribute
                    .g
                    .as_deref()
                    .into_iter()
                    .chain(&attribute.graphs)
                    .try_for_each(|graph| self.nodes(graph))?;
                attribute
                    .sparse_tensor
                    .as_deref()
                    .into_iter()
                    .chain(&attribute.sparse_tensors)
                    .try_for_each(|tensor| self.sparse(tensor))?;
            }
        }
        nodes
            .initializer
            .iter()
            .try_for_each(|tensor| self.tensor(tensor))?;
        nodes
            .sparse_initializer
            .iter()
            .try_for_each(|tensor| self.sparse(tensor))
    }

    fn sparse(&self, tensor: &SparseTensor) -> Result<()> {
        tensor
            .values
            .iter()
            .chain(&tensor.indices)
            .try_for_each(|tensor| self.tensor(tensor))
    }

    fn tensor(&self, tensor: &Tensor) -> Result<()> {
        if tensor.data_location != EXTERNAL && tensor.external_data.is_empty() {
            return Ok(());
        }
        let wrong = |expected: String, found: &str| {
            let what = format!("weights `{}`", tensor.name);
            let found = format!("`{}`", found.escape_debug());
            Error::graph(self.graph, what, expected, found)
        };
        let (mut location, mut offset, mut length) = (None, None, None);
        for entry in &tensor.external_data {
            let field = match entry.key.as_str() {
                "location" => &mut location,
                "offset" => &mut offset,
                "length" => &mut length,
                _ => return Err(wrong("location, offset and length only".into(), &entry.key)),
            };
            if field.replace(entry.value.as_str()).is_some() {
                return Err(wrong("each field once".into(), &entry.key));
            }
        }
        let location = location.unwrap_or_default();
        let Some((file, whole)) = self.weights.iter().find(|(file, _)| *file == location) else {
            let files: Vec<&str> = self.weights.iter().map(|(file, _)| *file).collect();
            return Err(wrong(
                format!("external data in one of [{}]", files.join(", ")),
                location,
            ));
        };
        let number = |text: Option<&str>, absent: u64| match text {
            None => Ok(absent),
            Some(text) => text
                .parse()
                .map_err(|_| wrong("a number of bytes".into(), text)),
        };
        let offset = number(offset, 0)?;
        let length = number(length, whole.saturating_sub(offset))?;
        if offset.checked_add(length).is_none_or(|end| end > *whole) {
            let expected = format!("data within the {whole} bytes of `{file}`");
            return Err(wrong(expected, &format!("{length} bytes from {offset}")));
        }
        if offset % ALIGNMENT != 0 {
            let expected = format!("an offset that is a multiple of {ALIGNMENT}");
            return Err(wrong(expected, &offset.to_string()));
        }
        Ok(())
    }
}
