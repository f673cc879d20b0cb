//! `incept matrix`: what is known, what is not, and what is no longer true.

#![allow(clippy::unwrap_used)]
#![cfg(feature = "torch")]

mod support;

use std::collections::BTreeSet;
use std::fs;

use incept::matrix::{Gaps, cases};
use serde_json::Value;
use support::run;

/// All of it on the runtimes that any machine has; the other ones that are present join in where the command is run by hand.
#[test]
fn every_case_comes_out_as_it_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let table = folder.path().join("matrix.md");
    let json = folder.path().join("matrix.json");
    let runtimes = [
        "--runtime",
        "rten",
        "--runtime",
        "torch-f64",
        "--runtime",
        "rten",
    ];
    let mut arguments = vec!["matrix", "--out", table.to_str().unwrap()];
    arguments.extend(["--json", json.to_str().unwrap()]);
    arguments.extend(runtimes);
    let said = run(&arguments).code(0);
    assert!(
        said.stdout
            .contains("the matrix holds: 126 cells on 2 runtimes, 18")
    );
    let matrix: Value = serde_json::from_str(&fs::read_to_string(json).unwrap()).unwrap();
    assert_eq!(matrix["schema"], "incept.matrix/1");
    let cells = matrix["cells"].as_array().unwrap();
    let seen: BTreeSet<String> = cells
        .iter()
        .map(|cell| {
            let part = |name: &str| cell[name].as_str().unwrap().to_string();
            ["network", "variant", "precision", "batch_norm", "runtime"]
                .map(part)
                .join(" ")
        })
        .collect();
    assert_eq!(cases().len(), 63);
    assert_eq!((cells.len(), seen.len()), (126, 126));
    for cell in cells {
        let works = cell["outcome"] == "works";
        assert_eq!(works, cell["known_gap"].is_null(), "{cell}");
        let error = cell["relative_error"].as_f64();
        assert!(
            error.is_none_or(|e| e > 0.0 && e <= cell["tolerance"].as_f64().unwrap()),
            "{cell}"
        );
    }
    let table = fs::read_to_string(table).unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| inception"));
    assert_eq!(rows.count(), 63);
    assert!(table.contains("- gap: rten: rten 0.27 reads no bfloat16 tensors"));
}

/// A gap that is not listed, one that is and works, one that covers nothing.
#[test]
fn what_is_not_as_it_is_known_fails() {
    let folder = tempfile::tempdir().unwrap();
    let gaps = folder.path().join("gaps.toml");
    let list = r#"
[[gap]]
runtimes = ["rten"]
networks = ["inception_v3"]
precisions = ["fp32"]
reason = "this is not true"

[[gap]]
runtimes = ["rten"]
networks = ["inception_v3"]
variants = ["facenet"]
reason = "there is no such variant of it"
"#;
    fs::write(&gaps, list).unwrap();
    let said = run([
        "matrix",
        "--runtime",
        "rten",
        "--known-gaps",
        gaps.to_str().unwrap(),
    ]);
    let said = said.code(1);
    // All of bfloat16, and the 4 that work.
    assert!(
        said.stdout.contains("the matrix FAILS: 22 of 63 cells"),
        "{}",
        said.stdout
    );
    for part in [
        "FAILS: inception_v4 (paper), bf16, folded on rten",
        "WORKS, and is listed as a known gap: inception_v3 (tensorflow), fp32, kept on rten: this is not true",
        "the known gap of rten covers no case: there is no such variant of it",
    ] {
        assert!(
            said.stderr.contains(part),
            "`{part}` is not in:\n{}",
            said.stderr
        );
    }
}

#[test]
fn a_list_that_names_what_there_is_not_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gaps.toml");
    for (text, parts) in [
        (
            "[[gap]]\nruntimes = [\"rtne\"]\nreason = \"x\"",
            &["gap 1: runtimes", "found `rtne`"][..],
        ),
        (
            "[[gap]]\nruntimes = [\"rten\"]\nprecisions = [\"int4\"]\nreason = \"x\"",
            &["precisions", "fp16", "int4"],
        ),
        (
            "[[gap]]\nruntimes = [\"rten\"]\nreason = \" \"",
            &["gap 1: reason"],
        ),
        (
            "[[gap]]\nruntimes = [\"rten\"]",
            &["is no list of known gaps"],
        ),
        (
            "[[gap]]\nruntime = [\"rten\"]\nreason = \"x\"",
            &["is no list of known gaps"],
        ),
    ] {
        fs::write(&path, text).unwrap();
        run(["matrix", "--known-gaps", path.to_str().unwrap()])
            .could_not_run(parts)
            .hint("docs/known-gaps.toml");
    }
    run(["matrix", "--known-gaps", "nowhere.toml"]).could_not_run(&["nowhere.toml"]);
    run(["matrix", "--runtime", "rtne"])
        .could_not_run(&["no runtime is called `rtne`"])
        .hint("did you mean `rten`?");
    run(["matrix", "--runtime", "ort-tensorrt"])
        .could_not_run(&["TensorrtExecutionProvider"])
        .hint("ORT_DYLIB_PATH");
    Gaps::checked_in().unwrap();
}
