//! Why a file cannot be exported.

use super::{NEWEST_OPSET, OLDEST_OPSET};
use crate::files::FileError;
use crate::weights::WeightsError;

/// An export that did not happen; no file was left.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The weights are not the network's.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The file cannot be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// An operator set outside the range.
    #[error("opset {found}: expected {OLDEST_OPSET} to {NEWEST_OPSET}")]
    Opset {
        /// The version asked for.
        found: u32,
    },
    /// A tensor that the checked weights should have.
    #[error("tensor `{tensor}` is missing")]
    MissingTensor {
        /// Its name.
        tensor: String,
    },
    /// Folding gave something that is no number.
    #[error(
        "tensor `{tensor}`: {count} values are NaN or infinite after batch normalisation was folded in"
    )]
    NotFinite {
        /// Its name.
        tensor: String,
        /// How many.
        count: usize,
    },
    /// A protobuf message cannot be larger.
    #[error(
        "the model would have {found} bytes: one ONNX file holds at most {}",
        super::write::LIMIT
    )]
    TooLarge {
        /// Size in bytes.
        found: u64,
    },
}

impl ExportError {
    /// The fix, where one is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Weights(error) => error.hint(),
            Self::File(error) => error.hint(),
            Self::NotFinite { .. } => {
                Some("a running variance is negative or a factor too large: --batch-norm kept exports it as it is".into())
            }
            Self::TooLarge { .. } => Some("use a smaller --width".into()),
            _ => None,
        }
    }
}
