//! What can be chosen about an ONNX file.

use std::fmt;
use std::str::FromStr;

use super::PrecisionOptions;

/// The oldest operator set incept writes: Softmax and the rest mean the same from here on.
pub const OLDEST_OPSET: u32 = 13;

/// The newest operator set incept writes: the newest ONNX Runtime 1.31 loads.
pub const NEWEST_OPSET: u32 = 26;

/// The default operator set: old enough for every runtime of the last years.
pub const DEFAULT_OPSET: u32 = 17;

/// Which value the file puts out; also the name of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Output {
    /// `logits`, `[N, classes]`.
    #[default]
    Logits,
    /// `probabilities`, `[N, classes]`: softmax of the logits.
    Probabilities,
    /// `features`, `[N, channels]`: the average over the last grid.
    Features,
}

impl Output {
    /// The name of the output and of the node that computes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Logits => "logits",
            Self::Probabilities => "probabilities",
            Self::Features => "features",
        }
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Output {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Logits, Self::Probabilities, Self::Features]
            .into_iter()
            .find(|output| output.name() == text)
            .ok_or_else(|| format!("expected logits, probabilities or features, found `{text}`"))
    }
}

/// What becomes of batch normalisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BatchNorm {
    /// Folded into the convolution before it: fewer nodes, the same function.
    #[default]
    Folded,
    /// Kept as BatchNormalization nodes.
    Kept,
}

impl fmt::Display for BatchNorm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Folded => "folded",
            Self::Kept => "kept",
        })
    }
}

impl FromStr for BatchNorm {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "folded" => Ok(Self::Folded),
            "kept" => Ok(Self::Kept),
            other => Err(format!("expected folded or kept, found `{other}`")),
        }
    }
}

/// The batch dimension.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Batch {
    /// Any number of images: the dimension is named `N`.
    #[default]
    Dynamic,
    /// Exactly this many.
    Fixed(usize),
}

impl FromStr for Batch {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            _ if text == "dynamic" => Ok(Self::Dynamic),
            Ok(images @ 1..=65_536) => Ok(Self::Fixed(images)),
            _ => Err(format!(
                "expected `dynamic` or a number from 1 to 65536, found `{text}`"
            )),
        }
    }
}

/// Options of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExportOptions {
    /// Version of ONNX's default operator set, from [`OLDEST_OPSET`] to [`NEWEST_OPSET`].
    pub opset: u32,
    /// The batch dimension.
    pub batch: Batch,
    /// Which value is put out.
    pub output: Output,
    /// Folded or kept.
    pub batch_norm: BatchNorm,
    /// What weights are stored and layers computed in.
    pub precision: PrecisionOptions,
}

impl Default for ExportOptions {
    fn default() -> Self {
        Self {
            opset: DEFAULT_OPSET,
            batch: Batch::default(),
            output: Output::default(),
            batch_norm: BatchNorm::default(),
            precision: PrecisionOptions::default(),
        }
    }
}
