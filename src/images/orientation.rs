//! EXIF orientation.
use super::pixels::RgbImage;
use std::io::Cursor;

/// What to do with a camera's orientation tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ExifOrientation {
    /// The pixels as they are stored: what Pillow's `Image.open`, torchvision's `ImageFolder`, timm
    /// and TF-slim do, so what published accuracies were measured with.
    #[default]
    Ignore,
    /// The picture as a viewer shows it, turned and mirrored by the tag; like Pillow's
    /// `ImageOps.exif_transpose`.
    Apply,
}

/// The tag's value, 1 (upright) where there is none or it makes no sense.
pub(super) fn orientation_of(bytes: &[u8]) -> u32 {
    let Ok(fields) = exif::Reader::new().read_from_container(&mut Cursor::new(bytes)) else {
        return 1;
    };
    let field = fields.get_field(exif::Tag::Orientation, exif::In::PRIMARY);
    let value = field.and_then(|field| field.value.get_uint(0));
    value.filter(|value| (1..=8).contains(value)).unwrap_or(1)
}

/// Turns the stored pixels upright.
pub(super) fn upright(image: RgbImage, orientation: u32) -> RgbImage {
    if orientation == 1 {
        return image;
    }
    let (width, height) = (image.width(), image.height());
    // Orientations 5 to 8 swap the axes.
    let (to_width, to_height) = if orientation < 5 {
        (width, height)
    } else {
        (height, width)
    };
    let mut turned = RgbImage::filled(to_width, to_height, [0; 3]);
    for (index, pixel) in turned.pixels_mut().chunks_exact_mut(3).enumerate() {
        let (x, y) = (index as u32 % to_width, index as u32 / to_width);
        let (from_x, from_y) = match orientation {
            2 => (width - 1 - x, y),
            3 => (width - 1 - x, height - 1 - y),
            4 => (x, height - 1 - y),
            5 => (y, x),
            6 => (y, height - 1 - x),
            7 => (width - 1 - y, height - 1 - x),
            _ => (width - 1 - y, x),
        };
        pixel.copy_from_slice(&image.pixel(from_x, from_y));
    }
    turned
}
