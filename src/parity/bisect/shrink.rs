//! Smaller inputs for a part that fails: one image, and less of it.

use incept_exporters::onnx::Cut;
use ndarray::{ArrayD, Axis, Slice};

use super::BisectError;
use super::search::Found;
use super::trial::{Failure, Outcome, Trials};
use crate::parity::against::{input, run_cut};
use crate::runtime::{LoadOptions, NamedOutput, Tensor};

/// A failing part with the values it fails with.
pub(super) struct Example {
    pub(super) cut: Cut,
    /// By name, in the part's order.
    pub(super) inputs: Vec<(String, Tensor)>,
    /// The reference's outputs.
    pub(super) outputs: Vec<NamedOutput>,
    /// The same part of the reference, where that is another file and takes the same inputs.
    pub(super) reference: Option<Cut>,
    pub(super) failure: Failure,
}

/// Cuts the values of a failing part down as far as it still fails.
pub(super) fn shrink(
    trials: &mut Trials<'_>,
    found: Found,
    progress: &mut dyn FnMut(&str),
) -> Result<Example, BisectError> {
    progress("making the inputs smaller");
    let cut = trials.cut(&found.part, |_| None)?;
    // Once more, so that the values are held.
    trials.try_part(&found.part)?;
    let value = |name: &str| match trials.for_a.iter().find(|(input, _)| input == name) {
        Some((_, tensor)) => Some(tensor.clone()),
        None => Some(Tensor::Floats(
            trials.held.get(&trials.partner(name)?)?.clone(),
        )),
    };
    let inputs = cut
        .inputs
        .iter()
        .filter_map(|input| Some((input.name.clone(), value(&input.name)?)));
    let outputs = found.part.outputs.iter().filter_map(|name| {
        Some((
            name.clone(),
            trials.held.get(&trials.partner(name)?)?.clone(),
        ))
    });
    let mut example = Example {
        inputs: inputs.collect(),
        outputs: outputs.collect(),
        reference: None,
        failure: found.failure.clone(),
        cut,
    };
    if reference_of(trials, &found, &example)?.is_none() {
        example.describe(trials, &found)?;
        return Ok(example);
    };
    let mut changed = true;
    while changed {
        changed = false;
        for smaller in example.smaller() {
            if let Some(better) = try_inputs(trials, &example, smaller)? {
                (example.inputs, example.outputs, example.failure) = better;
                changed = true;
                break;
            }
        }
    }
    if trials.layers.is_some() {
        // With the sizes that are left.
        example.reference = reference_of(trials, &found, &example)?;
    }
    example.describe(trials, &found)?;
    Ok(example)
}

/// The same part of the reference, if it takes the same.
fn reference_of(
    trials: &Trials<'_>,
    found: &Found,
    example: &Example,
) -> Result<Option<Cut>, BisectError> {
    let inputs: Vec<Option<String>> = example
        .inputs
        .iter()
        .map(|(name, _)| partner_of_input(trials, name))
        .collect();
    let outputs: Option<Vec<String>> = found
        .part
        .outputs
        .iter()
        .map(|name| trials.partner(name))
        .collect();
    let (Some(inputs), Some(outputs)) =
        (inputs.into_iter().collect::<Option<Vec<String>>>(), outputs)
    else {
        return Ok(None);
    };
    let outputs: Vec<&str> = outputs.iter().map(String::as_str).collect();
    let shape = |name: &str| {
        let input = inputs.iter().position(|input| input == name);
        let output = || outputs.iter().position(|output| *output == name);
        match input {
            Some(place) => Some(example.inputs[place].1.shape().to_vec()),
            None => Some(example.outputs.get(output()?)?.1.shape().to_vec()),
        }
    };
    let cut = trials.b.cut(
        &outputs,
        |value| inputs.iter().any(|input| input == value),
        shape,
    )?;
    let closed = cut.inputs.iter().all(|input| inputs.contains(&input.name));
    Ok(closed.then_some(cut))
}

fn partner_of_input(trials: &Trials<'_>, name: &str) -> Option<String> {
    match trials.for_a.iter().position(|(input, _)| input == name) {
        Some(place) => Some(trials.for_b[place].0.clone()),
        None => trials.partner(name),
    }
}

type Better = (Vec<(String, Tensor)>, Vec<NamedOutput>, Failure);

/// Runs both parts on other inputs; what came of it, if the one still fails.
fn try_inputs(
    trials: &mut Trials<'_>,
    example: &Example,
    inputs: Vec<(String, Tensor)>,
) -> Result<Option<Better>, BisectError> {
    trials.tried += 1;
    let of_b: Vec<Option<String>> = inputs
        .iter()
        .map(|(name, _)| partner_of_input(trials, name))
        .collect();
    let for_b = |name: &str| {
        let place = of_b
            .iter()
            .position(|known| known.as_deref() == Some(name))?;
        Some(inputs[place].1.view())
    };
    let value = |name: &str| input(&inputs, name);
    let shape = |name: &str| value(name).map(|tensor| tensor.shape().to_vec());
    let shape_b = |name: &str| for_b(name).map(|tensor| tensor.shape().to_vec());
    let outputs: Vec<&str> = example
        .outputs
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    let partners: Vec<String> = outputs
        .iter()
        .filter_map(|name| trials.partner(name))
        .collect();
    let asked: Vec<&str> = partners.iter().map(String::as_str).collect();
    let cut_a = trials
        .a
        .cut(&outputs, |value| shape(value).is_some(), shape)?;
    let cut_b = trials
        .b
        .cut(&asked, |value| for_b(value).is_some(), shape_b)?;
    // A size that the reference does not take is no size to report.
    let Ok(expected) = run_cut(trials.reference, LoadOptions::default(), &cut_b, for_b) else {
        return Ok(None);
    };
    let expected: Vec<NamedOutput> = outputs
        .iter()
        .zip(&partners)
        .filter_map(|(name, partner)| {
            let found = expected.iter().find(|(output, _)| output == partner)?;
            Some((name.to_string(), found.1.clone()))
        })
        .collect();
    if expected.len() != outputs.len() || expected.iter().any(|(_, array)| array.is_empty()) {
        return Ok(None);
    }
    let found = run_cut(trials.runtime, LoadOptions::default(), &cut_a, value);
    match trials.judge(found, &expected) {
        Outcome::Fails(failure) => Ok(Some((inputs, expected, failure))),
        Outcome::Passes | Outcome::Other => Ok(None),
    }
}

impl Example {
    /// Smaller inputs that may fail as well, the most promising first.
    fn smaller(&self) -> Vec<Vec<(String, Tensor)>> {
        let mut found = vec![];
        let tensors = || self.inputs.iter().map(|(_, tensor)| tensor);
        let batch = self
            .inputs
            .first()
            .and_then(|(_, tensor)| tensor.shape().first().copied())
            .unwrap_or(1);
        if batch > 1 && tensors().all(|tensor| tensor.shape().first() == Some(&batch)) {
            // The image with the worst number first.
            let worst = match &self.failure {
                Failure::Values { difference, .. } => {
                    difference.worst.first().copied().unwrap_or(0)
                }
                _ => 0,
            };
            let images = std::iter::once(worst).chain((0..batch).filter(|&image| image != worst));
            found.extend(
                images
                    .take(4)
                    .map(|image| self.with(|tensor| cropped(tensor, 0, image, 1))),
            );
        }
        for axis in [2, 3] {
            if !tensors().any(|tensor| tensor.shape().len() == 4 && tensor.shape()[axis] > 1) {
                continue;
            }
            // Either half.
            for second in [false, true] {
                found.push(self.with(|tensor| {
                    if tensor.shape().len() != 4 {
                        return tensor.clone();
                    }
                    let whole = tensor.shape()[axis];
                    let half = whole.div_ceil(2);
                    cropped(tensor, axis, if second { whole - half } else { 0 }, half)
                }));
            }
        }
        found
    }

    fn with(&self, change: impl Fn(&Tensor) -> Tensor) -> Vec<(String, Tensor)> {
        let inputs = self.inputs.iter();
        inputs
            .map(|(name, tensor)| (name.clone(), change(tensor)))
            .collect()
    }

    /// Cuts once more, with the sizes of all that goes in and comes out.
    fn describe(&mut self, trials: &Trials<'_>, found: &Found) -> Result<(), BisectError> {
        let shape = |name: &str| {
            let input = self
                .inputs
                .iter()
                .find(|(input, _)| input == name)
                .map(|(_, tensor)| tensor.shape().to_vec());
            let output = || {
                self.outputs
                    .iter()
                    .find(|(output, _)| output == name)
                    .map(|(_, array)| array.shape().to_vec())
            };
            input.or_else(output)
        };
        self.cut = trials.cut(&found.part, shape)?;
        Ok(())
    }
}

fn cropped(tensor: &Tensor, axis: usize, start: usize, length: usize) -> Tensor {
    fn crop<T: Clone>(array: &ArrayD<T>, axis: usize, start: usize, length: usize) -> ArrayD<T> {
        let slice = Slice::from(start..start + length);
        array
            .slice_axis(Axis(axis), slice)
            .as_standard_layout()
            .into_owned()
    }
    match tensor {
        Tensor::Floats(array) => Tensor::Floats(crop(array, axis, start, length)),
        Tensor::Bytes(array) => Tensor::Bytes(crop(array, axis, start, length)),
        Tensor::Integers(array) => Tensor::Integers(crop(array, axis, start, length)),
    }
}
