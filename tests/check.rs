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

/// Names of the layers that fail by themselves, and of the outputs that fail, each once.
fn failed_values(report: &Value) -> Vec<String> {
    let mut names: Vec<String> = vec![];
    let mut add = |name: &Value, reason: &Value| {
        assert!(!reason.as_str().unwrap_or("as if").is_empty());
        let name = name.as_str().unwrap().to_string();
        if !names.contains(&name) {
            names.push(name);
        }
    };
    for runtime in report["runtimes"].as_array().unwrap() {
        for layer in runtime["layers"].as_array().unwrap() {
            if layer["isolated"]["verdict"] != "within_rounding" {
                add(&layer["value"], &layer["isolated"]["reason"]);
            }
        }
        for comparison in runtime["comparisons"].as_array().unwrap() {
            if comparison["verdict"] == "fails" {
                add(&comparison["value"], &comparison["reason"]);
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
            let said = check(&model, &["--no-noise"]).code(0);
            assert!(said.stdout.contains("parity holds"), "{}", said.stdout);
            // The formula stands beside the verdict.
            for part in ["holds where ", "|actual - reference|", "top-1"] {
                assert!(said.stdout.contains(part), "{part}: {}", said.stdout);
            }
        }
        let model = export_small(folder.path(), network, &["--batch-norm", "kept"]);
        let layers = check(&model, &["--layers", "--batch", "2"]).code(0);
        if cfg!(feature = "torch") {
            for part in ["the same run again", "one image alone", "of rounding"] {
                assert!(layers.stdout.contains(part), "{part}: {}", layers.stdout);
            }
        }
        let kept = small(network).cost().batch_norms;
        if cfg!(feature = "torch") {
            assert!(
                layers.stdout.matches("/batch_norm").count() >= kept,
                "{network}: every layer is compared"
            );
        }
    }
}

#[test]
fn json_on_standard_output_is_all_there_is() {
    let folder = tempfile::tempdir().unwrap();
    let model = export_small(folder.path(), "inception_v4", &[]);
    let said = check(&model, &["--json", "-", "--batch", "2", "--batch", "5"]).code(0);
    let report = json(&said);
    assert_eq!(report["schema"], "incept.check/2");
    assert_eq!(report["holds"], true);
    assert_eq!(report["network"], "inception_v4");
    assert_eq!(report["variant"], "paper");
    let rule = if cfg!(feature = "torch") {
        "rounding"
    } else {
        "range"
    };
    assert_eq!(report["rule"]["rule"], rule);
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
    // The output in both batches; without libtorch every stage's value too.
    let comparisons = report["runtimes"][1]["comparisons"].as_array().unwrap();
    let names: Vec<(&str, u64)> = comparisons
        .iter()
        .map(|c| (c["value"].as_str().unwrap(), c["batch"].as_u64().unwrap()))
        .collect();
    let net = small("inception_v4");
    let outputs = net.stages()[..8]
        .iter()
        .map(|stage| net.at(stage.output).name.as_str());
    let values: Vec<&str> = match cfg!(feature = "torch") {
        true => vec!["logits"],
        false => outputs.chain(["logits, file as it is"]).collect(),
    };
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
    assert_eq!(written["schema"], "incept.check/2");
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
        let said = check(&model, &["--atol", "0", "--json", "-"]).code(1);
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

/// What fails where the output is missing.
#[cfg(feature = "torch")]
const LOGITS: &[&str] = &["logits"];
#[cfg(not(feature = "torch"))]
const LOGITS: &[&str] = &["logits", "logits, file as it is"];

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
        assert_eq!(failed_values(&json(&failed)), LOGITS, "{network}");
        // `logits` is computed still, but it is another value that the file puts out.
        let other_output = spoil(&model, |model| {
            let graph = model.graph.as_mut().unwrap();
            graph.output[0].name = "features".into();
            graph.output[0].r#type = None;
        });
        let failed = check(&other_output, &["--json", "-", "--batch", "1"]).code(1);
        assert_eq!(failed_values(&json(&failed)), LOGITS, "{network}");
        // The classifier is gone altogether.
        let cut = spoil(&model, |model| {
            let graph = model.graph.as_mut().unwrap();
            graph.node.retain(|node| node.name != "logits");
            graph.initializer.retain(|t| !t.name.starts_with("logits/"));
            graph.output[0].name = "features".into();
            graph.output[0].r#type = None;
        });
        let failed = check(&cut, &["--json", "-", "--batch", "1"]).code(1);
        assert_eq!(failed_values(&json(&failed)), LOGITS, "{network}");
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

/// The page and the numbers beside it, both whole or neither.
#[test]
fn a_page_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let model = export_small(folder.path(), "inception_v4", &[]);
    let pages = folder.path().join("parity");
    let faulty = spoil(&model, |model| {
        change_values(model, "logits/bias", |values| values[3] = 0.5);
    });
    let arguments = [
        "--report",
        pages.to_str().unwrap(),
        "--batch",
        "1",
        "--no-noise",
    ];
    check(&model, &arguments).code(0);
    assert_eq!(entries(&pages), ["check.html", "check.json"]);
    let page = std::fs::read_to_string(pages.join("check.html")).unwrap();
    assert!(page.contains("Parity holds in "), "{page}");
    for outside in ["http://", "https://", "<script", "src="] {
        assert!(!page.contains(outside), "the page needs {outside}");
    }
    let numbers: Value =
        serde_json::from_slice(&std::fs::read(pages.join("check.json")).unwrap()).unwrap();
    if cfg!(feature = "torch") {
        let layers = numbers["runtimes"][0]["layers"].as_array().unwrap();
        // Two boxes for each layer of both runtimes, and twice the six of the scale.
        assert_eq!(page.matches("<i style=").count(), 4 * layers.len() + 12);
        check(&faulty, &arguments).code(1);
        let page = std::fs::read_to_string(pages.join("check.html")).unwrap();
        for part in ["Parity fails in ", "logits (Gemm)", "cell fails"] {
            assert!(page.contains(part), "{part}");
        }
    }
    let taken = folder.path().join("inception_v4.onnx");
    check(
        &model,
        &[
            "--report",
            taken.to_str().unwrap(),
            "--batch",
            "1",
            "--no-noise",
        ],
    )
    .could_not_run(&["inception_v4.onnx"]);
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

    /// Plants a fault in a model exported with these arguments: `layer` alone must fail by itself, whatever the runtime.
    fn found(network: &str, arguments: &[&str], layer: &str, fault: impl FnOnce(&mut ModelProto)) {
        let folder = tempfile::tempdir().unwrap();
        let model = export_small(folder.path(), network, arguments);
        let faulty = spoil(&model, fault);
        let half = arguments.contains(&"fp16") || arguments.contains(&"bf16");
        // The runtimes differ in their own tests; the verdicts are the same code.
        let both = network == "inception_v4" && !half;
        for runtime in if both { &["ort", "rten"][..] } else { &["ort"] } {
            let arguments = [
                "--runtime",
                runtime,
                "--batch",
                "2",
                "--no-noise",
                "--json",
                "-",
            ];
            let report = json(&check(&faulty, &arguments).code(1));
            let layers = report["runtimes"][0]["layers"].as_array().unwrap();
            let failed: Vec<&Value> = layers
                .iter()
                .filter(|layer| layer["isolated"]["verdict"] != "within_rounding")
                .collect();
            let names: Vec<&str> = failed
                .iter()
                .map(|layer| layer["value"].as_str().unwrap())
                .collect();
            assert_eq!(names, [layer], "{network}, {runtime}");
            let isolated = &failed[0]["isolated"];
            assert_eq!(isolated["verdict"], "structural", "{network}: {isolated}");
        }
    }

    #[test]
    fn one_weight_changed() {
        for network in NETWORKS {
            for arguments in [
                &[][..],
                &["--precision", "fp16"],
                &["--precision", "bf16"],
                &["--precision", "int8"],
            ] {
                let fault = if arguments.is_empty() { 0.001 } else { 1.0 };
                found(network, arguments, "stem.0/conv_3x3/batch_norm", |model| {
                    change_weight(model, "stem.0/conv_3x3/weight", fault);
                });
            }
        }
    }

    /// Adds to one number of a tensor, whatever its type.
    fn change_weight(model: &mut ModelProto, name: &str, by: f32) {
        let graph = model.graph.as_mut().unwrap();
        let mut tensors = graph.initializer.iter_mut();
        let tensor = tensors.find(|tensor| tensor.name == name).unwrap();
        let mut bytes = tensor.raw_data.to_vec();
        match tensor.data_type {
            incept::exporters::onnx::proto::FLOAT => {
                let old = f32::from_le_bytes(bytes[20..24].try_into().unwrap());
                bytes[20..24].copy_from_slice(&(old + by).to_le_bytes());
            }
            incept::exporters::onnx::proto::FLOAT16 => {
                let old = half::f16::from_le_bytes([bytes[10], bytes[11]]);
                let new = half::f16::from_f32(old.to_f32() + by);
                bytes[10..12].copy_from_slice(&new.to_le_bytes());
            }
            // Half the range away.
            incept::exporters::onnx::proto::INT8 => bytes[5] ^= 0x40,
            _ => {
                let old = half::bf16::from_le_bytes([bytes[10], bytes[11]]);
                let new = half::bf16::from_f32(old.to_f32() + by);
                bytes[10..12].copy_from_slice(&new.to_le_bytes());
            }
        }
        tensor.raw_data = bytes.into();
    }

    /// A filter whose values ReLU sets to zero for every pixel of these images hides its fault from all later values;
    /// the value before ReLU does not.
    #[test]
    fn one_weight_changed_in_a_dead_filter() {
        let layer = "reduction_b/branch_0/conv_1x1/batch_norm";
        found("inception_resnet_v1", &[], layer, |model| {
            change_values(model, "reduction_b/branch_0/conv_1x1/weight", |values| {
                values[5] += 0.05;
            });
        });
    }

    /// Every number is there, in other places: filters exchanged, and square kernels turned.
    #[test]
    fn weights_in_another_order() {
        let layer = "inception_a.0/branch_2/conv_3x3_2/batch_norm";
        found("inception_v4", &[], layer, |model| {
            change_values(
                model,
                "inception_a.0/branch_2/conv_3x3_2/weight",
                |values| {
                    let filter = values.len() / 12;
                    let (first, second) = values.split_at_mut(filter);
                    first.swap_with_slice(&mut second[..filter]);
                },
            );
        });
        found("inception_v4", &[], layer, |model| {
            change_values(
                model,
                "inception_a.0/branch_2/conv_3x3_2/weight",
                |values| {
                    for kernel in values.chunks_exact_mut(9) {
                        for (a, b) in [(1, 3), (2, 6), (5, 7)] {
                            kernel.swap(a, b);
                        }
                    }
                },
            );
        });
    }

    #[test]
    fn padding_counted_in_one_average_pool() {
        let layer = "inception_b.3/branch_3/average_pool_3x3";
        for arguments in [&[][..], &["--precision", "fp16"]] {
            found("inception_v4", arguments, layer, |model| {
                let pool = node(model, layer);
                let mut attributes = pool.attribute.iter_mut();
                let counted = attributes.find(|a| a.name == "count_include_pad");
                counted.unwrap().i = 1;
            });
        }
    }

    #[test]
    fn another_epsilon_in_one_layer() {
        for network in NETWORKS {
            let layer = "stem.0/conv_3x3/batch_norm";
            found(network, &["--batch-norm", "kept"], layer, |model| {
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
            for arguments in [&[][..], &["--precision", "bf16"]] {
                found(network, arguments, "inception_resnet_c.4/relu", |model| {
                    node(model, "inception_resnet_c.4/relu").op_type = "Identity".into();
                });
            }
        }
    }

    #[test]
    fn another_residual_scale() {
        for network in ["inception_resnet_v1", "inception_resnet_v2"] {
            found(network, &[], "inception_resnet_b.9/add", |model| {
                change_values(model, "inception_resnet_b.9/add/scale", |values| {
                    assert_eq!(values, [0.1]);
                    values[0] = 0.11;
                });
            });
        }
    }

    /// The residual in the place of what it is added to.
    #[test]
    fn arguments_of_a_sum_exchanged() {
        let layer = "inception_resnet_b.2/add";
        found("inception_resnet_v1", &[], layer, |model| {
            let scaled = node(model, "inception_resnet_b.2/add/scaled").input[0].clone();
            let plain = node(model, layer).input[0].clone();
            node(model, "inception_resnet_b.2/add/scaled").input[0] = plain;
            node(model, layer).input[0] = scaled;
        });
    }

    #[test]
    fn branches_in_another_order() {
        // Branches of equal width: every shape still fits.
        found("inception_v4", &[], "inception_a.3/concatenate", |model| {
            node(model, "inception_a.3/concatenate").input.swap(0, 1);
        });
        let layer = "inception_resnet_a.0/concatenate";
        found("inception_resnet_v1", &[], layer, |model| {
            node(model, layer).input.swap(1, 2);
        });
    }

    #[test]
    fn logits_of_two_classes_exchanged() {
        found("inception_resnet_v2", &[], "logits", |model| {
            change_values(model, "logits/bias", |values| values[3] = 0.01);
        });
    }

    /// Denormal numbers flushed to zero by a runtime, zeros of another sign: neither is a fault, and neither is one that
    /// rounding explains, in half precision or of weights stored as int8.
    #[test]
    fn correct_models_of_every_kind_hold() {
        let folder = tempfile::tempdir().unwrap();
        for network in NETWORKS {
            for arguments in [
                &["--precision", "fp16"][..],
                &["--precision", "bf16", "--batch-norm", "kept"],
                &["--precision", "int8"],
                &["--precision", "int8", "--batch-norm", "kept"],
                &["--precision", "fp16", "--half-inputs-outputs"],
                &["--input", "image", "--batch", "2"],
            ] {
                let model = export_small(folder.path(), network, arguments);
                let half = arguments.contains(&"--precision");
                let runtimes: &[&str] = match half {
                    true => &["--runtime", "ort", "--no-noise"],
                    false => &["--no-noise"],
                };
                check(&model, runtimes).code(0);
            }
        }
        let model = folder.path().join("dynamic.onnx");
        let mut command = incept();
        command.args(["export", "inception_v4", "--image-size", "dynamic"]);
        command
            .args(["--classes", "10", "--width", "0.1", "-o"])
            .arg(&model);
        Said::from(command.output().unwrap()).code(0);
        check(&model, &["--batch", "1"]).code(0);
    }

    /// However little memory, the numbers are the same; with too little nothing is computed.
    #[test]
    fn the_result_does_not_depend_on_the_window() {
        let folder = tempfile::tempdir().unwrap();
        let model = export_small(folder.path(), "inception_resnet_v1", &[]);
        let with = |memory: &str| {
            let arguments = [
                "--batch",
                "9",
                "--runtime",
                "ort",
                "--memory",
                memory,
                "--json",
                "-",
            ];
            check(&model, &arguments)
        };
        let mut wide = json(&with("2GiB").code(0));
        let mut narrow = json(&with("240MiB").code(0));
        for report in [&mut wide, &mut narrow] {
            report["provenance"]["command"].take();
        }
        assert_eq!(wide, narrow);
        with("1MiB")
            .could_not_run(&["--memory: expected at least"])
            .hint("--batch 1");
        with("much").could_not_run(&["--memory", "expected a size such as 2GiB"]);
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

/// Every crop of every image is one of the batch, prepared as the contract says, for models that take floats and bytes.
#[test]
fn images_are_checked_as_the_contract_prepares_them() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_string();
    run(["synth", &at("data"), "--images", "32"]).code(0);
    let data = at("data/val");
    let images = [
        "--images",
        &data,
        "--count",
        "1",
        "--no-noise",
        "--json",
        "-",
    ];
    for arguments in [&[][..], &["--input", "image"]] {
        let model = export_small(folder.path(), "inception_resnet_v1", arguments);
        let said = check(&model, &[&images[..], &["--crops", "12"]].concat());
        let said = said.code(0);
        let report = json(&said);
        assert_eq!(report["holds"], true);
        for runtime in report["runtimes"].as_array().unwrap() {
            for comparison in runtime["comparisons"].as_array().unwrap() {
                assert_eq!(comparison["batch"], 12, "{comparison}");
            }
        }
        let inputs = report["provenance"]["inputs"].as_object().unwrap();
        let images = inputs.keys().filter(|path| path.ends_with(".jpg"));
        assert_eq!(images.count(), 1, "{inputs:?}");
        assert!(
            said.stderr.contains("looked at 1 of the "),
            "{}",
            said.stderr
        );
    }
    let fixed = export_small(folder.path(), "inception_v4", &["--batch", "2"]);
    check(&fixed, &images)
        .could_not_run(&["batch size 1: expected 2, which the model is fixed to"]);
    check(&fixed, &["--images", &data, "--batch", "2"]).could_not_run(&["--batch and --images"]);
    check(&fixed, &["--images", &at("nowhere.png")]).could_not_run(&["nowhere.png"]);
    check(&fixed, &["--images", &data, "--crops", "7"]).could_not_run(&["crop plan `7`"]);
    let whole = export_small(
        folder.path(),
        "inception_v4",
        &["--input", "image", "--resize"],
    );
    check(&whole, &images).could_not_run(&["resizes and crops images itself"]);
}
