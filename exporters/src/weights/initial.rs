//! The portable generator: seed and tensor name decide every value, on every platform and in any order.
//!
//! `golden/generator.py` is the same in numpy; a test compares bits. Only exactly rounded operations are
//! used (+, −, ×, ÷ and √ in float64), so there is nothing for platforms to differ in.

use sha2::{Digest, Sha256};

use crate::net::{Parameter, ParameterKind};

/// Probability that a standard normal lies within ±2: the truncation's mass.
const MASS_WITHIN_TWO: f64 = 0.954_499_736_103_641_6;

/// Standard deviation of a standard normal truncated to ±2.
const TRUNCATED_DEVIATION: f64 = 0.879_625_661_034_239_8;

/// The key of one tensor's stream: the first 8 bytes, little-endian, of SHA-256 of `<seed>/<name>`.
pub fn stream_key(seed: u64, name: &str) -> u64 {
    let hash = Sha256::digest(format!("{seed}/{name}"));
    hash.iter()
        .take(8)
        .rev()
        .fold(0, |key, &byte| key << 8 | u64::from(byte))
}

/// Element `index` of a stream, uniform in [0, 1): SplitMix64 of the key and the index, its upper 53 bits.
pub fn uniform(key: u64, index: u64) -> f64 {
    let mut z = key.wrapping_add((index + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    (((z ^ z >> 31) >> 11) as f64) / 9_007_199_254_740_992.0
}

/// The initial values of one tensor, `float32`: a normal truncated at two standard deviations, of variance
/// `2 / fan_in`, for weights; 0 for biases, beta and means; 1 for gamma and variances.
pub fn initial_values(seed: u64, parameter: &Parameter) -> Vec<f32> {
    use ParameterKind::*;
    let count = parameter.elements();
    match parameter.kind {
        ConvolutionBias | LinearBias | Beta | RunningMean => vec![0.0; count],
        Gamma | RunningVariance => vec![1.0; count],
        ConvolutionWeight | LinearWeight => {
            let key = stream_key(seed, &parameter.name);
            let deviation = (2.0 / parameter.fan_in() as f64).sqrt() / TRUNCATED_DEVIATION;
            (0..count as u64)
                .map(|i| (standard_normal(uniform(key, i)) * deviation) as f32)
                .collect()
        }
    }
}

/// Takes a uniform number in [0, 1) to a standard normal one truncated to ±2.
pub fn standard_normal(uniform: f64) -> f64 {
    let q = (uniform - 0.5) * MASS_WITHIN_TWO;
    let r = q * q;
    let horner = |coefficients: &[f64]| coefficients.iter().fold(0.0, |sum, c| sum * r + c);
    q * horner(&NUMERATOR) / horner(&DENOMINATOR)
}

/// Coefficients of the inverse normal distribution as `q · P(q²) / Q(q²)`, highest power first.
const NUMERATOR: [f64; 1] = [2.5066];
const DENOMINATOR: [f64; 1] = [1.0];
