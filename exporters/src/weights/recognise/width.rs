//! The width of a network, from the filters that its layers have in a file.

use std::collections::BTreeMap;

use crate::net::ParameterKind;
use crate::weights::Tensor;
use crate::weights::names::Binding;

/// The factor on the filters that gives the file's: the shortest decimal among those that round to all of them.
pub(super) fn width(bindings: &[Binding], tensors: &BTreeMap<String, Tensor>) -> Option<f64> {
    let (mut low, mut high) = (0.0_f64, f64::INFINITY);
    for binding in bindings {
        let is_convolution = binding.parameter.kind == ParameterKind::ConvolutionWeight;
        // A residual's last convolution has as many filters as the sum has channels, which are not rounded once.
        if !is_convolution || binding.parameter.name.ends_with("linear_1x1/weight") {
            continue;
        }
        if let (Some((_, tensor)), Some(&filters)) =
            (binding.find(tensors), binding.parameter.shape.first())
        {
            let found = *tensor.shape().first()? as f64;
            // One filter stands for less than one, too.
            low = low.max(if found > 1.0 {
                (found - 0.5) / filters as f64
            } else {
                0.0
            });
            high = high.min((found + 0.5) / filters as f64);
        }
    }
    if !(low < high && high.is_finite()) {
        return None;
    }
    (0..=6).find_map(|digits| {
        let scale = 10_f64.powi(digits);
        let middle = (0.5 * (low + high) * scale).round() / scale;
        let lowest = (low * scale).ceil() / scale;
        [middle, lowest]
            .into_iter()
            .find(|&width| low <= width && width < high && width > 0.0)
    })
}
