//! Training, as far as it needs no libtorch: the configuration, the learning rate's schedule, random crops, batches
//! prepared in the background, checkpoints and metrics. The loop itself is `incept::torch::train`.
//!
//! ```
//! use incept::training::TrainingConfig;
//!
//! let config = TrainingConfig::from_toml("network = 'inception_v4'\ndata = 'data'\noutput = 'run'\nepochs = 20", "example")?;
//! assert_eq!(config.learning_rate.initial, 0.045);
//! assert_eq!(config.optimizer.epsilon, 1.0);
//! assert!((config.learning_rate.at(3.9) - 0.045 * 0.94).abs() < 1e-12);
//! # Ok::<(), incept::training::ConfigError>(())
//! ```

mod augmentation;
mod batches;
mod checkpoint;
mod config;
mod config_error;
mod metrics;
mod overrides;
mod pipeline;
mod progress;
mod records;

pub use augmentation::{Augmentation, random_crop};
pub use batches::{Batch, BatchError, TrainingImages, ValidationImages, epoch_order};
pub use checkpoint::{Checkpoint, CheckpointError, CheckpointState, latest, list};
pub use config::{
    Averaging, BatchNormalization, LearningRate, NetworkOptions, OptimizerKind, OptimizerOptions,
    TrainingConfig,
};
pub use config_error::ConfigError;
pub use metrics::{Metrics, StepRecord, ValidationRecord};
pub use progress::Progress;
pub use records::Records;
