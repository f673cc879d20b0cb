//! `incept export`

use std::path::PathBuf;

use clap::Args;
use incept_exporters::onnx::{self, Batch, BatchNorm, DEFAULT_OPSET, ExportOptions, Output};
use incept_exporters::weights::Weights;

use super::network::NetworkArguments;
use super::output::message;
use super::weights::FileArguments;
use super::{Failure, Outcome};

/// Write a network as an ONNX file
///
/// The input is `image`, float32 [N, 3, H, W], RGB scaled to [-1, 1]. The same command gives the same bytes.
#[derive(Debug, Args)]
#[command(mut_arg("name", |name| name.required(false).required_unless_present("weights")))]
pub(super) struct Arguments {
    #[command(flatten)]
    network: NetworkArguments,
    /// The file to write
    #[arg(short, long, value_name = "MODEL.onnx")]
    output_file: PathBuf,
    /// Weights, under the names of any library that has the network; NET and --variant may be left to the file
    #[arg(long, value_name = "FILE", conflicts_with = "seed")]
    weights: Option<PathBuf>,
    #[command(flatten, next_help_heading = "Reading the weights")]
    file: FileArguments,
    /// Without weights: seed of the initial ones
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Images in a batch
    #[arg(long, value_name = "dynamic|N", default_value = "dynamic")]
    batch: Batch,
    /// Version of ONNX's operator set
    #[arg(long, value_name = "N", default_value_t = DEFAULT_OPSET)]
    opset: u32,
    /// What the model puts out
    #[arg(
        long,
        value_name = "logits|probabilities|features",
        default_value = "logits"
    )]
    output: Output,
    /// Batch normalisation: folded into the convolutions, or kept
    #[arg(long, value_name = "folded|kept", default_value = "folded")]
    batch_norm: BatchNorm,
}

pub(super) fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    let opened = match &arguments.weights {
        Some(path) => {
            let without_classifier = arguments.output == Output::Features;
            let opened = arguments
                .network
                .open(path, &arguments.file, without_classifier)?;
            message(&opened.report.to_string());
            Some(opened)
        }
        None => None,
    };
    let (entry, net, weights) = match opened {
        Some(opened) => (opened.entry, opened.net, Some(opened.weights)),
        None => {
            let (entry, net) = arguments.network.build()?;
            (entry, net, None)
        }
    };
    let options = ExportOptions {
        opset: arguments.opset,
        batch: arguments.batch,
        output: arguments.output,
        batch_norm: arguments.batch_norm,
    };
    // Weights too large for the file might not fit into memory either.
    onnx::check_size(&net, &options)?;
    let weights = weights.unwrap_or_else(|| Weights::initial(&net, arguments.seed));
    let path = &arguments.output_file;
    onnx::write(&net, &weights, &options, path)?;
    let source = match &arguments.weights {
        Some(file) => format!("weights from {}", file.display()),
        None => format!("initial weights, seed {}", arguments.seed),
    };
    message(&format!(
        "wrote {}: {} ({}), {source}, opset {}, batch normalisation {}, output `{}`",
        path.display(),
        entry.title,
        entry.variant,
        options.opset,
        options.batch_norm,
        options.output
    ));
    Ok(Outcome::Done)
}
