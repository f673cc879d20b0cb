//! What a verification found.

use serde::{Deserialize, Serialize};

use super::compare::{Differences, Tolerance, Verdict};
use crate::provenance::Provenance;

/// What was compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// An output, number by number.
    Output,
    /// A layer, by its checksums.
    Layer,
    /// The data set or the bundle as a whole, which got no further.
    Whole,
}

/// One value of one data set in one runtime.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Compared {
    /// The bundle, from the folder that was verified; `.` for that itself.
    pub bundle: String,
    /// The data set's folder; empty for the bundle as a whole.
    pub data_set: String,
    /// The runtime; empty where none was reached.
    pub runtime: String,
    /// The value's name; empty for the whole.
    pub value: String,
    /// What was compared.
    pub kind: Kind,
    /// What became of it.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// The tolerance of an output.
    pub tolerance: Option<Tolerance>,
    /// The numbers about an output.
    pub differences: Option<Differences>,
    /// How far a layer's checksums moved, as a share of what they may.
    pub distance: Option<f64>,
}

/// How many values became what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Compared, and within the tolerance.
    pub matched: usize,
    /// Compared and not within it, or not there.
    pub failed: usize,
    /// Not compared.
    pub unchecked: usize,
}

/// One runtime's part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuntimeVerified {
    /// Its name at the command line.
    pub runtime: String,
    /// Its version.
    pub version: String,
    /// The device it computed on.
    pub device: String,
    /// Of its values.
    pub counts: Counts,
}

/// The outcome of a verification.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GoldenReport {
    /// `incept.golden-verify/1`.
    pub schema: String,
    /// Where it comes from.
    pub provenance: Provenance,
    /// When an output holds.
    pub formula: String,
    /// How many bundles there are.
    pub bundles: usize,
    /// The runtimes.
    pub runtimes: Vec<RuntimeVerified>,
    /// Of all values.
    pub counts: Counts,
    /// What the reader should know besides.
    pub notes: Vec<String>,
    /// Every value.
    pub values: Vec<Compared>,
    /// Whether every runtime matched something and nothing failed.
    pub holds: bool,
}

impl Counts {
    /// Of these values.
    pub(super) fn of<'a>(values: impl IntoIterator<Item = &'a Compared>) -> Self {
        let mut counts = Self::default();
        for value in values {
            match value.verdict {
                Verdict::Matched => counts.matched += 1,
                Verdict::Failed { .. } => counts.failed += 1,
                Verdict::Unchecked { .. } => counts.unchecked += 1,
            }
        }
        counts
    }
}
