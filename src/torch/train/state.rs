//! All that a run carries from step to step.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use tch::{Device, Kind, Tensor};

use super::evaluate::evaluate;
use super::{Objective, TrainingError, TrainingSummary, dropout_seed, step, to_image};
use crate::exporters::net::Net;
use crate::exporters::weights::Weights;
use crate::files::FileError;
use crate::images::Dataset;
use crate::torch::forward::to_vec;
use crate::torch::{
    Averages, GradientSettings, Layout, Mode, Model, Optimizer, Rule, TorchError, Variable,
};
use crate::training::{
    Batch, Checkpoint, CheckpointState, Metrics, OptimizerKind, TrainingConfig, ValidationImages,
    ValidationRecord, list,
};

/// Prefix of the weights as trained, in a checkpoint's training file.
const PARAMETERS: &str = "parameters/";

pub(super) struct State {
    pub(super) model: Model,
    pub(super) step: u64,
    pub(super) checkpoint: Option<PathBuf>,
    optimizer: Optimizer,
    averages: Averages,
}

impl State {
    /// Before the first step, with initial weights from the seed.
    pub(super) fn initial(
        config: &TrainingConfig,
        net: &Net,
        device: Device,
    ) -> Result<Self, TrainingError> {
        let weights = Weights::initial(net, config.seed);
        let model = Model::new(net, &weights, Kind::Float, device)?;
        let averages = Averages::new(&model, config.averaging.decay)?;
        Ok(Self {
            optimizer: optimizer(config, &model)?,
            model,
            averages,
            step: 0,
            checkpoint: None,
        })
    }

    /// As it was when the checkpoint was written.
    pub(super) fn restore(
        config: &TrainingConfig,
        net: &Net,
        device: Device,
        checkpoint: &Checkpoint,
    ) -> Result<Self, TrainingError> {
        let averaged = Model::new(net, &checkpoint.weights()?, Kind::Float, device)?;
        let averages = Averages::new(&averaged, config.averaging.decay)?;
        let training = checkpoint.training()?;
        let layout = Layout::of(net);
        let named = |variables: &[Variable]| -> Vec<(String, usize)> {
            let named = |v: &Variable| (v.parameter.name.clone(), v.parameter.elements());
            variables.iter().map(named).collect()
        };
        let numbers = |prefix: &str, variables: &[Variable]| {
            let names = named(variables);
            let names = names.iter().map(|(name, count)| (name.as_str(), *count));
            checkpoint.numbers(&training, prefix, names)
        };
        let variables = layout.variables();
        let trained = &variables[..variables.partition_point(|v| v.parameter.kind.is_trained())];
        let values = numbers(PARAMETERS, variables)?;
        let model = Model::from_values(net, layout.clone(), &values, Kind::Float, device)?;
        let mut optimizer = optimizer(config, &model)?;
        let slots: Vec<&'static str> = optimizer.slots().iter().map(|slot| slot.0).collect();
        for slot in slots {
            optimizer.set_slot(slot, &numbers(&format!("{slot}/"), trained)?)?;
        }
        Ok(Self {
            model,
            optimizer,
            averages,
            step: checkpoint.state.step,
            checkpoint: Some(checkpoint.path.clone()),
        })
    }

    /// Takes one step and returns its loss.
    pub(super) fn advance(
        &mut self,
        config: &TrainingConfig,
        batch: &Batch,
        learning_rate: f64,
    ) -> Result<f64, TrainingError> {
        let options = &config.options;
        let image = to_image(batch, options.image_height, options.image_width)?;
        let labels = Tensor::f_from_slice(&batch.labels)
            .and_then(|labels| labels.f_to_device(self.model.device()))
            .map_err(TorchError::while_("making a batch"))?;
        let mode = Mode::Training {
            batch_norm_momentum: 1.0 - config.batch_norm.decay,
            dropout_seed: dropout_seed(config.seed, self.step),
        };
        let loss = step(
            &self.model,
            &mut self.optimizer,
            &image,
            &labels,
            mode,
            Objective {
                label_smoothing: config.label_smoothing,
                auxiliary_weight: config.auxiliary_weight,
            },
            learning_rate,
        )?;
        self.step += 1;
        if !loss.is_finite() {
            return Err(self.not_finite("the loss", loss, learning_rate));
        }
        self.averages.update(&self.model, self.step)?;
        Ok(loss)
    }

    pub(super) fn validate(
        &self,
        images: &mut ValidationImages,
        epoch: f64,
    ) -> Result<ValidationRecord, TrainingError> {
        evaluate(self.averages.model(), images, self.step, epoch)
    }

    /// Writes a checkpoint and removes the oldest beyond those to keep.
    pub(super) fn save(
        &mut self,
        config: &TrainingConfig,
        data: &Dataset,
        learning_rate: f64,
    ) -> Result<PathBuf, TrainingError> {
        let layout = self.model.layout();
        let values = to_vec(self.model.values())?;
        if let Some(&bad) = values.iter().find(|value| !value.is_finite()) {
            return Err(self.not_finite("a weight", f64::from(bad), learning_rate));
        }
        let mut training = layout.tensors(&values, PARAMETERS);
        for (slot, numbers) in self.optimizer.slots() {
            training.extend(layout.tensors(&to_vec(numbers)?, &format!("{slot}/")));
        }
        let weights = self.averages.model().weights("averaged parameters")?;
        let state = CheckpointState::new(
            config,
            data.classes(),
            data.samples().len(),
            data.sha256(),
            self.step,
        );
        let path = Checkpoint::write(&config.output, state, &weights, training)?.path;
        let all = list(&config.output)?;
        let old = all.len().saturating_sub(config.keep_checkpoints);
        for path in &all[..old] {
            std::fs::remove_dir_all(path).map_err(|e| FileError::new("remove", path, e))?;
        }
        self.checkpoint = Some(path.clone());
        Ok(path)
    }

    fn not_finite(&self, what: &'static str, found: f64, learning_rate: f64) -> TrainingError {
        TrainingError::NotFinite {
            what,
            found,
            step: self.step,
            learning_rate,
            checkpoint: self.checkpoint.clone(),
        }
    }

    /// Leaves the averaged weights in the output folder.
    #[expect(
        clippy::too_many_arguments,
        reason = "everything the run has gathered comes together here"
    )]
    pub(super) fn finish(
        &self,
        config: &TrainingConfig,
        data: &Dataset,
        mut images: ValidationImages,
        mut metrics: Metrics,
        validated: Option<ValidationRecord>,
        loss: Option<f64>,
        begun: Instant,
    ) -> Result<TrainingSummary, TrainingError> {
        let validation = match validated {
            Some(record) => record,
            // The run had ended, but its metrics are gone, or it was cut short between epochs.
            None => {
                let seen = self.step * config.batch_size as u64;
                let epoch = seen as f64 / data.samples().len() as f64;
                let record = self.validate(&mut images, epoch)?;
                metrics.validation(&record)?;
                record
            }
        };
        metrics.sync()?;
        let weights = config.output.join("weights.safetensors");
        let metadata: BTreeMap<String, String> = [
            ("network", config.network.clone()),
            ("variant", config.variant.clone()),
            ("step", self.step.to_string()),
            ("version", env!("CARGO_PKG_VERSION").into()),
            ("config_sha256", config.digest()),
            ("data_sha256", data.sha256().into()),
        ]
        .map(|(key, value)| (key.to_string(), value))
        .into();
        let averaged = self.averages.model().weights("averaged parameters")?;
        averaged.write(&weights, &metadata)?;
        Ok(TrainingSummary {
            steps: self.step,
            classes: data.classes().to_vec(),
            loss,
            validation,
            weights,
            checkpoint: self.checkpoint.clone().unwrap_or_default(),
            duration: begun.elapsed(),
        })
    }
}

fn optimizer(config: &TrainingConfig, model: &Model) -> Result<Optimizer, TorchError> {
    let options = config.optimizer;
    let rule = match options.kind {
        OptimizerKind::RmsProp => Rule::RmsProp {
            decay: options.decay,
            epsilon: options.epsilon,
            momentum: options.momentum,
        },
        OptimizerKind::Momentum => Rule::Momentum {
            momentum: options.momentum,
        },
    };
    let gradient = GradientSettings {
        weight_decay: config.weight_decay,
        clip_norm: config.clip_norm,
    };
    Optimizer::new(rule, gradient, model.layout(), model.values())
}
