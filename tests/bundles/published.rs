//! The bundles in `golden/bundles`, which the libraries' own models made (`scripts/golden/bundles.py`): the library's file is made
//! here from the portable generator, recognised, imported and exported, and the bundle verified with the model that results.

use std::path::Path;

use incept::exporters::net::NetOptions;
use incept::exporters::onnx::{self, ExportOptions};
use incept::exporters::weights::{Choice, Recipe, Tensor, import, recognise};
use incept::golden::{Record, VerifyOptions, verify};

use super::libraries::{LISTS, checkpoint, file, golden_folder};

/// Height and width of the bundles' images.
const SIZE: (usize, usize) = (75, 91);

/// The model that incept exports from a library's file, one weight of which may be changed.
fn export(list: &str, folder: &Path, fault: bool) -> std::path::PathBuf {
    let (mut tensors, _) = file(list);
    if fault {
        // One that counts at every size: beside a small map, a wide kernel has weights that meet padding alone.
        let name = "mixed_6a.branch0.conv.weight";
        let (shape, mut values) = (
            tensors[name].shape().to_vec(),
            tensors[name].values().into_owned(),
        );
        values[0] += 1.0;
        tensors.insert(name.into(), Tensor::owned(shape, values));
    }
    let checkpoint = checkpoint(tensors);
    let recognised = recognise(&checkpoint, &Choice::default()).unwrap();
    let options = NetOptions {
        image_height: SIZE.0,
        image_width: SIZE.1,
        classes: recognised.classes.unwrap(),
        ..NetOptions::default()
    };
    let net = recognised.entry.build(&options).unwrap();
    let recipe = Recipe::of(recognised.naming.clone());
    let weights = import(&checkpoint, &net, &recipe).unwrap().weights;
    let path = folder.join("model.onnx");
    let record = std::fs::read(golden_folder("bundles").join(list).join("layers.json")).unwrap();
    let record: Record = serde_json::from_slice(&record).unwrap();
    let outputs = record.outputs.iter();
    let options = ExportOptions {
        outputs: outputs.map(|output| output.name.parse().unwrap()).collect(),
        ..ExportOptions::default()
    };
    let bytes = onnx::to_bytes(&net, &weights, &options).unwrap();
    std::fs::write(&path, bytes).unwrap();
    path
}

fn options(model: std::path::PathBuf) -> VerifyOptions {
    VerifyOptions {
        model: Some(model),
        layers: true,
        ..VerifyOptions::default()
    }
}

#[test]
fn every_runtime_verifies_the_bundle_of_every_library() {
    for (list, ..) in LISTS {
        let folder = tempfile::tempdir().unwrap();
        let model = export(list, folder.path(), false);
        let bundle = golden_folder("bundles").join(list);
        let report = verify(&bundle, &options(model), &mut |_| {}).unwrap();
        let bad: Vec<_> = report
            .values
            .iter()
            .filter(|v| v.verdict != incept::golden::Verdict::Matched)
            .collect();
        assert!(report.holds && bad.is_empty(), "{list}: {bad:#?}");
        // The logits, and the stages and heads by their checksums, in two runtimes.
        assert!(
            report.counts.matched >= 2 * 7,
            "{list}: {:?}",
            report.counts
        );
        let farthest = report
            .values
            .iter()
            .filter_map(|value| value.distance)
            .fold(0.0, f64::max);
        println!(
            "{list}: {} matched, checksums at most {farthest:.2} of what they may move",
            report.counts.matched
        );
        assert!(farthest < 0.5, "{list}: {farthest}");
    }
}

#[test]
fn one_weight_changed_is_found_in_a_librarys_bundle() {
    let list = "facenet_pytorch.inception_resnet_v1";
    let folder = tempfile::tempdir().unwrap();
    let model = export(list, folder.path(), true);
    let bundle = golden_folder("bundles").join(list);
    let report = verify(&bundle, &options(model), &mut |_| {}).unwrap();
    assert!(!report.holds);
    let failed = |kind| {
        report.values.iter().any(|value| {
            value.kind == kind && matches!(value.verdict, incept::golden::Verdict::Failed { .. })
        })
    };
    assert!(failed(incept::golden::Kind::Output) && failed(incept::golden::Kind::Layer));
    assert!(
        report.counts.matched > 0,
        "what comes before the fault is as it was"
    );
}
