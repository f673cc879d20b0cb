//! Weights as whole numbers of 8 bits, with a scale for each filter: `weight ≈ scale · number`.
//!
//! Symmetric, as ONNX Runtime's and TensorRT's own quantisers store weights: the scale is the filter's largest magnitude
//! over 127, so that 0 stays 0 and nothing is clamped.

use super::fold::Numbers;
use super::rounding::{Encoded, Rounding};

/// The largest whole number used; -128 would make the range lopsided.
const LARGEST: f64 = 127.0;

/// The scale of each filter. Of one that is 0 throughout it is 1.
pub(super) fn scales(numbers: &Numbers<'_>, filters: usize) -> Vec<f64> {
    let filters = numbers.filters(filters);
    filters.iter().map(|filter| scale(filter)).collect()
}

/// A float32 as float64: what the runtime multiplies with.
fn scale(filter: &[f64]) -> f64 {
    let largest = filter
        .iter()
        .fold(0.0, |most: f64, value| most.max(value.abs()));
    match (largest / LARGEST) as f32 {
        _ if largest == 0.0 => 1.0,
        // Below the smallest normal number the scale itself would lose bits.
        scale => scale.max(f32::MIN_POSITIVE).into(),
    }
}

/// Rounds to the nearest whole multiple of the filter's scale, ties to even.
pub(super) fn encode<'a>(numbers: &Numbers<'_>, filters: usize) -> (Encoded<'a>, Rounding) {
    let mut rounding = Rounding::default();
    let mut encoded = vec![];
    for filter in numbers.filters(filters) {
        let scale = scale(&filter);
        for exact in filter {
            if !exact.is_finite() || !scale.is_finite() {
                rounding.not_finite += 1;
            }
            let whole = (exact / scale).round_ties_even().clamp(-LARGEST, LARGEST);
            rounding.largest = rounding.largest.max(exact.abs());
            rounding.largest_change = rounding.largest_change.max((whole * scale - exact).abs());
            rounding.zeros += u64::from(whole == 0.0 && exact != 0.0);
            encoded.push(whole as i8);
        }
    }
    (Encoded::Int8(encoded), rounding)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::borrow::Cow;

    fn encoded(values: &[f32], filters: usize) -> (Vec<i8>, Vec<f64>, Rounding) {
        let numbers = Numbers::Plain(Cow::Borrowed(values));
        let (encoded, rounding) = encode(&numbers, filters);
        let Encoded::Int8(whole) = encoded else {
            panic!("not int8")
        };
        (whole, scales(&numbers, filters), rounding)
    }

    #[test]
    fn each_filter_has_its_scale_and_ties_go_to_even() {
        let (whole, scales, rounding) = encoded(&[127.0, -2.5, 1.5, 0.4, 0.0, 0.0, 0.0, 0.0], 2);
        assert_eq!(whole, [127, -2, 2, 0, 0, 0, 0, 0]);
        assert_eq!(scales, [1.0, 1.0]);
        assert_eq!((rounding.zeros, rounding.overflows), (1, 0));
        assert_eq!((rounding.largest, rounding.largest_change), (127.0, 0.5));
    }

    #[test]
    fn no_number_is_further_off_than_half_a_step() {
        let values: Vec<f32> = (0..1000_u32)
            .map(|n| (n as f32 * 0.731).sin() * 0.013)
            .collect();
        let (whole, scales, rounding) = encoded(&values, 10);
        for (place, (&value, &whole)) in values.iter().zip(&whole).enumerate() {
            let scale = scales[place / 100];
            // The scale is rounded to float32: the largest number is off by that much more.
            let half = scale * (0.5 + 127.0 * 2_f64.powi(-24));
            assert!((f64::from(whole) * scale - f64::from(value)).abs() <= half);
        }
        assert!(whole.contains(&127) || whole.contains(&-127));
        assert!(rounding.largest_change > 0.0);
    }

    #[test]
    fn tiny_and_infinite_filters_are_told() {
        let (whole, scales, rounding) = encoded(&[1e-40, -1e-40], 1);
        assert_eq!(whole, [0, 0]);
        assert_eq!((scales[0], rounding.zeros), (f32::MIN_POSITIVE.into(), 2));
        let (_, _, rounding) = encoded(&[1.0, f32::INFINITY], 1);
        assert!(rounding.not_finite > 0);
        let (_, _, rounding) = encoded(&[1.0, f32::NAN], 1);
        assert!(rounding.not_finite > 0);
    }
}
