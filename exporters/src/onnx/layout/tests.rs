use std::collections::BTreeMap;

use super::*;
use crate::net::NetOptions;
use crate::zoo;

fn net(classes: usize) -> Net {
    let options = NetOptions {
        classes,
        ..NetOptions::default()
    };
    zoo::find("inception_v4", None)
        .unwrap()
        .build(&options)
        .unwrap()
}

/// A plan looks at no values.
fn no_weights() -> Weights {
    Weights::from_tensors(BTreeMap::new(), "none")
}

#[test]
fn tensors_beyond_two_gigabytes_need_a_data_file_and_get_one() {
    let (net, options) = (net(1_000_000), ExportOptions::default());
    let plan = |location| Layout::plan(&net, &no_weights(), &options, location);
    let classifier = 4 * 1536 * 1_000_000;
    let Err(ExportError::TooLarge { found }) = plan(None) else {
        panic!("one file of more than 6 GB was planned");
    };
    assert!(found > classifier);

    let layout = plan(Some("huge.data")).unwrap();
    assert!(layout.total() < 1 << 20, "the model: {}", layout.total());
    let mut end = 0;
    for tensor in &layout.tensors {
        let name = &tensor.stored.initializer.name;
        let Place::Data(offset) = tensor.place else {
            assert!(tensor.bytes < SMALL, "{name}");
            continue;
        };
        assert!(
            offset >= end && offset - end < ALIGNMENT,
            "{name} begins at {offset}"
        );
        assert_eq!(offset % ALIGNMENT, 0, "{name}");
        end = offset + tensor.bytes;
        let message = TensorProto::decode(tensor.header.as_slice()).unwrap();
        let entries: Vec<(&str, String)> = message
            .external_data
            .iter()
            .map(|entry| (entry.key.as_str(), entry.value.clone()))
            .collect();
        let expected = [
            ("location", "huge.data".to_string()),
            ("offset", offset.to_string()),
            ("length", tensor.bytes.to_string()),
        ];
        assert_eq!(entries, expected, "{name}");
        assert_eq!(message.data_location, EXTERNAL);
    }
    assert!(end > classifier);
    let beyond = layout.tensors.iter().filter(|tensor| match tensor.place {
        Place::Data(offset) => offset + tensor.bytes > u64::from(u32::MAX),
        Place::Model(_) => false,
    });
    assert!(beyond.count() > 0, "some tensor ends beyond 4 GB");
}

#[test]
fn half_precision_halves_the_file() {
    let net = net(1000);
    let bytes = |precision| {
        let mut options = ExportOptions::default();
        options.precision.precision = precision;
        bytes_of_tensors(&net, &options).unwrap()
    };
    use crate::onnx::Precision::{Bf16, Fp16, Fp32};
    assert_eq!(bytes(Fp32), 2 * bytes(Fp16));
    assert_eq!(bytes(Fp16), bytes(Bf16));
}
