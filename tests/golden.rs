//! The networks beside other people's implementations: `golden/networks` was computed in float64 by timm's and
//! facenet-pytorch's modules (`scripts/golden/networks.py`), with weights and image of the portable generator.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;

use incept::exporters::net::{Net, NetOptions};
use incept::exporters::onnx::{self, BatchNorm, ExportOptions};
use incept::exporters::weights::{Tensor, Weights, random_image};
use incept::exporters::zoo;
use incept::runtime::{self, LoadOptions};
use ndarray::{ArrayD, IxDyn};

const NETWORKS: [&str; 3] = ["inception_v4", "inception_resnet_v1", "inception_resnet_v2"];
const SHAPE: [usize; 4] = [2, 3, 107, 139];

/// Values of the golden file by name: float64, and positions as they are stored.
fn golden(network: &str) -> BTreeMap<String, Vec<f64>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(format!("golden/networks/{network}.safetensors"));
    let bytes = std::fs::read(path).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let numbers = |view: &safetensors::tensor::TensorView<'_>| {
        view.data()
            .as_chunks::<8>()
            .0
            .iter()
            .map(|&b| match view.dtype() {
                safetensors::Dtype::F64 => f64::from_le_bytes(b),
                _ => i64::from_le_bytes(b) as f64,
            })
            .collect()
    };
    file.tensors()
        .iter()
        .map(|(name, view)| (name.clone(), numbers(view)))
        .collect()
}

fn net(network: &str) -> Net {
    let options = NetOptions {
        image_height: SHAPE[2],
        image_width: SHAPE[3],
        ..NetOptions::default()
    };
    zoo::find(network, None).unwrap().build(&options).unwrap()
}

fn image() -> ArrayD<f32> {
    ArrayD::from_shape_vec(IxDyn(&SHAPE), random_image(0, SHAPE.iter().product())).unwrap()
}

/// Largest difference of a stage's samples, mean and deviation from the golden ones, as a share of the largest sample.
fn difference(golden: &BTreeMap<String, Vec<f64>>, stage: &str, values: &[f64]) -> f64 {
    let positions = &golden[&format!("{stage}/positions")];
    let samples = &golden[&format!("{stage}/samples")];
    let scale = samples
        .iter()
        .fold(0.0_f64, |largest, value| largest.max(value.abs()));
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let deviation = (values
        .iter()
        .map(|value| (value - mean).powi(2))
        .sum::<f64>()
        / count)
        .sqrt();
    let mut worst = (mean - golden[&format!("{stage}/mean")][0]).abs();
    worst = worst.max((deviation - golden[&format!("{stage}/std")][0]).abs());
    for (&position, &expected) in positions.iter().zip(samples) {
        worst = worst.max((values[position as usize] - expected).abs());
    }
    worst / scale
}

/// The difference at every stage, for the values a computation gives.
fn differences(network: &str, value: impl Fn(&str) -> Vec<f64>) -> Vec<(String, f64)> {
    let (golden, net) = (golden(network), net(network));
    let mut all = vec![];
    for stage in net
        .stages()
        .iter()
        .filter(|stage| stage.name != "probabilities")
    {
        let values = value(&net.at(stage.output).name);
        all.push((
            stage.name.clone(),
            difference(&golden, &stage.name, &values),
        ));
    }
    let logits = value("logits");
    let scale = golden["logits"]
        .iter()
        .fold(0.0_f64, |largest, value| largest.max(value.abs()));
    let worst = logits
        .iter()
        .zip(&golden["logits"])
        .fold(0.0_f64, |worst, (a, b)| worst.max((a - b).abs()));
    assert_eq!(logits.len(), golden["logits"].len());
    all.push(("logits, all of them".into(), worst / scale));
    all
}

fn in_onnx_runtime(network: &str, weights: &Weights, batch_norm: BatchNorm) -> Vec<(String, f64)> {
    let net = net(network);
    let options = ExportOptions {
        batch_norm,
        ..ExportOptions::default()
    };
    let bytes = onnx::to_bytes(&net, weights, &options).unwrap();
    let names: Vec<String> = net
        .stages()
        .iter()
        .map(|stage| net.at(stage.output).name.clone())
        .collect();
    let names: Vec<String> = names
        .into_iter()
        .filter(|name| name != "probabilities")
        .collect();
    let bytes = onnx::with_outputs(&bytes.into(), &names).unwrap();
    let mut session = runtime::find("ort")
        .unwrap()
        .load(&bytes, LoadOptions::default())
        .unwrap();
    let outputs: BTreeMap<String, ArrayD<f32>> =
        session.run(image().view()).unwrap().into_iter().collect();
    differences(network, |name| {
        outputs[name]
            .iter()
            .map(|&value| f64::from(value))
            .collect()
    })
}

/// float32 rounding over these depths stays below a few 1e-6 of the range.
const FLOAT32: f64 = 1e-5;

#[test]
fn onnx_runtime_agrees_with_independent_implementations() {
    for network in NETWORKS {
        let weights = Weights::randomised(&net(network), 0);
        for batch_norm in [BatchNorm::Folded, BatchNorm::Kept] {
            for (stage, difference) in in_onnx_runtime(network, &weights, batch_norm) {
                println!("{network} {batch_norm} {stage}: {difference:.1e}");
                assert!(
                    difference < FLOAT32,
                    "{network} {batch_norm} {stage}: {difference:.1e}"
                );
            }
        }
    }
}

#[test]
fn one_mirrored_kernel_is_noticed() {
    let network = "inception_resnet_v1";
    let mut weights = Weights::randomised(&net(network), 0);
    let name = "inception_resnet_b.4/branch_1/conv_1x7/weight";
    let (shape, mut values) = {
        let tensor = weights.get(name).unwrap();
        (tensor.shape().to_vec(), tensor.values().into_owned())
    };
    values.chunks_exact_mut(7).for_each(<[f32]>::reverse);
    weights.insert(name, Tensor::owned(shape, values));
    let found = in_onnx_runtime(network, &weights, BatchNorm::Folded);
    for (stage, difference) in found {
        let before = stage == "stem" || stage == "inception_resnet_a" || stage == "reduction_a";
        assert_eq!(difference < FLOAT32, before, "{stage}: {difference:.1e}");
    }
}

#[cfg(feature = "torch")]
#[test]
fn libtorch_in_float64_agrees_with_independent_implementations() {
    for network in NETWORKS {
        let net = net(network);
        let weights = Weights::randomised(&net, 0);
        let nodes: Vec<_> = net.stages().iter().map(|stage| stage.output).collect();
        let reference = incept::torch::Reference::new(&net, &weights).unwrap();
        let values = reference.run(image().view(), &nodes).unwrap();
        let by_name: BTreeMap<&str, &ArrayD<f64>> = nodes
            .iter()
            .map(|&id| net.at(id).name.as_str())
            .zip(&values)
            .collect();
        for (stage, difference) in
            differences(network, |name| by_name[name].iter().copied().collect())
        {
            println!("{network} {stage}: {difference:.1e}");
            // Both compute in float64 in another order of sums: 1e-16 of a value, over a hundred layers.
            assert!(difference < 1e-11, "{network} {stage}: {difference:.1e}");
        }
    }
}
