//! The preprocessing contract: how an image becomes what a file takes, and what the classes it puts out are. Every
//! file carries it as one JSON entry of its metadata, so that whoever runs it need not guess.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::recipe::FRACTIONS;
use super::{ExportOptions, INPUT_NAME, ImageSize, Input, Recipe, Scaling};
use crate::files::{self, FileError};
use crate::net::{MINIMUM_IMAGE_SIDE, Net};
use crate::text::hex;

/// The metadata entry that holds the contract.
pub(super) const ENTRY: &str = "incept.preprocessing";

const SCHEMA: &str = "incept.preprocessing/1";

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
            scaling: Scaling::of(net),
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
        if !self.recipe.is_possible(height, width) {
            let found = self.recipe.fraction.to_string();
            return wrong("fraction", FRACTIONS, found);
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
