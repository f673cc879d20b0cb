//! `incept weights`, and `export` and `check` of a file in another library's names, as a user meets them.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use incept::exporters::weights::{Tensor, Weights};
use support::{run, small};

/// A file with the names and shapes of a list in `golden/names`, values from the names' own order.
fn foreign(folder: &Path, list: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("golden/names/{list}.txt"));
    let text = fs::read_to_string(path).unwrap();
    let mut tensors = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let [name, dimensions] = line.split(' ').collect::<Vec<_>>()[..] else {
            continue;
        };
        let shape: Vec<usize> = dimensions.split('x').map(|d| d.parse().unwrap()).collect();
        let count: usize = shape.iter().product();
        // Small weights of either sign, variances near one.
        let offset = if name.ends_with("variance") { 1.0 } else { 0.0 };
        let values =
            (0..count).map(|i| offset + ((i * 7919 + name.len()) % 101) as f32 * 1e-3 - 0.05);
        tensors.insert(name.to_string(), Tensor::owned(shape, values.collect()));
    }
    let path = folder.join(format!("{list}.safetensors"));
    Weights::from_tensors(tensors, "a test")
        .write(&path, &BTreeMap::new())
        .unwrap();
    path.to_str().unwrap().into()
}

fn own(folder: &Path, network: &str) -> String {
    let path = folder.join(format!("{network}.safetensors"));
    Weights::randomised(&small(network), 3)
        .write(&path, &BTreeMap::new())
        .unwrap();
    path.to_str().unwrap().into()
}

fn inside(folder: &Path, name: &str) -> (PathBuf, String) {
    let path = folder.join(name);
    let text = path.to_str().unwrap().to_string();
    (path, text)
}

#[test]
fn a_file_of_tf_slim_is_listed_converted_exported_and_checked() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let file = foreign(folder, "tf_slim.inception_v3");

    let said = run(["weights", "list", &file]).code(0);
    for part in [
        "inception_v3 (tensorflow), names of tf_slim: 376 of 376 tensors",
        "1001 classes, with auxiliary head, width 1",
        "InceptionV3/Mixed_5c/Branch_1/Conv_1_0c_5x5/weights",
        "inception_a.1/branch_1/conv_5x5/weight",
        " 0 unknown\n",
    ] {
        assert!(said.stdout.contains(part), "{part}: {}", said.stdout);
    }
    let said = run(["weights", "list", &file, "--json"]).code(0);
    let listing: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(listing["schema"], "incept.weights/1");
    assert_eq!(listing["network"]["classes"], 1001);
    assert_eq!(listing["tensors"][0]["fate"], "becomes");

    let (converted, text) = inside(folder, "converted.safetensors");
    let convert = [
        "weights",
        "convert",
        &file,
        "-o",
        &text,
        "--drop-background",
    ];
    let said = run(convert).code(0);
    for part in [
        "names of tf_slim",
        "1000 of 1001 classes",
        "made: 1: the library leaves it out",
    ] {
        assert!(said.stderr.contains(part), "{part}: {}", said.stderr);
    }
    let once = fs::read(&converted).unwrap();
    run(convert).code(0);
    assert!(
        fs::read(&converted).unwrap() == once,
        "other bytes the second time"
    );

    // The file itself and its conversion give the same model.
    let export = |weights: &str, name: &str, flags: &[&str]| {
        let (path, text) = inside(folder, name);
        let mut arguments = vec![
            "export",
            "--weights",
            weights,
            "-o",
            &text,
            "--image-size",
            "75",
        ];
        arguments.extend(flags);
        let said = run(&arguments).code(0);
        assert!(
            said.stderr.contains("Inception-v3 (tensorflow)"),
            "{}",
            said.stderr
        );
        path
    };
    let direct = export(&file, "direct.onnx", &["--drop-background"]);
    export(&text, "by_way.onnx", &[]);
    // `check` reads the file in the same way.
    let direct = direct.to_str().unwrap();
    let said = run(["check", direct, "--weights", &file, "--batch", "1"]).code(0);
    assert!(!said.stderr.contains("other weights"), "{}", said.stderr);
    let said = run(["check", direct, "--weights", &text, "--batch", "1"]).code(0);
    assert!(!said.stderr.contains("other weights"), "{}", said.stderr);

    let (_, out) = inside(folder, "not.onnx");
    run([
        "export",
        "--weights",
        &file,
        "-o",
        &out,
        "--classes",
        "1000",
    ])
    .could_not_run(&[
        "expected [1000], found [1001]",
        "`InceptionV3/Logits/Conv2d_1c_1x1/biases`",
    ])
    .hint("--drop-background");
    run(["export", "inception_v4", "--weights", &file, "-o", &out])
        .could_not_run(&[
            "`inception_v4`",
            "`inception_v3` (tensorflow) in the names of tf_slim",
        ])
        .hint("leave out NET");
    run(["export", "--weights", &file, "-o", &out, "--names", "timm"])
        .could_not_run(&["in the names of no network known"])
        .hint("incept weights list");
}

#[test]
fn our_own_files_need_no_options_unless_two_variants_fit() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let file = own(folder, "inception_resnet_v1");
    let (_, model) = inside(folder, "model.onnx");
    let said = run([
        "export",
        "--weights",
        &file,
        "-o",
        &model,
        "--image-size",
        "75",
    ])
    .code(0);
    assert!(
        said.stderr
            .contains("names of incept: inception_resnet_v1 (paper)"),
        "{}",
        said.stderr
    );
    let said = run(["weights", "list", &file]).code(0);
    assert!(
        said.stdout
            .contains("10 classes, without auxiliary head, width 0.1"),
        "{}",
        said.stdout
    );

    let file = own(folder, "inception_v3");
    let export = [
        "export",
        "--weights",
        &file,
        "-o",
        &model,
        "--image-size",
        "75",
    ];
    run(export)
        .could_not_run(&[
            "`inception_v3` (tensorflow)",
            "`inception_v3` (torchvision)",
        ])
        .hint("--variant");
    let chosen = export.iter().copied().chain(["--variant", "tensorflow"]);
    run(chosen).code(0);
    // What is converted says which it is.
    let (_, converted) = inside(folder, "converted.safetensors");
    run([
        "weights",
        "convert",
        &file,
        "-o",
        &converted,
        "--variant",
        "tensorflow",
    ])
    .code(0);
    let said = run([
        "export",
        "--weights",
        &converted,
        "-o",
        &model,
        "--image-size",
        "75",
    ])
    .code(0);
    assert!(
        said.stderr.contains("inception_v3 (tensorflow)"),
        "{}",
        said.stderr
    );
}

#[test]
fn a_file_of_no_network_is_listed_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let (path, file) = inside(folder.path(), "other.safetensors");
    let tensors = BTreeMap::from([(
        "layer1.0.conv1.weight".into(),
        Tensor::owned(vec![2, 3], vec![0.0; 6]),
    )]);
    Weights::from_tensors(tensors, "a test")
        .write(&path, &BTreeMap::new())
        .unwrap();
    let said = run(["weights", "list", &file]).code(0);
    for part in [
        "not recognised",
        "layer1.0.conv1.weight",
        "2x3  float32  ?",
        "1 tensors, 6 numbers, 24 bytes",
    ] {
        assert!(said.stdout.contains(part), "{part}: {}", said.stdout);
    }
    let (_, out) = inside(folder.path(), "out.safetensors");
    run(["weights", "convert", &file, "-o", &out])
        .could_not_run(&["has 1 tensors in the names of no network known"])
        .hint("--names");
    run(["export", "-o", &out]).could_not_run(&["NET"]);
}
