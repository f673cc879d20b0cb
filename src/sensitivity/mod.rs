//! What lowering the precision of each block does to a network's answers, and the plan that lowers as much as a bound
//! on changed answers allows.
//!
//! Each block is lowered by itself to each precision in turn, and the network runs on the images given. What counts is
//! how many images change their most probable class (top-1 flips) and how far the logits move, both beside the same
//! network in float32 in the same runtime. A plan is searched from these numbers, and every plan that the search
//! considers is run as a whole: what is said of the plan was measured, not added up.

mod choose;
mod effect;
mod error;
mod journal;
mod plan;
mod report;
mod run;
mod search;
mod variant;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use incept_exporters::onnx::{self, Output, Precision, PrecisionOptions};

pub use effect::Effect;
pub use error::SensitivityError;
pub use plan::{Measured, PrecisionPlan};
pub use report::{BlockSensitivity, Cost, Lowered, Sensitivity, Trial, Unseen};

use crate::parity::{ImageOptions, Opened, weights_of};
use crate::provenance::Provenance;
use crate::runtime;
use choose::choose;
use journal::Journal;
use report::rank;
use variant::Variants;

/// What is measured, and what the plan may do.
#[derive(Debug, Clone)]
pub struct SensitivityOptions {
    /// The weights the model was exported from; not needed where it was exported from a seed.
    pub weights: Option<PathBuf>,
    /// The images. Of one with several crops the softmax is averaged.
    pub images: ImageOptions,
    /// Image files, or folders of them, that the plan is run on once it is chosen.
    pub unseen: Vec<PathBuf>,
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
    /// Where what was measured is kept, so that a run that is interrupted goes on. It is left there: see [`forget`].
    pub journal: Option<PathBuf>,
}

/// Bytes of pixels that are held at most.
const MOST_PIXELS: u64 = 2 << 30;

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
            unseen: vec![],
            runtime: runtime::DEFAULT[0].into(),
            batch: 8,
            precisions: vec![Precision::Fp16, Precision::Bf16, Precision::Int8],
            max_flips: 0.0,
            cost: Cost::default(),
            journal: None,
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
    if net.id(Output::Logits.name()).is_none() || net.options().classes < 2 {
        return Err(SensitivityError::NoClasses { path: model.into() });
    }
    let mut provenance = Provenance::of_this_run();
    provenance.add_model(&opened.model)?;
    let mut notes = vec![];
    let files = (model, options.weights.as_deref());
    let weights = weights_of(net, &opened.network, files, &mut provenance, &mut notes)?;
    let runtime = runtime::find(&options.runtime)?;
    let title = runtime.title()?;
    provenance.runtimes.push(title.clone());

    progress("decoding the images");
    let pictures = opened.pictures(&options.images, MOST_PIXELS, &mut provenance, &mut notes)?;
    let unseen = match &options.unseen[..] {
        [] => None,
        paths => {
            let unseen = ImageOptions {
                paths: paths.to_vec(),
                count: usize::MAX,
                crops: options.images.crops.clone(),
            };
            Some(opened.pictures(&unseen, MOST_PIXELS, &mut provenance, &mut notes)?)
        }
    };
    let of_pictures = |pictures| Variants::new(&opened, &weights, runtime, options.batch, pictures);
    let mut variants = of_pictures(&pictures);
    let mut known_runs = 0;
    if let Some(path) = &options.journal {
        let settings = (&options.images.crops, options.batch);
        let journal = Journal::open(path, &provenance, &settings)?;
        known_runs = journal.len();
        variants.journal = Some(journal);
    }
    progress("running the network in float32");
    variants.set_reference()?;

    let mut precisions = options.precisions.clone();
    precisions.sort_unstable();
    precisions.dedup();
    let blocks = blocks_with_costs(&variants, &precisions, options.cost)?;
    let mut measured: Vec<BlockSensitivity> = vec![];
    let all = blocks.len() * precisions.len();
    for Block { name, costs } in &blocks {
        let mut lowered = vec![];
        let only = |precision| BTreeMap::from([(name.clone(), precision)]);
        if precisions
            .iter()
            .any(|&precision| variants.found(&only(precision)).is_none())
        {
            variants.begin_at(name)?;
        }
        for &precision in &precisions {
            let number = measured.len() * precisions.len() + lowered.len() + 1;
            progress(&format!("{name} in {precision} ({number} of {all})"));
            let (effect, refused) = match variants.effect(&only(precision))? {
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
            block: name.clone(),
            rank: 0,
            cost: costs[&Precision::Fp32],
            lowered,
        });
    }
    rank(&mut measured);

    // Plans are run whole.
    variants.known = vec![];
    let count = pictures.cropped.images();
    let flips_allowed = (options.max_flips * count as f64 + 1e-9).floor() as usize;
    let (trials, plan) = choose(&mut variants, &measured, flips_allowed, progress)?;
    let unseen = match &unseen {
        Some(pictures) => {
            progress("running the plan on the images it was not chosen with");
            let mut variants = of_pictures(pictures);
            variants.set_reference()?;
            let effect = variants.effect(&plan.blocks)?;
            Some(Unseen {
                images: pictures.cropped.images(),
                top1_errors: variants.top1_errors(),
                effect: effect.map_err(|reason| SensitivityError::Refused { reason })?,
            })
        }
        None => None,
    };
    Ok(Sensitivity {
        schema: "incept.sensitivity/1".into(),
        provenance,
        network: net.name().into(),
        variant: net.variant().into(),
        runtime: title,
        images: count,
        crops: pictures.cropped.crops.len(),
        top1_errors: variants.top1_errors(),
        only_class: variants.only_class(),
        weights_sha256: weights.sha256(),
        cost: options.cost,
        cost_in_float32: measured.iter().map(|block| block.cost).sum(),
        max_flips: options.max_flips,
        flips_allowed,
        blocks: measured,
        trials,
        plan,
        unseen,
        notes,
        known_runs,
    })
}

/// Removes the journal of a measurement whose results are in the caller's hands.
///
/// # Errors
/// A file that cannot be removed.
pub fn forget(journal: &Path) -> Result<(), SensitivityError> {
    Ok(Journal::end(journal)?)
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

/// A block that the logits need, and what it costs in each precision.
struct Block {
    name: String,
    costs: BTreeMap<Precision, u64>,
}

/// The blocks that the logits need, in order, and what each costs in each precision.
fn blocks_with_costs(
    variants: &Variants<'_>,
    precisions: &[Precision],
    cost: Cost,
) -> Result<Vec<Block>, SensitivityError> {
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
    let mut blocks: Vec<Block> = vec![];
    for block in net.blocks() {
        if nodes().any(|node| node.block() == block) {
            blocks.push(Block {
                name: block.into(),
                costs: BTreeMap::new(),
            });
        }
    }
    for precision in std::iter::once(Precision::Fp32).chain(precisions.iter().copied()) {
        let stored = match cost {
            Cost::Bytes => {
                let export = variants.options(PrecisionOptions::throughout(precision));
                onnx::bytes_of_blocks(net, &export)?
            }
            Cost::Arithmetic => BTreeMap::new(),
        };
        for Block { name, costs } in &mut blocks {
            let of_block = nodes().filter(|node| node.block() == name);
            let cost = match cost {
                Cost::Bytes => stored.get(name).copied().unwrap_or(0),
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
