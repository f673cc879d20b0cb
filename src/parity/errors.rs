//! The errors of one value beside its reference, in absolute numbers and in units of rounding, and what they look like.
//!
//! Batches are added one after another: nothing but sums and extremes is kept.

use ndarray::{ArrayViewD, Axis};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::number_or_nan;
use super::rounding::{COARSEST, ORDER, bound_of_channel, bound_of_largest, explained_by};
use super::rule::Rule;

/// The errors of a value in units of rounding: its error over the size that rounding is expected to give it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Units {
    /// The largest.
    #[serde(deserialize_with = "number_or_nan")]
    pub largest: f64,
    /// The root of their mean square.
    #[serde(deserialize_with = "number_or_nan")]
    pub root_mean_square: f64,
    /// The largest root mean square of a channel.
    #[serde(deserialize_with = "number_or_nan")]
    pub worst_channel: f64,
    /// The largest that rounding explains among so many elements.
    pub bound: f64,
    /// The largest root mean square of a channel that rounding explains.
    pub channel_bound: f64,
}

impl Units {
    /// How many times a bound the errors are: up to 1 is rounding.
    pub fn times_bound(&self) -> f64 {
        let times = [
            self.largest / self.bound,
            self.worst_channel / self.channel_bound,
        ];
        match times.iter().any(|times| times.is_nan()) {
            true => f64::INFINITY,
            false => times[0].max(times[1]),
        }
    }
}

/// What a layer's errors are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum LayerVerdict {
    /// Rounding explains them.
    WithinRounding,
    /// They look like rounding, of a coarser arithmetic than the file's.
    Large {
        /// Which arithmetic would explain them.
        as_if: String,
    },
    /// More than a tolerance that was asked for.
    Exceeds {
        /// In words, with the formula.
        reason: String,
    },
    /// They do not look like rounding, or cannot be compared.
    Structural {
        /// What they look like instead.
        reason: String,
    },
}

impl LayerVerdict {
    /// Whether rounding explains the errors.
    pub fn holds(&self) -> bool {
        matches!(self, Self::WithinRounding)
    }
}

impl std::fmt::Display for LayerVerdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::WithinRounding => f.write_str("within rounding"),
            Self::Large { as_if } => write!(f, "large, as if {as_if}"),
            Self::Exceeds { reason } => f.write_str(reason),
            Self::Structural { reason } => write!(f, "structural: {reason}"),
        }
    }
}

/// One value's errors so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Errors {
    /// Absolute and relative tolerance, where these decide.
    tolerance: Option<(f64, f64)>,
    channels: Vec<Channel>,
    /// Errors by size in units, see [`HISTOGRAM_FROM`].
    histogram: Vec<u64>,
    shape_found: Option<(Vec<usize>, Vec<usize>)>,
    missing: bool,
    worst: WorstElement,
}

/// The first bin of a histogram holds errors below 2⁻¹⁵ units, each next one twice as large, the last all above.
pub const HISTOGRAM_FROM: i32 = -16;

/// Bins of a histogram.
pub const HISTOGRAM_BINS: usize = 36;

/// The bin of an error in units: its exponent.
fn bin(units: f64) -> usize {
    let exponent = ((units.to_bits() >> 52) & 0x7ff) as i32 - 1023;
    usize::try_from(exponent - HISTOGRAM_FROM).map_or(0, |bin| bin.min(HISTOGRAM_BINS - 1))
}

/// Sums over one channel.
#[derive(Debug, Clone, Copy, Default)]
struct Channel {
    elements: usize,
    not_finite: usize,
    reference_not_finite: usize,
    absolute: f64,
    largest_absolute: f64,
    largest_units: f64,
    square_units: f64,
    units: f64,
    error: f64,
    square_error: f64,
    reference: f64,
    square_reference: f64,
    largest_reference: f64,
    product: f64,
    exceeding: usize,
}

/// The element with the largest error in units.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct WorstElement {
    /// Its error in units.
    #[serde(deserialize_with = "number_or_nan")]
    pub units: f64,
    /// Where it is in the value.
    pub index: Vec<usize>,
    /// What the reference has there.
    #[serde(deserialize_with = "number_or_nan")]
    pub reference: f64,
    /// What the runtime has there.
    #[serde(deserialize_with = "number_or_nan")]
    pub actual: f64,
}

impl Channel {
    /// Adds one element; returns its error in units.
    fn add(&mut self, reference: f64, actual: f64, deviation: f64) -> f64 {
        self.elements += 1;
        self.reference_not_finite += usize::from(!reference.is_finite());
        if !actual.is_finite() {
            self.not_finite += 1;
            return f64::INFINITY;
        }
        let error = actual - reference;
        let units = match error.abs() {
            0.0 => 0.0,
            size if deviation > 0.0 => size / deviation,
            _ => f64::INFINITY,
        };
        self.absolute += error.abs();
        self.largest_absolute = self.largest_absolute.max(error.abs());
        self.largest_units = self.largest_units.max(units);
        self.square_units += units * units;
        self.units += units.copysign(error);
        self.error += error;
        self.square_error += error * error;
        self.reference += reference;
        self.square_reference += reference * reference;
        self.largest_reference = self.largest_reference.max(reference.abs());
        self.product += error * reference;
        units
    }

    fn merge(&mut self, other: &Self) {
        self.elements += other.elements;
        self.not_finite += other.not_finite;
        self.reference_not_finite += other.reference_not_finite;
        self.absolute += other.absolute;
        self.largest_absolute = self.largest_absolute.max(other.largest_absolute);
        self.largest_units = self.largest_units.max(other.largest_units);
        self.square_units += other.square_units;
        self.units += other.units;
        self.error += other.error;
        self.square_error += other.square_error;
        self.reference += other.reference;
        self.square_reference += other.square_reference;
        self.largest_reference = self.largest_reference.max(other.largest_reference);
        self.product += other.product;
        self.exceeding += other.exceeding;
    }

    fn root_mean_square(&self) -> f64 {
        (self.square_units / self.elements.max(1) as f64).sqrt()
    }
}

impl Errors {
    /// Nothing yet; what decides is a rule.
    pub(super) fn under(rule: &Rule) -> Self {
        Self {
            tolerance: match *rule {
                Rule::Numpy { atol, rtol } => Some((atol, rtol)),
                _ => None,
            },
            ..Self::default()
        }
    }

    /// Adds the value that the runtime did not put out.
    #[cfg(feature = "torch")]
    pub(super) fn add_missing(&mut self) {
        self.missing = true;
    }

    /// Adds a batch: `[N, C, ...]`; `deviation` is the size that rounding is expected to give each error.
    pub(super) fn add(
        &mut self,
        reference: ArrayViewD<'_, f64>,
        deviation: ArrayViewD<'_, f32>,
        actual: ArrayViewD<'_, f32>,
    ) {
        if reference.shape() != actual.shape() || reference.shape() != deviation.shape() {
            self.shape_found = Some((reference.shape().to_vec(), actual.shape().to_vec()));
            return;
        }
        if reference.is_empty() {
            return;
        }
        let axis = Axis(usize::from(reference.ndim() > 1));
        let channels = (0..reference.len_of(axis)).into_par_iter().map(|channel| {
            let mut sums = Channel::default();
            let mut worst = WorstElement::default();
            let mut worst_place = 0;
            let mut histogram = [0_u64; HISTOGRAM_BINS];
            let reference = reference.index_axis(axis, channel);
            let deviation = deviation.index_axis(axis, channel);
            let actual = actual.index_axis(axis, channel);
            let all = reference.iter().zip(&actual).zip(&deviation);
            for (place, ((&reference, &actual), &deviation)) in all.enumerate() {
                let units = sums.add(reference, f64::from(actual), f64::from(deviation));
                if let Some((atol, rtol)) = self.tolerance {
                    let error = (f64::from(actual) - reference).abs();
                    sums.exceeding += usize::from(error > atol + rtol * reference.abs());
                }
                histogram[bin(units)] += 1;
                if units > worst.units {
                    worst.units = units;
                    (worst.reference, worst.actual) = (reference, f64::from(actual));
                    worst_place = place;
                }
            }
            worst.index = index_of(worst_place, reference.shape());
            worst.index.insert(axis.index(), channel);
            (sums, worst, histogram)
        });
        let channels: Vec<_> = channels.collect();
        self.channels.resize(channels.len(), Channel::default());
        self.histogram.resize(HISTOGRAM_BINS, 0);
        for (known, (sums, place, histogram)) in self.channels.iter_mut().zip(channels) {
            known.merge(&sums);
            let bins = self.histogram.iter_mut().zip(histogram);
            bins.for_each(|(known, count)| *known += count);
            if place.units > self.worst.units {
                self.worst = place;
            }
        }
    }

    fn total(&self) -> Channel {
        let mut total = Channel::default();
        self.channels
            .iter()
            .for_each(|channel| total.merge(channel));
        total
    }

    /// The errors in units; none where nothing was compared.
    pub(super) fn units(&self) -> Option<Units> {
        let total = self.total();
        if total.elements == 0 {
            return None;
        }
        let of_channel = self.channels.iter().map(Channel::root_mean_square);
        let undefined = total.not_finite > 0;
        let number = |value: f64| if undefined { f64::NAN } else { value };
        Some(Units {
            largest: number(total.largest_units),
            root_mean_square: number(total.root_mean_square()),
            worst_channel: number(of_channel.fold(0.0, f64::max)),
            bound: bound_of_largest(total.elements),
            channel_bound: bound_of_channel(
                self.channels.len(),
                total.elements / self.channels.len().max(1),
            ),
        })
    }

    /// The largest error, in absolute numbers; NaN where there are values that are none.
    #[cfg(feature = "torch")]
    pub(super) fn largest_absolute(&self) -> f64 {
        let total = self.total();
        match total.not_finite {
            0 => total.largest_absolute,
            _ => f64::NAN,
        }
    }

    /// The root mean square of the errors over that of the reference: the error's size beside the value's.
    #[cfg(feature = "torch")]
    pub(super) fn relative(&self) -> f64 {
        let total = self.total();
        match total.square_error == 0.0 && total.not_finite == 0 {
            true => 0.0,
            false if total.not_finite > 0 => f64::NAN,
            false => (total.square_error / total.square_reference).sqrt(),
        }
    }

    /// The verdict.
    pub(super) fn verdict(&self) -> LayerVerdict {
        let structural = |reason: String| LayerVerdict::Structural { reason };
        if self.missing {
            return structural("the runtime did not put out this value".into());
        }
        if let Some((expected, found)) = &self.shape_found {
            return structural(format!("expected shape {expected:?}, found {found:?}"));
        }
        let total = self.total();
        let Some(units) = self.units() else {
            return structural("nothing was compared: the tensor has no elements".into());
        };
        if total.reference_not_finite > 0 {
            let count = total.reference_not_finite;
            return structural(format!(
                "{count} values of the reference are NaN or infinite"
            ));
        }
        if total.not_finite > 0 {
            let (count, all) = (total.not_finite, total.elements);
            return structural(format!("{count} of {all} values are NaN or infinite"));
        }
        if let Some((atol, rtol)) = self.tolerance {
            let (count, all) = (total.exceeding, total.elements);
            return match count {
                0 => LayerVerdict::WithinRounding,
                _ => LayerVerdict::Exceeds {
                    reason: format!("{count} of {all} beyond {atol:e} + {rtol:e} * |reference|"),
                },
            };
        }
        let times = units.times_bound();
        if times <= 1.0 {
            return LayerVerdict::WithinRounding;
        }
        match self.structure(&total, &units) {
            Some(reason) => structural(reason),
            None if times > COARSEST => {
                structural("more than the rounding of any arithmetic of these networks".into())
            }
            None => LayerVerdict::Large {
                as_if: explained_by(times).into(),
            },
        }
    }

    /// What makes errors beyond the bound unlike rounding, if something does.
    fn structure(&self, total: &Channel, units: &Units) -> Option<String> {
        let n = total.elements as f64;
        // What chance alone may reach, in a few elements.
        let chance = (4.0 / n.sqrt()).max(0.25);
        let mut of_channels: Vec<f64> = self
            .channels
            .iter()
            .map(Channel::root_mean_square)
            .collect();
        of_channels.sort_by(f64::total_cmp);
        let median = of_channels[of_channels.len() / 2];
        let outlying = self
            .channels
            .iter()
            .filter(|channel| {
                channel.root_mean_square() > 4.0 * median.max(units.channel_bound / 4.0)
            })
            .count();
        if self.channels.len() >= 3 && outlying > 0 && 2 * outlying < self.channels.len() {
            return Some(format!(
                "the errors are those of {outlying} of {} channels, channel {} first",
                self.channels.len(),
                self.worst
                    .index
                    .get(1)
                    .or(self.worst.index.first())
                    .unwrap_or(&0),
            ));
        }
        let bias = (total.units / n).abs() / units.root_mean_square;
        let spread = |sum: f64, square: f64| (square / n - (sum / n).powi(2)).max(0.0).sqrt();
        let covariance = total.product / n - total.error / n * (total.reference / n);
        let spreads = spread(total.error, total.square_error)
            * spread(total.reference, total.square_reference);
        let correlation = if spreads > 0.0 {
            covariance / spreads
        } else {
            0.0
        };
        if correlation.abs() > chance {
            return Some(format!(
                "the errors go with the values (correlation {correlation:.2}): a factor or a weight differs"
            ));
        }
        if bias > chance {
            return Some("the errors lean to one side: a term is missing or added".into());
        }
        let concentration = units.largest / units.root_mean_square;
        if concentration > 2.0 * units.bound / ORDER {
            let WorstElement {
                index,
                reference,
                actual,
                ..
            } = &self.worst;
            return Some(format!(
                "the errors are concentrated, the largest at {index:?}: expected {reference:e}, found {actual:e}"
            ));
        }
        None
    }

    /// How many errors are of which size, see [`HISTOGRAM_FROM`].
    #[cfg(feature = "torch")]
    pub(super) fn histogram(&self) -> &[u64] {
        &self.histogram
    }

    /// The element with the largest error in units.
    #[cfg(feature = "torch")]
    pub(super) fn worst(&self) -> &WorstElement {
        &self.worst
    }
}

/// The index of an element in row-major order.
fn index_of(mut place: usize, shape: &[usize]) -> Vec<usize> {
    let mut index = vec![0; shape.len()];
    for (digit, &size) in index.iter_mut().zip(shape).rev() {
        *digit = place % size.max(1);
        place /= size.max(1);
    }
    index
}

/// The largest difference between two values of equal shape: NaN against NaN is none, against a number infinite.
#[cfg(feature = "torch")]
pub(super) fn largest_difference(a: ArrayViewD<'_, f32>, b: ArrayViewD<'_, f32>) -> f64 {
    if a.shape() != b.shape() {
        return f64::INFINITY;
    }
    let difference = |(&a, &b): (&f32, &f32)| match (a.is_nan(), b.is_nan()) {
        (true, true) => 0.0,
        (false, false) if a == b => 0.0,
        (false, false) => (f64::from(a) - f64::from(b)).abs(),
        _ => f64::INFINITY,
    };
    a.iter().zip(&b).map(difference).fold(0.0, f64::max)
}

#[cfg(all(test, feature = "torch"))]
mod tests;
