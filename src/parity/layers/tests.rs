#![allow(clippy::unwrap_used)]
use incept_exporters::net::NetOptions;
use incept_exporters::onnx::{self, ExportOptions, Input, Precision};
use incept_exporters::weights::Weights;
use incept_exporters::zoo;

use super::*;

fn plan(change: impl FnOnce(&mut ExportOptions)) -> (Net, Layers) {
    let options = NetOptions {
        classes: 10,
        width_multiplier: 0.1,
        ..NetOptions::default()
    };
    let entry = zoo::find("inception_resnet_v2", None).unwrap();
    let net = entry.build(&options.image_size(75)).unwrap();
    let mut options = ExportOptions::default();
    change(&mut options);
    let bytes = onnx::to_bytes(&net, &Weights::initial(&net, 0), &options)
        .unwrap()
        .into();
    let facts = ModelFacts::read(&bytes).unwrap();
    let network = facts.network.clone().unwrap();
    let layers = Layers::plan(&net, Parts::read(&bytes).unwrap(), &facts, &network).unwrap();
    (net, layers)
}

fn layer<'a>(layers: &'a Layers, value: &str) -> &'a Layer {
    layers
        .all
        .iter()
        .find(|layer| layer.value == value)
        .unwrap()
}

#[test]
fn folded_layers_are_one_and_kept_ones_two() {
    let (net, folded) = plan(|_| {});
    let (_, kept) = plan(|options| options.batch_norm = BatchNorm::Kept);
    assert_eq!(kept.all.len(), folded.all.len() + net.cost().batch_norms);
    let first = &folded.all[0];
    assert_eq!(first.value, "stem.0/conv_3x3/batch_norm");
    assert_eq!(
        (first.operators.as_slice(), first.inputs.as_slice()),
        (&["Conv".to_string()][..], &["image".to_string()][..])
    );
    assert_eq!(
        (first.given, first.weights, first.values, first.smallest),
        (1.0, 1.0, 1.0, 0.0)
    );
    assert_eq!(kept.all[0].weights, 0.0, "the weights are the reference's");
}

#[test]
fn half_precision_is_known_layer_by_layer() {
    let (_, half) = plan(|options| options.precision.precision = Precision::Fp16);
    let conv = layer(&half, "stem.1/conv_3x3/batch_norm");
    assert_eq!(
        (conv.given, conv.weights, conv.values),
        (8192.0, 8192.0, 8192.0)
    );
    let relu = layer(&half, "stem.1/conv_3x3/relu");
    assert_eq!(
        (relu.given, relu.values, relu.smallest),
        (8192.0, 8192.0, 1.0 / 16_384.0)
    );
    let (_, brain) = plan(|options| options.precision.precision = Precision::Bf16);
    let conv = layer(&brain, "stem.1/conv_3x3/batch_norm");
    assert_eq!(
        (conv.weights, conv.values, conv.smallest),
        (65_536.0, 65_536.0, 0.0)
    );
    assert!(!brain.all.iter().any(|layer| layer.int8));
}

#[test]
fn each_block_has_its_own_precision() {
    let (_, planned) = plan(|options| {
        let blocks = [("stem.1", Precision::Int8), ("stem.2", Precision::Fp16)];
        options.precision.blocks = blocks.map(|(block, p)| (block.to_string(), p)).into();
    });
    let of = |name: &str| {
        let layer = layer(&planned, name);
        (layer.given, layer.weights, layer.values, layer.int8)
    };
    let rounded = |name: &str| layer(&planned, name).rounded;
    assert_eq!(of("stem.0/conv_3x3/batch_norm"), (1.0, 1.0, 1.0, false));
    assert_eq!(of("stem.1/conv_3x3/batch_norm"), (1.0, 1.0, 1.0, true));
    assert_eq!(of("stem.1/conv_3x3/relu"), (1.0, 1.0, 1.0, false));
    // A layer that rounds what it is given.
    assert_eq!(
        of("stem.2/conv_3x3/batch_norm"),
        (1.0, 8192.0, 8192.0, false)
    );
    assert_eq!(rounded("stem.2/conv_3x3/batch_norm"), 8192.0);
    assert_eq!(rounded("stem.2/conv_3x3/relu"), 0.0);
    // To float32 is no rounding.
    assert_eq!(rounded("stem.3/branch_1/conv_3x3/batch_norm"), 0.0);
}

#[test]
fn an_image_that_the_file_computes_is_a_layer() {
    let (_, layers) = plan(|options| options.input = Input::Image);
    assert_eq!(layers.all[0].value, "image/scaled");
    assert_eq!(layers.all[0].inputs, ["image"]);
    assert!(layers.takes_bytes);
}
