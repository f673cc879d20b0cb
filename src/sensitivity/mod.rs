//! What lowering the precision of each block does to a network's answers, and the plan that lowers as much as a bound
//! on changed answers allows.
//!
//! Each block is lowered by itself to each precision in turn, and the network runs on the images given. What counts is
//! how many images change their most probable class (top-1 flips) and how far the logits move, both beside the same
//! network in float32 in the same runtime. A plan is searched from these numbers, and every plan that the search
//! considers is run as a whole: what is said of the plan was measured, not added up.

mod effect;
mod error;
mod plan;
mod search;
mod variant;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use incept_exporters::onnx::{
    self, Batch, ExportOptions, OLDEST_OPSET, Output, Precision, PrecisionOptions,
};
use serde::{Deserialize, Serialize};

pub use effect::Effect;
pub use error::SensitivityError;
pub use plan::{Measured, PrecisionPlan};

use crate::parity::{ImageOptions, Opened, weights_of};
use crate::provenance::Provenance;
use crate::runtime;
use search::{Choice, search};
use variant::Variants;

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

/// What is measured, and what the plan may do.
#[derive(Debug, Clone)]
pub struct SensitivityOptions {
    /// The weights the model was exported from; not needed where it was exported from a seed.
    pub weights: Option<PathBuf>,
    /// The images. Of one with several crops the softmax is averaged.
    pub images: ImageOptions,
    /// Runtime by name.
    pub runtime: String,
    /// Crops in a batch.
    pub batch: usize,
    /// What blocks may be lowered to.
    pub precisions: Vec<Precision>,
    /// Images whose most probable class the plan may change, as a share of all.
    pub max_flips: f64,
    /// What the plan is to make small.
    pub cost: Cost,
}

/// Images that are looked at where nothing is said.
pub const DEFAULT_COUNT: usize = 128;

impl SensitivityOptions {
    /// The options for these images, one crop of each.
    pub fn new(paths: Vec<PathBuf>) -> Self {
        Self {
            weights: None,
            images: ImageOptions {
                paths,
                count: DEFAULT_COUNT,
                crops: "1".into(),
            },
            runtime: runtime::DEFAULT[0].into(),
            batch: 8,
            precisions: vec![Precision::Fp16, Precision::Bf16, Precision::Int8],
            max_flips: 0.0,
            cost: Cost::default(),
        }
    }
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
    /// What cost is.
    pub cost: Cost,
    /// What all blocks cost in float32.
    pub cost_in_float32: u64,
    /// Images that may change their most probable class.
    pub flips_allowed: usize,
    /// Every block, in the network's order.
    pub blocks: Vec<BlockSensitivity>,
    /// Every plan that was run, in order.
    pub trials: Vec<Trial>,
    /// The cheapest that keeps the bound.
    pub plan: Trial,
    /// What is to be said besides.
    pub notes: Vec<String>,
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
                images: self.images,
                flips_allowed: self.flips_allowed,
                flips: effect.flips,
                error: effect.error,
                cost: self.plan.cost,
                cost_in_float32: self.cost_in_float32,
                of: self.cost,
            }),
            blocks: self.plan.blocks.clone(),
        }
    }
}

/// Measures every block of a model's network and searches the cheapest plan that keeps the bound.
///
/// # Errors
/// [`SensitivityError`]: a model, weights or images that cannot be used, a runtime that refuses the network in float32.
pub fn sensitivity(
    model: &Path,
    options: &SensitivityOptions,
    progress: &mut dyn FnMut(&str),
) -> Result<Sensitivity, SensitivityError> {
    check(options)?;
    let opened = Opened::read(model)?;
    let net = &opened.net;
    if net.id(Output::Logits.name()).is_none() {
        return Err(SensitivityError::NoClasses { path: model.into() });
    }
    let mut provenance = Provenance::of_this_run();
    provenance.add_model(&opened.model)?;
    let mut notes = vec![];
    let files = (model, options.weights.as_deref());
    let weights = weights_of(net, &opened.network, files, &mut provenance, &mut notes)?;
    let runtime = runtime::find(&options.runtime)?;
    let title = format!("{}, {}", runtime.version()?, runtime.device());
    provenance.runtimes.push(title.clone());

    progress("decoding the images");
    let pictures = opened.pictures(&options.images, &mut provenance, &mut notes)?;
    let images = &pictures.cropped;
    let mut variants = Variants {
        net,
        weights: &weights,
        export: ExportOptions {
            batch: Batch::Dynamic,
            batch_norm: opened.network.batch_norm,
            ..ExportOptions::default()
        },
        runtime,
        images,
        batch: options.batch,
        scaling: onnx::Scaling::of(net),
        offset: pictures.offset,
        labels: pictures.labels,
        reference: None,
    };
    progress("running the network in float32");
    variants.set_reference()?;

    let blocks = blocks_with_costs(&variants, options)?;
    let mut measured: Vec<BlockSensitivity> = vec![];
    let all = blocks.len() * options.precisions.len();
    for (block, costs) in &blocks {
        let mut lowered = vec![];
        for &precision in &options.precisions {
            let number = measured.len() * options.precisions.len() + lowered.len() + 1;
            progress(&format!("{block} in {precision} ({number} of {all})"));
            let only = BTreeMap::from([(block.clone(), precision)]);
            let (effect, refused) = match variants.effect(&only)? {
                Ok(effect) => (Some(effect), None),
                Err(reason) => (None, Some(reason)),
            };
            lowered.push(Lowered {
                precision,
                cost: costs[&precision],
                effect,
                refused,
            });
        }
        measured.push(BlockSensitivity {
            block: block.clone(),
            rank: 0,
            cost: costs[&Precision::Fp32],
            lowered,
        });
    }
    rank(&mut measured);

    let count = images.images();
    let flips_allowed = (options.max_flips * count as f64 + 1e-9).floor() as usize;
    let (trials, plan) = choose(&variants, &measured, flips_allowed, progress)?;
    Ok(Sensitivity {
        schema: "incept.sensitivity/1".into(),
        provenance,
        network: net.name().into(),
        variant: net.variant().into(),
        runtime: title,
        images: count,
        crops: images.crops.len(),
        top1_errors: variants.top1_errors(),
        cost: options.cost,
        cost_in_float32: measured.iter().map(|block| block.cost).sum(),
        flips_allowed,
        blocks: measured,
        trials,
        plan,
        notes,
    })
}

fn check(options: &SensitivityOptions) -> Result<(), SensitivityError> {
    let wrong = |option, expected, found: String| {
        Err(SensitivityError::Option {
            option,
            expected,
            found,
        })
    };
    if !(0.0..=1.0).contains(&options.max_flips) {
        return wrong("max-flips", "0 % to 100 %", options.max_flips.to_string());
    }
    if options.images.paths.is_empty() {
        return wrong("images", "at least one image or folder", "none".into());
    }
    for (option, number) in [("count", options.images.count), ("batch", options.batch)] {
        if number == 0 {
            return wrong(option, "1 or more", "0".into());
        }
    }
    let lower: Vec<&Precision> = options
        .precisions
        .iter()
        .filter(|p| **p != Precision::Fp32)
        .collect();
    match lower.is_empty() || lower.len() < options.precisions.len() {
        true => wrong(
            "lower-to",
            "some of fp16, bf16 and int8",
            "fp32 or none".into(),
        ),
        false => Ok(()),
    }
}

/// The blocks that the logits need, in order, and what each costs in each precision.
fn blocks_with_costs(
    variants: &Variants<'_>,
    options: &SensitivityOptions,
) -> Result<Vec<(String, BTreeMap<Precision, u64>)>, SensitivityError> {
    let net = variants.net;
    let needed = net
        .id(Output::Logits.name())
        .map(|logits| net.needed(&[logits]));
    let needed = needed.unwrap_or_default();
    let nodes = || {
        net.nodes()
            .iter()
            .zip(&needed)
            .filter_map(|(node, needed)| needed.then_some(node))
    };
    let mut blocks: Vec<(String, BTreeMap<Precision, u64>)> = vec![];
    for block in net.blocks() {
        if nodes().any(|node| node.block() == block) {
            blocks.push((block.into(), BTreeMap::new()));
        }
    }
    for precision in std::iter::once(Precision::Fp32).chain(options.precisions.iter().copied()) {
        let stored = match options.cost {
            Cost::Bytes => {
                let export = variants.options(PrecisionOptions::throughout(precision));
                onnx::bytes_of_blocks(net, &export)?
            }
            Cost::Arithmetic => BTreeMap::new(),
        };
        for (block, costs) in &mut blocks {
            let of_block = nodes().filter(|node| node.block() == block);
            let cost = match options.cost {
                Cost::Bytes => stored.get(block).copied().unwrap_or(0),
                Cost::Arithmetic => {
                    let bits = if precision.is_half() { 16 } else { 32 };
                    of_block
                        .map(|node| net.cost_of(node).multiply_adds * bits)
                        .sum()
                }
            };
            costs.insert(precision, cost);
        }
    }
    Ok(blocks)
}

/// Numbers the blocks, the most sensitive first. What could not be measured at all is not told to be sensitive.
fn rank(blocks: &mut [BlockSensitivity]) {
    let worst = |block: &BlockSensitivity| block.worst().unwrap_or_default();
    let mut order: Vec<usize> = (0..blocks.len()).collect();
    order.sort_by(|&a, &b| worst(&blocks[b]).compare(&worst(&blocks[a])));
    for (rank, place) in order.into_iter().enumerate() {
        blocks[place].rank = rank + 1;
    }
}

/// Searches the cheapest plan; returns every plan that was run, and that one.
fn choose(
    variants: &Variants<'_>,
    blocks: &[BlockSensitivity],
    flips_allowed: usize,
    progress: &mut dyn FnMut(&str),
) -> Result<(Vec<Trial>, Trial), SensitivityError> {
    // What alone breaks the bound is not tried beside others.
    let choices: Vec<Vec<(Precision, Choice)>> = blocks
        .iter()
        .map(|block| {
            let float32 = Choice {
                cost: block.cost,
                harm: 0.0,
            };
            let lowered = block.lowered.iter().filter_map(|lowered| {
                let effect = lowered
                    .effect
                    .filter(|effect| effect.flips <= flips_allowed)?;
                let cost = lowered.cost;
                let harm = effect.error.powi(2);
                Some((lowered.precision, Choice { cost, harm }))
            });
            std::iter::once((Precision::Fp32, float32))
                .chain(lowered)
                .collect()
        })
        .collect();
    let plain: Vec<Vec<Choice>> = choices
        .iter()
        .map(|of_block| of_block.iter().map(|(_, choice)| *choice).collect())
        .collect();
    let mut trials: Vec<Trial> = vec![];
    let chosen = search(&plain, |picked| {
        let picked = picked
            .iter()
            .zip(&choices)
            .map(|(&place, of_block)| of_block[place]);
        let lowered = blocks
            .iter()
            .zip(picked.clone())
            .filter(|(_, (p, _))| *p != Precision::Fp32);
        let plan: BTreeMap<String, Precision> = lowered
            .map(|(block, (precision, _))| (block.block.clone(), precision))
            .collect();
        let cost = picked.map(|(_, choice)| choice.cost).sum();
        progress(&format!(
            "plan {}: {} of {} blocks lowered",
            trials.len() + 1,
            plan.len(),
            blocks.len()
        ));
        // A plan whose parts run and which does not is a plan that breaks the bound.
        let effect = variants.effect(&plan)?.ok();
        trials.push(Trial {
            blocks: plan,
            cost,
            effect,
        });
        Ok::<bool, SensitivityError>(effect.is_some_and(|effect| effect.flips <= flips_allowed))
    })?;
    let blocks_of = |chosen: &[usize]| -> BTreeMap<String, Precision> {
        let picked = chosen
            .iter()
            .zip(&choices)
            .map(|(&place, of_block)| of_block[place].0);
        let named = blocks.iter().map(|block| block.block.clone()).zip(picked);
        named
            .filter(|(_, precision)| *precision != Precision::Fp32)
            .collect()
    };
    let chosen = blocks_of(&chosen);
    let plan = trials.iter().find(|trial| trial.blocks == chosen).cloned();
    // float32 throughout is never run again: it is the reference.
    let plan = plan.unwrap_or_else(|| Trial {
        blocks: BTreeMap::new(),
        cost: blocks.iter().map(|block| block.cost).sum(),
        effect: Some(Effect::none(variants.top1_errors())),
    });
    Ok((trials, plan))
}

/// The operator set for a precision: the usual one, or the oldest that has what it needs.
fn opset_for(precision: &PrecisionOptions, options: &ExportOptions) -> u32 {
    let (oldest, _) = precision.oldest_opset(options.batch_norm);
    options.opset.max(oldest).max(OLDEST_OPSET)
}
