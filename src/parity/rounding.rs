//! What rounding explains: the unit roundoffs of element types, and the bounds that errors in units of rounding stay below.

#[cfg(feature = "torch")]
use incept_exporters::onnx::proto::{BFLOAT16, DOUBLE, FLOAT16};

/// The unit roundoff of an element type, as `TensorProto.DataType` numbers it, as a multiple of float32's.
#[cfg(feature = "torch")]
pub(super) fn unit_roundoff(element_type: i32) -> f64 {
    match element_type {
        FLOAT16 => 8_192.0,
        BFLOAT16 => 65_536.0,
        DOUBLE => 0.0,
        _ => 1.0,
    }
}

/// The smallest normal number of an element type, where numbers of these networks go below it; else 0.
#[cfg(feature = "torch")]
pub(super) fn smallest_normal(element_type: i32) -> f64 {
    match element_type {
        FLOAT16 => 1.0 / 16_384.0,
        _ => 0.0,
    }
}

/// How many expected sizes an error may have. The expected size is one standard deviation where every order of summation
/// is as likely; a runtime has one order, in which partial sums may be some times larger.
pub const ORDER: f64 = 4.0;

/// The largest error in rounding units that rounding explains among `elements`: the largest of so many normally
/// distributed numbers, `√(2 ln 2n)`, times [`ORDER`].
pub fn bound_of_largest(elements: usize) -> f64 {
    ORDER * (2.0 * (2.0 * elements.max(1) as f64).ln()).sqrt()
}

/// The largest root mean square of a channel's errors, in rounding units, that rounding explains among `channels` of
/// `elements` each: [`ORDER`] times 1 and the deviation of the largest of so many.
pub fn bound_of_channel(channels: usize, elements: usize) -> f64 {
    let largest = (2.0 * (2.0 * channels.max(1) as f64).ln()).sqrt();
    ORDER * (1.0 + largest / (2.0 * elements.max(1) as f64).sqrt())
}

/// Beyond this many times its bound no arithmetic of these networks explains an error, whatever it looks like: bfloat16
/// rounds 2¹⁶ times as coarsely as float32.
pub const COARSEST: f64 = 65_536.0;

/// An arithmetic whose rounding would explain an error of this many bounds, in words.
pub(super) fn explained_by(times: f64) -> &'static str {
    match times {
        times if times <= 32.0 => "float32 summed in another way (Winograd, Fourier)",
        times if times <= 8_192.0 => "TF32 or float16",
        _ => "bfloat16",
    }
}
