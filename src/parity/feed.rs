//! Random images: as a model takes them, and as its network does.

use std::ops::Range;

use incept_exporters::net::{Net, Shape};
use incept_exporters::onnx::{ModelFacts, Preprocessing, Scaling};
use incept_exporters::weights::random_image;
use ndarray::{ArrayD, Axis, IxDyn, Slice};

use crate::crops::{CropError, CroppedImages};
use crate::runtime::InputTensor;

/// One batch.
pub(crate) struct Feed {
    /// What the network computes with, `[N, 3, H, W]`: the reference takes it.
    pub(crate) scaled: ArrayD<f32>,
    /// What the model takes, where it takes bytes.
    bytes: Option<ArrayD<u8>>,
}

impl Feed {
    /// A batch for `net`, from the seed. A model that resizes is given images of exactly the size that it resizes to, so
    /// that its crop is compared, and its resize is not: that has tests of its own beside Pillow.
    pub(crate) fn new(net: &Net, facts: &ModelFacts, seed: u64, batch: usize) -> Self {
        let shape = Net::batch_shape(&net.nodes()[0].shape, batch);
        if !facts.takes_bytes() {
            let scaled = random(seed, &shape);
            return Self {
                scaled,
                bytes: None,
            };
        }
        let contract = Preprocessing::read(&facts.metadata).and_then(Result::ok);
        let (height, width) = match net.nodes()[0].shape {
            Shape::Map { height, width, .. } => (height, width),
            Shape::Vector { .. } => (1, 1),
        };
        let resized = contract
            .as_ref()
            .filter(|contract| contract.takes_any_image());
        let whole = |side| resized.map_or(side, |contract| contract.recipe.enlarged(side));
        let (whole_height, whole_width) = (whole(height), whole(width));
        let bytes = random(seed, &[batch, whole_height, whole_width, 3])
            .mapv(|value| ((value + 1.0) * 127.5).round() as u8);
        let scaling = contract
            .as_ref()
            .map_or(Scaling::UNIT, |contract| contract.scaling);
        // torchvision's centre: half the space, halves to the even number.
        let start =
            |whole: usize, side: usize| ((whole - side) as f64 / 2.0).round_ties_even() as usize;
        let (top, left) = (start(whole_height, height), start(whole_width, width));
        let mut cut = bytes.view();
        cut.slice_axis_inplace(Axis(1), (top..top + height).into());
        cut.slice_axis_inplace(Axis(2), (left..left + width).into());
        let scaled = cut.permuted_axes(IxDyn(&[0, 3, 1, 2]));
        Self {
            scaled: scaled.mapv(|byte| scaling.value(byte)),
            bytes: Some(bytes),
        }
    }

    /// A batch of crops of images, all of them, for a model that takes crops.
    ///
    /// # Errors
    /// [`CropError`] where the crops are not of their own size.
    pub(crate) fn of_crops(
        crops: &CroppedImages,
        scaling: Scaling,
        takes_bytes: bool,
    ) -> Result<Self, CropError> {
        let all = 0..crops.crops.len();
        let bytes = match takes_bytes {
            true => Some(crops.bytes(all.clone())?.to_owned().into_dyn()),
            false => None,
        };
        let scaled = crops.scaled(all, scaling)?;
        Ok(Self { scaled, bytes })
    }

    /// The batch as the model takes it.
    pub(crate) fn images(&self) -> InputTensor<'_> {
        self.images_of(0..self.scaled.len_of(Axis(0)))
    }

    /// Some images of the batch as the model takes them.
    pub(super) fn images_of(&self, images: Range<usize>) -> InputTensor<'_> {
        let images = Slice::from(images);
        match &self.bytes {
            Some(bytes) => InputTensor::Bytes(bytes.slice_axis(Axis(0), images)),
            None => InputTensor::Floats(self.scaled.slice_axis(Axis(0), images)),
        }
    }
}

/// A batch of random numbers in [-1, 1), from the seed.
pub(crate) fn random(seed: u64, shape: &[usize]) -> ArrayD<f32> {
    let mut values = random_image(seed, shape.iter().product()).into_iter();
    ArrayD::from_shape_simple_fn(IxDyn(shape), move || values.next().unwrap_or(0.0))
}
