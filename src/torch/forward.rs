//! The interpreter: what each kind of node is in libtorch. It knows nodes, not networks.

use tch::{Device, Kind, TchError, Tensor};

use super::{Layout, TorchError};
use crate::exporters::net::{Net, Node, NodeId, Op, Window};
use crate::exporters::weights::{Weights, stream_key, uniform};

/// What the forward pass is for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Mode {
    /// Moving statistics are used, dropout does nothing.
    Evaluation,
    /// The batch's statistics are used and move the moving ones, dropout acts.
    Training {
        /// Part of the new statistics in the moving ones: 1 − decay, PyTorch's `momentum`. The paper's code
        /// has decay 0.9997, so 0.0003.
        batch_norm_momentum: f64,
        /// Decides which values dropout drops, with the node's name and the value's index: the same on every
        /// device and whatever ran before.
        dropout_seed: u64,
    },
}

/// A network with its variables on a device, ready to compute.
///
/// Batch normalisation while training normalises by the batch's biased variance and moves the running variance
/// towards the unbiased one (n / (n − 1)), which is what TensorFlow's fused kernel and PyTorch both do.
pub struct Model {
    net: Net,
    layout: Layout,
    /// All variables in one vector, in the layout's order.
    values: Tensor,
    /// Views into `values`, in the layout's order; the trained ones are leaves of the gradient's graph.
    views: Vec<Tensor>,
    /// For each node, the first of its variables in `views`; they follow in the order of `parameters_of`.
    of_node: Vec<Vec<usize>>,
    kind: Kind,
    device: Device,
}

impl Model {
    /// A model with these weights, computing in `kind` (`Float` or `Double`).
    ///
    /// # Errors
    /// Weights that do not fit the network, another `kind`, or libtorch's refusal.
    pub fn new(
        net: &Net,
        weights: &Weights,
        kind: Kind,
        device: Device,
    ) -> Result<Self, TorchError> {
        let layout = Layout::of(net);
        let values = layout.flatten(net, weights)?;
        Self::from_values(net, layout, &values, kind, device)
    }

    /// A model with these values, in the layout's order.
    pub(crate) fn from_values(
        net: &Net,
        layout: Layout,
        values: &[f32],
        kind: Kind,
        device: Device,
    ) -> Result<Self, TorchError> {
        if !matches!(kind, Kind::Float | Kind::Double) {
            return Err(TorchError::ElementType { found: kind });
        }
        if values.len() != layout.total() {
            return Err(TorchError::Count {
                what: "values of the model",
                expected: layout.total(),
                found: values.len(),
            });
        }
        let doing = TorchError::while_("placing the weights");
        let values = Tensor::f_from_slice(values)
            .and_then(|values| values.f_to_kind(kind))
            .and_then(|values| values.f_to_device(device))
            .map_err(doing)?;
        Self::over(net, layout, values)
    }

    /// A model whose variables are views into `values`.
    pub(crate) fn over(net: &Net, layout: Layout, values: Tensor) -> Result<Self, TorchError> {
        let kind = values.kind();
        let device = values.device();
        let views = layout
            .variables()
            .iter()
            .map(|variable| {
                let parameter = &variable.parameter;
                let shape: Vec<i64> = parameter.shape.iter().map(|&n| n as i64).collect();
                let view = values
                    .f_narrow(0, variable.offset as i64, parameter.elements() as i64)?
                    .f_view(shape.as_slice())?
                    .f_detach()?;
                match parameter.kind.is_trained() {
                    true => view.f_set_requires_grad(true),
                    false => Ok(view),
                }
            })
            .collect::<Result<Vec<_>, TchError>>()
            .map_err(TorchError::while_("naming the weights"))?;
        let place = |name: &str| {
            layout
                .variables()
                .iter()
                .position(|variable| variable.parameter.name == name)
        };
        let of_node = net
            .nodes()
            .iter()
            .map(|node| {
                net.parameters_of(node)
                    .iter()
                    .filter_map(|parameter| place(&parameter.name))
                    .collect()
            })
            .collect();
        Ok(Self {
            net: net.clone(),
            layout,
            values,
            views,
            of_node,
            kind,
            device,
        })
    }

    /// The network.
    pub fn net(&self) -> &Net {
        &self.net
    }

    /// How the variables lie in [`Model::values`].
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// All variables in one vector on the device. Writing to it changes the model.
    pub fn values(&self) -> &Tensor {
        &self.values
    }

    /// The trained variables, whose gradients training asks for, in the layout's order.
    pub(crate) fn trained(&self) -> &[Tensor] {
        let variables = self.layout.variables();
        let count = variables.partition_point(|variable| variable.parameter.kind.is_trained());
        &self.views[..count]
    }

    /// The element type it computes in.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The device it computes on.
    pub fn device(&self) -> Device {
        self.device
    }

    /// The weights and moving statistics as they are now, as float32.
    ///
    /// # Errors
    /// libtorch's refusal to copy them.
    pub fn weights(&self, source: &str) -> Result<Weights, TorchError> {
        let values = to_vec(&self.values)?;
        Ok(Weights::from_tensors(
            self.layout.tensors(&values, ""),
            source,
        ))
    }

    /// The logits `[N, classes]` of a batch of images `[N, 3, H, W]`, RGB in [-1, 1]. Gradients are recorded
    /// while training, unless the caller has turned that off.
    ///
    /// # Errors
    /// As [`Model::forward_values`].
    pub fn logits(&self, image: &Tensor, mode: Mode) -> Result<Tensor, TorchError> {
        let logits = self.net.id("logits").ok_or_else(|| TorchError::NoLogits {
            network: self.net.name().into(),
        })?;
        let compute = || self.compute(image, &[logits], mode);
        let mut values = match mode {
            Mode::Evaluation => tch::no_grad(compute)?,
            Mode::Training { .. } => compute()?,
        };
        values.pop().ok_or(TorchError::NoSuchNode {
            nodes: self.net.nodes().len(),
            found: logits.index(),
        })
    }

    /// As [`Model::logits`], with the auxiliary head's logits beside them where the network has one.
    ///
    /// # Errors
    /// As [`Model::forward_values`].
    pub(crate) fn training_logits(
        &self,
        image: &Tensor,
        mode: Mode,
    ) -> Result<(Tensor, Option<Tensor>), TorchError> {
        let Some(auxiliary) = self.net.id("auxiliary_logits") else {
            return Ok((self.logits(image, mode)?, None));
        };
        let logits = self.net.id("logits").ok_or_else(|| TorchError::NoLogits {
            network: self.net.name().into(),
        })?;
        let mut values = self.compute(image, &[logits, auxiliary], mode)?;
        let auxiliary = values.pop();
        let logits = values.pop().ok_or(TorchError::NoSuchNode {
            nodes: self.net.nodes().len(),
            found: logits.index(),
        })?;
        Ok((logits, auxiliary))
    }

    /// The values of the asked nodes, in the order asked, in evaluation mode: `[N, C, H, W]` or `[N, F]`.
    ///
    /// # Errors
    /// An image of another shape than the network's, a node that is not in it, or a node libtorch refuses.
    pub fn forward_values(
        &self,
        image: &Tensor,
        nodes: &[NodeId],
    ) -> Result<Vec<Tensor>, TorchError> {
        tch::no_grad(|| self.compute(image, nodes, Mode::Evaluation))
    }

    /// One node from its inputs, in evaluation mode.
    pub(super) fn evaluate(&self, id: NodeId, inputs: &[&Tensor]) -> Result<Tensor, TchError> {
        let node = self.net.at(id);
        self.apply(
            node,
            &self.of_node[id.index()],
            inputs,
            false,
            Mode::Evaluation,
        )
    }

    /// A variable of a node, in the order of its parameters.
    pub(super) fn variable(&self, id: NodeId, place: usize) -> &Tensor {
        &self.views[self.of_node[id.index()][place]]
    }

    /// Computes in order the nodes that those asked for depend on. A value is let go after its last use.
    fn compute(
        &self,
        image: &Tensor,
        asked: &[NodeId],
        mode: Mode,
    ) -> Result<Vec<Tensor>, TorchError> {
        let nodes = self.net.nodes();
        let last = asked.iter().map(|id| id.index()).max().unwrap_or(0);
        if last >= nodes.len() {
            return Err(TorchError::NoSuchNode {
                nodes: nodes.len(),
                found: last,
            });
        }
        let needed = self.net.needed(asked);
        let mut left = vec![0; nodes.len()];
        for id in asked {
            left[id.index()] += 1;
        }
        for (node, _) in nodes.iter().zip(&needed).filter(|(_, needed)| **needed) {
            for input in &node.inputs {
                left[input.index()] += 1;
            }
        }
        let mut values: Vec<Option<Tensor>> = Vec::with_capacity(last + 1);
        let mut batch = 0;
        for (index, node) in nodes.iter().enumerate().take(last + 1) {
            // The shape of the image is checked whatever is asked for.
            if !needed[index] && node.op != Op::Input {
                values.push(None);
                continue;
            }
            let value = if node.op == Op::Input {
                image
                    .f_to_device(self.device)
                    .and_then(|image| image.f_to_kind(self.kind))
            } else {
                let inputs: Vec<&Tensor> = node
                    .inputs
                    .iter()
                    .filter_map(|input| values[input.index()].as_ref())
                    .collect();
                // The last reader of a value may overwrite it, if the value is the producer's own and not a view.
                let own = |op| matches!(op, Op::BatchNorm { .. } | Op::ScaledAdd { .. });
                let sole = node
                    .inputs
                    .iter()
                    .all(|input| left[input.index()] == 1 && own(nodes[input.index()].op));
                self.apply(node, &self.of_node[index], &inputs, sole, mode)
            }
            .map_err(|source| TorchError::Node {
                node: node.name.clone(),
                source,
            })?;
            let found = value.size();
            if index == 0 {
                batch = found.first().copied().unwrap_or(0);
            }
            check_shape(node, batch, &found)?;
            values.push(Some(value));
            for input in &node.inputs {
                left[input.index()] -= 1;
                if left[input.index()] == 0 {
                    values[input.index()] = None;
                }
            }
        }
        asked
            .iter()
            .map(|id| {
                values[id.index()]
                    .as_ref()
                    .map(Tensor::shallow_clone)
                    .ok_or(TorchError::NoSuchNode {
                        nodes: nodes.len(),
                        found: id.index(),
                    })
            })
            .collect()
    }

    /// One node. `sole` tells that nobody else will read the inputs, so that they may be overwritten.
    fn apply(
        &self,
        node: &Node,
        variables: &[usize],
        inputs: &[&Tensor],
        sole: bool,
        mode: Mode,
    ) -> Result<Tensor, TchError> {
        let x = inputs[0];
        let variable = |n: usize| &self.views[variables[n]];
        let bias = |has: bool| has.then(|| variable(1));
        match node.op {
            Op::Input => Ok(x.shallow_clone()),
            Op::Convolution {
                window, bias: has, ..
            } => {
                let (_, stride, padding) = arguments(window);
                x.f_conv2d(variable(0), bias(has), stride, padding, [1, 1], 1)
            }
            Op::BatchNorm { epsilon } => {
                let (training, momentum) = match mode {
                    Mode::Evaluation => (false, 0.0),
                    Mode::Training {
                        batch_norm_momentum,
                        ..
                    } => (true, batch_norm_momentum),
                };
                let [gamma, beta, mean, variance] = [0, 1, 2, 3].map(|n| Some(variable(n)));
                // In float64 the native kernel is asked for, cuDNN having none.
                let cudnn = self.kind == Kind::Float;
                x.f_batch_norm(
                    gamma, beta, mean, variance, training, momentum, epsilon, cudnn,
                )
            }
            // Neither batch normalisation nor a sum needs its own output for its gradient, so ReLU may overwrite it.
            Op::Relu if sole => x.shallow_clone().f_relu_(),
            Op::Relu => x.f_relu(),
            Op::MaxPool(window) => {
                let (kernel, stride, padding) = arguments(window);
                x.f_max_pool2d(kernel, stride, padding, [1, 1], false)
            }
            Op::AveragePool {
                window,
                count_padding,
            } => {
                let (kernel, stride, padding) = arguments(window);
                x.f_avg_pool2d(kernel, stride, padding, false, count_padding, None::<i64>)
            }
            Op::GlobalAveragePool => x.f_mean_dim([2_i64, 3].as_slice(), false, None),
            Op::Concatenate => Tensor::f_cat(inputs, 1),
            Op::ScaledAdd { scale } => inputs[1].f_mul_scalar(scale)?.f_add_(x),
            Op::Dropout { keep_probability } => match mode {
                Mode::Training { dropout_seed, .. } if keep_probability < 1.0 => {
                    let mask = dropout_mask(&node.name, dropout_seed, x, keep_probability)?;
                    x.f_mul(&mask)
                }
                _ => Ok(x.shallow_clone()),
            },
            Op::Linear { bias: has, .. } => x.f_linear(variable(0), bias(has)),
            Op::Normalize => {
                let length = x.f_norm_scalaropt_dim(2, [1_i64].as_slice(), true)?;
                x.f_div(&length.f_clamp_min(1e-12)?)
            }
            Op::Softmax => x.f_softmax(-1, None),
        }
    }
}

/// Kernel, stride and padding as libtorch takes them, height first.
pub(super) fn arguments(window: Window) -> ([i64; 2], [i64; 2], [i64; 2]) {
    let (vertical, horizontal) = window.pads();
    (
        [window.kernel.height as i64, window.kernel.width as i64],
        [window.stride as i64; 2],
        [vertical as i64, horizontal as i64],
    )
}

/// 0 where a value is dropped, 1 / keep where it is kept. Made from the portable generator and not libtorch's,
/// whose state is shared by the whole process.
fn dropout_mask(node: &str, seed: u64, like: &Tensor, keep: f64) -> Result<Tensor, TchError> {
    let key = stream_key(seed, node);
    let mask: Vec<f32> = (0..like.numel() as u64)
        .map(|index| {
            if uniform(key, index) < keep {
                (1.0 / keep) as f32
            } else {
                0.0
            }
        })
        .collect();
    Tensor::f_from_slice(&mask)?
        .f_view(like.size().as_slice())?
        .f_to_kind(like.kind())?
        .f_to_device(like.device())
}

fn check_shape(node: &Node, batch: i64, found: &[i64]) -> Result<(), TorchError> {
    let mut expected = vec![batch];
    expected.extend(node.shape.dimensions().iter().map(|&n| n as i64));
    if expected == found && batch > 0 {
        return Ok(());
    }
    let text = |dimensions: &[i64]| {
        let dimensions: Vec<String> = dimensions.iter().map(i64::to_string).collect();
        format!("[{}]", dimensions.join(", "))
    };
    // Of the image only the shape after the batch is known, and so it is where there is no image at all.
    let expected = match batch > 0 && node.op != Op::Input {
        true => text(&expected),
        false => text(&expected[1..]).replacen('[', "[N, ", 1),
    };
    Err(TorchError::Shape {
        node: node.name.clone(),
        expected,
        found: text(found),
    })
}

/// A tensor's numbers as float32 in main memory.
pub(crate) fn to_vec(tensor: &Tensor) -> Result<Vec<f32>, TorchError> {
    let copy = || {
        let tensor = tensor
            .f_detach()?
            .f_to_device(Device::Cpu)?
            .f_to_kind(Kind::Float)?
            .f_contiguous()?;
        let mut values = vec![0.0_f32; tensor.numel()];
        let count = values.len();
        tensor.f_copy_data(&mut values, count)?;
        Ok(values)
    };
    copy().map_err(TorchError::while_("copying numbers to main memory"))
}

#[cfg(test)]
mod tests;
