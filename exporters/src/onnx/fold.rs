//! The values of a file's tensors, computed from the weights one tensor at a time.

use std::borrow::Cow;

use super::ExportError;
use super::graph::{Initializer, Values};
use crate::weights::{Weights, little_endian};

/// The little-endian values of one stored tensor, ready to be written.
pub(super) fn bytes<'a>(
    initializer: &Initializer,
    weights: &'a Weights,
) -> Result<Cow<'a, [u8]>, ExportError> {
    Ok(match &initializer.values {
        Values::Integers(values) => {
            let bytes = values.iter().flat_map(|value| value.to_le_bytes());
            Cow::Owned(bytes.collect())
        }
        _ => match values(initializer, weights)? {
            Cow::Borrowed(values) => Cow::Borrowed(little_endian(values)),
            Cow::Owned(values) => Cow::Owned(little_endian(&values).to_vec()),
        },
    })
}

fn values<'a>(
    initializer: &Initializer,
    weights: &'a Weights,
) -> Result<Cow<'a, [f32]>, ExportError> {
    let values = match &initializer.values {
        Values::Same => tensor(weights, &initializer.name)?,
        Values::Constant(value) => Cow::Owned(vec![*value]),
        Values::Integers(values) => values.iter().map(|&value| value as f32).collect(),
        Values::FoldedWeight {
            batch_norm,
            epsilon,
        } => {
            let factors = factors(weights, batch_norm, *epsilon)?;
            let mut weight = tensor(weights, &initializer.name)?.into_owned();
            let per_filter = weight.len() / factors.len().max(1);
            for (filter, factor) in weight.chunks_exact_mut(per_filter.max(1)).zip(&factors) {
                filter
                    .iter_mut()
                    .for_each(|value| *value = (f64::from(*value) * factor) as f32);
            }
            Cow::Owned(weight)
        }
        Values::FoldedBias {
            batch_norm,
            epsilon,
        } => {
            let factors = factors(weights, batch_norm, *epsilon)?;
            let beta = tensor(weights, &format!("{batch_norm}/beta"))?;
            let mean = tensor(weights, &format!("{batch_norm}/running_mean"))?;
            let offset = |((beta, mean), factor): ((&f32, &f32), &f64)| {
                (f64::from(*beta) - f64::from(*mean) * factor) as f32
            };
            Cow::Owned(
                beta.iter()
                    .zip(mean.iter())
                    .zip(&factors)
                    .map(offset)
                    .collect(),
            )
        }
    };
    // Weights were checked to be finite; folding may overflow or meet a negative variance.
    match values.iter().filter(|value| !value.is_finite()).count() {
        0 => Ok(values),
        count => Err(ExportError::NotFinite {
            tensor: initializer.name.clone(),
            count,
        }),
    }
}

/// `gamma / √(variance + ε)` of each channel, in float64: one rounding to float32 remains, at the end.
fn factors(weights: &Weights, batch_norm: &str, epsilon: f64) -> Result<Vec<f64>, ExportError> {
    let gamma = tensor(weights, &format!("{batch_norm}/gamma"))?;
    let variance = tensor(weights, &format!("{batch_norm}/running_variance"))?;
    let factor = |(gamma, variance): (&f32, &f32)| {
        f64::from(*gamma) / (f64::from(*variance) + epsilon).sqrt()
    };
    Ok(gamma.iter().zip(variance.iter()).map(factor).collect())
}

fn tensor<'a>(weights: &'a Weights, name: &str) -> Result<Cow<'a, [f32]>, ExportError> {
    let tensor = weights
        .get(name)
        .ok_or_else(|| ExportError::MissingTensor {
            tensor: name.into(),
        })?;
    Ok(tensor.values())
}
