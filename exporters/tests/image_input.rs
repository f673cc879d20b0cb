//! Files that take bytes: the nodes before the network, read by code generated from ONNX's schema, and the contract.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use incept_exporters::net::{Net, NetOptions};
use incept_exporters::onnx::{
    self, Batch, ContractError, ElementType, ExportError, ExportOptions, ImageSize, Input, Labels,
    Layout, ModelFacts, Preprocessing, Recipe, Scaling, Step,
};
use incept_exporters::weights::Weights;
use incept_exporters::zoo;
use onnx_protobuf::type_proto::Value as Type;
use onnx_protobuf::{Message, ModelProto, ValueInfoProto};

fn net((height, width): (usize, usize)) -> Net {
    let options = NetOptions {
        classes: 5,
        width_multiplier: 1e-9,
        image_height: height,
        image_width: width,
        ..NetOptions::default()
    };
    zoo::find("inception_v4", None)
        .unwrap()
        .build(&options)
        .unwrap()
}

fn bytes(net: &Net, options: &ExportOptions) -> Result<Vec<u8>, ExportError> {
    onnx::to_bytes(net, &Weights::randomised(net, 1), options)
}

fn read(net: &Net, options: &ExportOptions) -> ModelProto {
    ModelProto::parse_from_bytes(&bytes(net, options).unwrap()).unwrap()
}

fn taking(input: Input) -> ExportOptions {
    ExportOptions {
        input,
        opset: input.oldest_opset().max(17),
        ..ExportOptions::default()
    }
}

fn element_type(info: &ValueInfoProto) -> i32 {
    match &info.type_.value {
        Some(Type::TensorType(tensor)) => tensor.elem_type,
        _ => panic!("`{}` is no tensor", info.name),
    }
}

/// The nodes between the input and the network, and the file without them, as one that takes scaled images.
fn without_image_nodes(mut model: ModelProto) -> (Vec<(String, String)>, ModelProto) {
    let graph = model.graph.mut_or_insert_default();
    let before = |name: &str| name.starts_with("image/");
    let nodes: Vec<(String, String)> = graph
        .node
        .iter()
        .filter(|node| before(&node.name))
        .map(|node| (node.op_type.clone(), node.name.clone()))
        .collect();
    graph.node.retain(|node| !before(&node.name));
    graph.value_info.retain(|info| !before(&info.name));
    for input in graph.node.iter_mut().flat_map(|node| &mut node.input) {
        if input == "image/scaled" {
            *input = "image".into();
        }
    }
    graph.input.clear();
    (nodes, model)
}

#[test]
fn the_network_behind_the_bytes_is_the_same() {
    for size in [(75, 75), (91, 139)] {
        let net = net(size);
        for input in [Input::Image, Input::ImageOfAnySize] {
            let mut model = read(&net, &taking(input));
            assert_eq!(model.graph.input.len(), 1);
            assert_eq!(model.graph.input[0].name, "image");
            assert_eq!(element_type(&model.graph.input[0]), 2, "uint8");
            let expected = taking(Input::Tensor);
            let mut expected = read(
                &net,
                &ExportOptions {
                    opset: taking(input).opset,
                    ..expected
                },
            );
            let (nodes, rest) = without_image_nodes(model.clone());
            expected.graph.mut_or_insert_default().input.clear();
            assert_eq!(rest.graph, expected.graph, "{size:?} {input:?}");
            let types: Vec<&str> = nodes.iter().map(|(op_type, _)| op_type.as_str()).collect();
            let scaling = ["Cast", "Transpose", "Constant", "Div", "Constant", "Sub"];
            assert_eq!(types[types.len() - 6..], scaling);
            assert_eq!(types.contains(&"Resize"), input == Input::ImageOfAnySize);
            // The numbers are those of the contract.
            let mut constants = model.graph.mut_or_insert_default().node.iter();
            let mut constant = |name: &str| {
                let node = constants.find(|node| node.name == name).unwrap();
                node.attribute[0].f
            };
            let found = [constant("image/divisor"), constant("image/offset")];
            assert_eq!(found, [Scaling::UNIT.divisor, Scaling::UNIT.offset]);
        }
    }
}

#[test]
fn the_resize_is_pillows() {
    let model = read(&net((75, 75)), &taking(Input::ImageOfAnySize));
    let resize = model
        .graph
        .node
        .iter()
        .find(|node| node.op_type == "Resize")
        .unwrap();
    assert_eq!(resize.input, ["image", "", "", "image/resized_size"]);
    let attributes: BTreeMap<&str, _> = resize
        .attribute
        .iter()
        .map(|a| (a.name.as_str(), a))
        .collect();
    assert_eq!(attributes["mode"].s, b"cubic");
    assert_eq!(
        attributes["coordinate_transformation_mode"].s,
        b"half_pixel"
    );
    assert_eq!(attributes["cubic_coeff_a"].f, -0.5);
    assert_eq!(
        (attributes["antialias"].i, attributes["exclude_outside"].i),
        (1, 1)
    );
    assert_eq!(attributes["axes"].ints, [1, 2]);
    assert_eq!(attributes.len(), 6);
}

#[test]
fn what_cannot_be_is_refused_with_both_sides() {
    let net = net((75, 75));
    let error = |options: ExportOptions| bytes(&net, &options).unwrap_err().to_string();
    let resizing = taking(Input::ImageOfAnySize);
    let old = ExportOptions {
        opset: 17,
        ..resizing.clone()
    };
    assert_eq!(
        error(old),
        "opset 17: --resize (antialiased Resize) needs at least 18"
    );
    let dynamic = ExportOptions {
        image_size: ImageSize::Dynamic,
        ..resizing.clone()
    };
    assert!(error(dynamic).starts_with("--resize and --image-size dynamic exclude each other: "));
    let slim = ExportOptions {
        recipe: Some(Recipe::tf_slim(0.875)),
        ..resizing
    };
    assert!(error(slim).starts_with("--resize and the recipe `central 0.875"));
    for fraction in [0.0, -1.0, 0.049, 1.001, f64::NAN, f64::INFINITY] {
        let recipe = Some(Recipe::timm(fraction));
        let options = ExportOptions {
            recipe,
            ..ExportOptions::default()
        };
        assert!(error(options).starts_with("option `crop fraction`: expected 0.05 to 1"));
    }
    let names = |count: usize, background| Labels {
        background,
        names: Some((0..count).map(|n| n.to_string()).collect()),
    };
    for (labels, expected) in [
        (names(4, false), "4 names of classes: expected 5"),
        (names(5, true), "5 names of classes: expected 4"),
        (names(0, false), "0 names of classes: expected 5"),
    ] {
        assert_eq!(
            error(ExportOptions {
                labels,
                ..ExportOptions::default()
            }),
            expected
        );
    }
    for labels in [names(5, false), names(4, true)] {
        bytes(
            &net,
            &ExportOptions {
                labels,
                ..ExportOptions::default()
            },
        )
        .unwrap();
    }
}

fn metadata(net: &Net, options: &ExportOptions) -> BTreeMap<String, String> {
    ModelFacts::read(&bytes(net, options).unwrap().into())
        .unwrap()
        .metadata
}

#[test]
fn the_contract_says_what_is_done_where() {
    let net = net((91, 139));
    for (input, element_type, layout, in_graph, range, size) in [
        (
            Input::Tensor,
            ElementType::Float32,
            Layout::Nchw,
            vec![],
            "[-1, 1]",
            "91x139",
        ),
        (
            Input::Image,
            ElementType::Uint8,
            Layout::Nhwc,
            vec![Step::Scale],
            "[0, 255]",
            "91x139",
        ),
        (
            Input::ImageOfAnySize,
            ElementType::Uint8,
            Layout::Nhwc,
            vec![Step::ResizeAndCrop, Step::Scale],
            "[0, 255]",
            "any",
        ),
    ] {
        let options = ExportOptions {
            batch: Batch::Fixed(2),
            labels: Labels {
                background: true,
                names: Some(vec!["a".into(), "b".into(), "c".into(), "d".into()]),
            },
            recipe: Some(Recipe::timm(0.9)),
            ..taking(input)
        };
        let metadata = metadata(&net, &options);
        let contract = Preprocessing::read(&metadata).unwrap().unwrap();
        assert_eq!(
            (contract.element_type, contract.layout),
            (element_type, layout)
        );
        assert_eq!(contract.in_graph, in_graph);
        assert_eq!(contract.takes_any_image(), input == Input::ImageOfAnySize);
        assert_eq!((contract.size.height, contract.size.width), (91, 139));
        assert_eq!(contract.recipe, Recipe::timm(0.9));
        assert_eq!(contract.scaling, Scaling::UNIT);
        let classes = contract.classes.unwrap();
        assert_eq!((classes.count, classes.offset), (5, 1));
        // printf 'a\nb\nc\nd\n' | sha256sum
        let sha256 = "cf2c7f63055d2e84af6e3f01ac1bb7fce598d20cf213fab2b56b8e8047b46ced";
        assert_eq!(classes.labels_sha256.as_deref(), Some(sha256));
        assert_eq!(metadata["incept.input.range"], range);
        assert_eq!(metadata["incept.input.size"], size);
        assert_eq!(metadata["incept.classes.offset"], "1");
    }
}

#[test]
fn recipes_are_those_of_the_published_evaluations() {
    let net = net((299, 299));
    assert_eq!(Recipe::of(&net), Recipe::timm(0.875));
    // timm: img_size / crop_pct, rounded down.
    assert_eq!(Recipe::timm(0.875).enlarged(299), 341);
    assert_eq!(Recipe::timm(0.8975).enlarged(299), 333);
    let unlike = NetOptions {
        classes: 5,
        width_multiplier: 1e-9,
        ..NetOptions::default()
    };
    let build = |name, variant| Net::build(name, variant, &unlike, |image| image.classifier());
    let published = build("inception_resnet_v2", "published").unwrap();
    assert_eq!(Recipe::of(&published), Recipe::timm(0.8975));
    // facenet-pytorch's fixed_image_standardization: (x - 127.5) / 128.
    let facenet = build("inception_resnet_v1", "facenet").unwrap();
    assert_eq!(Recipe::of(&facenet), Recipe::timm(1.0));
    for byte in 0..=255 {
        let expected = (f32::from(byte) - 127.5) / 128.0;
        assert_eq!(Scaling::of(&facenet).value(byte), expected);
    }
    let model = read(&facenet, &taking(Input::Image));
    let constant = |name: &str| {
        let node = model.graph.node.iter().find(|node| node.name == name);
        node.unwrap().attribute[0].f
    };
    let numbers = ["image/divisor", "image/offset"].map(constant);
    assert_eq!(numbers, [128.0, 0.996_093_75]);
    let contract = Preprocessing::read(&metadata(&facenet, &taking(Input::Image)));
    assert_eq!(contract.unwrap().unwrap().scaling, Scaling::FACENET);
    assert_eq!(Scaling::of(&published), Scaling::UNIT);
    // (x / 127.5) - 1 with each step rounded: black, white, and a value between.
    assert_eq!(
        [0, 255, 200].map(|byte| Scaling::UNIT.value(byte)),
        [-1.0, 1.0, 200.0 / 127.5 - 1.0]
    );
}

#[test]
fn contracts_that_make_no_sense_are_refused() {
    let good = metadata(&net((75, 75)), &ExportOptions::default())["incept.preprocessing"].clone();
    let read = |text: &str| {
        let metadata = BTreeMap::from([("incept.preprocessing".to_string(), text.to_string())]);
        Preprocessing::read(&metadata).unwrap()
    };
    let contract = read(&good).unwrap();
    assert_eq!(serde_json::to_string(&contract).unwrap(), good);
    for text in [
        "",
        "{}",
        "[]",
        "1e999",
        &good[1..],
        &good.replace("RGB", "RGB\",\"more\":\""),
        &good.replace("127.5", "1e39"),
    ] {
        assert!(
            matches!(read(text), Err(ContractError::Malformed(_))),
            "{text}"
        );
    }
    for (from, to, field) in [
        ("preprocessing/1", "preprocessing/2", "schema"),
        ("\"RGB\"", "\"BGR\"", "color"),
        ("127.5", "0.0", "scaling"),
        ("\"height\":75", "\"height\":0", "size"),
        ("\"width\":75", "\"width\":99999999", "size"),
        ("0.875", "1e-300", "fraction"),
        ("0.875", "1.5", "fraction"),
        ("\"offset\":0", "\"offset\":2", "offset"),
        (
            "\"count\":5,\"offset\":0",
            "\"count\":1,\"offset\":1",
            "offset",
        ),
    ] {
        let text = good.replace(from, to);
        assert_ne!(text, good, "{from}");
        match read(&text) {
            Err(ContractError::Field { field: found, .. }) => assert_eq!(found, field, "{to}"),
            other => panic!("{to}: {other:?}"),
        }
    }
}
