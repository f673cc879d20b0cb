//! What can go wrong with a bundle besides a difference.

use std::path::PathBuf;

use incept_exporters::files::FileError;
use incept_exporters::onnx::LoadError;

use crate::parity::ParityError;
use crate::runtime::RuntimeError;

/// A bundle that cannot be written, or a verification that cannot run.
#[derive(Debug, thiserror::Error)]
pub enum GoldenError {
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The model is not ONNX, or cannot be loaded with its data.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A runtime is missing, or the one that is to be the reference refuses the model.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// The reference cannot be made.
    #[error(transparent)]
    Parity(#[from] ParityError),
    /// The weights are not the model's.
    #[error("the reference would be of other weights than the model `{}`: {reason}", path.display())]
    OtherWeights {
        /// The model.
        path: PathBuf,
        /// Expected and found.
        reason: String,
    },
    /// The reference asked for is none of this build.
    #[error("no reference for `{}`: {reason}", path.display())]
    Reference {
        /// The model.
        path: PathBuf,
        /// Why not.
        reason: String,
        /// What would do.
        hint: Option<String>,
    },
    /// An input or output that a bundle of incept cannot hold, or a layer that is not there.
    #[error("`{value}` of `{}`: expected {expected}, found {found}", path.display())]
    Value {
        /// The model.
        path: PathBuf,
        /// The value's name.
        value: String,
        /// What can be.
        expected: String,
        /// What is.
        found: String,
    },
    /// A number of images or data sets that makes no bundle.
    #[error("--{option}: expected {expected}, found {found}")]
    Count {
        /// The option.
        option: &'static str,
        /// The numbers that do.
        expected: &'static str,
        /// The number given.
        found: usize,
    },
    /// The folder to be written holds something else.
    #[error("`{}` is no bundle that could be replaced: found {found}", path.display())]
    Occupied {
        /// The folder.
        path: PathBuf,
        /// What is in it.
        found: String,
    },
    /// A name of one of the model's data files that a bundle needs itself.
    #[error("the model's data file `{name}` has the name of a part of the bundle")]
    NameTaken {
        /// The file's name.
        name: String,
    },
    /// No bundle in the folder to be verified.
    #[error("no bundle in `{}`: expected `model.onnx` or a folder `test_data_set_0`, there or below", path.display())]
    NoBundle {
        /// The folder.
        path: PathBuf,
    },
    /// An archive of arrays cannot be made.
    #[error("cannot make the archive `{name}` of the bundle: {reason}")]
    Archive {
        /// The file.
        name: &'static str,
        /// Why not.
        reason: String,
    },
}

impl GoldenError {
    /// The fix, where one is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::File(error) => error.hint(),
            Self::Load(error) => error.hint(),
            Self::Runtime(error) => error.hint(),
            Self::Parity(error) => error.hint(),
            Self::OtherWeights { .. } => {
                Some("give the file the model was exported from: --weights FILE".into())
            }
            Self::Reference { hint, .. } => hint.clone(),
            Self::Occupied { .. } => {
                Some("give a folder that does not exist yet, is empty, or holds a bundle that `incept golden write` made".into())
            }
            Self::NameTaken { .. } => {
                Some("export the model again with another --external-data name".into())
            }
            Self::NoBundle { .. } => {
                Some("`incept golden write DIR --model MODEL.onnx` makes one".into())
            }
            Self::Value { .. } | Self::Count { .. } | Self::Archive { .. } => None,
        }
    }
}
