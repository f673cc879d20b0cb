//! Inspection of ONNX files: of incept's own, beside the description, and of others', made with code generated from ONNX's own
//! schema. Whatever the bytes, the answer is an error or the facts.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use incept_exporters::net::{Net, NetOptions};
use incept_exporters::onnx::{
    self, BatchNorm, Bytes, Destination, ExportOptions, Inspection, LoadError, Precision,
};
use incept_exporters::weights::Weights;
use incept_exporters::zoo;
use onnx_protobuf::{
    AttributeProto, FunctionProto, GraphProto, Message, ModelProto, NodeProto, OperatorSetIdProto,
    SparseTensorProto, StringStringEntryProto, TensorProto, TypeProto, ValueInfoProto, type_proto,
};
use sha2::{Digest, Sha256};

fn tiny(network: &str, width: f64) -> Net {
    let options = NetOptions {
        classes: 7,
        width_multiplier: width,
        ..NetOptions::default()
    };
    zoo::find(network, None)
        .unwrap()
        .build(&options.image_size(75))
        .unwrap()
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect()
}

fn read(model: &ModelProto, tensors: bool) -> Result<Inspection, LoadError> {
    let bytes = model.write_to_bytes().unwrap();
    Inspection::read(bytes.into(), Path::new("theirs.onnx"), tensors)
}

fn node(op_type: &str, domain: &str, attribute: Vec<AttributeProto>) -> NodeProto {
    NodeProto {
        op_type: op_type.into(),
        domain: domain.into(),
        output: vec!["y".into()],
        attribute,
        ..Default::default()
    }
}

fn tensor(name: &str, data_type: i32, dims: &[i64]) -> TensorProto {
    TensorProto {
        name: name.into(),
        data_type,
        dims: dims.to_vec(),
        ..Default::default()
    }
}

/// A model that uses the schema's corners: every field that values may lie in, graphs in nodes, functions, other types.
fn theirs() -> ModelProto {
    let mut raw = tensor("raw", 1, &[2]);
    raw.raw_data = [1.5f32, -2.0]
        .iter()
        .flat_map(|v| v.to_le_bytes())
        .collect();
    let mut floats = tensor("floats", 1, &[2]);
    floats.float_data = vec![1.5, -2.0];
    let mut doubles = tensor("doubles", 11, &[1]);
    doubles.double_data = vec![0.1];
    let mut halves = tensor("halves", 10, &[3]);
    halves.int32_data = vec![0x3c00, 0xbc00, 0x7bff];
    let mut bytes = tensor("bytes", 3, &[2]);
    bytes.int32_data = vec![-1, 100];
    let mut nibbles = tensor("nibbles", 22, &[3]);
    nibbles.int32_data = vec![0x21, 0x03];
    let mut longs = tensor("longs", 7, &[2]);
    longs.int64_data = vec![-3, 1 << 40];
    let mut unsigned = tensor("unsigned", 12, &[1]);
    unsigned.uint64_data = vec![4_000_000_000];
    let mut texts = tensor("texts", 8, &[2]);
    texts.string_data = vec![b"one".to_vec(), b"three".to_vec()];
    let empty = tensor("empty", 1, &[0, 5]);

    let mut inner = tensor("inner", 1, &[3]);
    inner.float_data = vec![0.0; 3];
    let branch = GraphProto {
        node: vec![node("Identity", "", vec![])],
        initializer: vec![inner],
        ..Default::default()
    };
    let mut constant = tensor("", 7, &[]);
    constant.int64_data = vec![9];
    let of_graph = AttributeProto {
        name: "then_branch".into(),
        g: Some(branch).into(),
        ..Default::default()
    };
    let of_tensor = AttributeProto {
        name: "value".into(),
        t: Some(constant).into(),
        ..Default::default()
    };
    let mut values = tensor("sparse", 1, &[1]);
    values.float_data = vec![5.0];
    let mut indices = tensor("indices", 7, &[1]);
    indices.int64_data = vec![2];
    let sequence = TypeProto {
        value: Some(type_proto::Value::SequenceType(type_proto::Sequence::new())),
        ..Default::default()
    };
    let graph = GraphProto {
        name: "their graph".into(),
        node: vec![
            node("If", "", vec![of_graph]),
            node("Constant", "ai.onnx", vec![of_tensor]),
            node("Identity", "", vec![]),
            node("Identity", "com.example", vec![]),
        ],
        initializer: vec![
            raw, floats, doubles, halves, bytes, nibbles, longs, unsigned, texts, empty,
        ],
        sparse_initializer: vec![SparseTensorProto {
            values: Some(values).into(),
            indices: Some(indices).into(),
            dims: vec![9],
            ..Default::default()
        }],
        input: vec![
            ValueInfoProto {
                name: "x".into(),
                type_: Some(sequence).into(),
                ..Default::default()
            },
            ValueInfoProto {
                name: "raw".into(),
                ..Default::default()
            },
        ],
        output: vec![ValueInfoProto {
            name: "y".into(),
            ..Default::default()
        }],
        ..Default::default()
    };
    ModelProto {
        ir_version: 10,
        producer_name: "their program".into(),
        producer_version: "3.1".into(),
        model_version: 42,
        graph: Some(graph).into(),
        opset_import: [("", 21), ("com.example", 2)]
            .map(|(domain, version)| OperatorSetIdProto {
                domain: domain.into(),
                version,
                ..Default::default()
            })
            .to_vec(),
        functions: vec![FunctionProto {
            name: "Gelu".into(),
            domain: "com.example".into(),
            node: vec![node("Erf", "", vec![])],
            ..Default::default()
        }],
        metadata_props: vec![StringStringEntryProto {
            key: "author".into(),
            value: "they".into(),
            ..Default::default()
        }],
        ..Default::default()
    }
}

#[test]
fn a_file_of_others_is_told_in_full() {
    let found = read(&theirs(), true).unwrap();
    assert_eq!(found.schema, "incept.inspect/1");
    assert_eq!((found.ir_version, found.model_version), (10, 42));
    assert_eq!(
        (found.producer.as_str(), found.graph.as_str()),
        ("their program 3.1", "their graph")
    );
    let opsets: Vec<(&str, i64)> = found
        .opsets
        .iter()
        .map(|o| (o.domain.as_str(), o.version))
        .collect();
    assert_eq!(opsets, [("ai.onnx", 21), ("com.example", 2)]);
    assert_eq!(found.inputs.len(), 1, "a tensor is no input");
    assert_eq!(
        (
            found.inputs[0].element_type.as_str(),
            &found.inputs[0].shape
        ),
        ("sequence", &None)
    );
    assert_eq!(found.outputs[0].element_type, "undefined");
    let operators: Vec<(&str, usize)> = found
        .operators
        .iter()
        .map(|o| (o.operator.as_str(), o.count))
        .collect();
    assert_eq!(
        operators,
        [
            ("Constant", 1),
            ("Erf", 1),
            ("Identity", 2),
            ("If", 1),
            ("com.example.Identity", 1)
        ]
    );
    assert_eq!(
        (found.nodes, found.functions),
        (6, vec!["com.example.Gelu".to_string()])
    );
    let counts = |constants: &onnx::Constants| -> BTreeMap<String, (u64, u64, u64)> {
        let types = constants.types.iter();
        types
            .map(|t| (t.element_type.clone(), (t.tensors, t.elements, t.bytes)))
            .collect()
    };
    let expected: BTreeMap<String, (u64, u64, u64)> = [
        ("float32", (4, 5, 20)),
        ("float64", (1, 1, 8)),
        ("float16", (1, 3, 6)),
        ("int8", (1, 2, 2)),
        ("int4", (1, 3, 2)),
        ("int64", (2, 3, 24)),
        ("uint32", (1, 1, 4)),
        ("string", (1, 2, 8)),
    ]
    .map(|(name, counts)| (name.to_string(), counts))
    .into();
    assert_eq!(counts(&found.parameters), expected);
    assert_eq!(
        (
            found.parameters.tensors,
            found.parameters.elements,
            found.parameters.bytes
        ),
        (12, 20, 74)
    );
    assert_eq!(
        counts(&found.constants),
        BTreeMap::from([("float32".into(), (1, 3, 12)), ("int64".into(), (1, 1, 8))])
    );
    assert_eq!(
        found.metadata,
        BTreeMap::from([("author".into(), "they".into())])
    );
    assert_eq!((found.input_contract, found.network_known), (None, false));

    let hashes: BTreeMap<String, Option<String>> = found
        .tensors
        .unwrap()
        .into_iter()
        .map(|t| (t.name, t.sha256))
        .collect();
    let two: Vec<u8> = [1.5f32, -2.0]
        .iter()
        .flat_map(|v| v.to_le_bytes())
        .collect();
    let longs: Vec<u8> = [-3i64, 1 << 40]
        .iter()
        .flat_map(|v| v.to_le_bytes())
        .collect();
    for (name, bytes) in [
        ("raw", two.as_slice()),
        ("floats", &two),
        ("doubles", &0.1f64.to_le_bytes()),
        ("halves", &[0x00, 0x3c, 0x00, 0xbc, 0xff, 0x7b]),
        ("bytes", &[0xff, 100]),
        ("nibbles", &[0x21, 0x03]),
        ("longs", &longs),
        ("unsigned", &4_000_000_000u32.to_le_bytes()),
        ("empty", &[]),
        ("sparse", &5f32.to_le_bytes()),
        ("indices", &2i64.to_le_bytes()),
    ] {
        assert_eq!(hashes[name], Some(sha256(bytes)), "{name}");
    }
    assert_eq!(hashes["texts"], None);
    assert_eq!(read(&theirs(), false).unwrap().tensors, None);
}

#[test]
fn tensors_whose_values_are_too_few_or_sizes_impossible_are_named() {
    let spoiled = |change: &dyn Fn(&mut TensorProto), tensors| {
        let mut model = theirs();
        change(&mut model.graph.mut_or_insert_default().initializer[0]);
        read(&model, tensors).unwrap_err()
    };
    for (dims, part) in [
        (
            vec![3],
            "expected 12 bytes of values for its shape, found 8",
        ),
        (vec![-1], "sizes from 0 up"),
        (vec![i64::MAX, 3], "fewer numbers than 2^64"),
        (vec![1 << 31, 1 << 31], "more than 2^64 bytes"),
    ] {
        let error = spoiled(&|tensor| tensor.dims.clone_from(&dims), true);
        let text = std::error::Error::source(&error).unwrap().to_string();
        assert!(
            text.contains("tensor `raw`") && text.contains(part),
            "{text}"
        );
        assert!(error.to_string().contains("theirs.onnx") && error.hint().is_some());
    }
    let mut model = theirs();
    model.opset_import.clear();
    assert!(read(&model, false).is_err());
    model = theirs();
    model.graph = None.into();
    assert!(read(&model, false).is_err());
}

#[test]
fn our_own_files_are_told_as_their_description_has_them() {
    for network in ["inception_v4", "inception_resnet_v1", "inception_resnet_v2"] {
        for batch_norm in [BatchNorm::Folded, BatchNorm::Kept] {
            let net = tiny(network, 0.1);
            let mut options = ExportOptions {
                batch_norm,
                ..ExportOptions::default()
            };
            options.precision.precision = Precision::Fp16;
            let folder = tempfile::tempdir().unwrap();
            let destination = Destination {
                model: folder.path().join("m.onnx"),
                data: Some(folder.path().join("d")),
                manifest: Some(folder.path().join("m.json")),
                ..Destination::default()
            };
            let weights = Weights::initial(&net, 0);
            let exported = onnx::export(&net, &weights, &options, &destination).unwrap();
            let found = Inspection::of_file(&destination.model, true).unwrap();
            assert_eq!(found.bytes, fs::metadata(&destination.model).unwrap().len());
            let manifest = exported.manifest.unwrap();
            // Two ways to the same hashes: the values as they were written, and as they are read.
            let stored = found.tensors.unwrap();
            assert_eq!(stored.len(), manifest.tensors.len());
            for (found, told) in stored.iter().zip(&manifest.tensors) {
                assert_eq!(
                    (&found.name, found.sha256.as_ref()),
                    (&told.name, Some(&told.sha256))
                );
                assert_eq!(
                    (&found.element_type, found.bytes),
                    (&told.element_type, told.bytes)
                );
                assert_eq!(found.location.is_some(), told.file == "d");
            }
            let outside = manifest.tensors.iter().filter(|t| t.file == "d");
            assert_eq!(found.external_data.len(), 1);
            assert_eq!(
                found.external_data[0].tensors,
                outside.clone().count() as u64
            );
            assert_eq!(
                found.external_data[0].bytes,
                outside.map(|t| t.bytes).sum::<u64>()
            );
            assert_eq!(found.external_data[0].problem, None);
            let parameters = net.cost().parameters as u64;
            if batch_norm == BatchNorm::Kept && network == "inception_v4" {
                // Statistics are stored too, and stay float32; the networks without residuals have no further constants.
                let statistics: usize = net
                    .parameters()
                    .iter()
                    .filter(|p| !p.kind.is_trained())
                    .map(|p| p.elements())
                    .sum();
                assert_eq!(found.parameters.elements, parameters + statistics as u64);
                assert_eq!(found.parameters.types.len(), 2);
            }
            assert_eq!(found.inputs[0].name, "image");
            assert_eq!(
                found.inputs[0].shape.as_deref(),
                Some(&["N", "3", "75", "75"].map(String::from)[..])
            );
            assert_eq!(
                found.outputs[0].shape.as_deref(),
                Some(&["N", "7"].map(String::from)[..])
            );
            assert!(found.network_known);
            assert_eq!(found.input_contract.unwrap()["name"], "image");

            // Without its data, a model is told all the same, and what is missing with it; its hashes cannot be.
            fs::remove_file(folder.path().join("d")).unwrap();
            let found = Inspection::of_file(&destination.model, false).unwrap();
            assert!(
                found.external_data[0]
                    .problem
                    .as_ref()
                    .unwrap()
                    .contains("cannot be read")
            );
            let error = Inspection::of_file(&destination.model, true).unwrap_err();
            assert!(matches!(error, LoadError::External { .. }), "{error}");
        }
    }
}

fn look(bytes: &[u8]) -> bool {
    let bytes = Bytes::copy_from_slice(bytes);
    let path = Path::new("/nonexistent/changed.onnx");
    let quick = Inspection::read(bytes.clone(), path, false);
    let full = Inspection::read(bytes, path, true);
    if let Err(error) = &full {
        let text = error.to_string();
        assert!(text.contains("changed.onnx"), "{text}");
        let _ = error.hint();
    }
    quick.is_ok()
}

#[test]
fn cut_and_changed_bytes_never_panic() {
    let theirs = theirs().write_to_bytes().unwrap();
    let net = tiny("inception_resnet_v1", 1e-9);
    let ours = onnx::to_bytes(&net, &Weights::initial(&net, 0), &ExportOptions::default()).unwrap();
    for bytes in [&theirs, &ours] {
        assert!(look(bytes));
        let step = bytes.len() / 2000 + 1;
        for length in (0..bytes.len()).step_by(step) {
            // Theirs may end at the border of a field and still be whole.
            assert!(
                !look(&bytes[..length]) || bytes == &theirs,
                "cut to {length}"
            );
        }
        let mut read = [0, 0];
        for round in 0..4000_usize {
            let mut changed = bytes.clone();
            let at = (round * 7919) % bytes.len();
            changed[at] = (round * 31 % 256) as u8;
            read[usize::from(look(&changed))] += 1;
        }
        assert!(read[0] > 100 && read[1] > 100, "{read:?}");
    }
}

/// Graphs inside graphs, a thousand deep: an error, not the end of the stack.
#[test]
fn deep_graphs_are_refused() {
    let mut bytes = vec![];
    for _ in 0..1000 {
        let wrap = |key: u8, bytes: Vec<u8>| {
            let mut message = vec![key];
            let mut length = bytes.len();
            while length > 127 {
                message.push(length as u8 | 0x80);
                length >>= 7;
            }
            message.push(length as u8);
            message.extend(bytes);
            message
        };
        // graph.node, node.attribute, attribute.g
        bytes = wrap(0x32, bytes);
        bytes = wrap(0x2a, bytes);
        bytes = wrap(0x0a, bytes);
    }
    assert!(!look(&bytes));
}
