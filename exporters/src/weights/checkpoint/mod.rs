//! Weight files as they are published, each format in one file: named tensors, nothing renamed, nothing executed.
//!
//! The format is told by content, never by the file's name.

pub mod hdf5;
pub mod safetensors;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::{Tensor, WeightsError};
use crate::files;

/// A format of weight files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Hugging Face's safetensors.
    Safetensors,
    /// HDF5, as Keras writes it.
    Hdf5,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Safetensors => "safetensors",
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
    /// Names of the network's tensors in the order of its layers, where the format has such an order; else empty.
    pub order: Vec<String>,
}

/// What a format's reader gives: tensors, and notes for the user.
pub type Contents = (BTreeMap<String, Tensor>, Vec<String>);

impl Checkpoint {
    /// Reads a file by memory-mapping it: its numbers are read when they are needed.
    ///
    /// # Errors
    /// [`WeightsError`] with the path: absent, of no known format, cut off or inconsistent.
    pub fn read(path: &Path) -> Result<Self, WeightsError> {
        Self::parse(files::map(path)?, path)
    }

    /// Reads a file's bytes. `path` is for messages, and for formats that keep their numbers in files beside it.
    ///
    /// # Errors
    /// As [`Checkpoint::read`].
    pub fn parse(bytes: Bytes, path: &Path) -> Result<Self, WeightsError> {
        let format = detect(&bytes);
        let mut order = vec![];
        let contents = match format {
            Format::Safetensors => safetensors::read(&bytes),
            Format::Hdf5 => hdf5::read(&bytes, &mut order),
        };
        let (tensors, notes) = contents.map_err(|reason| WeightsError::Malformed {
            path: path.into(),
            format,
            reason,
        })?;
        Ok(Self {
            path: path.into(),
            format,
            tensors,
            notes,
            order,
        })
    }
}

/// The format that these bytes begin as.
fn detect(bytes: &[u8]) -> Format {
    if hdf5::detect(bytes) {
        return Format::Hdf5;
    }
    Format::Safetensors
}
