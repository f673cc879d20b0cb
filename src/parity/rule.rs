//! What decides whether two values agree.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::DEFAULT_TOLERANCE;
use super::rounding::ORDER;

/// What decides whether two values agree. Shapes must be equal and every value finite, whatever the rule.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "rule", rename_all = "snake_case")]
pub enum Rule {
    /// Each error over the size that rounding is expected to give it stays below what so many roundings reach.
    Rounding,
    /// The largest error stays below a share of the largest reference value.
    Range {
        /// The share.
        tolerance: f64,
    },
    /// numpy's `allclose`: each error stays below `atol + rtol · |reference|`.
    Numpy {
        /// The absolute part.
        atol: f64,
        /// The relative part.
        rtol: f64,
    },
}

impl Rule {
    /// The rule where nothing is known of a value's rounding.
    pub const RANGE: Self = Self::Range {
        tolerance: DEFAULT_TOLERANCE,
    };
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rounding => write!(
                f,
                "|actual - reference| <= {ORDER} * sqrt(2 ln 2n) * s, where s is the standard deviation that rounding gives \
                 each of the n values in the file's precision; and each channel's root mean square of error / s <= {ORDER} * \
                 (1 + sqrt(ln 2c / m)) for c channels of m values"
            ),
            Self::Range { tolerance } => write!(
                f,
                "max|actual - reference| <= {tolerance:e} * max|reference|"
            ),
            Self::Numpy { atol, rtol } => write!(
                f,
                "|actual - reference| <= {atol:e} + {rtol:e} * |reference|"
            ),
        }
    }
}
