//! Reading an ONNX file: its inputs, outputs, operators and metadata, whoever wrote it.

use std::collections::BTreeMap;

use prost::bytes::Bytes;
use prost::encoding::{
    DecodeContext, WireType, decode_key, decode_varint, encode_key, encode_varint, skip_field,
};
use prost::{DecodeError, Message};

use super::NetworkFacts;
use super::proto::{Dimension, GraphProto, MODEL_GRAPH, ModelProto, UINT8, ValueInfoProto};

/// Bytes that are not an ONNX model.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ReadError {
    /// Not protobuf, or cut off.
    #[error("not a whole ONNX file: {0}")]
    Malformed(#[from] prost::DecodeError),
    /// Protobuf, but no model.
    #[error("not an ONNX model: expected {expected}, found none")]
    NotAModel {
        /// The part that is missing.
        expected: &'static str,
    },
    /// A tensor whose parts do not go together.
    #[error("tensor `{tensor}`: {reason}")]
    Tensor {
        /// Its name.
        tensor: String,
        /// What is wrong, with expected and found.
        reason: String,
    },
}

impl ReadError {
    /// The fix, where one is known.
    pub fn hint(&self) -> Option<String> {
        Some("the file may be cut off or of another format: export it again, or compare its SHA-256 with the original".into())
    }
}

/// A graph's input or output.
#[derive(Debug, Clone, PartialEq)]
pub struct ValueFacts {
    /// Its name.
    pub name: String,
    /// Its element type, as `TensorProto.DataType` numbers it.
    pub element_type: i32,
    /// Its dimensions: `Err` holds the name of a dynamic one.
    pub shape: Vec<Result<usize, String>>,
}

impl ValueFacts {
    pub(super) fn read(value: &ValueInfoProto) -> Self {
        let tensor = value.r#type.as_ref().and_then(|t| t.tensor_type.as_ref());
        let dimension = |value: &Option<Dimension>| match value {
            Some(Dimension::Value(size)) => usize::try_from(*size).map_err(|_| size.to_string()),
            Some(Dimension::Parameter(name)) => Err(name.clone()),
            None => Err("?".into()),
        };
        let dimensions = tensor
            .and_then(|t| t.shape.as_ref())
            .map(|shape| shape.dim.as_slice());
        Self {
            name: value.name.clone(),
            element_type: tensor.map_or(0, |t| t.elem_type),
            shape: dimensions
                .unwrap_or_default()
                .iter()
                .map(|d| dimension(&d.value))
                .collect(),
        }
    }
}

/// What a file says of itself.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelFacts {
    /// Version of the file format.
    pub ir_version: i64,
    /// Version of the default operator set.
    pub opset: i64,
    /// The inputs, weights left out.
    pub inputs: Vec<ValueFacts>,
    /// The outputs.
    pub outputs: Vec<ValueFacts>,
    /// How many nodes of each operator.
    pub operators: BTreeMap<String, usize>,
    /// Names of all values that nodes put out, in the order of the nodes.
    pub values: Vec<String>,
    /// All metadata.
    pub metadata: BTreeMap<String, String>,
    /// The network, where incept wrote the file.
    pub network: Option<NetworkFacts>,
}

impl ModelFacts {
    /// Whether the model takes images as bytes.
    pub fn takes_bytes(&self) -> bool {
        let input = self.inputs.first();
        input.is_some_and(|input| input.element_type == UINT8)
    }

    /// Reads a model; tensors share the bytes given.
    ///
    /// # Errors
    /// [`ReadError`] for anything but a whole ONNX model.
    pub fn read(bytes: &Bytes) -> Result<Self, ReadError> {
        let model = ModelProto::decode(bytes.clone())?;
        let graph = model.graph.ok_or(ReadError::NotAModel {
            expected: "a graph",
        })?;
        if graph.node.is_empty() {
            return Err(ReadError::NotAModel {
                expected: "nodes in the graph",
            });
        }
        let opset = model
            .opset_import
            .iter()
            .find(|set| set.domain.is_empty() || set.domain == "ai.onnx");
        let opset = opset
            .ok_or(ReadError::NotAModel {
                expected: "an operator set",
            })?
            .version;
        let stored: std::collections::HashSet<&str> =
            graph.initializer.iter().map(|t| t.name.as_str()).collect();
        let inputs = graph
            .input
            .iter()
            .filter(|value| !stored.contains(value.name.as_str()));
        let mut operators = BTreeMap::new();
        for node in &graph.node {
            *operators.entry(node.op_type.clone()).or_insert(0) += 1;
        }
        let metadata: BTreeMap<String, String> = model
            .metadata_props
            .into_iter()
            .map(|entry| (entry.key, entry.value))
            .collect();
        Ok(Self {
            ir_version: model.ir_version,
            opset,
            inputs: inputs.map(ValueFacts::read).collect(),
            outputs: graph.output.iter().map(ValueFacts::read).collect(),
            operators,
            values: graph
                .node
                .iter()
                .flat_map(|node| node.output.clone())
                .collect(),
            network: NetworkFacts::parse(&metadata),
            metadata,
        })
    }
}

/// The same model with these values as further outputs, after the ones it has. Only the graph's length and its end
/// change: every other byte stays as it was, whatever it holds.
///
/// # Errors
/// [`ReadError`] for anything but a whole ONNX model.
pub fn with_outputs(bytes: &Bytes, names: &[String]) -> Result<Vec<u8>, ReadError> {
    let model = ModelProto::decode(bytes.clone())?;
    let graph = model.graph.ok_or(ReadError::NotAModel {
        expected: "a graph",
    })?;
    let there = |name: &str| graph.output.iter().any(|output| output.name == name);
    let known = |name: &String| {
        graph
            .value_info
            .iter()
            .find(|value| value.name == *name)
            .cloned()
    };
    let output = names
        .iter()
        .filter(|name| !there(name))
        .map(|name| {
            known(name).unwrap_or(ValueInfoProto {
                name: name.clone(),
                r#type: None,
            })
        })
        .collect();
    let mut addition = GraphProto {
        output,
        ..Default::default()
    }
    .encode_to_vec();

    let mut extended = Vec::with_capacity(bytes.len() + addition.len() + 16);
    for_each_field(bytes, |field, number, contents| {
        match contents.filter(|_| number == MODEL_GRAPH) {
            Some(graph) => {
                encode_key(number, WireType::LengthDelimited, &mut extended);
                encode_varint((graph.len() + addition.len()) as u64, &mut extended);
                extended.extend_from_slice(&graph);
                // A graph may come in pieces, to be merged: the outputs go to the first.
                extended.append(&mut addition);
            }
            None => extended.extend_from_slice(&field),
        }
        Ok(())
    })?;
    Ok(extended)
}

/// Hands on each field of a message: all its bytes, its number, and its contents where it has a length.
///
/// # Errors
/// What `each` returns, and fields that are cut off.
pub(super) fn for_each_field(
    message: &Bytes,
    mut each: impl FnMut(Bytes, u32, Option<Bytes>) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    let mut rest = message.clone();
    while !rest.is_empty() {
        let mut field = rest.clone();
        let (number, wire) = decode_key(&mut rest)?;
        let mut contents = None;
        if wire == WireType::LengthDelimited {
            let mut inside = rest.clone();
            let length = decode_varint(&mut inside)?;
            // Whether there are as many bytes is checked by skipping them.
            inside.truncate(usize::try_from(length).unwrap_or(usize::MAX));
            contents = Some(inside);
        }
        skip_field(wire, number, &mut rest, DecodeContext::default())?;
        field.truncate(field.len() - rest.len());
        each(field, number, contents)?;
    }
    Ok(())
}
