//! safetensors files: mapped into memory, checked, written whole.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use memmap2::Mmap;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, View};

use super::{Tensor, WeightsError};
use crate::files::{FileError, write_whole};

pub(super) fn read(path: &Path) -> Result<BTreeMap<String, Tensor>, WeightsError> {
    let file = File::open(path).map_err(|e| FileError::new("read", path, e))?;
    let length = file
        .metadata()
        .map_err(|e| FileError::new("read", path, e))?
        .len();
    let malformed = |reason: String| WeightsError::Malformed {
        path: path.into(),
        reason,
    };
    if length < 8 {
        return Err(malformed(format!(
            "expected at least 8 bytes, found {length}"
        )));
    }
    #[expect(
        unsafe_code,
        reason = "memmap2 offers no safe mapping: it cannot keep others from shortening the file"
    )]
    // SAFETY: the map is only read; a file another process changes meanwhile gives changed values, as reading would.
    let map = unsafe { Mmap::map(&file) }.map_err(|e| FileError::new("map", path, e))?;
    let map = Arc::new(map);
    let parsed = SafeTensors::deserialize(&map).map_err(|e| malformed(e.to_string()))?;
    let base = map.as_ptr() as usize;
    let mut tensors = BTreeMap::new();
    for (name, view) in parsed.tensors() {
        let shape = view.shape().to_vec();
        let bytes = view.data();
        let tensor = match view.dtype() {
            Dtype::F32 => {
                let start = bytes.as_ptr() as usize - base;
                Tensor::mapped(shape, Arc::clone(&map), start, start + bytes.len())
            }
            Dtype::F16 => Tensor::owned(
                shape,
                widen(bytes, |b| half::f16::from_le_bytes(b).to_f32()),
            ),
            Dtype::BF16 => Tensor::owned(
                shape,
                widen(bytes, |b| half::bf16::from_le_bytes(b).to_f32()),
            ),
            Dtype::F64 => Tensor::owned(shape, widen(bytes, |b| f64::from_le_bytes(b) as f32)),
            found => {
                let found = format!("{found:?}");
                return Err(WeightsError::ElementType {
                    path: path.into(),
                    name,
                    found,
                });
            }
        };
        tensors.insert(name, tensor);
    }
    Ok(tensors)
}

fn widen<const N: usize>(bytes: &[u8], value: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    bytes
        .as_chunks::<N>()
        .0
        .iter()
        .map(|&chunk| value(chunk))
        .collect()
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
        self.0.shape().iter().product::<usize>() * 4
    }
}

pub(super) fn write(
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
        HashMap::from([("incept".to_string(), lines.join("\n"))])
    });
    let bytes = safetensors::serialize(rows, metadata).map_err(|e| WeightsError::Malformed {
        path: path.into(),
        reason: e.to_string(),
    })?;
    Ok(write_whole(path, |writer| writer.write_all(&bytes))?)
}
