//! Why a file cannot be exported.

use std::path::PathBuf;

use super::{NEWEST_OPSET, OLDEST_OPSET, Output, TensorRounding};
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
    /// Two choices that exclude each other.
    #[error("{first} and {second} exclude each other: {reason}")]
    Contradiction {
        /// One.
        first: String,
        /// The other.
        second: String,
        /// Why.
        reason: &'static str,
    },
    /// A head that the network does not have.
    #[error("{network} has no output `{found}`: expected one of {has}")]
    MissingHead {
        /// The network and its variant.
        network: String,
        /// The head asked for.
        found: Output,
        /// The heads it has.
        has: String,
    },
    /// A head asked for twice.
    #[error("output `{output}` is asked for twice")]
    OutputTwice {
        /// Its name.
        output: Output,
    },
    /// Nothing asked for.
    #[error("no output is asked for: expected at least one")]
    NoOutput,
    /// A pattern that is none.
    #[error("`{pattern}` is no pattern of names: {reason}")]
    Pattern {
        /// The text.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A layer that the network does not have.
    #[error("no layer is called `{pattern}`")]
    MissingLayer {
        /// The name or pattern.
        pattern: String,
        /// The nearest name there is.
        nearest: Option<String>,
    },
    /// A layer that the network has and the file does not.
    #[error("`{pattern}` finds only layers without a value of their own in the file, as `{found}`")]
    NoValue {
        /// The name or pattern.
        pattern: String,
        /// The first layer that it finds.
        found: String,
        /// The layer whose value the file has instead.
        instead: Option<String>,
    },
    /// A block of a precision plan that the network does not have.
    #[error("{network} has no block `{found}` with weights")]
    MissingBlock {
        /// The network and its variant.
        network: String,
        /// The block named.
        found: String,
        /// The nearest that it has.
        nearest: Option<String>,
        /// All that it has.
        blocks: Vec<String>,
    },
    /// Names of classes that are too few or too many.
    #[error("{found} names of classes: expected {expected}")]
    Labels {
        /// The network's classes, background left out.
        expected: usize,
        /// The names given.
        found: usize,
    },
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
    /// Weights beyond the largest number of the precision asked for.
    #[error("{} tensors hold numbers beyond the largest of their precision{}", tensors.len(), listed(tensors))]
    Overflow {
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
            Self::OpsetTooOld { needed, .. } => {
                Some(format!("leave --opset out, or give {needed} or more"))
            }
            Self::MissingLayer { nearest: Some(name), .. } => Some(format!("did you mean `{name}`?")),
            Self::MissingBlock { nearest, blocks, .. } => Some(format!(
                "{}its blocks are {}",
                nearest.as_ref().map_or_else(String::new, |name| format!("did you mean `{name}`? ")),
                blocks.join(", ")
            )),
            Self::MissingLayer { .. } => Some(
                "names are `<stage>.<index>/<branch>/<layer>`; in a pattern `*` stands for anything, `/` included".into(),
            ),
            Self::NoValue { instead: Some(name), .. } if name.ends_with("/batch_norm") => Some(format!(
                "batch normalisation is folded: take `{name}`, or give --batch-norm kept"
            )),
            Self::NoValue { instead: Some(name), .. } if name != "image" => Some(format!("its value is that of `{name}`")),
            Self::Labels { .. } => Some(
                "the file holds one name a line, those of the dataset's folders in the order of the outputs, without background".into(),
            ),
            Self::TooLarge { .. } => Some("use a smaller --width, or --external-data, which keeps the tensors in a file of their own".into()),
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
            "\n    `{}`: {} of {} numbers beyond {}, up to {:e}",
            tensor.name,
            tensor.clamped,
            tensor.elements,
            tensor.precision.largest(),
            tensor.largest
        )
    };
    let mut text: String = tensors.iter().take(SHOWN).map(line).collect();
    if tensors.len() > SHOWN {
        text += &format!("\n    and {} more", tensors.len() - SHOWN);
    }
    text
}
