//! Why the matrix could not be run.

use std::path::PathBuf;

use incept_exporters::files::FileError;
use incept_exporters::net::NetError;
use incept_exporters::onnx::ExportError;

use crate::runtime::RuntimeError;
use crate::torch::TorchError;

/// A matrix that could not be run.
#[derive(Debug, thiserror::Error)]
pub enum MatrixError {
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// A network that cannot be built this small.
    #[error(transparent)]
    Net(#[from] NetError),
    /// A network that cannot be exported.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// A runtime that was asked for.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// The reference.
    #[error(transparent)]
    Torch(#[from] TorchError),
    /// A network that puts out nothing to compare.
    #[error("{network}: expected the head `logits` or `embedding`, found neither")]
    NoHead {
        /// The network.
        network: String,
    },
    /// A list of known gaps that is none.
    #[error("`{}` is no list of known gaps", path.display())]
    Gaps {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: toml::de::Error,
    },
    /// A known gap that no case can meet, or without a reason.
    #[error("`{}`, gap {number}: {what}: expected {expected}, found `{found}`", path.display())]
    Gap {
        /// The file.
        path: PathBuf,
        /// Which of the list, from 1.
        number: usize,
        /// The entry.
        what: &'static str,
        /// What it may be.
        expected: String,
        /// What it is.
        found: String,
    },
}

impl MatrixError {
    /// The fix, where one is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::File(error) => error.hint(),
            Self::Net(error) => error.hint(),
            Self::Export(error) => error.hint(),
            Self::Runtime(error) => error.hint(),
            Self::Torch(error) => error.hint(),
            Self::Gaps { .. } | Self::Gap { .. } => {
                Some("docs/known-gaps.toml shows the form of the list".into())
            }
            Self::NoHead { .. } => None,
        }
    }
}
