//! Every figure known about the paper's three networks, against what the descriptions give.
//!
//! The figures were counted with independent PyTorch implementations of the same networks.

#![allow(clippy::unwrap_used)]

mod figures;

use std::collections::HashSet;

use figures::{block_output, figure};
use incept_exporters::net::{
    Net, NetError, NetOptions, Node, NodeId, Op, ParameterKind, ResidualScales, Shape,
};
use incept_exporters::zoo;

/// One network's counts.
struct Counts {
    network: &'static str,
    parameters: usize,
    convolution_weights: usize,
    convolution_biases: usize,
    batch_norm_parameters: usize,
    linear_parameters: usize,
    batch_norm_statistics: usize,
    trained_without_gamma: usize,
    convolutions: usize,
    convolution_batch_norm_relu: usize,
    linear_convolutions: usize,
    batch_norms: usize,
    state_dict_tensors: usize,
    convolution_output_elements: u64,
    multiply_adds_299: u64,
    convolution_multiply_adds_299: u64,
    linear_multiply_adds: u64,
    multiply_adds_149: u64,
    multiply_adds_75: u64,
}

const COUNTS: [Counts; 3] = [
    Counts {
        network: "inception_v4",
        parameters: 42_679_816,
        convolution_weights: 41_079_648,
        convolution_biases: 0,
        batch_norm_parameters: 63_168,
        linear_parameters: 1_537_000,
        batch_norm_statistics: 63_168,
        trained_without_gamma: 42_648_232,
        convolutions: 149,
        convolution_batch_norm_relu: 149,
        linear_convolutions: 0,
        batch_norms: 149,
        state_dict_tensors: 896,
        convolution_output_elements: 15_089_184,
        multiply_adds_299: 12_253_974_624,
        convolution_multiply_adds_299: 12_252_438_624,
        linear_multiply_adds: 1_536_000,
        multiply_adds_149: 2_262_998_400,
        multiply_adds_75: 430_394_464,
    },
    Counts {
        network: "inception_resnet_v1",
        parameters: 22_756_328,
        convolution_weights: 20_917_088,
        convolution_biases: 19_200,
        batch_norm_parameters: 27_040,
        linear_parameters: 1_793_000,
        batch_norm_statistics: 27_040,
        trained_without_gamma: 22_742_808,
        convolutions: 127,
        convolution_batch_norm_relu: 107,
        linear_convolutions: 20,
        batch_norms: 107,
        state_dict_tensors: 684,
        convolution_output_elements: 13_133_648,
        multiply_adds_299: 6_206_361_696,
        convolution_multiply_adds_299: 6_204_569_696,
        linear_multiply_adds: 1_792_000,
        multiply_adds_149: 1_171_028_352,
        multiply_adds_75: 224_013_408,
    },
    Counts {
        network: "inception_resnet_v2",
        parameters: 32_433_928,
        convolution_weights: 30_231_904,
        convolution_biases: 24_160,
        batch_norm_parameters: 32_864,
        linear_parameters: 2_145_000,
        batch_norm_statistics: 32_864,
        trained_without_gamma: 32_417_496,
        convolutions: 132,
        convolution_batch_norm_relu: 112,
        linear_convolutions: 20,
        batch_norms: 112,
        state_dict_tensors: 714,
        convolution_output_elements: 17_137_520,
        multiply_adds_299: 9_257_953_632,
        convolution_multiply_adds_299: 9_255_809_632,
        linear_multiply_adds: 2_144_000,
        multiply_adds_149: 1_742_260_352,
        multiply_adds_75: 335_908_192,
    },
];

/// One stage of a network: name, repeat, output at 299, grids at 149 and 75, parameters, multiply-adds at 299,
/// receptive field and stride.
type StageRow = (
    &'static str,
    usize,
    [usize; 3],
    usize,
    usize,
    usize,
    u64,
    usize,
    usize,
);

#[rustfmt::skip]
const INCEPTION_V4_STAGES: [StageRow; 6] = [
    ("stem",        1, [384, 35, 35],  16, 7, 605_728,    2_289_943_648, 55,   8),
    ("inception_a", 4, [384, 35, 35],  16, 7, 1_270_528,  1_550_438_400, 183,  8),
    ("reduction_a", 1, [1024, 17, 17], 7,  3, 2_306_112,  1_097_164_800, 215,  16),
    ("inception_b", 7, [1024, 17, 17], 7,  3, 20_553_792, 5_930_853_376, 1559, 16),
    ("reduction_b", 1, [1536, 8, 8],   3,  1, 2_747_392,  511_098_880,   1687, 32),
    ("inception_c", 3, [1536, 8, 8],   3,  1, 13_659_264, 872_939_520,   2071, 32),
];

#[rustfmt::skip]
const INCEPTION_RESNET_V1_STAGES: [StageRow; 6] = [
    ("stem",               1,  [256, 35, 35],  16, 7, 615_552,   1_882_680_416, 31,   8),
    ("inception_resnet_a", 5,  [256, 35, 35],  16, 7, 387_200,   470_400_000,   191,  8),
    ("reduction_a",        1,  [896, 17, 17],  7,  3, 1_710_080, 850_169_856,   223,  16),
    ("inception_resnet_b", 10, [896, 17, 17],  7,  3, 6_900_480, 1_988_689_920, 1183, 16),
    ("reduction_b",        1,  [1792, 8, 8],   3,  1, 3_346_176, 501_448_704,   1247, 32),
    ("inception_resnet_c", 5,  [1792, 8, 8],   3,  1, 8_003_840, 511_180_800,   1567, 32),
];

#[rustfmt::skip]
const INCEPTION_RESNET_V2_STAGES: [StageRow; 6] = [
    ("stem",               1,  [384, 35, 35],  16, 7, 605_728,    2_289_943_648, 55,   8),
    ("inception_resnet_a", 5,  [384, 35, 35],  16, 7, 687_840,    837_312_000,   215,  8),
    ("reduction_a",        1,  [1152, 17, 17], 7,  3, 2_902_528,  1_482_178_560, 247,  16),
    ("inception_resnet_b", 10, [1152, 17, 17], 7,  3, 11_719_040, 3_379_589_120, 1207, 16),
    ("reduction_b",        1,  [2144, 8, 8],   3,  1, 3_930_112,  599_629_824,   1271, 32),
    ("inception_resnet_c", 5,  [2144, 8, 8],   3,  1, 10_443_680, 667_156_480,   1591, 32),
];

fn stage_rows(network: &str) -> &'static [StageRow; 6] {
    match network {
        "inception_v4" => &INCEPTION_V4_STAGES,
        "inception_resnet_v1" => &INCEPTION_RESNET_V1_STAGES,
        _ => &INCEPTION_RESNET_V2_STAGES,
    }
}

fn build(network: &str, options: &NetOptions) -> Net {
    zoo::find(network, None)
        .unwrap()
        .build(options)
        .unwrap_or_else(|error| panic!("{network}: {error}"))
}

fn at_size(network: &str, side: usize) -> Net {
    build(network, &NetOptions::default().image_size(side))
}

#[track_caller]
fn equal<T: PartialEq + std::fmt::Debug>(network: &str, figure: &str, found: T, expected: T) {
    assert_eq!(found, expected, "{network}: {figure} (found, expected)");
}

#[test]
fn counts_are_those_of_independent_implementations() {
    for counts in &COUNTS {
        let network = counts.network;
        let net = at_size(network, 299);
        let cost = net.cost();
        equal(
            network,
            "trainable parameters",
            cost.parameters,
            counts.parameters,
        );
        equal(
            network,
            "convolution weights",
            cost.convolution_weights,
            counts.convolution_weights,
        );
        equal(
            network,
            "convolution biases",
            cost.convolution_biases,
            counts.convolution_biases,
        );
        equal(
            network,
            "batch norm gamma and beta",
            cost.batch_norm_parameters,
            counts.batch_norm_parameters,
        );
        equal(
            network,
            "linear layer",
            cost.linear_parameters,
            counts.linear_parameters,
        );
        equal(
            network,
            "moving means and variances",
            cost.batch_norm_statistics,
            counts.batch_norm_statistics,
        );
        equal(
            network,
            "convolutions",
            cost.convolutions,
            counts.convolutions,
        );
        equal(
            network,
            "linear 1x1 convolutions",
            cost.linear_convolutions,
            counts.linear_convolutions,
        );
        equal(
            network,
            "batch normalisations",
            cost.batch_norms,
            counts.batch_norms,
        );
        equal(
            network,
            "elements convolutions put out",
            cost.convolution_output_elements,
            counts.convolution_output_elements,
        );
        let parameters = net.parameters();
        let of_kind = |kind| {
            parameters
                .iter()
                .filter(move |parameter| parameter.kind == kind)
        };
        let gamma: usize = of_kind(ParameterKind::Gamma).map(|p| p.elements()).sum();
        equal(
            network,
            "trainable parameters without gamma",
            cost.parameters - gamma,
            counts.trained_without_gamma,
        );
        // PyTorch's state dict has, beside ours, one counter for every batch normalisation.
        let tensors = parameters.len() + of_kind(ParameterKind::Gamma).count();
        equal(
            network,
            "state-dict tensors",
            tensors,
            counts.state_dict_tensors,
        );
        equal(
            network,
            "convolution, batch norm, ReLU in a row",
            followed_by_batch_norm_and_relu(&net),
            counts.convolution_batch_norm_relu,
        );
    }
}

fn followed_by_batch_norm_and_relu(net: &Net) -> usize {
    let reads = |id: NodeId| {
        net.nodes()
            .iter()
            .filter(move |node| node.inputs.contains(&id))
            .collect::<Vec<_>>()
    };
    let id = |node: &Node| net.id(&node.name).unwrap();
    let convolutions = net
        .nodes()
        .iter()
        .filter(|node| matches!(node.op, Op::Convolution { .. }));
    convolutions
        .filter(|convolution| {
            let [normalised] = reads(id(convolution))[..] else {
                return false;
            };
            matches!(normalised.op, Op::BatchNorm { .. })
                && matches!(reads(id(normalised))[..], [node] if node.op == Op::Relu)
        })
        .count()
}

#[test]
fn multiply_adds_at_three_sizes() {
    for counts in &COUNTS {
        let network = counts.network;
        let cost = at_size(network, 299).cost();
        equal(
            network,
            "multiply-adds at 299",
            cost.multiply_adds,
            counts.multiply_adds_299,
        );
        equal(
            network,
            "of which convolutions",
            cost.convolution_multiply_adds,
            counts.convolution_multiply_adds_299,
        );
        equal(
            network,
            "of which linear",
            cost.multiply_adds - cost.convolution_multiply_adds,
            counts.linear_multiply_adds,
        );
        for (side, expected) in [
            (149, counts.multiply_adds_149),
            (75, counts.multiply_adds_75),
        ] {
            let cost = at_size(network, side).cost();
            equal(
                network,
                &format!("multiply-adds at {side}"),
                cost.multiply_adds,
                expected,
            );
            equal(
                network,
                &format!("linear multiply-adds at {side}"),
                cost.multiply_adds - cost.convolution_multiply_adds,
                counts.linear_multiply_adds,
            );
        }
    }
}

#[test]
fn every_stage_of_the_tables() {
    for counts in &COUNTS {
        let network = counts.network;
        let nets = [299, 149, 75].map(|side| at_size(network, side));
        let fields = nets[0].receptive_fields();
        let rows = stage_rows(network);
        let names: Vec<&str> = nets[0].stages().iter().map(|s| s.name.as_str()).collect();
        let expected: Vec<&str> = rows
            .iter()
            .map(|row| row.0)
            .chain(["features", "logits", "probabilities"])
            .collect();
        equal(network, "stages", names, expected);
        for (index, row) in rows.iter().enumerate() {
            let &(
                name,
                repeat,
                output,
                grid_149,
                grid_75,
                parameters,
                multiply_adds,
                field,
                stride,
            ) = row;
            let figure = |what: &str| format!("stage {name}: {what}");
            let stage = &nets[0].stages()[index];
            equal(network, &figure("repeat"), stage.repeat, repeat);
            for (net, grid) in nets.iter().zip([output[1], grid_149, grid_75]) {
                let stage = &net.stages()[index];
                let found = net.at(stage.output).shape.dimensions();
                let side = net.options().image_height;
                equal(
                    network,
                    &figure(&format!("output at {side}")),
                    found,
                    vec![output[0], grid, grid],
                );
            }
            let cost = nets[0].stage_cost(stage);
            equal(network, &figure("parameters"), cost.parameters, parameters);
            equal(
                network,
                &figure("multiply-adds"),
                cost.multiply_adds,
                multiply_adds,
            );
            let seen = fields[stage.output.index()].unwrap();
            equal(
                network,
                &figure("receptive field, height, width, stride"),
                [seen.height, seen.width, seen.stride],
                [field, field, stride],
            );
        }
        let [features, logits, probabilities] = &nets[0].stages()[6..] else {
            panic!("{network}: three stages after the blocks");
        };
        let shape = |stage: &incept_exporters::net::Stage| nets[0].at(stage.output).shape;
        let channels = rows[5].2[0];
        equal(
            network,
            "features",
            shape(features),
            Shape::Vector { features: channels },
        );
        equal(
            network,
            "logits",
            shape(logits),
            Shape::Vector { features: 1000 },
        );
        equal(
            network,
            "probabilities",
            shape(probabilities),
            shape(logits),
        );
        let linear = nets[0].stage_cost(logits);
        equal(
            network,
            "stage logits: parameters",
            linear.parameters,
            counts.linear_parameters,
        );
        equal(
            network,
            "stage logits: multiply-adds",
            linear.multiply_adds,
            counts.linear_multiply_adds,
        );
        for stage in [features, probabilities] {
            equal(
                network,
                "stages without parameters",
                nets[0].stage_cost(stage),
                Default::default(),
            );
        }
        // The stages are all there is.
        let sum: usize = nets[0]
            .stages()
            .iter()
            .map(|stage| nets[0].stage_cost(stage).parameters)
            .sum();
        equal(network, "sum over stages", sum, counts.parameters);
    }
}

#[test]
fn the_stems_layer_by_layer() {
    let figure_3 = [
        "32x149x149",
        "32x147x147",
        "64x147x147",
        "160x73x73",
        "192x71x71",
        "384x35x35",
    ];
    let figure_14 = [
        "32x149x149",
        "32x147x147",
        "64x147x147",
        "64x73x73",
        "80x73x73",
        "192x71x71",
        "256x35x35",
    ];
    let stems: [(&str, &[&str]); 3] = [
        ("inception_v4", &figure_3),
        ("inception_resnet_v2", &figure_3),
        ("inception_resnet_v1", &figure_14),
    ];
    for (network, expected) in stems {
        let net = at_size(network, 299);
        let parts: Vec<String> = (0..expected.len())
            .map(|part| {
                let prefix = format!("stem.{part}/");
                let last = net
                    .nodes()
                    .iter()
                    .rfind(|node| node.name.starts_with(&prefix))
                    .unwrap_or_else(|| panic!("{network}: no part {part} in the stem"));
                last.shape.to_string()
            })
            .collect();
        equal(
            network,
            "stem",
            parts,
            expected.iter().map(|s| s.to_string()).collect(),
        );
        let beyond = format!("stem.{}/", expected.len());
        assert!(
            net.nodes()
                .iter()
                .all(|node| !node.name.starts_with(&beyond)),
            "{network}: the stem has more parts than its figure"
        );
    }
}

#[test]
fn the_smallest_image_is_75_pixels_each_way() {
    for counts in &COUNTS {
        let network = counts.network;
        let last_grid = |height, width| {
            let net = build(
                network,
                &NetOptions {
                    image_height: height,
                    image_width: width,
                    ..NetOptions::default()
                },
            );
            let stage = &net.stages()[5];
            net.at(stage.output).shape.dimensions()[1..].to_vec()
        };
        equal(network, "last grid at 75x75", last_grid(75, 75), vec![1, 1]);
        equal(
            network,
            "last grid at 75x299",
            last_grid(75, 299),
            vec![1, 8],
        );
        equal(
            network,
            "last grid at 299x75",
            last_grid(299, 75),
            vec![8, 1],
        );
        for (image_height, image_width) in [(74, 74), (74, 299), (299, 74), (0, 299), (1, 1)] {
            let options = NetOptions {
                image_height,
                image_width,
                ..NetOptions::default()
            };
            let error = zoo::find(network, None)
                .unwrap()
                .build(&options)
                .unwrap_err();
            assert!(
                matches!(error, NetError::ImageTooSmall { height, width } if (height, width) == (image_height, image_width)),
                "{network}: {error}"
            );
            let text = error.to_string();
            assert!(
                text.contains(&format!("{image_height}x{image_width}")) && text.contains("75"),
                "{network}: names neither found nor expected: {text}"
            );
            assert!(error.hint().unwrap().contains("--image-size 75"));
        }
    }
}

#[test]
fn a_size_of_two_sides_gives_a_grid_of_two_sides() {
    for counts in &COUNTS {
        let net = build(
            counts.network,
            &NetOptions {
                image_height: 149,
                image_width: 299,
                ..NetOptions::default()
            },
        );
        for (stage, row) in net.stages().iter().zip(stage_rows(counts.network)) {
            equal(
                counts.network,
                &format!("stage {} at 149x299", row.0),
                net.at(stage.output).shape.dimensions(),
                vec![row.2[0], row.3, row.2[2]],
            );
        }
        equal(
            counts.network,
            "parameters do not depend on the size",
            net.cost().parameters,
            counts.parameters,
        );
    }
}

#[test]
fn table_1_gives_k_l_m_n() {
    for (network, expected) in [
        ("inception_v4", [192, 224, 256, 384]),
        ("inception_resnet_v1", [192, 192, 256, 384]),
        ("inception_resnet_v2", [256, 256, 384, 384]),
    ] {
        let net = at_size(network, 299);
        let filters = |layer: &str| {
            let name = format!("reduction_a/{layer}");
            match net.node(&name).map(|node| node.op) {
                Some(Op::Convolution { filters, .. }) => filters,
                found => panic!("{network}: `{name}` is {found:?}"),
            }
        };
        let found = [
            filters("branch_1/conv_1x1"),
            filters("branch_1/conv_3x3"),
            filters("branch_1/conv_3x3_2"),
            filters("branch_0/conv_3x3"),
        ];
        equal(network, "Table 1: k, l, m, n", found, expected);
    }
}

#[test]
fn every_block_is_its_figure() {
    let stem_3 = [
        "3x3 32 /2 V",
        "3x3 32 V",
        "3x3 64",
        "max /2 V | 3x3 96 /2 V",
        "1x1 64 -> 3x3 96 V | 1x1 64 -> 7x1 64 -> 1x7 64 -> 3x3 96 V",
        "3x3 192 /2 V | max /2 V",
    ];
    let stem_14 = [
        "3x3 32 /2 V",
        "3x3 32 V",
        "3x3 64",
        "max /2 V",
        "1x1 80",
        "3x3 192 V",
        "3x3 256 /2 V",
    ];
    #[rustfmt::skip]
    let networks: [(&str, &[&str], [&str; 5]); 3] = [
        ("inception_v4", &stem_3, [
            "1x1 96 | 1x1 64 -> 3x3 96 | 1x1 64 -> 3x3 96 -> 3x3 96 | avg -> 1x1 96",
            "3x3 384 /2 V | 1x1 192 -> 3x3 224 -> 3x3 256 /2 V | max /2 V",
            "1x1 384 | 1x1 192 -> 1x7 224 -> 7x1 256 | 1x1 192 -> 1x7 192 -> 7x1 224 -> 1x7 224 -> 7x1 256 | avg -> 1x1 128",
            "1x1 192 -> 3x3 192 /2 V | 1x1 256 -> 1x7 256 -> 7x1 320 -> 3x3 320 /2 V | max /2 V",
            "1x1 256 | 1x1 384 -> 1x3 256 | 1x1 384 -> 3x1 256 | 1x1 384 -> 1x3 448 -> 3x1 512 -> 1x3 256 \
             | 1x1 384 -> 1x3 448 -> 3x1 512 -> 3x1 256 | avg -> 1x1 256",
        ]),
        ("inception_resnet_v1", &stem_14, [
            "relu(x + 0.17 * (1x1 32 | 1x1 32 -> 3x3 32 | 1x1 32 -> 3x3 32 -> 3x3 32; linear 1x1 256))",
            "3x3 384 /2 V | 1x1 192 -> 3x3 192 -> 3x3 256 /2 V | max /2 V",
            "relu(x + 0.1 * (1x1 128 | 1x1 128 -> 1x7 128 -> 7x1 128; linear 1x1 896))",
            "1x1 256 -> 3x3 384 /2 V | 1x1 256 -> 3x3 256 /2 V | 1x1 256 -> 3x3 256 -> 3x3 256 /2 V | max /2 V",
            "relu(x + 0.2 * (1x1 192 | 1x1 192 -> 1x3 192 -> 3x1 192; linear 1x1 1792))",
        ]),
        ("inception_resnet_v2", &stem_3, [
            "relu(x + 0.17 * (1x1 32 | 1x1 32 -> 3x3 32 | 1x1 32 -> 3x3 48 -> 3x3 64; linear 1x1 384))",
            "3x3 384 /2 V | 1x1 256 -> 3x3 256 -> 3x3 384 /2 V | max /2 V",
            "relu(x + 0.1 * (1x1 192 | 1x1 128 -> 1x7 160 -> 7x1 192; linear 1x1 1152))",
            "1x1 256 -> 3x3 384 /2 V | 1x1 256 -> 3x3 288 /2 V | 1x1 256 -> 3x3 288 -> 3x3 320 /2 V | max /2 V",
            "relu(x + 0.2 * (1x1 192 | 1x1 192 -> 1x3 224 -> 3x1 256; linear 1x1 2144))",
        ]),
    ];
    for (network, stem, blocks) in networks {
        let net = at_size(network, 299);
        let mut start = net.id("image").unwrap();
        for (part, expected) in stem.iter().enumerate() {
            let output = block_output(&net, "stem", Some(part));
            equal(
                network,
                &format!("stem, part {part}"),
                figure(&net, output, start).as_str(),
                expected,
            );
            start = output;
        }
        for (row, expected) in stage_rows(network)[1..].iter().zip(blocks) {
            for index in 0..row.1 {
                let output = block_output(&net, row.0, (row.1 > 1).then_some(index));
                let what = format!("{} {index}", row.0);
                equal(
                    network,
                    &what,
                    figure(&net, output, start).as_str(),
                    expected,
                );
                start = output;
            }
        }
        let tail: Vec<(&str, Op)> = net.nodes()[start.index() + 1..]
            .iter()
            .map(|node| (node.name.as_str(), node.op))
            .collect();
        let keep_probability = 0.8;
        let expected = vec![
            ("features", Op::GlobalAveragePool),
            ("dropout", Op::Dropout { keep_probability }),
            (
                "logits",
                Op::Linear {
                    features: 1000,
                    bias: true,
                },
            ),
            ("probabilities", Op::Softmax),
        ];
        equal(network, "after the last block", tail, expected);
    }
}

#[test]
fn width_classes_and_scales_are_options() {
    for counts in &COUNTS {
        let network = counts.network;
        let wide = at_size(network, 299);
        for width_multiplier in [0.1, 0.5, 1.5] {
            let narrow = build(
                network,
                &NetOptions {
                    width_multiplier,
                    ..NetOptions::default()
                },
            );
            equal(
                network,
                "layers at another width",
                narrow.nodes().len(),
                wide.nodes().len(),
            );
            for (node, full) in narrow.nodes().iter().zip(wide.nodes()) {
                equal(network, "names at another width", &node.name, &full.name);
                if let (
                    Op::Convolution {
                        filters,
                        bias: false,
                        ..
                    },
                    Op::Convolution { filters: all, .. },
                ) = (node.op, full.op)
                {
                    let expected = (all as f64 * width_multiplier).round() as usize;
                    equal(network, &node.name, filters, expected);
                }
            }
        }
        let least = build(
            network,
            &NetOptions {
                width_multiplier: 1e-9,
                ..NetOptions::default()
            },
        );
        let filters = least.nodes().iter().filter_map(|node| match node.op {
            Op::Convolution {
                filters,
                bias: false,
                ..
            } => Some(filters),
            _ => None,
        });
        assert!(
            filters.into_iter().all(|filters| filters == 1),
            "{network}: at least one filter is left"
        );
        for classes in [1, 10, 1001] {
            let net = build(
                network,
                &NetOptions {
                    classes,
                    ..NetOptions::default()
                },
            );
            equal(
                network,
                "length of logits",
                net.node("logits").unwrap().shape,
                Shape::Vector { features: classes },
            );
            let features = wide.node("features").unwrap().shape.channels();
            equal(
                network,
                "parameters with other classes",
                net.cost().parameters,
                counts.parameters - counts.linear_parameters + classes * (features + 1),
            );
        }
        let residual_scales = ResidualScales {
            a: 0.3,
            b: 0.2,
            c: 1.0,
        };
        let net = build(
            network,
            &NetOptions {
                residual_scales,
                dropout_keep_probability: 0.5,
                ..NetOptions::default()
            },
        );
        for node in net.nodes() {
            match node.op {
                Op::ScaledAdd { scale } => {
                    let expected = match &node.name[..18] {
                        "inception_resnet_a" => 0.3,
                        "inception_resnet_b" => 0.2,
                        _ => 1.0,
                    };
                    equal(network, &node.name, scale, expected);
                }
                Op::Dropout { keep_probability } => {
                    equal(network, "keep probability", keep_probability, 0.5)
                }
                _ => {}
            }
        }
        equal(
            network,
            "scales do not act on counts",
            net.cost(),
            wide.cost(),
        );
    }
}

#[test]
fn an_option_out_of_range_is_named() {
    let base = NetOptions::default;
    let scales = |a, b, c| ResidualScales { a, b, c };
    #[rustfmt::skip]
    let out_of_range: Vec<(&str, &str, NetOptions)> = vec![
        ("classes", "0", NetOptions { classes: 0, ..base() }),
        ("classes", "1000001", NetOptions { classes: 1_000_001, ..base() }),
        ("classes", "18446744073709551615", NetOptions { classes: usize::MAX, ..base() }),
        ("width", "0", NetOptions { width_multiplier: 0.0, ..base() }),
        ("width", "-1", NetOptions { width_multiplier: -1.0, ..base() }),
        ("width", "NaN", NetOptions { width_multiplier: f64::NAN, ..base() }),
        ("width", "inf", NetOptions { width_multiplier: f64::INFINITY, ..base() }),
        ("width", "16.5", NetOptions { width_multiplier: 16.5, ..base() }),
        ("dropout_keep_probability", "0", NetOptions { dropout_keep_probability: 0.0, ..base() }),
        ("dropout_keep_probability", "1.5", NetOptions { dropout_keep_probability: 1.5, ..base() }),
        ("dropout_keep_probability", "NaN", NetOptions { dropout_keep_probability: f64::NAN, ..base() }),
        ("residual_scales", "NaN", NetOptions { residual_scales: scales(f64::NAN, 0.1, 0.2), ..base() }),
        ("residual_scales", "inf", NetOptions { residual_scales: scales(0.17, f64::INFINITY, 0.2), ..base() }),
        ("residual_scales", "-inf", NetOptions { residual_scales: scales(0.17, 0.1, f64::NEG_INFINITY), ..base() }),
        ("image size", "16385x299", NetOptions { image_height: 16_385, ..base() }),
        ("image size", "299x16385", NetOptions { image_width: 16_385, ..base() }),
    ];
    for entry in zoo::REGISTRY {
        for (option, value, options) in &out_of_range {
            let error = entry.build(options).unwrap_err().to_string();
            assert!(
                error.contains(&format!("`{option}`"))
                    && error.contains("expected")
                    && error.contains(&format!("found {value}")),
                "{}, option {option}: {error}",
                entry.name
            );
        }
    }
}

/// `<stage>[.<index>][/branch_<n>]/<layer>`, with `/batch_norm` and `/relu` after a convolution's name.
fn follows_the_rule(name: &str, stages: &HashSet<&str>) -> bool {
    let whole_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let mut parts = name.split('/');
    let head = parts.next().unwrap();
    let stage = match head.split_once('.') {
        Some((stage, index)) if whole_number(index) => stage,
        Some(_) => return false,
        None => head,
    };
    if !stages.contains(stage) {
        return false;
    }
    let mut rest: Vec<&str> = parts.collect();
    if rest
        .first()
        .is_some_and(|part| part.strip_prefix("branch_").is_some_and(whole_number))
    {
        rest.remove(0);
    }
    let layer = |text: &str| {
        let numbered = text.rsplit_once('_').filter(|(base, number)| {
            whole_number(number) && *base != "conv" && *number != "0" && *number != "1"
        });
        let base = numbered.map_or(text, |(base, _)| base);
        matches!(
            base,
            "max_pool_3x3" | "average_pool_3x3" | "concatenate" | "linear_1x1" | "add" | "relu"
        ) || base.strip_prefix("conv_").is_some_and(|kernel| {
            matches!(
                kernel,
                "1x1" | "3x3" | "5x5" | "1x7" | "7x1" | "1x3" | "3x1"
            )
        })
    };
    match rest[..] {
        [last] => layer(last),
        [convolution, "batch_norm" | "relu"] => {
            convolution.starts_with("conv_") && layer(convolution)
        }
        _ => false,
    }
}

#[test]
fn every_name_is_unique_and_follows_the_one_rule() {
    for counts in &COUNTS {
        let net = at_size(counts.network, 299);
        let blocks: HashSet<&str> = stage_rows(counts.network).iter().map(|row| row.0).collect();
        let mut seen = HashSet::new();
        for node in net.nodes() {
            assert!(
                seen.insert(node.name.as_str()),
                "{}: `{}` stands twice",
                counts.network,
                node.name
            );
            let single = ["image", "features", "dropout", "logits", "probabilities"];
            assert!(
                single.contains(&node.name.as_str()) || follows_the_rule(&node.name, &blocks),
                "{}: `{}` does not follow the rule",
                counts.network,
                node.name
            );
            let found = net.node(&node.name).unwrap();
            equal(counts.network, "lookup by name", found, node);
        }
        let mut tensors = HashSet::new();
        for parameter in net.parameters() {
            let (node, _) = parameter.name.rsplit_once('/').unwrap();
            assert!(
                seen.contains(node) && tensors.insert(parameter.name.clone()),
                "{}: tensor `{}`",
                counts.network,
                parameter.name
            );
        }
    }
    // The rule itself refuses what is not one of its names.
    let stages = HashSet::from(["stem", "inception_b"]);
    assert!(follows_the_rule(
        "inception_b.3/branch_2/conv_1x7_2/batch_norm",
        &stages
    ));
    for wrong in [
        "inception_b.x/conv_1x7",
        "other/conv_1x7",
        "stem",
        "stem/conv_1x7_0",
        "stem/conv",
        "stem/branch_/conv_1x1",
        "stem/concatenate/relu",
    ] {
        assert!(!follows_the_rule(wrong, &stages), "{wrong}");
    }
}

#[test]
fn a_network_file_is_short_and_has_one_function_per_figure() {
    let shared = include_str!("../src/zoo/shared.rs");
    let files = [
        (
            "inception_v4",
            include_str!("../src/zoo/inception_v4.rs"),
            &[3, 4, 5, 6, 7, 8, 9][..],
        ),
        (
            "inception_resnet_v1",
            include_str!("../src/zoo/inception_resnet_v1.rs"),
            &[7, 10, 11, 12, 13, 14, 15][..],
        ),
        (
            "inception_resnet_v2",
            include_str!("../src/zoo/inception_resnet_v2.rs"),
            &[3, 7, 15, 16, 17, 18, 19][..],
        ),
    ];
    for (network, source, figures) in files {
        let lines = source.lines().count();
        assert!(
            lines < 150,
            "{network}: {lines} lines, expected fewer than 150"
        );
        for figure in figures {
            // Figure 7 takes Table 1's row of the network: a struct with one method.
            let names = match figure {
                7 => "REDUCTION_A: ReductionA".to_string(),
                _ => format!("fn figure_{figure}"),
            };
            let count = [source, shared]
                .iter()
                .map(|text| {
                    text.lines()
                        .filter(|line| {
                            line.find(&names).is_some_and(|at| {
                                !line[at + names.len()..].starts_with(|c: char| c.is_ascii_digit())
                            })
                        })
                        .count()
                })
                .sum::<usize>();
            assert_eq!(count, 1, "{network}: functions for Figure {figure}");
        }
        // No input channel is ever stated: blocks take the flow, and only filters are numbers.
        assert!(!source.contains("channels"), "{network} states channels");
    }
}

#[test]
fn the_descriptions_hold_no_surprises() {
    for counts in &COUNTS {
        let net = at_size(counts.network, 299);
        for (index, node) in net.nodes().iter().enumerate() {
            assert!(
                node.inputs.iter().all(|input| input.index() < index),
                "{}: `{}` comes before its inputs",
                counts.network,
                node.name
            );
            if let Op::BatchNorm { epsilon } = node.op {
                equal(counts.network, &node.name, epsilon, 0.001);
            }
        }
        // Everything but the last node is read by something.
        let last = net.id("probabilities").unwrap();
        let unused: Vec<&str> = net
            .needed(&[last])
            .iter()
            .zip(net.nodes())
            .filter(|(needed, _)| !**needed)
            .map(|(_, node)| node.name.as_str())
            .collect();
        equal(counts.network, "nodes nothing reads", unused, vec![]);
    }
}
