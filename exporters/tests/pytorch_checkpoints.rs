//! PyTorch's checkpoints against what is in them: golden/checkpoints/pytorch, which scripts/golden/checkpoints_pytorch.py
//! writes with PyTorch and, for the expected values, with the safetensors package.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use incept_exporters::weights::checkpoint::Malformed;
use incept_exporters::weights::{Checkpoint, Format, WeightsError};
use safetensors::SafeTensors;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../golden/checkpoints/pytorch")
}

fn golden(name: &str) -> Bytes {
    fs::read(folder().join(format!("{name}.pth")))
        .unwrap()
        .into()
}

fn parse(bytes: impl Into<Bytes>) -> Result<Checkpoint, WeightsError> {
    Checkpoint::parse(bytes.into(), Path::new("file.pth"))
}

fn malformed(bytes: impl Into<Bytes>) -> (Malformed, WeightsError) {
    match parse(bytes).unwrap_err() {
        error @ WeightsError::Malformed { .. } => {
            let WeightsError::Malformed { reason, format, .. } = &error else {
                unreachable!()
            };
            assert_eq!(*format, Format::PyTorch, "{error}");
            (reason.clone(), error)
        }
        other => panic!("{other}"),
    }
}

/// The golden files that are to be read: those with expected values beside them.
fn readable() -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder())
        .unwrap()
        .filter_map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_stem()?.to_str()?.to_string();
            (path.extension()? == "safetensors").then_some(name)
        })
        .collect();
    names.sort();
    assert!(names.len() > 20, "found {names:?}");
    names
}

/// Names, types, shapes and values of a checkpoint that differ from the expected ones.
fn differences(name: &str, read: &Checkpoint) -> Vec<String> {
    let expected = fs::read(folder().join(format!("{name}.safetensors"))).unwrap();
    let expected = SafeTensors::deserialize(&expected).unwrap();
    let text = fs::read_to_string(folder().join("expected.json")).unwrap();
    let types: serde_json::Value = serde_json::from_str(&text).unwrap();
    let types = &types["types"][name];
    let mut differences = vec![];
    let mut names: Vec<&str> = expected.names();
    names.sort_unstable();
    let found: Vec<&str> = read.tensors.keys().map(String::as_str).collect();
    if names != found {
        differences.push(format!("expected {names:?}, found {found:?}"));
    }
    for (key, tensor) in &read.tensors {
        let Ok(view) = expected.tensor(key) else {
            continue;
        };
        if types[key] != tensor.element_type().to_string() {
            let found = tensor.element_type();
            differences.push(format!("{key}: expected {}, found {found}", types[key]));
        }
        if view.shape() != tensor.shape() {
            let (expected, found) = (view.shape(), tensor.shape());
            differences.push(format!("{key}: expected {expected:?}, found {found:?}"));
        }
        // To the bit: a float16 or an integer becomes float32 in one way only, a float64 is rounded to nearest.
        if view.data() != tensor.bytes().as_ref() {
            differences.push(format!("{key}: the values differ"));
        }
    }
    differences
}

#[test]
fn every_golden_file_is_read_to_the_bit() {
    for name in readable() {
        let read = parse(golden(&name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(read.format, Format::PyTorch);
        assert_eq!(differences(&name, &read), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn the_comparison_sees_a_wrong_name_type_shape_and_value() {
    let of = |name: &str| parse(golden(name)).unwrap();
    let mut read = of("views");
    let scalar = read.tensors["scalar"].clone();
    read.tensors.insert("scalar_of_another".into(), scalar);
    let whole = read.tensors.remove("whole").unwrap();
    let turned = whole.permuted(&[1, 0]).unwrap();
    read.tensors.insert("same".into(), turned);
    let text = differences("views", &read).join("\n");
    for part in [
        "expected [",
        "same: expected [6, 8], found [8, 6]",
        "scalar_of_another: the values",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let mut read = of("types");
    let wide = read.tensors["float32"].clone();
    read.tensors.insert("float64".into(), wide);
    let text = differences("types", &read).join("\n");
    assert!(
        text.contains("float64: expected \"float64\", found float32"),
        "{text}"
    );
}

#[test]
fn stored_numbers_are_views_of_the_file() {
    for name in ["views", "views_legacy"] {
        let bytes = golden(name);
        let read = parse(bytes.clone()).unwrap();
        let values = read.tensors["whole"].bytes();
        let (start, end) = (
            bytes.as_ptr() as usize,
            bytes.as_ptr() as usize + bytes.len(),
        );
        let place = values.as_ptr() as usize;
        assert!(
            start < place && place < end,
            "{name}: the numbers were copied"
        );
        assert!(matches!(values, std::borrow::Cow::Borrowed(_)), "{name}");
    }
}

#[test]
fn notes_say_what_was_done_and_left_out() {
    let cases: BTreeMap<&str, &[&str]> = BTreeMap::from([
        (
            "training",
            &[
                "read the dictionary `state_dict`",
                "left out: `epoch`, `arch`, `optimizer`, `scheduler`, `args`",
                "`args`: calls `argparse.Namespace`, not executed",
                "`best`: calls `numpy._core.multiarray.scalar`, not executed",
            ][..],
        ),
        (
            "protocol_1",
            &["`args`: calls `argparse.Namespace`, not executed"],
        ),
        (
            "complex_beside_legacy",
            &["read the dictionary `model`\nleft out: `spectrum`"],
        ),
        (
            "module_and_ema",
            &[
                "read the dictionary `model`",
                "`model_ema` holds tensors as well (6), which were not read",
                "took `module.` off every name",
            ],
        ),
        ("ema_only", &["read the dictionary `ema.module`"]),
        ("compiled", &["took `_orig_mod.module.` off every name"]),
        ("unusual_key", &["read the dictionary `our_net.parts`"]),
        (
            "several",
            &[
                "2 dictionaries hold tensors, and all were read, their own names first: `first`, `second`",
            ],
        ),
        ("without_checksums", &["without checksums"]),
        (
            "evil_beside",
            &["`evil.0`: calls `posix.system`, not executed (2 such calls)"],
        ),
        (
            "evil_within",
            &[
                "left out: `evil`",
                "`evil`: calls `posix.system`, not executed",
            ],
        ),
        (
            "evil_beside_legacy",
            &["`evil`: calls `posix.system`, not executed"],
        ),
    ]);
    for (name, parts) in cases {
        let notes = parse(golden(name)).unwrap().notes.join("\n");
        for part in parts {
            assert!(
                notes.contains(part),
                "{name}: expected {part}, found\n{notes}"
            );
        }
    }
    for name in ["types", "views", "parameters", "prefix_of_some"] {
        let notes = parse(golden(name)).unwrap().notes;
        assert_eq!(notes, Vec::<String>::new(), "{name}");
    }
}

#[test]
fn what_cannot_be_read_is_refused_with_name_and_hint() {
    let save_state = "save `model.state_dict()` instead";
    let cases = [
        (
            "refused_evil",
            None,
            "an object made by `posix.system`, which is not executed",
            save_state,
        ),
        (
            "refused_module",
            None,
            "an object made by `__main__.Net`",
            save_state,
        ),
        (
            "refused_module_legacy",
            None,
            "an object made by `__main__.Net`",
            save_state,
        ),
        (
            "refused_module_inside",
            None,
            "`model`: calls `__main__.Net`",
            save_state,
        ),
        (
            "refused_tensor",
            None,
            "one tensor without a name",
            "state_dict()",
        ),
        (
            "refused_no_tensors",
            None,
            "a dictionary of 2 without",
            "state_dict()",
        ),
        (
            "refused_complex",
            Some("bad"),
            "`torch.ComplexFloatStorage`",
            "convert the tensor",
        ),
        (
            "refused_complex_legacy",
            Some("bad"),
            "`torch.ComplexFloatStorage`",
            "convert the tensor",
        ),
        (
            "refused_negated",
            Some("bad"),
            "marked `neg`",
            "resolve_neg()",
        ),
        (
            "refused_sparse",
            Some("bad"),
            "`torch._utils._rebuild_sparse_tensor`",
            "plain",
        ),
        (
            "refused_quantised",
            Some("bad"),
            "`torch._utils._rebuild_qtensor`",
            "plain",
        ),
        (
            "refused_meta",
            Some("bad"),
            "`torch._utils._rebuild_meta_tensor_no_storage`",
            "plain",
        ),
        (
            "refused_float8",
            Some("bad"),
            "`torch.float8_e4m3fn`",
            "convert the tensor",
        ),
        (
            "refused_uint16",
            Some("bad"),
            "`torch.uint16`",
            "convert the tensor",
        ),
        (
            "refused_torchscript",
            None,
            "found a TorchScript program",
            "torch.jit.load",
        ),
        (
            "refused_pickle",
            None,
            "found a Python pickle of another program",
            "torch.save",
        ),
    ];
    for (name, tensor, reason, hint) in cases {
        let (found, error) = malformed(golden(name));
        assert!(found.reason.contains(reason), "{name}: {found}");
        assert_eq!(found.tensor.as_deref(), tensor, "{name}: {found}");
        assert_eq!(found.offset.is_some(), tensor.is_some(), "{name}: {found}");
        assert!(
            error.hint().unwrap().contains(hint),
            "{name}: {:?}",
            error.hint()
        );
    }
}

/// The records of a golden archive, to be zipped again.
fn records(name: &str) -> Vec<(String, Vec<u8>)> {
    let bytes = golden(name);
    let archive = rawzip::ZipArchive::from_slice(&bytes).unwrap();
    let record = |entry: rawzip::ZipFileHeaderRecord<'_>| {
        let name = String::from_utf8(entry.file_path().as_bytes().to_vec()).unwrap();
        let data = archive.get_entry(entry.wayfinder()).unwrap().data();
        (name, data.to_vec())
    };
    let records = archive.entries().map(|entry| record(entry.unwrap()));
    records.collect()
}

/// A stored archive of these records.
fn zipped(records: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = vec![];
    let mut archive = rawzip::ZipArchiveWriter::new(&mut bytes);
    for (name, content) in records {
        let (mut entry, config) = archive.new_file(name.as_str()).start().unwrap();
        let mut writer = config.wrap(&mut entry);
        std::io::Write::write_all(&mut writer, content).unwrap();
        let (_, descriptor) = writer.finish().unwrap();
        entry.finish(descriptor).unwrap();
    }
    archive.finish().unwrap();
    bytes
}

#[test]
fn archives_that_pytorch_would_not_write_are_refused() {
    let records = records("views");
    let intact = content(&parse(golden("views")).unwrap());
    assert_eq!(content(&parse(zipped(&records)).unwrap()), intact);

    let with = |name: &str, data: &[u8]| {
        let mut changed = records.clone();
        changed.retain(|(other, _)| other != name);
        changed.push((name.into(), data.to_vec()));
        zipped(&changed)
    };
    let twice = |name: &str| {
        let mut changed = records.clone();
        changed.push((name.into(), vec![0; 4]));
        zipped(&changed)
    };
    // The directory lies behind the data: the last place of a text is in it.
    let listed = |name: &str, offset: isize, byte: u8| {
        let mut bytes = zipped(&records);
        let mut places = bytes.windows(name.len()).enumerate();
        let (place, _) = places.rfind(|(_, part)| *part == name.as_bytes()).unwrap();
        bytes[place.checked_add_signed(offset).unwrap()] = byte;
        bytes
    };
    let name = "archive/data/0";
    let cases = [
        (
            twice("archive/data/0"),
            "two records of the archive are called `data/0`",
        ),
        (
            twice("archive/data.pkl"),
            "expected one `data.pkl` in the archive, found 2",
        ),
        (
            twice("other/data.pkl"),
            "expected one `data.pkl` in the archive, found 2",
        ),
        (
            with("archive/byteorder", b"middle"),
            "expected the byte order `little` or `big`, found `middle`",
        ),
        (
            with("archive/version", b"11\n"),
            "expected a version up to 10, found `11`",
        ),
        (
            with("archive/version", b"-3"),
            "expected a version up to 10, found `-3`",
        ),
        (
            with("archive/data/0", &[0; 191]),
            "expected a storage of 192 bytes, found 191",
        ),
        (
            with("archive/data/0", &[0; 193]),
            "expected a storage of 192 bytes, found 193",
        ),
        (
            with("archive/data.pkl", b""),
            "expected 1 more bytes of the pickle, found 0",
        ),
        (listed(name, -46 + 8, 9), "record `data/0`: is encrypted"),
        (
            listed(name, -46 + 10, 93),
            "expected it stored or deflated, found",
        ),
        (
            listed(name, -46 + 16, 1),
            "record `data/0`: expected the CRC-32",
        ),
        (
            listed(name, -46 + 24, 1),
            "record `data/0`: expected 1 bytes, found 192",
        ),
        (listed(name, -46 + 42, 1), "record `data/0`: "),
        (
            listed(name, -46 + 45, 0x7f),
            "record `data/0`: unexpected end of file",
        ),
        (listed(name, 13, b'9'), "has no record `data/0`"),
    ];
    for (bytes, reason) in cases {
        let (found, _) = malformed(bytes);
        assert!(
            found.reason.contains(reason),
            "expected {reason}, found {found}"
        );
    }
    // A record listed under the name of another: the name where it lies is compared.
    let mut bytes = listed(name, 13, b'9');
    let second = b"archive/data/1";
    let (place, _) = bytes
        .windows(14)
        .enumerate()
        .rfind(|(_, part)| part == second)
        .unwrap();
    bytes[place + 13] = b'0';
    let (found, _) = malformed(bytes);
    assert!(
        found
            .reason
            .contains("is called `archive/data/1` where it lies"),
        "{found}"
    );
}

#[test]
fn archives_of_pytorch_are_zip64() {
    // So that the other tests are of that form too.
    let bytes = golden("types");
    assert!(bytes.windows(4).any(|part| part == b"PK\x06\x06"));
}

/// What is in a file, to be compared.
fn content(checkpoint: &Checkpoint) -> Vec<(String, Vec<usize>, Vec<u8>)> {
    let tensors = checkpoint.tensors.iter();
    tensors
        .map(|(name, tensor)| {
            (
                name.clone(),
                tensor.shape().to_vec(),
                tensor.bytes().to_vec(),
            )
        })
        .collect()
}

#[test]
fn a_file_cut_off_anywhere_is_an_error_or_whole() {
    for name in [
        "types",
        "training",
        "training_legacy",
        "deflated",
        "protocol_4",
        "evil_beside",
    ] {
        let whole = golden(name);
        let intact = content(&parse(whole.clone()).unwrap());
        let mut read = 0;
        for length in 0..whole.len() {
            match parse(whole.slice(..length)) {
                Ok(checkpoint) => {
                    assert_eq!(content(&checkpoint), intact, "{name} cut off at {length}");
                    read += 1;
                }
                Err(error) => assert!(error.hint().is_some(), "{error}"),
            }
        }
        assert_eq!(read, 0, "{name}: a part of the file passed for the whole");
    }
}

#[test]
fn a_changed_byte_is_noticed_or_harmless() {
    for name in ["training", "deflated", "training_legacy"] {
        let whole = golden(name);
        let intact = content(&parse(whole.clone()).unwrap());
        let mut unnoticed = 0;
        for place in 0..whole.len() {
            let mut changed = whole.to_vec();
            changed[place] ^= 1 << (place % 8);
            if let Ok(checkpoint) = parse(changed) {
                unnoticed += usize::from(content(&checkpoint) != intact);
            }
        }
        match name {
            // It has no checksums: the numbers and names themselves may change.
            "training_legacy" => assert!(unnoticed > 0),
            _ => assert_eq!(unnoticed, 0, "{name}"),
        }
    }
}
