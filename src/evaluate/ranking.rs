//! From probabilities to error rates.

use serde::{Deserialize, Serialize};

/// How many classes have a larger probability than class `label`; of equals, the lower class stands first.
/// With a NaN anywhere there is no order, and the rank is past every class: an error, never a hit.
pub fn rank_of(label: usize, probabilities: &[f64]) -> usize {
    let Some(&own) = probabilities.get(label) else {
        return probabilities.len();
    };
    if probabilities.iter().any(|value| value.is_nan()) {
        return probabilities.len();
    }
    let before = |(class, &value): (usize, &f64)| value > own || (value == own && class < label);
    probabilities
        .iter()
        .enumerate()
        .filter(|&entry| before(entry))
        .count()
}

/// Top-1 and top-5 error over a set of images.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ErrorRate {
    /// Images counted.
    pub images: usize,
    /// Images whose class is not the most probable.
    pub top1_errors: usize,
    /// Images whose class is not among the five most probable.
    pub top5_errors: usize,
    /// Images with a probability that is NaN or infinite: errors whatever their class.
    #[serde(default)]
    pub not_finite: usize,
    /// Top-1 error in percent.
    pub top1_percent: f64,
    /// Top-5 error in percent.
    pub top5_percent: f64,
    /// 95 % confidence interval of the top-1 error in percent (Wilson's score interval).
    pub top1_interval: (f64, f64),
    /// 95 % confidence interval of the top-5 error in percent.
    pub top5_interval: (f64, f64),
}

impl ErrorRate {
    /// Counts the errors of images with these labels and the probabilities given for each.
    pub fn of(labels: &[usize], probabilities: impl Fn(usize) -> Vec<f64>) -> Self {
        let mut not_finite = 0;
        let mut ranks = Vec::with_capacity(labels.len());
        for (image, &label) in labels.iter().enumerate() {
            let probabilities = probabilities(image);
            not_finite += usize::from(probabilities.iter().any(|value| !value.is_finite()));
            ranks.push(rank_of(label, &probabilities));
        }
        let errors = |k| ranks.iter().filter(|&&rank| rank >= k).count();
        let (top1_errors, top5_errors, images) = (errors(1), errors(5), labels.len());
        let percent = |errors: usize| 100.0 * errors as f64 / images.max(1) as f64;
        Self {
            images,
            top1_errors,
            top5_errors,
            not_finite,
            top1_percent: percent(top1_errors),
            top5_percent: percent(top5_errors),
            top1_interval: interval(top1_errors, images),
            top5_interval: interval(top5_errors, images),
        }
    }
}

/// Wilson's score interval at 95 %, in percent: sensible also for few images and for no errors at all.
pub fn interval(errors: usize, images: usize) -> (f64, f64) {
    const Z: f64 = 1.959_963_984_540_054;
    if images == 0 {
        return (0.0, 100.0);
    }
    let n = images as f64;
    let share = errors as f64 / n;
    let spread = Z * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    let (middle, scale) = (share + Z * Z / (2.0 * n), 100.0 / (1.0 + Z * Z / n));
    (
        ((middle - spread) * scale).max(0.0),
        ((middle + spread) * scale).min(100.0),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_count_what_stands_before() {
        let probabilities = [0.1, 0.4, 0.4, 0.05, 0.05];
        assert_eq!(
            [0, 1, 2, 3, 4].map(|label| rank_of(label, &probabilities)),
            [2, 0, 1, 3, 4]
        );
        assert_eq!(rank_of(0, &[f64::NAN, 0.0]), 2, "a NaN is never a hit");
        assert_eq!(
            rank_of(7, &probabilities),
            5,
            "a class the model lacks is an error"
        );
    }

    #[test]
    fn errors_are_counted_by_hand() {
        let table = [
            [0.5, 0.2, 0.1, 0.1, 0.06, 0.04],
            [0.04, 0.06, 0.1, 0.1, 0.2, 0.5],
        ];
        let rate = ErrorRate::of(&[0, 0], |image| table[image].to_vec());
        assert_eq!((rate.top1_errors, rate.top5_errors), (1, 1));
        assert_eq!((rate.top1_percent, rate.top5_percent), (50.0, 50.0));
    }

    #[test]
    fn the_interval_is_wilsons() {
        // statsmodels.stats.proportion.proportion_confint(20, 100, method="wilson")
        let (low, high) = interval(20, 100);
        assert!(
            (low - 13.336_691).abs() < 1e-4 && (high - 28.882_917).abs() < 1e-4,
            "{low} {high}"
        );
        assert_eq!(interval(0, 0), (0.0, 100.0));
        assert!(interval(0, 50).1 > 5.0);
    }
}
