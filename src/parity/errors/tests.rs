#![allow(clippy::unwrap_used)]
use incept_exporters::weights::{stream_key, uniform};
use ndarray::{Array4, ArrayD, Axis, IxDyn, s};

use super::*;

const SHAPE: [usize; 4] = [2, 8, 9, 11];
/// What rounding is said to give each value.
const SIZE: f64 = 1e-6;

/// Two uniform numbers of a stream make a normally distributed one (Box and Muller).
fn normal(name: &str) -> Array4<f64> {
    let key = stream_key(7, name);
    let mut index = 0;
    Array4::from_shape_simple_fn(SHAPE, || {
        index += 2;
        let radius = (-2.0 * (1.0 - uniform(key, index)).ln()).sqrt();
        radius * (std::f64::consts::TAU * uniform(key, index + 1)).cos()
    })
}

/// Values as after ReLU: not negative, one third of them 0.
fn reference() -> Array4<f64> {
    normal("reference").mapv(|value| (value + 0.5).max(0.0))
}

/// The reference with rounding errors of the size expected, times a factor.
fn rounded(times: f64) -> Array4<f64> {
    reference() + normal("errors") * (SIZE * times)
}

fn verdict_of(actual: &Array4<f64>) -> (LayerVerdict, Option<Units>) {
    let mut errors = Errors::under(&Rule::Rounding);
    let actual = actual.mapv(|value| value as f32).into_dyn();
    // float32's own rounding of the values is smaller than this by a factor of ten.
    let deviation = ArrayD::from_elem(IxDyn(&SHAPE), SIZE as f32);
    errors.add(
        reference().into_dyn().view(),
        deviation.view(),
        actual.view(),
    );
    (errors.verdict(), errors.units())
}

fn structural(actual: &Array4<f64>) -> String {
    match verdict_of(actual).0 {
        LayerVerdict::Structural { reason } => reason,
        other => panic!("not structural: {other:?}"),
    }
}

#[test]
fn rounding_is_within_rounding_and_measured_rightly() {
    let (verdict, units) = verdict_of(&rounded(1.0));
    assert_eq!(verdict, LayerVerdict::WithinRounding);
    let units = units.unwrap();
    assert!((units.root_mean_square - 1.0).abs() < 0.1, "{units:?}");
    assert!(units.largest > 2.5 && units.largest < 6.0, "{units:?}");
    assert!(units.times_bound() < 0.5, "{units:?}");
}

#[test]
fn coarser_rounding_is_large_and_says_what_would_explain_it() {
    for (times, part) in [
        (30.0, "float32 summed"),
        (3000.0, "TF32"),
        (60_000.0, "bfloat16"),
    ] {
        match verdict_of(&rounded(times)).0 {
            LayerVerdict::Large { as_if } => assert!(as_if.contains(part), "{times}: {as_if}"),
            other => panic!("{times}: {other:?}"),
        }
    }
    assert!(structural(&rounded(1e7)).contains("more than the rounding of any arithmetic"));
}

#[test]
fn every_planted_fault_is_structural() {
    // One channel's weight is wrong.
    let mut one_channel = rounded(1.0);
    one_channel
        .slice_mut(s![.., 3, .., ..])
        .mapv_inplace(|value| value * 1.001);
    assert!(structural(&one_channel).contains("1 of 8 channels, channel 3"));
    // All are scaled, as by another epsilon or residual scale.
    let scaled = rounded(1.0).mapv(|value| value * 1.001);
    assert!(structural(&scaled).contains("correlation"));
    // A term is missing: a bias, a ReLU's cut.
    let shifted = rounded(1.0).mapv(|value| value + 1e-4);
    assert!(structural(&shifted).contains("lean to one side"));
    // Padding is counted: the border alone differs.
    let mut border = rounded(1.0);
    border
        .slice_mut(s![.., .., 0, ..])
        .mapv_inplace(|value| value * 0.7);
    structural(&border);
    // One value is wrong.
    let mut one = rounded(1.0);
    one[[1, 4, 5, 6]] += 1e-2;
    let reason = structural(&one);
    assert!(
        reason.contains("[1, 4, 5, 6]") || reason.contains("channel 4"),
        "{reason}"
    );
    // Every value is there, in another place.
    let turned = rounded(1.0);
    let mut channels = turned.clone();
    channels
        .slice_mut(s![.., 0, .., ..])
        .assign(&turned.slice(s![.., 1, .., ..]));
    channels
        .slice_mut(s![.., 1, .., ..])
        .assign(&turned.slice(s![.., 0, .., ..]));
    structural(&channels);
    let mut rows = turned.clone();
    rows.invert_axis(Axis(2));
    structural(&rows.as_standard_layout().to_owned());
}

#[test]
fn numbers_that_are_none_are_structural_and_stay_visible() {
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let mut some = rounded(1.0);
        some[[0, 1, 2, 3]] = bad;
        assert!(structural(&some).starts_with("1 of 1584 values"));
        assert!(verdict_of(&some).1.unwrap().largest.is_nan());
        assert_eq!(verdict_of(&some).1.unwrap().times_bound(), f64::INFINITY);
        some.fill(bad);
        assert!(structural(&some).starts_with("1584 of 1584 values"));
    }
}

#[test]
fn zeros_of_either_sign_are_equal_and_flushed_denormals_are_rounding() {
    let mut errors = Errors::under(&Rule::Rounding);
    let reference = ArrayD::from_shape_vec(IxDyn(&[1, 3]), vec![0.0, 1e-39, 1.0]).unwrap();
    let actual = ArrayD::from_shape_vec(IxDyn(&[1, 3]), vec![-0.0_f32, 0.0, 1.0]).unwrap();
    let deviation = ArrayD::from_shape_vec(IxDyn(&[1, 3]), vec![0.0_f32, 1e-38, 1e-8]).unwrap();
    errors.add(reference.view(), deviation.view(), actual.view());
    assert_eq!(errors.verdict(), LayerVerdict::WithinRounding);
}

#[test]
fn other_shapes_missing_values_and_nothing_at_all_fail() {
    let mut errors = Errors::under(&Rule::Rounding);
    let (a, b) = (ArrayD::zeros(IxDyn(&[2, 6])), ArrayD::zeros(IxDyn(&[6, 2])));
    errors.add(a.view(), ArrayD::zeros(IxDyn(&[2, 6])).view(), b.view());
    assert!(
        errors
            .verdict()
            .to_string()
            .contains("expected shape [2, 6], found [6, 2]")
    );
    let mut missing = Errors::under(&Rule::Rounding);
    missing.add_missing();
    assert!(missing.verdict().to_string().contains("did not put out"));
    let nothing = Errors::under(&Rule::Rounding);
    assert!(
        nothing
            .verdict()
            .to_string()
            .contains("nothing was compared")
    );
    assert!(nothing.units().is_none());
    // A reference that is no number agrees with nothing, itself included.
    let mut bad = Errors::under(&Rule::Rounding);
    let reference = ArrayD::from_elem(IxDyn(&[1, 2]), f64::NAN);
    bad.add(
        reference.view(),
        ArrayD::ones(IxDyn(&[1, 2])).view(),
        reference.mapv(|x| x as f32).view(),
    );
    assert!(!bad.verdict().holds());
}

#[test]
fn which_one_is_the_reference_matters() {
    // numpy's formula is relative to the reference: 1.0 is within 10 % of 1.1, and 1.1 is not within 10 % of 1.0 − ε.
    let rule = Rule::Numpy {
        atol: 0.0,
        rtol: 0.0995,
    };
    let verdict = |reference: f64, actual: f32| {
        let mut errors = Errors::under(&rule);
        let reference = ArrayD::from_elem(IxDyn(&[1, 1]), reference);
        let actual = ArrayD::from_elem(IxDyn(&[1, 1]), actual);
        errors.add(
            reference.view(),
            ArrayD::zeros(IxDyn(&[1, 1])).view(),
            actual.view(),
        );
        errors.verdict()
    };
    assert!(verdict(1.1, 1.0).holds());
    assert!(matches!(verdict(1.0, 1.1), LayerVerdict::Exceeds { .. }));
}

#[test]
fn batches_add_up_to_what_they_are_together() {
    let (reference, actual) = (
        reference().into_dyn(),
        rounded(2.0).mapv(|x| x as f32).into_dyn(),
    );
    let deviation = ArrayD::from_elem(IxDyn(&SHAPE), SIZE as f32);
    let mut together = Errors::under(&Rule::Rounding);
    together.add(reference.view(), deviation.view(), actual.view());
    let mut one_by_one = Errors::under(&Rule::Rounding);
    for image in 0..SHAPE[0] {
        let range = Axis(0);
        let of = |all: &ArrayD<f64>| all.slice_axis(range, (image..=image).into()).to_owned();
        one_by_one.add(
            of(&reference).view(),
            deviation.slice_axis(range, (image..=image).into()),
            actual.slice_axis(range, (image..=image).into()),
        );
    }
    let (a, b) = (together.units().unwrap(), one_by_one.units().unwrap());
    assert_eq!(a.largest, b.largest);
    assert!((a.root_mean_square / b.root_mean_square - 1.0).abs() < 1e-12);
    assert_eq!(together.histogram(), one_by_one.histogram());
    assert_eq!(together.histogram().iter().sum::<u64>(), 1584);
}
