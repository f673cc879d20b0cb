//! The main job through the binary: whole, again, and interrupted.
#![allow(clippy::unwrap_used)]
#![cfg(feature = "torch")]

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

const NETWORKS: [&str; 3] = ["inception_v4", "inception_resnet_v1", "inception_resnet_v2"];

fn demo(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_incept"));
    command.args(["demo", "--quick"]).current_dir(folder);
    command
}

fn finish(folder: &Path) -> Output {
    let output = demo(folder).output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

#[test]
fn the_whole_job_runs_and_an_interrupted_one_ends_the_same() {
    let whole = tempfile::tempdir().unwrap();
    let output = finish(whole.path());
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        printed, "demo-quick/report.html\ndemo-quick/report.md\n",
        "stdout is the files, and only they"
    );
    let at = |name: &str| whole.path().join("demo-quick").join(name);
    let read = |name: &str| std::fs::read(at(name)).unwrap();

    let html = String::from_utf8(read("report.html")).unwrap();
    let markdown = String::from_utf8(read("report.md")).unwrap();
    for text in [&html, &markdown] {
        for expected in [
            "Inception-v4",
            "Inception-ResNet-v1",
            "Inception-ResNet-v2",
            "Table 2",
            "Table 5",
            "16.5",
            "3.1",
        ] {
            assert!(text.contains(expected), "the report lacks `{expected}`");
        }
    }
    assert!(
        !html.contains("src=\"http") && !html.contains("<script"),
        "the page stands alone"
    );
    for network in NETWORKS {
        let parity: serde_json::Value =
            serde_json::from_slice(&read(&format!("{network}/parity.json"))).unwrap();
        assert_eq!(parity["holds"], true, "{network}");
        assert_eq!(
            parity["reference"].as_str().unwrap().split(',').next(),
            Some("libtorch")
        );
    }

    // Again: nothing is done twice, and the report has the same bytes.
    let stamp = |name: &str| std::fs::metadata(at(name)).unwrap().modified().unwrap();
    let kept = [
        "inception_v4/checkpoints/step-000012/training.safetensors",
        "inception_v4/parity.json",
        "evaluation-144.json",
    ];
    let before = kept.map(stamp);
    finish(whole.path());
    assert_eq!(before, kept.map(stamp), "a finished part was done again");
    assert_eq!(html.as_bytes(), read("report.html"));

    // Killed while the networks train, and run again: the same weights, bit for bit, and the same errors.
    let cut = tempfile::tempdir().unwrap();
    let second = cut
        .path()
        .join("demo-quick/inception_resnet_v1/metrics.jsonl");
    let mut child = demo(cut.path())
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let start = Instant::now();
    while !second.exists() && child.try_wait().unwrap().is_none() {
        assert!(
            start.elapsed() < Duration::from_secs(300),
            "the demonstration never trained"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(
        !cut.path().join("demo-quick/report.html").exists(),
        "it was not interrupted"
    );
    finish(cut.path());
    for network in NETWORKS {
        let name = format!("demo-quick/{network}/weights.safetensors");
        let same = std::fs::read(cut.path().join(&name)).unwrap()
            == std::fs::read(whole.path().join(&name)).unwrap();
        assert!(
            same,
            "{network}: other weights than without the interruption"
        );
    }
    for crops in ["1", "12", "144"] {
        let name = format!("demo-quick/evaluation-{crops}.json");
        assert_eq!(
            std::fs::read_to_string(cut.path().join(&name)).unwrap(),
            std::fs::read_to_string(whole.path().join(&name)).unwrap()
        );
    }
}

#[test]
fn other_settings_in_the_same_folder_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("demo-quick/data");
    let made = Command::new(env!("CARGO_BIN_EXE_incept"))
        .arg("synth")
        .arg(&target)
        .args(["--images", "40", "--seed", "9"])
        .output()
        .unwrap();
    assert!(made.status.success());
    let output = demo(folder.path()).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(
        errors.contains("error: ") && errors.contains("hint: "),
        "{errors}"
    );
}
