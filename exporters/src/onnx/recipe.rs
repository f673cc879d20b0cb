//! From a picture to the numbers a network computes with: resize, crop, scaling.

use serde::{Deserialize, Serialize};

use crate::net::Net;

/// What [`Recipe::is_possible`] takes, in words.
pub(super) const FRACTIONS: &str = "0.05 to 1, and no resized side above 65536 pixels";

const LEAST_FRACTION: f64 = 0.05;

const LARGEST_SIDE: usize = 65_536;

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

    /// (x - 127.5) / 128, which facenet-pytorch calls `fixed_image_standardization`. Divided first it is the same number,
    /// as nothing is rounded on the way.
    pub const FACENET: Self = Self {
        divisor: 128.0,
        offset: 127.5 / 128.0,
    };

    /// What a network's weights were trained with.
    pub fn of(net: &Net) -> Self {
        match (net.name(), net.variant()) {
            ("inception_resnet_v1", "facenet") => Self::FACENET,
            _ => Self::UNIT,
        }
    }

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
    /// The part of the image that is seen, 0.05 to 1: timm's `crop_pct`.
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
    /// the others. The networks as the paper draws them have no published weights and take 0.875. facenet is given
    /// faces that are cut out already: nothing more is cut off.
    pub fn of(net: &Net) -> Self {
        Self::timm(match (net.name(), net.variant()) {
            ("inception_resnet_v2", "published") => 0.8975,
            ("inception_resnet_v1", "facenet") => 1.0,
            _ => 0.875,
        })
    }

    /// A side before the centre is cut out: floor(`side` / fraction).
    pub fn enlarged(&self, side: usize) -> usize {
        (side as f64 / self.fraction).floor() as usize
    }

    /// Whether the fraction makes sense for a network of that size.
    pub(super) fn is_possible(&self, height: usize, width: usize) -> bool {
        (LEAST_FRACTION..=1.0).contains(&self.fraction)
            && self.enlarged(height.max(width)) <= LARGEST_SIDE
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
