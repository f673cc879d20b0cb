//! Numbers about the difference between a computed tensor and its reference, and the verdict they give.

use ndarray::{ArrayViewD, Axis};
use serde::{Deserialize, Deserializer, Serialize};

use super::errors::{Errors, Units};
use super::rule::Rule;

/// The largest difference allowed, as a share of the largest reference value.
///
/// float32 rounds to 6e-8 of a value. Over the hundred and more layers of these networks such errors add up to
/// a few 1e-6 of a tensor's range in every correct runtime we measured; a wrong weight, padding, order of channels or
/// epsilon moves outputs by 1e-4 and more. 1e-5 lies between.
pub const DEFAULT_TOLERANCE: f64 = 1e-5;

/// Difference between `actual` and `reference`, over all elements.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// Elements compared.
    pub elements: usize,
    /// `max|actual − reference|`.
    #[serde(deserialize_with = "number_or_nan")]
    pub max_absolute_error: f64,
    /// Mean of `|actual − reference|`.
    #[serde(deserialize_with = "number_or_nan")]
    pub mean_absolute_error: f64,
    /// `max|actual − reference| / max|reference|`; 0 where both are 0 throughout.
    #[serde(deserialize_with = "number_or_nan")]
    pub relative_error: f64,
    /// `max|reference|`.
    #[serde(deserialize_with = "number_or_nan")]
    pub max_reference: f64,
    /// Cosine of the angle between the two as vectors; 1 where both are 0 throughout.
    #[serde(deserialize_with = "number_or_nan")]
    pub cosine: f64,
    /// Elements of `actual` that are NaN or infinite.
    pub not_finite: usize,
    /// Share of rows whose largest element stands in the same place; only for `[N, classes]` outputs.
    pub top1_agreement: Option<f64>,
}

/// JSON has no NaN and no infinity: they are written as `null`, and read back as NaN.
///
/// # Errors
/// The deserializer's, where neither a number nor `null` stands there.
pub(crate) fn number_or_nan<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::<f64>::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

/// Whether a tensor holds, and if not, why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// Within the tolerance.
    Holds,
    /// Not.
    Fails {
        /// In words, with expected and found.
        reason: String,
    },
}

impl Verdict {
    /// Whether it holds.
    pub fn holds(&self) -> bool {
        *self == Self::Holds
    }

    fn fails(reason: impl Into<String>) -> Self {
        Self::Fails {
            reason: reason.into(),
        }
    }
}

/// One tensor compared with its reference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The value's name: a node of the network.
    pub value: String,
    /// Images in the batch.
    pub batch: usize,
    /// Shape of the reference.
    pub shape: Vec<usize>,
    /// The numbers; none where the tensor is missing or of another shape.
    pub metrics: Option<Metrics>,
    /// The errors in units of rounding, where that is known.
    pub units: Option<Units>,
    /// The verdict.
    #[serde(flatten)]
    pub verdict: Verdict,
}

impl Comparison {
    /// A tensor that the runtime did not put out.
    pub fn missing(value: &str, batch: usize, shape: &[usize]) -> Self {
        let verdict = Verdict::fails("the runtime did not put out this value");
        Self {
            value: value.into(),
            batch,
            shape: shape.into(),
            metrics: None,
            units: None,
            verdict,
        }
    }

    /// Makes a comparison with nothing but zeros fail: any dead network would agree with it.
    pub(crate) fn fail_where_reference_is_zero(&mut self) {
        if self
            .metrics
            .is_some_and(|metrics| metrics.max_reference == 0.0)
        {
            let reason = "the reference is 0 throughout: agreement with it says nothing";
            self.verdict = Verdict::fails(reason);
        }
    }
}

/// Compares `actual` with `reference` by a rule; with each value of the reference goes the standard deviation that rounding
/// gives it (looked at by [`Rule::Rounding`] only).
///
/// Nothing to compare, another shape, or any value that is not finite fails, whatever the rule.
pub fn compare_within(
    value: &str,
    (reference, deviation): (ArrayViewD<'_, f64>, ArrayViewD<'_, f32>),
    actual: ArrayViewD<'_, f32>,
    rule: &Rule,
) -> Comparison {
    if let Rule::Range { tolerance } = *rule {
        return compare(value, reference, actual, tolerance);
    }
    let mut comparison = compare(value, reference.view(), actual.view(), f64::INFINITY);
    if comparison.verdict.holds() {
        let mut errors = Errors::under(rule);
        errors.add(reference, deviation, actual);
        comparison.units = errors.units().filter(|_| *rule == Rule::Rounding);
        let verdict = errors.verdict();
        if !verdict.holds() {
            comparison.verdict = Verdict::fails(verdict.to_string());
        }
    }
    comparison
}

/// Compares `actual` with `reference`; which is which matters, and the names say it.
///
/// Nothing to compare, another shape, or any value that is not finite fails, whatever the tolerance.
pub fn compare(
    value: &str,
    reference: ArrayViewD<'_, f64>,
    actual: ArrayViewD<'_, f32>,
    tolerance: f64,
) -> Comparison {
    let shape = reference.shape().to_vec();
    let comparison = |metrics, verdict| Comparison {
        value: value.into(),
        batch: shape.first().copied().unwrap_or(0),
        shape: shape.clone(),
        metrics,
        units: None,
        verdict,
    };
    if reference.shape() != actual.shape() {
        let reason = format!(
            "expected shape {:?}, found {:?}",
            reference.shape(),
            actual.shape()
        );
        return comparison(None, Verdict::fails(reason));
    }
    if reference.is_empty() {
        return comparison(
            None,
            Verdict::fails("nothing was compared: the tensor has no elements"),
        );
    }
    let metrics = measure(&reference, &actual);
    let bad_reference = reference.iter().filter(|value| !value.is_finite()).count();
    let verdict = if bad_reference > 0 {
        Verdict::fails(format!(
            "{bad_reference} values of the reference are NaN or infinite"
        ))
    } else if metrics.not_finite > 0 {
        Verdict::fails(format!(
            "{} of {} values are NaN or infinite",
            metrics.not_finite, metrics.elements
        ))
    } else if metrics.max_absolute_error <= tolerance * metrics.max_reference {
        Verdict::Holds
    } else {
        Verdict::fails(format!(
            "expected a relative error of at most {tolerance:.1e}, found {:.1e}",
            metrics.relative_error
        ))
    };
    comparison(Some(metrics), verdict)
}

fn measure(reference: &ArrayViewD<'_, f64>, actual: &ArrayViewD<'_, f32>) -> Metrics {
    let (mut max_error, mut sum_error, mut max_reference) = (0.0_f64, 0.0, 0.0_f64);
    let (mut dot, mut square_reference, mut square_actual) = (0.0, 0.0, 0.0);
    let mut not_finite = 0;
    for (&expected, &found) in reference.iter().zip(actual) {
        let found = f64::from(found);
        if !found.is_finite() {
            not_finite += 1;
        }
        let error = (found - expected).abs();
        // `f64::max` would drop a NaN; here it must stay.
        if error.is_nan() || error > max_error {
            max_error = if max_error.is_nan() { max_error } else { error };
        }
        sum_error += error;
        max_reference = max_reference.max(expected.abs());
        dot += expected * found;
        square_reference += expected * expected;
        square_actual += found * found;
    }
    let elements = reference.len();
    let lengths = (square_reference * square_actual).sqrt();
    Metrics {
        elements,
        max_absolute_error: max_error,
        mean_absolute_error: sum_error / elements as f64,
        relative_error: if max_error == 0.0 {
            0.0
        } else {
            max_error / max_reference
        },
        max_reference,
        cosine: if lengths == 0.0 && square_reference == square_actual {
            1.0
        } else {
            dot / lengths
        },
        not_finite,
        top1_agreement: (reference.ndim() == 2).then(|| top1_agreement(reference, actual)),
    }
}

fn top1_agreement(reference: &ArrayViewD<'_, f64>, actual: &ArrayViewD<'_, f32>) -> f64 {
    let rows = reference.len_of(Axis(0));
    let same = (0..rows).filter(|&row| {
        let expected = reference.index_axis(Axis(0), row);
        let found = actual.index_axis(Axis(0), row);
        largest(expected.iter().copied()) == largest(found.iter().map(|&value| f64::from(value)))
    });
    same.count() as f64 / rows as f64
}

/// Where the largest value stands, the first of equals; none where a NaN leaves no order.
fn largest(values: impl Iterator<Item = f64>) -> Option<usize> {
    let mut best: Option<(usize, f64)> = None;
    for (place, value) in values.enumerate() {
        if value.is_nan() {
            return None;
        }
        if best.is_none_or(|(_, highest)| value > highest) {
            best = Some((place, value));
        }
    }
    best.map(|(place, _)| place)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use ndarray::{Array, ArrayD, IxDyn};

    fn reference() -> ArrayD<f64> {
        Array::from_shape_fn(IxDyn(&[2, 6]), |i| (i[0] * 7 + i[1] * 3) as f64 % 5.0 - 1.5)
    }

    fn verdict_of(actual: &ArrayD<f32>) -> Verdict {
        compare(
            "logits",
            reference().view(),
            actual.view(),
            DEFAULT_TOLERANCE,
        )
        .verdict
    }

    fn exact() -> ArrayD<f32> {
        reference().mapv(|value| value as f32)
    }

    fn planted(change: impl Fn(&mut ArrayD<f32>)) -> String {
        let mut actual = exact();
        change(&mut actual);
        match verdict_of(&actual) {
            Verdict::Fails { reason } => reason,
            Verdict::Holds => panic!("the planted fault was not caught"),
        }
    }

    #[test]
    fn equal_tensors_hold() {
        assert!(verdict_of(&exact()).holds());
        let comparison = compare("logits", reference().view(), exact().view(), 0.0);
        let metrics = comparison.metrics.unwrap();
        assert_eq!(
            (metrics.max_absolute_error, metrics.top1_agreement),
            (0.0, Some(1.0))
        );
        assert!((metrics.cosine - 1.0).abs() < 1e-12);
    }

    #[test]
    fn every_planted_fault_fails() {
        assert!(planted(|a| a[[0, 0]] = f32::NAN).contains("1 of 12 values"));
        assert!(planted(|a| a.fill(f32::NAN)).contains("12 of 12 values"));
        assert!(planted(|a| a[[1, 5]] = f32::INFINITY).contains("NaN or infinite"));
        assert!(planted(|a| a[[1, 5]] = f32::NEG_INFINITY).contains("NaN or infinite"));
        assert!(planted(|a| a[[1, 2]] += 1e-3).contains("relative error"));
        assert!(planted(|a| *a = a.mapv(|value| -value)).contains("relative error"));
        // The same values in the same number, differently arranged.
        assert!(
            planted(|a| *a = a.clone().into_shape_with_order(IxDyn(&[6, 2])).unwrap())
                .contains("expected shape")
        );
        assert!(planted(|a| *a = a.clone().reversed_axes()).contains("expected shape"));
        assert!(planted(|a| a.swap([0, 0], [0, 1])).contains("relative error"));
        assert!(planted(|a| a.fill(0.0)).contains("relative error"));
    }

    #[test]
    fn numbers_that_are_none_survive_json() {
        let mut actual = exact();
        actual[[0, 0]] = f32::NAN;
        let comparison = compare(
            "logits",
            reference().view(),
            actual.view(),
            DEFAULT_TOLERANCE,
        );
        let read: Comparison =
            serde_json::from_str(&serde_json::to_string(&comparison).unwrap()).unwrap();
        assert!(read.metrics.unwrap().max_absolute_error.is_nan());
        assert_eq!(read.verdict, comparison.verdict);
    }

    #[test]
    fn nothing_compared_fails() {
        let (empty, none) = (
            ArrayD::<f64>::zeros(IxDyn(&[0, 6])),
            ArrayD::<f32>::zeros(IxDyn(&[0, 6])),
        );
        let comparison = compare("logits", empty.view(), none.view(), 1.0);
        assert!(!comparison.verdict.holds());
        assert!(!Comparison::missing("logits", 1, &[1, 6]).verdict.holds());
    }

    #[test]
    fn a_reference_that_is_no_number_fails_even_against_itself() {
        let mut bad = reference();
        bad[[0, 0]] = f64::NAN;
        let actual = bad.mapv(|value| value as f32);
        assert!(
            !compare("logits", bad.view(), actual.view(), 1.0)
                .verdict
                .holds()
        );
    }

    #[test]
    fn an_error_just_inside_the_tolerance_holds_and_just_outside_fails() {
        let limit = DEFAULT_TOLERANCE * 2.5;
        for (factor, holds) in [(0.9, true), (1.1, false)] {
            let mut shifted = reference();
            shifted[[0, 0]] += limit * factor;
            // The reference moves in float64, so that float32 rounding of the difference plays no part.
            assert_eq!(
                compare("x", shifted.view(), exact().view(), DEFAULT_TOLERANCE)
                    .verdict
                    .holds(),
                holds
            );
        }
    }

    #[test]
    fn top1_counts_rows_and_never_trusts_a_nan() {
        let reference = Array::from_shape_vec(IxDyn(&[2, 2]), vec![0.0, 1.0, 1.0, 0.0]).unwrap();
        let flipped = Array::from_shape_vec(IxDyn(&[2, 2]), vec![0.0, 1.0, 0.0, 1.0]).unwrap();
        let metrics = compare("logits", reference.view(), flipped.view(), 1.0)
            .metrics
            .unwrap();
        assert_eq!(metrics.top1_agreement, Some(0.5));
        assert_eq!(largest([f64::NAN, 1.0].into_iter()), None);
    }
}
