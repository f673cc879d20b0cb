//! Bad input, missing libraries, full disks: a clear error with the fix, exit code 2, no panic, no partial file.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use incept::exporters::weights::{Tensor, Weights};
use support::{Said, entries, export_small, incept, run, small};

/// `incept export inception_v4 -o FOLDER/model.onnx` with further arguments, and nothing left behind.
#[track_caller]
fn export_fails(arguments: &[&str], parts: &[&str]) -> Said {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    let mut command = incept();
    command.args(["export"]).args(arguments).arg("-o").arg(path);
    let said = Said::from(command.output().unwrap()).could_not_run(parts);
    assert_eq!(entries(folder.path()), [""; 0], "something was left");
    said
}

#[test]
fn an_unknown_network() {
    for command in ["info", "export"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.onnx");
        let mut program = incept();
        program.args([command, "inceptoin_v4"]);
        if command == "export" {
            program.arg("-o").arg(&path);
        }
        Said::from(program.output().unwrap())
            .could_not_run(&["`inceptoin_v4`", "inception_v4, inception_resnet_v1"])
            .hint("did you mean `inception_v4`?");
        assert_eq!(entries(folder.path()), [""; 0]);
    }
    run(["info", "vgg"])
        .could_not_run(&["`vgg`", "expected one of"])
        .hint("incept list");
    run(["info", ""]).could_not_run(&["expected one of"]);
    run(["info", "inception_v4", "--variant", "papr"])
        .could_not_run(&["no variant `papr`", "expected paper"])
        .hint("incept list");
}

#[test]
fn a_size_below_the_minimum() {
    for (size, found) in [
        ("74", "74x74"),
        ("74x299", "74x299"),
        ("299x74", "299x74"),
        ("0", "0x0"),
    ] {
        export_fails(
            &["inception_v4", "--image-size", size],
            &[found, "at least 75 pixels"],
        )
        .hint("--image-size 75");
    }
    for size in [
        "",
        "x",
        "299x",
        "-1",
        "3e2",
        "299x299x299",
        "99999999999999999999",
    ] {
        export_fails(
            &["inception_v4", &format!("--image-size={size}")],
            &["--image-size", "HEIGHTxWIDTH"],
        );
    }
}

#[test]
fn options_out_of_range() {
    for (option, value, parts) in [
        ("--classes", "0", ["`classes`", "found 0"]),
        ("--classes", "1000001", ["`classes`", "found 1000001"]),
        ("--width", "0", ["`width`", "found 0"]),
        ("--width", "NaN", ["`width`", "found NaN"]),
        ("--width", "17", ["`width`", "found 17"]),
        ("--image-size", "20000", ["image size", "found 20000x20000"]),
        ("--opset", "12", ["opset 12", "expected 13 to 26"]),
        ("--opset", "27", ["opset 27", "expected 13 to 26"]),
        ("--batch", "0", ["'--batch", "from 1 to 65536"]),
        ("--batch", "65537", ["'--batch", "from 1 to 65536"]),
        ("--batch", "many", ["'--batch", "found `many`"]),
        ("--batch-norm", "fold", ["'--batch-norm", "folded or kept"]),
        (
            "--output",
            "logit",
            ["'--output", "embedding or auxiliary_logits"],
        ),
        ("--seed", "-1", ["-1", "--seed"]),
    ] {
        let value = format!("{option}={value}");
        export_fails(&["inception_resnet_v1", &value], &parts);
    }
    // 42 GB of weights: refused before a number of them is made.
    export_fails(
        &["inception_v4", "--width", "16"],
        &["42165059488 bytes", "at most 2147483647"],
    )
    .hint("--width");
    export_fails(&["inception_v4", "--no-such-option"], &["--no-such-option"]);
    run(["no-such-command"]).could_not_run(&["no-such-command"]);
}

/// A weights file for the small Inception-ResNet-v1, spoiled by `change`.
fn weights_file(folder: &Path, change: impl FnOnce(&mut BTreeMap<String, Tensor>)) -> String {
    let weights = Weights::initial(&small("inception_resnet_v1"), 0);
    let mut tensors = weights
        .iter()
        .map(|(name, tensor)| (name.to_string(), tensor.clone()))
        .collect();
    change(&mut tensors);
    let path = folder.join("weights.safetensors");
    Weights::from_tensors(tensors, "a test")
        .write(&path, &BTreeMap::new())
        .unwrap();
    path.to_str().unwrap().into()
}

fn with_weights(path: &str) -> Vec<&str> {
    let mut arguments = vec!["inception_resnet_v1", "--weights", path];
    arguments.extend(support::SMALL);
    arguments
}

#[test]
fn weights_with_missing_extra_misshapen_and_nan_tensors_are_told_of_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = weights_file(folder.path(), |tensors| {
        tensors.remove("stem.0/conv_3x3/weight");
        tensors.remove("logits/bias");
        tensors.insert("logits/bais".into(), Tensor::owned(vec![10], vec![0.0; 10]));
        tensors.insert(
            "logits/weight".into(),
            Tensor::owned(vec![2, 2], vec![0.0; 4]),
        );
        let gamma = "stem.1/conv_3x3/batch_norm/gamma";
        tensors.insert(
            gamma.into(),
            Tensor::owned(vec![3], vec![1.0, f32::NAN, 1.0]),
        );
    });
    export_fails(
        &with_weights(&path),
        &[
            "do not fit `inception_resnet_v1`",
            "2 missing:",
            "`stem.0/conv_3x3/weight`",
            "`logits/bias` (is it `logits/bais`?)",
            "1 unused:",
            "1 misshapen:",
            "`logits/weight`: expected [10, 180], found [2, 2]",
            "1 not finite:",
            "`stem.1/conv_3x3/batch_norm/gamma`: 1 NaN or infinite values",
        ],
    )
    .hint("incept info");
    // The right weights for other options.
    let good = weights_file(folder.path(), |_| {});
    let mut arguments = with_weights(&good);
    arguments.extend(["--classes", "11"]);
    let classes = arguments.iter().position(|a| *a == "--classes").unwrap();
    arguments.drain(classes..classes + 2);
    export_fails(
        &arguments,
        &["2 misshapen:", "`logits/bias`: expected [11], found [10]"],
    )
    .hint("--classes");
}

#[test]
fn weights_that_are_cut_absent_or_no_weights() {
    let folder = tempfile::tempdir().unwrap();
    let path = weights_file(folder.path(), |_| {});
    let whole = fs::read(&path).unwrap();
    for length in [0, 7, 8, 1000, whole.len() / 2, whole.len() - 1] {
        fs::write(&path, &whole[..length]).unwrap();
        export_fails(
            &with_weights(&path),
            &[&path, "not a whole safetensors file"],
        )
        .hint("cut off");
    }
    fs::write(&path, b"PK\x03\x04 what PyTorch writes is a ZIP file").unwrap();
    export_fails(
        &with_weights(&path),
        &[&path, "not a whole safetensors file"],
    );
    let folder_path = folder.path().to_str().unwrap();
    export_fails(&with_weights(folder_path), &[folder_path]);
    export_fails(
        &with_weights("/nonexistent/w.safetensors"),
        &[
            "cannot read `/nonexistent/w.safetensors`",
            "caused by: No such file",
        ],
    )
    .hint("exists");
    // A seed and a file are two answers to one question.
    export_fails(
        &["inception_v4", "--weights", "w", "--seed", "1"],
        &["--seed"],
    );
}

#[test]
fn outputs_that_cannot_be_written() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "mine").unwrap();
    fs::create_dir(folder.path().join("folder")).unwrap();
    // Under a regular file, into a folder that is not there, onto a folder, where nobody may write.
    for target in [
        folder.path().join("file/model.onnx"),
        folder.path().join("absent/model.onnx"),
        folder.path().join("folder"),
        "/proc/model.onnx".into(),
    ] {
        let mut command = incept();
        command.args(["export", "inception_v4", "-o"]).arg(&target);
        let said = Said::from(command.args(support::SMALL).output().unwrap());
        said.could_not_run(&["cannot write", target.to_str().unwrap(), "caused by:"]);
        assert_eq!(entries(folder.path()), ["file", "folder"]);
        assert_eq!(fs::read(folder.path().join("file")).unwrap(), b"mine");
    }
    let model = export_small(folder.path(), "inception_resnet_v1", &[]);
    let json = folder.path().join("file/check.json");
    let mut command = incept();
    command.arg("check").arg(model).arg("--json").arg(&json);
    let said = Said::from(command.output().unwrap()).code(2);
    assert!(
        said.stderr.contains(json.to_str().unwrap()),
        "{}",
        said.stderr
    );
}

/// `ulimit -f` stands for a full disk: the write fails after so many blocks of 512 bytes, in the middle of a tensor.
#[test]
fn a_disk_that_fills_up_leaves_the_old_file_and_nothing_new() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    let export = |blocks: &str| {
        // Without the trap the kernel would kill the process with SIGXFSZ.
        let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\"");
        let output = Command::new("sh")
            .args([
                "-c",
                &script,
                "sh",
                env!("CARGO_BIN_EXE_incept"),
                "export",
                "inception_v4",
                "-o",
            ])
            .arg(&path)
            .args(support::SMALL)
            .output()
            .unwrap();
        Said::from(output)
    };
    let path_text = path.to_str().unwrap();
    let full = ["cannot write", path_text, "caused by: File too large"];
    export("200").could_not_run(&full).hint("ulimit -f");
    assert_eq!(entries(folder.path()), [""; 0], "a partial file was left");
    fs::write(&path, "an older file").unwrap();
    for blocks in ["0", "1", "200", "1000"] {
        export(blocks).could_not_run(&full);
        assert_eq!(entries(folder.path()), ["model.onnx"]);
        assert_eq!(fs::read(&path).unwrap(), b"an older file");
    }
    export("unlimited").code(0);
    assert!(fs::metadata(&path).unwrap().len() > 1000 * 512);
}

/// The same on a file system that is really full, where this user may mount one.
#[test]
fn a_full_file_system_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let script = r#"mount -t tmpfs -o size=128k tmpfs "$1" || exit 77
        shift; "$@"; code=$?; ls -A "$3" ; exit $code"#;
    let path = folder.path().join("model.onnx");
    let output = Command::new("unshare")
        .args(["--mount", "--map-root-user", "sh", "-c", script, "sh"])
        .arg(folder.path())
        .args([env!("CARGO_BIN_EXE_incept"), "export", "inception_v4", "-o"])
        .arg(&path)
        .args(support::SMALL)
        .output();
    let said = match output {
        Ok(output) => Said::from(output),
        Err(error) => {
            println!("skipped: no unshare here ({error}); the test with ulimit stands for it");
            return;
        }
    };
    if said.code == Some(77) || said.stderr.starts_with("unshare:") {
        println!(
            "skipped: no file system may be mounted here: {}",
            said.stderr
        );
        return;
    }
    said.could_not_run(&["cannot write", path.to_str().unwrap(), "No space left"])
        .hint("free some space");
}

#[test]
fn models_that_are_cut_absent_or_no_models() {
    let folder = tempfile::tempdir().unwrap();
    let model = export_small(folder.path(), "inception_resnet_v1", &[]);
    let whole = fs::read(&model).unwrap();
    let bad = folder.path().join("bad.onnx");
    let check = |path: &Path| run(["check".as_ref(), path.as_os_str()]);
    let path = bad.to_str().unwrap();
    for length in [1, 100, 5000, whole.len() / 2, whole.len() - 1] {
        fs::write(&bad, &whole[..length]).unwrap();
        check(&bad)
            .could_not_run(&["cannot read the model", path, "caused by: not a"])
            .hint("cut off");
    }
    for junk in [
        &b""[..],
        b"\x89PNG\r\n\x1a\n",
        b"{\"model\": 1}",
        b"PK\x03\x04",
    ] {
        fs::write(&bad, junk).unwrap();
        check(&bad)
            .could_not_run(&["cannot read the model", path])
            .hint("another format");
    }
    // A model, but not one of ours.
    let foreign = support::spoil(&model, |model| model.metadata_props.clear());
    check(&foreign)
        .could_not_run(&["does not tell its network", "incept.network"])
        .hint("incept export");
    // One of ours, of a network this version does not have, and of options out of range.
    for (key, value, part) in [
        ("incept.network", "inception_v9", "`inception_v9`"),
        ("incept.variant", "unpublished", "`unpublished`"),
    ] {
        let other = support::spoil(&model, |model| {
            let entries = &mut model.metadata_props;
            entries.iter_mut().find(|e| e.key == key).unwrap().value = value.into();
        });
        check(&other).could_not_run(&["cannot be built", part]);
    }
    check(Path::new("/nonexistent/m.onnx"))
        .could_not_run(&["cannot read `/nonexistent/m.onnx`"])
        .hint("exists");
    check(folder.path()).could_not_run(&[folder.path().to_str().unwrap()]);
}

#[test]
fn a_missing_onnx_runtime() {
    let folder = tempfile::tempdir().unwrap();
    let model = export_small(folder.path(), "inception_resnet_v1", &[]);
    let text = folder.path().join("libonnxruntime.so");
    fs::write(&text, "no library").unwrap();
    for library in [
        Path::new("/nonexistent/libonnxruntime.so"),
        text.as_path(),
        folder.path(),
    ] {
        let mut command = incept();
        command
            .arg("check")
            .arg(&model)
            .env("ORT_DYLIB_PATH", library);
        Said::from(command.output().unwrap())
            .could_not_run(&["runtime `ort` cannot be used", library.to_str().unwrap()])
            .hint("./scripts/setup.sh");
        // The doctor is there to tell: it does not fail.
        let mut command = incept();
        command.arg("doctor").env("ORT_DYLIB_PATH", library);
        let said = Said::from(command.output().unwrap()).code(0);
        assert!(said.stdout.contains("missing"), "{}", said.stdout);
        assert!(said.stderr.contains("scripts/setup.sh"), "{}", said.stderr);
    }
    // The other runtimes need no library.
    let mut command = incept();
    command
        .arg("check")
        .arg(&model)
        .args(["--runtime", "rten"])
        .env("ORT_DYLIB_PATH", "/nonexistent/libonnxruntime.so");
    let said = Said::from(command.output().unwrap());
    assert_ne!(said.code, Some(2), "{}", said.stderr);
}

/// A library that loads and is another one.
#[test]
fn a_library_that_is_not_onnx_runtime() {
    let folder = tempfile::tempdir().unwrap();
    let model = export_small(folder.path(), "inception_resnet_v1", &[]);
    let libraries = ["/lib/x86_64-linux-gnu/libm.so.6", "/usr/lib64/libm.so.6"];
    let Some(library) = libraries.into_iter().find(|path| Path::new(path).exists()) else {
        return;
    };
    let mut command = incept();
    command
        .arg("check")
        .arg(&model)
        .env("ORT_DYLIB_PATH", library);
    Said::from(command.output().unwrap())
        .could_not_run(&["runtime `ort` cannot be used", library])
        .hint("./scripts/setup.sh");
}

/// Where there is no GPU, `ort-cuda` is an error and never the CPU in its place.
#[test]
fn an_absent_gpu() {
    if Path::new("/dev/nvidiactl").exists() {
        println!("skipped: this machine has a GPU");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let model = export_small(folder.path(), "inception_resnet_v1", &[]);
    for runtimes in [
        &["ort-cuda"][..],
        &["ort", "ort-cuda"],
        &["ort-cuda", "rten"],
    ] {
        let mut command = incept();
        command.arg("check").arg(&model);
        for runtime in runtimes {
            command.args(["--runtime", runtime]);
        }
        Said::from(command.output().unwrap())
            .could_not_run(&["runtime `ort-cuda` cannot be used"])
            .hint("`--runtime ort` for the CPU");
    }
}

#[test]
fn arguments_of_a_check_that_make_no_sense() {
    let folder = tempfile::tempdir().unwrap();
    let model = export_small(folder.path(), "inception_resnet_v1", &[]);
    let check = |arguments: &[&str]| {
        let mut command = incept();
        command.arg("check").arg(&model).args(arguments);
        Said::from(command.output().unwrap())
    };
    check(&["--runtime", "orr"])
        .could_not_run(&[
            "`orr`",
            "expected one of ort, ort-cuda, ort-tensorrt, ort-openvino",
        ])
        .hint("did you mean `ort`?");
    check(&["--runtime", "tensorflow"]).could_not_run(&["`tensorflow`", "expected one of"]);
    for batch in ["0", "4097"] {
        check(&["--batch", batch]).could_not_run(&[&format!("batch size {batch}"), "1 to 4096"]);
    }
    for batch in ["many", "-1", "1.5"] {
        check(&[&format!("--batch={batch}")]).could_not_run(&["--batch", batch]);
    }
    for tolerance in ["-1", "NaN", "inf"] {
        check(&[&format!("--atol={tolerance}")]).could_not_run(&["--atol"]);
        check(&[&format!("--rtol={tolerance}")]).could_not_run(&["--rtol"]);
    }
    check(&["--weights", "/nonexistent/w.safetensors"])
        .could_not_run(&["cannot read `/nonexistent/w.safetensors`"]);
    // A file that claims a batch nobody can hold.
    let huge = support::spoil(&model, |model| {
        use incept::exporters::onnx::proto::Dimension;
        let graph = model.graph.as_mut().unwrap();
        let tensor = graph.input[0].r#type.as_mut().unwrap().tensor_type.as_mut();
        tensor.unwrap().shape.as_mut().unwrap().dim[0].value = Some(Dimension::Value(1 << 50));
    });
    run(["check".as_ref(), huge.as_os_str()]).could_not_run(&["batch size", "1 to 4096"]);
}

/// Whoever reads our output may stop: `incept list | head -1`.
#[test]
fn a_closed_pipe_is_no_failure() {
    for arguments in [
        &["list"][..],
        &["list", "--json"],
        &["info", "inception_v4", "--json"],
        &["doctor"],
        &["--help"],
    ] {
        let mut child = incept()
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Closed before the program writes.
        drop(child.stdout.take());
        let said = Said::from(child.wait_with_output().unwrap()).code(0);
        assert!(
            !said.stderr.contains("error"),
            "{arguments:?}: {}",
            said.stderr
        );
    }
    // And the other side of a real pipe, which reads one line of many.
    let program = env!("CARGO_BIN_EXE_incept");
    let script = format!("set -o pipefail; '{program}' info inception_v4 --json | head -1");
    let output = Command::new("bash").args(["-c", &script]).output().unwrap();
    let said = Said::from(output).code(0);
    assert_eq!(said.stdout, "{\n");
    assert_eq!(said.stderr, "");
}
