//! Single-crop validation.

use tch::Tensor;

use super::{TrainingError, to_image};
use crate::evaluate::rank_of;
use crate::torch::forward::to_vec;
use crate::torch::{Mode, Model};
use crate::training::{ValidationImages, ValidationRecord};

/// Top-1 and top-5 error and cross-entropy of a model over all images.
pub(super) fn evaluate(
    model: &Model,
    images: &mut ValidationImages,
    step: u64,
    epoch: f64,
) -> Result<ValidationRecord, TrainingError> {
    let options = model.net().options().clone();
    let (mut wrong, mut wrong_of_five, mut loss, mut count) = (0, 0, 0.0, 0);
    images.for_each::<TrainingError>(|batch| {
        let image: Tensor = to_image(batch, options.image_height, options.image_width)?;
        let logits = to_vec(&model.logits(&image, Mode::Evaluation)?)?;
        for (logits, &label) in logits.chunks_exact(options.classes).zip(&batch.labels) {
            let (rank, cross_entropy) = score(logits, label as usize);
            wrong += usize::from(rank >= 1);
            wrong_of_five += usize::from(rank >= 5);
            loss += cross_entropy;
            count += 1;
        }
        Ok(())
    })?;
    let share = |n: usize| n as f64 / count.max(1) as f64;
    let mean = loss / count.max(1) as f64;
    Ok(ValidationRecord {
        step,
        epoch,
        images: count,
        top1_error: share(wrong),
        top5_error: share(wrong_of_five),
        loss: if mean.is_finite() {
            mean
        } else {
            f64::INFINITY
        },
    })
}

/// How many classes come before the right one, and the cross-entropy.
fn score(logits: &[f32], label: usize) -> (usize, f64) {
    let wide: Vec<f64> = logits.iter().copied().map(f64::from).collect();
    let (before, right) = (rank_of(label, &wide), logits[label]);
    let greatest = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let sum: f64 = logits
        .iter()
        .map(|&logit| libm::exp(f64::from(logit) - greatest))
        .sum();
    (before, greatest + libm::log(sum) - f64::from(right))
}

#[cfg(test)]
mod tests {
    use super::score;

    #[test]
    fn ranks_are_those_of_an_evaluation_and_nan_is_never_knowledge() {
        assert_eq!(score(&[1.0, 3.0, 2.0], 1).0, 0);
        assert_eq!(score(&[1.0, 3.0, 2.0], 2).0, 1);
        assert_eq!(score(&[0.0; 10], 4).0, 4);
        assert_eq!(score(&[f32::NAN; 10], 4).0, 10);
        assert_eq!(score(&[0.0, f32::NAN], 0).0, 2);
        // ln(e^1 + e^3 + e^2) - 3
        assert!((score(&[1.0, 3.0, 2.0], 1).1 - 0.407_605_964_444_380_1).abs() < 1e-12);
    }
}
