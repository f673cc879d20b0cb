//! `incept check`: good models pass, every planted fault is found.

#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;

use serde_json::Value;
use support::{
    NETWORKS, Said, change_values, entries, export_small, incept, node, run, small, spoil,
};

fn check(model: &Path, arguments: &[&str]) -> Said {
    let mut command = incept();
    command.arg("check").arg(model).args(arguments);
    command.output().unwrap().into()
}

/// The report on standard output, which must be JSON and nothing else.
fn json(said: &Said) -> Value {
    serde_json::from_str(&said.stdout)
        .unwrap_or_else(|error| panic!("not only JSON: {error}\n{}", said.stdout))
}

/// Names of the values that failed, each once.
fn failed_values(report: &Value) -> Vec<String> {
    let mut names: Vec<String> = vec![];
    for runtime in report["runtimes"].as_array().unwrap() {
        for comparison in runtime["comparisons"].as_array().unwrap() {
            let name = comparison["value"].as_str().unwrap().to_string();
            if comparison["verdict"] == "fails" && !names.contains(&name) {
                assert!(!comparison["reason"].as_str().unwrap().is_empty());
                names.push(name);
            }
        }
    }
    names
}

#[test]
fn good_models_pass() {
    let folder = tempfile::tempdir().unwrap();
    for network in NETWORKS {
        for arguments in [
            &[][..],
            &["--batch-norm", "kept", "--opset", "22"],
            &["--output", "probabilities", "--seed", "4"],
            &["--output", "features", "--batch", "2"],
        ] {
            let model = export_small(folder.path(), network, arguments);
            let said = check(&model, &[]).code(0);
            assert!(said.stdout.contains("parity holds"), "{}", said.stdout);
            // The formula and its tolerance stand beside the verdict.
            for part in [
                "max|actual - reference| <= tolerance",
                "tolerance 1e-5",
                "top-1",
            ] {
                assert!(said.stdout.contains(part), "{part}: {}", said.stdout);
            }
        }
        let model = export_small(folder.path(), network, &["--batch-norm", "kept"]);
        let layers = check(&model, &["--layers", "--batch", "1"]).code(0);
        let kept = small(network).cost().batch_norms;
        assert!(
            layers.stdout.matches("/batch_norm").count() >= kept,
            "{network}: every layer is compared"
        );
    }
}

#[test]
fn json_on_standard_output_is_all_there_is() {
    let folder = tempfile::tempdir().unwrap();
    let model = export_small(folder.path(), "inception_v4", &[]);
    let said = check(&model, &["--json", "-", "--batch", "2", "--batch", "5"]).code(0);
    let report = json(&said);
    assert_eq!(report["schema"], "incept.check/1");
    assert_eq!(report["holds"], true);
    assert_eq!(report["network"], "inception_v4");
    assert_eq!(report["variant"], "paper");
    assert_eq!(report["tolerance"], 1e-5);
    let provenance = &report["provenance"];
    assert_eq!(provenance["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(provenance["command"][0], "check");
    let hash = provenance["inputs"][model.to_str().unwrap()].as_str();
    let sha256 = incept::provenance::sha256_of_file(&model).unwrap();
    assert_eq!(hash, Some(sha256.as_str()));
    let runtimes: Vec<&str> = report["runtimes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|runtime| runtime["runtime"].as_str().unwrap())
        .collect();
    assert_eq!(runtimes, ["ort", "rten"]);
    // Every stage and the output, in both batches.
    let comparisons = report["runtimes"][1]["comparisons"].as_array().unwrap();
    let names: Vec<(&str, u64)> = comparisons
        .iter()
        .map(|c| (c["value"].as_str().unwrap(), c["batch"].as_u64().unwrap()))
        .collect();
    let net = small("inception_v4");
    let outputs = net.stages()[..8]
        .iter()
        .map(|stage| net.at(stage.output).name.as_str());
    let values: Vec<&str> = outputs.chain(["logits, file as it is"]).collect();
    let expected: Vec<(&str, u64)> = [2, 5]
        .into_iter()
        .flat_map(|batch| values.iter().map(move |value| (*value, batch)))
        .collect();
    assert_eq!(names, expected);
    for comparison in comparisons {
        let metrics = &comparison["metrics"];
        assert!(metrics["max_absolute_error"].as_f64().unwrap() < 1e-4);
        assert!(metrics["cosine"].as_f64().unwrap() > 0.999_999);
        assert!(metrics["elements"].as_u64().unwrap() > 0);
    }
    // The same as a file, beside the table on standard output.
    let path = folder.path().join("check.json");
    let to_file = check(&model, &["--json", path.to_str().unwrap()]).code(0);
    assert!(to_file.stdout.contains("parity holds"));
    let written: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!(written["schema"], "incept.check/1");
    assert_eq!(entries(folder.path()), ["check.json", "inception_v4.onnx"]);
    // Seeded images: the same command, the same numbers.
    assert_eq!(
        json(&check(
            &model,
            &["--json", "-", "--batch", "2", "--batch", "5"]
        )),
        report
    );
}

/// No correct float32 runtime agrees to the last bit with another: a tolerance of nothing must fail.
#[test]
fn a_tolerance_of_nothing_fails() {
    let folder = tempfile::tempdir().unwrap();
    for network in NETWORKS {
        let model = export_small(folder.path(), network, &[]);
        let said = check(&model, &["--tolerance", "0", "--json", "-"]).code(1);
        let report = json(&said);
        assert_eq!(report["holds"], false);
        assert!(failed_values(&report).contains(&"logits".to_string()));
    }
}

/// A weight that is no number, at the network's start, in its middle and at its end.
#[test]
fn a_nan_is_found_wherever_it_stands() {
    let folder = tempfile::tempdir().unwrap();
    let everywhere = [
        ("stem.0/conv_3x3/weight", f32::NAN),
        ("stem.0/conv_3x3/weight", f32::INFINITY),
        ("reduction_a/branch_1/conv_3x3/bias", f32::NAN),
        ("logits/weight", f32::NAN),
        ("logits/bias", f32::NEG_INFINITY),
    ];
    for network in NETWORKS {
        let model = export_small(folder.path(), network, &[]);
        let places = if network == NETWORKS[0] { 5 } else { 1 };
        for (tensor, value) in &everywhere[..places] {
            let faulty = spoil(&model, |model| {
                change_values(model, tensor, |values| values[0] = *value);
            });
            let said = check(&faulty, &["--json", "-", "--batch", "1"]).code(1);
            let failed = failed_values(&json(&said));
            assert!(
                failed.contains(&"logits".to_string()),
                "{network}, {value} in `{tensor}`: {failed:?}"
            );
        }
    }
}

/// Whatever the file calls its output now, `logits` is what it promises.
#[test]
fn an_output_renamed_or_left_out_fails() {
    let folder = tempfile::tempdir().unwrap();
    for network in NETWORKS {
        let model = export_small(folder.path(), network, &[]);
        let renamed_throughout = spoil(&model, |model| {
            node(model, "logits").output[0] = "scores".into();
            model.graph.as_mut().unwrap().output[0].name = "scores".into();
        });
        let failed = check(&renamed_throughout, &["--json", "-", "--batch", "1"]).code(1);
        assert_eq!(
            failed_values(&json(&failed)),
            ["logits", "logits, file as it is"],
            "{network}"
        );
        // `logits` is computed still, but it is another value that the file puts out.
        let other_output = spoil(&model, |model| {
            let graph = model.graph.as_mut().unwrap();
            graph.output[0].name = "features".into();
            graph.output[0].r#type = None;
        });
        let failed = check(&other_output, &["--json", "-", "--batch", "1"]).code(1);
        assert_eq!(
            failed_values(&json(&failed)),
            ["logits", "logits, file as it is"],
            "{network}"
        );
        // The classifier is gone altogether.
        let cut = spoil(&model, |model| {
            let graph = model.graph.as_mut().unwrap();
            graph.node.retain(|node| node.name != "logits");
            graph.initializer.retain(|t| !t.name.starts_with("logits/"));
            graph.output[0].name = "features".into();
            graph.output[0].r#type = None;
        });
        let failed = check(&cut, &["--json", "-", "--batch", "1"]).code(1);
        assert_eq!(
            failed_values(&json(&failed)),
            ["logits", "logits, file as it is"],
            "{network}"
        );
    }
}

/// A stage whose value is no longer computed under its name cannot be compared, and that is a failure.
#[test]
fn a_stage_that_is_missing_fails() {
    let folder = tempfile::tempdir().unwrap();
    let model = export_small(folder.path(), "inception_v4", &[]);
    let faulty = spoil(&model, |model| {
        for node in &mut model.graph.as_mut().unwrap().node {
            for name in node.input.iter_mut().chain(&mut node.output) {
                if name == "reduction_a/concatenate" {
                    *name = "something_else".into();
                }
            }
        }
        let infos = &mut model.graph.as_mut().unwrap().value_info;
        infos.retain(|info| info.name != "reduction_a/concatenate");
    });
    let failed = check(&faulty, &["--json", "-", "--batch", "1"]).code(1);
    assert_eq!(failed_values(&json(&failed)), ["reduction_a/concatenate"]);
}

#[cfg(not(feature = "torch"))]
#[test]
fn one_runtime_beside_nothing_is_no_check() {
    let folder = tempfile::tempdir().unwrap();
    let model = export_small(folder.path(), "inception_v4", &[]);
    let said = check(&model, &["--runtime", "ort"]).code(1);
    assert!(
        said.stdout.contains("nothing was compared"),
        "{}",
        said.stdout
    );
    assert!(said.stderr.contains("no libtorch"), "{}", said.stderr);
}

#[test]
fn a_graph_that_cannot_be_computed_could_not_be_checked() {
    let folder = tempfile::tempdir().unwrap();
    let model = export_small(folder.path(), "inception_v4", &[]);
    let faulty = spoil(&model, |model| {
        node(model, "inception_a.1/concatenate").op_type = "NoSuchOperator".into();
    });
    check(&faulty, &[])
        .could_not_run(&["cannot load the model", "NoSuchOperator"])
        .hint("incept doctor");
    run(["check"]).could_not_run(&["MODEL.onnx"]);
}

/// Faults that leave a model every runtime computes alike: only a reference of another make finds them.
#[cfg(feature = "torch")]
mod beside_libtorch {
    use std::collections::BTreeMap;

    use incept::exporters::onnx::proto::ModelProto;
    use incept::exporters::weights::Weights;

    use super::*;

    /// Plants a fault in a model exported with these arguments; `stage` is the first whose value it changes.
    fn found(network: &str, arguments: &[&str], stage: &str, fault: impl FnOnce(&mut ModelProto)) {
        let folder = tempfile::tempdir().unwrap();
        let model = export_small(folder.path(), network, arguments);
        let faulty = spoil(&model, fault);
        let arguments = ["--runtime", "ort", "--batch", "1", "--json", "-"];
        let said = check(&faulty, &arguments).code(1);
        let failed = failed_values(&json(&said));
        let first = failed.first().map(String::as_str).unwrap_or_default();
        assert!(
            first.starts_with(stage),
            "{network}: the first to fail is `{first}`, expected `{stage}`"
        );
    }

    #[test]
    fn one_weight_changed() {
        for network in NETWORKS {
            found(network, &[], "stem", |model| {
                change_values(model, "stem.0/conv_3x3/weight", |values| values[5] += 0.05);
            });
        }
    }

    /// A filter whose values ReLU sets to zero for every pixel of these images hides its fault from all later values; with
    /// `--layers` the value before ReLU is compared too.
    #[test]
    fn one_weight_changed_in_a_dead_filter() {
        let folder = tempfile::tempdir().unwrap();
        let model = export_small(folder.path(), "inception_resnet_v1", &[]);
        let faulty = spoil(&model, |model| {
            change_values(model, "reduction_b/branch_0/conv_1x1/weight", |values| {
                values[5] += 0.05;
            });
        });
        let arguments = [
            "--runtime",
            "ort",
            "--layers",
            "--batch",
            "1",
            "--json",
            "-",
        ];
        let said = check(&faulty, &arguments).code(1);
        assert_eq!(
            failed_values(&json(&said)),
            ["reduction_b/branch_0/conv_1x1/batch_norm"]
        );
    }

    #[test]
    fn padding_counted_in_one_average_pool() {
        found("inception_v4", &[], "inception_b", |model| {
            let pool = node(model, "inception_b.3/branch_3/average_pool_3x3");
            let attribute = pool
                .attribute
                .iter_mut()
                .find(|attribute| attribute.name == "count_include_pad");
            attribute.unwrap().i = 1;
        });
    }

    #[test]
    fn another_epsilon_in_one_layer() {
        for network in NETWORKS {
            found(network, &["--batch-norm", "kept"], "stem", |model| {
                let layer = node(model, "stem.0/conv_3x3/batch_norm");
                assert_eq!(layer.attribute[0].name, "epsilon");
                assert_eq!(layer.attribute[0].f, 0.001);
                layer.attribute[0].f = 1e-5;
            });
        }
    }

    #[test]
    fn a_missing_relu() {
        for network in ["inception_resnet_v1", "inception_resnet_v2"] {
            found(network, &[], "inception_resnet_c", |model| {
                node(model, "inception_resnet_c.4/relu").op_type = "Identity".into();
            });
        }
    }

    #[test]
    fn another_residual_scale() {
        for network in ["inception_resnet_v1", "inception_resnet_v2"] {
            found(network, &[], "inception_resnet_b", |model| {
                change_values(model, "inception_resnet_b.9/add/scale", |values| {
                    assert_eq!(values, [0.1]);
                    values[0] = 0.11;
                });
            });
        }
    }

    #[test]
    fn branches_in_another_order() {
        // Branches of equal width: every shape still fits.
        found("inception_v4", &[], "inception_a", |model| {
            node(model, "inception_a.3/concatenate").input.swap(0, 1);
        });
        found("inception_resnet_v1", &[], "inception_resnet_a", |model| {
            node(model, "inception_resnet_a.0/concatenate")
                .input
                .swap(1, 2);
        });
    }

    #[test]
    fn logits_of_two_classes_exchanged() {
        found("inception_resnet_v2", &[], "logits", |model| {
            change_values(model, "logits/bias", |values| values[3] = 0.01);
        });
    }

    /// A model beside weights that are not its own.
    #[test]
    fn other_weights() {
        let folder = tempfile::tempdir().unwrap();
        let net = small("inception_v4");
        let [mine, others] = [1, 2].map(|seed| {
            let path = folder.path().join(format!("{seed}.safetensors"));
            Weights::randomised(&net, seed)
                .write(&path, &BTreeMap::new())
                .unwrap();
            path.to_str().unwrap().to_string()
        });
        let model = export_small(folder.path(), "inception_v4", &["--weights", &mine]);
        check(&model, &["--weights", &mine]).code(0);
        let said = check(&model, &["--weights", &others]).code(1);
        assert!(
            said.stderr.contains("exported from other weights"),
            "{}",
            said.stderr
        );
        check(&model, &[])
            .could_not_run(&["was exported from a weights file"])
            .hint("--weights FILE");
    }
}
