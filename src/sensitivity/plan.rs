//! A precision plan: which precision each block of a network has, as a file.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use incept_exporters::net::Net;
use incept_exporters::onnx::{Precision, PrecisionOptions};
use serde::{Deserialize, Serialize};

use super::{Cost, SensitivityError};
use crate::files;

/// The schema of plans.
pub(super) const SCHEMA: &str = "incept.precision-plan/1";

/// How a plan came about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// The runtime, and the device.
    pub runtime: String,
    /// SHA-256 of the weights it was measured with.
    pub weights_sha256: String,
    /// Images it was run on.
    pub images: usize,
    /// How many of them might change their most probable class.
    pub flips_allowed: usize,
    /// How many do.
    pub flips: usize,
    /// See [`Effect::change`](super::Effect::change).
    pub change: f64,
    /// What cost is.
    pub cost_of: Cost,
    /// What the plan costs.
    pub cost: u64,
    /// What float32 costs.
    pub cost_in_float32: u64,
}

/// A plan. Blocks that it does not name have `precision`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrecisionPlan {
    /// `incept.precision-plan/1`.
    pub schema: String,
    /// The network it is for.
    pub network: String,
    /// Its variant.
    pub variant: String,
    /// Of the blocks that are not named.
    #[serde(default)]
    pub precision: Precision,
    /// How it was found; none where somebody wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured: Option<Measured>,
    /// The precision of each block, see [`Net::blocks`].
    #[serde(default)]
    pub blocks: BTreeMap<String, Precision>,
}

impl PrecisionPlan {
    /// Reads a plan.
    ///
    /// # Errors
    /// [`SensitivityError`] for a file that cannot be read or is no plan.
    pub fn read(path: &Path) -> Result<Self, SensitivityError> {
        let text = String::from_utf8_lossy(&files::read(path)?).into_owned();
        let malformed = |source| SensitivityError::Plan {
            path: path.into(),
            source: Box::new(source),
        };
        // Another schema may have other fields.
        let table: toml::Table = toml::from_str(&text).map_err(malformed)?;
        match table.get("schema").and_then(toml::Value::as_str) {
            Some(SCHEMA) => toml::from_str(&text).map_err(malformed),
            found => Err(SensitivityError::Schema {
                path: path.into(),
                found: found.unwrap_or("none").into(),
            }),
        }
    }

    /// Writes the plan, whole or not at all.
    ///
    /// # Errors
    /// [`files::FileError`] with the path.
    pub fn write(&self, path: &Path) -> Result<(), SensitivityError> {
        let text = self.to_toml();
        files::write_whole(path, |writer| writer.write_all(text.as_bytes()))?;
        Ok(())
    }

    /// The plan as TOML, with a line that says what it is for.
    pub fn to_toml(&self) -> String {
        // Every field has a TOML form: numbers and words, then tables of them.
        let table = toml::to_string(self).unwrap_or_default();
        format!(
            "# For `incept export {} --variant {}`: --precision-plan with this file.\n{table}",
            self.network, self.variant
        )
    }

    /// The options that export a network after the plan.
    ///
    /// # Errors
    /// [`SensitivityError::OtherNetwork`] where the plan is for another. A block that the network does not have is found
    /// when it is exported.
    pub fn options(&self, net: &Net, path: &Path) -> Result<PrecisionOptions, SensitivityError> {
        let name = |network: &str, variant: &str| format!("{network} ({variant})");
        let (expected, found) = (
            name(net.name(), net.variant()),
            name(&self.network, &self.variant),
        );
        if expected != found {
            return Err(SensitivityError::OtherNetwork {
                path: path.into(),
                expected,
                found,
            });
        }
        Ok(PrecisionOptions {
            precision: self.precision,
            blocks: self.blocks.clone(),
            ..PrecisionOptions::default()
        })
    }
}
