//! What a report is made from: data, with serde, so that a page can be made again from its JSON.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::ReportError;
use crate::evaluate::Evaluation;
use crate::images::{RgbImage, encode_jpeg};
use crate::parity::{ParityReport, number_or_nan};
use crate::provenance::Provenance;

/// The name of the JSON layout, for [`Report::schema`].
pub const SCHEMA: &str = "incept.report/1";

/// Everything a report shows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: String,
    /// The heading.
    pub title: String,
    /// Whether this was a shortened run; the page says so at its head.
    pub quick: bool,
    /// Where it comes from. The inputs and runtimes of the parity checks and evaluations are added on the page.
    pub provenance: Provenance,
    /// The images.
    pub data: DataDescription,
    /// Each network: how it was trained and whether its exported model agrees with the reference.
    pub networks: Vec<NetworkReport>,
    /// One for each crop plan, each with the models of `networks` in the same order.
    pub evaluations: Vec<Evaluation>,
    /// A picture of the data.
    pub samples: Option<Samples>,
}

/// The images that the networks learned from and were tested on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DataDescription {
    /// The folder.
    pub folder: String,
    /// What kind of images, in the plural and within a sentence: `synthetic images`.
    pub kind: String,
    /// How they were made or where they are from, a sentence.
    pub how_made: String,
    /// Images in the training set.
    pub training_images: usize,
    /// Images in the validation set.
    pub validation_images: usize,
    /// The classes' names.
    pub classes: Vec<String>,
    /// The sizes of the images in words: `200 × 150 to 640 × 480 pixels`.
    pub image_sizes: String,
    /// The seed, where the data were drawn from one.
    pub seed: Option<u64>,
}

/// One network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NetworkReport {
    /// Its name in the zoo, `inception_v4`: by it the paper's row is found.
    pub name: String,
    /// Its name for readers, `Inception-v4`.
    pub title: String,
    /// Trainable parameters.
    pub parameters: usize,
    /// Multiply-adds of one image at `image_size`.
    pub multiply_adds: u64,
    /// Input height and width in pixels.
    pub image_size: (usize, usize),
    /// Factor on the filters of every convolution; 1 is the paper's network.
    pub width_multiplier: f64,
    /// How it was trained.
    pub training: Training,
    /// Validation errors during training.
    pub curve: Vec<CurvePoint>,
    /// Losses during training.
    pub losses: Vec<LossPoint>,
    /// The exported model against the reference.
    pub parity: ParityReport,
}

/// How a network was trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Training {
    /// The recipe, a line for each part: `RMSProp, decay 0.9, epsilon 1.0`.
    pub recipe: Vec<String>,
    /// Steps taken.
    pub steps: u64,
    /// Images in each step.
    pub batch: usize,
    /// Wall time in seconds.
    pub seconds: f64,
}

/// A validation during training: single centre crop, averaged parameters.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// Epochs gone by.
    #[serde(deserialize_with = "number_or_nan")]
    pub epoch: f64,
    /// Top-1 error in percent.
    #[serde(deserialize_with = "number_or_nan")]
    pub top1_percent: f64,
    /// Top-5 error in percent.
    #[serde(deserialize_with = "number_or_nan")]
    pub top5_percent: f64,
}

/// The loss of a step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LossPoint {
    /// The step, from 1.
    pub step: u64,
    /// Mean cross-entropy of its batch.
    #[serde(deserialize_with = "number_or_nan")]
    pub loss: f64,
}

/// A picture of the data as a JPEG, such as [`crate::images::contact_sheet`] lays out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Samples {
    /// What it shows.
    pub caption: String,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// The JPEG file's bytes; base64 in JSON.
    #[serde(serialize_with = "to_base64", deserialize_with = "from_base64")]
    pub jpeg: Vec<u8>,
}

impl Samples {
    /// Encodes a picture.
    ///
    /// # Errors
    /// [`ReportError::Samples`] where it cannot be encoded, such as one without pixels.
    pub fn new(picture: &RgbImage, caption: impl Into<String>) -> Result<Self, ReportError> {
        const QUALITY: u8 = 82;
        Ok(Self {
            caption: caption.into(),
            width: picture.width(),
            height: picture.height(),
            jpeg: encode_jpeg(picture, QUALITY).map_err(ReportError::Samples)?,
        })
    }

    /// The picture as text that a page can hold.
    pub(super) fn data_uri(&self) -> String {
        format!("data:image/jpeg;base64,{}", STANDARD.encode(&self.jpeg))
    }
}

fn to_base64<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&STANDARD.encode(bytes))
}

fn from_base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(deserializer)?;
    STANDARD.decode(text).map_err(serde::de::Error::custom)
}
