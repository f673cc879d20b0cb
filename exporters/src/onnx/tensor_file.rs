//! Single tensors as files, as ONNX's test data has them: `input_0.pb`.

use half::{bf16, f16};
use prost::Message;

use super::proto::{BFLOAT16, FLOAT, FLOAT16, INT64, TensorProto, UINT8};

/// The values of a tensor, in row-major order.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum TensorValues<'a> {
    /// As float32.
    Float32(&'a [f32]),
    /// To be rounded to float16.
    Float16(&'a [f32]),
    /// To be rounded to bfloat16.
    BFloat16(&'a [f32]),
    /// Bytes.
    Uint8(&'a [u8]),
    /// Whole numbers.
    Int64(&'a [i64]),
}

/// The bytes of a file that holds one tensor, a `TensorProto`. `shape` must have as many places as there are values.
pub fn tensor_file(name: &str, shape: &[usize], values: TensorValues<'_>) -> Vec<u8> {
    let (data_type, raw): (i32, Vec<u8>) = match values {
        TensorValues::Float32(values) => {
            let bytes = values.iter().flat_map(|value| value.to_le_bytes());
            (FLOAT, bytes.collect())
        }
        TensorValues::Float16(values) => {
            let bytes = values.iter().map(|&value| f16::from_f32(value));
            (FLOAT16, bytes.flat_map(f16::to_le_bytes).collect())
        }
        TensorValues::BFloat16(values) => {
            let bytes = values.iter().map(|&value| bf16::from_f32(value));
            (BFLOAT16, bytes.flat_map(bf16::to_le_bytes).collect())
        }
        TensorValues::Uint8(values) => (UINT8, values.to_vec()),
        TensorValues::Int64(values) => {
            let bytes = values.iter().flat_map(|value| value.to_le_bytes());
            (INT64, bytes.collect())
        }
    };
    TensorProto {
        dims: shape.iter().map(|&size| size as i64).collect(),
        data_type,
        name: name.into(),
        raw_data: raw.into(),
        ..Default::default()
    }
    .encode_to_vec()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use onnx_protobuf::{Message as _, TensorProto as Independent};

    #[test]
    fn another_reader_finds_the_tensor() {
        let written = tensor_file("x", &[2, 2], TensorValues::Float32(&[1.0, -2.5, 0.0, 3.0]));
        let read = Independent::parse_from_bytes(&written).unwrap();
        assert_eq!((read.name.as_str(), read.data_type), ("x", FLOAT));
        assert_eq!(read.dims, [2, 2]);
        let values: Vec<f32> = read
            .raw_data
            .as_chunks::<4>()
            .0
            .iter()
            .map(|b| f32::from_le_bytes(*b))
            .collect();
        assert_eq!(values, [1.0, -2.5, 0.0, 3.0]);
        for (values, data_type, bytes) in [
            (TensorValues::Float16(&[1.0]), FLOAT16, vec![0, 0x3c]),
            (TensorValues::BFloat16(&[1.0]), BFLOAT16, vec![0x80, 0x3f]),
            (TensorValues::Uint8(&[7]), UINT8, vec![7]),
            (TensorValues::Int64(&[-1]), INT64, vec![255; 8]),
        ] {
            let read = Independent::parse_from_bytes(&tensor_file("y", &[1], values)).unwrap();
            assert_eq!((read.data_type, read.raw_data.to_vec()), (data_type, bytes));
        }
    }
}
