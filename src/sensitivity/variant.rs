//! A network with some blocks in lower precision, run on the images.

use incept_exporters::net::{Net, NodeId, Op};
use incept_exporters::onnx::{
    self, Bytes, ExportError, ExportOptions, INPUT_NAME, Output, PrecisionOptions, Scaling,
};
use incept_exporters::weights::Weights;
use ndarray::Ix2;

use super::SensitivityError;
use super::effect::Answers;
use super::journal::{Blocks, Journal, Measured};
use super::run::{Known, Runner};
use crate::parity::{Opened, Pictures};
use crate::runtime::{Runtime, RuntimeError};

/// Bytes of values that are kept between two blocks.
const MOST_KNOWN: usize = 1 << 30;

/// What all variants of a network have in common.
pub(super) struct Variants<'a> {
    pub(super) net: &'a Net,
    pub(super) weights: &'a Weights,
    pub(super) export: ExportOptions,
    pub(super) runner: Runner<'a>,
    /// Values in the logits before the first class.
    pub(super) offset: usize,
    /// The class of each image, where they are known.
    pub(super) labels: Option<Vec<usize>>,
    /// The answers in float32.
    pub(super) reference: Option<Answers>,
    /// What was measured so far.
    pub(super) journal: Option<Journal>,
    /// Values in float32 that are the same in all variants that follow.
    pub(super) known: Known,
}

impl<'a> Variants<'a> {
    /// The variants of a model's network on these images.
    pub(super) fn new(
        opened: &'a Opened,
        weights: &'a Weights,
        runtime: &'static dyn Runtime,
        batch: usize,
        pictures: &'a Pictures,
    ) -> Self {
        Self {
            net: &opened.net,
            weights,
            export: ExportOptions {
                batch_norm: opened.network.batch_norm,
                ..ExportOptions::default()
            },
            runner: Runner {
                runtime,
                images: &pictures.cropped,
                batch,
                scaling: Scaling::of(&opened.net),
            },
            offset: pictures.offset,
            labels: pictures.labels.clone(),
            reference: None,
            journal: None,
            known: vec![],
        }
    }

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

    /// Computes what lies before a block, where that is not too much to keep: the variants that follow lower nothing
    /// before it.
    ///
    /// # Errors
    /// [`SensitivityError`] where the network cannot be run so.
    pub(super) fn begin_at(&mut self, block: &str) -> Result<(), SensitivityError> {
        let Some(names) = self.before(block) else {
            return Ok(());
        };
        let Ok(model) = self.export(&Blocks::new())? else {
            return Ok(());
        };
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        // A runtime that refuses parts of a network is given more of it.
        if let Ok(known) = self.runner.run_behind(&model, &names, &self.known)? {
            self.known = known;
        }
        Ok(())
    }

    /// The values that a block and all behind it are computed from; none where that is the image, too much to keep, or
    /// what a file has no value of.
    fn before(&self, block: &str) -> Option<Vec<String>> {
        let net = self.net;
        let needed = net.needed(&[net.id(Output::Logits.name())?]);
        let of_block = |index: usize| needed[index] && net.nodes()[index].block() == block;
        let first = (0..net.nodes().len()).find(|&index| of_block(index))?;
        let mut values: Vec<NodeId> = vec![];
        let behind = net.nodes().iter().zip(&needed).skip(first);
        for node in behind.filter_map(|(node, needed)| needed.then_some(node)) {
            for &input in &node.inputs {
                let mut value = input;
                // Dropout does nothing at inference: its value is its input's.
                while let Op::Dropout { .. } = net.at(value).op {
                    value = *net.at(value).inputs.first()?;
                }
                if value.index() < first && !values.contains(&value) {
                    values.push(value);
                }
            }
        }
        let elements = values.iter().map(|&value| net.at(value).shape.elements());
        let bytes = elements
            .sum::<usize>()
            .saturating_mul(4 * self.runner.images.crops.len());
        let names = values.iter().map(|&value| match net.at(value).op {
            // Folded into what comes behind it, or the image.
            Op::Input | Op::Convolution { .. } | Op::Linear { .. } => None,
            _ => Some(net.at(value).name.clone()),
        });
        let names: Option<Vec<String>> = names.collect();
        names.filter(|names| !names.is_empty() && bytes <= MOST_KNOWN)
    }

    /// What these precisions do to the answers; or why that cannot be told.
    ///
    /// # Errors
    /// [`SensitivityError`] for what has nothing to do with the precisions.
    pub(super) fn effect(&mut self, blocks: &Blocks) -> Result<Measured, SensitivityError> {
        if let Some(known) = self.found(blocks) {
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

    /// What the journal knows of these precisions.
    pub(super) fn found(&self, blocks: &Blocks) -> Option<Measured> {
        self.journal.as_ref()?.find(blocks)
    }

    /// The variant's file, or why there is none.
    fn export(&self, blocks: &Blocks) -> Result<Result<Bytes, RuntimeError>, SensitivityError> {
        let precision = PrecisionOptions {
            blocks: blocks.clone(),
            // Runtimes on a processor keep more bits than float16 has, each in other places.
            emulated_float16: true,
            ..PrecisionOptions::default()
        };
        match onnx::to_bytes(self.net, self.weights, &self.options(precision)) {
            Ok(model) => Ok(Ok(model.into())),
            Err(error @ ExportError::Overflow { .. }) => Ok(Err(RuntimeError::Load {
                runtime: self.runner.runtime.name(),
                reason: error.to_string().lines().next().unwrap_or_default().into(),
            })),
            Err(error) => Err(error.into()),
        }
    }

    fn answers(&self, blocks: &Blocks) -> Result<Result<Answers, RuntimeError>, SensitivityError> {
        let model = match self.export(blocks)? {
            Ok(model) => model,
            Err(refused) => return Ok(Err(refused)),
        };
        let logits = Output::Logits.name();
        let behind = match self.known.is_empty() {
            true => None,
            false => self.runner.run_behind(&model, &[logits], &self.known)?.ok(),
        };
        let outputs = match behind {
            Some(outputs) => outputs,
            None => match self.runner.run(&model)? {
                Ok(outputs) => outputs,
                Err(refused) => return Ok(Err(refused)),
            },
        };
        let found = outputs.into_iter().find(|(name, _)| name == logits);
        let found = found.and_then(|(_, found)| found.into_dimensionality::<Ix2>().ok());
        Ok(match found {
            Some(found) => Ok(Answers::new(found, &self.runner.images.crops, self.offset)),
            None => Err(RuntimeError::Run {
                runtime: self.runner.runtime.name(),
                shape: format!("`{INPUT_NAME}`"),
                reason: "no logits [N, classes]".into(),
            }),
        })
    }
}
