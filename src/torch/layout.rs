//! Where each tensor of a network lies in one long vector.
//!
//! All variables live in a single flat tensor: first the weights that are decayed, then the other trained
//! parameters, then the moving statistics. Each variable is a view into it. The optimiser and the averages
//! thus work on whole prefixes with a handful of operations a step, however many layers there are.

use std::collections::BTreeMap;

use crate::exporters::net::{Net, Parameter, ParameterKind};
use crate::exporters::weights::{Tensor, Weights};

use super::TorchError;

/// One tensor of the network and where it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Name, shape and kind.
    pub parameter: Parameter,
    /// Index of its first number.
    pub offset: usize,
}

/// The order of a network's variables in the flat vector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    variables: Vec<Variable>,
    decayed: usize,
    trained: usize,
    total: usize,
}

impl Layout {
    /// The layout of a network's variables.
    pub fn of(net: &Net) -> Self {
        let mut parameters = net.parameters();
        // Stable: within each group the order of the nodes stays.
        parameters.sort_by_key(|parameter| group(parameter.kind));
        let mut total = 0;
        let mut ends = [0; 3];
        let variables = parameters
            .into_iter()
            .map(|parameter| {
                let offset = total;
                total += parameter.elements();
                ends[group(parameter.kind)] = total;
                Variable { parameter, offset }
            })
            .collect();
        let decayed = ends[0];
        let trained = ends[1].max(decayed);
        Self {
            variables,
            decayed,
            trained,
            total,
        }
    }

    /// The variables, in the order in which they lie.
    pub fn variables(&self) -> &[Variable] {
        &self.variables
    }

    /// How many numbers at the start are subject to weight decay.
    pub fn decayed(&self) -> usize {
        self.decayed
    }

    /// How many numbers at the start are trained; moving statistics follow.
    pub fn trained(&self) -> usize {
        self.trained
    }

    /// How many numbers there are.
    pub fn total(&self) -> usize {
        self.total
    }

    /// The weights as one vector.
    ///
    /// # Errors
    /// [`TorchError::Weights`] with all tensors that are missing, unused, misshapen or not finite.
    pub fn flatten(&self, net: &Net, weights: &Weights) -> Result<Vec<f32>, TorchError> {
        weights.check(net)?;
        let mut values = Vec::with_capacity(self.total);
        for variable in &self.variables {
            // Checked above: every tensor is there.
            if let Some(tensor) = weights.get(&variable.parameter.name) {
                values.extend_from_slice(&tensor.values());
            }
        }
        Ok(values)
    }

    /// The variables that lie within `values`, by name, each name preceded by `prefix`: all of them, or only
    /// the trained ones where `values` ends with those.
    pub fn tensors(&self, values: &[f32], prefix: &str) -> BTreeMap<String, Tensor> {
        self.variables
            .iter()
            .filter_map(|Variable { parameter, offset }| {
                let values = values.get(*offset..offset + parameter.elements())?;
                let name = format!("{prefix}{}", parameter.name);
                Some((
                    name,
                    Tensor::owned(parameter.shape.clone(), values.to_vec()),
                ))
            })
            .collect()
    }
}

fn group(kind: ParameterKind) -> usize {
    match (kind.is_decayed(), kind.is_trained()) {
        (true, _) => 0,
        (false, true) => 1,
        (false, false) => 2,
    }
}
