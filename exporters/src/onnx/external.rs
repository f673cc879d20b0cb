//! Models whose tensors lie in files beside them: found, checked, and put into one model in memory.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Component, Path, PathBuf};

use prost::bytes::Bytes;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};
use prost::{DecodeError, Message};

use super::data_type;
use super::layout::LIMIT;
use super::proto::{
    EXTERNAL, GRAPH_INITIALIZER, GraphProto, MODEL_GRAPH, ModelProto, TENSOR_DATA_LOCATION,
    TENSOR_EXTERNAL_DATA, TENSOR_RAW_DATA, TensorProto,
};
use super::read::for_each_field;
use super::{ExportError, ModelFacts, Parts, ReadError, with_outputs};
use crate::files::{self, FileError};

/// A model that cannot be loaded with its data.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file is no ONNX model.
    #[error("cannot read the model `{}`", path.display())]
    Model {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: ReadError,
    },
    /// A tensor whose values are not where the model says, or where no model may have them.
    #[error(
        "`{}`: tensor `{tensor}`, external data at byte {offset} of `{location}`: {reason}",
        path.display()
    )]
    External {
        /// The model.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// The file it names, as it names it.
        location: String,
        /// The byte of that file, as far as it is known.
        offset: u64,
        /// What is wrong, with expected and found.
        reason: String,
    },
    /// Model and data are more than one message may hold.
    #[error(
        "`{}` and its external data have {found} bytes: in memory, one ONNX model holds at most {LIMIT}",
        path.display()
    )]
    TooLarge {
        /// The model.
        path: PathBuf,
        /// Bytes in all.
        found: u64,
    },
}

impl LoadError {
    /// The fix, where one is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::File(error) => error.hint(),
            Self::Model { source, .. } => source.hint(),
            Self::External { .. } => Some(
                "the model and its data file belong together: copy both, under the names they were written with".into(),
            ),
            Self::TooLarge { .. } => None,
        }
    }
}

/// A model with all its tensors.
#[derive(Clone)]
pub struct Model {
    /// Its file.
    pub path: PathBuf,
    /// The model; where its tensors lie in other files, a copy that holds them.
    pub bytes: Bytes,
    /// The other files.
    pub data_files: Vec<PathBuf>,
}

impl fmt::Debug for Model {
    /// What it is, not its bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Model({} bytes, {:?})",
            self.bytes.len(),
            self.data_files
        )
    }
}

impl Model {
    /// Maps a model, and reads what lies in other files into it. Those files must lie in the model's folder or below.
    ///
    /// # Errors
    /// [`LoadError`] with the tensor, the file and the byte.
    pub fn load(path: &Path) -> Result<Self, LoadError> {
        let bytes = files::map(path)?;
        let failed = |source| LoadError::Model {
            path: path.into(),
            source,
        };
        let model = ModelProto::decode(bytes.clone()).map_err(|error| failed(error.into()))?;
        let initializers = model
            .graph
            .map(|graph| graph.initializer)
            .unwrap_or_default();
        if initializers
            .iter()
            .all(|tensor| tensor.data_location != EXTERNAL)
        {
            return Ok(Self {
                path: path.into(),
                bytes,
                data_files: vec![],
            });
        }
        let mut folder = DataFolder::new(path)?;
        let mut total = bytes.len() as u64;
        let mut values = vec![];
        for tensor in &initializers {
            let data = folder.values(tensor)?;
            total = total.saturating_add(data.as_ref().map_or(0, |data| data.len() as u64));
            values.push(data);
        }
        if total > LIMIT {
            return Err(LoadError::TooLarge {
                path: path.into(),
                found: total,
            });
        }
        folder.check_overlaps()?;
        let whole = with_values(&bytes, &values, total).map_err(|error| failed(error.into()))?;
        Ok(Self {
            path: path.into(),
            bytes: whole.into(),
            data_files: folder.files.into_values().map(|(path, _)| path).collect(),
        })
    }

    /// What the file says of itself.
    ///
    /// # Errors
    /// [`LoadError::Model`] for anything but a whole ONNX model.
    pub fn facts(&self) -> Result<ModelFacts, LoadError> {
        ModelFacts::read(&self.bytes).map_err(|source| self.malformed(source))
    }

    /// The graph in its parts.
    ///
    /// # Errors
    /// [`LoadError::Model`] for anything but a whole ONNX model.
    pub fn parts(&self) -> Result<Parts, LoadError> {
        Parts::read(&self.bytes).map_err(|source| self.malformed(source))
    }

    /// The model with these values as further outputs, see [`with_outputs`].
    ///
    /// # Errors
    /// [`LoadError::Model`] for anything but a whole ONNX model.
    pub fn with_outputs(&self, names: &[String]) -> Result<Vec<u8>, LoadError> {
        with_outputs(&self.bytes, names).map_err(|source| self.malformed(source))
    }

    fn malformed(&self, source: ReadError) -> LoadError {
        LoadError::Model {
            path: self.path.clone(),
            source,
        }
    }
}

/// Where an external tensor says its values are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reference {
    pub(super) location: String,
    pub(super) offset: u64,
    pub(super) length: Option<u64>,
}

impl Reference {
    /// Reads a tensor's entries; none where the values lie in the model.
    pub(super) fn of(tensor: &TensorProto) -> Option<Result<Self, String>> {
        (tensor.data_location == EXTERNAL).then(|| {
            let entry = |key: &str| {
                let mut entries = tensor.external_data.iter();
                entries
                    .find(|entry| entry.key == key)
                    .map(|entry| entry.value.as_str())
            };
            let number = |key: &str| {
                let parsed = entry(key).map(|text| {
                    text.parse()
                        .map_err(|_| format!("{key}: expected a number, found `{text}`"))
                });
                parsed.transpose()
            };
            Ok(Self {
                location: entry("location").unwrap_or_default().into(),
                offset: number("offset")?.unwrap_or(0),
                length: number("length")?,
            })
        })
    }
}

/// Where a data file lies from the folder of a model, with `/` between folders.
///
/// # Errors
/// [`ExportError::DataFile`] where no reader would look for it there.
pub(super) fn location(data: &Path, model: &Path) -> Result<String, ExportError> {
    let refused = |expected| ExportError::DataFile {
        path: data.into(),
        expected,
    };
    // What does not exist yet lies where its folder does.
    let resolved = |path: &Path| {
        fs::canonicalize(path).or_else(|_| {
            let folder = fs::canonicalize(files::folder_of(path))?;
            Ok::<_, std::io::Error>(folder.join(path.file_name().unwrap_or_default()))
        })
    };
    let missing = |path: &Path, source| FileError::new("write", path, source);
    let (from, to) = (
        resolved(model).map_err(|error| missing(model, error))?,
        resolved(data).map_err(|error| missing(data, error))?,
    );
    if from == to {
        return Err(refused("another file than the model"));
    }
    let folder = from.parent().unwrap_or(Path::new("/"));
    let inside = to.strip_prefix(folder);
    let inside = inside
        .map_err(|_| refused("a file in the model's folder or below: readers refuse any other"))?;
    let parts: Option<Vec<&str>> = inside.iter().map(|part| part.to_str()).collect();
    parts
        .map(|parts| parts.join("/"))
        .ok_or_else(|| refused("a name in UTF-8"))
}

/// The folder of a model, and the files of it that tensors lie in.
pub(super) struct DataFolder<'a> {
    model: &'a Path,
    /// As the system resolves it.
    folder: PathBuf,
    /// By location: path and contents.
    files: BTreeMap<String, (PathBuf, Bytes)>,
    /// Location, first byte, byte behind the last, tensor.
    taken: Vec<(String, u64, u64, String)>,
}

impl<'a> DataFolder<'a> {
    pub(super) fn new(model: &'a Path) -> Result<Self, FileError> {
        let resolved = fs::canonicalize(model);
        let resolved = resolved.map_err(|source| FileError::new("read", model, source))?;
        Ok(Self {
            model,
            folder: resolved.parent().unwrap_or(Path::new("/")).into(),
            files: BTreeMap::new(),
            taken: vec![],
        })
    }

    /// A tensor's values, mapped; none where they lie in the model.
    pub(super) fn values(&mut self, tensor: &TensorProto) -> Result<Option<Bytes>, LoadError> {
        let Some(reference) = Reference::of(tensor) else {
            return Ok(None);
        };
        let (location, offset) = match &reference {
            Ok(reference) => (reference.location.clone(), reference.offset),
            Err(_) => Default::default(),
        };
        let model = self.model;
        let failed = |reason| LoadError::External {
            path: model.into(),
            tensor: tensor.name.clone(),
            location: location.clone(),
            offset,
            reason,
        };
        let reference = reference.map_err(failed)?;
        let elements = super::inspect::elements(&tensor.dims).map_err(failed)?;
        let needed = data_type::bytes(tensor.data_type, elements).ok_or_else(|| {
            let name = data_type::type_name(tensor.data_type);
            failed(format!(
                "{elements} numbers of {name}: expected a type with numbers of one size"
            ))
        })?;
        if let Some(found) = reference.length.filter(|found| *found != needed) {
            return Err(failed(format!(
                "length: expected {needed} bytes for its shape, found {found}"
            )));
        }
        let contents = self.open(&reference.location).map_err(failed)?;
        let end = offset
            .checked_add(needed)
            .filter(|end| *end <= contents.len() as u64);
        let Some(end) = end else {
            let found = contents.len();
            return Err(failed(format!(
                "expected {needed} bytes from there on, found a file of {found}"
            )));
        };
        if needed > 0 {
            self.taken
                .push((location, offset, end, tensor.name.clone()));
        }
        // Both lie within the contents' length.
        Ok(Some(contents.slice(offset as usize..end as usize)))
    }

    /// Maps a file by its location; refuses one outside the model's folder, whatever path or link leads there.
    fn open(&mut self, location: &str) -> Result<Bytes, String> {
        if let Some((_, contents)) = self.files.get(location) {
            return Ok(contents.clone());
        }
        let relative = Path::new(location);
        let plain = relative
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
        if location.is_empty() || !plain || location.contains(['\\', '\0']) {
            return Err("expected a path from the model's folder, without `..`".into());
        }
        let resolved = fs::canonicalize(self.folder.join(relative));
        let resolved = resolved.map_err(|error| format!("cannot be read: {error}"))?;
        if !resolved.starts_with(&self.folder) {
            return Err("leads out of the model's folder".into());
        }
        if !resolved.is_file() {
            return Err("expected a regular file".into());
        }
        let contents =
            files::map(&resolved).map_err(|error| format!("cannot be read: {}", error.source))?;
        let file = (resolved, contents.clone());
        self.files.insert(location.into(), file);
        Ok(contents)
    }

    /// Refuses tensors that share some of their bytes; the same bytes may be used more than once.
    pub(super) fn check_overlaps(&mut self) -> Result<(), LoadError> {
        self.taken.sort();
        for pair in self.taken.windows(2) {
            let [(file, from, end, first), (other, start, stop, second)] = pair else {
                continue;
            };
            if file == other && start < end && (from, end) != (start, stop) {
                return Err(LoadError::External {
                    path: self.model.into(),
                    tensor: second.clone(),
                    location: other.clone(),
                    offset: *start,
                    reason: format!("overlaps with `{first}`, which lies at bytes {from} to {end}"),
                });
            }
        }
        Ok(())
    }
}

/// The same model with these values in its initializers, in their order; every other byte stays as it was.
fn with_values(
    bytes: &Bytes,
    values: &[Option<Bytes>],
    total: u64,
) -> Result<Vec<u8>, DecodeError> {
    // Lengths change, and of each tensor a few bytes go and a few come: never as many as a hundred.
    let mut whole = Vec::with_capacity(total as usize + 100 * values.len() + 64);
    let mut values = values.iter();
    for_each_field(bytes, |field, number, contents| {
        if number != MODEL_GRAPH {
            whole.extend_from_slice(&field);
            return Ok(());
        }
        let Some(graph) = contents else {
            return Ok(());
        };
        // Two passes: the graph's length comes first.
        let mut parts = vec![];
        let mut length = 0;
        for_each_field(&graph, |field, number, contents| {
            let part = match (number, contents) {
                (GRAPH_INITIALIZER, Some(tensor)) => match values.next() {
                    Some(Some(data)) => Part::Filled(without_reference(&tensor)?, data.clone()),
                    _ => Part::Same(field),
                },
                _ => Part::Same(field),
            };
            length += part.len();
            parts.push(part);
            Ok(())
        })?;
        encode_key(MODEL_GRAPH, WireType::LengthDelimited, &mut whole);
        encode_varint(length as u64, &mut whole);
        parts.iter().for_each(|part| part.write(&mut whole));
        Ok(())
    })?;
    Ok(whole)
}

/// A field of a graph.
enum Part {
    Same(Bytes),
    /// A tensor's message without values, and these.
    Filled(Vec<u8>, Bytes),
}

impl Part {
    fn message(rest: &[u8], data: &Bytes) -> usize {
        rest.len() + key_len(TENSOR_RAW_DATA) + encoded_len_varint(data.len() as u64) + data.len()
    }

    fn len(&self) -> usize {
        match self {
            Self::Same(field) => field.len(),
            Self::Filled(rest, data) => {
                let message = Self::message(rest, data);
                key_len(GRAPH_INITIALIZER) + encoded_len_varint(message as u64) + message
            }
        }
    }

    fn write(&self, whole: &mut Vec<u8>) {
        match self {
            Self::Same(field) => whole.extend_from_slice(field),
            Self::Filled(rest, data) => {
                encode_key(GRAPH_INITIALIZER, WireType::LengthDelimited, whole);
                encode_varint(Self::message(rest, data) as u64, whole);
                whole.extend_from_slice(rest);
                encode_key(TENSOR_RAW_DATA, WireType::LengthDelimited, whole);
                encode_varint(data.len() as u64, whole);
                whole.extend_from_slice(data);
            }
        }
    }
}

/// A tensor's message without its reference to another file.
fn without_reference(tensor: &Bytes) -> Result<Vec<u8>, DecodeError> {
    let mut rest = vec![];
    for_each_field(tensor, |field, number, _| {
        let reference = [TENSOR_EXTERNAL_DATA, TENSOR_DATA_LOCATION, TENSOR_RAW_DATA];
        if !reference.contains(&number) {
            rest.extend_from_slice(&field);
        }
        Ok(())
    })?;
    Ok(rest)
}

/// A graph's tensors, wherever they are: its own, those of its nodes, and those of the graphs inside these.
pub(super) fn tensors_of(graph: &GraphProto) -> Vec<&TensorProto> {
    let mut found: Vec<&TensorProto> = graph.initializer.iter().collect();
    for attribute in graph.node.iter().flat_map(|node| &node.attribute) {
        found.extend(attribute.t.iter().chain(&attribute.tensors));
        found.extend(
            attribute
                .g
                .iter()
                .chain(&attribute.graphs)
                .flat_map(tensors_of),
        );
    }
    found
}
