//! Tensors on their way into libtorch and out of it.

use incept_exporters::onnx::proto::{
    BFLOAT16, DOUBLE, EXTERNAL, FLOAT, FLOAT16, INT8, INT64, TensorProto, UINT8,
};
use incept_exporters::onnx::type_name as onnx_name;
use ndarray::{ArrayD, IxDyn};
use tch::{Device, Kind, TchError, Tensor};

use super::super::InputTensor;

/// Where and in which type everything is computed.
pub(super) struct Target {
    pub(super) device: Device,
    /// Of every float; none where the file says it.
    pub(super) kind: Option<Kind>,
}

impl Target {
    /// The type that a value of this one is computed in: floats in the target's, where it has one.
    pub(super) fn kind(&self, element_type: i32) -> Result<Kind, String> {
        let kind = match element_type {
            FLOAT => Kind::Float,
            FLOAT16 => Kind::Half,
            BFLOAT16 => Kind::BFloat16,
            DOUBLE => Kind::Double,
            INT64 => Kind::Int64,
            INT8 => Kind::Int8,
            UINT8 => Kind::Uint8,
            other => return Err(format!("the type {} is not read", onnx_name(other))),
        };
        Ok(match self.kind {
            Some(wanted) if is_floating(kind) => wanted,
            _ => kind,
        })
    }
}

/// Whether a type holds fractions.
fn is_floating(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Float | Kind::Half | Kind::BFloat16 | Kind::Double
    )
}

/// A tensor that the file holds.
///
/// # Errors
/// In words: a type that is not read, values that are elsewhere, more or fewer bytes than the shape has.
pub(super) fn stored(tensor: &TensorProto, target: &Target) -> Result<Tensor, String> {
    if tensor.data_location == EXTERNAL {
        return Err("its values are in another file".into());
    }
    // Of the file's own type first: rounding comes after.
    let (kind, size) = match tensor.data_type {
        FLOAT => (Kind::Float, 4),
        FLOAT16 => (Kind::Half, 2),
        BFLOAT16 => (Kind::BFloat16, 2),
        DOUBLE => (Kind::Double, 8),
        INT64 => (Kind::Int64, 8),
        INT8 => (Kind::Int8, 1),
        UINT8 => (Kind::Uint8, 1),
        other => return Err(format!("the type {} is not read", onnx_name(other))),
    };
    let listed = tensor.float_data.concat();
    let bytes: &[u8] = match tensor.data_type {
        FLOAT if !listed.is_empty() => &listed,
        _ => &tensor.raw_data,
    };
    let elements = tensor.dims.iter().try_fold(1_usize, |product, &size| {
        product.checked_mul(usize::try_from(size).ok()?)
    });
    let expected = elements.and_then(|elements| elements.checked_mul(size));
    if expected != Some(bytes.len()) {
        return Err(format!(
            "shape {:?} of {}: expected {} bytes, found {}",
            tensor.dims,
            onnx_name(tensor.data_type),
            expected.map_or_else(|| "a possible number of".into(), |n| n.to_string()),
            bytes.len()
        ));
    }
    let wanted = target.kind(tensor.data_type)?;
    let place = || {
        Tensor::f_from_data_size(bytes, &tensor.dims, kind)?
            .f_to_device(target.device)?
            .f_to_kind(wanted)
    };
    place().map_err(|error| error.to_string())
}

/// What the caller gives, in the type that the model takes.
///
/// # Errors
/// In words: numbers of another kind than the model takes.
pub(super) fn input(
    given: &InputTensor<'_>,
    element_type: i32,
    target: &Target,
) -> Result<Tensor, String> {
    let shape: Vec<i64> = given.shape().iter().map(|&size| size as i64).collect();
    let wanted = target.kind(element_type)?;
    let (values, fits, found) = match given {
        InputTensor::Floats(view) => {
            let values: Vec<f32> = view.iter().copied().collect();
            (Tensor::f_from_slice(&values), is_floating(wanted), "floats")
        }
        InputTensor::Bytes(view) => {
            let values: Vec<u8> = view.iter().copied().collect();
            (
                Tensor::f_from_slice(&values),
                wanted == Kind::Uint8,
                "bytes",
            )
        }
        InputTensor::Integers(view) => {
            let values: Vec<i64> = view.iter().copied().collect();
            let fits = wanted == Kind::Int64;
            (Tensor::f_from_slice(&values), fits, "whole numbers")
        }
    };
    if !fits {
        return Err(format!(
            "expected {}, found {found}",
            onnx_name(element_type)
        ));
    }
    let place = || {
        values?
            .f_view(shape.as_slice())?
            .f_to_device(target.device)?
            // As the file would round it, before it is computed in another type.
            .f_to_kind(file_kind(element_type, wanted))?
            .f_to_kind(wanted)
    };
    place().map_err(|error: TchError| error.to_string())
}

/// The file's own half types; anything else is not rounded.
fn file_kind(element_type: i32, wanted: Kind) -> Kind {
    match element_type {
        FLOAT16 => Kind::Half,
        BFLOAT16 => Kind::BFloat16,
        _ => wanted,
    }
}

/// An output as float32, in main memory.
pub(super) fn as_float32(value: &Tensor) -> Result<ArrayD<f32>, TchError> {
    let value = value
        .f_to_device(Device::Cpu)?
        .f_to_kind(Kind::Float)?
        .f_contiguous()?;
    let mut numbers = vec![0.0_f32; value.numel()];
    let count = numbers.len();
    value.f_copy_data(&mut numbers, count)?;
    let shape: Vec<usize> = value.size().iter().map(|&size| size as usize).collect();
    ArrayD::from_shape_vec(IxDyn(&shape), numbers)
        .map_err(|error| TchError::Shape(error.to_string()))
}

/// ONNX's name of a value's type.
pub(super) fn type_name(value: &Tensor) -> &'static str {
    match value.f_kind() {
        Ok(Kind::Float) => "float",
        Ok(Kind::Double) => "double",
        Ok(Kind::Half) => "float16",
        Ok(Kind::BFloat16) => "bfloat16",
        Ok(Kind::Int64) => "int64",
        Ok(Kind::Int8) => "int8",
        Ok(Kind::Uint8) => "uint8",
        _ => "undefined",
    }
}
