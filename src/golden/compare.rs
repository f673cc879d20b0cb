//! An output beside the bundle's, by numpy's formula.

use incept_exporters::onnx::{DataTensor, Numbers};
use ndarray::ArrayD;
use serde::{Deserialize, Serialize};

use crate::parity::number_or_nan;

/// When an output holds, as it is printed.
pub const FORMULA: &str = "|actual - reference| <= atol + rtol * |reference| for every number, NaN and infinities in the same \
                           places, shapes equal; whole numbers and booleans equal";

/// The tolerances of ONNX's own backend tests: for bundles that say nothing else.
pub const ONNX_TOLERANCE: Tolerance = Tolerance {
    atol: 1e-7,
    rtol: 1e-3,
};

/// Whole numbers from here on may be another's neighbour once they are float32, as incept reads outputs.
const FLOAT32_WHOLE: u64 = 1 << 24;

/// How far a number may be missed, see [`FORMULA`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Tolerance {
    /// The part that does not depend on the number.
    pub atol: f64,
    /// The part that does, as a share of it.
    pub rtol: f64,
}

/// What became of a value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// Compared, and within the tolerance.
    Matched,
    /// Compared and not within it, or not there, or of another kind.
    Failed {
        /// In words, with expected and found.
        reason: String,
    },
    /// Not compared: this program cannot. No reason to trust the value.
    Unchecked {
        /// Why not.
        reason: String,
    },
}

impl Verdict {
    /// A failure.
    pub(super) fn failed(reason: impl Into<String>) -> Self {
        Self::Failed {
            reason: reason.into(),
        }
    }

    /// A value that was not compared.
    pub(super) fn unchecked(reason: impl Into<String>) -> Self {
        Self::Unchecked {
            reason: reason.into(),
        }
    }
}

/// Numbers about a difference.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Differences {
    /// Numbers compared.
    pub elements: usize,
    /// Numbers outside the tolerance.
    pub mismatched: usize,
    /// `max|actual - reference|`; NaN (in JSON `null`) where one alone is NaN or infinite.
    #[serde(deserialize_with = "number_or_nan")]
    pub max_absolute_error: f64,
    /// The least `atol` that would do with this `rtol`; NaN where none would.
    #[serde(deserialize_with = "number_or_nan")]
    pub sufficient_atol: f64,
}

/// Compares what a runtime put out with the bundle's tensor. Which is which matters, and the names say it.
pub(super) fn compare(
    reference: &DataTensor,
    actual: &ArrayD<f32>,
    tolerance: Tolerance,
) -> (Option<Differences>, Verdict) {
    if reference.shape != actual.shape() {
        let reason = format!(
            "expected shape {:?}, found {:?}",
            reference.shape,
            actual.shape()
        );
        return (None, Verdict::failed(reason));
    }
    let (expected, tolerance): (Vec<f64>, Tolerance) = match &reference.numbers {
        Numbers::Floats(values) => (values.clone(), tolerance),
        Numbers::Integers(values) => {
            if let Some(large) = values.iter().find(|v| v.unsigned_abs() >= FLOAT32_WHOLE) {
                let reason = format!(
                    "float32, as outputs are read, does not tell {large} from its neighbours"
                );
                return (None, Verdict::unchecked(reason));
            }
            let exact = Tolerance {
                atol: 0.0,
                rtol: 0.0,
            };
            (values.iter().map(|&value| value as f64).collect(), exact)
        }
    };
    if let Some(large) = expected
        .iter()
        .find(|v| v.is_finite() && v.abs() > f32::MAX.into())
    {
        let reason = format!("float32, as outputs are read, does not reach {large:e}");
        return (None, Verdict::unchecked(reason));
    }
    if expected.is_empty() {
        return (None, Verdict::unchecked("it has no elements"));
    }
    let differences = measure(&expected, actual, tolerance);
    let verdict = match differences.mismatched {
        0 => Verdict::Matched,
        count => Verdict::failed(format!(
            "{count} of {} numbers are off, the first at {}",
            differences.elements,
            first_mismatch(&expected, actual, tolerance),
        )),
    };
    (Some(differences), verdict)
}

/// Whether one number is within the tolerance; NaN is of NaN alone, an infinity of its like alone.
fn holds(expected: f64, found: f64, tolerance: Tolerance) -> bool {
    let Tolerance { atol, rtol } = tolerance;
    found == expected
        || found.is_nan() && expected.is_nan()
        || expected.is_finite()
            && found.is_finite()
            && (found - expected).abs() <= atol + rtol * expected.abs()
}

fn measure(expected: &[f64], actual: &ArrayD<f32>, tolerance: Tolerance) -> Differences {
    let (mut mismatched, mut worst, mut atol) = (0, 0.0_f64, 0.0_f64);
    // `f64::max` would drop a NaN; here it must stay.
    let larger = |one: f64, other: f64| {
        let stays = one.is_nan() || other <= one;
        if stays { one } else { other }
    };
    for (&expected, &found) in expected.iter().zip(actual) {
        let found = f64::from(found);
        if !holds(expected, found, tolerance) {
            mismatched += 1;
        }
        if found == expected || found.is_nan() && expected.is_nan() {
            continue;
        }
        let error = (found - expected).abs();
        let error = if error.is_finite() { error } else { f64::NAN };
        worst = larger(worst, error);
        atol = larger(atol, error - tolerance.rtol * expected.abs());
    }
    Differences {
        elements: expected.len(),
        mismatched,
        max_absolute_error: worst,
        sufficient_atol: atol,
    }
}

/// Where the first number outside the tolerance stands, what was expected and what was found.
fn first_mismatch(expected: &[f64], actual: &ArrayD<f32>, tolerance: Tolerance) -> String {
    let mut pairs = actual.indexed_iter().zip(expected);
    let first =
        pairs.find(|((_, found), expected)| !holds(**expected, f64::from(**found), tolerance));
    first.map_or_else(String::new, |((place, found), expected)| {
        let allowed = tolerance.atol + tolerance.rtol * expected.abs();
        format!(
            "{:?}: expected {expected} within {allowed:.1e}, found {found}",
            ndarray::Dimension::slice(&place)
        )
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use incept_exporters::onnx::proto::{FLOAT, INT64};
    use ndarray::IxDyn;

    fn floats(values: &[f64]) -> DataTensor {
        DataTensor {
            name: "y".into(),
            element_type: FLOAT,
            shape: vec![2, values.len() / 2],
            numbers: Numbers::Floats(values.to_vec()),
        }
    }

    fn actual(values: &[f32]) -> ArrayD<f32> {
        ArrayD::from_shape_vec(IxDyn(&[2, values.len() / 2]), values.to_vec()).unwrap()
    }

    fn verdict(reference: &[f64], found: &[f32]) -> Verdict {
        compare(&floats(reference), &actual(found), ONNX_TOLERANCE).1
    }

    #[track_caller]
    fn fails(reference: &[f64], found: &[f32], part: &str) {
        match verdict(reference, found) {
            Verdict::Failed { reason } => assert!(reason.contains(part), "{reason}"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_tolerance_is_of_the_reference() {
        let large = |reference, found| verdict(&[reference, 0.0], &[found, 0.0]);
        assert_eq!(large(1000.0, 1000.999), Verdict::Matched);
        assert_ne!(large(1000.0, 1001.01), Verdict::Matched);
        // 1e-3 of the reference is 1, of the actual value 1.001: only numpy's way round fails.
        assert_ne!(large(1000.0, 1001.0005), Verdict::Matched);
        assert_eq!(large(0.0, 9e-8), Verdict::Matched);
        assert_ne!(large(0.0, 2e-7), Verdict::Matched);
    }

    #[test]
    fn planted_faults_fail() {
        let reference = [1.0, 2.0, 3.0, 4.0];
        assert_eq!(verdict(&reference, &[1.0, 2.0, 3.0, 4.0]), Verdict::Matched);
        fails(
            &reference,
            &[1.0, 2.0, 4.0, 3.0],
            "2 of 4 numbers are off, the first at [1, 0]",
        );
        fails(&reference, &[1.0, f32::NAN, 3.0, 4.0], "found NaN");
        fails(&reference, &[1.0, f32::INFINITY, 3.0, 4.0], "found inf");
        fails(&[1.0, f64::NAN], &[1.0, 2.0], "expected NaN");
        fails(
            &[1.0, f64::INFINITY],
            &[1.0, f32::NEG_INFINITY],
            "expected inf",
        );
        fails(&[1.0, f64::INFINITY], &[1.0, f32::MAX], "expected inf");
        let transposed = actual(&[1.0, 3.0, 2.0, 4.0]);
        let (_, verdict) = compare(&floats(&reference), &transposed, ONNX_TOLERANCE);
        assert_ne!(verdict, Verdict::Matched);
        let other = transposed.into_shape_with_order(IxDyn(&[4])).unwrap();
        let (_, verdict) = compare(&floats(&reference), &other, ONNX_TOLERANCE);
        assert_eq!(verdict, Verdict::failed("expected shape [2, 2], found [4]"));
        // However much is allowed.
        let all = Tolerance {
            atol: f64::MAX,
            rtol: f64::MAX,
        };
        for (expected, found) in [
            (1.0, f32::NAN),
            (f64::NAN, 1.0),
            (f64::INFINITY, 1.0),
            (1.0, f32::INFINITY),
        ] {
            let (differences, verdict) =
                compare(&floats(&[expected, 0.0]), &actual(&[found, 0.0]), all);
            assert!(
                matches!(verdict, Verdict::Failed { .. }),
                "{expected} {found}"
            );
            assert!(differences.unwrap().sufficient_atol.is_nan());
        }
    }

    #[test]
    fn numbers_that_are_none_match_their_like() {
        let reference = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0];
        let found = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0];
        assert_eq!(verdict(&reference, &found), Verdict::Matched);
    }

    #[test]
    fn whole_numbers_are_equal_or_fail() {
        let of = |values: &[i64]| DataTensor {
            element_type: INT64,
            numbers: Numbers::Integers(values.to_vec()),
            ..floats(&[0.0, 0.0])
        };
        let loose = Tolerance {
            atol: 10.0,
            rtol: 1.0,
        };
        let found = actual(&[3.0, -4.0]);
        assert_eq!(compare(&of(&[3, -4]), &found, loose).1, Verdict::Matched);
        let other = compare(&of(&[3, -5]), &found, loose).1;
        assert!(matches!(other, Verdict::Failed { .. }));
        let large = compare(&of(&[1 << 24, 0]), &found, loose).1;
        assert!(matches!(large, Verdict::Unchecked { .. }));
    }

    #[test]
    fn nothing_compared_is_not_matched() {
        let empty = DataTensor {
            shape: vec![0, 2],
            numbers: Numbers::Floats(vec![]),
            ..floats(&[])
        };
        let found = ArrayD::zeros(IxDyn(&[0, 2]));
        let (_, verdict) = compare(&empty, &found, ONNX_TOLERANCE);
        assert!(matches!(verdict, Verdict::Unchecked { .. }));
    }

    #[test]
    fn the_least_tolerance_that_would_do_is_told() {
        let found = actual(&[1.01, 2.0]);
        let (differences, _) = compare(&floats(&[1.0, 2.0]), &found, ONNX_TOLERANCE);
        let atol = differences.unwrap().sufficient_atol;
        for (factor, expected) in [(1.001, true), (0.999, false)] {
            let tolerance = Tolerance {
                atol: atol * factor,
                ..ONNX_TOLERANCE
            };
            let (_, verdict) = compare(&floats(&[1.0, 2.0]), &found, tolerance);
            assert_eq!(verdict == Verdict::Matched, expected);
        }
    }
}
