//! Golden bundles from the outside: written and verified through the program, planted faults found, and bundles made by
//! others: ONNX's own node tests, and those of the libraries that published the networks.
#![allow(clippy::unwrap_used)]

#[path = "../support/libraries.rs"]
mod libraries;
#[path = "../support/mod.rs"]
mod support;

mod faults;
mod node_tests;
mod published;
mod readers;
mod writing;

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use support::{Said, incept, run};

/// Exports a small network and writes a bundle of it.
#[track_caller]
fn bundle(folder: &Path, network: &str, export: &[&str], write: &[&str]) -> PathBuf {
    let model = support::export_small(folder, network, export);
    let path = folder.join("bundle");
    write_bundle(&path, &model, write).code(0);
    path
}

fn write_bundle(path: &Path, model: &Path, arguments: &[&str]) -> Said {
    let mut command = incept();
    command.args(["golden", "write"]).arg(path);
    command.arg("--model").arg(model).args(arguments);
    command.output().unwrap().into()
}

fn verify(path: &Path, arguments: &[&str]) -> Said {
    let path = path.to_str().unwrap();
    run(["golden", "verify", path].iter().chain(arguments))
}

/// The report of a verification that ends with this code.
#[track_caller]
fn report(path: &Path, arguments: &[&str], code: i32) -> Value {
    let arguments = [arguments, &["--json", "-"]].concat();
    let said = verify(path, &arguments).code(code);
    serde_json::from_str(&said.stdout).unwrap()
}

/// Why the values that failed did.
fn reasons(report: &Value) -> Vec<String> {
    let values = report["values"].as_array().unwrap().iter();
    let failed = values.filter(|value| value["verdict"] == "failed");
    failed
        .map(|value| value["reason"].as_str().unwrap().to_string())
        .collect()
}

/// The Python of `.runtime/`, or none, with the reason printed, where it or what it has to import is not there.
fn python_or_reason(import: &str) -> Option<Command> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(".runtime/python/bin/python");
    if !path.exists() {
        println!(
            "skipped: there is no `{}` (scripts/setup.sh)",
            path.display()
        );
        return None;
    }
    let imported = support::python().args(["-c", import]).output().unwrap();
    if !imported.status.success() {
        println!("skipped: `{import}` fails in `{}`", path.display());
        return None;
    }
    Some(support::python())
}
