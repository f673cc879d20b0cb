//! Planted faults in files without a name in common: each is found, and found at its layer.

use std::path::{Path, PathBuf};

use incept::exporters::onnx::proto::{AttributeProto, FLOAT, INT64, ModelProto};
use prost::Message;
use serde_json::Value;

use super::support::{change_values, export_small, spoil};
use super::{Foreign, against, change, foreign, integers, names, new_node, nth, report};

/// A model of ours and the same with a fault, as another exporter would have written it.
fn planted(
    folder: &Path,
    network: &str,
    arguments: &[&str],
    fault: impl FnOnce(&mut ModelProto),
) -> (Foreign, PathBuf) {
    let ours = export_small(folder, network, arguments);
    let faulty = spoil(&ours, fault);
    (foreign(&faulty), ours)
}

/// The one layer that differs by itself, which is also the first difference; by its name in B.
#[track_caller]
fn only_fault(report: &Value) -> String {
    let run = &report["runs"][0];
    assert_eq!(run["holds"], false);
    let at_fault = run["at_fault"].as_array().unwrap();
    assert_eq!(at_fault.len(), 1, "{at_fault:?}");
    assert_eq!(run["first_difference"], at_fault[0]);
    let layers = run["layers"].as_array().unwrap();
    let layer = layers
        .iter()
        .find(|layer| layer["a"] == at_fault[0])
        .unwrap();
    layer["b"].as_str().unwrap().into()
}

fn first_output(model: &mut ModelProto, operator: &str, number: usize) -> String {
    nth(model, operator, number).output[0].clone()
}

#[test]
fn faults_that_leave_the_graph_as_it_is_are_found_at_their_layer() {
    type Fault = fn(&mut ModelProto) -> String;
    let weight: Fault = |model| {
        let node = nth(model, "Conv", 60).clone();
        change_values(model, &node.input[1], |values| values[3] += 0.05);
        node.output[0].clone()
    };
    let permuted_channels: Fault = |model| {
        let node = nth(model, "Conv", 30).clone();
        change_values(model, &node.input[1], |values| values.rotate_right(5));
        node.output[0].clone()
    };
    let counted_padding: Fault = |model| {
        let node = nth(model, "AveragePool", 0);
        let setting = node
            .attribute
            .iter_mut()
            .find(|a| a.name == "count_include_pad");
        match setting {
            Some(setting) => setting.i = 1,
            None => node.attribute.push(AttributeProto {
                name: "count_include_pad".into(),
                i: 1,
                r#type: 2,
                ..Default::default()
            }),
        }
        node.output[0].clone()
    };
    let residual_scale: Fault = |model| {
        let node = nth(model, "Mul", 7).clone();
        change_values(model, &node.input[1], |values| values[0] *= 1.01);
        node.output[0].clone()
    };
    let not_a_number: Fault = |model| {
        let node = nth(model, "Conv", 100).clone();
        change_values(model, &node.input[1], |values| values[0] = f32::NAN);
        node.output[0].clone()
    };
    for (name, fault) in [
        ("a weight", weight),
        ("permuted channels", permuted_channels),
        ("counted padding", counted_padding),
        ("residual scale", residual_scale),
        ("not a number", not_a_number),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut layer = String::new();
        // The residual networks of the paper have no average pooling with padding.
        let network = match name {
            "counted padding" => "inception_v4",
            _ => "inception_resnet_v2",
        };
        let (theirs, ours) = planted(folder.path(), network, &[], |model| layer = fault(model));
        let report = report(&theirs.path, &ours, 1, &[]);
        assert_eq!(only_fault(&report), layer, "{name}");
        assert_eq!(report["unaligned_b"].as_array().unwrap().len(), 0, "{name}");
    }
}

#[test]
fn another_epsilon_is_found_at_its_batch_normalisation() {
    let folder = tempfile::tempdir().unwrap();
    let mut layer = String::new();
    let (theirs, ours) = planted(
        folder.path(),
        "inception_resnet_v2",
        &["--batch-norm", "kept"],
        |model| {
            let node = nth(model, "BatchNormalization", 40);
            node.attribute
                .iter_mut()
                .find(|a| a.name == "epsilon")
                .unwrap()
                .f = 1e-5;
            layer = node.output[0].clone();
        },
    );
    assert_eq!(only_fault(&report(&theirs.path, &ours, 1, &[])), layer);
}

#[test]
fn a_missing_relu_is_named_and_all_behind_it_is_still_aligned() {
    let folder = tempfile::tempdir().unwrap();
    let (mut without, mut reader) = (String::new(), String::new());
    let (theirs, ours) = planted(folder.path(), "inception_resnet_v2", &[], |model| {
        // In the middle of a branch, so that one layer reads it.
        let nodes = &mut model.graph.as_mut().unwrap().node;
        let place = nodes
            .iter()
            .position(|node| {
                node.op_type == "Relu"
                    && node.output[0].starts_with("inception_resnet_b.3/branch_1/conv_1x1")
            })
            .unwrap();
        let relu = nodes.remove(place);
        without = relu.output[0].clone();
        reader = nodes
            .iter()
            .find(|node| node.input.contains(&without))
            .unwrap()
            .output[0]
            .clone();
        super::rewire(model, &without, &relu.input[0]);
    });
    let report = report(&theirs.path, &ours, 1, &[]);
    assert_eq!(names(&report["unaligned_b"], "value"), [without]);
    assert_eq!(report["unaligned_a"].as_array().unwrap().len(), 0);
    assert_eq!(only_fault(&report), reader);
}

#[test]
fn transposed_maps_of_equal_size_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let mut reader = String::new();
    let (theirs, ours) = planted(folder.path(), "inception_resnet_v2", &[], |model| {
        let nodes = &mut model.graph.as_mut().unwrap().node;
        let place = nodes
            .iter()
            .position(|node| {
                node.op_type == "Relu"
                    && node.output[0].starts_with("inception_resnet_b.2/branch_1/conv_1x1")
            })
            .unwrap();
        let output = nodes[place].output[0].clone();
        reader = nodes
            .iter()
            .find(|node| node.input.contains(&output))
            .unwrap()
            .output[0]
            .clone();
        super::rewire(model, &output, "turned");
        let mut turn = new_node("Transpose", &[&output], "turned");
        turn.attribute.push(integers("perm", &[0, 1, 3, 2]));
        model.graph.as_mut().unwrap().node.insert(place + 1, turn);
    });
    let report = report(&theirs.path, &ours, 1, &[]);
    assert_eq!(names(&report["unaligned_a"], "operator"), ["Transpose"]);
    assert_eq!(report["unaligned_b"].as_array().unwrap().len(), 0);
    assert_eq!(only_fault(&report), reader);
}

#[test]
fn which_is_which_is_said_and_matters() {
    let folder = tempfile::tempdir().unwrap();
    let (theirs, ours) = planted(folder.path(), "inception_resnet_v2", &[], |model| {
        let node = nth(model, "Conv", 10).clone();
        change_values(model, &node.input[1], |values| {
            values.iter_mut().for_each(|value| *value += 0.1);
        });
    });
    let kept = export_small(
        folder.path(),
        "inception_resnet_v2",
        &["--batch-norm", "kept"],
    );
    let kept = {
        let to = folder.path().join("kept.onnx");
        std::fs::rename(kept, &to).unwrap();
        to
    };
    let ours = {
        let again = export_small(folder.path(), "inception_resnet_v2", &[]);
        assert_eq!(again, ours);
        again
    };
    let (forth, back) = (report(&kept, &ours, 0, &[]), report(&ours, &kept, 0, &[]));
    let count = |report: &Value, side: &str| report[side].as_array().unwrap().len();
    assert!(count(&forth, "unaligned_a") > 0 && count(&forth, "unaligned_b") == 0);
    assert_eq!(count(&forth, "unaligned_a"), count(&back, "unaligned_b"));
    assert_eq!(count(&back, "unaligned_a"), 0);
    let said = against(&theirs.path, &ours, &[]).code(1);
    let line = |start: &str| {
        said.stdout
            .lines()
            .find(|line| line.starts_with(start))
            .unwrap()
            .to_string()
    };
    assert!(line("A, checked:").ends_with("foreign.onnx"));
    assert!(line("B, reference:").contains("inception_resnet_v2.onnx"));
    assert!(
        said.stdout.contains("|A - B| <= atol + rtol * |B|"),
        "{}",
        said.stdout
    );
    assert!(said.stdout.contains("parity FAILS"));
}

#[test]
fn nothing_compared_is_a_failure() {
    let folder = tempfile::tempdir().unwrap();
    // Both only turn the image into whole numbers: outputs are equal, and there is no layer of numbers.
    let path = folder.path().join("whole.onnx");
    let ours = export_small(folder.path(), "inception_v4", &[]);
    std::fs::copy(&ours, &path).unwrap();
    change(&path, |model| {
        let graph = model.graph.as_mut().unwrap();
        let mut cast = new_node("Cast", &["image"], "logits");
        cast.attribute.push(AttributeProto {
            name: "to".into(),
            i: INT64.into(),
            r#type: 2,
            ..Default::default()
        });
        graph.node = vec![cast];
        graph.initializer.clear();
        graph.value_info.clear();
        let mut output = graph.input[0].clone();
        output.name = "logits".into();
        let tensor = output
            .r#type
            .as_mut()
            .unwrap()
            .tensor_type
            .as_mut()
            .unwrap();
        assert_eq!(tensor.elem_type, FLOAT);
        tensor.elem_type = INT64;
        graph.output = vec![output];
        assert!(!model.encode_to_vec().is_empty());
    });
    let said = against(&path, &path, &[]).code(1);
    assert!(
        said.stdout.contains("no layer was compared"),
        "{}",
        said.stdout
    );
}

#[test]
fn a_change_in_two_places_leaves_nothing_between_to_a_guess() {
    let folder = tempfile::tempdir().unwrap();
    // Two ReLUs are gone: what lies between can be told neither from the inputs nor from the outputs alone.
    let mut gone = vec![];
    let (theirs, ours) = planted(folder.path(), "inception_resnet_v2", &[], |model| {
        for block in [
            "inception_resnet_a.1/branch_1/conv_1x1",
            "inception_resnet_b.8/branch_1/conv_1x1",
        ] {
            let nodes = &mut model.graph.as_mut().unwrap().node;
            let place = nodes
                .iter()
                .position(|node| node.op_type == "Relu" && node.output[0].starts_with(block))
                .unwrap();
            let relu = nodes.remove(place);
            super::rewire(model, &relu.output[0], &relu.input[0]);
            gone.push(relu.output[0].clone());
        }
        assert!(!first_output(model, "Conv", 0).is_empty());
    });
    let found = report(&theirs.path, &ours, 1, &[]);
    let layers = found["runs"][0]["layers"].as_array().unwrap();
    for layer in layers {
        let b = layer["b"].as_str().unwrap();
        assert_eq!(
            layer["a"],
            theirs.names[b].as_str(),
            "aligned with another layer"
        );
    }
    let unaligned = names(&found["unaligned_b"], "value");
    assert!(
        gone.iter().all(|name| unaligned.contains(name)),
        "{unaligned:?}"
    );
}
