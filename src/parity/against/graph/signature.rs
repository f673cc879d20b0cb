//! What tells layers apart: the names that nodes get for that.

use incept_exporters::onnx::{Part, Parts};

use super::Value;

/// What a node is.
pub(super) struct Described {
    pub(super) signature: String,
    /// Whether scale and shift may be folded into it.
    pub(super) takes_scale: bool,
    /// Whether it begins a chain of these.
    pub(super) base: bool,
    pub(super) convolves: bool,
    pub(super) commutative: bool,
    /// Whether no value is below 0; none: where none of its operands' is.
    pub(super) not_negative: Option<bool>,
}

/// Names a node by what tells layers apart. Left out is what a faulty export gets wrong at the same layer: padding, how
/// it is counted, epsilon, factors, and the weights themselves. There the numbers differ, and say so.
pub(super) fn describe(parts: &Parts, node: &Part, given: &[Option<Value>]) -> Described {
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
