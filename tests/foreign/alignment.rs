//! What is the same layer is found to be, whatever it is called.

use std::path::Path;

use incept::exporters::onnx::proto::{FLOAT, ModelProto, UINT8};
use serde_json::Value;

use super::support::{export_small, python};
use super::{against, change, foreign, names, new_node, report, scalar};

/// The pairs of a report's only run.
fn pairs(report: &Value) -> Vec<(String, String)> {
    let layers = &report["runs"][0]["layers"];
    names(layers, "a")
        .into_iter()
        .zip(names(layers, "b"))
        .collect()
}

#[test]
fn a_renamed_and_reordered_file_is_aligned_whole_and_rightly() {
    let folder = tempfile::tempdir().unwrap();
    for network in ["inception_v4", "inception_resnet_v2"] {
        let ours = export_small(folder.path(), network, &[]);
        let theirs = foreign(&ours);
        let report = report(&theirs.path, &ours, 0, &[]);
        let pairs = pairs(&report);
        assert!(pairs.len() > 200, "{network}: {} layers", pairs.len());
        assert_eq!(report["aligned"].as_u64(), Some(pairs.len() as u64));
        assert_eq!(report["runs"][0]["compared"], report["aligned"]);
        for side in ["unaligned_a", "unaligned_b"] {
            assert_eq!(
                report[side].as_array().unwrap().len(),
                0,
                "{network}, {side}"
            );
        }
        for (a, b) in pairs {
            assert_eq!(theirs.names[&b], a, "{network}: not the same layer");
        }
        let notes = report["notes"].to_string();
        assert!(notes.contains("inputs are paired in order"), "{notes}");
    }
}

#[test]
fn folded_batch_normalisation_is_the_layer_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let kept = export_small(folder.path(), "inception_v4", &["--batch-norm", "kept"]);
    let kept_there = foreign(&kept);
    let folded = export_small(folder.path(), "inception_v4", &[]);
    let report = report(&kept_there.path, &folded, 0, &[]);
    assert_eq!(report["unaligned_b"].as_array().unwrap().len(), 0);
    // The convolutions without their scale are in the one file only.
    let unaligned = names(&report["unaligned_a"], "operator");
    assert_eq!(unaligned.len(), 149);
    assert!(unaligned.iter().all(|operator| operator == "Conv"));
    for (a, b) in pairs(&report) {
        assert_eq!(kept_there.names[&b], a);
    }
}

#[test]
fn what_a_quantiser_makes_of_a_file_is_aligned_and_its_differences_are_seen() {
    let folder = tempfile::tempdir().unwrap();
    let fp32 = export_small(folder.path(), "inception_resnet_v1", &[]);
    let int8 = folder.path().join("int8.onnx");
    std::fs::copy(&fp32, &int8).unwrap();
    change(&int8, quantise);
    let failed = report(&int8, &fp32, 1, &[]);
    assert_eq!(failed["unaligned_a"].as_array().unwrap().len(), 0);
    assert_eq!(failed["unaligned_b"].as_array().unwrap().len(), 0);
    // A ReLU that the quantiser took out, since its numbers stop at 0: its layer is what comes back from 8 bits.
    let relu = pairs(&failed)
        .into_iter()
        .find(|(_, b)| b.ends_with("/relu"))
        .unwrap();
    assert!(relu.0.ends_with("_dequantised"), "{relu:?}");
    report(&int8, &fp32, 0, &["--rtol", "0.5"]);
}

/// Every ReLU becomes a quantisation to uint8 with the zero point 0, and back.
fn quantise(model: &mut ModelProto) {
    let graph = model.graph.as_mut().unwrap();
    graph
        .initializer
        .push(scalar("step", FLOAT, &0.02_f32.to_le_bytes()));
    graph.initializer.push(scalar("zero", UINT8, &[0]));
    let mut nodes = vec![];
    let mut renamed = vec![];
    for node in std::mem::take(&mut graph.node) {
        if node.op_type != "Relu" {
            nodes.push(node);
            continue;
        }
        let (quantised, back) = (
            format!("{}_quantised", node.output[0]),
            format!("{}_dequantised", node.output[0]),
        );
        nodes.push(new_node(
            "QuantizeLinear",
            &[&node.input[0], "step", "zero"],
            &quantised,
        ));
        nodes.push(new_node(
            "DequantizeLinear",
            &[&quantised, "step", "zero"],
            &back,
        ));
        renamed.push((node.output[0].clone(), back));
    }
    graph.node = nodes;
    for (from, to) in renamed {
        super::rewire(model, &from, &to);
    }
}

#[test]
fn half_precision_is_compared_with_single() {
    let folder = tempfile::tempdir().unwrap();
    let half = export_small(
        folder.path(),
        "inception_resnet_v1",
        &["--precision", "fp16"],
    );
    let half = {
        let to = folder.path().join("half.onnx");
        std::fs::rename(half, &to).unwrap();
        to
    };
    let single = export_small(folder.path(), "inception_resnet_v1", &[]);
    assert_eq!(
        report(&half, &single, 1, &[])["unaligned_b"]
            .as_array()
            .unwrap()
            .len(),
        0
    );
    report(&half, &single, 0, &["--rtol", "2e-2"]);
}

#[test]
fn a_small_window_gives_the_same_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let ours = export_small(folder.path(), "inception_resnet_v1", &[]);
    let theirs = foreign(&ours);
    let mut whole = report(&theirs.path, &ours, 0, &["--batch", "2"]);
    let mut small = report(&theirs.path, &ours, 0, &["--batch", "2", "--window", "0"]);
    let held = |report: &Value| report["runs"][0]["most_held"].as_u64().unwrap();
    assert!(
        held(&small) < held(&whole),
        "{} and {}",
        held(&small),
        held(&whole)
    );
    for report in [&mut whole, &mut small] {
        let run = report["runs"][0].as_object_mut().unwrap();
        run.remove("most_held");
        report["provenance"]
            .as_object_mut()
            .unwrap()
            .remove("command");
        // Where a window ends, a runtime cannot fuse: numbers may differ by rounding, names and verdicts not.
        for layer in report["runs"][0]["layers"].as_array_mut().unwrap() {
            for key in ["accumulated", "isolated"] {
                assert_eq!(layer[key]["verdict"], "holds", "{layer}");
                layer.as_object_mut().unwrap().remove(key);
            }
        }
    }
    assert_eq!(whole, small);
}

#[test]
fn values_come_from_a_file_where_one_is_given() {
    let folder = tempfile::tempdir().unwrap();
    let ours = export_small(folder.path(), "inception_v4", &[]);
    let npz = folder.path().join("values.npz");
    let script = "import numpy, sys; numpy.savez_compressed(sys.argv[1], image=numpy.linspace(-1, 1, 2 * 3 * 75 * 75, dtype='float32').reshape(2, 3, 75, 75))";
    assert!(
        python()
            .args(["-c", script])
            .arg(&npz)
            .status()
            .unwrap()
            .success()
    );
    let npz = npz.to_str().unwrap();
    let found = report(&ours, &ours, 0, &["--input", npz]);
    assert_eq!(found["inputs"]["image"].to_string(), "[2,3,75,75]");
    std::fs::write(folder.path().join("none.npz"), b"no archive").unwrap();
    let none = folder.path().join("none.npz");
    against(&ours, &ours, &["--input", none.to_str().unwrap()])
        .could_not_run(&["none.npz", "not a whole .npz file"]);
}

#[test]
fn other_interfaces_are_refused_with_both() {
    let folder = tempfile::tempdir().unwrap();
    let ours = export_small(folder.path(), "inception_v4", &[]);
    let other = folder.path().join("other.onnx");
    std::fs::copy(&ours, &other).unwrap();
    let with_more = export_small(
        folder.path(),
        "inception_v4",
        &["--output", "logits,features"],
    );
    // An output is missing in A, and in B.
    for (a, b) in [(&other, &with_more), (&with_more, &other)] {
        against(a, b, &[])
            .could_not_run(&[
                "different outputs",
                "expected, as B has them, ",
                "`features`",
                "found in A",
            ])
            .hint("incept inspect");
    }
    let dynamic = folder.path().join("dynamic.onnx");
    let mut export = super::support::incept();
    export.args(["export", "inception_v4", "--image-size", "dynamic"]);
    export
        .args(["--classes", "10", "--width", "0.1", "-o"])
        .arg(&dynamic);
    super::support::Said::from(export.output().unwrap()).code(0);
    against(&dynamic, &dynamic, &[])
        .could_not_run(&["input `image`", "size 2 is not stated"])
        .hint("--image-size");
    let found = report(&dynamic, &dynamic, 0, &["--image-size", "75x80"]);
    assert_eq!(found["inputs"]["image"].to_string(), "[1,3,75,80]");
    against(&dynamic, &dynamic, &["--shape", "picture=1x3x75x75"])
        .could_not_run(&["no input is called `picture`", "`image`"]);
    against(&other, &other, &["--image-size", "80"])
        .could_not_run(&["expected a shape that goes with", "[1, 3, 80, 80]"]);
    super::support::run([
        Path::new("check"),
        &ours,
        Path::new("--image-size"),
        Path::new("75"),
    ])
    .could_not_run(&["--image-size goes with --against"]);
}
