//! Tensors in a file beside the model: written together, read back as one model, and refused wherever a path, a link or a
//! number leads out of what belongs to the model.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use incept_exporters::net::{Net, NetOptions};
use incept_exporters::onnx::proto::{EXTERNAL, ModelProto, StringStringEntryProto, TensorProto};
use incept_exporters::onnx::{
    self, BatchNorm, Destination, ExportError, ExportOptions, LoadError, Model,
};
use incept_exporters::weights::Weights;
use incept_exporters::zoo;
use prost::Message;

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

/// Writes a model with its data at `data`, from the folder of the model.
fn export(folder: &Path, data: &str, options: &ExportOptions) -> Result<PathBuf, ExportError> {
    let net = small("inception_resnet_v1");
    let destination = Destination {
        model: folder.join("model.onnx"),
        data: Some(folder.join(data)),
        ..Destination::default()
    };
    onnx::export(&net, &Weights::randomised(&net, 0), options, &destination)?;
    Ok(destination.model)
}

fn decode(path: &Path) -> ModelProto {
    ModelProto::decode(fs::read(path).unwrap().as_slice()).unwrap()
}

fn entry<'a>(tensor: &'a TensorProto, key: &str) -> &'a str {
    let mut entries = tensor.external_data.iter();
    &entries.find(|entry| entry.key == key).unwrap().value
}

fn entries(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn model_and_data_hold_what_one_file_would() {
    for options in [
        ExportOptions::default(),
        ExportOptions {
            batch_norm: BatchNorm::Kept,
            ..ExportOptions::default()
        },
    ] {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("below")).unwrap();
        for data in ["model.onnx.data", "below/tensors.bin"] {
            let path = export(folder.path(), data, &options).unwrap();
            let data = folder.path().join(data);
            let contents = fs::read(&data).unwrap();
            let net = small("inception_resnet_v1");
            let whole = onnx::to_bytes(&net, &Weights::randomised(&net, 0), &options).unwrap();
            let whole = ModelProto::decode(whole.as_slice()).unwrap();

            // By hand, from the two files.
            let model = decode(&path);
            let (apart, together) = (model.graph.clone().unwrap(), whole.graph.clone().unwrap());
            let mut end = 0;
            let mut outside = 0;
            assert_eq!(apart.initializer.len(), together.initializer.len());
            for (apart, together) in apart.initializer.iter().zip(&together.initializer) {
                let name = &together.name;
                assert_eq!(&apart.name, name);
                if apart.data_location != EXTERNAL {
                    assert_eq!(apart, together);
                    assert!(apart.raw_data.len() < 1024, "{name}");
                    continue;
                }
                outside += 1;
                assert!(apart.raw_data.is_empty(), "{name}");
                let number = |key| entry(apart, key).parse::<usize>().unwrap();
                let (offset, length) = (number("offset"), number("length"));
                assert_eq!(offset % 4096, 0, "{name}");
                assert!(offset >= end, "{name}");
                end = offset + length;
                assert_eq!(contents[offset..end], together.raw_data[..], "{name}");
            }
            assert!(outside > 50, "{outside}");
            assert_eq!(end, contents.len());
            // The model is small without its tensors.
            assert!(fs::metadata(&path).unwrap().len() < contents.len() as u64 / 4);

            // By the reader: nothing but the tensors' place differs.
            let loaded = Model::load(&path).unwrap();
            assert_eq!(loaded.data_files, [data.canonicalize().unwrap()]);
            assert!(ModelProto::decode(loaded.bytes.clone()).unwrap() == whole);
            let facts = onnx::ModelFacts::read(&loaded.bytes).unwrap();
            assert_eq!(facts.network.unwrap().build().unwrap(), net);
        }
    }
}

#[test]
fn the_same_arguments_give_the_same_files() {
    let folder = tempfile::tempdir().unwrap();
    let files = || {
        let path = export(folder.path(), "d", &ExportOptions::default()).unwrap();
        (
            fs::read(path).unwrap(),
            fs::read(folder.path().join("d")).unwrap(),
        )
    };
    assert!(files() == files());
}

#[test]
fn a_model_without_external_data_is_mapped_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.onnx");
    let net = small("inception_v4");
    onnx::write(
        &net,
        &Weights::initial(&net, 0),
        &ExportOptions::default(),
        &path,
    )
    .unwrap();
    let loaded = Model::load(&path).unwrap();
    assert!(loaded.bytes == fs::read(&path).unwrap());
    assert!(loaded.data_files.is_empty());
}

#[test]
fn a_data_file_elsewhere_is_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let inside = folder.path().join("inside");
    fs::create_dir(&inside).unwrap();
    for data in ["../beside.data", "model.onnx", "../inside/../beside.data"] {
        let error = export(&inside, data, &ExportOptions::default()).unwrap_err();
        assert!(matches!(error, ExportError::DataFile { .. }), "{error}");
        assert!(error.to_string().contains("expected"), "{error}");
    }
    // A link that leads elsewhere would be followed when written, and refused when read.
    let elsewhere = folder.path().join("elsewhere");
    fs::write(&elsewhere, b"untouched").unwrap();
    std::os::unix::fs::symlink(&elsewhere, inside.join("link.data")).unwrap();
    let error = export(&inside, "link.data", &ExportOptions::default()).unwrap_err();
    assert!(matches!(error, ExportError::DataFile { .. }), "{error}");
    assert_eq!(fs::read(&elsewhere).unwrap(), b"untouched");
    let error = export(&inside, "absent/x.data", &ExportOptions::default()).unwrap_err();
    assert!(error.to_string().contains("absent/x.data"), "{error}");
    assert_eq!(entries(&inside), ["link.data"]);
}

#[test]
fn where_one_file_fails_neither_is_left() {
    let folder = tempfile::tempdir().unwrap();
    // The model's place is taken by a folder.
    fs::create_dir(folder.path().join("model.onnx")).unwrap();
    fs::write(folder.path().join("d"), b"older").unwrap();
    let error = export(folder.path(), "d", &ExportOptions::default()).unwrap_err();
    assert!(error.to_string().contains("model.onnx"), "{error}");
    assert_eq!(entries(folder.path()), ["d", "model.onnx"]);
    assert_eq!(fs::read(folder.path().join("d")).unwrap(), b"older");
    // And the data's.
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("d")).unwrap();
    let error = export(folder.path(), "d", &ExportOptions::default()).unwrap_err();
    assert!(error.to_string().contains("/d`"), "{error}");
    assert_eq!(entries(folder.path()), ["d"]);
}

/// Changes the model's first external tensor, and loads it; the error names tensor, file and byte.
fn refused(path: &Path, change: &dyn Fn(&mut TensorProto), parts: &[&str]) {
    let mut model = decode(path);
    let graph = model.graph.as_mut().unwrap();
    let tensors = &mut graph.initializer;
    let tensor = tensors
        .iter_mut()
        .find(|t| t.data_location == EXTERNAL)
        .unwrap();
    let name = tensor.name.clone();
    change(tensor);
    let faulty = path.with_file_name("faulty.onnx");
    fs::write(&faulty, model.encode_to_vec()).unwrap();
    let error = Model::load(&faulty).expect_err(parts[0]);
    assert!(matches!(error, LoadError::External { .. }), "{error}");
    let text = error.to_string();
    for part in [&name, "faulty.onnx", "at byte"].iter().chain(parts) {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
    assert!(error.hint().is_some());
}

fn set(tensor: &mut TensorProto, key: &str, value: &str) {
    tensor.external_data.retain(|entry| entry.key != key);
    tensor.external_data.push(StringStringEntryProto {
        key: key.into(),
        value: value.into(),
    });
}

#[test]
fn references_that_lead_out_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let inside = folder.path().join("inside");
    fs::create_dir_all(inside.join("below")).unwrap();
    let path = export(&inside, "d", &ExportOptions::default()).unwrap();
    let length = fs::metadata(inside.join("d")).unwrap().len();
    let secret = folder.path().join("secret");
    fs::copy(inside.join("d"), &secret).unwrap();
    let absolute = secret.to_str().unwrap();
    let link = |name: &str, to: &Path| std::os::unix::fs::symlink(to, inside.join(name)).unwrap();
    link("out", &secret);
    link("folder_out", folder.path());
    link("loop", &inside.join("loop"));
    link("in", Path::new("d"));
    for (location, reason) in [
        (absolute, "expected a path from the model's folder"),
        ("../secret", "without `..`"),
        ("below/../../secret", "without `..`"),
        ("below/../d", "without `..`"),
        ("./d", "expected a path"),
        ("below\\..\\d", "expected a path"),
        ("", "expected a path"),
        ("out", "leads out of the model's folder"),
        ("folder_out/secret", "leads out"),
        ("loop", "cannot be read"),
        ("absent", "cannot be read"),
        ("below", "expected a regular file"),
    ] {
        refused(
            &path,
            &|tensor| set(tensor, "location", location),
            &[location, reason],
        );
    }
    // A pipe would block whoever opens it.
    let made = std::process::Command::new("mkfifo")
        .arg(inside.join("pipe"))
        .status();
    assert!(made.unwrap().success());
    refused(
        &path,
        &|tensor| set(tensor, "location", "pipe"),
        &["regular file"],
    );
    for (key, value, reason) in [
        ("offset", length.to_string(), "found a file of"),
        ("offset", u64::MAX.to_string(), "found a file of"),
        (
            "offset",
            "-1".into(),
            "offset: expected a number, found `-1`",
        ),
        ("offset", "0x10".into(), "expected a number"),
        ("length", "12".into(), "length: expected"),
        ("length", u64::MAX.to_string(), "length: expected"),
        ("length", "99999999999999999999".into(), "expected a number"),
        ("offset", "4100".into(), "overlaps with"),
    ] {
        refused(&path, &|tensor| set(tensor, key, &value), &[reason]);
    }
    // Shapes decide how much is read: sizes that overflow, are negative, or of no fixed size.
    refused(
        &path,
        &|tensor| tensor.dims = vec![i64::MAX, i64::MAX],
        &["shape"],
    );
    refused(&path, &|tensor| tensor.dims = vec![-1, -4], &["shape"]);
    refused(&path, &|tensor| tensor.data_type = 8, &["string"]);
    refused(&path, &|tensor| tensor.data_type = 99, &["unknown type 99"]);

    // A link that stays inside is as good as the file; no offset is the first byte; no length is what the shape needs.
    let mut model = decode(&path);
    let tensors = &mut model.graph.as_mut().unwrap().initializer;
    for tensor in tensors.iter_mut().filter(|t| t.data_location == EXTERNAL) {
        set(tensor, "location", "in");
        tensor.external_data.retain(|entry| entry.key != "length");
    }
    let first = tensors
        .iter_mut()
        .find(|t| t.data_location == EXTERNAL)
        .unwrap();
    assert_eq!(entry(first, "offset"), "0");
    first.external_data.retain(|entry| entry.key != "offset");
    let fine = inside.join("fine.onnx");
    fs::write(&fine, model.encode_to_vec()).unwrap();
    // Encoded again, the fields stand in another order.
    let [expected, found] =
        [&path, &fine].map(|path| ModelProto::decode(Model::load(path).unwrap().bytes).unwrap());
    assert!(expected == found);
}

/// Many tensors at one place need far more memory than there are bytes in the files.
#[test]
fn tensors_that_would_fill_the_memory_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bomb.onnx");
    fs::write(folder.path().join("d"), vec![0; 4 << 20]).unwrap();
    let tensor = |number: usize| {
        let mut tensor = TensorProto {
            dims: vec![1 << 20],
            data_type: 1,
            name: format!("t{number}"),
            data_location: EXTERNAL,
            ..TensorProto::default()
        };
        set(&mut tensor, "location", "d");
        tensor
    };
    let mut model = ModelProto::default();
    model.graph.get_or_insert_default().initializer = (0..600).map(tensor).collect();
    fs::write(&path, model.encode_to_vec()).unwrap();
    let error = Model::load(&path).unwrap_err();
    assert!(
        matches!(error, LoadError::TooLarge { found, .. } if found > 600 << 22),
        "{error}"
    );
    // The same bytes twice are fine.
    model.graph.as_mut().unwrap().initializer.truncate(2);
    fs::write(&path, model.encode_to_vec()).unwrap();
    assert_eq!(Model::load(&path).unwrap().data_files.len(), 1);
}

#[test]
fn what_is_cut_off_is_an_error_wherever_it_is_cut() {
    let folder = tempfile::tempdir().unwrap();
    let path = export(folder.path(), "d", &ExportOptions::default()).unwrap();
    let model = fs::read(&path).unwrap();
    let data = fs::read(folder.path().join("d")).unwrap();
    let cut = folder.path().join("cut.onnx");
    for length in (0..model.len()).step_by(101) {
        fs::write(&cut, &model[..length]).unwrap();
        // At the border of a field of the model, what is left is a message, but no model.
        if let Ok(loaded) = Model::load(&cut) {
            onnx::ModelFacts::read(&loaded.bytes).expect_err(&format!("cut to {length}"));
        }
    }
    for length in [0, 1, data.len() / 2, data.len() - 1] {
        fs::write(folder.path().join("d"), &data[..length]).unwrap();
        let text = Model::load(&path).unwrap_err().to_string();
        assert!(
            text.contains("model.onnx") && text.contains(&format!("found a file of {length}")),
            "{text}"
        );
    }
    fs::remove_file(folder.path().join("d")).unwrap();
    assert!(
        Model::load(&path)
            .unwrap_err()
            .to_string()
            .contains("cannot be read")
    );
    let text = Model::load(&folder.path().join("absent"))
        .unwrap_err()
        .to_string();
    assert!(text.contains("absent"), "{text}");
}
