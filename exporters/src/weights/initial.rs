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
            let deviation = (2.0 / parameter.fan_in() as f64).sqrt() / TRUNCATED_DEVIATION;
            generate(seed, parameter, |u| standard_normal(u) * deviation)
        }
    }
}

/// As [`initial_values`], but with biases and batch-norm statistics that leave nothing at 0 or 1, so that a
/// comparison meets every tensor: biases, beta and means are `0.1 x`, gamma `1 + 0.1 x`, variances `1 + 0.2 u`.
pub fn randomised_values(seed: u64, parameter: &Parameter) -> Vec<f32> {
    use ParameterKind::*;
    match parameter.kind {
        ConvolutionWeight | LinearWeight => initial_values(seed, parameter),
        ConvolutionBias | LinearBias | Beta | RunningMean => {
            generate(seed, parameter, |u| 0.1 * standard_normal(u))
        }
        Gamma => generate(seed, parameter, |u| 1.0 + 0.1 * standard_normal(u)),
        RunningVariance => generate(seed, parameter, |u| 1.0 + 0.2 * u),
    }
}

/// An image batch for tests and parity, uniform in [-1, 1): the stream of `image` under this seed.
pub fn random_image(seed: u64, elements: usize) -> Vec<f32> {
    let key = stream_key(seed, "image");
    (0..elements as u64)
        .map(|i| (uniform(key, i) * 2.0 - 1.0) as f32)
        .collect()
}

fn generate(seed: u64, parameter: &Parameter, value: impl Fn(f64) -> f64) -> Vec<f32> {
    let key = stream_key(seed, &parameter.name);
    (0..parameter.elements() as u64)
        .map(|i| value(uniform(key, i)) as f32)
        .collect()
}

/// Takes a uniform number in [0, 1) to a standard normal one truncated to ±2: the inverse normal distribution
/// as `q · P(q²) / Q(q²)`, fitted to within 6e-11. A logarithm would be shorter, but not the same everywhere.
pub fn standard_normal(uniform: f64) -> f64 {
    let q = (uniform - 0.5) * MASS_WITHIN_TWO;
    let s = q * q;
    let horner = |coefficients: &[f64]| coefficients.iter().rev().fold(0.0, |sum, c| sum * s + c);
    q * horner(&NUMERATOR) / horner(&DENOMINATOR)
}

/// P, lowest power first.
const NUMERATOR: [f64; 7] = [
    2.506_628_274_710_376_7,
    -37.323_924_998_530_664,
    217.459_967_746_060_39,
    -619.300_010_826_984_7,
    869.385_198_200_286_4,
    -515.149_320_554_616,
    68.774_931_027_479_95,
];

/// Q, lowest power first.
const DENOMINATOR: [f64; 7] = [
    1.0,
    -15.937_289_285_538_114,
    101.140_556_213_037_57,
    -322.527_391_870_336_94,
    532.516_472_208_391_6,
    -413.288_378_858_874_75,
    106.496_397_337_746_87,
];

#[cfg(test)]
mod tests {
    use super::*;

    fn parameter(name: &str, shape: &[usize], kind: ParameterKind) -> Parameter {
        Parameter {
            name: name.into(),
            shape: shape.into(),
            kind,
        }
    }

    fn bits(values: &[f32]) -> Vec<u32> {
        values.iter().map(|value| value.to_bits()).collect()
    }

    #[test]
    fn the_bits_are_those_of_the_numpy_generator() {
        // Printed by golden/generator.py.
        let weight = parameter(
            "stem.0/conv/weight",
            &[32, 3, 3, 3],
            ParameterKind::ConvolutionWeight,
        );
        let values = initial_values(0, &weight);
        let expected = [
            0x3e31_6f45,
            0xbe56_1908,
            0xbf13_cccc,
            0xbd29_91a0,
            0x3e75_eb61,
            0x3e95_a0b9,
            0xbec7_6d75,
            0xbeab_2eb2,
        ];
        assert_eq!(bits(&values[..8]), expected);
        assert_eq!(
            crate::text::hex(&Sha256::digest(crate::weights::tensor::little_endian(
                &values
            ))),
            "906fc499115637d74c6d196c9690b6fff4b98dd7fdbdd3cec436597346dfe045"
        );
        assert_eq!(
            bits(&random_image(0, 3)),
            [0xbf38_c1ca, 0xbec4_9303, 0xbd9c_42a4]
        );
        let base = "stem.0/conv_3x3/batch_norm";
        for (name, kind, expected) in [
            ("gamma", ParameterKind::Gamma, [0x3f87_47b2, 0x3f72_aa6f]),
            ("beta", ParameterKind::Beta, [0xbdac_8903, 0xbca9_0d13]),
            (
                "running_mean",
                ParameterKind::RunningMean,
                [0x3d8a_dfa6, 0x3db5_49ca],
            ),
            (
                "running_variance",
                ParameterKind::RunningVariance,
                [0x3f86_4d20, 0x3f85_b142],
            ),
        ] {
            let values = randomised_values(0, &parameter(&format!("{base}/{name}"), &[32], kind));
            assert_eq!(bits(&values[..2]), expected, "{name}");
        }
    }

    #[test]
    fn weights_have_the_variance_of_their_fan_in_and_end_at_two_deviations() {
        let weight = parameter("w", &[256, 64, 3, 3], ParameterKind::ConvolutionWeight);
        let values = initial_values(7, &weight);
        let variance =
            values.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() / values.len() as f64;
        let expected = 2.0 / 576.0;
        // 147,456 samples: the relative standard error of the variance is below 0.4 %.
        assert!(
            (variance / expected - 1.0).abs() < 0.02,
            "{variance} beside {expected}"
        );
        let limit = 2.0 * expected.sqrt() / TRUNCATED_DEVIATION;
        assert!(values.iter().all(|&value| f64::from(value).abs() <= limit));
        assert_ne!(
            values[..9],
            initial_values(8, &weight)[..9],
            "another seed, other values"
        );
    }
}
