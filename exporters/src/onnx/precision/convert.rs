//! The pass itself.

use std::collections::{HashMap, HashSet};

use super::super::data_type::{number_of, type_name};
use super::super::graph::{Initializer, Values};
use super::super::proto::{
    AttributeProto, AttributeType, BFLOAT16, Dimension, DimensionProto, FLOAT, FLOAT16, GraphProto,
    INT8, NodeProto, TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
};
use super::{Precision, PrecisionOptions};
use crate::net::block_of;
use crate::weights::ElementType;

/// A tensor of the file and the type it is stored in.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::onnx) struct Stored {
    pub(in crate::onnx) initializer: Initializer,
    pub(in crate::onnx) element_type: ElementType,
}

/// Operators that half precision begins at, and that have weights: their second operand.
const BEGINS: &[&str] = &["Conv", "Gemm", "MatMul"];

/// Operators that are computed in half precision where a value they read is.
const GOES_ON: &[&str] = &[
    "Add",
    "AveragePool",
    "BatchNormalization",
    "MaxPool",
    "Mul",
    "Relu",
];

/// Operators that only move numbers: they take bfloat16 in every runtime that knows the type.
const MOVES: &[&str] = &["Concat", "Flatten", "Identity", "Reshape", "Transpose"];

/// Converts a graph without tensors, and tells what its tensors are to be stored in.
pub(in crate::onnx) fn convert(
    graph: &mut GraphProto,
    initializers: Vec<Initializer>,
    options: &PrecisionOptions,
) -> Vec<Stored> {
    if !options.any(|precision| precision != Precision::Fp32) {
        let stored = |initializer| Stored {
            initializer,
            element_type: ElementType::Float32,
        };
        return initializers.into_iter().map(stored).collect();
    }
    let interface = number_of(options.interface());
    let nodes = std::mem::take(&mut graph.node);
    let values = std::mem::take(&mut graph.value_info);
    for value in graph.input.iter_mut().chain(&mut graph.output) {
        if element_type(value) == FLOAT {
            set_element_type(value, interface);
        }
    }
    let mut pass = Pass {
        interface,
        outputs: graph
            .output
            .iter()
            .map(|value| value.name.clone())
            .collect(),
        nodes: Vec::with_capacity(2 * nodes.len()),
        ..Pass::default()
    };
    for value in values.iter().chain(&graph.input).chain(&graph.output) {
        let known = (element_type(value), shape(value));
        pass.values.insert(value.name.clone(), known);
    }
    for tensor in &initializers {
        let sizes = tensor
            .shape
            .iter()
            .map(|&size| Dimension::Value(size as i64));
        let dim = sizes
            .map(|size| DimensionProto { value: Some(size) })
            .collect();
        let known = (FLOAT, Some(TensorShapeProto { dim }));
        pass.tensors.insert(tensor.name.clone(), known);
    }
    for node in nodes {
        let precision = options.of_block(block_of(&node.name));
        let computed = Computed::of(precision, options);
        pass.node(node, &computed);
    }
    graph.node = pass.nodes;
    graph.value_info = pass.described;
    let tensors = pass.tensors;
    let element_type = |name: &str| match tensors.get(name) {
        Some((FLOAT16, _)) => ElementType::Float16,
        Some((BFLOAT16, _)) => ElementType::BFloat16,
        Some((INT8, _)) => ElementType::Int8,
        _ => ElementType::Float32,
    };
    let stored = |initializer: Initializer| {
        let element_type = element_type(&initializer.name);
        let scale = (element_type == ElementType::Int8).then(|| Stored {
            initializer: scale_of(&initializer),
            element_type: ElementType::Float32,
        });
        let tensor = Stored {
            initializer,
            element_type,
        };
        [Some(tensor), scale].into_iter().flatten()
    };
    initializers.into_iter().flat_map(stored).collect()
}

/// The tensor of the scales of an int8 tensor's filters, `[O]`.
fn scale_of(weight: &Initializer) -> Initializer {
    Initializer {
        name: scale_name(&weight.name),
        shape: weight.shape[..1].to_vec(),
        values: Values::Scales {
            weight: Box::new(weight.clone()),
        },
    }
}

fn scale_name(weight: &str) -> String {
    format!("{weight}/scale")
}

/// How the layers of a block are computed.
struct Computed {
    /// The number of the half type that values are rounded to; none where they stay float32.
    half: Option<i32>,
    /// Operators are computed in float32, on rounded values, and their results rounded.
    emulated: bool,
    /// Weights are whole numbers of 8 bits.
    int8: bool,
}

impl Computed {
    fn of(precision: Precision, options: &PrecisionOptions) -> Self {
        Self {
            half: precision
                .is_half()
                .then(|| number_of(precision.element_type())),
            emulated: match precision {
                Precision::Fp16 => options.emulated_float16,
                Precision::Bf16 => !options.native_bfloat16,
                Precision::Fp32 | Precision::Int8 => false,
            },
            int8: precision == Precision::Int8,
        }
    }
}

/// An element type and a shape.
type Known = (i32, Option<TensorShapeProto>);

#[derive(Default)]
struct Pass {
    /// The type of the graph's float inputs and outputs.
    interface: i32,
    outputs: HashSet<String>,
    tensors: HashMap<String, Known>,
    /// The type of each value: in the new graph, once its node is converted.
    values: HashMap<String, Known>,
    /// The values that were computed in half precision, whatever type they are put out in.
    in_half: HashSet<String>,
    /// The name of a value in another type, where there is one.
    casts: HashMap<(String, i32), String>,
    nodes: Vec<NodeProto>,
    described: Vec<ValueInfoProto>,
}

impl Pass {
    fn node(&mut self, mut node: NodeProto, of_block: &Computed) {
        let op = node.op_type.as_str();
        let moves = MOVES.contains(&op);
        let reads_half = node.input.iter().any(|input| self.in_half.contains(input));
        let begins = BEGINS.contains(&op);
        let goes_on = reads_half && (moves || GOES_ON.contains(&op));
        let half = of_block.half.filter(|_| begins || goes_on);
        let in_half = half.is_some();
        let rounded = half.unwrap_or(FLOAT);
        let computed = if of_block.emulated && !moves {
            FLOAT
        } else {
            rounded
        };
        // Statistics rounded to float16 would lose small variances: normalisation takes them as float32.
        let rounds_tensors = in_half && op != "BatchNormalization";
        for (place, input) in node.input.iter_mut().enumerate() {
            if let Some((element_type, _)) = self.tensors.get_mut(input) {
                if rounds_tensors {
                    *element_type = rounded;
                    *input = self.cast(input, computed);
                } else if of_block.int8 && begins && place == 1 {
                    *element_type = INT8;
                    *input = self.dequantize(input);
                }
            } else if self.is_float(input) {
                // What comes in float32, as the image does, is rounded before it is computed with.
                let rounded = self.cast(input, rounded);
                *input = self.cast(&rounded, computed);
            }
        }
        let results = std::mem::take(&mut node.output);
        let mut casts = vec![];
        for name in results {
            if !self.is_float(&name) {
                self.describe(&name, &name);
                node.output.push(name);
                continue;
            }
            let wanted = if self.outputs.contains(&name) {
                self.interface
            } else {
                rounded
            };
            let mut types = vec![computed, rounded, wanted];
            types.dedup();
            let names: Vec<String> = (1..=types.len())
                .map(|step| match types[step - 1] {
                    _ if step == types.len() => name.clone(),
                    found if step == 1 && found != rounded => format!("{name}/unrounded"),
                    found => alias(&name, found),
                })
                .collect();
            node.output.push(names[0].clone());
            casts.push((name, names, types));
        }
        self.nodes.push(node);
        for (name, names, types) in casts {
            self.result(&name, &names, &types, in_half);
        }
    }

    /// Describes a node's result and the Casts behind it; the last of them has the value's own name.
    fn result(&mut self, name: &str, names: &[String], types: &[i32], in_half: bool) {
        let shape = self.values.get(name).and_then(|(_, shape)| shape.clone());
        for (step, (called, &element_type)) in names.iter().zip(types).enumerate() {
            if step > 0 {
                let node = cast_node(&names[step - 1], called, name, element_type);
                self.nodes.push(node);
            }
            self.values
                .insert(called.clone(), (element_type, shape.clone()));
            self.describe(called, name);
            // What has not been rounded yet is nobody else's to read.
            if called == &alias(name, element_type) {
                self.casts
                    .insert((name.into(), element_type), called.clone());
            }
        }
        if in_half {
            self.in_half.insert(name.into());
        }
    }

    fn is_float(&self, value: &str) -> bool {
        let found = self
            .values
            .get(value)
            .map(|(element_type, _)| *element_type);
        found.is_some_and(|found| matches!(found, FLOAT | FLOAT16 | BFLOAT16))
    }

    /// Adds what makes float32 numbers of an int8 weight; returns their name.
    fn dequantize(&mut self, weight: &str) -> String {
        let shape = self
            .tensors
            .get(weight)
            .and_then(|(_, shape)| shape.clone());
        let called = alias(weight, FLOAT);
        self.values.insert(called.clone(), (FLOAT, shape));
        let along = AttributeProto {
            name: "axis".into(),
            i: 0,
            r#type: AttributeType::Int.into(),
            ..Default::default()
        };
        self.nodes.push(NodeProto {
            input: vec![weight.into(), scale_name(weight)],
            output: vec![called.clone()],
            name: format!("{weight}/to_float32"),
            op_type: "DequantizeLinear".into(),
            attribute: vec![along],
            ..Default::default()
        });
        self.describe(&called, weight);
        called
    }

    /// The name of a value or tensor in this type; casts it where it is not there yet.
    fn cast(&mut self, name: &str, wanted: i32) -> String {
        let Some((found, shape)) = self.tensors.get(name).or_else(|| self.values.get(name)) else {
            return name.into();
        };
        if *found == wanted {
            return name.into();
        }
        let key = (name.to_string(), wanted);
        if let Some(there) = self.casts.get(&key) {
            return there.clone();
        }
        let called = alias(name, wanted);
        self.values.insert(called.clone(), (wanted, shape.clone()));
        self.nodes.push(cast_node(name, &called, name, wanted));
        self.describe(&called, name);
        self.casts.insert(key, called.clone());
        called
    }

    /// Records a value's type and shape, unless it is an output of the graph, which has its own.
    fn describe(&mut self, called: &str, name: &str) {
        if called == name && self.outputs.contains(name) {
            return;
        }
        let Some((elem_type, shape)) = self.values.get(called).cloned() else {
            return;
        };
        let tensor_type = Some(TensorTypeProto { elem_type, shape });
        self.described.push(ValueInfoProto {
            name: called.into(),
            r#type: Some(TypeProto {
                tensor_type,
                ..Default::default()
            }),
        });
    }
}

/// What a value is called in another type than its own.
fn alias(name: &str, element_type: i32) -> String {
    format!("{name}/{}", type_name(element_type))
}

fn cast_node(from: &str, to: &str, value: &str, element_type: i32) -> NodeProto {
    let attribute = AttributeProto {
        name: "to".into(),
        i: element_type.into(),
        r#type: AttributeType::Int.into(),
        ..Default::default()
    };
    NodeProto {
        input: vec![from.into()],
        output: vec![to.into()],
        name: format!("{value}/to_{}", type_name(element_type)),
        op_type: "Cast".into(),
        attribute: vec![attribute],
        ..Default::default()
    }
}

fn element_type(value: &ValueInfoProto) -> i32 {
    let tensor = value.r#type.as_ref().and_then(|t| t.tensor_type.as_ref());
    tensor.map_or(0, |tensor| tensor.elem_type)
}

fn shape(value: &ValueInfoProto) -> Option<TensorShapeProto> {
    let tensor = value.r#type.as_ref().and_then(|t| t.tensor_type.as_ref());
    tensor.and_then(|tensor| tensor.shape.clone())
}

fn set_element_type(value: &mut ValueInfoProto, element_type: i32) {
    if let Some(tensor) = value.r#type.as_mut().and_then(|t| t.tensor_type.as_mut()) {
        tensor.elem_type = element_type;
    }
}
