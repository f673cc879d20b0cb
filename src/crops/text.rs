//! Plans as text: read from TOML, printed, hashed.
use super::plan::in_proportion;
use super::{CropError, CropPlan, InputSize, Method, Squares, View};
use crate::files;
use crate::images::Filter;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::fmt;
use std::path::Path;

/// A plan's file. Sizes are stated for a crop of `crop_size` pixels and scaled in proportion to the
/// network's input.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlanFile {
    name: String,
    #[serde(default)]
    note: String,
    crop_size: u32,
    scales: Vec<u32>,
    squares: Squares,
    views: Vec<View>,
    mirror: bool,
    #[serde(default = "bicubic")]
    filter: Filter,
}

fn bicubic() -> Filter {
    Filter::Bicubic
}

impl CropPlan {
    /// Reads a plan from a TOML file and fits it to the network's input.
    ///
    /// # Errors
    /// As [`CropPlan::from_toml`], and a [`files::FileError`] with the path.
    pub fn from_file(path: &Path, input: InputSize) -> Result<Self, CropError> {
        let text = String::from_utf8_lossy(&files::read(path)?).into_owned();
        Self::from_toml(&text, &path.display().to_string(), input)
    }

    /// Reads a plan from TOML; `source` names it in errors.
    ///
    /// ```
    /// use incept::crops::{CropPlan, InputSize};
    ///
    /// let text = r#"
    ///     name = "two scales"
    ///     note = "corners are left out"
    ///     crop_size = 224          # the sizes below belong to a crop of this size
    ///     scales = [256, 288]      # shorter sides; 342 and 384 for an input of 299
    ///     squares = "three"        # or "centre", or "none": the whole resized image
    ///     views = ["centre", "whole"]
    ///     mirror = true
    ///     filter = "bicubic"       # or "bilinear"
    /// "#;
    /// let plan = CropPlan::from_toml(text, "plan.toml", InputSize::square(299))?;
    /// assert_eq!(plan.count(), 2 * 3 * 2 * 2);
    /// # Ok::<(), incept::crops::CropError>(())
    /// ```
    ///
    /// # Errors
    /// [`CropError`]: no TOML, an unknown or missing field, a value that makes no sense (a scale below
    /// the crop's size, a view twice), or an input that is not square.
    pub fn from_toml(text: &str, source: &str, input: InputSize) -> Result<Self, CropError> {
        let file: PlanFile = toml::from_str(text).map_err(|error| CropError::Syntax {
            name: source.to_owned(),
            source: Box::new(error),
        })?;
        let wrong = |field, expected: &str, found: String| CropError::Field {
            plan: source.to_owned(),
            field,
            expected: expected.to_owned(),
            found,
        };
        if file.name.trim().is_empty() || file.name.contains('\n') {
            return Err(wrong(
                "name",
                "one line of text",
                format!("{:?}", file.name),
            ));
        }
        if input.height != input.width {
            let InputSize { height, width } = input;
            return Err(CropError::NotSquare {
                plan: file.name,
                height,
                width,
            });
        }
        if file.crop_size == 0 {
            return Err(wrong("crop_size", "at least 1", "0".into()));
        }
        if let Some(scale) = file.scales.iter().find(|scale| **scale < file.crop_size) {
            let expected = format!("shorter sides from the crop's {} up", file.crop_size);
            return Err(wrong("scales", &expected, scale.to_string()));
        }
        if file.filter == Filter::TensorflowBilinear {
            let expected = "\"bicubic\" or \"bilinear\"";
            return Err(wrong("filter", expected, file.filter.name().to_owned()));
        }
        let fit = |&scale: &u32| in_proportion(scale, file.crop_size, input.width);
        let plan = Self {
            name: file.name,
            note: file.note,
            crop: input,
            method: Method::ShorterSide {
                scales: file.scales.iter().map(fit).collect(),
            },
            squares: file.squares,
            views: file.views,
            mirror: file.mirror,
            filter: file.filter,
        };
        // In errors a plan from a file goes by the file's name.
        plan.checked().map_err(|error| match error {
            CropError::Field {
                field,
                expected,
                found,
                ..
            } => wrong(field, &expected, found),
            other => other,
        })
    }

    /// SHA-256, in hexadecimal, of what decides the pixels: all that printing the plan shows from
    /// its second line on, that is, everything but name and note.
    pub fn sha256(&self) -> String {
        crate::images::hexadecimal(&Sha256::digest(self.geometry()))
    }

    fn geometry(&self) -> String {
        let method = match &self.method {
            Method::ShorterSide { scales } => format!("shorter side to {}", joined(scales)),
            Method::Cover { height, width } => format!("to cover {width}x{height}"),
            Method::StretchedMiddle { fraction } => {
                format!("the middle {fraction} of each side, stretched")
            }
        };
        let views: Vec<&str> = self.views.iter().map(|view| view.name()).collect();
        format!(
            "crop: {}x{}\nresize: {method}\nsquares: {}\nviews: {}\nmirror: {}\nfilter: {}\n",
            self.crop.width,
            self.crop.height,
            self.squares.name(),
            joined(&views),
            self.mirror,
            self.filter.name(),
        )
    }
}

fn joined<T: fmt::Display>(items: &[T]) -> String {
    items
        .iter()
        .map(T::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}

/// One line with the name, the count and the note, then one line per property; sizes are width x height.
impl fmt::Display for CropPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let crops = if self.count() == 1 { "crop" } else { "crops" };
        writeln!(
            f,
            "plan {}: {} {crops} ({})",
            self.name,
            self.count(),
            self.note
        )?;
        f.write_str(&self.geometry())
    }
}
