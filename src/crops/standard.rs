//! The standard plans: 1, 10, 12 and 144 crops.
use super::plan::in_proportion;
use super::{CropError, CropPlan, DEFAULT_CROP_FRACTION, InputSize, Method, Squares, View};
use crate::images::Filter;
use incept_exporters::onnx::{Recipe, Resize};

/// The paper's four scales, as GoogLeNet states them for a crop of 224.
const SCALES_AT_224: [u32; 4] = [256, 288, 320, 352];

impl CropPlan {
    /// timm's and torchvision's single crop: shorter side to floor(size / `fraction`), bicubic, then the
    /// centre. `fraction` is timm's `crop_pct`, [`DEFAULT_CROP_FRACTION`] for most networks.
    /// For an input that is not square both sides are divided, and the image is resized to just cover
    /// the result.
    ///
    /// # Errors
    /// [`CropError::Field`] for a size of 0 or a fraction outside (0, 1].
    pub fn single(input: InputSize, fraction: f64) -> Result<Self, CropError> {
        let enlarged = |side: u32| (f64::from(side) / fraction).floor() as u32;
        let method = if input.height == input.width {
            Method::ShorterSide {
                scales: vec![enlarged(input.height)],
            }
        } else {
            Method::Cover {
                height: enlarged(input.height),
                width: enlarged(input.width),
            }
        };
        let plan = Self {
            name: "1".into(),
            note: format!(
                "single crop as timm evaluates: shorter side to floor(size / {fraction}), centre"
            ),
            crop: input,
            method,
            squares: Squares::None,
            views: vec![View::Centre],
            mirror: false,
            filter: Filter::Bicubic,
        };
        plan.check_fraction(fraction)?;
        plan.checked()
    }

    /// TF-slim's single crop: the central `fraction` of each side, stretched to the input by TensorFlow
    /// 1's bilinear resize (no antialias, corner origin). TF-slim resizes floats; here the result is
    /// rounded to 8 bits.
    ///
    /// # Errors
    /// [`CropError::Field`] for a size of 0 or a fraction outside (0, 1].
    pub fn tf_slim(input: InputSize, fraction: f64) -> Result<Self, CropError> {
        let plan = Self {
            name: "1-tf-slim".into(),
            note: format!(
                "single crop as TF-slim evaluates: central {fraction} of each side, stretched"
            ),
            crop: input,
            method: Method::StretchedMiddle { fraction },
            squares: Squares::None,
            views: vec![View::Whole],
            mirror: false,
            filter: Filter::TensorflowBilinear,
        };
        plan.check_fraction(fraction)?;
        plan.checked()
    }

    /// Ten crops: four corners and the centre of the image at the first scale, and their mirror images;
    /// torchvision's `ten_crop` of the image whose shorter side is 256 / 224 of the crop.
    ///
    /// # Errors
    /// [`CropError::NotSquare`], [`CropError::Field`] for a size of 0.
    pub fn ten(input: InputSize) -> Result<Self, CropError> {
        let note = "corners and centre of the resized image and their mirror images; \
                    AlexNet took them from its centre square, ResNet's code and torchvision from all of it";
        Self::many(
            "10",
            note,
            input,
            &SCALES_AT_224[..1],
            Squares::None,
            &View::FIVE,
        )
    }

    /// Twelve crops. The paper says "as described in" GoogLeNet's report, where twelve are not spelled
    /// out: this is an interpretation, and its note says so.
    ///
    /// # Errors
    /// As [`CropPlan::ten`].
    pub fn twelve(input: InputSize) -> Result<Self, CropError> {
        let note = "an interpretation, the paper does not spell it out: first scale, centre square, \
                    corners, centre and the whole square, and their mirror images";
        Self::many(
            "12",
            note,
            input,
            &SCALES_AT_224[..1],
            Squares::Centre,
            &View::SIX,
        )
    }

    /// GoogLeNet's 144 crops: 4 scales, 3 squares, 6 views, mirrored.
    ///
    /// # Errors
    /// As [`CropPlan::ten`].
    pub fn one_hundred_forty_four(input: InputSize) -> Result<Self, CropError> {
        let note = "GoogLeNet's 144: shorter sides 256, 288, 320, 352 for a crop of 224, in proportion \
                    for another (the paper names no scales for 299)";
        Self::many(
            "144",
            note,
            input,
            &SCALES_AT_224,
            Squares::Three,
            &View::SIX,
        )
    }

    /// A plan from the command line: `1`, `10`, `12`, `144`, or the path of a `.toml` file.
    ///
    /// # Errors
    /// [`CropError`]: an unknown plan, a file that cannot be read or is no plan, or an input the plan
    /// does not suit.
    pub fn from_argument(argument: &str, input: InputSize) -> Result<Self, CropError> {
        Self::from_argument_with_fraction(argument, input, DEFAULT_CROP_FRACTION)
    }

    /// [`CropPlan::from_argument`] with another `fraction` for the single crop (`1` and `1-tf-slim`):
    /// 0.8975 for the published Inception-ResNet-v2. The other plans have none.
    ///
    /// # Errors
    /// As [`CropPlan::from_argument`].
    pub fn from_argument_with_fraction(
        argument: &str,
        input: InputSize,
        fraction: f64,
    ) -> Result<Self, CropError> {
        match argument {
            "1" => Self::single(input, fraction),
            "1-tf-slim" => Self::tf_slim(input, fraction),
            "10" => Self::ten(input),
            "12" => Self::twelve(input),
            "144" => Self::one_hundred_forty_four(input),
            file if Self::is_file(file) => Self::from_file(file.as_ref(), input),
            _ => Err(CropError::UnknownPlan {
                argument: argument.to_owned(),
            }),
        }
    }

    /// A plan from the command line whose single crop is made as a model's recipe says.
    ///
    /// # Errors
    /// As [`CropPlan::from_argument`].
    pub fn for_recipe(
        argument: &str,
        input: InputSize,
        recipe: &Recipe,
    ) -> Result<Self, CropError> {
        let plan = match recipe.resize {
            Resize::StretchedMiddle if argument == "1" => "1-tf-slim",
            _ => argument,
        };
        Self::from_argument_with_fraction(plan, input, recipe.fraction)
    }

    /// Whether an argument of the command line is taken for a file: its name ends in `.toml`.
    pub fn is_file(argument: &str) -> bool {
        argument.ends_with(".toml")
    }

    fn many(
        name: &str,
        note: &str,
        input: InputSize,
        scales_at_224: &[u32],
        squares: Squares,
        views: &[View],
    ) -> Result<Self, CropError> {
        if input.height != input.width {
            let InputSize { height, width } = input;
            return Err(CropError::NotSquare {
                plan: name.to_owned(),
                height,
                width,
            });
        }
        let scales = scales_at_224
            .iter()
            .map(|&scale| in_proportion(scale, 224, input.width))
            .collect();
        let plan = Self {
            name: name.to_owned(),
            note: note.to_owned(),
            crop: input,
            method: Method::ShorterSide { scales },
            squares,
            views: views.to_vec(),
            mirror: true,
            filter: Filter::Bicubic,
        };
        plan.checked()
    }
}
