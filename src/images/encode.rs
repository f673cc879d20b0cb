//! From pixels to JPEG and PNG.
use super::{Filter, ImageError, Resizer, RgbImage, SourceBox};
use crate::files;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// Encodes a baseline JPEG, chroma halved both ways (4:2:0) as cameras write it. The same pixels and
/// quality (1 to 100) give the same bytes everywhere: the encoder computes in integers.
///
/// # Errors
/// [`ImageError::Encode`], e.g. for a side of 0 or above 65,500.
pub fn encode_jpeg(image: &RgbImage, quality: u8) -> Result<Vec<u8>, ImageError> {
    let encode = || {
        let mut encoder = mozjpeg::Compress::new(mozjpeg::ColorSpace::JCS_RGB);
        // libjpeg-turbo's own way: no trellis search, no progressive scans.
        encoder.set_fastest_defaults();
        encoder.set_size(image.width() as usize, image.height() as usize);
        encoder.set_quality(f32::from(quality));
        encoder.set_chroma_sampling_pixel_sizes((2, 2), (2, 2));
        let mut started = encoder.start_compress(Vec::new())?;
        started.write_scanlines(image.pixels())?;
        started.finish()
    };
    let failed = |reason: String| ImageError::Encode {
        format: "JPEG",
        width: image.width(),
        height: image.height(),
        reason,
    };
    if image.pixels().is_empty() {
        return Err(failed("it has no pixels".into()));
    }
    match catch_unwind(AssertUnwindSafe(encode)) {
        Ok(result) => result.map_err(|error: std::io::Error| failed(error.to_string())),
        // The binding reports libjpeg's fatal errors by unwinding with a text.
        Err(payload) => Err(failed(
            payload
                .downcast_ref::<String>()
                .cloned()
                .unwrap_or_else(|| "no reason given".into()),
        )),
    }
}

/// Encodes a PNG: 8-bit RGB.
///
/// # Errors
/// [`ImageError::Encode`], e.g. for a side of 0.
pub fn encode_png(image: &RgbImage) -> Result<Vec<u8>, ImageError> {
    let failed = |error: png::EncodingError| ImageError::Encode {
        format: "PNG",
        width: image.width(),
        height: image.height(),
        reason: error.to_string(),
    };
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, image.width(), image.height());
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().map_err(failed)?;
    writer.write_image_data(image.pixels()).map_err(failed)?;
    writer.finish().map_err(failed)?;
    Ok(bytes)
}

/// Writes a PNG file, whole or not at all.
///
/// # Errors
/// As [`encode_png`], and a [`files::FileError`] with the path.
pub fn write_png(path: &Path, image: &RgbImage) -> Result<(), ImageError> {
    let bytes = encode_png(image)?;
    Ok(files::write_whole(path, |writer| writer.write_all(&bytes))?)
}

/// Lays images out in rows of `columns`, each shrunk or grown to fit a cell of `cell` pixels a side
/// with its proportions kept, on a light ground.
///
/// # Errors
/// [`ImageError::Resize`] where an image, `columns` or `cell` is empty.
pub fn contact_sheet(images: &[RgbImage], columns: u32, cell: u32) -> Result<RgbImage, ImageError> {
    const GAP: u32 = 4;
    let columns = columns.max(1);
    let rows = (images.len() as u32).div_ceil(columns);
    let step = cell + GAP;
    let mut sheet = RgbImage::filled(columns * step + GAP, rows * step + GAP, [244; 3]);
    let stride = sheet.width() as usize * 3;
    let mut resizer = Resizer::new();
    for (index, image) in images.iter().enumerate() {
        let scale = f64::from(cell) / f64::from(image.width().max(image.height()).max(1));
        let side = |length: u32| ((f64::from(length) * scale).round() as u32).clamp(1, cell.max(1));
        let (width, height) = (side(image.width()), side(image.height()));
        let whole = SourceBox::whole(image);
        let small = resizer.resize(image, whole, width, height, Filter::Bicubic)?;
        let index = index as u32;
        let left = GAP + index % columns * step + (cell - width) / 2;
        let top = GAP + index / columns * step + (cell - height) / 2;
        for y in 0..height {
            let at = (top + y) as usize * stride + left as usize * 3;
            sheet.pixels_mut()[at..at + width as usize * 3].copy_from_slice(small.row(y));
        }
    }
    Ok(sheet)
}
