//! A graph computed a stretch at a time: only the values that are still needed are held.

use std::any::Any;
use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use incept_exporters::onnx::proto::{BFLOAT16, FLOAT, FLOAT16};
use incept_exporters::onnx::{Cut, CutError, Parts};
use ndarray::ArrayD;

use super::inputs::Inputs;
use crate::runtime::{InputTensor, LoadOptions, NamedOutput, Runtime, RuntimeError};

/// A stretch that could not be computed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WalkError {
    #[error(transparent)]
    Cut(#[from] CutError),
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
}

/// A graph's input by name.
pub(crate) fn input<'v>(inputs: &'v Inputs, name: &str) -> Option<InputTensor<'v>> {
    let found = inputs.iter().find(|(known, _)| known == name);
    found.map(|(_, tensor)| tensor.view())
}

/// Runs a model that was cut out of another. A runtime that panics is one that refuses.
pub(crate) fn run_cut<'v>(
    runtime: &dyn Runtime,
    options: LoadOptions,
    cut: &Cut,
    value: impl Fn(&str) -> Option<InputTensor<'v>>,
) -> Result<Vec<NamedOutput>, RuntimeError> {
    let inputs = cut.inputs.iter();
    let given: Vec<(&str, InputTensor<'_>)> = inputs
        .filter_map(|input| Some((input.name.as_str(), value(&input.name)?)))
        .collect();
    let session = catch_unwind(AssertUnwindSafe(|| runtime.load(&cut.model, options)));
    let mut session = session.map_err(|panic| RuntimeError::Load {
        runtime: runtime.name(),
        reason: panicked(panic.as_ref()),
    })??;
    let outputs = catch_unwind(AssertUnwindSafe(|| session.run_named(&given)));
    outputs.map_err(|panic| RuntimeError::Run {
        runtime: runtime.name(),
        shape: given
            .iter()
            .map(|(_, tensor)| format!("{:?}", tensor.shape()))
            .collect::<Vec<_>>()
            .join(", "),
        reason: panicked(panic.as_ref()),
    })?
}

fn panicked(panic: &(dyn Any + Send)) -> String {
    let said = panic.downcast_ref::<&str>().map(ToString::to_string);
    let said = said.or_else(|| panic.downcast_ref::<String>().cloned());
    format!(
        "it panicked{}",
        said.map(|said| format!(": {said}")).unwrap_or_default()
    )
}

/// Whether a value can be handed from one stretch to the next: runtimes give their results as float32, which holds those
/// of the half types exactly.
pub(crate) fn can_be_handed_on(parts: &Parts, value: &str) -> bool {
    [FLOAT, FLOAT16, BFLOAT16].contains(&parts.element_type(value))
}

/// A walk through a graph.
pub(crate) struct Walk<'a> {
    parts: &'a Parts,
    inputs: &'a Inputs,
    runtime: &'static dyn Runtime,
    options: LoadOptions,
    held: HashMap<String, ArrayD<f32>>,
    done: Vec<bool>,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(
        parts: &'a Parts,
        inputs: &'a Inputs,
        runtime: &'static dyn Runtime,
        options: LoadOptions,
    ) -> Self {
        Self {
            parts,
            inputs,
            runtime,
            options,
            held: HashMap::new(),
            done: vec![false; parts.nodes().len()],
        }
    }

    /// Bytes of the values that are held.
    pub(crate) fn bytes(&self) -> usize {
        self.held.values().map(|array| 4 * array.len()).sum()
    }

    /// Computes values, from those that are held and the graph's inputs. `later` are those that will be asked for.
    pub(crate) fn advance(
        &mut self,
        wanted: &[String],
        later: &HashSet<&str>,
    ) -> Result<HashMap<String, ArrayD<f32>>, WalkError> {
        let mut found = HashMap::new();
        for name in wanted {
            if let Some(array) = self.held.get(name) {
                found.insert(name.clone(), array.clone());
            }
        }
        let missing: Vec<&str> = wanted
            .iter()
            .map(String::as_str)
            .filter(|name| !found.contains_key(*name))
            .collect();
        if missing.is_empty() {
            return Ok(found);
        }
        let parts = self.parts;
        let stretch = parts.cut(&missing, |value| self.held.contains_key(value), |_| None)?;
        for &node in &stretch.nodes {
            self.done[node] = true;
        }
        let needed = self.needed(later);
        self.held.retain(|name, _| {
            needed.contains(name.as_str()) || stretch.inputs.iter().any(|input| input.name == *name)
        });
        let computed = stretch
            .nodes
            .iter()
            .flat_map(|&node| &parts.nodes()[node].outputs);
        let further = computed
            .map(String::as_str)
            .filter(|name| needed.contains(name) && !missing.contains(name));
        let mut outputs = missing.clone();
        outputs.extend(further);
        let held = &self.held;
        let cut = parts.cut(
            &outputs,
            |value| held.contains_key(value),
            |value| self.shape(value),
        )?;
        let value = |name: &str| match held.get(name) {
            Some(array) => Some(InputTensor::Floats(array.view())),
            None => input(self.inputs, name),
        };
        let values = run_cut(self.runtime, self.options, &cut, value)?;
        self.held.retain(|name, _| needed.contains(name.as_str()));
        for (name, array) in values {
            if missing.contains(&name.as_str()) {
                found.insert(name.clone(), array.clone());
            }
            if needed.contains(name.as_str()) {
                self.held.insert(name, array);
            }
        }
        Ok(found)
    }

    fn shape(&self, value: &str) -> Option<Vec<usize>> {
        match self.held.get(value) {
            Some(array) => Some(array.shape().to_vec()),
            None => input(self.inputs, value).map(|tensor| tensor.shape().to_vec()),
        }
    }

    /// The held and computed values from which those asked for later can be computed. What cannot be handed on is
    /// computed again.
    fn needed(&self, later: &HashSet<&str>) -> HashSet<&'a str> {
        let parts = self.parts;
        let all = parts
            .nodes()
            .iter()
            .flat_map(|node| node.outputs.iter().map(String::as_str));
        let mut waiting: Vec<&'a str> = all.filter(|name| later.contains(name)).collect();
        let (mut needed, mut seen) = (HashSet::new(), HashSet::new());
        while let Some(value) = waiting.pop() {
            let Some(producer) = parts.producer(value).filter(|_| seen.insert(value)) else {
                continue;
            };
            if self.done[producer] && can_be_handed_on(parts, value) {
                needed.insert(value);
            } else {
                waiting.extend(parts.nodes()[producer].inputs.iter().map(String::as_str));
            }
        }
        needed
    }
}
