//! What a library calls the parts of a layer, and in which order it stores their numbers.

use std::fmt;

use crate::net::ParameterKind;
use crate::weights::{Tensor, TensorError};

/// How a library writes names.
pub(super) struct Style {
    /// Stands between a block, its layers and their parts.
    pub(super) separator: &'static str,
    /// Stands between a layer and the parts of its convolution, where batch normalisation follows.
    convolution: &'static str,
    /// Stands between a layer and the parts of its batch normalisation.
    batch_norm: &'static str,
    weight: &'static str,
    bias: &'static str,
    gamma: &'static str,
    beta: &'static str,
    mean: &'static str,
    variance: &'static str,
    /// Convolutions as height, width, inputs, outputs, and linear layers as inputs, outputs.
    channels_last: bool,
    /// Batch normalisation may have no factor, which is 1 then.
    gamma_left_out: bool,
}

/// Which tensors of a layer a name stands before.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// A convolution with batch normalisation behind it.
    Normalised,
    /// A convolution or linear layer without.
    Alone,
    /// The batch normalisation.
    BatchNorm,
}

pub(super) const INCEPT: Style = Style {
    separator: "/",
    convolution: "",
    batch_norm: "/batch_norm",
    weight: "weight",
    bias: "bias",
    gamma: "gamma",
    beta: "beta",
    mean: "running_mean",
    variance: "running_variance",
    channels_last: false,
    gamma_left_out: false,
};

/// timm, torchvision and facenet-pytorch: a module of `conv` and `bn`.
pub(super) const PYTORCH: Style = Style {
    separator: ".",
    convolution: ".conv",
    batch_norm: ".bn",
    weight: "weight",
    bias: "bias",
    gamma: "weight",
    beta: "bias",
    mean: "running_mean",
    variance: "running_var",
    channels_last: false,
    gamma_left_out: false,
};

/// TF-slim's default is batch normalisation without factor.
pub(super) const TF_SLIM: Style = Style {
    separator: "/",
    convolution: "",
    batch_norm: "/BatchNorm",
    weight: "weights",
    bias: "biases",
    gamma: "gamma",
    beta: "beta",
    mean: "moving_mean",
    variance: "moving_variance",
    channels_last: true,
    gamma_left_out: true,
};

/// Keras's applications have batch normalisation with `scale=False`.
pub(super) const KERAS: Style = Style {
    separator: "/",
    convolution: "",
    batch_norm: "",
    weight: "kernel",
    bias: "bias",
    gamma: "gamma",
    beta: "beta",
    mean: "moving_mean",
    variance: "moving_variance",
    channels_last: true,
    gamma_left_out: true,
};

impl Style {
    /// A layer of a block, where both have a name: `.` is the block itself.
    pub(super) fn joined(&self, block: &str, layer: &str) -> String {
        match (block, layer) {
            (block, ".") => block.into(),
            ("", layer) => layer.into(),
            (block, layer) => format!("{block}{}{layer}", self.separator),
        }
    }

    /// What stands between a layer's name and its part's.
    pub(super) fn layer_part(&self, part: Part) -> &'static str {
        match part {
            Part::Normalised => self.convolution,
            Part::Alone => "",
            Part::BatchNorm => self.batch_norm,
        }
    }

    /// The part's own name, with what separates it.
    pub(super) fn part(&self, kind: ParameterKind) -> String {
        format!("{}{}", self.separator, self.bare_part(kind))
    }

    /// The part's own name.
    pub(super) fn bare_part(&self, kind: ParameterKind) -> &'static str {
        match kind {
            ParameterKind::ConvolutionWeight | ParameterKind::LinearWeight => self.weight,
            ParameterKind::ConvolutionBias | ParameterKind::LinearBias => self.bias,
            ParameterKind::Gamma => self.gamma,
            ParameterKind::Beta => self.beta,
            ParameterKind::RunningMean => self.mean,
            ParameterKind::RunningVariance => self.variance,
        }
    }

    /// What the name of every batch normalisation's moving mean ends with.
    pub(super) fn mean_of_batch_norm(&self) -> String {
        format!("{}{}{}", self.batch_norm, self.separator, self.mean)
    }

    pub(super) fn layout(&self, kind: ParameterKind) -> Layout {
        match kind {
            ParameterKind::ConvolutionWeight if self.channels_last => Layout::ConvolutionHwio,
            ParameterKind::LinearWeight if self.channels_last => Layout::LinearInputsFirst,
            ParameterKind::LinearWeight => Layout::Linear,
            _ => Layout::Same,
        }
    }

    pub(super) fn default(&self, kind: ParameterKind) -> Option<f32> {
        (kind == ParameterKind::Gamma && self.gamma_left_out).then_some(1.0)
    }
}

/// PyTorch's batch normalisation counts the batches it was trained with.
pub(super) fn counter(name: &str) -> Option<&'static str> {
    name.ends_with(".num_batches_tracked")
        .then_some("counts the batches of the training")
}

/// How a tensor's numbers lie in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// As ours.
    Same,
    /// A linear layer `[outputs, inputs]` as ours, or as a 1×1 convolution `[outputs, inputs, 1, 1]`.
    Linear,
    /// A convolution `[height, width, inputs, outputs]`.
    ConvolutionHwio,
    /// A linear layer `[inputs, outputs]`, or as a 1×1 convolution `[1, 1, inputs, outputs]`.
    LinearInputsFirst,
}

impl Layout {
    /// The shape that a tensor of `shape` has in the file. `found` is what is there: a linear layer may be stored as a
    /// 1×1 convolution.
    pub fn source_shape(self, shape: &[usize], found: &[usize]) -> Vec<usize> {
        let window = if found.len() == 4 { vec![1, 1] } else { vec![] };
        match (self, shape) {
            (Self::Linear, &[outputs, inputs]) => [vec![outputs, inputs], window].concat(),
            (Self::LinearInputsFirst, &[outputs, inputs]) => {
                [window, vec![inputs, outputs]].concat()
            }
            (Self::ConvolutionHwio, &[outputs, inputs, height, width]) => {
                vec![height, width, inputs, outputs]
            }
            _ => shape.to_vec(),
        }
    }

    /// The tensor as ours.
    ///
    /// # Errors
    /// [`TensorError`] where it has another number of axes.
    pub fn turned(self, tensor: &Tensor) -> Result<Tensor, TensorError> {
        let convolution = tensor.shape().len() == 4;
        let linear = |tensor: Tensor| tensor.without_axis(3)?.without_axis(2);
        match self {
            Self::Same => Ok(tensor.clone()),
            Self::Linear if convolution => linear(tensor.clone()),
            Self::Linear => Ok(tensor.clone()),
            Self::ConvolutionHwio => tensor.permuted(&[3, 2, 0, 1]),
            Self::LinearInputsFirst if convolution => linear(tensor.permuted(&[3, 2, 0, 1])?),
            Self::LinearInputsFirst => tensor.permuted(&[1, 0]),
        }
    }

    /// Which axis of the file's tensor counts the classes of a classifier.
    pub(in crate::weights) fn class_axis(self, rank: usize) -> usize {
        match self {
            Self::LinearInputsFirst => rank.saturating_sub(1),
            _ => 0,
        }
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Same | Self::Linear => "as it is",
            Self::ConvolutionHwio => "HWIO to OIHW",
            Self::LinearInputsFirst => "inputs, outputs to outputs, inputs",
        })
    }
}
