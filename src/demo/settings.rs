//! How large a demonstration is.

use std::path::Path;

use super::training::threads_each;
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
    /// About six minutes on two cores: networks that visibly learn.
    pub fn full() -> Self {
        Self {
            quick: false,
            data: SyntheticOptions {
                images: 2320,
                validation_share: 320.0 / 2320.0,
                ..SyntheticOptions::default()
            },
            image_side: 75,
            width: 0.25,
            steps: 1500,
            batch_size: 32,
            validate_every: 2,
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
            validate_every: 2,
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
        config.threads = threads_each(NETWORKS.len());
        config.workers = 1;
        config.options.image_height = self.image_side;
        config.options.image_width = self.image_side;
        config.options.width_multiplier = self.width;
        // The paper trains for a hundred epochs and more. A dozen epochs need a smaller epsilon, so that steps are not
        // tiny from the start, faster moving averages, and crops that leave the object in the picture.
        config.optimizer.epsilon = 0.01;
        config.learning_rate.initial = 0.001;
        config.learning_rate.decay = 0.9;
        config.learning_rate.warm_up_steps = 40;
        config.averaging.decay = 0.98;
        config.batch_norm.decay = 0.9;
        config.augmentation.area = [0.5, 1.0];
        Ok(config)
    }
}
