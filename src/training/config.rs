//! The configuration of a training run. Defaults are the paper's recipe.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use toml::Table;

use super::{Augmentation, ConfigError};
use crate::exporters::net::{Net, NetOptions, ResidualScales};
use crate::exporters::text::hex;
use crate::exporters::zoo;
use crate::files;

/// Everything that decides a training run, as `CONFIG.toml` holds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingConfig {
    /// The network's name in the zoo.
    pub network: String,
    /// Its variant.
    #[serde(default = "paper")]
    pub variant: String,
    /// The folder that holds `train/<class>/<image>` and `val/<class>/<image>`.
    pub data: PathBuf,
    /// The folder for checkpoints, metrics and the final weights.
    pub output: PathBuf,
    /// How often each image is seen; this or `steps`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epochs: Option<f64>,
    /// How many steps are taken; this or `epochs`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
    /// Images in one step.
    #[serde(default = "default_batch_size")]
    pub batch_size: usize,
    /// Decides the initial weights, the order of images, crops and dropout.
    #[serde(default)]
    pub seed: u64,
    /// `cpu`, `cuda` or `cuda:N`.
    #[serde(default = "cpu")]
    pub device: String,
    /// `0.5·wd·‖w‖²` is added to the loss, for convolution and linear weights.
    #[serde(default = "default_weight_decay")]
    pub weight_decay: f64,
    /// Share of the target that is spread over all classes; 0.1 in the Inception-v3 recipe.
    #[serde(default)]
    pub label_smoothing: f64,
    /// Factor on the auxiliary head's cross-entropy in the loss, where the network has one.
    #[serde(default = "default_auxiliary_weight")]
    pub auxiliary_weight: f64,
    /// Where the gradient's norm is larger, it is scaled down to this; absent: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip_norm: Option<f64>,
    /// Steps between two checkpoints; there is always one at the end.
    #[serde(default = "default_checkpoint_every")]
    pub checkpoint_every: u64,
    /// How many of the newest checkpoints are kept.
    #[serde(default = "default_keep_checkpoints")]
    pub keep_checkpoints: usize,
    /// Epochs between two validations; there is always one at the end. 0: only then.
    #[serde(default = "default_validate_every")]
    pub validate_every: u64,
    /// Threads that decode images; 0: as many as there are processor cores, at most 8. Without influence on the result.
    #[serde(default)]
    pub workers: usize,
    /// Threads libtorch computes with on the processor; 0: its own choice.
    #[serde(default)]
    pub threads: usize,
    /// Decoded training images are kept in memory up to so many MiB. Without influence on the result.
    #[serde(default = "default_cache")]
    pub image_cache_mib: usize,
    /// What can be chosen about the network.
    #[serde(default)]
    pub options: NetworkOptions,
    /// The optimiser.
    #[serde(default)]
    pub optimizer: OptimizerOptions,
    /// The learning rate.
    #[serde(default)]
    pub learning_rate: LearningRate,
    /// The averaged parameters.
    #[serde(default)]
    pub averaging: Averaging,
    /// Batch normalisation's moving statistics.
    #[serde(default)]
    pub batch_norm: BatchNormalization,
    /// Random crops and flips.
    #[serde(default)]
    pub augmentation: Augmentation,
}

/// What can be chosen about the network; as [`NetOptions`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NetworkOptions {
    /// Height in pixels.
    pub image_height: usize,
    /// Width in pixels.
    pub image_width: usize,
    /// Number of classes; absent: as many as the data have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub classes: Option<usize>,
    /// Factor on the filters of every convolution.
    pub width_multiplier: f64,
    /// Probability that dropout keeps a value.
    pub dropout_keep_probability: f64,
    /// Factors on the residuals.
    pub residual_scales: ResidualScales,
    /// A second classifier on the last 17×17 grid while training; published variants have one.
    pub auxiliary_head: bool,
}

impl Default for NetworkOptions {
    fn default() -> Self {
        let NetOptions {
            image_height,
            image_width,
            width_multiplier,
            dropout_keep_probability,
            residual_scales,
            auxiliary_head,
            ..
        } = NetOptions::default();
        Self {
            image_height,
            image_width,
            classes: None,
            width_multiplier,
            dropout_keep_probability,
            residual_scales,
            auxiliary_head,
        }
    }
}

/// Which optimiser.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OptimizerKind {
    /// TensorFlow's RMSProp, the paper's best.
    RmsProp,
    /// Momentum, the paper's earlier experiments.
    Momentum,
}

/// The optimiser and its constants.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OptimizerOptions {
    /// `rmsprop` or `momentum`.
    pub kind: OptimizerKind,
    /// Decay of RMSProp's mean square.
    pub decay: f64,
    /// RMSProp's ε, inside the root.
    pub epsilon: f64,
    /// Decay of the accumulated step.
    pub momentum: f64,
}

impl Default for OptimizerOptions {
    fn default() -> Self {
        Self {
            kind: OptimizerKind::RmsProp,
            decay: 0.9,
            epsilon: 1.0,
            momentum: 0.9,
        }
    }
}

/// The learning rate: `initial · decay^(epoch / every_epochs)`, the exponent rounded down where it goes in steps.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LearningRate {
    /// At the start.
    pub initial: f64,
    /// Factor of each decay.
    pub decay: f64,
    /// Epochs between two decays.
    pub every_epochs: f64,
    /// Whether it falls in steps.
    pub staircase: bool,
    /// Steps at the start over which it rises linearly to its value; 0 in the paper.
    pub warm_up_steps: u64,
}

impl Default for LearningRate {
    fn default() -> Self {
        Self {
            initial: 0.045,
            decay: 0.94,
            every_epochs: 2.0,
            staircase: true,
            warm_up_steps: 0,
        }
    }
}

impl LearningRate {
    /// The learning rate after so many epochs, without the warm-up.
    pub fn at(&self, epochs: f64) -> f64 {
        let exponent = epochs / self.every_epochs;
        let exponent = if self.staircase {
            exponent.floor()
        } else {
            exponent
        };
        self.initial * libm::pow(self.decay, exponent)
    }

    /// The learning rate of one step, counted from 0, that starts after so many epochs.
    pub fn of_step(&self, step: u64, epochs: f64) -> f64 {
        let rise = ((step + 1) as f64 / (self.warm_up_steps.max(1)) as f64).min(1.0);
        self.at(epochs) * rise
    }
}

/// The averaged parameters.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Averaging {
    /// Decay, less while the run is young: min(decay, (1 + n) / (10 + n)). 0 evaluates the weights themselves.
    pub decay: f64,
}

impl Default for Averaging {
    fn default() -> Self {
        Self { decay: 0.9999 }
    }
}

/// Batch normalisation's moving statistics.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BatchNormalization {
    /// Decay of the moving statistics: PyTorch's momentum is 1 − decay. Short runs need a smaller one.
    pub decay: f64,
}

impl Default for BatchNormalization {
    fn default() -> Self {
        Self { decay: 0.9997 }
    }
}

/// What may change when a run is continued: how long it is, where things lie, what computes and how often it tells.
const FREE: [&str; 11] = [
    "data",
    "output",
    "epochs",
    "steps",
    "device",
    "workers",
    "threads",
    "image_cache_mib",
    "checkpoint_every",
    "keep_checkpoints",
    "validate_every",
];

fn paper() -> String {
    "paper".into()
}
fn cpu() -> String {
    "cpu".into()
}
fn default_batch_size() -> usize {
    32
}
fn default_weight_decay() -> f64 {
    4e-5
}
fn default_auxiliary_weight() -> f64 {
    0.4
}
fn default_checkpoint_every() -> u64 {
    1000
}
fn default_keep_checkpoints() -> usize {
    3
}
fn default_validate_every() -> u64 {
    1
}
fn default_cache() -> usize {
    1024
}

impl TrainingConfig {
    /// Reads a configuration file and applies `key=value` overrides.
    ///
    /// # Errors
    /// [`ConfigError`] with the file and the key.
    pub fn read(path: &Path, overrides: &[String]) -> Result<Self, ConfigError> {
        let name = path.display().to_string();
        let text =
            String::from_utf8(files::read(path)?).map_err(|error| ConfigError::Malformed {
                source_name: name.clone(),
                reason: error.to_string(),
            })?;
        super::overrides::parse(&text, &name, overrides)
    }

    /// Reads a configuration from text; `source_name` is used in errors.
    ///
    /// # Errors
    /// [`ConfigError`] with the key.
    pub fn from_toml(text: &str, source_name: &str) -> Result<Self, ConfigError> {
        super::overrides::parse(text, source_name, &[])
    }

    /// The configuration as TOML, every key written out.
    pub fn to_toml(&self) -> String {
        // Every field has a TOML form: tables of numbers, words and paths that are text.
        toml::to_string(self).unwrap_or_default()
    }

    /// Tells which value is out of its range.
    ///
    /// # Errors
    /// [`ConfigError::Value`] with the key, what was expected and what was found.
    pub fn check(&self) -> Result<(), ConfigError> {
        let decay = "at least 0 and below 1";
        let in_decay = |x: f64| (0.0..1.0).contains(&x);
        let positive = |x: f64| x > 0.0 && x.is_finite();
        let not_negative = |x: f64| x >= 0.0 && x.is_finite();
        let augmentation = &self.augmentation;
        let [least, most] = augmentation.area;
        let [narrow, wide] = augmentation.aspect;
        let learning_rate = &self.learning_rate;
        let length = match (self.epochs, self.steps) {
            (None, None) => "neither",
            (Some(_), Some(_)) => "both",
            _ => "one",
        };
        let checks: [(bool, &'static str, &'static str, String); 19] = [
            (
                length == "one",
                "epochs",
                "either `epochs` or `steps`",
                format!("{length} of them"),
            ),
            (
                self.epochs.is_none_or(positive),
                "epochs",
                "a number above 0",
                format!("{:?}", self.epochs),
            ),
            (
                self.steps.is_none_or(|n| n > 0),
                "steps",
                "at least 1",
                "0".into(),
            ),
            (
                (1..=65_536).contains(&self.batch_size),
                "batch_size",
                "1 to 65536",
                self.batch_size.to_string(),
            ),
            (
                not_negative(self.weight_decay),
                "weight_decay",
                "0 or more",
                self.weight_decay.to_string(),
            ),
            (
                in_decay(self.label_smoothing),
                "label_smoothing",
                decay,
                self.label_smoothing.to_string(),
            ),
            (
                not_negative(self.auxiliary_weight),
                "auxiliary_weight",
                "0 or more",
                self.auxiliary_weight.to_string(),
            ),
            (
                self.clip_norm.is_none_or(positive),
                "clip_norm",
                "a number above 0",
                format!("{:?}", self.clip_norm),
            ),
            (
                self.checkpoint_every > 0,
                "checkpoint_every",
                "at least 1",
                "0".into(),
            ),
            (
                self.keep_checkpoints > 0,
                "keep_checkpoints",
                "at least 1",
                "0".into(),
            ),
            (
                in_decay(self.optimizer.decay),
                "optimizer.decay",
                decay,
                self.optimizer.decay.to_string(),
            ),
            (
                positive(self.optimizer.epsilon),
                "optimizer.epsilon",
                "a number above 0",
                self.optimizer.epsilon.to_string(),
            ),
            (
                in_decay(self.optimizer.momentum),
                "optimizer.momentum",
                decay,
                self.optimizer.momentum.to_string(),
            ),
            (
                positive(learning_rate.initial),
                "learning_rate.initial",
                "a number above 0",
                learning_rate.initial.to_string(),
            ),
            (
                learning_rate.decay > 0.0 && learning_rate.decay <= 1.0,
                "learning_rate.decay",
                "above 0 and at most 1",
                learning_rate.decay.to_string(),
            ),
            (
                positive(learning_rate.every_epochs),
                "learning_rate.every_epochs",
                "a number above 0",
                learning_rate.every_epochs.to_string(),
            ),
            (
                in_decay(self.averaging.decay),
                "averaging.decay",
                decay,
                self.averaging.decay.to_string(),
            ),
            (
                in_decay(self.batch_norm.decay),
                "batch_norm.decay",
                decay,
                self.batch_norm.decay.to_string(),
            ),
            (
                0.0 < least && least <= most && most <= 1.0,
                "augmentation.area",
                "two numbers, 0 < least <= most <= 1",
                format!("{:?}", augmentation.area),
            ),
        ];
        for (fine, key, expected, found) in checks {
            if !fine {
                return Err(ConfigError::Value {
                    key,
                    expected,
                    found,
                });
            }
        }
        if !(0.0 < narrow && narrow <= wide && wide.is_finite()) {
            return Err(ConfigError::Value {
                key: "augmentation.aspect",
                expected: "two numbers, 0 < narrowest <= widest",
                found: format!("{:?}", augmentation.aspect),
            });
        }
        self.net(self.options.classes.unwrap_or(1000)).map(|_| ())
    }

    /// The network, for data of so many classes.
    ///
    /// # Errors
    /// An unknown network or variant, an option out of range, or another number of classes in the configuration.
    pub fn net(&self, classes: usize) -> Result<Net, ConfigError> {
        let options = &self.options;
        if let Some(found) = options.classes.filter(|&found| found != classes) {
            return Err(ConfigError::Classes {
                data: self.data.clone(),
                expected: classes,
                found,
            });
        }
        let entry = zoo::find(&self.network, Some(&self.variant))?;
        Ok(entry.build(&NetOptions {
            image_height: options.image_height,
            image_width: options.image_width,
            classes,
            width_multiplier: options.width_multiplier,
            dropout_keep_probability: options.dropout_keep_probability,
            residual_scales: options.residual_scales,
            auxiliary_head: options.auxiliary_head,
        })?)
    }

    /// SHA-256 of the settings that decide the result: all but those a continued run may change.
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        for (key, value) in self.deciding() {
            hash.update(format!("{key}={value}\n"));
        }
        hex(&hash.finalize())
    }

    /// Keys that decide the result and differ, each with this configuration's value and the other's.
    pub(super) fn differences(&self, other: &Self) -> Vec<String> {
        let (expected, mut found) = (self.deciding(), other.deciding());
        let shown = |value: Option<String>| value.unwrap_or_else(|| "nothing".into());
        let mut changes: Vec<String> = expected
            .into_iter()
            .filter_map(|(key, value)| match found.remove(&key) {
                Some(same) if same == value => None,
                other => Some(format!("`{key}`: expected {value}, found {}", shown(other))),
            })
            .collect();
        let added = found
            .into_iter()
            .map(|(key, value)| format!("`{key}`: expected nothing, found {value}"));
        changes.extend(added);
        changes
    }

    /// The settings that decide the result, as dotted keys and TOML values.
    fn deciding(&self) -> BTreeMap<String, String> {
        let table = Table::try_from(self).unwrap_or_default();
        super::overrides::dotted(&table)
            .into_iter()
            .filter(|(key, _)| !FREE.contains(&key.as_str()))
            .map(|(key, value)| (key, value.to_string()))
            .collect()
    }

    /// How many steps the run has, over so many training images.
    pub fn total_steps(&self, images: usize) -> u64 {
        let of_epochs =
            |epochs: f64| (epochs * images as f64 / self.batch_size as f64).ceil() as u64;
        self.steps
            .or(self.epochs.map(of_epochs))
            .unwrap_or(0)
            .max(1)
    }

    /// How many threads decode images.
    pub fn decode_workers(&self) -> usize {
        match self.workers {
            0 => std::thread::available_parallelism()
                .map_or(1, |n| n.get())
                .min(8),
            workers => workers,
        }
    }
}

#[cfg(test)]
mod tests;
