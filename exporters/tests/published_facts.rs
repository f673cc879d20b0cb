//! Every figure known about the networks whose weights were published, against what the descriptions give.
//!
//! The counts were made with independent PyTorch implementations, and agree with timm, torchvision, facenet-pytorch and
//! Keras where those have the network.

#![allow(clippy::unwrap_used)]

mod figures;

use figures::{block_output, figure};
use incept_exporters::net::{Net, NetError, NetOptions, Op, ParameterKind};
use incept_exporters::zoo;

fn build(name: &str, variant: &str, options: &NetOptions) -> Net {
    let entry = zoo::find(name, Some(variant)).unwrap();
    let net = entry.build(options);
    net.unwrap_or_else(|error| panic!("{name} {variant}: {error}"))
}

/// Name, variant, then: trained parameters, convolution weights, convolution biases, gammas and betas, linear layers,
/// moving means and variances, trained without gamma.
type Parameters = (&'static str, &'static str, [usize; 7]);

#[rustfmt::skip]
const PARAMETERS: [Parameters; 6] = [
    ("inception_v4",        "published",   [42_679_816, 41_079_648, 0,      63_168, 1_537_000, 63_168, 42_648_232]),
    ("inception_resnet_v2", "published",   [55_843_464, 54_200_160, 45_760, 60_544, 1_537_000, 60_544, 55_813_192]),
    ("inception_resnet_v1", "published",   [24_357_096, 22_514_528, 20_992, 28_576, 1_793_000, 28_576, 24_342_808]),
    ("inception_resnet_v1", "facenet",     [23_995_624, 22_514_528, 20_992, 29_600, 1_430_504, 29_600, 23_980_824]),
    ("inception_v3",        "torchvision", [23_834_568, 21_751_136, 0,      34_432, 2_049_000, 34_432, 23_817_352]),
    ("inception_v3",        "tensorflow",  [23_834_568, 21_751_136, 0,      34_432, 2_049_000, 34_432, 23_817_352]),
];

#[test]
fn parameters_are_those_of_independent_implementations() {
    for (name, variant, expected) in PARAMETERS {
        let net = build(name, variant, &NetOptions::default());
        let cost = net.cost();
        let gammas = net.parameters().into_iter();
        let gammas = gammas.filter(|p| p.kind == ParameterKind::Gamma);
        let gammas: usize = gammas.map(|p| p.elements()).sum();
        let found = [
            cost.parameters,
            cost.convolution_weights,
            cost.convolution_biases,
            cost.batch_norm_parameters,
            cost.linear_parameters,
            cost.batch_norm_statistics,
            cost.parameters - gammas,
        ];
        assert_eq!(found, expected, "{name} {variant} (found, expected)");
    }
}

/// Convolutions, of which followed by batch normalisation and ReLU, of which linear, batch normalisations, tensors of
/// PyTorch's state dict, then elements the convolutions put out at 299.
#[test]
fn layers_are_those_of_independent_implementations() {
    #[rustfmt::skip]
    let layers: [(&str, &str, [usize; 5], u64); 6] = [
        ("inception_v4",        "published",   [149, 149, 0,  149, 896],  15_089_184),
        ("inception_resnet_v2", "published",   [244, 204, 40, 204, 1306], 25_058_976),
        ("inception_resnet_v1", "published",   [132, 111, 21, 111, 710],  13_297_488),
        ("inception_resnet_v1", "facenet",     [132, 111, 21, 112, 716],  13_297_488),
        ("inception_v3",        "torchvision", [94,  94,  0,  94,  566],  8_967_488),
        ("inception_v3",        "tensorflow",  [94,  94,  0,  94,  566],  8_967_488),
    ];
    for (name, variant, expected, elements) in layers {
        let net = build(name, variant, &NetOptions::default());
        let cost = net.cost();
        let activated = net.nodes().iter().filter(|node| {
            let input = |node: &incept_exporters::net::Node| net.at(node.inputs[0]).clone();
            node.op == Op::Relu
                && matches!(input(node).op, Op::BatchNorm { .. })
                && matches!(input(&input(node)).op, Op::Convolution { .. })
        });
        // PyTorch's state dict has, beside ours, one counter for every batch normalisation.
        let tensors = net.parameters().len() + cost.batch_norms;
        let found = [
            cost.convolutions,
            activated.count(),
            cost.linear_convolutions,
            cost.batch_norms,
            tensors,
        ];
        assert_eq!(found, expected, "{name} {variant} (found, expected)");
        assert_eq!(
            cost.convolution_output_elements, elements,
            "{name} {variant}"
        );
    }
}

/// Multiply-adds at 299, of which in convolutions, at 149 and at 75.
#[test]
fn multiply_adds_at_three_sizes() {
    #[rustfmt::skip]
    let counts: [(&str, &str, [u64; 4]); 6] = [
        ("inception_v4",        "published",   [12_253_974_624, 12_252_438_624, 2_262_998_400, 430_394_464]),
        ("inception_resnet_v2", "published",   [13_155_794_016, 13_154_258_016, 2_365_921_664, 434_823_264]),
        ("inception_resnet_v1", "published",   [6_308_597_856,  6_306_805_856,  1_185_405_312, 225_610_848]),
        ("inception_resnet_v1", "facenet",     [6_308_235_360,  6_306_805_856,  1_185_042_816, 225_248_352]),
        ("inception_v3",        "torchvision", [5_713_216_096,  5_711_168_096,  1_068_676_480, 203_525_728]),
        ("inception_v3",        "tensorflow",  [5_713_216_096,  5_711_168_096,  1_068_676_480, 203_525_728]),
    ];
    for (name, variant, expected) in counts {
        let at = |side| build(name, variant, &NetOptions::default().image_size(side)).cost();
        let found = [
            at(299).multiply_adds,
            at(299).convolution_multiply_adds,
            at(149).multiply_adds,
            at(75).multiply_adds,
        ];
        assert_eq!(found, expected, "{name} {variant} (found, expected)");
    }
}

/// With the auxiliary head: parameters, convolutions, moving means and variances, linear layers.
#[test]
fn the_auxiliary_head_adds_what_the_libraries_count() {
    let with = |auxiliary_head| NetOptions {
        auxiliary_head,
        ..NetOptions::default()
    };
    for variant in ["torchvision", "tensorflow"] {
        let cost = build("inception_v3", variant, &with(true)).cost();
        let found = [
            cost.parameters,
            cost.convolutions,
            cost.batch_norm_statistics,
            cost.linear_parameters,
        ];
        assert_eq!(found, [27_161_264, 96, 36_224, 2_818_000], "{variant}");
    }
    // 1×1 to 128 and 5×5 to 768 with gamma and beta, and the classifier.
    let head = |channels: usize| channels * 128 + 256 + 128 * 25 * 768 + 1536 + 769_000;
    for (name, channels) in [("inception_v4", 1024), ("inception_resnet_v2", 1088)] {
        let [plain, with] =
            [false, true].map(|on| build(name, "published", &with(on)).cost().parameters);
        assert_eq!(with - plain, head(channels), "{name}");
    }
    // It stands on the last 17×17 grid, and the network's own output does not need it.
    let net = build("inception_v4", "published", &with(true));
    let pool = net.node("auxiliary/average_pool_5x5").unwrap();
    assert_eq!(net.at(pool.inputs[0]).name, "inception_b.6/concatenate");
    assert_eq!(pool.shape.to_string(), "1024x5x5");
    assert_eq!(
        net.node("auxiliary_features").unwrap().shape.to_string(),
        "768"
    );
    assert_eq!(
        net.node("auxiliary_logits").unwrap().shape.to_string(),
        "1000"
    );
    let needed = net.needed(&[net.id("probabilities").unwrap()]);
    let spared: Vec<&str> = (net.nodes().iter().zip(needed))
        .filter(|(_, needed)| !needed)
        .map(|(node, _)| node.name.split('/').next().unwrap())
        .collect();
    assert!(
        spared.iter().all(|name| name.starts_with("auxiliary")),
        "{spared:?}"
    );
    assert_eq!(spared.len(), 9);
    // Smaller grids reduce its windows; the network can be built all the way down.
    let small = NetOptions {
        auxiliary_head: true,
        ..NetOptions::default().image_size(75)
    };
    for (name, variant, _) in PARAMETERS {
        let built = zoo::find(name, Some(variant)).unwrap().build(&small);
        assert_eq!(
            built.is_ok(),
            name != "inception_resnet_v1",
            "{name} {variant}"
        );
    }
    let paper = zoo::find("inception_v4", None).unwrap().build(&with(true));
    assert_eq!(
        paper.unwrap_err().to_string(),
        "`inception_v4` (paper) has no auxiliary head"
    );
    let net = build("inception_v3", "torchvision", &small);
    assert!(net.node("auxiliary/average_pool_3x3").is_some());
}

/// One stage: name, repeat, output at 299, grids at 149 and 75, parameters, multiply-adds at 299, receptive field,
/// stride.
type StageRow = (
    &'static str,
    usize,
    [usize; 3],
    [usize; 2],
    usize,
    u64,
    [usize; 2],
);

#[rustfmt::skip]
const INCEPTION_V4: &[StageRow] = &[
    ("stem",        1, [384, 35, 35],  [16, 7], 605_728,    2_289_943_648, [55,   8]),
    ("inception_a", 4, [384, 35, 35],  [16, 7], 1_270_528,  1_550_438_400, [183,  8]),
    ("reduction_a", 1, [1024, 17, 17], [7,  3], 2_306_112,  1_097_164_800, [215,  16]),
    ("inception_b", 7, [1024, 17, 17], [7,  3], 20_553_792, 5_930_853_376, [1559, 16]),
    ("reduction_b", 1, [1536, 8, 8],   [3,  1], 2_747_392,  511_098_880,   [1687, 32]),
    ("inception_c", 3, [1536, 8, 8],   [3,  1], 13_659_264, 872_939_520,   [2071, 32]),
];

#[rustfmt::skip]
const INCEPTION_RESNET_V2: &[StageRow] = &[
    ("stem",                    1,  [192, 35, 35],  [16, 7], 172_672,    1_340_779_616, [31,   8]),
    ("mixed_5b",                1,  [320, 35, 35],  [16, 7], 268_320,    327_398_400,   [63,   8]),
    ("inception_resnet_a",      10, [320, 35, 35],  [16, 7], 1_231_680,  1_499_008_000, [383,  8]),
    ("reduction_a",             1,  [1088, 17, 17], [7,  3], 2_664_960,  1_398_185_984, [415,  16]),
    ("inception_resnet_b",      20, [1088, 17, 17], [7,  3], 22_535_680, 6_498_754_560, [2335, 16]),
    ("reduction_b",             1,  [2080, 8, 8],   [3,  1], 3_880_960,  585_424_896,   [2399, 32]),
    ("inception_resnet_c",      9,  [2080, 8, 8],   [3,  1], 18_318_816, 1_170_210_816, [2975, 32]),
    ("last_inception_resnet_c", 1,  [2080, 8, 8],   [3,  1], 2_035_424,  130_023_424,   [3039, 32]),
    ("conv_7b",                 1,  [1536, 8, 8],   [3,  1], 3_197_952,  204_472_320,   [3039, 32]),
];

#[rustfmt::skip]
const INCEPTION_RESNET_V1: &[StageRow] = &[
    ("stem",                    1,  [256, 35, 35],  [16, 7], 615_552,   1_882_680_416, [31,   8]),
    ("inception_resnet_a",      5,  [256, 35, 35],  [16, 7], 387_200,   470_400_000,   [191,  8]),
    ("reduction_a",             1,  [896, 17, 17],  [7,  3], 1_710_080, 850_169_856,   [223,  16]),
    ("inception_resnet_b",      10, [896, 17, 17],  [7,  3], 6_900_480, 1_988_689_920, [1183, 16]),
    ("reduction_b",             1,  [1792, 8, 8],   [3,  1], 3_346_176, 501_448_704,   [1247, 32]),
    ("inception_resnet_c",      5,  [1792, 8, 8],   [3,  1], 8_003_840, 511_180_800,   [1567, 32]),
    ("last_inception_resnet_c", 1,  [1792, 8, 8],   [3,  1], 1_600_768, 102_236_160,   [1631, 32]),
];

#[rustfmt::skip]
const INCEPTION_V3: &[StageRow] = &[
    ("stem",        1, [192, 35, 35],  [16, 7], 172_672,    1_340_779_616, [31,   8]),
    ("inception_a", 3, [288, 35, 35],  [16, 7], 818_528,    999_129_600,   [127,  8]),
    ("reduction_a", 1, [768, 17, 17],  [7,  3], 1_153_280,  401_937_408,   [159,  16]),
    ("inception_b", 4, [768, 17, 17],  [7,  3], 6_821_376,  1_967_382_528, [927,  16]),
    ("reduction_b", 1, [1280, 8, 8],   [3,  1], 1_698_304,  291_004_416,   [1055, 32]),
    ("inception_c", 2, [2048, 8, 8],   [3,  1], 11_121_408, 710_934_528,   [1311, 32]),
];

const STAGES: [(&str, &str, &[StageRow], &[&str]); 6] = [
    ("inception_v4", "published", INCEPTION_V4, CLASSIFIER),
    (
        "inception_resnet_v2",
        "published",
        INCEPTION_RESNET_V2,
        CLASSIFIER,
    ),
    (
        "inception_resnet_v1",
        "published",
        INCEPTION_RESNET_V1,
        CLASSIFIER,
    ),
    (
        "inception_resnet_v1",
        "facenet",
        INCEPTION_RESNET_V1,
        &[
            "features",
            "bottleneck",
            "embedding",
            "logits",
            "probabilities",
        ],
    ),
    ("inception_v3", "torchvision", INCEPTION_V3, CLASSIFIER),
    ("inception_v3", "tensorflow", INCEPTION_V3, CLASSIFIER),
];

const CLASSIFIER: &[&str] = &["features", "logits", "probabilities"];

#[test]
fn every_stage_of_the_tables() {
    for (name, variant, rows, end) in STAGES {
        let nets = [299, 149, 75]
            .map(|side| build(name, variant, &NetOptions::default().image_size(side)));
        let fields = nets[0].receptive_fields();
        let names: Vec<&str> = nets[0].stages().iter().map(|s| s.name.as_str()).collect();
        let expected: Vec<&str> = rows
            .iter()
            .map(|row| row.0)
            .chain(end.iter().copied())
            .collect();
        assert_eq!(names, expected, "{name} {variant}");
        for (
            index,
            &(stage_name, repeat, output, [grid_149, grid_75], parameters, multiply_adds, field),
        ) in rows.iter().enumerate()
        {
            let what = format!("{name} {variant}, stage {stage_name}");
            let stage = &nets[0].stages()[index];
            assert_eq!(stage.repeat, repeat, "{what}");
            for (net, grid) in nets.iter().zip([output[1], grid_149, grid_75]) {
                let found = net.at(net.stages()[index].output).shape.dimensions();
                assert_eq!(found, [output[0], grid, grid], "{what}");
            }
            let cost = nets[0].stage_cost(stage);
            assert_eq!(
                (cost.parameters, cost.multiply_adds),
                (parameters, multiply_adds),
                "{what}"
            );
            let seen = fields[stage.output.index()].unwrap();
            assert_eq!([seen.height, seen.stride], field, "{what}");
        }
        // The stages are all there is.
        let sum: usize = nets[0]
            .stages()
            .iter()
            .map(|s| nets[0].stage_cost(s).parameters)
            .sum();
        assert_eq!(sum, nets[0].cost().parameters, "{name} {variant}");
    }
}

#[test]
fn the_smallest_image_is_75_pixels_each_way() {
    for (name, variant, ..) in STAGES {
        for (height, width) in [(75, 75), (75, 299), (299, 75), (107, 139)] {
            let options = NetOptions {
                image_height: height,
                image_width: width,
                ..NetOptions::default()
            };
            build(name, variant, &options);
        }
        let small = zoo::find(name, Some(variant))
            .unwrap()
            .build(&NetOptions::default().image_size(74));
        assert!(
            matches!(small, Err(NetError::ImageTooSmall { .. })),
            "{name} {variant}"
        );
    }
}

#[test]
fn every_block_is_as_published() {
    let stem_v3 =
        "3x3 32 /2 V -> 3x3 32 V -> 3x3 64 -> max /2 V -> 1x1 80 -> 3x3 192 V -> max /2 V";
    let stem_v1 =
        "3x3 32 /2 V -> 3x3 32 V -> 3x3 64 -> max /2 V -> 1x1 80 -> 3x3 192 V -> 3x3 256 /2 V";
    let a_v3 = |pool: &str, p: usize| {
        format!("1x1 64 | 1x1 48 -> 5x5 64 | 1x1 64 -> 3x3 96 -> 3x3 96 | {pool} -> 1x1 {p}")
    };
    let b_v3 = |pool: &str, c: usize| {
        format!(
            "1x1 192 | 1x1 {c} -> 1x7 {c} -> 7x1 192 | 1x1 {c} -> 7x1 {c} -> 1x7 {c} -> 7x1 {c} -> 1x7 192 | {pool} -> 1x1 192"
        )
    };
    let v3 = |pool: &str| {
        let c = format!(
            "1x1 320 | 1x1 384 -> 1x3 384 | 1x1 384 -> 3x1 384 | 1x1 448 -> 3x3 384 -> 1x3 384 \
             | 1x1 448 -> 3x3 384 -> 3x1 384 | {pool} -> 1x1 192"
        );
        vec![
            vec![stem_v3.to_string()],
            [32, 64, 64].map(|p| a_v3(pool, p)).to_vec(),
            vec!["3x3 384 /2 V | 1x1 64 -> 3x3 96 -> 3x3 96 /2 V | max /2 V".into()],
            [128, 160, 160, 192].map(|c| b_v3(pool, c)).to_vec(),
            vec!["1x1 192 -> 3x3 320 /2 V | 1x1 192 -> 1x7 192 -> 7x1 192 -> 3x3 192 /2 V | max /2 V".into()],
            vec![c; 2],
        ]
    };
    let times = |text: &str, repeat: usize| vec![text.to_string(); repeat];
    let v1 = || {
        vec![
            times(stem_v1, 1),
            times(
                "relu(x + 0.17 * (1x1 32 | 1x1 32 -> 3x3 32 | 1x1 32 -> 3x3 32 -> 3x3 32; linear 1x1 256))",
                5,
            ),
            times(
                "3x3 384 /2 V | 1x1 192 -> 3x3 192 -> 3x3 256 /2 V | max /2 V",
                1,
            ),
            times(
                "relu(x + 0.1 * (1x1 128 | 1x1 128 -> 1x7 128 -> 7x1 128; linear 1x1 896))",
                10,
            ),
            times(
                "1x1 256 -> 3x3 384 /2 V | 1x1 256 -> 3x3 256 /2 V | 1x1 256 -> 3x3 256 -> 3x3 256 /2 V | max /2 V",
                1,
            ),
            times(
                "relu(x + 0.2 * (1x1 192 | 1x1 192 -> 1x3 192 -> 3x1 192; linear 1x1 1792))",
                5,
            ),
            times(
                "x + 1 * (1x1 192 | 1x1 192 -> 1x3 192 -> 3x1 192; linear 1x1 1792)",
                1,
            ),
        ]
    };
    let networks: [(&str, &str, Vec<Vec<String>>); 6] = [
        (
            "inception_v4",
            "published",
            vec![
                // Its joins are checked part by part below.
                vec![],
                times(
                    "1x1 96 | 1x1 64 -> 3x3 96 | 1x1 64 -> 3x3 96 -> 3x3 96 | avg -> 1x1 96",
                    4,
                ),
                times(
                    "3x3 384 /2 V | 1x1 192 -> 3x3 224 -> 3x3 256 /2 V | max /2 V",
                    1,
                ),
                times(
                    "1x1 384 | 1x1 192 -> 1x7 224 -> 7x1 256 | 1x1 192 -> 7x1 192 -> 1x7 224 -> 7x1 224 -> 1x7 256 | avg -> 1x1 128",
                    7,
                ),
                times(
                    "1x1 192 -> 3x3 192 /2 V | 1x1 256 -> 1x7 256 -> 7x1 320 -> 3x3 320 /2 V | max /2 V",
                    1,
                ),
                times(
                    "1x1 256 | 1x1 384 -> 1x3 256 | 1x1 384 -> 3x1 256 | 1x1 384 -> 3x1 448 -> 1x3 512 -> 1x3 256 \
                 | 1x1 384 -> 3x1 448 -> 1x3 512 -> 3x1 256 | avg -> 1x1 256",
                    3,
                ),
            ],
        ),
        (
            "inception_resnet_v2",
            "published",
            vec![
                times(stem_v3, 1),
                times(
                    "1x1 96 | 1x1 48 -> 5x5 64 | 1x1 64 -> 3x3 96 -> 3x3 96 | avg -> 1x1 64",
                    1,
                ),
                times(
                    "relu(x + 0.17 * (1x1 32 | 1x1 32 -> 3x3 32 | 1x1 32 -> 3x3 48 -> 3x3 64; linear 1x1 320))",
                    10,
                ),
                times(
                    "3x3 384 /2 V | 1x1 256 -> 3x3 256 -> 3x3 384 /2 V | max /2 V",
                    1,
                ),
                times(
                    "relu(x + 0.1 * (1x1 192 | 1x1 128 -> 1x7 160 -> 7x1 192; linear 1x1 1088))",
                    20,
                ),
                times(
                    "1x1 256 -> 3x3 384 /2 V | 1x1 256 -> 3x3 288 /2 V | 1x1 256 -> 3x3 288 -> 3x3 320 /2 V | max /2 V",
                    1,
                ),
                times(
                    "relu(x + 0.2 * (1x1 192 | 1x1 192 -> 1x3 224 -> 3x1 256; linear 1x1 2080))",
                    9,
                ),
                times(
                    "x + 1 * (1x1 192 | 1x1 192 -> 1x3 224 -> 3x1 256; linear 1x1 2080)",
                    1,
                ),
                times("1x1 1536", 1),
            ],
        ),
        ("inception_resnet_v1", "published", v1()),
        ("inception_resnet_v1", "facenet", v1()),
        ("inception_v3", "torchvision", v3("avg by 9")),
        ("inception_v3", "tensorflow", v3("avg")),
    ];
    for (name, variant, stages) in networks {
        let net = build(name, variant, &NetOptions::default());
        let mut start = net.id("image").unwrap();
        for (stage, blocks) in net.stages().iter().zip(&stages) {
            assert!(blocks.len() == stage.repeat || stage.name == "stem");
            for (index, expected) in blocks.iter().enumerate() {
                let output = match stage.repeat {
                    1 => stage.output,
                    _ => block_output(&net, &stage.name, Some(index)),
                };
                assert_eq!(
                    figure(&net, output, start),
                    *expected,
                    "{name} {variant}, {} {index}",
                    stage.name
                );
                start = output;
            }
            start = stage.output;
        }
    }
    // The stem of Inception-v4, part by part.
    let net = build("inception_v4", "published", &NetOptions::default());
    let mut start = net.id("image").unwrap();
    for (part, expected) in [
        "3x3 32 /2 V",
        "3x3 32 V",
        "3x3 64",
        "max /2 V | 3x3 96 /2 V",
        "1x1 64 -> 3x3 96 V | 1x1 64 -> 1x7 64 -> 7x1 64 -> 3x3 96 V",
        "3x3 192 /2 V | max /2 V",
    ]
    .into_iter()
    .enumerate()
    {
        let output = block_output(&net, "stem", Some(part));
        assert_eq!(figure(&net, output, start), expected, "part {part}");
        start = output;
    }
}

#[test]
fn facenets_end_is_a_bottleneck_an_embedding_and_a_classifier() {
    let net = build("inception_resnet_v1", "facenet", &NetOptions::default());
    let input = |name: &str| net.at(net.node(name).unwrap().inputs[0]).name.clone();
    assert_eq!(input("features"), "last_inception_resnet_c/add");
    assert_eq!(input("bottleneck"), "dropout");
    assert_eq!(
        net.node("bottleneck").unwrap().op,
        Op::Linear {
            features: 512,
            bias: false
        }
    );
    assert_eq!(input("bottleneck/batch_norm"), "bottleneck");
    assert_eq!(input("embedding"), "bottleneck/batch_norm");
    assert_eq!(net.node("embedding").unwrap().op, Op::Normalize);
    assert_eq!(input("logits"), "bottleneck/batch_norm");
}

#[test]
fn a_variant_is_found_by_name_and_published_means_the_first_with_weights() {
    let found = |name, variant| zoo::find(name, variant).unwrap().variant;
    assert_eq!(found("inception_v4", None), "paper");
    assert_eq!(found("Inception-ResNet-v1", Some("facenet")), "facenet");
    assert_eq!(found("inception_v3", None), "torchvision");
    assert_eq!(found("inception_v3", Some("published")), "torchvision");
    assert_eq!(found("inception_resnet_v1", Some("published")), "published");
    let error = zoo::find("inception_v3", Some("paper")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`inception_v3` has no variant `paper`: expected torchvision or tensorflow"
    );
}
