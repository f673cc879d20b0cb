//! What a file says of itself: enough to rebuild its network and to prepare images for it.

use std::collections::BTreeMap;

use super::proto::StringStringEntryProto;
use super::{BatchNorm, ExportOptions, Output, Precision};
use crate::net::{Net, NetError, NetOptions};
use crate::weights::{Source, Weights};
use crate::zoo::{self, ZooError};

/// The name of the input: float32 `[N, 3, H, W]`, RGB scaled to [-1, 1].
pub const INPUT_NAME: &str = "image";

pub(super) fn entries(
    net: &Net,
    weights: &Weights,
    options: &ExportOptions,
    sha256: &str,
) -> Vec<StringStringEntryProto> {
    let asked = net.options();
    let size = format!("{}x{}", asked.image_height, asked.image_width);
    let mut entries: BTreeMap<&str, String> = BTreeMap::from([
        ("incept.version", env!("CARGO_PKG_VERSION").into()),
        ("incept.network", net.name().into()),
        ("incept.variant", net.variant().into()),
        (
            "incept.options",
            serde_json::to_string(asked).unwrap_or_default(),
        ),
        ("incept.classes", asked.classes.to_string()),
        ("incept.output", options.output.to_string()),
        ("incept.batch_norm", options.batch_norm.to_string()),
        ("incept.precision", options.precision.precision.to_string()),
        ("incept.weights.sha256", sha256.into()),
        ("incept.input.name", INPUT_NAME.into()),
        ("incept.input.layout", "NCHW".into()),
        ("incept.input.color", "RGB".into()),
        ("incept.input.range", "[-1, 1]".into()),
        ("incept.input.size", size),
    ]);
    if let Source::Seed(seed) = weights.source() {
        entries.insert("incept.weights.seed", seed.to_string());
    }
    entries
        .into_iter()
        .map(|(key, value)| StringStringEntryProto {
            key: key.into(),
            value,
        })
        .collect()
}

/// What an incept file says of its network.
#[derive(Debug, Clone, PartialEq)]
pub struct NetworkFacts {
    /// The network's name in the zoo.
    pub name: String,
    /// Its variant.
    pub variant: String,
    /// The options it was built with.
    pub options: NetOptions,
    /// Folded or kept.
    pub batch_norm: BatchNorm,
    /// Which value it puts out.
    pub output: Output,
    /// What its weights are stored and its layers computed in.
    pub precision: Precision,
    /// SHA-256 of its weights, see [`Weights::sha256`].
    pub weights_sha256: String,
    /// The seed, where its weights were generated.
    pub seed: Option<u64>,
}

/// A network that a file names and the zoo cannot build.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// Not in the zoo.
    #[error(transparent)]
    Zoo(#[from] ZooError),
    /// Not buildable with these options.
    #[error(transparent)]
    Net(#[from] NetError),
}

impl NetworkFacts {
    /// Reads the facts; `None` unless all of them are there and make sense.
    pub(super) fn parse(metadata: &BTreeMap<String, String>) -> Option<Self> {
        let entry = |key: &str| metadata.get(key);
        Some(Self {
            name: entry("incept.network")?.clone(),
            variant: entry("incept.variant")?.clone(),
            options: serde_json::from_str(entry("incept.options")?).ok()?,
            batch_norm: entry("incept.batch_norm")?.parse().ok()?,
            output: entry("incept.output")?.parse().ok()?,
            // Files from before there was a choice do not say.
            precision: entry("incept.precision")
                .map_or(Some(Precision::Fp32), |precision| precision.parse().ok())?,
            weights_sha256: entry("incept.weights.sha256")?.clone(),
            seed: entry("incept.weights.seed").and_then(|seed| seed.parse().ok()),
        })
    }

    /// Builds the network the file describes.
    ///
    /// # Errors
    /// [`RebuildError`] where the zoo has no such network or its options are out of range.
    pub fn build(&self) -> Result<Net, RebuildError> {
        Ok(zoo::find(&self.name, Some(&self.variant))?.build(&self.options)?)
    }
}
