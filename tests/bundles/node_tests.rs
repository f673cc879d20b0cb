//! ONNX's own node tests of the operators that incept emits, in every runtime: all of them hold but for a list of gaps, and a
//! gap that is closed has to leave the list.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use super::libraries::golden_folder;
use super::{python_or_reason, report};

fn folder() -> PathBuf {
    golden_folder("onnx-node-tests")
}

/// The gaps of each runtime: `RUNTIME TEST REASON`, a line each.
fn gaps(runtime: &str) -> BTreeMap<String, String> {
    let text = fs::read_to_string(folder().join("gaps.txt")).unwrap();
    let lines = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let parts = lines.map(|line| {
        let mut parts = line.splitn(3, ' ');
        [(); 3].map(|()| {
            parts
                .next()
                .unwrap_or_else(|| panic!("`{line}`: three parts"))
        })
    });
    let own = parts.filter(|[of, ..]| *of == runtime);
    own.map(|[_, test, reason]| (test.to_string(), reason.trim().to_string()))
        .collect()
}

fn check(runtime: &str) {
    let tests = fs::read_dir(folder())
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().path().is_dir());
    let count = tests.count();
    assert!(count > 150, "{count} tests");
    let gaps = gaps(runtime);
    let found = report(
        &folder(),
        &["--runtime", runtime],
        i32::from(!gaps.is_empty()),
    );
    assert_eq!(found["bundles"], count);
    let mut open: BTreeMap<&str, String> = BTreeMap::new();
    for value in found["values"].as_array().unwrap() {
        if value["verdict"] != "matched" {
            let reason = format!("{}: {}", value["verdict"], value["reason"]);
            open.insert(value["bundle"].as_str().unwrap(), reason);
        }
    }
    for (test, reason) in &open {
        assert!(gaps.contains_key(*test), "{runtime} {test} {reason}");
    }
    for (test, reason) in &gaps {
        assert!(
            open.contains_key(test.as_str()),
            "{runtime} passes {test}, which is listed as a gap ({reason}): take it off the list"
        );
    }
    println!(
        "{runtime}: {} of {count} hold, {} known gaps",
        count - open.len(),
        open.len()
    );
}

#[test]
fn onnx_runtime_passes_onnxs_node_tests() {
    check("ort");
}

#[test]
fn rten_passes_onnxs_node_tests_but_for_known_gaps() {
    check("rten");
}

#[cfg(feature = "tract")]
#[test]
fn tract_passes_onnxs_node_tests_but_for_known_gaps() {
    check("tract");
}

/// Every runtime named has tests, and every test named is there.
#[test]
fn the_list_of_gaps_names_tests_that_are_there() {
    for runtime in ["ort", "rten", "tract"] {
        for (test, reason) in gaps(runtime) {
            assert!(folder().join(&test).is_dir(), "{test}");
            assert!(reason.len() > 10, "{test}: `{reason}` is no reason");
        }
    }
}

/// The stored tests are what the pinned package gives.
#[test]
fn the_stored_tests_are_those_of_the_package() {
    let Some(mut python) = python_or_reason("import onnx") else {
        return;
    };
    let output = python
        .args(["scripts/golden/onnx_node_tests.py", "--check"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
