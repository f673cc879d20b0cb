//! The bug report as a folder, whole or not at all.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use incept_exporters::files::FileError;
use incept_exporters::onnx::proto::{BFLOAT16, FLOAT16};
use incept_exporters::onnx::{Parts, TensorValues, tensor_file};
use ndarray::ArrayD;

use super::BisectError;
use super::report::BisectReport;
use super::shrink::Example;
use super::trial::Trials;
use crate::runtime::Tensor;

/// The folder of inputs and outputs, as ONNX's own tests call it.
const DATA: &str = "test_data_set_0";

/// Refuses a folder that holds anything, or has no place to be in.
pub(super) fn check_folder(path: &Path) -> Result<(), BisectError> {
    if !parent_of(path).is_dir() {
        return Err(FileError::new("write", path, ErrorKind::NotFound.into()).into());
    }
    match fs::read_dir(path) {
        Ok(mut entries) => match entries.next() {
            Some(_) => Err(BisectError::NotEmpty { path: path.into() }),
            None => Ok(()),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(FileError::new("read", path, error).into()),
    }
}

/// Writes the folder beside its place, and puts it there.
pub(super) fn write(
    out: &Path,
    report: &BisectReport,
    trials: &Trials<'_>,
    example: &Example,
) -> Result<(), BisectError> {
    let failed = |source| FileError::new("write", out, source);
    let parent = parent_of(out);
    let folder = tempfile::Builder::new()
        .prefix(".incept-")
        .suffix(".partial")
        .tempdir_in(parent)
        .map_err(failed)?;
    fill(folder.path(), report, trials, example).map_err(failed)?;
    readable(folder.path()).map_err(failed)?;
    fs::rename(folder.path(), out).map_err(failed)?;
    // It is no longer where it would be removed from.
    let _ = folder.keep();
    fs::File::open(parent)
        .and_then(|parent| parent.sync_all())
        .map_err(failed)?;
    Ok(())
}

fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn fill(
    folder: &Path,
    report: &BisectReport,
    trials: &Trials<'_>,
    example: &Example,
) -> io::Result<()> {
    let data = folder.join(DATA);
    fs::create_dir(&data)?;
    write_synced(&folder.join("model.onnx"), &example.cut.model)?;
    if let Some(reference) = &example.reference {
        write_synced(&folder.join("reference.onnx"), &reference.model)?;
    }
    for (place, (name, tensor)) in example.inputs.iter().enumerate() {
        let bytes = match tensor {
            Tensor::Floats(array) => floats(trials.a, name, array),
            Tensor::Bytes(array) => {
                tensor_file(name, array.shape(), TensorValues::Uint8(&values(array)))
            }
            Tensor::Integers(array) => {
                tensor_file(name, array.shape(), TensorValues::Int64(&values(array)))
            }
        };
        write_synced(&data.join(format!("input_{place}.pb")), &bytes)?;
    }
    for (place, (name, array)) in example.outputs.iter().enumerate() {
        write_synced(
            &data.join(format!("output_{place}.pb")),
            &floats(trials.a, name, array),
        )?;
    }
    write_synced(&folder.join("report.md"), report.markdown().as_bytes())?;
    let json = serde_json::to_string_pretty(report)? + "\n";
    write_synced(&folder.join("bisect.json"), json.as_bytes())
}

/// A tensor of the type that the model has for it.
fn floats(parts: &Parts, name: &str, array: &ArrayD<f32>) -> Vec<u8> {
    let numbers = values(array);
    let numbers = match parts.element_type(name) {
        FLOAT16 => TensorValues::Float16(&numbers),
        BFLOAT16 => TensorValues::BFloat16(&numbers),
        _ => TensorValues::Float32(&numbers),
    };
    tensor_file(name, array.shape(), numbers)
}

fn values<T: Copy>(array: &ArrayD<T>) -> Vec<T> {
    array.iter().copied().collect()
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    fs::write(path, bytes)?;
    fs::File::open(path)?.sync_all()
}

/// A temporary folder is private by default; a result is as readable as any folder the user makes.
fn readable(folder: &Path) -> io::Result<()> {
    let made = folder.join(DATA);
    fs::set_permissions(folder, fs::metadata(made)?.permissions())
}
