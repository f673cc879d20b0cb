//! Whether two computations of the same network agree: metrics, verdicts, and the check that runs them.

pub mod against;
#[cfg(not(feature = "torch"))]
mod beside;
pub mod bisect;
mod check;
mod error;
mod errors;
mod feed;
mod images;
#[cfg(feature = "torch")]
mod layers;
mod metrics;
#[cfg(feature = "torch")]
mod noise;
#[cfg(feature = "torch")]
mod oracle;
mod outcome;
mod rounding;
mod rule;
#[cfg(feature = "torch")]
mod trace;
#[cfg(feature = "torch")]
mod truth;
mod weights;

#[cfg(not(feature = "torch"))]
use beside::compare_all;
pub use check::{CheckOptions, DEFAULT_MEMORY, check};
pub(crate) use check::{Opened, compared_nodes};
pub use error::ParityError;
pub use errors::{HISTOGRAM_BINS, HISTOGRAM_FROM, LayerVerdict, Units, WorstElement};
pub(crate) use feed::{Feed, random};
pub use images::ImageOptions;
pub(crate) use images::Pictures;
pub(crate) use metrics::number_or_nan;
pub use metrics::{Comparison, DEFAULT_TOLERANCE, Metrics, Verdict, compare, compare_within};
#[cfg(feature = "torch")]
use oracle::compare_all;
pub use outcome::{LayerChecked, LayerErrors, Noise, ParityReport, Placed, RuntimeChecked};
pub use rounding::{COARSEST, ORDER, bound_of_channel, bound_of_largest};
pub use rule::Rule;
pub(crate) use weights::weights_of;

/// What a comparison is told and what it tells on its way.
struct Run<'a> {
    options: &'a CheckOptions,
    provenance: &'a mut crate::provenance::Provenance,
    notes: &'a mut Vec<String>,
    progress: &'a mut dyn FnMut(&str),
}
