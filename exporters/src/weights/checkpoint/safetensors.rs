//! safetensors: a JSON header of names, shapes and places, then the numbers.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::path::Path;

use bytes::Bytes;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, View};

use super::{Contents, Format, Malformed};
use crate::files::write_whole;
use crate::weights::{ElementType, Tensor, WeightsError};

/// Reads a whole file.
///
/// # Errors
/// [`Malformed`]: not safetensors, cut off, or numbers of a type that no weights have.
pub fn read(bytes: &Bytes) -> Result<Contents, Malformed> {
    if bytes.len() < 8 {
        return Err(Malformed::new(format!(
            "expected at least 8 bytes, found {}",
            bytes.len()
        )));
    }
    let parsed =
        SafeTensors::deserialize(bytes).map_err(|error| Malformed::new(error.to_string()))?;
    let mut tensors = BTreeMap::new();
    for (name, view) in parsed.tensors() {
        let failed = |reason: String| Malformed::new(reason).in_tensor(&name);
        let element_type = element_type(view.dtype())
            .ok_or_else(|| failed(format!("holds {:?}, which no weights have", view.dtype())))?;
        let data = bytes.slice_ref(view.data());
        let tensor = Tensor::contiguous(data, element_type, view.shape().to_vec())
            .map_err(|error| failed(error.to_string()))?;
        tensors.insert(name, tensor);
    }
    Ok((tensors, vec![]))
}

/// What [`write`] put into the header besides tensors; nothing in files of others.
pub(super) fn metadata(bytes: &Bytes) -> BTreeMap<String, String> {
    let header = SafeTensors::read_metadata(bytes).ok();
    let entries = header
        .as_ref()
        .and_then(|(_, header)| header.metadata().as_ref());
    let lines = entries.and_then(|entries| entries.get(METADATA));
    lines.map_or_else(BTreeMap::new, |lines| {
        let pairs = lines.lines().filter_map(|line| line.split_once('='));
        pairs
            .map(|(key, value)| (key.into(), value.into()))
            .collect()
    })
}

/// The entry of the header that holds all of ours, a line each.
const METADATA: &str = "incept";

fn element_type(found: Dtype) -> Option<ElementType> {
    Some(match found {
        Dtype::F16 => ElementType::Float16,
        Dtype::BF16 => ElementType::BFloat16,
        Dtype::F32 => ElementType::Float32,
        Dtype::F64 => ElementType::Float64,
        Dtype::BOOL => ElementType::Bool,
        Dtype::U8 => ElementType::Uint8,
        Dtype::I8 => ElementType::Int8,
        Dtype::I16 => ElementType::Int16,
        Dtype::I32 => ElementType::Int32,
        Dtype::I64 => ElementType::Int64,
        _ => return None,
    })
}

struct Row<'a>(&'a Tensor);

impl View for Row<'_> {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }
    fn shape(&self) -> &[usize] {
        self.0.shape()
    }
    fn data(&self) -> std::borrow::Cow<'_, [u8]> {
        self.0.bytes()
    }
    fn data_len(&self) -> usize {
        self.0.elements() * 4
    }
}

/// Writes float32 tensors, whole or not at all.
pub(in crate::weights) fn write(
    path: &Path,
    tensors: &BTreeMap<String, Tensor>,
    metadata: &BTreeMap<String, String>,
) -> Result<(), WeightsError> {
    let rows = tensors
        .iter()
        .map(|(name, tensor)| (name.as_str(), Row(tensor)));
    // safetensors takes the metadata as a hash map; one entry keeps the bytes the same from run to run.
    let metadata = (!metadata.is_empty()).then(|| {
        let lines: Vec<String> = metadata
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        HashMap::from([(METADATA.to_string(), lines.join("\n"))])
    });
    let bytes = safetensors::serialize(rows, metadata).map_err(|e| WeightsError::Malformed {
        path: path.into(),
        format: Format::Safetensors,
        reason: Malformed::new(e.to_string()),
    })?;
    Ok(write_whole(path, |writer| writer.write_all(&bytes))?)
}
