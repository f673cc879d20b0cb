//! Half precision: every number is the nearest of its type to the float64 value, what is lost is counted, and the types of
//! all values fit together.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, HashMap};

use incept_exporters::net::{Net, NetOptions, Op};
use incept_exporters::onnx::{
    self, BatchNorm, Destination, ExportError, ExportOptions, Output, Precision, PrecisionOptions,
};
use incept_exporters::weights::{Tensor, Weights};
use incept_exporters::zoo;
use onnx_protobuf::type_proto::Value as Type;
use onnx_protobuf::{GraphProto, Message, ModelProto, ValueInfoProto};

const NETWORKS: [&str; 3] = ["inception_v4", "inception_resnet_v1", "inception_resnet_v2"];
const FLOAT: i32 = 1;
const INT8: i32 = 3;
const FLOAT16: i32 = 10;
const BFLOAT16: i32 = 16;

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

fn options(precision: Precision, batch_norm: BatchNorm) -> ExportOptions {
    ExportOptions {
        batch_norm,
        precision: PrecisionOptions {
            precision,
            ..PrecisionOptions::default()
        },
        ..ExportOptions::default()
    }
}

fn native() -> ExportOptions {
    let mut options = options(Precision::Bf16, BatchNorm::Folded);
    options.opset = 22;
    options.precision.native_bfloat16 = true;
    options
}

fn emulated_float16() -> ExportOptions {
    let mut options = options(Precision::Fp16, BatchNorm::Folded);
    options.precision.emulated_float16 = true;
    options
}

fn graph_of(net: &Net, weights: &Weights, options: &ExportOptions) -> GraphProto {
    let bytes = onnx::to_bytes(net, weights, options).unwrap();
    ModelProto::parse_from_bytes(&bytes).unwrap().graph.unwrap()
}

/// The magnitude that the bits of a 16-bit type stand for.
fn number(bits: u16, mantissa: u32, bias: i32) -> f64 {
    let fraction = f64::from(bits & ((1 << mantissa) - 1)) / f64::from(1 << mantissa);
    match i32::from(bits >> mantissa) {
        0 => fraction * 2f64.powi(1 - bias),
        exponent => (1.0 + fraction) * 2f64.powi(exponent - bias),
    }
}

/// A 16-bit type, described by its bits alone.
#[derive(Clone, Copy)]
struct Half {
    mantissa: u32,
    bias: i32,
}

const HALF: Half = Half {
    mantissa: 10,
    bias: 15,
};
const BRAIN: Half = Half {
    mantissa: 7,
    bias: 127,
};

impl Half {
    fn infinity(self) -> u16 {
        0x7fff >> self.mantissa << self.mantissa
    }

    fn number(self, bits: u16) -> f64 {
        number(bits, self.mantissa, self.bias)
    }

    /// The bits of the number nearest to `value`, ties to the even one; infinity where it overflows.
    fn nearest(self, value: f64) -> u16 {
        let magnitude = value.abs();
        let (mut below, mut above) = (0, self.infinity());
        while above - below > 1 {
            let middle = below + (above - below) / 2;
            if self.number(middle) <= magnitude {
                below = middle;
            } else {
                above = middle;
            }
        }
        let (down, up) = (
            magnitude - self.number(below),
            self.number(above) - magnitude,
        );
        let bits = below + u16::from(up < down || up == down && below % 2 == 1);
        bits | u16::from(value.is_sign_negative()) << 15
    }
}

/// The exact values of every tensor of a folded file, from the weights, in float64.
fn folded(net: &Net, weights: &Weights) -> BTreeMap<String, Vec<f64>> {
    let of = |name: String| -> Vec<f64> {
        let tensor = weights.get(&name).unwrap();
        tensor.values().iter().map(|&value| value.into()).collect()
    };
    let mut exact = BTreeMap::new();
    for node in net.nodes() {
        match node.op {
            Op::BatchNorm { epsilon } => {
                let convolution = &net.at(node.inputs[0]).name;
                let of = |part: &str| of(format!("{}/{part}", node.name));
                let (gamma, variance) = (of("gamma"), of("running_variance"));
                let factors: Vec<f64> = gamma
                    .iter()
                    .zip(&variance)
                    .map(|(gamma, variance)| gamma / (variance + epsilon).sqrt())
                    .collect();
                let weight: &mut Vec<f64> =
                    exact.get_mut(&format!("{convolution}/weight")).unwrap();
                let each = weight.len() / factors.len();
                for (place, value) in weight.iter_mut().enumerate() {
                    *value *= factors[place / each];
                }
                let (beta, mean) = (of("beta"), of("running_mean"));
                let bias = (0..factors.len()).map(|c| beta[c] - mean[c] * factors[c]);
                exact.insert(format!("{convolution}/bias"), bias.collect());
            }
            Op::ScaledAdd { scale } => {
                exact.insert(format!("{}/scale", node.name), vec![scale]);
            }
            _ => {
                for parameter in net.parameters_of(node) {
                    let values = of(parameter.name.clone());
                    exact.insert(parameter.name, values);
                }
            }
        }
    }
    exact
}

#[test]
fn every_number_is_the_nearest_to_the_value_in_float64() {
    for (precision, half, data_type) in [
        (Precision::Fp16, HALF, FLOAT16),
        (Precision::Bf16, BRAIN, BFLOAT16),
    ] {
        for network in NETWORKS {
            let net = small(network);
            let weights = Weights::randomised(&net, 3);
            let exact = folded(&net, &weights);
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("m.onnx");
            let exported = onnx::write(
                &net,
                &weights,
                &options(precision, BatchNorm::Folded),
                &path,
            )
            .unwrap();
            let report = exported.precision.unwrap();
            let reported: HashMap<&str, _> = report
                .tensors
                .iter()
                .map(|t| (t.name.as_str(), t))
                .collect();
            let bytes = std::fs::read(&path).unwrap();
            let graph = ModelProto::parse_from_bytes(&bytes).unwrap().graph.unwrap();
            let (mut compared, mut different) = (0, 0);
            for tensor in &graph.initializer {
                let name = &tensor.name;
                assert_eq!(tensor.data_type, data_type, "{name}");
                let exact = &exact[name];
                let stored = tensor.raw_data.as_chunks::<2>().0.iter();
                let stored: Vec<u16> = stored.map(|&bytes| u16::from_le_bytes(bytes)).collect();
                assert_eq!(stored.len(), exact.len(), "{name}");
                let (mut zeros, mut subnormals, mut change) = (0, 0, 0f64);
                for (&stored, &exact) in stored.iter().zip(exact) {
                    let expected = half.nearest(exact);
                    assert_eq!(stored, expected, "{name}: {exact:e}");
                    let magnitude = half.number(stored & 0x7fff);
                    let lost = (magnitude - exact.abs()).abs();
                    change = change.max(lost);
                    zeros += u64::from(magnitude == 0.0 && exact != 0.0);
                    let subnormal = magnitude > 0.0 && stored & half.infinity() == 0;
                    subnormals += u64::from(subnormal && lost > 0.0);
                    compared += 1;
                    // Rounding to float32 first is the mistake this is to find.
                    different += usize::from(half.nearest(f64::from(exact as f32)) != expected);
                }
                let told = reported[name.as_str()];
                assert_eq!(told.elements, exact.len() as u64, "{name}");
                assert_eq!(
                    (told.clamped, told.underflows, told.subnormals),
                    (0, zeros, subnormals),
                    "{name}"
                );
                assert_eq!(told.largest_change, change, "{name}");
            }
            assert_eq!(graph.initializer.len(), exact.len(), "{network}");
            assert_eq!(report.tensors.len(), exact.len());
            assert_eq!(report.elements, compared as u64);
            println!(
                "{network}, {precision}: {compared} numbers, {different} of them differ if rounded twice"
            );
        }
    }
}

/// Of each filter the scale is its largest magnitude over 127, every number is the nearest multiple of it to the value in
/// float64, and the counts are those of what is stored.
#[test]
fn int8_weights_are_the_nearest_multiples_of_their_filters_scale() {
    for network in NETWORKS {
        let net = small(network);
        let weights = Weights::randomised(&net, 3);
        let exact = folded(&net, &weights);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.onnx");
        let options = options(Precision::Int8, BatchNorm::Folded);
        let report = onnx::write(&net, &weights, &options, &path)
            .unwrap()
            .precision
            .unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let graph = ModelProto::parse_from_bytes(&bytes).unwrap().graph.unwrap();
        types_fit(&graph, network);
        let tensors: HashMap<&str, _> = graph
            .initializer
            .iter()
            .map(|tensor| (tensor.name.as_str(), tensor))
            .collect();
        let mut quantised = 0;
        for (name, exact) in &exact {
            let tensor = tensors[name.as_str()];
            if !name.ends_with("/weight") {
                assert_eq!(tensor.data_type, FLOAT, "{name}: only weights are int8");
                continue;
            }
            quantised += 1;
            assert_eq!(tensor.data_type, INT8, "{name}");
            let scale = tensors[format!("{name}/scale").as_str()];
            let filters = tensor.dims[0] as usize;
            assert_eq!(
                (scale.dims.as_slice(), scale.data_type),
                (&[filters as i64][..], FLOAT)
            );
            let scales = scale.raw_data.as_chunks::<4>().0.iter();
            let scales: Vec<f64> = scales
                .map(|&four| f32::from_le_bytes(four).into())
                .collect();
            let each = exact.len() / filters;
            assert_eq!(tensor.raw_data.len(), exact.len(), "{name}");
            let mut zeros = 0;
            for (filter, exact) in exact.chunks(each).enumerate() {
                let largest = exact
                    .iter()
                    .fold(0.0, |most: f64, value| most.max(value.abs()));
                assert_eq!(
                    scales[filter],
                    f64::from((largest / 127.0) as f32),
                    "{name}"
                );
                let stored = &tensor.raw_data[filter * each..][..each];
                for (&stored, &exact) in stored.iter().zip(exact) {
                    let off = |whole: i32| (f64::from(whole) * scales[filter] - exact).abs();
                    let whole = i32::from(stored as i8);
                    let nearest = [whole - 1, whole + 1]
                        .map(off)
                        .into_iter()
                        .fold(f64::MAX, f64::min);
                    assert!(
                        off(whole) <= nearest && whole != -128,
                        "{name}: {whole} for {exact:e}"
                    );
                    zeros += u64::from(whole == 0 && exact != 0.0);
                }
            }
            let told = report
                .tensors
                .iter()
                .find(|told| told.name == *name)
                .unwrap();
            assert_eq!(
                (told.precision, told.clamped, told.underflows),
                (Precision::Int8, 0, zeros)
            );
        }
        assert!(
            quantised > 50 && report.tensors.len() == quantised,
            "{network}: {quantised}"
        );
        let dequantised = graph
            .node
            .iter()
            .filter(|node| node.op_type == "DequantizeLinear");
        assert_eq!(dequantised.count(), quantised);
    }
}

/// In a file with a precision for each block, tensors and operators of a block are of its precision, all types fit
/// together, and the others are those of float32.
#[test]
fn each_block_has_the_precision_that_is_planned_for_it() {
    let all = [
        Precision::Fp32,
        Precision::Fp16,
        Precision::Bf16,
        Precision::Int8,
    ];
    for network in NETWORKS {
        let net = small(network);
        let weights = Weights::initial(&net, 0);
        for shift in 0..all.len() {
            for batch_norm in [BatchNorm::Folded, BatchNorm::Kept] {
                let names = net.blocks().into_iter().enumerate();
                let planned: BTreeMap<String, Precision> = names
                    .map(|(place, name)| (name.into(), all[(place + shift) % all.len()]))
                    .collect();
                let mut options = options(Precision::Fp32, batch_norm);
                options.precision.blocks = planned.clone();
                let graph = graph_of(&net, &weights, &options);
                let what = format!("{network}, {batch_norm}, {shift}");
                types_fit(&graph, &what);
                let types = types(&graph);
                assert_eq!((types["image"], types["logits"]), (FLOAT, FLOAT), "{what}");
                let mut seen = std::collections::HashSet::new();
                for tensor in &graph.initializer {
                    let block = tensor.name.split('/').next().unwrap();
                    if !tensor.name.ends_with("/weight") {
                        continue;
                    }
                    let precision = planned[block];
                    let expected = match precision {
                        Precision::Fp32 => FLOAT,
                        Precision::Fp16 => FLOAT16,
                        Precision::Bf16 => BFLOAT16,
                        Precision::Int8 => INT8,
                    };
                    assert_eq!(tensor.data_type, expected, "{what}: {}", tensor.name);
                    seen.insert(precision.to_string());
                }
                assert_eq!(seen.len(), 4, "{what}");
                for node in graph.node.iter().filter(|node| node.op_type == "Conv") {
                    let block = node.name.split('/').next().unwrap();
                    let expected = match planned[block] {
                        Precision::Fp16 => FLOAT16,
                        _ => FLOAT,
                    };
                    assert_eq!(
                        types[node.input[0].as_str()],
                        expected,
                        "{what}: {}",
                        node.name
                    );
                }
            }
        }
    }
}

#[test]
fn a_plan_for_a_block_that_is_not_there_is_refused_with_the_nearest() {
    let net = small("inception_v4");
    let mut options = options(Precision::Fp32, BatchNorm::Folded);
    options.precision.blocks = [("inceptoin_a.2".to_string(), Precision::Fp16)].into();
    let error = onnx::to_bytes(&net, &Weights::initial(&net, 0), &options).unwrap_err();
    assert!(
        error.to_string().contains("no block `inceptoin_a.2`"),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("`inception_a.2`"));
    // A block without weights has nothing to be lowered.
    options.precision.blocks = [("probabilities".to_string(), Precision::Fp16)].into();
    assert!(onnx::to_bytes(&net, &Weights::initial(&net, 0), &options).is_err());
}

/// The element type of each value of a graph, inputs, outputs and tensors included.
fn types(graph: &GraphProto) -> HashMap<&str, i32> {
    let of = |value: &ValueInfoProto| match &value.type_.value {
        Some(Type::TensorType(tensor)) => tensor.elem_type,
        other => panic!("{other:?}"),
    };
    let values = graph
        .value_info
        .iter()
        .chain(&graph.input)
        .chain(&graph.output);
    let mut types: HashMap<&str, i32> = HashMap::new();
    for value in values {
        assert_eq!(
            types.insert(&value.name, of(value)),
            None,
            "{} twice",
            value.name
        );
    }
    types.extend(
        graph
            .initializer
            .iter()
            .map(|t| (t.name.as_str(), t.data_type)),
    );
    types
}

/// What each operator may be given and gives, in ONNX's own terms: one type throughout, but for Cast and the statistics
/// of a normalisation.
fn types_fit(graph: &GraphProto, what: &str) {
    let types = types(graph);
    let mut names = std::collections::HashSet::new();
    for node in &graph.node {
        assert!(
            names.insert(&node.name),
            "{what}: node `{}` twice",
            node.name
        );
        let inputs: Vec<i32> = node
            .input
            .iter()
            .map(|input| types[input.as_str()])
            .collect();
        let outputs: Vec<i32> = node
            .output
            .iter()
            .map(|output| types[output.as_str()])
            .collect();
        let name = format!("{what}: `{}` ({})", node.name, node.op_type);
        match node.op_type.as_str() {
            "Cast" => {
                assert_eq!(i64::from(outputs[0]), node.attribute[0].i, "{name}");
                assert_ne!(inputs[0], outputs[0], "{name}");
            }
            "DequantizeLinear" => {
                assert_eq!(
                    (inputs[0], inputs[1], outputs[0]),
                    (INT8, FLOAT, FLOAT),
                    "{name}"
                );
                assert_eq!(inputs.len(), 2, "{name}");
            }
            "BatchNormalization" => {
                assert_eq!(inputs[0], outputs[0], "{name}");
                assert_eq!(inputs[1..], [FLOAT; 4], "{name}");
            }
            _ => {
                let all = inputs.iter().chain(&outputs);
                assert!(
                    all.clone().all(|t| *t == inputs[0]),
                    "{name}: {inputs:?} {outputs:?}"
                );
            }
        }
    }
    // Every tensor and value is used, and every node reads what came before it.
    let mut known: std::collections::HashSet<&str> =
        graph.input.iter().map(|v| v.name.as_str()).collect();
    known.extend(graph.initializer.iter().map(|t| t.name.as_str()));
    for node in &graph.node {
        for input in &node.input {
            assert!(
                known.contains(input.as_str()),
                "{what}: `{}` reads `{input}` too early",
                node.name
            );
        }
        known.extend(node.output.iter().map(String::as_str));
    }
    let outputs: Vec<&str> = graph.output.iter().map(|v| v.name.as_str()).collect();
    let read: std::collections::HashSet<&str> = graph
        .node
        .iter()
        .flat_map(|node| &node.input)
        .map(String::as_str)
        .collect();
    for name in types.keys() {
        assert!(
            read.contains(name) || outputs.contains(name),
            "{what}: nobody reads `{name}`"
        );
    }
}

#[test]
fn types_fit_together_and_the_interface_is_float32_unless_asked() {
    for network in NETWORKS {
        let net = small(network);
        let weights = Weights::initial(&net, 0);
        let mut cases = vec![native(), emulated_float16()];
        for precision in [Precision::Fp16, Precision::Bf16] {
            for batch_norm in [BatchNorm::Folded, BatchNorm::Kept] {
                cases.push(options(precision, batch_norm));
            }
        }
        for mut options in cases {
            for output in [Output::Logits, Output::Probabilities, Output::Features] {
                for half_inputs_outputs in [false, true] {
                    options.outputs = vec![output];
                    options.precision.half_inputs_outputs = half_inputs_outputs;
                    let what = format!("{network} {options:?}");
                    let graph = graph_of(&net, &weights, &options);
                    types_fit(&graph, &what);
                    let half = match options.precision.precision {
                        Precision::Fp16 => FLOAT16,
                        _ => BFLOAT16,
                    };
                    let interface = if half_inputs_outputs { half } else { FLOAT };
                    let types = types(&graph);
                    assert_eq!(types["image"], interface, "{what}");
                    assert_eq!(graph.output.len(), 1);
                    assert_eq!(graph.output[0].name, output.name(), "{what}");
                    assert_eq!(types[output.name()], interface, "{what}");
                    // Values are called as in a float32 file, so that layers are found by name.
                    let plain = ExportOptions {
                        precision: PrecisionOptions::default(),
                        ..options.clone()
                    };
                    for node in &graph_of(&net, &weights, &plain).node {
                        assert!(
                            types.contains_key(node.output[0].as_str()),
                            "{what}: {}",
                            node.output[0]
                        );
                    }
                    // What is computed in which precision.
                    for node in &graph.node {
                        let emulated = match half {
                            BFLOAT16 => !options.precision.native_bfloat16,
                            _ => options.precision.emulated_float16,
                        };
                        let expected = match node.op_type.as_str() {
                            "Cast" => continue,
                            "Softmax" | "GlobalAveragePool" | "Flatten" => FLOAT,
                            "Concat" => half,
                            _ if emulated => FLOAT,
                            _ => half,
                        };
                        assert_eq!(
                            types[node.input[0].as_str()],
                            expected,
                            "{what}: {}",
                            node.name
                        );
                    }
                }
            }
        }
    }
}

/// Between two roundings to bfloat16 lies exactly one operator: what an accelerator with bfloat16 computes.
#[test]
fn emulated_bfloat16_rounds_every_result() {
    let net = small("inception_resnet_v2");
    let graph = graph_of(
        &net,
        &Weights::initial(&net, 0),
        &options(Precision::Bf16, BatchNorm::Kept),
    );
    let types = types(&graph);
    let by: HashMap<&str, &onnx_protobuf::NodeProto> = graph
        .node
        .iter()
        .flat_map(|node| {
            node.output
                .iter()
                .map(move |output| (output.as_str(), node))
        })
        .collect();
    let mut operators = 0;
    for node in graph.node.iter().filter(|node| node.op_type != "Cast") {
        if ["Softmax", "GlobalAveragePool", "Flatten"].contains(&node.op_type.as_str()) {
            continue;
        }
        operators += 1;
        for input in &node.input {
            let statistics = node.op_type == "BatchNormalization" && *input != node.input[0];
            let rounded = types[input.as_str()] == BFLOAT16
                || by.get(input.as_str()).is_some_and(|cast| {
                    cast.op_type == "Cast" && types[cast.input[0].as_str()] == BFLOAT16
                });
            assert!(
                rounded || statistics,
                "`{}` reads `{input}` unrounded",
                node.name
            );
        }
    }
    assert!(operators > 400, "{operators}");
}

#[test]
fn what_overflows_is_an_error_that_names_it_or_is_clamped_and_counted() {
    let net = small("inception_resnet_v1");
    let mut weights = Weights::randomised(&net, 1);
    let mut spoil = |name: &str, change: &dyn Fn(&mut [f32])| {
        let tensor = weights.get(name).unwrap();
        let (shape, mut values) = (tensor.shape().to_vec(), tensor.values().into_owned());
        change(&mut values);
        weights.insert(name, Tensor::owned(shape, values));
    };
    spoil("logits/bias", &|values| {
        values[..3].copy_from_slice(&[65520.0, -7e4, 65519.0])
    });
    // Folding divides by the root of a tiny variance: only the folded weight overflows.
    spoil("stem.0/conv_3x3/batch_norm/gamma", &|values| {
        values[0] = 1e6
    });
    let export = |options: &ExportOptions| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.onnx");
        let exported = onnx::write(&net, &weights, options, &path);
        let left = std::fs::read_dir(folder.path()).unwrap().count();
        (exported, std::fs::read(&path).ok(), left)
    };
    let mut fp16 = options(Precision::Fp16, BatchNorm::Folded);
    let (error, file, left) = export(&fp16);
    assert_eq!(
        (file, left),
        (None, 0),
        "nothing is left of a failed export"
    );
    let error = error.unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("`logits/bias`: 2 of 10 numbers beyond 65504, up to 7e4"),
        "{text}"
    );
    assert!(text.contains("`stem.0/conv_3x3/weight`"), "{text}");
    assert!(text.contains("65504"), "{text}");
    assert!(error.hint().unwrap().contains("--allow-clamp"));
    let ExportError::Overflow { tensors, .. } = error else {
        panic!("{text}");
    };
    assert_eq!(
        tensors
            .iter()
            .find(|t| t.name == "logits/bias")
            .unwrap()
            .clamped,
        2
    );

    fp16.precision.allow_clamp = true;
    let (exported, file, _) = export(&fp16);
    let report = exported.unwrap().precision.unwrap();
    let clamped: Vec<&str> = report
        .tensors
        .iter()
        .filter(|tensor| tensor.clamped > 0)
        .map(|tensor| tensor.name.as_str())
        .collect();
    assert!(clamped.contains(&"logits/bias") && clamped.contains(&"stem.0/conv_3x3/weight"));
    assert_eq!(
        report.clamped,
        report.tensors.iter().map(|t| t.clamped).sum::<u64>()
    );
    assert!(
        report.worst()[0].clamped > 0,
        "what was clamped is told first"
    );
    let graph = ModelProto::parse_from_bytes(&file.unwrap())
        .unwrap()
        .graph
        .unwrap();
    let bias = graph
        .initializer
        .iter()
        .find(|t| t.name == "logits/bias")
        .unwrap();
    let largest = 65504.0f32;
    let stored: Vec<f64> = bias.raw_data.as_chunks::<2>().0[..3]
        .iter()
        .map(|&b| HALF.number(u16::from_le_bytes(b) & 0x7fff))
        .collect();
    assert_eq!(stored, [f64::from(largest); 3]);

    // bfloat16 has the range.
    let (exported, ..) = export(&options(Precision::Bf16, BatchNorm::Folded));
    assert_eq!(exported.unwrap().precision.unwrap().clamped, 0);
}

#[test]
fn small_numbers_are_counted() {
    let net = small("inception_v4");
    let mut weights = Weights::initial(&net, 1);
    // 2^-25 ties to 0; just above becomes the smallest subnormal; 1.5·2^-24 loses a bit; 2^-15 keeps all; 0 loses nothing.
    let tie = 2f32.powi(-25);
    let values = vec![
        tie,
        tie.next_up(),
        3.0 * tie,
        2f32.powi(-15),
        0.0,
        -0.0,
        1.0,
        -tie,
        1e-30,
        0.1,
    ];
    weights.insert("logits/bias", Tensor::owned(vec![10], values));
    let folder = tempfile::tempdir().unwrap();
    let destination = Destination {
        model: folder.path().join("m.onnx"),
        ..Destination::default()
    };
    let options = options(Precision::Fp16, BatchNorm::Folded);
    let exported = onnx::export(&net, &weights, &options, &destination).unwrap();
    let report = exported.precision.unwrap();
    let bias = report
        .tensors
        .iter()
        .find(|t| t.name == "logits/bias")
        .unwrap();
    assert_eq!(
        (
            bias.elements,
            bias.clamped,
            bias.underflows,
            bias.subnormals
        ),
        (10, 0, 3, 2)
    );
    assert_eq!(bias.largest, 1.0);
    assert!(bias.lost());
    // Nothing of this concerns float32.
    let plain = ExportOptions::default();
    let exported = onnx::export(&net, &weights, &plain, &destination).unwrap();
    assert_eq!(exported.precision, None);
}

#[test]
fn an_operator_set_without_what_is_needed_is_refused() {
    let net = small("inception_v4");
    let weights = Weights::initial(&net, 0);
    let mut kept = options(Precision::Fp16, BatchNorm::Kept);
    let mut brain = native();
    for (options, needed) in [(&mut kept, 15), (&mut brain, 22)] {
        assert_eq!(options.precision.oldest_opset(options.batch_norm).0, needed);
        options.opset = needed - 1;
        let error = onnx::to_bytes(&net, &weights, options).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(&format!("opset {}", needed - 1)), "{text}");
        assert!(text.contains(&format!("at least {needed}")), "{text}");
        assert!(error.hint().unwrap().contains("--opset"));
        options.opset = needed;
        onnx::to_bytes(&net, &weights, options).unwrap();
    }
    for mut options in [
        options(Precision::Fp16, BatchNorm::Folded),
        options(Precision::Bf16, BatchNorm::Kept),
    ] {
        options.opset = 13;
        onnx::to_bytes(&net, &weights, &options).unwrap();
    }
}

#[test]
fn the_file_says_its_precision() {
    let net = small("inception_v4");
    let weights = Weights::initial(&net, 0);
    for precision in [Precision::Fp32, Precision::Fp16, Precision::Bf16] {
        let options = options(precision, BatchNorm::Folded);
        let bytes = onnx::to_bytes(&net, &weights, &options).unwrap();
        let facts = onnx::ModelFacts::read(&bytes.into()).unwrap();
        assert_eq!(facts.network.unwrap().precision, precision);
        assert_eq!(precision.to_string().parse(), Ok(precision));
    }
    assert!("fp8".parse::<Precision>().unwrap_err().contains("fp16"));
}
