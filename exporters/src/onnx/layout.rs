//! Where every byte of a file goes, before any tensor's values are known.
//!
//! The metadata, which holds the weights' hash, comes after the tensors, so that one pass over the weights is enough. The
//! operator set comes last: no reader takes a file without it, so one that was cut off anywhere is not taken for whole.

use std::collections::BTreeMap;
use std::io::{self, Write};

use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};

use super::data_type::number_of;
use super::fold::Numbers;
use super::graph::{self, Graph};
use super::precision::{self, Stored};
use super::proto::{
    EXTERNAL, GRAPH_INITIALIZER, GraphProto, MODEL_GRAPH, ModelProto, OperatorSetIdProto,
    StringStringEntryProto, TENSOR_RAW_DATA, TensorProto,
};
use super::rounding::{self, Encoded, Rounding};
use super::{ExportError, ExportOptions, metadata};
use crate::net::{Net, block_of};
use crate::weights::Weights;

/// Protobuf's limit on one message.
pub(super) const LIMIT: u64 = i32::MAX as u64;

/// Data files begin each tensor at a multiple of this: a page, so that readers can map it.
const ALIGNMENT: u64 = 4096;

/// Smaller tensors stay in the model even where there is a data file, as ONNX's own tools leave them: shapes may depend
/// on their values.
const SMALL: u64 = 1024;

/// Where a tensor's values lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In the model, at this byte.
    Model(u64),
    /// In the data file, at this byte.
    Data(u64),
}

/// One tensor of the file.
pub(super) struct Planned {
    pub(super) stored: Stored,
    pub(super) place: Place,
    /// Bytes of its values.
    pub(super) bytes: u64,
    /// Its message up to the values, or whole where they lie elsewhere.
    header: Vec<u8>,
}

impl Planned {
    /// Bytes of its message.
    fn message(&self) -> u64 {
        let field = match self.place {
            Place::Model(_) => {
                key_len(TENSOR_RAW_DATA) as u64 + encoded_len_varint(self.bytes) as u64 + self.bytes
            }
            Place::Data(_) => 0,
        };
        self.header.len() as u64 + field
    }

    /// Bytes of its field in the graph before the values.
    fn before_values(&self) -> u64 {
        let message = self.message();
        let key = key_len(GRAPH_INITIALIZER) + encoded_len_varint(message);
        let values = match self.place {
            Place::Model(_) => self.bytes,
            Place::Data(_) => 0,
        };
        key as u64 + message - values
    }

    /// Its numbers as they are stored, and what rounding did to them.
    pub(super) fn encode<'a>(&self, numbers: Numbers<'a>) -> (Encoded<'a>, Rounding) {
        let filters = self.stored.initializer.shape.first().copied().unwrap_or(1);
        rounding::encode(numbers, self.stored.element_type, filters)
    }

    /// Writes the message up to the values.
    pub(super) fn start(&self, writer: &mut impl Write) -> io::Result<()> {
        start_field(writer, GRAPH_INITIALIZER, self.message())?;
        writer.write_all(&self.header)?;
        match self.place {
            Place::Model(_) => start_field(writer, TENSOR_RAW_DATA, self.bytes),
            Place::Data(_) => Ok(()),
        }
    }
}

/// Everything but the tensors' values, and where those go.
pub(super) struct Layout {
    /// The model's fields before the graph.
    head: Vec<u8>,
    /// The graph's fields other than its tensors.
    graph: Vec<u8>,
    pub(super) tensors: Vec<Planned>,
    /// Bytes of the model's fields behind the graph.
    tail: u64,
}

impl Layout {
    /// Plans the files of `net`; `location` is the data file's path from the model's folder, where there is to be one.
    pub(super) fn plan(
        net: &Net,
        weights: &Weights,
        options: &ExportOptions,
        location: Option<&str>,
    ) -> Result<Self, ExportError> {
        let (graph, stored) = convert(net, options)?;
        let head = ModelProto {
            ir_version: ir_version(options.opset),
            producer_name: "incept".into(),
            producer_version: env!("CARGO_PKG_VERSION").into(),
            ..Default::default()
        };
        // Every hash has the same length.
        let tail = tail(net, weights, options, &"0".repeat(64));
        let mut end_of_data = 0_u64;
        let tensors = stored.into_iter().map(|stored| {
            let bytes = bytes(&stored);
            let external = location.filter(|_| bytes >= SMALL);
            let offset = end_of_data.next_multiple_of(ALIGNMENT);
            let header = header(&stored, external.map(|location| (location, offset, bytes)));
            let place = match external {
                Some(_) => {
                    end_of_data = offset + bytes;
                    Place::Data(offset)
                }
                None => Place::Model(0),
            };
            Planned {
                stored,
                place,
                bytes,
                header,
            }
        });
        let mut layout = Self {
            tensors: tensors.collect(),
            head: head.encode_to_vec(),
            graph: graph.encode_to_vec(),
            tail: tail.len() as u64,
        };
        layout.place();
        match layout.total() {
            found if found > LIMIT => Err(ExportError::TooLarge { found }),
            _ => Ok(layout),
        }
    }

    /// Finds the byte each tensor of the model begins at.
    fn place(&mut self) {
        let mut at = self.before_graph() + self.graph.len() as u64;
        for tensor in &mut self.tensors {
            at += tensor.before_values();
            if let Place::Model(offset) = &mut tensor.place {
                *offset = at;
                at += tensor.bytes;
            }
        }
    }

    fn graph_size(&self) -> u64 {
        let field = |tensor: &Planned| {
            let message = tensor.message();
            key_len(GRAPH_INITIALIZER) as u64 + encoded_len_varint(message) as u64 + message
        };
        self.graph.len() as u64 + self.tensors.iter().map(field).sum::<u64>()
    }

    fn before_graph(&self) -> u64 {
        let graph = self.graph_size();
        (self.head.len() + key_len(MODEL_GRAPH) + encoded_len_varint(graph)) as u64
    }

    /// Bytes of the model.
    pub(super) fn total(&self) -> u64 {
        self.before_graph() + self.graph_size() + self.tail
    }

    /// Writes everything before the first tensor.
    pub(super) fn start(&self, writer: &mut impl Write) -> io::Result<()> {
        writer.write_all(&self.head)?;
        start_field(writer, MODEL_GRAPH, self.graph_size())?;
        writer.write_all(&self.graph)
    }
}

/// The graph without its tensors, and these.
fn convert(net: &Net, options: &ExportOptions) -> Result<(GraphProto, Vec<Stored>), ExportError> {
    let Graph {
        inputs,
        nodes,
        values,
        outputs,
        initializers,
    } = graph::emit(net, options)?;
    let mut graph = GraphProto {
        node: nodes,
        name: net.name().into(),
        input: inputs,
        output: outputs,
        value_info: values,
        ..Default::default()
    };
    let stored = precision::convert(&mut graph, initializers, &options.precision);
    Ok((graph, stored))
}

/// Bytes of the tensors of each block of a network's file.
///
/// # Errors
/// [`ExportError`] for options that cannot be met.
pub fn bytes_of_blocks(
    net: &Net,
    options: &ExportOptions,
) -> Result<BTreeMap<String, u64>, ExportError> {
    let (_, stored) = convert(net, options)?;
    let mut blocks = BTreeMap::new();
    for tensor in &stored {
        let block = block_of(&tensor.initializer.name).to_string();
        *blocks.entry(block).or_insert(0) += bytes(tensor);
    }
    Ok(blocks)
}

/// Bytes of all tensors of a network's file.
pub(super) fn bytes_of_tensors(net: &Net, options: &ExportOptions) -> Result<u64, ExportError> {
    let (_, stored) = convert(net, options)?;
    Ok(stored.iter().map(bytes).fold(0, u64::saturating_add))
}

fn bytes(stored: &Stored) -> u64 {
    let sizes = stored.initializer.shape.iter().map(|&size| size as u64);
    sizes.fold(stored.element_type.size() as u64, u64::saturating_mul)
}

/// The model's fields behind the graph, with this hash of the weights.
pub(super) fn tail(net: &Net, weights: &Weights, options: &ExportOptions, sha256: &str) -> Vec<u8> {
    let metadata = ModelProto {
        metadata_props: metadata::entries(net, weights, options, sha256),
        ..Default::default()
    };
    let opset = ModelProto {
        opset_import: vec![OperatorSetIdProto {
            domain: String::new(),
            version: options.opset.into(),
        }],
        ..Default::default()
    };
    [metadata.encode_to_vec(), opset.encode_to_vec()].concat()
}

fn start_field(writer: &mut impl Write, number: u32, length: u64) -> io::Result<()> {
    let mut start = Vec::with_capacity(12);
    encode_key(number, WireType::LengthDelimited, &mut start);
    encode_varint(length, &mut start);
    writer.write_all(&start)
}

fn header(stored: &Stored, external: Option<(&str, u64, u64)>) -> Vec<u8> {
    let Stored {
        initializer,
        element_type,
    } = stored;
    let mut tensor = TensorProto {
        dims: initializer.shape.iter().map(|&size| size as i64).collect(),
        data_type: number_of(*element_type),
        name: initializer.name.clone(),
        ..Default::default()
    };
    if let Some((location, offset, length)) = external {
        let entry = |key: &str, value: String| StringStringEntryProto {
            key: key.into(),
            value,
        };
        tensor.external_data = vec![
            entry("location", location.into()),
            entry("offset", offset.to_string()),
            entry("length", length.to_string()),
        ];
        tensor.data_location = EXTERNAL;
    }
    tensor.encode_to_vec()
}

/// The oldest IR version that goes with an operator set, from the table of versions in ONNX's own repository.
pub(super) fn ir_version(opset: u32) -> i64 {
    match opset {
        ..=14 => 7,
        15..=18 => 8,
        19 | 20 => 9,
        21 | 22 => 10,
        23 => 11,
        24 => 12,
        _ => 13,
    }
}

#[cfg(test)]
mod tests;
