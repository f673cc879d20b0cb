//! Any ONNX file beside another: told apart by structure, planted faults found at their layer, and cut out as bug reports.

#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod alignment;
mod bisect;
mod faults;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use incept::exporters::onnx::proto::{
    AttributeProto, AttributeType, ModelProto, NodeProto, TensorProto,
};
use prost::Message;
use serde_json::Value;
use support::{Said, incept};

/// Runs `incept check A --against B` with further arguments.
fn against(a: &Path, b: &Path, arguments: &[&str]) -> Said {
    let mut command = incept();
    command
        .arg("check")
        .arg(a)
        .arg("--against")
        .arg(b)
        .args(arguments);
    command.output().unwrap().into()
}

/// The report of a comparison that ended with this code.
#[track_caller]
fn report(a: &Path, b: &Path, code: i32, arguments: &[&str]) -> Value {
    let said = against(a, b, &[arguments, &["--json", "-"]].concat()).code(code);
    serde_json::from_str(&said.stdout).unwrap()
}

/// The names in a list of a report.
fn names(list: &Value, key: &str) -> Vec<String> {
    list.as_array()
        .unwrap()
        .iter()
        .map(|entry| entry[key].as_str().unwrap().to_string())
        .collect()
}

/// A model as another exporter would have written it, and what its values are called there.
struct Foreign {
    path: PathBuf,
    /// By the names they had.
    names: HashMap<String, String>,
}

/// Gives every value, tensor and node another name, and puts the nodes in another order: as late as the graph allows.
fn foreign(model: &Path) -> Foreign {
    let mut decoded = ModelProto::decode(std::fs::read(model).unwrap().as_slice()).unwrap();
    decoded.producer_name = "another".into();
    decoded.metadata_props.clear();
    let graph = decoded.graph.as_mut().unwrap();
    graph.node = from_the_end(std::mem::take(&mut graph.node));
    let mut names: HashMap<String, String> = HashMap::new();
    let mut renamed = |name: &mut String| {
        if !name.is_empty() {
            let number = names.len();
            // As some exporters do: numbers that say nothing.
            *name = names
                .entry(name.clone())
                .or_insert(format!("onnx::value_{number}"))
                .clone();
        }
    };
    graph
        .input
        .iter_mut()
        .chain(&mut graph.output)
        .chain(&mut graph.value_info)
        .for_each(|value| renamed(&mut value.name));
    graph
        .initializer
        .iter_mut()
        .for_each(|tensor| renamed(&mut tensor.name));
    for (number, node) in graph.node.iter_mut().enumerate() {
        node.name = format!("node_{number}");
        node.input
            .iter_mut()
            .chain(&mut node.output)
            .for_each(&mut renamed);
    }
    let path = model.with_file_name("foreign.onnx");
    std::fs::write(&path, decoded.encode_to_vec()).unwrap();
    Foreign { path, names }
}

/// The nodes in an order in which each comes as late as it can.
fn from_the_end(mut nodes: Vec<NodeProto>) -> Vec<NodeProto> {
    let mut ordered = vec![];
    while !nodes.is_empty() {
        let is_read = |node: &NodeProto| {
            nodes
                .iter()
                .any(|other| other.input.iter().any(|input| node.output.contains(input)))
        };
        let last = nodes.iter().position(|node| !is_read(node)).unwrap();
        ordered.push(nodes.remove(last));
    }
    ordered.reverse();
    ordered
}

/// Reads, changes and writes a model in its place.
fn change(path: &Path, change: impl FnOnce(&mut ModelProto)) {
    let mut decoded = ModelProto::decode(std::fs::read(path).unwrap().as_slice()).unwrap();
    change(&mut decoded);
    std::fs::write(path, decoded.encode_to_vec()).unwrap();
}

/// The first node of an operator, behind this many others.
fn nth<'a>(model: &'a mut ModelProto, operator: &str, number: usize) -> &'a mut NodeProto {
    let nodes = &mut model.graph.as_mut().unwrap().node;
    nodes
        .iter_mut()
        .filter(|node| node.op_type == operator)
        .nth(number)
        .unwrap()
}

/// A node with nothing set.
fn new_node(operator: &str, inputs: &[&str], output: &str) -> NodeProto {
    NodeProto {
        name: format!("{output} ({operator})"),
        op_type: operator.into(),
        input: inputs.iter().map(ToString::to_string).collect(),
        output: vec![output.into()],
        ..Default::default()
    }
}

/// A setting of whole numbers.
fn integers(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        ints: values.to_vec(),
        r#type: AttributeType::Ints as i32,
        ..Default::default()
    }
}

/// A stored scalar.
fn scalar(name: &str, data_type: i32, bytes: &[u8]) -> TensorProto {
    TensorProto {
        name: name.into(),
        data_type,
        raw_data: bytes.to_vec().into(),
        ..Default::default()
    }
}

/// Makes everything that reads a value read another.
fn rewire(model: &mut ModelProto, from: &str, to: &str) {
    for node in &mut model.graph.as_mut().unwrap().node {
        for input in &mut node.input {
            if input == from {
                *input = to.into();
            }
        }
    }
}
