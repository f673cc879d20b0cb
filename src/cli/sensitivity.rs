//! `incept check --sensitivity`: what each block's precision does to the answers, and a plan.

use std::path::{Path, PathBuf};

use clap::Args;
use incept_exporters::files::folder_of;
use incept_exporters::onnx::Precision;

use super::output::{Align, conclude, message, progress, table, thousands, with_ending};
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
    /// With or without --sensitivity: an image, or a folder of images or of one folder per class; may be repeated
    /// [default: seeded random images]
    #[arg(long, value_name = "PATH", conflicts_with_all = ["against", "seed"])]
    images: Vec<PathBuf>,
    /// With --images: how many to take at most, at even distances [default: all; 128 with --sensitivity]
    #[arg(long, value_name = "N", requires = "images")]
    count: Option<usize>,
    /// With --images: crops of each, or a file that describes them [default: 1]
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
    #[arg(long, value_name = "fp16,bf16,int8", value_delimiter = ',', value_parser = lower, default_value = "fp16,bf16,int8", requires = "sensitivity")]
    lower_to: Vec<Precision>,
    /// The bound: at most so many percent of the images may change their most probable class
    #[arg(long, value_name = "PERCENT", value_parser = percent, default_value = "0", requires = "sensitivity")]
    max_flips: f64,
    /// What the plan makes small: bytes of tensors, or arithmetic, multiply-adds times the bits of their operands
    #[arg(long, value_name = "bytes|arithmetic", value_parser = cost, default_value = "bytes", requires = "sensitivity")]
    cost: Cost,
    /// Write the plan, for `incept export --precision-plan`; what was measured is kept beside it until then, so that the
    /// same command goes on where it was interrupted
    #[arg(long, value_name = "PLAN.toml", requires = "sensitivity")]
    plan: Option<PathBuf>,
    /// Run the plan on these images too, which it was not chosen with; may be repeated
    #[arg(long, value_name = "PATH", requires = "sensitivity")]
    unseen_images: Vec<PathBuf>,
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
    let given = [
        ("--runtime", shared.runtimes.len()),
        ("--batch", shared.batches.len()),
    ];
    if let Some((flag, given)) = given.into_iter().find(|(_, given)| *given > 1) {
        return Err(Failure::new(
            format!("{flag}: expected one with --sensitivity, found {given}"),
            "run the command once for each",
        ));
    }
    let plan = arguments.plan.as_deref();
    check_places(plan, shared.json)?;
    let journal = plan.map(|plan| with_ending(plan, ".journal"));
    let default = SensitivityOptions::new(vec![]);
    let options = SensitivityOptions {
        weights: shared.weights.map(Path::to_path_buf),
        images: shared.images.options(DEFAULT_COUNT),
        unseen: arguments.unseen_images.clone(),
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
    let concluded = conclude(&report, || text(&report), shared.json, &report.notes, true)?;
    if let (Some(plan), Some(journal)) = (plan, &journal) {
        report.to_plan().write(plan)?;
        message(&format!("wrote {}: the plan", plan.display()));
        forget(journal)?;
    }
    Ok(concluded)
}

/// Refuses places that cannot be written, before hours are spent.
fn check_places(plan: Option<&Path>, json: Option<&Path>) -> Result<(), Failure> {
    if plan == Some(Path::new("-")) {
        return Err(Failure::new(
            "--plan: expected a file, found `-`",
            "standard output is for --json -",
        ));
    }
    if plan.is_some() && plan == json {
        return Err(Failure::new(
            "--plan and --json name the same file",
            "give each its own",
        ));
    }
    for (flag, path) in [
        ("--plan", plan),
        ("--json", json.filter(|path| *path != Path::new("-"))),
    ] {
        let Some(path) = path else { continue };
        let folder = folder_of(path);
        if path.is_dir() || !folder.is_dir() {
            return Err(Failure::new(
                format!(
                    "{flag}: expected a file in a folder that is there, found `{}`",
                    path.display()
                ),
                format!(
                    "create the folder `{}`, or name another place",
                    folder.display()
                ),
            ));
        }
    }
    Ok(())
}

fn text(report: &Sensitivity) -> String {
    let mut text = format!(
        "{} ({}) in {}, {} images, beside float32 in the same runtime\n\n",
        report.network, report.variant, report.runtime, report.images
    );
    text += "each block by itself, the most sensitive first. Flips: images whose most probable class changes. Change: of the\n\
             logits, root mean square, as a share of their own standard deviation\n";
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
    let cost = format!("fp32 {}", unit(report.cost));
    let headings: Vec<[String; 2]> = precisions
        .iter()
        .map(|precision| [format!("{precision} flips"), "change".into()])
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
            let planned = report.plan.blocks.get(&block.block).copied();
            let mut row = vec![block.block.clone(), thousands(block.cost)];
            row.extend(block.lowered.iter().flat_map(cells));
            row.push(planned.unwrap_or_default().to_string());
            row
        })
        .collect();
    text += &table(&columns, &rows);
    text += &refusals(report);
    text + &plan(report)
}

/// What could not be measured: each reason once.
fn refusals(report: &Sensitivity) -> String {
    let mut reasons: Vec<(String, usize)> = vec![];
    for lowered in report.blocks.iter().flat_map(|block| &block.lowered) {
        let Some(reason) = &lowered.refused else {
            continue;
        };
        let line = format!("{}: {reason}", lowered.precision);
        match reasons.iter_mut().find(|(known, _)| *known == line) {
            Some((_, count)) => *count += 1,
            None => reasons.push((line, 1)),
        }
    }
    let lines = reasons
        .iter()
        .map(|(line, count)| format!("not measured in {count} blocks, {line}\n"));
    lines.collect()
}

fn unit(cost: Cost) -> &'static str {
    match cost {
        Cost::Bytes => "bytes",
        Cost::Arithmetic => "multiply-adds × bits",
    }
}

fn cells(lowered: &Lowered) -> [String; 2] {
    match lowered.effect {
        Some(Effect { flips, change, .. }) => [flips.to_string(), format!("{change:.1e}")],
        None => ["-".into(), "-".into()],
    }
}

fn plan(report: &Sensitivity) -> String {
    let plan = &report.plan;
    let effect = plan.effect.unwrap_or_default();
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
        "\nplan: {} blocks, {}; {} {} of tensors instead of {} ({:.1} %)\n",
        report.blocks.len(),
        counts.join(", "),
        thousands(plan.cost),
        unit(report.cost),
        thousands(report.cost_in_float32),
        100.0 * plan.cost as f64 / report.cost_in_float32.max(1) as f64,
    );
    if report.cost == Cost::Arithmetic {
        text = text.replace(" of tensors", "");
    }
    text += &format!(
        "      {} of {} images change their most probable class; the bound of {} % allows {}\n",
        effect.flips,
        report.images,
        (report.max_flips * 1e4).round() / 100.0,
        report.flips_allowed
    );
    if let Some(class) = report.only_class {
        text += &format!(
            "      all images have the same most probable class in float32, {class}: that none changes says little\n"
        );
    }
    if let (Some(before), Some(after)) = (report.top1_errors, effect.top1_errors) {
        text += &format!("      top-1 errors: {before} in float32, {after} after the plan\n");
    }
    if let Some(unseen) = &report.unseen {
        let (low, high) = interval(unseen.effect.flips, unseen.images);
        text += &format!(
            "      on images it was not chosen with: {} of {} change, {low:.1} % to {high:.1} % of all such (95 % interval)\n",
            unseen.effect.flips, unseen.images
        );
        if let (Some(before), Some(after)) = (unseen.top1_errors, unseen.effect.top1_errors) {
            text +=
                &format!("      top-1 errors there: {before} in float32, {after} after the plan\n");
        }
    }
    match report.trials.len() {
        0 => text + "      nothing could be lowered: no plan was run\n",
        1 => text + "      everything that could be lowered is: one plan was run\n",
        runs => {
            text + &format!(
                "      the cheapest of {runs} plans that were run which keeps the bound\n"
            )
        }
    }
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

fn lower(text: &str) -> Result<Precision, String> {
    let found = text
        .parse()
        .ok()
        .filter(|precision| *precision != Precision::Fp32);
    found.ok_or_else(|| format!("expected fp16, bf16 or int8, found `{text}`"))
}

fn cost(text: &str) -> Result<Cost, String> {
    match text {
        "bytes" => Ok(Cost::Bytes),
        "arithmetic" => Ok(Cost::Arithmetic),
        other => Err(format!("expected bytes or arithmetic, found `{other}`")),
    }
}
