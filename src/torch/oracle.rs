//! The oracle: a network in float64, one node at a time, with the size that rounding errors are expected to have.
//!
//! Beside each value goes the variance of the rounding error a correct runtime makes in it, as a sum of independent
//! roundings (N. J. Higham, T. Mary: A new approach to probabilistic rounding error analysis, 2019). A rounding of a
//! number `s` to unit roundoff `u` has at most the variance `u²s²/3`. A sum of `n` products `p` in any fixed order rounds
//! `n` partial sums; over random orders their squares add up to `n (y²/3 + Σp²/6)`, `y` being the sum.
//!
//! Two variances are kept: of a layer computed by itself from the reference's inputs (isolated), and of the whole
//! network up to here (accumulated). Both are in units of (2⁻²⁴)², so that they stay in float32's range.

use ndarray::{ArrayD, ArrayViewD, IxDyn};
use tch::{Device, Kind, TchError, Tensor};

use super::forward::arguments;
use super::{Model, TorchError};
use crate::exporters::net::{Net, NodeId, Op};
use crate::exporters::weights::Weights;

/// The unit roundoffs a layer is computed with, as multiples of float32's, 2⁻²⁴.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rounding {
    /// Of the values that a layer is given.
    pub given: f64,
    /// Of what these are rounded to before anything is computed; 0 where they are not.
    pub rounded: f64,
    /// Of the stored weights beside the reference's: 0 where they are the same numbers.
    pub weights: f64,
    /// Of sums.
    pub sums: f64,
    /// Of the layer's value as it is stored.
    pub values: f64,
    /// The smallest normal number of the types numbers are stored in, where they go below it: all smaller ones have its
    /// absolute error. 2⁻¹⁴ for float16; 0 stands for float32's and bfloat16's 2⁻¹²⁶.
    pub smallest: f64,
    /// Whether each weight is stored as the nearest multiple of 1/127 of the largest of its filter.
    pub int8: bool,
}

impl Rounding {
    /// float32 throughout, with the reference's weights.
    pub const FLOAT32: Self = Self {
        given: 1.0,
        rounded: 0.0,
        weights: 0.0,
        sums: 1.0,
        values: 1.0,
        smallest: 0.0,
        int8: false,
    };

    /// The square of the unit roundoff of values as a layer that is computed by itself computes with them.
    fn of_given(&self) -> f64 {
        self.given.powi(2) + self.rounded.powi(2)
    }
}

/// The unit of a standard deviation: float32's unit roundoff.
const UNIT: f64 = 1.0 / (1 << 24) as f64;

/// A value this many standard deviations below 0 is cut off by ReLU in every runtime.
const EDGE: f64 = 8.0;

/// A node's value and what rounding makes of it.
pub struct Traced {
    value: Tensor,
    isolated: Tensor,
    accumulated: Tensor,
}

impl Traced {
    /// The value, float64.
    ///
    /// # Errors
    /// libtorch's refusal to copy it.
    pub fn value(&self) -> Result<ArrayD<f64>, TorchError> {
        super::reference::to_array(&self.value)
    }

    /// The standard deviation that rounding gives each element where the layer is computed by itself.
    ///
    /// # Errors
    /// libtorch's refusal to copy it.
    pub fn isolated(&self) -> Result<ArrayD<f32>, TorchError> {
        deviation(&self.isolated)
    }

    /// The standard deviation that rounding gives each element where everything before was rounded too.
    ///
    /// # Errors
    /// libtorch's refusal to copy it.
    pub fn accumulated(&self) -> Result<ArrayD<f32>, TorchError> {
        deviation(&self.accumulated)
    }
}

fn deviation(variance: &Tensor) -> Result<ArrayD<f32>, TorchError> {
    let root = variance
        .f_sqrt()
        .and_then(|root| root.f_mul_scalar(UNIT))
        .map_err(TorchError::while_("computing rounding errors"))?;
    let shape: Vec<usize> = root.size().iter().map(|&n| n as usize).collect();
    let numbers = super::forward::to_vec(&root)?;
    let (expected, found) = (shape.iter().product(), numbers.len());
    ArrayD::from_shape_vec(IxDyn(&shape), numbers).map_err(|_| TorchError::Count {
        what: "the rounding errors of a value",
        expected,
        found,
    })
}

/// An input of a node.
pub struct TracedInput<'a> {
    /// The value and its errors.
    pub traced: &'a Traced,
    /// Whether a layer that is computed by itself is given this value, rounded, rather than computing it.
    pub given: bool,
}

/// Computes a network node by node in float64 on the processor.
pub struct Oracle {
    model: Model,
}

impl Oracle {
    /// The oracle for these weights.
    ///
    /// # Errors
    /// Weights that do not fit the network.
    pub fn new(net: &Net, weights: &Weights) -> Result<Self, TorchError> {
        let model = Model::new(net, weights, Kind::Double, Device::Cpu)?;
        Ok(Self { model })
    }

    /// The network's image `[N, 3, H, W]`, as the runtime is given it: exact, or with the errors of `rounding` in it and,
    /// where the file computes it, in the `offset` that it subtracts.
    ///
    /// # Errors
    /// An image of another shape than the network's.
    pub fn image(
        &self,
        image: ArrayViewD<'_, f32>,
        rounding: &Rounding,
        offset: f64,
    ) -> Result<Traced, TorchError> {
        let shape: Vec<i64> = image.shape().iter().map(|&n| n as i64).collect();
        let pixels: Vec<f32> = image.iter().copied().collect();
        let computed = || {
            let image = Tensor::f_from_slice(&pixels)?.f_view(shape.as_slice())?;
            let value = image.f_to_kind(Kind::Double)?;
            let square = squared(&value)?.f_add_scalar(offset * offset)?;
            let variance = square.f_mul_scalar(rounding.values.powi(2) / 3.0)?;
            Ok(Traced {
                value,
                isolated: variance.shallow_clone(),
                accumulated: variance,
            })
        };
        computed().map_err(TorchError::while_("taking the image"))
    }

    /// One node from its inputs, in evaluation mode.
    ///
    /// # Errors
    /// libtorch's refusal, with the node's name.
    pub fn step(
        &self,
        id: NodeId,
        inputs: &[TracedInput<'_>],
        rounding: &Rounding,
    ) -> Result<Traced, TorchError> {
        tch::no_grad(|| self.compute(id, inputs, rounding)).map_err(|source| TorchError::Node {
            node: self.model.net().at(id).name.clone(),
            source,
        })
    }

    fn compute(
        &self,
        id: NodeId,
        inputs: &[TracedInput<'_>],
        rounding: &Rounding,
    ) -> Result<Traced, TchError> {
        let node = self.model.net().at(id);
        let values: Vec<&Tensor> = inputs.iter().map(|input| &input.traced.value).collect();
        let value = self.model.evaluate(id, &values)?;
        // Both variances side by side, as one batch of twice the images.
        let before = inputs
            .iter()
            .map(|input| {
                let [isolated, accumulated] = match input.given {
                    true => {
                        let squares = squared(&input.traced.value)?
                            .f_add_scalar(rounding.smallest.powi(2))?;
                        let rounded = squares.f_mul_scalar(rounding.rounded.powi(2) / 3.0)?;
                        [
                            squares.f_mul_scalar(rounding.of_given() / 3.0)?,
                            input.traced.accumulated.f_add(&rounded)?,
                        ]
                    }
                    false => [&input.traced.isolated, &input.traced.accumulated]
                        .map(Tensor::shallow_clone),
                };
                Tensor::f_cat(&[&isolated, &accumulated], 0)
            })
            .collect::<Result<Vec<_>, TchError>>()?;
        let given = inputs.first().is_some_and(|input| input.given);
        let variance = self.variance(id, node.op, &values, &value, (&before, given), rounding)?;
        let [isolated, accumulated] = <[Tensor; 2]>::try_from(variance.f_chunk(2, 0)?)
            .map_err(|_| TchError::Shape("expected two variances side by side".into()))?;
        Ok(Traced {
            value,
            isolated,
            accumulated,
        })
    }

    /// The variance of the node's value, for each of the two variances its inputs have; `before` also tells whether the
    /// first input is given.
    fn variance(
        &self,
        id: NodeId,
        op: Op,
        inputs: &[&Tensor],
        value: &Tensor,
        (before, given): (&[Tensor], bool),
        rounding: &Rounding,
    ) -> Result<Tensor, TchError> {
        let first = &before[0];
        let unchanged = || Ok(first.shallow_clone());
        let third = |unit: f64| unit.powi(2) / 3.0;
        let twice = |own: &Tensor| Tensor::f_cat(&[own, own], 0);
        let result = squared(value)?;
        let least = rounding.smallest.powi(2);
        let stored = result
            .f_add_scalar(least)?
            .f_mul_scalar(third(rounding.values))?;
        let sums = rounding.sums.powi(2);
        // `n (y²/9 + Σp²/18)` and the rounding of each product.
        let of_sum = |n: f64, products: &Tensor| -> Result<Tensor, TchError> {
            result
                .f_mul_scalar(sums * n / 9.0)?
                .f_add(&products.f_mul_scalar(sums * (n / 18.0 + 1.0 / 3.0))?)
        };
        match op {
            Op::Dropout { .. } | Op::Input => unchanged(),
            // What is cut off far from the edge has no error.
            Op::Relu => {
                let edge = first.f_sqrt()?.f_mul_scalar(EDGE * UNIT)?;
                let kept = edge.f_add(&twice(&inputs[0].f_to_kind(Kind::Float)?)?)?;
                first.f_mul(&kept.f_gt(0.0)?)
            }
            // A maximum's error is that of a value it may take.
            Op::MaxPool(window) => {
                let (kernel, stride, padding) = arguments(window);
                first.f_max_pool2d(kernel, stride, padding, [1, 1], false)
            }
            Op::Concatenate => Tensor::f_cat(before, 1),
            Op::Convolution { window, bias, .. } => {
                let (_, stride, padding) = arguments(window);
                let spread = |x: &Tensor, weights: &Tensor| {
                    x.f_conv2d(weights, None::<&Tensor>, stride, padding, [1, 1], 1)
                };
                let own = |products: &Tensor, n| of_sum(n, products)?.f_add(&stored);
                self.of_products(id, (inputs[0], first, given), bias, &spread, &own, rounding)
            }
            Op::Linear { bias, .. } => {
                let spread = |x: &Tensor, weights: &Tensor| x.f_linear(weights, None::<&Tensor>);
                let own = |products: &Tensor, n| of_sum(n, products)?.f_add(&stored);
                self.of_products(id, (inputs[0], first, given), bias, &spread, &own, rounding)
            }
            Op::BatchNorm { epsilon } => {
                let [gamma, beta, mean, variance] =
                    [0, 1, 2, 3].map(|place| self.model.variable(id, place));
                let channels = |tensor: Tensor| match value.dim() {
                    4 => tensor.f_view([1, -1, 1, 1].as_slice()),
                    _ => tensor.f_view([1, -1].as_slice()),
                };
                let factor = gamma.f_div(&variance.f_add_scalar(epsilon)?.f_sqrt()?)?;
                let offset = squared(&beta.f_sub(&mean.f_mul(&factor)?)?)?;
                let moved = squared(&mean.f_mul(&factor)?)?;
                let factor = channels(squared(&factor)?)?;
                // However it is arranged: x − m, its product with the factor (itself rounded), the sum with β.
                let terms = squared(inputs[0])?
                    .f_mul(&factor)?
                    .f_mul_scalar(3.0)?
                    .f_add(&channels(offset.f_add(&moved.f_mul_scalar(2.0)?)?)?)?
                    .f_mul_scalar(third(rounding.sums))?
                    .f_add(&stored)?;
                first.f_mul(&factor)?.f_add(&twice(&terms)?)
            }
            Op::AveragePool {
                window,
                count_padding,
            } => {
                let (kernel, stride, padding) = arguments(window);
                let mean = |x: &Tensor| {
                    x.f_avg_pool2d(kernel, stride, padding, false, count_padding, None::<i64>)
                };
                let n = (window.kernel.height * window.kernel.width) as f64;
                let own = of_sum(n, &mean(&squared(inputs[0])?)?.f_mul_scalar(1.0 / n)?)?;
                // Errors of neighbours are of one origin: their mean is not smaller than they are.
                mean(first)?.f_add(&twice(&own.f_add(&stored)?)?)
            }
            Op::GlobalAveragePool => {
                let mean = |x: &Tensor| x.f_mean_dim([2_i64, 3].as_slice(), false, None);
                let size = inputs[0].size();
                let n = (size.iter().skip(2).product::<i64>() as f64).max(1.0);
                let own = of_sum(n, &mean(&squared(inputs[0])?)?.f_mul_scalar(1.0 / n)?)?;
                mean(first)?.f_add(&twice(&own.f_add(&stored)?)?)
            }
            Op::ScaledAdd { scale } => {
                let scaled = squared(inputs[1])?.f_mul_scalar(scale.powi(2))?;
                let own = scaled
                    .f_mul_scalar(third(rounding.values) + third(rounding.values.max(1.0)))?
                    .f_add(&stored)?;
                before[1]
                    .f_mul_scalar(scale.powi(2))?
                    .f_add(first)?
                    .f_add(&twice(&own)?)
            }
            Op::Normalize => {
                let length =
                    squared(inputs[0])?.f_sum_dim_intlist([1_i64].as_slice(), true, None)?;
                let n = inputs[0].size().get(1).copied().unwrap_or(1) as f64;
                let shared = twice(&result)?.f_mul(first)?;
                let shared = shared.f_sum_dim_intlist([1_i64].as_slice(), true, None)?;
                let own = result.f_mul_scalar(third(rounding.sums) * (n / 3.0 + 4.0))?;
                twice(&result)?
                    .f_mul(&shared)?
                    .f_add(first)?
                    .f_div(&twice(&length.f_clamp_min(1e-30)?)?)?
                    .f_add(&twice(&own.f_add(&stored)?)?)
            }
            Op::Softmax => {
                let largest = inputs[0].f_amax([-1_i64].as_slice(), true)?;
                let exponent = squared(&inputs[0].f_sub(&largest)?)?;
                let n = value.size().last().copied().unwrap_or(1) as f64;
                // exp is good to a few units; its argument was rounded, the sum and the division are.
                let own = exponent
                    .f_add_scalar(8.0 + n / 9.0)?
                    .f_mul(&result)?
                    .f_mul_scalar(third(rounding.sums))?
                    .f_add(&stored)?;
                let result = twice(&result)?;
                let shared =
                    result
                        .f_mul(first)?
                        .f_sum_dim_intlist([-1_i64].as_slice(), true, None)?;
                first.f_add(&shared)?.f_mul(&result)?.f_add(&twice(&own)?)
            }
        }
    }

    /// The variance of each weight of a layer that is stored as int8, `[O, ...]`: a rounding to multiples of a step has
    /// the variance of a twelfth of the step's square, and the step is 1/127 of the largest of the filter. Where batch
    /// normalisation is folded in, weights and steps are multiplied with the same factor.
    fn int8_variances(&self, id: NodeId) -> Result<Tensor, TchError> {
        let weights = self.model.variable(id, 0).f_to_kind(Kind::Float)?;
        let others: Vec<i64> = (1..weights.dim() as i64).collect();
        let step = weights
            .f_abs()?
            .f_amax(&others, true)?
            .f_mul_scalar(1.0 / (127.0 * UNIT))?;
        step.f_square()?
            .f_mul_scalar(1.0 / 12.0)?
            .f_expand_as(&weights)
    }

    /// The variances of a layer that sums products of weights and the input `x`: `spread` sums `w²v` over each sum's
    /// products, `own` gives what the sums' own rounding adds, from `Σw²x²` and the number of products.
    fn of_products(
        &self,
        id: NodeId,
        (x, before, given): (&Tensor, &Tensor, bool),
        bias: bool,
        spread: &dyn Fn(&Tensor, &Tensor) -> Result<Tensor, TchError>,
        own: &dyn Fn(&Tensor, f64) -> Result<Tensor, TchError>,
        rounding: &Rounding,
    ) -> Result<Tensor, TchError> {
        let least = rounding.smallest.powi(2);
        let weights = squared(self.model.variable(id, 0))?.f_add_scalar(least)?;
        let count = weights.size().iter().skip(1).product::<i64>() as f64;
        let images = x.size()[0];
        // Of an input that is given, the isolated variance is a multiple of the products' squares: one pass less.
        let from = if given { images } else { 0 };
        let rest = before.f_narrow(0, from, 2 * images - from)?;
        let squares = squared(x)?.f_add_scalar(least)?;
        let sums = spread(&Tensor::f_cat(&[&squares, &rest], 0)?, &weights)?;
        let products = sums.f_narrow(0, 0, images)?;
        let passed = sums.f_narrow(0, images, 2 * images - from)?;
        let passed = match given {
            true => {
                let isolated = products.f_mul_scalar(rounding.of_given() / 3.0)?;
                Tensor::f_cat(&[&isolated, &passed], 0)?
            }
            false => passed,
        };
        let operands = rounding.weights.powi(2) / 3.0;
        let mut own = own(&products, count)?.f_add(&products.f_mul_scalar(operands)?)?;
        if rounding.int8 {
            let steps = spread(&squares, &self.int8_variances(id)?)?;
            own = own.f_add(&steps)?;
        }
        if bias {
            let bias = squared(self.model.variable(id, 1))?;
            let bias = match own.dim() {
                4 => bias.f_view([1, -1, 1, 1].as_slice())?,
                _ => bias.f_view([1, -1].as_slice())?,
            };
            let unit = (rounding.weights.powi(2) + rounding.sums.powi(2)) / 3.0;
            own = own.f_add(&bias.f_mul_scalar(unit)?)?;
        }
        passed.f_add(&Tensor::f_cat(&[&own, &own], 0)?)
    }
}

/// Squares in float32.
fn squared(value: &Tensor) -> Result<Tensor, TchError> {
    value.f_to_kind(Kind::Float)?.f_square()
}

#[cfg(test)]
mod tests;
