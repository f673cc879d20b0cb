//! The part of TensorFlow's protobuf messages that checkpoints are made of. Field numbers are TensorFlow's
//! (`tensor_bundle.proto`, `saved_tensor_slice.proto`, `tensor_slice.proto`, `tensor_shape.proto`, `types.proto`).
//!
//! Messages that hold numbers, or of which there may be very many, are walked field by field ([`Fields`]) instead of
//! being decoded whole: nothing is copied, and nothing is allocated that the bytes do not hold.

use bytes::{Buf, Bytes};
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};
use prost::{DecodeError, Message};

use crate::weights::ElementType;

/// Who may read a file.
#[derive(Clone, PartialEq, Message)]
pub(super) struct VersionDef {
    #[prost(int32, tag = "1")]
    pub(super) producer: i32,
    #[prost(int32, tag = "2")]
    pub(super) min_consumer: i32,
}

impl VersionDef {
    /// The version of checkpoints that all of TensorFlow's releases have written.
    const KNOWN: i32 = 1;

    /// What to say where the file asks for a newer reader.
    pub(super) fn too_new(found: Option<&Self>) -> Option<String> {
        let wanted = found.map_or(0, |version| version.min_consumer);
        (wanted > Self::KNOWN).then(|| {
            let known = Self::KNOWN;
            format!("expected checkpoint version {known}, found one that only readers of version {wanted} understand")
        })
    }
}

/// First entry of a V2 index.
#[derive(Clone, PartialEq, Message)]
pub(super) struct BundleHeaderProto {
    #[prost(int32, tag = "1")]
    pub(super) num_shards: i32,
    /// 0 is little, 1 is big.
    #[prost(int32, tag = "2")]
    pub(super) endianness: i32,
    #[prost(message, optional, tag = "3")]
    pub(super) version: Option<VersionDef>,
}

/// Every other entry of a V2 index: where a tensor, or a slice of one, lies.
#[derive(Clone, PartialEq, Message)]
pub(super) struct BundleEntryProto {
    #[prost(int32, tag = "1")]
    pub(super) dtype: i32,
    #[prost(message, optional, tag = "2")]
    pub(super) shape: Option<TensorShapeProto>,
    #[prost(int32, tag = "3")]
    pub(super) shard_id: i32,
    #[prost(int64, tag = "4")]
    pub(super) offset: i64,
    #[prost(int64, tag = "5")]
    pub(super) size: i64,
    #[prost(fixed32, tag = "6")]
    pub(super) crc32c: u32,
    #[prost(message, repeated, tag = "7")]
    pub(super) slices: Vec<TensorSliceProto>,
}

/// One tensor in the first entry of a V1 checkpoint.
#[derive(Clone, PartialEq, Message)]
pub(super) struct SavedSliceMeta {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(message, optional, tag = "2")]
    pub(super) shape: Option<TensorShapeProto>,
    #[prost(int32, tag = "3")]
    pub(super) dtype: i32,
    #[prost(message, repeated, tag = "4")]
    pub(super) slice: Vec<TensorSliceProto>,
}

/// A box in a tensor.
#[derive(Clone, PartialEq, Message)]
pub(super) struct TensorSliceProto {
    #[prost(message, repeated, tag = "1")]
    pub(super) extent: Vec<Extent>,
}

/// The box's part of one axis; all of the axis where no length is given.
#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct Extent {
    #[prost(int64, tag = "1")]
    pub(super) start: i64,
    #[prost(int64, optional, tag = "2")]
    pub(super) length: Option<i64>,
}

/// Dimensions.
#[derive(Clone, PartialEq, Message)]
pub(super) struct TensorShapeProto {
    #[prost(message, repeated, tag = "2")]
    dim: Vec<Dim>,
    #[prost(bool, tag = "3")]
    unknown_rank: bool,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Dim {
    #[prost(int64, tag = "1")]
    size: i64,
}

/// Dimensions a tensor may have at most; TensorFlow's own limit.
const MOST_DIMENSIONS: usize = 254;

/// The dimensions, each 0 or more.
pub(super) fn dimensions(shape: Option<&TensorShapeProto>) -> Result<Vec<usize>, String> {
    let Some(shape) = shape else {
        return Ok(vec![]);
    };
    let sizes = || shape.dim.iter().map(|dim| dim.size);
    if shape.unknown_rank || shape.dim.len() > MOST_DIMENSIONS || sizes().any(|size| size < 0) {
        let found: Vec<i64> = sizes().take(8).collect();
        return Err(format!(
            "expected at most {MOST_DIMENSIONS} dimensions, none of them unknown, found {} that begin {found:?}",
            shape.dim.len()
        ));
    }
    let size = |size| usize::try_from(size).map_err(|_| format!("dimension {size} is too large"));
    sizes().map(size).collect()
}

/// What a tensor of this `DataType` holds; the type's name where it is nothing that weights are made of.
pub(super) fn element_type(dtype: i32) -> Result<ElementType, String> {
    Ok(match dtype {
        1 => ElementType::Float32,
        2 => ElementType::Float64,
        3 => ElementType::Int32,
        4 => ElementType::Uint8,
        5 => ElementType::Int16,
        6 => ElementType::Int8,
        9 => ElementType::Int64,
        10 => ElementType::Bool,
        14 => ElementType::BFloat16,
        19 => ElementType::Float16,
        7 => return Err("text".into()),
        8 | 18 => return Err("complex numbers".into()),
        17 | 22 | 23 => return Err("unsigned whole numbers of more than 8 bits".into()),
        20 | 21 => return Err("objects".into()),
        other => return Err(format!("data type {other}")),
    })
}

/// A field of a message as it lies there.
pub(super) enum Field {
    /// A whole number.
    Varint(u64),
    /// 4 or 8 bytes.
    Fixed(Bytes),
    /// A text, a message or a packed list.
    Delimited(Bytes),
}

/// The fields of a message in their order, each with its number; they share its bytes.
pub(super) struct Fields(Bytes);

impl Fields {
    pub(super) fn of(message: &Bytes) -> Self {
        Self(message.clone())
    }

    fn field(&mut self) -> Result<Option<(u32, Field)>, String> {
        let bytes = &mut self.0;
        let failed = |error: DecodeError| error.to_string();
        while bytes.has_remaining() {
            let (number, kind) = decode_key(bytes).map_err(failed)?;
            let field = match kind {
                WireType::Varint => Field::Varint(decode_varint(bytes).map_err(failed)?),
                WireType::ThirtyTwoBit => Field::Fixed(take(bytes, 4)?),
                WireType::SixtyFourBit => Field::Fixed(take(bytes, 8)?),
                WireType::LengthDelimited => {
                    let length = decode_varint(bytes).map_err(failed)?;
                    Field::Delimited(take(bytes, length)?)
                }
                WireType::StartGroup | WireType::EndGroup => {
                    skip_field(kind, number, bytes, DecodeContext::default()).map_err(failed)?;
                    continue;
                }
            };
            return Ok(Some((number, field)));
        }
        Ok(None)
    }
}

impl Iterator for Fields {
    type Item = Result<(u32, Field), String>;

    fn next(&mut self) -> Option<Self::Item> {
        let field = self.field();
        if field.is_err() {
            self.0.clear();
        }
        field.transpose()
    }
}

fn take(bytes: &mut Bytes, length: u64) -> Result<Bytes, String> {
    match usize::try_from(length) {
        Ok(length) if length <= bytes.len() => Ok(bytes.split_to(length)),
        _ => Err(format!(
            "expected a field of {length} bytes, found {} in its message",
            bytes.len()
        )),
    }
}

/// The last field of this number that is a message, a text or a packed list.
pub(super) fn delimited(message: &Bytes, wanted: u32) -> Result<Option<Bytes>, String> {
    let mut found = None;
    for field in Fields::of(message) {
        if let (number, Field::Delimited(bytes)) = field?
            && number == wanted
        {
            found = Some(bytes);
        }
    }
    Ok(found)
}
