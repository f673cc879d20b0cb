//! `eval` and `check` of files with a preprocessing contract: done as it says, refused where a flag, the data or the file
//! itself says otherwise.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use incept::evaluate::{EvaluateOptions, Evaluation, ImageEvaluated, evaluate_each};
use incept::exporters::onnx::proto::ModelProto;
use incept::exporters::onnx::{ImageSize, Input, Labels, Output, Recipe};
use prost::Message;
use support::{Said, incept, run};

use super::*;

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/evaluation/images")
}

fn folders() -> Vec<String> {
    support::entries(&data())
}

/// A model of 8 classes, as the golden images have folders.
fn write(folder: &Path, name: &str, classes: usize, options: &ExportOptions) -> PathBuf {
    let options_of_net = NetOptions {
        classes,
        width_multiplier: 0.1,
        ..NetOptions::default()
    };
    let entry = zoo::find("inception_resnet_v1", None).unwrap();
    let net = entry.build(&options_of_net.image_size(75)).unwrap();
    let path = folder.join(format!("{name}.onnx"));
    onnx::write(&net, &Weights::randomised(&net, 9), options, &path).unwrap();
    path
}

fn classes() -> usize {
    folders().len()
}

fn evaluated(model: &Path, options: &EvaluateOptions) -> (Evaluation, Vec<ImageEvaluated>) {
    let mut images = vec![];
    let models = [model.to_path_buf()];
    let result = evaluate_each(&models, &data(), options, &mut |_| {}, &mut |image| {
        images.push(image);
    });
    (result.unwrap(), images)
}

fn evaluate(model: &Path) -> Vec<Vec<f64>> {
    let (_, images) = evaluated(model, &EvaluateOptions::default());
    images.into_iter().map(|image| image.ensemble).collect()
}

fn largest_difference(a: &[Vec<f64>], b: &[Vec<f64>]) -> f64 {
    assert!(!a.is_empty() && a.len() == b.len());
    let pairs = a.iter().flatten().zip(b.iter().flatten());
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

struct Models {
    _folder: tempfile::TempDir,
    tensor: PathBuf,
    image: PathBuf,
    any: PathBuf,
    slim: PathBuf,
    dynamic: PathBuf,
}

fn models() -> &'static Models {
    static MODELS: OnceLock<Models> = OnceLock::new();
    MODELS.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let write = |name, options: ExportOptions| write(folder.path(), name, classes(), &options);
        Models {
            tensor: write("tensor", taking(Input::Tensor)),
            image: write("image", taking(Input::Image)),
            any: write("any", taking(Input::ImageOfAnySize)),
            slim: write(
                "slim",
                ExportOptions {
                    recipe: Some(Recipe::tf_slim(0.875)),
                    ..ExportOptions::default()
                },
            ),
            dynamic: write(
                "dynamic",
                ExportOptions {
                    image_size: ImageSize::Dynamic,
                    ..ExportOptions::default()
                },
            ),
            _folder: folder,
        }
    })
}

fn eval(model: &Path, arguments: &[&str]) -> Said {
    let mut command = incept();
    command.args(["eval", "--model"]).arg(model);
    command.arg("--data").arg(data()).args(arguments);
    command.output().unwrap().into()
}

/// Bytes are the same bytes; the model's own resize differs from Pillow's by a level here and there (`resize.rs`), which
/// moves a probability by about as much as float32 does.
#[test]
fn models_of_all_inputs_see_the_same_images() {
    let models = models();
    let tensor = evaluate(&models.tensor);
    let spread = tensor.iter().flatten().fold(0.0f64, |most, p| most.max(*p));
    assert!(
        spread > 1.5 / classes() as f64,
        "all classes are equally likely"
    );
    assert_eq!(largest_difference(&tensor, &evaluate(&models.image)), 0.0);
    let any = largest_difference(&tensor, &evaluate(&models.any));
    println!("with the resize in the model: {any:.1e}");
    assert!(any < 1e-3, "{any:.1e}");
    // Another recipe, or another crop, is seen.
    let slim = largest_difference(&tensor, &evaluate(&models.slim));
    assert!(slim > 10.0 * any.max(1e-4), "{slim:.1e} beside {any:.1e}");
    let (evaluation, _) = evaluated(&models.any, &EvaluateOptions::default());
    assert_eq!(evaluation.crops.plan, "1, in the model");
    assert_eq!(evaluation.models[0].image_size, (75, 75));
}

#[test]
fn the_single_crop_is_the_contracts() {
    let folder = tempfile::tempdir().unwrap();
    let fraction = |fraction| {
        let options = ExportOptions {
            recipe: Some(Recipe::timm(fraction)),
            ..ExportOptions::default()
        };
        write(folder.path(), &format!("{fraction}"), classes(), &options)
    };
    let (narrow, whole) = (fraction(0.5), fraction(1.0));
    let plan = |model: &Path| {
        let (evaluation, _) = evaluated(model, &EvaluateOptions::default());
        (evaluation.crops.note, evaluation.crops.sha256)
    };
    assert!(plan(&narrow).0.contains("/ 0.5)") && plan(&whole).0.contains("/ 1)"));
    assert_ne!(plan(&narrow).1, plan(&whole).1);
    assert!(plan(&models().slim).0.contains("TF-slim"));
    // A flag that says the same is no contradiction.
    eval(&narrow, &["--crop-fraction", "0.5", "--image-size", "75"]).code(0);
    eval(&models().slim, &["--crops", "1-tf-slim"]).code(0);
    // In an ensemble each model has its own.
    let both = [narrow.clone(), models().slim.clone()];
    let mut images = vec![];
    let each = &mut |image| images.push(image);
    evaluate_each(
        &both,
        &data(),
        &EvaluateOptions::default(),
        &mut |_| {},
        each,
    )
    .unwrap();
    for (number, model) in both.iter().enumerate() {
        let alone = evaluate(model);
        let together: Vec<Vec<f64>> = images
            .iter()
            .map(|image: &ImageEvaluated| image.models[number].clone())
            .collect();
        assert_eq!(alone, together);
    }
}

#[test]
fn flags_against_the_contract_are_refused_with_both_sides() {
    let Models {
        tensor,
        any,
        dynamic,
        ..
    } = models();
    for (model, arguments, parts) in [
        (
            tensor,
            vec!["--crop-fraction", "0.9"],
            vec!["crop fraction 0.875", "--crop-fraction 0.9"],
        ),
        (
            tensor,
            vec!["--crops", "1-tf-slim"],
            vec![
                "preprocessing shorter side",
                "--crops 1-tf-slim",
                "stretched",
            ],
        ),
        (
            tensor,
            vec!["--image-size", "80x75"],
            vec!["image size 75x75", "--image-size 80x75"],
        ),
        (
            any,
            vec!["--crops", "10"],
            vec!["crops 1, in the model", "--crops 10"],
        ),
        (
            any,
            vec!["--crop-fraction", "1"],
            vec!["crop fraction 0.875", "--crop-fraction 1"],
        ),
        (
            any,
            vec!["--image-size", "80"],
            vec!["image size 75x75", "--image-size 80x80"],
        ),
        (
            dynamic,
            vec!["--image-size", "74x80"],
            vec!["least image size 75", "--image-size 74x80"],
        ),
    ] {
        eval(model, &arguments)
            .could_not_run(&parts)
            .hint("incept.preprocessing");
    }
    eval(tensor, &["--crops", "10", "--crop-fraction", "0.9"])
        .could_not_run(&["`crop-fraction`", "--crops 10"]);
    eval(dynamic, &["--image-size", "80"]).code(0);
}

/// A file whose metadata was changed.
fn tampered(model: &Path, name: &str, change: impl Fn(&mut BTreeMap<String, String>)) -> PathBuf {
    let mut decoded = ModelProto::decode(fs::read(model).unwrap().as_slice()).unwrap();
    let entries = decoded.metadata_props.iter();
    let mut metadata: BTreeMap<String, String> = entries
        .map(|entry| (entry.key.clone(), entry.value.clone()))
        .collect();
    change(&mut metadata);
    decoded
        .metadata_props
        .retain(|entry| metadata.contains_key(&entry.key));
    for entry in &mut decoded.metadata_props {
        entry.value = metadata[&entry.key].clone();
    }
    let path = model.with_file_name(format!("{name}.onnx"));
    fs::write(&path, decoded.encode_to_vec()).unwrap();
    path
}

#[test]
fn files_that_contradict_their_own_contract_are_refused() {
    let change = |name: &str, from: &'static str, to: &'static str| {
        tampered(&models().tensor, &format!("changed-{name}"), |metadata| {
            let contract = metadata.get_mut("incept.preprocessing").unwrap();
            assert!(contract.contains(from), "{contract}");
            *contract = contract.replace(from, to);
        })
    };
    let count = format!("\"count\":{}", classes());
    let count: &'static str = count.leak();
    for (name, from, to, parts) in [
        (
            "element",
            "\"float32\"",
            "\"uint8\"",
            vec!["input uint8 NHWC", "the file's own float32 NCHW"],
        ),
        (
            "height",
            "\"height\":75",
            "\"height\":80",
            vec!["image size 80x75", "the file's own 75x75"],
        ),
        (
            "count",
            count,
            "\"count\":1001",
            vec!["number of classes 1001", "the file's own"],
        ),
        (
            "any",
            "\"in_graph\":[]",
            "\"in_graph\":[\"resize-and-crop\"]",
            vec!["image size any", "a fixed height"],
        ),
        (
            "json",
            "{\"schema\"",
            "[\"schema\"",
            vec!["cannot read the preprocessing contract", "malformed"],
        ),
        (
            "schema",
            "processing/1",
            "processing/9",
            vec!["`schema`", "expected incept.preprocessing/1"],
        ),
        (
            "filter",
            "\"bicubic\"",
            "\"bilinear\"",
            vec![
                "expected timm's or TF-slim's single crop",
                "bilinear, antialiased",
            ],
        ),
    ] {
        eval(&change(name, from, to), &[]).could_not_run(&parts);
    }
    // Without a contract a file is evaluated as such files always were.
    let bare = tampered(&models().tensor, "bare", |metadata| {
        metadata.remove("incept.preprocessing");
    });
    assert_eq!(evaluate(&bare), evaluate(&models().tensor));
    eval(&bare, &["--crop-fraction", "0.9"]).code(0);
    eval(&bare, &["--crops", "1-tf-slim"]).code(0);
    // Another scaling is done as it says: (x - 127.5) / 128, to which [-1, 1] is close.
    let facenet = change(
        "facenet",
        "{\"divisor\":127.5,\"offset\":1.0}",
        "{\"divisor\":128.0,\"offset\":0.99609375}",
    );
    let difference = largest_difference(&evaluate(&facenet), &evaluate(&models().tensor));
    assert!(difference > 1e-6 && difference < 0.05, "{difference:.1e}");
}

#[test]
fn labels_and_background_are_kept_to() {
    let folder = tempfile::tempdir().unwrap();
    let with = |name: &str, classes: usize, background, names: Option<Vec<String>>| {
        let options = ExportOptions {
            labels: Labels { background, names },
            ..ExportOptions::default()
        };
        write(folder.path(), name, classes, &options)
    };
    eval(&with("right", classes(), false, Some(folders())), &[]).code(0);
    let mut turned = folders();
    turned.swap(0, 1);
    eval(&with("turned", classes(), false, Some(turned)), &[])
        .could_not_run(&["SHA-256 of the classes' names", "the data's"]);

    // One class more than folders: refused, unless the first is background; then it is dropped after the softmax.
    let more = with("more", classes() + 1, false, None);
    let found = format!("has {} classes: expected {}", classes() + 1, classes());
    eval(&more, &[]).could_not_run(&[&found]);
    let background = with("background", classes() + 1, true, Some(folders()));
    let dropped = evaluate(&background);
    let kept: Vec<f64> = dropped.iter().map(|image| image.iter().sum()).collect();
    assert!(
        kept.iter().all(|sum| *sum > 0.1 && *sum < 0.999),
        "{kept:?}"
    );
    // The same weights without a contract, on data with a first folder for the background: an independent way there.
    let bare = tampered(&background, "bare", |metadata| {
        metadata.remove("incept.preprocessing");
    });
    let copy = tempfile::tempdir().unwrap();
    fs::create_dir(copy.path().join("a_background")).unwrap();
    let place = data().join(&folders()[0]);
    let first = support::entries(&place).remove(0);
    fs::copy(
        place.join(&first),
        copy.path().join("a_background").join(&first),
    )
    .unwrap();
    for class in folders() {
        fs::create_dir(copy.path().join(&class)).unwrap();
        for file in support::entries(&data().join(&class)) {
            fs::copy(
                data().join(&class).join(&file),
                copy.path().join(&class).join(&file),
            )
            .unwrap();
        }
    }
    let mut images = vec![];
    let each = &mut |image: ImageEvaluated| images.push(image.ensemble);
    evaluate_each(
        &[bare],
        copy.path(),
        &EvaluateOptions::default(),
        &mut |_| {},
        each,
    )
    .unwrap();
    let whole: Vec<Vec<f64>> = images[1..]
        .iter()
        .map(|image| image[1..].to_vec())
        .collect();
    assert!(largest_difference(&whole, &dropped) < 1e-6);
}

#[test]
fn eval_takes_the_right_one_of_several_outputs() {
    let folder = tempfile::tempdir().unwrap();
    let tensor = evaluate(&models().tensor);
    for outputs in [
        vec![Output::Features, Output::Logits],
        vec![Output::Probabilities, Output::Features, Output::Logits],
        vec![Output::Features, Output::Probabilities],
    ] {
        let options = ExportOptions {
            outputs: outputs.clone(),
            layers: vec!["stem*".into()],
            ..ExportOptions::default()
        };
        let found = evaluate(&write(folder.path(), "several", classes(), &options));
        assert!(largest_difference(&found, &tensor) < 1e-6, "{outputs:?}");
    }
    let features = ExportOptions {
        outputs: vec![Output::Features],
        layers: vec!["stem*relu".into()],
        ..ExportOptions::default()
    };
    let model = write(folder.path(), "features", classes(), &features);
    eval(&model, &[]).could_not_run(&["expected logits or probabilities", "found features"]);
}

/// `check` compares every head and gives a model what it takes.
#[test]
fn check_takes_every_form() {
    let folder = tempfile::tempdir().unwrap();
    let export = |name: &str, arguments: &[&str]| {
        let sub = folder.path().join(name);
        fs::create_dir(&sub).unwrap();
        support::export_small(&sub, "inception_v4", arguments)
    };
    let several = export(
        "heads",
        &[
            "--output",
            "features,probabilities",
            "--outputs",
            "*/concatenate",
        ],
    );
    let said = run([
        "check".as_ref(),
        several.as_os_str(),
        "--batch".as_ref(),
        "1".as_ref(),
    ])
    .code(0);
    for head in ["  features  ", "  probabilities  "] {
        assert!(said.stdout.contains(head), "{}", said.stdout);
    }
    let image = export("image", &["--input", "image"]);
    let said = run(["check".as_ref(), image.as_os_str()]).code(0);
    assert!(said.stdout.contains("  logits  "), "{}", said.stdout);
    // rten has no antialiased resize, and without libtorch there is nothing else to compare with.
    #[cfg(feature = "torch")]
    for size in ["75", "91x139"] {
        let path = folder.path().join("any.onnx");
        let arguments = [
            "--classes",
            "10",
            "--width",
            "0.1",
            "--input",
            "image",
            "--resize",
        ];
        let mut command = incept();
        command.args(["export", "inception_v4", "--image-size", size, "-o"]);
        let said: Said = command.arg(&path).args(arguments).output().unwrap().into();
        said.code(0);
        run([
            "check".as_ref(),
            path.as_os_str(),
            "--runtime".as_ref(),
            "ort".as_ref(),
        ])
        .code(0);
    }
}
