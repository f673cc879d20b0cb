//! What can be wrong with a crop plan.
use crate::files::FileError;
use crate::images::ImageError;

/// A crop plan that cannot be read, makes no sense, or does not suit the network or the image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CropError {
    /// The plan's file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// Neither a known number nor a TOML file.
    #[error("unknown crop plan `{argument}`: expected 1, 10, 12, 144 or a .toml file")]
    UnknownPlan {
        /// What was given.
        argument: String,
    },
    /// The file is not TOML, or not a plan.
    #[error("`{name}` is not a crop plan")]
    Syntax {
        /// The file.
        name: String,
        /// Where and why, in the TOML reader's words.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// A field of a plan has a value that makes no sense.
    #[error("crop plan `{plan}`: `{field}` is {found}, expected {expected}")]
    Field {
        /// The plan's name or file.
        plan: String,
        /// The field.
        field: &'static str,
        /// What it must be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// Plans of many crops need a square input.
    #[error(
        "crop plan `{plan}` needs a square network input, found {height}x{width} (height x width)"
    )]
    NotSquare {
        /// The plan's name.
        plan: String,
        /// The network's input height.
        height: u32,
        /// The network's input width.
        width: u32,
    },
    /// An image of no pixels, or one so slim that its resized side would overflow.
    #[error("cannot crop an image of {width}x{height} pixels by plan `{plan}`")]
    Image {
        /// The plan's name.
        plan: String,
        /// The image's width.
        width: u32,
        /// The image's height.
        height: u32,
    },
    /// A buffer whose length does not belong to the crops.
    #[error("crops of {height}x{width}x3 need a buffer of {expected} values, found {found}")]
    BufferLength {
        /// Crop height.
        height: u32,
        /// Crop width.
        width: u32,
        /// Values needed.
        expected: usize,
        /// Values there.
        found: usize,
    },
    /// An image cannot be decoded.
    #[error(transparent)]
    Load(ImageError),
    /// A resize failed.
    #[error("cannot render a crop")]
    Render(#[from] ImageError),
}

impl CropError {
    /// The fix, where one is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::File(error) => error.hint(),
            Self::UnknownPlan { .. } | Self::Syntax { .. } | Self::Field { .. } => Some(
                "a plan file holds: name, note, crop_size = 224, scales = [256, 288], \
                 squares = \"three\" | \"centre\" | \"none\", \
                 views = [\"top-left\", \"top-right\", \"bottom-left\", \"bottom-right\", \
                 \"centre\", \"whole\"], mirror = true, filter = \"bicubic\" | \"bilinear\""
                    .into(),
            ),
            Self::NotSquare { .. } => {
                Some("use --crops 1, or export the network with a square --image-size".into())
            }
            Self::Load(error) | Self::Render(error) => error.hint(),
            Self::Image { .. } | Self::BufferLength { .. } => None,
        }
    }
}
