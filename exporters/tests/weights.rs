//! Weights files: what is wrong with them is told at once, and nothing in one makes the program stop.

#![allow(clippy::unwrap_used)]

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::path::Path;

use incept_exporters::files::write_whole;
use incept_exporters::net::{Net, NetOptions};
use incept_exporters::weights::{Misshapen, Source, Tensor, Weights, WeightsError};
use incept_exporters::zoo;
use safetensors::tensor::{Dtype, TensorView, View};
use sha2::{Digest, Sha256};

fn small(network: &str) -> Net {
    let options = NetOptions {
        classes: 10,
        width_multiplier: 0.05,
        ..NetOptions::default()
    };
    zoo::find(network, None)
        .unwrap()
        .build(&options.image_size(75))
        .unwrap()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// The weights as owned tensors, to be spoiled.
fn tensors_of(weights: &Weights) -> BTreeMap<String, Tensor> {
    weights
        .iter()
        .map(|(name, tensor)| (name.to_string(), tensor.clone()))
        .collect()
}

/// Entries left in a folder: whatever a failed write leaves would be one more.
fn entries(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn everything_wrong_is_told_at_once() {
    let net = small("inception_resnet_v1");
    let mut tensors = tensors_of(&Weights::initial(&net, 0));
    let gone = "stem.0/conv_3x3/weight";
    tensors.remove(gone).unwrap();
    tensors.remove("logits/bias").unwrap();
    // The one that is gone, misspelt; and one that is like nothing.
    tensors.insert(
        "stem.0/conv_3x3/weigth".into(),
        Tensor::owned(vec![1], vec![0.0]),
    );
    tensors.insert("optimizer".into(), Tensor::owned(vec![0], vec![]));
    let misshapen = "logits/weight";
    let expected_shape = tensors[misshapen].shape().to_vec();
    tensors.insert(misshapen.into(), Tensor::owned(vec![3, 4], vec![0.5; 12]));
    let transposed = "inception_resnet_b.0/branch_1/conv_1x7/weight";
    let (shape, values) = (
        tensors[transposed].shape().to_vec(),
        tensors[transposed].values().to_vec(),
    );
    // 1x7 for 7x1: the same count of numbers.
    let turned = vec![shape[0], shape[1], shape[3], shape[2]];
    tensors.insert(transposed.into(), Tensor::owned(turned.clone(), values));
    for (name, bad) in [
        ("stem.1/conv_3x3/batch_norm/gamma", f32::NAN),
        ("stem.2/conv_3x3/batch_norm/beta", f32::NEG_INFINITY),
    ] {
        let mut values = tensors[name].values().to_vec();
        values[0] = bad;
        let shape = tensors[name].shape().to_vec();
        tensors.insert(name.into(), Tensor::owned(shape, values));
    }
    // The same in memory and through a file.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spoiled.safetensors");
    let in_memory = Weights::from_tensors(tensors, "a test");
    in_memory.write(&path, &BTreeMap::new()).unwrap();
    for weights in [in_memory, Weights::read(&path).unwrap()] {
        let error = weights.check(&net).unwrap_err();
        let text = error.to_string();
        let WeightsError::Mismatch {
            network,
            missing,
            unused,
            misshapen: wrong,
            not_finite,
            ..
        } = &error
        else {
            panic!("{text}");
        };
        assert_eq!(network, "inception_resnet_v1");
        assert_eq!(missing.len(), 2);
        assert_eq!(missing[0].0, "logits/bias");
        assert_eq!(
            missing[1],
            (gone.to_string(), Some("stem.0/conv_3x3/weigth".to_string()))
        );
        assert_eq!(unused[..], ["optimizer", "stem.0/conv_3x3/weigth"]);
        assert_eq!(
            wrong[..],
            [
                Misshapen {
                    name: transposed.into(),
                    expected: shape.clone(),
                    found: turned.clone()
                },
                Misshapen {
                    name: misshapen.into(),
                    expected: expected_shape.clone(),
                    found: vec![3, 4]
                },
            ]
        );
        let bad: Vec<(&str, usize)> = not_finite.iter().map(|(n, c)| (n.as_str(), *c)).collect();
        assert_eq!(
            bad,
            [
                ("stem.1/conv_3x3/batch_norm/gamma", 1),
                ("stem.2/conv_3x3/batch_norm/beta", 1)
            ]
        );
        // And in the text, each with its name and numbers.
        for part in [
            "2 missing:".to_string(),
            "`stem.0/conv_3x3/weight` (is it `stem.0/conv_3x3/weigth`?)".into(),
            "2 unused:".into(),
            "`optimizer`".into(),
            "2 misshapen:".into(),
            format!("`{misshapen}`: expected {expected_shape:?}, found [3, 4]"),
            format!("`{transposed}`: expected {shape:?}, found {turned:?}"),
            "2 not finite:".into(),
            "`stem.1/conv_3x3/batch_norm/gamma`: 1 NaN or infinite values".into(),
        ] {
            assert!(text.contains(&part), "`{part}` is not in:\n{text}");
        }
        assert!(error.hint().unwrap().contains("incept info"));
    }
}

#[test]
fn long_lists_are_cut_and_counted() {
    let net = small("inception_v4");
    let weights = Weights::from_tensors(BTreeMap::new(), "nothing");
    let text = weights.check(&net).unwrap_err().to_string();
    let all = net.parameters().len();
    assert!(text.contains(&format!("{all} missing:")), "{text}");
    assert!(text.contains(&format!("and {} more", all - 10)), "{text}");
    assert!(text.lines().count() < 20, "{text}");
}

#[test]
fn shapes_alone_wrong_point_to_classes_and_width() {
    let net = small("inception_v4");
    let other = zoo::find("inception_v4", None)
        .unwrap()
        .build(&NetOptions {
            classes: 11,
            ..net.options().clone()
        })
        .unwrap();
    let error = Weights::initial(&other, 0).check(&net).unwrap_err();
    let WeightsError::Mismatch { misshapen, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(misshapen.len(), 2, "weight and bias of the classifier");
    assert!(error.hint().unwrap().contains("--classes"));
}

/// Weights of another network have hundreds of foreign names: telling so must not take long.
#[test]
fn weights_of_another_library_are_refused_in_good_time() {
    let net = small("inception_v4");
    let foreign = tensors_of(&Weights::initial(&net, 0))
        .into_iter()
        .map(|(name, tensor)| (format!("module.{}", name.replace('/', ".")), tensor));
    let weights = Weights::from_tensors(foreign.collect(), "another library");
    let started = std::time::Instant::now();
    let text = weights.check(&net).unwrap_err().to_string();
    let seconds = started.elapsed().as_secs_f64();
    assert!(text.contains("missing") && text.contains("unused"));
    // 745 names beside 745: milliseconds; more than a second where every pair is measured.
    assert!(seconds < 1.0, "{seconds:.1} s to say that the names differ");
}

#[test]
fn written_and_read_again_every_bit_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    for network in ["inception_v4", "inception_resnet_v1", "inception_resnet_v2"] {
        let net = small(network);
        let mut weights = Weights::randomised(&net, 9);
        // Values whose bits are easily lost.
        let name = "logits/bias";
        let odd = [
            -0.0,
            f32::MIN_POSITIVE,
            1e-45,
            f32::MAX,
            -f32::MAX,
            1.0 + f32::EPSILON,
        ];
        let mut values = weights.get(name).unwrap().values().to_vec();
        values[..odd.len()].copy_from_slice(&odd);
        weights.insert(name, Tensor::owned(vec![10], values));
        let path = folder.path().join(format!("{network}.safetensors"));
        weights.write(&path, &BTreeMap::new()).unwrap();
        let back = Weights::read(&path).unwrap();
        back.check(&net).unwrap();
        assert_eq!(back.iter().count(), weights.iter().count());
        for ((name, before), (other, after)) in weights.iter().zip(back.iter()) {
            assert_eq!(name, other);
            assert_eq!(before.shape(), after.shape(), "{name}");
            assert_eq!(bits(&before.values()), bits(&after.values()), "{name}");
        }
        assert_eq!(back.sha256(), weights.sha256());
        assert_eq!(*back.source(), Source::Named(path.display().to_string()));
        // The same weights give the same file.
        let again = folder.path().join("again.safetensors");
        back.write(&again, &BTreeMap::new()).unwrap();
        assert!(fs::read(&path).unwrap() == fs::read(&again).unwrap());
    }
}

#[test]
fn metadata_keeps_the_bytes_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    let weights = Weights::randomised(&small("inception_resnet_v1"), 0);
    let metadata: BTreeMap<String, String> = (0..20)
        .map(|number| (format!("key {number}"), format!("value {number}")))
        .collect();
    let files: Vec<Vec<u8>> = (0..4)
        .map(|_| {
            weights.write(&path, &metadata).unwrap();
            fs::read(&path).unwrap()
        })
        .collect();
    assert!(files.windows(2).all(|pair| pair[0] == pair[1]));
    let (_, header) = safetensors::SafeTensors::read_metadata(&files[0]).unwrap();
    let told = header.metadata().as_ref().unwrap();
    assert!(told["incept"].contains("key 7=value 7"), "{told:?}");
    assert_eq!(Weights::read(&path).unwrap().sha256(), weights.sha256());
}

#[test]
fn the_hash_is_that_of_names_shapes_and_values() {
    let tensors = BTreeMap::from([
        ("b".to_string(), Tensor::owned(vec![], vec![2.5])),
        ("a".to_string(), Tensor::owned(vec![1, 2], vec![1.0, -1.0])),
    ]);
    let mut hash = Sha256::new();
    hash.update(b"a\x001x2\0");
    hash.update(Sha256::digest(
        [1.0f32, -1.0].map(f32::to_le_bytes).concat(),
    ));
    hash.update(b"b\0\0");
    hash.update(Sha256::digest(2.5f32.to_le_bytes()));
    let expected: String = hash.finalize().iter().map(|b| format!("{b:02x}")).collect();
    let weights = Weights::from_tensors(tensors, "by hand");
    assert_eq!(weights.sha256(), expected);
    let mut turned = weights.clone();
    turned.insert("a", Tensor::owned(vec![2, 1], vec![1.0, -1.0]));
    assert_ne!(turned.sha256(), expected, "the shape counts");
}

/// A tensor of any element type, for files others write.
struct Raw {
    dtype: Dtype,
    shape: Vec<usize>,
    data: Vec<u8>,
}

impl View for &Raw {
    fn dtype(&self) -> Dtype {
        self.dtype
    }
    fn shape(&self) -> &[usize] {
        &self.shape
    }
    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.data)
    }
    fn data_len(&self) -> usize {
        self.data.len()
    }
}

#[test]
fn narrow_and_wide_floats_become_float32() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("types.safetensors");
    let values = [0.0f64, -0.0, 1.0, -2.5, 0.1, 65_504.0, 1e-7, 3.0e38];
    let raw = |dtype, bytes: Vec<Vec<u8>>| Raw {
        dtype,
        shape: vec![2, 4],
        data: bytes.concat(),
    };
    let narrow: Vec<half::f16> = values.iter().map(|&v| half::f16::from_f64(v)).collect();
    let brain: Vec<half::bf16> = values.iter().map(|&v| half::bf16::from_f64(v)).collect();
    let tensors = [
        (
            "f16",
            raw(
                Dtype::F16,
                narrow.iter().map(|v| v.to_le_bytes().to_vec()).collect(),
            ),
        ),
        (
            "bf16",
            raw(
                Dtype::BF16,
                brain.iter().map(|v| v.to_le_bytes().to_vec()).collect(),
            ),
        ),
        (
            "f64",
            raw(
                Dtype::F64,
                values.iter().map(|v| v.to_le_bytes().to_vec()).collect(),
            ),
        ),
    ];
    let bytes =
        safetensors::serialize(tensors.iter().map(|(name, raw)| (*name, raw)), None).unwrap();
    fs::write(&path, bytes).unwrap();
    let weights = Weights::read(&path).unwrap();
    let found = |name: &str| {
        let tensor = weights.get(name).unwrap();
        assert_eq!(tensor.shape(), [2, 4]);
        bits(&tensor.values())
    };
    // Every float16 and bfloat16 is a float32: these widen without rounding.
    assert_eq!(
        found("f16"),
        narrow
            .iter()
            .map(|v| (v.to_f64() as f32).to_bits())
            .collect::<Vec<_>>()
    );
    assert_eq!(
        found("bf16"),
        brain
            .iter()
            .map(|v| (u32::from(v.to_bits())) << 16)
            .collect::<Vec<_>>()
    );
    assert_eq!(
        found("f64"),
        values
            .iter()
            .map(|&v| (v as f32).to_bits())
            .collect::<Vec<_>>()
    );
    assert!(
        found("f16")[7] == f32::INFINITY.to_bits(),
        "3e38 is no float16"
    );
}

#[test]
fn integers_are_refused_with_the_tensors_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("counter.safetensors");
    let data = 7i64.to_le_bytes();
    let view = TensorView::new(Dtype::I64, vec![], &data).unwrap();
    fs::write(
        &path,
        safetensors::serialize([("bn/num_batches_tracked", view)], None).unwrap(),
    )
    .unwrap();
    let net = small("inception_v4");
    let text = Weights::read(&path)
        .unwrap()
        .check(&net)
        .unwrap_err()
        .to_string();
    assert!(text.contains("`bn/num_batches_tracked`: int64"), "{text}");
}

/// A small file whose float32 data stands at an odd offset, as some writers leave it.
#[test]
fn unaligned_values_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("odd.safetensors");
    for padding in 0..8 {
        let header = format!(
            r#"{{"a":{{"dtype":"F32","shape":[3],"data_offsets":[0,12]}}{}}}"#,
            " ".repeat(padding)
        );
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.bytes());
        bytes.extend([1.5f32, -2.0, 3e-9].map(f32::to_le_bytes).concat());
        fs::write(&path, bytes).unwrap();
        let weights = Weights::read(&path).unwrap();
        assert_eq!(
            weights.get("a").unwrap().values()[..],
            [1.5, -2.0, 3e-9],
            "padding {padding}"
        );
    }
}

/// A file of two tensors, and where its header ends.
fn two_tensors() -> (Vec<u8>, usize) {
    let tensors = BTreeMap::from([
        ("first".to_string(), Tensor::owned(vec![2, 3], vec![1.0; 6])),
        ("second".to_string(), Tensor::owned(vec![5], vec![2.0; 5])),
    ]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("two.safetensors");
    let metadata = BTreeMap::from([("made by".to_string(), "a test".to_string())]);
    Weights::from_tensors(tensors, "two")
        .write(&path, &metadata)
        .unwrap();
    let bytes = fs::read(path).unwrap();
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    (bytes, 8 + header)
}

/// Reading these bytes as a file is an error that names the file, with a hint.
fn refused(path: &Path, bytes: &[u8], what: &str) -> String {
    fs::write(path, bytes).unwrap();
    let error = Weights::read(path).expect_err(what);
    let text = error.to_string();
    assert!(
        text.contains(&path.display().to_string()),
        "{what}: no path in: {text}"
    );
    assert!(error.hint().is_some(), "{what}: no hint: {text}");
    text
}

#[test]
fn a_file_cut_anywhere_is_an_error_with_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut.safetensors");
    let (bytes, header) = two_tensors();
    assert!(header > 100 && bytes.len() == header + 44);
    for length in 0..bytes.len() {
        refused(&path, &bytes[..length], &format!("cut to {length} bytes"));
    }
    fs::write(&path, &bytes).unwrap();
    assert_eq!(Weights::read(&path).unwrap().iter().count(), 2);
    // More than the header tells of is as wrong as less.
    let mut longer = bytes;
    longer.push(0);
    refused(&path, &longer, "one byte more");
}

#[test]
fn every_changed_byte_of_a_header_is_read_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("changed.safetensors");
    let (bytes, header) = two_tensors();
    let mut outcomes = [0, 0];
    for at in 0..header {
        for value in [0, b'9', b'"', b'}', 0x80, 0xff] {
            let mut changed = bytes.clone();
            changed[at] = value;
            fs::write(&path, &changed).unwrap();
            match Weights::read(&path) {
                // What is read can be used without a panic.
                Ok(weights) => {
                    outcomes[0] += 1;
                    weights.sha256();
                    for (_, tensor) in weights.iter() {
                        let elements: usize = tensor.shape().iter().product();
                        assert_eq!(tensor.values().len(), elements, "byte {at} = {value}");
                    }
                }
                Err(error) => {
                    outcomes[1] += 1;
                    assert!(error.to_string().contains("changed.safetensors"));
                }
            }
        }
    }
    assert!(outcomes[0] > 50 && outcomes[1] > 50, "{outcomes:?}");
}

#[test]
fn a_header_that_lies_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lies.safetensors");
    let file = |header: &str, data: usize| {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.bytes());
        bytes.extend(vec![0; data]);
        bytes
    };
    for length in [u64::MAX, u64::MAX / 2, 1 << 40, 100_000_001, 1_000_000] {
        let mut bytes = length.to_le_bytes().to_vec();
        bytes.extend(b"{}");
        refused(&path, &bytes, &format!("a header of {length} bytes"));
    }
    for (what, header, data) in [
        ("no JSON", "not json at all", 0),
        ("no object", "[1, 2]", 0),
        (
            "a gap",
            r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#,
            8,
        ),
        (
            "offsets the wrong way",
            r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}"#,
            4,
        ),
        (
            "offsets beyond the end",
            r#"{"a":{"dtype":"F32","shape":[1000],"data_offsets":[0,4000]}}"#,
            4,
        ),
        (
            "a shape of other size",
            r#"{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,4]}}"#,
            4,
        ),
        (
            "a shape beyond all numbers",
            r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296,4],"data_offsets":[0,4]}}"#,
            4,
        ),
        (
            "an unknown element type",
            r#"{"a":{"dtype":"F31","shape":[1],"data_offsets":[0,4]}}"#,
            4,
        ),
        (
            "a negative shape",
            r#"{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}"#,
            4,
        ),
        (
            "tensors that overlap",
            r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}"#,
            12,
        ),
    ] {
        refused(&path, &file(header, data), what);
    }
    for (what, bytes) in [
        ("an empty file", &b""[..]),
        (
            "a ZIP, as PyTorch writes",
            b"PK\x03\x04\x00\x00\x08\x08\x00\x00archive/data.pkl",
        ),
        ("an ONNX file", b"\x08\x08\x12\x06incept\x1a\x050.1.0"),
        ("text", b"these are no weights"),
    ] {
        refused(&path, bytes, what);
    }
}

#[test]
fn what_cannot_be_opened_says_so_with_its_path() {
    let error = Weights::read(Path::new("/nonexistent/w.safetensors")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot read `/nonexistent/w.safetensors`"
    );
    assert!(error.hint().unwrap().contains("exists"));
    let folder = tempfile::tempdir().unwrap();
    let error = Weights::read(folder.path()).unwrap_err();
    let path = folder.path().display().to_string();
    assert!(error.to_string().contains(&path), "a folder: {error}");
}

#[test]
fn weights_are_written_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let weights = Weights::randomised(&small("inception_resnet_v1"), 0);
    let none = BTreeMap::new();
    let path = folder.path().join("w.safetensors");
    weights.write(&path, &none).unwrap();
    let whole = fs::read(&path).unwrap();
    assert_eq!(entries(folder.path()), ["w.safetensors"]);

    // Onto a folder, into a folder that is a file, into none.
    fs::create_dir(folder.path().join("taken")).unwrap();
    for target in ["taken", "w.safetensors/under", "none/w.safetensors"] {
        let target = folder.path().join(target);
        let text = weights.write(&target, &none).unwrap_err().to_string();
        assert!(text.contains(&target.display().to_string()), "{text}");
    }
    assert_eq!(entries(folder.path()), ["taken", "w.safetensors"]);
    assert!(fs::read(&path).unwrap() == whole);

    // A write that fails in the middle leaves the older file as it was.
    let error = write_whole(&path, |writer| {
        io::Write::write_all(writer, &whole[..whole.len() / 2])?;
        Err(io::Error::from(io::ErrorKind::StorageFull))
    });
    assert!(error.unwrap_err().hint().unwrap().contains("space"));
    assert!(fs::read(&path).unwrap() == whole);
    assert_eq!(entries(folder.path()), ["taken", "w.safetensors"]);

    // Reading a file and writing it to its own place: the mapping still shows the old one.
    let read = Weights::read(&path).unwrap();
    read.write(&path, &none).unwrap();
    assert!(fs::read(&path).unwrap() == whole);
    assert_eq!(read.sha256(), weights.sha256());
}

#[test]
fn a_seed_gives_the_same_weights_on_any_number_of_threads() {
    let net = small("inception_v4");
    let hash = Weights::initial(&net, 3).sha256();
    for threads in [1, 2, 5] {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        assert_eq!(pool.install(|| Weights::initial(&net, 3)).sha256(), hash);
    }
    assert_ne!(Weights::initial(&net, 4).sha256(), hash);
    // The image's size plays no part, the name does: the same tensor has the same values in every network.
    let (v1, v4) = (small("inception_resnet_v1"), small("inception_v4"));
    let first = |net: &Net| {
        let weights = Weights::initial(net, 3);
        bits(&weights.get("stem.0/conv_3x3/weight").unwrap().values())
    };
    assert_eq!(first(&v1), first(&v4));
    let distinct: HashMap<String, usize> =
        ["inception_v4", "inception_resnet_v1", "inception_resnet_v2"]
            .into_iter()
            .map(|network| (Weights::initial(&small(network), 3).sha256(), 1))
            .collect();
    assert_eq!(distinct.len(), 3);
}
