//! What a comparison of two models found.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use incept_exporters::onnx::Parts;
use serde::{Deserialize, Serialize};

use super::graph::Graph;
use super::{AgainstError, AlignedBy, Difference, Layers, Tolerance};
use crate::parity::Verdict;
use crate::provenance::Provenance;
use crate::runtime::Runtime;

/// A model and what ran it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Side {
    /// The file.
    pub path: PathBuf,
    /// The runtime's name at the command line.
    pub runtime: String,
    /// Its version.
    pub version: String,
    /// The device it computed on.
    pub device: String,
}

impl Side {
    pub(crate) fn of(path: &Path, runtime: &dyn Runtime) -> Result<Self, AgainstError> {
        Ok(Self {
            path: path.into(),
            runtime: runtime.name().into(),
            version: runtime.version().map_err(AgainstError::runtime)?,
            device: runtime.device().into(),
        })
    }
}

/// A value of A beside the one of B.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Layer {
    /// Its name in A.
    pub a: String,
    /// Its name in B.
    pub b: String,
    /// The operator of A that computes it; empty for the outputs of the files as they are.
    pub operator: String,
    /// How the two were found to be the same layer's.
    pub aligned_by: AlignedBy,
    /// With all that A computed before it.
    pub accumulated: Difference,
    /// With B's values before it: what this layer itself does.
    pub isolated: Option<Difference>,
    /// Why there is no such number.
    pub not_isolated: Option<String>,
}

impl Layer {
    /// Whether both numbers hold, as far as there are both.
    pub fn holds(&self) -> bool {
        self.accumulated.verdict.holds()
            && self
                .isolated
                .as_ref()
                .is_none_or(|isolated| isolated.verdict.holds())
    }
}

/// A value that only one graph has, as far as can be told with certainty.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Unaligned {
    /// Its name.
    pub value: String,
    /// The operator that computes it.
    pub operator: String,
    /// Why it was not compared.
    pub reason: String,
}

/// One runtime's comparisons.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AgainstRun {
    /// A's runtime.
    pub a: Side,
    /// The outputs, from the files as they are.
    pub outputs: Vec<Layer>,
    /// The layers, in B's order.
    pub layers: Vec<Layer>,
    /// Layers for which there are numbers.
    pub compared: usize,
    /// The first value, in B's order, at which A and B differ.
    pub first_difference: Option<String>,
    /// The layers that differ by themselves, in B's order.
    pub at_fault: Vec<String>,
    /// The most bytes of layers that were held at once.
    pub most_held: usize,
    /// Whether outputs and layers were compared and all of them hold.
    pub holds: bool,
}

impl AgainstRun {
    pub(super) fn new(
        a: Side,
        aligned: &Layers,
        outputs: Vec<Layer>,
        layers: Vec<Layer>,
        most_held: usize,
    ) -> Self {
        let compared = layers
            .iter()
            .filter(|layer| layer.accumulated.metrics.is_some())
            .count();
        let differs = |layer: &&Layer| !layer.accumulated.verdict.holds();
        let first = layers
            .iter()
            .find(differs)
            .or_else(|| outputs.iter().find(differs));
        let fails_alone = |layer: &&Layer| {
            layer
                .isolated
                .as_ref()
                .is_some_and(|isolated| !isolated.verdict.holds())
        };
        let at_fault = layers
            .iter()
            .filter(fails_alone)
            .map(|layer| layer.a.clone())
            .collect();
        // Nothing compared is not the same as nothing found.
        let something = compared > 0 && !outputs.is_empty() && !aligned.pairs.is_empty();
        Self {
            holds: something && outputs.iter().chain(&layers).all(Layer::holds),
            first_difference: first.map(|layer| layer.a.clone()),
            at_fault,
            compared,
            outputs,
            layers,
            most_held,
            a,
        }
    }
}

/// The outcome of a comparison of two models.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AgainstReport {
    /// `incept.against/1`.
    pub schema: String,
    /// Where it comes from.
    pub provenance: Provenance,
    /// The model that is checked.
    pub a: PathBuf,
    /// The reference.
    pub b: Side,
    /// The inputs' shapes, by their names in B.
    pub inputs: BTreeMap<String, Vec<usize>>,
    /// The verdict's formula.
    pub formula: String,
    /// The tolerances in it.
    pub tolerance: Tolerance,
    /// Layers that both files have.
    pub aligned: usize,
    /// Values of A that could not be compared.
    pub unaligned_a: Vec<Unaligned>,
    /// Values of B that could not be compared.
    pub unaligned_b: Vec<Unaligned>,
    /// What the reader should know besides.
    pub notes: Vec<String>,
    /// One for each runtime of A.
    pub runs: Vec<AgainstRun>,
    /// Whether something was compared and all of it holds.
    pub holds: bool,
}

/// The layers of a graph that have no partner they can be compared with.
pub(super) fn unaligned(
    graph: &Graph,
    partners: &[Option<usize>],
    other: &Graph,
    parts: &Parts,
) -> Vec<Unaligned> {
    let mut found = vec![];
    for (class, partner) in partners.iter().enumerate() {
        let Some(value) = graph.classes[class].members.first() else {
            continue;
        };
        let reason = match partner {
            None => "the other graph has no such computation, or more than one".to_string(),
            Some(partner) => match (other.is_layer(*partner), &other.classes[*partner].hidden) {
                (true, _) => continue,
                (false, Some(hidden)) => format!("in the other graph {hidden}"),
                (false, None) => "in the other graph a part of another operator".into(),
            },
        };
        found.push(Unaligned {
            value: value.clone(),
            operator: operator_of(parts, value),
            reason,
        });
    }
    found
}

pub(super) fn operator_of(parts: &Parts, value: &str) -> String {
    let node = parts.producer(value).map(|node| &parts.nodes()[node]);
    node.map_or_else(String::new, |node| node.operator.clone())
}

impl Difference {
    pub(crate) fn missing(side: &str) -> Self {
        Self {
            metrics: None,
            share: f64::NAN,
            outside: 0,
            worst: vec![],
            noise: None,
            within_noise: false,
            verdict: Verdict::Fails {
                reason: format!("the runtime did not put it out, in {side}"),
            },
        }
    }
}
