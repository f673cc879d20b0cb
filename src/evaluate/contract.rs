//! What a model takes and gives: read from the file, with its preprocessing contract where it has one. What contradicts
//! the contract is refused, not guessed at.

use std::path::Path;

use incept_exporters::onnx::{
    ElementType, Labels, ModelFacts, Preprocessing, Recipe, Scaling, ValueFacts,
};

use super::{EvaluateError, EvaluateOptions};
use crate::crops::{CropPlan, DEFAULT_CROP_FRACTION, InputSize};
use crate::images::Dataset;

/// Where a fact of the file itself contradicts its contract.
const FILE: &str = "the file's own";

const IN_THE_MODEL: &str = "1, in the model";

/// What a model is shown of an image.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum View {
    /// Crops of it.
    Crops(CropPlan),
    /// All of it: the model resizes and crops.
    Whole(InputSize),
}

impl View {
    /// The plan's name.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Crops(plan) => plan.name(),
            Self::Whole(_) => IN_THE_MODEL,
        }
    }

    /// What is to be said about it.
    pub(super) fn note(&self) -> &str {
        match self {
            Self::Crops(plan) => plan.note(),
            Self::Whole(_) => "the model resizes and crops each image itself",
        }
    }

    /// SHA-256 of what decides the pixels; none where the model does.
    pub(super) fn sha256(&self) -> Option<String> {
        match self {
            Self::Crops(plan) => Some(plan.sha256()),
            Self::Whole(_) => None,
        }
    }

    /// Crops of one image.
    pub(super) fn count(&self) -> usize {
        match self {
            Self::Crops(plan) => plan.count(),
            Self::Whole(_) => 1,
        }
    }
}

/// What a model takes and gives.
#[derive(Debug, Clone)]
pub(super) struct Interface {
    /// The batch, where it is fixed.
    pub(super) batch: Option<usize>,
    /// How bytes become what the model takes; `None` where it takes bytes.
    pub(super) scaling: Option<Scaling>,
    /// Height and width the network computes with.
    pub(super) size: (usize, usize),
    pub(super) view: View,
    /// The output that holds the classes.
    pub(super) output: String,
    /// Whether softmax is still to be done.
    pub(super) softmax: bool,
    /// Values in the output.
    pub(super) values: usize,
    /// Values before the first class.
    pub(super) offset: usize,
}

impl Interface {
    pub(super) fn read(
        path: &Path,
        facts: &ModelFacts,
        dataset: &Dataset,
        options: &EvaluateOptions,
    ) -> Result<Self, EvaluateError> {
        let contract = Preprocessing::read(&facts.metadata).transpose();
        let contract = contract.map_err(|source| EvaluateError::Contract {
            path: path.into(),
            source,
        })?;
        let model = Model {
            path,
            contract: contract.as_ref(),
        };
        let takes = model.takes(facts)?;
        let size = model.size(&takes, options)?;
        let view = model.view(&takes, size, options)?;
        let (output, values) = model.output(facts)?;
        let offset = model.classes(values, dataset)?;
        let scaling = contract
            .as_ref()
            .map_or(Scaling::UNIT, |contract| contract.scaling);
        Ok(Self {
            batch: takes.batch,
            scaling: (!takes.bytes).then_some(scaling),
            size,
            view,
            softmax: output.name != "probabilities",
            output: output.name.clone(),
            values,
            offset,
        })
    }
}

/// A model's input.
struct Takes {
    bytes: bool,
    batch: Option<usize>,
    height: Option<usize>,
    width: Option<usize>,
}

impl Takes {
    fn describe(&self) -> &'static str {
        match self.bytes {
            true => "uint8 NHWC",
            false => "float32 NCHW",
        }
    }
}

struct Model<'a> {
    path: &'a Path,
    contract: Option<&'a Preprocessing>,
}

impl Model<'_> {
    fn interface(&self, expected: &'static str, found: String) -> EvaluateError {
        EvaluateError::Interface {
            path: self.path.into(),
            expected,
            found,
        }
    }

    /// An error where the contract says something else than was found; `given` names the flag or what else it comes from.
    fn agree(
        &self,
        subject: &'static str,
        contract: String,
        given: &'static str,
        found: String,
    ) -> Result<(), EvaluateError> {
        match contract == found {
            true => Ok(()),
            false => Err(EvaluateError::Contradiction {
                path: self.path.into(),
                subject,
                contract,
                given,
                found,
            }),
        }
    }

    fn takes(&self, facts: &ModelFacts) -> Result<Takes, EvaluateError> {
        let input = facts.inputs.first();
        let shape = input
            .map(|input| input.shape.as_slice())
            .unwrap_or_default();
        let bytes = facts.takes_bytes();
        let known = |size: &Result<usize, String>| size.as_ref().ok().copied();
        let takes = match (bytes, shape) {
            (false, [batch, Ok(3), height, width]) | (true, [batch, height, width, Ok(3)]) => {
                Takes {
                    bytes,
                    batch: known(batch),
                    height: known(height),
                    width: known(width),
                }
            }
            (_, other) => {
                let dimensions: Vec<String> = other
                    .iter()
                    .map(|d| d.as_ref().map_or_else(String::clone, usize::to_string))
                    .collect();
                return Err(self.interface(
                    "an input [N, 3, H, W], or of bytes [N, H, W, 3]",
                    format!("[{}]", dimensions.join(", ")),
                ));
            }
        };
        if let Some(contract) = self.contract {
            let says = match contract.element_type {
                ElementType::Float32 => "float32 NCHW",
                ElementType::Uint8 => "uint8 NHWC",
            };
            self.agree("input", says.into(), FILE, takes.describe().into())?;
        }
        Ok(takes)
    }

    /// The network's height and width: the input's where they are fixed; else the flag's, else the contract's.
    fn size(
        &self,
        takes: &Takes,
        options: &EvaluateOptions,
    ) -> Result<(usize, usize), EvaluateError> {
        let text = |(height, width)| format!("{height}x{width}");
        let fixed = takes.height.zip(takes.width);
        let contract = self.contract.map(|contract| &contract.size);
        let fixed_by_contract = contract
            .filter(|size| !size.dynamic)
            .map(|size| (size.height, size.width));
        if let Some((says, found)) = fixed_by_contract.zip(fixed) {
            self.agree("image size", text(says), FILE, text(found))?;
        }
        match (fixed_by_contract.or(fixed), options.image_size, contract) {
            (Some(fixed), Some(asked), _) => {
                self.agree("image size", text(fixed), "--image-size", text(asked))?;
                Ok(fixed)
            }
            (Some(fixed), None, _) => Ok(fixed),
            (None, Some((height, width)), Some(size)) if height.min(width) < size.minimum => {
                Err(EvaluateError::Contradiction {
                    path: self.path.into(),
                    subject: "least image size",
                    contract: size.minimum.to_string(),
                    given: "--image-size",
                    found: text((height, width)),
                })
            }
            (None, Some(asked), _) => Ok(asked),
            (None, None, Some(size)) => Ok((size.height, size.width)),
            (None, None, None) => Err(self.interface(
                "an image size, in the file or by --image-size",
                "dynamic height or width".into(),
            )),
        }
    }

    fn view(
        &self,
        takes: &Takes,
        (height, width): (usize, usize),
        options: &EvaluateOptions,
    ) -> Result<View, EvaluateError> {
        let input = InputSize::new(height, width);
        let crops = options.crops.as_str();
        let recipe = self.recipe(options)?;
        if self.contract.is_some_and(Preprocessing::takes_any_image) {
            if takes.height.is_some() || takes.width.is_some() {
                let found = "a fixed height or width".into();
                self.agree("image size", "any".into(), FILE, found)?;
            }
            // `1` is what a model that crops itself does.
            let found = if crops == "1" { IN_THE_MODEL } else { crops };
            self.agree("crops", IN_THE_MODEL.into(), "--crops", found.into())?;
            return Ok(View::Whole(input));
        }
        let plan = CropPlan::for_recipe(crops, input, &recipe)?;
        Ok(View::Crops(plan))
    }

    /// How the single crop is made, after the contract or else the flags.
    fn recipe(&self, options: &EvaluateOptions) -> Result<Recipe, EvaluateError> {
        let single = matches!(options.crops.as_str(), "1" | "1-tf-slim");
        if let Some(fraction) = options.crop_fraction.filter(|_| !single) {
            return Err(EvaluateError::Option {
                option: "crop-fraction",
                expected: "a single crop, as only that has a fraction",
                found: format!("{fraction} with --crops {}", options.crops),
            });
        }
        let Some(contract) = self.contract else {
            let fraction = options.crop_fraction.unwrap_or(DEFAULT_CROP_FRACTION);
            return Ok(Recipe::timm(fraction));
        };
        let recipe = contract.recipe;
        let known = [Recipe::timm, Recipe::tf_slim].map(|of| of(recipe.fraction));
        if !known.contains(&recipe) {
            return Err(self.interface("timm's or TF-slim's single crop", recipe.describe()));
        }
        if options.crops == "1-tf-slim" {
            let asked = Recipe::tf_slim(recipe.fraction).describe();
            let says = recipe.describe();
            if says != asked {
                let asked = format!("1-tf-slim, {asked}");
                self.agree("preprocessing", says, "--crops", asked)?;
            }
        }
        if let Some(fraction) = options.crop_fraction {
            let (says, found) = (recipe.fraction.to_string(), fraction.to_string());
            self.agree("crop fraction", says, "--crop-fraction", found)?;
        }
        Ok(recipe)
    }

    /// The output that holds the classes, and how many values it has.
    fn output<'f>(&self, facts: &'f ModelFacts) -> Result<(&'f ValueFacts, usize), EvaluateError> {
        let named = |name: &str| facts.outputs.iter().find(|output| output.name == name);
        // A file that does not say which network it is puts out logits, as classifiers are exported.
        let first = facts.outputs.first().filter(|_| facts.network.is_none());
        let output = named("logits").or_else(|| named("probabilities")).or(first);
        let output = output.ok_or_else(|| {
            let names = facts.outputs.iter().map(|output| output.name.as_str());
            self.interface(
                "logits or probabilities",
                names.collect::<Vec<_>>().join(", "),
            )
        })?;
        match output.shape.as_slice() {
            [_, Ok(values)] => Ok((output, *values)),
            other => Err(self.interface(
                "an output [N, classes]",
                format!("`{}` of shape {other:?}", output.name),
            )),
        }
    }

    /// Checks the classes against the dataset's; returns where the first one stands.
    fn classes(&self, values: usize, dataset: &Dataset) -> Result<usize, EvaluateError> {
        let contract = self.contract.and_then(|contract| contract.classes.as_ref());
        let offset = contract.map_or(0, |classes| classes.offset);
        if let Some(classes) = contract {
            let (says, found) = (classes.count.to_string(), values.to_string());
            self.agree("number of classes", says, FILE, found)?;
        }
        let (expected, found) = (dataset.classes().len(), values.saturating_sub(offset));
        if found != expected {
            return Err(EvaluateError::Classes {
                path: self.path.into(),
                folder: dataset.folder().into(),
                expected,
                found,
            });
        }
        if let Some(says) = contract.and_then(|classes| classes.labels_sha256.as_ref()) {
            let found = Labels::sha256(dataset.classes());
            self.agree(
                "SHA-256 of the classes' names",
                says.clone(),
                "the data's",
                found,
            )?;
        }
        Ok(offset)
    }
}
