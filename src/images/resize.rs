//! Resampling: Pillow's (always antialiased, 8 bits with rounding between the passes) and TensorFlow
//! 1's bilinear (never antialiased, corner origin).
//!
//! Pillow's is written here and not taken from a library so that it can be equal bit for bit. Of the
//! libraries, `fast_image_resize` goes along the columns before the rows, which differs from Pillow by
//! up to 28 levels where a cubic overshoots black or white, and with the passes turned round it still
//! differs by 2 levels in places, having 15 bits for a weight where Pillow has 22.
use super::pillow::{self, Kernel};
use super::{ImageError, RgbImage};
use serde::{Deserialize, Serialize};

/// A resampling filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Filter {
    /// Pillow's `BILINEAR`: a triangle, widened when shrinking.
    Bilinear,
    /// Pillow's `BICUBIC`: a cubic with a = -0.5, widened when shrinking.
    Bicubic,
    /// TensorFlow 1's `tf.image.resize_bilinear(align_corners=False)`: the four nearest pixels, not
    /// widened when shrinking, output pixel i taken at i * scale (not at the pixel's centre).
    TensorflowBilinear,
}

impl Filter {
    /// The name used in plans and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bilinear => "bilinear",
            Self::Bicubic => "bicubic",
            Self::TensorflowBilinear => "tensorflow-bilinear",
        }
    }
}

/// A box in an image, in pixels from the upper left corner. Pillow's filters take fractions;
/// [`Filter::TensorflowBilinear`] takes whole pixels, as TensorFlow's `crop` does before its resize.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SourceBox {
    /// Left edge.
    pub left: f64,
    /// Upper edge.
    pub top: f64,
    /// Width.
    pub width: f64,
    /// Height.
    pub height: f64,
}

impl SourceBox {
    /// The whole of an image.
    pub fn whole(image: &RgbImage) -> Self {
        let (width, height) = (f64::from(image.width()), f64::from(image.height()));
        Self {
            left: 0.0,
            top: 0.0,
            width,
            height,
        }
    }

    fn is_inside(&self, image: &RgbImage) -> bool {
        // Written so that NaN is outside.
        self.left >= 0.0
            && self.top >= 0.0
            && self.width > 0.0
            && self.height > 0.0
            && self.left + self.width <= f64::from(image.width())
            && self.top + self.height <= f64::from(image.height())
    }

    fn is_whole_pixels(&self) -> bool {
        [self.left, self.top, self.width, self.height]
            .iter()
            .all(|v| v.fract() == 0.0)
    }
}

impl std::fmt::Display for SourceBox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "the box {},{} {}x{}",
            self.left, self.top, self.width, self.height
        )
    }
}

/// Resizes a whole image to exactly `width` x `height`. Many resizes go faster through a [`Resizer`].
///
/// # Errors
/// [`ImageError::Resize`] where either size is zero.
pub fn resize(
    image: &RgbImage,
    width: u32,
    height: u32,
    filter: Filter,
) -> Result<RgbImage, ImageError> {
    Resizer::new().resize(image, SourceBox::whole(image), width, height, filter)
}

/// Resizes with buffers kept from call to call.
#[derive(Debug, Default)]
pub struct Resizer {
    /// The picture between Pillow's two passes.
    between: Vec<u8>,
}

impl Resizer {
    /// A resizer without buffers yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Resizes a box of an image to exactly `width` x `height`. As in Pillow's
    /// `Image.resize(box=...)`, a filter near the box's edge sees the pixels of the image beyond it.
    ///
    /// # Errors
    /// [`ImageError::Resize`] where a size is zero, the box is not inside the image, or a box for
    /// [`Filter::TensorflowBilinear`] is not of whole pixels.
    pub fn resize(
        &mut self,
        image: &RgbImage,
        source: SourceBox,
        width: u32,
        height: u32,
        filter: Filter,
    ) -> Result<RgbImage, ImageError> {
        let mut resized = RgbImage::filled(width, height, [0; 3]);
        self.resize_into(image, source, width, height, filter, resized.pixels_mut())?;
        Ok(resized)
    }

    /// [`Resizer::resize`] into a buffer of `[height, width, 3]` bytes.
    ///
    /// # Errors
    /// As [`Resizer::resize`], and [`ImageError::BufferLength`].
    pub fn resize_into(
        &mut self,
        image: &RgbImage,
        source: SourceBox,
        width: u32,
        height: u32,
        filter: Filter,
        output: &mut [u8],
    ) -> Result<(), ImageError> {
        let impossible = || ImageError::Resize {
            source_box: source.to_string(),
            width: image.width(),
            height: image.height(),
            to_width: width,
            to_height: height,
        };
        let expected = u64::from(width) * u64::from(height) * 3;
        if output.len() as u64 != expected {
            return Err(ImageError::BufferLength {
                width,
                height,
                expected,
                found: output.len(),
            });
        }
        let tensorflow = filter == Filter::TensorflowBilinear;
        if width == 0
            || height == 0
            || !source.is_inside(image)
            || (tensorflow && !source.is_whole_pixels())
        {
            return Err(impossible());
        }
        let kernel = match filter {
            Filter::Bilinear => Kernel::BILINEAR,
            Filter::Bicubic => Kernel::BICUBIC,
            Filter::TensorflowBilinear => {
                tensorflow_bilinear(image, source, width, height, output);
                return Ok(());
            }
        };
        pillow::resample(
            image,
            source,
            (width, height),
            kernel,
            &mut self.between,
            output,
        );
        Ok(())
    }
}

/// The lower neighbour, the upper one and the weight of the upper, for each output position.
/// In float32 throughout, as TensorFlow's kernel computes them.
fn tensorflow_taps(from: u32, to: u32) -> Vec<(usize, usize, f32)> {
    let scale = from as f32 / to as f32;
    let tap = |i: u32| {
        let position = i as f32 * scale;
        let lower = (position as u32).min(from - 1);
        (
            lower as usize,
            (lower + 1).min(from - 1) as usize,
            position - lower as f32,
        )
    };
    (0..to).map(tap).collect()
}

/// TF-slim resizes floats; here the result is rounded to 8 bits (half up), at most half a level away.
fn tensorflow_bilinear(
    image: &RgbImage,
    source: SourceBox,
    width: u32,
    height: u32,
    output: &mut [u8],
) {
    let columns = tensorflow_taps(source.width as u32, width);
    let rows = tensorflow_taps(source.height as u32, height);
    let (left, top) = (source.left as usize, source.top as usize);
    for (&(above, below, down), to) in rows.iter().zip(output.chunks_exact_mut(width as usize * 3))
    {
        let above = &image.row((top + above) as u32)[left * 3..];
        let below = &image.row((top + below) as u32)[left * 3..];
        for (&(west, east, right), pixel) in columns.iter().zip(to.chunks_exact_mut(3)) {
            for (channel, value) in pixel.iter_mut().enumerate() {
                let at = |row: &[u8], x: usize| f32::from(row[x * 3 + channel]);
                let upper = at(above, west) + (at(above, east) - at(above, west)) * right;
                let lower = at(below, west) + (at(below, east) - at(below, west)) * right;
                *value = (upper + (lower - upper) * down + 0.5) as u8;
            }
        }
    }
}
