//! What a file puts out: heads, several at once, and layers by name or pattern, read by code generated from ONNX's schema.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use incept_exporters::net::{Net, NetOptions};
use incept_exporters::onnx::proto;
use incept_exporters::onnx::{
    self, BatchNorm, ExportError, ExportOptions, ModelFacts, Output, Preprocessing,
};
use incept_exporters::weights::Weights;
use incept_exporters::zoo;
use onnx_protobuf::{Message, ModelProto};

const NETWORKS: [&str; 3] = ["inception_v4", "inception_resnet_v1", "inception_resnet_v2"];

fn tiny(network: &str) -> Net {
    let options = NetOptions {
        classes: 5,
        width_multiplier: 1e-9,
        ..NetOptions::default()
    };
    let entry = zoo::find(network, None).unwrap();
    entry.build(&options.image_size(75)).unwrap()
}

fn bytes(net: &Net, options: &ExportOptions) -> Result<Vec<u8>, ExportError> {
    onnx::to_bytes(net, &Weights::randomised(net, 1), options)
}

fn read(net: &Net, options: &ExportOptions) -> ModelProto {
    ModelProto::parse_from_bytes(&bytes(net, options).unwrap()).unwrap()
}

fn outputs(model: &ModelProto) -> Vec<String> {
    let outputs = model.graph.output.iter();
    outputs.map(|output| output.name.clone()).collect()
}

fn with_layers(layers: &[&str], batch_norm: BatchNorm) -> ExportOptions {
    ExportOptions {
        layers: layers.iter().map(|layer| layer.to_string()).collect(),
        batch_norm,
        ..ExportOptions::default()
    }
}

/// Every value that nodes of the file compute.
fn computed(model: &ModelProto) -> BTreeSet<String> {
    let nodes = model.graph.node.iter();
    nodes.flat_map(|node| node.output.clone()).collect()
}

#[test]
fn several_heads_stand_in_the_order_given_and_change_nothing_else() {
    for network in NETWORKS {
        let net = tiny(network);
        let of = |outputs: &[Output]| {
            let outputs = outputs.to_vec();
            let options = ExportOptions {
                outputs,
                ..ExportOptions::default()
            };
            read(&net, &options)
        };
        let (features, logits, probabilities) =
            (Output::Features, Output::Logits, Output::Probabilities);
        for heads in [
            vec![logits, features],
            vec![features, logits],
            vec![features, probabilities],
            vec![probabilities, features, logits],
        ] {
            let model = of(&heads);
            let names: Vec<&str> = heads.iter().map(|head| head.name()).collect();
            assert_eq!(outputs(&model), names, "{network}");
            let said = model.metadata_props.iter();
            let said = said.clone().find(|entry| entry.key == "incept.output");
            assert_eq!(said.unwrap().value, names.join(","));
            let facts = ModelFacts::read(&bytes_of(&model).into()).unwrap();
            assert_eq!(facts.network.unwrap().outputs, heads);

            // Beside the file of the last head alone: the same nodes and tensors, and each value described once.
            let last = [probabilities, logits]
                .into_iter()
                .find(|head| heads.contains(head));
            let alone = of(&[last.unwrap()]);
            assert_eq!(model.graph.node, alone.graph.node, "{network}");
            assert_eq!(model.graph.initializer, alone.graph.initializer);
            let described = |model: &ModelProto| -> Vec<String> {
                let infos = model.graph.value_info.iter().chain(&model.graph.output);
                let mut names: Vec<String> = infos.map(|info| info.name.clone()).collect();
                names.sort();
                names
            };
            assert_eq!(described(&model), described(&alone), "{network}");
            assert_eq!(described(&model).len(), computed(&model).len());
        }
    }
}

fn bytes_of(model: &ModelProto) -> Vec<u8> {
    model.write_to_bytes().unwrap()
}

#[test]
fn heads_that_are_not_there_twice_or_none_are_refused() {
    let net = tiny("inception_v4");
    let error = |outputs: &[Output]| {
        let options = ExportOptions {
            outputs: outputs.to_vec(),
            ..ExportOptions::default()
        };
        bytes(&net, &options).unwrap_err().to_string()
    };
    for head in [Output::Embedding, Output::AuxiliaryLogits] {
        assert_eq!(
            error(&[Output::Logits, head]),
            format!(
                "inception_v4 (paper) has no output `{head}`: expected one of logits, probabilities, features"
            )
        );
    }
    assert_eq!(
        error(&[Output::Logits, Output::Features, Output::Logits]),
        "output `logits` is asked for twice"
    );
    assert!(error(&[]).contains("no output is asked for"));
}

/// A pattern finds the nodes of the network whose value the file has, in the network's order, whatever the order of the
/// patterns.
#[test]
fn patterns_find_layers_by_name() {
    for network in NETWORKS {
        let net = tiny(network);
        for batch_norm in [BatchNorm::Folded, BatchNorm::Kept] {
            let values = computed(&read(&net, &with_layers(&[], batch_norm)));
            let expected = |wanted: &dyn Fn(&str) -> bool| -> Vec<String> {
                let names = net.nodes().iter().map(|node| node.name.clone());
                let found = names.filter(|name| values.contains(name) && wanted(name));
                std::iter::once("logits".to_string()).chain(found).collect()
            };
            let found =
                |patterns: &[&str]| outputs(&read(&net, &with_layers(patterns, batch_norm)));
            let stem = found(&["stem*"]);
            assert_eq!(stem, expected(&|name| name.starts_with("stem")));
            // A star goes past slashes.
            assert!(stem.len() > 10 && stem[1..].iter().all(|name| name.contains('/')));
            let joined = |name: &str| name.starts_with("stem") || name.ends_with("/concatenate");
            assert_eq!(
                found(&["*/concatenate", "stem*", "stem.0*"]),
                expected(&joined)
            );
            let norms = |name: &str| name.ends_with("/conv_1x1/batch_norm");
            assert_eq!(found(&["*/conv_1x1/batch_norm"]), expected(&norms));
            // Some that it finds have been folded away, and are left out.
            let some = |name: &str| name.contains("/conv_1x7");
            assert_eq!(
                found(&["*/conv_1x7*"]),
                expected(&some),
                "{network} {batch_norm}"
            );
        }
    }
    let net = tiny("inception_v4");
    let found = |patterns: &[&str]| outputs(&read(&net, &with_layers(patterns, BatchNorm::Folded)));
    let grids = |numbers: &[usize]| -> Vec<String> {
        let names = numbers
            .iter()
            .map(|n| format!("inception_a.{n}/concatenate"));
        std::iter::once("logits".to_string()).chain(names).collect()
    };
    assert_eq!(found(&["inception_a.*/concatenate"]), grids(&[0, 1, 2, 3]));
    assert_eq!(found(&["inception_a.[13]/concatenate"]), grids(&[1, 3]));
    assert_eq!(
        found(&["inception_?.3/concatenate"])[1..],
        ["inception_a.3/concatenate", "inception_b.3/concatenate"]
    );
    // What is a head already is not put out twice; what comes after the heads is computed too.
    assert_eq!(
        found(&["logits", "[fp]*s"]),
        ["logits", "features", "probabilities"]
    );
}

#[test]
fn layers_that_are_not_there_are_named_with_the_nearest() {
    let net = tiny("inception_v4");
    let error = |pattern: &str, batch_norm| {
        let error = bytes(&net, &with_layers(&[pattern], batch_norm)).unwrap_err();
        (error.to_string(), error.hint().unwrap_or_default())
    };
    let (said, hint) = error("inception_a.0/concatinate", BatchNorm::Folded);
    assert_eq!(said, "no layer is called `inception_a.0/concatinate`");
    assert_eq!(hint, "did you mean `inception_a.0/concatenate`?");
    let (said, hint) = error("mixed_5b*", BatchNorm::Folded);
    assert!(said.contains("`mixed_5b*`") && hint.contains("`*` stands for anything"));

    let convolution = "inception_a.0/branch_0/conv_1x1";
    let (said, hint) = error(convolution, BatchNorm::Folded);
    assert!(said.contains(&format!("as `{convolution}`")), "{said}");
    assert!(hint.contains(&format!("`{convolution}/batch_norm`")) && hint.contains("kept"));
    let kept = read(&net, &with_layers(&[convolution], BatchNorm::Kept));
    assert_eq!(outputs(&kept), ["logits", convolution]);
    let (said, hint) = error("drop*", BatchNorm::Folded);
    assert!(
        said.contains("as `dropout`") && hint.contains("`features`"),
        "{said} {hint}"
    );
    assert!(error("image", BatchNorm::Folded).0.contains("as `image`"));
    let (said, _) = error("stem[", BatchNorm::Folded);
    assert!(
        said.starts_with("`stem[` is no pattern of names: "),
        "{said}"
    );
}

/// Files of earlier versions have one output and no contract.
#[test]
fn files_without_a_contract_are_read_as_before() {
    let net = tiny("inception_resnet_v1");
    let options = ExportOptions {
        outputs: vec![Output::Features],
        ..ExportOptions::default()
    };
    let bytes = bytes(&net, &options).unwrap();
    let mut model = <proto::ModelProto as prost::Message>::decode(bytes.as_slice()).unwrap();
    model.metadata_props.retain(|entry| {
        let newer = ["incept.preprocessing", "incept.input.", "incept.classes"];
        newer.iter().all(|start| !entry.key.starts_with(start))
    });
    let facts = ModelFacts::read(&prost::Message::encode_to_vec(&model).into()).unwrap();
    assert!(Preprocessing::read(&facts.metadata).is_none());
    let network = facts.network.unwrap();
    assert_eq!(network.outputs, [Output::Features]);
    assert_eq!(network.build().unwrap(), net);
}
