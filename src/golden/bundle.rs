//! Bundles as they lie on disk, whoever made them: ONNX's backend-test layout.

use std::fs;
use std::path::{Path, PathBuf};

use incept_exporters::files::{self, FileError};
use incept_exporters::onnx::DataTensor;
use serde::Deserialize;

use super::GoldenError;
use super::record::{Record, SCHEMA};

/// The model of a bundle.
pub(super) const MODEL: &str = "model.onnx";
/// The tolerances, as ONNX's own runner reads them.
pub(super) const TOLERANCES: &str = "data.json";
/// The layers' checksums.
pub(super) const LAYERS: &str = "layers.json";
/// Inputs and outputs as numpy reads them.
pub(super) const NPZ: &str = "tensors.npz";
/// Inputs and outputs as safetensors.
pub(super) const SAFETENSORS: &str = "tensors.safetensors";
/// What the folder of each data set begins with.
const DATA_SET: &str = "test_data_set_";

/// Whether a name in a bundle's folder is that of one of its parts, besides the model's data files.
pub(super) fn is_own(name: &str) -> bool {
    [MODEL, TOLERANCES, LAYERS, NPZ, SAFETENSORS].contains(&name) || name.starts_with(DATA_SET)
}

/// The folder of a data set.
pub(super) fn data_set_folder(number: usize) -> String {
    format!("{DATA_SET}{number}")
}

/// A data set: a folder with `input_K.pb` and `output_K.pb`.
#[derive(Debug)]
pub(super) struct DataSet {
    /// Its folder's name.
    pub(super) name: String,
    folder: PathBuf,
}

impl DataSet {
    /// Its inputs or outputs, in order.
    ///
    /// # Errors
    /// In words: a file that cannot be read or is no tensor, or a number that is left out.
    pub(super) fn tensors(&self, kind: &str) -> Result<Vec<DataTensor>, String> {
        let names = entries(&self.folder).map_err(|error| in_words(&error))?;
        let mut numbers: Vec<usize> = names
            .iter()
            .filter_map(|name| {
                let number = name.strip_prefix(kind)?.strip_prefix('_')?;
                number.strip_suffix(".pb")?.parse().ok()
            })
            .collect();
        numbers.sort_unstable();
        if let Some(missing) = (0..numbers.len()).find(|place| numbers[*place] != *place) {
            return Err(format!(
                "expected `{kind}_{missing}.pb` before `{kind}_{}.pb`, found none",
                numbers[missing]
            ));
        }
        let read = |number: &usize| {
            let file = format!("{kind}_{number}.pb");
            let bytes = files::map(&self.folder.join(&file)).map_err(|error| in_words(&error))?;
            DataTensor::read(&bytes).map_err(|error| format!("`{file}`: {error}"))
        };
        numbers.iter().map(read).collect()
    }
}

/// A bundle.
#[derive(Debug)]
pub(super) struct Bundle {
    /// Its folder.
    pub(super) folder: PathBuf,
    /// Its data sets, by number.
    pub(super) data_sets: Vec<DataSet>,
    /// The tolerances of `data.json`, where it is there.
    pub(super) tolerances: Option<Tolerances>,
    /// What `layers.json` says, where it is there.
    pub(super) record: Option<Record>,
}

/// What `data.json` says of tolerances.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub(super) struct Tolerances {
    pub(super) rtol: Option<f64>,
    pub(super) atol: Option<f64>,
}

impl Bundle {
    /// Reads what describes a bundle; its tensors are read when they are needed.
    ///
    /// # Errors
    /// In words: a folder that cannot be listed, or a description that is none.
    pub(super) fn read(folder: &Path) -> Result<Self, String> {
        let names = entries(folder).map_err(|error| in_words(&error))?;
        let mut data_sets: Vec<(usize, DataSet)> = names
            .iter()
            .filter_map(|name| {
                let number = name.strip_prefix(DATA_SET)?.parse().ok()?;
                let folder = folder.join(name);
                let name = name.clone();
                Some((number, DataSet { name, folder }))
            })
            .collect();
        data_sets.sort_by_key(|(number, _)| *number);
        let record: Option<Record> = described(folder, &names, LAYERS)?;
        if let Some(record) = record.as_ref().filter(|record| record.schema != SCHEMA) {
            return Err(format!(
                "`{LAYERS}`: expected schema `{SCHEMA}`, found `{}`",
                record.schema
            ));
        }
        Ok(Self {
            folder: folder.into(),
            data_sets: data_sets.into_iter().map(|(_, set)| set).collect(),
            tolerances: described(folder, &names, TOLERANCES)?,
            record,
        })
    }
}

/// A JSON file of a bundle, where it is there.
fn described<T: serde::de::DeserializeOwned>(
    folder: &Path,
    names: &[String],
    file: &str,
) -> Result<Option<T>, String> {
    if !names.iter().any(|name| name == file) {
        return Ok(None);
    }
    let bytes = files::read(&folder.join(file)).map_err(|error| in_words(&error))?;
    let parsed = serde_json::from_slice(&bytes);
    parsed
        .map(Some)
        .map_err(|error| format!("`{file}`: {error}"))
}

/// The folders at or below `folder` that are bundles, in the order of their names. Links are not followed.
///
/// # Errors
/// [`GoldenError`] where a folder cannot be listed, or none is a bundle.
pub(super) fn find(folder: &Path) -> Result<Vec<PathBuf>, GoldenError> {
    let mut found = vec![];
    let mut waiting = vec![folder.to_path_buf()];
    while let Some(folder) = waiting.pop() {
        let names = entries(&folder)?;
        if names
            .iter()
            .any(|name| name == MODEL || name.starts_with(DATA_SET))
        {
            found.push(folder);
            continue;
        }
        let below = names.iter().map(|name| folder.join(name));
        waiting.extend(below.filter(|path| path.is_dir() && !path.is_symlink()));
    }
    if found.is_empty() {
        return Err(GoldenError::NoBundle {
            path: folder.into(),
        });
    }
    found.sort();
    Ok(found)
}

/// Refuses a folder that is there and is neither empty nor a bundle that incept wrote: it is going to be replaced.
///
/// # Errors
/// [`GoldenError::Occupied`] with what is in it.
pub(super) fn may_be_replaced(folder: &Path) -> Result<(), GoldenError> {
    let occupied = |found: String| GoldenError::Occupied {
        path: folder.into(),
        found,
    };
    match fs::symlink_metadata(folder) {
        Err(_) => return Ok(()),
        Ok(found) if !found.is_dir() => return Err(occupied("no folder".into())),
        Ok(_) => {}
    }
    let names = entries(folder)?;
    if names.is_empty() {
        return Ok(());
    }
    if !names.iter().any(|name| name == LAYERS) {
        return Err(occupied(format!("`{}`, and no `{LAYERS}`", names[0])));
    }
    let record = match Bundle::read(folder) {
        Ok(bundle) => bundle.record,
        Err(reason) => return Err(occupied(reason)),
    };
    let data_files = record.map(|record| record.data_files).unwrap_or_default();
    let is_data = |name: &str| {
        data_files
            .iter()
            .any(|file| file.split('/').next() == Some(name))
    };
    let own = |name: &String| is_own(name) || is_data(name);
    match names.iter().find(|name| !own(name)) {
        Some(other) => Err(occupied(format!("`{other}`, which is no part of a bundle"))),
        None => Ok(()),
    }
}

/// The names in a folder, sorted.
fn entries(folder: &Path) -> Result<Vec<String>, FileError> {
    let failed = |source| FileError::new("list", folder, source);
    let mut names = vec![];
    for entry in fs::read_dir(folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        names.push(name.to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// A file's error with its cause.
pub(super) fn in_words(error: &FileError) -> String {
    format!("{error}: {}", error.source)
}
