//! How long a forward pass and a training step take.

use std::time::{Duration, Instant};

use tch::{Device, Kind, Tensor};

use super::{GradientSettings, Mode, Model, Optimizer, Rule, TorchError, train};
use crate::exporters::net::Net;
use crate::exporters::weights::{Weights, random_image};

/// Times of repeated runs of the same work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// The middle one; half were faster.
    pub median: Duration,
    /// The fastest.
    pub fastest: Duration,
    /// How many were timed, after one that was not.
    pub repeats: usize,
}

/// Times the forward pass in float32 and evaluation mode on a batch of noise.
///
/// # Errors
/// Weights that do not fit, or libtorch's refusal.
pub fn bench_forward(
    net: &Net,
    weights: &Weights,
    batch: usize,
    repeats: usize,
    device: Device,
) -> Result<Timing, TorchError> {
    let model = Model::new(net, weights, Kind::Float, device)?;
    let image = noise(net, batch)?;
    time(repeats, device, || {
        model.logits(&image, Mode::Evaluation).map(|_| ())
    })
}

/// Times a training step in float32, as training takes it: forward, backward and the paper's optimiser.
///
/// # Errors
/// Weights that do not fit, or libtorch's refusal.
pub fn bench_training_step(
    net: &Net,
    weights: &Weights,
    batch: usize,
    repeats: usize,
    device: Device,
) -> Result<Timing, TorchError> {
    let model = Model::new(net, weights, Kind::Float, device)?;
    let rule = Rule::RmsProp {
        decay: 0.9,
        epsilon: 1.0,
        momentum: 0.9,
    };
    let gradient = GradientSettings {
        weight_decay: 4e-5,
        clip_norm: None,
    };
    let mut optimizer = Optimizer::new(rule, gradient, model.layout(), model.values())?;
    let image = noise(net, batch)?;
    let classes = net.options().classes as i64;
    let labels: Vec<i64> = (0..batch as i64).map(|i| i % classes).collect();
    let labels = Tensor::f_from_slice(&labels)
        .and_then(|labels| labels.f_to_device(device))
        .map_err(TorchError::while_("making labels"))?;
    let mode = Mode::Training {
        batch_norm_momentum: 0.0003,
        dropout_seed: 0,
    };
    time(repeats, device, || {
        let objective = train::Objective::default();
        train::step(
            &model,
            &mut optimizer,
            &image,
            &labels,
            mode,
            objective,
            1e-4,
        )
        .map(|_| ())
    })
}

fn noise(net: &Net, batch: usize) -> Result<Tensor, TorchError> {
    let options = net.options();
    let (height, width) = (options.image_height, options.image_width);
    let pixels = random_image(0, batch * 3 * height * width);
    // Channels last in memory, as training has its batches.
    Tensor::f_from_slice(&pixels)
        .and_then(|image| image.f_view([batch as i64, height as i64, width as i64, 3].as_slice()))
        .and_then(|image| image.f_permute([0, 3, 1, 2].as_slice()))
        .map_err(TorchError::while_("making an image"))
}

fn time(
    repeats: usize,
    device: Device,
    mut work: impl FnMut() -> Result<(), TorchError>,
) -> Result<Timing, TorchError> {
    let repeats = repeats.max(1);
    let mut times = Vec::with_capacity(repeats);
    for round in 0..=repeats {
        let start = Instant::now();
        work()?;
        if let Device::Cuda(number) = device {
            tch::Cuda::synchronize(number as i64);
        }
        if round > 0 {
            times.push(start.elapsed());
        }
    }
    times.sort_unstable();
    Ok(Timing {
        median: times[repeats / 2],
        fastest: times[0],
        repeats,
    })
}
