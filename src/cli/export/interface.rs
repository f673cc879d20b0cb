//! What a file takes and puts out, as flags.

use std::path::PathBuf;

use clap::Args;
use incept_exporters::net::Net;
use incept_exporters::onnx::{
    Batch, ExportOptions, ImageSize, Input, Labels, Output, Recipe, Target,
};

use super::Failure;

/// The preprocessing recipe, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum RecipeName {
    Timm,
    TfSlim,
}

/// What a file takes and puts out.
#[derive(Debug, Args)]
pub(super) struct InterfaceArguments {
    /// Choose what is safe for a runtime: onnxruntime, tensorrt, openvino, tract, rten, coreml, web
    #[arg(long, value_name = "RUNTIME")]
    target: Option<Target>,
    /// Images in a batch [default: dynamic, or what the target needs]
    #[arg(long, value_name = "dynamic|N")]
    batch: Option<Batch>,
    /// Version of ONNX's operator set [default: 17, or 18 with --resize]
    #[arg(long, value_name = "N")]
    opset: Option<u32>,
    /// Heads to put out, in this order: logits, probabilities, features, embedding, auxiliary_logits
    #[arg(
        long,
        value_name = "HEAD,...",
        value_delimiter = ',',
        default_value = "logits"
    )]
    output: Vec<Output>,
    /// Layers to put out besides; `*` stands for anything, `/` included
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    outputs: Vec<String>,
    /// Input: float32 [N, 3, H, W], or uint8 [N, H, W, 3] that the model scales itself
    #[arg(long, value_name = "tensor|image", default_value = "tensor")]
    input: Input,
    /// With --input image: take images of any size, resize and crop them in the model
    #[arg(long)]
    resize: bool,
    /// How images are resized and cropped: written into the file, and done by it with --resize
    #[arg(long, value_enum, value_name = "timm|tf-slim", default_value = "timm")]
    recipe: RecipeName,
    /// Part of the image that the crop keeps [default: the network's own, 0.875 for most]
    #[arg(long, value_name = "F")]
    crop_fraction: Option<f64>,
    /// Names of the classes, one a line: `eval` refuses data with other folders
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// Class 0 is TF-slim's background, which no image belongs to
    #[arg(long)]
    background_class: bool,
}

impl InterfaceArguments {
    /// Whether nothing is asked for that needs a classifier.
    pub(super) fn only_features(&self) -> bool {
        self.outputs.is_empty()
            && (self.output.iter()).all(|head| matches!(head, Output::Features | Output::Embedding))
    }

    /// Adds what the flags say to `options`.
    pub(super) fn settle(
        &self,
        net: &Net,
        image_size: ImageSize,
        options: ExportOptions,
    ) -> Result<ExportOptions, Failure> {
        let input = match (self.input, self.resize) {
            (Input::Tensor, true) => {
                return Err(Failure::new(
                    "--resize needs --input image, found --input tensor",
                    "a model that resizes takes bytes",
                ));
            }
            (_, true) => Input::ImageOfAnySize,
            (input, false) => input,
        };
        let fraction = self
            .crop_fraction
            .unwrap_or_else(|| Recipe::of(net).fraction);
        let recipe = match self.recipe {
            RecipeName::Timm => Recipe::timm(fraction),
            RecipeName::TfSlim => Recipe::tf_slim(fraction),
        };
        let labels = match &self.labels {
            Some(path) => Labels::read(path, self.background_class)?,
            None => Labels {
                background: self.background_class,
                names: None,
            },
        };
        let options = ExportOptions {
            image_size,
            input,
            outputs: self.output.clone(),
            layers: self.outputs.clone(),
            recipe: Some(recipe),
            labels,
            ..options
        };
        Ok(Target::settle(
            self.target,
            self.opset,
            self.batch,
            options,
        )?)
    }
}
