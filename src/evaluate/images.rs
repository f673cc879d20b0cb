//! The pipeline: images are decoded and cropped on all cores while the models run on the ones before.

use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::bounded;
use rayon::prelude::*;

use super::contract::View;
use super::ensemble::Member;
use super::{EvaluateError, EvaluateOptions, Progress};
use crate::crops::CropRenderer;
use crate::images::{Dataset, ImageError, Sample, load};

/// What was seen: for each image that counts its place in the dataset, in the order the members numbered them.
pub(super) struct Seen {
    pub(super) samples: Vec<usize>,
    pub(super) undecodable: Vec<String>,
    pub(super) crops: u64,
}

/// One image in one view: the weights of its crops, their size, and their pixels one after the other.
struct Rendered {
    weights: Vec<u32>,
    size: (usize, usize),
    pixels: Vec<u8>,
}

/// Runs every image through every member. Images are numbered in the dataset's order, those left out skipped, so the
/// result does not depend on threads.
pub(super) fn evaluate_images(
    dataset: &Dataset,
    views: &[View],
    members: &mut [Member],
    options: &EvaluateOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<Seen, EvaluateError> {
    let samples = dataset.samples();
    // A few images at a time: enough for every core, few enough that 144 crops of each fit into memory.
    let chunk = rayon::current_num_threads().clamp(1, 16);
    let stop = AtomicBool::new(false);
    let (send, receive) = bounded::<Vec<(usize, Result<Vec<Rendered>, EvaluateError>)>>(1);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let send = send;
            for (number, group) in samples.chunks(chunk).enumerate() {
                let cropped = group.par_iter().enumerate().map_init(
                    CropRenderer::new,
                    |renderer, (place, sample)| {
                        (
                            number * chunk + place,
                            crop_image(renderer, dataset, sample, views),
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
            views,
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
    views: &[View],
    members: &mut [Member],
    options: &EvaluateOptions,
    images: impl Iterator<Item = (usize, Result<Vec<Rendered>, EvaluateError>)>,
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
            Ok(rendered) => {
                let image = seen.samples.len();
                seen.samples.push(index);
                for member in members.iter_mut() {
                    let place = views.iter().position(|view| view == member.view());
                    let Some(seen) = place.and_then(|place| rendered.get(place)) else {
                        continue;
                    };
                    let length = (seen.size.0 * seen.size.1 * 3).max(1);
                    let crops = seen.weights.iter().zip(seen.pixels.chunks_exact(length));
                    for (weight, pixels) in crops {
                        member.add(image, *weight, seen.size, pixels)?;
                    }
                }
                let crops = rendered.iter().map(|seen| seen.weights.len() as u64);
                seen.crops += crops.max().unwrap_or(0);
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
    views: &[View],
) -> Result<Vec<Rendered>, EvaluateError> {
    let image = load(&dataset.path_of(sample)).map_err(|source| match source {
        // Of a file that the system cannot read nothing is known: to leave it out would make a result of a disk that
        // went away.
        ImageError::File(_) => EvaluateError::Image(source),
        source => EvaluateError::Undecodable {
            name: dataset.name_of(sample),
            source,
        },
    })?;
    let render = |view: &View| match view {
        View::Crops(plan) => {
            let (weights, pixels) = renderer.render_plan(&image, plan)?;
            let size = plan.crop_size();
            Ok(Rendered {
                weights,
                size: (size.height as usize, size.width as usize),
                pixels,
            })
        }
        View::Whole(_) => Ok(Rendered {
            weights: vec![1],
            size: (image.height() as usize, image.width() as usize),
            pixels: image.pixels().to_vec(),
        }),
    };
    views.iter().map(render).collect()
}
