//! Checkpoints: folders that appear whole or not at all.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::TrainingConfig;
use crate::exporters::weights::{Tensor, Weights, WeightsError};
use crate::files::{FileError, create_folder, read, write_whole};

const SCHEMA: &str = "incept.checkpoint/1";
/// The averaged parameters and moving statistics under the network's own names: to evaluate and to export.
const WEIGHTS: &str = "weights.safetensors";
/// The weights as trained and the optimiser's slots, with a prefix each.
const TRAINING: &str = "training.safetensors";
const STATE: &str = "state.json";

/// A checkpoint that cannot be written, read or continued from.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The system refused a file or folder.
    #[error(transparent)]
    File(#[from] FileError),
    /// The tensors cannot be read or written, or do not fit.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// `state.json` is not what a checkpoint has.
    #[error("`{}` is not a checkpoint's state: {reason}", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A tensor the optimiser needs is absent or has another shape.
    #[error("`{}`: tensor `{name}`: expected {expected}, found {found}", path.display())]
    Tensor {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// How many numbers it should hold.
        expected: usize,
        /// What there is.
        found: String,
    },
    /// The run was started with another configuration.
    #[error("the run in `{}` was started with other settings: {}", path.display(), changes.join("; "))]
    Changed {
        /// The checkpoint.
        path: PathBuf,
        /// Each key with the run's value and the new one.
        changes: Vec<String>,
    },
}

impl CheckpointError {
    /// The fix, where one is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::File(error) => error.hint(),
            Self::Weights(error) => error.hint(),
            Self::State { path, .. } | Self::Tensor { path, .. } => Some(format!(
                "remove the folder `{}` to continue from the checkpoint before it",
                path.parent().unwrap_or(path).display()
            )),
            Self::Changed { .. } => {
                Some("put these keys back, or train anew into another `output` folder".into())
            }
        }
    }
}

/// `state.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckpointState {
    /// `incept.checkpoint/1`.
    pub schema: String,
    /// Version of incept that wrote it.
    pub version: String,
    /// Steps taken.
    pub step: u64,
    /// Full epochs gone by.
    pub epoch: u64,
    /// Images of the current epoch already seen.
    pub position: u64,
    /// The network.
    pub network: String,
    /// Its variant.
    pub variant: String,
    /// Names of the classes, in the order of the logits.
    pub classes: Vec<String>,
    /// SHA-256 of the listing of the training images.
    pub data_sha256: String,
    /// SHA-256 of the settings that decide the result.
    pub config_sha256: String,
    /// The whole configuration.
    pub config: TrainingConfig,
}

impl CheckpointState {
    /// The state after `step` steps.
    pub fn new(
        config: &TrainingConfig,
        classes: &[String],
        images: usize,
        data_sha256: &str,
        step: u64,
    ) -> Self {
        let seen = step * config.batch_size as u64;
        Self {
            schema: SCHEMA.into(),
            version: env!("CARGO_PKG_VERSION").into(),
            step,
            epoch: seen / images as u64,
            position: seen % images as u64,
            network: config.network.clone(),
            variant: config.variant.clone(),
            classes: classes.to_vec(),
            data_sha256: data_sha256.into(),
            config_sha256: config.digest(),
            config: config.clone(),
        }
    }
}

/// One checkpoint on disk.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    /// Its folder.
    pub path: PathBuf,
    /// Its state.
    pub state: CheckpointState,
}

impl Checkpoint {
    /// Writes a checkpoint into `checkpoints/step-000010` of the run's folder: first beside it, synced, then renamed.
    /// `training` holds the tensors that only a continued run needs.
    ///
    /// # Errors
    /// [`CheckpointError`]; nothing is left at the place then.
    pub fn write(
        output: &Path,
        state: CheckpointState,
        weights: &Weights,
        training: BTreeMap<String, Tensor>,
    ) -> Result<Self, CheckpointError> {
        let folder = output.join("checkpoints");
        create_folder(&folder)?;
        let path = folder.join(format!("step-{:06}", state.step));
        let failed = |error| FileError::new("write", &path, error);
        let beside = tempfile::Builder::new()
            .prefix(".incept-")
            .suffix(".partial")
            .tempdir_in(&folder)
            .map_err(failed)?;
        weights.write(&beside.path().join(WEIGHTS), &metadata(&state))?;
        Weights::from_tensors(training, "training")
            .write(&beside.path().join(TRAINING), &BTreeMap::new())?;
        let text = serde_json::to_vec_pretty(&state).map_err(|error| failed(error.into()))?;
        write_whole(&beside.path().join(STATE), |writer| writer.write_all(&text))?;
        // A checkpoint of that step from an interrupted run is replaced.
        if path.exists() {
            fs::remove_dir_all(&path).map_err(failed)?;
        }
        // A temporary folder is private; a checkpoint is as readable as any file the user makes.
        use std::os::unix::fs::PermissionsExt;
        let modes = fs::metadata(&folder).map_err(failed)?.permissions().mode();
        fs::set_permissions(beside.path(), fs::Permissions::from_mode(modes)).map_err(failed)?;
        fs::rename(beside.path(), &path).map_err(failed)?;
        // The folder has its new name: nothing is left to clean up.
        let _ = beside.keep();
        File::open(&folder)
            .and_then(|folder| folder.sync_all())
            .map_err(failed)?;
        Ok(Self { path, state })
    }

    /// Reads a checkpoint's state.
    ///
    /// # Errors
    /// [`CheckpointError`] with the path.
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        let file = path.join(STATE);
        let malformed = |reason| CheckpointError::State {
            path: file.clone(),
            reason,
        };
        let state: CheckpointState =
            serde_json::from_slice(&read(&file)?).map_err(|error| malformed(error.to_string()))?;
        if state.schema != SCHEMA {
            return Err(malformed(format!(
                "expected the schema `{SCHEMA}`, found `{}`",
                state.schema
            )));
        }
        Ok(Self {
            path: path.into(),
            state,
        })
    }

    /// Where the averaged weights lie.
    pub fn weights_path(&self) -> PathBuf {
        self.path.join(WEIGHTS)
    }

    /// The averaged weights and moving statistics.
    ///
    /// # Errors
    /// [`WeightsError`] with the path.
    pub fn weights(&self) -> Result<Weights, WeightsError> {
        Weights::read(&self.weights_path())
    }

    /// The numbers of tensors `prefix` + name in the training file, one after the other; `names` come with
    /// how many numbers each should hold.
    ///
    /// # Errors
    /// [`CheckpointError`] with the tensor's name where it is absent or of another size.
    pub fn numbers<'a>(
        &self,
        training: &Weights,
        prefix: &str,
        names: impl IntoIterator<Item = (&'a str, usize)>,
    ) -> Result<Vec<f32>, CheckpointError> {
        let mut numbers = vec![];
        for (name, expected) in names {
            let name = format!("{prefix}{name}");
            let tensor = training.get(&name);
            let found = tensor.map(|tensor| tensor.values());
            match found {
                Some(values) if values.len() == expected => numbers.extend_from_slice(&values),
                other => {
                    return Err(CheckpointError::Tensor {
                        path: self.path.join(TRAINING),
                        name,
                        expected,
                        found: other.map_or("nothing".into(), |values| values.len().to_string()),
                    });
                }
            }
        }
        Ok(numbers)
    }

    /// The tensors that only a continued run needs.
    ///
    /// # Errors
    /// [`WeightsError`] with the path.
    pub fn training(&self) -> Result<Weights, WeightsError> {
        Weights::read(&self.path.join(TRAINING))
    }

    /// Makes sure that a run with this configuration and these data continues this one.
    ///
    /// # Errors
    /// [`CheckpointError::Changed`] with every key that differs and would change the result.
    pub fn check(&self, config: &TrainingConfig, data_sha256: &str) -> Result<(), CheckpointError> {
        let mut changes = self.state.config.differences(config);
        if self.state.data_sha256 != data_sha256 {
            changes.push("the training images (names or sizes) are others".into());
        }
        if changes.is_empty() {
            return Ok(());
        }
        Err(CheckpointError::Changed {
            path: self.path.clone(),
            changes,
        })
    }
}

/// What the weights file says about itself.
fn metadata(state: &CheckpointState) -> BTreeMap<String, String> {
    let entries = [
        ("network", state.network.clone()),
        ("variant", state.variant.clone()),
        ("step", state.step.to_string()),
        ("version", state.version.clone()),
        ("config_sha256", state.config_sha256.clone()),
        ("data_sha256", state.data_sha256.clone()),
    ];
    entries.map(|(key, value)| (key.to_string(), value)).into()
}

/// The checkpoints of a run, oldest first: whole ones only, as others never get that name.
///
/// # Errors
/// [`FileError`] with the folder.
pub fn list(output: &Path) -> Result<Vec<PathBuf>, FileError> {
    let folder = output.join("checkpoints");
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(vec![]),
        Err(error) => return Err(FileError::new("list the folder", folder, error)),
    };
    let mut found: Vec<(u64, PathBuf)> = entries
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let step = path.file_name()?.to_str()?.strip_prefix("step-")?.parse();
            let whole = path.join(STATE).is_file();
            Some((step.ok()?, path)).filter(|_| whole)
        })
        .collect();
    found.sort();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

/// The newest checkpoint of a run, if there is one.
///
/// # Errors
/// [`CheckpointError`] where it cannot be read.
pub fn latest(output: &Path) -> Result<Option<Checkpoint>, CheckpointError> {
    list(output)?
        .last()
        .map(|path| Checkpoint::open(path))
        .transpose()
}
