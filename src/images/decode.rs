//! From bytes to RGB pixels, as Pillow's `Image.open(file).convert("RGB")` gives them.
use super::error::ImageError;
use super::jpeg;
use super::orientation::{ExifOrientation, orientation_of, upright};
use super::pixels::RgbImage;
use crate::files;
use std::io::Cursor;
use std::path::Path;

/// Where Pillow refuses an image as a decompression bomb: 178,956,970 pixels.
pub const DEFAULT_MAXIMUM_PIXELS: u64 = 2 * (1024 * 1024 * 1024 / 4 / 3);

/// How to decode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeOptions {
    /// Whether to turn the picture by its EXIF tag; not by default.
    pub orientation: ExifOrientation,
    /// An image of more pixels (width times height) is refused before it is decoded.
    pub maximum_pixels: u64,
}

impl Default for DecodeOptions {
    fn default() -> Self {
        Self {
            orientation: ExifOrientation::Ignore,
            maximum_pixels: DEFAULT_MAXIMUM_PIXELS,
        }
    }
}

/// Decodes a JPEG or PNG of any kind to RGB; `name` is used in errors. The format is told by content,
/// so a PNG called `.JPEG` is fine.
///
/// As in Pillow: grey is repeated, an alpha channel is dropped (not blended), palettes and low bit
/// depths are expanded, CMYK and YCCK are taken as Adobe writes them, colour profiles and gamma are not
/// applied, and the EXIF orientation is not applied (see [`decode_with`]). Of 16 bits the upper 8 are
/// kept; Pillow does so too, except for 16-bit grey, where its conversion turns every value above 255
/// of 65535 white: here that is not copied. A JPEG whose compressed data are damaged in the middle
/// decodes, as in Pillow, as far as libjpeg can mend it; one that ends too early is an error.
///
/// # Errors
/// [`ImageError`]: not an image, truncated, damaged or too large, always with `name`.
pub fn decode(bytes: &[u8], name: &str) -> Result<RgbImage, ImageError> {
    decode_with(bytes, name, &DecodeOptions::default())
}

/// [`decode`] with options.
///
/// # Errors
/// As [`decode`].
pub fn decode_with(
    bytes: &[u8],
    name: &str,
    options: &DecodeOptions,
) -> Result<RgbImage, ImageError> {
    let image = if bytes.starts_with(&[0xFF, 0xD8, 0xFF]) {
        jpeg::decode(bytes, name, options)?
    } else if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        decode_png(bytes, name, options)?
    } else {
        return Err(ImageError::NotAnImage {
            name: name.to_owned(),
            found: describe(bytes),
        });
    };
    Ok(match options.orientation {
        ExifOrientation::Ignore => image,
        ExifOrientation::Apply => upright(image, orientation_of(bytes)),
    })
}

/// Reads and decodes a file with the default options.
///
/// # Errors
/// As [`decode`], and a [`files::FileError`] where the file cannot be read; always with the path.
pub fn load(path: &Path) -> Result<RgbImage, ImageError> {
    load_with(path, &DecodeOptions::default())
}

/// Reads and decodes a file.
///
/// # Errors
/// As [`load`].
pub fn load_with(path: &Path, options: &DecodeOptions) -> Result<RgbImage, ImageError> {
    decode_with(&files::read(path)?, &path.display().to_string(), options)
}

fn decode_png(bytes: &[u8], name: &str, options: &DecodeOptions) -> Result<RgbImage, ImageError> {
    let failed = |error: png::DecodingError| match error {
        png::DecodingError::IoError(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            let (name, bytes) = (name.to_owned(), bytes.len());
            ImageError::Truncated {
                name,
                format: "PNG",
                bytes,
            }
        }
        error => damaged_png(name, error.to_string()),
    };
    // The decoder's own byte limit would only repeat the pixel limit, which has the better message.
    let limits = png::Limits { bytes: usize::MAX };
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(bytes), limits);
    decoder.set_ignore_text_chunk(true);
    let header = decoder.read_header_info().map_err(failed)?;
    let (width, height) = (header.width as usize, header.height as usize);
    let (width, height) = within_limit(name, width, height, options)?;
    // EXPAND: palettes to RGB, 1, 2 and 4 bits to 8; STRIP_16: the upper byte of two.
    decoder.set_transformations(png::Transformations::EXPAND | png::Transformations::STRIP_16);
    let mut reader = decoder.read_info().map_err(failed)?;
    let size = reader.output_buffer_size();
    let size = size.ok_or_else(|| damaged_png(name, "its size overflows".into()))?;
    let mut samples = vec![0; size];
    let frame = reader.next_frame(&mut samples).map_err(failed)?;
    // The checksums and the end chunk after the pixels: a cut there is a truncated file as well.
    reader.finish().map_err(failed)?;
    samples.truncate(frame.buffer_size());
    let pixels = match frame.color_type {
        png::ColorType::Rgb => samples,
        png::ColorType::Rgba => samples
            .chunks_exact(4)
            .flat_map(|p| [p[0], p[1], p[2]])
            .collect(),
        png::ColorType::Grayscale => samples.iter().flat_map(|&grey| [grey; 3]).collect(),
        png::ColorType::GrayscaleAlpha => samples
            .chunks_exact(2)
            .flat_map(|pixel| [pixel[0]; 3])
            .collect(),
        png::ColorType::Indexed => {
            return Err(damaged_png(name, "its palette was not expanded".into()));
        }
    };
    RgbImage::new(width, height, pixels)
}

fn damaged_png(name: &str, reason: String) -> ImageError {
    ImageError::Damaged {
        name: name.to_owned(),
        format: "PNG",
        reason,
    }
}

/// Checks a header's size before anything is allocated for it.
pub(super) fn within_limit(
    name: &str,
    width: usize,
    height: usize,
    options: &DecodeOptions,
) -> Result<(u32, u32), ImageError> {
    let (limit, name) = (options.maximum_pixels, name.to_owned());
    match (u32::try_from(width), u32::try_from(height)) {
        (Ok(w), Ok(h)) if u64::from(w) * u64::from(h) <= limit => Ok((w, h)),
        _ => Err(ImageError::TooLarge {
            name,
            width: width as u64,
            height: height as u64,
            limit,
        }),
    }
}

/// What a file that is no image seems to be, from its first bytes.
fn describe(bytes: &[u8]) -> String {
    const KNOWN: [(&[u8], &str); 13] = [
        (b"GIF8", "a GIF image, which is not supported"),
        (b"BM", "a BMP image, which is not supported"),
        (b"II*\0", "a TIFF image, which is not supported"),
        (b"MM\0*", "a TIFF image, which is not supported"),
        (
            b"\0\0\0\x0cjP  ",
            "a JPEG 2000 image, which is not supported",
        ),
        (b"\xFF\x0A", "a JPEG XL image, which is not supported"),
        (b"%PDF", "a PDF document"),
        (b"PK\x03\x04", "a ZIP archive"),
        (b"\x1F\x8B", "a gzip archive"),
        (b"\x7FELF", "a program"),
        (
            b"<!DOCTYPE",
            "an HTML page, perhaps a download's error message",
        ),
        (b"<html", "an HTML page, perhaps a download's error message"),
        (
            b"version https://git-lfs",
            "a Git LFS pointer: the file itself was not fetched",
        ),
    ];
    if bytes.is_empty() {
        return "empty".into();
    }
    if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
        return "a WebP image, which is not supported".into();
    }
    if bytes.get(4..8) == Some(b"ftyp") {
        return "an AVIF, HEIF or MP4 file, which is not supported".into();
    }
    if let Some((_, name)) = KNOWN.iter().find(|(start, _)| bytes.starts_with(start)) {
        return (*name).into();
    }
    let start = &bytes[..bytes.len().min(32)];
    let printable = |b: &u8| (0x20..0x7F).contains(b) || b"\t\r\n".contains(b);
    if start.iter().all(printable) {
        return format!("text, {:?}", String::from_utf8_lossy(start));
    }
    let hex: Vec<String> = start.iter().take(8).map(|b| format!("{b:02x}")).collect();
    format!("unknown, it starts with the bytes {}", hex.join(" "))
}
