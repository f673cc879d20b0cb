//! The runs of a verification: a data set's outputs, and its layers.

use std::collections::HashMap;

use incept_exporters::onnx::{self, DataTensor, ModelFacts, type_name};
use ndarray::ArrayD;

use super::bundle::{Bundle, DataSet, LAYERS};
use super::checksum::Checksum;
use super::compare::{ONNX_TOLERANCE, Tolerance, Verdict, compare};
use super::inputs::Inputs;
use super::record::{DataSetRecord, Record};
use super::report::Kind;
use super::verify::{Model, Place, Verification};
use crate::runtime::{LoadOptions, Runtime, Session};

impl Verification<'_> {
    /// How far an output may be missed: as asked for, or as the bundle says, or as ONNX's tests do.
    fn tolerance(&self, bundle: &Bundle, output: &str) -> Tolerance {
        let record = bundle.record.as_ref();
        let recorded = record.and_then(|record| {
            let mut outputs = record.outputs.iter();
            outputs.find(|recorded| recorded.name == output)
        });
        let given = match (recorded, bundle.tolerances) {
            (Some(recorded), _) => Tolerance {
                atol: recorded.atol,
                rtol: recorded.rtol,
            },
            (None, Some(given)) => Tolerance {
                atol: given.atol.unwrap_or(ONNX_TOLERANCE.atol),
                rtol: given.rtol.unwrap_or(ONNX_TOLERANCE.rtol),
            },
            (None, None) => ONNX_TOLERANCE,
        };
        Tolerance {
            atol: self.options.atol.unwrap_or(given.atol),
            rtol: self.options.rtol.unwrap_or(given.rtol),
        }
    }

    /// Runs one data set and compares its outputs.
    ///
    /// # Errors
    /// The verdict on the data set as a whole, where no output was reached.
    pub(super) fn outputs(
        &mut self,
        place: Place<'_>,
        bundle: &Bundle,
        set: &DataSet,
        model: &Model,
        session: &mut dyn Session,
    ) -> Result<(), Verdict> {
        let inputs = inputs(set, &model.facts)?;
        let references = set.tensors("output").map_err(Verdict::failed)?;
        if references.is_empty() {
            return Err(Verdict::failed("expected `output_0.pb`, found none"));
        }
        let declared = &model.facts.outputs;
        if references.len() != declared.len() {
            return Err(Verdict::failed(format!(
                "expected {} files of outputs, as the model has, found {}",
                declared.len(),
                references.len()
            )));
        }
        let outputs = session.run_named(&inputs.tensors());
        let outputs = outputs.map_err(|error| Verdict::failed(error.to_string()))?;
        let outputs: HashMap<String, ArrayD<f32>> = outputs.into_iter().collect();
        for (declared, reference) in declared.iter().zip(&references) {
            let name = declared.name.as_str();
            let tolerance = self.tolerance(bundle, name);
            let mut compared = place.value(name, Kind::Output, Verdict::Matched);
            compared.tolerance = Some(tolerance);
            (compared.differences, compared.verdict) = match outputs.get(name) {
                _ if is_another(reference, name, &model.facts) => {
                    let found = &reference.name;
                    let reason = format!("expected the file of `{name}`, found that of `{found}`");
                    (None, Verdict::failed(reason))
                }
                _ if declared.element_type != reference.element_type => {
                    let expected = type_name(declared.element_type);
                    let found = type_name(reference.element_type);
                    let reason = format!("expected a file of {expected}, found one of {found}");
                    (None, Verdict::failed(reason))
                }
                Some(actual) => compare(reference, actual, tolerance),
                None => (
                    None,
                    Verdict::failed("the runtime did not put out this value"),
                ),
            };
            self.values.push(compared);
        }
        Ok(())
    }

    /// Runs every data set with all recorded values as outputs and compares their checksums.
    ///
    /// # Errors
    /// The verdict on the bundle as a whole, where no layer was reached.
    pub(super) fn layers(
        &mut self,
        place: Place<'_>,
        bundle: &Bundle,
        model: &Model,
        runtime: &dyn Runtime,
    ) -> Result<(), Verdict> {
        let record = bundle.record.as_ref().ok_or_else(|| {
            Verdict::failed(format!(
                "there is nothing to compare layers with: it has no `{LAYERS}`"
            ))
        })?;
        let recorded = record.data_sets.iter().flat_map(|set| &set.values);
        let mut names: Vec<String> = vec![];
        for value in recorded {
            let known = model.facts.values.contains(&value.name);
            if known && !names.contains(&value.name) {
                names.push(value.name.clone());
            }
        }
        let failed = |error: &dyn std::error::Error| Verdict::failed(error.to_string());
        let extended = onnx::with_outputs(&model.bytes, &names).map_err(|error| failed(&error))?;
        let session = runtime.load(&extended, LoadOptions::default());
        let mut session = session.map_err(|error| failed(&error))?;
        for recorded in &record.data_sets {
            let place = Place {
                data_set: &recorded.folder,
                ..place
            };
            let set = bundle
                .data_sets
                .iter()
                .find(|set| set.name == recorded.folder);
            let verdict = match set {
                Some(set) => self.checksums(place, record, recorded, set, model, session.as_mut()),
                None => Err(Verdict::failed(format!(
                    "`{LAYERS}` tells of this data set, and it is not there"
                ))),
            };
            if let Err(verdict) = verdict {
                self.whole(place, verdict);
            }
        }
        Ok(())
    }

    fn checksums(
        &mut self,
        place: Place<'_>,
        record: &Record,
        recorded: &DataSetRecord,
        set: &DataSet,
        model: &Model,
        session: &mut dyn Session,
    ) -> Result<(), Verdict> {
        let inputs = inputs(set, &model.facts)?;
        let outputs = session.run_named(&inputs.tensors());
        let outputs = outputs.map_err(|error| Verdict::failed(error.to_string()))?;
        let outputs: HashMap<String, ArrayD<f32>> = outputs.into_iter().collect();
        let tolerance = self.options.tolerance.unwrap_or(record.tolerance);
        for value in &recorded.values {
            let mut compared = place.value(&value.name, Kind::Layer, Verdict::Matched);
            compared.verdict = match outputs.get(&value.name) {
                None => Verdict::failed("the model or the runtime does not put out this value"),
                Some(actual) if actual.shape() != value.shape => Verdict::failed(format!(
                    "expected shape {:?}, found {:?}",
                    value.shape,
                    actual.shape()
                )),
                Some(actual) => {
                    let actual = Checksum::of(actual.iter().map(|&number| number.into()));
                    let (distance, reason) = value.checksum.distance(&actual, tolerance);
                    compared.distance = Some(distance);
                    reason.map_or(Verdict::Matched, Verdict::failed)
                }
            };
            self.values.push(compared);
        }
        Ok(())
    }
}

/// A data set's inputs under the model's names.
///
/// # Errors
/// The verdict on the data set, where they cannot be fed.
fn inputs(set: &DataSet, facts: &ModelFacts) -> Result<Inputs, Verdict> {
    let inputs = &facts.inputs;
    // Texts, sequences and the like are no fault of the bundle, and nothing that is compared here.
    let values = inputs.iter().chain(&facts.outputs);
    let mut others = values.filter(|value| !DataTensor::holds(value.element_type));
    if let Some(other) = others.next() {
        return Err(Verdict::unchecked(format!(
            "`{}` is no tensor of numbers that incept reads",
            other.name
        )));
    }
    let tensors = set.tensors("input").map_err(Verdict::failed)?;
    if tensors.len() != inputs.len() {
        return Err(Verdict::failed(format!(
            "expected {} files of inputs, as the model has, found {}",
            inputs.len(),
            tensors.len()
        )));
    }
    for (input, tensor) in inputs.iter().zip(&tensors) {
        if tensor.element_type != input.element_type {
            return Err(Verdict::failed(format!(
                "input `{}`: expected a file of {}, found one of {}",
                input.name,
                type_name(input.element_type),
                type_name(tensor.element_type)
            )));
        }
    }
    Inputs::of_bundle(facts, tensors).map_err(Verdict::unchecked)
}

/// Whether a file names another output of the model than the one in whose place it stands. Some writers give no name, or
/// one of their own.
fn is_another(reference: &DataTensor, output: &str, facts: &ModelFacts) -> bool {
    let mut outputs = facts.outputs.iter();
    reference.name != output && outputs.any(|other| other.name == reference.name)
}
