//! Weight files as they are published, each format in one file: named tensors, nothing renamed, nothing executed.
//!
//! The format is told by content, never by the file's name.

pub mod hdf5;
pub mod pytorch;
pub mod safetensors;
pub mod tensorflow;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::{Tensor, WeightsError};
use crate::files;

/// A format of weight files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// What PyTorch's `torch.save` writes.
    PyTorch,
    /// Hugging Face's safetensors.
    Safetensors,
    /// TensorFlow's checkpoints of one file, which TF-slim's published networks come as.
    TensorFlowV1,
    /// TensorFlow's checkpoints of an index and shards beside it.
    TensorFlowV2,
    /// HDF5, as Keras writes it.
    Hdf5,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PyTorch => "PyTorch",
            Self::Safetensors => "safetensors",
            Self::TensorFlowV1 => "TensorFlow V1 checkpoint",
            Self::TensorFlowV2 => "TensorFlow V2 checkpoint",
            Self::Hdf5 => "HDF5",
        })
    }
}

/// What is wrong with a file's bytes, and where.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Malformed {
    /// The tensor it belongs to, where that is known.
    pub tensor: Option<String>,
    /// The byte it was found at, where that is known.
    pub offset: Option<u64>,
    /// What is wrong, with expected and found.
    pub reason: String,
    /// The fix, where one is known.
    pub hint: Option<String>,
}

impl Malformed {
    /// Something wrong with the file as a whole.
    pub fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            ..Self::default()
        }
    }

    /// The same, at this byte of the file.
    #[must_use]
    pub fn at(self, offset: impl TryInto<u64>) -> Self {
        Self {
            offset: offset.try_into().ok(),
            ..self
        }
    }

    /// The same, with the fix.
    #[must_use]
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }

    /// The same, in this tensor.
    #[must_use]
    pub fn in_tensor(self, name: impl Into<String>) -> Self {
        Self {
            tensor: Some(name.into()),
            ..self
        }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(tensor) = &self.tensor {
            write!(f, "tensor `{tensor}`: ")?;
        }
        f.write_str(&self.reason)?;
        match self.offset {
            Some(offset) => write!(f, " (at byte {offset})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Malformed {}

/// The tensors of a weight file, under the names it gives them.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    /// The file.
    pub path: PathBuf,
    /// Its format.
    pub format: Format,
    /// Its tensors, in the order of their names.
    pub tensors: BTreeMap<String, Tensor>,
    /// What a reader did besides reading: prefixes it took off, parts it left out and why.
    pub notes: Vec<String>,
    /// What incept wrote into the file besides tensors: its network, its variant.
    pub metadata: BTreeMap<String, String>,
    /// Names of the network's tensors in the order of its layers, where the format has such an order; else empty.
    pub order: Vec<String>,
}

/// What a format's reader gives: tensors, and notes for the user.
pub type Contents = (BTreeMap<String, Tensor>, Vec<String>);

impl Checkpoint {
    /// Reads a file by memory-mapping it: its numbers are read when they are needed. TensorFlow's checkpoints may also be
    /// named as TensorFlow does, without the ending of their index, or by one of their shards.
    ///
    /// # Errors
    /// [`WeightsError`] with the path: absent, of no known format, cut off or inconsistent.
    pub fn read(path: &Path) -> Result<Self, WeightsError> {
        let Some(index) = tensorflow::index_of(path) else {
            return Self::parse(files::map(path)?, path);
        };
        let mut checkpoint = Self::parse(files::map(&index)?, &index)?;
        let note = format!("read `{}`, the checkpoint's index", index.display());
        checkpoint.notes.insert(0, note);
        Ok(checkpoint)
    }

    /// Reads a file's bytes. `path` is for messages, and for formats that keep their numbers in files beside it.
    ///
    /// # Errors
    /// As [`Checkpoint::read`].
    pub fn parse(bytes: Bytes, path: &Path) -> Result<Self, WeightsError> {
        let format = detect(&bytes);
        let mut order = vec![];
        let malformed = |reason| WeightsError::Malformed {
            path: path.into(),
            format,
            reason,
        };
        let contents = match format {
            Format::Hdf5 => hdf5::read(&bytes, &mut order).map_err(malformed),
            Format::PyTorch => pytorch::read(&bytes).map_err(malformed),
            Format::Safetensors => match tensorflow::explain(&bytes, path) {
                Some(stranger) => Err(stranger),
                None => safetensors::read(&bytes).map_err(malformed),
            },
            Format::TensorFlowV1 => tensorflow::v1::read(&bytes).map_err(malformed),
            Format::TensorFlowV2 => tensorflow::read_bundle(&bytes, path),
        };
        let (tensors, notes) = contents?;
        let metadata = match format {
            Format::Safetensors => safetensors::metadata(&bytes),
            _ => BTreeMap::new(),
        };
        Ok(Self {
            path: path.into(),
            format,
            tensors,
            notes,
            metadata,
            order,
        })
    }
}

/// The files that are read for a checkpoint of this name: one, or an index and its shards.
pub fn files_of(path: &Path) -> Vec<PathBuf> {
    match tensorflow::files_of(path) {
        bundle if bundle.is_empty() => vec![path.into()],
        bundle => bundle,
    }
}

/// The format that these bytes begin as.
fn detect(bytes: &Bytes) -> Format {
    if hdf5::detect(bytes) {
        Format::Hdf5
    } else if pytorch::detect(bytes) {
        Format::PyTorch
    } else {
        tensorflow::detect(bytes).unwrap_or(Format::Safetensors)
    }
}
