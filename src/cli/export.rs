//! `incept export`

use std::path::PathBuf;

use clap::Args;
use incept_exporters::onnx::{
    self, Batch, BatchNorm, DEFAULT_OPSET, Destination, ExportOptions, Output, Precision,
    PrecisionOptions, PrecisionReport,
};
use incept_exporters::weights::Weights;

use super::network::NetworkArguments;
use super::output::{Align, message, table, thousands};
use super::{Failure, Outcome};
use crate::provenance::Provenance;

/// Write a network as an ONNX file
///
/// The input is `image`, float32 [N, 3, H, W], RGB scaled to [-1, 1]. The same command gives the same bytes.
#[derive(Debug, Args)]
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
    /// Images in a batch
    #[arg(long, value_name = "dynamic|N", default_value = "dynamic")]
    batch: Batch,
    #[arg(long, value_name = "N", help = format!("Version of ONNX's operator set [default: {DEFAULT_OPSET}, or the oldest that has what is asked for]"))]
    opset: Option<u32>,
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
    #[command(flatten)]
    precision: PrecisionArguments,
    /// Keep the tensors in a file beside the model [default name: MODEL.onnx.data]
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    external_data: Option<Option<PathBuf>>,
    /// Write hashes of everything read and written [default name: MODEL.onnx.manifest.json]
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    manifest: Option<Option<PathBuf>>,
}

/// In which precision.
#[derive(Debug, Args)]
struct PrecisionArguments {
    /// What weights are stored and layers computed in
    #[arg(long, value_name = "fp32|fp16|bf16", default_value = "fp32")]
    precision: Precision,
    /// The image and the outputs in that precision too, rather than in float32
    #[arg(long)]
    half_inputs_outputs: bool,
    /// With bf16: operators on bfloat16 itself, for runtimes that have them (ONNX Runtime's CPU has none)
    #[arg(long)]
    native_bfloat16: bool,
    /// Store numbers beyond the precision's largest as the largest, rather than failing
    #[arg(long)]
    allow_clamp: bool,
}

impl PrecisionArguments {
    fn options(&self) -> Result<PrecisionOptions, Failure> {
        let options = PrecisionOptions {
            precision: self.precision,
            half_inputs_outputs: self.half_inputs_outputs,
            native_bfloat16: self.native_bfloat16,
            allow_clamp: self.allow_clamp,
        };
        let half = options.precision != Precision::Fp32;
        for (flag, given, fits, precision) in [
            (
                "--half-inputs-outputs",
                options.half_inputs_outputs,
                half,
                "fp16 or bf16",
            ),
            ("--allow-clamp", options.allow_clamp, half, "fp16 or bf16"),
            (
                "--native-bfloat16",
                options.native_bfloat16,
                options.precision == Precision::Bf16,
                "bf16",
            ),
        ] {
            if given && !fits {
                return Err(Failure::new(
                    format!(
                        "{flag}: expected --precision {precision}, found {}",
                        options.precision
                    ),
                    format!("leave {flag} out, or give the precision"),
                ));
            }
        }
        Ok(options)
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    let (entry, net) = arguments.network.build()?;
    let precision = arguments.precision.options()?;
    let (oldest_opset, _) = precision.oldest_opset(arguments.batch_norm);
    let options = ExportOptions {
        opset: arguments.opset.unwrap_or(DEFAULT_OPSET.max(oldest_opset)),
        batch: arguments.batch,
        output: arguments.output,
        batch_norm: arguments.batch_norm,
        precision,
    };
    if arguments.external_data.is_none() {
        // Weights too large for the file might not fit into memory either.
        onnx::check_size(&net, &options)?;
    }
    let weights = match &arguments.weights {
        Some(path) => Weights::read(path)?,
        None => Weights::initial(&net, arguments.seed),
    };
    let destination = arguments.destination()?;
    let exported = onnx::export(&net, &weights, &options, &destination)?;
    let source = match &arguments.weights {
        Some(file) => format!("weights from {}", file.display()),
        None => format!("initial weights, seed {}", arguments.seed),
    };
    message(&format!(
        "wrote {}: {} ({}), {source}, opset {}, batch normalisation {}, output `{}`",
        destination.model.display(),
        entry.title,
        entry.variant,
        options.opset,
        options.batch_norm,
        options.output
    ));
    for (path, what) in [
        (&destination.data, "its tensors"),
        (&destination.manifest, "its manifest"),
    ] {
        if let Some(path) = path {
            message(&format!("wrote {}: {what}", path.display()));
        }
    }
    if let Some(report) = &exported.precision {
        message(text(report).trim_end());
    }
    Ok(Outcome::Done)
}

impl Arguments {
    fn destination(&self) -> Result<Destination, Failure> {
        let model = &self.output_file;
        let beside = |asked: &Option<Option<PathBuf>>, ending: &str| {
            let named = |file: &Option<PathBuf>| match file {
                Some(file) => file.clone(),
                None => {
                    let mut name = model.clone().into_os_string();
                    name.push(ending);
                    name.into()
                }
            };
            asked.as_ref().map(named)
        };
        let manifest = beside(&self.manifest, ".manifest.json");
        let mut provenance = Provenance::of_this_run();
        if let (Some(weights), Some(_)) = (&self.weights, &manifest) {
            provenance.add_file(weights)?;
        }
        Ok(Destination {
            model: model.clone(),
            data: beside(&self.external_data, ".data"),
            manifest,
            provenance: onnx::Provenance {
                version: provenance.version,
                command: provenance.command,
                inputs: provenance.inputs,
            },
        })
    }
}

/// Tensors shown at most.
const SHOWN: usize = 10;

/// What rounding lost beyond the last bits.
fn text(report: &PrecisionReport) -> String {
    let worst = report.worst();
    let mut text = format!(
        "{}: {} numbers rounded once, {} clamped, {} became 0, {} lost bits below the smallest normal number",
        report.precision,
        thousands(report.elements),
        thousands(report.clamped),
        thousands(report.underflows),
        thousands(report.subnormals),
    );
    if worst.is_empty() {
        return text;
    }
    let rows = worst.iter().take(SHOWN).map(|tensor| {
        let counts = [
            tensor.elements,
            tensor.clamped,
            tensor.underflows,
            tensor.subnormals,
        ];
        let counts = counts.map(thousands);
        std::iter::once(tensor.name.clone()).chain(counts).collect()
    });
    let columns = [
        ("tensor", Align::Left),
        ("numbers", Align::Right),
        ("clamped", Align::Right),
        ("became 0", Align::Right),
        ("subnormal", Align::Right),
    ];
    text += &format!("\n{}", table(&columns, &rows.collect::<Vec<_>>()));
    if worst.len() > SHOWN {
        text += &format!("and {} more; --manifest lists all\n", worst.len() - SHOWN);
    }
    text
}
