//! A made-up report for tests: numbers of a realistic size, none of them measured.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::evaluate::{CropsEvaluated, DataEvaluated, ErrorRate, Evaluation, ModelEvaluated};
use crate::images::contact_sheet;
use crate::images::synthetic::{Split, class_names, draw};
use crate::parity::{Comparison, Metrics, ParityReport, Rule, RuntimeChecked, Verdict};
use crate::provenance::Provenance;

pub(super) const CLASSES: usize = 20;
const IMAGES: usize = 800;

fn provenance(inputs: &[&str]) -> Provenance {
    Provenance {
        version: "0.1.0".into(),
        command: vec!["demo".into(), "--out".into(), "demo".into()],
        inputs: inputs
            .iter()
            .map(|path| ((*path).into(), format!("{:064x}", path.len() * 7919)))
            .collect(),
        runtimes: vec!["ONNX Runtime 1.31.1, CPU".into(), "rten 0.27.0, CPU".into()],
    }
}

pub(super) fn comparison(value: &str, batch: usize, relative_error: f64) -> Comparison {
    let output = value == "logits";
    Comparison {
        value: value.into(),
        batch,
        shape: if output {
            vec![batch, CLASSES]
        } else {
            vec![batch, 96, 7, 7]
        },
        metrics: Some(Metrics {
            elements: batch * 4704,
            max_absolute_error: relative_error * 4.2,
            mean_absolute_error: relative_error * 0.3,
            relative_error,
            max_reference: 4.2,
            cosine: 1.0 - relative_error * relative_error,
            not_finite: 0,
            top1_agreement: output.then_some(1.0),
        }),
        units: None,
        verdict: Verdict::Holds,
    }
}

fn parity(name: &str) -> ParityReport {
    let values = [
        "stem",
        "inception_a.3",
        "reduction_a",
        "inception_b.6",
        "reduction_b",
        "inception_c.2",
        "logits",
    ];
    let run = |runtime: &str, version: &str, error: f64| RuntimeChecked {
        runtime: runtime.into(),
        version: version.into(),
        device: "CPU".into(),
        comparisons: [1, 3]
            .into_iter()
            .flat_map(|batch| {
                values.iter().enumerate().map(move |(depth, value)| {
                    comparison(value, batch, error * (depth + batch) as f64)
                })
            })
            .collect(),
        placement: None,
        layers: vec![],
        noise: vec![],
        layer_by_layer: vec![],
    };
    ParityReport {
        schema: "incept.check/2".into(),
        provenance: provenance(&[&format!("demo/{name}/{name}.onnx")]),
        model: "model.onnx".into(),
        network: name.into(),
        variant: "paper".into(),
        reference: "libtorch, float64, CPU, from the same description and weights".into(),
        rule: Rule::RANGE,
        formula: Rule::RANGE.to_string(),
        images: [3, 3],
        notes: vec![],
        runtimes: vec![
            run("ort", "ONNX Runtime 1.31.1", 2.3e-7),
            run("rten", "rten 0.27.0", 3.1e-7),
        ],
        holds: true,
    }
}

fn network(name: &str, title: &str, parameters: usize, speed: f64) -> NetworkReport {
    // A curve that falls from chance, and losses with a little saw.
    let curve = (1..=12).map(|epoch| {
        let left = (-f64::from(epoch) * speed).exp();
        CurvePoint {
            epoch: f64::from(epoch),
            top1_percent: 12.0 + 83.0 * left,
            top5_percent: 1.5 + 73.5 * left * left,
        }
    });
    let losses = (1..=1200_u32).map(|step| {
        let saw = f64::from(step * 7 % 13) / 60.0;
        LossPoint {
            step: u64::from(step),
            loss: 0.3 + saw + 2.7 * (-f64::from(step) / 100.0 * speed).exp(),
        }
    });
    NetworkReport {
        name: name.into(),
        title: title.into(),
        parameters,
        multiply_adds: parameters as u64 * 17 + 5,
        image_size: (75, 75),
        width_multiplier: 0.25,
        training: Training {
            recipe: vec![
                "RMSProp as TensorFlow has it: decay 0.9, ε 1.0 inside the root, accumulator starting at 1".into(),
                "Learning rate 0.045, times 0.94 every two epochs".into(),
                "Weight decay 4e-5 on convolution and linear weights".into(),
                "Averaged parameters (decay 0.9999, warmed up) for evaluation".into(),
                "Random crop and flip".into(),
            ],
            steps: 1200,
            batch: 32,
            seconds: 131.4 / speed,
        },
        curve: curve.collect(),
        losses: losses.collect(),
        parity: parity(name),
    }
}

pub(super) fn errors(top1_errors: usize, top5_errors: usize) -> ErrorRate {
    let ranks: Vec<usize> = (0..IMAGES)
        .map(|image| match image {
            image if image < top5_errors => 6,
            image if image < top1_errors => 2,
            _ => 0,
        })
        .collect();
    let labels = vec![0; IMAGES];
    ErrorRate::of(&labels, |image| {
        let before = |class: usize| class >= 1 && class <= ranks[image];
        (0..8)
            .map(|class| if before(class) { 0.5 } else { 0.1 })
            .collect()
    })
}

fn evaluation(plan: &str, note: &str, per_image: usize, counts: [(usize, usize); 4]) -> Evaluation {
    let names = ["inception_v4", "inception_resnet_v1", "inception_resnet_v2"];
    let model = |(name, (one, five)): (&str, (usize, usize))| ModelEvaluated {
        path: format!("demo/{name}/{name}.onnx"),
        network: Some(name.into()),
        variant: Some("paper".into()),
        image_size: (75, 75),
        errors: errors(one, five),
    };
    Evaluation {
        schema: "incept.evaluation/1".into(),
        provenance: provenance(&["demo/inception_v4/inception_v4.onnx"]),
        data: DataEvaluated {
            folder: "demo/data/val".into(),
            sha256: "5f2c".repeat(16),
            classes: CLASSES,
            images: IMAGES,
            undecodable: vec![],
        },
        crops: CropsEvaluated {
            plan: plan.into(),
            note: note.into(),
            sha256: vec![format!("{per_image:04x}").repeat(16)],
            per_image,
            computed: (per_image * IMAGES) as u64 - per_image as u64 * 11,
        },
        models: names.into_iter().zip(counts).map(model).collect(),
        ensemble: Some(errors(counts[3].0, counts[3].1)),
    }
}

/// Three networks, three crop plans, a picture.
pub(super) fn report() -> Report {
    let classes = class_names(CLASSES);
    let pictures: Vec<_> = classes
        .iter()
        .map(|class| draw(class, 0, Split::Train, 1).unwrap())
        .collect();
    let sheet = contact_sheet(&pictures, 10, 96).unwrap();
    Report {
        schema: SCHEMA.into(),
        title: "Inception-v4 and Inception-ResNet, from the paper’s figures to crop evaluation".into(),
        quick: false,
        provenance: provenance(&["demo/demo.toml"]),
        data: DataDescription {
            folder: "demo/data".into(),
            kind: "synthetic images".into(),
            how_made: "Procedural objects and textures on cluttered backgrounds, drawn by `incept synth` as JPEG files.".into(),
            training_images: 3200,
            validation_images: IMAGES,
            classes,
            image_sizes: "120 × 96 to 320 × 240 pixels".into(),
            seed: Some(1602),
        },
        networks: vec![
            network("inception_v4", "Inception-v4", 2_681_348, 0.24),
            network("inception_resnet_v1", "Inception-ResNet-v1", 1_431_220, 0.42),
            network("inception_resnet_v2", "Inception-ResNet-v2", 2_048_812, 0.36),
        ],
        evaluations: vec![
            evaluation("1", "single crop as timm evaluates: shorter side to floor(size / 0.875), centre", 1, [(171, 31), (156, 22), (129, 17), (98, 9)]),
            evaluation("12", "an interpretation, the paper does not spell it out: first scale, centre square, corners, centre and the whole square, and their mirror images", 12, [(149, 25), (137, 19), (118, 14), (89, 8)]),
            evaluation("144", "GoogLeNet's 144: shorter sides 256, 288, 320, 352 for a crop of 224, in proportion for another (the paper names no scales for 299)", 144, [(141, 21), (130, 18), (110, 11), (81, 6)]),
        ],
        samples: Some(Samples::new(&sheet, "One training image of each class.").unwrap()),
    }
}
