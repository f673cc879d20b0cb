//! How far from the reference a value may be.

use incept_exporters::onnx::Precision;
use ndarray::ArrayD;

use super::Outcome;
use crate::parity::{DEFAULT_TOLERANCE, Verdict, compare};

/// How many roundings of a whole number's size a head may be off by: see [`tolerance`].
const ROUNDINGS: f64 = 20.0;

/// The largest difference allowed, as a share of the largest value of the reference.
///
/// float32: [`DEFAULT_TOLERANCE`], with its reasons. The half types: one rounding moves a number by up to 2⁻¹¹ of it in float16,
/// by up to 2⁻⁸ in bfloat16. The networks have some hundred to four hundred layers in a row, each of which rounds once or
/// twice with either sign; such errors add up as the square root of their number, which is 10 to 28, and not all of them
/// have the full size. So 20 of them are allowed. int8 weights: one is within half a step, 1/254 of its filter's largest. A runtime that rounds to a type of its own whatever the file says is held to
/// the coarser of the two.
pub fn tolerance(file: Precision, runtime: Option<Precision>) -> f64 {
    let of = |precision| match precision {
        Precision::Fp32 => DEFAULT_TOLERANCE,
        Precision::Fp16 => ROUNDINGS * 2_f64.powi(-11),
        Precision::Bf16 => ROUNDINGS * 2_f64.powi(-8),
        Precision::Int8 => ROUNDINGS / 254.0,
    };
    of(file).max(runtime.map_or(0.0, of))
}

/// The relative error, and whether it is within the tolerance.
pub(super) fn judge(
    expected: &ArrayD<f64>,
    found: &ArrayD<f32>,
    tolerance: f64,
) -> (Option<f64>, Outcome) {
    let mut comparison = compare("head", expected.view(), found.view(), tolerance);
    if comparison.verdict.holds() {
        comparison.fail_where_reference_is_zero();
    }
    let error = comparison.metrics.map(|metrics| metrics.relative_error);
    let outcome = match comparison.verdict {
        Verdict::Holds => Outcome::Works,
        Verdict::Fails { reason } => Outcome::Fails { reason },
    };
    (error.filter(|error| error.is_finite()), outcome)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use ndarray::IxDyn;

    fn array<T: Clone>(values: &[T]) -> ArrayD<T> {
        ArrayD::from_shape_vec(IxDyn(&[1, values.len()]), values.to_vec()).unwrap()
    }

    #[test]
    fn the_coarser_precision_decides() {
        let of = tolerance;
        assert_eq!(of(Precision::Fp32, None), DEFAULT_TOLERANCE);
        assert_eq!(of(Precision::Fp32, Some(Precision::Bf16)), 20.0 / 256.0);
        assert_eq!(of(Precision::Bf16, Some(Precision::Fp32)), 20.0 / 256.0);
        assert!(of(Precision::Fp16, None) < of(Precision::Bf16, None));
    }

    #[test]
    fn faults_fail() {
        let expected = array(&[1.0, -2.0, 0.5]);
        let judged = |found: &[f32]| judge(&expected, &array(found), 1e-5);
        assert_eq!(judged(&[1.0, -2.0, 0.5]), (Some(0.0), Outcome::Works));
        for found in [
            &[1.0, -2.0, 0.6][..],
            &[1.0, -2.0, f32::NAN],
            &[1.0, f32::INFINITY, 0.5],
            &[1.0, -2.0],
            &[],
        ] {
            let (error, outcome) = judged(found);
            assert!(matches!(outcome, Outcome::Fails { .. }), "{found:?}");
            assert!(error.is_none_or(f64::is_finite));
        }
        let dead = array(&[0.0, 0.0]);
        let (_, outcome) = judge(&dead, &array(&[0.0, 0.0]), 1e-5);
        assert!(matches!(outcome, Outcome::Fails { .. }));
    }
}
