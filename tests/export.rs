//! Exported files in the hands of others: onnx's checker and reference evaluator, ONNX Runtime, rten, tract, numpy.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use incept::exporters::net::{Net, NetOptions, Parameter, ParameterKind};
use incept::exporters::onnx::proto::ModelProto;
use incept::exporters::onnx::{self, Batch, BatchNorm, ExportOptions};
use incept::exporters::weights::{Weights, random_image};
use incept::exporters::zoo;
use incept::parity::{DEFAULT_TOLERANCE, compare};
use incept::runtime::{self, LoadOptions, Session};
use ndarray::{ArrayD, IxDyn};
use prost::Message;
use rayon::prelude::*;
use support::{NETWORKS, SMALL, Said, export_small, incept, python, run, small};

/// The operator sets a file is written for, one for each change that touches these networks' operators, up to the newest.
const OPSETS: [u32; 10] = [13, 17, 18, 20, 21, 22, 23, 24, 25, 26];

/// The runtimes that any machine has.
const RUNTIMES: &[&str] = &[
    "ort",
    "rten",
    #[cfg(feature = "tract")]
    "tract",
];

fn image(net: &Net, batch: usize) -> ArrayD<f32> {
    let shape = Net::batch_shape(&net.nodes()[0].shape, batch);
    let values = random_image(7, shape.iter().product());
    ArrayD::from_shape_vec(IxDyn(&shape), values).unwrap()
}

fn load(name: &str, model: &[u8]) -> Box<dyn Session> {
    let runtime = runtime::find(name).unwrap();
    runtime
        .load(model, LoadOptions::default())
        .unwrap_or_else(|error| panic!("{error}"))
}

fn compute(session: &mut dyn Session, image: &ArrayD<f32>) -> (String, ArrayD<f32>) {
    let mut outputs = session
        .run(image.view())
        .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(outputs.len(), 1, "outputs");
    outputs.remove(0)
}

fn run_in(name: &str, model: &[u8], image: &ArrayD<f32>) -> (String, ArrayD<f32>) {
    compute(load(name, model).as_mut(), image)
}

/// Every runtime gives the same output for the same batch, at each of these sizes; returns ONNX Runtime's for the first.
fn agree(what: &str, net: &Net, model: &[u8], batches: &[usize]) -> ArrayD<f32> {
    let references: Vec<(String, ArrayD<f32>)> = {
        let mut session = load("ort", model);
        let run = |&batch| compute(session.as_mut(), &image(net, batch));
        batches.iter().map(run).collect()
    };
    for (&batch, (_, reference)) in batches.iter().zip(&references) {
        assert_eq!(reference.shape()[0], batch, "{what}");
        let largest = reference.iter().fold(0.0f32, |most, v| most.max(v.abs()));
        assert!(
            largest > 1e-3,
            "{what}: outputs of {largest:e} would hide any difference"
        );
    }
    for name in &RUNTIMES[1..] {
        let mut session = load(name, model);
        for (&batch, (output, reference)) in batches.iter().zip(&references) {
            let (named, found) = compute(session.as_mut(), &image(net, batch));
            assert_eq!(named, *output, "{what} in {name}");
            let reference = reference.mapv(f64::from);
            let comparison = compare(output, reference.view(), found.view(), DEFAULT_TOLERANCE);
            assert!(
                comparison.verdict.holds(),
                "{what}, batch {batch}, {name} beside ort: {comparison:?}"
            );
        }
    }
    references.into_iter().next().unwrap().1
}

/// numpy's file format, version 1.0: float32, row-major.
fn write_npy(path: &Path, array: &ArrayD<f32>) {
    let shape: String = array.shape().iter().map(|n| format!("{n},")).collect();
    let mut header = format!("{{'descr':'<f4','fortran_order':False,'shape':({shape})}}");
    let padding = 64 - (10 + header.len() + 1) % 64;
    header += &" ".repeat(padding);
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.bytes());
    bytes.extend(array.iter().flat_map(|value| value.to_le_bytes()));
    fs::write(path, bytes).unwrap();
}

/// Asks onnx's checker, shape inference and, where an image lies beside the model, its reference evaluator.
fn accepted_by_onnx(models: &[PathBuf]) -> String {
    let output = python()
        .args(["scripts/check_onnx.py", "--evaluate", "--tolerance"])
        .arg(format!("{DEFAULT_TOLERANCE:e}"))
        .args(models)
        .output()
        .unwrap();
    let said = Said::from(output);
    assert_eq!(said.code, Some(0), "{}{}", said.stdout, said.stderr);
    println!("{}", said.stdout);
    said.stdout
}

/// Every small network, folded and kept, in every operator set: onnx accepts it, all runtimes load it and agree, and for
/// the first and last operator set onnx's own evaluator, a third implementation of the operators, gives ONNX Runtime's numbers.
/// It computes in float32 as they do, so the tolerance is the one of runtimes among each other (found: below 1e-6).
#[test]
fn every_operator_set_is_accepted_and_computes_the_same() {
    let cases: Vec<(&str, BatchNorm)> = NETWORKS
        .into_iter()
        .flat_map(|network| [BatchNorm::Folded, BatchNorm::Kept].map(|kind| (network, kind)))
        .collect();
    cases
        .into_par_iter()
        .for_each(|(network, batch_norm)| accepted_in_every_operator_set(network, batch_norm));
}

fn accepted_in_every_operator_set(network: &str, batch_norm: BatchNorm) {
    let folder = tempfile::tempdir().unwrap();
    let net = small(network);
    let weights = Weights::randomised(&net, 11);
    // onnx's evaluator takes BatchNormalization before version 14 for training, even with the one output that by its
    // specification means inference (op_batch_normalization.py, class BatchNormalization_9): kept files are
    // evaluated from 17 on.
    let evaluated = match batch_norm {
        BatchNorm::Folded => [13, 26],
        BatchNorm::Kept => [17, 26],
    };
    let mut models = vec![];
    let mut first: Option<ArrayD<f64>> = None;
    for opset in OPSETS {
        let options = ExportOptions {
            opset,
            batch_norm,
            ..ExportOptions::default()
        };
        let what = format!("{network}-{batch_norm}-{opset}");
        let path = folder.path().join(format!("{what}.onnx"));
        onnx::write(&net, &weights, &options, &path).unwrap();
        let model = fs::read(&path).unwrap();
        // The batch is dynamic: one file takes both.
        let output = agree(&what, &net, &model, &[1, 3]);
        if evaluated.contains(&opset) {
            write_npy(&path.with_extension("onnx.image.npy"), &image(&net, 1));
            write_npy(&path.with_extension("onnx.output.npy"), &output);
        }
        // The files differ in their versions alone, a test of the exporters shows; ONNX Runtime takes other
        // kernels for newer versions of some operators, which round otherwise.
        let first = first.get_or_insert_with(|| output.mapv(f64::from));
        let comparison = compare(&what, first.view(), output.view(), DEFAULT_TOLERANCE);
        assert!(comparison.verdict.holds(), "{what}: {comparison:?}");
        models.push(path);
    }
    let said = accepted_by_onnx(&models);
    assert!(said.contains("10 of 10 files valid"), "{said}");
    assert_eq!(said.matches("reference evaluator differs by").count(), 2);
}

/// Folding rounds each weight once more: the outputs differ by rounding and by no more.
#[test]
fn folding_batch_norm_changes_rounding_alone() {
    for network in NETWORKS {
        let net = small(network);
        let weights = Weights::randomised(&net, 12);
        let [folded, kept] = [BatchNorm::Folded, BatchNorm::Kept].map(|batch_norm| {
            let options = ExportOptions {
                batch_norm,
                ..ExportOptions::default()
            };
            let model = onnx::to_bytes(&net, &weights, &options).unwrap();
            run_in("ort", &model, &image(&net, 2)).1
        });
        let comparison = compare(
            "logits",
            kept.mapv(f64::from).view(),
            folded.view(),
            DEFAULT_TOLERANCE,
        );
        assert!(comparison.verdict.holds(), "{network}: {comparison:?}");
    }
}

#[test]
fn probabilities_are_the_softmax_of_the_logits_and_features_their_input() {
    for network in NETWORKS {
        let net = small(network);
        let folder = tempfile::tempdir().unwrap();
        let outputs: BTreeMap<&str, ArrayD<f32>> = ["logits", "probabilities", "features"]
            .into_iter()
            .map(|output| {
                let path = export_small(folder.path(), network, &["--output", output]);
                let model = fs::read(path).unwrap();
                let (name, values) = run_in("ort", &model, &image(&net, 2));
                assert_eq!(name, output);
                (output, values)
            })
            .collect();
        let weights = Weights::initial(&net, 0);
        let weight = weights.get("logits/weight").unwrap();
        let (features, logits) = (&outputs["features"], &outputs["logits"]);
        let inputs = weight.shape()[1];
        assert_eq!(features.shape(), [2, inputs], "{network}");
        assert_eq!(logits.shape(), [2, 10], "{network}");
        for row in 0..2 {
            let expected: Vec<f64> = (0..10)
                .map(|class| {
                    let products = (0..inputs).map(|i| {
                        f64::from(features[[row, i]])
                            * f64::from(weight.values()[class * inputs + i])
                    });
                    products.sum()
                })
                .collect();
            let largest = expected.iter().fold(0.0f64, |most, v| most.max(v.abs()));
            let sum: f64 = expected.iter().map(|v| v.exp()).sum();
            for (class, expected) in expected.iter().enumerate() {
                let logit = f64::from(logits[[row, class]]);
                assert!(
                    (logit - expected).abs() <= 1e-5 * largest,
                    "{network}: logits"
                );
                let probability = f64::from(outputs["probabilities"][[row, class]]);
                assert!(
                    (probability - expected.exp() / sum).abs() < 1e-5,
                    "{network}: probabilities"
                );
            }
        }
    }
}

#[test]
fn networks_of_full_size_are_accepted_and_computed_the_same_by_all() {
    let folder = tempfile::tempdir().unwrap();
    let mut models = vec![];
    for network in NETWORKS {
        let path = folder.path().join(format!("{network}.onnx"));
        let said = run([
            "export".as_ref(),
            network.as_ref(),
            "-o".as_ref(),
            path.as_os_str(),
        ]);
        assert!(said.code(0).stderr.contains("wrote "));
        let net = zoo::find(network, None)
            .unwrap()
            .build(&NetOptions::default())
            .unwrap();
        let model = fs::read(&path).unwrap();
        let output = agree(network, &net, &model, &[1]);
        assert_eq!(output.shape(), [1, 1000]);
        models.push(path);
    }
    let said = accepted_by_onnx(&models);
    assert!(said.contains("3 of 3 files valid"), "{said}");
}

#[test]
fn sizes_that_are_not_square_and_fixed_batches_run() {
    let folder = tempfile::tempdir().unwrap();
    for network in NETWORKS {
        let options = NetOptions {
            image_height: 91,
            image_width: 139,
            classes: 7,
            width_multiplier: 0.1,
            ..NetOptions::default()
        };
        let net = zoo::find(network, None).unwrap().build(&options).unwrap();
        let path = folder.path().join("model.onnx");
        let arguments = ["--image-size", "91x139", "--classes", "7", "--width", "0.1"];
        let mut command = incept();
        command.args(["export", network, "-o"]).arg(&path);
        let said: Said = command
            .args(arguments)
            .args(["--batch", "2", "--seed", "5"])
            .output()
            .unwrap()
            .into();
        said.code(0);
        let model = fs::read(&path).unwrap();
        let fixed = ExportOptions {
            batch: Batch::Fixed(2),
            ..ExportOptions::default()
        };
        assert!(
            model == onnx::to_bytes(&net, &Weights::initial(&net, 5), &fixed).unwrap(),
            "{network}: the program and the library write the same file"
        );
        agree(network, &net, &model, &[2]);
        accepted_by_onnx(std::slice::from_ref(&path));
        // Another batch than the fixed one is an error of the runtime, not a wrong answer.
        let runtime = runtime::find("ort").unwrap();
        let mut session = runtime.load(&model, LoadOptions::default()).unwrap();
        let error = session.run(image(&net, 3).view()).unwrap_err().to_string();
        assert!(error.contains("[3, 3, 91, 139]"), "{error}");
    }
}

#[test]
fn the_same_command_gives_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let export = |network: &str, threads: Option<&str>| {
        let path = folder.path().join("model.onnx");
        let mut command = incept();
        command
            .args(["export", network, "-o"])
            .arg(&path)
            .args(SMALL);
        command.args(["--seed", "3"]);
        threads.map(|count| command.env("RAYON_NUM_THREADS", count));
        Said::from(command.output().unwrap()).code(0);
        fs::read(path).unwrap()
    };
    for network in NETWORKS {
        let bytes = export(network, None);
        assert!(bytes == export(network, None), "{network}: twice");
        assert!(bytes == export(network, Some("1")), "{network}: one thread");
        assert!(
            bytes == export(network, Some("7")),
            "{network}: seven threads"
        );
    }
    assert_eq!(support::entries(folder.path()), ["model.onnx"]);
}

#[test]
fn a_weights_file_gives_what_its_seed_gives() {
    let folder = tempfile::tempdir().unwrap();
    for network in NETWORKS {
        let net = small(network);
        let file = folder.path().join("weights.safetensors");
        Weights::initial(&net, 21)
            .write(&file, &BTreeMap::new())
            .unwrap();
        let decode =
            |path: PathBuf| ModelProto::decode(fs::read(path).unwrap().as_slice()).unwrap();
        let seeded = decode(export_small(folder.path(), network, &["--seed", "21"]));
        let path = file.to_str().unwrap();
        let read = decode(export_small(folder.path(), network, &["--weights", path]));
        assert_eq!(seeded.graph, read.graph, "{network}");
        let entries = |model: &ModelProto| {
            let entries = model.metadata_props.iter();
            entries
                .map(|entry| (entry.key.clone(), entry.value.clone()))
                .collect::<BTreeMap<_, _>>()
        };
        let mut expected = entries(&seeded);
        assert_eq!(
            expected.remove("incept.weights.seed").as_deref(),
            Some("21")
        );
        assert_eq!(expected, entries(&read), "{network}: the hash among them");
    }
}

/// `golden/generator.py` in numpy against what an export holds and what the library gives, bit for bit.
#[test]
fn numpy_generates_the_same_weights_to_the_bit() {
    const REQUESTS: &str = r"
import json, sys
sys.path.insert(0, 'golden')
sys.dont_write_bytecode = True
import generator
for function, seed, name, shape in json.load(sys.stdin):
    arguments = (seed, shape) if function == 'image' else (seed, name, shape)
    values = getattr(generator, function)(*map(lambda x: tuple(x) if isinstance(x, list) else x, arguments))
    sys.stdout.buffer.write(values.astype('<f4').tobytes())
";
    let is_weight = |p: &Parameter| {
        matches!(
            p.kind,
            ParameterKind::ConvolutionWeight | ParameterKind::LinearWeight
        )
    };
    let folder = tempfile::tempdir().unwrap();
    // (function, seed, name, shape) and the values expected.
    let mut requests: Vec<(&str, u64, String, Vec<usize>)> = vec![];
    let mut expected: Vec<f32> = vec![];
    for (network, seed) in NETWORKS.into_iter().zip([0, 1, u64::MAX]) {
        let net = small(network);
        let seed_text = seed.to_string();
        let arguments = ["--batch-norm", "kept", "--seed", &seed_text];
        let path = export_small(folder.path(), network, &arguments);
        let model = ModelProto::decode(fs::read(path).unwrap().as_slice()).unwrap();
        let stored: BTreeMap<String, Vec<f32>> = model
            .graph
            .unwrap()
            .initializer
            .into_iter()
            .map(|tensor| {
                let words = tensor.raw_data.chunks_exact(4);
                let values = words.map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()));
                (tensor.name, values.collect())
            })
            .collect();
        let randomised = Weights::randomised(&net, seed);
        for parameter in net.parameters() {
            if is_weight(&parameter) {
                let name = parameter.name.clone();
                requests.push(("weights", seed, name, parameter.shape.clone()));
                expected.extend(&stored[&parameter.name]);
            } else {
                let start = match parameter.kind {
                    ParameterKind::Gamma | ParameterKind::RunningVariance => 1.0,
                    _ => 0.0,
                };
                assert!(
                    stored[&parameter.name].iter().all(|&v| v == start),
                    "`{}` starts at {start}",
                    parameter.name
                );
            }
            expected.extend(&randomised.get(&parameter.name).unwrap().values()[..]);
            requests.push(("randomised", seed, parameter.name, parameter.shape));
        }
        requests.push(("image", seed, "image".into(), vec![2, 3, 20, 30]));
        expected.extend(random_image(seed, 3600));
    }
    let mut child = python()
        .args(["-c", REQUESTS])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let json = serde_json::to_vec(&requests).unwrap();
    child.stdin.take().unwrap().write_all(&json).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let found: Vec<u32> = output
        .stdout
        .chunks_exact(4)
        .map(|bytes| u32::from_le_bytes(bytes.try_into().unwrap()))
        .collect();
    assert_eq!(found.len(), expected.len());
    let mut at = 0;
    for (function, seed, name, shape) in &requests {
        let range = at..at + shape.iter().product::<usize>();
        let bits = expected[range.clone()].iter().map(|value| value.to_bits());
        assert!(
            bits.eq(found[range.clone()].iter().copied()),
            "{function}({seed}, {name}) differs"
        );
        at = range.end;
    }
    assert!(at > 500_000, "{at} numbers compared");
}
