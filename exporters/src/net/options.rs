//! What can be chosen about a network without changing its figures.

use serde::{Deserialize, Serialize};

use super::NetError;

/// Below 75 pixels the last grid would be empty: 75 → 37 → 35 → 17 → 15 → 7 → 3 → 1.
pub const MINIMUM_IMAGE_SIDE: usize = 75;

/// Factors on the residuals of the A, B and C blocks. The paper says between 0.1 and 0.3 (section 3.3).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResidualScales {
    /// On the 35×35 grid.
    pub a: f64,
    /// On the 17×17 grid.
    pub b: f64,
    /// On the 8×8 grid.
    pub c: f64,
}

impl Default for ResidualScales {
    /// 0.17, 0.10 and 0.20, as the published networks have them.
    fn default() -> Self {
        Self {
            a: 0.17,
            b: 0.10,
            c: 0.20,
        }
    }
}

/// Options every network of the zoo takes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NetOptions {
    /// Image height in pixels, from 75.
    pub image_height: usize,
    /// Image width in pixels, from 75.
    pub image_width: usize,
    /// Number of classes: the length of `logits`.
    pub classes: usize,
    /// Factor on the filters of every convolution, rounded, at least one filter; 1 is the paper's network.
    pub width_multiplier: f64,
    /// Probability that dropout keeps a value, while training.
    pub dropout_keep_probability: f64,
    /// Factors on the residuals; without effect in networks without them.
    pub residual_scales: ResidualScales,
    /// Whether the network has its second classifier for training, on the last 17×17 grid. An error in networks
    /// whose code has none.
    pub auxiliary_head: bool,
}

impl Default for NetOptions {
    /// The paper's: 299×299, 1000 classes, full width, keep 0.8, no auxiliary head.
    fn default() -> Self {
        Self {
            image_height: 299,
            image_width: 299,
            classes: 1000,
            width_multiplier: 1.0,
            dropout_keep_probability: 0.8,
            residual_scales: ResidualScales::default(),
            auxiliary_head: false,
        }
    }
}

impl NetOptions {
    /// The same options for a square image of `side` pixels.
    #[must_use]
    pub fn image_size(self, side: usize) -> Self {
        Self {
            image_height: side,
            image_width: side,
            ..self
        }
    }

    /// Tells which option is out of range.
    ///
    /// # Errors
    /// The first option out of its range, with what was expected.
    pub fn check(&self) -> Result<(), NetError> {
        let out_of_range = |option, expected, found: String| {
            Err(NetError::Option {
                option,
                expected,
                found,
            })
        };
        let (height, width) = (self.image_height, self.image_width);
        if height < MINIMUM_IMAGE_SIDE || width < MINIMUM_IMAGE_SIDE {
            return Err(NetError::ImageTooSmall { height, width });
        }
        if height > 16_384 || width > 16_384 {
            return out_of_range(
                "image size",
                "at most 16384 pixels each way",
                format!("{height}x{width}"),
            );
        }
        if !(1..=1_000_000).contains(&self.classes) {
            return out_of_range("classes", "1 to 1000000", self.classes.to_string());
        }
        if !(self.width_multiplier > 0.0 && self.width_multiplier <= 16.0) {
            return out_of_range(
                "width",
                "above 0 and at most 16",
                self.width_multiplier.to_string(),
            );
        }
        let keep = self.dropout_keep_probability;
        if !(keep > 0.0 && keep <= 1.0) {
            return out_of_range(
                "dropout_keep_probability",
                "above 0 and at most 1",
                keep.to_string(),
            );
        }
        let scales = &self.residual_scales;
        for scale in [scales.a, scales.b, scales.c] {
            if !scale.is_finite() {
                return out_of_range("residual_scales", "finite numbers", scale.to_string());
            }
        }
        Ok(())
    }
}
