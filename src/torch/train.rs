//! The training loop.

mod error;
mod evaluate;
mod state;

use std::fs::File;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tch::Tensor;

pub use error::TrainingError;

use super::{Mode, Model, Optimizer, TorchError};
use crate::exporters::weights::stream_key;
use crate::files::{FileError, create_folder};
use crate::images::Dataset;
use crate::training::{
    Batch, Metrics, StepRecord, TrainingConfig, TrainingImages, ValidationImages, ValidationRecord,
    latest,
};
use state::State;

/// The validation record, under the name events use.
pub type Validation = ValidationRecord;

/// What happens during a run, as it happens.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The data are listed, the network is built; the first step comes next.
    Started {
        /// Steps already taken by the run that is continued.
        step: u64,
        /// Steps in all.
        steps: u64,
        /// Training images.
        images: usize,
        /// Validation images.
        validation_images: usize,
        /// Classes.
        classes: usize,
        /// Trained numbers in the network.
        parameters: usize,
        /// The checkpoint that is continued from.
        resumed_from: Option<PathBuf>,
    },
    /// A step was taken.
    Step {
        /// Its record.
        record: StepRecord,
        /// Time left at the present speed, validations not counted.
        left: Duration,
    },
    /// The averaged parameters were validated.
    Validated(ValidationRecord),
    /// A checkpoint was written.
    Checkpoint(PathBuf),
}

/// What a run came to.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainingSummary {
    /// Steps taken in all.
    pub steps: u64,
    /// Names of the classes, in the order of the logits.
    pub classes: Vec<String>,
    /// Cross-entropy of the last step of this call; none where nothing was left to do.
    pub loss: Option<f64>,
    /// The validation at the end.
    pub validation: ValidationRecord,
    /// The averaged weights: `weights.safetensors` in the output folder.
    pub weights: PathBuf,
    /// The last checkpoint.
    pub checkpoint: PathBuf,
    /// How long this call took.
    pub duration: Duration,
}

/// Trains a network as configured, or continues the run in the output folder, and leaves there `metrics.jsonl`,
/// `checkpoints/` and `weights.safetensors`. With `resume` a run without a checkpoint starts from its beginning,
/// and a finished one is left as it is. `observer` is told what happens.
///
/// A run that was interrupted and continued has the same weights, bit for bit, as one that was not, on the same
/// processor with as many libtorch threads. Only what lies in the checkpoint and the configuration decides.
///
/// # Errors
/// [`TrainingError`]: a bad configuration, data or device, a full disk, a loss that is not finite.
pub fn train(
    config: &TrainingConfig,
    resume: bool,
    observer: &mut dyn FnMut(&Event),
) -> Result<TrainingSummary, TrainingError> {
    let begun = Instant::now();
    config.check()?;
    let device = super::device(&config.device)?;
    if config.threads > 0 {
        tch::set_num_threads(config.threads.min(1024) as i32);
    }
    let training = Dataset::open(&config.data.join("train"))?;
    let validation = Dataset::open(&config.data.join("val"))?;
    if training.classes() != validation.classes() {
        return Err(TrainingError::classes(&training, &validation));
    }
    let net = config.net(training.classes().len())?;
    let images = training.samples().len();
    let steps = config.total_steps(images);
    create_folder(&config.output)?;
    // Two runs in one folder would take each other's checkpoints away.
    let lock = config.output.join(".lock");
    let file = File::create(&lock).map_err(|error| FileError::new("write", &lock, error))?;
    if file.try_lock().is_err() {
        return Err(TrainingError::Busy {
            path: config.output.clone(),
        });
    }
    let checkpoint = latest(&config.output)?;
    let mut state = match checkpoint {
        Some(found) if !resume => return Err(TrainingError::Occupied { path: found.path }),
        Some(found) => {
            found.check(config, training.sha256())?;
            State::restore(config, &net, device, &found)?
        }
        None => State::initial(config, &net, device)?,
    };
    if state.step > steps {
        return Err(TrainingError::Beyond {
            step: state.step,
            steps,
        });
    }
    let mut metrics = Metrics::open(&config.output, state.step)?;
    observer(&Event::Started {
        step: state.step,
        steps,
        images,
        validation_images: validation.samples().len(),
        classes: training.classes().len(),
        parameters: state.model.layout().trained(),
        resumed_from: state.checkpoint.clone(),
    });

    let batches = TrainingImages::start(config, &training, state.step..steps)?;
    let mut validation_images = ValidationImages::new(config, validation);
    let mut validated = metrics.last_validation().filter(|v| v.step == state.step);
    let mut pace = Pace::default();
    let mut loss = None;
    for batch in batches {
        let batch = batch?;
        let start = pace.start();
        let epochs = |step: u64| (step * config.batch_size as u64) as f64 / images as f64;
        let learning_rate = config.learning_rate.of_step(state.step, epochs(state.step));
        let found = state.advance(config, &batch, learning_rate)?;
        loss = Some(found);
        let record = StepRecord {
            step: state.step,
            epoch: epochs(state.step),
            loss: found,
            learning_rate,
            images_per_second: config.batch_size as f64 / start.elapsed().as_secs_f64(),
        };
        pace.done();
        metrics.step(&record)?;
        let left = pace.left(steps - state.step);
        observer(&Event::Step { record, left });

        let last = state.step >= steps;
        if last || epoch_ends(config, images, state.step) {
            let record = state.validate(&mut validation_images, epochs(state.step))?;
            metrics.validation(&record)?;
            observer(&Event::Validated(record));
            validated = Some(record);
            pace.pause();
        }
        if last || state.step.is_multiple_of(config.checkpoint_every) {
            metrics.sync()?;
            let path = state.save(config, &training, learning_rate)?;
            observer(&Event::Checkpoint(path));
            pace.pause();
        }
    }
    state.finish(
        config,
        &training,
        validation_images,
        metrics,
        validated,
        loss,
        begun,
    )
}

/// Whether a validation is due: this step is the first to end an epoch whose number is a multiple of `validate_every`.
fn epoch_ends(config: &TrainingConfig, images: usize, step: u64) -> bool {
    if config.validate_every == 0 {
        return false;
    }
    let every = images as u64 * config.validate_every;
    let seen = step * config.batch_size as u64;
    seen / every > (seen - config.batch_size as u64) / every
}

/// What the loss is besides the cross-entropy of the logits.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Objective {
    /// Share of the target that is spread over all classes.
    pub(super) label_smoothing: f64,
    /// Factor on the auxiliary head's cross-entropy, where the network has one.
    pub(super) auxiliary_weight: f64,
}

/// One training step on a batch `[N, 3, H, W]` and its labels `[N]`: forward, backward, optimiser. Returns the mean
/// cross-entropy of the logits alone, comparable with and without an auxiliary head; where the loss is not finite, no step
/// is taken and that loss is returned.
pub(super) fn step(
    model: &Model,
    optimizer: &mut Optimizer,
    image: &Tensor,
    labels: &Tensor,
    mode: Mode,
    objective: Objective,
    learning_rate: f64,
) -> Result<f64, TorchError> {
    let (logits, auxiliary) = model.training_logits(image, mode)?;
    let cross_entropy = |logits: &Tensor| {
        logits.f_cross_entropy_loss(
            labels,
            None::<&Tensor>,
            tch::Reduction::Mean,
            -100,
            objective.label_smoothing,
        )
    };
    let backward = || {
        let main = cross_entropy(&logits)?;
        let value = main.f_double_value(&[])?;
        let loss = match &auxiliary {
            Some(auxiliary) => {
                let weighted =
                    cross_entropy(auxiliary)?.f_mul_scalar(objective.auxiliary_weight)?;
                main.f_add(&weighted)?
            }
            None => main,
        };
        let total = loss.f_double_value(&[])?;
        if !total.is_finite() {
            return Ok((total, None));
        }
        let gradients = Tensor::f_run_backward(&[loss], model.trained(), false, false)?;
        let flat = gradients
            .iter()
            .map(|gradient| gradient.f_reshape([-1].as_slice()))
            .collect::<Result<Vec<Tensor>, _>>()?;
        Ok((value, Some(Tensor::f_cat(&flat, 0)?)))
    };
    let (loss, gradient) = backward().map_err(TorchError::while_("computing the gradient"))?;
    if let Some(gradient) = gradient {
        let mut weights = model
            .values()
            .f_narrow(0, 0, model.layout().trained() as i64)
            .map_err(TorchError::while_("taking an optimiser step"))?;
        optimizer.step(&mut weights, gradient, learning_rate)?;
    }
    Ok(loss)
}

/// Pixels 0 to 255 as -1 to 1: `[N, 3, H, W]`, channels last in memory as the pixels come, with which libtorch's
/// convolutions on the processor are a fifth faster than with whole planes.
fn to_image(batch: &Batch, height: usize, width: usize) -> Result<Tensor, TorchError> {
    let mut values = [0.0_f32; 256];
    for (byte, value) in values.iter_mut().enumerate() {
        *value = byte as f32 / 127.5 - 1.0;
    }
    let pixels: Vec<f32> = batch
        .pixels
        .iter()
        .map(|&byte| values[usize::from(byte)])
        .collect();
    let shape = [batch.labels.len() as i64, height as i64, width as i64, 3];
    let image = || {
        Tensor::f_from_slice(&pixels)?
            .f_view(shape.as_slice())?
            .f_permute([0, 3, 1, 2].as_slice())
    };
    image().map_err(TorchError::while_("making a batch"))
}

/// Decides what dropout drops in one step.
fn dropout_seed(seed: u64, step: u64) -> u64 {
    stream_key(seed, &format!("dropout/{step}"))
}

/// How fast the run goes, from the time between the ends of its steps.
#[derive(Default)]
struct Pace {
    last: Option<Instant>,
    mean: Option<f64>,
}

impl Pace {
    /// Where the time of this step starts: at the end of the one before, so that waiting for images counts.
    fn start(&mut self) -> Instant {
        *self.last.get_or_insert_with(Instant::now)
    }

    fn done(&mut self) {
        let now = Instant::now();
        if let Some(last) = self.last.replace(now) {
            let seconds = (now - last).as_secs_f64();
            self.mean = Some(
                self.mean
                    .map_or(seconds, |mean| mean + 0.1 * (seconds - mean)),
            );
        }
    }

    /// Time spent otherwise does not count.
    fn pause(&mut self) {
        self.last = Some(Instant::now());
    }

    fn left(&self, steps: u64) -> Duration {
        Duration::try_from_secs_f64(self.mean.unwrap_or(0.0) * steps as f64).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
