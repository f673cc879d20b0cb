//! One part of the failing model beside the same part of the reference.

use std::collections::{BTreeSet, HashMap};

use incept_exporters::onnx::{Cut, CutError, Parts};
use ndarray::ArrayD;
use serde::{Deserialize, Serialize};

use super::BisectError;
use crate::parity::against::{
    Difference, Inputs, Layers, Tolerance, can_be_handed_on, difference, input, run_cut,
};
use crate::runtime::{InputTensor, LoadOptions, NamedOutput, Runtime, RuntimeError};

/// The most bytes of reference values that are held.
const MOST_HELD: usize = 1 << 30;

/// How a part fails.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Failure {
    /// Its values are not the reference's.
    Values {
        /// The output.
        output: String,
        /// By how much.
        difference: Box<Difference>,
    },
    /// The runtime does not load it.
    NotLoaded {
        /// What it said.
        reason: String,
    },
    /// The runtime does not run it.
    NotRun {
        /// What it said.
        reason: String,
    },
}

impl Failure {
    /// Whether another is of the same kind. A part that fails in another way than the whole model is not its fault.
    fn is_like(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

/// A part of the failing model: what it is asked for, and the values at which it begins.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Part {
    pub(super) outputs: Vec<String>,
    pub(super) stops: BTreeSet<String>,
}

/// What a part gave.
#[derive(Debug)]
pub(super) enum Outcome {
    Passes,
    Fails(Failure),
    /// It could not be tried, or failed in another way than the model.
    Other,
}

/// Both models, and all that is needed to try parts of them.
pub(super) struct Trials<'a> {
    pub(super) a: &'a Parts,
    pub(super) b: &'a Parts,
    /// None where both are the same file.
    pub(super) layers: Option<&'a Layers>,
    pub(super) outputs: &'a [(String, String)],
    pub(super) for_a: &'a Inputs,
    pub(super) for_b: &'a Inputs,
    pub(super) runtime: &'static dyn Runtime,
    pub(super) reference: &'static dyn Runtime,
    pub(super) tolerance: Tolerance,
    pub(super) held: HashMap<String, ArrayD<f32>>,
    /// How the whole model fails.
    pub(super) looked_for: Option<Failure>,
    pub(super) tried: usize,
}

impl Trials<'_> {
    /// The value of B that holds the same as one of A.
    pub(super) fn partner(&self, value: &str) -> Option<String> {
        let named = self.outputs.iter().find(|(of_a, _)| of_a == value);
        match (self.layers, named) {
            (None, _) => Some(value.into()),
            (_, Some((_, of_b))) => Some(of_b.clone()),
            (Some(layers), None) => layers.of_value(value).map(str::to_string),
        }
    }

    /// The values of A at which it may be cut, in the order of its nodes.
    pub(super) fn cut_points(&self) -> Vec<String> {
        let values = self.a.nodes().iter().flat_map(|node| &node.outputs);
        let usable = |value: &&String| {
            can_be_handed_on(self.a, value)
                && self.partner(value).is_some_and(|of_b| {
                    self.b.producer(&of_b).is_some() && can_be_handed_on(self.b, &of_b)
                })
        };
        values.filter(usable).cloned().collect()
    }

    /// Cuts a part out of A.
    pub(super) fn cut(
        &self,
        part: &Part,
        shape: impl Fn(&str) -> Option<Vec<usize>>,
    ) -> Result<Cut, CutError> {
        let outputs: Vec<&str> = part.outputs.iter().map(String::as_str).collect();
        self.a
            .cut(&outputs, |value| part.stops.contains(value), shape)
    }

    /// Tries a part, fed with the reference's values.
    pub(super) fn try_part(&mut self, part: &Part) -> Result<Outcome, BisectError> {
        self.tried += 1;
        let Ok(cut) = self.cut(part, |_| None) else {
            return Ok(Outcome::Other);
        };
        let mut needed: Vec<String> = vec![];
        for value in cut
            .inputs
            .iter()
            .map(|input| &input.name)
            .filter(|name| !self.is_input(name))
            .chain(&part.outputs)
        {
            match self.partner(value) {
                Some(of_b) => needed.push(of_b),
                None => return Ok(Outcome::Other),
            }
        }
        self.hold(&needed)?;
        let held = |value: &str| self.held.get(&self.partner(value)?);
        let value = |name: &str| {
            let held = || Some(InputTensor::Floats(held(name)?.view()));
            input(self.for_a, name).or_else(held)
        };
        let shape = |name: &str| value(name).map(|tensor| tensor.shape().to_vec());
        let Ok(cut) = self.cut(part, |name| {
            if part.outputs.iter().any(|output| output == name) {
                None
            } else {
                shape(name)
            }
        }) else {
            return Ok(Outcome::Other);
        };
        let expected: Vec<NamedOutput> = part
            .outputs
            .iter()
            .filter_map(|output| Some((output.clone(), held(output)?.clone())))
            .collect();
        let found = run_cut(self.runtime, LoadOptions::default(), &cut, value);
        Ok(self.judge(found, &expected))
    }

    /// What a run gave, beside what was expected.
    pub(super) fn judge(
        &self,
        found: Result<Vec<NamedOutput>, RuntimeError>,
        expected: &[NamedOutput],
    ) -> Outcome {
        let failure = match found {
            Err(RuntimeError::Load { reason, .. }) => Some(Failure::NotLoaded { reason }),
            Err(error) => Some(Failure::NotRun {
                reason: error.to_string(),
            }),
            Ok(found) => expected.iter().find_map(|(name, expected)| {
                let found = found.iter().find(|(output, _)| output == name);
                let difference = match found {
                    Some((_, found)) => difference(found, expected, self.tolerance, None),
                    None => Difference::missing("A"),
                };
                let fails = !difference.verdict.holds();
                fails.then(|| Failure::Values {
                    output: name.clone(),
                    difference: Box::new(difference),
                })
            }),
        };
        match failure {
            None => Outcome::Passes,
            Some(failure)
                if self
                    .looked_for
                    .as_ref()
                    .is_none_or(|looked_for| looked_for.is_like(&failure)) =>
            {
                Outcome::Fails(failure)
            }
            Some(_) => Outcome::Other,
        }
    }

    pub(super) fn is_input(&self, value: &str) -> bool {
        self.for_a.iter().any(|(input, _)| input == value)
    }

    /// Computes values of B, where they are not held.
    fn hold(&mut self, values: &[String]) -> Result<(), BisectError> {
        if values.iter().all(|value| self.held.contains_key(value)) {
            return Ok(());
        }
        if self
            .held
            .values()
            .map(|array| 4 * array.len())
            .sum::<usize>()
            > MOST_HELD
        {
            self.held.clear();
        }
        let missing: BTreeSet<&str> = values
            .iter()
            .map(String::as_str)
            .filter(|value| !self.held.contains_key(*value))
            .collect();
        let missing: Vec<&str> = missing.into_iter().collect();
        let value = |name: &str| input(self.for_b, name);
        let shape = |name: &str| value(name).map(|tensor| tensor.shape().to_vec());
        let cut = self.b.cut(&missing, |_| false, shape)?;
        let found = run_cut(self.reference, LoadOptions::default(), &cut, value)
            .map_err(BisectError::Reference)?;
        self.held.extend(found);
        Ok(())
    }
}
