//! What keeps a check from running.

use std::path::PathBuf;

use incept_exporters::files::FileError;
use incept_exporters::onnx::{ContractError, CutError, LoadError, RebuildError};
use incept_exporters::weights::WeightsError;

use crate::crops::CropError;
use crate::images::ImageError;
use crate::runtime::RuntimeError;

/// A check that could not run.
#[derive(Debug, thiserror::Error)]
pub enum ParityError {
    /// The model or a result cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The model is not ONNX, or cannot be loaded with its data.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The model does not say which network it is.
    #[error("`{}` does not tell its network: expected metadata `incept.network` and what goes with it, found none that can be read", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The model names a network this version does not have.
    #[error("`{}` names a network that cannot be built", path.display())]
    Rebuild {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: RebuildError,
    },
    /// The reference needs weights.
    #[error("`{}` was exported from a weights file: the reference needs it", path.display())]
    WeightsNeeded {
        /// The file.
        path: PathBuf,
    },
    /// The weights do not fit.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// A runtime is missing or refuses the model.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// A batch size that cannot be run.
    #[error("batch size {found}: expected {expected}")]
    Batch {
        /// The sizes that can.
        expected: String,
        /// The size given.
        found: usize,
    },
    /// The images cannot be listed.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// An image cannot be decoded or cropped.
    #[error(transparent)]
    Crop(#[from] CropError),
    /// A preprocessing contract that cannot be understood.
    #[error("cannot read the preprocessing contract of `{}`", path.display())]
    Contract {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: ContractError,
    },
    /// A model that crops images itself is given crops.
    #[error("`{}` resizes and crops images itself: expected a model that takes crops", path.display())]
    TakesWholeImages {
        /// The file.
        path: PathBuf,
    },
    /// More crops than can be held, or none.
    #[error("--images: expected 1 to {expected} crops, found {found}")]
    Crops {
        /// The most there may be.
        expected: u64,
        /// Those of the images given.
        found: u64,
    },
    /// A part of the graph cannot be computed by itself.
    #[error("`{value}` cannot be cut out of the graph")]
    Cut {
        /// The value.
        value: String,
        /// Why not.
        #[source]
        source: CutError,
    },
    /// A runtime refuses a layer of a model by itself.
    #[error("layer `{value}` cannot be computed by itself")]
    Layer {
        /// The layer's value.
        value: String,
        /// What the runtime said.
        #[source]
        source: RuntimeError,
    },
    /// The system gives no thread.
    #[error("cannot start the thread that computes the reference")]
    Thread {
        /// What it said.
        #[source]
        source: std::io::Error,
    },
    /// More memory is needed than was allowed.
    #[error(
        "--memory: expected at least {} MiB for {images} images at a time, found {} MiB",
        needed.div_ceil(1 << 20),
        allowed >> 20
    )]
    Memory {
        /// What was allowed, in bytes.
        allowed: u64,
        /// What is needed, in bytes.
        needed: u64,
        /// Images that are computed at a time.
        images: usize,
    },
    /// libtorch failed.
    #[cfg(feature = "torch")]
    #[error(transparent)]
    Torch(#[from] crate::torch::TorchError),
}

impl ParityError {
    /// The fix, where one is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::File(error) => error.hint(),
            Self::Load(error) => error.hint(),
            Self::Foreign { .. } => {
                Some("`incept check` takes models that `incept export` wrote".into())
            }
            Self::WeightsNeeded { .. } => {
                Some("give the file it was exported from: --weights FILE".into())
            }
            Self::Weights(error) => error.hint(),
            Self::Image(error) => error.hint(),
            Self::Crop(error) => error.hint(),
            Self::Crops { .. } => {
                Some("take fewer images: --count, or fewer crops of each: --crops".into())
            }
            Self::TakesWholeImages { .. } => {
                Some("check it on random images, or export it without --resize".into())
            }
            Self::Runtime(error) | Self::Layer { source: error, .. } => error.hint(),
            Self::Memory { .. } => Some(
                "allow more memory, or check fewer images: --batch 1, or with --images --count 1"
                    .into(),
            ),
            Self::Rebuild { .. }
            | Self::Batch { .. }
            | Self::Contract { .. }
            | Self::Cut { .. }
            | Self::Thread { .. } => None,
            #[cfg(feature = "torch")]
            Self::Torch(error) => error.hint(),
        }
    }
}
