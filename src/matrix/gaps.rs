//! What is known not to work, and why.

use std::collections::BTreeSet;
use std::path::Path;

use incept_exporters::files::FileError;
use serde::{Deserialize, Serialize};

use super::{Case, Cell, MatrixError, cases};
use crate::runtime::{LEFT_OUT, REGISTRY};

/// The list that is checked in.
const CHECKED_IN: &str = include_str!("../../docs/known-gaps.toml");

/// Its place, for messages.
const PLACE: &str = "docs/known-gaps.toml";

/// Cases that fail on some runtimes, and why. What is left out stands for all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gap {
    /// Names of runtimes.
    pub runtimes: Vec<String>,
    /// Names of networks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<String>,
    /// Names of variants.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variants: Vec<String>,
    /// `fp32`, `fp16`, `bf16`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub precisions: Vec<String>,
    /// `folded`, `kept`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub batch_norm: Vec<String>,
    /// Why it does not work.
    pub reason: String,
}

impl Gap {
    fn covers(&self, case: &Case, runtime: &str) -> bool {
        let has = |list: &[String], name: &str| list.is_empty() || list.iter().any(|n| n == name);
        has(&self.runtimes, runtime)
            && has(&self.networks, &case.network)
            && has(&self.variants, &case.variant)
            && has(&self.precisions, &case.precision.to_string())
            && has(&self.batch_norm, &case.batch_norm)
    }
}

/// A list of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gaps {
    #[serde(default, rename = "gap")]
    gaps: Vec<Gap>,
}

impl Gaps {
    /// The list that is checked in.
    ///
    /// # Errors
    /// As [`Gaps::read`].
    pub fn checked_in() -> Result<Self, MatrixError> {
        Self::parse(CHECKED_IN, Path::new(PLACE))
    }

    /// Reads a list.
    ///
    /// # Errors
    /// [`MatrixError`] for a file that cannot be read, is no list, or names what there is not.
    pub fn read(path: &Path) -> Result<Self, MatrixError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| FileError::new("read", path, source))?;
        Self::parse(&text, path)
    }

    fn parse(text: &str, path: &Path) -> Result<Self, MatrixError> {
        let gaps: Self = toml::from_str(text).map_err(|source| MatrixError::Gaps {
            path: path.into(),
            source,
        })?;
        let cases = cases();
        let names = |of: fn(&Case) -> String| cases.iter().map(of).collect::<BTreeSet<String>>();
        let runtimes = REGISTRY.iter().map(|runtime| runtime.name());
        let runtimes = runtimes.chain(LEFT_OUT.iter().map(|(name, _)| *name));
        let runtimes: BTreeSet<String> = runtimes.map(str::to_string).collect();
        for (index, gap) in gaps.gaps.iter().enumerate() {
            let wrong = |what, expected, found: &str| MatrixError::Gap {
                path: path.into(),
                number: index + 1,
                what,
                expected,
                found: found.into(),
            };
            if gap.reason.trim().is_empty() {
                return Err(wrong("reason", "words".into(), &gap.reason));
            }
            for (what, list, known) in [
                ("runtimes", &gap.runtimes, &runtimes),
                ("networks", &gap.networks, &names(|c| c.network.clone())),
                ("variants", &gap.variants, &names(|c| c.variant.clone())),
                (
                    "precisions",
                    &gap.precisions,
                    &names(|c| c.precision.to_string()),
                ),
                (
                    "batch_norm",
                    &gap.batch_norm,
                    &names(|c| c.batch_norm.clone()),
                ),
            ] {
                if let Some(found) = list.iter().find(|name| !known.contains(*name)) {
                    let known: Vec<&str> = known.iter().map(String::as_str).collect();
                    return Err(wrong(what, known.join(", "), found));
                }
            }
        }
        Ok(gaps)
    }

    /// Why a case is known to fail on a runtime; none where it is to work.
    pub fn find(&self, case: &Case, runtime: &str) -> Option<String> {
        let mut gaps = self.gaps.iter().filter(|gap| gap.covers(case, runtime));
        gaps.next().map(|gap| gap.reason.clone())
    }

    /// The gaps of these runtimes that cover none of the cells.
    pub(super) fn stale(&self, cells: &[Cell], runtimes: &[&str]) -> Vec<Gap> {
        let meets = |gap: &&Gap| cells.iter().any(|c| gap.covers(&c.case, &c.runtime));
        let ran = |gap: &&Gap| {
            gap.runtimes.is_empty() || gap.runtimes.iter().all(|n| runtimes.contains(&n.as_str()))
        };
        let gaps = self.gaps.iter();
        gaps.filter(|gap| ran(gap) && !meets(gap))
            .cloned()
            .collect()
    }
}
