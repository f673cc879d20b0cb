//! The bug report as a folder, whole or not at all.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::Path;

use incept_exporters::files::{self, FileError, NewFolder};
use incept_exporters::onnx::proto::{BFLOAT16, FLOAT, FLOAT16, INT64, UINT8};

use super::BisectError;
use super::report::BisectReport;
use super::shrink::Example;
use super::trial::Trials;
use crate::runtime::Tensor;

/// The folder of inputs and outputs, as ONNX's own tests call it.
const DATA: &str = "test_data_set_0";

/// Refuses a folder that holds anything, or has no place to be in.
pub(super) fn check_folder(path: &Path) -> Result<(), BisectError> {
    if !files::folder_of(path).is_dir() {
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
    let folder = NewFolder::beside(out)?;
    fill(folder.path(), report, trials, example)?;
    // The search took its time: what came there meanwhile is not replaced.
    check_folder(out)?;
    Ok(folder.appear()?)
}

fn fill(
    folder: &Path,
    report: &BisectReport,
    trials: &Trials<'_>,
    example: &Example,
) -> Result<(), FileError> {
    let data = folder.join(DATA);
    files::create_folder(&data)?;
    write_bytes(&folder.join("model.onnx"), &example.cut.model)?;
    if let Some(reference) = &example.reference {
        write_bytes(&folder.join("reference.onnx"), &reference.model)?;
    }
    // A tensor is of the type that the model has for it.
    let of_type = |name: &str, tensor: &Tensor| {
        let element_type = match (tensor, trials.a.element_type(name)) {
            (Tensor::Bytes(_), _) => UINT8,
            (Tensor::Integers(_), _) => INT64,
            (Tensor::Floats(_), half @ (FLOAT16 | BFLOAT16)) => half,
            (Tensor::Floats(_), _) => FLOAT,
        };
        tensor.to_data(name, element_type).to_bytes()
    };
    for (place, (name, tensor)) in example.inputs.iter().enumerate() {
        let path = data.join(format!("input_{place}.pb"));
        write_bytes(&path, &of_type(name, tensor))?;
    }
    for (place, (name, array)) in example.outputs.iter().enumerate() {
        let path = data.join(format!("output_{place}.pb"));
        write_bytes(&path, &of_type(name, &Tensor::Floats(array.clone())))?;
    }
    write_bytes(&folder.join("report.md"), report.markdown().as_bytes())?;
    files::write_json(&folder.join("bisect.json"), report)
}

fn write_bytes(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    files::write_whole(path, |writer| writer.write_all(bytes))
}
