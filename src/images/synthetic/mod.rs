//! A dataset drawn from a seed, for demonstrations and tests on machines without a real one.
//!
//! Each image holds one object of its class on a cluttered background. What the object is made of,
//! shape or pattern, is the class; colour, place, size, turn and light are not. Objects stand off
//! centre and at varied scale in images of varied size and proportion, so that crops matter.
//!
//! Image i depends only on the seed, the split, the class and i, never on how many images there are, on
//! order or platform: the key `incept.synthetic/1|<seed>|<split>|<class>|<i>` starts a generator of
//! its own, arithmetic is IEEE float32 with a portable mathematics library, and the JPEG encoder
//! computes in integers.
mod random;
mod scene;
mod shapes;

use super::{ImageError, RgbImage, encode_jpeg};
use crate::files::{self, FileError};
use random::Random;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use shapes::SHAPES;
use std::io::Write;
use std::path::{Path, PathBuf};

/// How many classes there are to choose from.
pub const MAXIMUM_CLASSES: usize = SHAPES.len();

const SCHEMA: &str = "incept.synthetic/1";
const MANIFEST: &str = "synthetic.json";
const JPEG_QUALITY: u8 = 90;
/// Images drawn between two calls of the progress function.
const BATCH: usize = 32;

/// Which part of a dataset an image belongs to; the splits share no image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// For training, in the folder `train`.
    Train,
    /// For validation, in the folder `val`.
    Validation,
}

impl Split {
    /// The folder's name.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "val",
        }
    }
}

/// What to render.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SyntheticOptions {
    /// Images in all, both splits together; classes differ by at most one image.
    pub images: u32,
    /// Number of classes, 2 to [`MAXIMUM_CLASSES`].
    pub classes: usize,
    /// Decides every image.
    pub seed: u64,
    /// The part of each class that is set aside for validation, above 0 and below 1.
    pub validation_share: f64,
}

impl Default for SyntheticOptions {
    fn default() -> Self {
        Self {
            images: 2000,
            classes: 16,
            seed: 0,
            validation_share: 0.2,
        }
    }
}

/// What [`write_dataset`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntheticDataset {
    /// The training images: a folder per class.
    pub train: PathBuf,
    /// The validation images: a folder per class.
    pub validation: PathBuf,
    /// The class names, sorted, as [`super::Dataset`] lists them.
    pub classes: Vec<String>,
    /// Images drawn by this call.
    pub drawn: usize,
    /// Images found from an earlier call with the same options.
    pub kept: usize,
}

/// Why a synthetic dataset could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SyntheticError {
    /// The operating system refused a file or folder.
    #[error(transparent)]
    File(#[from] FileError),
    /// An option out of range.
    #[error("`{option}` of the synthetic dataset is {found}, expected {expected}")]
    Option {
        /// The option's name.
        option: &'static str,
        /// What it may be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// The folder holds a dataset made with other options, or by another version of the drawing.
    #[error("`{}` holds a synthetic dataset of other options: expected {expected}, found {found}", folder.display())]
    OtherOptions {
        /// The folder.
        folder: PathBuf,
        /// The options given.
        expected: String,
        /// The options of the dataset there.
        found: String,
    },
    /// The folder holds something that this did not write.
    #[error("`{}` is in the way, and no `synthetic.json` beside it says that it is of a synthetic dataset", path.display())]
    Occupied {
        /// What is in the way.
        path: PathBuf,
    },
    /// The encoder failed.
    #[error("cannot encode the image `{name}`")]
    Encode {
        /// The image.
        name: String,
        /// Why.
        #[source]
        source: ImageError,
    },
}

impl SyntheticError {
    /// The fix, where one is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::File(error) => error.hint(),
            Self::OtherOptions { folder, .. } => Some(format!(
                "choose another folder, remove `{}`, or repeat the options it was made with",
                folder.display()
            )),
            Self::Occupied { .. } => Some("choose an empty or a new folder".into()),
            Self::Option { .. } | Self::Encode { .. } => None,
        }
    }
}

/// Written before the first image, so that an interrupted run is known, and again after the last.
#[derive(Serialize, Deserialize)]
struct Manifest {
    schema: String,
    complete: bool,
    options: SyntheticOptions,
    classes: Vec<String>,
    train_images: usize,
    validation_images: usize,
}

/// One image to be: its split, its class (an index into the shapes) and its number from 1.
#[derive(Clone, Copy)]
struct Job {
    split: Split,
    class: usize,
    index: u32,
}

impl Job {
    fn name(&self) -> String {
        format!(
            "{}/{}/{:06}.jpg",
            self.split.folder(),
            SHAPES[self.class].0,
            self.index
        )
    }
}

/// The names of the first `count` classes, sorted.
pub fn class_names(count: usize) -> Vec<String> {
    let mut names: Vec<_> = SHAPES
        .iter()
        .take(count)
        .map(|(name, _)| (*name).into())
        .collect();
    names.sort_unstable();
    names
}

/// Draws image `index` (from 1) of a class, or nothing where there is no class of that name.
pub fn draw(class_name: &str, seed: u64, split: Split, index: u32) -> Option<RgbImage> {
    let class = SHAPES.iter().position(|(name, _)| *name == class_name)?;
    Some(draw_job(
        seed,
        Job {
            split,
            class,
            index,
        },
    ))
}

fn draw_job(
    seed: u64,
    Job {
        split,
        class,
        index,
    }: Job,
) -> RgbImage {
    let key = format!(
        "{SCHEMA}|{seed}|{}|{}|{index}",
        split.folder(),
        SHAPES[class].0
    );
    scene::draw(class, &mut Random::new(&key))
}

/// Renders a dataset into `folder`: `train/<class>/000001.jpg` and so on, `val/...`, and last
/// `synthetic.json` with the options. `progress` is told how many images of how many are there.
///
/// Works in parallel, and the result does not depend on that. Images already there from an interrupted
/// run with the same options are kept, since files appear whole or not at all; where all are there,
/// nothing is done.
///
/// # Errors
/// [`SyntheticError`]: an option out of range, a folder with something else in it, or what the operating
/// system refused, with its path.
pub fn write_dataset(
    folder: &Path,
    options: &SyntheticOptions,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<SyntheticDataset, SyntheticError> {
    let jobs = jobs(options)?;
    let known = check_folder(folder, options)?;
    let missing: Vec<Job> = jobs
        .iter()
        .copied()
        .filter(|job| !folder.join(job.name()).is_file())
        .collect();
    let kept = jobs.len() - missing.len();
    let count = |split| jobs.iter().filter(|job| job.split == split).count();
    let manifest = |complete| Manifest {
        schema: SCHEMA.into(),
        complete,
        options: options.clone(),
        classes: class_names(options.classes),
        train_images: count(Split::Train),
        validation_images: count(Split::Validation),
    };
    if known.is_none() {
        files::create_folder(folder)?;
        write_manifest(folder, &manifest(false))?;
    }
    for split in [Split::Train, Split::Validation] {
        for class in class_names(options.classes) {
            files::create_folder(&folder.join(split.folder()).join(class))?;
        }
    }
    progress(kept, jobs.len());
    for (batch, jobs_of_batch) in missing.chunks(BATCH).enumerate() {
        jobs_of_batch
            .par_iter()
            .try_for_each(|job| write_image(folder, options.seed, *job))?;
        progress(kept + batch * BATCH + jobs_of_batch.len(), jobs.len());
    }
    if !missing.is_empty() || known != Some(true) {
        write_manifest(folder, &manifest(true))?;
    }
    Ok(SyntheticDataset {
        train: folder.join(Split::Train.folder()),
        validation: folder.join(Split::Validation.folder()),
        classes: class_names(options.classes),
        drawn: missing.len(),
        kept,
    })
}

fn write_image(folder: &Path, seed: u64, job: Job) -> Result<(), SyntheticError> {
    let name = job.name();
    let bytes = encode_jpeg(&draw_job(seed, job), JPEG_QUALITY).map_err(|source| {
        SyntheticError::Encode {
            name: name.clone(),
            source,
        }
    })?;
    Ok(files::write_whole(&folder.join(name), |writer| {
        writer.write_all(&bytes)
    })?)
}

fn write_manifest(folder: &Path, manifest: &Manifest) -> Result<(), FileError> {
    files::write_json(&folder.join(MANIFEST), manifest)
}

/// All images of the dataset, class by class.
fn jobs(options: &SyntheticOptions) -> Result<Vec<Job>, SyntheticError> {
    let SyntheticOptions {
        images,
        classes,
        validation_share,
        ..
    } = *options;
    let wrong = |option, expected: String, found: String| {
        Err(SyntheticError::Option {
            option,
            expected,
            found,
        })
    };
    if !(2..=MAXIMUM_CLASSES).contains(&classes) {
        return wrong(
            "classes",
            format!("2 to {MAXIMUM_CLASSES}"),
            classes.to_string(),
        );
    }
    let least = 2 * classes;
    if (images as usize) < least || images > 10_000_000 {
        let expected = format!("{least} (one per class and split) to 10000000");
        return wrong("images", expected, images.to_string());
    }
    if !(validation_share > 0.0 && validation_share < 1.0) {
        let expected = "above 0 and below 1".to_owned();
        return wrong("validation_share", expected, validation_share.to_string());
    }
    let mut jobs = Vec::with_capacity(images as usize);
    for class in 0..classes {
        let each = images / classes as u32;
        let count = each + u32::from((class as u32) < images % classes as u32);
        let validation = ((f64::from(count) * validation_share).round() as u32).clamp(1, count - 1);
        for (split, count) in [
            (Split::Train, count - validation),
            (Split::Validation, validation),
        ] {
            jobs.extend((1..=count).map(|index| Job {
                split,
                class,
                index,
            }));
        }
    }
    Ok(jobs)
}

/// The first, by name, of what a folder holds; hidden entries, such as what is left of a manifest half written, are
/// passed over. Nothing where there is no folder yet.
fn first_entry(folder: &Path) -> Result<Option<PathBuf>, FileError> {
    let failed = |source| FileError::new("list the folder", folder, source);
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut first = None;
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        if !hidden && first.as_ref().is_none_or(|known| entry.path() < *known) {
            first = Some(entry.path());
        }
    }
    Ok(first)
}

/// Whether the folder holds this very dataset: `None` where it holds nothing yet, else whether it was
/// finished.
fn check_folder(folder: &Path, options: &SyntheticOptions) -> Result<Option<bool>, SyntheticError> {
    let path = folder.join(MANIFEST);
    if !path.exists() {
        return match first_entry(folder)? {
            Some(path) => Err(SyntheticError::Occupied { path }),
            None => Ok(None),
        };
    }
    let describe = |options: &SyntheticOptions| {
        let SyntheticOptions {
            images,
            classes,
            seed,
            validation_share,
        } = options;
        format!(
            "{images} images, {classes} classes, seed {seed}, validation share {validation_share}"
        )
    };
    let other = |found| SyntheticError::OtherOptions {
        folder: folder.into(),
        expected: describe(options),
        found,
    };
    let bytes = files::read(&path)?;
    let manifest: Manifest = serde_json::from_slice(&bytes)
        .map_err(|error| other(format!("a `{MANIFEST}` that cannot be read ({error})")))?;
    if manifest.schema != SCHEMA {
        return Err(other(format!(
            "schema `{}` instead of `{SCHEMA}`",
            manifest.schema
        )));
    }
    if manifest.options != *options {
        return Err(other(describe(&manifest.options)));
    }
    Ok(Some(manifest.complete))
}

#[cfg(test)]
mod tests;
