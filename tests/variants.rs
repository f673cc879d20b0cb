//! Every network and variant of the zoo, exported from weights that leave nothing trivial, in every runtime: each stage
//! beside libtorch in float64, by `incept check`; and the heads that only some of them have.

#![cfg(feature = "torch")]
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::path::Path;

use incept::exporters::net::{Net, NetOptions};
use incept::exporters::weights::Weights;
use incept::exporters::zoo::{Entry, REGISTRY};
use serde_json::Value;
use support::{Said, incept};

const RUNTIMES: &[&str] = &[
    "ort",
    "rten",
    #[cfg(feature = "tract")]
    "tract",
];

fn build(entry: &Entry, auxiliary_head: bool) -> Option<Net> {
    let options = NetOptions {
        classes: 10,
        width_multiplier: 0.1,
        auxiliary_head,
        ..NetOptions::default()
    };
    entry.build(&options.image_size(75)).ok()
}

/// Exports the network from these weights; returns the model and the file of weights.
fn export(folder: &Path, entry: &Entry, net: &Net, arguments: &[&str]) -> (String, String) {
    let place = |name: &str| folder.join(name).to_str().unwrap().to_string();
    let (model, weights) = (place("model.onnx"), place("weights.safetensors"));
    let random = Weights::randomised(net, 5);
    random.write(Path::new(&weights), &BTreeMap::new()).unwrap();
    let mut command = incept();
    command.args(["export", entry.name, "--variant", entry.variant]);
    command
        .args(support::SMALL)
        .args(["--weights", &weights, "-o", &model]);
    if net.options().auxiliary_head {
        command.arg("--auxiliary-head");
    }
    let said: Said = command.args(arguments).output().unwrap().into();
    said.code(0);
    (model, weights)
}

fn check(model: &str, weights: &str) -> Value {
    let mut command = incept();
    command.args([
        "check",
        model,
        "--weights",
        weights,
        "--no-noise",
        "--batch",
        "1",
        "--json",
        "-",
    ]);
    for runtime in RUNTIMES {
        command.args(["--runtime", runtime]);
    }
    let said: Said = command.output().unwrap().into();
    serde_json::from_str(&said.code(0).stdout).unwrap()
}

#[test]
fn every_variant_holds_in_every_runtime_folded_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    assert!(REGISTRY.len() >= 9, "the zoo has shrunk");
    for entry in REGISTRY {
        let net = build(entry, false).unwrap();
        for batch_norm in ["folded", "kept"] {
            let arguments = ["--batch-norm", batch_norm];
            let (model, weights) = export(folder.path(), entry, &net, &arguments);
            let report = check(&model, &weights);
            let runtimes = report["runtimes"].as_array().unwrap();
            assert_eq!(runtimes.len(), RUNTIMES.len());
            for stage in net.stages().iter().filter(|stage| !spared(&stage.name)) {
                let name = net.at(stage.output).name.as_str();
                for runtime in runtimes {
                    let layers = runtime["layers"].as_array().unwrap();
                    let compared = layers.iter().any(|layer| layer["value"] == name);
                    assert!(compared, "{} {}: `{name}`", entry.name, entry.variant);
                }
            }
        }
    }
}

/// What `logits` does not need, and what comes after it.
fn spared(stage: &str) -> bool {
    ["probabilities", "embedding"].contains(&stage) || stage.starts_with("auxiliary")
}

#[test]
fn a_network_with_its_auxiliary_head_exports_without_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut with_head = 0;
    for entry in REGISTRY {
        let Some(net) = build(entry, true) else {
            continue;
        };
        with_head += 1;
        let (model, weights) = export(folder.path(), entry, &net, &[]);
        let report = check(&model, &weights);
        let layers = report["runtimes"][0]["layers"].to_string();
        assert!(!layers.contains("auxiliary"), "{layers}");
        let file = std::fs::read(&model).unwrap();
        let facts = incept::exporters::onnx::ModelFacts::read(&file.into()).unwrap();
        assert!(facts.values.iter().all(|name| !name.contains("auxiliary")));
    }
    assert_eq!(
        with_head, 4,
        "both Inception-v3, Inception-v4, Inception-ResNet-v2"
    );
}
