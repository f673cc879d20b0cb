//! `incept train`

use std::path::PathBuf;

use clap::Args;

use super::{Failure, Outcome};
use crate::training::TrainingConfig;

/// Train a network with the paper's recipe
///
/// Writes `metrics.jsonl`, `checkpoints/` and at the end `weights.safetensors` (averaged parameters, incept's names)
/// into the configured output folder.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The configuration; `docs/training.md` lists every key
    #[arg(value_name = "CONFIG.toml")]
    config: PathBuf,
    /// Continue the run in the output folder, exactly where its last checkpoint is
    #[arg(long)]
    resume: bool,
    /// Where to compute
    #[arg(long, value_name = "cpu|cuda:N")]
    device: Option<String>,
    /// Replace a key of the configuration, may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
}

pub(super) fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    let mut config = TrainingConfig::read(&arguments.config, &arguments.overrides)?;
    if let Some(device) = &arguments.device {
        config.device.clone_from(device);
    }
    train(&config, arguments.resume)
}

#[cfg(feature = "torch")]
fn train(config: &TrainingConfig, resume: bool) -> Result<Outcome, Failure> {
    use super::output::message;
    use crate::torch::Event;
    use crate::training::Progress;

    let mut bar: Option<Progress> = None;
    let summary = crate::torch::train(config, resume, &mut |event| match event {
        Event::Started {
            step,
            steps,
            images,
            validation_images,
            classes,
            parameters,
            resumed_from,
        } => {
            let from = resumed_from
                .as_ref()
                .map(|path| format!(", continued from {}", path.display()));
            message(&format!(
                "{}: {parameters} parameters, {images} training and {validation_images} validation images of {classes} \
                 classes, {steps} steps of {} images{}",
                config.network,
                config.batch_size,
                from.unwrap_or_default()
            ));
            bar = Some(Progress::new("", *step, *steps));
        }
        Event::Step { record, left } => bar.iter_mut().for_each(|bar| bar.step(record, *left)),
        Event::Validated(record) => bar.iter_mut().for_each(|bar| bar.validation(record)),
        Event::Checkpoint(_) => {}
    })?;
    bar.iter().for_each(Progress::finish);
    message(&format!(
        "{} steps; single-crop top-1 error {:.2} %, top-5 error {:.2} % with averaged parameters; wrote {}",
        summary.steps,
        100.0 * summary.validation.top1_error,
        100.0 * summary.validation.top5_error,
        summary.weights.display()
    ));
    Ok(Outcome::Done)
}

#[cfg(not(feature = "torch"))]
fn train(_: &TrainingConfig, _: bool) -> Result<Outcome, Failure> {
    Err(Failure::without_torch("training"))
}
