//! The language networks are written in: a [`Net`] is an ordered list of named nodes with inferred
//! shapes, and the named stages they form. Everything else walks over it.
//!
//! ```
//! use incept_exporters::net::{NetOptions, Net, same, valid};
//!
//! let net = Net::build("example", "demo", &NetOptions::default(), |image| {
//!     image
//!         .stage("stem", 1, [64, 147, 147], |x| {
//!             x.conv_3x3(valid(32).stride(2)).conv_3x3(valid(32)).conv_3x3(same(64))
//!         })
//!         .classifier()
//! })?;
//! assert_eq!(net.node("stem/conv_3x3_2").unwrap().shape.to_string(), "32x147x147");
//! # Ok::<(), incept_exporters::net::NetError>(())
//! ```

mod builder;
mod cost;
mod error;
mod options;
mod parameters;
mod shapes;

pub use builder::{Filters, Flow, same, valid};
pub use cost::{Cost, ReceptiveField};
pub use error::NetError;
pub use options::{MINIMUM_IMAGE_SIDE, NetOptions, ResidualScales};
pub use parameters::{Parameter, ParameterKind};

use std::collections::HashMap;
use std::fmt;

/// Batch normalisation's epsilon, in every network of the paper (PyTorch's default is 1e-5).
pub const BATCH_NORM_EPSILON: f64 = 0.001;

/// The position of a node in its [`Net`]; a node's inputs always come before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub(crate) usize);

impl NodeId {
    /// The index into [`Net::nodes`].
    pub fn index(self) -> usize {
        self.0
    }
}

/// How the border is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Padding {
    /// Zeros all around so that height and width stay; only at stride 1, with odd kernels.
    Same,
    /// No padding: the window stays inside the image.
    Valid,
}

/// A window's height and width in pixels, never a bare pair: 1×7 is `Kernel { height: 1, width: 7 }`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kernel {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.height, self.width)
    }
}

/// A window sliding over an image: kernel, stride (the same both ways) and padding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Height and width of the window.
    pub kernel: Kernel,
    /// Step in pixels, in both directions.
    pub stride: usize,
    /// Treatment of the border.
    pub padding: Padding,
}

impl Window {
    /// Zeros added above and below, and left and right.
    pub fn pads(&self) -> (usize, usize) {
        match self.padding {
            Padding::Same => ((self.kernel.height - 1) / 2, (self.kernel.width - 1) / 2),
            Padding::Valid => (0, 0),
        }
    }
}

/// What a node computes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Op {
    /// The image, `[N, 3, H, W]`, RGB in [-1, 1].
    Input,
    /// Convolution over all input channels, weight `[filters, channels, height, width]`.
    Convolution {
        /// Output channels.
        filters: usize,
        /// Kernel, stride, padding.
        window: Window,
        /// Whether a bias is added: only where no batch normalisation follows.
        bias: bool,
    },
    /// Batch normalisation over each channel.
    BatchNorm {
        /// Added to the variance under the root.
        epsilon: f64,
    },
    /// max(x, 0).
    Relu,
    /// The window's maximum.
    MaxPool(Window),
    /// The window's mean.
    AveragePool {
        /// Kernel, stride, padding.
        window: Window,
        /// Whether padding counts as pixels. In the paper's networks it does not.
        count_padding: bool,
    },
    /// The mean over the whole grid: `[N, C, H, W]` to `[N, C]`.
    GlobalAveragePool,
    /// Concatenation over channels, in the order of the inputs.
    Concatenate,
    /// `trunk + scale * residual`; the inputs are trunk, then residual.
    ScaledAdd {
        /// Factor on the residual.
        scale: f64,
    },
    /// Dropout while training, nothing otherwise.
    Dropout {
        /// Probability that a value is kept.
        keep_probability: f64,
    },
    /// Fully connected layer, weight `[features, inputs]`.
    Linear {
        /// Output features.
        features: usize,
        /// Whether a bias is added: not where batch normalisation follows.
        bias: bool,
    },
    /// Division of a vector by its Euclidean length, or by 1e-12 where it is shorter.
    Normalize,
    /// Softmax over features.
    Softmax,
}

/// The shape of one image's value: the batch dimension is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A feature map `[channels, height, width]`.
    Map {
        /// Channels.
        channels: usize,
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
    },
    /// A vector `[features]`.
    Vector {
        /// Length.
        features: usize,
    },
}

impl Shape {
    /// Channels of a map, features of a vector.
    pub fn channels(&self) -> usize {
        match *self {
            Shape::Map { channels, .. } => channels,
            Shape::Vector { features } => features,
        }
    }

    /// The dimensions after the batch: `[C, H, W]` or `[F]`.
    pub fn dimensions(&self) -> Vec<usize> {
        match *self {
            Shape::Map {
                channels,
                height,
                width,
            } => vec![channels, height, width],
            Shape::Vector { features } => vec![features],
        }
    }

    /// Numbers in one image's value.
    pub fn elements(&self) -> usize {
        self.dimensions().iter().product()
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Shape::Map {
                channels,
                height,
                width,
            } => write!(f, "{channels}x{height}x{width}"),
            Shape::Vector { features } => write!(f, "{features}"),
        }
    }
}

/// One step of the computation.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// `<stage>.<index>/<branch>/<layer>`: the name of the ONNX node and value, the variable, the report row.
    pub name: String,
    /// What it computes.
    pub op: Op,
    /// Where its inputs come from.
    pub inputs: Vec<NodeId>,
    /// The shape of its output.
    pub shape: Shape,
}

impl Node {
    /// The block it belongs to: what stands before the first `/` of its name, `inception_a.2`.
    pub fn block(&self) -> &str {
        block_of(&self.name)
    }
}

/// The block that a name belongs to, of a node, a parameter or a value: what stands before its first `/`.
pub fn block_of(name: &str) -> &str {
    name.split('/').next().unwrap_or(name)
}

/// A named run of nodes: what a box in the paper's overall figures is.
#[derive(Debug, Clone, PartialEq)]
pub struct Stage {
    /// `stem`, `inception_a`, ...
    pub name: String,
    /// How often its block stands in a row.
    pub repeat: usize,
    /// The node whose value is the stage's output.
    pub output: NodeId,
    /// Index of its first node; it ends with `output`.
    pub first: NodeId,
}

/// A network: nodes in an order in which they can be computed, and the stages they form.
#[derive(Debug, Clone, PartialEq)]
pub struct Net {
    name: String,
    variant: String,
    options: NetOptions,
    nodes: Vec<Node>,
    stages: Vec<Stage>,
    by_name: HashMap<String, NodeId>,
}

impl Net {
    /// The network's name in the zoo: `inception_v4`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `paper` or `published`.
    pub fn variant(&self) -> &str {
        &self.variant
    }

    /// The options it was built with.
    pub fn options(&self) -> &NetOptions {
        &self.options
    }

    /// All nodes; inputs come before the nodes that use them. The first is the image.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The stages, in order, from the stem to the probabilities.
    pub fn stages(&self) -> &[Stage] {
        &self.stages
    }

    /// The blocks that have convolutions or linear layers, in order.
    pub fn blocks(&self) -> Vec<&str> {
        let has_products =
            |node: &&Node| matches!(node.op, Op::Convolution { .. } | Op::Linear { .. });
        let mut blocks: Vec<&str> = vec![];
        for node in self.nodes.iter().filter(has_products) {
            if !blocks.contains(&node.block()) {
                blocks.push(node.block());
            }
        }
        blocks
    }

    /// The node of that number.
    pub fn at(&self, id: NodeId) -> &Node {
        &self.nodes[id.0]
    }

    /// The node of that name.
    pub fn node(&self, name: &str) -> Option<&Node> {
        self.by_name.get(name).map(|&id| self.at(id))
    }

    /// The number of the node of that name.
    pub fn id(&self, name: &str) -> Option<NodeId> {
        self.by_name.get(name).copied()
    }

    /// Which nodes have to be computed for these values: they themselves, and all they depend on.
    pub fn needed(&self, values: &[NodeId]) -> Vec<bool> {
        let mut needed = vec![false; self.nodes.len()];
        for id in values {
            needed[id.0] = true;
        }
        for index in (0..self.nodes.len()).rev() {
            if needed[index] {
                for input in &self.nodes[index].inputs {
                    needed[input.0] = true;
                }
            }
        }
        needed
    }
}
