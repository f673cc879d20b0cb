//! `incept export`

mod interface;

use std::path::PathBuf;

use clap::Args;
use incept_exporters::net::Net;
use incept_exporters::onnx::{
    self, BatchNorm, Destination, ExportOptions, Precision, PrecisionOptions, PrecisionReport,
};
use incept_exporters::weights::Weights;

use interface::InterfaceArguments;

use super::network::NetworkArguments;
use super::output::{Align, message, table, thousands, with_ending};
use super::weights::FileArguments;
use super::{Failure, Outcome};
use crate::provenance::Provenance;
use crate::sensitivity::PrecisionPlan;

const IMAGE_SIZE: &str = "Image size in pixels, at least 75 each way; dynamic takes all of them";

/// Write a network as an ONNX file
///
/// The input is `image`, float32 [N, 3, H, W], RGB scaled to [-1, 1], or bytes with --input image; how images are prepared
/// stands in the file's metadata. The same command gives the same bytes.
#[derive(Debug, Args)]
#[command(
    mut_arg("image_size", |size| size.value_name("N|HxW|dynamic").help(IMAGE_SIZE)),
    mut_arg("name", |name| name.required(false).required_unless_present("weights"))
)]
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
    #[command(flatten, next_help_heading = "What the file takes and puts out")]
    interface: InterfaceArguments,
    /// Batch normalisation: folded into the convolutions, or kept
    #[arg(long, value_name = "folded|kept", default_value = "folded")]
    batch_norm: BatchNorm,
    #[command(flatten, next_help_heading = "Precision")]
    precision: PrecisionArguments,
    #[command(flatten, next_help_heading = "Further files")]
    files: FurtherFiles,
}

/// Files besides the model.
#[derive(Debug, Args)]
struct FurtherFiles {
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
    /// What weights are stored and layers computed in; int8 is of weights only
    #[arg(long, value_name = "fp32|fp16|bf16|int8", default_value = "fp32")]
    precision: Precision,
    /// A precision for each block, as `incept check --sensitivity` writes it
    #[arg(long, value_name = "PLAN.toml", conflicts_with = "precision")]
    precision_plan: Option<PathBuf>,
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
    /// Says where a plan was measured with other weights than are exported.
    fn note_other_weights(&self, plan: Option<&PrecisionPlan>, weights: &Weights) {
        let measured = plan.and_then(|plan| plan.measured.as_ref());
        let other = measured.is_some_and(|measured| measured.weights_sha256 != weights.sha256());
        if let (Some(path), true) = (&self.precision_plan, other) {
            message(&format!(
                "note: {} was measured with other weights: what it says of flips is not said of these",
                path.display()
            ));
        }
    }

    /// The plan, where one is named.
    fn plan(&self) -> Result<Option<PrecisionPlan>, Failure> {
        let path = self.precision_plan.as_deref();
        Ok(path.map(PrecisionPlan::read).transpose()?)
    }

    fn options(
        &self,
        plan: Option<&PrecisionPlan>,
        net: &Net,
    ) -> Result<PrecisionOptions, Failure> {
        let planned = match (plan, &self.precision_plan) {
            (Some(plan), Some(path)) => plan.options(net, path)?,
            _ => PrecisionOptions::throughout(self.precision),
        };
        let options = PrecisionOptions {
            half_inputs_outputs: self.half_inputs_outputs,
            native_bfloat16: self.native_bfloat16,
            allow_clamp: self.allow_clamp,
            ..planned
        };
        let throughout = options.precision.is_half();
        let (half, bf16) = ("fp16 or bf16", "bf16");
        for (flag, given, fits, precision) in [
            (
                "--half-inputs-outputs",
                options.half_inputs_outputs,
                throughout,
                half,
            ),
            (
                "--allow-clamp",
                options.allow_clamp,
                options.any(Precision::is_half),
                half,
            ),
            (
                "--native-bfloat16",
                options.native_bfloat16,
                options.any(|precision| precision == Precision::Bf16),
                bf16,
            ),
        ] {
            if given && !fits {
                let (place, fix) = match &self.precision_plan {
                    Some(plan) => (
                        format!("{} with precision", plan.display()),
                        format!("leave {flag} out, or write `precision = \"fp16\"` into the plan"),
                    ),
                    None => (
                        "--precision".into(),
                        format!("leave {flag} out, or give the precision"),
                    ),
                };
                return Err(Failure::new(
                    format!(
                        "{flag}: expected {place} {precision}, found {}",
                        options.precision
                    ),
                    fix,
                ));
            }
        }
        Ok(options)
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    let (entry, net, weights) = match &arguments.weights {
        Some(path) => {
            let without_classifier = arguments.interface.only_features();
            let opened = arguments
                .network
                .open(path, &arguments.file, without_classifier)?;
            message(&opened.report.to_string());
            (opened.entry, opened.net, Some(opened.weights))
        }
        None => {
            let (entry, net) = arguments.network.build_of_any_size()?;
            (entry, net, None)
        }
    };
    let plan = arguments.precision.plan()?;
    let options = ExportOptions {
        batch_norm: arguments.batch_norm,
        precision: arguments.precision.options(plan.as_ref(), &net)?,
        ..ExportOptions::default()
    };
    let options = arguments
        .interface
        .settle(&net, arguments.network.sizes(), options)?;
    if arguments.files.external_data.is_none() {
        // Weights too large for the file might not fit into memory either.
        onnx::check_size(&net, &options)?;
    }
    let weights = weights.unwrap_or_else(|| Weights::initial(&net, arguments.seed));
    arguments
        .precision
        .note_other_weights(plan.as_ref(), &weights);
    let destination = arguments.destination()?;
    let exported = onnx::export(&net, &weights, &options, &destination)?;
    let source = match &arguments.weights {
        Some(file) => format!("weights from {}", file.display()),
        None => format!("initial weights, seed {}", arguments.seed),
    };
    let heads = options.outputs.iter().map(|head| format!("`{head}`"));
    let layers = options.layers.iter().map(|name| format!("`{name}`"));
    let outputs: Vec<String> = heads.chain(layers).collect();
    message(&format!(
        "wrote {}: {} ({}), {source}, opset {}, batch normalisation {}, {}, output {}",
        destination.model.display(),
        entry.title,
        entry.variant,
        options.opset,
        options.batch_norm,
        match &arguments.precision.precision_plan {
            Some(plan) => format!("precision after {}", plan.display()),
            None => options.precision.precision.to_string(),
        },
        outputs.join(", ")
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
                None => with_ending(model, ending),
            };
            asked.as_ref().map(named)
        };
        let manifest = beside(&self.files.manifest, ".manifest.json");
        let mut provenance = Provenance::of_this_run();
        if let (Some(weights), Some(_)) = (&self.weights, &manifest) {
            provenance.add_weights(weights)?;
        }
        Ok(Destination {
            model: model.clone(),
            data: beside(&self.files.external_data, ".data"),
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
    let mut precisions: Vec<Precision> = report.tensors.iter().map(|t| t.precision).collect();
    precisions.sort();
    precisions.dedup();
    let precisions: Vec<String> = precisions.iter().map(Precision::to_string).collect();
    let mut text = format!(
        "{}: {} numbers rounded once, {} clamped, {} became 0, {} lost bits below the smallest normal number",
        precisions.join(", "),
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
