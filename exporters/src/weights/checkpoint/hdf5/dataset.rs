//! One dataset as a tensor: a part of the file where its numbers lie there in one piece, else unpacked.

use bytes::Bytes;
use hdf5_reader::error::ByteOrder;
use hdf5_reader::group::Group;
use hdf5_reader::messages::HdfMessage;
use hdf5_reader::messages::dataspace::DataspaceType;
use hdf5_reader::messages::filter_pipeline::{
    FILTER_DEFLATE, FILTER_FLETCHER32, FILTER_SHUFFLE, FilterPipelineMessage,
};
use hdf5_reader::messages::layout::DataLayout;
use hdf5_reader::object_header::ObjectHeader;
use hdf5_reader::{Dataset, Datatype};

use super::attributes::{in_header, texts};
use super::source::Source;
use crate::weights::{ElementType, Malformed, Tensor};

/// What a dataset is to us.
pub(super) enum Found {
    /// A tensor.
    Tensor(Tensor),
    /// Something that no weights are, in words.
    Other(String),
}

/// What the library keeps for one chunk while it reads, in bytes, at most.
const CHUNK_RECORD: usize = 128;

/// Reads the dataset that `group` has under this name, whose header lies at this address.
///
/// # Errors
/// [`Malformed`] at the header, or at the numbers.
pub(super) fn read(
    source: &Source,
    name: &str,
    address: u64,
    group: &Group,
    header: &ObjectHeader,
) -> Result<Found, Malformed> {
    let failed = |reason: String| Malformed::new(reason).at(source.place(address));
    let mut layout = None;
    for message in &header.messages {
        match message {
            HdfMessage::ExternalFiles(_) => {
                let reason = "has its numbers in other files, and those are not read";
                return Err(failed(reason.into()));
            }
            // Opening it would read them all, however long.
            HdfMessage::AttributeInfo(info) if source.is_defined(info.fractal_heap_address) => {
                return Err(failed(
                    "has more or longer attributes than Keras writes".into(),
                ));
            }
            HdfMessage::FilterPipeline(pipeline) => filters(pipeline).map_err(failed)?,
            HdfMessage::Dataspace(space) if space.dataspace_type == DataspaceType::Null => {
                return Ok(Found::Other("it is empty".into()));
            }
            HdfMessage::DataLayout(message) => layout = Some(&message.layout),
            _ => {}
        }
    }
    let dataset = source.within(address, group.dataset(name))?;
    if dataset.address() != address {
        return Err(failed("two datasets have this name".into()));
    }
    let (element_type, order) = match element_type(source, address, group, &dataset, header)? {
        Ok(found) => found,
        Err(reason) => return Ok(Found::Other(reason)),
    };
    let shape: Option<Vec<usize>> = dataset
        .shape()
        .iter()
        .map(|&size| usize::try_from(size).ok())
        .collect();
    let shape = shape.unwrap_or_else(|| vec![usize::MAX; 2]);
    let needed = shape
        .iter()
        .try_fold(element_type.size(), |n, &size| n.checked_mul(size))
        .ok_or_else(|| {
            failed(format!(
                "shape {:?} has more numbers than can be counted",
                dataset.shape()
            ))
        })?;
    let bytes = match layout {
        Some(&DataLayout::Contiguous { address: at, size })
            if source.is_defined(at) && size > 0 && needed > 0 =>
        {
            contiguous(source, at, size, needed).map_err(|error| match error.offset {
                Some(_) => error,
                None => error.at(source.place(address)),
            })?
        }
        _ => unpacked(source, address, &dataset, &shape, needed)?,
    };
    let bytes = match order {
        ByteOrder::BigEndian if element_type.size() > 1 => {
            source.spend(bytes.len())?;
            let mut turned = bytes.to_vec();
            let numbers = turned.chunks_exact_mut(element_type.size());
            numbers.for_each(<[u8]>::reverse);
            Bytes::from(turned)
        }
        _ => bytes,
    };
    let tensor = Tensor::contiguous(bytes, element_type, shape);
    Ok(Found::Tensor(
        tensor.map_err(|error| failed(error.to_string()))?,
    ))
}

/// Numbers that lie in the file in one piece.
fn contiguous(source: &Source, at: u64, size: u64, needed: usize) -> Result<Bytes, Malformed> {
    if u64::try_from(needed) != Ok(size) {
        return Err(Malformed::new(format!(
            "its shape needs {needed} bytes, and it has {size}"
        )));
    }
    let end = usize::try_from(at)
        .ok()
        .and_then(|from| Some((from, from.checked_add(needed)?)))
        .filter(|&(_, end)| end <= source.bytes.len());
    let Some((from, end)) = end else {
        let reason = format!(
            "its {needed} bytes reach beyond the end of the file, which is at byte {}",
            source.place(u64::try_from(source.bytes.len()).unwrap_or(u64::MAX))
        );
        return Err(Malformed::new(reason).at(source.place(at)));
    };
    Ok(source.bytes.slice(from..end))
}

/// Numbers in chunks, in the header, or never written.
fn unpacked(
    source: &Source,
    address: u64,
    dataset: &Dataset,
    shape: &[usize],
    needed: usize,
) -> Result<Bytes, Malformed> {
    source.spend(needed)?;
    if let Some(chunk) = dataset.chunks() {
        // Chunks at the edges are as large as the others.
        let mut chunks = 1_usize;
        let mut size = needed / shape.iter().product::<usize>().max(1);
        for (&whole, &part) in shape.iter().zip(&chunk) {
            let part = usize::try_from(part).unwrap_or(usize::MAX).max(1);
            chunks = chunks.saturating_mul(whole.div_ceil(part));
            size = size.saturating_mul(part);
        }
        source.spend(chunks.saturating_mul(size.saturating_add(CHUNK_RECORD)))?;
    }
    Ok(Bytes::from(
        source.within(address, dataset.read_raw_bytes())?,
    ))
}

/// Checks that chunks are packed in the ways h5py offers without plugins, each once.
fn filters(pipeline: &FilterPipelineMessage) -> Result<(), String> {
    let known = [FILTER_SHUFFLE, FILTER_DEFLATE, FILTER_FLETCHER32];
    let mut seen = vec![];
    for filter in &pipeline.filters {
        if !known.contains(&filter.id) {
            let name = filter.name.as_deref().unwrap_or("of no name");
            return Err(format!(
                "is packed with the filter {} ({name}); expected deflate, shuffle or fletcher32",
                filter.id
            ));
        }
        if seen.contains(&filter.id) {
            return Err(format!("is packed with the filter {} twice", filter.id));
        }
        seen.push(filter.id);
    }
    Ok(())
}

/// How the numbers are stored, or what there is instead.
fn element_type(
    source: &Source,
    address: u64,
    group: &Group,
    dataset: &Dataset,
    header: &ObjectHeader,
) -> Result<Result<(ElementType, ByteOrder), String>, Malformed> {
    let encoded = source.within(address, dataset.raw_datatype())?;
    Ok(match dataset.dtype() {
        Datatype::FloatingPoint { byte_order, .. } => floating(&encoded)
            .map(|element_type| (element_type, *byte_order))
            .ok_or_else(|| "its floating-point numbers are not of a usual kind".into()),
        Datatype::FixedPoint {
            size,
            signed,
            byte_order,
        } => whole(*size, *signed, &encoded)
            .map(|element_type| (element_type, *byte_order))
            .ok_or_else(|| {
                let sign = if *signed { "" } else { "unsigned " };
                format!("it holds {sign}whole numbers of {size} bytes")
            }),
        Datatype::Enum { base, members } => {
            let names = members.iter().map(|member| member.name.as_str());
            let is_bool = names.eq(["FALSE", "TRUE"])
                && members
                    .iter()
                    .map(|member| &member.value[..])
                    .eq([&[0][..], &[1]])
                && matches!(**base, Datatype::FixedPoint { size: 1, .. });
            match is_bool {
                true => Ok((ElementType::Bool, ByteOrder::LittleEndian)),
                false => Err("it holds members of an enumeration".into()),
            }
        }
        // h5py knows no bfloat16. Keras writes two bytes of no type, and the type's name beside them.
        Datatype::Opaque { size: 2, .. } => {
            let attribute = in_header(header).find(|attribute| attribute.name == "dtype");
            let named = match attribute {
                Some(attribute) => texts(source, group, attribute)?,
                None => vec![],
            };
            match named.as_slice() {
                [name] if name == "bfloat16" => {
                    Ok((ElementType::BFloat16, ByteOrder::LittleEndian))
                }
                _ => Err("it holds bytes of no known type".into()),
            }
        }
        Datatype::String { .. } | Datatype::VarLen { .. } => Err("it holds text".into()),
        _ => Err("it holds no numbers".into()),
    })
}

/// The type of floating-point numbers, by their bits: after class, flags and size, where the number begins and how many bits
/// it has, then exponent and fraction, where each begins and how many bits it has, and the exponent's bias.
fn floating(encoded: &[u8]) -> Option<ElementType> {
    let &[_, kind, sign, _, bytes, 0, 0, 0] = encoded.first_chunk()? else {
        return None;
    };
    let &[
        0,
        0,
        bits,
        0,
        exponent,
        exponent_bits,
        0,
        fraction_bits,
        bias_low,
        bias_high,
        0,
        0,
    ] = encoded.get(8..)?.first_chunk()?
    else {
        return None;
    };
    // The fraction's first 1 is not stored, and the order of the bytes is not the VAX's.
    let usual = kind & 0b0111_0000 == 0b0010_0000;
    let packed = exponent == fraction_bits && Some(sign) == exponent.checked_add(exponent_bits);
    if !usual || !packed || Some(bits) != bytes.checked_mul(8) {
        return None;
    }
    let bias = u16::from_le_bytes([bias_low, bias_high]);
    match (bytes, exponent_bits, fraction_bits, bias) {
        (2, 5, 10, 15) => Some(ElementType::Float16),
        (2, 8, 7, 127) => Some(ElementType::BFloat16),
        (4, 8, 23, 127) => Some(ElementType::Float32),
        (8, 11, 52, 1023) => Some(ElementType::Float64),
        _ => None,
    }
}

/// The type of whole numbers that use all their bits.
fn whole(size: u8, signed: bool, encoded: &[u8]) -> Option<ElementType> {
    let [0, 0, low, high] = *encoded.get(8..)?.first_chunk()? else {
        return None;
    };
    if u16::from_le_bytes([low, high]) != 8 * u16::from(size) {
        return None;
    }
    match (size, signed) {
        (1, false) => Some(ElementType::Uint8),
        (1, true) => Some(ElementType::Int8),
        (2, true) => Some(ElementType::Int16),
        (4, true) => Some(ElementType::Int32),
        (8, true) => Some(ElementType::Int64),
        _ => None,
    }
}
