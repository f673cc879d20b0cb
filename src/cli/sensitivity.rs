//! `incept check --sensitivity`: what each block's precision does to the answers, and a plan.

use std::path::{Path, PathBuf};

use clap::Args;
use incept_exporters::onnx::Precision;

use super::output::{Align, conclude, message, progress, table, thousands};
use super::{Failure, Outcome};
use crate::evaluate::interval;
use crate::parity::ImageOptions;
use crate::sensitivity::{
    BlockSensitivity, Cost, DEFAULT_COUNT, Effect, Lowered, Sensitivity, SensitivityOptions,
    forget, sensitivity,
};

/// The images that a model is run on.
#[derive(Debug, Args)]
pub(super) struct ImageArguments {
    /// An image, or a folder of images or of one folder per class; may be repeated [default: seeded random images]
    #[arg(long, value_name = "PATH", conflicts_with_all = ["against", "seed"])]
    images: Vec<PathBuf>,
    /// Images to take at most, at even distances [default: all; 128 with --sensitivity]
    #[arg(long, value_name = "N", requires = "images")]
    count: Option<usize>,
    /// Crops of each image, or a file that describes them [default: 1]
    #[arg(long, value_name = "1|10|12|144|PLAN.toml", requires = "images")]
    crops: Option<String>,
}

impl ImageArguments {
    /// Whether there are any.
    pub(super) fn given(&self) -> bool {
        !self.images.is_empty()
    }

    /// The images; this many of them where nothing is said.
    pub(super) fn options(&self, count: usize) -> ImageOptions {
        ImageOptions {
            paths: self.images.clone(),
            count: self.count.unwrap_or(count),
            crops: self.crops.clone().unwrap_or_else(|| "1".into()),
        }
    }
}

/// What only a measurement of sensitivity takes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Precision plans")]
pub(super) struct SensitivityArguments {
    /// Measure what lowering each block's precision does to the answers for the images given with --images
    #[arg(long, conflicts_with_all = ["against", "memory", "report", "no_noise", "layers", "atol", "rtol", "seed"], requires = "images")]
    pub(super) sensitivity: bool,
    /// What blocks may be lowered to
    #[arg(
        long,
        value_name = "PRECISION,...",
        value_delimiter = ',',
        default_value = "fp16,bf16,int8",
        requires = "sensitivity"
    )]
    lower_to: Vec<Precision>,
    /// Images whose most probable class the plan may change, in percent
    #[arg(long, value_name = "PERCENT", value_parser = percent, default_value = "0", requires = "sensitivity")]
    max_flips: f64,
    /// What the plan makes small: bytes of the file, or arithmetic, multiply-adds times the bits of their operands
    #[arg(long, value_name = "bytes|arithmetic", value_parser = cost, default_value = "bytes", requires = "sensitivity")]
    cost: Cost,
    /// Write the plan, for `incept export --precision-plan`; what was measured is kept beside it until then, so that the
    /// same command goes on where it was interrupted
    #[arg(long, value_name = "PLAN.toml", requires = "sensitivity")]
    plan: Option<PathBuf>,
}

/// What `incept check` takes in more than one of its forms.
pub(super) struct Shared<'a> {
    pub(super) model: &'a Path,
    pub(super) weights: Option<&'a Path>,
    pub(super) runtimes: &'a [String],
    pub(super) batches: &'a [usize],
    pub(super) images: &'a ImageArguments,
    pub(super) json: Option<&'a Path>,
}

pub(super) fn run(
    arguments: &SensitivityArguments,
    shared: &Shared<'_>,
) -> Result<Outcome, Failure> {
    for (flag, given) in [
        ("--runtime", shared.runtimes.len()),
        ("--batch", shared.batches.len()),
    ] {
        if given > 1 {
            return Err(Failure::new(
                format!("{flag}: expected one with --sensitivity, found {given}"),
                "run the command once for each",
            ));
        }
    }
    let journal = arguments.plan.as_ref().map(|plan| {
        let mut path = plan.clone().into_os_string();
        path.push(".journal");
        PathBuf::from(path)
    });
    let default = SensitivityOptions::new(vec![]);
    let options = SensitivityOptions {
        weights: shared.weights.map(Path::to_path_buf),
        images: shared.images.options(DEFAULT_COUNT),
        runtime: shared.runtimes.first().cloned().unwrap_or(default.runtime),
        batch: shared.batches.first().copied().unwrap_or(default.batch),
        precisions: arguments.lower_to.clone(),
        max_flips: arguments.max_flips / 100.0,
        cost: arguments.cost,
        journal: journal.clone(),
    };
    let report = sensitivity(shared.model, &options, &mut progress)?;
    if let (Some(path), 1..) = (&journal, report.known_runs) {
        message(&format!(
            "went on where it was interrupted: {} runs were known from {}",
            report.known_runs,
            path.display()
        ));
    }
    if let Some(path) = &arguments.plan {
        report.to_plan().write(path)?;
    }
    let concluded = conclude(&report, || text(&report), shared.json, &report.notes, true)?;
    if let Some(path) = &arguments.plan {
        message(&format!("wrote {}: the plan", path.display()));
    }
    if let Some(path) = &journal {
        forget(path)?;
    }
    Ok(concluded)
}

fn text(report: &Sensitivity) -> String {
    let mut text = format!(
        "{} ({}) in {}, {} images, beside float32 in the same runtime\n\n",
        report.network, report.variant, report.runtime, report.images
    );
    text += "each block by itself, the most sensitive first: images whose top-1 class changes, and the change of the\n\
             logits in parts of what they differ among each other\n";
    let precisions: Vec<Precision> = report
        .blocks
        .first()
        .map(|block| {
            block
                .lowered
                .iter()
                .map(|lowered| lowered.precision)
                .collect()
        })
        .unwrap_or_default();
    let cost = format!("float32 {}", unit(report.cost));
    let headings: Vec<[String; 2]> = precisions
        .iter()
        .map(|p| [format!("{p} flips"), format!("{p} change")])
        .collect();
    let mut columns = vec![("block", Align::Left), (cost.as_str(), Align::Right)];
    columns.extend(
        headings
            .iter()
            .flatten()
            .map(|heading| (heading.as_str(), Align::Right)),
    );
    columns.push(("planned", Align::Left));
    let mut blocks: Vec<&BlockSensitivity> = report.blocks.iter().collect();
    blocks.sort_by_key(|block| block.rank);
    let rows: Vec<Vec<String>> = blocks
        .iter()
        .map(|block| {
            let planned = report
                .plan
                .blocks
                .get(&block.block)
                .copied()
                .unwrap_or_default();
            let mut row = vec![block.block.clone(), thousands(block.cost)];
            row.extend(block.lowered.iter().flat_map(cells));
            row.push(planned.to_string());
            row
        })
        .collect();
    text += &table(&columns, &rows);
    let refused = report.blocks.iter().flat_map(|block| {
        let refused = block
            .lowered
            .iter()
            .filter_map(|lowered| Some((lowered, lowered.refused.as_ref()?)));
        refused.map(|(lowered, reason)| {
            format!("{} in {}: {reason}\n", block.block, lowered.precision)
        })
    });
    text += &refused.collect::<String>();
    text + &plan(report)
}

fn unit(cost: Cost) -> &'static str {
    match cost {
        Cost::Bytes => "bytes",
        Cost::Arithmetic => "bits",
    }
}

fn cells(lowered: &Lowered) -> [String; 2] {
    match lowered.effect {
        Some(Effect { flips, error, .. }) => [flips.to_string(), format!("{error:.1e}")],
        None => ["-".into(), "-".into()],
    }
}

fn plan(report: &Sensitivity) -> String {
    let plan = &report.plan;
    let effect = plan.effect.unwrap_or_default();
    let (low, high) = interval(effect.flips, report.images);
    let mut counts: Vec<String> = vec![];
    for precision in Precision::ALL {
        let of = |block: &&BlockSensitivity| {
            plan.blocks.get(&block.block).copied().unwrap_or_default() == precision
        };
        match report.blocks.iter().filter(of).count() {
            0 => {}
            count => counts.push(format!("{count} in {precision}")),
        }
    }
    let mut text = format!(
        "\nplan: of {} blocks {}; {} {} instead of {} ({:.1} %)\n",
        report.blocks.len(),
        counts.join(", "),
        thousands(plan.cost),
        unit(report.cost),
        thousands(report.cost_in_float32),
        100.0 * plan.cost as f64 / report.cost_in_float32.max(1) as f64,
    );
    text += &format!(
        "      {} of {} images change their top-1 class, {} allowed; of all such images {low:.1} % to {high:.1} % (95 % interval)\n",
        effect.flips, report.images, report.flips_allowed
    );
    if let (Some(before), Some(after)) = (report.top1_errors, effect.top1_errors) {
        text += &format!("      top-1 errors: {before} in float32, {after} after the plan\n");
    }
    text += &format!(
        "      found in {} runs of whole plans, the cheapest of them that keeps the bound\n",
        report.trials.len()
    );
    text
}

fn percent(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').unwrap_or(text).trim();
    let expected = || format!("expected 0 to 100, found `{text}`");
    let found: f64 = number.parse().map_err(|_| expected())?;
    (0.0..=100.0)
        .contains(&found)
        .then_some(found)
        .ok_or_else(expected)
}

fn cost(text: &str) -> Result<Cost, String> {
    match text {
        "bytes" => Ok(Cost::Bytes),
        "arithmetic" => Ok(Cost::Arithmetic),
        other => Err(format!("expected bytes or arithmetic, found `{other}`")),
    }
}
