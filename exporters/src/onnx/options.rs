//! What can be chosen about an ONNX file.

use std::fmt;
use std::str::FromStr;

use super::recipe::FRACTIONS;
use super::{ExportError, Labels, PrecisionOptions, Recipe};
use crate::net::Net;

/// The oldest operator set incept writes: Softmax and the rest mean the same from here on.
pub const OLDEST_OPSET: u32 = 13;

/// The newest operator set incept writes: the newest ONNX Runtime 1.31 loads.
pub const NEWEST_OPSET: u32 = 26;

/// The default operator set: old enough for every runtime of the last years.
pub const DEFAULT_OPSET: u32 = 17;

/// A head of the network that the file puts out; also the name of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Output {
    /// `logits`, `[N, classes]`.
    #[default]
    Logits,
    /// `probabilities`, `[N, classes]`: softmax of the logits.
    Probabilities,
    /// `features`, `[N, channels]`: the average over the last grid.
    Features,
    /// `embedding`, `[N, features]`: what networks without classes put out.
    Embedding,
    /// `auxiliary_logits`, `[N, classes]`: the head that helps training, in the networks that have one.
    AuxiliaryLogits,
}

impl Output {
    /// Every head there is, in no network all of them.
    pub const ALL: [Self; 5] = [
        Self::Logits,
        Self::Probabilities,
        Self::Features,
        Self::Embedding,
        Self::AuxiliaryLogits,
    ];

    /// The name of the output and of the node that computes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Logits => "logits",
            Self::Probabilities => "probabilities",
            Self::Features => "features",
            Self::Embedding => "embedding",
            Self::AuxiliaryLogits => "auxiliary_logits",
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
        let known = |output: &Self| output.name() == text;
        Self::ALL.into_iter().find(known).ok_or_else(|| {
            let [first @ .., last] = Self::ALL.map(Self::name);
            format!("expected {} or {last}, found `{text}`", first.join(", "))
        })
    }
}

/// What the file takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Input {
    /// `image`, float32 `[N, 3, H, W]`, RGB, scaled: the caller resizes, crops and scales.
    #[default]
    Tensor,
    /// `image`, uint8 `[N, H, W, 3]`, RGB: the caller resizes and crops, the file scales.
    Image,
    /// The same of any height and width: the file resizes, crops and scales.
    ImageOfAnySize,
}

impl Input {
    /// The oldest operator set that has what the input needs: antialiased Resize came with 18.
    pub fn oldest_opset(self) -> u32 {
        match self {
            Self::Tensor | Self::Image => OLDEST_OPSET,
            Self::ImageOfAnySize => 18,
        }
    }

    /// Whether the file takes bytes.
    pub fn is_image(self) -> bool {
        self != Self::Tensor
    }
}

impl FromStr for Input {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "tensor" => Ok(Self::Tensor),
            "image" => Ok(Self::Image),
            other => Err(format!("expected tensor or image, found `{other}`")),
        }
    }
}

/// Height and width of what the network takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ImageSize {
    /// Those the network was built with.
    #[default]
    Fixed,
    /// Any from [`MINIMUM_IMAGE_SIDE`](crate::net::MINIMUM_IMAGE_SIDE) up: the dimensions are named `H` and `W`.
    Dynamic,
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
#[derive(Debug, Clone, PartialEq)]
pub struct ExportOptions {
    /// Version of ONNX's default operator set, from [`OLDEST_OPSET`] to [`NEWEST_OPSET`]; see [`Input::oldest_opset`].
    pub opset: u32,
    /// The batch dimension.
    pub batch: Batch,
    /// Height and width.
    pub image_size: ImageSize,
    /// What the file takes.
    pub input: Input,
    /// The heads put out, in this order.
    pub outputs: Vec<Output>,
    /// Further values put out after the heads: names of the network's nodes, or shell-style patterns of names.
    pub layers: Vec<String>,
    /// Folded or kept.
    pub batch_norm: BatchNorm,
    /// How an image is prepared; `None` takes what the network's published weights were evaluated with.
    pub recipe: Option<Recipe>,
    /// What the classes are.
    pub labels: Labels,
    /// What weights are stored and layers computed in.
    pub precision: PrecisionOptions,
}

impl Default for ExportOptions {
    fn default() -> Self {
        Self {
            opset: DEFAULT_OPSET,
            batch: Batch::default(),
            image_size: ImageSize::default(),
            input: Input::default(),
            outputs: vec![Output::default()],
            layers: vec![],
            batch_norm: BatchNorm::default(),
            recipe: None,
            labels: Labels::default(),
            precision: PrecisionOptions::default(),
        }
    }
}

impl ExportOptions {
    /// Whether the options can be met for `net`.
    ///
    /// # Errors
    /// [`ExportError`] with the option, what was expected and what was found.
    pub fn check(&self, net: &Net) -> Result<(), ExportError> {
        let found = self.opset;
        if !(OLDEST_OPSET..=NEWEST_OPSET).contains(&found) {
            return Err(ExportError::Opset { found });
        }
        if found < self.input.oldest_opset() {
            return Err(ExportError::OpsetTooOld {
                found,
                what: "--resize (antialiased Resize)",
                needed: self.input.oldest_opset(),
            });
        }
        self.precision.check(net, found, self.batch_norm)?;
        if self.input == Input::ImageOfAnySize && self.image_size == ImageSize::Dynamic {
            return Err(ExportError::Contradiction {
                first: "--resize".into(),
                second: "--image-size dynamic".into(),
                reason: "an image is resized to the one size that the network was built for",
            });
        }
        let recipe = self.recipe.unwrap_or_else(|| Recipe::of(net));
        let asked = net.options();
        if !recipe.is_possible(asked.image_height, asked.image_width) {
            return Err(ExportError::Option {
                option: "crop fraction",
                expected: FRACTIONS,
                found: recipe.fraction.to_string(),
            });
        }
        if self.input == Input::ImageOfAnySize && recipe != Recipe::timm(recipe.fraction) {
            return Err(ExportError::Contradiction {
                first: "--resize".into(),
                second: format!("the recipe `{}`", recipe.describe()),
                reason: "only timm's recipe is written into the graph",
            });
        }
        let classes = asked.classes;
        if self.labels.background && classes < 2 {
            return Err(ExportError::Option {
                option: "background class",
                expected: "2 classes or more",
                found: classes.to_string(),
            });
        }
        let expected = classes - usize::from(self.labels.background);
        match self.labels.names.as_ref().map(Vec::len) {
            Some(found) if found != expected => Err(ExportError::Labels { expected, found }),
            _ => Ok(()),
        }
    }
}
