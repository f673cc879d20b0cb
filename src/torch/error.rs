//! What can go wrong in libtorch, with the node it went wrong at.

use crate::exporters::weights::WeightsError;
use tch::TchError;

/// A failure in or before libtorch.
#[derive(Debug, thiserror::Error)]
pub enum TorchError {
    /// The weights are not those of the network.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// libtorch refused to compute a node.
    #[error("libtorch cannot compute `{node}`")]
    Node {
        /// The node's name.
        node: String,
        /// libtorch's own words.
        #[source]
        source: TchError,
    },
    /// A value that is not of the shape the network's description gives.
    #[error("`{node}`: expected a value of shape {expected}, found {found}")]
    Shape {
        /// The node's name.
        node: String,
        /// The description's shape, batch first.
        expected: String,
        /// libtorch's shape.
        found: String,
    },
    /// A node that is not in the network.
    #[error("the network has {nodes} nodes: expected a number below that, found {found}")]
    NoSuchNode {
        /// How many nodes there are.
        nodes: usize,
        /// The number asked for.
        found: usize,
    },
    /// A network whose last nodes are not a classifier.
    #[error("the network `{network}` has no `logits`")]
    NoLogits {
        /// The network's name.
        network: String,
    },
    /// Values for another network, or not as many as it has.
    #[error("{what}: expected {expected} numbers, found {found}")]
    Count {
        /// What was given.
        what: &'static str,
        /// How many numbers it should hold.
        expected: usize,
        /// How many it holds.
        found: usize,
    },
    /// An element type the interpreter does not compute in.
    #[error("expected the element type Float or Double, found {found:?}")]
    ElementType {
        /// The type asked for.
        found: tch::Kind,
    },
    /// A device name that is not one.
    #[error("device: expected `cpu`, `cuda` or `cuda:N`, found `{found}`")]
    DeviceName {
        /// The text given.
        found: String,
    },
    /// A CUDA device was asked for, and there is none of that number.
    #[error("device `cuda:{number}` is not there: expected one of {found} CUDA devices{}", reason.as_ref().map(|r| format!(" ({r})")).unwrap_or_default())]
    NoCuda {
        /// The device's number.
        number: usize,
        /// How many CUDA devices libtorch sees.
        found: usize,
        /// Why libtorch sees none, where that is known.
        reason: Option<String>,
    },
    /// Any other failure of libtorch.
    #[error("libtorch failed while {doing}")]
    Libtorch {
        /// What was being done, as a participle.
        doing: &'static str,
        /// libtorch's own words.
        #[source]
        source: TchError,
    },
}

impl TorchError {
    /// The fix, where one is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Weights(error) => error.hint(),
            Self::DeviceName { .. } => Some("devices are numbered from 0: `cuda:0`".into()),
            Self::NoCuda { found: 0, .. } => Some(
                "use `--device cpu`, or give this machine a CUDA driver and a libtorch with \
                 libtorch_cuda.so in its lib folder; `incept doctor` shows what is found"
                    .into(),
            ),
            Self::NoCuda { found, .. } => {
                Some(format!("the devices are `cuda:0` to `cuda:{}`", found - 1))
            }
            _ => None,
        }
    }

    /// Ties libtorch's error to what was being done: `.map_err(TorchError::while_("adding"))`.
    pub(crate) fn while_(doing: &'static str) -> impl Fn(TchError) -> Self {
        move |source| Self::Libtorch { doing, source }
    }
}
