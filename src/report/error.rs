//! What can go wrong in making a report.

use std::path::PathBuf;

use crate::files::FileError;
use crate::images::ImageError;

/// A report that could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file is not a report's JSON.
    #[error("cannot read the report `{}`", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// A file is JSON of another kind.
    #[error("`{}`: expected schema `{expected}`, found `{found}`", path.display())]
    Schema {
        /// The file.
        path: PathBuf,
        /// The schema this version reads.
        expected: &'static str,
        /// The schema it names.
        found: String,
    },
    /// An evaluation is not of the report's networks.
    #[error(
        "the evaluation with crop plan `{plan}`: expected the models {expected:?}, found {found:?}"
    )]
    Models {
        /// The plan.
        plan: String,
        /// The report's networks.
        expected: Vec<String>,
        /// The evaluation's models.
        found: Vec<String>,
    },
    /// The sample picture cannot be encoded.
    #[error("cannot encode the picture of samples")]
    Samples(#[source] ImageError),
    /// A plot cannot be drawn.
    #[error("cannot draw the plot `{plot}`: {reason}")]
    Plot {
        /// Which.
        plot: &'static str,
        /// Why.
        reason: String,
    },
    /// A page's template failed.
    #[error("cannot fill in the template `{template}`")]
    Template {
        /// Which.
        template: &'static str,
        /// Why.
        #[source]
        source: minijinja::Error,
    },
}

impl ReportError {
    /// The fix, where one is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::File(error) => error.hint(),
            Self::Json { .. } | Self::Schema { .. } => {
                Some("give the `report.json` that `incept demo` wrote".into())
            }
            Self::Models { .. } => {
                Some("evaluate the networks of the report together, in the report's order".into())
            }
            Self::Samples(_) | Self::Plot { .. } | Self::Template { .. } => None,
        }
    }
}
