//! Values for inputs, from a file of numpy's.

use std::path::Path;

use incept_exporters::files;
use incept_exporters::numpy::{NumpyValues, read_npz};
use ndarray::ArrayD;

use super::AgainstError;
use crate::runtime::Tensor;

/// The types of numpy's that are read as this tensor.
pub(super) fn type_name(tensor: &Tensor) -> &'static str {
    match tensor {
        Tensor::Floats(_) => "floating-point numbers",
        Tensor::Bytes(_) => "uint8",
        Tensor::Integers(_) => "int32 or int64",
    }
}

/// The arrays of a file, by name.
pub(super) fn read(path: &Path) -> Result<Vec<(String, Tensor)>, AgainstError> {
    let failed = |reason: String| AgainstError::Values {
        path: path.into(),
        reason,
    };
    let arrays = read_npz(&files::map(path)?).map_err(|error| failed(error.to_string()))?;
    let tensors = arrays.into_iter().map(|array| {
        let shape = array.shape;
        let tensor = match array.values {
            NumpyValues::Floats(values) => {
                ArrayD::from_shape_vec(shape, values).map(Tensor::Floats)
            }
            NumpyValues::Bytes(values) => ArrayD::from_shape_vec(shape, values).map(Tensor::Bytes),
            NumpyValues::Integers(values) => {
                ArrayD::from_shape_vec(shape, values).map(Tensor::Integers)
            }
        };
        Ok((
            array.name,
            tensor.map_err(|error| failed(error.to_string()))?,
        ))
    });
    tensors.collect()
}
