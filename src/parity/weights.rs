//! The weights that a reference computes with.

use std::path::Path;

use incept_exporters::net::Net;
use incept_exporters::onnx::NetworkFacts;
use incept_exporters::weights::{Weights, load};

use super::ParityError;
use crate::provenance::Provenance;

/// The weights that a file was exported from: those given, else generated from the seed that the file names. A note says
/// where those given are others.
///
/// # Errors
/// [`ParityError`]: weights that are needed and not given, cannot be read or do not fit.
pub(crate) fn weights_of(
    net: &Net,
    facts: &NetworkFacts,
    (model, given): (&Path, Option<&Path>),
    provenance: &mut Provenance,
    notes: &mut Vec<String>,
) -> Result<Weights, ParityError> {
    match (given, facts.seed) {
        (Some(path), _) => read(net, facts, path, provenance, notes),
        (None, Some(seed)) => {
            let weights = Weights::initial(net, seed);
            note_others(&weights, facts, notes);
            Ok(weights)
        }
        (None, None) => Err(ParityError::WeightsNeeded { path: model.into() }),
    }
}

/// Reads weights for a file's network; a note says where they are not those it was exported from.
///
/// # Errors
/// [`ParityError`]: weights that cannot be read or do not fit.
pub(super) fn read(
    net: &Net,
    facts: &NetworkFacts,
    path: &Path,
    provenance: &mut Provenance,
    notes: &mut Vec<String>,
) -> Result<Weights, ParityError> {
    provenance.add_weights(path)?;
    let weights = load(net, path, facts.import.as_ref())?.weights;
    weights.check(net)?;
    note_others(&weights, facts, notes);
    Ok(weights)
}

fn note_others(weights: &Weights, facts: &NetworkFacts, notes: &mut Vec<String>) {
    let found = weights.sha256();
    if found != facts.weights_sha256 {
        notes.push(format!(
            "the model was exported from other weights: expected SHA-256 {}, found {found}",
            facts.weights_sha256
        ));
    }
}
