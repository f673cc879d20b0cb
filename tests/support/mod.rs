//! What the end-to-end tests share: the program, small models, and models with planted faults.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file is a program of its own and uses some of this"
)]
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use incept::exporters::net::{Net, NetOptions};
use incept::exporters::onnx::proto::{ModelProto, NodeProto, TensorProto};
use incept::exporters::zoo;
use prost::Message;

/// The networks of the zoo, in the paper's variant.
pub const NETWORKS: [&str; 3] = ["inception_v4", "inception_resnet_v1", "inception_resnet_v2"];

/// The options of [`small`] at the command line.
pub const SMALL: [&str; 6] = ["--image-size", "75", "--classes", "10", "--width", "0.1"];

/// A network of a tenth of the width, at the smallest size.
pub fn small(network: &str) -> Net {
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

/// The program, with nothing of the caller's environment that would change what it does.
pub fn incept() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_incept"));
    for variable in ["ORT_DYLIB_PATH", "RAYON_NUM_THREADS", "RUST_BACKTRACE"] {
        command.env_remove(variable);
    }
    // Tests run side by side: libtorch's threads would spin while they wait for cores that other tests use, and a check
    // of half a second took four.
    command.env("OMP_NUM_THREADS", "1");
    command
}

/// What a finished program said.
pub struct Said {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// Runs the program with these arguments.
pub fn run<S: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = S>) -> Said {
    incept().args(arguments).output().unwrap().into()
}

impl Said {
    /// It ended with this code, and without a panic.
    #[track_caller]
    pub fn code(self, expected: i32) -> Self {
        assert_eq!(
            self.code,
            Some(expected),
            "exit code\nstdout: {}\nstderr: {}",
            self.stdout,
            self.stderr
        );
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        self
    }

    /// It could not run: code 2, `error:` first, each of these in the message, nothing on standard output.
    #[track_caller]
    pub fn could_not_run(self, parts: &[&str]) -> Self {
        let said = self.code(2);
        assert!(said.stderr.starts_with("error: "), "{}", said.stderr);
        assert_eq!(said.stdout, "", "data beside an error");
        for part in parts {
            assert!(
                said.stderr.contains(part),
                "`{part}` is not in:\n{}",
                said.stderr
            );
        }
        said
    }

    /// Its message ends in a hint that holds this.
    #[track_caller]
    pub fn hint(self, part: &str) -> Self {
        let hint = self
            .stderr
            .lines()
            .find_map(|line| line.strip_prefix("hint: "))
            .unwrap_or_else(|| panic!("no hint in:\n{}", self.stderr));
        assert!(hint.contains(part), "`{part}` is not in: {hint}");
        self
    }
}

/// Exports a small network through the program, with further arguments; returns the file.
#[track_caller]
pub fn export_small(folder: &Path, network: &str, arguments: &[&str]) -> PathBuf {
    let path = folder.join(format!("{network}.onnx"));
    let mut command = incept();
    command.args(["export", network, "-o"]).arg(&path);
    let said: Said = command.args(SMALL).args(arguments).output().unwrap().into();
    assert_eq!(said.code(0).stdout, "", "the export's message is no data");
    path
}

/// Entries of a folder: whatever a failed command left would be among them.
pub fn entries(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Changes an ONNX file and writes it beside as `faulty.onnx`.
pub fn spoil(model: &Path, change: impl FnOnce(&mut ModelProto)) -> PathBuf {
    let mut decoded = ModelProto::decode(fs::read(model).unwrap().as_slice()).unwrap();
    let before = decoded.clone();
    change(&mut decoded);
    // A NaN is not equal to itself: bytes are compared.
    assert!(
        before.encode_to_vec() != decoded.encode_to_vec(),
        "the fault changed nothing"
    );
    let path = model.with_file_name("faulty.onnx");
    fs::write(&path, decoded.encode_to_vec()).unwrap();
    path
}

/// The node of that name.
#[track_caller]
pub fn node<'a>(model: &'a mut ModelProto, name: &str) -> &'a mut NodeProto {
    let nodes = &mut model.graph.as_mut().unwrap().node;
    nodes
        .iter_mut()
        .find(|node| node.name == name)
        .unwrap_or_else(|| panic!("no node `{name}`"))
}

/// Changes the values of the tensor of that name.
#[track_caller]
pub fn change_values(model: &mut ModelProto, name: &str, change: impl FnOnce(&mut [f32])) {
    let tensors: &mut Vec<TensorProto> = &mut model.graph.as_mut().unwrap().initializer;
    let tensor = tensors
        .iter_mut()
        .find(|tensor| tensor.name == name)
        .unwrap_or_else(|| panic!("no tensor `{name}`"));
    let mut values: Vec<f32> = tensor
        .raw_data
        .chunks_exact(4)
        .map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()))
        .collect();
    change(&mut values);
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    tensor.raw_data = bytes.into();
}

/// The Python of `.runtime/`, which holds numpy and onnx.
#[track_caller]
pub fn python() -> Command {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(".runtime/python/bin/python");
    assert!(
        path.exists(),
        "`{}` is missing: run ./scripts/setup.sh",
        path.display()
    );
    let mut command = Command::new(path);
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    command
}
