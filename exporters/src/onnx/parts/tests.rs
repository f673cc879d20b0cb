#![allow(clippy::unwrap_used)]
use super::*;
use crate::net::NetOptions;
use crate::onnx::{self, ExportOptions, ModelFacts, Precision};
use crate::weights::Weights;
use crate::zoo;

fn model(precision: Precision) -> Bytes {
    let options = NetOptions {
        classes: 10,
        width_multiplier: 0.1,
        ..NetOptions::default()
    };
    let entry = zoo::find("inception_resnet_v2", None).unwrap();
    let net = entry.build(&options.image_size(75)).unwrap();
    let mut options = ExportOptions::default();
    options.precision.precision = precision;
    onnx::to_bytes(&net, &Weights::initial(&net, 0), &options)
        .unwrap()
        .into()
}

#[test]
fn a_layer_is_cut_out_with_its_tensors_and_reads_the_value_before_it() {
    let parts = Parts::read(&model(Precision::Fp32)).unwrap();
    let node = parts
        .nodes()
        .iter()
        .filter(|node| node.operator == "Conv")
        .nth(1)
        .unwrap();
    let output = node.outputs[0].as_str();
    let cut = parts
        .cut(&[output], |_| true, |_| Some(vec![1, 3, 9, 9]))
        .unwrap();
    assert_eq!(cut.nodes.len(), 1);
    assert_eq!(cut.inputs[0].name, node.inputs[0]);
    let facts = ModelFacts::read(&cut.model.into()).unwrap();
    let shape: Vec<usize> = facts.inputs[0].shape.iter().flatten().copied().collect();
    assert_eq!(shape, [1, 3, 9, 9]);
    assert_eq!(facts.values, [output]);
    assert_eq!(facts.outputs[0].name, output);
}

#[test]
fn cut_from_its_inputs_to_its_outputs_a_graph_is_whole() {
    let bytes = model(Precision::Fp32);
    let parts = Parts::read(&bytes).unwrap();
    let cut = parts.cut(&["logits"], |_| false, |_| None).unwrap();
    assert_eq!(cut.nodes.len(), parts.nodes().len());
    let (whole, again) = (
        ModelFacts::read(&bytes).unwrap(),
        ModelFacts::read(&cut.model.into()).unwrap(),
    );
    assert_eq!(again.inputs, whole.inputs);
    assert_eq!(again.values, whole.values);
    assert_eq!(again.opset, whole.opset);
}

#[test]
fn element_types_are_followed_through_operators_where_the_file_does_not_say() {
    let bytes = model(Precision::Fp16);
    let mut parts = Parts::read(&bytes).unwrap();
    let stated: Vec<(String, i32)> = parts
        .nodes()
        .iter()
        .flat_map(|node| &node.outputs)
        .map(|value| (value.clone(), parts.element_type(value)))
        .collect();
    assert!(
        stated
            .iter()
            .any(|(_, known)| *known == super::super::proto::FLOAT16)
    );
    parts.described.clear();
    for (value, known) in stated {
        // The graph's input has no operator to tell: it is float32.
        assert_eq!(parts.element_type(&value), known, "{value}");
    }
}

#[test]
fn what_is_not_there_is_an_error_that_names_it() {
    let mut parts = Parts::read(&model(Precision::Fp32)).unwrap();
    let error = parts.cut(&["nothing"], |_| false, |_| None).unwrap_err();
    assert_eq!(error.to_string(), "no node computes `nothing`");
    let error = parts.cut(&[], |_| false, |_| None).unwrap_err();
    assert_eq!(error, CutError::NoOutputs);
    parts.tensors.clear();
    let error = parts.cut(&["logits"], |_| false, |_| None).unwrap_err();
    assert!(error.to_string().contains("which node `"), "{error}");
    assert!(Parts::read(&Bytes::from_static(b"no model")).is_err());
}

#[test]
fn graphs_inside_a_node_read_values_too() {
    let inner = GraphProto {
        node: vec![NodeProto {
            input: vec!["outside".into(), "own".into()],
            output: vec!["result".into()],
            op_type: "Add".into(),
            ..Default::default()
        }],
        input: vec![ValueInfoProto {
            name: "own".into(),
            r#type: None,
        }],
        ..Default::default()
    };
    let node = NodeProto {
        input: vec!["condition".into(), String::new()],
        output: vec!["chosen".into()],
        op_type: "If".into(),
        attribute: vec![AttributeProto {
            name: "then_branch".into(),
            g: Some(inner),
            ..Default::default()
        }],
        ..Default::default()
    };
    assert_eq!(part((node, Bytes::new())).inputs, ["condition", "outside"]);
}
