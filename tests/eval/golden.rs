//! Evaluations beside the ones that Pillow, numpy and ONNX Runtime's Python package give.

use std::fs;
use std::path::Path;

use incept::crops::{CropPlan, InputSize};
use incept::evaluate::{ErrorRate, Evaluation, ImageEvaluated, rank_of};
use incept::provenance::sha256_of_file;

use super::*;

/// Decoding and resampling are Pillow's to the bit, so what is left is float32 arithmetic in another order: a logit of
/// about 1 moves by some 1e-7 over a hundred layers, times what the last layer is enlarged by where layers cancel, and a
/// probability by at most a quarter of that; 5e-8 is what is found. The mildest mistakes planted in the golden script
/// move a probability by far more: one crop of 144 not mirrored by 1e-3, equal crops counted once by 3e-3, centres rounded
/// down by 8e-3.
const TOLERANCE: f64 = 1e-5;

/// Largest difference from the golden probabilities of each model and of all together.
fn differences(golden: &GoldenPlan, images: &[ImageEvaluated]) -> Vec<f64> {
    let mut all = vec![];
    for (number, expected) in golden.models.iter().enumerate() {
        all.push((expected, images.iter().map(|i| &i.models[number]).collect()));
    }
    all.push((
        &golden.ensemble,
        images.iter().map(|i| &i.ensemble).collect::<Vec<_>>(),
    ));
    let worst = all.into_iter().map(|(expected, found)| {
        assert_eq!(expected.probabilities.len(), found.len());
        let each = expected.probabilities.iter().zip(found);
        each.fold(0.0_f64, |worst, (a, b)| worst.max(difference(a, b)))
    });
    worst.collect()
}

fn counts(rate: &ErrorRate) -> (usize, usize, usize) {
    (rate.images, rate.top1_errors, rate.top5_errors)
}

fn evaluate_plan(plan: &str) -> (Evaluation, Vec<ImageEvaluated>) {
    evaluated(models(), &images(), &by_plan(plan)).unwrap()
}

#[test]
fn the_images_are_the_ones_the_golden_script_saw() {
    for image in &golden().images {
        let path = images().join(&image.name);
        assert_eq!(
            sha256_of_file(&path).unwrap(),
            image.sha256,
            "{}",
            image.name
        );
        let pixels = incept::images::load(&path).unwrap();
        assert_eq!(
            (pixels.width(), pixels.height()),
            image.size,
            "{}",
            image.name
        );
    }
}

#[test]
fn counts_ranks_and_probabilities_are_those_of_other_programs() {
    for plan in ["1", "10", "12", "144"] {
        let expected = &golden().plans[plan];
        let (evaluation, images) = evaluate_plan(plan);
        let worst = differences(expected, &images);
        println!("{plan} crops: probabilities differ by at most {worst:.9?}");
        assert!(
            worst.iter().all(|worst| *worst < TOLERANCE),
            "{plan}: {worst:?}"
        );

        assert_eq!(evaluation.crops.per_image.to_string(), plan);
        assert_eq!(
            evaluation.crops.computed, expected.crops_computed,
            "{plan}: distinct crops"
        );
        let names: Vec<(&str, usize)> = images.iter().map(|i| (i.name.as_str(), i.label)).collect();
        let all: Vec<(&str, usize)> = golden()
            .images
            .iter()
            .map(|i| (i.name.as_str(), i.label))
            .collect();
        assert_eq!(names, all);

        let rates = evaluation.models.iter().map(|model| model.errors);
        let rates: Vec<ErrorRate> = rates.chain(evaluation.ensemble).collect();
        let expected: Vec<&GoldenErrors> =
            expected.models.iter().chain([&expected.ensemble]).collect();
        assert_eq!(rates.len(), expected.len());
        for (number, (rate, expected)) in rates.iter().zip(expected).enumerate() {
            assert_eq!(
                counts(rate),
                (images.len(), expected.top1_errors, expected.top5_errors),
                "{plan} {number}"
            );
            let ranks: Vec<usize> = images
                .iter()
                .map(|i| rank_of(i.label, i.models.get(number).unwrap_or(&i.ensemble)))
                .collect();
            assert_eq!(ranks, expected.ranks, "{plan} {number}");
        }
    }
}

#[test]
fn the_plans_make_different_errors_so_that_counts_can_tell_them_apart() {
    let counts = |plan: &GoldenPlan| {
        let all = plan.models.iter().chain([&plan.ensemble]);
        all.map(|errors| (errors.top1_errors, errors.top5_errors))
            .collect::<Vec<_>>()
    };
    let all: Vec<_> = golden().plans.values().map(counts).collect();
    for (number, one) in all.iter().enumerate() {
        assert!(!all[..number].contains(one), "{one:?}");
        assert!(one.iter().any(|errors| *errors != one[0]), "{one:?}");
    }
}

#[test]
fn another_plan_is_noticed() {
    let (_, images) = evaluate_plan("12");
    for worst in differences(&golden().plans["10"], &images) {
        assert!(worst > 100.0 * TOLERANCE, "{worst:.1e}");
    }
}

/// Twelve crops as a file, with or without the mirror images.
fn twelve(folder: &Path, mirror: bool) -> String {
    let path = folder.join(format!("mirror-{mirror}.toml"));
    let views = r#"["top-left", "top-right", "bottom-left", "bottom-right", "centre", "whole"]"#;
    write(
        &path,
        &format!(
            "name = \"twelve\"\ncrop_size = 224\nscales = [256]\nsquares = \"centre\"\nviews = {views}\nmirror = {mirror}\n"
        ),
    );
    path.display().to_string()
}

#[test]
fn a_plan_from_a_file_is_the_same_plan_and_without_mirror_images_another() {
    let folder = tempfile::tempdir().unwrap();
    let file = twelve(folder.path(), true);
    let (evaluation, images) = evaluate_plan(&file);
    for worst in differences(&golden().plans["12"], &images) {
        assert!(worst < TOLERANCE, "{worst:.1e}");
    }
    let side = InputSize::square(golden().image_size as u32);
    assert_eq!(
        evaluation.crops.sha256,
        [CropPlan::twelve(side).unwrap().sha256()]
    );
    assert_eq!(
        (evaluation.crops.plan.as_str(), evaluation.crops.per_image),
        ("twelve", 12)
    );
    // The file is an input like the models.
    assert_eq!(
        evaluation.provenance.inputs[&file],
        sha256_of_file(Path::new(&file)).unwrap()
    );

    let (evaluation, images) = evaluate_plan(&twelve(folder.path(), false));
    assert_eq!(evaluation.crops.per_image, 6);
    assert_ne!(
        evaluation.crops.sha256,
        [CropPlan::twelve(side).unwrap().sha256()]
    );
    for worst in differences(&golden().plans["12"], &images) {
        assert!(worst > 100.0 * TOLERANCE, "{worst:.1e}");
    }
}

#[test]
fn one_wrong_label_changes_the_counts() {
    let plan = &golden().plans["12"];
    let siblings = |label| {
        golden()
            .images
            .iter()
            .filter(|image| image.label == label)
            .count()
    };
    // An image that the first model gets right, and that is not alone in its folder.
    let right = golden()
        .images
        .iter()
        .zip(&plan.models[0].ranks)
        .find(|(image, rank)| **rank == 0 && siblings(image.label) > 1);
    let (image, _) = right.unwrap();
    let copy = copy_of_images();
    let other = (image.label + 1) % golden().classes;
    fs::rename(
        copy.path().join(&image.name),
        copy.path().join(format!("class_{other}/moved.jpg")),
    )
    .unwrap();
    let (evaluation, _) = evaluated(&models()[..1], copy.path(), &by_plan("12")).unwrap();
    assert_eq!(
        evaluation.models[0].errors.top1_errors,
        plan.models[0].top1_errors + 1
    );
}
