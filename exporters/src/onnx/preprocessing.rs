//! The preprocessing contract: how an image becomes what a file takes, and what the classes it puts out are. Every
//! file carries it as one JSON entry of its metadata, so that whoever runs it need not guess.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{ExportOptions, INPUT_NAME, ImageSize, Input};
use crate::files::{self, FileError};
use crate::net::{MINIMUM_IMAGE_SIDE, Net};
use crate::text::hex;

/// The metadata entry that holds the contract.
pub(super) const ENTRY: &str = "incept.preprocessing";

const SCHEMA: &str = "incept.preprocessing/1";

/// How a byte becomes the number a network computes with: `byte / divisor - offset`, each step rounded to float32.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scaling {
    /// What the byte is divided by.
    pub divisor: f32,
    /// What is subtracted then.
    pub offset: f32,
}

impl Scaling {
    /// To [-1, 1], as all networks trained on ImageNet by TF-slim's recipe have it.
    pub const UNIT: Self = Self {
        divisor: 127.5,
        offset: 1.0,
    };

    /// One byte's number.
    pub fn value(self, byte: u8) -> f32 {
        f32::from(byte) / self.divisor - self.offset
    }

    /// The numbers of black and white.
    pub fn range(self) -> [f32; 2] {
        [self.value(0), self.value(255)]
    }
}

/// The filter of a resize.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Interpolation {
    /// Keys' cubic with a = -0.5, Pillow's `BICUBIC`.
    Bicubic,
    /// A triangle.
    Bilinear,
}

/// What is resized to what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resize {
    /// The image, in proportion: its shorter side to floor(size / fraction); for an input that is not square, just
    /// covering floor(height / fraction) × floor(width / fraction). Then its centre is cut out.
    ShorterSide,
    /// The central fraction of each side, stretched to the input.
    StretchedMiddle,
}

/// How a network's single crop is made.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// What is resized.
    pub resize: Resize,
    /// The part of the image that is seen, above 0 and at most 1: timm's `crop_pct`.
    pub fraction: f64,
    /// The filter.
    pub filter: Interpolation,
    /// Whether the filter is widened when shrinking.
    pub antialias: bool,
}

impl Recipe {
    /// timm's and torchvision's: shorter side to floor(size / `fraction`), antialiased bicubic, centre.
    pub fn timm(fraction: f64) -> Self {
        Self {
            resize: Resize::ShorterSide,
            fraction,
            filter: Interpolation::Bicubic,
            antialias: true,
        }
    }

    /// TF-slim's: the central `fraction`, stretched by TensorFlow 1's bilinear resize.
    pub fn tf_slim(fraction: f64) -> Self {
        Self {
            resize: Resize::StretchedMiddle,
            fraction,
            filter: Interpolation::Bilinear,
            antialias: false,
        }
    }

    /// What timm evaluates a network's published weights with: `crop_pct` 0.8975 for Inception-ResNet-v2, 0.875 for
    /// the others. The networks as the paper draws them have no published weights and take 0.875.
    pub fn of(net: &Net) -> Self {
        Self::timm(match (net.name(), net.variant()) {
            ("inception_resnet_v2", "published") => 0.8975,
            _ => 0.875,
        })
    }

    /// A side before the centre is cut out: floor(`side` / fraction).
    pub fn enlarged(&self, side: usize) -> usize {
        (side as f64 / self.fraction).floor() as usize
    }

    /// The recipe in words.
    pub fn describe(&self) -> String {
        let filter = match self.filter {
            Interpolation::Bicubic => "bicubic (a = -0.5)",
            Interpolation::Bilinear => "bilinear",
        };
        let antialias = match self.antialias {
            true => "antialiased",
            false => "not antialiased",
        };
        let fraction = self.fraction;
        match self.resize {
            Resize::ShorterSide => format!(
                "shorter side to floor(size / {fraction}), {filter}, {antialias}; then the centre"
            ),
            Resize::StretchedMiddle => {
                format!("central {fraction} of each side, stretched, {filter}, {antialias}")
            }
        }
    }
}

/// What the classes are, as far as it is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labels {
    /// Whether class 0 is TF-slim's background, which no image belongs to.
    pub background: bool,
    /// The names of the classes, background left out, in the order of the outputs.
    pub names: Option<Vec<String>>,
}

impl Labels {
    /// Reads names from a file: one a line, empty lines at the end left out.
    ///
    /// # Errors
    /// A file that cannot be read. What is no UTF-8 is taken as it can be.
    pub fn read(path: &Path, background: bool) -> Result<Self, FileError> {
        let bytes = files::read(path)?;
        let text = String::from_utf8_lossy(&bytes);
        let lines = text.trim_end().lines();
        Ok(Self {
            background,
            names: Some(lines.map(|line| line.trim_end().to_string()).collect()),
        })
    }

    /// SHA-256, in hexadecimal, of names with a line feed after each.
    pub fn sha256<S: AsRef<str>>(names: &[S]) -> String {
        let mut hasher = Sha256::new();
        for name in names {
            hasher.update(name.as_ref());
            hasher.update("\n");
        }
        hex(&hasher.finalize())
    }
}

/// The type of an input's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ElementType {
    /// Scaled values.
    Float32,
    /// Bytes as they are decoded.
    Uint8,
}

/// The order of an input's dimensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Layout {
    /// Batch, channels, height, width.
    Nchw,
    /// Batch, height, width, channels.
    Nhwc,
}

/// What a file computes itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// The resize and the cut, so that it takes images of any size.
    ResizeAndCrop,
    /// The scaling.
    Scale,
}

/// The size a network computes with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SizeContract {
    /// Height in pixels; where it is dynamic, the one the network was built with.
    pub height: usize,
    /// Width in pixels.
    pub width: usize,
    /// Whether other sizes are taken too.
    pub dynamic: bool,
    /// The least height and width.
    pub minimum: usize,
}

/// What the classes are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassContract {
    /// Values in `logits`, background included.
    pub count: usize,
    /// Where the first class stands: 1 where class 0 is background, else 0.
    pub offset: usize,
    /// [`Labels::sha256`] of the classes' names, which are those of a dataset's folders, where they are known.
    pub labels_sha256: Option<String>,
}

/// The whole contract.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preprocessing {
    /// `incept.preprocessing/1`.
    pub schema: String,
    /// The input's name.
    pub input: String,
    /// Its elements.
    pub element_type: ElementType,
    /// The order of its dimensions.
    pub layout: Layout,
    /// The order of its channels: always `RGB`.
    pub color: String,
    /// From bytes to what the network computes with, in the file or before it.
    pub scaling: Scaling,
    /// The network's height and width.
    pub size: SizeContract,
    /// How the single crop is made.
    pub recipe: Recipe,
    /// What of it the file does itself; the rest is to be done before.
    pub in_graph: Vec<Step>,
    /// The classes; none in networks that put out embeddings.
    pub classes: Option<ClassContract>,
}

/// A contract that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ContractError {
    /// Not JSON, or not of this form.
    #[error("metadata `{ENTRY}` is malformed: {0}")]
    Malformed(#[from] serde_json::Error),
    /// A value that makes no sense.
    #[error("metadata `{ENTRY}`: `{field}`: expected {expected}, found {found}")]
    Field {
        /// Which.
        field: &'static str,
        /// Its range in words.
        expected: &'static str,
        /// What the file says.
        found: String,
    },
}

impl Preprocessing {
    /// The contract of a file of `net`.
    pub(super) fn of(net: &Net, options: &ExportOptions) -> Self {
        let asked = net.options();
        let (element_type, layout, in_graph) = match options.input {
            Input::Tensor => (ElementType::Float32, Layout::Nchw, vec![]),
            Input::Image => (ElementType::Uint8, Layout::Nhwc, vec![Step::Scale]),
            Input::ImageOfAnySize => (
                ElementType::Uint8,
                Layout::Nhwc,
                vec![Step::ResizeAndCrop, Step::Scale],
            ),
        };
        let labels = &options.labels;
        Self {
            schema: SCHEMA.into(),
            input: INPUT_NAME.into(),
            element_type,
            layout,
            color: "RGB".into(),
            scaling: Scaling::UNIT,
            size: SizeContract {
                height: asked.image_height,
                width: asked.image_width,
                dynamic: options.image_size == ImageSize::Dynamic,
                minimum: MINIMUM_IMAGE_SIDE,
            },
            recipe: options.recipe.unwrap_or_else(|| Recipe::of(net)),
            in_graph,
            classes: net.node("logits").map(|_| ClassContract {
                count: asked.classes,
                offset: usize::from(labels.background),
                labels_sha256: labels.names.as_deref().map(Labels::sha256),
            }),
        }
    }

    /// Reads the contract out of a file's metadata; `None` where there is none.
    ///
    /// # Errors
    /// [`ContractError`] for one that cannot be understood.
    pub fn read(metadata: &BTreeMap<String, String>) -> Option<Result<Self, ContractError>> {
        let text = metadata.get(ENTRY)?;
        Some(
            serde_json::from_str(text)
                .map_err(Into::into)
                .and_then(Self::checked),
        )
    }

    fn checked(self) -> Result<Self, ContractError> {
        let wrong = |field, expected, found: String| {
            Err(ContractError::Field {
                field,
                expected,
                found,
            })
        };
        if self.schema != SCHEMA {
            return wrong("schema", SCHEMA, self.schema);
        }
        if self.color != "RGB" {
            return wrong("color", "RGB", self.color);
        }
        let Scaling { divisor, offset } = self.scaling;
        if !(divisor.is_normal() && offset.is_finite()) {
            let found = format!("{divisor} and {offset}");
            return wrong(
                "scaling",
                "a divisor other than 0 and a finite offset",
                found,
            );
        }
        let SizeContract { height, width, .. } = self.size;
        if !(1..=16_384).contains(&height) || !(1..=16_384).contains(&width) {
            return wrong(
                "size",
                "1 to 16384 pixels each way",
                format!("{height}x{width}"),
            );
        }
        let fraction = self.recipe.fraction;
        if !(fraction > 0.0 && fraction <= 1.0) {
            return wrong("fraction", "above 0 and at most 1", fraction.to_string());
        }
        match &self.classes {
            Some(classes) if classes.offset > 1 || classes.offset >= classes.count => {
                let found = format!("{} of {} classes", classes.offset, classes.count);
                wrong("offset", "0 or 1, less than the classes", found)
            }
            _ => Ok(self),
        }
    }

    /// The metadata entries: the contract in JSON, and the parts of it that people look for.
    pub(super) fn entries(&self) -> Vec<(&'static str, String)> {
        let [black, white] = match self.element_type {
            ElementType::Float32 => self.scaling.range(),
            ElementType::Uint8 => [0.0, 255.0],
        };
        let SizeContract { height, width, .. } = self.size;
        let size = match (self.size.dynamic, self.takes_any_image()) {
            (false, false) => format!("{height}x{width}"),
            (true, _) => format!("{MINIMUM_IMAGE_SIDE}x{MINIMUM_IMAGE_SIDE} or more"),
            (_, true) => "any".into(),
        };
        let (element_type, layout) = match self.element_type {
            ElementType::Float32 => ("float32", "NCHW"),
            ElementType::Uint8 => ("uint8", "NHWC"),
        };
        let Scaling { divisor, offset } = self.scaling;
        let mut entries = vec![
            (ENTRY, serde_json::to_string(self).unwrap_or_default()),
            ("incept.input.name", self.input.clone()),
            ("incept.input.type", element_type.into()),
            ("incept.input.layout", layout.into()),
            ("incept.input.color", self.color.clone()),
            ("incept.input.range", format!("[{black}, {white}]")),
            ("incept.input.size", size),
            ("incept.input.scaling", format!("x / {divisor} - {offset}")),
            ("incept.input.resize", self.recipe.describe()),
        ];
        if let Some(classes) = &self.classes {
            entries.push(("incept.classes", classes.count.to_string()));
            entries.push(("incept.classes.offset", classes.offset.to_string()));
        }
        entries
    }

    /// Whether the file resizes and crops, so that it takes images of any size.
    pub fn takes_any_image(&self) -> bool {
        self.in_graph.contains(&Step::ResizeAndCrop)
    }
}
