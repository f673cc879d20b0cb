//! The manifest: every hash in it is computed anew here, from the bytes where it says they are.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use incept_exporters::net::{Net, NetOptions};
use incept_exporters::onnx::{
    self, BatchNorm, Destination, ExportOptions, Manifest, Precision, PrecisionOptions, Provenance,
};
use incept_exporters::weights::Weights;
use incept_exporters::zoo;
use onnx_protobuf::{Message, ModelProto};
use sha2::{Digest, Sha256};

fn small(network: &str) -> Net {
    let options = NetOptions {
        classes: 10,
        width_multiplier: 0.1,
        ..NetOptions::default()
    };
    zoo::find(network, None)
        .unwrap()
        .build(&options.image_size(75))
        .unwrap()
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect()
}

fn destination(folder: &Path, external: bool) -> Destination {
    Destination {
        model: folder.join("m.onnx"),
        data: external.then(|| folder.join("m.onnx.data")),
        manifest: Some(folder.join("m.json")),
        provenance: Provenance {
            version: "1.2.3".into(),
            command: vec!["export".into()],
            inputs: BTreeMap::from([("w.safetensors".into(), "ab".into())]),
        },
    }
}

#[test]
fn every_hash_is_that_of_the_bytes_it_points_to() {
    let net = small("inception_resnet_v2");
    let weights = Weights::randomised(&net, 2);
    for precision in [Precision::Fp32, Precision::Fp16] {
        for batch_norm in [BatchNorm::Folded, BatchNorm::Kept] {
            for external in [false, true] {
                let what = format!("{precision}, {batch_norm}, external: {external}");
                let folder = tempfile::tempdir().unwrap();
                let destination = destination(folder.path(), external);
                let options = ExportOptions {
                    batch_norm,
                    precision: PrecisionOptions {
                        precision,
                        ..PrecisionOptions::default()
                    },
                    ..ExportOptions::default()
                };
                let exported = onnx::export(&net, &weights, &options, &destination).unwrap();
                let text = fs::read_to_string(folder.path().join("m.json")).unwrap();
                let manifest: Manifest = serde_json::from_str(&text).unwrap();
                assert_eq!(exported.manifest.as_ref(), Some(&manifest), "{what}");
                assert_eq!(manifest.schema, "incept.manifest/1");
                assert_eq!(manifest.provenance, destination.provenance);
                assert_eq!(manifest.precision, exported.precision);
                assert_eq!(manifest.precision.is_some(), precision == Precision::Fp16);

                let contents: BTreeMap<&str, Vec<u8>> = manifest
                    .files
                    .iter()
                    .map(|file| {
                        (
                            file.path.as_str(),
                            fs::read(folder.path().join(&file.path)).unwrap(),
                        )
                    })
                    .collect();
                let names: Vec<&str> = manifest
                    .files
                    .iter()
                    .map(|file| file.path.as_str())
                    .collect();
                assert_eq!(
                    names,
                    ["m.onnx", "m.onnx.data"][..1 + usize::from(external)],
                    "{what}"
                );
                for file in &manifest.files {
                    let bytes = &contents[file.path.as_str()];
                    assert_eq!(
                        (file.bytes, &file.sha256),
                        (bytes.len() as u64, &sha256(bytes)),
                        "{what}"
                    );
                }
                assert_eq!(
                    exported.bytes,
                    manifest.files.iter().map(|file| file.bytes).sum::<u64>()
                );

                let model = ModelProto::parse_from_bytes(&contents["m.onnx"]).unwrap();
                assert_eq!(manifest.ir_version, model.ir_version);
                assert_eq!(i64::from(manifest.opset), model.opset_import[0].version);
                let metadata: BTreeMap<String, String> = model
                    .metadata_props
                    .iter()
                    .map(|entry| (entry.key.clone(), entry.value.clone()))
                    .collect();
                assert_eq!(manifest.metadata, metadata, "{what}");
                assert_eq!(
                    metadata["incept.weights.sha256"],
                    weights.sha256(),
                    "{what}"
                );
                let graph = model.graph.unwrap();
                assert_eq!(manifest.tensors.len(), graph.initializer.len());
                for (told, tensor) in manifest.tensors.iter().zip(&graph.initializer) {
                    assert_eq!(told.name, tensor.name);
                    let shape: Vec<i64> = told.shape.iter().map(|&size| size as i64).collect();
                    assert_eq!(shape, tensor.dims, "{}", told.name);
                    let expected = if tensor.data_type == 10 {
                        "float16"
                    } else {
                        "float32"
                    };
                    assert_eq!(told.element_type, expected, "{}", told.name);
                    let from = told.offset as usize;
                    let bytes = &contents[told.file.as_str()][from..from + told.bytes as usize];
                    assert_eq!(told.sha256, sha256(bytes), "{what}: {}", told.name);
                    if tensor.data_location.value() == 0 {
                        assert_eq!(bytes, tensor.raw_data, "{what}: {}", told.name);
                        assert_eq!(told.file, "m.onnx");
                    } else {
                        assert_eq!(told.file, "m.onnx.data");
                        let offset = tensor
                            .external_data
                            .iter()
                            .find(|entry| entry.key == "offset");
                        assert_eq!(offset.unwrap().value, told.offset.to_string());
                    }
                }
            }
        }
    }
}

#[test]
fn the_same_arguments_give_the_same_manifest_and_the_model_does_not_depend_on_it() {
    let net = small("inception_v4");
    let weights = Weights::initial(&net, 4);
    let folder = tempfile::tempdir().unwrap();
    let files = |manifest: bool, threads: usize| {
        let mut destination = destination(folder.path(), false);
        if !manifest {
            destination.manifest = None;
        }
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            onnx::export(&net, &weights, &ExportOptions::default(), &destination).unwrap()
        });
        [
            fs::read(&destination.model).unwrap(),
            fs::read(folder.path().join("m.json")).unwrap_or_default(),
        ]
    };
    let without = files(false, 2);
    assert!(without[1].is_empty());
    let first = files(true, 1);
    assert!(first == files(true, 3));
    assert!(without[0] == first[0]);
}

#[test]
fn a_manifest_that_cannot_be_written_leaves_no_model() {
    let net = small("inception_v4");
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("m.json")).unwrap();
    let destination = destination(folder.path(), true);
    let error = onnx::export(
        &net,
        &Weights::initial(&net, 0),
        &ExportOptions::default(),
        &destination,
    );
    assert!(error.unwrap_err().to_string().contains("m.json"));
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(left.len(), 1);
}
