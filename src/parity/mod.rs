//! Whether two computations of the same network agree: metrics, verdicts, and the check that runs them.

pub mod against;
pub mod bisect;
mod check;
mod feed;
mod metrics;

pub use check::{CheckOptions, ParityError, ParityReport, RuntimeChecked, check};
pub(crate) use metrics::number_or_nan;
pub use metrics::{Comparison, DEFAULT_TOLERANCE, FORMULA, Metrics, Verdict, compare};
