//! Numbers as they are stored: rounded once, to the nearest, ties to even, and what that cost counted.

use std::borrow::Cow;

use half::slice::{HalfBitsSliceExt, HalfFloatSliceExt};
use half::{bf16, f16};

use super::fold::{Numbers, per_filter};
use super::int8;
use crate::weights::{ElementType, little_endian, not_finite};

/// What rounding did to one tensor's numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Rounding {
    /// Numbers beyond the largest the type has.
    pub(super) overflows: u64,
    /// Numbers other than 0 that became 0.
    pub(super) zeros: u64,
    /// Numbers changed because they lie below the smallest normal one, and are not 0.
    pub(super) subnormals: u64,
    /// The largest change of a number that did not overflow.
    pub(super) largest_change: f64,
    /// The largest magnitude before rounding.
    pub(super) largest: f64,
    /// NaN or infinite before rounding, or infinite as float32.
    pub(super) not_finite: usize,
}

/// The bytes of a stored tensor, little-endian.
pub(super) enum Encoded<'a> {
    Borrowed(Cow<'a, [f32]>),
    Float32(Vec<f32>),
    Half(Vec<u16>),
    Int8(Vec<i8>),
}

impl Encoded<'_> {
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Borrowed(values) => little_endian(values),
            Self::Float32(values) => little_endian(values),
            // `little_endian` has checked the machine's order of bytes.
            Self::Half(values) => bytemuck::cast_slice(values),
            Self::Int8(values) => bytemuck::cast_slice(values),
        }
    }
}

/// Rounds the numbers of a tensor of so many filters to the type it is stored in: float16, bfloat16, int8, or else float32.
/// What overflows becomes the largest number of the type (as float32 it stays infinite, and is counted as not finite).
pub(super) fn encode<'a>(
    numbers: Numbers<'a>,
    element_type: ElementType,
    filters: usize,
) -> (Encoded<'a>, Rounding) {
    match element_type {
        ElementType::Int8 => int8::encode(&numbers, filters),
        ElementType::Float16 => half::<f16>(&numbers),
        ElementType::BFloat16 => half::<bf16>(&numbers),
        _ => float32(numbers),
    }
}

fn float32(numbers: Numbers<'_>) -> (Encoded<'_>, Rounding) {
    let encoded = match numbers {
        Numbers::Plain(values) => Encoded::Borrowed(values),
        Numbers::Scaled { weight, factors } => {
            let mut values = Vec::with_capacity(weight.len());
            let filters = weight.chunks_exact(per_filter(weight.len(), factors.len()));
            for (filter, factor) in filters.zip(&factors) {
                let scaled = filter
                    .iter()
                    .map(|value| (f64::from(*value) * factor) as f32);
                values.extend(scaled);
            }
            Encoded::Float32(values)
        }
        Numbers::Computed(values) => {
            Encoded::Float32(values.into_iter().map(|value| value as f32).collect())
        }
    };
    let values: &[f32] = match &encoded {
        Encoded::Borrowed(values) => values,
        Encoded::Float32(values) => values,
        Encoded::Half(_) | Encoded::Int8(_) => &[],
    };
    let rounding = Rounding {
        not_finite: not_finite(values),
        ..Rounding::default()
    };
    (encoded, rounding)
}

/// A type of 16 bits.
trait Half {
    /// The bits of infinity.
    const INFINITY: u16;
    /// The bits of the largest number below the smallest normal one.
    const LARGEST_SUBNORMAL: u16;

    /// Rounds to the nearest, ties to even.
    fn round(values: &[f32], rounded: &mut [u16]);

    fn value(bits: u16) -> f64;
}

impl Half for f16 {
    const INFINITY: u16 = 0x7c00;
    const LARGEST_SUBNORMAL: u16 = 0x03ff;

    fn round(values: &[f32], rounded: &mut [u16]) {
        rounded
            .reinterpret_cast_mut::<f16>()
            .convert_from_f32_slice(values);
    }

    fn value(bits: u16) -> f64 {
        f16::from_bits(bits).to_f64()
    }
}

impl Half for bf16 {
    const INFINITY: u16 = 0x7f80;
    const LARGEST_SUBNORMAL: u16 = 0x007f;

    fn round(values: &[f32], rounded: &mut [u16]) {
        rounded
            .reinterpret_cast_mut::<bf16>()
            .convert_from_f32_slice(values);
    }

    fn value(bits: u16) -> f64 {
        bf16::from_bits(bits).to_f64()
    }
}

/// Numbers rounded at a time.
const BLOCK: usize = 1024;

fn half<'a, T: Half>(numbers: &Numbers<'_>) -> (Encoded<'a>, Rounding) {
    let mut rounding = Rounding::default();
    let mut rounded = vec![];
    let mut wide = [0.0; BLOCK];
    // A factor of 1 changes nothing.
    let mut scaled = |values: &[f32], factor: f64| {
        for values in values.chunks(BLOCK) {
            let places = &mut wide[..values.len()];
            for (place, &value) in places.iter_mut().zip(values) {
                *place = f64::from(value) * factor;
            }
            round_block::<T>(places, &mut rounded, &mut rounding);
        }
    };
    match numbers {
        Numbers::Plain(values) => scaled(values, 1.0),
        Numbers::Scaled { weight, factors } => {
            let filters = weight.chunks_exact(per_filter(weight.len(), factors.len()));
            filters
                .zip(factors)
                .for_each(|(filter, &factor)| scaled(filter, factor));
        }
        Numbers::Computed(values) => {
            for values in values.chunks(BLOCK) {
                round_block::<T>(values, &mut rounded, &mut rounding);
            }
        }
    }
    (Encoded::Half(rounded), rounding)
}

/// Rounds up to [`BLOCK`] numbers and adds them to `rounded`.
fn round_block<T: Half>(wide: &[f64], rounded: &mut Vec<u16>, rounding: &mut Rounding) {
    let mut odd = [0.0; BLOCK];
    let odd = &mut odd[..wide.len()];
    for (odd, &wide) in odd.iter_mut().zip(wide) {
        *odd = to_odd(wide);
    }
    let start = rounded.len();
    rounded.resize(start + wide.len(), 0);
    T::round(odd, &mut rounded[start..]);
    for (&exact, rounded) in wide.iter().zip(&mut rounded[start..]) {
        count::<T>(exact, rounded, rounding);
    }
}

/// Counts what became of one number, and puts the largest number in the place of infinity.
fn count<T: Half>(exact: f64, rounded: &mut u16, rounding: &mut Rounding) {
    if !exact.is_finite() {
        rounding.not_finite += 1;
        return;
    }
    rounding.largest = rounding.largest.max(exact.abs());
    let magnitude = *rounded & 0x7fff;
    if magnitude == T::INFINITY {
        rounding.overflows += 1;
        *rounded -= 1;
        return;
    }
    let change = (T::value(*rounded) - exact).abs();
    rounding.largest_change = rounding.largest_change.max(change);
    if magnitude == 0 {
        rounding.zeros += u64::from(exact != 0.0);
    } else if magnitude <= T::LARGEST_SUBNORMAL {
        rounding.subnormals += u64::from(change != 0.0);
    }
}

/// Rounds to float32 so that a second rounding, to a type with at least two bits less, gives what rounding once would
/// have: where the number lies between two floats, the one whose last bit is 1 is taken, which is never a tie.
/// (S. Boldo, G. Melquiond: Emulation of a FMA and correctly rounded sums: proved algorithms using rounding to odd.)
fn to_odd(value: f64) -> f32 {
    let nearest = value as f32;
    let back = f64::from(nearest);
    if back == value || value.is_nan() {
        return nearest;
    }
    // Towards zero, then up to the odd one. Infinity less one bit is the largest float, which is odd.
    let towards_zero = nearest.to_bits() - u32::from(back.abs() > value.abs());
    f32::from_bits(towards_zero | 1)
}

#[cfg(test)]
mod tests;
