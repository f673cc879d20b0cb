//! What keeps a measurement from running, and a plan from being used.

use std::path::PathBuf;

use incept_exporters::onnx::{CutError, ExportError, ReadError};

use crate::crops::CropError;
use crate::files::FileError;
use crate::parity::ParityError;
use crate::runtime::RuntimeError;

/// A measurement that could not run, or a plan that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SensitivityError {
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The model, its weights or the images cannot be used.
    #[error(transparent)]
    Model(#[from] ParityError),
    /// A variant cannot be exported.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// The runtime is missing, or refuses the network in float32.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// Crops that are not of their own size.
    #[error(transparent)]
    Crop(#[from] CropError),
    /// A variant's graph cannot be read back.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A variant's graph cannot be cut.
    #[error(transparent)]
    Cut(#[from] CutError),
    /// A network whose answers are no classes.
    #[error("the network of `{}` has no logits of 2 classes or more: expected one that tells classes", path.display())]
    NoClasses {
        /// The file.
        path: PathBuf,
    },
    /// The plan that was chosen cannot be run on other images.
    #[error("the plan cannot be run on the images it was not chosen with: {reason}")]
    Refused {
        /// What the runtime said.
        reason: String,
    },
    /// The network in float32 has no answers.
    #[error("in float32, {images} of {of} images have logits that are NaN or infinite")]
    NotFinite {
        /// Such images.
        images: usize,
        /// All images.
        of: usize,
    },
    /// An option outside its range.
    #[error("--{option}: expected {expected}, found {found}")]
    Option {
        /// Its name.
        option: &'static str,
        /// Its range in words.
        expected: &'static str,
        /// The value given.
        found: String,
    },
    /// The file is not TOML, or not a plan.
    #[error("`{}` is not a precision plan", path.display())]
    Plan {
        /// The file.
        path: PathBuf,
        /// Where and why, in the TOML reader's words.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// A plan of another schema.
    #[error("precision plan `{}`: expected schema {}, found {found}", path.display(), super::plan::SCHEMA)]
    Schema {
        /// The file.
        path: PathBuf,
        /// What it says.
        found: String,
    },
    /// A plan for another network.
    #[error("precision plan `{}`: expected one for {expected}, found one for {found}", path.display())]
    OtherNetwork {
        /// The file.
        path: PathBuf,
        /// The network that is exported.
        expected: String,
        /// The plan's.
        found: String,
    },
}

impl SensitivityError {
    /// The fix, where one is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::File(error) => error.hint(),
            Self::Model(error) => error.hint(),
            Self::Export(error) => error.hint(),
            Self::Runtime(error) => error.hint(),
            Self::Crop(error) => error.hint(),
            Self::Plan { .. } | Self::Schema { .. } => Some(format!(
                "a plan holds: schema = \"{}\", network, variant, and a table [blocks] with lines such as \"stem.0\" = \"fp16\", both in quotes",
                super::plan::SCHEMA
            )),
            Self::OtherNetwork { .. } => {
                Some("its `network` and `variant` have to be those that are exported".into())
            }
            Self::Read(_)
            | Self::Cut(_)
            | Self::Refused { .. }
            | Self::NoClasses { .. }
            | Self::NotFinite { .. }
            | Self::Option { .. } => None,
        }
    }
}
