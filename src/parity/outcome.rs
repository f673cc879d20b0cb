//! The outcome of a check.

use serde::{Deserialize, Serialize};

use super::errors::{LayerVerdict, Units, WorstElement};
use super::{Comparison, Rule, number_or_nan};
use crate::provenance::Provenance;
use crate::runtime::{Runtime, Session};

/// One layer's errors: computed by itself from the reference's values, and in the whole network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LayerChecked {
    /// The value's name: a node of the network.
    pub value: String,
    /// The block it belongs to: what stands before the first `/` of its name.
    pub block: String,
    /// The operators that compute it, in order.
    pub operators: Vec<String>,
    /// Its shape for one image.
    pub shape: Vec<usize>,
    /// Errors where the layer was given the reference's values.
    pub isolated: LayerErrors,
    /// Errors where it was given what the runtime had computed.
    pub accumulated: LayerErrors,
    /// The relative accumulated error over that of the layer's worst input; none where that has no error.
    pub amplification: Option<f64>,
    /// The largest difference between runs of the layer that should give the same, where these were made.
    pub noise: Option<f64>,
}

/// One layer's errors of one kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LayerErrors {
    /// `max|actual − reference|`.
    #[serde(deserialize_with = "number_or_nan")]
    pub largest: f64,
    /// Root mean square of the errors over that of the reference.
    #[serde(deserialize_with = "number_or_nan")]
    pub relative: f64,
    /// The element with the largest error in units.
    pub worst: WorstElement,
    /// In units of rounding; none where nothing was compared.
    pub units: Option<Units>,
    /// How many errors are of which size in units: below 2⁻¹⁵, then by factors of 2.
    pub histogram: Vec<u64>,
    /// What they are.
    #[serde(flatten)]
    pub verdict: LayerVerdict,
}

impl LayerChecked {
    /// Whether the layer computed by itself agrees.
    pub fn holds(&self) -> bool {
        self.isolated.verdict.holds()
    }

    /// Whether its error is no more than what the runtime differs from itself.
    pub fn is_noise(&self) -> bool {
        self.noise
            .is_some_and(|noise| self.isolated.largest <= noise)
    }
}

/// A way in which runs were varied that should give the same, and the largest difference it made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Noise {
    /// What was varied.
    pub varied: String,
    /// Layers that differed at all.
    pub layers: usize,
    /// The largest difference, as a share of the layer's largest value.
    pub largest: f64,
    /// The layer where it is; none where all layers are equal to the bit.
    pub value: Option<String>,
}

/// Whether every node that computes ran on the device that was asked for, as the runtime itself recorded it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Placed {
    /// Whether that is so.
    pub holds: bool,
    /// In words: how many nodes ran where, or which ran elsewhere.
    pub text: String,
}

impl Placed {
    /// What a session that has run says of its nodes.
    pub(super) fn of(runtime: &dyn Runtime, session: &mut dyn Session) -> Self {
        let provider = runtime.provider();
        let placement = session.placement();
        let proven = placement.and_then(|placement| {
            placement.require(provider)?;
            Ok(placement.providers().values().sum::<usize>())
        });
        match proven {
            Ok(0) => Self {
                holds: true,
                text: format!("all on {provider}, the runtime's one device"),
            },
            Ok(nodes) => Self {
                holds: true,
                text: format!("all {nodes} nodes that compute ran on {provider}"),
            },
            Err(error) => Self {
                holds: false,
                text: error.to_string(),
            },
        }
    }
}

/// One runtime's comparisons.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RuntimeChecked {
    /// Its name at the command line.
    pub runtime: String,
    /// Its version.
    pub version: String,
    /// The device it computed on.
    pub device: String,
    /// Where the nodes of the file as it is ran.
    pub placement: Option<Placed>,
    /// The outputs of the file as it is, in every batch; where there is no oracle every stage's too.
    pub comparisons: Vec<Comparison>,
    /// Every layer, in the network's order.
    pub layers: Vec<LayerChecked>,
    /// What the runtime differs from itself.
    pub noise: Vec<Noise>,
    /// The outputs computed layer by layer, beside those of the file as it is: whether looking changed them.
    pub layer_by_layer: Vec<Comparison>,
}

impl RuntimeChecked {
    /// Whether an output was compared: not so for a runtime that is the reference of the others.
    pub fn compared_something(&self) -> bool {
        !self.comparisons.is_empty()
    }

    /// Whether all that was compared agrees.
    pub fn holds(&self) -> bool {
        let mut outputs = self.comparisons.iter().chain(&self.layer_by_layer);
        outputs.all(|comparison| comparison.verdict.holds())
            && self.placement.as_ref().is_none_or(|placed| placed.holds)
            && self.layers.iter().all(LayerChecked::holds)
    }

    /// The first layer that does not agree when it is computed by itself.
    pub fn first_failing(&self) -> Option<&LayerChecked> {
        self.layers.iter().find(|layer| !layer.holds())
    }
}

/// The outcome of a check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ParityReport {
    /// `incept.check/2`.
    pub schema: String,
    /// Where it comes from.
    pub provenance: Provenance,
    /// The model's file.
    #[serde(default)]
    pub model: String,
    /// The network's name.
    pub network: String,
    /// Its variant.
    pub variant: String,
    /// What the runtimes were compared with.
    pub reference: String,
    /// What decides.
    pub rule: Rule,
    /// The rule as a formula.
    pub formula: String,
    /// Images of which every layer was compared, and how many were computed at a time.
    pub images: [usize; 2],
    /// What the reader should know besides.
    pub notes: Vec<String>,
    /// Each runtime's comparisons.
    pub runtimes: Vec<RuntimeChecked>,
    /// Whether something was compared and all of it holds.
    pub holds: bool,
}

impl ParityReport {
    /// The comparison with the largest relative error, or one that failed without numbers.
    pub fn worst(&self) -> Option<(&RuntimeChecked, &Comparison)> {
        let error = |c: &Comparison| c.metrics.map_or(f64::INFINITY, |m| m.relative_error);
        let all = self
            .runtimes
            .iter()
            .flat_map(|r| r.comparisons.iter().map(move |c| (r, c)));
        all.max_by(|a, b| error(a.1).total_cmp(&error(b.1)))
    }
}
