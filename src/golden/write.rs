//! `incept golden write`: a bundle from a model.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use incept_exporters::files::{NewFolder, create_folder, write_json};
use incept_exporters::net::Net;
use incept_exporters::onnx::proto::{BFLOAT16, FLOAT, FLOAT16};
use incept_exporters::onnx::{
    self, DataTensor, ModelFacts, NetworkFacts, Numbers, Precision, type_name,
};
use ndarray::ArrayD;

use super::GoldenError;
use super::bundle::{self, LAYERS, MODEL, TOLERANCES};
use super::checksum::Checksum;
use super::inputs::Inputs;
use super::parts::{copy, data_files, write_arrays, write_data_set};
use super::record::{DataSetRecord, OutputRecord, Projections, Record, SCHEMA, ValueRecord};
use super::reference::{Model, Reference, Values};
use crate::parity::{DEFAULT_TOLERANCE, ParityError, compared_nodes};
use crate::provenance::{Provenance, sha256_of_file};

/// The most images and the most data sets a bundle may have.
const MOST: usize = 4096;

/// Roundings that half precision adds up to over some hundred layers, in units of one rounding: `tests/precision.rs` shows
/// that networks keep within.
const HALF_ROUNDINGS: f64 = 20.0;

/// What goes into a bundle.
#[derive(Debug, Clone)]
pub struct WriteOptions {
    /// The model, by whomever.
    pub model: PathBuf,
    /// The weights it was exported from; not needed where it was exported from a seed, or a runtime is the reference.
    pub weights: Option<PathBuf>,
    /// `libtorch`, or a runtime's name; the best there is where none is given.
    pub reference: Option<String>,
    /// Images in each data set, unless the model fixes it.
    pub batch: usize,
    /// How many data sets.
    pub data_sets: usize,
    /// The seed of the first data set.
    pub seed: u64,
    /// The values whose checksums are kept.
    pub layers: Layers,
}

/// Which values' checksums a bundle keeps, besides those of its outputs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Layers {
    /// Of every stage; in a model that is not incept's, of none.
    #[default]
    Stages,
    /// Of every value that the model computes.
    All,
    /// Of these.
    Named(Vec<String>),
}

impl WriteOptions {
    /// One data set of one image from seed 0, with the stages' checksums.
    pub fn of(model: impl Into<PathBuf>) -> Self {
        Self {
            model: model.into(),
            weights: None,
            reference: None,
            batch: 1,
            data_sets: 1,
            seed: 0,
            layers: Layers::Stages,
        }
    }
}

/// Writes a bundle of the model into `folder`, which appears whole or not at all. An older bundle there makes way.
///
/// # Errors
/// [`GoldenError`] where the model or the reference cannot be used, or `folder` holds something else.
pub fn write(
    folder: &Path,
    options: &WriteOptions,
    progress: &mut dyn FnMut(&str),
) -> Result<Record, GoldenError> {
    for (option, found) in [("images", options.batch), ("data-sets", options.data_sets)] {
        if !(1..=MOST).contains(&found) {
            return Err(GoldenError::Count {
                option,
                expected: "1 to 4096",
                found,
            });
        }
    }
    bundle::may_be_replaced(folder)?;
    let path = options.model.as_path();
    let loaded = onnx::Model::load(path)?;
    let facts = loaded.facts()?;
    let net = facts.network.as_ref().map(|network| {
        let built = network.build();
        built.map_err(|source| ParityError::Rebuild {
            path: path.into(),
            source,
        })
    });
    let net = net.transpose()?;
    let values = values(path, net.as_ref(), &facts, &options.layers)?;
    let data_files = data_files(path, &loaded.data_files)?;

    let mut provenance = Provenance::of_this_run();
    provenance.add_model(&loaded)?;
    progress("preparing the reference");
    let model = Model {
        file: &loaded,
        facts: &facts,
        weights: options.weights.as_deref(),
    };
    let name = options.reference.as_deref();
    let mut reference = Reference::new(&model, name, &values, &mut provenance)?;

    let new = NewFolder::beside(folder)?;
    copy(path, &new.path().join(MODEL))?;
    for (file, location) in loaded.data_files.iter().zip(&data_files) {
        let copied = new.path().join(location);
        copied.parent().map_or(Ok(()), create_folder)?;
        copy(file, &copied)?;
    }
    let tolerance = tolerance(&facts);
    let mut data_sets = vec![];
    let mut arrays = vec![];
    let mut largest = vec![0.0_f64; facts.outputs.len()];
    for number in 0..options.data_sets {
        progress(&format!("computing data set {number}"));
        let seed = options.seed.wrapping_add(number as u64);
        let inputs = inputs(path, net.as_ref(), &facts, seed, options.batch)?;
        let computed = reference.run(&inputs)?;
        let outputs = outputs(path, &facts, &computed)?;
        for (largest, output) in largest.iter_mut().zip(&outputs) {
            if let Numbers::Floats(values) = &output.numbers {
                *largest = values
                    .iter()
                    .fold(*largest, |most, value| most.max(value.abs()));
            }
        }
        let set = DataSetRecord {
            folder: bundle::data_set_folder(number),
            values: checksums(path, &values, &computed)?,
        };
        let inputs = inputs.data_tensors();
        write_data_set(&new.path().join(&set.folder), &inputs, &outputs)?;
        let prefix = if options.data_sets == 1 {
            String::new()
        } else {
            format!("{}/", set.folder)
        };
        for tensor in inputs.into_iter().chain(outputs) {
            let name = format!("{prefix}{}", tensor.name);
            // An output may be an input handed through, and is in the archive once.
            if !arrays.iter().any(|(known, _)| *known == name) {
                arrays.push((name, tensor));
            }
        }
        data_sets.push(set);
    }
    let outputs = facts
        .outputs
        .iter()
        .zip(&largest)
        .map(|(output, largest)| OutputRecord {
            name: output.name.clone(),
            element_type: type_name(output.element_type),
            atol: tolerance * largest,
            rtol: 0.0,
        });
    let record = Record {
        schema: SCHEMA.into(),
        model_sha256: Some(sha256_of_file(path)?),
        data_files,
        reference: reference.describe(),
        seed: options.seed,
        tolerance,
        projections: Projections::default(),
        outputs: outputs.collect(),
        data_sets,
        provenance,
    };
    write_arrays(new.path(), &arrays)?;
    write_json(&new.path().join(LAYERS), &record)?;
    let atol = record
        .outputs
        .iter()
        .map(|output| output.atol)
        .fold(0.0, f64::max);
    let tolerances = serde_json::json!({ "atol": atol, "rtol": 0.0 });
    write_json(&new.path().join(TOLERANCES), &tolerances)?;
    new.appear()?;
    Ok(record)
}

/// The largest error allowed of a model, by what it computes in.
fn tolerance(facts: &ModelFacts) -> f64 {
    let of = |precision| match precision {
        Precision::Fp32 => DEFAULT_TOLERANCE,
        Precision::Fp16 => HALF_ROUNDINGS * 2_f64.powi(-11),
        Precision::Bf16 => HALF_ROUNDINGS * 2_f64.powi(-8),
        // A weight is within half a step, 1/254 of its filter's largest.
        Precision::Int8 => HALF_ROUNDINGS / 254.0,
    };
    let precisions = facts.network.iter().flat_map(NetworkFacts::precisions);
    precisions.map(of).fold(DEFAULT_TOLERANCE, f64::max)
}

/// The values to compute: the layers whose checksums are asked for, in the order the model computes them, and its outputs.
fn values(
    path: &Path,
    net: Option<&Net>,
    facts: &ModelFacts,
    layers: &Layers,
) -> Result<Vec<String>, GoldenError> {
    let computed: HashSet<&str> = facts.values.iter().map(String::as_str).collect();
    let mut names: Vec<String> = match (layers, net, &facts.network) {
        (Layers::Named(names), ..) => {
            if let Some(missing) = names.iter().find(|name| !computed.contains(name.as_str())) {
                let nearest = incept_exporters::text::nearest(missing, computed.iter().copied());
                return Err(GoldenError::Value {
                    path: path.into(),
                    value: missing.clone(),
                    expected: "a value that the model computes".into(),
                    found: nearest.map_or_else(
                        || "none of that name".into(),
                        |nearest| format!("none of that name; the nearest is `{nearest}`"),
                    ),
                });
            }
            names.clone()
        }
        (layers, Some(net), Some(network)) => {
            let all = *layers == Layers::All;
            let nodes = compared_nodes(net, facts, &network.outputs, all);
            let names = nodes.iter().map(|&id| net.at(id).name.clone());
            names
                .filter(|name| computed.contains(name.as_str()))
                .collect()
        }
        (Layers::All, ..) => facts
            .values
            .iter()
            .filter(|name| !name.is_empty())
            .cloned()
            .collect(),
        _ => vec![],
    };
    names.extend(facts.outputs.iter().map(|output| output.name.clone()));
    let mut seen = HashSet::new();
    names.retain(|name| seen.insert(name.clone()));
    Ok(names)
}

fn inputs(
    path: &Path,
    net: Option<&Net>,
    facts: &ModelFacts,
    seed: u64,
    batch: usize,
) -> Result<Inputs, GoldenError> {
    let fixed = facts.inputs.first().and_then(|input| input.shape.first());
    let batch = match fixed {
        Some(Ok(fixed)) => *fixed,
        _ => batch,
    };
    match net {
        Some(net) => Ok(Inputs::of_network(net, facts, seed, batch)),
        None => Inputs::of_model(facts, seed, batch).map_err(|input| GoldenError::Value {
            path: path.into(),
            value: input.name,
            expected: input.expected.into(),
            found: input.found,
        }),
    }
}

/// The outputs in the model's order, rounded to its types.
fn outputs(
    path: &Path,
    facts: &ModelFacts,
    computed: &Values,
) -> Result<Vec<DataTensor>, GoldenError> {
    let output = |output: &onnx::ValueFacts| {
        if ![FLOAT, FLOAT16, BFLOAT16].contains(&output.element_type) {
            return Err(GoldenError::Value {
                path: path.into(),
                value: output.name.clone(),
                expected: "an output of float32, float16 or bfloat16".into(),
                found: type_name(output.element_type),
            });
        }
        let value = find(path, computed, &output.name)?;
        let values: Vec<f64> = value.iter().copied().collect();
        let tensor = DataTensor {
            name: output.name.clone(),
            element_type: output.element_type,
            shape: value.shape().to_vec(),
            numbers: Numbers::Floats(values),
        };
        Ok(tensor)
    };
    facts.outputs.iter().map(output).collect()
}

fn find<'a>(path: &Path, computed: &'a Values, name: &str) -> Result<&'a ArrayD<f64>, GoldenError> {
    let found = computed.iter().find(|(computed, _)| computed == name);
    let (_, value) = found.ok_or_else(|| GoldenError::Value {
        path: path.into(),
        value: name.into(),
        expected: "the reference to compute it".into(),
        found: "no such value".into(),
    })?;
    let bad = value.iter().filter(|value| !value.is_finite()).count();
    match bad {
        0 => Ok(value),
        bad => Err(GoldenError::Value {
            path: path.into(),
            value: name.into(),
            expected: "a reference of finite numbers".into(),
            found: format!("{bad} of {} that are NaN or infinite", value.len()),
        }),
    }
}

fn checksums(
    path: &Path,
    names: &[String],
    computed: &Values,
) -> Result<Vec<ValueRecord>, GoldenError> {
    let checksum = |name: &String| {
        let value = find(path, computed, name)?;
        Ok(ValueRecord {
            name: name.clone(),
            shape: value.shape().to_vec(),
            checksum: Checksum::of(value.iter().copied()),
        })
    };
    names.iter().map(checksum).collect()
}
