//! ONNX files, read by code generated from ONNX's own schema and compared field by field with what the network's
//! description and weights say they must hold; and files that are cut, flipped or made by others.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet, HashMap};

use incept_exporters::net::{Net, NetOptions, Node, Op, Padding, ParameterKind, Window};
use incept_exporters::onnx::{
    self, Batch, BatchNorm, ExportError, ExportOptions, ModelFacts, NEWEST_OPSET, OLDEST_OPSET,
    Output, ReadError, proto,
};
use incept_exporters::weights::{Tensor, Weights};
use incept_exporters::zoo;
use onnx_protobuf::attribute_proto::AttributeType;
use onnx_protobuf::tensor_shape_proto::dimension::Value as Dimension;
use onnx_protobuf::type_proto::Value as Type;
use onnx_protobuf::{Message, ModelProto, NodeProto, ValueInfoProto};
use prost::bytes::Bytes;

const NETWORKS: [&str; 3] = ["inception_v4", "inception_resnet_v1", "inception_resnet_v2"];

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

/// One filter in every layer: the smallest file with the whole graph.
fn tiny(network: &str) -> Net {
    let options = NetOptions {
        classes: 2,
        width_multiplier: 1e-9,
        ..NetOptions::default()
    };
    zoo::find(network, None)
        .unwrap()
        .build(&options.image_size(75))
        .unwrap()
}

fn options(batch_norm: BatchNorm, output: Output, batch: Batch) -> ExportOptions {
    ExportOptions {
        batch_norm,
        outputs: vec![output],
        batch,
        ..ExportOptions::default()
    }
}

fn all_options() -> Vec<ExportOptions> {
    let mut all = vec![];
    for batch_norm in [BatchNorm::Folded, BatchNorm::Kept] {
        for output in [Output::Logits, Output::Probabilities, Output::Features] {
            for batch in [Batch::Dynamic, Batch::Fixed(4)] {
                all.push(options(batch_norm, output, batch));
            }
        }
    }
    all
}

/// An ONNX node as the description demands it.
#[derive(Debug, PartialEq)]
struct ExpectedNode {
    name: String,
    op_type: &'static str,
    inputs: Vec<String>,
    attributes: BTreeMap<&'static str, Attribute>,
}

#[derive(Debug, PartialEq)]
enum Attribute {
    Int(i64),
    Ints(Vec<i64>),
    Float(f32),
}

fn window(window: Window) -> BTreeMap<&'static str, Attribute> {
    let (height, width) = (window.kernel.height as i64, window.kernel.width as i64);
    let (rows, columns) = match window.padding {
        Padding::Valid => (0, 0),
        Padding::Same => (height / 2, width / 2),
    };
    BTreeMap::from([
        ("kernel_shape", Attribute::Ints(vec![height, width])),
        ("strides", Attribute::Ints(vec![window.stride as i64; 2])),
        ("pads", Attribute::Ints(vec![rows, columns, rows, columns])),
    ])
}

/// What a file must hold: nodes, tensors with values, and the shape of every value, batch left out.
#[derive(Default)]
struct Expected {
    nodes: Vec<(ExpectedNode, String)>,
    tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
    shapes: BTreeMap<String, Vec<usize>>,
}

impl Expected {
    fn of(net: &Net, weights: &Weights, options: &ExportOptions) -> Self {
        let mut expected = Self::default();
        // The name of the ONNX value that holds each node's value.
        let mut values: HashMap<&str, String> = HashMap::new();
        let folded = options.batch_norm == BatchNorm::Folded;
        for node in net.nodes() {
            let inputs: Vec<String> = node
                .inputs
                .iter()
                .map(|&input| values[net.at(input).name.as_str()].clone())
                .collect();
            let value = expected.node(net, node, inputs, weights, folded);
            values.insert(&node.name, value);
            if node.name == options.outputs[0].name() {
                break;
            }
        }
        expected
    }

    fn add(
        &mut self,
        node: &Node,
        op_type: &'static str,
        inputs: Vec<String>,
        attributes: BTreeMap<&'static str, Attribute>,
    ) -> String {
        let named = ExpectedNode {
            name: node.name.clone(),
            op_type,
            inputs,
            attributes,
        };
        self.nodes.push((named, node.name.clone()));
        self.shapes
            .insert(node.name.clone(), node.shape.dimensions());
        node.name.clone()
    }

    /// The tensors of a node as they stand in the weights; returns their names.
    fn tensors_of(&mut self, net: &Net, node: &Node, weights: &Weights) -> Vec<String> {
        net.parameters_of(node)
            .into_iter()
            .map(|parameter| {
                let values = weights.get(&parameter.name).unwrap().values().to_vec();
                self.tensors
                    .insert(parameter.name.clone(), (parameter.shape, values));
                parameter.name
            })
            .collect()
    }

    fn node(
        &mut self,
        net: &Net,
        node: &Node,
        mut inputs: Vec<String>,
        weights: &Weights,
        folded: bool,
    ) -> String {
        let none = BTreeMap::new;
        match node.op {
            Op::Input => node.name.clone(),
            Op::Convolution {
                window: geometry, ..
            } => {
                inputs.extend(self.tensors_of(net, node, weights));
                self.add(node, "Conv", inputs, window(geometry))
            }
            Op::BatchNorm { .. } if folded => self.fold(net, node, weights),
            Op::BatchNorm { epsilon } => {
                inputs.extend(self.tensors_of(net, node, weights));
                let epsilon = BTreeMap::from([("epsilon", Attribute::Float(epsilon as f32))]);
                self.add(node, "BatchNormalization", inputs, epsilon)
            }
            Op::Relu => self.add(node, "Relu", inputs, none()),
            Op::MaxPool(geometry) => self.add(node, "MaxPool", inputs, window(geometry)),
            Op::AveragePool {
                window: geometry, ..
            } => {
                let mut attributes = window(geometry);
                attributes.insert("count_include_pad", Attribute::Int(0));
                self.add(node, "AveragePool", inputs, attributes)
            }
            Op::Concatenate => {
                let axis = BTreeMap::from([("axis", Attribute::Int(1))]);
                self.add(node, "Concat", inputs, axis)
            }
            Op::ScaledAdd { scale } => {
                let factor = format!("{}/scale", node.name);
                let scaled = format!("{}/scaled", node.name);
                self.tensors
                    .insert(factor.clone(), (vec![], vec![scale as f32]));
                let multiply = ExpectedNode {
                    name: scaled.clone(),
                    op_type: "Mul",
                    inputs: vec![inputs[1].clone(), factor],
                    attributes: none(),
                };
                self.nodes.push((multiply, scaled.clone()));
                self.shapes.insert(scaled.clone(), node.shape.dimensions());
                inputs[1] = scaled;
                self.add(node, "Add", inputs, none())
            }
            Op::GlobalAveragePool => {
                let pooled = format!("{}/average_pool", node.name);
                let pool = ExpectedNode {
                    name: pooled.clone(),
                    op_type: "GlobalAveragePool",
                    inputs,
                    attributes: none(),
                };
                self.nodes.push((pool, pooled.clone()));
                self.shapes
                    .insert(pooled.clone(), vec![node.shape.channels(), 1, 1]);
                let axis = BTreeMap::from([("axis", Attribute::Int(1))]);
                self.add(node, "Flatten", vec![pooled], axis)
            }
            Op::Dropout { .. } => inputs.remove(0),
            Op::Linear { .. } => {
                inputs.extend(self.tensors_of(net, node, weights));
                let transposed = BTreeMap::from([("transB", Attribute::Int(1))]);
                self.add(node, "Gemm", inputs, transposed)
            }
            Op::Softmax => {
                let axis = BTreeMap::from([("axis", Attribute::Int(1))]);
                self.add(node, "Softmax", inputs, axis)
            }
            Op::Normalize => panic!("`{}`: the paper's networks have none", node.name),
        }
    }

    /// Rewrites the convolution just added: y = gamma (w x − mean) / √(variance + 0.001) + beta, in float64.
    fn fold(&mut self, net: &Net, node: &Node, weights: &Weights) -> String {
        let (convolution, output) = self.nodes.last_mut().unwrap();
        assert_eq!(convolution.name, net.at(node.inputs[0]).name);
        let of = |suffix: &str| {
            let name = format!("{}/{suffix}", node.name);
            weights.get(&name).unwrap().values().into_owned()
        };
        let [gamma, beta, mean, variance] =
            ["gamma", "beta", "running_mean", "running_variance"].map(of);
        let factor = |channel: usize| {
            f64::from(gamma[channel]) / (f64::from(variance[channel]) + 0.001).sqrt()
        };
        let weight = format!("{}/weight", convolution.name);
        let bias = format!("{}/bias", convolution.name);
        let (shape, values) = self.tensors.get_mut(&weight).unwrap();
        let per_filter = shape[1] * shape[2] * shape[3];
        for (index, value) in values.iter_mut().enumerate() {
            *value = (f64::from(*value) * factor(index / per_filter)) as f32;
        }
        let offsets = (0..shape[0])
            .map(|c| (f64::from(beta[c]) - f64::from(mean[c]) * factor(c)) as f32)
            .collect();
        let filters = shape[0];
        self.tensors.insert(bias.clone(), (vec![filters], offsets));
        convolution.inputs.push(bias);
        let unfolded = std::mem::replace(output, node.name.clone());
        self.shapes.remove(&unfolded);
        self.shapes
            .insert(node.name.clone(), node.shape.dimensions());
        node.name.clone()
    }
}

fn attributes(node: &NodeProto) -> BTreeMap<&str, Attribute> {
    node.attribute
        .iter()
        .map(|attribute| {
            let value = match attribute.type_.enum_value().unwrap() {
                AttributeType::INT => Attribute::Int(attribute.i),
                AttributeType::INTS => Attribute::Ints(attribute.ints.clone()),
                AttributeType::FLOAT => Attribute::Float(attribute.f),
                other => panic!("`{}`: {other:?}", node.name),
            };
            (attribute.name.as_str(), value)
        })
        .collect()
}

/// Name and dimensions of a float32 value; a named dimension is an error with its name.
fn value(info: &ValueInfoProto) -> (String, Vec<Result<i64, String>>) {
    let Some(Type::TensorType(tensor)) = &info.type_.value else {
        panic!("`{}` is no tensor", info.name);
    };
    assert_eq!(tensor.elem_type, 1, "`{}` is not float32", info.name);
    let dimensions = tensor
        .shape
        .dim
        .iter()
        .map(|dimension| match &dimension.value {
            Some(Dimension::DimValue(size)) => Ok(*size),
            Some(Dimension::DimParam(name)) => Err(name.clone()),
            _ => panic!("`{}` has a dimension that says nothing", info.name),
        });
    (info.name.clone(), dimensions.collect())
}

fn with_batch(shape: &[usize], batch: Batch) -> Vec<Result<i64, String>> {
    let first = match batch {
        Batch::Dynamic => Err("N".to_string()),
        Batch::Fixed(images) => Ok(images as i64),
    };
    let rest = shape.iter().map(|&size| Ok(size as i64));
    std::iter::once(first).chain(rest).collect()
}

/// No message of the model holds a field that ONNX's schema does not have.
fn nothing_unknown(model: &ModelProto) {
    let unknown = |fields: &protobuf::SpecialFields, what: &str| {
        assert_eq!(
            fields.unknown_fields().iter().count(),
            0,
            "{what} holds unknown fields"
        );
    };
    unknown(&model.special_fields, "the model");
    unknown(&model.graph.special_fields, "the graph");
    for node in &model.graph.node {
        unknown(&node.special_fields, &node.name);
        for attribute in &node.attribute {
            unknown(&attribute.special_fields, &attribute.name);
        }
    }
    for tensor in &model.graph.initializer {
        unknown(&tensor.special_fields, &tensor.name);
    }
    let graph = &model.graph;
    for info in graph
        .input
        .iter()
        .chain(&graph.output)
        .chain(&graph.value_info)
    {
        unknown(&info.special_fields, &info.name);
        unknown(&info.type_.special_fields, &info.name);
    }
}

/// Compares a file with what it must hold.
fn check_file(net: &Net, weights: &Weights, options: &ExportOptions) {
    let bytes = onnx::to_bytes(net, weights, options).unwrap();
    let model = ModelProto::parse_from_bytes(&bytes).unwrap();
    let what = format!("{} {options:?}", net.name());
    nothing_unknown(&model);
    assert_eq!(model.producer_name, "incept", "{what}");
    assert_eq!(model.producer_version, env!("CARGO_PKG_VERSION"));
    assert_eq!(model.opset_import.len(), 1);
    assert_eq!(model.opset_import[0].domain, "");
    assert_eq!(model.opset_import[0].version, i64::from(options.opset));
    let graph = &model.graph;
    assert_eq!(graph.name, net.name());

    let expected = Expected::of(net, weights, options);
    assert_eq!(graph.node.len(), expected.nodes.len(), "{what}: nodes");
    for (node, (wanted, output)) in graph.node.iter().zip(&expected.nodes) {
        let found = ExpectedNode {
            name: node.name.clone(),
            op_type: wanted.op_type,
            inputs: node.input.clone(),
            attributes: BTreeMap::new(),
        };
        assert_eq!(node.op_type, wanted.op_type, "{what}: `{}`", wanted.name);
        assert_eq!(found.name, wanted.name, "{what}");
        assert_eq!(found.inputs, wanted.inputs, "{what}: `{}`", wanted.name);
        assert_eq!(
            node.output,
            std::slice::from_ref(output),
            "{what}: `{}`",
            wanted.name
        );
        assert_eq!(
            attributes(node),
            wanted.attributes,
            "{what}: `{}`",
            wanted.name
        );
        assert_eq!(node.domain, "");
    }

    let names: BTreeSet<&str> = graph.initializer.iter().map(|t| t.name.as_str()).collect();
    assert_eq!(
        names.len(),
        graph.initializer.len(),
        "{what}: a tensor twice"
    );
    let wanted: BTreeSet<&str> = expected.tensors.keys().map(String::as_str).collect();
    assert_eq!(names, wanted, "{what}: tensors");
    for tensor in &graph.initializer {
        let (shape, values) = &expected.tensors[&tensor.name];
        let dims: Vec<i64> = shape.iter().map(|&size| size as i64).collect();
        assert_eq!(tensor.dims, dims, "{what}: `{}`", tensor.name);
        assert_eq!(tensor.data_type, 1, "{what}: `{}`", tensor.name);
        assert!(
            tensor.float_data.is_empty() && tensor.external_data.is_empty(),
            "{what}: `{}` holds values elsewhere",
            tensor.name
        );
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        assert!(
            tensor.raw_data == bytes,
            "{what}: values of `{}`",
            tensor.name
        );
    }

    let image = net.nodes()[0].shape.dimensions();
    let inputs: Vec<_> = graph.input.iter().map(value).collect();
    assert_eq!(
        inputs,
        [("image".to_string(), with_batch(&image, options.batch))],
        "{what}: inputs"
    );
    let output = options.outputs[0].name();
    let outputs: Vec<_> = graph.output.iter().map(value).collect();
    let shape = with_batch(&expected.shapes[output], options.batch);
    assert_eq!(outputs, [(output.to_string(), shape)], "{what}: outputs");
    let infos: BTreeMap<_, _> = graph.value_info.iter().map(value).collect();
    assert_eq!(infos.len(), graph.value_info.len(), "{what}: a value twice");
    let mut wanted: BTreeMap<_, _> = expected
        .shapes
        .iter()
        .map(|(name, shape)| (name.clone(), with_batch(shape, options.batch)))
        .collect();
    wanted.remove(output);
    assert_eq!(infos, wanted, "{what}: shapes of values");
}

#[test]
fn every_field_is_what_the_description_says() {
    for network in NETWORKS {
        let net = small(network);
        let weights = Weights::randomised(&net, 1);
        for options in all_options() {
            check_file(&net, &weights, &options);
        }
    }
}

#[test]
fn a_network_of_full_size_is_what_its_description_says() {
    let net = zoo::find("inception_v4", None)
        .unwrap()
        .build(&NetOptions::default())
        .unwrap();
    let weights = Weights::randomised(&net, 2);
    check_file(&net, &weights, &ExportOptions::default());
}

#[test]
fn our_reader_and_the_generated_one_read_the_same() {
    for network in NETWORKS {
        let net = small(network);
        let weights = Weights::randomised(&net, 3);
        let bytes = onnx::to_bytes(
            &net,
            &weights,
            &options(BatchNorm::Kept, Output::Probabilities, Batch::Fixed(2)),
        )
        .unwrap();
        let ours = <proto::ModelProto as prost::Message>::decode(bytes.as_slice()).unwrap();
        let theirs = ModelProto::parse_from_bytes(&bytes).unwrap();
        // Each writes what it read; the other reads it back to what it had read itself.
        let written_by_ours = prost::Message::encode_to_vec(&ours);
        let written_by_theirs = theirs.write_to_bytes().unwrap();
        assert_eq!(
            ModelProto::parse_from_bytes(&written_by_ours).unwrap(),
            theirs,
            "{network}"
        );
        let back = <proto::ModelProto as prost::Message>::decode(written_by_theirs.as_slice());
        assert_eq!(back.unwrap(), ours, "{network}");
        // And beside each other, field by field.
        let graph = ours.graph.as_ref().unwrap();
        assert_eq!(ours.ir_version, theirs.ir_version);
        for (a, b) in graph.node.iter().zip(&theirs.graph.node) {
            assert_eq!(
                (&a.name, &a.op_type, &a.input, &a.output),
                (&b.name, &b.op_type, &b.input, &b.output)
            );
            for (a, b) in a.attribute.iter().zip(&b.attribute) {
                assert_eq!((&a.name, a.i, a.f, &a.ints), (&b.name, b.i, b.f, &b.ints));
                assert_eq!(a.r#type, b.type_.value());
            }
        }
        for (a, b) in graph.initializer.iter().zip(&theirs.graph.initializer) {
            assert_eq!(
                (&a.name, &a.dims, a.data_type),
                (&b.name, &b.dims, b.data_type)
            );
            assert_eq!(a.raw_data, b.raw_data);
        }
    }
}

/// Operator set and IR version that were released together; a file must not claim an older IR than its operators need.
#[test]
fn every_opset_has_its_ir_version() {
    let net = tiny("inception_resnet_v1");
    let weights = Weights::initial(&net, 0);
    let expected = [
        (13, 7),
        (14, 7),
        (15, 8),
        (16, 8),
        (17, 8),
        (18, 8),
        (19, 9),
        (20, 9),
        (21, 10),
        (22, 10),
        (23, 11),
        (24, 12),
        (25, 13),
        (26, 13),
    ];
    assert_eq!((OLDEST_OPSET, NEWEST_OPSET), (13, 26));
    let mut without_versions: Option<ModelProto> = None;
    for (opset, ir_version) in expected {
        let options = ExportOptions {
            opset,
            ..ExportOptions::default()
        };
        let bytes = onnx::to_bytes(&net, &weights, &options).unwrap();
        let mut model = ModelProto::parse_from_bytes(&bytes).unwrap();
        assert_eq!(model.opset_import[0].version, i64::from(opset));
        assert_eq!(model.ir_version, ir_version, "opset {opset}");
        model.ir_version = 0;
        model.opset_import.clear();
        assert_eq!(
            without_versions.get_or_insert_with(|| model.clone()),
            &model
        );
    }
    for opset in [0, 12, 27, u32::MAX] {
        let options = ExportOptions {
            opset,
            ..ExportOptions::default()
        };
        let error = onnx::to_bytes(&net, &weights, &options).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("opset {opset}: expected 13 to 26")
        );
    }
}

#[test]
fn metadata_tells_everything() {
    for network in NETWORKS {
        let net = small(network);
        for seeded in [true, false] {
            let weights = if seeded {
                Weights::initial(&net, 41)
            } else {
                Weights::randomised(&net, 41)
            };
            let options = options(BatchNorm::Kept, Output::Features, Batch::Dynamic);
            let bytes = onnx::to_bytes(&net, &weights, &options).unwrap();
            let model = ModelProto::parse_from_bytes(&bytes).unwrap();
            let entries: Vec<(&str, &str)> = model
                .metadata_props
                .iter()
                .map(|entry| (entry.key.as_str(), entry.value.as_str()))
                .collect();
            let sha256 = weights.sha256();
            let asked = r#"{"image_height":75,"image_width":75,"classes":10,"width_multiplier":0.1,"dropout_keep_probability":0.8,"residual_scales":{"a":0.17,"b":0.1,"c":0.2},"auxiliary_head":false}"#;
            let resize = "shorter side to floor(size / 0.875), bicubic (a = -0.5), antialiased; then the centre";
            let contract = r#"{"schema":"incept.preprocessing/1","input":"image","element_type":"float32","layout":"NCHW","color":"RGB","scaling":{"divisor":127.5,"offset":1.0},"size":{"height":75,"width":75,"dynamic":false,"minimum":75},"recipe":{"resize":"shorter-side","fraction":0.875,"filter":"bicubic","antialias":true},"in_graph":[],"classes":{"count":10,"offset":0,"labels_sha256":null}}"#;
            let mut expected = vec![
                ("incept.batch_norm", "kept"),
                ("incept.classes", "10"),
                ("incept.classes.offset", "0"),
                ("incept.input.color", "RGB"),
                ("incept.input.layout", "NCHW"),
                ("incept.input.name", "image"),
                ("incept.input.range", "[-1, 1]"),
                ("incept.input.resize", resize),
                ("incept.input.scaling", "x / 127.5 - 1"),
                ("incept.input.size", "75x75"),
                ("incept.input.type", "float32"),
                ("incept.network", network),
                ("incept.options", asked),
                ("incept.output", "features"),
                ("incept.preprocessing", contract),
                ("incept.precision", "fp32"),
                ("incept.variant", "paper"),
                ("incept.version", env!("CARGO_PKG_VERSION")),
                ("incept.weights.sha256", sha256.as_str()),
            ];
            if seeded {
                expected.push(("incept.weights.seed", "41"));
            }
            expected.sort_unstable();
            assert_eq!(
                entries, expected,
                "{network}: metadata, in the order of keys"
            );

            let facts = ModelFacts::read(&bytes.into()).unwrap();
            let told = facts.network.unwrap();
            assert_eq!(
                told.build().unwrap(),
                net,
                "{network}: rebuilt from its file"
            );
            assert_eq!(told.seed, seeded.then_some(41));
            assert_eq!(told.outputs, [Output::Features]);
            assert_eq!(told.weights_sha256, sha256);
            assert_eq!(told.batch_norm, BatchNorm::Kept);
        }
    }
}

#[test]
fn the_same_arguments_give_the_same_bytes() {
    let one_thread = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    for network in NETWORKS {
        for options in all_options() {
            let make = || {
                let net = small(network);
                onnx::to_bytes(&net, &Weights::initial(&net, 5), &options).unwrap()
            };
            let bytes = make();
            assert!(bytes == make(), "{network} {options:?}: twice");
            assert!(
                bytes == one_thread.install(make),
                "{network} {options:?}: with one thread"
            );
            let path = folder.path().join("model.onnx");
            let net = small(network);
            onnx::write(&net, &Weights::initial(&net, 5), &options, &path).unwrap();
            assert!(
                bytes == std::fs::read(&path).unwrap(),
                "{network} {options:?}: as a file"
            );
            let other = onnx::to_bytes(&net, &Weights::initial(&net, 6), &options).unwrap();
            assert!(bytes != other, "{network}: another seed, the same bytes");
        }
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn kept_batch_norm_keeps_the_weights_and_folded_drops_its_tensors() {
    for network in NETWORKS {
        let net = small(network);
        let weights = Weights::randomised(&net, 8);
        let read = |batch_norm| {
            let options = options(batch_norm, Output::Logits, Batch::Dynamic);
            let bytes = onnx::to_bytes(&net, &weights, &options).unwrap();
            ModelProto::parse_from_bytes(&bytes).unwrap()
        };
        let (kept, folded) = (read(BatchNorm::Kept), read(BatchNorm::Folded));
        let count = |model: &ModelProto, op_type: &str| {
            model
                .graph
                .node
                .iter()
                .filter(|node| node.op_type == op_type)
                .count()
        };
        let cost = net.cost();
        assert_eq!(count(&kept, "Conv"), cost.convolutions, "{network}");
        assert_eq!(count(&folded, "Conv"), cost.convolutions, "{network}");
        assert_eq!(
            count(&kept, "BatchNormalization"),
            cost.batch_norms,
            "{network}"
        );
        assert_eq!(count(&folded, "BatchNormalization"), 0, "{network}");
        assert_eq!(
            kept.graph.node.len() - folded.graph.node.len(),
            cost.batch_norms,
            "{network}: nothing else differs"
        );
        let scales = count(&kept, "Mul");
        assert_eq!(
            scales, cost.linear_convolutions,
            "{network}: one scale per block"
        );
        assert_eq!(
            kept.graph.initializer.len(),
            net.parameters().len() + scales
        );
        assert_eq!(
            folded.graph.initializer.len(),
            net.parameters().len() - 3 * cost.batch_norms + scales,
            "{network}: one bias in the place of four tensors"
        );
        for name in kept.graph.initializer.iter().map(|tensor| &tensor.name) {
            assert!(
                weights.get(name).is_some() || name.ends_with("/scale"),
                "{network}: `{name}` is no tensor of the weights"
            );
        }
        let suffixes = ["/gamma", "/beta", "/running_mean", "/running_variance"];
        for tensor in &folded.graph.initializer {
            assert!(
                suffixes.iter().all(|suffix| !tensor.name.ends_with(suffix)),
                "{network}: `{}` is left",
                tensor.name
            );
        }
    }
}

#[test]
fn a_fixed_batch_differs_in_the_batch_alone() {
    for network in NETWORKS {
        let net = small(network);
        let weights = Weights::initial(&net, 0);
        let read = |batch| {
            let options = options(BatchNorm::Folded, Output::Logits, batch);
            let bytes = onnx::to_bytes(&net, &weights, &options).unwrap();
            ModelProto::parse_from_bytes(&bytes).unwrap()
        };
        let mut dynamic = read(Batch::Dynamic);
        let mut replaced = 0;
        let graph = dynamic.graph.mut_or_insert_default();
        for info in graph
            .input
            .iter_mut()
            .chain(&mut graph.output)
            .chain(&mut graph.value_info)
        {
            let Some(Type::TensorType(tensor)) = &mut info.type_.mut_or_insert_default().value
            else {
                panic!("no tensor");
            };
            let first = &mut tensor.shape.mut_or_insert_default().dim[0].value;
            assert_eq!(
                *first,
                Some(Dimension::DimParam("N".into())),
                "{}",
                info.name
            );
            *first = Some(Dimension::DimValue(7));
            replaced += 1;
        }
        assert!(replaced > 100);
        assert_eq!(dynamic, read(Batch::Fixed(7)), "{network}");
    }
}

#[test]
fn a_file_holds_what_its_output_needs_and_no_more() {
    for network in NETWORKS {
        let net = small(network);
        let weights = Weights::initial(&net, 0);
        let read = |output| {
            let options = options(BatchNorm::Folded, output, Batch::Dynamic);
            let bytes = onnx::to_bytes(&net, &weights, &options).unwrap();
            ModelProto::parse_from_bytes(&bytes).unwrap()
        };
        let [features, logits, probabilities] =
            [Output::Features, Output::Logits, Output::Probabilities].map(read);
        let of_classifier = |name: &str| name.starts_with("logits") || name == "probabilities";
        let graph = &features.graph;
        let names = graph.node.iter().map(|node| &node.name);
        let tensors = graph.initializer.iter().map(|tensor| &tensor.name);
        let values = graph.value_info.iter().map(|info| &info.name);
        for name in names.chain(tensors).chain(values) {
            assert!(!of_classifier(name), "{network}: features hold `{name}`");
        }
        let tail = |model: &ModelProto| {
            let ops = model.graph.node.iter().map(|node| node.op_type.clone());
            ops.skip(graph.node.len()).collect::<Vec<_>>()
        };
        assert_eq!(tail(&features), [""; 0], "{network}");
        assert_eq!(tail(&logits), ["Gemm"], "{network}");
        assert_eq!(tail(&probabilities), ["Gemm", "Softmax"], "{network}");
        assert_eq!(logits.graph.node[..graph.node.len()], graph.node[..]);
        assert_eq!(logits.graph.initializer.len(), graph.initializer.len() + 2);
        for (model, output) in [
            (&features, "features"),
            (&logits, "logits"),
            (&probabilities, "probabilities"),
        ] {
            assert_eq!(model.graph.output.len(), 1);
            assert_eq!(model.graph.output[0].name, output, "{network}");
        }
    }
}

#[test]
fn folding_that_gives_no_numbers_is_refused() {
    let net = tiny("inception_v4");
    let mut weights = Weights::initial(&net, 0);
    let name = net
        .parameters()
        .into_iter()
        .find(|p| p.kind == ParameterKind::RunningVariance)
        .unwrap()
        .name;
    weights.insert(name.clone(), Tensor::owned(vec![1], vec![-1.0]));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    let error = onnx::write(&net, &weights, &ExportOptions::default(), &path).unwrap_err();
    let ExportError::NotFinite { tensor, .. } = &error else {
        panic!("{error}");
    };
    assert!(
        tensor.ends_with("/weight") || tensor.ends_with("/bias"),
        "{tensor}"
    );
    assert!(error.hint().unwrap().contains("--batch-norm kept"));
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        0,
        "no partial file"
    );
    let kept = options(BatchNorm::Kept, Output::Logits, Batch::Dynamic);
    onnx::write(&net, &weights, &kept, &path).unwrap();
}

#[test]
fn a_file_above_protobufs_limit_is_refused_before_it_is_written() {
    // 16 times the width is 256 times the weights, 42 GB: the tensors' shapes alone tell.
    let wide = NetOptions {
        width_multiplier: 16.0,
        ..NetOptions::default()
    };
    let net = zoo::find("inception_v4", None)
        .unwrap()
        .build(&wide)
        .unwrap();
    let error = onnx::check_size(&net, &ExportOptions::default()).unwrap_err();
    let ExportError::TooLarge { found } = error else {
        panic!("{error}");
    };
    assert!(found > 4 * net.cost().convolution_weights as u64, "{found}");
    assert!(error.to_string().contains("2147483647"), "{error}");
    assert!(error.hint().unwrap().contains("--external-data"));
    // And what fits is exactly as large as is told beforehand.
    let net = small("inception_v4");
    let bytes = onnx::to_bytes(&net, &Weights::initial(&net, 0), &ExportOptions::default());
    assert!(bytes.unwrap().len() > 100_000);
    onnx::check_size(&net, &ExportOptions::default()).unwrap();
}

fn extended_as_theirs(bytes: &[u8], names: &[&str]) -> (Vec<u8>, ModelProto) {
    let names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
    let extended = onnx::with_outputs(&Bytes::copy_from_slice(bytes), &names).unwrap();
    let model = ModelProto::parse_from_bytes(&extended).unwrap();
    (extended, model)
}

/// The byte ranges of the top-level fields: number, whole field, and for a length-delimited one its content.
fn fields(bytes: &[u8]) -> Vec<(u32, std::ops::Range<usize>, std::ops::Range<usize>)> {
    let varint = |at: &mut usize| {
        let (mut value, mut shift) = (0u64, 0);
        loop {
            let byte = bytes[*at];
            *at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                return value;
            }
        }
    };
    let (mut at, mut found) = (0, vec![]);
    while at < bytes.len() {
        let start = at;
        let key = varint(&mut at);
        let content = match key & 7 {
            0 => {
                let from = at;
                varint(&mut at);
                from..at
            }
            2 => {
                let length = varint(&mut at) as usize;
                at += length;
                at - length..at
            }
            5 => {
                at += 4;
                at - 4..at
            }
            other => panic!("wire type {other}"),
        };
        found.push(((key >> 3) as u32, start..at, content));
    }
    found
}

/// `extended` is `bytes` with something added to the end of its graph, and nothing else.
fn changed_only_at_the_end_of_the_graph(bytes: &[u8], extended: &[u8]) {
    let (before, after) = (fields(bytes), fields(extended));
    assert_eq!(before.len(), after.len());
    for ((number, whole, content), (other, changed, longer)) in before.iter().zip(&after) {
        assert_eq!(number, other);
        if *number == 7 {
            assert!(
                extended[longer.clone()].starts_with(&bytes[content.clone()]),
                "the graph's own bytes changed"
            );
        } else {
            assert_eq!(
                bytes[whole.clone()],
                extended[changed.clone()],
                "field {number}"
            );
        }
    }
}

#[test]
fn further_outputs_change_nothing_else() {
    for network in NETWORKS {
        let net = small(network);
        let weights = Weights::randomised(&net, 4);
        for options in all_options() {
            let bytes = onnx::to_bytes(&net, &weights, &options).unwrap();
            let original = ModelProto::parse_from_bytes(&bytes).unwrap();
            let stages: Vec<&str> = net.stages()[..6]
                .iter()
                .map(|stage| net.at(stage.output).name.as_str())
                .collect();
            let (extended, mut model) = extended_as_theirs(&bytes, &stages);
            changed_only_at_the_end_of_the_graph(&bytes, &extended);
            let outputs = &mut model.graph.mut_or_insert_default().output;
            let added = outputs.split_off(1);
            let names: Vec<&str> = added.iter().map(|info| info.name.as_str()).collect();
            assert_eq!(names, stages, "{network}");
            for (info, stage) in added.iter().zip(net.stages()) {
                let shape = net.at(stage.output).shape.dimensions();
                assert_eq!(
                    value(info).1,
                    with_batch(&shape, options.batch),
                    "{network}"
                );
            }
            assert_eq!(model, original, "{network}");
            // What is put out already is not put out twice.
            let (same, _) = extended_as_theirs(&bytes, &[options.outputs[0].name()]);
            assert!(same == bytes, "{network}: an output it has changes nothing");
        }
    }
}

/// A model with much that incept does not write: doc strings, functions, a subgraph's fields, unknown fields.
fn a_model_of_others() -> Vec<u8> {
    let node = |name: &str, from: &str, to: &str| NodeProto {
        name: name.into(),
        op_type: "Relu".into(),
        domain: "com.example".into(),
        doc_string: "a node".into(),
        input: vec![from.into()],
        output: vec![to.into()],
        ..Default::default()
    };
    let graph = onnx_protobuf::GraphProto {
        name: "g".into(),
        doc_string: "a graph".into(),
        node: vec![node("a", "x", "h"), node("b", "h", "y")],
        input: vec![ValueInfoProto {
            name: "x".into(),
            doc_string: "an input without a type".into(),
            ..Default::default()
        }],
        output: vec![ValueInfoProto {
            name: "y".into(),
            ..Default::default()
        }],
        initializer: vec![onnx_protobuf::TensorProto {
            name: "unused".into(),
            dims: vec![2],
            data_type: 1,
            float_data: vec![1.0, f32::NAN],
            ..Default::default()
        }],
        quantization_annotation: vec![onnx_protobuf::TensorAnnotation {
            tensor_name: "h".into(),
            ..Default::default()
        }],
        ..Default::default()
    };
    let model = ModelProto {
        ir_version: 8,
        domain: "com.example".into(),
        model_version: 77,
        doc_string: "a model".into(),
        graph: Some(graph).into(),
        opset_import: vec![onnx_protobuf::OperatorSetIdProto {
            version: 17,
            ..Default::default()
        }],
        functions: vec![onnx_protobuf::FunctionProto {
            name: "f".into(),
            ..Default::default()
        }],
        ..Default::default()
    };
    let mut bytes = model.write_to_bytes().unwrap();
    // Field 1000, a length-delimited one no version of the schema has: key 8002.
    bytes.extend_from_slice(&[0xc2, 0x3e, 3, 1, 2, 3]);
    // Field 1001, 32 bits: key 8013.
    bytes.extend_from_slice(&[0xcd, 0x3e, 9, 9, 9, 9]);
    bytes
}

#[test]
fn a_model_of_others_keeps_what_we_do_not_know() {
    let bytes = a_model_of_others();
    let original = ModelProto::parse_from_bytes(&bytes).unwrap();
    assert_eq!(original.special_fields.unknown_fields().iter().count(), 2);
    let facts = ModelFacts::read(&bytes.clone().into()).unwrap();
    assert_eq!(facts.values, ["h", "y"]);
    assert_eq!(facts.operators, BTreeMap::from([("Relu".to_string(), 2)]));
    assert_eq!(facts.network, None);
    assert_eq!(facts.inputs.len(), 1);
    let (extended, mut model) = extended_as_theirs(&bytes, &["h", "y"]);
    changed_only_at_the_end_of_the_graph(&bytes, &extended);
    let outputs = &mut model.graph.mut_or_insert_default().output;
    assert_eq!(outputs.len(), 2);
    assert_eq!(outputs[1].name, "h");
    outputs.truncate(1);
    // A NaN is not equal to itself: compare what is written.
    assert_eq!(
        model.write_to_bytes().unwrap(),
        original.write_to_bytes().unwrap()
    );
}

/// Protobuf allows a message in pieces, to be merged; whatever the pieces, an output is added once.
#[test]
fn a_graph_in_pieces_gets_its_outputs_once() {
    let whole = ModelProto::parse_from_bytes(&a_model_of_others()).unwrap();
    let mut first = whole.clone();
    let mut second = ModelProto::default();
    let nodes = &mut first.graph.mut_or_insert_default().node;
    second.graph.mut_or_insert_default().node = nodes.split_off(1);
    let mut bytes = first.write_to_bytes().unwrap();
    bytes.extend(second.write_to_bytes().unwrap());
    assert_eq!(
        ModelFacts::read(&bytes.clone().into()).unwrap().values,
        ["h", "y"]
    );
    let extended = onnx::with_outputs(&bytes.clone().into(), &["h".to_string()]).unwrap();
    changed_only_at_the_end_of_the_graph(&bytes, &extended);
    // The generated reader takes the last piece in the place of all; prost merges, as protobuf demands.
    let model = <proto::ModelProto as prost::Message>::decode(extended.as_slice()).unwrap();
    let outputs = model.graph.unwrap().output;
    let names: Vec<&str> = outputs.iter().map(|o| o.name.as_str()).collect();
    assert_eq!(names, ["y", "h"]);
}

#[test]
fn packed_lists_are_read_as_unpacked_ones() {
    // TensorProto { dims: [3, 300] packed, data_type: 1, name: "t" }: proto3 writers pack, we do not.
    let packed = [0x0a, 3, 3, 0xac, 0x02, 0x10, 1, 0x42, 1, b't'];
    let tensor = <proto::TensorProto as prost::Message>::decode(&packed[..]).unwrap();
    assert_eq!((tensor.dims, tensor.name.as_str()), (vec![3, 300], "t"));
}

/// Reads a file in every way there is; none may panic.
fn read_every_way(bytes: Vec<u8>) -> Result<(), ReadError> {
    let bytes = Bytes::from(bytes);
    let names = ["logits".to_string(), "stem.0/conv_3x3/relu".to_string()];
    let extended = onnx::with_outputs(&bytes, &names).map(|_| ());
    let facts = ModelFacts::read(&bytes)?;
    extended?;
    if let Some(network) = &facts.network
        && let Err(error) = network.build()
    {
        assert!(!error.to_string().is_empty());
    }
    Ok(())
}

fn tiny_file() -> Vec<u8> {
    let net = tiny("inception_resnet_v1");
    let options = options(BatchNorm::Kept, Output::Probabilities, Batch::Dynamic);
    onnx::to_bytes(&net, &Weights::initial(&net, 0), &options).unwrap()
}

#[test]
fn a_file_cut_anywhere_is_an_error() {
    let bytes = tiny_file();
    read_every_way(bytes.clone()).unwrap();
    let edges = (0..2000).chain(bytes.len() - 2000..bytes.len());
    for length in edges.chain((0..bytes.len()).step_by(97)) {
        let error = read_every_way(bytes[..length].to_vec())
            .expect_err(&format!("cut to {length} of {} bytes", bytes.len()));
        assert!(error.hint().is_some());
        assert!(error.to_string().starts_with("not a"), "{error}");
    }
}

#[test]
fn what_is_no_model_says_what_it_lacks() {
    assert_eq!(
        read_every_way(vec![]).unwrap_err().to_string(),
        "not an ONNX model: expected a graph, found none"
    );
    for junk in [
        &b"PK\x03\x04 a zip file"[..],
        b"\x89PNG\r\n\x1a\n",
        b"{}",
        &[0xff; 64],
    ] {
        assert!(read_every_way(junk.to_vec()).is_err());
    }
    let lacking = |change: &dyn Fn(&mut ModelProto)| {
        let mut model = ModelProto::parse_from_bytes(&a_model_of_others()).unwrap();
        change(&mut model);
        let bytes = model.write_to_bytes().unwrap();
        ModelFacts::read(&bytes.into()).unwrap_err().to_string()
    };
    assert!(lacking(&|m| m.graph.mut_or_insert_default().node.clear()).contains("nodes"));
    assert!(lacking(&|m| m.opset_import.clear()).contains("an operator set"));
    assert!(lacking(&|m| m.graph = None.into()).contains("a graph"));
}

/// SplitMix64: the same numbers on every machine.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ z >> 31) % bound as u64) as usize
    }
}

#[test]
fn changed_bytes_never_panic() {
    let bytes = tiny_file();
    // Most of a file is names and values; metadata and the start of the graph decide how the rest is read.
    let head = bytes
        .windows(5)
        .position(|window| window == b"stem.")
        .unwrap();
    let mut numbers = Numbers(1);
    let (mut read, mut refused) = (0, 0);
    for round in 0..4000 {
        let mut changed = bytes.clone();
        let bound = if round % 2 == 0 { head } else { bytes.len() };
        for _ in 0..=numbers.below(4) {
            let at = numbers.below(bound);
            changed[at] = match numbers.below(3) {
                0 => changed[at] ^ (1 << numbers.below(8)),
                1 => numbers.below(256) as u8,
                // A digit makes numbers of the metadata larger and smaller.
                _ => b'0' + numbers.below(10) as u8,
            };
        }
        match read_every_way(changed) {
            Ok(()) => read += 1,
            Err(_) => refused += 1,
        }
    }
    assert!(
        read > 300 && refused > 300,
        "both kinds are met: {read} read, {refused} refused"
    );
}
