//! Why a demonstration stopped.

use std::path::PathBuf;

use incept_exporters::files::FileError;
use incept_exporters::onnx::ExportError;
use incept_exporters::weights::WeightsError;
use incept_exporters::zoo::ZooError;

use crate::evaluate::EvaluateError;
use crate::images::ImageError;
use crate::images::synthetic::SyntheticError;
use crate::parity::ParityError;
use crate::report::ReportError;
use crate::torch::TrainingError;
use crate::training::ConfigError;

macro_rules! parts {
    ($($(#[$doc:meta])* $name:ident($error:ty)),* $(,)?) => {
        /// A part of the demonstration that failed.
        #[derive(Debug, thiserror::Error)]
        pub enum DemoError {
            $( $(#[$doc])* #[error(transparent)] $name(#[from] $error), )*
            /// A result cannot be written as JSON.
            #[error("cannot write `{}` as JSON", path.display())]
            Json {
                /// The file.
                path: PathBuf,
                /// Why not.
                #[source]
                source: serde_json::Error,
            },
        }

        impl DemoError {
            /// The fix, where one is known.
            pub fn hint(&self) -> Option<String> {
                match self {
                    $( Self::$name(error) => error.hint(), )*
                    Self::Json { .. } => None,
                }
            }
        }
    };
}

parts!(
    /// A file.
    File(FileError),
    /// Drawing the data.
    Synthetic(SyntheticError),
    /// Reading the data.
    Image(ImageError),
    /// The networks.
    Zoo(ZooError),
    /// The configuration.
    Config(ConfigError),
    /// Training.
    Training(TrainingError),
    /// Weights.
    Weights(WeightsError),
    /// Export.
    Export(ExportError),
    /// The check.
    Parity(ParityError),
    /// Evaluation.
    Evaluate(EvaluateError),
    /// The report.
    Report(ReportError),
);
