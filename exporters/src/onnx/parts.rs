//! A model's graph taken apart, so that any part of it can be a model of its own: one layer, or the nodes between two
//! values. Nodes and tensors keep the bytes they have in the file, whatever they hold.

mod structure;

use std::collections::{BTreeSet, HashMap, HashSet};

use prost::Message;
use prost::bytes::Bytes;
use prost::encoding::{WireType, encode_key, encode_varint};

use super::proto::{
    AttributeProto, Dimension, DimensionProto, FLOAT, GRAPH_INITIALIZER, GraphProto, INT64,
    MODEL_GRAPH, ModelProto, NodeProto, TensorProto, TensorShapeProto, TensorTypeProto, TypeProto,
    UINT8, ValueInfoProto,
};
use super::read::for_each_field;
use super::{ReadError, ValueFacts};

/// Field numbers of `ModelProto` that a part keeps: the versions, the operator sets and the functions.
const KEPT_OF_MODEL: &[u32] = &[1, 2, 3, 8, 25];
/// Field number of `GraphProto.node`.
const GRAPH_NODE: u32 = 1;
/// Field number of `GraphProto.sparse_initializer`.
const GRAPH_SPARSE_INITIALIZER: u32 = 15;
/// `TensorProto.DataType.BOOL`.
const BOOL: i32 = 9;

/// One node.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// Its name, which may be empty.
    pub name: String,
    /// Its operator, behind its domain where that is not ONNX's own: `Conv`, `com.microsoft.FusedConv`.
    pub operator: String,
    /// The values it reads, also those that only graphs inside it read. Inputs that are left out are not here.
    pub inputs: Vec<String>,
    /// The values it computes.
    pub outputs: Vec<String>,
    field: Bytes,
    decoded: NodeProto,
}

/// A graph in its parts.
#[derive(Debug, Clone)]
pub struct Parts {
    head: Vec<u8>,
    nodes: Vec<Part>,
    /// Stored tensors: their fields in the file, and their element types.
    tensors: HashMap<String, (Bytes, i32)>,
    inputs: Vec<ValueInfoProto>,
    outputs: Vec<ValueInfoProto>,
    described: HashMap<String, ValueInfoProto>,
    /// The node that computes each value.
    producers: HashMap<String, usize>,
}

/// A part of a graph as a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Cut {
    /// The file.
    pub model: Vec<u8>,
    /// The values it takes, in the order they are first read.
    pub inputs: Vec<ValueFacts>,
    /// Which nodes it is made of, in the graph's order.
    pub nodes: Vec<usize>,
}

/// A cut that cannot be made.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CutError {
    /// A value that nothing computes.
    #[error("no node computes `{value}`{}", reader.as_ref().map(|reader| format!(", which node `{reader}` reads")).unwrap_or_default())]
    NoSuchValue {
        /// The value.
        value: String,
        /// The node that reads it, where one does.
        reader: Option<String>,
    },
    /// Nothing to cut out.
    #[error("a part of a graph needs an output: expected at least 1 value, found none")]
    NoOutputs,
}

impl Parts {
    /// Takes a model apart; the parts share its bytes.
    ///
    /// # Errors
    /// [`ReadError`] for anything but a whole ONNX model.
    pub fn read(bytes: &Bytes) -> Result<Self, ReadError> {
        let model = ModelProto::decode(bytes.clone())?;
        let graph = model.graph.ok_or(ReadError::NotAModel {
            expected: "a graph",
        })?;
        let mut head = vec![];
        let (mut node_fields, mut tensor_fields) = (vec![], vec![]);
        let mut sparse_fields = vec![];
        for_each_field(bytes, |field, number, contents| {
            match contents.filter(|_| number == MODEL_GRAPH) {
                Some(graph) => for_each_field(&graph, |field, number, _| {
                    match number {
                        GRAPH_NODE => node_fields.push(field),
                        GRAPH_INITIALIZER => tensor_fields.push(field),
                        GRAPH_SPARSE_INITIALIZER => sparse_fields.push(field),
                        _ => {}
                    }
                    Ok(())
                })?,
                None if KEPT_OF_MODEL.contains(&number) => head.extend_from_slice(&field),
                None => {}
            }
            Ok(())
        })?;
        let nodes: Vec<Part> = graph.node.into_iter().zip(node_fields).map(part).collect();
        let mut producers = HashMap::new();
        for (index, node) in nodes.iter().enumerate() {
            let outputs = node.outputs.iter().cloned();
            producers.extend(outputs.map(|output| (output, index)));
        }
        let type_of = |tensor: &TensorProto| tensor.data_type;
        let mut tensors: HashMap<String, (Bytes, i32)> = HashMap::new();
        for (tensor, field) in graph.initializer.iter().zip(tensor_fields) {
            tensors.insert(tensor.name.clone(), (field, type_of(tensor)));
        }
        for (sparse, field) in graph.sparse_initializer.iter().zip(sparse_fields) {
            if let Some(values) = &sparse.values {
                tensors.insert(values.name.clone(), (field, type_of(values)));
            }
        }
        let described = graph.value_info.into_iter();
        let described = described.chain(graph.input.iter().chain(&graph.output).cloned());
        let is_input = |value: &ValueInfoProto| !tensors.contains_key(&value.name);
        Ok(Self {
            head,
            described: described.map(|value| (value.name.clone(), value)).collect(),
            inputs: graph.input.into_iter().filter(is_input).collect(),
            outputs: graph.output,
            nodes,
            tensors,
            producers,
        })
    }

    /// The nodes, in the graph's order, which is an order they can be computed in.
    pub fn nodes(&self) -> &[Part] {
        &self.nodes
    }

    /// The names of the graph's inputs, without its stored tensors.
    pub fn inputs(&self) -> impl Iterator<Item = &str> {
        self.inputs.iter().map(|value| value.name.as_str())
    }

    /// The names of the graph's outputs.
    pub fn outputs(&self) -> impl Iterator<Item = &str> {
        self.outputs.iter().map(|value| value.name.as_str())
    }

    /// The node that computes a value; none for an input, a stored tensor, and a value that is not there.
    pub fn producer(&self, value: &str) -> Option<usize> {
        self.producers.get(value).copied()
    }

    /// Whether a tensor of that name is stored in the file.
    pub fn is_stored(&self, value: &str) -> bool {
        self.tensors.contains_key(value)
    }

    /// The element type of a value as `TensorProto.DataType` numbers it: as the file says, else as its operator does.
    pub fn element_type(&self, value: &str) -> i32 {
        let mut value = value;
        // Each step goes to an earlier node, in a file that is in order; in one that is not, this ends all the same.
        for _ in 0..=self.nodes.len() {
            let stated = self.described.get(value).and_then(element_type);
            let stored = || {
                self.tensors
                    .get(value)
                    .map(|(_, element_type)| *element_type)
            };
            if let Some(known) = stated.or_else(stored) {
                return known;
            }
            let Some(node) = self.producer(value).map(|index| &self.nodes[index]) else {
                break;
            };
            match result_type(&node.decoded) {
                ResultType::Known(element_type) => return element_type,
                ResultType::OfInput(place) => match node.decoded.input.get(place) {
                    Some(input) => value = input,
                    None => break,
                },
            }
        }
        FLOAT
    }

    /// The part of the graph that computes `outputs` from the values at which `stop` says to stop (never the outputs
    /// themselves) and the graph's own inputs. `shape` gives the shapes of the values it takes and puts out, where they
    /// are known better than the file knows them.
    ///
    /// # Errors
    /// [`CutError`] where a value is not there.
    pub fn cut(
        &self,
        outputs: &[&str],
        stop: impl Fn(&str) -> bool,
        shape: impl Fn(&str) -> Option<Vec<usize>>,
    ) -> Result<Cut, CutError> {
        if outputs.is_empty() {
            return Err(CutError::NoOutputs);
        }
        let mut nodes = BTreeSet::new();
        let mut waiting = vec![];
        for output in outputs {
            let index = self.producer(output).ok_or_else(|| CutError::NoSuchValue {
                value: (*output).into(),
                reader: None,
            })?;
            waiting.push(index);
        }
        let is_asked = |value: &str| outputs.contains(&value);
        while let Some(index) = waiting.pop() {
            if !nodes.insert(index) {
                continue;
            }
            for input in &self.nodes[index].inputs {
                if self.is_stored(input) || (stop(input) && !is_asked(input)) {
                    continue;
                }
                match self.producer(input) {
                    Some(producer) => waiting.push(producer),
                    None if self.inputs().any(|known| known == input) => {}
                    None => {
                        let reader = &self.nodes[index];
                        return Err(CutError::NoSuchValue {
                            value: input.clone(),
                            reader: Some(reader.title().into()),
                        });
                    }
                }
            }
        }
        Ok(self.assemble(outputs, nodes, shape))
    }

    fn assemble(
        &self,
        outputs: &[&str],
        nodes: BTreeSet<usize>,
        shape: impl Fn(&str) -> Option<Vec<usize>>,
    ) -> Cut {
        let computed: HashSet<&str> = nodes
            .iter()
            .flat_map(|&index| &self.nodes[index].outputs)
            .map(String::as_str)
            .collect();
        let mut seen = HashSet::new();
        let (mut inputs, mut stored) = (vec![], vec![]);
        for input in nodes.iter().flat_map(|&index| &self.nodes[index].inputs) {
            if computed.contains(input.as_str()) || !seen.insert(input.as_str()) {
                continue;
            }
            match self.tensors.get(input) {
                Some((field, _)) => stored.push(field),
                None => inputs.push(self.describe(input, shape(input))),
            }
        }
        let outputs = outputs
            .iter()
            .map(|output| self.describe(output, shape(output)));
        let rest = GraphProto {
            name: "part".into(),
            input: inputs.clone(),
            output: outputs.collect(),
            ..Default::default()
        };
        let rest = rest.encode_to_vec();
        let fields = nodes.iter().map(|&index| &self.nodes[index].field);
        let fields: Vec<&Bytes> = fields.chain(stored).collect();
        let length = rest.len() + fields.iter().map(|field| field.len()).sum::<usize>();
        let mut model = Vec::with_capacity(self.head.len() + length + 16);
        model.extend_from_slice(&self.head);
        encode_key(MODEL_GRAPH, WireType::LengthDelimited, &mut model);
        encode_varint(length as u64, &mut model);
        fields
            .iter()
            .for_each(|field| model.extend_from_slice(field));
        model.extend_from_slice(&rest);
        Cut {
            model,
            inputs: inputs.iter().map(ValueFacts::read).collect(),
            nodes: nodes.into_iter().collect(),
        }
    }

    /// A value's name and type, with the shape where that is known.
    fn describe(&self, name: &str, shape: Option<Vec<usize>>) -> ValueInfoProto {
        let stated = self.described.get(name);
        let stated_shape = || stated?.r#type.as_ref()?.tensor_type.as_ref()?.shape.clone();
        let shape = match shape {
            Some(shape) => Some(TensorShapeProto {
                dim: shape.into_iter().map(dimension).collect(),
            }),
            None => stated_shape(),
        };
        ValueInfoProto {
            name: name.into(),
            r#type: Some(TypeProto {
                tensor_type: Some(TensorTypeProto {
                    elem_type: self.element_type(name),
                    shape,
                }),
                ..Default::default()
            }),
        }
    }
}

impl Part {
    /// Its name, or where it has none its first output's.
    pub fn title(&self) -> &str {
        match self.name.as_str() {
            "" => self.outputs.first().map_or("", String::as_str),
            name => name,
        }
    }
}

fn part((node, field): (NodeProto, Bytes)) -> Part {
    let mut inputs: Vec<String> = vec![];
    let present = |name: &&String| !name.is_empty();
    inputs.extend(node.input.iter().filter(present).cloned());
    read_inside(&node.attribute, &mut inputs);
    let operator = match node.domain.as_str() {
        "" | "ai.onnx" => node.op_type.clone(),
        domain => format!("{domain}.{}", node.op_type),
    };
    Part {
        name: node.name.clone(),
        operator,
        inputs,
        outputs: node.output.iter().filter(present).cloned().collect(),
        field,
        decoded: node,
    }
}

/// The values that graphs inside a node read and do not compute.
fn read_inside(attributes: &[AttributeProto], inputs: &mut Vec<String>) {
    let graphs = attributes.iter().flat_map(|a| a.g.iter().chain(&a.graphs));
    for graph in graphs {
        let nodes = graph.node.iter();
        let own: HashSet<&String> = nodes
            .flat_map(|node| &node.output)
            .chain(graph.input.iter().map(|value| &value.name))
            .chain(graph.initializer.iter().map(|tensor| &tensor.name))
            .collect();
        let mut read = vec![];
        for node in &graph.node {
            read.extend(node.input.iter().filter(|name| !name.is_empty()).cloned());
            read_inside(&node.attribute, &mut read);
        }
        read.extend(graph.output.iter().map(|value| value.name.clone()));
        for name in read {
            if !own.contains(&name) && !inputs.contains(&name) {
                inputs.push(name);
            }
        }
    }
}

fn dimension(size: usize) -> DimensionProto {
    DimensionProto {
        value: Some(Dimension::Value(size as i64)),
    }
}

fn element_type(value: &ValueInfoProto) -> Option<i32> {
    let tensor = value.r#type.as_ref()?.tensor_type.as_ref()?;
    Some(tensor.elem_type).filter(|&known| known != 0)
}

enum ResultType {
    Known(i32),
    OfInput(usize),
}

/// The element type of what an operator puts out, by ONNX's definitions of them.
fn result_type(node: &NodeProto) -> ResultType {
    let attribute = |name: &str| node.attribute.iter().find(|a| a.name == name);
    let of_tensor = |name: &str| {
        let tensor = attribute(name).and_then(|a| a.t.as_ref());
        tensor.map_or(FLOAT, |tensor| tensor.data_type)
    };
    match node.op_type.as_str() {
        "Cast" => ResultType::Known(attribute("to").map_or(FLOAT, |a| a.i as i32)),
        "Constant" => ResultType::Known(match attribute("value_int").or(attribute("value_ints")) {
            Some(_) => INT64,
            None => of_tensor("value"),
        }),
        "ConstantOfShape" => ResultType::Known(of_tensor("value")),
        "Shape" | "Size" | "NonZero" | "ArgMax" | "ArgMin" => ResultType::Known(INT64),
        "Equal" | "Less" | "LessOrEqual" | "Greater" | "GreaterOrEqual" | "Not" | "And" | "Or"
        | "Xor" | "IsNaN" | "IsInf" => ResultType::Known(BOOL),
        "QuantizeLinear" if node.input.len() > 2 => ResultType::OfInput(2),
        "QuantizeLinear" | "DynamicQuantizeLinear" => ResultType::Known(UINT8),
        "DequantizeLinear" | "Where" | "CastLike" => ResultType::OfInput(1),
        "ConvInteger" | "MatMulInteger" => ResultType::Known(6),
        // Quantised like the zero point of what they put out; without one, they put out floating-point numbers.
        "QLinearConv" | "QLinearMatMul" | "QLinearAdd" | "QLinearMul" => ResultType::OfInput(7),
        "QLinearConcat" => ResultType::OfInput(1),
        "QGemm" if node.input.len() > 8 => ResultType::OfInput(8),
        "QGemm" => ResultType::Known(FLOAT),
        _ => ResultType::OfInput(0),
    }
}

#[cfg(test)]
mod tests;
