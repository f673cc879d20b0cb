//! A tensor by itself, as the files of ONNX's backend tests hold it: a `TensorProto` and nothing else.

use half::{bf16, f16};
use prost::Message;
use prost::bytes::Bytes;
use prost::encoding::decode_varint;

use super::ReadError;
use super::data_type::{self, type_name};
use super::inspect::elements;
use super::proto::{
    BFLOAT16, BOOL, DOUBLE, EXTERNAL, FLOAT, FLOAT16, INT8, INT16, INT32, INT64, TensorProto,
    UINT8, UINT16, UINT32, UINT64,
};

/// The numbers of a tensor, each in a type that holds every number of its element type.
#[derive(Debug, Clone, PartialEq)]
pub enum Numbers {
    /// Of float16, bfloat16, float32 and float64.
    Floats(Vec<f64>),
    /// Of whole numbers, and of bool as 0 and 1. A uint64 above the largest int64 is refused when it is read.
    Integers(Vec<i64>),
}

impl Numbers {
    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Floats(values) => values.len(),
            Self::Integers(values) => values.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A tensor with a name, as `input_0.pb` and `output_0.pb` hold one.
#[derive(Debug, Clone, PartialEq)]
pub struct DataTensor {
    /// The value it is of; may be empty.
    pub name: String,
    /// The element type, as `TensorProto.DataType` numbers it.
    pub element_type: i32,
    /// The shape; empty for a single number.
    pub shape: Vec<usize>,
    /// The numbers in row-major order, as many as the shape says.
    pub numbers: Numbers,
}

impl DataTensor {
    /// Whether it can hold numbers of this element type: floats, whole numbers of 8 to 64 bits and bool.
    pub fn holds(element_type: i32) -> bool {
        let floats = [FLOAT, DOUBLE, FLOAT16, BFLOAT16];
        let integers = [
            BOOL, INT8, UINT8, INT16, UINT16, INT32, UINT32, INT64, UINT64,
        ];
        floats.contains(&element_type) || integers.contains(&element_type)
    }

    /// Reads a `TensorProto`, its numbers in `raw_data` or in the list of its type. No more memory is taken than the
    /// bytes given can fill.
    ///
    /// # Errors
    /// [`ReadError`] for bytes that are none, a type other than of floats, whole numbers of 8 to 64 bits and bool, and
    /// for numbers that are not as many as the shape says.
    pub fn read(bytes: &Bytes) -> Result<Self, ReadError> {
        let tensor = TensorProto::decode(bytes.clone())?;
        let failed = |reason| ReadError::Tensor {
            tensor: tensor.name.clone(),
            reason,
        };
        let (shape, numbers) = contents(&tensor).map_err(failed)?;
        Ok(Self {
            element_type: tensor.data_type,
            shape,
            numbers,
            name: tensor.name,
        })
    }

    /// The tensor as a `TensorProto`, its numbers little-endian in `raw_data`, as ONNX's own tools write it. Numbers
    /// are rounded to the element type; those of the other kind are taken to it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let dims = self.shape.iter().map(|&size| size as i64).collect();
        TensorProto {
            dims,
            data_type: self.element_type,
            name: self.name.clone(),
            raw_data: self.raw().into(),
            ..TensorProto::default()
        }
        .encode_to_vec()
    }

    /// The numbers as little-endian bytes of the element type.
    pub fn raw(&self) -> Vec<u8> {
        fn bytes<N: Copy, const B: usize>(values: &[N], encode: impl Fn(N) -> [u8; B]) -> Vec<u8> {
            values.iter().flat_map(|&value| encode(value)).collect()
        }
        let floats: Vec<f64>;
        let integers: Vec<i64>;
        let (floats, integers) = match &self.numbers {
            Numbers::Floats(values) => {
                integers = values.iter().map(|&value| value as i64).collect();
                (values.as_slice(), integers.as_slice())
            }
            Numbers::Integers(values) => {
                floats = values.iter().map(|&value| value as f64).collect();
                (floats.as_slice(), values.as_slice())
            }
        };
        match self.element_type {
            FLOAT => bytes(floats, |value| (value as f32).to_le_bytes()),
            DOUBLE => bytes(floats, f64::to_le_bytes),
            FLOAT16 => bytes(floats, |value| f16::from_f64(value).to_le_bytes()),
            BFLOAT16 => bytes(floats, |value| bf16::from_f64(value).to_le_bytes()),
            INT8 | UINT8 | BOOL => bytes(integers, |value| [value as u8]),
            INT16 | UINT16 => bytes(integers, |value| (value as u16).to_le_bytes()),
            INT32 | UINT32 => bytes(integers, |value| (value as u32).to_le_bytes()),
            _ => bytes(integers, i64::to_le_bytes),
        }
    }
}

/// The shape and the numbers of a tensor.
fn contents(tensor: &TensorProto) -> Result<(Vec<usize>, Numbers), String> {
    if tensor.data_location == EXTERNAL {
        return Err("expected its values beside its shape, found a reference to a file".into());
    }
    let count = elements(&tensor.dims)?;
    let shape = tensor.dims.iter().map(|&size| usize::try_from(size));
    let shape: Vec<usize> = shape.collect::<Result<_, _>>().map_err(|e| e.to_string())?;
    let raw = &tensor.raw_data;
    let kind = tensor.data_type;
    let floats = |values| Ok::<_, String>(Numbers::Floats(values));
    let integers = |values| Ok::<_, String>(Numbers::Integers(values));
    let in_lists = raw.is_empty();
    let numbers = match kind {
        FLOAT if in_lists => floats(fixed(&tensor.float_data, f32_of)?),
        DOUBLE if in_lists => floats(fixed(&tensor.double_data, f64::from_le_bytes)?),
        FLOAT16 if in_lists => floats(half_list(&tensor.int32_data, f16_of)?),
        BFLOAT16 if in_lists => floats(half_list(&tensor.int32_data, bf16_of)?),
        INT64 if in_lists => integers(varints(&tensor.int64_data)?),
        UINT32 | UINT64 if in_lists => integers(varints(&tensor.uint64_data)?),
        INT8 | UINT8 | BOOL | INT16 | UINT16 | INT32 if in_lists => {
            integers(varints(&tensor.int32_data)?)
        }
        FLOAT => floats(fixed(std::slice::from_ref(raw), f32_of)?),
        DOUBLE => floats(fixed(std::slice::from_ref(raw), f64::from_le_bytes)?),
        FLOAT16 => floats(fixed(std::slice::from_ref(raw), f16_of)?),
        BFLOAT16 => floats(fixed(std::slice::from_ref(raw), bf16_of)?),
        INT8 => integers(fixed(std::slice::from_ref(raw), |b| {
            i8::from_le_bytes(b).into()
        })?),
        UINT8 | BOOL => integers(fixed(std::slice::from_ref(raw), |[b]| b.into())?),
        INT16 => integers(fixed(std::slice::from_ref(raw), |b| {
            i16::from_le_bytes(b).into()
        })?),
        UINT16 => integers(fixed(std::slice::from_ref(raw), |b| {
            u16::from_le_bytes(b).into()
        })?),
        INT32 => integers(fixed(std::slice::from_ref(raw), |b| {
            i32::from_le_bytes(b).into()
        })?),
        UINT32 => integers(fixed(std::slice::from_ref(raw), |b| {
            u32::from_le_bytes(b).into()
        })?),
        INT64 | UINT64 => integers(fixed(std::slice::from_ref(raw), i64::from_le_bytes)?),
        other => Err(format!(
            "expected float16, bfloat16, float32, float64, whole numbers of 8 to 64 bits or bool, found {}",
            type_name(other)
        )),
    }?;
    if numbers.len() as u64 != count {
        return Err(format!(
            "expected {count} numbers of {} for shape {shape:?}, found {}",
            type_name(kind),
            numbers.len()
        ));
    }
    match &numbers {
        Numbers::Integers(values) => check_range(kind, values)?,
        Numbers::Floats(_) => {}
    }
    Ok((shape, numbers))
}

fn f32_of(bytes: [u8; 4]) -> f64 {
    f32::from_le_bytes(bytes).into()
}

fn f16_of(bytes: [u8; 2]) -> f64 {
    f16::from_le_bytes(bytes).into()
}

fn bf16_of(bytes: [u8; 2]) -> f64 {
    bf16::from_le_bytes(bytes).into()
}

/// Numbers of one width, one after the other.
fn fixed<T, const B: usize>(lists: &[Bytes], decode: fn([u8; B]) -> T) -> Result<Vec<T>, String> {
    let mut values = Vec::with_capacity(lists.iter().map(|list| list.len() / B).sum());
    for list in lists {
        let (numbers, rest) = list.as_chunks::<B>();
        if !rest.is_empty() {
            let found = list.len();
            return Err(format!(
                "expected numbers of {B} bytes, found {found} bytes in all"
            ));
        }
        values.extend(numbers.iter().map(|&bytes| decode(bytes)));
    }
    Ok(values)
}

/// Numbers that are written as short as each allows. Each takes a byte at least, so that as many as there are bytes is
/// the most there can be.
fn varints(lists: &[Bytes]) -> Result<Vec<i64>, String> {
    let mut values = vec![];
    for list in lists {
        let mut list = list.clone();
        while !list.is_empty() {
            let bits = decode_varint(&mut list).map_err(|error| error.to_string())?;
            values.push(bits as i64);
        }
    }
    Ok(values)
}

/// Numbers of half precision, whose bits are written as whole numbers.
fn half_list(lists: &[Bytes], decode: fn([u8; 2]) -> f64) -> Result<Vec<f64>, String> {
    let bits = varints(lists)?.into_iter().map(|bits| {
        let bits = u16::try_from(bits);
        let bits = bits.map_err(|_| "expected the 16 bits of a number, found more".to_string())?;
        Ok(decode(bits.to_le_bytes()))
    });
    bits.collect()
}

/// Whole numbers must be of their type: lists have room for more.
fn check_range(kind: i32, values: &[i64]) -> Result<(), String> {
    let Some(bits) = data_type::bits(kind).filter(|bits| *bits <= 64) else {
        return Ok(());
    };
    let (least, most) = match kind {
        BOOL => (0, 1),
        INT64 => (i64::MIN, i64::MAX),
        // One above the largest int64 has been read as a negative one.
        UINT64 => (0, i64::MAX),
        INT8 | INT16 | INT32 => (-(1 << (bits - 1)), (1 << (bits - 1)) - 1),
        _ => (0, (1 << bits) - 1),
    };
    match values.iter().find(|value| !(least..=most).contains(*value)) {
        Some(found) => Err(format!(
            "expected numbers of {} from {least} to {most}, found {}",
            type_name(kind),
            if kind == UINT64 {
                (*found as u64).to_string()
            } else {
                found.to_string()
            }
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floats(element_type: i32, values: &[f64]) -> DataTensor {
        DataTensor {
            name: "x".into(),
            element_type,
            shape: vec![values.len()],
            numbers: Numbers::Floats(values.to_vec()),
        }
    }

    fn reason(tensor: &TensorProto) -> String {
        DataTensor::read(&tensor.encode_to_vec().into())
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn what_was_written_is_read() {
        for element_type in [FLOAT, DOUBLE, FLOAT16, BFLOAT16] {
            let tensor = floats(element_type, &[0.0, -1.5, 2.0, f64::INFINITY]);
            assert_eq!(DataTensor::read(&tensor.to_bytes().into()).unwrap(), tensor);
        }
        for (element_type, values) in [
            (INT8, vec![-128, 127]),
            (UINT8, vec![0, 255]),
            (INT16, vec![-32768, 32767]),
            (UINT16, vec![0, 65535]),
            (INT32, vec![i64::from(i32::MIN), i64::from(i32::MAX)]),
            (UINT32, vec![0, i64::from(u32::MAX)]),
            (INT64, vec![i64::MIN, i64::MAX]),
            (UINT64, vec![0, i64::MAX]),
            (BOOL, vec![0, 1]),
        ] {
            let tensor = DataTensor {
                numbers: Numbers::Integers(values),
                ..floats(element_type, &[0.0, 0.0])
            };
            assert_eq!(DataTensor::read(&tensor.to_bytes().into()).unwrap(), tensor);
        }
        assert!((0..100).filter(|kind| DataTensor::holds(*kind)).count() == 13);
        let scalar = DataTensor {
            shape: vec![],
            ..floats(FLOAT, &[3.25])
        };
        assert_eq!(DataTensor::read(&scalar.to_bytes().into()).unwrap(), scalar);
    }

    #[test]
    fn another_reader_finds_the_tensor() {
        use onnx_protobuf::{Message as _, TensorProto as Independent};

        let written = DataTensor {
            shape: vec![2, 2],
            ..floats(FLOAT, &[1.0, -2.5, 0.0, 3.0])
        };
        let read = Independent::parse_from_bytes(&written.to_bytes()).unwrap();
        assert_eq!((read.name.as_str(), read.data_type), ("x", FLOAT));
        assert_eq!(read.dims, [2, 2]);
        let chunks = read.raw_data.as_chunks::<4>().0.iter();
        let values: Vec<f32> = chunks.map(|b| f32::from_le_bytes(*b)).collect();
        assert_eq!(values, [1.0, -2.5, 0.0, 3.0]);
        let integers = |element_type, value| DataTensor {
            numbers: Numbers::Integers(vec![value]),
            ..floats(element_type, &[0.0])
        };
        for (tensor, bytes) in [
            (floats(FLOAT16, &[1.0]), vec![0, 0x3c]),
            (floats(BFLOAT16, &[1.0]), vec![0x80, 0x3f]),
            (integers(UINT8, 7), vec![7]),
            (integers(INT64, -1), vec![255; 8]),
        ] {
            let read = Independent::parse_from_bytes(&tensor.to_bytes()).unwrap();
            let found = (read.data_type, read.raw_data.to_vec());
            assert_eq!(found, (tensor.element_type, bytes));
        }
    }

    #[test]
    fn lists_of_numbers_are_read_as_raw_bytes_are() {
        let packed = |values: &[u64]| {
            let mut list = vec![];
            values
                .iter()
                .for_each(|&value| prost::encoding::encode_varint(value, &mut list));
            vec![Bytes::from(list)]
        };
        let of = |data_type, dims| TensorProto {
            dims,
            data_type,
            ..TensorProto::default()
        };
        let read = |tensor: TensorProto| {
            DataTensor::read(&tensor.encode_to_vec().into())
                .unwrap()
                .numbers
        };
        let single = TensorProto {
            float_data: vec![Bytes::from_static(&[0, 0, 128, 63])],
            ..of(FLOAT, vec![1])
        };
        assert_eq!(read(single), Numbers::Floats(vec![1.0]));
        let half = TensorProto {
            int32_data: packed(&[0x3C00, 0xC000]),
            ..of(FLOAT16, vec![2])
        };
        assert_eq!(read(half), Numbers::Floats(vec![1.0, -2.0]));
        let negative = TensorProto {
            int32_data: packed(&[(-7_i64) as u64, 7]),
            ..of(INT8, vec![2])
        };
        assert_eq!(read(negative), Numbers::Integers(vec![-7, 7]));
        let long = TensorProto {
            int64_data: packed(&[(-7_i64) as u64]),
            ..of(INT64, vec![1, 1])
        };
        assert_eq!(read(long), Numbers::Integers(vec![-7]));
        let unsigned = TensorProto {
            uint64_data: packed(&[u64::from(u32::MAX)]),
            ..of(UINT32, vec![1])
        };
        assert_eq!(read(unsigned), Numbers::Integers(vec![u32::MAX.into()]));
    }

    #[test]
    fn hostile_tensors_are_errors_and_take_no_memory() {
        let of = |data_type, dims: &[i64], raw: &'static [u8]| TensorProto {
            dims: dims.into(),
            data_type,
            raw_data: Bytes::from_static(raw),
            ..TensorProto::default()
        };
        assert!(reason(&of(FLOAT, &[1 << 40], &[])).contains("found 0"));
        assert!(reason(&of(FLOAT, &[i64::MAX, i64::MAX], &[])).contains("fewer numbers"));
        assert!(reason(&of(FLOAT, &[-1], &[])).contains("sizes from 0 up"));
        assert!(reason(&of(FLOAT, &[2], &[0; 7])).contains("7 bytes in all"));
        assert!(reason(&of(FLOAT, &[2], &[0; 12])).contains("expected 2 numbers"));
        assert!(reason(&of(8, &[1], b"text")).contains("found string"));
        assert!(reason(&of(0, &[], &[])).contains("found undefined"));
        assert!(reason(&of(99, &[1], &[0])).contains("unknown type 99"));
        assert!(reason(&of(BOOL, &[1], &[2])).contains("from 0 to 1, found 2"));
        assert!(reason(&of(UINT64, &[1], &[255; 8])).contains("found 18446744073709551615"));
        let wide = TensorProto {
            int32_data: vec![Bytes::from_static(&[0x80, 0x80, 0x04])],
            ..of(FLOAT16, &[1], &[])
        };
        assert!(reason(&wide).contains("16 bits"));
        let cut = TensorProto {
            int64_data: vec![Bytes::from_static(&[0x80])],
            ..of(INT64, &[1], &[])
        };
        assert!(reason(&cut).contains("varint"), "{}", reason(&cut));
        let elsewhere = TensorProto {
            data_location: EXTERNAL,
            ..of(FLOAT, &[1], &[])
        };
        assert!(reason(&elsewhere).contains("reference to a file"));
        assert!(DataTensor::read(&Bytes::from_static(b"PK\x03\x04")).is_err());
        assert!(DataTensor::read(&Bytes::new()).is_err());
    }

    /// Every beginning of a whole tensor, and every tensor with one byte changed, is read or refused.
    #[test]
    fn no_change_of_a_byte_panics() {
        let whole = floats(FLOAT, &[1.0, 2.0, 3.0]).to_bytes();
        for end in 0..whole.len() {
            let _ = DataTensor::read(&whole[..end].to_vec().into());
            for bit in 0..8 {
                let mut changed = whole.clone();
                changed[end] ^= 1 << bit;
                let _ = DataTensor::read(&changed.into());
            }
        }
    }
}
