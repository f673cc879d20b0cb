//! Files of Keras 2, Keras 3 and h5py against what their writers had in memory, and bad files: see
//! `scripts/golden/checkpoints_keras.py`.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde_json::Value;

use crate::weights::checkpoint::{Checkpoint, Format, safetensors};
use crate::weights::{ElementType, WeightsError};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../golden/checkpoints/keras")
        .join(name)
}

/// Reads a file and compares everything with the safetensors file beside it.
fn agrees(file: &str) -> Checkpoint {
    let found = Checkpoint::read(&golden(file)).unwrap();
    assert_eq!(found.format, Format::Hdf5);
    let (name, _) = file.split_once('.').unwrap();
    let bytes = Bytes::from(std::fs::read(golden(&format!("{name}.safetensors"))).unwrap());
    let (expected, _) = safetensors::read(&bytes).unwrap();
    let names = |tensors: &std::collections::BTreeMap<String, _>| {
        tensors.keys().cloned().collect::<Vec<_>>()
    };
    assert_eq!(names(&found.tensors), names(&expected), "{file}");
    for (name, tensor) in &found.tensors {
        let expected = &expected[name];
        assert_eq!(tensor.element_type(), expected.element_type(), "{name}");
        assert_eq!(tensor.shape(), expected.shape(), "{name}");
        assert_eq!(tensor.values(), expected.values(), "{name}");
    }
    let (_, metadata) = ::safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let metadata = metadata.metadata().as_ref().unwrap();
    let metadata: Value = serde_json::from_str(&metadata["expected"]).unwrap();
    assert_eq!(
        Value::from(found.order.clone()),
        metadata["order"],
        "{file}"
    );
    let left_out: Vec<&str> = found
        .notes
        .iter()
        .filter_map(|note| note.strip_prefix("left out `")?.split('`').next())
        .collect();
    assert_eq!(Value::from(left_out), metadata["left_out"], "{file}");
    found
}

#[test]
fn files_of_keras_2_have_their_tensors_and_the_order_of_their_layers() {
    let weights = agrees("keras2_weights.h5");
    assert!(weights.notes.is_empty(), "{:?}", weights.notes);
    let model = agrees("keras2_model.h5");
    assert_eq!(model.notes, ["took `model_weights/` off the names"]);
    // Its lists of names are cut into pieces.
    agrees("keras2_long_names.h5");
    agrees("keras2_archive.keras");
}

#[test]
fn files_of_keras_3_have_their_tensors_under_the_layers_own_names() {
    let weights = agrees("keras3.weights.h5");
    assert_eq!(weights.notes.len(), 1);
    assert!(weights.notes[0].starts_with("named after their layers"));
    agrees("keras3_archive.keras");
    agrees("keras3_model.h5");
    let halves = agrees("keras3_bfloat16.weights.h5");
    let types = halves.tensors.values().map(|tensor| tensor.element_type());
    assert!(types.eq([ElementType::BFloat16; 2]));
}

#[test]
fn numbers_of_every_type_and_packed_in_every_way_are_read() {
    agrees("types.h5");
    agrees("packed.h5");
}

#[test]
fn every_version_of_the_format_is_read() {
    for file in [
        "newest.h5",
        "many_links.h5",
        "user_block.h5",
        "version_108.h5",
        "version_110.h5",
    ] {
        agrees(file);
    }
}

#[test]
fn numbers_stay_in_the_file_where_they_lie_in_one_piece() {
    for file in ["keras2_weights.h5", "keras3_archive.keras"] {
        let bytes = Bytes::from(std::fs::read(golden(file)).unwrap());
        let checkpoint = Checkpoint::parse(bytes.clone(), Path::new(file)).unwrap();
        for (name, tensor) in checkpoint.tensors {
            if tensor.element_type() == ElementType::Float32 {
                let inside = bytes.as_ptr_range().contains(&tensor.bytes().as_ptr());
                assert!(inside, "{name} of {file} was copied");
            }
        }
    }
}

/// What is said of a file that cannot be read.
fn refusal(bytes: impl Into<Bytes>) -> String {
    let error = Checkpoint::parse(bytes.into(), Path::new("bad.h5")).unwrap_err();
    assert!(matches!(&error, WeightsError::Malformed { .. }), "{error}");
    let text = error.to_string();
    text.strip_prefix("`bad.h5` is not a whole HDF5 file: ")
        .unwrap_or(&text)
        .to_string()
}

#[test]
fn links_and_numbers_elsewhere_and_bombs_are_refused_by_name() {
    for (file, expected) in [
        (
            "soft_link_earliest",
            "tensor `again`: is a soft link; only what lies in the file itself is read (at byte 96)",
        ),
        ("soft_link_latest", "tensor `again`: is a soft link"),
        (
            "external_link_earliest",
            "tensor `elsewhere`: is a link into another file",
        ),
        (
            "external_link_latest",
            "tensor `elsewhere`: is a link into another file",
        ),
        (
            "cycle_earliest",
            "tensor `a/b/again`: is a group that is linked twice (at byte ",
        ),
        (
            "cycle_latest",
            "tensor `a/b/again`: is a group that is linked twice (at byte ",
        ),
        (
            "external_data",
            "tensor `kernel`: has its numbers in other files, and those are not read (at byte ",
        ),
        (
            "virtual",
            "tensor `kernel`: unsupported layout class 3 (at byte ",
        ),
        (
            "lzf",
            "tensor `kernel`: is packed with the filter 32000 (lzf); expected deflate, shuffle or fletcher32",
        ),
        (
            "bomb",
            "tensor `kernel`: names and unpacked numbers take more than 256 MiB and 8 times the file",
        ),
        (
            "layer_missing",
            "`layer_names` lists `dense`, and there is no group `dense` with `weight_names`",
        ),
        (
            "weight_missing",
            "tensor `dense/dense/kernel:0`: is listed in `weight_names`, and there is no such dataset",
        ),
    ] {
        let bytes = std::fs::read(golden(&format!("refused/{file}.h5"))).unwrap();
        let found = refusal(bytes);
        assert!(found.starts_with(expected), "{file}: {found}");
    }
}

/// Reads what may be anything: there is an answer, and the numbers can be looked at.
fn survives(bytes: Vec<u8>) -> bool {
    match Checkpoint::parse(Bytes::from(bytes), Path::new("any.h5")) {
        Ok(checkpoint) => {
            for tensor in checkpoint.tensors.values() {
                assert_eq!(tensor.values().len(), tensor.elements());
            }
            true
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            false
        }
    }
}

#[test]
fn a_file_cut_off_at_any_byte_is_an_error() {
    for file in [
        "version_108.h5",
        "version_110.h5",
        "user_block.h5",
        "newest.h5",
    ] {
        let whole = std::fs::read(golden(file)).unwrap();
        assert!(survives(whole.clone()));
        let most = whole.len();
        let read = (0..most)
            .filter(|&length| survives(whole[..length].to_vec()))
            .count();
        // What the library reserved at the end and did not use may be missing.
        assert!(
            read < most / 2,
            "{read} of {most} lengths of {file} were read"
        );
    }
    let archive = std::fs::read(golden("keras2_archive.keras")).unwrap();
    for length in (0..archive.len()).step_by(31) {
        assert!(!survives(archive[..length].to_vec()), "{length} bytes");
    }
}

#[test]
fn any_byte_may_be_wrong() {
    for (file, step) in [
        ("version_110.h5", 1),
        ("version_108.h5", 7),
        ("types.h5", 23),
        ("newest.h5", 11),
        ("keras2_weights.h5", 101),
        ("packed.h5", 151),
        ("keras3_archive.keras", 211),
    ] {
        let whole = std::fs::read(golden(file)).unwrap();
        for at in (0..whole.len()).step_by(step) {
            for byte in [0, 0x7f, 0xff, whole[at] ^ 1, whole[at].wrapping_add(8)] {
                let mut wrong = whole.clone();
                wrong[at] = byte;
                survives(wrong);
            }
        }
    }
}

/// Where some bytes are in others, for the only time.
fn position(bytes: &[u8], part: &[u8]) -> usize {
    let mut places = (0..bytes.len()).filter(|&at| bytes[at..].starts_with(part));
    let place = places.next().unwrap();
    assert_eq!(places.next(), None, "{part:?} is there twice");
    place
}

#[test]
fn numbers_outside_the_file_and_sizes_that_overflow_are_named_with_their_place() {
    let whole = std::fs::read(golden("user_block.h5")).unwrap();
    let tensors = agrees("user_block.h5").tensors;
    let kernel = tensors["kernel"].bytes().into_owned();
    let data = position(&whole, &kernel);
    // Addresses count from the superblock, at byte 1024.
    let address = u64::try_from(data - 1024).unwrap();
    let layout = position(&whole, &[address, 24].map(u64::to_le_bytes).concat());
    let patched = |at: usize, value: u64| {
        let mut bytes = whole.clone();
        bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
        bytes
    };
    let end = whole.len();
    let expected = |at: u64| {
        format!(
            "tensor `kernel`: its 24 bytes reach beyond the end of the file, which is at byte {end} (at byte {at})"
        )
    };
    let last = u64::try_from(end - 1024 - 23).unwrap();
    assert_eq!(refusal(patched(layout, last)), expected(last + 1024));
    assert_eq!(refusal(patched(layout, u64::MAX - 1)), expected(u64::MAX));
    let found = refusal(patched(layout + 8, 23));
    let start = "tensor `kernel`: its shape needs 24 bytes, and it has 23 (at byte ";
    assert!(found.starts_with(start), "{found}");

    // Its dimensions are twice in the file, as those now and those it may grow to.
    let dimensions = [3_u64.to_le_bytes(), 2_u64.to_le_bytes()].concat();
    let mut huge = whole.clone();
    for at in 0..huge.len() {
        if huge[at..].starts_with(&dimensions) {
            huge[at..at + 8].copy_from_slice(&(1_u64 << 62).to_le_bytes());
        }
    }
    let found = refusal(huge);
    let start =
        "tensor `kernel`: shape [4611686018427387904, 2] has more numbers than can be counted";
    assert!(found.starts_with(start), "{found}");
}

#[test]
fn wrong_checksums_are_found() {
    // Of the superblock, the root's header, and the numbers in a chunk.
    let whole = std::fs::read(golden("version_110.h5")).unwrap();
    let mut superblock = whole.clone();
    superblock[20] ^= 1;
    assert!(refusal(superblock).contains("checksum"));
    let mut header = whole.clone();
    let at = position(&whole, b"group");
    header[at] ^= 1;
    assert!(refusal(header).contains("checksum"));

    let whole = std::fs::read(golden("packed.h5")).unwrap();
    let numbers = agrees("packed.h5").tensors["fletcher32/f4"]
        .bytes()
        .into_owned();
    let mut chunk = whole.clone();
    let at = position(&whole, &numbers[..24]);
    chunk[at] ^= 1;
    let found = refusal(chunk);
    assert!(found.starts_with("tensor `fletcher32/f4`: "), "{found}");
    assert!(found.contains("checksum mismatch"), "{found}");

    let mut archive = std::fs::read(golden("keras2_archive.keras")).unwrap();
    let at = position(&archive, b"\x89HDF") + 4096;
    archive[at] ^= 1;
    let found = refusal(archive);
    let start = "record `model.weights.h5` of the zip archive: expected the CRC-32 ";
    assert!(found.starts_with(start), "{found}");
}
