//! `layers.json`: where a bundle comes from, how far its outputs may be missed, and its layers' checksums.

use serde::{Deserialize, Serialize};

use super::checksum::{Checksum, DEVIATIONS, PROJECTIONS, STREAM};
use crate::provenance::Provenance;

/// The schema's name.
pub const SCHEMA: &str = "incept.golden-bundle/1";

/// What `layers.json` holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// [`SCHEMA`].
    pub schema: String,
    /// Where the bundle comes from.
    pub provenance: Provenance,
    /// SHA-256 of `model.onnx`; none where the bundle brings no model.
    pub model_sha256: Option<String>,
    /// The model's data files, from the bundle's folder.
    #[serde(default)]
    pub data_files: Vec<String>,
    /// What computed outputs and checksums.
    pub reference: String,
    /// The seed of the first data set's inputs; each further one has the next.
    pub seed: u64,
    /// The largest error allowed, as a share of a value's largest magnitude.
    pub tolerance: f64,
    /// How the projections among the checksums are made.
    pub projections: Projections,
    /// The outputs, in the model's order.
    pub outputs: Vec<OutputRecord>,
    /// The data sets' checksums.
    pub data_sets: Vec<DataSetRecord>,
}

/// How projections are made: enough for others to compute them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Projections {
    /// The stream of the portable generator that the signs come from, seed 0.
    pub stream: String,
    /// How many there are.
    pub count: usize,
    /// How many bounds each may move.
    pub deviations: f64,
}

impl Default for Projections {
    fn default() -> Self {
        Self {
            stream: STREAM.into(),
            count: PROJECTIONS,
            deviations: DEVIATIONS,
        }
    }
}

/// One output, and how far it may be missed: see [`super::FORMULA`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OutputRecord {
    /// Its name.
    pub name: String,
    /// Its element type.
    #[serde(rename = "type")]
    pub element_type: String,
    /// The part of the bound that does not depend on the number.
    pub atol: f64,
    /// The part that does, as a share of it.
    pub rtol: f64,
}

/// The checksums of one data set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DataSetRecord {
    /// The folder: `test_data_set_0`.
    pub folder: String,
    /// Values in the network's order.
    pub values: Vec<ValueRecord>,
}

/// One value's checksums.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ValueRecord {
    /// The value's name in the model.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// The checksums.
    #[serde(flatten)]
    pub checksum: Checksum,
}
