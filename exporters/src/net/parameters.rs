//! The tensors a network needs, by name: what weight files hold.

use super::{Net, Node, Op, Shape};

/// What a tensor is to its layer; decides its initial value and whether it is trained and decayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParameterKind {
    /// Weight of a convolution, `[filters, channels, height, width]`.
    ConvolutionWeight,
    /// Bias of a convolution, `[filters]`.
    ConvolutionBias,
    /// Batch normalisation's factor, `[channels]`.
    Gamma,
    /// Batch normalisation's offset, `[channels]`.
    Beta,
    /// Batch normalisation's moving mean, `[channels]`; not trained.
    RunningMean,
    /// Batch normalisation's moving variance, `[channels]`; not trained.
    RunningVariance,
    /// Weight of a linear layer, `[features, inputs]`.
    LinearWeight,
    /// Bias of a linear layer, `[features]`.
    LinearBias,
}

impl ParameterKind {
    /// Whether the optimiser changes it (moving statistics are measured, not trained).
    pub fn is_trained(self) -> bool {
        !matches!(self, Self::RunningMean | Self::RunningVariance)
    }

    /// Whether weight decay acts on it: convolution and linear weights only.
    pub fn is_decayed(self) -> bool {
        matches!(self, Self::ConvolutionWeight | Self::LinearWeight)
    }
}

/// One tensor of a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Its node's name and its own: `inception_a.0/branch_0/conv_1x1/weight`.
    pub name: String,
    /// Its dimensions.
    pub shape: Vec<usize>,
    /// What it is.
    pub kind: ParameterKind,
}

impl Parameter {
    /// Numbers in the tensor.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// Inputs that meet in one output: `channels · height · width`, or a linear layer's inputs.
    pub fn fan_in(&self) -> usize {
        self.shape[1..].iter().product()
    }
}

impl Net {
    /// The tensors of one node, in the order weight, bias or gamma, beta, mean, variance.
    pub fn parameters_of(&self, node: &Node) -> Vec<Parameter> {
        use ParameterKind::*;
        let channels = node
            .inputs
            .first()
            .map_or(0, |&input| self.at(input).shape.channels());
        let named = |suffix: &str, kind, shape: Vec<usize>| Parameter {
            name: format!("{}/{suffix}", node.name),
            shape,
            kind,
        };
        match node.op {
            Op::Convolution {
                filters,
                window,
                bias,
            } => {
                let kernel = window.kernel;
                let shape = vec![filters, channels, kernel.height, kernel.width];
                let mut tensors = vec![named("weight", ConvolutionWeight, shape)];
                if bias {
                    tensors.push(named("bias", ConvolutionBias, vec![filters]));
                }
                tensors
            }
            Op::BatchNorm { .. } => vec![
                named("gamma", Gamma, vec![channels]),
                named("beta", Beta, vec![channels]),
                named("running_mean", RunningMean, vec![channels]),
                named("running_variance", RunningVariance, vec![channels]),
            ],
            Op::Linear { features, bias } => {
                let mut tensors = vec![named("weight", LinearWeight, vec![features, channels])];
                if bias {
                    tensors.push(named("bias", LinearBias, vec![features]));
                }
                tensors
            }
            _ => vec![],
        }
    }

    /// Every tensor of the network, in the order of its nodes.
    pub fn parameters(&self) -> Vec<Parameter> {
        self.nodes()
            .iter()
            .flat_map(|node| self.parameters_of(node))
            .collect()
    }

    /// The shape of the named node's value for a batch: `[N, C, H, W]` or `[N, F]`.
    pub fn batch_shape(shape: &Shape, batch: usize) -> Vec<usize> {
        let mut dimensions = vec![batch];
        dimensions.extend(shape.dimensions());
        dimensions
    }
}
