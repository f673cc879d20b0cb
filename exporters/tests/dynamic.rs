//! Files for images of any size: every dimension in them, read by code generated from ONNX's schema.

#![allow(clippy::unwrap_used)]

use incept_exporters::net::{Net, NetOptions};
use incept_exporters::onnx::{
    self, Batch, ExportOptions, ImageSize, Input, ModelFacts, Output, Preprocessing,
};
use incept_exporters::weights::Weights;
use incept_exporters::zoo;
use onnx_protobuf::tensor_shape_proto::dimension::Value;
use onnx_protobuf::type_proto::Value as Type;
use onnx_protobuf::{Message, ModelProto, ValueInfoProto};

const NETWORKS: [&str; 3] = ["inception_v4", "inception_resnet_v1", "inception_resnet_v2"];

fn net(network: &str, side: usize) -> Net {
    let options = NetOptions {
        classes: 5,
        width_multiplier: 0.02,
        ..NetOptions::default()
    };
    let entry = zoo::find(network, None).unwrap();
    entry.build(&options.image_size(side)).unwrap()
}

fn read(net: &Net, options: &ExportOptions) -> ModelProto {
    let bytes = onnx::to_bytes(net, &Weights::randomised(net, 1), options).unwrap();
    ModelProto::parse_from_bytes(&bytes).unwrap()
}

fn dynamic(input: Input, batch: Batch) -> ExportOptions {
    ExportOptions {
        image_size: ImageSize::Dynamic,
        input,
        batch,
        outputs: vec![Output::Logits, Output::Features],
        ..ExportOptions::default()
    }
}

/// A dimension in words; `?` where the file leaves it open.
fn dimensions(info: &ValueInfoProto) -> Vec<String> {
    let Some(Type::TensorType(tensor)) = &info.type_.value else {
        panic!("`{}` is no tensor", info.name);
    };
    let dimensions = tensor.shape.dim.iter();
    let words = dimensions.map(|dimension| match &dimension.value {
        Some(Value::DimValue(size)) => size.to_string(),
        Some(Value::DimParam(name)) => name.clone(),
        _ => "?".into(),
    });
    words.collect()
}

#[test]
fn height_and_width_are_named_at_the_input_and_open_in_every_map() {
    for network in NETWORKS {
        for (batch, first) in [(Batch::Dynamic, "N"), (Batch::Fixed(3), "3")] {
            let net = net(network, 299);
            let model = read(&net, &dynamic(Input::Tensor, batch));
            let graph = &model.graph;
            assert_eq!(graph.input.len(), 1);
            assert_eq!(dimensions(&graph.input[0]), [first, "3", "H", "W"]);
            let mut maps = 0;
            for info in graph.value_info.iter().chain(&graph.output) {
                let found = dimensions(info);
                assert_eq!(found[0], first, "`{}`", info.name);
                let channels = net.node(&info.name).map(|node| node.shape.channels());
                if let Some(channels) = channels {
                    assert_eq!(found[1], channels.to_string(), "`{}`", info.name);
                }
                match found.len() {
                    2 => {}
                    4 if info.name == "features/average_pool" => assert_eq!(found[2..], ["1", "1"]),
                    4 => {
                        assert_eq!(found[2..], ["?", "?"], "`{}`", info.name);
                        maps += 1;
                    }
                    _ => panic!("`{}`: {found:?}", info.name),
                }
            }
            assert!(maps > 100, "{network}: {maps} maps");
        }
    }
}

/// But for dimensions and metadata a file for any size is the file for one size, whichever the network was built with.
#[test]
fn nodes_and_tensors_are_those_of_a_fixed_size() {
    for network in NETWORKS {
        let options = ExportOptions {
            outputs: vec![Output::Logits, Output::Features],
            ..ExportOptions::default()
        };
        let fixed = read(&net(network, 299), &options);
        for side in [75, 299] {
            let dynamic = read(&net(network, side), &dynamic(Input::Tensor, Batch::Dynamic));
            assert_eq!(dynamic.graph.node, fixed.graph.node, "{network}");
            assert_eq!(
                dynamic.graph.initializer, fixed.graph.initializer,
                "{network}"
            );
        }
    }
}

#[test]
fn the_contract_says_which_sizes_are_taken() {
    let net = net("inception_v4", 299);
    for input in [Input::Tensor, Input::Image] {
        let options = dynamic(input, Batch::Dynamic);
        let bytes = onnx::to_bytes(&net, &Weights::initial(&net, 0), &options).unwrap();
        let facts = ModelFacts::read(&bytes.into()).unwrap();
        assert_eq!(facts.metadata["incept.input.size"], "75x75 or more");
        let size = Preprocessing::read(&facts.metadata).unwrap().unwrap().size;
        assert_eq!(
            (size.height, size.width, size.dynamic, size.minimum),
            (299, 299, true, 75)
        );
        assert_eq!(facts.network.unwrap().build().unwrap(), net);
    }
}
