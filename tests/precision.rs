//! Half precision and external data in ONNX Runtime: loaded, run, and beside the float32 file of the same weights.

#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;

use incept::exporters::onnx::{
    self, BatchNorm, Destination, ExportOptions, Model, Precision, PrecisionOptions,
};
use incept::exporters::weights::{Weights, random_image};
use incept::runtime::{self, LoadOptions};
use ndarray::{ArrayD, IxDyn};
use support::{NETWORKS, export_small, python, run, small};

fn image() -> ArrayD<f32> {
    let shape = [2, 3, 75, 75];
    ArrayD::from_shape_vec(IxDyn(&shape), random_image(7, shape.iter().product())).unwrap()
}

fn logits(model: &[u8]) -> ArrayD<f32> {
    let ort = runtime::find("ort").unwrap();
    let mut session = ort
        .load(model, LoadOptions::default())
        .unwrap_or_else(|error| panic!("{error}"));
    let mut outputs = session.run(image().view()).unwrap();
    assert_eq!(outputs.len(), 1);
    outputs.remove(0).1
}

/// Largest difference, as a share of the range of the reference.
fn error(found: &ArrayD<f32>, reference: &ArrayD<f32>) -> f32 {
    assert_eq!(found.shape(), reference.shape());
    let fold = |start, pick: fn(f32, f32) -> f32| reference.iter().copied().fold(start, pick);
    let range = fold(f32::NEG_INFINITY, f32::max) - fold(f32::INFINITY, f32::min);
    let differences = found.iter().zip(reference).map(|(a, b)| (a - b).abs());
    // A NaN must not be the smaller one.
    differences.fold(0.0, |worst: f32, d| if d <= worst { worst } else { d }) / range
}

/// One rounding to float16 is within 2^-11 of a number, to bfloat16 within 2^-8. Through some hundred layers, of random
/// signs, ten to twenty of them add up; and they must be there at all.
#[test]
fn half_precision_runs_and_is_as_far_from_float32_as_its_rounding_explains() {
    for network in NETWORKS {
        let net = small(network);
        let weights = Weights::randomised(&net, 3);
        for batch_norm in [BatchNorm::Folded, BatchNorm::Kept] {
            let export = |precision: PrecisionOptions| {
                let (opset, _) = precision.oldest_opset(batch_norm);
                let options = ExportOptions {
                    opset: opset.max(17),
                    batch_norm,
                    precision,
                    ..ExportOptions::default()
                };
                onnx::to_bytes(&net, &weights, &options).unwrap()
            };
            let of = |precision, half_inputs_outputs| PrecisionOptions {
                precision,
                half_inputs_outputs,
                ..PrecisionOptions::default()
            };
            let single = logits(&export(of(Precision::Fp32, false)));
            for (precision, unit) in [
                (Precision::Fp16, 2f32.powi(-11)),
                (Precision::Bf16, 2f32.powi(-8)),
            ] {
                for half_inputs_outputs in [false, true] {
                    let model = export(of(precision, half_inputs_outputs));
                    let found = error(&logits(&model), &single);
                    let what = format!("{network}, {batch_norm}, {precision}: {found}");
                    assert!(found > 0.0 && found < 20.0 * unit, "{what}");
                }
            }
        }
    }
    // A model of other weights is further away than any rounding.
    let net = small("inception_v4");
    let of = |seed| {
        let weights = Weights::randomised(&net, seed);
        logits(&onnx::to_bytes(&net, &weights, &ExportOptions::default()).unwrap())
    };
    assert!(error(&of(4), &of(3)) > 20.0 * 2f32.powi(-8));
}

#[test]
fn tensors_in_a_file_of_their_own_give_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let net = small("inception_resnet_v1");
    let weights = Weights::randomised(&net, 3);
    let options = ExportOptions::default();
    let destination = Destination {
        model: folder.path().join("model.onnx"),
        data: Some(folder.path().join("model.onnx.data")),
        ..Destination::default()
    };
    onnx::export(&net, &weights, &options, &destination).unwrap();
    let model = Model::load(&destination.model).unwrap();
    assert_eq!(model.data_files.len(), 1);
    let one_file = onnx::to_bytes(&net, &weights, &options).unwrap();
    assert_eq!(logits(&model.bytes), logits(&one_file));
    // The command line's check takes such a model too, and inspect says where its tensors lie.
    let path = export_small(folder.path(), "inception_v4", &["--external-data"]);
    let path = path.to_str().unwrap();
    assert!(Path::new(&format!("{path}.data")).exists());
    run(["check", path, "--batch", "1"]).code(0);
    let said = run(["inspect", path]).code(0);
    assert!(
        said.stdout.contains("inception_v4.onnx.data"),
        "{}",
        said.stdout
    );
}

#[test]
fn what_the_command_line_writes_passes_onnxs_checker_and_counts_what_was_lost() {
    let folder = tempfile::tempdir().unwrap();
    for (precision, arguments) in [
        ("fp16", &["--precision", "fp16"][..]),
        ("bf16", &["--precision", "bf16"]),
        (
            "fp16, kept",
            &["--precision", "fp16", "--batch-norm", "kept"],
        ),
    ] {
        let path = export_small(folder.path(), "inception_resnet_v2", arguments);
        let check = "import onnx, sys; onnx.checker.check_model(sys.argv[1], full_check=True)";
        let checked = python().args(["-c", check]).arg(&path).output().unwrap();
        assert!(
            checked.status.success(),
            "{precision}: {}",
            String::from_utf8_lossy(&checked.stderr)
        );
    }
    let mut command = support::incept();
    command.args(["export", "inception_v4", "--precision", "fp16", "-o"]);
    command
        .arg(folder.path().join("told.onnx"))
        .args(support::SMALL);
    let said: support::Said = command.output().unwrap().into();
    let said = said.code(0);
    assert!(
        said.stderr.contains("numbers rounded once, 0 clamped"),
        "{}",
        said.stderr
    );
}
