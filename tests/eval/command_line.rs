//! `incept eval` as a program: what it prints and writes.

use std::fs;

use incept::evaluate::Evaluation;
use incept::provenance::sha256_of_file;
use serde_json::Value;

use super::*;

/// `incept eval` of both golden models on the golden images.
fn both(crops: &str) -> Command {
    let mut command = incept();
    command
        .arg("eval")
        .arg("--model")
        .args(models())
        .arg("--data")
        .arg(images());
    command.args(["--crops", crops]);
    command
}

fn json(command: &mut Command) -> Vec<u8> {
    let output = command.args(["--json", "-"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    output.stdout
}

#[test]
fn json_on_standard_output_is_all_of_it_and_says_where_it_comes_from() {
    let output = json(&mut both("12"));
    let value: Value = serde_json::from_slice(&output).unwrap();
    assert_eq!(value["schema"], "incept.evaluation/1");
    let provenance = &value["provenance"];
    assert_eq!(provenance["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(provenance["command"][0], "eval");
    for model in models() {
        let hash = sha256_of_file(model).unwrap();
        assert_eq!(
            provenance["inputs"][model.display().to_string()],
            hash.as_str()
        );
    }
    let runtime = provenance["runtimes"][0].as_str().unwrap();
    assert!(
        runtime.starts_with("ONNX Runtime ") && runtime.ends_with(", CPU"),
        "{runtime}"
    );

    let evaluation: Evaluation = serde_json::from_value(value).unwrap();
    assert_eq!(
        (evaluation.data.images, evaluation.data.classes),
        (golden().images.len(), golden().classes)
    );
    assert_eq!(evaluation.crops.plan, "12");
    assert!(
        evaluation.crops.note.contains("interpretation"),
        "{}",
        evaluation.crops.note
    );
    let networks: Vec<&str> = evaluation
        .models
        .iter()
        .filter_map(|m| m.network.as_deref())
        .collect();
    assert_eq!(networks, ["inception_resnet_v1", "inception_v4"]);
    let errors = evaluation.ensemble.unwrap();
    let expected = &golden().plans["12"].ensemble;
    assert_eq!(
        (errors.top1_errors, errors.top5_errors),
        (expected.top1_errors, expected.top5_errors)
    );
}

#[test]
fn the_same_command_gives_the_same_bytes_whatever_the_threads() {
    let expected = json(both("10").env("RAYON_NUM_THREADS", "1"));
    assert!(expected == json(both("10").env("RAYON_NUM_THREADS", "4")));
    assert!(expected == json(&mut both("10")));
}

#[test]
fn a_table_stands_on_standard_output_and_the_numbers_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("result.json");
    let output = both("1").arg("--json").arg(&file).output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let expected = &golden().plans["1"];
    let images = golden().images.len() as f64;
    for (name, errors) in [
        ("evaluation-first.onnx", &expected.models[0]),
        ("evaluation-second.onnx", &expected.models[1]),
        ("all 2 together", &expected.ensemble),
    ] {
        let row = text.lines().find(|line| line.contains(name)).unwrap();
        for count in [errors.top1_errors, errors.top5_errors] {
            let percent = format!(" {:.2} %", 100.0 * count as f64 / images);
            assert!(row.contains(&percent), "{row}: {percent}");
        }
    }
    let evaluation: Evaluation = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!(
        evaluation.models[0].errors.top1_errors,
        expected.models[0].top1_errors
    );
}

#[test]
fn a_result_that_cannot_be_written_is_an_error_but_the_table_is_not_lost() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("absent/result.json");
    let output = eval(&images()).arg("--json").arg(&place).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("absent/result.json") && said.contains("hint: "),
        "{said}"
    );
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("top-1 error"), "{text}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}
