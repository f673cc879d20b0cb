//! How far the answers of a network in lower precision are from its own in float32.

use std::cmp::Ordering;

use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

use crate::parity::number_or_nan;

/// The difference between two runs on the same images.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Effect {
    /// Images whose most probable class is another; those with a probability that is no number are counted too.
    pub flips: usize,
    /// Root mean square of the logits' change over all crops, as a share of the standard deviation that the float32
    /// logits of a crop have: 0.01 moves them by a hundredth of what they differ among each other.
    #[serde(deserialize_with = "number_or_nan")]
    pub change: f64,
    /// The largest change of a logit, as a share of the same.
    #[serde(deserialize_with = "number_or_nan")]
    pub largest_change: f64,
    /// Top-1 errors, where the images' classes are known.
    pub top1_errors: Option<usize>,
}

impl Effect {
    /// No effect at all: float32 beside itself.
    pub(super) fn none(top1_errors: Option<usize>) -> Self {
        Self {
            top1_errors,
            ..Self::default()
        }
    }

    /// The order of harm: by flips, then by the change; what is no number is worse than any.
    pub fn compare(&self, other: &Self) -> Ordering {
        let change = |effect: &Self| {
            if effect.change.is_nan() {
                f64::INFINITY
            } else {
                effect.change
            }
        };
        let changes = || change(self).total_cmp(&change(other));
        self.flips.cmp(&other.flips).then_with(changes)
    }
}

/// The answers of one run.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Answers {
    /// `[crops, classes]`.
    pub(super) logits: ndarray::Array2<f32>,
    /// The most probable class of each image; none where a probability is no number.
    pub(super) top1: Vec<Option<usize>>,
}

impl Answers {
    /// The answers of crops, each with its image and its weight, whose images are numbered from 0 in order. Classes begin
    /// at `offset`: the background before them takes part in the softmax and is never an answer.
    pub(super) fn new(logits: ndarray::Array2<f32>, crops: &[(usize, u32)], offset: usize) -> Self {
        let images = crops.last().map_or(0, |(image, _)| image + 1);
        let mut sums = vec![vec![0.0; logits.ncols().saturating_sub(offset)]; images];
        for (row, &(image, weight)) in logits.outer_iter().zip(crops) {
            let row: Vec<f64> = row.iter().map(|&logit| logit.into()).collect();
            for (sum, probability) in sums[image]
                .iter_mut()
                .zip(crate::evaluate::softmax(&row).iter().skip(offset))
            {
                *sum += f64::from(weight) * probability;
            }
        }
        let top1 = sums
            .iter()
            .map(|probabilities| most_probable(probabilities))
            .collect();
        Self { logits, top1 }
    }

    /// What these answers are beside `reference`.
    pub(super) fn effect(&self, reference: &Self, labels: Option<&[usize]>) -> Effect {
        let pairs = self.top1.iter().zip(&reference.top1);
        let flips = pairs
            .filter(|(own, other)| own.is_none() || own != other)
            .count();
        let spread = spread(reference.logits.view());
        let mut squares = 0.0;
        let mut largest = 0.0_f64;
        for (own, other) in self.logits.iter().zip(&reference.logits) {
            let change = (f64::from(*own) - f64::from(*other)).abs();
            squares += change * change;
            // A NaN must not be the smaller one.
            if change.is_nan() || change > largest {
                largest = change;
            }
        }
        let mean = squares / self.logits.len().max(1) as f64;
        Effect {
            flips,
            change: mean.sqrt() / spread,
            largest_change: if squares.is_nan() {
                f64::NAN
            } else {
                largest / spread
            },
            top1_errors: labels.map(|labels| self.top1_errors(labels)),
        }
    }

    /// Images whose most probable class is not theirs.
    pub(super) fn top1_errors(&self, labels: &[usize]) -> usize {
        let pairs = self.top1.iter().zip(labels);
        pairs
            .filter(|(own, label)| own.as_ref() != Some(label))
            .count()
    }
}

/// The class of the largest probability, the lowest of equals; none where one is no number.
fn most_probable(probabilities: &[f64]) -> Option<usize> {
    if probabilities
        .iter()
        .any(|probability| !probability.is_finite())
    {
        return None;
    }
    let best = probabilities
        .iter()
        .copied()
        .fold(f64::NEG_INFINITY, f64::max);
    probabilities
        .iter()
        .position(|&probability| probability == best)
}

/// The standard deviation of the logits of a crop, root mean square over the crops.
fn spread(logits: ArrayView2<'_, f32>) -> f64 {
    let of_row = |row: ndarray::ArrayView1<'_, f32>| {
        let count = row.len().max(1) as f64;
        let mean = row.iter().map(|&logit| f64::from(logit)).sum::<f64>() / count;
        row.iter()
            .map(|&logit| (f64::from(logit) - mean).powi(2))
            .sum::<f64>()
            / count
    };
    let rows = logits.nrows().max(1) as f64;
    (logits.outer_iter().map(of_row).sum::<f64>() / rows).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    const CROPS: [(usize, u32); 2] = [(0, 1), (1, 1)];

    fn answers(logits: ndarray::Array2<f32>) -> Answers {
        Answers::new(logits, &CROPS, 0)
    }

    #[test]
    fn changes_and_flips_are_those_counted_by_hand() {
        let reference = answers(array![[2.0, 0.0, -2.0], [0.0, 1.0, -1.0]]);
        assert_eq!(reference.top1, [Some(0), Some(1)]);
        let none = reference.effect(&reference, Some(&[0, 2]));
        assert_eq!(
            (none.flips, none.change, none.largest_change),
            (0, 0.0, 0.0)
        );
        assert_eq!(none.top1_errors, Some(1));
        let other = answers(array![[2.0, 0.0, -2.0], [1.5, 1.0, -1.0]]);
        let effect = other.effect(&reference, None);
        // Variances of the rows: 8/3 and 2/3, so a spread of √(5/3); one change of 1.5 among six numbers.
        let spread = (5.0_f64 / 3.0).sqrt();
        assert_eq!(effect.flips, 1);
        assert!((effect.change - (2.25_f64 / 6.0).sqrt() / spread).abs() < 1e-12);
        assert!((effect.largest_change - 1.5 / spread).abs() < 1e-12);
    }

    #[test]
    fn what_is_no_number_flips_and_is_worse_than_any_change() {
        let reference = answers(array![[2.0, 0.0], [0.0, 1.0]]);
        for broken in [f32::NAN, f32::INFINITY] {
            let effect = answers(array![[2.0, broken], [0.0, 1.0]]).effect(&reference, None);
            assert_eq!(effect.flips, 1);
            assert!(!effect.change.is_finite() && !effect.largest_change.is_finite());
            let bad = Effect {
                flips: 1,
                change: 9.0,
                ..Effect::default()
            };
            assert_eq!(effect.compare(&bad), Ordering::Greater);
        }
        let broken = answers(array![[f32::NAN, 0.0], [0.0, 1.0]]);
        assert_eq!(
            broken.effect(&broken, None).flips,
            1,
            "a NaN agrees with nothing, itself included"
        );
    }

    #[test]
    fn crops_are_averaged_by_weight_and_the_background_is_no_answer() {
        let crops = [(0, 1), (0, 3), (1, 1)];
        let logits = array![[0.0, 3.0, 0.0], [0.0, 0.0, 1.5], [9.0, 1.0, 2.0]];
        let all = Answers::new(logits.clone(), &crops, 0);
        assert_eq!(all.top1, [Some(2), Some(0)]);
        let classes = Answers::new(logits.clone(), &crops, 1);
        assert_eq!(classes.top1, [Some(1), Some(1)]);
        let once = Answers::new(logits, &[(0, 1), (0, 1), (1, 1)], 0);
        assert_eq!(once.top1, [Some(1), Some(0)]);
    }

    #[test]
    fn equals_go_to_the_lower_class() {
        assert_eq!(most_probable(&[0.2, 0.4, 0.4]), Some(1));
        assert_eq!(most_probable(&[f64::NAN, 0.4]), None);
    }
}
