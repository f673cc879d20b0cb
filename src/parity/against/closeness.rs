//! Whether two tensors are close, by numpy's formula.

use ndarray::ArrayD;
use serde::{Deserialize, Serialize};

use crate::parity::{Metrics, Verdict, compare, number_or_nan};

/// The verdict's formula, as it is printed. B is the reference: it decides how much A may differ.
pub const CLOSENESS: &str =
    "|A - B| <= atol + rtol * |B| for every number, shapes equal, every number finite";

/// How far A may be from B.
///
/// Both defaults are [`crate::parity::DEFAULT_TOLERANCE`], which lies between what the order of float32 additions makes
/// and what the smallest fault makes. An absolute tolerance cannot be one number for all layers, whose values differ a
/// thousandfold: where none is given, it is that share of the layer's largest |B|.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Tolerance {
    /// The absolute tolerance; none: `rtol` times the largest |B| of each value.
    pub atol: Option<f64>,
    /// The relative one.
    pub rtol: f64,
}

impl Default for Tolerance {
    fn default() -> Self {
        Self {
            atol: None,
            rtol: crate::parity::DEFAULT_TOLERANCE,
        }
    }
}

impl Tolerance {
    /// In words, for tables.
    pub fn text(&self) -> String {
        match self.atol {
            Some(atol) => format!("atol {atol:e}, rtol {:e}", self.rtol),
            None => format!(
                "rtol {:e}, atol {:e} of the largest |B| of each value",
                self.rtol, self.rtol
            ),
        }
    }
}

/// One tensor of A beside that of B.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// The numbers; none where shapes differ or there is nothing to compare.
    pub metrics: Option<Metrics>,
    /// The largest share of what is allowed that a number takes: above 1 it fails.
    #[serde(deserialize_with = "number_or_nan")]
    pub share: f64,
    /// Numbers outside of the tolerance.
    pub outside: usize,
    /// Where the largest share stands.
    pub worst: Vec<usize>,
    /// The largest difference that running A again, on one thread and without optimisation makes; none where that was
    /// not measured.
    pub noise: Option<f64>,
    /// Whether the whole difference is of the size of that noise.
    pub within_noise: bool,
    /// The verdict.
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// Compares A's tensor with B's.
pub(crate) fn difference(
    a: &ArrayD<f32>,
    b: &ArrayD<f32>,
    tolerance: Tolerance,
    noise: Option<f64>,
) -> Difference {
    let reference = b.mapv(f64::from);
    let compared = compare("", reference.view(), a.view(), f64::MAX);
    let Some(metrics) = compared.metrics else {
        return Difference {
            metrics: None,
            share: f64::NAN,
            outside: 0,
            worst: vec![],
            noise,
            within_noise: false,
            verdict: compared.verdict,
        };
    };
    let atol = tolerance
        .atol
        .unwrap_or(tolerance.rtol * metrics.max_reference);
    let (mut share, mut outside, mut worst) = (0.0_f64, 0, vec![]);
    for ((place, found), expected) in a.indexed_iter().zip(reference.iter()) {
        let error = (f64::from(*found) - expected).abs();
        let allowed = atol + tolerance.rtol * expected.abs();
        let taken = match (error == 0.0, error.is_nan() || allowed.is_nan()) {
            (true, _) => 0.0,
            (false, true) => f64::INFINITY,
            (false, false) => error / allowed,
        };
        outside += usize::from(taken > 1.0);
        if taken > share || worst.is_empty() {
            share = taken;
            worst = ndarray::Dimension::slice(&place).to_vec();
        }
    }
    let finite = metrics.not_finite == 0
        && metrics.max_reference.is_finite()
        && metrics.max_absolute_error.is_finite();
    let within_noise = finite && noise.is_some_and(|noise| metrics.max_absolute_error <= noise);
    let bad_reference = reference.iter().filter(|value| !value.is_finite()).count();
    let fails = |reason: String| Verdict::Fails { reason };
    let verdict = if bad_reference > 0 {
        fails(format!(
            "{bad_reference} of {} numbers of B are NaN or infinite",
            metrics.elements
        ))
    } else if metrics.not_finite > 0 {
        fails(format!(
            "{} of {} numbers of A are NaN or infinite",
            metrics.not_finite, metrics.elements
        ))
    } else if outside == 0 || within_noise {
        Verdict::Holds
    } else {
        fails(format!(
            "{outside} of {} numbers are outside, the worst by {share:.1e} times what is allowed",
            metrics.elements
        ))
    };
    Difference {
        metrics: Some(metrics),
        share,
        outside,
        worst,
        noise,
        within_noise,
        verdict,
    }
}

/// The largest difference between two results of the same computation; NaN where one has a NaN that the other has not.
pub(crate) fn largest_difference(one: &ArrayD<f32>, other: &ArrayD<f32>) -> f64 {
    if one.shape() != other.shape() {
        return f64::NAN;
    }
    let differences = one
        .iter()
        .zip(other)
        .map(|(one, other)| (f64::from(*one) - f64::from(*other)).abs());
    differences.fold(0.0, |most, found| {
        if found.is_nan() || most.is_nan() {
            f64::NAN
        } else {
            found.max(most)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{IxDyn, arr2};

    fn b() -> ArrayD<f32> {
        arr2(&[[1.0, -4.0, 2.0], [0.0, 3.0, -2.0]]).into_dyn()
    }

    fn verdict(change: impl Fn(&mut ArrayD<f32>), tolerance: Tolerance) -> Difference {
        let mut a = b();
        change(&mut a);
        difference(&a, &b(), tolerance, None)
    }

    #[test]
    fn the_formula_is_numpys() {
        let tolerance = Tolerance {
            atol: Some(1e-3),
            rtol: 1e-2,
        };
        // Allowed at -4 is 0.041, at 0 it is 0.001.
        assert!(verdict(|a| a[[0, 1]] += 0.0409, tolerance).verdict.holds());
        assert!(!verdict(|a| a[[0, 1]] += 0.0411, tolerance).verdict.holds());
        assert!(verdict(|a| a[[1, 0]] += 0.0009, tolerance).verdict.holds());
        let difference = verdict(|a| a[[1, 0]] += 0.0011, tolerance);
        assert!(!difference.verdict.holds());
        assert_eq!((difference.outside, difference.worst), (1, vec![1, 0]));
        // Without an absolute tolerance, a share of the largest |B|, 4.
        let tolerance = Tolerance {
            atol: None,
            rtol: 1e-2,
        };
        assert!(verdict(|a| a[[1, 0]] += 0.039, tolerance).verdict.holds());
        assert!(!verdict(|a| a[[1, 0]] += 0.041, tolerance).verdict.holds());
    }

    #[test]
    fn which_is_the_reference_matters() {
        let (small, large) = (
            ArrayD::from_elem(IxDyn(&[1]), 1.0),
            ArrayD::from_elem(IxDyn(&[1]), 1.5),
        );
        let tolerance = Tolerance {
            atol: Some(0.0),
            rtol: 0.4,
        };
        assert!(difference(&small, &large, tolerance, None).verdict.holds());
        assert!(!difference(&large, &small, tolerance, None).verdict.holds());
    }

    #[test]
    fn every_planted_fault_fails() {
        let tolerance = Tolerance::default();
        assert!(verdict(|_| {}, tolerance).verdict.holds());
        for fault in [
            (|a: &mut ArrayD<f32>| a[[0, 0]] = f32::NAN) as fn(&mut ArrayD<f32>),
            |a| a.fill(f32::NAN),
            |a| a[[0, 0]] = f32::INFINITY,
            |a| a.swap([0, 0], [0, 1]),
            |a| a.fill(0.0),
            |a| *a = a.clone().reversed_axes(),
            |a| {
                *a = a
                    .to_shape(IxDyn(&[3, 2]))
                    .map(|a| a.to_owned())
                    .unwrap_or_default()
            },
            |a| *a = ArrayD::zeros(IxDyn(&[0, 3])),
        ] {
            assert!(!verdict(fault, tolerance).verdict.holds());
        }
        // A reference that is no number fails also beside itself, and no noise excuses it.
        let mut bad = b();
        bad[[0, 0]] = f32::NAN;
        assert!(!difference(&bad, &bad, tolerance, Some(1.0)).verdict.holds());
        let nothing = ArrayD::zeros(IxDyn(&[0]));
        assert!(
            !difference(&nothing, &nothing, tolerance, None)
                .verdict
                .holds()
        );
    }

    #[test]
    fn what_is_within_the_noise_is_no_difference() {
        let mut a = b();
        a[[0, 0]] += 0.1;
        let beside = |noise| difference(&a, &b(), Tolerance::default(), Some(noise));
        assert!(beside(0.2).verdict.holds() && beside(0.2).within_noise);
        assert!(!beside(0.05).verdict.holds());
        assert!(!beside(f64::NAN).verdict.holds());
        assert!(largest_difference(&a, &ArrayD::from_elem(a.raw_dim(), f32::NAN)).is_nan());
        assert!(largest_difference(&a, &b()) > 0.09);
    }
}
