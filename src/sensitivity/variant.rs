//! A network with some blocks in lower precision, run on the images.

use incept_exporters::net::Net;
use incept_exporters::onnx::{self, ExportError, ExportOptions, Output, PrecisionOptions, Scaling};
use incept_exporters::weights::Weights;
use ndarray::{Array2, Axis, Ix2};

use super::SensitivityError;
use super::effect::Answers;
use super::journal::{Blocks, Journal, Measured};
use crate::crops::CroppedImages;
use crate::runtime::{LoadOptions, Runtime, RuntimeError};

/// What all variants of a network have in common.
pub(super) struct Variants<'a> {
    pub(super) net: &'a Net,
    pub(super) weights: &'a Weights,
    pub(super) export: ExportOptions,
    pub(super) runtime: &'static dyn Runtime,
    pub(super) images: &'a CroppedImages,
    /// Crops that are run at a time.
    pub(super) batch: usize,
    pub(super) scaling: Scaling,
    /// Values in the logits before the first class.
    pub(super) offset: usize,
    /// The class of each image, where they are known.
    pub(super) labels: Option<Vec<usize>>,
    /// The answers in float32.
    pub(super) reference: Option<Answers>,
    /// What was measured so far.
    pub(super) journal: Option<Journal>,
}

impl Variants<'_> {
    /// The options that a variant is exported with.
    pub(super) fn options(&self, precision: PrecisionOptions) -> ExportOptions {
        ExportOptions {
            // The usual one, or the oldest that has what the precision needs.
            opset: self
                .export
                .opset
                .max(precision.oldest_opset(self.export.batch_norm).0),
            outputs: vec![Output::Logits],
            precision,
            ..self.export.clone()
        }
    }

    /// Runs the network in float32.
    ///
    /// # Errors
    /// [`SensitivityError`] where that cannot be run, or its logits are no numbers.
    pub(super) fn set_reference(&mut self) -> Result<(), SensitivityError> {
        let answers = self.answers(&Blocks::new())??;
        let broken = answers.top1.iter().filter(|top1| top1.is_none()).count();
        if broken > 0 {
            return Err(SensitivityError::NotFinite {
                images: broken,
                of: answers.top1.len(),
            });
        }
        self.reference = Some(answers);
        Ok(())
    }

    /// Top-1 errors in float32, where classes are known.
    pub(super) fn top1_errors(&self) -> Option<usize> {
        let answers = self.reference.as_ref()?;
        self.labels
            .as_deref()
            .map(|labels| answers.top1_errors(labels))
    }

    /// The most probable class in float32, where it is the same of several images.
    pub(super) fn only_class(&self) -> Option<usize> {
        let answers = self.reference.as_ref()?;
        let (first, others) = answers.top1.split_first()?;
        let same = !others.is_empty() && others.iter().all(|other| other == first);
        first.filter(|_| same)
    }

    /// What these precisions do to the answers; or why that cannot be told.
    ///
    /// # Errors
    /// [`SensitivityError`] for what has nothing to do with the precisions.
    pub(super) fn effect(&mut self, blocks: &Blocks) -> Result<Measured, SensitivityError> {
        if let Some(known) = self
            .journal
            .as_ref()
            .and_then(|journal| journal.find(blocks))
        {
            return Ok(known);
        }
        let Some(reference) = &self.reference else {
            return Ok(Err("there is no reference".into()));
        };
        let measured = match self.answers(blocks)? {
            Ok(answers) => Ok(answers.effect(reference, self.labels.as_deref())),
            Err(refused) => Err(refused.to_string()),
        };
        if let Some(journal) = &mut self.journal {
            journal.add(blocks, &measured)?;
        }
        Ok(measured)
    }

    fn answers(&self, blocks: &Blocks) -> Result<Result<Answers, RuntimeError>, SensitivityError> {
        let precision = PrecisionOptions {
            blocks: blocks.clone(),
            ..PrecisionOptions::default()
        };
        let model = match onnx::to_bytes(self.net, self.weights, &self.options(precision)) {
            Ok(model) => model,
            Err(error @ ExportError::Overflow { .. }) => {
                return Ok(Err(RuntimeError::Load {
                    runtime: self.runtime.name(),
                    reason: error.to_string().lines().next().unwrap_or_default().into(),
                }));
            }
            Err(error) => return Err(error.into()),
        };
        let mut session = match self.runtime.load(&model, LoadOptions::default()) {
            Ok(session) => session,
            Err(error @ (RuntimeError::Missing { .. } | RuntimeError::Unknown { .. })) => {
                return Err(error.into());
            }
            Err(refused) => return Ok(Err(refused)),
        };
        drop(model);
        let crops = self.images.crops.len();
        let mut rows: Vec<Array2<f32>> = vec![];
        for first in (0..crops).step_by(self.batch) {
            let some = first..(first + self.batch).min(crops);
            let images = self.images.scaled(some.clone(), self.scaling)?;
            let outputs = match session.run(images.view()) {
                Ok(outputs) => outputs,
                Err(refused) => return Ok(Err(refused)),
            };
            let logits = outputs.into_iter().next().map(|(_, logits)| logits);
            let logits = logits.and_then(|logits| logits.into_dimensionality::<Ix2>().ok());
            match logits.filter(|logits| logits.nrows() == some.len()) {
                Some(logits) => rows.push(logits),
                None => {
                    return Ok(Err(RuntimeError::Run {
                        runtime: self.runtime.name(),
                        shape: format!("{:?}", images.shape()),
                        reason: "no logits [N, classes]".into(),
                    }));
                }
            }
        }
        let views: Vec<_> = rows.iter().map(|rows| rows.view()).collect();
        let logits = ndarray::concatenate(Axis(0), &views).unwrap_or_default();
        Ok(Ok(Answers::new(logits, &self.images.crops, self.offset)))
    }
}
