//! The graph of a file, checked as far as its nodes need no values for.

use std::collections::HashMap;

use incept_exporters::onnx::proto::{ModelProto, NodeProto, TensorProto, ValueInfoProto};
use incept_exporters::onnx::{Bytes, OLDEST_OPSET};
use prost::Message;

use super::operators::OPERATORS;

/// A model's graph, its nodes in an order in which they can be computed.
pub(super) struct Graph {
    /// Names and element types, as `TensorProto.DataType` numbers them, of what the caller gives.
    pub(super) inputs: Vec<(String, i32)>,
    pub(super) nodes: Vec<NodeProto>,
    pub(super) initializers: Vec<TensorProto>,
    pub(super) outputs: Vec<String>,
    /// For each node the values that nobody reads after it.
    pub(super) last_used: Vec<Vec<String>>,
}

impl Graph {
    /// Reads a model's bytes.
    ///
    /// # Errors
    /// In words: what is no ONNX model, an operator that is not here, an older operator set.
    pub(super) fn read(model: &[u8]) -> Result<Self, String> {
        let model = ModelProto::decode(Bytes::copy_from_slice(model))
            .map_err(|error| format!("it is no whole ONNX file: {error}"))?;
        let sets = model.opset_import.iter();
        let mut sets = sets.filter(|set| set.domain.is_empty() || set.domain == "ai.onnx");
        let opset = sets.next().map_or(0, |set| set.version);
        if opset < i64::from(OLDEST_OPSET) {
            return Err(format!(
                "expected operator set {OLDEST_OPSET} or newer, found {opset}"
            ));
        }
        let graph = model.graph.ok_or("expected a graph, found none")?;
        if !graph.sparse_initializer.is_empty() {
            return Err("it has sparse tensors".into());
        }
        for node in &graph.node {
            let known = node.domain.is_empty() && OPERATORS.contains(&node.op_type.as_str());
            if !known {
                return Err(format!(
                    "node `{}`: the operator `{}` is not among {}",
                    node.name,
                    node.op_type,
                    OPERATORS.join(", ")
                ));
            }
            let results = node.output.iter().filter(|name| !name.is_empty()).count();
            if results != 1 || node.output[0].is_empty() {
                return Err(format!(
                    "node `{}` ({}): expected 1 output, found {results}",
                    node.name, node.op_type
                ));
            }
        }
        let stored = |value: &&ValueInfoProto| {
            let mut tensors = graph.initializer.iter();
            !tensors.any(|tensor| tensor.name == value.name)
        };
        let element_type = |value: &ValueInfoProto| {
            let tensor = value.r#type.as_ref().and_then(|t| t.tensor_type.as_ref());
            tensor.map_or(0, |tensor| tensor.elem_type)
        };
        let inputs = graph.input.iter().filter(stored);
        let inputs = inputs.map(|value| (value.name.clone(), element_type(value)));
        let outputs: Vec<String> = graph
            .output
            .iter()
            .map(|value| value.name.clone())
            .collect();
        Ok(Self {
            inputs: inputs.collect(),
            last_used: last_used(&graph.node, &outputs),
            nodes: graph.node,
            initializers: graph.initializer,
            outputs,
        })
    }
}

/// For each node the values that it reads and no later one does, the outputs left out.
fn last_used(nodes: &[NodeProto], outputs: &[String]) -> Vec<Vec<String>> {
    let mut last: HashMap<&str, usize> = HashMap::new();
    for (index, node) in nodes.iter().enumerate() {
        last.extend(node.input.iter().map(|name| (name.as_str(), index)));
    }
    let mut used = vec![vec![]; nodes.len()];
    for (name, index) in last {
        if !outputs.iter().any(|output| output == name) {
            used[index].push(name.to_string());
        }
    }
    used
}
