//! `incept bisect`

use std::path::PathBuf;

use clap::Args;

use super::against::{FeedArguments, ToleranceArguments};
use super::output::{conclude, progress};
use super::{Failure, Outcome};
use crate::parity::against::DEFAULT_RUNTIME;
use crate::parity::bisect::{BisectOptions, BisectReport, bisect};

/// Nodes that are shown.
const SHOWN: usize = 10;

/// Cut a failing model down to the smallest part that still fails, as a bug report
///
/// Beside another file (--against) or another runtime (--reference-runtime). Halves the graph until its beginning fails,
/// begins as late as it still fails, takes away every node that is not needed, and makes the inputs smaller. The folder
/// holds the part as model.onnx, its inputs and the reference's outputs as ONNX's test data, and a report with the
/// commands to see it in ONNX Runtime, tract and Polygraphy. Exit code 0: the model does not fail, and nothing is written,
/// 1: it fails, and the report is written, 2: the bisection could not run.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The model that fails, called A: any ONNX file
    #[arg(value_name = "MODEL.onnx")]
    model: PathBuf,
    /// A file with equal inputs and outputs that does not fail, called B
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// The runtime in which it fails
    #[arg(long, value_name = "NAME", default_value = DEFAULT_RUNTIME)]
    runtime: String,
    /// The runtime in which it does not [default: with --against that of --runtime]
    #[arg(long, value_name = "NAME", required_unless_present = "against")]
    reference_runtime: Option<String>,
    /// The folder for the bug report; one that holds anything is not touched
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// Images in the batch, where the file leaves that open [default: 1]
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    #[command(flatten)]
    feed: FeedArguments,
    #[command(flatten)]
    tolerances: ToleranceArguments,
    /// Seed of the random inputs
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Write what was found as JSON; `-` for standard output
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    let options = BisectOptions {
        against: arguments.against.clone(),
        runtime: arguments.runtime.clone(),
        reference_runtime: arguments
            .reference_runtime
            .clone()
            .unwrap_or_else(|| arguments.runtime.clone()),
        inputs: arguments.feed.options(arguments.batch, arguments.seed),
        tolerance: arguments.tolerances.tolerance(),
        out: arguments.output.clone(),
    };
    let report = bisect(&arguments.model, &options, &mut progress)?;
    let text = || match &report {
        Some(report) => text(report, arguments),
        None => "the model does not fail: nothing was written\n".into(),
    };
    let json = arguments.json.as_deref();
    conclude(&report, text, json, &[], report.is_none())
}

fn text(report: &BisectReport, arguments: &Arguments) -> String {
    let mut text = format!(
        "A, which fails:    {}, in {}\nB, the reference:  {}, in {}\n\n{} of {} nodes are left, after {} trials:\n",
        report.a.path.display(),
        report.a.version,
        report.b.path.display(),
        report.b.version,
        report.nodes.len(),
        report.of_nodes,
        report.tried,
    );
    for node in report.nodes.iter().take(SHOWN) {
        text += &format!("  {} `{}`\n", node.operator, node.name);
    }
    if report.nodes.len() > SHOWN {
        text += &format!("  and {} more\n", report.nodes.len() - SHOWN);
    }
    for input in &report.inputs {
        text += &format!("fed with `{}` {:?}\n", input.name, input.shape);
    }
    text + &format!(
        "{}\n\n{}\n",
        report.failure_text(),
        arguments.output.join("report.md").display()
    )
}
