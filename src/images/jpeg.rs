//! JPEG through libjpeg-turbo's code, asked for exactly what Pillow asks it for: the accurate
//! integer inverse DCT, smooth ("fancy") chroma upsampling, and CMYK taken as Adobe writes it.
use super::ImageError;
use super::decode::{DecodeOptions, within_limit};
use super::pixels::RgbImage;
use mozjpeg::{ColorSpace, Decompress};
use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Decodes a whole JPEG to RGB.
pub(super) fn decode(
    bytes: &[u8],
    name: &str,
    options: &DecodeOptions,
) -> Result<RgbImage, ImageError> {
    // libjpeg fills up a file that stops short with grey and only warns, so the end is sought first.
    if !has_end_marker(bytes) {
        let (name, bytes) = (name.to_owned(), bytes.len());
        return Err(ImageError::Truncated {
            name,
            format: "JPEG",
            bytes,
        });
    }
    // The binding reports libjpeg's fatal errors by unwinding (without calling the panic hook).
    catch_unwind(AssertUnwindSafe(|| decode_unguarded(bytes, name, options)))
        .unwrap_or_else(|payload| Err(damaged(name, reason(payload.as_ref()))))
}

fn decode_unguarded(
    bytes: &[u8],
    name: &str,
    options: &DecodeOptions,
) -> Result<RgbImage, ImageError> {
    let failed = |error: io::Error| damaged(name, error.to_string());
    let header = Decompress::new_mem(bytes).map_err(failed)?;
    let (width, height) = within_limit(name, header.width(), header.height(), options)?;
    let space = header.color_space();
    let pixels = if matches!(space, ColorSpace::JCS_CMYK | ColorSpace::JCS_YCCK) {
        let mut scan = header.to_colorspace(ColorSpace::JCS_CMYK).map_err(failed)?;
        let inverted: Vec<u8> = scan.read_scanlines().map_err(failed)?;
        scan.finish().map_err(failed)?;
        rgb_of_inverted_cmyk(&inverted)
    } else {
        let mut scan = header.rgb().map_err(failed)?;
        let pixels: Vec<u8> = scan.read_scanlines().map_err(failed)?;
        scan.finish().map_err(failed)?;
        pixels
    };
    RgbImage::new(width, height, pixels)
}

/// Adobe stores CMYK inverted (255 is no ink), and Pillow takes every four-channel JPEG so. Then its
/// conversion is R = (255 - K) - C (255 - K) / 255, the product rounded to the nearest.
fn rgb_of_inverted_cmyk(inverted: &[u8]) -> Vec<u8> {
    let mut rgb = Vec::with_capacity(inverted.len() / 4 * 3);
    for pixel in inverted.chunks_exact(4) {
        let white = u32::from(pixel[3]);
        for &channel in &pixel[..3] {
            let product = u32::from(255 - channel) * white + 128;
            rgb.push((white - ((product + (product >> 8)) >> 8)) as u8);
        }
    }
    rgb
}

/// Walks the segments of a JPEG up to its end-of-image marker. Segments are skipped by their length,
/// so that the end marker of an embedded thumbnail does not count.
fn has_end_marker(bytes: &[u8]) -> bool {
    let mut at = 2; // past the start-of-image marker
    loop {
        // The next marker: 0xFF, any number of fill bytes 0xFF, then a code that is neither 0
        // (a stuffed data byte) nor a restart, both of which stand inside the compressed data.
        let code = loop {
            let Some(offset) = bytes
                .get(at..)
                .and_then(|rest| rest.iter().position(|&b| b == 0xFF))
            else {
                return false;
            };
            at += offset + 1;
            match bytes.get(at) {
                None => return false,
                Some(0x00 | 0xD0..=0xD7) => at += 1,
                Some(0xFF) => {}
                Some(&code) => {
                    at += 1;
                    break code;
                }
            }
        };
        match code {
            0xD9 => return true,
            0x01 | 0xD8 => {}
            _ => match bytes.get(at..at + 2) {
                Some(length) => at += usize::from(u16::from_be_bytes([length[0], length[1]])),
                None => return false,
            },
        }
    }
}

fn damaged(name: &str, reason: String) -> ImageError {
    ImageError::Damaged {
        name: name.to_owned(),
        format: "JPEG",
        reason,
    }
}

fn reason(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
    text.unwrap_or("the decoder gave no reason")
        .trim_start_matches("libjpeg fatal error: ")
        .into()
}
