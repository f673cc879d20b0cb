//! The operators: those that `incept export` writes, without the resize of images.
//!
//! Each attribute that changes what an operator means is read, or the node is refused where it has another value than the
//! one that is computed here.

use incept_exporters::onnx::proto::{AttributeProto, NodeProto};
use tch::{TchError, Tensor};

use super::tensors::{Target, stored};

/// Every operator that [`apply`] knows.
pub(super) const OPERATORS: &[&str] = &[
    "Add",
    "AveragePool",
    "BatchNormalization",
    "Cast",
    "Concat",
    "Constant",
    "Conv",
    "DequantizeLinear",
    "Div",
    "Flatten",
    "Gemm",
    "GlobalAveragePool",
    "Identity",
    "MatMul",
    "Max",
    "MaxPool",
    "Mul",
    "ReduceSum",
    "Relu",
    "Reshape",
    "Softmax",
    "Sqrt",
    "Sub",
    "Transpose",
];

/// A node's inputs, those that are left out as none.
pub(super) struct Operands<'a>(pub(super) Vec<Option<&'a Tensor>>);

impl<'a> Operands<'a> {
    fn optional(&self, index: usize) -> Option<&'a Tensor> {
        self.0.get(index).copied().flatten()
    }

    fn at(&self, index: usize) -> Result<&'a Tensor, String> {
        self.optional(index)
            .ok_or_else(|| format!("input {index} is missing"))
    }

    fn all(&self) -> Result<Vec<&'a Tensor>, String> {
        (0..self.0.len()).map(|index| self.at(index)).collect()
    }
}

/// A node's attributes.
struct Attributes<'a>(&'a NodeProto);

impl Attributes<'_> {
    fn find(&self, name: &str) -> Option<&AttributeProto> {
        let mut attributes = self.0.attribute.iter();
        attributes.find(|attribute| attribute.name == name)
    }

    fn integer(&self, name: &str, default: i64) -> i64 {
        self.find(name).map_or(default, |attribute| attribute.i)
    }

    fn float(&self, name: &str, default: f32) -> f64 {
        self.find(name)
            .map_or(default, |attribute| attribute.f)
            .into()
    }

    fn integers(&self, name: &str, default: &[i64]) -> Vec<i64> {
        self.find(name)
            .map_or_else(|| default.to_vec(), |attribute| attribute.ints.clone())
    }

    /// Refuses the node unless the attribute is absent or has its default.
    fn plain(&self, name: &str, default: i64) -> Result<(), String> {
        let found = self.integer(name, default);
        match found == default {
            true => Ok(()),
            false => Err(format!("`{name}`: expected {default}, found {found}")),
        }
    }

    fn sequence(&self, name: &str, default: &[i64]) -> Result<(), String> {
        let found = self.integers(name, default);
        match found == default {
            true => Ok(()),
            false => Err(format!("`{name}`: expected {default:?}, found {found:?}")),
        }
    }
}

/// The window of a convolution or pool over a map.
struct Window {
    kernel: Vec<i64>,
    strides: Vec<i64>,
    /// Top, left, bottom, right.
    pads: [i64; 4],
}

impl Window {
    fn read(attributes: &Attributes<'_>, kernel: &[i64]) -> Result<Self, String> {
        if attributes
            .find("auto_pad")
            .is_some_and(|attribute| !attribute.s.is_empty() && attribute.s != "NOTSET")
        {
            return Err("`auto_pad`: expected NOTSET".into());
        }
        let kernel = attributes.integers("kernel_shape", kernel);
        let strides = attributes.integers("strides", &[1, 1]);
        let pads = attributes.integers("pads", &[0; 4]);
        let pads: [i64; 4] = pads
            .try_into()
            .map_err(|found: Vec<i64>| format!("`pads`: expected 4, found {}", found.len()))?;
        if kernel.len() != 2 || strides.len() != 2 {
            return Err(format!(
                "expected a window of 2 dimensions, found kernel {kernel:?} and strides {strides:?}"
            ));
        }
        Ok(Self {
            kernel,
            strides,
            pads,
        })
    }

    /// The padding of each dimension, for operators that pad both sides alike.
    fn symmetric(&self) -> Result<[i64; 2], String> {
        let [top, left, bottom, right] = self.pads;
        match top == bottom && left == right {
            true => Ok([top, left]),
            false => Err(format!(
                "`pads`: expected the same on both sides, found {:?}",
                self.pads
            )),
        }
    }
}

/// Computes one node.
///
/// # Errors
/// In words: an attribute or an input that is not computed here, or libtorch's own.
pub(super) fn apply(
    node: &NodeProto,
    operands: &Operands<'_>,
    target: &Target,
) -> Result<Tensor, String> {
    let attributes = Attributes(node);
    let said = |error: TchError| error.to_string();
    match node.op_type.as_str() {
        "Add" => operands.at(0)?.f_add(operands.at(1)?),
        "Sub" => operands.at(0)?.f_sub(operands.at(1)?),
        "Mul" => operands.at(0)?.f_mul(operands.at(1)?),
        "Div" => operands.at(0)?.f_div(operands.at(1)?),
        "Max" => {
            let all = operands.all()?;
            let (first, others) = all.split_first().ok_or("expected an input, found none")?;
            let start = Ok(first.shallow_clone());
            let larger = |largest: Result<Tensor, _>, value: &&Tensor| largest?.f_maximum(value);
            others.iter().fold(start, larger)
        }
        "Relu" => operands.at(0)?.f_relu(),
        "Sqrt" => operands.at(0)?.f_sqrt(),
        "Identity" => Ok(operands.at(0)?.shallow_clone()),
        "Softmax" => operands
            .at(0)?
            .f_softmax(attributes.integer("axis", -1), None),
        "Concat" => Tensor::f_cat(&operands.all()?, attributes.integer("axis", 0)),
        "MatMul" => operands.at(0)?.f_matmul(operands.at(1)?),
        "Cast" => {
            let to = i32::try_from(attributes.integer("to", 0)).unwrap_or_default();
            operands.at(0)?.f_to_kind(target.kind(to)?)
        }
        "Transpose" => {
            let value = operands.at(0)?;
            let reversed: Vec<i64> = (0..value.dim() as i64).rev().collect();
            value.f_permute(attributes.integers("perm", &reversed))
        }
        "GlobalAveragePool" => {
            let value = operands.at(0)?;
            value.f_mean_dim([2_i64, 3].as_slice(), true, None)
        }
        "Conv" => return convolution(&attributes, operands),
        "DequantizeLinear" => return dequantize(&attributes, operands),
        "MaxPool" | "AveragePool" => return pool(&attributes, operands),
        "BatchNormalization" => return batch_normalization(&attributes, operands),
        "Gemm" => return gemm(&attributes, operands),
        "Flatten" => return flatten(&attributes, operands),
        "Reshape" => return reshape(&attributes, operands),
        "ReduceSum" => return reduce_sum(&attributes, operands),
        "Constant" => return constant(&attributes, target),
        other => return Err(format!("the operator `{other}` is not computed")),
    }
    .map_err(said)
}

fn convolution(attributes: &Attributes<'_>, operands: &Operands<'_>) -> Result<Tensor, String> {
    let (value, weight) = (operands.at(0)?, operands.at(1)?);
    attributes.sequence("dilations", &[1, 1])?;
    let window = Window::read(attributes, weight.size().get(2..).unwrap_or_default())?;
    let padding = window.symmetric()?;
    let groups = attributes.integer("group", 1);
    // As `conv2d` does it, but never with TF32, which would keep 10 bits of each factor.
    let tf32 = false;
    value
        .f_internal_convolution(
            weight,
            operands.optional(2),
            window.strides,
            padding,
            [1, 1],
            false,
            [0, 0],
            groups,
            false,
            false,
            true,
            tf32,
        )
        .map_err(|error| error.to_string())
}

/// `(x - zero_point) · scale`, a scale for each place along an axis.
fn dequantize(attributes: &Attributes<'_>, operands: &Operands<'_>) -> Result<Tensor, String> {
    attributes.plain("block_size", 0)?;
    let (value, scale) = (operands.at(0)?, operands.at(1)?);
    let dimensions = value.dim() as i64;
    let axis = attributes.integer("axis", 1);
    let axis = if axis < 0 { axis + dimensions } else { axis };
    let mut shape = vec![1; value.dim()];
    if scale.dim() == 1 {
        let place = usize::try_from(axis)
            .ok()
            .and_then(|axis| shape.get_mut(axis));
        *place.ok_or_else(|| {
            format!("`axis`: expected one of {dimensions} dimensions, found {axis}")
        })? = -1;
    }
    let along = |tensor: &Tensor| tensor.f_view(shape.as_slice());
    let compute = || {
        let kind = scale.f_kind()?;
        let value = value.f_to_kind(kind)?;
        let value = match operands.optional(2) {
            Some(zero) => value.f_sub(&along(zero)?.f_to_kind(kind)?)?,
            None => value,
        };
        value.f_mul(&along(scale)?)
    };
    compute().map_err(|error| error.to_string())
}

fn pool(attributes: &Attributes<'_>, operands: &Operands<'_>) -> Result<Tensor, String> {
    let value = operands.at(0)?;
    attributes.sequence("dilations", &[1, 1])?;
    attributes.plain("ceil_mode", 0)?;
    attributes.plain("storage_order", 0)?;
    let window = Window::read(attributes, &[])?;
    let padding = window.symmetric()?;
    let (kernel, strides) = (window.kernel, window.strides);
    let pooled = match attributes.0.op_type.as_str() {
        "MaxPool" => value.f_max_pool2d(kernel, strides, padding, [1, 1], false),
        _ => {
            let counted = attributes.integer("count_include_pad", 0) != 0;
            value.f_avg_pool2d(kernel, strides, padding, false, counted, None::<i64>)
        }
    };
    pooled.map_err(|error| error.to_string())
}

fn batch_normalization(
    attributes: &Attributes<'_>,
    operands: &Operands<'_>,
) -> Result<Tensor, String> {
    attributes.plain("training_mode", 0)?;
    let value = operands.at(0)?;
    let [scale, shift, mean, variance] = [1, 2, 3, 4].map(|index| operands.at(index).map(Some));
    let epsilon = attributes.float("epsilon", 1e-5);
    value
        .f_batch_norm(scale?, shift?, mean?, variance?, false, 0.0, epsilon, false)
        .map_err(|error| error.to_string())
}

/// `alpha · A · B + beta · C`.
fn gemm(attributes: &Attributes<'_>, operands: &Operands<'_>) -> Result<Tensor, String> {
    let compute = |a: &Tensor, b: &Tensor, c: Option<&Tensor>| -> Result<Tensor, TchError> {
        let turned = |value: &Tensor, name| match attributes.integer(name, 0) {
            0 => Ok(value.shallow_clone()),
            _ => value.f_transpose(0, 1),
        };
        let scaled = |value: Tensor, name| match attributes.float(name, 1.0) {
            1.0 => Ok(value),
            factor => value.f_mul_scalar(factor),
        };
        let product = turned(a, "transA")?.f_matmul(&turned(b, "transB")?)?;
        let product = scaled(product, "alpha")?;
        match c {
            Some(c) => product.f_add(&scaled(c.shallow_clone(), "beta")?),
            None => Ok(product),
        }
    };
    compute(operands.at(0)?, operands.at(1)?, operands.optional(2))
        .map_err(|error| error.to_string())
}

fn flatten(attributes: &Attributes<'_>, operands: &Operands<'_>) -> Result<Tensor, String> {
    let value = operands.at(0)?;
    let shape = value.size();
    let axis = attributes.integer("axis", 1);
    let axis = if axis < 0 {
        axis + shape.len() as i64
    } else {
        axis
    };
    let outer = usize::try_from(axis)
        .ok()
        .and_then(|axis| shape.get(..axis));
    let outer = outer.ok_or_else(|| format!("`axis` {axis} is not one of {shape:?}"))?;
    let rows: i64 = outer.iter().product();
    let columns: i64 = shape[outer.len()..].iter().product();
    value
        .f_reshape([rows, columns])
        .map_err(|error| error.to_string())
}

fn reshape(attributes: &Attributes<'_>, operands: &Operands<'_>) -> Result<Tensor, String> {
    attributes.plain("allowzero", 0)?;
    let value = operands.at(0)?;
    let mut shape = whole_numbers(operands.at(1)?)?;
    let found = value.size();
    for (axis, size) in shape.iter_mut().enumerate() {
        if *size == 0 {
            *size = *found
                .get(axis)
                .ok_or_else(|| format!("dimension {axis} is to be copied from {found:?}"))?;
        }
    }
    value.f_reshape(shape).map_err(|error| error.to_string())
}

fn reduce_sum(attributes: &Attributes<'_>, operands: &Operands<'_>) -> Result<Tensor, String> {
    let value = operands.at(0)?;
    let axes = operands.optional(1).map(whole_numbers).transpose()?;
    let axes = axes.unwrap_or_default();
    if axes.is_empty() {
        attributes.plain("noop_with_empty_axes", 0)?;
    }
    let kept = attributes.integer("keepdims", 1) != 0;
    value
        .f_sum_dim_intlist(axes.as_slice(), kept, None)
        .map_err(|error| error.to_string())
}

/// The value of a tensor that says a shape or axes.
fn whole_numbers(tensor: &Tensor) -> Result<Vec<i64>, String> {
    let copy = || {
        let tensor = tensor.f_to_device(tch::Device::Cpu)?.f_contiguous()?;
        let mut numbers = vec![0_i64; tensor.numel()];
        let count = numbers.len();
        tensor.f_copy_data(&mut numbers, count)?;
        Ok(numbers)
    };
    copy().map_err(|error: TchError| error.to_string())
}

fn constant(attributes: &Attributes<'_>, target: &Target) -> Result<Tensor, String> {
    use incept_exporters::onnx::proto::{FLOAT, INT64};
    let place = |value: Result<Tensor, TchError>, element_type| {
        let kind = target.kind(element_type)?;
        value
            .and_then(|value| value.f_to_device(target.device)?.f_to_kind(kind))
            .map_err(|error: TchError| error.to_string())
    };
    let find = |name| attributes.find(name);
    if let Some(tensor) = find("value").and_then(|attribute| attribute.t.as_ref()) {
        return stored(tensor, target);
    }
    if let Some(numbers) = find("value_ints") {
        // Shapes and axes are read on the host.
        return Tensor::f_from_slice(&numbers.ints).map_err(|error| error.to_string());
    }
    if let Some(number) = find("value_float") {
        let scalar = Tensor::f_from_slice(&[number.f]).and_then(|value| value.f_squeeze());
        return place(scalar, FLOAT);
    }
    if let Some(number) = find("value_int") {
        let scalar = Tensor::f_from_slice(&[number.i]).and_then(|value| value.f_squeeze());
        return place(scalar, INT64);
    }
    Err("expected `value`, `value_float`, `value_int` or `value_ints`, found none".into())
}
