//! How large a demonstration is.

use std::path::Path;

use crate::images::synthetic::SyntheticOptions;
use crate::training::{ConfigError, TrainingConfig};

/// The paper's three networks, in the order they are shown.
pub const NETWORKS: [&str; 3] = ["inception_v4", "inception_resnet_v1", "inception_resnet_v2"];

/// The size of a demonstration.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Whether it only shows that everything runs.
    pub quick: bool,
    /// The images.
    pub data: SyntheticOptions,
    /// Image side in pixels.
    pub image_side: usize,
    /// Width multiplier of the networks.
    pub width: f64,
    /// Training steps.
    pub steps: u64,
    /// Images in a step.
    pub batch_size: usize,
    /// Epochs between validations.
    pub validate_every: u64,
    /// Crop plans evaluated.
    pub crops: &'static [&'static str],
}
