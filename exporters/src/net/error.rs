//! Why a network cannot be built.

use super::{Kernel, MINIMUM_IMAGE_SIDE, Shape};

/// A network that cannot be built as asked.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum NetError {
    /// The image is too small for the strided layers.
    #[error(
        "image size {height}x{width} is too small: expected at least {MINIMUM_IMAGE_SIDE} pixels each way"
    )]
    ImageTooSmall {
        /// Asked height in pixels.
        height: usize,
        /// Asked width in pixels.
        width: usize,
    },
    /// An option outside its range.
    #[error("option `{option}`: expected {expected}, found {found}")]
    Option {
        /// The option's name.
        option: &'static str,
        /// The range in words.
        expected: &'static str,
        /// The value given.
        found: String,
    },
    /// The option asks for a head that the network's code does not have.
    #[error("`{network}` ({variant}) has no auxiliary head")]
    NoAuxiliaryHead {
        /// The network.
        network: String,
        /// Its variant.
        variant: String,
    },
    /// A window does not fit into its input.
    #[error("`{node}`: a {kernel} window without padding does not fit into {found}")]
    WindowTooLarge {
        /// The node's name.
        node: String,
        /// The window.
        kernel: Kernel,
        /// The input's shape.
        found: Shape,
    },
    /// Same padding is only defined here at stride 1 with odd kernels, where all frameworks agree.
    #[error(
        "`{node}`: same padding needs stride 1 and an odd kernel, found stride {stride}, kernel {kernel}"
    )]
    Padding {
        /// The node's name.
        node: String,
        /// The stride asked for.
        stride: usize,
        /// The kernel asked for.
        kernel: Kernel,
    },
    /// Branches that cannot be joined.
    #[error("`{node}`: cannot join {found} to {expected}")]
    Join {
        /// The node's name.
        node: String,
        /// The first branch's shape.
        expected: Shape,
        /// The other's.
        found: Shape,
    },
    /// A layer that needs a feature map was given a vector, or the reverse.
    #[error("`{node}`: expected {expected}, found {found}")]
    Rank {
        /// The node's name.
        node: String,
        /// What the layer takes.
        expected: &'static str,
        /// The input's shape.
        found: Shape,
    },
    /// A stage's output is not what its figure says.
    #[error("stage `{stage}`: expected {expected}, found {found}")]
    Stage {
        /// The stage's name.
        stage: String,
        /// The shape the figure gives.
        expected: Shape,
        /// The shape built.
        found: Shape,
    },
}

impl NetError {
    /// The fix, where one is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::ImageTooSmall { .. } => Some(format!(
                "the strided layers take 75 to 37, 17, 7, 3 and 1: use --image-size {MINIMUM_IMAGE_SIDE} or more"
            )),
            Self::NoAuxiliaryHead { .. } => Some(
                "Inception-v3 and the published Inception-v4 and Inception-ResNet-v2 have one: choose another --variant"
                    .into(),
            ),
            _ => None,
        }
    }
}
