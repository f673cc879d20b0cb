//! The reference of a check: libtorch in float64 where the build has it.

use std::path::Path;

use incept_exporters::net::{Net, NodeId};
use incept_exporters::onnx;
use incept_exporters::weights::{Weights, load};
use ndarray::ArrayD;

use super::ParityError;
use crate::provenance::Provenance;

/// Says so where the weights given are not those the model was exported from.
fn note_others(weights: &Weights, facts: &onnx::NetworkFacts, notes: &mut Vec<String>) {
    let found = weights.sha256();
    if found != facts.weights_sha256 {
        notes.push(format!(
            "the model was exported from other weights: expected SHA-256 {}, found {found}",
            facts.weights_sha256
        ));
    }
}

/// The reference: libtorch in float64 where the build has it.
pub(crate) struct Oracle {
    #[cfg(feature = "torch")]
    torch: crate::torch::Reference,
}

#[cfg(feature = "torch")]
impl Oracle {
    pub(crate) fn new(
        net: &Net,
        facts: &onnx::NetworkFacts,
        model: &Path,
        weights: Option<&Path>,
        provenance: &mut Provenance,
        notes: &mut Vec<String>,
    ) -> Result<Self, ParityError> {
        let weights = match (weights, facts.seed) {
            (Some(path), _) => {
                provenance.add_weights(path)?;
                load(net, path, facts.import.as_ref())?.weights
            }
            (None, Some(seed)) => Weights::initial(net, seed),
            (None, None) => return Err(ParityError::WeightsNeeded { path: model.into() }),
        };
        weights.check(net)?;
        note_others(&weights, facts, notes);
        Ok(Self {
            torch: crate::torch::Reference::new(net, &weights)?,
        })
    }

    pub(crate) fn run(
        &mut self,
        image: &ArrayD<f32>,
        nodes: &[NodeId],
    ) -> Result<Option<Vec<Option<ArrayD<f64>>>>, ParityError> {
        Ok(Some(
            self.torch
                .run(image.view(), nodes)?
                .into_iter()
                .map(Some)
                .collect(),
        ))
    }

    pub(super) fn is_first_runtime(&self) -> bool {
        false
    }

    pub(crate) fn describe(&self, _: Option<(&str, &str)>) -> String {
        "libtorch, float64, CPU, from the same description and weights".into()
    }
}

#[cfg(not(feature = "torch"))]
impl Oracle {
    pub(crate) fn new(
        net: &Net,
        facts: &onnx::NetworkFacts,
        _: &Path,
        weights: Option<&Path>,
        provenance: &mut Provenance,
        notes: &mut Vec<String>,
    ) -> Result<Self, ParityError> {
        if let Some(path) = weights {
            let weights = load(net, path, facts.import.as_ref())?.weights;
            weights.check(net)?;
            provenance.add_weights(path)?;
            note_others(&weights, facts, notes);
            notes.push(
                "--weights was compared with the model's, and computed nothing: that needs libtorch (feature `torch`)".into(),
            );
        }
        Ok(Self {})
    }

    pub(crate) fn run(
        &mut self,
        _: &ArrayD<f32>,
        _: &[NodeId],
    ) -> Result<Option<Vec<Option<ArrayD<f64>>>>, ParityError> {
        Ok(None)
    }

    pub(super) fn is_first_runtime(&self) -> bool {
        true
    }

    pub(crate) fn describe(&self, first: Option<(&str, &str)>) -> String {
        first.map_or_else(
            || "none".into(),
            |(version, runtime)| format!("{version} (runtime `{runtime}`)"),
        )
    }
}
