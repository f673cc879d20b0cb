//! Models, datasets and plans that are not what they should be: each is named, and where there is a fix, it is told.

use std::fs;

use incept::evaluate::{EvaluateError, Evaluation};
use incept::exporters::onnx::Output;
use incept::images::ImageError;

use super::*;

#[track_caller]
fn says(said: &str, words: &[&str]) {
    for word in words {
        assert!(said.contains(word), "`{word}` is missing in:\n{said}");
    }
}

#[test]
fn models_that_are_no_classifiers_of_these_classes() {
    let features = Export {
        output: Output::Features,
        ..Export::default()
    };
    let model = export(0, "features", features);
    let error = evaluated(std::slice::from_ref(&model), &images(), &by_plan("1")).unwrap_err();
    assert!(
        matches!(&error, EvaluateError::Interface { found, .. } if found == "features"),
        "{error}"
    );

    let eval = |model: &Path| {
        let mut command = incept();
        command
            .args(["eval", "--model"])
            .arg(model)
            .arg("--data")
            .arg(images());
        command
    };
    says(
        &failure(&mut eval(&model)),
        &[
            "evaluation-features.onnx",
            "expected logits or probabilities, found features",
        ],
    );

    let nine = Export {
        classes: 9,
        ..Export::default()
    };
    let said = failure(&mut eval(&export(0, "nine-classes", nine)));
    says(
        &said,
        &[
            "evaluation-nine-classes.onnx",
            "has 9 classes: expected 8",
            "hint: the folders",
        ],
    );

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut.onnx");
    let whole = fs::read(&models()[0]).unwrap();
    for bytes in [&whole[..whole.len() / 2], b"this is no model", b""] {
        fs::write(&path, bytes).unwrap();
        says(&failure(&mut eval(&path)), &["cut.onnx"]);
    }
    says(
        &failure(&mut eval(&folder.path().join("absent.onnx"))),
        &["absent.onnx", "hint: check that"],
    );
}

#[test]
fn datasets_without_classes_or_images() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    says(&failure(&mut eval(&data)), &["data`", "hint: "]);
    fs::create_dir(&data).unwrap();
    says(
        &failure(&mut eval(&data)),
        &[
            "data` has no class folders",
            "an empty folder",
            "hint: lay the dataset out as",
        ],
    );
    fs::copy(
        images().join(&golden().images[0].name),
        data.join("one.jpg"),
    )
    .unwrap();
    says(
        &failure(&mut eval(&data)),
        &["1 images that belong to no class", "hint: "],
    );
    says(
        &failure(&mut eval(&data.join("one.jpg"))),
        &["one.jpg` is not a folder", "hint: "],
    );

    let copy = copy_of_images();
    let image = golden()
        .images
        .iter()
        .find(|image| image.label == 6)
        .unwrap();
    fs::rename(copy.path().join(&image.name), copy.path().join("notes.txt")).unwrap();
    says(
        &failure(&mut eval(copy.path())),
        &[
            "no images in 1 of its 8 class folders: `class_6`",
            "hint: put",
        ],
    );
}

#[test]
fn files_that_cannot_be_decoded_stop_it_or_are_left_out_by_name() {
    // A JPEG that ends in the middle of the picture, and one that is text.
    let copy = copy_of_images();
    let cut = "class_5/landscape.jpg";
    let bytes = fs::read(copy.path().join(cut)).unwrap();
    fs::write(copy.path().join(cut), &bytes[..bytes.len() / 2]).unwrap();
    let said = failure(&mut eval(copy.path()));
    says(
        &said,
        &[cut, "cannot be decoded", "truncated", "--allow-undecodable"],
    );

    let text = "class_0/a_note.jpg";
    write(&copy.path().join(text), "no picture at all");
    let said = failure(&mut eval(copy.path()));
    says(
        &said,
        &[
            text,
            "cannot be decoded",
            "not a JPEG or PNG image",
            "--allow-undecodable",
        ],
    );

    let output = eval(copy.path())
        .args(["--allow-undecodable", "--json", "-"])
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    says(
        &said,
        &[
            "left out, cannot be decoded: class_5/landscape.jpg",
            "left out, cannot be decoded: class_0/a_note.jpg",
        ],
    );
    let evaluation: Evaluation = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(evaluation.data.undecodable, [text, cut]);
    assert_eq!(evaluation.data.images, golden().images.len() + 1);
    // What is left counts as it did before.
    let mut ranks = golden()
        .images
        .iter()
        .zip(&golden().plans["1"].models[0].ranks);
    let errors = ranks
        .by_ref()
        .filter(|(image, rank)| image.name != cut && **rank >= 1)
        .count();
    let found = evaluation.models[0].errors;
    assert_eq!(
        (found.images, found.top1_errors),
        (golden().images.len() - 1, errors)
    );
    assert_eq!(evaluation.crops.computed, golden().images.len() as u64 - 1);
}

#[test]
fn where_nothing_can_be_decoded_there_is_no_result() {
    let copy = copy_of_images();
    for image in &golden().images {
        write(&copy.path().join(&image.name), "no picture at all");
    }
    let said = failure(eval(copy.path()).arg("--allow-undecodable"));
    says(&said, &["none of the 11 images in", "could be decoded"]);
}

/// A file that the system cannot read says nothing about its picture: leaving it out would make a result of a disk that
/// went away.
#[test]
#[cfg(target_os = "linux")]
fn a_file_that_cannot_be_read_is_an_error_even_so() {
    let copy = copy_of_images();
    // Reading at address 0 of a process fails with an input/output error, for root too.
    std::os::unix::fs::symlink("/proc/self/mem", copy.path().join("class_0/unreadable.jpg"))
        .unwrap();
    let said = failure(eval(copy.path()).arg("--allow-undecodable"));
    says(&said, &["cannot read", "class_0/unreadable.jpg"]);
    assert!(!said.contains("decoded"), "{said}");
    let options = EvaluateOptions {
        allow_undecodable: true,
        ..by_plan("1")
    };
    let error = evaluated(&models()[..1], copy.path(), &options).unwrap_err();
    assert!(
        matches!(error, EvaluateError::Image(ImageError::File(_))),
        "{error}"
    );
}

#[test]
fn plans_that_do_not_exist_or_make_no_sense() {
    let folder = tempfile::tempdir().unwrap();
    let with = |plan: &str| failure(eval(&images()).args(["--crops", plan]));
    says(
        &with("13"),
        &[
            "unknown crop plan `13`",
            "expected 1, 10, 12, 144 or a .toml file",
            "hint: ",
        ],
    );
    says(
        &with("/nonexistent/plan.toml"),
        &["/nonexistent/plan.toml", "hint: "],
    );
    let path = folder.path().join("plan.toml");
    let good = "name = \"mine\"\ncrop_size = 224\nscales = [256]\nsquares = \"centre\"\nviews = [\"centre\"]\nmirror = false\n";
    for (from, to, field) in [
        ("scales = [256]", "scales = [100]", "`scales` is 100"),
        ("scales = [256]", "scales = []", "`scales` is empty"),
        ("squares = \"centre\"", "squares = \"four\"", "four"),
        ("views = [\"centre\"]", "views = []", "`views` is empty"),
        ("mirror = false", "", "missing field `mirror`"),
        ("mirror", "mirrored", "unknown field `mirrored`"),
        ("crop_size = 224", "crop_size = 0", "`crop_size` is 0"),
        ("name = \"mine\"", "name = mine", "plan.toml"),
    ] {
        write(&path, &good.replace(from, to));
        says(
            &with(path.to_str().unwrap()),
            &["plan.toml", field, "hint: "],
        );
    }
    // Many crops of an oblong input are not defined.
    let oblong = Export {
        image_size: (75, 96),
        ..Export::default()
    };
    let oblong = export(0, "oblong", oblong);
    let mut command = incept();
    command
        .args(["eval", "--crops", "144", "--model"])
        .arg(&oblong)
        .arg("--data")
        .arg(images());
    says(
        &failure(&mut command),
        &[
            "`144` needs a square network input, found 75x96",
            "hint: use --crops 1",
        ],
    );
    assert!(evaluated(&[oblong], &images(), &by_plan("1")).is_ok());
}

#[test]
fn runtimes_that_are_missing() {
    let said = failure(eval(&images()).args(["--runtime", "orte"]));
    says(
        &said,
        &["no runtime is called `orte`", "hint: did you mean `ort`?"],
    );
    let mut absent = eval(&images());
    absent.env("ORT_DYLIB_PATH", "/nonexistent/libonnxruntime.so");
    says(
        &failure(&mut absent),
        &[
            "runtime `ort` cannot be used",
            "/nonexistent/libonnxruntime.so",
            "hint: run ./scripts/setup.sh",
        ],
    );
    // rten needs no library.
    absent.args(["--runtime", "rten"]).assert().success();
    let said = failure(eval(&images()).args(["--batch", "0"]));
    says(&said, &["`batch`: expected 1 or more, found 0"]);
}
