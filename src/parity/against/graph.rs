//! A graph as classes of values: all values that hold the same numbers are one class, whatever they are called, and what
//! exporters, optimisers and quantisers write in different ways has one form.

use std::collections::HashMap;

use incept_exporters::onnx::proto::{BFLOAT16, DOUBLE, FLOAT, FLOAT16};
use incept_exporters::onnx::{Part, Parts};

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

/// Which nodes read each value; an output of the graph counts as one more.
fn readers(parts: &Parts) -> HashMap<&str, Vec<usize>> {
    let mut readers: HashMap<&str, Vec<usize>> = HashMap::new();
    for (index, node) in parts.nodes().iter().enumerate() {
        for input in &node.inputs {
            readers.entry(input).or_default().push(index);
        }
    }
    for output in parts.outputs() {
        readers.entry(output).or_default().push(usize::MAX);
    }
    readers
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

    /// The scales and shifts by constants right behind a node, which may be folded into its weights: batch
    /// normalisation, and multiplications and additions. Only where nothing else reads the values between.
    fn tail(&self, index: usize, node: &'a Part) -> Vec<usize> {
        let mut tail = vec![];
        let mut at = index;
        let mut output = node.outputs.first().map_or("", String::as_str);
        let mut candidates = vec![];
        while let Some([next]) = self.readers.get(output).map(Vec::as_slice) {
            let Some(reader) = self.parts.nodes().get(*next).filter(|_| *next > at) else {
                break;
            };
            let is_constant = |name: &String| name.is_empty() || self.is_constant(name);
            let others = reader.input_places().iter().filter(|name| *name != output);
            let scales = match reader.operator.as_str() {
                "BatchNormalization" => others.clone().all(is_constant),
                "Mul" | "Add" | "Sub" => {
                    others.clone().count() == 1 && others.clone().all(is_constant)
                }
                "Div" => {
                    reader
                        .input_places()
                        .first()
                        .is_some_and(|name| name == output)
                        && others.clone().all(is_constant)
                }
                operator => {
                    // Passed over, if scales follow.
                    if !SAME[..4].contains(&operator) && !operator.ends_with("uantizeLinear") {
                        break;
                    }
                    false
                }
            };
            at = *next;
            candidates.push((at, scales));
            output = reader.outputs.first().map_or("", String::as_str);
        }
        tail.extend(
            candidates
                .iter()
                .filter(|(_, scales)| *scales)
                .map(|(at, _)| *at),
        );
        tail
    }

    /// Whether a value depends on no input.
    fn is_constant(&self, name: &str) -> bool {
        let mut waiting = vec![name];
        let mut steps = 0;
        while let Some(name) = waiting.pop() {
            steps += 1;
            if self.parts.is_stored(name)
                || matches!(self.graph.values.get(name), Some(Value::Constant(_)))
            {
                continue;
            }
            match self.parts.producer(name) {
                // A constant is a few steps deep; what is deeper is taken for none.
                Some(producer) if steps < 64 => waiting.extend(
                    self.parts.nodes()[producer]
                        .inputs
                        .iter()
                        .map(String::as_str),
                ),
                _ => return false,
            }
        }
        true
    }
}

/// What a node is.
struct Described {
    signature: String,
    /// Whether scale and shift may be folded into it.
    takes_scale: bool,
    /// Whether it begins a chain of these.
    base: bool,
    convolves: bool,
    commutative: bool,
    /// Whether no value is below 0; none: where none of its operands' is.
    not_negative: Option<bool>,
}

/// Names a node by what tells layers apart. Left out is what a faulty export gets wrong at the same layer: padding, how
/// it is counted, epsilon, factors, and the weights themselves. There the numbers differ, and say so.
fn describe(parts: &Parts, node: &Part, given: &[Option<Value>]) -> Described {
    let plain = node.operator.rsplit('.').next().unwrap_or_default();
    let dims = |place: usize| match given.get(place) {
        Some(Some(Value::Constant(Some(dims)))) => Some(dims.clone()),
        _ => None,
    };
    let is_class = |place: usize| matches!(given.get(place), Some(Some(Value::Class(_))));
    let settings = |names: &[&str]| {
        let mut text = String::new();
        for name in names {
            let Some(values) = node.integers(name) else {
                continue;
            };
            // All ones is what it is where nothing is said.
            if *name == "kernel_shape" || values.iter().any(|&value| value != 1) {
                text += &format!(" {name} {values:?}");
            }
        }
        text
    };
    let mut described = Described {
        signature: String::new(),
        takes_scale: false,
        base: true,
        convolves: false,
        commutative: false,
        not_negative: Some(false),
    };
    match plain {
        "Conv" | "FusedConv" | "ConvTranspose" | "QLinearConv" => {
            let operator = if plain == "ConvTranspose" {
                plain
            } else {
                "Conv"
            };
            let weights = dims(if plain == "QLinearConv" { 3 } else { 1 });
            let group = node.integer("group").unwrap_or(1);
            let strides = settings(&["strides", "dilations"]);
            described.signature = format!("{operator} {weights:?}{strides} group {group}");
            described.takes_scale = true;
            described.convolves = true;
        }
        "Gemm" | "FusedGemm" | "MatMul" if is_class(0) && dims(1).is_some_and(|d| d.len() == 2) => {
            let mut weights = dims(1).unwrap_or_default();
            if node.integer("transB").unwrap_or(0) != 0 {
                weights.reverse();
            }
            described.signature = format!("Linear {weights:?}");
            described.takes_scale = true;
        }
        "Add" | "Sum" | "Mul" if given.len() > 1 && (0..given.len()).all(is_class) => {
            described.signature = if plain == "Mul" { "Mul" } else { "Add" }.into();
            described.commutative = true;
            described.not_negative = None;
        }
        "QLinearAdd" | "QLinearMul" if is_class(0) && is_class(3) => {
            described.signature = if plain == "QLinearMul" { "Mul" } else { "Add" }.into();
            described.commutative = true;
            described.not_negative = None;
        }
        "Add" | "Mul" | "Sub" | "Div" | "BatchNormalization" => {
            described.signature = "Affine".into();
            described.takes_scale = true;
        }
        "MaxPool" | "AveragePool" | "LpPool" => {
            described.signature = format!(
                "{plain}{}",
                settings(&["kernel_shape", "strides", "dilations"])
            );
            described.not_negative = None;
        }
        "GlobalAveragePool" | "QLinearGlobalAveragePool" => {
            described.signature = "mean over height and width".into();
            described.not_negative = None;
        }
        "ReduceMean" if is_over_map(parts, node) => {
            described.signature = "mean over height and width".into();
            described.not_negative = None;
        }
        "Concat" | "QLinearConcat" => {
            let values = (0..given.len()).filter(|&place| is_class(place)).count();
            described.signature = format!("Concat of {values}");
            described.not_negative = None;
        }
        _ => {
            let shapes: Vec<String> = (0..given.len())
                .filter(|&place| !is_class(place))
                .map(|place| {
                    // A scalar is written with any number of dimensions.
                    let dims = dims(place).unwrap_or_default();
                    format!(
                        "{:?}",
                        dims.into_iter()
                            .filter(|&size| size != 1)
                            .collect::<Vec<_>>()
                    )
                })
                .collect();
            let settings = settings(&["kernel_shape", "strides", "perm"]);
            described.signature = format!("{}{settings} {}", node.operator, shapes.join(" "));
            let sign = ["Sigmoid", "HardSigmoid", "Softmax", "Abs", "Exp"].contains(&plain);
            described.not_negative = Some(sign);
        }
    }
    described
}

/// Whether a mean is over the last two of four dimensions.
fn is_over_map(parts: &Parts, node: &Part) -> bool {
    let axes = node.integers("axes").map(<[i64]>::to_vec);
    let place = || {
        node.input_places()
            .get(1)
            .and_then(|name| parts.constant_integers(name))
    };
    let mut axes = axes.or_else(place).unwrap_or_default();
    axes.sort_unstable();
    axes == [2, 3] || axes == [-2, -1]
}
