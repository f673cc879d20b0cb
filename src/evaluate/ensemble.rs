//! A model of an ensemble: its session, its pending batch, its averaged probabilities.

use std::path::{Path, PathBuf};

use incept_exporters::onnx::{Model, ModelFacts};
use ndarray::{ArrayView2, ArrayViewD, Ix2, IxDyn};

use super::contract::{Interface, View};
use super::{ErrorRate, EvaluateError, EvaluateOptions, ModelEvaluated};
use crate::crops;
use crate::images::Dataset;
use crate::provenance::Provenance;
use crate::runtime::{self, InputTensor, LoadOptions, RuntimeError, Session};

/// One loaded model and what it has computed so far.
pub(super) struct Member {
    path: PathBuf,
    facts: ModelFacts,
    runtime: &'static str,
    session: Box<dyn Session>,
    interface: Interface,
    /// The dataset's.
    classes: usize,
    /// Crops in a full batch.
    capacity: usize,
    /// Crops waiting: their pixels and their common height and width, and each one's image and weight.
    pixels: Vec<u8>,
    size: (usize, usize),
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
        let model = Model::load(path)?;
        provenance.add_model(&model)?;
        let facts = model.facts()?;
        let interface = Interface::read(path, &facts, dataset, options)?;
        let runtime = runtime::find(&options.runtime)?;
        let described = runtime.title()?;
        if !provenance.runtimes.contains(&described) {
            provenance.runtimes.push(described);
        }
        let session = runtime.load(&model.bytes, LoadOptions::default())?;
        let images = dataset.samples().len();
        let classes = dataset.classes().len();
        Ok(Self {
            path: path.into(),
            runtime: runtime.name(),
            session,
            classes,
            capacity: interface.batch.unwrap_or(options.batch).max(1),
            interface,
            pixels: vec![],
            size: (0, 0),
            waiting: vec![],
            sums: vec![0.0; images * classes],
            weights: vec![0; images],
            facts,
        })
    }

    pub(super) fn view(&self) -> &View {
        &self.interface.view
    }

    /// Adds one crop, `[height, width, 3]`, of image number `image`; runs the batch when it is full. A batch may hold
    /// crops of several images, all of one size.
    pub(super) fn add(
        &mut self,
        image: usize,
        weight: u32,
        size: (usize, usize),
        pixels: &[u8],
    ) -> Result<(), EvaluateError> {
        if size != self.size {
            self.flush()?;
            self.size = size;
        }
        self.pixels.extend_from_slice(pixels);
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
        let crops = match self.interface.batch {
            Some(fixed) => fixed,
            None => self.waiting.len(),
        };
        let (height, width) = self.size;
        // What a fixed batch lacks is filled up with black.
        self.pixels.resize(crops * height * width * 3, 0);
        let shape = match self.interface.scaling {
            Some(_) => [crops, 3, height, width],
            None => [crops, height, width, 3],
        };
        let failed = |reason: String| RuntimeError::Run {
            runtime: self.runtime,
            shape: format!("{shape:?}"),
            reason,
        };
        let misshapen = |error: ndarray::ShapeError| failed(error.to_string());
        let mut values = vec![];
        let images = match self.interface.scaling {
            Some(scaling) => {
                values.resize(self.pixels.len(), 0.0);
                let (height, width) = (height as u32, width as u32);
                let table = |byte| scaling.value(byte);
                crops::to_tensor_by(&self.pixels, height, width, table, &mut values)?;
                InputTensor::Floats(
                    ArrayViewD::from_shape(IxDyn(&shape), &values).map_err(misshapen)?,
                )
            }
            None => InputTensor::Bytes(
                ArrayViewD::from_shape(IxDyn(&shape), &self.pixels).map_err(misshapen)?,
            ),
        };
        let outputs = self.session.run_images(images)?;
        let name = &self.interface.output;
        let output = outputs.into_iter().find(|(output, _)| output == name);
        let (_, output) = output.ok_or_else(|| failed(format!("no output `{name}`")))?;
        let expected = [crops, self.interface.values];
        let output = output
            .into_dimensionality::<Ix2>()
            .ok()
            .filter(|output| output.shape() == expected);
        let output =
            output.ok_or_else(|| failed(format!("the output is not of shape {expected:?}")))?;
        self.collect(output.view());
        self.pixels.clear();
        self.waiting.clear();
        Ok(())
    }

    fn collect(&mut self, output: ArrayView2<'_, f32>) {
        for (row, &(image, weight)) in output.outer_iter().zip(&self.waiting) {
            let values: Vec<f64> = row.iter().map(|&value| f64::from(value)).collect();
            let probabilities = if self.interface.softmax {
                softmax(&values)
            } else {
                values
            };
            // The background takes part in the softmax, as it did in training, and is dropped then.
            let classes = probabilities.into_iter().skip(self.interface.offset);
            let sums = &mut self.sums[image * self.classes..][..self.classes];
            for (sum, probability) in sums.iter_mut().zip(classes) {
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
            image_size: self.interface.size,
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
pub(crate) fn softmax(logits: &[f64]) -> Vec<f64> {
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
