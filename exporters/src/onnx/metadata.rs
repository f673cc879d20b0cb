//! What a file says of itself: enough to rebuild its network and to prepare images for it.

use std::collections::BTreeMap;

use super::proto::StringStringEntryProto;
use super::{BatchNorm, ExportOptions, Output, Precision, Preprocessing};
use crate::net::{Net, NetError, NetOptions};
use crate::weights::{Recipe, Source, Weights};
use crate::zoo::{self, ZooError};

/// The name of the input.
pub const INPUT_NAME: &str = "image";

pub(super) fn entries(
    net: &Net,
    weights: &Weights,
    options: &ExportOptions,
    sha256: &str,
) -> Vec<StringStringEntryProto> {
    let outputs: Vec<&str> = options.outputs.iter().map(|output| output.name()).collect();
    let mut entries: BTreeMap<&str, String> = BTreeMap::from([
        ("incept.version", env!("CARGO_PKG_VERSION").into()),
        ("incept.network", net.name().into()),
        ("incept.variant", net.variant().into()),
        (
            "incept.options",
            serde_json::to_string(net.options()).unwrap_or_default(),
        ),
        ("incept.output", outputs.join(",")),
        ("incept.batch_norm", options.batch_norm.to_string()),
        ("incept.precision", options.precision.precision.to_string()),
        ("incept.weights.sha256", sha256.into()),
    ]);
    entries.extend(Preprocessing::of(net, options).entries());
    if !options.precision.blocks.is_empty() {
        let blocks = serde_json::to_string(&options.precision.blocks).unwrap_or_default();
        entries.insert("incept.precision.blocks", blocks);
    }
    if let Source::Seed(seed) = weights.source() {
        entries.insert("incept.weights.seed", seed.to_string());
    }
    if let Some(recipe) = weights.recipe().filter(|recipe| !recipe.is_plain()) {
        let recipe = serde_json::to_string(recipe).unwrap_or_default();
        entries.insert("incept.weights.import", recipe);
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
    /// The heads it puts out, in the order of its outputs, which may go on with further layers.
    pub outputs: Vec<Output>,
    /// What its weights are stored and its layers computed in.
    pub precision: Precision,
    /// The blocks of another precision.
    pub blocks: BTreeMap<String, Precision>,
    /// SHA-256 of its weights, see [`Weights::sha256`].
    pub weights_sha256: String,
    /// The seed, where its weights were generated.
    pub seed: Option<u64>,
    /// How its weights come from their file, where that is not ours as it is.
    pub import: Option<Recipe>,
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
    /// Every precision that some block of the file has.
    pub fn precisions(&self) -> impl Iterator<Item = Precision> {
        let of_blocks = self.blocks.values().copied();
        std::iter::once(self.precision).chain(of_blocks)
    }

    /// Reads the facts; `None` unless all of them are there and make sense.
    pub(super) fn parse(metadata: &BTreeMap<String, String>) -> Option<Self> {
        let entry = |key: &str| metadata.get(key);
        Some(Self {
            name: entry("incept.network")?.clone(),
            variant: entry("incept.variant")?.clone(),
            options: serde_json::from_str(entry("incept.options")?).ok()?,
            batch_norm: entry("incept.batch_norm")?.parse().ok()?,
            outputs: entry("incept.output")?
                .split(',')
                .map(|output| output.parse().ok())
                .collect::<Option<_>>()?,
            // Files from before there was a choice do not say.
            precision: entry("incept.precision")
                .map_or(Some(Precision::Fp32), |precision| precision.parse().ok())?,
            blocks: match entry("incept.precision.blocks") {
                Some(text) => serde_json::from_str(text).ok()?,
                None => BTreeMap::new(),
            },
            weights_sha256: entry("incept.weights.sha256")?.clone(),
            seed: entry("incept.weights.seed").and_then(|seed| seed.parse().ok()),
            import: entry("incept.weights.import").and_then(|text| serde_json::from_str(text).ok()),
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
