//! Tensors on their way into ONNX Runtime and out of it.

use std::fmt::Debug;

use half::{bf16, f16};
use ndarray::{ArrayD, ArrayViewD};
use ort::session::SessionInputValue;
use ort::value::{DynValue, PrimitiveTensorElementType, Tensor, TensorElementType, TensorRef};

use super::super::InputTensor;

/// The tensor ONNX Runtime takes: a view of the input where it is contiguous and of the model's type, else a copy.
pub(super) fn tensor<'a>(
    input: &InputTensor<'a>,
    element_type: Option<TensorElementType>,
) -> ort::Result<SessionInputValue<'a>> {
    fn plain<'a, T: PrimitiveTensorElementType + Clone + Debug + 'static>(
        view: &ArrayViewD<'a, T>,
    ) -> ort::Result<SessionInputValue<'a>> {
        match view.is_standard_layout() {
            true => Ok(TensorRef::from_array_view(view.clone())?.into()),
            false => Ok(Tensor::from_array(view.as_standard_layout().into_owned())?.into()),
        }
    }
    Ok(match (input, element_type) {
        (InputTensor::Floats(view), Some(TensorElementType::Float16)) => {
            Tensor::from_array(view.mapv(f16::from_f32))?.into()
        }
        (InputTensor::Floats(view), Some(TensorElementType::Bfloat16)) => {
            Tensor::from_array(view.mapv(bf16::from_f32))?.into()
        }
        (InputTensor::Floats(view), Some(TensorElementType::Float64)) => {
            Tensor::from_array(view.mapv(f64::from))?.into()
        }
        // Whoever hands over whole numbers has looked whether the model's type holds them.
        (InputTensor::Integers(view), Some(TensorElementType::Int32)) => {
            Tensor::from_array(view.mapv(|value| value as i32))?.into()
        }
        (InputTensor::Integers(view), Some(TensorElementType::Bool)) => {
            Tensor::from_array(view.mapv(|value| value != 0))?.into()
        }
        // A model that takes something else says so itself.
        (InputTensor::Floats(view), _) => plain(view)?,
        (InputTensor::Bytes(view), _) => plain(view)?,
        (InputTensor::Integers(view), _) => plain(view)?,
    })
}

/// An output as float32, which holds every number of the half types.
pub(super) fn as_float32(value: &DynValue) -> ort::Result<ArrayD<f32>> {
    Ok(match value.dtype().tensor_type() {
        Some(TensorElementType::Float16) => value.try_extract_array::<f16>()?.mapv(f16::to_f32),
        Some(TensorElementType::Bfloat16) => value.try_extract_array::<bf16>()?.mapv(bf16::to_f32),
        Some(TensorElementType::Float64) => value.try_extract_array::<f64>()?.mapv(|x| x as f32),
        Some(TensorElementType::Int64) => value.try_extract_array::<i64>()?.mapv(|x| x as f32),
        Some(TensorElementType::Int32) => value.try_extract_array::<i32>()?.mapv(|x| x as f32),
        Some(TensorElementType::Uint8) => value.try_extract_array::<u8>()?.mapv(f32::from),
        Some(TensorElementType::Int8) => value.try_extract_array::<i8>()?.mapv(f32::from),
        Some(TensorElementType::Bool) => value.try_extract_array::<bool>()?.mapv(f32::from),
        _ => value.try_extract_array::<f32>()?.into_owned(),
    })
}
