//! Pictures: decoding as Pillow does, Pillow's and TensorFlow's resampling, folder-per-class
//! datasets, and a synthetic dataset drawn from a seed.
//!
//! ```
//! use incept::images::{Filter, RgbImage, resize};
//!
//! let image = RgbImage::filled(40, 30, [200, 100, 50]);
//! let half = resize(&image, 20, 15, Filter::Bicubic)?;
//! assert_eq!((half.width(), half.height()), (20, 15));
//! assert_eq!(half.pixel(7, 7), [200, 100, 50]);
//! # Ok::<(), incept::images::ImageError>(())
//! ```
mod dataset;
mod decode;
mod encode;
mod error;
mod files;
mod jpeg;
mod orientation;
mod pillow;
mod pixels;
mod resize;
pub mod synthetic;

pub(crate) use dataset::hexadecimal;
pub use dataset::{Dataset, Sample};
pub use decode::{DEFAULT_MAXIMUM_PIXELS, DecodeOptions, decode, decode_with, load, load_with};
pub use encode::{contact_sheet, encode_jpeg, encode_png, write_png};
pub use error::ImageError;
pub use files::ImageFiles;
pub use orientation::ExifOrientation;
pub use pixels::RgbImage;
pub use resize::{Filter, Resizer, SourceBox, resize};

#[cfg(test)]
pub(crate) mod comparison;
