//! V1, the format of the checkpoints that the networks' authors published: one table in one file. The first value
//! lists the tensors and their slices (`SavedTensorSliceMeta`); each further one holds the numbers of one slice
//! (`SavedSlice`) in the lists of a `TensorProto`.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use bytes::Bytes;
use prost::Message;
use prost::encoding::decode_varint;

use super::super::{Contents, Malformed};
use super::proto::{self, Field, Fields, SavedSliceMeta, TensorSliceProto, VersionDef};
use super::table::{self, Entry};
use super::{LeftOut, MOST_DESCRIPTION, slices};
use crate::weights::ElementType;

/// Reads a whole file. Numbers that lie in it as float32 or float64 are not copied.
///
/// # Errors
/// [`Malformed`]: cut off, a wrong CRC-32C, slices that do not make up their tensor, or numbers that are not there.
pub fn read(bytes: &Bytes) -> Result<Contents, Malformed> {
    let entries = table::entries(bytes)?;
    let Some((first, data)) = entries.split_first().filter(|(e, _)| e.key.is_empty()) else {
        return Err(Malformed::new(
            "expected a first entry that lists the tensors, found none",
        ));
    };
    let mut slices_by_key: HashMap<&[u8], &Entry> =
        data.iter().map(|entry| (&entry.key[..], entry)).collect();
    let mut tensors = BTreeMap::new();
    let mut left_out = LeftOut::default();
    for variable in variables(first)? {
        let name = variable.name.as_str();
        let failed = |reason: String| Malformed::new(reason).in_tensor(name);
        let shape = proto::dimensions(variable.shape.as_ref());
        let shape = shape.map_err(|reason| failed(reason).at(first.offset))?;
        let mut parts = vec![];
        let element_type = proto::element_type(variable.dtype);
        for slice in &variable.slice {
            let ranges = slice.ranges(&shape);
            let ranges = ranges.map_err(|reason| failed(reason).at(first.offset))?;
            let Some(entry) = slices_by_key.remove(&slice.key(name)[..]) else {
                return Err(failed(format!("its slice {ranges:?} is not in the file")));
            };
            if let Ok(element_type) = element_type {
                let numbers = saved_slice(&entry.value, &variable, slice)
                    .and_then(|list| numbers(&list, &ranges, variable.dtype, element_type))
                    .map_err(|reason| failed(reason).at(entry.offset))?;
                parts.push((ranges, numbers));
            }
        }
        match element_type {
            Ok(element_type) => {
                let tensor = slices::join(shape, element_type, parts).map_err(failed)?;
                if tensors.insert(name.to_string(), tensor).is_some() {
                    return Err(failed("is listed twice".into()).at(first.offset));
                }
            }
            Err(holds) => left_out.add(name, &holds),
        }
    }
    if let Some(entry) = slices_by_key.values().min_by_key(|entry| entry.offset) {
        let key = String::from_utf8_lossy(&entry.key[..entry.key.len().min(200)]);
        let reason = format!(
            "expected slices of the tensors listed, found {} others, the first of them `{}`",
            slices_by_key.len(),
            key.escape_debug()
        );
        return Err(Malformed::new(reason).at(entry.offset));
    }
    Ok((tensors, left_out.notes()))
}

/// The list of tensors: a `SavedTensorSlices` whose field 1 is a `SavedTensorSliceMeta`.
fn variables(first: &Entry) -> Result<Vec<SavedSliceMeta>, Malformed> {
    let failed = |reason: String| Malformed::new(reason).at(first.offset);
    if first.value.len() > MOST_DESCRIPTION {
        return Err(failed(format!(
            "expected a list of tensors of at most {MOST_DESCRIPTION} bytes, found {}",
            first.value.len()
        )));
    }
    let meta = proto::delimited(&first.value, 1).map_err(failed)?;
    let meta = meta.ok_or_else(|| failed("expected a list of tensors, found none".into()))?;
    let mut variables = vec![];
    for field in Fields::of(&meta) {
        match field.map_err(failed)? {
            (1, Field::Delimited(bytes)) => {
                variables.push(SavedSliceMeta::decode(bytes).map_err(|e| failed(e.to_string()))?);
            }
            (2, Field::Delimited(bytes)) => {
                let version = VersionDef::decode(bytes).map_err(|e| failed(e.to_string()))?;
                if let Some(reason) = VersionDef::too_new(Some(&version)) {
                    return Err(failed(reason));
                }
            }
            _ => {}
        }
    }
    Ok(variables)
}

/// The `TensorProto` of an entry, which must be of this slice: a `SavedTensorSlices` whose field 2 is a `SavedSlice`.
fn saved_slice(
    value: &Bytes,
    variable: &SavedSliceMeta,
    wanted: &TensorSliceProto,
) -> Result<Bytes, String> {
    let saved = proto::delimited(value, 2)?.ok_or("expected a slice, found none")?;
    let (mut name, mut slice, mut list) = (Bytes::new(), Bytes::new(), None);
    for field in Fields::of(&saved) {
        match field? {
            (1, Field::Delimited(bytes)) => name = bytes,
            (2, Field::Delimited(bytes)) => slice = bytes,
            (3, Field::Delimited(bytes)) => list = Some(bytes),
            _ => {}
        }
    }
    // The same text and box give the same bytes, whoever writes them; the length keeps a false one from being decoded.
    let same = name == variable.name.as_bytes()
        && slice.len() <= 2 * wanted.encoded_len() + 64
        && TensorSliceProto::decode(slice).is_ok_and(|found| found == *wanted);
    if !same {
        let shown = String::from_utf8_lossy(&name[..name.len().min(200)]);
        return Err(format!(
            "expected the slice that its key says, found one of `{}`",
            shown.escape_debug()
        ));
    }
    list.ok_or_else(|| "expected numbers, found none".into())
}

/// The numbers of a `TensorProto`, little-endian: as many as the slice has elements.
fn numbers(
    list: &Bytes,
    ranges: &[Range<usize>],
    dtype: i32,
    element_type: ElementType,
) -> Result<Bytes, String> {
    let (wanted, encoding) = list_of(element_type);
    let mut chunks: Vec<Bytes> = vec![];
    for field in Fields::of(list) {
        match field? {
            (1, Field::Varint(found)) if found != 0 && i64::from(dtype) != found as i64 => {
                return Err(format!("expected {element_type}, found data type {found}"));
            }
            (4, Field::Delimited(content)) => chunks.push(content),
            (number, Field::Delimited(packed)) if number == wanted => {
                chunks.push(encoding.numbers(packed)?);
            }
            (number, Field::Fixed(single)) if number == wanted => {
                chunks.push(encoding.numbers(single)?);
            }
            (number, Field::Varint(single)) if number == wanted => {
                let mut number = vec![];
                encoding.number(single, &mut number)?;
                chunks.push(number.into());
            }
            _ => {}
        }
    }
    let whole = match &chunks[..] {
        [whole] => whole.clone(),
        several => several.concat().into(),
    };
    let needed = slices::volume(ranges).and_then(|n| n.checked_mul(element_type.size()));
    if needed != Some(whole.len()) {
        return Err(format!(
            "expected {element_type} for the slice {ranges:?}, found {} bytes of it",
            whole.len()
        ));
    }
    Ok(whole)
}

/// How a list of `TensorProto` holds its numbers.
enum Encoding {
    /// Little-endian, one after the other.
    Plain,
    /// As varints, whose number this appends, or nothing where it is out of range.
    Varints(fn(u64, &mut Vec<u8>) -> Option<()>),
}

/// The field of `TensorProto` for this type.
fn list_of(element_type: ElementType) -> (u32, Encoding) {
    macro_rules! whole {
        ($type:ty) => {
            Encoding::Varints(|bits, numbers| {
                // Negative numbers are written as 64 bits whatever their type.
                let value = <$type>::try_from(bits as i64).ok()?;
                numbers.extend(value.to_le_bytes());
                Some(())
            })
        };
    }
    match element_type {
        ElementType::Float32 => (5, Encoding::Plain),
        ElementType::Float64 => (6, Encoding::Plain),
        ElementType::Int32 => (7, whole!(i32)),
        ElementType::Int16 => (7, whole!(i16)),
        ElementType::Int8 => (7, whole!(i8)),
        ElementType::Uint8 => (7, whole!(u8)),
        ElementType::Int64 => (10, whole!(i64)),
        ElementType::Bool => (11, whole!(u8)),
        // Their bits.
        ElementType::Float16 | ElementType::BFloat16 => (13, whole!(u16)),
    }
}

impl Encoding {
    fn number(&self, bits: u64, numbers: &mut Vec<u8>) -> Result<(), String> {
        let appended = match self {
            Self::Plain => None,
            Self::Varints(append) => append(bits, numbers),
        };
        appended.ok_or_else(|| format!("expected numbers of its type, found {}", bits as i64))
    }

    fn numbers(&self, mut packed: Bytes) -> Result<Bytes, String> {
        if matches!(self, Self::Plain) {
            return Ok(packed);
        }
        // Each varint is a byte at least, and gives 8 at most.
        let mut numbers = Vec::with_capacity(packed.len());
        while !packed.is_empty() {
            let bits = decode_varint(&mut packed).map_err(|error| error.to_string())?;
            self.number(bits, &mut numbers)?;
        }
        Ok(numbers.into())
    }
}
