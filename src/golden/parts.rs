//! The files of a bundle as they are written.

use std::io::Write;
use std::path::{Path, PathBuf};

use incept_exporters::files::{FileError, create_folder, map, write_whole};
use incept_exporters::onnx::DataTensor;

use super::GoldenError;
use super::bundle::{self, NPZ, SAFETENSORS};
use super::npz::npz;
use super::safetensors::safetensors;

/// Where the model's data files lie from its folder; none may have the name of a part of the bundle.
pub(super) fn data_files(model: &Path, files: &[PathBuf]) -> Result<Vec<String>, GoldenError> {
    let resolved = std::fs::canonicalize(model);
    let resolved = resolved.map_err(|source| FileError::new("read", model, source))?;
    let folder = resolved.parent().unwrap_or(Path::new("/"));
    let location = |file: &PathBuf| {
        let inside = file.strip_prefix(folder).unwrap_or(file);
        let name = inside.to_string_lossy().into_owned();
        let first = name.split('/').next().unwrap_or_default();
        match bundle::is_own(first) {
            true => Err(GoldenError::NameTaken { name }),
            false => Ok(name),
        }
    };
    files.iter().map(location).collect()
}

/// A data set's folder with its tensors.
pub(super) fn write_data_set(
    folder: &Path,
    inputs: &[DataTensor],
    outputs: &[DataTensor],
) -> Result<(), GoldenError> {
    create_folder(folder)?;
    for (kind, tensors) in [("input", inputs), ("output", outputs)] {
        for (place, tensor) in tensors.iter().enumerate() {
            let path = folder.join(format!("{kind}_{place}.pb"));
            write_whole(&path, |writer| writer.write_all(&tensor.to_bytes()))?;
        }
    }
    Ok(())
}

/// All arrays for numpy, and for safetensors.
pub(super) fn write_arrays(
    folder: &Path,
    arrays: &[(String, DataTensor)],
) -> Result<(), GoldenError> {
    let arrays: Vec<(String, &DataTensor)> = arrays
        .iter()
        .map(|(name, tensor)| (name.clone(), tensor))
        .collect();
    let failed = |name, reason: String| GoldenError::Archive { name, reason };
    let bytes = npz(&arrays).map_err(|error| failed(NPZ, error.to_string()))?;
    write_whole(&folder.join(NPZ), |writer| writer.write_all(&bytes))?;
    let bytes = safetensors(&arrays).map_err(|error| failed(SAFETENSORS, error.to_string()))?;
    write_whole(&folder.join(SAFETENSORS), |writer| writer.write_all(&bytes))?;
    Ok(())
}

/// A file byte for byte.
pub(super) fn copy(from: &Path, to: &Path) -> Result<(), GoldenError> {
    let bytes = map(from)?;
    Ok(write_whole(to, |writer| writer.write_all(&bytes))?)
}
