//! `incept draw` from outside.

#![allow(clippy::unwrap_used)]

use std::fs;

use assert_cmd::Command;

fn draw(arguments: &[&str]) -> std::process::Output {
    let mut command = Command::cargo_bin("incept").unwrap();
    command.arg("draw").args(arguments).output().unwrap()
}

#[test]
fn a_file_and_standard_output_get_the_same_drawing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("v4.svg");
    let written = draw(&["inception_v4", "-o", path.to_str().unwrap()]);
    assert!(written.status.success());
    assert!(written.stdout.is_empty());
    let printed = draw(&["inception_v4"]);
    assert!(printed.status.success() && printed.stderr.is_empty());
    assert_eq!(fs::read(&path).unwrap(), printed.stdout);
    assert!(printed.stdout.starts_with(b"<svg "));
}

#[test]
fn options_change_the_drawing() {
    let printed = draw(&[
        "inception_v4",
        "--block",
        "Inception-A",
        "--width",
        "0.5",
        "--image-size",
        "149x299",
    ]);
    let svg = String::from_utf8(printed.stdout).unwrap();
    for text in ["1x1 Conv (48)", "16x35x192", "4 x Inception-A"] {
        assert!(svg.contains(text), "{text}");
    }
    assert!(!svg.contains("Stem"));
}

#[test]
fn an_unknown_block_is_named_with_the_nearest_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("block.svg");
    let refused = draw(&[
        "inception_v4",
        "--block",
        "reduction_c",
        "-o",
        path.to_str().unwrap(),
    ]);
    assert_eq!(refused.status.code(), Some(2));
    let errors = String::from_utf8(refused.stderr).unwrap();
    assert!(
        errors.contains("inception_v4 has no block `reduction_c`"),
        "{errors}"
    );
    assert!(
        errors.contains("hint: did you mean `reduction_"),
        "{errors}"
    );
    assert!(!path.exists());
}
