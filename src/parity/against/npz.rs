//! Values for inputs, from a file of numpy's.

use std::path::Path;

use incept_exporters::files;
use incept_exporters::numpy::{NumpyValues, read_npz};
use ndarray::ArrayD;

use super::AgainstError;

/// An array as a model may take it.
#[derive(Debug)]
pub(super) enum Array {
    Floats(ArrayD<f32>),
    Bytes(ArrayD<u8>),
    Integers(ArrayD<i64>),
}

impl Array {
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Floats(_) => "floating-point numbers",
            Self::Bytes(_) => "uint8",
            Self::Integers(_) => "int32 or int64",
        }
    }
}

/// The arrays of a file, by name.
pub(super) fn read(path: &Path) -> Result<Vec<(String, Array)>, AgainstError> {
    let failed = |reason: String| AgainstError::Values {
        path: path.into(),
        reason,
    };
    let arrays = read_npz(&files::map(path)?).map_err(|error| failed(error.to_string()))?;
    let arrays = arrays.into_iter().map(|array| {
        let shape = array.shape;
        let values = match array.values {
            NumpyValues::Floats(values) => ArrayD::from_shape_vec(shape, values).map(Array::Floats),
            NumpyValues::Bytes(values) => ArrayD::from_shape_vec(shape, values).map(Array::Bytes),
            NumpyValues::Integers(values) => {
                ArrayD::from_shape_vec(shape, values).map(Array::Integers)
            }
        };
        Ok((
            array.name,
            values.map_err(|error| failed(error.to_string()))?,
        ))
    });
    arrays.collect()
}
