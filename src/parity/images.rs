//! Images from files, cropped as a model's contract says.

use std::path::PathBuf;

use incept_exporters::onnx::{Preprocessing, Recipe};

use super::ParityError;
use super::check::Opened;
use crate::crops::{CropPlan, CroppedImages, InputSize};
use crate::images::ImageFiles;
use crate::provenance::Provenance;

/// The images that a model is run on.
#[derive(Debug, Clone)]
pub struct ImageOptions {
    /// Image files, or folders of them: see [`ImageFiles::find`].
    pub paths: Vec<PathBuf>,
    /// At most so many of them, at even distances.
    pub count: usize,
    /// Crops of each: `1`, `10`, `12`, `144` or the path of a plan.
    pub crops: String,
}

/// These images, ready for the network.
pub(crate) struct Pictures {
    pub(crate) cropped: CroppedImages,
    /// The class of each image, where they are the network's.
    pub(crate) labels: Option<Vec<usize>>,
    /// Values in the logits before the first class.
    pub(crate) offset: usize,
}

impl Opened {
    /// What the model says of how images are prepared, where it does.
    ///
    /// # Errors
    /// [`ParityError::Contract`] where that cannot be understood.
    pub(super) fn contract(&self) -> Result<Option<Preprocessing>, ParityError> {
        let contract = Preprocessing::read(&self.facts.metadata).transpose();
        contract.map_err(|source| ParityError::Contract {
            path: self.model.path.clone(),
            source,
        })
    }

    /// Decodes and crops images, up to so many bytes of pixels; a note tells where not all of them were taken.
    ///
    /// # Errors
    /// [`ParityError`] for images that cannot be found, decoded or cropped so.
    pub(crate) fn pictures(
        &self,
        options: &ImageOptions,
        most_bytes: u64,
        provenance: &mut Provenance,
        notes: &mut Vec<String>,
    ) -> Result<Pictures, ParityError> {
        let contract = self.contract()?;
        let listed = ImageFiles::find(&options.paths)?;
        let found = listed.files.len();
        let listed = listed.spread(options.count);
        if listed.files.len() < found {
            notes.push(format!(
                "looked at {} of the {found} images, at even distances (--count)",
                listed.files.len()
            ));
        }
        let asked = self.net.options();
        let input = InputSize::new(asked.image_height, asked.image_width);
        let recipe = contract
            .as_ref()
            .map_or_else(|| Recipe::of(&self.net), |contract| contract.recipe);
        let plan = CropPlan::for_recipe(&options.crops, input, &recipe)?;
        let crops = listed.files.len().saturating_mul(plan.count()) as u64;
        let of_crop = u64::from(input.height) * u64::from(input.width) * 3;
        if crops == 0 || crops.saturating_mul(of_crop) > most_bytes {
            return Err(ParityError::Crops {
                expected: most_bytes / of_crop.max(1),
                found: crops,
            });
        }
        for file in &listed.files {
            provenance.add_file(file)?;
        }
        let cropped = CroppedImages::render(&listed.files, &plan)?;
        let classes = contract.and_then(|contract| contract.classes);
        let offset = classes.map_or(0, |classes| classes.offset);
        let labels = listed
            .labels
            .filter(|labels| labels.classes + offset == asked.classes);
        Ok(Pictures {
            cropped,
            labels: labels.map(|labels| labels.of_files),
            offset,
        })
    }
}
