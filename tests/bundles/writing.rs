//! What `incept golden write` writes, and that it verifies.

use std::fs;

use incept::golden::{Record, SCHEMA};

use super::support::{NETWORKS, entries, export_small, small};
use super::{bundle, report, verify, write_bundle};

#[test]
fn a_bundle_of_each_network_verifies_layer_by_layer() {
    for network in NETWORKS {
        let folder = tempfile::tempdir().unwrap();
        let path = bundle(folder.path(), network, &[], &["--layers", "--images", "2"]);
        let found = report(&path, &["--layers"], 0);
        assert_eq!(found["schema"], "incept.golden-verify/1");
        assert_eq!(found["holds"], true);
        let layers = found["values"].as_array().unwrap().len();
        assert!(
            layers > 2 * small(network).stages().len(),
            "{network}: {layers} values in two runtimes"
        );
        for runtime in found["runtimes"].as_array().unwrap() {
            let counts = &runtime["counts"];
            assert!(counts["matched"].as_u64().unwrap() > 20, "{counts}");
            assert_eq!(
                (&counts["failed"], &counts["unchecked"]),
                (&0.into(), &0.into())
            );
        }
        // Rounding is far from what the checksums allow.
        for value in found["values"].as_array().unwrap() {
            if let Some(distance) = value["distance"].as_f64() {
                assert!(distance < 0.5, "{network}: {value}");
            }
        }
    }
}

#[test]
fn a_bundle_has_the_layout_of_onnxs_backend_tests() {
    let folder = tempfile::tempdir().unwrap();
    let export = ["--output", "logits,features"];
    let write = ["--data-sets", "2", "--seed", "5"];
    let path = bundle(folder.path(), "inception_v4", &export, &write);
    assert_eq!(entries(folder.path()), ["bundle", "inception_v4.onnx"]);
    assert_eq!(
        entries(&path),
        [
            "data.json",
            "layers.json",
            "model.onnx",
            "tensors.npz",
            "tensors.safetensors",
            "test_data_set_0",
            "test_data_set_1"
        ]
    );
    for set in ["test_data_set_0", "test_data_set_1"] {
        assert_eq!(
            entries(&path.join(set)),
            ["input_0.pb", "output_0.pb", "output_1.pb"]
        );
    }
    let read = |name: &str| fs::read(path.join(name)).unwrap();
    assert_eq!(
        read("model.onnx"),
        fs::read(folder.path().join("inception_v4.onnx")).unwrap()
    );
    assert_ne!(
        read("test_data_set_0/input_0.pb"),
        read("test_data_set_1/input_0.pb"),
        "each data set has another seed"
    );
    let record: Record = serde_json::from_slice(&read("layers.json")).unwrap();
    assert_eq!(record.schema, SCHEMA);
    assert_eq!((record.seed, record.data_sets.len()), (5, 2));
    let outputs: Vec<&str> = record.outputs.iter().map(|o| o.name.as_str()).collect();
    assert_eq!(outputs, ["logits", "features"]);
    let expected = match cfg!(feature = "torch") {
        true => "libtorch, float64",
        false => "ONNX Runtime",
    };
    assert!(record.reference.contains(expected), "{}", record.reference);
    let net = small("inception_v4");
    let names: Vec<&str> = record.data_sets[0]
        .values
        .iter()
        .map(|v| v.name.as_str())
        .collect();
    for stage in net
        .stages()
        .iter()
        .filter(|stage| stage.name != "probabilities")
    {
        let node = &net.at(stage.output).name;
        assert!(names.contains(&node.as_str()), "{node} is not in {names:?}");
    }
    // The same command gives the same bytes, also over the older bundle.
    let before: Vec<Vec<u8>> = ["layers.json", "tensors.npz", "tensors.safetensors"]
        .map(read)
        .into();
    let model = folder.path().join("inception_v4.onnx");
    write_bundle(&path, &model, &write).code(0);
    let after: Vec<Vec<u8>> = ["layers.json", "tensors.npz", "tensors.safetensors"]
        .map(read)
        .into();
    assert!(before == after);
    assert_eq!(entries(folder.path()), ["bundle", "inception_v4.onnx"]);
    verify(&path, &["--runtime", "rten"]).code(0);
}

#[test]
fn bytes_half_precision_and_external_data_make_bundles_too() {
    let folder = tempfile::tempdir().unwrap();
    for (name, export) in [
        ("bytes", &["--input", "image"][..]),
        ("fp16", &["--precision", "fp16"]),
        (
            "fp16 throughout",
            &["--precision", "fp16", "--half-inputs-outputs"],
        ),
        ("external", &["--external-data"]),
        ("several", &["--output", "probabilities,logits"]),
    ] {
        let inside = folder.path().join(name);
        fs::create_dir(&inside).unwrap();
        let path = bundle(&inside, "inception_resnet_v1", export, &["--images", "2"]);
        let found = report(&path, &["--runtime", "ort", "--layers"], 0);
        assert!(found["counts"]["matched"].as_u64().unwrap() > 8, "{name}");
        if name == "external" {
            assert!(entries(&path).contains(&"inception_resnet_v1.onnx.data".to_string()));
            // A bundle with further files of its own is replaced like any.
            let model = inside.join("inception_resnet_v1.onnx");
            write_bundle(&path, &model, &["--images", "2"]).code(0);
        }
    }
}

#[test]
fn a_runtime_can_be_the_reference_of_any_model() {
    let folder = tempfile::tempdir().unwrap();
    let model = export_small(folder.path(), "inception_v4", &[]);
    // Without the metadata it is anybody's.
    let foreign = super::support::spoil(&model, |model| model.metadata_props.clear());
    let path = folder.path().join("foreign");
    write_bundle(&path, &foreign, &["--layers", "--images", "2"]).code(0);
    let record: Record =
        serde_json::from_slice(&fs::read(path.join("layers.json")).unwrap()).unwrap();
    assert!(
        record.reference.contains("without optimisation"),
        "{}",
        record.reference
    );
    assert!(record.data_sets[0].values.len() > 100);
    report(&path, &["--layers"], 0);
    write_bundle(&path, &foreign, &["--reference", "libtorch"]).could_not_run(&[
        "no reference",
        if cfg!(feature = "torch") {
            "metadata"
        } else {
            "no libtorch"
        },
    ]);
    let path = folder.path().join("rten");
    let weights = ["--reference", "rten", "--weights", "w.safetensors"];
    write_bundle(&path, &model, &weights)
        .could_not_run(&["--weights would compute nothing"])
        .hint("leave out --weights");
    write_bundle(
        &path,
        &model,
        &["--reference", "rten", "--outputs", "logits"],
    )
    .code(0);
    report(&path, &["--runtime", "ort"], 0);
}

#[test]
fn what_would_make_no_bundle_is_refused_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let model = export_small(folder.path(), "inception_v4", &[]);
    let path = folder.path().join("bundle");
    let refused = |arguments: &[&str], parts: &[&str]| {
        let said = write_bundle(&path, &model, arguments).could_not_run(parts);
        assert_eq!(entries(folder.path()), ["inception_v4.onnx"]);
        said
    };
    refused(&["--images", "0"], &["--images", "1 to 4096", "found 0"]);
    refused(&["--data-sets", "5000"], &["--data-sets", "found 5000"]);
    refused(
        &["--outputs", "logits,reduction_a/concatenat"],
        &[
            "`reduction_a/concatenat`",
            "the nearest is `reduction_a/concatenate`",
        ],
    );
    refused(&["--reference", "orts"], &["no runtime is called `orts`"]).hint("`ort`");
    let missing = folder.path().join("nowhere/bundle");
    write_bundle(&missing, &model, &[])
        .could_not_run(&["nowhere"])
        .hint("create the folder");
    write_bundle(&path, &folder.path().join("none.onnx"), &[]).could_not_run(&["none.onnx"]);

    // A folder of other things stays as it is; an empty one is taken.
    fs::create_dir(&path).unwrap();
    fs::write(path.join("letter.txt"), "dear").unwrap();
    write_bundle(&path, &model, &[])
        .could_not_run(&["no bundle that could be replaced", "letter.txt"])
        .hint("holds a bundle");
    assert_eq!(entries(&path), ["letter.txt"]);
    fs::remove_file(path.join("letter.txt")).unwrap();
    write_bundle(&path, &model, &[]).code(0);
    fs::write(path.join("letter.txt"), "dear").unwrap();
    write_bundle(&path, &model, &[]).could_not_run(&["`letter.txt`, which is no part"]);
    assert!(path.join("model.onnx").exists());
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    write_bundle(&file, &model, &[]).could_not_run(&["found no folder"]);
    // What only looks like one of ours is not replaced.
    let other = folder.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("layers.json"), "{}").unwrap();
    write_bundle(&other, &model, &[]).could_not_run(&["layers.json"]);
}

#[cfg(feature = "torch")]
#[test]
fn a_reference_of_other_weights_is_refused() {
    use incept::exporters::weights::Weights;

    let folder = tempfile::tempdir().unwrap();
    let weights = folder.path().join("weights.safetensors");
    let save = |seed| {
        Weights::randomised(&small("inception_v4"), seed)
            .write(&weights, &std::collections::BTreeMap::new())
            .unwrap();
    };
    save(1);
    let given = ["--weights", weights.to_str().unwrap()];
    let model = export_small(folder.path(), "inception_v4", &given);
    let path = folder.path().join("bundle");
    write_bundle(&path, &model, &[])
        .could_not_run(&["exported from a weights file"])
        .hint("--weights FILE");
    write_bundle(&path, &model, &given).code(0);
    report(&path, &["--layers"], 0);
    save(2);
    write_bundle(&path, &model, &given).could_not_run(&["other weights", "SHA-256"]);
    report(&path, &[], 0);
}
