//! The paper's optimiser, as its authors' code has it.

use tch::{TchError, Tensor};

use super::{Layout, TorchError};

/// How a gradient becomes a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rule {
    /// TensorFlow's RMSProp: `s ← decay·s + (1 − decay)·g²` with s starting at one, `m ← momentum·m +
    /// rate·g/√(s + epsilon)`, `w ← w − m`. PyTorch's has ε outside the root, s starting at zero and the rate
    /// outside m: with the paper's ε = 1 that is another optimiser.
    RmsProp {
        /// Decay of the mean square, 0.9 in the paper.
        decay: f64,
        /// Added to the mean square under the root, 1.0 in the paper.
        epsilon: f64,
        /// Decay of the accumulated step, 0.9 in the authors' code; 0 turns it off.
        momentum: f64,
    },
    /// TensorFlow's momentum: `m ← momentum·m + g`, `w ← w − rate·m`. The paper's earlier experiments.
    Momentum {
        /// Decay of the accumulated gradient, 0.9 in the paper.
        momentum: f64,
    },
}

/// What is done to the gradient before the rule sees it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct GradientSettings {
    /// Weight decay: `0.5·wd·‖w‖²` is part of the loss, for convolution and linear weights only.
    pub weight_decay: f64,
    /// Where the norm of the whole gradient, weight decay included, is larger, it is scaled down to this.
    pub clip_norm: Option<f64>,
}

/// An optimiser with its memory of earlier steps.
pub struct Optimizer {
    rule: Rule,
    gradient: GradientSettings,
    decayed: i64,
    /// The mean square of the gradient, starting at one; only for RMSProp.
    mean_square: Option<Tensor>,
    /// The accumulated step or gradient, starting at zero.
    accumulated: Tensor,
}

impl Optimizer {
    /// An optimiser that has taken no step, for variables laid out so, with slots of the type and place of `values`.
    ///
    /// # Errors
    /// libtorch's refusal to allocate.
    pub fn new(
        rule: Rule,
        gradient: GradientSettings,
        layout: &Layout,
        values: &Tensor,
    ) -> Result<Self, TorchError> {
        let options = (values.kind(), values.device());
        let count = [layout.trained() as i64];
        let make = || {
            Ok(Self {
                rule,
                gradient,
                decayed: layout.decayed() as i64,
                mean_square: match rule {
                    Rule::RmsProp { .. } => Some(Tensor::f_ones(count, options)?),
                    Rule::Momentum { .. } => None,
                },
                accumulated: Tensor::f_zeros(count, options)?,
            })
        };
        make().map_err(TorchError::while_("allocating the optimiser's slots"))
    }

    /// The slots by name: `mean_square` and `momentum`, each of the trained variables' length.
    pub fn slots(&self) -> Vec<(&'static str, &Tensor)> {
        let mean_square = self.mean_square.iter().map(|slot| ("mean_square", slot));
        mean_square
            .chain([("momentum", &self.accumulated)])
            .collect()
    }

    /// Puts back a slot's numbers.
    ///
    /// # Errors
    /// [`TorchError::Count`] where they are not as many as the slot holds.
    pub fn set_slot(&mut self, name: &'static str, numbers: &[f32]) -> Result<(), TorchError> {
        let slot = match (name, &mut self.mean_square) {
            ("mean_square", Some(slot)) => slot,
            _ => &mut self.accumulated,
        };
        if slot.numel() != numbers.len() {
            return Err(TorchError::Count {
                what: name,
                expected: slot.numel(),
                found: numbers.len(),
            });
        }
        Tensor::f_from_slice(numbers)
            .and_then(|numbers| slot.f_copy_(&numbers))
            .map_err(TorchError::while_("restoring the optimiser's slots"))
    }

    /// One step on the trained variables `weights` (one vector) with the loss's gradient, which is used up.
    /// Returns the gradient's norm before clipping where clipping is on.
    ///
    /// # Errors
    /// libtorch's refusal.
    pub fn step(
        &mut self,
        weights: &mut Tensor,
        gradient: Tensor,
        learning_rate: f64,
    ) -> Result<Option<f64>, TorchError> {
        tch::no_grad(|| self.apply(weights, gradient, learning_rate))
            .map_err(TorchError::while_("taking an optimiser step"))
    }

    fn apply(
        &mut self,
        weights: &mut Tensor,
        mut gradient: Tensor,
        learning_rate: f64,
    ) -> Result<Option<f64>, TchError> {
        let GradientSettings {
            weight_decay,
            clip_norm,
        } = self.gradient;
        if weight_decay != 0.0 {
            let decay = weights
                .f_narrow(0, 0, self.decayed)?
                .f_mul_scalar(weight_decay)?;
            let _ = gradient.f_narrow(0, 0, self.decayed)?.f_add_(&decay)?;
        }
        let mut norm = None;
        if let Some(limit) = clip_norm {
            let found = gradient.f_norm()?.f_double_value(&[])?;
            if found > limit {
                let _ = gradient.f_mul_scalar_(limit / found)?;
            }
            norm = Some(found);
        }
        match (self.rule, &mut self.mean_square) {
            (
                Rule::RmsProp {
                    decay,
                    epsilon,
                    momentum,
                },
                Some(mean_square),
            ) => {
                // s + (1 − decay)·(g² − s), as TensorFlow's kernel computes it.
                let _ = mean_square.f_lerp_(&gradient.f_square()?, 1.0 - decay)?;
                let root = mean_square.f_add_scalar(epsilon)?.f_sqrt_()?;
                let _ = gradient.f_mul_scalar_(learning_rate)?;
                let _ = self.accumulated.f_mul_scalar_(momentum)?;
                let _ = self.accumulated.f_addcdiv_(&gradient, &root)?;
                let _ = weights.f_sub_(&self.accumulated)?;
            }
            (Rule::Momentum { momentum } | Rule::RmsProp { momentum, .. }, _) => {
                let _ = self
                    .accumulated
                    .f_mul_scalar_(momentum)?
                    .f_add_(&gradient)?;
                let _ = weights.f_sub_(&self.accumulated.f_mul_scalar(learning_rate)?)?;
            }
        }
        Ok(norm)
    }
}

#[cfg(test)]
mod tests;
