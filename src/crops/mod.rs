//! Crop plans: which parts of an image a network sees before its answers are averaged.
//!
//! A [`CropPlan`] is data: it can be printed, hashed and read from a file. For an image of a given size
//! it expands to an ordered list of [`Crop`]s; exact duplicates are merged with their multiplicity.
//!
//! ```
//! use incept::crops::{CropPlan, InputSize};
//!
//! let plan = CropPlan::from_argument("144", InputSize::square(299))?;
//! assert_eq!(plan.count(), 144);
//! assert_eq!(plan.crops(500, 375)?.len(), 144);
//! // The left, centre and right squares of a square image are the same.
//! let distinct = plan.crops(400, 400)?;
//! assert_eq!(distinct.len(), 48);
//! assert!(distinct.iter().all(|weighted| weighted.multiplicity == 3));
//! # Ok::<(), incept::crops::CropError>(())
//! ```
mod batch;
mod error;
mod geometry;
mod plan;
mod render;
mod standard;
mod text;

pub use batch::CroppedImages;
pub use error::CropError;
pub use geometry::{Crop, Rectangle, WeightedCrop};
pub use plan::{CropPlan, DEFAULT_CROP_FRACTION, InputSize, Method, Squares, View};
pub use render::{CropRenderer, to_tensor, to_tensor_by};

#[cfg(test)]
mod tests;
