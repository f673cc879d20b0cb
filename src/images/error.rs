//! What can go wrong between a path and its pixels.
use crate::files::FileError;
use std::path::PathBuf;

/// A failure to read, decode, resize or list images. Every variant names its file or folder.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// The operating system refused a file or folder.
    #[error(transparent)]
    File(#[from] FileError),
    /// The content is of no supported format, whatever the name says.
    #[error("`{name}` is not a JPEG or PNG image: its content is {found}")]
    NotAnImage {
        /// The file, as the caller named it.
        name: String,
        /// What the first bytes look like.
        found: String,
    },
    /// The file ends before the image does.
    #[error(
        "`{name}` is truncated: the {format} has no end marker within its {bytes} bytes; \
         the picture would be filled up with grey"
    )]
    Truncated {
        /// The file, as the caller named it.
        name: String,
        /// `JPEG` or `PNG`.
        format: &'static str,
        /// How many bytes there are.
        bytes: usize,
    },
    /// The decoder refused the content.
    #[error("`{name}` is a damaged {format}: {reason}")]
    Damaged {
        /// The file, as the caller named it.
        name: String,
        /// `JPEG` or `PNG`.
        format: &'static str,
        /// The decoder's complaint.
        reason: String,
    },
    /// More pixels than allowed: a decompression bomb, or a limit set too low.
    #[error("`{name}` holds {width}x{height} pixels, more than the limit of {limit}")]
    TooLarge {
        /// The file, as the caller named it.
        name: String,
        /// Width in pixels.
        width: u64,
        /// Height in pixels.
        height: u64,
        /// The greatest number of pixels allowed.
        limit: u64,
    },
    /// A pixel buffer whose length does not belong to its size.
    #[error("a {width}x{height} RGB image takes {expected} bytes, found {found}")]
    BufferLength {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// width x height x 3.
        expected: u64,
        /// The buffer's length.
        found: usize,
    },
    /// A resize from or to nothing, or from outside the image.
    #[error("cannot resize {source_box} of a {width}x{height} image to {to_width}x{to_height}")]
    Resize {
        /// The source box, printed as `left,top width x height`.
        source_box: String,
        /// The image's width.
        width: u32,
        /// The image's height.
        height: u32,
        /// Width asked for.
        to_width: u32,
        /// Height asked for.
        to_height: u32,
    },
    /// The encoder refused.
    #[error("cannot encode a {width}x{height} image as {format}: {reason}")]
    Encode {
        /// `JPEG` or `PNG`.
        format: &'static str,
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// The encoder's complaint.
        reason: String,
    },
    /// A dataset's path is no folder.
    #[error("the dataset `{}` is not a folder", path.display())]
    NotAFolder {
        /// The path given.
        path: PathBuf,
    },
    /// A dataset without class folders.
    #[error(
        "the dataset `{}` has no class folders: expected one sub-folder per class, found {found}",
        path.display()
    )]
    NoClasses {
        /// The dataset's folder.
        path: PathBuf,
        /// What was found instead.
        found: String,
    },
    /// Class folders, some of them without a single image.
    #[error(
        "the dataset `{}` has no images in {} of its {classes} class folders: {}",
        path.display(), empty.len(), few(empty)
    )]
    EmptyClasses {
        /// The dataset's folder.
        path: PathBuf,
        /// How many class folders there are.
        classes: usize,
        /// Those without an image, sorted.
        empty: Vec<String>,
    },
    /// A file or folder name that is not UTF-8, which no report could print or find again.
    #[error("the name `{}` in the dataset is not UTF-8", path.display())]
    NameNotUtf8 {
        /// The offending path, printed with replacement characters.
        path: PathBuf,
    },
}

impl ImageError {
    /// The fix, where one is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::File(error) => error.hint(),
            Self::NotAnImage { .. } => Some(
                "the format is decided by content, not by name: convert the file to JPEG or PNG, \
                 or remove it from the dataset"
                    .into(),
            ),
            Self::Truncated { .. } | Self::Damaged { .. } => {
                Some("fetch the file again, or remove it from the dataset".into())
            }
            Self::TooLarge { .. } => Some(
                "shrink the file first, or raise the pixel limit if the file is to be trusted"
                    .into(),
            ),
            Self::NotAFolder { .. } | Self::NoClasses { .. } => Some(
                "lay the dataset out as FOLDER/<class>/<image>.jpg; `incept synth FOLDER` renders \
                 one, whose parts are FOLDER/train and FOLDER/val"
                    .into(),
            ),
            Self::EmptyClasses { .. } => Some(
                "put .jpg, .jpeg or .png files into the empty class folders, or remove them".into(),
            ),
            Self::NameNotUtf8 { .. } => Some("rename it".into()),
            Self::BufferLength { .. } | Self::Resize { .. } | Self::Encode { .. } => None,
        }
    }
}

/// The first ten names and the number of the rest.
pub(crate) fn few(names: &[String]) -> String {
    let mut text = names
        .iter()
        .take(10)
        .map(|n| format!("`{n}`"))
        .collect::<Vec<_>>()
        .join(", ");
    if names.len() > 10 {
        text.push_str(&format!(" and {} more", names.len() - 10));
    }
    text
}
