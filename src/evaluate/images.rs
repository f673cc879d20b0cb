//! The pipeline: images are decoded and cropped on all cores while the models run on the ones before.

use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::bounded;
use rayon::prelude::*;

use super::ensemble::Member;
use super::{EvaluateError, EvaluateOptions, Progress};
use crate::crops::{CropPlan, CropRenderer};
use crate::images::{Dataset, ImageError, Sample, load};

/// What was seen: for each image that counts its place in the dataset, in the order the members numbered them.
pub(super) struct Seen {
    pub(super) samples: Vec<usize>,
    pub(super) undecodable: Vec<String>,
    pub(super) crops: u64,
}

/// One image's crops: for each input size the weights of its crops, and their pixels one after the other.
struct Cropped {
    sizes: Vec<(Vec<u32>, Vec<u8>)>,
}

/// Runs every image through every member. Images are numbered in the dataset's order, those left out skipped, so the
/// result does not depend on threads.
pub(super) fn evaluate_images(
    dataset: &Dataset,
    sizes: &[(usize, usize)],
    plans: &[CropPlan],
    members: &mut [Member],
    options: &EvaluateOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<Seen, EvaluateError> {
    let samples = dataset.samples();
    // A few images at a time: enough for every core, few enough that 144 crops of each fit into memory.
    let chunk = rayon::current_num_threads().clamp(1, 16);
    let stop = AtomicBool::new(false);
    let (send, receive) = bounded::<Vec<(usize, Result<Cropped, EvaluateError>)>>(1);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let send = send;
            for (number, group) in samples.chunks(chunk).enumerate() {
                let cropped = group.par_iter().enumerate().map_init(
                    CropRenderer::new,
                    |renderer, (place, sample)| {
                        (
                            number * chunk + place,
                            crop_image(renderer, dataset, sample, plans),
                        )
                    },
                );
                let cropped = cropped.collect();
                if stop.load(Ordering::Relaxed) || send.send(cropped).is_err() {
                    return;
                }
            }
        });
        let result = consume(
            dataset,
            sizes,
            members,
            options,
            receive.iter().flatten(),
            progress,
        );
        stop.store(true, Ordering::Relaxed);
        drop(receive);
        result
    })
}

fn consume(
    dataset: &Dataset,
    sizes: &[(usize, usize)],
    members: &mut [Member],
    options: &EvaluateOptions,
    images: impl Iterator<Item = (usize, Result<Cropped, EvaluateError>)>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Seen, EvaluateError> {
    let samples = dataset.samples();
    let mut seen = Seen {
        samples: vec![],
        undecodable: vec![],
        crops: 0,
    };
    for (index, cropped) in images {
        match cropped {
            Ok(cropped) => {
                let image = seen.samples.len();
                seen.samples.push(index);
                for member in members.iter_mut() {
                    let place = sizes
                        .iter()
                        .position(|size| *size == member.image_size())
                        .unwrap_or(0);
                    let (weights, pixels) = &cropped.sizes[place];
                    let length = pixels.len() / weights.len().max(1);
                    for (weight, pixels) in weights.iter().zip(pixels.chunks_exact(length.max(1))) {
                        member.add(image, *weight, pixels)?;
                    }
                }
                seen.crops += cropped
                    .sizes
                    .iter()
                    .map(|(weights, _)| weights.len() as u64)
                    .max()
                    .unwrap_or(0);
            }
            Err(error @ EvaluateError::Undecodable { .. }) if !options.allow_undecodable => {
                return Err(error);
            }
            Err(EvaluateError::Undecodable { name, .. }) => seen.undecodable.push(name),
            Err(other) => return Err(other),
        }
        progress(Progress {
            images: index + 1,
            total: samples.len(),
            crops: seen.crops,
        });
    }
    members.iter_mut().try_for_each(Member::flush)?;
    if seen.samples.is_empty() {
        return Err(EvaluateError::NothingDecoded {
            folder: dataset.folder().into(),
            found: samples.len(),
        });
    }
    Ok(seen)
}

fn crop_image(
    renderer: &mut CropRenderer,
    dataset: &Dataset,
    sample: &Sample,
    plans: &[CropPlan],
) -> Result<Cropped, EvaluateError> {
    let image = load(&dataset.path_of(sample)).map_err(|source| match source {
        // Of a file that the system cannot read nothing is known: to leave it out would make a result of a disk that
        // went away.
        ImageError::File(_) => EvaluateError::Image(source),
        source => EvaluateError::Undecodable {
            name: dataset.name_of(sample),
            source,
        },
    })?;
    let mut sizes = vec![];
    for plan in plans {
        let crops = plan.crops(image.width(), image.height())?;
        let weights = crops.iter().map(|crop| crop.multiplicity).collect();
        let pixels = renderer.render(&image, crops.iter().map(|weighted| weighted.crop))?;
        sizes.push((weights, pixels));
    }
    Ok(Cropped { sizes })
}
