//! A model, or the part of one behind values that are known, run on all crops.

use std::ops::Range;

use incept_exporters::onnx::{Bytes, Parts, Scaling};
use ndarray::{ArrayD, Axis, IxDyn, Slice};

use super::SensitivityError;
use crate::crops::CroppedImages;
use crate::runtime::{InputTensor, LoadOptions, Runtime, RuntimeError, Session};

/// Where and on what models are run.
pub(super) struct Runner<'a> {
    pub(super) runtime: &'static dyn Runtime,
    pub(super) images: &'a CroppedImages,
    /// Crops that are run at a time.
    pub(super) batch: usize,
    pub(super) scaling: Scaling,
}

/// Values for all crops, by name: what is computed from them alone need not be computed from the images.
pub(super) type Known = Vec<(String, ArrayD<f32>)>;

/// What a run gives: its outputs, or why the runtime refuses the model.
pub(super) type Outputs = Result<Known, RuntimeError>;

impl Runner<'_> {
    /// Runs a model as it is.
    ///
    /// # Errors
    /// [`SensitivityError`] for a runtime that is not there.
    pub(super) fn run(&self, model: &[u8]) -> Result<Outputs, SensitivityError> {
        self.run_from(model, &[], &vec![])
    }

    /// Computes some of a model's values from those that are known.
    ///
    /// # Errors
    /// As [`Runner::run`], and for values that the model does not have.
    pub(super) fn run_behind(
        &self,
        model: &Bytes,
        outputs: &[&str],
        known: &Known,
    ) -> Result<Outputs, SensitivityError> {
        let parts = Parts::read(model)?;
        let is_known = |value: &str| known.iter().any(|(name, _)| name == value);
        let cut = parts.cut(outputs, is_known, |_| None)?;
        let inputs: Vec<&str> = cut.inputs.iter().map(|input| input.name.as_str()).collect();
        self.run_from(&cut.model, &inputs, known)
    }

    /// `inputs` that are not known are the images, and so is a model's only one.
    fn run_from(
        &self,
        model: &[u8],
        inputs: &[&str],
        known: &Known,
    ) -> Result<Outputs, SensitivityError> {
        let mut session = match self.runtime.load(model, LoadOptions::default()) {
            Ok(session) => session,
            Err(error @ (RuntimeError::Missing { .. } | RuntimeError::Unknown { .. })) => {
                return Err(error.into());
            }
            Err(refused) => return Ok(Err(refused)),
        };
        let crops = self.images.crops.len();
        let mut all: Vec<(String, Vec<ArrayD<f32>>)> = vec![];
        for first in (0..crops).step_by(self.batch) {
            let some = first..(first + self.batch).min(crops);
            let outputs = match self.run_some(session.as_mut(), some.clone(), inputs, known)? {
                Ok(outputs) => outputs,
                Err(refused) => return Ok(Err(refused)),
            };
            for (name, value) in outputs {
                if value.shape().first() != Some(&some.len()) {
                    return Ok(Err(RuntimeError::Run {
                        runtime: self.runtime.name(),
                        shape: format!("{} crops", some.len()),
                        reason: format!("`{name}` has the shape {:?}", value.shape()),
                    }));
                }
                match all.iter_mut().find(|(known, _)| *known == name) {
                    Some((_, values)) => values.push(value),
                    None => all.push((name, vec![value])),
                }
            }
        }
        let joined = all.into_iter().map(|(name, values)| {
            let views: Vec<_> = values.iter().map(|value| value.view()).collect();
            (
                name,
                ndarray::concatenate(Axis(0), &views).unwrap_or_default(),
            )
        });
        Ok(Ok(joined.collect()))
    }

    fn run_some(
        &self,
        session: &mut dyn Session,
        some: Range<usize>,
        inputs: &[&str],
        known: &Known,
    ) -> Result<Outputs, SensitivityError> {
        let find = |name: &str| known.iter().find(|(known, _)| known == name);
        if inputs.is_empty() {
            let images = self.images.scaled(some, self.scaling)?;
            return Ok(session.run(images.view()));
        }
        let images = match inputs.iter().all(|name| find(name).is_some()) {
            true => ArrayD::default(IxDyn(&[0])),
            false => self.images.scaled(some.clone(), self.scaling)?,
        };
        let given: Vec<(&str, InputTensor<'_>)> = inputs
            .iter()
            .map(|&name| {
                let value = match find(name) {
                    Some((_, value)) => value.slice_axis(Axis(0), Slice::from(some.clone())),
                    None => images.view(),
                };
                (name, InputTensor::Floats(value))
            })
            .collect();
        Ok(session.run_named(&given))
    }
}
