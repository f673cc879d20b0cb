//! The manifest of an export: hashes of everything it read and wrote, in bytes that are the same for the same inputs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::PrecisionReport;

/// How a file came about: what the caller knows and the export does not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// The program's version.
    pub version: String,
    /// The command line, without the program's path.
    pub command: Vec<String>,
    /// SHA-256 of every input file, by the path given.
    pub inputs: BTreeMap<String, String>,
}

/// A file that was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrittenFile {
    /// Its name: the manifest lies beside it. Of a data file, where it lies from the model's folder.
    pub path: String,
    /// Its length.
    pub bytes: u64,
    /// SHA-256 of its bytes.
    pub sha256: String,
}

/// A tensor that was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestTensor {
    /// Its name.
    pub name: String,
    /// The type of its numbers: `float32`, `float16`, ...
    #[serde(rename = "type")]
    pub element_type: String,
    /// Its dimensions.
    pub shape: Vec<usize>,
    /// The file it lies in, as [`WrittenFile::path`].
    pub file: String,
    /// The byte of that file it begins at.
    pub offset: u64,
    /// Its length in bytes.
    pub bytes: u64,
    /// SHA-256 of these bytes.
    pub sha256: String,
}

/// What was written, to the byte.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// `incept.manifest/1`.
    pub schema: String,
    /// How it came about.
    pub provenance: Provenance,
    /// Version of the file format.
    pub ir_version: i64,
    /// Version of the default operator set.
    pub opset: u32,
    /// The model's own metadata: network, options, the weights' hash, the input's contract.
    pub metadata: BTreeMap<String, String>,
    /// The model, then its data file where it has one.
    pub files: Vec<WrittenFile>,
    /// Every initializer, in the order of the model.
    pub tensors: Vec<ManifestTensor>,
    /// What rounding did to the weights, where they are not float32.
    pub precision: Option<PrecisionReport>,
}

impl Manifest {
    /// The document, with a line break at its end.
    pub(super) fn to_json(&self) -> std::io::Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }
}
