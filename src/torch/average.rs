//! Averaged parameters: what the paper evaluates.

use tch::Tensor;

use super::{Model, TorchError};

/// A moving average of all of a model's variables.
///
/// `a ← a + (1 − d)·(w − a)` after each step, with `d = min(decay, (1 + n) / (10 + n))` and n the number of
/// steps taken, so that a young average is not held back by the initial weights. The moving statistics of batch
/// normalisation are averaged with the rest, as the authors' code does (it averages its trainable and its
/// moving variables alike): the averaged weights then meet statistics of the same age.
pub struct Averages {
    model: Model,
    decay: f64,
}

impl Averages {
    /// Averages that start at the model's values.
    ///
    /// # Errors
    /// libtorch's refusal to copy.
    pub fn new(model: &Model, decay: f64) -> Result<Self, TorchError> {
        let values = model
            .values()
            .f_detach_copy()
            .map_err(TorchError::while_("copying the weights"))?;
        Ok(Self {
            model: Model::over(model.net(), model.layout().clone(), values)?,
            decay,
        })
    }

    /// The decay after `steps` steps.
    pub fn decay_at(decay: f64, steps: u64) -> f64 {
        let steps = steps as f64;
        decay.min((1.0 + steps) / (10.0 + steps))
    }

    /// Takes in the model's values after step number `steps`, counted from one.
    ///
    /// # Errors
    /// libtorch's refusal.
    pub fn update(&mut self, model: &Model, steps: u64) -> Result<(), TorchError> {
        let weight = 1.0 - Self::decay_at(self.decay, steps);
        let mut values = self.values();
        tch::no_grad(|| values.f_lerp_(model.values(), weight))
            .map(|_| ())
            .map_err(TorchError::while_("averaging the weights"))
    }

    /// The model with the averaged values: the one to evaluate and to export.
    pub fn model(&self) -> &Model {
        &self.model
    }

    fn values(&self) -> Tensor {
        self.model.values().shallow_clone()
    }
}
