//! A bundle's arrays as safetensors.

use incept_exporters::onnx::DataTensor;
use incept_exporters::onnx::proto::{
    BFLOAT16, BOOL, DOUBLE, FLOAT, FLOAT16, INT8, INT16, INT32, UINT8, UINT16, UINT32, UINT64,
};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensorError, serialize};

/// The arrays under their names; the same for the same arrays.
pub(super) fn safetensors(tensors: &[(String, &DataTensor)]) -> Result<Vec<u8>, SafeTensorError> {
    let raw: Vec<Vec<u8>> = tensors.iter().map(|(_, tensor)| tensor.raw()).collect();
    let views = tensors.iter().zip(&raw).map(|((name, tensor), raw)| {
        let view = TensorView::new(dtype(tensor.element_type), tensor.shape.clone(), raw)?;
        Ok::<_, SafeTensorError>((name.as_str(), view))
    });
    serialize(views.collect::<Result<Vec<_>, _>>()?, None)
}

/// What safetensors calls an element type.
fn dtype(element_type: i32) -> Dtype {
    match element_type {
        FLOAT => Dtype::F32,
        DOUBLE => Dtype::F64,
        FLOAT16 => Dtype::F16,
        BFLOAT16 => Dtype::BF16,
        BOOL => Dtype::BOOL,
        INT8 => Dtype::I8,
        UINT8 => Dtype::U8,
        INT16 => Dtype::I16,
        UINT16 => Dtype::U16,
        INT32 => Dtype::I32,
        UINT32 => Dtype::U32,
        UINT64 => Dtype::U64,
        _ => Dtype::I64,
    }
}
