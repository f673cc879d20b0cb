//! What must not change a result: batch size, runtime, the form of the model, the company it is evaluated in.

use std::fs;

use incept::evaluate::{EvaluateOptions, Evaluation, ImageEvaluated};
use incept::exporters::onnx::{Batch, Output};

use super::*;

/// A runtime may choose its kernels by the size of a batch and so sum in another order: some 1e-7 of a logit of about 1.
const FLOAT32: f64 = 1e-6;

/// The models' and the ensemble's counts.
fn errors(evaluation: &Evaluation) -> Vec<(usize, usize, usize)> {
    let rates = evaluation.models.iter().map(|model| model.errors);
    rates
        .chain(evaluation.ensemble)
        .map(|rate| (rate.images, rate.top1_errors, rate.top5_errors))
        .collect()
}

fn twelve(models: &[PathBuf], options: EvaluateOptions) -> (Evaluation, Vec<ImageEvaluated>) {
    let options = EvaluateOptions {
        crops: "12".into(),
        ..options
    };
    evaluated(models, &images(), &options).unwrap()
}

#[test]
fn the_size_of_a_batch_does_not_matter() {
    let run = |batch| {
        twelve(
            models(),
            EvaluateOptions {
                batch,
                ..EvaluateOptions::default()
            },
        )
    };
    // 132 crops: batches of 7 and 32 reach over the borders of images, and the last ones are not full.
    let (expected, all) = run(132);
    for batch in [1, 7, 32] {
        let (evaluation, images) = run(batch);
        let worst = largest_difference(&all, &images);
        println!("batch {batch}: {worst:.1e}");
        assert!(worst < FLOAT32, "batch {batch}: {worst:.1e}");
        assert_eq!(errors(&evaluation), errors(&expected), "batch {batch}");
        assert_eq!(evaluation.crops, expected.crops);
    }
}

#[test]
fn a_model_with_a_fixed_batch_keeps_it() {
    let (expected, all) = twelve(&models()[..1], EvaluateOptions::default());
    let fixed = export(
        0,
        "fixed-batch",
        Export {
            batch: Batch::Fixed(5),
            ..Export::default()
        },
    );
    // 132 crops are 26 batches of 5 and one that is filled up.
    let (evaluation, images) = twelve(&[fixed], EvaluateOptions::default());
    let worst = largest_difference(&all, &images);
    assert!(worst < FLOAT32, "{worst:.1e}");
    assert_eq!(errors(&evaluation), errors(&expected));
}

#[test]
fn probabilities_put_out_by_the_model_are_as_good_as_logits() {
    let (expected, all) = twelve(&models()[..1], EvaluateOptions::default());
    let probabilities = export(
        0,
        "probabilities",
        Export {
            output: Output::Probabilities,
            ..Export::default()
        },
    );
    let (evaluation, images) = twelve(&[probabilities], EvaluateOptions::default());
    let worst = largest_difference(&all, &images);
    assert!(worst < FLOAT32, "{worst:.1e}");
    assert_eq!(errors(&evaluation), errors(&expected));
}

#[test]
fn another_runtime_counts_the_same_errors() {
    let (expected, all) = twelve(models(), EvaluateOptions::default());
    let options = EvaluateOptions {
        runtime: "rten".into(),
        ..EvaluateOptions::default()
    };
    let (evaluation, images) = twelve(models(), options);
    let worst = largest_difference(&all, &images);
    println!("rten: {worst:.1e}");
    // Another library sums in another order everywhere: the golden tolerance.
    assert!(worst < 1e-5, "{worst:.1e}");
    assert_eq!(errors(&evaluation), errors(&expected));
    assert_eq!(evaluation.provenance.runtimes, ["rten 0.27, CPU"]);
}

#[test]
fn a_model_beside_itself_is_the_model() {
    let (single, alone) = twelve(&models()[..1], EvaluateOptions::default());
    assert!(single.ensemble.is_none());
    let twice = [models()[0].clone(), models()[0].clone()];
    let (evaluation, images) = twelve(&twice, EvaluateOptions::default());
    assert_eq!(evaluation.models[0], evaluation.models[1]);
    assert_eq!(evaluation.models[0], single.models[0]);
    assert_eq!(evaluation.ensemble, Some(single.models[0].errors));
    for (pair, one) in images.iter().zip(&alone) {
        assert_eq!(pair.models[0], pair.models[1]);
        assert_eq!(pair.ensemble, one.ensemble, "{}", one.name);
    }
}

#[test]
fn models_of_different_input_sizes_form_an_ensemble() {
    let larger = export(
        1,
        "larger",
        Export {
            image_size: (96, 96),
            ..Export::default()
        },
    );
    let both = [models()[0].clone(), larger.clone()];
    let (evaluation, images) = twelve(&both, EvaluateOptions::default());
    assert_eq!(evaluation.models[0].image_size, (75, 75));
    assert_eq!(evaluation.models[1].image_size, (96, 96));
    assert_eq!(evaluation.crops.sha256.len(), 2);
    for (number, model) in both.iter().enumerate() {
        let (single, alone) = twelve(std::slice::from_ref(model), EvaluateOptions::default());
        assert_eq!(evaluation.models[number], single.models[0]);
        assert_eq!(
            evaluation.crops.sha256[number], single.crops.sha256[0],
            "plans stand in order of size"
        );
        for (together, one) in images.iter().zip(&alone) {
            assert_eq!(together.models[number], one.models[0], "{}", one.name);
        }
    }
    for image in &images {
        let average: Vec<f64> = image.models[0]
            .iter()
            .zip(&image.models[1])
            .map(|(a, b)| (a + b) / 2.0)
            .collect();
        assert_eq!(image.ensemble, average);
        assert!((image.ensemble.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    }
    // In the other order the same, with the models exchanged.
    let (other, _) = twelve(&[larger, models()[0].clone()], EvaluateOptions::default());
    assert_eq!(other.ensemble, evaluation.ensemble);
    assert_eq!(other.models[0], evaluation.models[1]);
}

#[test]
fn of_a_square_image_48_crops_are_computed_and_144_are_counted() {
    let data = tempfile::tempdir().unwrap();
    let square = golden()
        .images
        .iter()
        .find(|image| image.size.0 == image.size.1)
        .unwrap();
    for class in 0..golden().classes {
        let folder = data.path().join(format!("class_{class}"));
        fs::create_dir(&folder).unwrap();
        fs::copy(images().join(&square.name), folder.join("square.jpg")).unwrap();
    }
    let (evaluation, _) = evaluated(&models()[..1], data.path(), &by_plan("144")).unwrap();
    let crops = (evaluation.crops.per_image, evaluation.crops.computed);
    assert_eq!(crops, (144, 48 * golden().classes as u64));
    // The same image under every label: right once, among the first five five times.
    let errors = evaluation.models[0].errors;
    let classes = golden().classes;
    assert_eq!(
        (errors.images, errors.top1_errors, errors.top5_errors),
        (classes, classes - 1, classes - 5)
    );
}
