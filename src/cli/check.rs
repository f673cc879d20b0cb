//! `incept check`

use std::path::PathBuf;

use clap::Args;

use super::against::{AgainstArguments, Shared};
use super::output::{Align, message, only_data, print, progress, table, write_json};
use super::{Failure, Outcome, against};
use crate::parity::{CheckOptions, Comparison, DEFAULT_TOLERANCE, ParityReport, Verdict, check};

/// Compare an exported model in each runtime with libtorch in float64
///
/// Final outputs and every stage's output, on seeded random images, at several batch sizes. Exit code 0: parity holds,
/// 1: it does not, 2: the check could not run.
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
    /// Images in a batch, may be repeated [default: 1 and 3]
    #[arg(long = "batch", value_name = "N")]
    batches: Vec<usize>,
    /// Compare every layer, not only every stage
    #[arg(long)]
    layers: bool,
    /// Largest difference allowed, as a share of the largest reference value
    #[arg(long, value_name = "F", default_value_t = DEFAULT_TOLERANCE)]
    tolerance: f64,
    /// Seed of the input images
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Write the numbers as JSON; `-` for standard output
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    #[command(flatten)]
    against: AgainstArguments,
}

pub(super) fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
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
    let mut options = CheckOptions {
        runtimes: arguments.runtimes.clone(),
        weights: arguments.weights.clone(),
        layers: arguments.layers,
        tolerance: arguments.tolerance,
        seed: arguments.seed,
        ..CheckOptions::default()
    };
    if !arguments.batches.is_empty() {
        options.batches.clone_from(&arguments.batches);
    }
    if !(options.tolerance.is_finite() && options.tolerance >= 0.0) {
        let found = options.tolerance;
        return Err(Failure::new(
            format!("--tolerance: expected a number from 0 up, found {found}"),
            format!("the default is {DEFAULT_TOLERANCE:e}"),
        ));
    }
    let report = check(&arguments.model, &options, &mut progress)?;
    if let Some(path) = &arguments.json {
        write_json(path, &report)?;
    }
    if !only_data(arguments.json.as_deref()) {
        print(&text(&report))?;
    }
    report
        .notes
        .iter()
        .for_each(|note| message(&format!("note: {note}")));
    Ok(if report.holds {
        Outcome::Done
    } else {
        Outcome::CheckFailed
    })
}

fn text(report: &ParityReport) -> String {
    let mut text = format!(
        "{} ({}) beside {}\nholds where {}\nwith tolerance {:e}\n\n",
        report.network, report.variant, report.reference, report.formula, report.tolerance
    );
    let mut rows = vec![];
    for runtime in &report.runtimes {
        rows.extend(
            runtime
                .comparisons
                .iter()
                .map(|comparison| row(&runtime.runtime, comparison)),
        );
    }
    let columns = [
        ("runtime", Align::Left),
        ("batch", Align::Right),
        ("value", Align::Left),
        ("max error", Align::Right),
        ("mean error", Align::Right),
        ("relative", Align::Right),
        ("1 - cosine", Align::Right),
        ("top-1", Align::Right),
        ("verdict", Align::Left),
    ];
    text += &table(&columns, &rows);
    let failed = rows.iter().filter(|row| row[8] != "holds").count();
    text += &match (rows.len(), failed) {
        (0, _) => "\nparity FAILS: nothing was compared\n".to_string(),
        (all, 0) => format!("\nparity holds: {all} of {all} comparisons within the tolerance\n"),
        (all, failed) => format!("\nparity FAILS: {failed} of {all} comparisons\n"),
    };
    text
}

fn row(runtime: &str, comparison: &Comparison) -> Vec<String> {
    let number =
        |value: Option<f64>| value.map_or_else(|| "-".into(), |value| format!("{value:.2e}"));
    let metrics = comparison.metrics;
    let agreement = metrics.and_then(|m| m.top1_agreement);
    vec![
        runtime.into(),
        comparison.batch.to_string(),
        comparison.value.clone(),
        number(metrics.map(|m| m.max_absolute_error)),
        number(metrics.map(|m| m.mean_absolute_error)),
        number(metrics.map(|m| m.relative_error)),
        number(metrics.map(|m| (1.0 - m.cosine).max(0.0))),
        agreement.map_or_else(String::new, |share| format!("{:.0} %", 100.0 * share)),
        match &comparison.verdict {
            Verdict::Holds => "holds".into(),
            Verdict::Fails { reason } => format!("FAILS: {reason}"),
        },
    ]
}
