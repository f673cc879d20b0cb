//! The wire format, streamed: tensors are folded and written one by one, so that no second copy of the weights
//! is ever in memory.

use std::io::{self, Write};
use std::path::Path;

use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};

use super::graph::{self, Graph, Initializer};
use super::proto::{
    GRAPH_INITIALIZER, GraphProto, MODEL_GRAPH, ModelProto, OperatorSetIdProto, TENSOR_RAW_DATA,
    TensorProto,
};
use super::{ExportError, ExportOptions, fold, metadata};
use crate::files::write_whole;
use crate::net::Net;
use crate::weights::Weights;

/// Protobuf's limit on one message.
pub(super) const LIMIT: u64 = i32::MAX as u64;

/// Writes the ONNX file of `net` with `weights`: whole or not at all, and the same bytes for the same arguments.
///
/// # Errors
/// [`ExportError`]: weights that do not fit, an opset out of range, a file that cannot be written.
pub fn write(
    net: &Net,
    weights: &Weights,
    options: &ExportOptions,
    path: &Path,
) -> Result<(), ExportError> {
    let layout = Layout::plan(net, weights, options)?;
    let mut failed = None;
    let written = write_whole(path, |writer| {
        layout.stream(weights, writer).map_err(|error| match error {
            StreamError::Io(error) => error,
            StreamError::Export(error) => {
                failed = Some(error);
                io::Error::other("export failed")
            }
        })
    });
    match failed {
        Some(error) => Err(error),
        None => Ok(written?),
    }
}

/// The same file in memory.
///
/// # Errors
/// As [`write()`].
pub fn to_bytes(
    net: &Net,
    weights: &Weights,
    options: &ExportOptions,
) -> Result<Vec<u8>, ExportError> {
    let layout = Layout::plan(net, weights, options)?;
    let mut bytes = Vec::with_capacity(layout.total() as usize);
    match layout.stream(weights, &mut bytes) {
        Ok(()) => Ok(bytes),
        Err(StreamError::Export(error)) => Err(error),
        Err(StreamError::Io(error)) => {
            Err(crate::files::FileError::new("write", "memory", error).into())
        }
    }
}

/// Tells whether one file can hold `net`, before there are any weights.
///
/// # Errors
/// [`ExportError::TooLarge`] with the bytes its tensors need.
pub fn check_size(net: &Net, options: &ExportOptions) -> Result<(), ExportError> {
    let tensors = graph::emit(net, options)?.initializers;
    match tensors.iter().map(Initializer::size).sum() {
        found if found > LIMIT => Err(ExportError::TooLarge { found }),
        _ => Ok(()),
    }
}

enum StreamError {
    Io(io::Error),
    Export(ExportError),
}

impl From<io::Error> for StreamError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Everything but the tensors' values, encoded, and where those go.
struct Layout {
    /// The model's fields other than the graph.
    model: Vec<u8>,
    /// The graph's fields other than its tensors.
    graph: Vec<u8>,
    initializers: Vec<Initializer>,
    /// Each tensor's fields before its values.
    headers: Vec<Vec<u8>>,
}

impl Layout {
    fn plan(net: &Net, weights: &Weights, options: &ExportOptions) -> Result<Self, ExportError> {
        weights.check(net)?;
        let Graph {
            inputs,
            nodes,
            values,
            outputs,
            initializers,
        } = graph::emit(net, options)?;
        let graph = GraphProto {
            node: nodes,
            name: net.name().into(),
            initializer: vec![],
            doc_string: String::new(),
            input: inputs,
            output: outputs,
            value_info: values,
        };
        let model = ModelProto {
            ir_version: ir_version(options.opset),
            producer_name: "incept".into(),
            producer_version: env!("CARGO_PKG_VERSION").into(),
            graph: None,
            opset_import: vec![OperatorSetIdProto {
                domain: String::new(),
                version: options.opset.into(),
            }],
            metadata_props: metadata::entries(net, weights, options),
        };
        let headers = initializers.iter().map(header).collect();
        let layout = Self {
            model: model.encode_to_vec(),
            graph: graph.encode_to_vec(),
            initializers,
            headers,
        };
        match layout.total() {
            found if found > LIMIT => Err(ExportError::TooLarge { found }),
            _ => Ok(layout),
        }
    }

    /// Bytes of each tensor's message.
    fn tensor_sizes(&self) -> impl Iterator<Item = (u64, u64)> {
        self.initializers
            .iter()
            .zip(&self.headers)
            .map(|(initializer, header)| {
                let values = initializer.size();
                let field = key_len(TENSOR_RAW_DATA) as u64 + encoded_len_varint(values) as u64;
                (header.len() as u64 + field + values, values)
            })
    }

    fn graph_size(&self) -> u64 {
        let field = |(message, _)| {
            key_len(GRAPH_INITIALIZER) as u64 + encoded_len_varint(message) as u64 + message
        };
        self.graph.len() as u64 + self.tensor_sizes().map(field).sum::<u64>()
    }

    fn total(&self) -> u64 {
        let graph = self.graph_size();
        self.model.len() as u64
            + key_len(MODEL_GRAPH) as u64
            + encoded_len_varint(graph) as u64
            + graph
    }

    fn stream(&self, weights: &Weights, writer: &mut impl Write) -> Result<(), StreamError> {
        writer.write_all(&self.model)?;
        start_field(writer, MODEL_GRAPH, self.graph_size())?;
        writer.write_all(&self.graph)?;
        for ((initializer, header), (message, values)) in self
            .initializers
            .iter()
            .zip(&self.headers)
            .zip(self.tensor_sizes())
        {
            start_field(writer, GRAPH_INITIALIZER, message)?;
            writer.write_all(header)?;
            start_field(writer, TENSOR_RAW_DATA, values)?;
            let bytes = fold::bytes(initializer, weights).map_err(StreamError::Export)?;
            writer.write_all(&bytes)?;
        }
        Ok(())
    }
}

fn start_field(writer: &mut impl Write, number: u32, length: u64) -> io::Result<()> {
    let mut start = Vec::with_capacity(12);
    encode_key(number, WireType::LengthDelimited, &mut start);
    encode_varint(length, &mut start);
    writer.write_all(&start)
}

fn header(initializer: &Initializer) -> Vec<u8> {
    let dims = initializer.shape.iter().map(|&size| size as i64).collect();
    let name = initializer.name.clone();
    TensorProto {
        dims,
        data_type: initializer.element_type(),
        name,
        raw_data: Default::default(),
    }
    .encode_to_vec()
}

/// The oldest IR version that goes with an operator set, from the table of versions in ONNX's own repository.
fn ir_version(opset: u32) -> i64 {
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
