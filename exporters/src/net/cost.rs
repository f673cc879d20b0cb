//! What a network costs: parameters, multiply-adds, receptive fields. Counted from its nodes.

use std::ops::AddAssign;

use serde::Serialize;

use super::{Net, Node, Op, ParameterKind, Stage};

/// Counts over one or more nodes, for one image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Cost {
    /// Trained numbers: weights, biases, gammas and betas.
    pub parameters: usize,
    /// Of which in convolution weights.
    pub convolution_weights: usize,
    /// Of which in convolution biases.
    pub convolution_biases: usize,
    /// Of which in batch normalisation: gamma and beta.
    pub batch_norm_parameters: usize,
    /// Of which in linear layers.
    pub linear_parameters: usize,
    /// Measured, untrained numbers: moving means and variances.
    pub batch_norm_statistics: usize,
    /// Multiply-adds of convolutions and linear layers.
    pub multiply_adds: u64,
    /// Of which in convolutions.
    pub convolution_multiply_adds: u64,
    /// Convolutions, the linear 1×1 of the residual blocks among them.
    pub convolutions: usize,
    /// Of which with a bias and no batch normalisation.
    pub linear_convolutions: usize,
    /// Batch normalisations.
    pub batch_norms: usize,
    /// Numbers that convolutions put out: what timm calls activations.
    pub convolution_output_elements: u64,
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        self.parameters += other.parameters;
        self.convolution_weights += other.convolution_weights;
        self.convolution_biases += other.convolution_biases;
        self.batch_norm_parameters += other.batch_norm_parameters;
        self.linear_parameters += other.linear_parameters;
        self.batch_norm_statistics += other.batch_norm_statistics;
        self.multiply_adds += other.multiply_adds;
        self.convolution_multiply_adds += other.convolution_multiply_adds;
        self.convolutions += other.convolutions;
        self.linear_convolutions += other.linear_convolutions;
        self.batch_norms += other.batch_norms;
        self.convolution_output_elements += other.convolution_output_elements;
    }
}

/// The square of input pixels one output value can see, and the distance between neighbours, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ReceptiveField {
    /// Rows seen.
    pub height: usize,
    /// Columns seen.
    pub width: usize,
    /// Input pixels between neighbouring outputs.
    pub stride: usize,
}

impl Net {
    /// The cost of one node.
    pub fn cost_of(&self, node: &Node) -> Cost {
        let mut cost = Cost::default();
        for parameter in self.parameters_of(node) {
            let elements = parameter.elements();
            if parameter.kind.is_trained() {
                cost.parameters += elements;
            }
            match parameter.kind {
                ParameterKind::ConvolutionWeight => cost.convolution_weights += elements,
                ParameterKind::ConvolutionBias => cost.convolution_biases += elements,
                ParameterKind::Gamma | ParameterKind::Beta => {
                    cost.batch_norm_parameters += elements
                }
                ParameterKind::LinearWeight | ParameterKind::LinearBias => {
                    cost.linear_parameters += elements
                }
                ParameterKind::RunningMean | ParameterKind::RunningVariance => {
                    cost.batch_norm_statistics += elements;
                }
            }
        }
        let outputs = node.shape.elements() as u64;
        match node.op {
            Op::Convolution { filters, bias, .. } => {
                cost.convolutions = 1;
                cost.linear_convolutions = usize::from(bias);
                cost.convolution_output_elements = outputs;
                cost.multiply_adds = outputs * (cost.convolution_weights / filters) as u64;
                cost.convolution_multiply_adds = cost.multiply_adds;
            }
            Op::Linear { features, bias } => {
                let biases = if bias { features } else { 0 };
                cost.multiply_adds = (cost.linear_parameters - biases) as u64;
            }
            Op::BatchNorm { .. } => cost.batch_norms = 1,
            _ => {}
        }
        cost
    }

    /// The cost of the whole network.
    pub fn cost(&self) -> Cost {
        self.sum(0, self.nodes().len())
    }

    /// The cost of one stage.
    pub fn stage_cost(&self, stage: &Stage) -> Cost {
        self.sum(stage.first.0, stage.output.0 + 1)
    }

    fn sum(&self, from: usize, to: usize) -> Cost {
        let mut total = Cost::default();
        for node in &self.nodes()[from..to] {
            total += self.cost_of(node);
        }
        total
    }

    /// The receptive field of every node; the pool over the grid and what follows see everything and
    /// have none.
    pub fn receptive_fields(&self) -> Vec<Option<ReceptiveField>> {
        let mut fields: Vec<Option<ReceptiveField>> = Vec::with_capacity(self.nodes().len());
        for node in self.nodes() {
            let inputs = node.inputs.iter().map(|input| fields[input.0]);
            let widest = inputs.reduce(|a, b| {
                let (a, b) = (a?, b?);
                Some(ReceptiveField {
                    height: a.height.max(b.height),
                    width: a.width.max(b.width),
                    ..a
                })
            });
            let field = match (node.op, widest.flatten()) {
                (Op::Input, _) => Some(ReceptiveField {
                    height: 1,
                    width: 1,
                    stride: 1,
                }),
                (Op::GlobalAveragePool | Op::Linear { .. }, _) => None,
                (
                    Op::Convolution { window, .. }
                    | Op::MaxPool(window)
                    | Op::AveragePool { window, .. },
                    Some(f),
                ) => Some(ReceptiveField {
                    height: f.height + (window.kernel.height - 1) * f.stride,
                    width: f.width + (window.kernel.width - 1) * f.stride,
                    stride: f.stride * window.stride,
                }),
                (_, field) => field,
            };
            fields.push(field);
        }
        fields
    }
}
