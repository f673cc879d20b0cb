//! `incept bisect`: a planted fault is cut down to its node, and the report loads elsewhere.

use std::path::Path;

use incept::exporters::onnx::proto::{AttributeProto, TensorProto};
use incept::runtime::{InputTensor, LoadOptions, find};
use ndarray::ArrayD;
use prost::Message;
use serde_json::Value;

use super::support::{Said, change_values, entries, export_small, incept, spoil};
use super::{foreign, nth};

fn bisect(model: &Path, out: &Path, arguments: &[&str]) -> Said {
    let mut command = incept();
    command
        .arg("bisect")
        .arg(model)
        .arg("-o")
        .arg(out)
        .args(arguments);
    command.output().unwrap().into()
}

fn report(out: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(out.join("bisect.json")).unwrap()).unwrap()
}

/// A tensor of the report, as ONNX's test data has it.
fn tensor(path: &Path) -> (String, ArrayD<f32>) {
    let read = TensorProto::decode(std::fs::read(path).unwrap().as_slice()).unwrap();
    let shape: Vec<usize> = read.dims.iter().map(|&size| size as usize).collect();
    let values = read
        .raw_data
        .as_chunks()
        .0
        .iter()
        .map(|bytes| f32::from_le_bytes(*bytes));
    (
        read.name,
        ArrayD::from_shape_vec(shape, values.collect()).unwrap(),
    )
}

/// The largest difference between what a model of the report puts out in a runtime and what the report expects.
fn difference(out: &Path, model: &str, runtime: &str) -> f32 {
    let bytes = std::fs::read(out.join(model)).unwrap();
    let mut session = find(runtime)
        .unwrap()
        .load(&bytes, LoadOptions::default())
        .unwrap();
    let (_, input) = tensor(&out.join("test_data_set_0/input_0.pb"));
    let name = session.inputs()[0].clone();
    let found = session
        .run_named(&[(&name, InputTensor::Floats(input.view()))])
        .unwrap();
    let (_, expected) = tensor(&out.join("test_data_set_0/output_0.pb"));
    assert_eq!(found[0].1.shape(), expected.shape());
    (&found[0].1 - &expected)
        .iter()
        .fold(0.0, |most, value| value.abs().max(most))
}

#[test]
fn a_wrong_setting_is_cut_to_its_node_and_the_report_loads() {
    let folder = tempfile::tempdir().unwrap();
    let ours = export_small(folder.path(), "inception_v4", &[]);
    let mut name = String::new();
    let faulty = spoil(&ours, |model| {
        let node = nth(model, "AveragePool", 1);
        node.attribute.retain(|a| a.name != "count_include_pad");
        node.attribute.push(AttributeProto {
            name: "count_include_pad".into(),
            i: 1,
            r#type: 2,
            ..Default::default()
        });
        name = node.name.clone();
    });
    let out = folder.path().join("report");
    let said = bisect(
        &faulty,
        &out,
        &["--against", ours.to_str().unwrap(), "--batch", "3"],
    )
    .code(1);
    assert!(said.stdout.contains(&name), "{}", said.stdout);
    assert_eq!(
        entries(&out),
        [
            "bisect.json",
            "model.onnx",
            "reference.onnx",
            "report.md",
            "test_data_set_0"
        ]
    );
    assert_eq!(
        entries(&out.join("test_data_set_0")),
        ["input_0.pb", "output_0.pb"]
    );
    let found = report(&out);
    assert_eq!(found["schema"], "incept.bisect/1");
    let nodes = found["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), 1, "{nodes:?}");
    assert_eq!(nodes[0]["name"], name.as_str());
    // One image of the three, and less of it.
    let (_, input) = tensor(&out.join("test_data_set_0/input_0.pb"));
    assert_eq!(input.shape()[0], 1);
    assert!(input.shape()[2] <= 2, "{:?}", input.shape());
    let mut runtimes = vec!["ort"];
    if cfg!(feature = "tract") {
        runtimes.push("tract");
    }
    for runtime in runtimes {
        assert!(
            difference(&out, "model.onnx", runtime) > 1e-3,
            "{runtime}: the fault is seen"
        );
        assert!(
            difference(&out, "reference.onnx", runtime) < 1e-5,
            "{runtime}: the reference is right"
        );
    }
    let text = std::fs::read_to_string(out.join("report.md")).unwrap();
    for part in [
        "onnxruntime.InferenceSession",
        "tract model.onnx",
        "polygraphy run model.onnx",
        &name,
    ] {
        assert!(text.contains(part), "{part}");
    }
    // What is there is not replaced.
    bisect(&faulty, &out, &["--against", ours.to_str().unwrap()])
        .could_not_run(&["expected no folder or an empty one"])
        .hint("another folder");
}

#[test]
fn a_wrong_weight_is_cut_to_its_node_where_no_name_is_the_same_and_the_outputs_hold() {
    let folder = tempfile::tempdir().unwrap();
    let ours = export_small(folder.path(), "inception_resnet_v2", &[]);
    let mut value = String::new();
    let faulty = spoil(&ours, |model| {
        let node = nth(model, "Conv", 70).clone();
        change_values(model, &node.input[1], |values| values[1] += 1e-3);
        value = node.output[0].clone();
    });
    let theirs = foreign(&faulty);
    let out = folder.path().join("report");
    bisect(&theirs.path, &out, &["--against", ours.to_str().unwrap()]).code(1);
    let found = report(&out);
    assert_eq!(found["nodes"].as_array().unwrap().len(), 1);
    assert_eq!(found["outputs"][0]["name"], theirs.names[&value].as_str());
    assert_eq!(found["failure"]["kind"], "values");
}

#[test]
fn what_a_runtime_does_not_load_is_cut_to_its_node() {
    let folder = tempfile::tempdir().unwrap();
    let ours = export_small(folder.path(), "inception_v4", &[]);
    let mut name = String::new();
    let odd = spoil(&ours, |model| {
        let node = nth(model, "MaxPool", 1);
        node.op_type = "LpPool".into();
        node.attribute.retain(|a| a.name != "ceil_mode");
        name = node.name.clone();
    });
    let out = folder.path().join("report");
    bisect(
        &odd,
        &out,
        &["--runtime", "rten", "--reference-runtime", "ort"],
    )
    .code(1);
    let found = report(&out);
    assert_eq!(found["failure"]["kind"], "not_loaded", "{found}");
    assert_eq!(found["nodes"].as_array().unwrap().len(), 1);
    assert_eq!(found["nodes"][0]["name"], name.as_str());
    assert_eq!(found["has_reference"], false);
    assert!(
        difference(&out, "model.onnx", "ort") < 1e-5,
        "the reference runtime runs it"
    );
}

#[test]
fn a_model_that_does_not_fail_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let ours = export_small(folder.path(), "inception_v4", &[]);
    let out = folder.path().join("report");
    let said = bisect(
        &ours,
        &out,
        &["--runtime", "rten", "--reference-runtime", "ort"],
    )
    .code(0);
    assert!(said.stdout.contains("does not fail"));
    assert_eq!(entries(folder.path()), ["inception_v4.onnx"]);
    bisect(&ours, &out, &["--reference-runtime", "ort"])
        .could_not_run(&["beside itself"])
        .hint("--against");
    let absent = folder.path().join("absent/report");
    let faulty = spoil(&ours, |model| {
        let node = nth(model, "Conv", 3).clone();
        change_values(model, &node.input[1], |values| values[1] += 1.0);
    });
    bisect(&faulty, &absent, &["--against", ours.to_str().unwrap()])
        .could_not_run(&["cannot write", "absent/report"]);
}
