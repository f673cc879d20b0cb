//! Where a result comes from: enough to make it again.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use incept_exporters::files::FileError;
use incept_exporters::onnx::Model;
use incept_exporters::text::hex;
use incept_exporters::weights::checkpoint::files_of;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What stands in every JSON result beside the numbers. No time, no host: the same inputs give the same bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// The program's version.
    pub version: String,
    /// The command line, without the program's path.
    pub command: Vec<String>,
    /// SHA-256 of every input file, by the path given.
    pub inputs: BTreeMap<String, String>,
    /// The runtimes used, with versions and devices.
    pub runtimes: Vec<String>,
}

impl Provenance {
    /// The provenance of this run of the program, before any input.
    pub fn of_this_run() -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").into(),
            command: std::env::args().skip(1).collect(),
            inputs: BTreeMap::new(),
            runtimes: vec![],
        }
    }

    /// Adds an input file and its hash.
    ///
    /// # Errors
    /// [`FileError`] with the path.
    pub fn add_file(&mut self, path: &Path) -> Result<(), FileError> {
        self.inputs
            .insert(path.display().to_string(), sha256_of_file(path)?);
        Ok(())
    }

    /// Adds a model and the files that its tensors lie in.
    ///
    /// # Errors
    /// [`FileError`] with the path.
    pub fn add_model(&mut self, model: &Model) -> Result<(), FileError> {
        self.add_file(&model.path)?;
        model
            .data_files
            .iter()
            .try_for_each(|file| self.add_file(file))
    }

    /// Adds the files that a checkpoint of this name is read from.
    ///
    /// # Errors
    /// [`FileError`] with the path.
    pub fn add_weights(&mut self, path: &Path) -> Result<(), FileError> {
        files_of(path)
            .iter()
            .try_for_each(|file| self.add_file(file))
    }
}

/// SHA-256 of a file, in hexadecimal.
///
/// # Errors
/// [`FileError`] with the path.
pub fn sha256_of_file(path: &Path) -> Result<String, FileError> {
    let failed = |source| FileError::new("read", path, source);
    let mut file = File::open(path).map_err(failed)?;
    let mut hash = Sha256::new();
    let mut block = vec![0; 1 << 20];
    loop {
        match file.read(&mut block).map_err(failed)? {
            0 => return Ok(hex(&hash.finalize())),
            length => hash.update(&block[..length]),
        }
    }
}
