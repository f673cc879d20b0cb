//! Why an evaluation stopped.

use std::path::PathBuf;

use incept_exporters::onnx::{ContractError, LoadError};

use crate::crops::CropError;
use crate::files::FileError;
use crate::images::ImageError;
use crate::runtime::RuntimeError;

/// An evaluation that could not be finished.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    /// A model cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// A model is not ONNX, or cannot be loaded with its data.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A model that takes or gives something else than an image classifier does.
    #[error("model `{}`: expected {expected}, found {found}", path.display())]
    Interface {
        /// The file.
        path: PathBuf,
        /// What an evaluation needs.
        expected: &'static str,
        /// What the model has.
        found: String,
    },
    /// A preprocessing contract that cannot be understood.
    #[error("cannot read the preprocessing contract of `{}`", path.display())]
    Contract {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: ContractError,
    },
    /// A flag, the dataset or the file itself against the model's contract.
    #[error("model `{}`: its contract says {subject} {contract}, found {given} {found}", path.display())]
    Contradiction {
        /// The file.
        path: PathBuf,
        /// What the two are about.
        subject: &'static str,
        /// What the contract says.
        contract: String,
        /// The flag, or what else it comes from.
        given: &'static str,
        /// What was found there.
        found: String,
    },
    /// The model's classes are not the dataset's.
    #[error("model `{}` has {found} classes: expected {expected}, as `{}` has folders", path.display(), folder.display())]
    Classes {
        /// The model.
        path: PathBuf,
        /// The dataset.
        folder: PathBuf,
        /// The dataset's classes.
        expected: usize,
        /// The model's.
        found: usize,
    },
    /// The dataset or one of its images.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// An image that cannot be decoded.
    #[error("`{name}` cannot be decoded")]
    Undecodable {
        /// Class folder and file name.
        name: String,
        /// Why not.
        #[source]
        source: ImageError,
    },
    /// No image could be decoded.
    #[error("none of the {found} images in `{}` could be decoded", folder.display())]
    NothingDecoded {
        /// The dataset.
        folder: PathBuf,
        /// Images tried.
        found: usize,
    },
    /// The crop plan.
    #[error(transparent)]
    Crop(#[from] CropError),
    /// The runtime.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// An option outside its range.
    #[error("option `{option}`: expected {expected}, found {found}")]
    Option {
        /// Its name.
        option: &'static str,
        /// Its range in words.
        expected: &'static str,
        /// The value given.
        found: String,
    },
}

impl EvaluateError {
    /// The fix, where one is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::File(error) => error.hint(),
            Self::Load(error) => error.hint(),
            Self::Image(error) => error.hint(),
            Self::Crop(error) => error.hint(),
            Self::Runtime(error) => error.hint(),
            Self::Undecodable { .. } => {
                Some("--allow-undecodable leaves such files out, counted and named in the result".into())
            }
            Self::Contradiction { .. } => Some(
                "a model is evaluated as its metadata `incept.preprocessing` says: leave the flag out, or export it with what is meant".into(),
            ),
            Self::Classes { .. } => {
                Some("the folders must be the classes the model was trained on, in the order of their names".into())
            }
            _ => None,
        }
    }
}
