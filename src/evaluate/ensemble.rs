//! A model of an ensemble: its session, its pending batch, its averaged probabilities.

use std::path::{Path, PathBuf};

use incept_exporters::onnx::{Model, ModelFacts};
use ndarray::{ArrayView2, ArrayViewD, Ix2, IxDyn};

use super::{ErrorRate, EvaluateError, EvaluateOptions, ModelEvaluated};
use crate::crops;
use crate::images::Dataset;
use crate::provenance::Provenance;
use crate::runtime::{self, LoadOptions, RuntimeError, Session};

/// One loaded model and what it has computed so far.
pub(super) struct Member {
    path: PathBuf,
    facts: ModelFacts,
    runtime: &'static str,
    session: Box<dyn Session>,
    height: usize,
    width: usize,
    classes: usize,
    softmax: bool,
    /// Crops in a full batch.
    capacity: usize,
    /// Whether the model takes full batches only.
    fixed: bool,
    /// Crops waiting: their values, and each one's image and weight.
    values: Vec<f32>,
    waiting: Vec<(usize, u32)>,
    /// For each image the weighted sum of probabilities, and the sum of weights.
    sums: Vec<f64>,
    weights: Vec<u32>,
}

impl Member {
    pub(super) fn load(
        path: &Path,
        dataset: &Dataset,
        options: &EvaluateOptions,
        provenance: &mut Provenance,
    ) -> Result<Self, EvaluateError> {
        let Model { bytes, data_files } = Model::load(path)?;
        provenance.add_file(path)?;
        data_files
            .iter()
            .try_for_each(|file| provenance.add_file(file))?;
        let facts = ModelFacts::read(&bytes).map_err(|source| EvaluateError::Model {
            path: path.into(),
            source,
        })?;
        let interface = |expected, found: String| EvaluateError::Interface {
            path: path.into(),
            expected,
            found,
        };
        let shape = facts
            .inputs
            .first()
            .map(|input| input.shape.clone())
            .unwrap_or_default();
        let (batch, height, width) = match shape.as_slice() {
            [batch, Ok(3), Ok(height), Ok(width)] => (batch.clone(), *height, *width),
            other => {
                let dimensions: Vec<String> = other
                    .iter()
                    .map(|d| d.as_ref().map_or_else(String::clone, usize::to_string))
                    .collect();
                return Err(interface(
                    "an input [N, 3, H, W]",
                    format!("[{}]", dimensions.join(", ")),
                ));
            }
        };
        let output = facts.outputs.first();
        let classes = match output.map(|output| output.shape.as_slice()) {
            Some([_, Ok(classes)]) => *classes,
            _ => {
                return Err(interface(
                    "an output [N, classes]",
                    format!("{:?}", output.map(|o| &o.shape)),
                ));
            }
        };
        let softmax = match facts.metadata.get("incept.output").map(String::as_str) {
            Some("features") => {
                return Err(interface("logits or probabilities", "features".into()));
            }
            Some("probabilities") => false,
            // A file that does not say puts out logits, as classifiers are exported.
            _ => output.is_none_or(|output| output.name != "probabilities"),
        };
        if classes != dataset.classes().len() {
            let (folder, expected) = (dataset.folder().into(), dataset.classes().len());
            return Err(EvaluateError::Classes {
                path: path.into(),
                folder,
                expected,
                found: classes,
            });
        }
        let runtime = runtime::find(&options.runtime)?;
        let described = format!("{}, {}", runtime.version()?, runtime.device());
        if !provenance.runtimes.contains(&described) {
            provenance.runtimes.push(described);
        }
        let session = runtime.load(&bytes, LoadOptions::default())?;
        let images = dataset.samples().len();
        let fixed = batch.as_ref().ok().copied();
        Ok(Self {
            path: path.into(),
            runtime: runtime.name(),
            session,
            height,
            width,
            classes,
            softmax,
            capacity: fixed.unwrap_or(options.batch).max(1),
            fixed: fixed.is_some(),
            values: vec![],
            waiting: vec![],
            sums: vec![0.0; images * classes],
            weights: vec![0; images],
            facts,
        })
    }

    pub(super) fn image_size(&self) -> (usize, usize) {
        (self.height, self.width)
    }

    /// Adds one crop, `[height, width, 3]`, of image number `image`; runs the batch when it is full. A batch may hold
    /// crops of several images.
    pub(super) fn add(
        &mut self,
        image: usize,
        weight: u32,
        pixels: &[u8],
    ) -> Result<(), EvaluateError> {
        let start = self.values.len();
        self.values.resize(start + pixels.len(), 0.0);
        let (height, width) = (self.height as u32, self.width as u32);
        crops::to_tensor(pixels, height, width, &mut self.values[start..])?;
        self.waiting.push((image, weight));
        if self.waiting.len() == self.capacity {
            self.flush()
        } else {
            Ok(())
        }
    }

    /// Runs what is waiting.
    pub(super) fn flush(&mut self) -> Result<(), EvaluateError> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let crops = if self.fixed {
            self.capacity
        } else {
            self.waiting.len()
        };
        let shape = [crops, 3, self.height, self.width];
        self.values.resize(shape.iter().product(), 0.0);
        let failed = |reason: String| RuntimeError::Run {
            runtime: self.runtime,
            shape: shape.to_vec(),
            reason,
        };
        let image = ArrayViewD::from_shape(IxDyn(&shape), &self.values)
            .map_err(|e| failed(e.to_string()))?;
        let outputs = self.session.run(image)?;
        let (_, output) = outputs
            .into_iter()
            .next()
            .ok_or_else(|| failed("no output".into()))?;
        let expected = [crops, self.classes];
        let output = output
            .into_dimensionality::<Ix2>()
            .ok()
            .filter(|output| output.shape() == expected);
        let output =
            output.ok_or_else(|| failed(format!("the output is not of shape {expected:?}")))?;
        self.collect(output.view());
        self.values.clear();
        self.waiting.clear();
        Ok(())
    }

    fn collect(&mut self, output: ArrayView2<'_, f32>) {
        for (row, &(image, weight)) in output.outer_iter().zip(&self.waiting) {
            let values: Vec<f64> = row.iter().map(|&value| f64::from(value)).collect();
            let probabilities = if self.softmax {
                softmax(&values)
            } else {
                values
            };
            let sums = &mut self.sums[image * self.classes..][..self.classes];
            for (sum, probability) in sums.iter_mut().zip(probabilities) {
                *sum += f64::from(weight) * probability;
            }
            self.weights[image] += weight;
        }
    }

    /// Softmax averaged over the crops of an image.
    pub(super) fn probabilities(&self, image: usize) -> Vec<f64> {
        let weight = f64::from(self.weights[image]);
        let sums = &self.sums[image * self.classes..][..self.classes];
        sums.iter().map(|sum| sum / weight).collect()
    }

    pub(super) fn result(&self, errors: ErrorRate) -> ModelEvaluated {
        let network = self.facts.network.as_ref();
        ModelEvaluated {
            path: self.path.display().to_string(),
            network: network.map(|network| network.name.clone()),
            variant: network.map(|network| network.variant.clone()),
            image_size: (self.height, self.width),
            errors,
        }
    }
}

/// Probabilities of an image averaged over the models.
pub(super) fn average(members: &[Member], image: usize) -> Vec<f64> {
    let mut total: Vec<f64> = vec![];
    for member in members {
        let probabilities = member.probabilities(image);
        total.resize(probabilities.len(), 0.0);
        total
            .iter_mut()
            .zip(probabilities.iter())
            .for_each(|(sum, value)| *sum += value);
    }
    let models = members.len() as f64;
    total.into_iter().map(|sum| sum / models).collect()
}

/// Softmax in float64, shifted by the largest logit so that nothing overflows.
fn softmax(logits: &[f64]) -> Vec<f64> {
    let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = logits.iter().map(|logit| (logit - largest).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn softmax_survives_large_logits_and_shows_nan() {
        let probabilities = softmax(&[1000.0, 999.0]);
        assert!((probabilities[0] - 1.0 / (1.0 + (-1.0f64).exp())).abs() < 1e-12);
        assert!(softmax(&[f64::NAN, 0.0]).iter().all(|value| value.is_nan()));
    }
}
