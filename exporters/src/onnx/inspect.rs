//! What is in an ONNX file, whoever wrote it.

mod values;

use std::collections::BTreeMap;
use std::path::Path;

use prost::Message;
use prost::bytes::Bytes;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::data_type::{self, type_name};
use super::external::{DataFolder, LoadError, Reference, tensors_of};
use super::proto::{
    Dimension, GraphProto, ModelProto, NodeProto, StringStringEntryProto, TensorProto,
    ValueInfoProto,
};
use super::{NetworkFacts, ReadError};
use crate::files;
use crate::text::hex;

/// Everything `incept inspect` tells about a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Inspection {
    /// `incept.inspect/1`.
    pub schema: String,
    /// Length of the file.
    pub bytes: u64,
    /// Version of the file format.
    pub ir_version: i64,
    /// The program that wrote it, and its version.
    pub producer: String,
    /// The model's own version.
    pub model_version: i64,
    /// Name of the graph.
    pub graph: String,
    /// The operator sets it needs.
    pub opsets: Vec<OpsetImport>,
    /// The graph's inputs, tensors stored in the file left out.
    pub inputs: Vec<ValueType>,
    /// The graph's outputs.
    pub outputs: Vec<ValueType>,
    /// Nodes in all, those of graphs inside nodes and of functions included.
    pub nodes: usize,
    /// How many nodes of each operator.
    pub operators: Vec<OperatorCount>,
    /// Names of the functions the file brings with it.
    pub functions: Vec<String>,
    /// The initializers: what training made.
    pub parameters: Constants,
    /// Further tensors, stored in nodes.
    pub constants: Constants,
    /// Other files that tensors lie in.
    pub external_data: Vec<ExternalFile>,
    /// All metadata.
    pub metadata: BTreeMap<String, String>,
    /// What the input has to be, where the file says so in incept's terms; none otherwise.
    pub input_contract: Option<BTreeMap<String, String>>,
    /// Whether incept wrote the file and can build its network again.
    pub network_known: bool,
    /// Every initializer, where asked for.
    pub tensors: Option<Vec<StoredTensor>>,
}

/// A version of an operator set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpsetImport {
    /// `ai.onnx` for ONNX's own.
    pub domain: String,
    /// Its version.
    pub version: i64,
}

/// A graph's input or output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValueType {
    /// Its name.
    pub name: String,
    /// Its element type, or what it is where it is no tensor.
    #[serde(rename = "type")]
    pub element_type: String,
    /// Its dimensions as text: numbers, or names of dynamic ones; none where the file does not tell.
    pub shape: Option<Vec<String>>,
}

/// An operator and how often it occurs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorCount {
    /// `Conv`; outside ONNX's own domain `com.microsoft.FusedConv`.
    pub operator: String,
    /// Nodes.
    pub count: usize,
}

/// Tensors stored in a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Constants {
    /// How many.
    pub tensors: u64,
    /// Numbers in them.
    pub elements: u64,
    /// Bytes of these.
    pub bytes: u64,
    /// The same for each element type.
    pub types: Vec<TypedCount>,
}

/// Tensors of one element type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TypedCount {
    /// `float32`, `int64`, ...
    #[serde(rename = "type")]
    pub element_type: String,
    /// How many.
    pub tensors: u64,
    /// Numbers in them.
    pub elements: u64,
    /// Bytes of these.
    pub bytes: u64,
}

/// A file beside the model that tensors lie in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExternalFile {
    /// As the model names it.
    pub location: String,
    /// Tensors that lie in it.
    pub tensors: u64,
    /// Bytes of these.
    pub bytes: u64,
    /// Why it cannot be used; none where all of them are there.
    pub problem: Option<String>,
}

/// An initializer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredTensor {
    /// Its name.
    pub name: String,
    /// Its element type.
    #[serde(rename = "type")]
    pub element_type: String,
    /// Its dimensions.
    pub shape: Vec<i64>,
    /// Bytes of its values.
    pub bytes: u64,
    /// SHA-256 of its values as little-endian bytes in row-major order, however the file stores them; none for texts.
    pub sha256: Option<String>,
    /// The file beside the model that it lies in.
    pub location: Option<String>,
}

impl Inspection {
    /// Reads a file, mapped, and with `tensors` hashes every initializer.
    ///
    /// # Errors
    /// [`LoadError`] for anything but a whole ONNX model. Missing external data is an error only with `tensors`, and
    /// otherwise in the result.
    pub fn of_file(path: &Path, tensors: bool) -> Result<Self, LoadError> {
        let bytes = files::map(path)?;
        Self::read(bytes, path, tensors)
    }

    /// Reads a file's bytes. `path` is for messages, and for external data.
    ///
    /// # Errors
    /// As [`Inspection::of_file`].
    pub fn read(bytes: Bytes, path: &Path, tensors: bool) -> Result<Self, LoadError> {
        let failed = |source| LoadError::Model {
            path: path.into(),
            source,
        };
        let length = bytes.len() as u64;
        let mut model = ModelProto::decode(bytes).map_err(|error| failed(error.into()))?;
        let graph = model.graph.take().ok_or_else(|| {
            failed(ReadError::NotAModel {
                expected: "a graph",
            })
        })?;
        if graph.node.is_empty() && graph.output.is_empty() {
            return Err(failed(ReadError::NotAModel {
                expected: "nodes or outputs in the graph",
            }));
        }
        // Also what is left of a file that was cut off behind its graph.
        if model.opset_import.is_empty() {
            return Err(failed(ReadError::NotAModel {
                expected: "an operator set",
            }));
        }
        let parameters = count(&parameters_of(&graph)).map_err(failed)?;
        let stored: Vec<&TensorProto> = tensors_of(&graph)
            .into_iter()
            .skip(graph.initializer.len())
            .collect();
        let constants = count(&stored).map_err(failed)?;
        let mut operators = BTreeMap::new();
        operators_of(&graph.node, &mut operators);
        model
            .functions
            .iter()
            .for_each(|function| operators_of(&function.node, &mut operators));
        let metadata: BTreeMap<String, String> = entries(&model.metadata_props);
        let names: std::collections::HashSet<&str> = graph
            .initializer
            .iter()
            .map(|tensor| tensor.name.as_str())
            .collect();
        let inputs = graph
            .input
            .iter()
            .filter(|value| !names.contains(value.name.as_str()));
        let producer = [
            model.producer_name.as_str(),
            model.producer_version.as_str(),
        ];
        let network = NetworkFacts::parse(&metadata);
        Ok(Self {
            schema: "incept.inspect/1".into(),
            bytes: length,
            ir_version: model.ir_version,
            producer: producer.join(" ").trim().into(),
            model_version: model.model_version,
            graph: graph.name.clone(),
            opsets: model
                .opset_import
                .iter()
                .map(|set| OpsetImport {
                    domain: domain(&set.domain).into(),
                    version: set.version,
                })
                .collect(),
            inputs: inputs.map(ValueType::read).collect(),
            outputs: graph.output.iter().map(ValueType::read).collect(),
            nodes: operators.values().sum(),
            operators: operators
                .into_iter()
                .map(|(operator, count)| OperatorCount { operator, count })
                .collect(),
            functions: model
                .functions
                .iter()
                .map(|function| full_name(&function.domain, &function.name))
                .collect(),
            parameters,
            constants,
            external_data: external_files(&graph, path)?,
            input_contract: contract(&metadata),
            network_known: network.is_some_and(|network| network.build().is_ok()),
            metadata,
            tensors: tensors.then(|| stored_tensors(&graph, path)).transpose()?,
        })
    }
}

/// A graph's initializers; of the sparse ones, the values that are stored.
fn parameters_of(graph: &GraphProto) -> Vec<&TensorProto> {
    let sparse = graph.sparse_initializer.iter();
    let sparse = sparse.flat_map(|tensor| tensor.values.iter().chain(&tensor.indices));
    graph.initializer.iter().chain(sparse).collect()
}

/// What incept's metadata says of the input.
fn contract(metadata: &BTreeMap<String, String>) -> Option<BTreeMap<String, String>> {
    let said = metadata.iter().filter_map(|(key, value)| {
        let key = key.strip_prefix("incept.input.")?;
        Some((key.to_string(), value.clone()))
    });
    let said: BTreeMap<String, String> = said.collect();
    (!said.is_empty()).then_some(said)
}

fn entries(entries: &[StringStringEntryProto]) -> BTreeMap<String, String> {
    let entries = entries.iter();
    entries
        .map(|entry| (entry.key.clone(), entry.value.clone()))
        .collect()
}

fn domain(domain: &str) -> &str {
    if domain.is_empty() { "ai.onnx" } else { domain }
}

fn full_name(of: &str, name: &str) -> String {
    match domain(of) {
        "ai.onnx" => name.into(),
        of => format!("{of}.{name}"),
    }
}

/// Counts nodes by operator, those of graphs inside nodes included. Decoding has bounded how deep these go.
fn operators_of(nodes: &[NodeProto], operators: &mut BTreeMap<String, usize>) {
    for node in nodes {
        let name = full_name(&node.domain, &node.op_type);
        *operators.entry(name).or_insert(0) += 1;
        let graphs = node.attribute.iter();
        for graph in graphs.flat_map(|attribute| attribute.g.iter().chain(&attribute.graphs)) {
            operators_of(&graph.node, operators);
        }
    }
}

/// Numbers in a tensor of these dimensions.
pub(super) fn elements(dims: &[i64]) -> Result<u64, String> {
    let size = |total: u64, &size: &i64| total.checked_mul(u64::try_from(size).ok()?);
    let elements = dims.iter().try_fold(1, size);
    elements.ok_or_else(|| {
        format!("shape {dims:?}: expected sizes from 0 up, and fewer numbers than 2^64")
    })
}

/// Bytes of a tensor's values, found in the file where its type does not tell.
fn bytes_of(tensor: &TensorProto) -> Result<(u64, u64), ReadError> {
    let failed = |reason| ReadError::Tensor {
        tensor: tensor.name.clone(),
        reason,
    };
    let elements = elements(&tensor.dims).map_err(failed)?;
    match data_type::bits(tensor.data_type) {
        Some(_) => {
            let bytes = data_type::bytes(tensor.data_type, elements);
            let bytes = bytes
                .ok_or_else(|| failed(format!("{elements} numbers have more than 2^64 bytes")))?;
            Ok((elements, bytes))
        }
        None => {
            let texts = tensor.string_data.iter().map(|text| text.len() as u64);
            Ok((elements, tensor.raw_data.len() as u64 + texts.sum::<u64>()))
        }
    }
}

fn count(tensors: &[&TensorProto]) -> Result<Constants, ReadError> {
    let mut types: BTreeMap<i32, TypedCount> = BTreeMap::new();
    for tensor in tensors {
        let (elements, bytes) = bytes_of(tensor)?;
        let of_type = types.entry(tensor.data_type).or_insert_with(|| TypedCount {
            element_type: type_name(tensor.data_type),
            tensors: 0,
            elements: 0,
            bytes: 0,
        });
        of_type.tensors += 1;
        of_type.elements = of_type.elements.saturating_add(elements);
        of_type.bytes = of_type.bytes.saturating_add(bytes);
    }
    let sum = |of: fn(&TypedCount) -> u64| types.values().map(of).fold(0, u64::saturating_add);
    Ok(Constants {
        tensors: sum(|count| count.tensors),
        elements: sum(|count| count.elements),
        bytes: sum(|count| count.bytes),
        types: types.into_values().collect(),
    })
}

/// The files beside the model that its tensors lie in.
fn external_files(graph: &GraphProto, path: &Path) -> Result<Vec<ExternalFile>, LoadError> {
    let mut files: BTreeMap<String, ExternalFile> = BTreeMap::new();
    let mut folder: Option<DataFolder<'_>> = None;
    for tensor in tensors_of(graph) {
        let Some(reference) = Reference::of(tensor) else {
            continue;
        };
        let folder = match &mut folder {
            Some(folder) => folder,
            none => none.insert(DataFolder::new(path)?),
        };
        let location = reference
            .map(|reference| reference.location)
            .unwrap_or_default();
        let file = files.entry(location.clone()).or_insert(ExternalFile {
            location,
            tensors: 0,
            bytes: 0,
            problem: None,
        });
        file.tensors += 1;
        match folder.values(tensor) {
            Ok(values) => file.bytes += values.map_or(0, |values| values.len() as u64),
            Err(error) => file.problem = file.problem.take().or(Some(error.to_string())),
        }
    }
    Ok(files.into_values().collect())
}

fn stored_tensors(graph: &GraphProto, path: &Path) -> Result<Vec<StoredTensor>, LoadError> {
    let mut folder: Option<DataFolder<'_>> = None;
    let mut found = vec![];
    for tensor in parameters_of(graph) {
        let location = match Reference::of(tensor) {
            Some(reference) => {
                let folder = match &mut folder {
                    Some(folder) => folder,
                    none => none.insert(DataFolder::new(path)?),
                };
                Some((
                    reference.map(|r| r.location).unwrap_or_default(),
                    folder.values(tensor)?,
                ))
            }
            None => None,
        };
        found.push((tensor, location));
    }
    let stored = found.into_par_iter().map(|(tensor, external)| {
        let failed = |source| LoadError::Model {
            path: path.into(),
            source,
        };
        let (_, bytes) = bytes_of(tensor).map_err(failed)?;
        let (location, values) = external.unzip();
        let sha256 = match values.flatten() {
            Some(values) => Some(values::digest_of_bytes(&values)),
            None => values::digest(tensor, bytes).map_err(|reason| {
                failed(ReadError::Tensor {
                    tensor: tensor.name.clone(),
                    reason,
                })
            })?,
        };
        Ok(StoredTensor {
            name: tensor.name.clone(),
            element_type: type_name(tensor.data_type),
            shape: tensor.dims.clone(),
            bytes,
            sha256: sha256.map(|digest| hex(&digest)),
            location,
        })
    });
    stored.collect()
}

impl ValueType {
    fn read(value: &ValueInfoProto) -> Self {
        let is = value.r#type.as_ref();
        let tensor = is.and_then(|is| is.tensor_type.as_ref());
        let element_type = match (is, tensor) {
            (_, Some(tensor)) => type_name(tensor.elem_type),
            (Some(is), None) if is.sequence_type.is_some() => "sequence".into(),
            (Some(is), None) if is.map_type.is_some() => "map".into(),
            (Some(is), None) if is.optional_type.is_some() => "optional".into(),
            (Some(is), None) if is.sparse_tensor_type.is_some() => "sparse tensor".into(),
            _ => "undefined".into(),
        };
        let shape = tensor.and_then(|tensor| tensor.shape.as_ref());
        let text = |value: &Option<Dimension>| match value {
            Some(Dimension::Value(size)) => size.to_string(),
            Some(Dimension::Parameter(name)) => name.clone(),
            None => "?".into(),
        };
        Self {
            name: value.name.clone(),
            element_type,
            shape: shape.map(|shape| shape.dim.iter().map(|d| text(&d.value)).collect()),
        }
    }
}
