//! Why a file cannot be exported.

use std::path::PathBuf;

use super::{NEWEST_OPSET, OLDEST_OPSET, Precision, TensorRounding};
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
    /// An operator set that lacks what was asked for.
    #[error("opset {found}: {what} needs at least {needed}")]
    OpsetTooOld {
        /// The version asked for.
        found: u32,
        /// What needs a newer one.
        what: &'static str,
        /// The oldest that has it.
        needed: u32,
    },
    /// Weights beyond the largest number of the precision asked for.
    #[error("{} tensors hold numbers beyond {}, the largest of {precision}{}", tensors.len(), precision.largest(), listed(tensors))]
    Overflow {
        /// What they were to be rounded to.
        precision: Precision,
        /// The tensors, each with how many.
        tensors: Vec<TensorRounding>,
    },
    /// A data file that a reader would refuse, or not find.
    #[error("data file `{}`: expected {expected}", path.display())]
    DataFile {
        /// The path asked for.
        path: PathBuf,
        /// What it has to be.
        expected: &'static str,
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
        super::layout::LIMIT
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
            Self::TooLarge { .. } => Some("--external-data keeps the tensors in a file of their own".into()),
            Self::OpsetTooOld { needed, .. } => {
                Some(format!("leave --opset out, or give {needed} or more"))
            }
            Self::Overflow { .. } => Some(
                "--precision bf16 has the range of float32; --allow-clamp stores the largest number in their place".into(),
            ),
            _ => None,
        }
    }
}

/// How many tensors are shown.
const SHOWN: usize = 10;

fn listed(tensors: &[TensorRounding]) -> String {
    let line = |tensor: &TensorRounding| {
        format!(
            "\n    `{}`: {} of {} numbers, up to {:e}",
            tensor.name, tensor.clamped, tensor.elements, tensor.largest
        )
    };
    let mut text: String = tensors.iter().take(SHOWN).map(line).collect();
    if tensors.len() > SHOWN {
        text += &format!("\n    and {} more", tensors.len() - SHOWN);
    }
    text
}
