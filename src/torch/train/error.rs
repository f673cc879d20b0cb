//! Why a run stops.

use std::path::PathBuf;

use crate::exporters::weights::WeightsError;
use crate::files::FileError;
use crate::images::{Dataset, ImageError};
use crate::torch::TorchError;
use crate::training::{BatchError, CheckpointError, ConfigError};

/// A run that cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum TrainingError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// libtorch, or the device.
    #[error(transparent)]
    Torch(#[from] TorchError),
    /// The data's listing.
    #[error(transparent)]
    Data(#[from] ImageError),
    /// A batch of images.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// A file or folder.
    #[error(transparent)]
    File(#[from] FileError),
    /// A checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Weights that cannot be read or written.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// Training and validation images have other classes.
    #[error(
        "the classes in `{}` and `{}` differ: {} of {expected} training classes are missing, {} are unknown{}",
        training.display(), validation.display(), missing.len(), unknown.len(), first(missing, unknown)
    )]
    Classes {
        /// The folder of training images.
        training: PathBuf,
        /// The folder of validation images.
        validation: PathBuf,
        /// How many classes training has.
        expected: usize,
        /// Classes that validation lacks.
        missing: Vec<String>,
        /// Classes that training lacks.
        unknown: Vec<String>,
    },
    /// A run is there already, and continuing was not asked for.
    #[error("the output folder already holds a run: `{}`", path.display())]
    Occupied {
        /// Its newest checkpoint.
        path: PathBuf,
    },
    /// Another run is under way in the output folder.
    #[error("another run is under way in `{}`", path.display())]
    Busy {
        /// The folder.
        path: PathBuf,
    },
    /// The run that is to be continued is past its end already.
    #[error("the run is at step {step}: expected at least as many steps, found {steps}")]
    Beyond {
        /// Steps taken.
        step: u64,
        /// Steps asked for.
        steps: u64,
    },
    /// The loss, or a weight, is not finite.
    #[error(
        "{what} is {found} at step {step}, with learning rate {learning_rate}: expected a finite number; last good checkpoint: {}",
        checkpoint.as_ref().map_or("none".into(), |path| format!("`{}`", path.display()))
    )]
    NotFinite {
        /// `the loss` or `a weight`.
        what: &'static str,
        /// Its value.
        found: f64,
        /// The step, counted from one.
        step: u64,
        /// The learning rate of that step.
        learning_rate: f64,
        /// The newest checkpoint.
        checkpoint: Option<PathBuf>,
    },
}

fn first(missing: &[String], unknown: &[String]) -> String {
    let name = missing.iter().chain(unknown).next();
    name.map(|name| format!(", first `{name}`"))
        .unwrap_or_default()
}

impl TrainingError {
    pub(super) fn classes(training: &Dataset, validation: &Dataset) -> Self {
        let lacking = |of: &Dataset, from: &Dataset| -> Vec<String> {
            let names = of.classes().iter();
            names
                .filter(|name| !from.classes().contains(name))
                .cloned()
                .collect()
        };
        Self::Classes {
            training: training.folder().into(),
            validation: validation.folder().into(),
            expected: training.classes().len(),
            missing: lacking(training, validation),
            unknown: lacking(validation, training),
        }
    }

    /// The fix, where one is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Config(error) => error.hint(),
            Self::Torch(error) => error.hint(),
            Self::Data(error) => error.hint(),
            Self::Batch(error) => error.hint(),
            Self::File(error) => error.hint(),
            Self::Checkpoint(error) => error.hint(),
            Self::Weights(error) => error.hint(),
            Self::Classes { .. } => {
                Some("`train` and `val` must hold folders of the same names".into())
            }
            Self::Occupied { .. } => Some(
                "continue it with `--resume`, or choose another folder with `--set output=FOLDER`"
                    .into(),
            ),
            Self::Busy { .. } => {
                Some("wait for it, or choose another folder with `--set output=FOLDER`".into())
            }
            Self::Beyond { step, .. } => Some(format!(
                "ask for more than {step} steps, or start anew in another folder"
            )),
            Self::NotFinite { learning_rate, .. } => Some(format!(
                "lower `learning_rate.initial` (for example to {}), give it `learning_rate.warm_up_steps`, or set `clip_norm = 2.0`",
                learning_rate / 10.0
            )),
        }
    }
}
