//! `incept check`

mod text;

use std::path::PathBuf;

use clap::Args;

use super::against::{AgainstArguments, Shared};
use super::output::{conclude, progress};
use super::sensitivity::{ImageArguments, SensitivityArguments};
use super::{Failure, Outcome, against, sensitivity};
use crate::parity::{CheckOptions, DEFAULT_MEMORY, check};
use crate::report::write_check;

/// Compare an exported model in each runtime with libtorch in float64, layer by layer
///
/// Every layer is computed by itself from the reference's values (isolated) and from what the runtime computed before
/// (accumulated), on seeded random images or on those given. Errors are in units of what rounding explains in the file's precision; so are
/// those of the file's outputs, at several batch sizes. Exit code 0: parity holds, 1: it does not, 2: the check could not
/// run.
///
/// With --sensitivity: what lowering the precision of each block does to the answers for given images, and the plan that
/// lowers as much as a bound on changed answers allows.
///
/// With --against: any ONNX file beside any other of equal inputs and outputs, layer by layer, told by the graphs'
/// structure where names differ.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The model: as `incept export` wrote it, or with --against any
    #[arg(value_name = "MODEL.onnx")]
    model: PathBuf,
    /// The weights it was exported from; not needed if it was exported from a seed
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// A runtime to check, may be repeated [default: ort and rten]
    #[arg(long = "runtime", value_name = "NAME")]
    runtimes: Vec<String>,
    #[command(flatten)]
    images: ImageArguments,
    /// Images in a batch, may be repeated [default: 1 and 3; with --images all of them]; every layer of the largest is
    /// compared
    #[arg(long = "batch", value_name = "N")]
    batches: Vec<usize>,
    /// Show every layer, not only the worst of each block
    #[arg(long)]
    layers: bool,
    /// Memory that the comparison of layers may take: bytes, or with KiB, MiB or GiB
    #[arg(long, value_name = "SIZE", value_parser = size, default_value = "2GiB")]
    memory: u64,
    /// Do not measure what each runtime differs from itself
    #[arg(long)]
    no_noise: bool,
    /// Seed of the input images
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Write the numbers as JSON; `-` for standard output
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write a page into this folder, check.html, and the numbers beside it
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    #[command(flatten)]
    sensitivity: SensitivityArguments,
    #[command(flatten)]
    against: AgainstArguments,
}

pub(super) fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    debug_assert_eq!(size("2GiB"), Ok(DEFAULT_MEMORY));
    if let Some(reference) = &arguments.against.against {
        let shared = Shared {
            model: &arguments.model,
            runtimes: &arguments.runtimes,
            batches: &arguments.batches,
            layers: arguments.layers,
            seed: arguments.seed,
            json: arguments.json.as_deref(),
        };
        return against::run(reference, &arguments.against, &shared);
    }
    arguments.against.refuse_alone()?;
    if arguments.sensitivity.sensitivity {
        let shared = sensitivity::Shared {
            model: &arguments.model,
            weights: arguments.weights.as_deref(),
            runtimes: &arguments.runtimes,
            batches: &arguments.batches,
            images: &arguments.images,
            json: arguments.json.as_deref(),
        };
        return sensitivity::run(&arguments.sensitivity, &shared);
    }
    let mut options = CheckOptions {
        runtimes: arguments.runtimes.clone(),
        weights: arguments.weights.clone(),
        rule: arguments.against.rule(),
        images: arguments
            .images
            .given()
            .then(|| arguments.images.options(usize::MAX)),
        seed: arguments.seed,
        noise: !arguments.no_noise,
        memory: arguments.memory,
        ..CheckOptions::default()
    };
    if arguments.images.given() && !arguments.batches.is_empty() {
        return Err(Failure::new(
            "--batch and --images exclude each other",
            "the images are one batch, run in parts that fit --memory",
        ));
    }
    if !arguments.batches.is_empty() {
        options.batches.clone_from(&arguments.batches);
    }
    let report = check(&arguments.model, &options, &mut progress)?;
    if let Some(folder) = &arguments.report {
        write_check(&report, folder)?;
    }
    let text = || text::of(&report, arguments.layers);
    let json = arguments.json.as_deref();
    conclude(&report, text, json, &report.notes, report.holds)
}

/// A number of bytes: `2GiB`, `512MiB`, `1048576`.
fn size(text: &str) -> Result<u64, String> {
    let units = [("KiB", 10), ("MiB", 20), ("GiB", 30), ("", 0)];
    let expected = || format!("expected a size such as 2GiB, found `{text}`");
    let split = units
        .iter()
        .find_map(|(unit, bits)| Some((text.strip_suffix(unit)?, bits)));
    let (number, bits) = split.ok_or_else(expected)?;
    let number: u64 = number.trim().parse().map_err(|_| expected())?;
    number.checked_mul(1 << bits).ok_or_else(expected)
}
