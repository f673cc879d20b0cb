//! The oracle: a network in float64 on the processor, for parity checks.

use ndarray::{ArrayD, ArrayViewD, IxDyn};
use tch::{Device, Kind, Tensor};

use super::{Model, TorchError};
use crate::exporters::net::{Net, NodeId};
use crate::exporters::weights::Weights;

/// A network computed in float64 by libtorch on the processor, without libtorch's types.
pub struct Reference {
    model: Model,
}

impl Reference {
    /// The reference for these weights.
    ///
    /// # Errors
    /// Weights that do not fit the network.
    pub fn new(net: &Net, weights: &Weights) -> Result<Self, TorchError> {
        let model = Model::new(net, weights, Kind::Double, Device::Cpu)?;
        Ok(Self { model })
    }

    /// The values of the asked nodes, in the order asked (`[N, C, H, W]` or `[N, F]`), for images
    /// `[N, 3, H, W]`, RGB in [-1, 1].
    ///
    /// # Errors
    /// Images of another shape than the network's, or a node that is not in it.
    pub fn run(
        &self,
        image: ArrayViewD<'_, f32>,
        nodes: &[NodeId],
    ) -> Result<Vec<ArrayD<f64>>, TorchError> {
        let shape: Vec<i64> = image.shape().iter().map(|&n| n as i64).collect();
        let pixels = image.as_standard_layout();
        let pixels: Vec<f32> = pixels.iter().copied().collect();
        let image = Tensor::f_from_slice(&pixels)
            .and_then(|image| image.f_view(shape.as_slice()))
            .map_err(TorchError::while_("taking the image"))?;
        let values = self.model.forward_values(&image, nodes)?;
        values.iter().map(to_array).collect()
    }
}

pub(super) fn to_array(value: &Tensor) -> Result<ArrayD<f64>, TorchError> {
    let copy = || {
        let value = value.f_contiguous()?;
        let mut numbers = vec![0.0_f64; value.numel()];
        let count = numbers.len();
        value.f_copy_data(&mut numbers, count)?;
        Ok(numbers)
    };
    let numbers = copy().map_err(TorchError::while_("copying a value to main memory"))?;
    let shape: Vec<usize> = value.size().iter().map(|&n| n as usize).collect();
    let expected = shape.iter().product();
    let found = numbers.len();
    ArrayD::from_shape_vec(IxDyn(&shape), numbers).map_err(|_| TorchError::Count {
        what: "a value of the reference",
        expected,
        found,
    })
}
