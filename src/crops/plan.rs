//! Plans as data.
use super::CropError;
use crate::images::Filter;
use serde::{Deserialize, Serialize};

/// The part of the resized shorter side that the single crop keeps: 0.875 for Inception-v3, -v4 and
/// -ResNet-v1. The published Inception-ResNet-v2 is evaluated with 0.8975.
pub const DEFAULT_CROP_FRACTION: f64 = 0.875;

/// The height and width of a network's input, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct InputSize {
    /// Height in pixels.
    pub height: u32,
    /// Width in pixels.
    pub width: u32,
}

impl InputSize {
    /// The size of a network's input; sides beyond any image's are the largest there is.
    pub fn new(height: usize, width: usize) -> Self {
        let side = |side: usize| u32::try_from(side).unwrap_or(u32::MAX);
        Self {
            height: side(height),
            width: side(width),
        }
    }

    /// The same height and width.
    pub fn square(side: u32) -> Self {
        Self {
            height: side,
            width: side,
        }
    }
}

/// Which squares are taken from a resized image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Squares {
    /// None: the views are taken from the whole resized image.
    None,
    /// The centre square, as wide as the shorter side.
    Centre,
    /// The left, centre and right squares of a landscape image; top, centre, bottom of a portrait one.
    Three,
}

impl Squares {
    /// How many squares there are; the whole image counts as one.
    pub fn count(self) -> usize {
        match self {
            Self::None | Self::Centre => 1,
            Self::Three => 3,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Centre => "centre",
            Self::Three => "three",
        }
    }
}

/// What is taken of a square (or of the whole resized image).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum View {
    /// The upper left corner.
    TopLeft,
    /// The upper right corner.
    TopRight,
    /// The lower left corner.
    BottomLeft,
    /// The lower right corner.
    BottomRight,
    /// The middle.
    Centre,
    /// All of it, resized to the crop's size.
    Whole,
}

impl View {
    /// The four corners in reading order, then the centre, as in torchvision's `five_crop`.
    pub const FIVE: [Self; 5] = [
        Self::TopLeft,
        Self::TopRight,
        Self::BottomLeft,
        Self::BottomRight,
        Self::Centre,
    ];
    /// [`View::FIVE`] and the whole square.
    pub const SIX: [Self; 6] = [
        Self::TopLeft,
        Self::TopRight,
        Self::BottomLeft,
        Self::BottomRight,
        Self::Centre,
        Self::Whole,
    ];

    /// The name used in plans and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::TopLeft => "top-left",
            Self::TopRight => "top-right",
            Self::BottomLeft => "bottom-left",
            Self::BottomRight => "bottom-right",
            Self::Centre => "centre",
            Self::Whole => "whole",
        }
    }
}

/// How the image becomes what the views are taken from.
#[derive(Debug, Clone, PartialEq)]
pub enum Method {
    /// The image is resized, in proportion, so that its shorter side is each scale in turn.
    ShorterSide {
        /// Shorter sides in pixels, each at least the crop's.
        scales: Vec<u32>,
    },
    /// The image is resized, in proportion, to just cover this height and width (timm's way for an
    /// input that is not square).
    Cover {
        /// Height to cover in pixels.
        height: u32,
        /// Width to cover in pixels.
        width: u32,
    },
    /// The middle of the original, this part of either side, stretched to the crop's size (TF-slim).
    StretchedMiddle {
        /// The part kept of each side, above 0 and at most 1.
        fraction: f64,
    },
}

/// A crop plan. See the module's example.
#[derive(Debug, Clone, PartialEq)]
pub struct CropPlan {
    pub(super) name: String,
    pub(super) note: String,
    pub(super) crop: InputSize,
    pub(super) method: Method,
    pub(super) squares: Squares,
    pub(super) views: Vec<View>,
    pub(super) mirror: bool,
    pub(super) filter: Filter,
}

impl CropPlan {
    /// The plan's name: `1`, `10`, `12`, `144`, or a file's.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How the sources were read where they leave room.
    pub fn note(&self) -> &str {
        &self.note
    }

    /// Height and width of each crop: the network's input.
    pub fn crop_size(&self) -> InputSize {
        self.crop
    }

    /// How the image is resized before the views are taken.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The squares taken at each scale.
    pub fn squares(&self) -> Squares {
        self.squares
    }

    /// The views of each square.
    pub fn views(&self) -> &[View] {
        &self.views
    }

    /// Whether each crop is followed by its mirror image.
    pub fn is_mirrored(&self) -> bool {
        self.mirror
    }

    /// The filter of every resize.
    pub fn filter(&self) -> Filter {
        self.filter
    }

    /// How many crops stand in the plan, duplicates included.
    pub fn count(&self) -> usize {
        let scales = match &self.method {
            Method::ShorterSide { scales } => scales.len(),
            Method::Cover { .. } | Method::StretchedMiddle { .. } => 1,
        };
        scales * self.squares.count() * self.views.len() * if self.mirror { 2 } else { 1 }
    }

    pub(super) fn check_fraction(&self, fraction: f64) -> Result<(), CropError> {
        if fraction > 0.0 && fraction <= 1.0 {
            return Ok(());
        }
        Err(self.field("fraction", "above 0 and at most 1", fraction.to_string()))
    }

    pub(super) fn field(&self, field: &'static str, expected: &str, found: String) -> CropError {
        CropError::Field {
            plan: self.name.clone(),
            field,
            expected: expected.to_owned(),
            found,
        }
    }

    /// The plan, if every part of it makes sense.
    pub(super) fn checked(self) -> Result<Self, CropError> {
        let InputSize { height, width } = self.crop;
        if !(1..=16384).contains(&height) || !(1..=16384).contains(&width) {
            return Err(self.field("crop_size", "1 to 16384", format!("{height}x{width}")));
        }
        if let Method::ShorterSide { scales } = &self.method {
            let least = height.max(width);
            if scales.is_empty() {
                return Err(self.field("scales", "at least one shorter side", "empty".into()));
            }
            if let Some(scale) = scales.iter().find(|s| !(least..=65536).contains(*s)) {
                let expected = format!("shorter sides from the crop's {least} to 65536");
                return Err(self.field("scales", &expected, scale.to_string()));
            }
            if let Some(scale) = first_repeated(scales) {
                return Err(self.field("scales", "each scale once", format!("{scale} twice")));
            }
        }
        if self.views.is_empty() {
            return Err(self.field("views", "at least one view", "empty".into()));
        }
        if let Some(view) = first_repeated(&self.views) {
            return Err(self.field("views", "each view once", format!("{} twice", view.name())));
        }
        Ok(self)
    }
}

fn first_repeated<T: PartialEq + Copy>(items: &[T]) -> Option<T> {
    let repeated = |&(index, item): &(usize, &T)| items[..index].contains(item);
    items
        .iter()
        .enumerate()
        .find(repeated)
        .map(|(_, item)| *item)
}

/// round(`scale` * `to` / `from`), halves up.
pub(super) fn in_proportion(scale: u32, from: u32, to: u32) -> u32 {
    let (scale, from, to) = (u64::from(scale), u64::from(from.max(1)), u64::from(to));
    ((2 * scale * to + from) / (2 * from)).min(u64::from(u32::MAX)) as u32
}
