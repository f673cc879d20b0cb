//! `incept golden`

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::output::{Align, conclude, message, progress, table};
use super::{Failure, Outcome};
use crate::golden::{
    Compared, GoldenReport, Kind, Layers, ONNX_TOLERANCE, Record, Verdict, VerifyOptions,
    WriteOptions, verify, write,
};

/// Golden bundles: a model with inputs and what has to come out, in the layout of ONNX's backend tests
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Write(WriteArguments),
    Verify(VerifyArguments),
}

/// Write a bundle of a model: the model, seeded inputs, and the outputs that a reference computes
///
/// The reference is libtorch in float64, built from the network's description and its weights, where this build and the
/// model allow it; else ONNX Runtime without optimisation. The bundle says which. DIR appears whole or not at all; a bundle
/// that is there makes way, anything else does not.
#[derive(Debug, Args)]
struct WriteArguments {
    /// The folder to write
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// The model, as `incept export` wrote it, or anyone's
    #[arg(long, value_name = "MODEL.onnx")]
    model: PathBuf,
    /// The weights it was exported from; not needed if it was exported from a seed
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// What computes the outputs: `libtorch` or a runtime [default: libtorch if it can, else ort]
    #[arg(long, value_name = "NAME")]
    reference: Option<String>,
    /// Images in each data set, unless the model fixes it
    #[arg(long, visible_alias = "batch", value_name = "N", default_value_t = 1)]
    images: usize,
    /// Data sets, each with inputs of its own
    #[arg(long, value_name = "N", default_value_t = 1)]
    data_sets: usize,
    /// Seed of the first data set's inputs; each further one has the next
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Keep checksums of every layer, not only of every stage
    #[arg(long, conflicts_with = "outputs")]
    layers: bool,
    /// Keep checksums of these values instead
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    outputs: Vec<String>,
}

/// Run bundles in each runtime and compare what comes out with what they hold
///
/// An output holds where |actual - reference| <= atol + rtol * |reference| for every number; the reference is the bundle's.
/// Tolerances are those of the flags, else the bundle's own, else those of ONNX's backend tests, rtol 1e-3 and atol 1e-7.
/// Whole numbers and booleans must be equal. Exit code 0: all that was compared holds, 1: something does not or a runtime
/// matched nothing, 2: it could not run.
#[derive(Debug, Args)]
struct VerifyArguments {
    /// A bundle, or a folder of bundles, whoever made them
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// A runtime to verify, may be repeated [default: ort and rten]
    #[arg(long = "runtime", value_name = "NAME")]
    runtimes: Vec<String>,
    /// Run this model instead of the bundle's own
    #[arg(long, value_name = "MODEL.onnx")]
    model: Option<PathBuf>,
    /// Largest difference allowed of any number
    #[arg(long, value_name = "F", value_parser = tolerance)]
    atol: Option<f64>,
    /// Largest further difference allowed, as a share of the reference's number
    #[arg(long, value_name = "F", value_parser = tolerance)]
    rtol: Option<f64>,
    /// Compare the layers' checksums too
    #[arg(long)]
    layers: bool,
    /// Largest difference allowed in a layer, as a share of its largest magnitude [default: the bundle's]
    #[arg(long, value_name = "F", value_parser = tolerance)]
    tolerance: Option<f64>,
    /// Write the numbers as JSON; `-` for standard output
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

fn tolerance(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "expected a number".to_string())?;
    match number.is_finite() && number >= 0.0 {
        true => Ok(number),
        false => Err(format!("expected a number from 0 up, found {number}")),
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    match &arguments.command {
        Command::Write(arguments) => run_write(arguments),
        Command::Verify(arguments) => run_verify(arguments),
    }
}

fn run_write(arguments: &WriteArguments) -> Result<Outcome, Failure> {
    let options = WriteOptions {
        model: arguments.model.clone(),
        weights: arguments.weights.clone(),
        reference: arguments.reference.clone(),
        batch: arguments.images,
        data_sets: arguments.data_sets,
        seed: arguments.seed,
        layers: match (arguments.layers, arguments.outputs.as_slice()) {
            (true, _) => Layers::All,
            (false, []) => Layers::Stages,
            (false, names) => Layers::Named(names.to_vec()),
        },
    };
    let record = write(&arguments.folder, &options, &mut progress)?;
    message(&written(arguments, &record));
    Ok(Outcome::Done)
}

fn written(arguments: &WriteArguments, record: &Record) -> String {
    let values = record.data_sets.first().map_or(0, |set| set.values.len());
    let data_sets = match record.data_sets.len() {
        1 => "1 data set".to_string(),
        many => format!("{many} data sets"),
    };
    format!(
        "wrote {}: {data_sets}, checksums of {values} values, reference {}",
        arguments.folder.display(),
        record.reference
    )
}

fn run_verify(arguments: &VerifyArguments) -> Result<Outcome, Failure> {
    let options = VerifyOptions {
        runtimes: arguments.runtimes.clone(),
        model: arguments.model.clone(),
        atol: arguments.atol,
        rtol: arguments.rtol,
        layers: arguments.layers,
        tolerance: arguments.tolerance,
    };
    let report = verify(&arguments.folder, &options, &mut progress)?;
    let json = arguments.json.as_deref();
    conclude(&report, || text(&report), json, &report.notes, report.holds)
}

fn text(report: &GoldenReport) -> String {
    let mut text = format!(
        "holds where {}\nunless a bundle or a flag says otherwise: atol {:e}, rtol {:e}\n\n",
        report.formula, ONNX_TOLERANCE.atol, ONNX_TOLERANCE.rtol
    );
    // Of one bundle everything is shown, of many what did not match.
    let shown = report
        .values
        .iter()
        .filter(|value| report.bundles == 1 || value.verdict != Verdict::Matched);
    let rows: Vec<Vec<String>> = shown.map(row).collect();
    let columns = [
        ("bundle", Align::Left),
        ("data set", Align::Left),
        ("runtime", Align::Left),
        ("value", Align::Left),
        ("max error", Align::Right),
        ("atol", Align::Right),
        ("rtol", Align::Right),
        ("verdict", Align::Left),
    ];
    if !rows.is_empty() {
        text += &table(&columns, &rows);
        text.push('\n');
    }
    for runtime in &report.runtimes {
        let counts = runtime.counts;
        text += &format!(
            "{} ({}): {} matched, {} failed, {} unchecked\n",
            runtime.runtime, runtime.version, counts.matched, counts.failed, counts.unchecked
        );
    }
    let idle = report.runtimes.iter().find(|r| r.counts.matched == 0);
    let bundles = match report.bundles {
        1 => "1 bundle".to_string(),
        many => format!("{many} bundles"),
    };
    text += &match (report.holds, report.counts.failed, idle) {
        (true, ..) => format!("{bundles} verified\n"),
        (false, 0, Some(idle)) => format!("FAILS: nothing matched in {}\n", idle.runtime),
        (false, failed, _) => format!("FAILS: {failed} failures in {bundles}\n"),
    };
    text
}

fn row(value: &Compared) -> Vec<String> {
    let number =
        |value: Option<f64>| value.map_or_else(|| "-".into(), |value| format!("{value:.2e}"));
    let value_name = match value.kind {
        Kind::Output => value.value.clone(),
        Kind::Layer => format!("{} (layer)", value.value),
        Kind::Whole => "-".into(),
    };
    let error = match value.kind {
        Kind::Layer => value.distance.map_or_else(
            || "-".into(),
            |distance| format!("{:.0} %", 100.0 * distance),
        ),
        _ => number(
            value
                .differences
                .map(|differences| differences.max_absolute_error),
        ),
    };
    vec![
        value.bundle.clone(),
        value.data_set.clone(),
        value.runtime.clone(),
        value_name,
        error,
        number(value.tolerance.map(|tolerance| tolerance.atol)),
        number(value.tolerance.map(|tolerance| tolerance.rtol)),
        match &value.verdict {
            Verdict::Matched => "matched".into(),
            Verdict::Failed { reason } => format!("FAILED: {reason}"),
            Verdict::Unchecked { reason } => format!("unchecked: {reason}"),
        },
    ]
}
