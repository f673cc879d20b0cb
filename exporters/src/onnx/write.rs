//! Writing, in one pass over the weights: while some tensors are written, the next are checked, hashed and folded on
//! the other cores. No second copy of the weights is ever in memory.

mod stream;

use std::collections::HashMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::layout::{self, LIMIT, Layout};
use super::manifest::{Manifest, Provenance};
use super::{ExportError, ExportOptions, PrecisionReport, external};
use crate::files::{FileError, Together};
use crate::net::Net;
use crate::weights::Weights;
use stream::{Counted, Export, Outcome, StreamError};

/// Where an export goes.
#[derive(Debug, Clone, Default)]
pub struct Destination {
    /// The model.
    pub model: PathBuf,
    /// A file for the tensors, in the model's folder or below.
    pub data: Option<PathBuf>,
    /// The manifest.
    pub manifest: Option<PathBuf>,
    /// What the manifest says of how the files came about.
    pub provenance: Provenance,
}

/// What an export wrote.
#[derive(Debug, Clone, PartialEq)]
pub struct Exported {
    /// Bytes of the model and its data file.
    pub bytes: u64,
    /// What rounding did to the weights, where they are not stored as float32.
    pub precision: Option<PrecisionReport>,
    /// What the manifest holds, where one was asked for.
    pub manifest: Option<Manifest>,
}

/// Writes the ONNX file of `net` with `weights`: whole or not at all, and the same bytes for the same arguments.
///
/// # Errors
/// [`ExportError`]: weights that do not fit, an opset out of range, a file that cannot be written.
pub fn write(
    net: &Net,
    weights: &Weights,
    options: &ExportOptions,
    path: &Path,
) -> Result<Exported, ExportError> {
    let destination = Destination {
        model: path.into(),
        ..Destination::default()
    };
    export(net, weights, options, &destination)
}

/// Writes the ONNX file of `net`, and the files that belong to it: all of them whole, or none. The data file appears
/// first, then the model, then the manifest.
///
/// # Errors
/// As [`write()`]; also [`ExportError::DataFile`].
pub fn export(
    net: &Net,
    weights: &Weights,
    options: &ExportOptions,
    destination: &Destination,
) -> Result<Exported, ExportError> {
    let location = match &destination.data {
        Some(data) => Some(external::location(data, &destination.model)?),
        None => None,
    };
    weights.check_shapes(net)?;
    let layout = Layout::plan(net, weights, options, location.as_deref())?;
    let mut export = Export {
        net,
        weights,
        options,
        layout,
        hashed: destination.manifest.is_some(),
        outcome: Outcome::default(),
    };
    let mut files = Together::default();
    let mut written = vec![];
    let mut kept = HashMap::new();
    if let (Some(data), Some(location)) = (&destination.data, location) {
        let (file, small) = add(&mut files, data, |writer| export.data(writer, location))?;
        written.push(file);
        kept = small;
    }
    let name = destination.model.file_name().unwrap_or_default();
    let name = name.to_string_lossy().into_owned();
    let external = destination.data.is_some();
    let (file, ()) = add(&mut files, &destination.model, |writer| {
        let mut counted = Counted::new(writer, export.hashed);
        export.model(&mut counted, external.then_some(kept))?;
        Ok((counted.finish(name), ()))
    })?;
    written.insert(0, file);
    let bytes = written.iter().map(|file| file.bytes).sum();
    let manifest = destination.manifest.as_ref().map(|path| {
        let manifest = export.manifest(written, destination.provenance.clone());
        let text = manifest.to_json().map_err(StreamError::Io);
        let filled = text.and_then(|text| {
            let added = files.add(path, |writer| writer.write_all(text.as_bytes()));
            added.map_err(|error| StreamError::Export(error.into()))
        });
        match filled {
            Ok(()) => Ok(manifest),
            Err(error) => Err(error.into_export(path)),
        }
    });
    let manifest = manifest.transpose()?;
    files.appear()?;
    Ok(Exported {
        bytes,
        precision: export.precision(),
        manifest,
    })
}

/// Adds a file to those that appear together.
fn add<T>(
    files: &mut Together,
    path: &Path,
    fill: impl FnOnce(&mut crate::files::Writer<'_>) -> Result<T, StreamError>,
) -> Result<T, ExportError> {
    let mut filled = None;
    let added = files.add(path, |writer| {
        filled = Some(fill(writer));
        match &filled {
            // The error itself is handed on below.
            Some(Err(_)) => Err(io::Error::other("export failed")),
            _ => Ok(()),
        }
    });
    match filled {
        Some(Err(error)) => Err(error.into_export(path)),
        Some(Ok(value)) => {
            added?;
            Ok(value)
        }
        None => {
            added?;
            // A file that was added was filled.
            Err(FileError::new("write", path, io::ErrorKind::Other.into()).into())
        }
    }
}

/// The same file in memory.
///
/// # Errors
/// As [`write()`].
pub fn to_bytes(
    net: &Net,
    weights: &Weights,
    options: &ExportOptions,
) -> Result<Vec<u8>, ExportError> {
    weights.check_shapes(net)?;
    let layout = Layout::plan(net, weights, options, None)?;
    let mut bytes = Vec::with_capacity(layout.total() as usize);
    let mut export = Export {
        net,
        weights,
        options,
        layout,
        hashed: false,
        outcome: Outcome::default(),
    };
    let streamed = export.model(&mut bytes, None);
    streamed.map_err(|error| error.into_export(Path::new("memory")))?;
    Ok(bytes)
}

/// Tells whether one file can hold `net`, before there are any weights.
///
/// # Errors
/// [`ExportError::TooLarge`] with the bytes its tensors need.
pub fn check_size(net: &Net, options: &ExportOptions) -> Result<(), ExportError> {
    match layout::bytes_of_tensors(net, options)? {
        found if found > LIMIT => Err(ExportError::TooLarge { found }),
        _ => Ok(()),
    }
}
