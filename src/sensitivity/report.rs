//! What was measured, as it is told.

use std::collections::BTreeMap;

use incept_exporters::onnx::Precision;
use serde::{Deserialize, Serialize};

use super::{Effect, Measured, PrecisionPlan, plan};
use crate::provenance::Provenance;

/// What a plan is to make small.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cost {
    /// Bytes of the stored tensors: the file, the download, the memory's traffic.
    #[default]
    Bytes,
    /// Multiply-adds times the bits of their operands: the time of an accelerator that is twice as fast in 16 bits as in
    /// 32. int8 weights save none, as they are computed with in float32.
    Arithmetic,
}

/// One block in one precision, all others in float32.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lowered {
    /// The precision.
    pub precision: Precision,
    /// What the block costs in it.
    pub cost: u64,
    /// What it does to the answers.
    pub effect: Option<Effect>,
    /// Why that could not be measured: numbers that float16 cannot hold, or a runtime that refuses.
    pub refused: Option<String>,
}

/// One block.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BlockSensitivity {
    /// Its name.
    pub block: String,
    /// Its place among the blocks, the most sensitive first, from 1.
    pub rank: usize,
    /// What it costs in float32.
    pub cost: u64,
    /// What it does in each precision.
    pub lowered: Vec<Lowered>,
}

impl BlockSensitivity {
    /// The largest effect that was measured: by flips, then by the error.
    pub fn worst(&self) -> Option<Effect> {
        let effects = self.lowered.iter().filter_map(|lowered| lowered.effect);
        effects.max_by(Effect::compare)
    }
}

/// A plan that was run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// The blocks that are not in float32.
    pub blocks: BTreeMap<String, Precision>,
    /// What all blocks cost together.
    pub cost: u64,
    /// What it does to the answers; none where it could not be run.
    pub effect: Option<Effect>,
}

/// A plan on images that it was not chosen with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Unseen {
    /// Images looked at.
    pub images: usize,
    /// Top-1 errors in float32, where the images' classes are the network's.
    pub top1_errors: Option<usize>,
    /// What the plan does to the answers.
    pub effect: Effect,
}

/// The whole measurement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sensitivity {
    /// `incept.sensitivity/1`.
    pub schema: String,
    /// Where it comes from.
    pub provenance: Provenance,
    /// The network.
    pub network: String,
    /// Its variant.
    pub variant: String,
    /// The runtime, and the device.
    pub runtime: String,
    /// Images looked at.
    pub images: usize,
    /// Crops run for them.
    pub crops: usize,
    /// Top-1 errors in float32, where the images' classes are the network's.
    pub top1_errors: Option<usize>,
    /// The most probable class in float32, where it is the same of all images: then no flip says little.
    pub only_class: Option<usize>,
    /// SHA-256 of the weights.
    pub weights_sha256: String,
    /// What cost is.
    pub cost: Cost,
    /// What all blocks cost in float32.
    pub cost_in_float32: u64,
    /// Images that may change their most probable class, as a share of all,
    pub max_flips: f64,
    /// and as a number.
    pub flips_allowed: usize,
    /// Every block, in the network's order.
    pub blocks: Vec<BlockSensitivity>,
    /// Every plan that was run, in order.
    pub trials: Vec<Trial>,
    /// The cheapest that keeps the bound.
    pub plan: Trial,
    /// The plan on images that it was not chosen with.
    pub unseen: Option<Unseen>,
    /// What is to be said besides.
    pub notes: Vec<String>,
    /// Runs that were known from the journal of an interrupted measurement; what is told is the same without them.
    #[serde(skip)]
    pub known_runs: usize,
}

impl Sensitivity {
    /// The plan as a file for `incept export --precision-plan`.
    pub fn to_plan(&self) -> PrecisionPlan {
        let effect = self.plan.effect.unwrap_or_default();
        PrecisionPlan {
            schema: plan::SCHEMA.into(),
            network: self.network.clone(),
            variant: self.variant.clone(),
            precision: Precision::Fp32,
            measured: Some(Measured {
                runtime: self.runtime.clone(),
                weights_sha256: self.weights_sha256.clone(),
                images: self.images,
                flips_allowed: self.flips_allowed,
                flips: effect.flips,
                change: effect.change,
                cost: self.plan.cost,
                cost_in_float32: self.cost_in_float32,
                cost_of: self.cost,
            }),
            // All of them, also those that stay as they are.
            blocks: self
                .blocks
                .iter()
                .map(|block| {
                    let lowered = self.plan.blocks.get(&block.block).copied();
                    (block.block.clone(), lowered.unwrap_or_default())
                })
                .collect(),
        }
    }
}

/// Numbers the blocks, the most sensitive first. What could not be measured at all is not told to be sensitive.
pub(super) fn rank(blocks: &mut [BlockSensitivity]) {
    let worst = |block: &BlockSensitivity| block.worst().unwrap_or_default();
    let mut order: Vec<usize> = (0..blocks.len()).collect();
    order.sort_by(|&a, &b| worst(&blocks[b]).compare(&worst(&blocks[a])));
    for (rank, place) in order.into_iter().enumerate() {
        blocks[place].rank = rank + 1;
    }
}
