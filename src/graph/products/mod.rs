//! Products with weights of 4 and 8 bits, straight from the bundle's maps.
//!
//! ONNX Runtime's MatMulNBits rearranges its weights when a graph is opened: seconds of work, and a private copy of all
//! of them. Where the processor can do without ([`kernel`]), those nodes are handed to an [`operator`] of ours before
//! ONNX Runtime sees the graph. It takes the same tensors and attributes: a bundle's graph remains one that any ONNX
//! Runtime runs, and nodes that are not known here stay with it.

mod attention;
mod crew;
mod kernel;
mod operator;

use std::collections::BTreeMap;
use std::ops::Range;

pub(super) use operator::domain;
use parking_lot::RwLock;
use prost::DecodeError;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

use super::onnx::{Node, Nodes};
use kernel::{Bits, Shape, Vectors};

/// Whose operator it is.
const RUNTIME: &str = "com.microsoft";

/// Whose it is when it has been handed over: a name of the same length, so that nothing else in the model moves.
const OURS: &str = "oneiro.kernel";

const NAME: &str = "MatMulNBits";

/// Whether ONNX Runtime knows [`OURS`].
///
/// Its list of domains is one for the whole process, written by the first session that brings a domain and read by all,
/// and there is no lock around it.
static LISTED: RwLock<bool> = RwLock::new(false);

/// Opens a session, by itself if it may be the first that brings our domain.
pub(super) fn listed<T, E>(ours: bool, open: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    let known = LISTED.read();
    if *known || !ours {
        return open();
    }
    drop(known);
    let mut known = LISTED.write();
    let opened = open();
    *known |= opened.is_ok();
    opened
}

/// Activations are rounded to 8 bits.
const ACCURACY: i64 = 4;

/// A model of which nodes have been handed over.
pub(super) struct Handed {
    pub(super) model: Vec<u8>,
    /// How many products with weights of a few bits are left to ONNX Runtime.
    pub(super) left: usize,
    /// Whether there is attention among what has been handed over.
    pub(super) attention: bool,
}

/// What the runs of a model will be.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Runs {
    Any,
    /// Of one row each: attention is handed over as well.
    OfOneRow,
}

/// Hands over what is known here; nothing if that is nothing, or the processor not able.
///
/// `nodes`: what is in the model.
pub(super) fn hand_over(
    model: &[u8],
    nodes: &Nodes,
    runs: Runs,
) -> Result<Option<Handed>, DecodeError> {
    let constants = nodes.initializer.iter();
    let constants: BTreeMap<&str, i32> = constants
        .map(|tensor| (tensor.name.as_str(), tensor.data_type))
        .collect();
    if Vectors::best().is_none() {
        return Ok(None);
    }
    let products: Vec<bool> = nodes
        .node
        .iter()
        .map(|node| is_known(node, &constants))
        .collect();
    if !products.contains(&true) {
        return Ok(None);
    }
    let each = || nodes.node.iter().zip(&products);
    let left = each().filter(|(node, ours)| node.op_type == NAME && !**ours);
    let left = left.count();
    let ours = each()
        .map(|(node, &product)| product || runs == Runs::OfOneRow && attention::is_known(node));
    let ours: Vec<bool> = ours.collect();
    let mut handed = model.to_vec();
    // ModelProto.graph, GraphProto.node, NodeProto.domain. A field that comes twice is allowed, and never written: such a
    // model is left as it is.
    let graphs = fields(model, 0..model.len(), 7)?;
    let [graph] = &graphs[..] else {
        return Ok(None);
    };
    let places = fields(model, graph.clone(), 1)?;
    if places.len() != ours.len() {
        return Ok(None);
    }
    for (node, _) in places.into_iter().zip(&ours).filter(|(_, ours)| **ours) {
        let domains = fields(model, node, 7)?;
        match &domains[..] {
            [domain] if model.get(domain.clone()) == Some(RUNTIME.as_bytes()) => {
                handed[domain.clone()].copy_from_slice(OURS.as_bytes());
            }
            _ => return Ok(None),
        }
    }
    // ModelProto.opset_import: its domain, and its version 1.
    let length = OURS.len() as u8;
    handed.extend([8 << 3 | 2, length + 4, 1 << 3 | 2, length]);
    handed.extend(OURS.as_bytes());
    handed.extend([2 << 3, 1]);
    Ok(Some(Handed {
        model: handed,
        left,
        attention: each()
            .zip(&ours)
            .any(|((_, product), ours)| *ours && !product),
    }))
}

/// Whether a product is one that the operator of ours takes.
fn is_known(node: &Node, constants: &BTreeMap<&str, i32>) -> bool {
    const FLOAT: i32 = 1;
    const UINT8: i32 = 2;
    let is = |input: &String, kind| constants.get(input.as_str()) == Some(&kind);
    let [_, weights, scales] = &node.input[..] else {
        return false;
    };
    let attribute = |name: &str| {
        let mut attributes = node.attribute.iter();
        attributes
            .find(|attribute| attribute.name == name)
            .map(|attribute| attribute.i)
    };
    node.op_type == NAME
        && node.domain == RUNTIME
        && is(weights, UINT8)
        && is(scales, FLOAT)
        && attribute("accuracy_level") == Some(ACCURACY)
        && shape_of(attribute).is_some()
}

/// The shape that a node's attributes say, if it is one that is known.
fn shape_of(attribute: impl Fn(&str) -> Option<i64>) -> Option<Shape> {
    let count = |name: &str| usize::try_from(attribute(name)?).ok();
    let shape = Shape {
        n: count("N")?,
        k: count("K")?,
        block: count("block_size")?,
        bits: match attribute("bits").unwrap_or(4) {
            4 => Bits::Four,
            8 => Bits::Eight,
            _ => return None,
        },
    };
    Some(shape).filter(|shape| shape.is_known())
}

/// Where the fields of this number lie, among those of a message that have a length.
fn fields(
    bytes: &[u8],
    message: Range<usize>,
    number: u32,
) -> Result<Vec<Range<usize>>, DecodeError> {
    let mut found = Vec::new();
    let mut rest = &bytes[message.clone()];
    while !rest.is_empty() {
        let (tag, kind) = decode_key(&mut rest)?;
        let field = match kind {
            WireType::LengthDelimited => {
                let mut after = rest;
                let length = decode_varint(&mut after)? as usize;
                let start = message.end - after.len();
                Some(start..start.saturating_add(length))
            }
            _ => None,
        };
        skip_field(kind, tag, &mut rest, DecodeContext::default())?;
        found.extend(field.filter(|_| tag == number));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::super::onnx::{Attribute, Model, Tensor};
    use super::*;

    fn node(domain: &str, block: i64, accuracy: i64, inputs: &[&str]) -> Node {
        let attribute = |(name, i): (&str, i64)| Attribute {
            name: name.into(),
            i,
            ..Attribute::default()
        };
        let attributes = [
            ("K", 256),
            ("N", 3),
            ("bits", 4),
            ("block_size", block),
            ("accuracy_level", accuracy),
        ];
        Node {
            input: inputs.iter().map(|&input| input.into()).collect(),
            op_type: NAME.into(),
            attribute: attributes.map(attribute).into(),
            domain: domain.into(),
        }
    }

    fn model(nodes: Vec<Node>) -> Model {
        let constant = |(name, data_type): (&str, i32)| Tensor {
            name: name.into(),
            data_type,
            ..Tensor::default()
        };
        Model {
            graph: Some(Nodes {
                node: nodes,
                initializer: [("w", 2), ("s", 1), ("h", 10)].map(constant).into(),
                ..Nodes::default()
            }),
            ..Model::default()
        }
    }

    #[test]
    fn nodes_that_are_known_change_hands_and_nothing_else_does() {
        if Vectors::best().is_none() {
            return;
        }
        let nodes = || {
            vec![
                node(RUNTIME, 32, 4, &["x", "w", "s"]),
                node("", 32, 4, &["x", "w", "s"]),
                node(RUNTIME, 16, 4, &["x", "w", "s"]),
                node(RUNTIME, 32, 1, &["x", "w", "s"]),
                node(RUNTIME, 32, 4, &["x", "w", "h"]),
                node(RUNTIME, 32, 4, &["x", "y", "s"]),
                node(RUNTIME, 32, 4, &["x", "w", "s", "zero"]),
                node(RUNTIME, 128, 4, &["x", "w", "s"]),
            ]
        };
        let mut before = model(nodes());
        // ModelProto.producer_name, which nobody here reads, in front.
        let bytes = [
            &[2 << 3 | 2, 3, b'x', b':', b'z'][..],
            &before.encode_to_vec(),
        ]
        .concat();
        let handed = hand_over(&bytes, before.graph.as_ref().unwrap(), Runs::Any)
            .unwrap()
            .unwrap();
        assert_eq!(handed.left, 6);
        let opset = b"\x42\x11\x0a\x0doneiro.kernel\x10\x01";
        let changed = handed.model.strip_suffix(opset).unwrap();
        for ours in [0, 7] {
            before.graph.as_mut().unwrap().node[ours].domain = OURS.into();
        }
        assert_eq!(changed[5..], before.encode_to_vec());
        assert_eq!(changed[..5], bytes[..5]);
        // Fields that come twice: what they are merged to is known, but not where it stands.
        let graph = Model {
            graph: Some(Nodes::default()),
            ..Model::default()
        };
        let encoded = model(nodes()).encode_to_vec();
        let twice = [&graph.encode_to_vec()[..], &encoded].concat();
        let merged = Model::decode(&twice[..]).unwrap();
        assert!(
            hand_over(&twice, merged.graph.as_ref().unwrap(), Runs::Any)
                .unwrap()
                .is_none()
        );
        let mut known = node(RUNTIME, 32, 4, &["x", "w", "s"]).encode_to_vec();
        // NodeProto.domain: another in front of the one that holds.
        known.splice(0..0, [7 << 3 | 2, 1, b'x']);
        let others = model(Vec::new()).graph.unwrap().encode_to_vec();
        let varint = |bytes: &[u8]| [(bytes.len() % 128) as u8 | 128, (bytes.len() / 128) as u8];
        let graph = [&[1 << 3 | 2][..], &varint(&known), &known, &others].concat();
        let twice = [&[7 << 3 | 2][..], &varint(&graph), &graph].concat();
        let merged = Model::decode(&twice[..]).unwrap();
        let merged = merged.graph.as_ref().unwrap();
        assert_eq!(merged.node[0].domain, RUNTIME);
        assert!(hand_over(&twice, merged, Runs::Any).unwrap().is_none());
        // Attention as well, where rows come one by one.
        let mut both = model(vec![
            attention::tests::node(),
            node(RUNTIME, 32, 4, &["x", "w", "s"]),
        ]);
        for (runs, attention) in [(Runs::Any, false), (Runs::OfOneRow, true)] {
            let handed = hand_over(&both.encode_to_vec(), both.graph.as_ref().unwrap(), runs);
            let handed = handed.unwrap().unwrap();
            assert_eq!((handed.left, handed.attention), (0, attention));
            let found = Model::decode(&handed.model[..]).unwrap().graph.unwrap();
            let domains = found.node.iter().map(|node| node.domain.as_str());
            assert!(domains.eq([if attention { OURS } else { RUNTIME }, OURS]));
        }
        both.graph.as_mut().unwrap().node.pop();
        let alone = hand_over(
            &both.encode_to_vec(),
            both.graph.as_ref().unwrap(),
            Runs::OfOneRow,
        );
        assert!(alone.unwrap().is_none());
        let none = model(nodes()[1..7].to_vec());
        assert!(
            hand_over(
                &none.encode_to_vec(),
                none.graph.as_ref().unwrap(),
                Runs::Any
            )
            .unwrap()
            .is_none()
        );
    }
}
