//! Planted faults: each is found, each is a failure with a reason, and nothing that was not compared counts.

use std::fs;
use std::path::{Path, PathBuf};

use incept::exporters::onnx::{DataTensor, Numbers};
use incept::golden::Record;

use super::support::{change_values, export_small, node, run, spoil};
use super::{bundle, reasons, report, verify, write_bundle};

/// Verifies a bundle with a fault and returns why it failed.
#[track_caller]
fn fails(path: &Path, arguments: &[&str], part: &str) {
    let found = reasons(&report(path, arguments, 1));
    assert!(
        found.iter().any(|reason| reason.contains(part)),
        "`{part}` is not in {found:?}"
    );
}

fn tensor(path: &Path) -> DataTensor {
    DataTensor::read(&fs::read(path).unwrap().into()).unwrap()
}

fn change(path: &Path, change: impl FnOnce(&mut DataTensor)) {
    let mut tensor = tensor(path);
    change(&mut tensor);
    fs::write(path, tensor.to_bytes()).unwrap();
}

fn floats(tensor: &mut DataTensor) -> &mut Vec<f64> {
    match &mut tensor.numbers {
        Numbers::Floats(values) => values,
        Numbers::Integers(_) => panic!("no floats"),
    }
}

/// A bundle, and a function that brings it back to what it was.
fn whole(folder: &Path) -> (PathBuf, impl Fn() + use<>) {
    let path = bundle(
        folder,
        "inception_v4",
        &["--output", "logits,probabilities"],
        &["--images", "2"],
    );
    let model = folder.join("inception_v4.onnx");
    let again = path.clone();
    let restore = move || {
        write_bundle(&again, &model, &["--images", "2"]).code(0);
    };
    (path, restore)
}

#[test]
fn a_fault_in_an_output_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let (path, restore) = whole(folder.path());
    let output = path.join("test_data_set_0/output_0.pb");
    report(&path, &[], 0);
    type Fault = (&'static str, fn(&mut DataTensor));
    let faults: [Fault; 8] = [
        ("1 of 20 numbers", |tensor| floats(tensor)[7] += 1e-3),
        ("found", |tensor| floats(tensor)[0] = f64::NAN),
        ("numbers are off", |tensor| floats(tensor).fill(f64::NAN)),
        ("expected inf", |tensor| floats(tensor)[19] = f64::INFINITY),
        ("numbers are off", |tensor| floats(tensor).swap(3, 4)),
        ("expected shape [10, 2], found [2, 10]", |tensor| {
            tensor.shape.reverse()
        }),
        ("numbers are off", |tensor| floats(tensor).rotate_left(10)),
        ("found one of float64", |tensor| {
            tensor.element_type = incept::exporters::onnx::proto::DOUBLE;
        }),
    ];
    for (part, fault) in faults {
        change(&output, fault);
        fails(&path, &[], part);
        // However much is allowed, a NaN in one of both fails.
        if part == "found" {
            fails(&path, &["--atol", "1e300", "--rtol", "1e300"], part);
        }
        restore();
    }
    // Two outputs in each other's place.
    let other = path.join("test_data_set_0/output_1.pb");
    let (first, second) = (fs::read(&output).unwrap(), fs::read(&other).unwrap());
    fs::write(&output, second).unwrap();
    fs::write(&other, first).unwrap();
    fails(
        &path,
        &[],
        "expected the file of `logits`, found that of `probabilities`",
    );
}

#[test]
fn what_is_missing_or_broken_is_a_failure_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let (path, restore) = whole(folder.path());
    let set = path.join("test_data_set_0");
    type Fault<'a> = (&'a str, Box<dyn Fn() + 'a>);
    let faults: Vec<Fault<'_>> = vec![
        (
            "expected 2 files of outputs, as the model has, found 1",
            Box::new(|| fs::remove_file(set.join("output_1.pb")).unwrap()),
        ),
        (
            "expected `output_0.pb` before `output_1.pb`",
            Box::new(|| fs::remove_file(set.join("output_0.pb")).unwrap()),
        ),
        (
            "expected 1 files of inputs, as the model has, found 0",
            Box::new(|| fs::remove_file(set.join("input_0.pb")).unwrap()),
        ),
        (
            "as the model has, found 3",
            Box::new(|| {
                fs::copy(set.join("output_1.pb"), set.join("output_2.pb")).unwrap();
            }),
        ),
        (
            "expected `output_0.pb`, found none",
            Box::new(|| {
                fs::remove_file(set.join("output_0.pb")).unwrap();
                fs::remove_file(set.join("output_1.pb")).unwrap();
            }),
        ),
        (
            "`output_0.pb`",
            Box::new(|| fs::write(set.join("output_0.pb"), "no tensor").unwrap()),
        ),
        (
            "`output_0.pb`",
            Box::new(|| fs::write(set.join("output_0.pb"), "").unwrap()),
        ),
        (
            "`output_0.pb`",
            Box::new(|| {
                let whole = fs::read(set.join("output_0.pb")).unwrap();
                fs::write(set.join("output_0.pb"), &whole[..whole.len() / 2]).unwrap();
            }),
        ),
        (
            "it is empty",
            Box::new(|| fs::remove_dir_all(&set).unwrap()),
        ),
        (
            "expected `model.onnx`, found none",
            Box::new(|| fs::remove_file(path.join("model.onnx")).unwrap()),
        ),
        (
            "not a whole ONNX file",
            Box::new(|| fs::write(path.join("model.onnx"), "no model").unwrap()),
        ),
        (
            "`layers.json`",
            Box::new(|| fs::write(path.join("layers.json"), "{}").unwrap()),
        ),
        (
            "`data.json`",
            Box::new(|| fs::write(path.join("data.json"), "[").unwrap()),
        ),
    ];
    for (part, fault) in faults {
        fault();
        fails(&path, &[], part);
        fs::remove_dir_all(&path).unwrap();
        restore();
    }
    // A model that no runtime takes is a failure of the bundle, not of the program.
    let spoiled = spoil(&path.join("model.onnx"), |model| {
        node(model, "logits").op_type = "Gemmm".into();
    });
    fs::rename(spoiled, path.join("model.onnx")).unwrap();
    fails(&path, &[], "cannot load the model");
    let none = folder.path().join("none");
    verify(&none, &[]).could_not_run(&["none"]);
    fs::create_dir(&none).unwrap();
    verify(&none, &[])
        .could_not_run(&["no bundle in"])
        .hint("incept golden write");
    verify(&path, &["--runtime", "rtn"]).could_not_run(&["`rtn`"]);
    verify(&path, &["--atol", "-1"]).code(2);
    verify(&path, &["--rtol", "NaN"]).code(2);
}

/// A fault in the model moves the output, or a layer, or both; each layer from the fault on is found by its checksums.
#[test]
fn a_fault_in_the_model_is_found_by_its_layers() {
    let folder = tempfile::tempdir().unwrap();
    let path = bundle(folder.path(), "inception_resnet_v1", &[], &["--layers"]);
    let model = path.join("model.onnx");
    let record: Record =
        serde_json::from_slice(&fs::read(path.join("layers.json")).unwrap()).unwrap();
    let order: Vec<&str> = record.data_sets[0]
        .values
        .iter()
        .map(|v| v.name.as_str())
        .collect();
    let faulty =
        |fault: &str,
         first: &str,
         change: &dyn Fn(&mut incept::exporters::onnx::proto::ModelProto)| {
            let spoiled = spoil(&model, |model| change(model));
            let arguments = [
                "--model",
                spoiled.to_str().unwrap(),
                "--layers",
                "--runtime",
                "ort",
            ];
            let found = report(&path, &arguments, 1);
            let failed: Vec<&str> = found["values"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|value| value["verdict"] == "failed" && value["kind"] == "layer")
                .map(|value| value["value"].as_str().unwrap())
                .collect();
            assert_eq!(failed.first(), Some(&first), "{fault}: {failed:?}");
            let place = order.iter().position(|name| *name == first).unwrap();
            assert!(
                failed.len() > 3 && failed.len() <= order.len() - place,
                "{fault}: {failed:?}"
            );
            let note = verify(&path, &arguments).code(1).stderr;
            assert!(
                note.contains("another model than the bundle was written with"),
                "{note}"
            );
        };
    let first = "reduction_a/branch_1/conv_3x3/batch_norm";
    let weight = "reduction_a/branch_1/conv_3x3/weight";
    faulty("one weight", first, &|model| {
        change_values(model, weight, |values| values[5] += 0.5)
    });
    faulty("two filters swapped", first, &|model| {
        change_values(model, weight, |values| {
            let filter = values.len() / 38;
            let (a, b) = values.split_at_mut(filter);
            a.swap_with_slice(&mut b[..filter]);
        });
    });
    faulty("kernels mirrored", first, &|model| {
        change_values(model, weight, |values| {
            values.chunks_exact_mut(3).for_each(<[f32]>::reverse)
        });
    });
    faulty("no number", first, &|model| {
        change_values(model, weight, |values| values[5] = f32::NAN)
    });
}

#[test]
fn layers_that_are_asked_for_and_not_there_fail() {
    let folder = tempfile::tempdir().unwrap();
    let (path, restore) = whole(folder.path());
    fs::remove_file(path.join("layers.json")).unwrap();
    // The tolerances for ONNX's runner remain, and are taken.
    report(&path, &[], 0);
    fails(&path, &["--layers"], "it has no `layers.json`");
    restore_without(&path, restore);
    let text = fs::read_to_string(path.join("layers.json")).unwrap();
    let write = |text: String| fs::write(path.join("layers.json"), text).unwrap();
    write(text.replace("\"reduction_a/concatenate\"", "\"reduction_a/nothing\""));
    fails(&path, &["--layers"], "does not put out this value");
    write(text.replace("\"test_data_set_0\"", "\"test_data_set_7\""));
    fails(&path, &["--layers"], "it is not there");
    write(text.replacen("\"maximum\": ", "\"maximum\": 1", 1));
    fails(&path, &["--layers"], "maximum: expected");
    write(text.replace("incept.golden-bundle/1", "incept.golden-bundle/9"));
    fails(&path, &[], "expected schema");
    // Nothing is recorded: no layer is compared, and that is not agreement.
    write(text.clone());
    report(&path, &["--layers"], 0);
    fails(&path, &["--layers", "--tolerance", "0"], "expected");
}

fn restore_without(path: &Path, restore: impl Fn()) {
    fs::remove_dir_all(path).unwrap();
    restore();
}

#[test]
fn a_tolerance_of_nothing_fails_and_flags_go_before_what_a_bundle_says() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = whole(folder.path());
    fails(&path, &["--atol", "0"], "numbers are off");
    let output = path.join("test_data_set_0/output_0.pb");
    change(&output, |tensor| floats(tensor)[0] += 1e-2);
    fails(&path, &[], "1 of 20");
    report(&path, &["--atol", "2e-2"], 0);
    fails(&path, &["--atol", "5e-3"], "1 of 20");
}

/// A folder of bundles is verified whole: one that fails does not end it, and the others still count.
#[test]
fn a_folder_of_bundles_is_verified_whole() {
    let folder = tempfile::tempdir().unwrap();
    let model = export_small(folder.path(), "inception_v4", &[]);
    let bundles = folder.path().join("bundles");
    fs::create_dir(&bundles).unwrap();
    for name in ["a", "b", "c"] {
        write_bundle(&bundles.join(name), &model, &[]).code(0);
    }
    let found = report(&bundles, &["--runtime", "rten"], 0);
    assert_eq!(
        (&found["bundles"], &found["counts"]["matched"]),
        (&3.into(), &3.into())
    );
    change(&bundles.join("b/test_data_set_0/output_0.pb"), |tensor| {
        floats(tensor)[0] += 1.0
    });
    let found = report(&bundles, &["--runtime", "rten"], 1);
    assert_eq!(
        (&found["counts"]["matched"], &found["counts"]["failed"]),
        (&2.into(), &1.into())
    );
    let said = verify(&bundles, &["--runtime", "rten"]).code(1);
    assert!(
        said.stdout.contains("FAILS: 1 failures in 3 bundles"),
        "{}",
        said.stdout
    );
    let rows: Vec<&str> = said
        .stdout
        .lines()
        .filter(|line| line.contains("test_data_set_0"))
        .collect();
    assert_eq!(rows.len(), 1, "only what failed is shown");
    assert!(rows[0].starts_with("b "), "{}", rows[0]);
    let help = run(["golden", "verify", "--help"]).code(0).stdout;
    assert!(help.contains("rtol 1e-3 and atol 1e-7"), "{help}");
}
