//! From a network's nodes to ONNX nodes.
//!
//! Every ONNX value is named after the network's node whose value it holds, so a value of the file and a row
//! of a report are matched by name alone. Where batch normalisation is folded, the convolution's node keeps its
//! name and its output is named after the normalisation.

use super::proto::{
    AttributeProto, AttributeType, Dimension, DimensionProto, FLOAT, NodeProto, TensorShapeProto,
    TensorTypeProto, TypeProto, ValueInfoProto,
};
use super::{Batch, BatchNorm, ExportOptions};
use crate::net::{Net, Node, NodeId, Op, Shape, Window};

/// A tensor stored in the file, and how its values come from the weights.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Initializer {
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
    pub(super) values: Values,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Values {
    /// The tensor of the same name.
    Same,
    /// `weight · gamma / √(variance + ε)` of the named convolution and normalisation.
    FoldedWeight { batch_norm: String, epsilon: f64 },
    /// `beta − mean · gamma / √(variance + ε)`.
    FoldedBias { batch_norm: String, epsilon: f64 },
    /// One number.
    Constant(f64),
}

/// The graph without its tensors' values.
#[derive(Debug, Default)]
pub(super) struct Graph {
    pub(super) nodes: Vec<NodeProto>,
    pub(super) values: Vec<ValueInfoProto>,
    pub(super) initializers: Vec<Initializer>,
}

/// Emits what `options.output` needs of the network.
pub(super) fn emit(net: &Net, options: &ExportOptions) -> Graph {
    let last = net
        .id(options.output.name())
        .map_or(net.nodes().len() - 1, NodeId::index);
    let mut emitter = Emitter {
        net,
        options,
        graph: Graph::default(),
        names: vec![],
        needed: needed(net, last),
    };
    for index in 0..=last {
        emitter.node(index);
    }
    emitter.graph
}

/// Marks the nodes that `last` depends on.
fn needed(net: &Net, last: usize) -> Vec<bool> {
    let mut needed = vec![false; net.nodes().len()];
    needed[last] = true;
    for index in (0..=last).rev() {
        if needed[index] {
            net.nodes()[index]
                .inputs
                .iter()
                .for_each(|input| needed[input.index()] = true);
        }
    }
    needed
}

struct Emitter<'a> {
    net: &'a Net,
    options: &'a ExportOptions,
    graph: Graph,
    /// The name of each node's value.
    names: Vec<String>,
    needed: Vec<bool>,
}

impl<'a> Emitter<'a> {
    fn node(&mut self, index: usize) {
        let net = self.net;
        let node = &net.nodes()[index];
        let mut value = node.name.clone();
        if !self.needed[index] {
            self.names.push(value);
            return;
        }
        let inputs: Vec<String> = node
            .inputs
            .iter()
            .map(|input| self.names[input.index()].clone())
            .collect();
        let parameters: Vec<(String, Vec<usize>)> = net
            .parameters_of(node)
            .into_iter()
            .map(|p| (p.name, p.shape))
            .collect();
        match node.op {
            Op::Input => {}
            Op::Convolution { window, .. } => match self.folds_into(index) {
                Some(batch_norm) => {
                    value.clone_from(&batch_norm.name);
                    self.folded_convolution(node, batch_norm, window, &inputs[0], &parameters[0]);
                }
                None => {
                    let operands = self.with_parameters(inputs, &parameters);
                    self.push("Conv", &node.name, operands, window_attributes(window));
                    self.describe(&value, node.shape);
                }
            },
            Op::BatchNorm { epsilon } => {
                if self.names[node.inputs[0].index()] != value {
                    let operands = self.with_parameters(inputs, &parameters);
                    self.push(
                        "BatchNormalization",
                        &value,
                        operands,
                        vec![float("epsilon", epsilon)],
                    );
                    self.describe(&value, node.shape);
                }
            }
            Op::Relu => self.simple("Relu", node, inputs, vec![]),
            Op::MaxPool(window) => self.simple("MaxPool", node, inputs, window_attributes(window)),
            Op::AveragePool {
                window,
                count_padding,
            } => {
                let mut attributes = window_attributes(window);
                attributes.push(integer("count_include_pad", i64::from(count_padding)));
                self.simple("AveragePool", node, inputs, attributes);
            }
            Op::Concatenate => self.simple("Concat", node, inputs, vec![integer("axis", 1)]),
            Op::ScaledAdd { scale } => self.scaled_add(node, inputs, scale),
            Op::GlobalAveragePool => {
                let pooled = format!("{value}/average_pool");
                self.push("GlobalAveragePool", &pooled, inputs, vec![]);
                let shape = Shape::Map {
                    channels: node.shape.channels(),
                    height: 1,
                    width: 1,
                };
                self.describe(&pooled, shape);
                self.simple("Flatten", node, vec![pooled], vec![integer("axis", 1)]);
            }
            // Dropout does nothing at inference: its value is its input's.
            Op::Dropout { .. } => value.clone_from(&inputs[0]),
            Op::Linear { .. } => {
                let operands = self.with_parameters(inputs, &parameters);
                self.simple("Gemm", node, operands, vec![integer("transB", 1)]);
            }
            Op::Softmax => self.simple("Softmax", node, inputs, vec![integer("axis", 1)]),
        }
        self.names.push(value);
    }

    /// The normalisation that alone reads this convolution, where folding is asked for.
    fn folds_into(&self, index: usize) -> Option<&'a Node> {
        let net = self.net;
        if self.options.batch_norm == BatchNorm::Kept {
            return None;
        }
        let reads = |node: &&Node| node.inputs.iter().any(|input| input.index() == index);
        let mut readers = net.nodes()[index + 1..].iter().filter(reads);
        let first = readers.next()?;
        (matches!(first.op, Op::BatchNorm { .. }) && readers.next().is_none()).then_some(first)
    }

    fn folded_convolution(
        &mut self,
        node: &Node,
        batch_norm: &Node,
        window: Window,
        input: &str,
        (weight, shape): &(String, Vec<usize>),
    ) {
        let Op::BatchNorm { epsilon } = batch_norm.op else {
            return;
        };
        let bias = format!("{}/bias", node.name);
        let folding = batch_norm.name.clone();
        self.graph.initializers.push(Initializer {
            name: weight.clone(),
            shape: shape.clone(),
            values: Values::FoldedWeight {
                batch_norm: folding.clone(),
                epsilon,
            },
        });
        self.graph.initializers.push(Initializer {
            name: bias.clone(),
            shape: vec![shape[0]],
            values: Values::FoldedBias {
                batch_norm: folding,
                epsilon,
            },
        });
        let operands = vec![input.to_string(), weight.clone(), bias];
        self.graph.nodes.push(NodeProto {
            input: operands,
            output: vec![batch_norm.name.clone()],
            name: node.name.clone(),
            op_type: "Conv".into(),
            attribute: window_attributes(window),
            ..Default::default()
        });
        self.describe(&batch_norm.name, node.shape);
    }

    fn scaled_add(&mut self, node: &Node, mut inputs: Vec<String>, scale: f64) {
        if scale != 1.0 {
            let (factor, scaled) = (
                format!("{}/scale", node.name),
                format!("{}/scaled", node.name),
            );
            self.graph.initializers.push(Initializer {
                name: factor.clone(),
                shape: vec![],
                values: Values::Constant(scale),
            });
            self.push("Mul", &scaled, vec![inputs[1].clone(), factor], vec![]);
            self.describe(&scaled, node.shape);
            inputs[1] = scaled;
        }
        self.simple("Add", node, inputs, vec![]);
    }

    fn with_parameters(
        &mut self,
        mut inputs: Vec<String>,
        parameters: &[(String, Vec<usize>)],
    ) -> Vec<String> {
        for (name, shape) in parameters {
            let (name, shape) = (name.clone(), shape.clone());
            inputs.push(name.clone());
            self.graph.initializers.push(Initializer {
                name,
                shape,
                values: Values::Same,
            });
        }
        inputs
    }

    /// One ONNX node for one node of the network.
    fn simple(
        &mut self,
        op_type: &str,
        node: &Node,
        inputs: Vec<String>,
        attributes: Vec<AttributeProto>,
    ) {
        self.push(op_type, &node.name, inputs, attributes);
        self.describe(&node.name, node.shape);
    }

    fn push(
        &mut self,
        op_type: &str,
        name: &str,
        input: Vec<String>,
        attribute: Vec<AttributeProto>,
    ) {
        self.graph.nodes.push(NodeProto {
            input,
            output: vec![name.into()],
            name: name.into(),
            op_type: op_type.into(),
            attribute,
            ..Default::default()
        });
    }

    fn describe(&mut self, name: &str, shape: Shape) {
        self.graph
            .values
            .push(value_info(name, shape, self.options.batch));
    }
}

/// A float32 value's name and shape, batch first.
pub(super) fn value_info(name: &str, shape: Shape, batch: Batch) -> ValueInfoProto {
    let batch = match batch {
        Batch::Dynamic => Dimension::Parameter("N".into()),
        Batch::Fixed(images) => Dimension::Value(images as i64),
    };
    let rest = shape
        .dimensions()
        .into_iter()
        .map(|size| Dimension::Value(size as i64));
    let dim = std::iter::once(batch)
        .chain(rest)
        .map(|value| DimensionProto { value: Some(value) })
        .collect();
    let tensor = TensorTypeProto {
        elem_type: FLOAT,
        shape: Some(TensorShapeProto { dim }),
    };
    ValueInfoProto {
        name: name.into(),
        r#type: Some(TypeProto {
            tensor_type: Some(tensor),
            ..Default::default()
        }),
    }
}

fn window_attributes(window: Window) -> Vec<AttributeProto> {
    let (rows, columns) = window.pads();
    let (rows, columns) = (rows as i64, columns as i64);
    vec![
        integers(
            "kernel_shape",
            vec![window.kernel.height as i64, window.kernel.width as i64],
        ),
        integers("pads", vec![rows, columns, rows, columns]),
        integers("strides", vec![window.stride as i64; 2]),
    ]
}

fn integer(name: &str, i: i64) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        i,
        r#type: AttributeType::Int.into(),
        ..Default::default()
    }
}

fn integers(name: &str, ints: Vec<i64>) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        ints,
        r#type: AttributeType::Ints.into(),
        ..Default::default()
    }
}

fn float(name: &str, f: f64) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        f: f as f32,
        r#type: AttributeType::Float.into(),
        ..Default::default()
    }
}
