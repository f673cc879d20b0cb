//! Whether two computations of the same network agree: metrics, verdicts, and the check that runs them.

mod check;
mod feed;
mod metrics;
mod oracle;

pub(crate) use check::compared_nodes;
pub use check::{CheckOptions, ParityError, ParityReport, RuntimeChecked, check};
pub(crate) use feed::Feed;
pub(crate) use metrics::number_or_nan;
pub use metrics::{Comparison, DEFAULT_TOLERANCE, FORMULA, Metrics, Verdict, compare};
#[cfg(feature = "torch")]
pub(crate) use oracle::Oracle;
