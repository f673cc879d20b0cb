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

impl Settings {
    /// About ten minutes on two cores: networks that visibly learn.
    pub fn full() -> Self {
        Self {
            quick: false,
            data: SyntheticOptions {
                images: 2400,
                validation_share: 1.0 / 6.0,
                ..SyntheticOptions::default()
            },
            image_side: 75,
            width: 0.25,
            steps: 700,
            batch_size: 32,
            validate_every: 1,
            crops: &["1", "12", "144"],
        }
    }

    /// Under a minute: shows that every part runs.
    pub fn quick() -> Self {
        Self {
            quick: true,
            data: SyntheticOptions {
                images: 160,
                validation_share: 0.2,
                ..SyntheticOptions::default()
            },
            width: 0.1,
            steps: 12,
            batch_size: 16,
            validate_every: 1,
            ..Self::full()
        }
    }

    /// The configuration of one network's training.
    ///
    /// # Errors
    /// [`ConfigError`] where a setting is out of its range.
    pub(super) fn training(
        &self,
        network: &str,
        folder: &Path,
    ) -> Result<TrainingConfig, ConfigError> {
        let text = format!(
            "network = '{network}'\ndata = ''\noutput = ''\nsteps = {}\nbatch_size = {}\nvalidate_every = {}\n",
            self.steps, self.batch_size, self.validate_every
        );
        let mut config = TrainingConfig::from_toml(&text, "the demonstration's settings")?;
        config.data = folder.join("data");
        config.output = folder.join(network);
        config.checkpoint_every = 100;
        config.options.image_height = self.image_side;
        config.options.image_width = self.image_side;
        config.options.width_multiplier = self.width;
        Ok(config)
    }
}
