//! Checkpoints that TensorFlow wrote, against the arrays that went in; and what is wrong with others.

mod malformed;
mod written;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::super::{Checkpoint, Format};
use super::*;
use crate::weights::{ElementType, Tensor};

fn golden(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../golden/checkpoints/tensorflow");
    root.join(name)
}

fn bytes_of(name: &str) -> Bytes {
    fs::read(golden(name)).unwrap().into()
}

/// The first difference, if there is one: in names, types, shapes or any bit of the values.
fn difference(
    found: &BTreeMap<String, Tensor>,
    expected: &BTreeMap<String, Tensor>,
) -> Option<String> {
    let names = |tensors: &BTreeMap<String, Tensor>| tensors.keys().cloned().collect::<Vec<_>>();
    if names(found) != names(expected) {
        return Some(format!("{:?}, {:?}", names(found), names(expected)));
    }
    let bits = |tensor: &Tensor| -> Vec<u32> {
        tensor
            .values()
            .iter()
            .map(|value| value.to_bits())
            .collect()
    };
    expected.iter().find_map(|(name, expected)| {
        let found = &found[name];
        let same = found.element_type() == expected.element_type()
            && found.shape() == expected.shape()
            && bits(found) == bits(expected);
        (!same).then(|| format!("{name}: {found:?}, {expected:?}"))
    })
}

#[test]
fn each_golden_checkpoint_holds_the_arrays_that_went_in() {
    for (file, values, format) in [
        ("v1_slim.ckpt", "v1_slim", Format::TensorFlowV1),
        ("v1_types.ckpt", "v1_types", Format::TensorFlowV1),
        ("v1_snappy.ckpt", "v1_slim", Format::TensorFlowV1),
        ("v2_slim.index", "v2_slim", Format::TensorFlowV2),
        ("v2_types.index", "v2_types", Format::TensorFlowV2),
        ("v2_snappy.index", "v2_types", Format::TensorFlowV2),
        ("v2_objects.index", "v2_objects", Format::TensorFlowV2),
    ] {
        let found = Checkpoint::read(&golden(file)).unwrap();
        assert_eq!(found.format, format, "{file}");
        let expected = Checkpoint::read(&golden(&format!("{values}.safetensors"))).unwrap();
        assert_eq!(expected.format, Format::Safetensors);
        assert_eq!(
            difference(&found.tensors, &expected.tensors),
            None,
            "{file}"
        );
    }
}

#[test]
fn the_comparison_sees_a_changed_bit_a_type_a_shape_and_a_name() {
    let expected = Checkpoint::read(&golden("v2_types.safetensors")).unwrap();
    let expected = expected.tensors;
    assert_eq!(difference(&expected, &expected), None);
    let changed = |name: &str, tensor: Tensor| {
        let mut tensors = expected.clone();
        tensors.insert(name.into(), tensor);
        difference(&tensors, &expected)
    };
    // -0.0 for 0.0.
    let mut values = expected["types/float32"].values().into_owned();
    values[0] = -0.0;
    assert!(changed("types/float32", Tensor::owned(vec![7], values)).is_some());
    let bool_as_float = expected["types/bool"].values().into_owned();
    assert!(changed("types/bool", Tensor::owned(vec![5, 7], bool_as_float)).is_some());
    let grid = expected["grid"].permuted(&[2, 1, 0]).unwrap();
    assert!(changed("grid", grid).is_some());
    assert!(changed("further", Tensor::owned(vec![], vec![0.0])).is_some());
}

#[test]
fn what_is_no_number_is_left_out_and_said() {
    let notes = |file: &str| Checkpoint::read(&golden(file)).unwrap().notes;
    assert_eq!(
        notes("v1_types.ckpt"),
        ["left out, holding complex numbers: `left_out`"]
    );
    assert_eq!(
        notes("v2_types.index"),
        [
            "left out, holding complex numbers: `left_out`",
            "left out, holding text: `words`"
        ]
    );
    assert_eq!(
        notes("v2_objects.index"),
        ["left out, holding text: `_CHECKPOINTABLE_OBJECT_GRAPH`"]
    );
    assert!(notes("v2_slim.index").is_empty());
    let mut many = LeftOut::default();
    (0..6).for_each(|number| many.add(&format!("t{number}"), "text"));
    assert_eq!(
        many.notes(),
        ["left out, holding text: `t0`, `t1`, `t2`, `t3` and 2 more"]
    );
}

#[test]
fn numbers_are_not_copied() {
    let within = |values: &[u8], file: &Bytes| file.as_ptr_range().contains(&values.as_ptr());
    let name = "InceptionV4/Conv2d_1a_3x3/weights";
    let file = bytes_of("v1_slim.ckpt");
    let (tensors, _) = v1::read(&file).unwrap();
    assert!(within(&tensors[name].bytes(), &file));
    let shard = bytes_of("v2_slim.data-00000-of-00001");
    let (tensors, _) = v2::read(&bytes_of("v2_slim.index"), |_| Ok(shard.clone())).unwrap();
    assert!(within(&tensors[name].bytes(), &shard));
    // A partitioned variable has to be put together.
    let joined = &tensors["InceptionV4/Logits/Columns/weights"];
    assert!(!within(&joined.bytes(), &shard));
    assert_eq!(joined.element_type(), ElementType::Float32);
}

#[test]
fn a_checkpoint_may_be_named_as_tensorflow_does() {
    for name in ["v2_types", "v2_types.data-00001-of-00002"] {
        let found = Checkpoint::read(&golden(name)).unwrap();
        assert_eq!(found.path, golden("v2_types.index"));
        let note = format!(
            "read `{}`, the checkpoint's index",
            golden("v2_types.index").display()
        );
        assert_eq!(found.notes[0], note);
    }
    let absent = Checkpoint::read(&golden("v3_types")).unwrap_err();
    assert!(absent.to_string().contains("v3_types`"), "{absent}");

    let folder = tempfile::tempdir().unwrap();
    let saved_model = folder.path().join("saved.model");
    fs::create_dir_all(saved_model.join("variables")).unwrap();
    for ending in ["index", "data-00000-of-00001"] {
        let to = saved_model.join(format!("variables/variables.{ending}"));
        fs::copy(golden(&format!("v2_objects.{ending}")), to).unwrap();
    }
    assert_eq!(Checkpoint::read(&saved_model).unwrap().tensors.len(), 5);
}

#[test]
fn a_shard_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let index = folder.path().join("model.ckpt.index");
    fs::copy(golden("v2_types.index"), &index).unwrap();
    fs::copy(
        golden("v2_types.data-00000-of-00002"),
        folder.path().join("model.ckpt.data-00000-of-00002"),
    )
    .unwrap();
    let error = Checkpoint::read(&folder.path().join("model.ckpt")).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("model.ckpt.index"), "{text}");
    assert!(text.contains("model.ckpt.data-00001-of-00002`"), "{text}");
    assert!(text.contains("tensor `"), "{text}");
    assert!(error.hint().unwrap().contains("belong together"));
}

#[test]
fn a_stranger_is_named_with_what_to_give_instead() {
    let said = |path: &Path| {
        let error = Checkpoint::read(path).unwrap_err();
        (error.to_string(), error.hint().unwrap())
    };
    for (file, found, fix) in [
        ("frozen.pb", "frozen TensorFlow graph", "frozen from"),
        ("model.ckpt-7.meta", "meta graph", "others/model.ckpt-7`"),
        ("checkpoint", "list of checkpoints", "others/model.ckpt-7`"),
        (
            "saved_model.pb",
            "saved model",
            "others/variables/variables.index`",
        ),
    ] {
        let (text, hint) = said(&golden("others").join(file));
        assert!(text.contains(file) && text.contains(found), "{text}");
        assert!(hint.contains(fix), "{hint}");
    }
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("inception_v4_2016_09_09.tar.gz");
    fs::write(&archive, [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3]).unwrap();
    let (text, hint) = said(&archive);
    assert!(
        text.contains("gzip") && hint.contains("tar -xzf"),
        "{text} {hint}"
    );
    let shard = folder.path().join("model.ckpt.data-00000-of-00001");
    fs::copy(golden("v2_slim.data-00000-of-00001"), &shard).unwrap();
    let (text, hint) = said(&shard);
    assert!(text.contains("without its index"), "{text}");
    assert!(hint.contains("model.ckpt.index`"), "{hint}");
    let escape = folder.path().join("checkpoint");
    fs::write(&escape, "model_checkpoint_path: \"\u{1b}[2J\"\n").unwrap();
    let error = Checkpoint::read(&escape).unwrap_err().to_string();
    assert!(
        !error.contains('\u{1b}'),
        "no control characters of the file's"
    );
}
