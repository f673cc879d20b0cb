//! Checksums of a layer's value that rounding moves by a known amount, and a fault by more.
//!
//! A hash tells runtimes apart that differ in the last bit, which all do. What is kept here instead of a value `x` of `n`
//! numbers is its mean, its root mean square, its least and its largest number, and eight projections
//!
//! ```text
//! projection k = (s(k, 0) x(0) + ... + s(k, n - 1) x(n - 1)) / sqrt(n)      s(k, i) = +1 or -1
//! ```
//!
//! on fixed random signs: `s(k, i)` is +1 where bit `k` (from the highest) of `floor(256 u(i))` is 0, and `u` is the
//! portable generator's stream `golden/projections` under seed 0, so that anyone can compute them.
//!
//! Where a runtime's value is `y = x + e`, and no error exceeds `bound = tolerance * max|x|` (what `incept check` demands),
//! mean, root mean square, least and largest move by at most `bound`: that is certain. A projection moves by
//! `sum(s e) / sqrt(n)`, and by Hoeffding's inequality signs that know nothing of the errors make that more than `8 bound`
//! with a probability below 3e-14. So a value that holds by `check`'s formula holds here. The other way round, a fault that
//! moves the value by `d` moves each projection by about the root mean square of `d`, with another sign and size each:
//! all eight would have to come out small for it to hide. The first four numbers see scale and shift; the projections see
//! order, so that permuted channels and transposed maps, which keep all of the first four, are found.

use incept_exporters::weights::{stream_key, uniform};
use serde::{Deserialize, Serialize};

use crate::parity::number_or_nan;

/// How many projections there are.
pub const PROJECTIONS: usize = 8;

/// How many bounds a projection may move, see the module's text.
pub const DEVIATIONS: f64 = 8.0;

/// The name of the signs' stream in the portable generator, seed 0.
pub(super) const STREAM: &str = "golden/projections";

/// A value's checksums.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Checksum {
    /// The mean.
    #[serde(deserialize_with = "number_or_nan")]
    pub mean: f64,
    /// The root of the mean of the squares.
    #[serde(deserialize_with = "number_or_nan")]
    pub root_mean_square: f64,
    /// The least number.
    #[serde(deserialize_with = "number_or_nan")]
    pub minimum: f64,
    /// The largest number.
    #[serde(deserialize_with = "number_or_nan")]
    pub maximum: f64,
    /// Sums under random signs, over the root of the number of elements.
    pub projections: [f64; PROJECTIONS],
}

impl Checksum {
    /// The checksums of a value's numbers, in row-major order. NaN anywhere makes all of them NaN; of nothing they are NaN
    /// or infinite.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let key = stream_key(0, STREAM);
        let (mut count, mut sum, mut squares) = (0_u64, 0.0, 0.0);
        let (mut minimum, mut maximum) = (f64::INFINITY, f64::NEG_INFINITY);
        let mut sums = [0.0; PROJECTIONS];
        for value in values {
            let bits = (uniform(key, count) * 256.0) as u8;
            for (place, projection) in sums.iter_mut().enumerate() {
                let negative = bits >> (PROJECTIONS - 1 - place) & 1 == 1;
                *projection += if negative { -value } else { value };
            }
            count += 1;
            sum += value;
            squares += value * value;
            // `f64::min` and `max` would drop a NaN.
            minimum = if value < minimum || value.is_nan() {
                value
            } else {
                minimum
            };
            maximum = if value > maximum || value.is_nan() {
                value
            } else {
                maximum
            };
        }
        let count = count as f64;
        if sum.is_nan() {
            (minimum, maximum) = (f64::NAN, f64::NAN);
        }
        Self {
            mean: sum / count,
            root_mean_square: (squares / count).sqrt(),
            minimum,
            maximum,
            projections: sums.map(|sum| sum / count.sqrt()),
        }
    }

    /// The largest magnitude among the numbers.
    pub fn magnitude(&self) -> f64 {
        self.minimum.abs().max(self.maximum.abs())
    }

    /// Whether every part is a number.
    pub fn is_finite(&self) -> bool {
        self.parts().all(|(_, value, _)| value.is_finite())
    }

    /// The parts: in words, the number, and how many bounds it may move.
    fn parts(&self) -> impl Iterator<Item = (String, f64, f64)> + '_ {
        let plain = [
            ("mean", self.mean),
            ("root mean square", self.root_mean_square),
            ("minimum", self.minimum),
            ("maximum", self.maximum),
        ];
        let plain = plain
            .into_iter()
            .map(|(name, value)| (name.into(), value, 1.0));
        let projections = self.projections.iter().enumerate();
        let projections =
            projections.map(|(place, &value)| (format!("projection {place}"), value, DEVIATIONS));
        plain.chain(projections)
    }

    /// How far `actual` is from this reference: the largest distance of a part, in bounds it may move, and in words if that
    /// is more than 1. NaN is as far as can be.
    pub fn distance(&self, actual: &Self, tolerance: f64) -> (f64, Option<String>) {
        let bound = tolerance * self.magnitude();
        let (mut worst, mut reason) = (0.0, None);
        for ((name, expected, deviations), (_, found, _)) in self.parts().zip(actual.parts()) {
            let (error, allowed) = ((found - expected).abs(), deviations * bound);
            let share = match error {
                0.0 => 0.0,
                error if error.is_nan() => f64::INFINITY,
                error => error / allowed,
            };
            if share > worst {
                worst = share;
                reason = (share > 1.0).then(|| {
                    format!(
                        "{name}: expected {expected:.6e} within {allowed:.1e}, found {found:.6e}"
                    )
                });
            }
        }
        (worst, reason)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use incept_exporters::weights::standard_normal;
    use ndarray::{Array4, Axis};

    const TOLERANCE: f64 = 1e-5;

    /// Two images, 24 channels, 7 x 7: what a late layer is like, its channels alike in distribution.
    fn value() -> Array4<f64> {
        let key = stream_key(3, "a value");
        let mut index = 0;
        Array4::from_shape_simple_fn((2, 24, 7, 7), || {
            index += 1;
            standard_normal(uniform(key, index)).max(0.0)
        })
    }

    fn of(value: &Array4<f64>) -> Checksum {
        Checksum::of(value.iter().copied())
    }

    fn distance(changed: &Array4<f64>) -> (f64, Option<String>) {
        of(&value()).distance(&of(changed), TOLERANCE)
    }

    #[test]
    fn rounding_is_within() {
        assert_eq!(distance(&value()), (0.0, None));
        // A float32's rounding, and hundreds of them added up: errors as large as the bound, of random signs.
        let rounded = distance(&value().mapv(|value| f64::from(value as f32)));
        assert!(rounded.0 < 0.1, "{rounded:?}");
        let bound = TOLERANCE * of(&value()).magnitude();
        for seed in 0..200 {
            let key = stream_key(seed, "errors");
            let mut index = 0;
            let moved = value().mapv(|value| {
                index += 1;
                value + bound * (2.0 * uniform(key, index) - 1.0)
            });
            let (share, reason) = distance(&moved);
            assert!(share <= 1.0, "seed {seed}: {share}, {reason:?}");
        }
        // The worst that the bound allows, all errors to one side.
        let (share, reason) = distance(&value().mapv(|value| value + 0.999 * bound));
        assert!(share <= 1.0 && share > 0.9, "{share}, {reason:?}");
    }

    #[test]
    fn every_planted_fault_is_seen() {
        let seen = |what: &str, changed: Array4<f64>| {
            let (share, reason) = distance(&changed);
            println!("{what}: {share:.1e} {reason:?}");
            assert!(share > 10.0 && reason.is_some(), "{what}: {share}");
        };
        let mut order: Vec<usize> = (0..24).collect();
        order.swap(3, 4);
        seen("two channels swapped", value().select(Axis(1), &order));
        seen("images swapped", value().select(Axis(0), &[1, 0]));
        let transposed = value().permuted_axes([0, 1, 3, 2]);
        seen(
            "maps transposed",
            transposed.as_standard_layout().into_owned(),
        );
        let last = value().permuted_axes([0, 2, 3, 1]);
        seen("channels last", last.as_standard_layout().into_owned());
        let mut mirrored = value();
        mirrored.invert_axis(Axis(3));
        seen("maps mirrored", mirrored);
        seen("another sign", value().mapv(|value| -value));
        seen("scaled", value().mapv(|value| value * 1.001));
        seen("nothing", value().mapv(|_| 0.0));
        // One weight of a filter changed moves one channel a little.
        let mut filter = value();
        filter
            .index_axis_mut(Axis(1), 7)
            .mapv_inplace(|value| value * 1.05 + 0.01);
        seen("one filter", filter);
        // One number of thousands.
        let mut one = value();
        one[[1, 20, 3, 3]] += 0.1;
        seen("one number", one);
    }

    #[test]
    fn what_is_no_number_is_seen() {
        for planted in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            for place in [[0, 0, 0, 0], [1, 23, 6, 6]] {
                let mut changed = value();
                changed[place] = planted;
                assert_eq!(distance(&changed).0, f64::INFINITY, "{planted}");
                assert!(!of(&changed).is_finite());
                // Nor does a reference that is no number agree with itself.
                assert!(of(&changed).distance(&of(&changed), TOLERANCE).0 > 1.0);
            }
        }
        assert!(!Checksum::of([]).is_finite());
    }

    #[test]
    fn json_keeps_every_bit() {
        let checksum = of(&value());
        let text = serde_json::to_string(&checksum).unwrap();
        assert_eq!(serde_json::from_str::<Checksum>(&text).unwrap(), checksum);
    }
}
