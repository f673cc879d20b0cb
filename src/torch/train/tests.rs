#![allow(clippy::unwrap_used)]
use super::*;
use crate::images::synthetic::{SyntheticOptions, write_dataset};
use crate::training::{CheckpointError, TrainingConfig, list};
use std::fs;
use std::path::Path;
use std::sync::OnceLock;

/// 4 classes of 10 images, drawn once for all tests.
fn data() -> &'static Path {
    static DATA: OnceLock<tempfile::TempDir> = OnceLock::new();
    DATA.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let options = SyntheticOptions {
            images: 40,
            classes: 4,
            ..SyntheticOptions::default()
        };
        write_dataset(folder.path(), &options, &mut |_, _| ()).unwrap();
        folder
    })
    .path()
}

fn config(output: &Path, changes: &[&str]) -> TrainingConfig {
    let text = format!(
        "network = 'inception_resnet_v1'\ndata = '{}'\noutput = '{}'\nsteps = 10\nbatch_size = 6\n\
         checkpoint_every = 5\nvalidate_every = 2\nworkers = 1\nthreads = 1\nclip_norm = 2.0\n\
         [options]\nimage_height = 75\nimage_width = 75\nwidth_multiplier = 0.06\n\
         [learning_rate]\ninitial = 0.02\n[batch_norm]\ndecay = 0.9\n",
        data().display(),
        output.display()
    );
    let path = output.with_extension("toml");
    fs::write(&path, text).unwrap();
    let changes: Vec<String> = changes.iter().map(|change| change.to_string()).collect();
    TrainingConfig::read(&path, &changes).unwrap()
}

fn run(config: &TrainingConfig, resume: bool) -> Result<TrainingSummary, TrainingError> {
    train(config, resume, &mut |_| ())
}

/// Lines of the metrics without the speed, which differs from run to run.
fn metrics(output: &Path) -> Vec<String> {
    let text = fs::read_to_string(output.join("metrics.jsonl")).unwrap();
    let cut = |line: &str| {
        line.split("\"images_per_second\"")
            .next()
            .unwrap()
            .to_string()
    };
    text.lines().map(cut).collect()
}

#[test]
fn ten_steps_are_five_and_five_more_bit_for_bit_with_other_workers() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, parts) = (folder.path().join("whole"), folder.path().join("parts"));
    let mut events = vec![];
    let summary = train(&config(&whole, &[]), false, &mut |event| {
        events.push(event.clone())
    })
    .unwrap();
    assert_eq!(summary.steps, 10);
    assert_eq!(summary.classes.len(), 4);
    assert!(matches!(
        events[0],
        Event::Started {
            step: 0,
            steps: 10,
            images: 32,
            ..
        }
    ));

    run(&config(&parts, &["steps=5"]), false).unwrap();
    // A third of a run that was cut short leaves lines beyond the checkpoint and half a line.
    let path = parts.join("metrics.jsonl");
    let mut text = fs::read_to_string(&path).unwrap();
    text.push_str("{\"kind\":\"step\",\"step\":6,\"loss\":1.0}\n{\"kind\":\"st");
    fs::write(&path, text).unwrap();
    let resumed = run(&config(&parts, &["workers=3", "image_cache_mib=0"]), true).unwrap();
    assert_eq!(resumed.steps, 10);

    for file in ["weights.safetensors", "training.safetensors"] {
        let read =
            |output: &Path| fs::read(output.join("checkpoints/step-000010").join(file)).unwrap();
        let (a, b) = (read(&whole), read(&parts));
        assert!(a == b, "{file} differs");
        // The file holds what it should: the run has moved away from its start.
        let start = fs::read(whole.join("checkpoints/step-000005").join(file)).unwrap();
        assert!(a != start, "{file} did not change");
    }
    let final_weights = |output: &Path| fs::read(output.join("weights.safetensors")).unwrap();
    assert!(final_weights(&whole) == final_weights(&parts));
    // One validation more: the end of the shorter run was validated too.
    let steps = |output: &Path| -> Vec<String> {
        metrics(output)
            .into_iter()
            .filter(|line| line.contains("\"step\","))
            .collect()
    };
    assert_eq!(steps(&whole), steps(&parts));
    assert_eq!(steps(&whole).len(), 10);
    assert_eq!(summary.validation, resumed.validation);

    // A finished run is left as it is.
    let before = metrics(&parts);
    let again = run(&config(&parts, &[]), true).unwrap();
    assert_eq!(again.validation, resumed.validation);
    assert_eq!(again.loss, None);
    assert_eq!(metrics(&parts), before);
}

#[test]
fn a_run_is_not_overwritten_nor_continued_with_other_settings() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("run");
    run(&config(&output, &["steps=1", "checkpoint_every=1"]), false).unwrap();
    let error = run(&config(&output, &["steps=2"]), false).unwrap_err();
    assert!(matches!(error, TrainingError::Occupied { .. }), "{error}");
    assert!(error.hint().unwrap().contains("--resume"));
    let changed = [
        "steps=2",
        "learning_rate.initial=0.5",
        "batch_size=7",
        "workers=2",
    ];
    let error = run(&config(&output, &changed), true).unwrap_err();
    let TrainingError::Checkpoint(CheckpointError::Changed { ref changes, .. }) = error else {
        panic!("{error}");
    };
    assert_eq!(
        changes,
        &[
            "`batch_size`: expected 6, found 7",
            "`learning_rate.initial`: expected 0.02, found 0.5"
        ]
    );
    // A folder that was being written when the machine stopped is no checkpoint.
    let partial = output.join("checkpoints/.incept-x.partial");
    fs::create_dir(&partial).unwrap();
    fs::create_dir(output.join("checkpoints/step-000009")).unwrap();
    assert_eq!(list(&output).unwrap().len(), 1);
    // A truncated one is named.
    let state = output.join("checkpoints/step-000001/state.json");
    fs::write(&state, "{\"schema\"").unwrap();
    let error = run(&config(&output, &["steps=2"]), true).unwrap_err();
    assert!(error.to_string().contains("state.json"), "{error}");
    assert!(error.hint().is_some());
}

#[test]
fn a_run_is_not_shortened_and_not_shared() {
    let output = tempfile::tempdir().unwrap();
    run(&config(output.path(), &["steps=3"]), false).unwrap();
    let error = run(&config(output.path(), &["steps=2"]), true).unwrap_err();
    assert!(
        matches!(error, TrainingError::Beyond { step: 3, steps: 2 }),
        "{error}"
    );
    assert!(error.hint().is_some());

    let other = std::fs::File::create(output.path().join(".lock")).unwrap();
    other.lock().unwrap();
    let error = run(&config(output.path(), &["steps=4"]), true).unwrap_err();
    assert!(matches!(error, TrainingError::Busy { .. }), "{error}");
    drop(other);
    run(&config(output.path(), &["steps=4"]), true).unwrap();
}

#[test]
fn a_loss_that_is_not_finite_stops_the_run_and_names_the_last_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("run");
    let changes = [
        "checkpoint_every=1",
        "learning_rate.initial=1e30",
        "steps=50",
    ];
    let mut config = config(&output, &changes);
    config.clip_norm = None;
    config.optimizer.momentum = 0.0;
    // The first step still has a rate at which nothing happens.
    config.learning_rate.warm_up_steps = 0;
    let error = run(&config, false).unwrap_err();
    let TrainingError::NotFinite {
        step,
        learning_rate,
        ..
    } = error
    else {
        panic!("{error}");
    };
    assert_eq!(learning_rate, 1e30);
    assert!(step >= 1, "{step}");
    assert!(error.hint().unwrap().contains("learning_rate.initial"));
    // What is on disk is good.
    for path in list(&output).unwrap() {
        let checkpoint = crate::training::Checkpoint::open(&path).unwrap();
        let net = config.net(4).unwrap();
        checkpoint.weights().unwrap().check(&net).unwrap();
    }
}

#[test]
fn bad_data_and_devices_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("run");
    let error = run(&config(&output, &["data=/nonexistent"]), false).unwrap_err();
    assert!(error.to_string().contains("/nonexistent"), "{error}");
    let error = run(&config(&output, &["device=cuda:900"]), false).unwrap_err();
    assert!(
        error.to_string().contains("cuda:900") && error.hint().is_some(),
        "{error}"
    );
    let error = run(&config(&output, &["options.classes=5"]), false).unwrap_err();
    assert!(error.to_string().contains("expected 4"), "{error}");
    // Validation with a class that training does not have.
    let mixed = folder.path().join("mixed");
    for (part, class) in [("train", "a"), ("train", "b"), ("val", "b"), ("val", "c")] {
        fs::create_dir_all(mixed.join(part).join(class)).unwrap();
        fs::write(mixed.join(part).join(class).join("1.jpg"), "not an image").unwrap();
    }
    let data = format!("data={}", mixed.display());
    let error = run(&config(&output, &[&data]), false).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("1 of 2 training classes are missing") && text.contains("`a`"),
        "{text}"
    );
    fs::rename(mixed.join("val/c"), mixed.join("val/a")).unwrap();
    let error = run(&config(&output, &[&data]), false).unwrap_err();
    assert!(error.to_string().contains("1.jpg"), "{error}");
    assert!(list(&output).unwrap().is_empty());
}

#[test]
fn averages_follow_the_warm_up_and_then_the_decay() {
    use crate::torch::Averages;
    // min(0.9999, (1 + n) / (10 + n))
    assert_eq!(Averages::decay_at(0.9999, 0), 0.1);
    assert_eq!(Averages::decay_at(0.9999, 8), 0.5);
    assert_eq!(Averages::decay_at(0.9999, 10_000_000), 0.9999);
    assert_eq!(Averages::decay_at(0.0, 8), 0.0);
    let net = config(&tempfile::tempdir().unwrap().path().join("x"), &[])
        .net(4)
        .unwrap();
    let weights = crate::exporters::weights::Weights::initial(&net, 0);
    let model = Model::new(&net, &weights, tch::Kind::Double, tch::Device::Cpu).unwrap();
    let mut averages = Averages::new(&model, 0.9999).unwrap();
    let start = model.values().double_value(&[0]);
    let _ = tch::no_grad(|| model.values().narrow(0, 0, 1).fill_(start + 1.0));
    averages.update(&model, 8).unwrap();
    let found = averages.model().values().double_value(&[0]);
    assert!((found - (start + 0.5)).abs() < 1e-12, "{found} {start}");
}

#[test]
fn the_auxiliary_head_adds_its_share_to_the_gradient() {
    use crate::exporters::net::NetOptions;
    use crate::exporters::weights::{Weights, random_image};
    use crate::exporters::zoo;
    use crate::torch::{GradientSettings, Rule};
    use tch::{Device, Kind};

    let options = NetOptions {
        classes: 4,
        width_multiplier: 0.06,
        auxiliary_head: true,
        ..NetOptions::default()
    };
    let entry = zoo::find("inception_v4", Some("published")).unwrap();
    let net = entry.build(&options.image_size(75)).unwrap();
    let image = Tensor::from_slice(&random_image(1, 3 * 3 * 75 * 75)).view([3_i64, 3, 75, 75]);
    let labels = Tensor::from_slice(&[0_i64, 3, 1]);
    let mode = Mode::Training {
        batch_norm_momentum: 0.1,
        dropout_seed: 0,
    };
    // One step of plain gradient descent: what moves is the gradient itself.
    let moved = |auxiliary_weight: f64| {
        let weights = Weights::initial(&net, 0);
        let model = Model::new(&net, &weights, Kind::Double, Device::Cpu).unwrap();
        let settings = GradientSettings {
            weight_decay: 0.0,
            clip_norm: None,
        };
        let rule = Rule::Momentum { momentum: 0.0 };
        let mut optimizer = Optimizer::new(rule, settings, model.layout(), model.values()).unwrap();
        let before = model.values().copy();
        let objective = Objective {
            label_smoothing: 0.0,
            auxiliary_weight,
        };
        let loss = step(
            &model,
            &mut optimizer,
            &image,
            &labels,
            mode,
            objective,
            1.0,
        )
        .unwrap();
        let trained = model.layout().trained() as i64;
        let moved = (model.values() - before).narrow(0, 0, trained);
        (loss, moved)
    };
    let [(loss, none), (same, some), (_, twice)] = [0.0, 0.4, 0.8].map(moved);
    assert_eq!(loss, same, "the loss told is that of the logits alone");
    let share = &some - &none;
    let largest = |tensor: &Tensor| tensor.abs().max().double_value(&[]);
    // It reaches the first layer, and the gradient is linear in its weight: float64 leaves rounding only.
    let layout = crate::torch::Layout::of(&net);
    let mut variables = layout.variables().iter();
    let first = variables.find(|v| v.parameter.name == "stem.0/conv_3x3/weight");
    let first = share.narrow(0, first.unwrap().offset as i64, 1);
    assert!(largest(&first) > 0.0, "the head moves nothing");
    let bent = (&twice - &some) - &share;
    let scale = largest(&some).max(largest(&twice));
    assert!(
        largest(&bent) < 1e-12 * scale,
        "{} of {scale}",
        largest(&bent)
    );
}

#[test]
fn a_network_trains_with_its_auxiliary_head_and_leaves_it_in_the_weights() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("run");
    let changes = [
        "network=inception_v3",
        "variant=tensorflow",
        "options.auxiliary_head=true",
        "steps=2",
    ];
    let summary = run(&config(&output, &changes), false).unwrap();
    let weights = crate::exporters::weights::Weights::read(&summary.weights).unwrap();
    assert!(weights.get("auxiliary_logits/weight").is_some());
    // The paper's variant has none, and says so.
    let file = output.with_extension("toml");
    let error = TrainingConfig::read(&file, &["options.auxiliary_head=true".into()]).unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("no auxiliary head"), "{cause}");
}
