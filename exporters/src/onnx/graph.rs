//! From a network's nodes to ONNX nodes.
//!
//! Every ONNX value is named after the network's node whose value it holds, so a value of the file and a row
//! of a report are matched by name alone. Where batch normalisation is folded, the convolution's node keeps its
//! name and its output is named after the normalisation.

mod attributes;
mod image;
mod outputs;
mod values;

use super::proto::{AttributeProto, INT64, NodeProto, ValueInfoProto};
use super::{BatchNorm, ExportError, ExportOptions, INPUT_NAME, Input, Recipe, Scaling};
use crate::net::{Net, Node, Op, Shape};
use attributes::{float, integer, window as window_attributes};

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
    /// The scale of each filter of a weight that is stored as int8.
    Scales { weight: Box<Initializer> },
    /// One number.
    Constant(f64),
}

/// The graph without its tensors' values.
#[derive(Debug, Default)]
pub(super) struct Graph {
    pub(super) inputs: Vec<ValueInfoProto>,
    pub(super) nodes: Vec<NodeProto>,
    /// What nodes put out and the file does not.
    pub(super) values: Vec<ValueInfoProto>,
    pub(super) outputs: Vec<ValueInfoProto>,
    pub(super) initializers: Vec<Initializer>,
}

/// Emits what the outputs asked for need of the network.
///
/// # Errors
/// [`ExportError`] for an output that is not there, and for options that contradict each other.
pub(super) fn emit(net: &Net, options: &ExportOptions) -> Result<Graph, ExportError> {
    options.check(net)?;
    let selected = outputs::select(net, options)?;
    let mut emitter = Emitter {
        net,
        options,
        graph: Graph::default(),
        names: vec![],
        needed: net.needed(&selected),
    };
    for index in 0..net.nodes().len() {
        emitter.node(index);
    }
    let Emitter {
        mut graph, names, ..
    } = emitter;
    for id in selected {
        let name = &names[id.index()];
        let place = graph.values.iter().position(|value| value.name == *name);
        graph
            .outputs
            .extend(place.map(|place| graph.values.remove(place)));
    }
    Ok(graph)
}

/// The normalisation that alone reads this convolution or linear layer, where folding is asked for.
fn folds_into<'a>(net: &'a Net, options: &ExportOptions, index: usize) -> Option<&'a Node> {
    let foldable = matches!(
        net.nodes()[index].op,
        Op::Convolution { .. } | Op::Linear { .. }
    );
    let folds = foldable && options.batch_norm == BatchNorm::Folded;
    let reads = |node: &&Node| node.inputs.iter().any(|input| input.index() == index);
    let mut readers = net.nodes()[index + 1..].iter().filter(reads);
    let first = readers.next().filter(|_| folds)?;
    (matches!(first.op, Op::BatchNorm { .. }) && readers.next().is_none()).then_some(first)
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
            Op::Input => value = self.image(node.shape),
            Op::Convolution { window, .. } => match folds_into(net, self.options, index) {
                Some(batch_norm) => {
                    value.clone_from(&batch_norm.name);
                    let attributes = window_attributes(window);
                    self.folded(
                        "Conv",
                        node,
                        batch_norm,
                        attributes,
                        &inputs[0],
                        &parameters[0],
                    );
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
                let dimensions = values::pooled(node.shape, self.options);
                self.graph.values.push(values::float(&pooled, dimensions));
                self.simple("Flatten", node, vec![pooled], vec![integer("axis", 1)]);
            }
            // Dropout does nothing at inference: its value is its input's.
            Op::Dropout { .. } => value.clone_from(&inputs[0]),
            Op::Linear { .. } => match folds_into(net, self.options, index) {
                Some(batch_norm) => {
                    value.clone_from(&batch_norm.name);
                    let attributes = vec![integer("transB", 1)];
                    self.folded(
                        "Gemm",
                        node,
                        batch_norm,
                        attributes,
                        &inputs[0],
                        &parameters[0],
                    );
                }
                None => {
                    let operands = self.with_parameters(inputs, &parameters);
                    self.simple("Gemm", node, operands, vec![integer("transB", 1)]);
                }
            },
            Op::Normalize => self.normalize(node, &inputs[0]),
            Op::Softmax => self.simple("Softmax", node, inputs, vec![integer("axis", 1)]),
        }
        self.names.push(value);
    }

    fn folded(
        &mut self,
        op_type: &str,
        node: &Node,
        batch_norm: &Node,
        attributes: Vec<AttributeProto>,
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
        self.graph.nodes.push(NodeProto {
            input: vec![input.to_string(), weight.clone(), bias],
            output: vec![batch_norm.name.clone()],
            name: node.name.clone(),
            op_type: op_type.into(),
            attribute: attributes,
            ..Default::default()
        });
        self.describe(&batch_norm.name, node.shape);
    }

    /// x / max(√Σx², 1e-12), of operators that every runtime has: `LpNormalization` has no lower bound and few runtimes.
    fn normalize(&mut self, node: &Node, input: &str) {
        let named = |part: &str| format!("{}/{part}", node.name);
        let [squares, sum, length, bounded] =
            ["squares", "sum", "length", "bounded_length"].map(named);
        let (axis, least) = (named("axis"), named("least_length"));
        let along = attributes::integers("value_ints", vec![1]);
        self.push("Constant", &axis, vec![], vec![along]);
        self.graph
            .values
            .push(values::of_type(INT64, &axis, vec![values::fixed(1)]));
        let shortest = float("value_float", 1e-12);
        self.push("Constant", &least, vec![], vec![shortest]);
        self.graph.values.push(values::float(&least, vec![]));
        let one = Shape::Vector { features: 1 };
        self.push("Mul", &squares, vec![input.into(), input.into()], vec![]);
        self.describe(&squares, node.shape);
        let kept = vec![integer("keepdims", 1)];
        self.push("ReduceSum", &sum, vec![squares, axis], kept);
        self.describe(&sum, one);
        self.push("Sqrt", &length, vec![sum], vec![]);
        self.describe(&length, one);
        self.push("Max", &bounded, vec![length, least], vec![]);
        self.describe(&bounded, one);
        self.simple("Div", node, vec![input.into(), bounded], vec![]);
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

    /// The input, and the nodes that make the network's image of it; returns the image's name.
    fn image(&mut self, shape: Shape) -> String {
        let options = self.options;
        let dimensions = values::image_dimensions(shape, options);
        if options.input == Input::Tensor {
            let input = values::float(INPUT_NAME, dimensions);
            self.graph.inputs.push(input);
            return INPUT_NAME.into();
        }
        let recipe = options.recipe.unwrap_or_else(|| Recipe::of(self.net));
        let prepared = (&recipe, Scaling::of(self.net));
        image::emit(&mut self.graph, shape, prepared, dimensions, options)
    }

    fn describe(&mut self, name: &str, shape: Shape) {
        let dimensions = values::dimensions(shape, self.options);
        self.graph.values.push(values::float(name, dimensions));
    }
}
