//! Evaluation and the synthetic dataset, through the library and through the program.
#![allow(clippy::unwrap_used)]

mod bad_input;
mod command_line;
mod golden;
mod invariance;
mod synthetic;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use assert_cmd::Command;
use incept::evaluate::{EvaluateError, EvaluateOptions, Evaluation, ImageEvaluated, evaluate_each};
use incept::exporters::net::NetOptions;
use incept::exporters::onnx::{self, Batch, ExportOptions, Output};
use incept::exporters::weights::{Tensor, Weights};
use incept::exporters::zoo;
use incept::files;
use serde::Deserialize;

/// A network of the golden evaluation.
#[derive(Deserialize)]
struct GoldenModel {
    network: String,
    width: f64,
    seed: u64,
    logits_factor: f32,
    logits_bias: Vec<f32>,
}

/// An image of the golden evaluation.
#[derive(Deserialize)]
struct GoldenImage {
    name: String,
    label: usize,
    size: (u32, u32),
    sha256: String,
}

/// What a model, or all together, say by one plan; images in the dataset's order.
#[derive(Deserialize)]
struct GoldenErrors {
    top1_errors: usize,
    top5_errors: usize,
    ranks: Vec<usize>,
    probabilities: Vec<Vec<f64>>,
}

#[derive(Deserialize)]
struct GoldenPlan {
    crops_computed: u64,
    models: Vec<GoldenErrors>,
    ensemble: GoldenErrors,
}

/// `golden/evaluation/expected.json`, written by `scripts/golden/evaluation.py`.
#[derive(Deserialize)]
struct Golden {
    image_size: usize,
    classes: usize,
    models: Vec<GoldenModel>,
    images: Vec<GoldenImage>,
    plans: std::collections::BTreeMap<String, GoldenPlan>,
}

fn golden() -> &'static Golden {
    static GOLDEN: OnceLock<Golden> = OnceLock::new();
    GOLDEN.get_or_init(|| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/evaluation/expected.json");
        serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
    })
}

/// The images of the golden evaluation.
fn images() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/evaluation/images")
}

/// What is exported of a golden network.
#[derive(Clone, Copy)]
struct Export {
    image_size: (usize, usize),
    classes: usize,
    batch: Batch,
    output: Output,
}

impl Default for Export {
    fn default() -> Self {
        Self {
            image_size: (golden().image_size, golden().image_size),
            classes: golden().classes,
            batch: Batch::Dynamic,
            output: Output::Logits,
        }
    }
}

/// Exports golden network number `number`, its last layer changed as the golden script changes the logits.
fn export(number: usize, name: &str, options: Export) -> PathBuf {
    let model = &golden().models[number];
    let net = zoo::find(&model.network, None)
        .unwrap()
        .build(&NetOptions {
            image_height: options.image_size.0,
            image_width: options.image_size.1,
            classes: options.classes,
            width_multiplier: model.width,
            ..NetOptions::default()
        })
        .unwrap();
    let mut weights = Weights::initial(&net, model.seed);
    let last = weights.get("logits/weight").unwrap();
    let (shape, mut values) = (last.shape().to_vec(), last.values().into_owned());
    values
        .iter_mut()
        .for_each(|value| *value *= model.logits_factor);
    weights.insert("logits/weight", Tensor::owned(shape, values));
    let mut bias = model.logits_bias.clone();
    bias.resize(options.classes, 0.0);
    weights.insert("logits/bias", Tensor::owned(vec![bias.len()], bias));
    let export = ExportOptions {
        batch: options.batch,
        outputs: vec![options.output],
        ..ExportOptions::default()
    };
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("evaluation-{name}.onnx"));
    onnx::write(&net, &weights, &export, &path).unwrap();
    path
}

/// The two models of the golden evaluation.
fn models() -> &'static [PathBuf] {
    static MODELS: OnceLock<Vec<PathBuf>> = OnceLock::new();
    MODELS.get_or_init(|| {
        ["first", "second"]
            .into_iter()
            .enumerate()
            .map(|(number, name)| export(number, name, Export::default()))
            .collect()
    })
}

/// The counts, and every image that counts.
fn evaluated(
    models: &[PathBuf],
    data: &Path,
    options: &EvaluateOptions,
) -> Result<(Evaluation, Vec<ImageEvaluated>), EvaluateError> {
    let mut images = vec![];
    let evaluation = evaluate_each(models, data, options, &mut |_| {}, &mut |image| {
        images.push(image);
    })?;
    Ok((evaluation, images))
}

fn by_plan(crops: &str) -> EvaluateOptions {
    EvaluateOptions {
        crops: crops.into(),
        ..EvaluateOptions::default()
    }
}

/// A copy of the golden images that a test may change.
fn copy_of_images() -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for image in &golden().images {
        let to = copy.path().join(&image.name);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(images().join(&image.name), to).unwrap();
    }
    copy
}

fn write(path: &Path, text: &str) {
    files::write_whole(path, |file| file.write_all(text.as_bytes())).unwrap();
}

/// Largest difference between two lists of probabilities; NaN where either holds one.
fn difference(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    let differences = a.iter().zip(b).map(|(a, b)| (a - b).abs());
    differences.fold(
        0.0,
        |worst: f64, next| {
            if next.is_nan() { next } else { worst.max(next) }
        },
    )
}

/// Largest difference between the probabilities of two evaluations of the same images.
fn largest_difference(a: &[ImageEvaluated], b: &[ImageEvaluated]) -> f64 {
    assert!(!a.is_empty() && a.len() == b.len());
    let mut worst: f64 = 0.0;
    for (a, b) in a.iter().zip(b) {
        assert_eq!(
            (&a.name, a.label, a.models.len()),
            (&b.name, b.label, b.models.len())
        );
        let all = |image: &ImageEvaluated| [image.models.concat(), image.ensemble.clone()].concat();
        let next = difference(&all(a), &all(b));
        assert!(!next.is_nan(), "{}", a.name);
        worst = worst.max(next);
    }
    worst
}

/// The program.
fn incept() -> Command {
    Command::cargo_bin("incept").unwrap()
}

/// Runs a command that must fail with exit code 2, an error and nothing on standard output; gives what it said.
fn failure(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.starts_with("error: "), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    assert!(output.stdout.is_empty());
    said
}

/// `incept eval` of the first golden model.
fn eval(data: &Path) -> Command {
    let mut command = incept();
    command.args(["eval", "--model"]).arg(&models()[0]);
    command.arg("--data").arg(data);
    command
}
