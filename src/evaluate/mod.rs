//! Top-1 and top-5 error over crops and ensembles, as the paper measures them.

mod contract;
mod ensemble;
mod error;
mod images;
mod ranking;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub(crate) use ensemble::softmax;
pub use error::EvaluateError;
pub use ranking::{ErrorRate, interval, rank_of};

use crate::crops::CropPlan;
use crate::images::Dataset;
use crate::provenance::Provenance;
use contract::View;
use ensemble::Member;

/// What is evaluated and how.
#[derive(Debug, Clone)]
pub struct EvaluateOptions {
    /// `1`, `10`, `12`, `144` or the path of a plan. `1` is the single crop of the model's own preprocessing contract,
    /// where it has one.
    pub crops: String,
    /// The part of the image that the single crop keeps, for models that do not say.
    pub crop_fraction: Option<f64>,
    /// Height and width in pixels, for models that take several.
    pub image_size: Option<(usize, usize)>,
    /// Runtime by name.
    pub runtime: String,
    /// Crops in a batch; a model with a fixed batch keeps its own.
    pub batch: usize,
    /// Leave out files that cannot be decoded, and name them, instead of stopping.
    pub allow_undecodable: bool,
}

impl Default for EvaluateOptions {
    fn default() -> Self {
        Self {
            crops: "1".into(),
            crop_fraction: None,
            image_size: None,
            runtime: "ort".into(),
            batch: 32,
            allow_undecodable: false,
        }
    }
}

/// The images evaluated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DataEvaluated {
    /// The folder.
    pub folder: String,
    /// SHA-256 of the listing.
    pub sha256: String,
    /// Number of classes.
    pub classes: usize,
    /// Images listed.
    pub images: usize,
    /// Images that could not be decoded and were left out, by name.
    pub undecodable: Vec<String>,
}

/// The crops each image was seen through.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CropsEvaluated {
    /// The plan's name.
    pub plan: String,
    /// What is to be said about the plan.
    pub note: String,
    /// SHA-256 of each plan; models of different input sizes or contracts have different ones.
    pub sha256: Vec<String>,
    /// Crops of each image that are averaged, duplicates counted.
    pub per_image: usize,
    /// Crops computed over all images, by each model; exact duplicates were computed once.
    pub computed: u64,
}

/// One model's result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelEvaluated {
    /// The file.
    pub path: String,
    /// The network, where the file says.
    pub network: Option<String>,
    /// Its variant.
    pub variant: Option<String>,
    /// Input height and width in pixels.
    pub image_size: (usize, usize),
    /// Its errors.
    pub errors: ErrorRate,
}

/// The outcome of an evaluation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// `incept.evaluation/1`.
    pub schema: String,
    /// Where it comes from.
    pub provenance: Provenance,
    /// The images.
    pub data: DataEvaluated,
    /// The crops.
    pub crops: CropsEvaluated,
    /// Each model alone.
    pub models: Vec<ModelEvaluated>,
    /// All models together, softmax averaged over models, where there are several.
    pub ensemble: Option<ErrorRate>,
}

/// What the models say about one image.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageEvaluated {
    /// Class folder and file name.
    pub name: String,
    /// The class it belongs to, counted from 0 in the order of the folders.
    pub label: usize,
    /// For each model the probabilities of the classes, averaged over the crops.
    pub models: Vec<Vec<f64>>,
    /// Their average over the models; of a single model its own.
    pub ensemble: Vec<f64>,
}

/// Progress of an evaluation.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Images finished by every model.
    pub images: usize,
    /// Images in all.
    pub total: usize,
    /// Crops computed so far, by each model.
    pub crops: u64,
}

/// Evaluates one or more models on a dataset of one folder per class. Softmax is averaged over crops, then over models.
///
/// # Errors
/// [`EvaluateError`]: a model or runtime that cannot be used, classes that do not match, an image that cannot be
/// decoded (unless that is allowed), a plan the models' input does not suit.
pub fn evaluate(
    models: &[PathBuf],
    folder: &Path,
    options: &EvaluateOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<Evaluation, EvaluateError> {
    evaluate_each(models, folder, options, progress, &mut |_| {})
}

/// [`evaluate`], which also hands over each image that counts with its probabilities, in the dataset's order, once all
/// have been run. [`rank_of`] tells from them how many classes stand before the label.
///
/// # Errors
/// As [`evaluate`].
pub fn evaluate_each(
    models: &[PathBuf],
    folder: &Path,
    options: &EvaluateOptions,
    progress: &mut dyn FnMut(Progress),
    each: &mut dyn FnMut(ImageEvaluated),
) -> Result<Evaluation, EvaluateError> {
    if options.batch == 0 {
        return Err(EvaluateError::Option {
            option: "batch",
            expected: "1 or more",
            found: "0".into(),
        });
    }
    let dataset = Dataset::open(folder)?;
    let mut provenance = Provenance::of_this_run();
    let mut members = vec![];
    for path in models {
        members.push(Member::load(path, &dataset, options, &mut provenance)?);
    }
    if members.is_empty() {
        return Err(EvaluateError::Option {
            option: "model",
            expected: "at least one",
            found: "none".into(),
        });
    }
    // Each view of an image is rendered once, for all models that want it.
    let mut views: Vec<View> = vec![];
    for member in &members {
        if !views.contains(member.view()) {
            views.push(member.view().clone());
        }
    }
    if CropPlan::is_file(&options.crops) {
        provenance.add_file(options.crops.as_ref())?;
    }
    let seen = images::evaluate_images(&dataset, &views, &mut members, options, progress)?;

    let counted = seen.samples.iter().map(|&index| &dataset.samples()[index]);
    let labels: Vec<usize> = counted.clone().map(|sample| sample.class).collect();
    for (image, sample) in counted.enumerate() {
        each(ImageEvaluated {
            name: dataset.name_of(sample),
            label: sample.class,
            models: members
                .iter()
                .map(|member| member.probabilities(image))
                .collect(),
            ensemble: ensemble::average(&members, image),
        });
    }
    let several = members.len() > 1;
    let models = members
        .iter()
        .map(|member| member.result(ErrorRate::of(&labels, |image| member.probabilities(image))))
        .collect();
    let ensemble =
        several.then(|| ErrorRate::of(&labels, |image| ensemble::average(&members, image)));
    Ok(Evaluation {
        schema: "incept.evaluation/1".into(),
        provenance,
        data: DataEvaluated {
            folder: folder.display().to_string(),
            sha256: dataset.sha256().into(),
            classes: dataset.classes().len(),
            images: dataset.samples().len(),
            undecodable: seen.undecodable,
        },
        crops: CropsEvaluated {
            plan: views[0].name().into(),
            note: views[0].note().into(),
            sha256: views.iter().filter_map(View::sha256).collect(),
            per_image: views[0].count(),
            computed: seen.crops,
        },
        models,
        ensemble,
    })
}
