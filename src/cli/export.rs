//! `incept export`

mod interface;

use std::path::PathBuf;

use clap::Args;
use incept_exporters::onnx::{self, BatchNorm, ExportOptions};
use incept_exporters::weights::Weights;

use interface::InterfaceArguments;

use super::network::NetworkArguments;
use super::output::message;
use super::{Failure, Outcome};

const IMAGE_SIZE: &str = "Image size in pixels, at least 75 each way; dynamic takes all of them";

/// Write a network as an ONNX file
///
/// The input is `image`, float32 [N, 3, H, W], RGB scaled to [-1, 1], or bytes with --input image; how images are prepared
/// stands in the file's metadata. The same command gives the same bytes.
#[derive(Debug, Args)]
#[command(mut_arg("image_size", |size| size.value_name("N|HxW|dynamic").help(IMAGE_SIZE)))]
pub(super) struct Arguments {
    #[command(flatten)]
    network: NetworkArguments,
    /// The file to write
    #[arg(short, long, value_name = "MODEL.onnx")]
    output_file: PathBuf,
    /// Weights in safetensors, under incept's names
    #[arg(long, value_name = "FILE", conflicts_with = "seed")]
    weights: Option<PathBuf>,
    /// Without weights: seed of the initial ones
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    interface: InterfaceArguments,
    /// Batch normalisation: folded into the convolutions, or kept
    #[arg(long, value_name = "folded|kept", default_value = "folded")]
    batch_norm: BatchNorm,
}

pub(super) fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    let (entry, net, image_size) = arguments.network.build_of_any_size()?;
    let options = ExportOptions {
        batch_norm: arguments.batch_norm,
        ..ExportOptions::default()
    };
    let options = arguments.interface.settle(&net, image_size, options)?;
    // Weights too large for the file might not fit into memory either.
    onnx::check_size(&net, &options)?;
    let weights = match &arguments.weights {
        Some(path) => Weights::read(path)?,
        None => Weights::initial(&net, arguments.seed),
    };
    let path = &arguments.output_file;
    onnx::write(&net, &weights, &options, path)?;
    let source = match &arguments.weights {
        Some(file) => format!("weights from {}", file.display()),
        None => format!("initial weights, seed {}", arguments.seed),
    };
    let heads = options.outputs.iter().map(|head| format!("`{head}`"));
    let layers = options.layers.iter().map(|name| format!("`{name}`"));
    let outputs: Vec<String> = heads.chain(layers).collect();
    message(&format!(
        "wrote {}: {} ({}), {source}, opset {}, batch normalisation {}, output {}",
        path.display(),
        entry.title,
        entry.variant,
        options.opset,
        options.batch_norm,
        outputs.join(", ")
    ));
    Ok(Outcome::Done)
}
