//! What is exported: each network once, in each precision, with its reference.

use std::fmt;

use incept_exporters::net::Net;
use incept_exporters::onnx::{
    self, BatchNorm, DEFAULT_OPSET, ExportOptions, Output, Precision, PrecisionOptions,
};
use incept_exporters::weights::Weights;
use incept_exporters::zoo::{Entry, REGISTRY};
use ndarray::ArrayD;
use serde::Serialize;

use super::{MatrixError, MatrixOptions};
use crate::parity;
use crate::torch::Reference;

/// One exported file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Case {
    /// The network's name.
    pub network: String,
    /// Its variant.
    pub variant: String,
    /// What its weights are stored and its layers computed in.
    pub precision: Precision,
    /// `folded` or `kept`.
    pub batch_norm: String,
}

impl Case {
    pub(super) fn new(entry: &Entry, precision: Precision, batch_norm: BatchNorm) -> Self {
        Self {
            network: entry.name.into(),
            variant: entry.variant.into(),
            precision,
            batch_norm: batch_norm.to_string(),
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            network,
            variant,
            precision,
            batch_norm,
        } = self;
        write!(f, "{network} ({variant}), {precision}, {batch_norm}")
    }
}

/// Every case there is, in the order they are run.
pub fn cases() -> Vec<Case> {
    let of_entry =
        |entry| forms().map(move |(precision, batch_norm)| Case::new(entry, precision, batch_norm));
    REGISTRY.iter().flat_map(of_entry).collect()
}

/// The forms that each network is exported in, in the order they are run. int8 is of weights, with or without a
/// normalisation behind them: one form is enough.
pub(super) fn forms() -> impl Iterator<Item = (Precision, BatchNorm)> {
    let precisions = [Precision::Fp32, Precision::Fp16, Precision::Bf16];
    let of_precision =
        |precision| [BatchNorm::Folded, BatchNorm::Kept].map(|form| (precision, form));
    let int8 = [(Precision::Int8, BatchNorm::Folded)];
    precisions.into_iter().flat_map(of_precision).chain(int8)
}

/// The batch that all networks are given, `[N, 3, H, W]`.
pub(super) fn images(options: &MatrixOptions) -> ArrayD<f32> {
    let (height, width) = (options.net.image_height, options.net.image_width);
    let shape = [options.batch, 3, height, width];
    parity::random(options.seed, &shape)
}

/// A network, its weights and what its head is to be.
pub(super) struct Network {
    net: Net,
    weights: Weights,
    /// The head that is compared: the logits, or the embedding where there are none.
    pub(super) head: &'static str,
    output: Output,
    /// The head's value in float64.
    pub(super) expected: ArrayD<f64>,
}

impl Network {
    pub(super) fn new(
        entry: &Entry,
        options: &MatrixOptions,
        images: &ArrayD<f32>,
    ) -> Result<Self, MatrixError> {
        let net = entry.build(&options.net)?;
        let weights = Weights::randomised(&net, options.seed);
        let mut heads = [Output::Logits, Output::Embedding].into_iter();
        let head = heads.find_map(|output| Some((output, net.id(output.name())?)));
        let (output, id) = head.ok_or_else(|| MatrixError::NoHead {
            network: format!("{} ({})", entry.name, entry.variant),
        })?;
        let reference = Reference::new(&net, &weights)?;
        let mut values = reference.run(images.view(), &[id])?.into_iter();
        let expected = values.next().ok_or_else(|| MatrixError::NoHead {
            network: format!("{} ({})", entry.name, entry.variant),
        })?;
        Ok(Self {
            net,
            weights,
            head: output.name(),
            output,
            expected,
        })
    }

    /// The file, in the oldest operator set from the default up that has what it needs.
    pub(super) fn export(
        &self,
        precision: Precision,
        batch_norm: BatchNorm,
    ) -> Result<Vec<u8>, MatrixError> {
        let precision = PrecisionOptions {
            precision,
            ..PrecisionOptions::default()
        };
        let options = ExportOptions {
            opset: precision.oldest_opset(batch_norm).0.max(DEFAULT_OPSET),
            batch_norm,
            precision,
            outputs: vec![self.output],
            ..ExportOptions::default()
        };
        Ok(onnx::to_bytes(&self.net, &self.weights, &options)?)
    }
}
