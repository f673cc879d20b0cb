//! Why two models could not be compared.

use std::path::PathBuf;

use incept_exporters::files::FileError;
use incept_exporters::onnx::{CutError, LoadError};

use crate::runtime::RuntimeError;

/// A comparison of two models that could not run.
#[derive(Debug, thiserror::Error)]
pub enum AgainstError {
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A model is not ONNX, or cannot be loaded with its data.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A runtime is missing, or refuses a model or an input.
    #[error("{}", side.as_ref().map_or_else(|| source.to_string(), |side| format!("{side}: a part of the graph could not run")))]
    Runtime {
        /// The model, in words; none where it is about the runtime itself.
        side: Option<String>,
        /// What it said.
        #[source]
        source: RuntimeError,
    },
    /// A graph that reads what it does not have.
    #[error("{side} is not whole")]
    Cut {
        /// The model, in words.
        side: String,
        /// What is missing.
        #[source]
        source: CutError,
    },
    /// The models take or put out different things.
    #[error(
        "the models have different {what}: expected, as B has them, {expected}; found in A {found}"
    )]
    Interface {
        /// `inputs` or `outputs`.
        what: &'static str,
        /// Those of B.
        expected: String,
        /// Those of A.
        found: String,
    },
    /// A size that no file states.
    #[error(
        "input `{input}` has the shape {shape}: size {place} is not stated, expected a number for it"
    )]
    Size {
        /// The input.
        input: String,
        /// Its shape as the files state it.
        shape: String,
        /// Which size, from 0.
        place: usize,
    },
    /// A size other than the files'.
    #[error("input `{input}`: expected a shape that goes with {expected}, found {found:?}")]
    Shape {
        /// The input.
        input: String,
        /// As the files state it.
        expected: String,
        /// The one asked for.
        found: Vec<usize>,
    },
    /// A name of an input that there is not.
    #[error("no input is called `{found}`: expected one of {expected}")]
    NoSuchInput {
        /// The name given.
        found: String,
        /// The names of B's inputs.
        expected: String,
    },
    /// An input that random numbers cannot fill.
    #[error(
        "input `{input}` is of type {element_type}: random values are made for floating-point numbers and bytes only"
    )]
    Random {
        /// The input.
        input: String,
        /// Its type.
        element_type: String,
    },
    /// Values for an input that are not in the file, or not of its type.
    #[error("`{}`: {reason}", path.display())]
    Values {
        /// The file.
        path: PathBuf,
        /// What is wrong, with expected and found.
        reason: String,
    },
}

impl AgainstError {
    /// The fix, where one is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::File(error) => error.hint(),
            Self::Load(error) => error.hint(),
            Self::Runtime { source, .. } => source.hint(),
            Self::Cut { .. } => Some("the file may be cut off, or was put together wrongly: export it again".into()),
            Self::Interface { .. } => Some("only models that take the same and put out the same can be compared; `incept inspect` shows both".into()),
            Self::Size { input, .. } => Some(format!(
                "say it with --batch N, --image-size N, or for any input with --shape {input}=1x3x299x299"
            )),
            Self::Shape { .. } => Some("`incept inspect` shows the shapes a file takes".into()),
            Self::Random { input, .. } => Some(format!("give the values: --input FILE.npz, with an array `{input}`")),
            Self::NoSuchInput { .. } | Self::Values { .. } => None,
        }
    }

    pub(crate) fn runtime(source: RuntimeError) -> Self {
        Self::Runtime { side: None, source }
    }
}
