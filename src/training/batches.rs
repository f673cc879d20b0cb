//! Batches of images, prepared ahead of the step that needs them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use super::pipeline::Pipeline;
use super::{Augmentation, TrainingConfig, random_crop};
use crate::crops::{CropError, CropPlan, CropRenderer, DEFAULT_CROP_FRACTION, InputSize};
use crate::exporters::weights::{stream_key, uniform};
use crate::files::FileError;
use crate::images::{Dataset, ImageError, Resizer, RgbImage, load};

/// A batch that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// An image that cannot be decoded.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A crop that cannot be cut.
    #[error(transparent)]
    Crop(#[from] CropError),
    /// The system starts no thread.
    #[error(transparent)]
    File(#[from] FileError),
}

impl BatchError {
    /// The fix, where one is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Image(error) => error.hint(),
            Self::Crop(error) => error.hint(),
            Self::File(error) => error.hint(),
        }
    }
}

/// The images of one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// 8-bit RGB, `[N, H, W, 3]`.
    pub pixels: Vec<u8>,
    /// The class of each image.
    pub labels: Vec<i64>,
}

/// The order in which an epoch goes through `images` images: a permutation decided by seed and epoch.
pub fn epoch_order(seed: u64, epoch: u64, images: usize) -> Vec<u32> {
    let key = stream_key(seed, &format!("order/{epoch}"));
    let mut order: Vec<u32> = (0..images as u32).collect();
    // Fisher and Yates: each place gets one of those not yet placed.
    for place in (1..images).rev() {
        let other = (uniform(key, place as u64) * (place + 1) as f64) as usize;
        order.swap(place, other.min(place));
    }
    order
}

/// Decoded images, kept up to a number of bytes.
struct Cache {
    images: Vec<OnceLock<Arc<RgbImage>>>,
    room: AtomicUsize,
}

struct Source {
    dataset: Dataset,
    cache: Cache,
}

impl Source {
    fn image(&self, index: usize) -> Result<Arc<RgbImage>, ImageError> {
        if let Some(image) = self.cache.images[index].get() {
            return Ok(Arc::clone(image));
        }
        let sample = &self.dataset.samples()[index];
        let image = Arc::new(load(&self.dataset.path_of(sample))?);
        let bytes = image.pixels().len();
        let taken = self
            .cache
            .room
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |room| {
                room.checked_sub(bytes)
            });
        if taken.is_ok() {
            // Where another thread was first, its image is the same.
            let _ = self.cache.images[index].set(Arc::clone(&image));
        }
        Ok(image)
    }
}

/// Training batches in the order of the run.
///
/// Sample number `step · batch + i` of the run is image `(number mod images)` of epoch `number / images` in
/// that epoch's order: every image is seen once an epoch, and a batch may cross an epoch's border. Everything
/// random is decided by seed, epoch and image, so a run continued at any step sees what it would have seen.
pub struct TrainingImages {
    pipeline: Pipeline<Result<Batch, BatchError>>,
}

impl TrainingImages {
    /// Starts the workers for the given steps.
    ///
    /// # Errors
    /// The system's refusal to start a thread.
    pub fn start(
        config: &TrainingConfig,
        dataset: &Dataset,
        steps: std::ops::Range<u64>,
    ) -> Result<Self, BatchError> {
        let images = dataset.samples().len();
        let source = Source {
            dataset: dataset.clone(),
            cache: Cache {
                images: (0..images).map(|_| OnceLock::new()).collect(),
                room: AtomicUsize::new(config.image_cache_mib << 20),
            },
        };
        let (batch, seed) = (config.batch_size as u64, config.seed);
        let width = config.options.image_width as u32;
        let height = config.options.image_height as u32;
        let augmentation: Augmentation = config.augmentation;
        let make = move |state: &mut Worker, step: u64| {
            let mut pixels = Vec::with_capacity((batch as usize) * (width * height * 3) as usize);
            let mut labels = Vec::with_capacity(batch as usize);
            for sample in step * batch..(step + 1) * batch {
                let (epoch, place) = (sample / images as u64, (sample % images as u64) as usize);
                if state.order.is_empty() || state.epoch != epoch {
                    state.order = epoch_order(seed, epoch, images);
                    state.epoch = epoch;
                }
                let index = state.order[place] as usize;
                let image = source.image(index)?;
                let crop =
                    augmentation.draw(seed, epoch, index as u64, image.width(), image.height());
                pixels.extend(random_crop(
                    &mut state.resizer,
                    &image,
                    crop,
                    width,
                    height,
                )?);
                labels.push(source.dataset.samples()[index].class as i64);
            }
            Ok::<Batch, BatchError>(Batch { pixels, labels })
        };
        let pipeline = Pipeline::start(steps, config.decode_workers(), Worker::default, make)
            .map_err(|error| FileError::new("start a thread to decode", dataset.folder(), error))?;
        Ok(Self { pipeline })
    }
}

impl Iterator for TrainingImages {
    type Item = Result<Batch, BatchError>;

    /// The next step's batch; none after the last step.
    fn next(&mut self) -> Option<Self::Item> {
        self.pipeline.next()
    }
}

#[derive(Default)]
struct Worker {
    resizer: Resizer,
    epoch: u64,
    order: Vec<u32>,
}

/// Crops of the validation images are kept where they need no more than this.
const KEPT_CROPS: usize = 512 << 20;

/// Validation batches: every image once, in order, its single centre crop as `incept eval --crops 1` takes it.
pub struct ValidationImages {
    dataset: Arc<Dataset>,
    size: InputSize,
    batch: usize,
    workers: usize,
    kept: Vec<Batch>,
}

impl ValidationImages {
    /// Over a dataset, with the configuration's size and workers.
    pub fn new(config: &TrainingConfig, dataset: Dataset) -> Self {
        Self {
            dataset: Arc::new(dataset),
            size: InputSize {
                height: config.options.image_height as u32,
                width: config.options.image_width as u32,
            },
            batch: config.batch_size.max(64),
            workers: config.decode_workers(),
            kept: vec![],
        }
    }

    /// How many images there are.
    pub fn len(&self) -> usize {
        self.dataset.samples().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Hands every batch to `take`. The first time images are decoded, later the crops are at hand where memory allows.
    ///
    /// # Errors
    /// An image that cannot be decoded, or the first error of `take`.
    pub fn for_each<E: From<BatchError>>(
        &mut self,
        mut take: impl FnMut(&Batch) -> Result<(), E>,
    ) -> Result<(), E> {
        if !self.kept.is_empty() {
            return self.kept.iter().try_for_each(take);
        }
        let image_bytes = self.size.height as usize * self.size.width as usize * 3;
        let keep = self.len() * image_bytes <= KEPT_CROPS;
        let batches = self.len().div_ceil(self.batch) as u64;
        let (dataset, size, batch) = (Arc::clone(&self.dataset), self.size, self.batch);
        let make = move |renderer: &mut CropRenderer, number: u64| {
            let from = number as usize * batch;
            let to = (from + batch).min(dataset.samples().len());
            let mut made = Batch {
                pixels: vec![],
                labels: vec![],
            };
            for sample in &dataset.samples()[from..to] {
                let path = dataset.path_of(sample);
                made.pixels
                    .extend(centre_crop(renderer, &load(&path)?, size)?);
                made.labels.push(sample.class as i64);
            }
            Ok::<Batch, BatchError>(made)
        };
        let folder = self.dataset.folder();
        let mut pipeline = Pipeline::start(0..batches, self.workers, CropRenderer::new, make)
            .map_err(|error| {
                BatchError::from(FileError::new("start a thread to decode", folder, error))
            })?;
        let mut kept = vec![];
        while let Some(batch) = pipeline.next() {
            let batch = batch?;
            take(&batch)?;
            if keep {
                kept.push(batch);
            }
        }
        self.kept = kept;
        Ok(())
    }
}

fn centre_crop(
    renderer: &mut CropRenderer,
    image: &RgbImage,
    size: InputSize,
) -> Result<Vec<u8>, CropError> {
    let plan = CropPlan::single(size, DEFAULT_CROP_FRACTION)?;
    renderer.render(image, plan.all_crops(image.width(), image.height())?)
}

#[cfg(test)]
mod tests;
