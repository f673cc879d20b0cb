//! A graph as classes of values: all values that hold the same numbers are one class, whatever they are called, and what
//! exporters, optimisers and quantisers write in different ways has one form.

mod signature;
mod tail;

use std::collections::HashMap;

use incept_exporters::onnx::proto::{BFLOAT16, DOUBLE, FLOAT, FLOAT16};
use incept_exporters::onnx::{Part, Parts};

use signature::{Described, describe};
use tail::readers;

/// Values that hold the same numbers, up to rounding and shape.
#[derive(Debug, Clone, Default)]
pub(super) struct Class {
    /// What computes it: operator, the settings that tell layers apart, the shapes of its weights.
    pub(super) signature: String,
    /// The classes it is computed from, in the operator's order.
    pub(super) operands: Vec<usize>,
    /// Whether that order means nothing.
    pub(super) commutative: bool,
    /// The classes just before it, which are its operands or steps of its own computation.
    pub(super) before: Vec<usize>,
    /// The values that can be compared, in the graph's order.
    pub(super) members: Vec<String>,
    /// Why there is none.
    pub(super) hidden: Option<String>,
    /// Whether no value is below 0, so that a further ReLU changes nothing.
    not_negative: bool,
    /// Whether scale and shift behind it may have been folded into its weights.
    takes_scale: bool,
}

/// A value, as the node that reads it sees it.
#[derive(Debug, Clone)]
enum Value {
    Class(usize),
    Constant(Option<Vec<i64>>),
}

/// What a node at the end of a chain of scales and shifts, or within one, is to become.
#[derive(Debug, Clone)]
struct Step {
    signature: String,
    operands: Vec<usize>,
    takes_scale: bool,
}

/// A graph in classes.
#[derive(Debug)]
pub(super) struct Graph {
    /// In an order they can be computed in.
    pub(super) classes: Vec<Class>,
    values: HashMap<String, Value>,
}

/// The operators that keep the numbers as they are, and change at most their type and shape. Padding is among them: what
/// reads it has it as a setting in other files; its shape is another, so it is never taken for what it pads.
const SAME: &[&str] = &[
    "Identity",
    "Dropout",
    "Cast",
    "CastLike",
    "Flatten",
    "Reshape",
    "Squeeze",
    "Unsqueeze",
    "Pad",
    "QuantizeLinear",
    "DequantizeLinear",
    "com.microsoft.QuantizeLinear",
    "com.microsoft.DequantizeLinear",
    "com.microsoft.nchwc.ReorderInput",
    "com.microsoft.nchwc.ReorderOutput",
];

/// The domain of ONNX Runtime's operators on values whose channels lie in blocks.
const BLOCKED: &str = "com.microsoft.nchwc.";

impl Graph {
    pub(super) fn read(parts: &Parts) -> Self {
        let mut reader = Reader {
            parts,
            readers: readers(parts),
            blocked: Default::default(),
            steps: HashMap::new(),
            graph: Self {
                classes: vec![],
                values: HashMap::new(),
            },
        };
        for name in parts.inputs() {
            let class = reader.graph.add(Class {
                signature: "input".into(),
                hidden: Some(format!("`{name}` is an input")),
                ..Class::default()
            });
            reader.graph.values.insert(name.into(), Value::Class(class));
        }
        for (index, node) in parts.nodes().iter().enumerate() {
            reader.node(index, node);
        }
        reader.graph
    }

    /// The class of a value that is computed.
    pub(super) fn class_of(&self, value: &str) -> Option<usize> {
        match self.values.get(value)? {
            Value::Class(class) => Some(*class),
            Value::Constant(_) => None,
        }
    }

    /// Whether a class is one of a layer: something of the graph's own, and not only a step within an operator.
    pub(super) fn is_layer(&self, class: usize) -> bool {
        !self.classes[class].members.is_empty()
    }

    fn add(&mut self, class: Class) -> usize {
        self.classes.push(class);
        self.classes.len() - 1
    }
}

struct Reader<'a> {
    parts: &'a Parts,
    readers: HashMap<&'a str, Vec<usize>>,
    /// Values whose channels lie in blocks.
    blocked: std::collections::HashSet<&'a str>,
    /// What nodes further on become, where an earlier one has settled it.
    steps: HashMap<usize, Step>,
    graph: Graph,
}

impl<'a> Reader<'a> {
    fn node(&mut self, index: usize, node: &'a Part) {
        let given: Vec<Option<Value>> = node
            .input_places()
            .iter()
            .map(|name| self.value(name))
            .collect();
        let classes: Vec<usize> = given
            .iter()
            .filter_map(|value| match value {
                Some(Value::Class(class)) => Some(*class),
                _ => None,
            })
            .collect();
        let is_blocked = node.operator != "com.microsoft.nchwc.ReorderOutput"
            && (node.operator.starts_with(BLOCKED)
                || node
                    .inputs
                    .iter()
                    .any(|v| self.blocked.contains(v.as_str())));
        if is_blocked {
            self.blocked.extend(node.outputs.iter().map(String::as_str));
        }
        let operator = node.operator.as_str();
        if classes.is_empty() || matches!(operator, "Shape" | "Size") {
            self.constants(node, operator);
        } else if let (true, [Some(Value::Class(of)), ..]) =
            (SAME.contains(&operator), given.as_slice())
        {
            let of = match operator.ends_with("QuantizeLinear") && self.clips_at_zero(node) {
                true => self.relu(*of),
                false => *of,
            };
            self.put(node, 0, of);
        } else if operator == "Relu" {
            let class = self.relu(classes[0]);
            self.put(node, 0, class);
        } else if let Some(step) = self.steps.remove(&index) {
            let before = classes.clone();
            self.finish(node, step, before);
        } else {
            self.layer(index, node, &given, classes);
        }
    }

    fn value(&self, name: &str) -> Option<Value> {
        if name.is_empty() {
            return None;
        }
        if self.parts.is_stored(name) {
            return Some(Value::Constant(self.parts.constant_shape(name)));
        }
        self.graph.values.get(name).cloned()
    }

    /// A node that computes from constants only, or asks for a shape: its values say nothing about the input's numbers.
    fn constants(&mut self, node: &Part, operator: &str) {
        let first = node.inputs.first().map(|name| self.value(name));
        let shape = match first {
            // A weight that is stored in 8 bits, or in half precision.
            Some(Some(Value::Constant(shape)))
                if SAME[..4].contains(&operator) || operator.ends_with("quantizeLinear") =>
            {
                shape
            }
            None => node
                .outputs
                .first()
                .and_then(|name| self.parts.constant_shape(name)),
            _ => None,
        };
        for output in &node.outputs {
            let value = Value::Constant(shape.clone());
            self.graph.values.insert(output.clone(), value);
        }
    }

    /// The class behind a ReLU.
    fn relu(&mut self, of: usize) -> usize {
        if self.graph.classes[of].not_negative {
            return of;
        }
        // A graph may clip the same value more than once.
        let there = self
            .graph
            .classes
            .iter()
            .position(|class| class.signature == "Relu" && class.operands == [of]);
        there.unwrap_or_else(|| {
            self.graph.add(Class {
                signature: "Relu".into(),
                operands: vec![of],
                before: vec![of],
                not_negative: true,
                ..Class::default()
            })
        })
    }

    /// Whether a quantisation cuts off what is below 0, as quantisers have it do in a ReLU's stead: its zero point is its
    /// type's smallest number, behind a layer that may put out negative numbers.
    fn clips_at_zero(&self, node: &Part) -> bool {
        let behind_layer = node
            .inputs
            .first()
            .and_then(|name| self.graph.class_of(name));
        let behind_layer = behind_layer.is_some_and(|class| {
            let class = &self.graph.classes[class];
            class.takes_scale || class.signature == "Add"
        });
        let places = node.input_places();
        let zero_point = places.get(2).filter(|name| !name.is_empty());
        let at_smallest = match zero_point {
            // Without one it is 0, of uint8.
            None => true,
            Some(name) => {
                let smallest = match self.parts.element_type(name) {
                    2 | 4 => 0,
                    3 => -128,
                    5 => -32768,
                    _ => return false,
                };
                self.parts
                    .constant_integers(name)
                    .is_some_and(|points| points == [smallest])
            }
        };
        behind_layer && at_smallest
    }

    /// A node that computes something of its own.
    fn layer(
        &mut self,
        index: usize,
        node: &'a Part,
        given: &[Option<Value>],
        mut operands: Vec<usize>,
    ) {
        let described = describe(self.parts, node, given);
        let activation = node.text("activation").filter(|name| !name.is_empty());
        // A convolution that adds a further value, as ONNX Runtime fuses it.
        let summand = (described.convolves && activation.is_some() && operands.len() > 1)
            .then(|| operands.remove(1));
        let step = Step {
            signature: described.signature.clone(),
            operands: operands.clone(),
            takes_scale: described.takes_scale,
        };
        let tail = match activation.is_none() && described.takes_scale && described.base {
            true => self.tail(index, node),
            false => vec![],
        };
        if let Some((&last, within)) = tail.split_last() {
            let names = tail
                .iter()
                .map(|&at| self.parts.nodes()[at].operator.as_str());
            let names = names.collect::<Vec<_>>().join(" ");
            let has_bias = given.len() > 2;
            let raw = |place: usize| Step {
                signature: format!("{} step {place} of {names} bias {has_bias}", step.signature),
                operands: operands.clone(),
                takes_scale: false,
            };
            for (place, &at) in within.iter().enumerate() {
                self.steps.insert(at, raw(place + 1));
            }
            let raw = raw(0);
            self.steps.insert(last, step);
            self.finish(node, raw, operands);
            return;
        }
        match activation {
            None => self.computed(node, step, &described),
            Some(activation) => {
                let mut class = self.graph.add(Class {
                    signature: step.signature,
                    before: step.operands.clone(),
                    operands: step.operands,
                    hidden: Some(format!("within `{}` ({})", node.title(), node.operator)),
                    ..Class::default()
                });
                if let Some(summand) = summand {
                    class = self.graph.add(Class {
                        signature: "Add".into(),
                        operands: vec![class, summand],
                        before: vec![class, summand],
                        commutative: true,
                        hidden: Some(format!("within `{}` ({})", node.title(), node.operator)),
                        ..Class::default()
                    });
                }
                let class = match activation.as_str() {
                    "Relu" => self.relu(class),
                    other => self.graph.add(Class {
                        signature: other.into(),
                        operands: vec![class],
                        before: vec![class],
                        ..Class::default()
                    }),
                };
                self.put(node, 0, class);
            }
        }
    }

    fn computed(&mut self, node: &'a Part, step: Step, described: &Described) {
        let not_negative = described.not_negative.unwrap_or_else(|| {
            let mut operands = step.operands.iter();
            operands.all(|&of| self.graph.classes[of].not_negative)
        });
        for place in 0..node.output_places().len() {
            let signature = match place {
                0 => step.signature.clone(),
                _ => format!("{} output {place}", step.signature),
            };
            let class = self.graph.add(Class {
                signature,
                operands: step.operands.clone(),
                commutative: described.commutative,
                before: step.operands.clone(),
                not_negative,
                takes_scale: step.takes_scale && place == 0,
                ..Class::default()
            });
            self.put(node, place, class);
        }
    }

    fn finish(&mut self, node: &'a Part, step: Step, before: Vec<usize>) {
        let class = self.graph.add(Class {
            signature: step.signature,
            operands: step.operands,
            before,
            takes_scale: step.takes_scale,
            ..Class::default()
        });
        self.put(node, 0, class);
    }

    /// Says that a node's output is of a class.
    fn put(&mut self, node: &'a Part, place: usize, class: usize) {
        let Some(name) = node
            .output_places()
            .get(place)
            .filter(|name| !name.is_empty())
        else {
            return;
        };
        self.graph.values.insert(name.clone(), Value::Class(class));
        let is_float = [FLOAT, FLOAT16, BFLOAT16, DOUBLE].contains(&self.parts.element_type(name));
        let entry = &mut self.graph.classes[class];
        match (is_float, self.blocked.contains(name.as_str())) {
            (true, false) => entry.members.push(name.clone()),
            (true, true) => entry.hidden = Some(format!("`{name}` holds its channels in blocks")),
            (false, _) => entry.hidden = Some(format!("`{name}` holds no floating-point numbers")),
        }
    }
}
