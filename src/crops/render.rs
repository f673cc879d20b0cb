//! From crops to pixels, and from pixels to a network's input.
use super::{Crop, CropError, CropPlan, Rectangle};
use crate::images::{Filter, Resizer, RgbImage, SourceBox};
use incept_exporters::onnx::Scaling;

/// Renders crops. Keeps its buffers from image to image, so one renderer per thread is best.
///
/// Each scale is resized once and all its crops are cut from that. A whole square is first cut out of
/// the resized image and then resized to the crop's size (two resamplings, as GoogLeNet describes it:
/// "the square resized"), so no pixel from beyond the square enters. Mirror images are copies of the
/// rendered pixels with left and right exchanged.
#[derive(Debug, Default)]
pub struct CropRenderer {
    resizer: Resizer,
}

/// The image at one scale; kept while the next crop wants the same.
struct Scaled {
    size: (u32, u32),
    filter: Filter,
    image: RgbImage,
}

impl CropRenderer {
    /// A renderer without buffers yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Renders crops in order and hands each to `take` with its index: 8-bit RGB, `[height, width, 3]`.
    /// Crops that follow each other and differ only in scale, square or mirroring share their work, so
    /// the order of [`super::CropPlan::crops`] is the fastest.
    ///
    /// # Errors
    /// [`CropError::Render`] where a crop does not lie in the image, e.g. one made for another image.
    pub fn render_each(
        &mut self,
        image: &RgbImage,
        crops: impl IntoIterator<Item = Crop>,
        mut take: impl FnMut(usize, &[u8]),
    ) -> Result<(), CropError> {
        let mut scaled: Option<Scaled> = None;
        let mut rendered: Option<(Crop, Vec<u8>)> = None;
        let mut mirror = Vec::new();
        for (index, crop) in crops.into_iter().enumerate() {
            let upright = Crop {
                mirrored: false,
                ..crop
            };
            let pixels = match rendered.take() {
                Some((known, pixels)) if known == upright => pixels,
                spent => {
                    let mut pixels = spent.map(|(_, pixels)| pixels).unwrap_or_default();
                    self.render_upright(image, &upright, &mut scaled, &mut pixels)?;
                    pixels
                }
            };
            if crop.mirrored {
                mirror_rows(&pixels, crop.output.width as usize, &mut mirror);
                take(index, &mirror);
            } else {
                take(index, &pixels);
            }
            rendered = Some((upright, pixels));
        }
        Ok(())
    }

    /// Renders crops into one buffer, `[crops, height, width, 3]`.
    ///
    /// # Errors
    /// As [`CropRenderer::render_each`].
    pub fn render(
        &mut self,
        image: &RgbImage,
        crops: impl IntoIterator<Item = Crop>,
    ) -> Result<Vec<u8>, CropError> {
        let mut all = Vec::new();
        self.render_each(image, crops, |_, pixels| all.extend_from_slice(pixels))?;
        Ok(all)
    }

    /// Renders every crop of a plan; returns how often each counts, and the pixels of all.
    ///
    /// # Errors
    /// As [`CropRenderer::render_each`], and where the plan does not suit the image.
    pub fn render_plan(
        &mut self,
        image: &RgbImage,
        plan: &CropPlan,
    ) -> Result<(Vec<u32>, Vec<u8>), CropError> {
        let crops = plan.crops(image.width(), image.height())?;
        let weights = crops.iter().map(|crop| crop.multiplicity).collect();
        let pixels = self.render(image, crops.iter().map(|weighted| weighted.crop))?;
        Ok((weights, pixels))
    }

    fn render_upright(
        &mut self,
        image: &RgbImage,
        crop: &Crop,
        scaled: &mut Option<Scaled>,
        pixels: &mut Vec<u8>,
    ) -> Result<(), CropError> {
        let source = if crop.resized == (image.width(), image.height()) {
            image
        } else {
            let fits = |s: &Scaled| s.size == crop.resized && s.filter == crop.filter;
            if !scaled.as_ref().is_some_and(fits) {
                let (width, height) = crop.resized;
                let whole = SourceBox::whole(image);
                let image = self
                    .resizer
                    .resize(image, whole, width, height, crop.filter)?;
                *scaled = Some(Scaled {
                    size: crop.resized,
                    filter: crop.filter,
                    image,
                });
            }
            match scaled {
                Some(scaled) => &scaled.image,
                None => image,
            }
        };
        let cut = cut_out(source, crop.cut)?;
        let output = crop.output;
        if (crop.cut.width, crop.cut.height) == (output.width, output.height) {
            *pixels = cut.into_pixels();
            return Ok(());
        }
        pixels.resize(output.width as usize * output.height as usize * 3, 0);
        let whole = SourceBox::whole(&cut);
        let (width, height) = (output.width, output.height);
        Ok(self
            .resizer
            .resize_into(&cut, whole, width, height, crop.filter, pixels)?)
    }
}

fn cut_out(image: &RgbImage, cut: Rectangle) -> Result<RgbImage, CropError> {
    let inside = |from: u32, length: u32, side: u32| {
        from.checked_add(length).is_some_and(|end| end <= side) && length > 0
    };
    if !inside(cut.left, cut.width, image.width()) || !inside(cut.top, cut.height, image.height()) {
        let Rectangle {
            left,
            top,
            width,
            height,
        } = cut;
        return Err(CropError::Render(crate::images::ImageError::Resize {
            source_box: format!("the box {left},{top} {width}x{height}"),
            width: image.width(),
            height: image.height(),
            to_width: width,
            to_height: height,
        }));
    }
    let (from, to) = (cut.left as usize * 3, (cut.left + cut.width) as usize * 3);
    let mut pixels = Vec::with_capacity((to - from) * cut.height as usize);
    for y in cut.top..cut.top + cut.height {
        pixels.extend_from_slice(&image.row(y)[from..to]);
    }
    Ok(RgbImage::new(cut.width, cut.height, pixels)?)
}

fn mirror_rows(pixels: &[u8], width: usize, mirror: &mut Vec<u8>) {
    mirror.clear();
    for row in pixels.chunks_exact(width * 3) {
        for pixel in row.rchunks_exact(3) {
            mirror.extend_from_slice(pixel);
        }
    }
}

/// Writes crops as a network's input: from bytes `[crops, height, width, 3]` to float32
/// `[crops, 3, height, width]` in [-1, 1], each value x / 127.5 - 1.
///
/// # Errors
/// [`CropError::BufferLength`] where `pixels` is not whole crops or `output` not of their length.
pub fn to_tensor(
    pixels: &[u8],
    height: u32,
    width: u32,
    output: &mut [f32],
) -> Result<(), CropError> {
    let scaling = |byte| Scaling::UNIT.value(byte);
    to_tensor_by(pixels, height, width, scaling, output)
}

/// [`to_tensor`] with another scaling of bytes.
///
/// # Errors
/// As [`to_tensor`].
pub fn to_tensor_by(
    pixels: &[u8],
    height: u32,
    width: u32,
    scaling: impl Fn(u8) -> f32,
    output: &mut [f32],
) -> Result<(), CropError> {
    let plane = height as usize * width as usize;
    let wrong = |expected, found| CropError::BufferLength {
        height,
        width,
        expected,
        found,
    };
    if plane == 0 || !pixels.len().is_multiple_of(plane * 3) {
        return Err(wrong(
            (pixels.len() / (plane * 3).max(1) + 1) * plane * 3,
            pixels.len(),
        ));
    }
    if pixels.len() != output.len() {
        return Err(wrong(pixels.len(), output.len()));
    }
    let mut values = [0.0; 256];
    for (byte, value) in (0..=u8::MAX).zip(&mut values) {
        *value = scaling(byte);
    }
    let crops = pixels
        .chunks_exact(plane * 3)
        .zip(output.chunks_exact_mut(plane * 3));
    for (pixels, output) in crops {
        let (red, rest) = output.split_at_mut(plane);
        let (green, blue) = rest.split_at_mut(plane);
        let channels = red.iter_mut().zip(green).zip(blue);
        for (pixel, ((red, green), blue)) in pixels.chunks_exact(3).zip(channels) {
            *red = values[usize::from(pixel[0])];
            *green = values[usize::from(pixel[1])];
            *blue = values[usize::from(pixel[2])];
        }
    }
    Ok(())
}
