//! libtorch as a runtime: the file's graph and tensors, beside the float64 reference that knows neither.

#![allow(clippy::unwrap_used)]
#![cfg(feature = "torch")]

mod support;

use incept::exporters::net::Net;
use incept::exporters::onnx::proto::{ModelProto, NodeProto};
use incept::exporters::onnx::{
    self, BatchNorm, ExportOptions, Input, Output, Precision, PrecisionOptions,
};
use incept::exporters::weights::{Weights, random_image};
use incept::runtime::{self, InputTensor, LoadOptions, Placement, RuntimeError};
use incept::torch::Reference;
use ndarray::{ArrayD, IxDyn};
use prost::Message;
use support::{NETWORKS, change_values, node, small};

fn images() -> ArrayD<f32> {
    let shape = [2, 3, 75, 75];
    ArrayD::from_shape_vec(IxDyn(&shape), random_image(7, shape.iter().product())).unwrap()
}

fn weights(net: &Net) -> Weights {
    Weights::randomised(net, 3)
}

fn reference(net: &Net) -> ArrayD<f64> {
    let reference = Reference::new(net, &weights(net)).unwrap();
    let logits = net.id("logits").unwrap();
    reference.run(images().view(), &[logits]).unwrap().remove(0)
}

fn export(net: &Net, options: &ExportOptions) -> Vec<u8> {
    onnx::to_bytes(net, &weights(net), options).unwrap()
}

fn run(name: &str, model: &[u8]) -> Result<ArrayD<f32>, RuntimeError> {
    let runtime = runtime::find(name).unwrap();
    let mut session = runtime.load(model, LoadOptions::default())?;
    let mut outputs = session.run(images().view())?;
    assert_eq!(outputs.len(), 1);
    Ok(outputs.remove(0).1)
}

/// Largest difference, as a share of the largest value of the reference.
fn error(found: &ArrayD<f32>, reference: &ArrayD<f64>) -> f64 {
    assert_eq!(found.shape(), reference.shape());
    let pairs = found.iter().zip(reference);
    let differences = pairs.map(|(&a, &b)| (f64::from(a) - b).abs());
    // A NaN must not be the smaller one.
    let worst = differences.fold(0.0, |worst: f64, d| if d <= worst { worst } else { d });
    worst
        / reference
            .iter()
            .fold(0.0, |largest: f64, v| largest.max(v.abs()))
}

#[test]
fn the_files_own_graph_computes_the_network() {
    for network in NETWORKS {
        let net = small(network);
        let expected = reference(&net);
        for batch_norm in [BatchNorm::Folded, BatchNorm::Kept] {
            let options = ExportOptions {
                batch_norm,
                ..ExportOptions::default()
            };
            let model = export(&net, &options);
            let of = |name| error(&run(name, &model).unwrap(), &expected);
            let what = format!("{network}, {batch_norm}");
            assert!(of("torch") < 1e-5, "{what}: {}", of("torch"));
            // Only the output, and what folding rounded, is float32.
            let bound = match batch_norm {
                BatchNorm::Folded => 1e-6,
                BatchNorm::Kept => 1e-7,
            };
            assert!(of("torch-f64") < bound, "{what}: {}", of("torch-f64"));
            let bfloat16 = of("torch-bf16");
            let unit = 2_f64.powi(-8);
            assert!(
                bfloat16 > unit / 100.0 && bfloat16 < 20.0 * unit,
                "{what}: {bfloat16}"
            );
        }
    }
}

#[test]
fn half_precision_files_run_in_their_own_types() {
    let net = small("inception_resnet_v2");
    let expected = reference(&net);
    for (precision, native_bfloat16, unit) in [
        (Precision::Fp16, false, 2_f64.powi(-11)),
        (Precision::Bf16, false, 2_f64.powi(-8)),
        (Precision::Bf16, true, 2_f64.powi(-8)),
    ] {
        for batch_norm in [BatchNorm::Folded, BatchNorm::Kept] {
            let precision = PrecisionOptions {
                precision,
                native_bfloat16,
                ..PrecisionOptions::default()
            };
            let options = ExportOptions {
                opset: 22,
                batch_norm,
                precision,
                ..ExportOptions::default()
            };
            let found = error(&run("torch", &export(&net, &options)).unwrap(), &expected);
            let what = format!("{:?}, {batch_norm}: {found}", options.precision);
            assert!(found > unit / 100.0 && found < 20.0 * unit, "{what}");
        }
    }
}

#[test]
fn bytes_features_and_embeddings_run_as_in_onnx_runtime() {
    let bytes = random_image(5, 2 * 75 * 75 * 3);
    let bytes = bytes.iter().map(|value| ((value + 1.0) * 127.5) as u8);
    let bytes = ArrayD::from_shape_vec(IxDyn(&[2, 75, 75, 3]), bytes.collect()).unwrap();
    let mut options = ExportOptions {
        input: Input::Image,
        outputs: vec![Output::Probabilities, Output::Features],
        ..ExportOptions::default()
    };
    for (network, outputs) in [("inception_v4", 2), ("facenet", 1)] {
        let net = match network {
            "facenet" => {
                options.outputs = vec![Output::Embedding];
                let options = small("inception_v4").options().clone();
                let entry = incept::exporters::zoo::find("inception_resnet_v1", Some("facenet"));
                entry.unwrap().build(&options).unwrap()
            }
            name => small(name),
        };
        let model = export(&net, &options);
        let outputs_of = |name| {
            let runtime = runtime::find(name).unwrap();
            let mut session = runtime.load(&model, LoadOptions::default()).unwrap();
            session
                .run_images(InputTensor::Bytes(bytes.view()))
                .unwrap()
        };
        let (torch, ort) = (outputs_of("torch-f64"), outputs_of("ort"));
        assert_eq!(torch.len(), outputs);
        for ((name, torch), (same, ort)) in torch.iter().zip(&ort) {
            assert_eq!(name, same);
            assert!(
                error(torch, &ort.mapv(f64::from)) < 1e-5,
                "{network} {name}"
            );
        }
    }
}

/// Spoils a model in memory.
fn spoilt(model: &[u8], change: impl FnOnce(&mut ModelProto)) -> Vec<u8> {
    let mut decoded = ModelProto::decode(model).unwrap();
    change(&mut decoded);
    let bytes = decoded.encode_to_vec();
    assert!(bytes != model, "the fault changed nothing");
    bytes
}

fn attribute(node: &mut NodeProto, name: &str) -> usize {
    let mut attributes = node.attribute.iter();
    attributes.position(|found| found.name == name).unwrap()
}

/// Faults of the file are found: it is the file that is computed, not the network it names.
#[test]
fn the_files_faults_show() {
    let net = small("inception_v4");
    let expected = reference(&net);
    let model = export(&net, &ExportOptions::default());
    let mut faults: Vec<Vec<u8>> = vec![];
    faults.push(spoilt(&model, |model| {
        change_values(model, "stem.0/conv_3x3/weight", |values| values[5] += 0.05);
    }));
    faults.push(spoilt(&model, |model| {
        let pool = node(model, "inception_b.3/branch_3/average_pool_3x3");
        let at = attribute(pool, "count_include_pad");
        pool.attribute[at].i = 1;
    }));
    faults.push(spoilt(&model, |model| {
        let node = node(model, "inception_a.3/concatenate");
        node.input.swap(0, 1);
    }));
    let kept = ExportOptions {
        batch_norm: BatchNorm::Kept,
        ..ExportOptions::default()
    };
    faults.push(spoilt(&export(&net, &kept), |model| {
        let layer = node(model, "stem.0/conv_3x3/batch_norm");
        layer.attribute[0].f = 1e-5;
    }));
    for (index, fault) in faults.iter().enumerate() {
        let found = error(&run("torch-f64", fault).unwrap(), &expected);
        assert!(found > 1e-6, "fault {index}: {found}");
    }
}

#[test]
fn what_is_not_computed_is_refused_by_name() {
    let net = small("inception_v4");
    let model = export(&net, &ExportOptions::default());
    let refused = |model: &[u8], parts: &[&str]| {
        let said = run("torch", model).unwrap_err().to_string();
        for part in parts {
            assert!(said.contains(part), "`{part}` is not in: {said}");
        }
    };
    let resize = ExportOptions {
        opset: 18,
        input: Input::ImageOfAnySize,
        ..ExportOptions::default()
    };
    refused(
        &export(&net, &resize),
        &["cannot load", "image/", "the operator"],
    );
    let pool = "inception_b.3/branch_3/average_pool_3x3";
    for (name, value) in [("ceil_mode", 1), ("dilations", 2)] {
        let spoilt = spoilt(&model, |model| {
            let mut attribute = node(model, pool).attribute[0].clone();
            attribute.name = name.into();
            attribute.i = value;
            attribute.ints = vec![value; 2];
            node(model, pool).attribute.push(attribute);
        });
        refused(&spoilt, &[pool, name, "found"]);
    }
    let uneven = spoilt(&model, |model| {
        let pool = node(model, pool);
        let at = attribute(pool, "pads");
        pool.attribute[at].ints[3] += 1;
    });
    refused(&uneven, &[pool, "the same on both sides"]);
    let cut = spoilt(&model, |model| {
        let tensor = &mut model.graph.as_mut().unwrap().initializer[0];
        tensor.raw_data = tensor.raw_data.slice(4..);
    });
    refused(&cut, &["tensor `stem.0/conv_3x3/weight`", "bytes, found"]);
    let lost = spoilt(&model, |model| {
        node(model, "inception_a.3/concatenate").input[0] = "nowhere".into();
    });
    refused(&lost, &["inception_a.3/concatenate", "`nowhere`"]);
    let older = spoilt(&model, |model| model.opset_import[0].version = 12);
    refused(&older, &["expected operator set 13", "found 12"]);
    refused(&model[..1000], &["no whole ONNX file"]);

    let runtime = runtime::find("torch").unwrap();
    let mut session = runtime.load(&model, LoadOptions::default()).unwrap();
    let bytes = ArrayD::<u8>::zeros(IxDyn(&[1, 75, 75, 3]));
    let error = session.run_images(InputTensor::Bytes(bytes.view()));
    let said = error.unwrap_err().to_string();
    assert!(said.contains("expected float32, found bytes"), "{said}");
    let error = session.run_named(&[("other", InputTensor::Floats(images().view()))]);
    let said = error.unwrap_err().to_string();
    assert!(said.contains("input `image` is missing"), "{said}");
}

#[test]
fn every_node_ran_on_the_processor_with_the_threads_asked_for() {
    let model = export(&small("inception_resnet_v1"), &ExportOptions::default());
    let torch = runtime::find("torch").unwrap();
    let options = LoadOptions {
        threads: Some(1),
        placement: true,
        ..LoadOptions::default()
    };
    let before = incept::torch::tch::get_num_threads();
    let mut session = torch.load(&model, options).unwrap();
    session.run(images().view()).unwrap();
    session.run(images().view()).unwrap();
    assert_eq!(incept::torch::tch::get_num_threads(), before);
    let placement = session.placement().unwrap();
    placement.require(torch.provider()).unwrap();
    let nodes = ModelProto::decode(model.as_slice())
        .unwrap()
        .graph
        .unwrap()
        .node;
    let Placement::Nodes(placed) = &placement else {
        panic!("{placement:?}");
    };
    assert_eq!(placed.len(), nodes.len());
    let error = placement.require("CUDA device 0").unwrap_err();
    assert!(error.to_string().contains("(Conv) on CPU"), "{error}");
}

#[test]
fn cuda_is_refused_with_the_fix_where_there_is_none() {
    if incept::torch::found().cuda_devices > 0 {
        println!("skipped: there is a CUDA device");
        return;
    }
    for name in ["torch-cuda", "torch-cuda-f64", "torch-cuda-bf16"] {
        let error = runtime::find(name).unwrap().version().unwrap_err();
        assert!(matches!(error, RuntimeError::Missing { .. }), "{error}");
        assert!(error.to_string().contains("cuda:0"), "{error}");
        assert!(error.hint().is_some_and(|hint| !hint.is_empty()));
    }
}
