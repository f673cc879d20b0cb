//! The values of a file's tensors, computed from the weights one tensor at a time.

use std::borrow::Cow;

use super::graph::{Initializer, Values};
use super::{ExportError, int8};
use crate::weights::{Tensor, Weights};

/// The values of one stored tensor before they are rounded to the type they are stored in.
pub(super) enum Numbers<'a> {
    /// float32, as the weights have them.
    Plain(Cow<'a, [f32]>),
    /// Each filter's numbers times its factor.
    Scaled {
        weight: Cow<'a, [f32]>,
        factors: Vec<f64>,
    },
    /// Computed in float64.
    Computed(Vec<f64>),
}

impl Numbers<'_> {
    /// The numbers of each of this many filters, in float64.
    pub(super) fn filters(&self, filters: usize) -> Vec<Vec<f64>> {
        let wide = |values: &[f32], factor: f64| -> Vec<f64> {
            values
                .iter()
                .map(|&value| f64::from(value) * factor)
                .collect()
        };
        match self {
            Self::Plain(values) => values
                .chunks_exact(per_filter(values.len(), filters))
                .map(|filter| wide(filter, 1.0))
                .collect(),
            Self::Scaled { weight, factors } => weight
                .chunks_exact(per_filter(weight.len(), factors.len()))
                .zip(factors)
                .map(|(filter, &factor)| wide(filter, factor))
                .collect(),
            Self::Computed(values) => values
                .chunks_exact(per_filter(values.len(), filters))
                .map(<[f64]>::to_vec)
                .collect(),
        }
    }
}

/// Numbers in each of so many filters.
pub(super) fn per_filter(values: usize, filters: usize) -> usize {
    (values / filters.max(1)).max(1)
}

/// The values of one stored tensor. `source` is the tensor of [`source`], already read.
pub(super) fn numbers<'a>(
    initializer: &Initializer,
    weights: &Weights,
    source: Option<Cow<'a, [f32]>>,
) -> Result<Numbers<'a>, ExportError> {
    let missing = || missing(&initializer.name);
    Ok(match &initializer.values {
        Values::Same => Numbers::Plain(source.ok_or_else(missing)?),
        Values::Constant(value) => Numbers::Computed(vec![*value]),
        Values::Scales { weight } => {
            let read = self::source(weight, weights)?.map(|(_, tensor)| tensor.values());
            let filters = weight.shape.first().copied().unwrap_or(1);
            Numbers::Computed(int8::scales(&numbers(weight, weights, read)?, filters))
        }
        Values::FoldedWeight {
            batch_norm,
            epsilon,
        } => Numbers::Scaled {
            weight: source.ok_or_else(missing)?,
            factors: factors(weights, batch_norm, *epsilon)?,
        },
        Values::FoldedBias {
            batch_norm,
            epsilon,
        } => {
            let factors = factors(weights, batch_norm, *epsilon)?;
            let beta = tensor(weights, &format!("{batch_norm}/beta"))?.values();
            let mean = tensor(weights, &format!("{batch_norm}/running_mean"))?.values();
            let offset = |((beta, mean), factor): ((&f32, &f32), &f64)| {
                f64::from(*beta) - f64::from(*mean) * factor
            };
            let pairs = beta.iter().zip(mean.iter());
            Numbers::Computed(pairs.zip(&factors).map(offset).collect())
        }
    })
}

/// The tensor of the weights that a stored tensor has as many numbers as, and its name, where there is one.
pub(super) fn source<'a>(
    initializer: &Initializer,
    weights: &'a Weights,
) -> Result<Option<(&'a str, &'a Tensor)>, ExportError> {
    match initializer.values {
        Values::Same | Values::FoldedWeight { .. } => {
            let found = weights.entry(&initializer.name);
            found.map(Some).ok_or_else(|| missing(&initializer.name))
        }
        Values::FoldedBias { .. } | Values::Scales { .. } | Values::Constant(_) => Ok(None),
    }
}

/// `gamma / √(variance + ε)` of each channel, in float64: one rounding remains, at the end.
fn factors(weights: &Weights, batch_norm: &str, epsilon: f64) -> Result<Vec<f64>, ExportError> {
    let gamma = tensor(weights, &format!("{batch_norm}/gamma"))?.values();
    let variance = tensor(weights, &format!("{batch_norm}/running_variance"))?.values();
    let factor = |(gamma, variance): (&f32, &f32)| {
        f64::from(*gamma) / (f64::from(*variance) + epsilon).sqrt()
    };
    Ok(gamma.iter().zip(variance.iter()).map(factor).collect())
}

fn tensor<'a>(weights: &'a Weights, name: &str) -> Result<&'a Tensor, ExportError> {
    weights.get(name).ok_or_else(|| missing(name))
}

fn missing(name: &str) -> ExportError {
    ExportError::MissingTensor {
        tensor: name.into(),
    }
}
