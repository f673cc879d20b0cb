//! The element types of ONNX's tensors, as `TensorProto.DataType` numbers them.

use super::proto::{BFLOAT16, FLOAT, FLOAT16};
use crate::weights::ElementType;

/// Number, name and bits of every type with numbers of one size.
const TYPES: &[(i32, &str, u64)] = &[
    (FLOAT, "float32", 32),
    (2, "uint8", 8),
    (3, "int8", 8),
    (4, "uint16", 16),
    (5, "int16", 16),
    (6, "int32", 32),
    (7, "int64", 64),
    (9, "bool", 8),
    (FLOAT16, "float16", 16),
    (11, "float64", 64),
    (12, "uint32", 32),
    (13, "uint64", 64),
    (14, "complex64", 64),
    (15, "complex128", 128),
    (BFLOAT16, "bfloat16", 16),
    (17, "float8e4m3fn", 8),
    (18, "float8e4m3fnuz", 8),
    (19, "float8e5m2", 8),
    (20, "float8e5m2fnuz", 8),
    (21, "uint4", 4),
    (22, "int4", 4),
    (23, "float4e2m1", 4),
    (24, "float8e8m0", 8),
    (25, "uint2", 2),
    (26, "int2", 2),
];

/// The number of the type whose elements are texts.
pub(super) const STRING: i32 = 8;

/// The type's name, as numpy and ml_dtypes call it.
pub fn type_name(data_type: i32) -> String {
    let found = TYPES.iter().find(|(number, ..)| *number == data_type);
    match found {
        Some((_, name, _)) => (*name).into(),
        None if data_type == STRING => "string".into(),
        None if data_type == 0 => "undefined".into(),
        None => format!("unknown type {data_type}"),
    }
}

/// Bits of one number; none for texts and types unknown.
pub(super) fn bits(data_type: i32) -> Option<u64> {
    let found = TYPES.iter().find(|(number, ..)| *number == data_type);
    found.map(|(.., bits)| *bits)
}

/// Bytes of this many numbers, those of less than a byte packed; none where that is unknown or overflows.
pub(super) fn bytes(data_type: i32, elements: u64) -> Option<u64> {
    Some(bits(data_type)?.checked_mul(elements)?.div_ceil(8))
}

/// The number of a type that weights are stored in.
pub(super) fn number_of(element_type: ElementType) -> i32 {
    match element_type {
        ElementType::Float32 => FLOAT,
        ElementType::Uint8 => 2,
        ElementType::Int8 => 3,
        ElementType::Int16 => 5,
        ElementType::Int32 => 6,
        ElementType::Int64 => 7,
        ElementType::Bool => 9,
        ElementType::Float16 => FLOAT16,
        ElementType::Float64 => 11,
        ElementType::BFloat16 => BFLOAT16,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_numbers_fill_whole_bytes() {
        assert_eq!(bytes(22, 3), Some(2));
        assert_eq!(bytes(FLOAT, 3), Some(12));
        assert_eq!(bytes(FLOAT, u64::MAX), None);
        assert_eq!(bytes(STRING, 1), None);
    }

    #[test]
    fn names_are_those_of_the_element_types() {
        for element_type in [
            ElementType::Float16,
            ElementType::BFloat16,
            ElementType::Float32,
            ElementType::Float64,
            ElementType::Bool,
            ElementType::Uint8,
            ElementType::Int8,
            ElementType::Int16,
            ElementType::Int32,
            ElementType::Int64,
        ] {
            let number = number_of(element_type);
            assert_eq!(type_name(number), element_type.to_string());
            assert_eq!(bits(number), Some(8 * element_type.size() as u64));
        }
    }
}
