//! Random crops and flips, decided by the portable generator alone.

use serde::{Deserialize, Serialize};

use crate::exporters::weights::{stream_key, uniform};
use crate::images::{Filter, ImageError, Resizer, RgbImage, SourceBox};

/// How training images are varied: GoogLeNet's crops, as the Inception papers take them over.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Augmentation {
    /// Least and greatest share of the image's area in a crop; GoogLeNet: 0.08 to 1.
    pub area: [f64; 2],
    /// Least and greatest ratio of width to height; GoogLeNet: 3/4 to 4/3.
    pub aspect: [f64; 2],
    /// Whether half of the crops are mirrored left to right.
    pub flip: bool,
}

impl Default for Augmentation {
    fn default() -> Self {
        Self {
            area: [0.08, 1.0],
            aspect: [0.75, 4.0 / 3.0],
            flip: true,
        }
    }
}

/// Tries before the whole image is taken.
const TRIES: u64 = 10;

impl Augmentation {
    /// The crop, in whole pixels, and whether it is mirrored, for image `index` of `epoch`. The share is uniform and the
    /// ratio uniform in its logarithm; a crop that does not fit is drawn again, and after ten tries the largest
    /// centred crop of an allowed ratio is taken.
    pub fn draw(
        &self,
        seed: u64,
        epoch: u64,
        index: u64,
        width: u32,
        height: u32,
    ) -> (SourceBox, bool) {
        let key = stream_key(seed, &format!("augmentation/{epoch}/{index}"));
        let between = |at: u64, [low, high]: [f64; 2]| low + uniform(key, at) * (high - low);
        let mirrored = self.flip && uniform(key, 0) < 0.5;
        let (w, h) = (f64::from(width), f64::from(height));
        for attempt in 0..TRIES {
            let at = 1 + attempt * 4;
            let area = between(at, self.area) * w * h;
            let aspect = libm::exp(between(at + 1, self.aspect.map(libm::log)));
            let crop_width = (area * aspect).sqrt().round();
            let crop_height = (area / aspect).sqrt().round();
            if (1.0..=w).contains(&crop_width) && (1.0..=h).contains(&crop_height) {
                let place = |at, room: f64| (uniform(key, at) * (room + 1.0)).floor().min(room);
                let crop = SourceBox {
                    left: place(at + 2, w - crop_width),
                    top: place(at + 3, h - crop_height),
                    width: crop_width,
                    height: crop_height,
                };
                return (crop, mirrored);
            }
        }
        let aspect = (w / h).clamp(self.aspect[0], self.aspect[1]);
        let crop_width = w.min((h * aspect).round()).max(1.0);
        let crop_height = h.min((w / aspect).round()).max(1.0);
        let crop = SourceBox {
            left: ((w - crop_width) / 2.0).floor(),
            top: ((h - crop_height) / 2.0).floor(),
            width: crop_width,
            height: crop_height,
        };
        (crop, mirrored)
    }
}

/// Cuts a crop and resizes it to `[height, width, 3]` bytes with Pillow's bilinear filter, mirrored where asked.
///
/// # Errors
/// [`ImageError`] where the crop is not inside the image.
pub fn random_crop(
    resizer: &mut Resizer,
    image: &RgbImage,
    (crop, mirrored): (SourceBox, bool),
    width: u32,
    height: u32,
) -> Result<Vec<u8>, ImageError> {
    let mut pixels = resizer
        .resize(image, crop, width, height, Filter::Bilinear)?
        .into_pixels();
    if mirrored {
        for row in pixels.chunks_exact_mut(width as usize * 3) {
            let (row, _) = row.as_chunks_mut::<3>();
            row.reverse();
        }
    }
    Ok(pixels)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn crops_keep_their_bounds_and_vary_by_epoch_and_image() {
        let augmentation = Augmentation::default();
        let mut flips = 0;
        let mut areas = vec![];
        for index in 0..2000 {
            let (crop, mirrored) = augmentation.draw(7, 1, index, 120, 90);
            flips += usize::from(mirrored);
            let share = crop.width * crop.height / (120.0 * 90.0);
            let aspect = crop.width / crop.height;
            // Rounding to pixels moves both a little.
            assert!((0.07..=1.0).contains(&share), "{crop}");
            assert!((0.7..=1.45).contains(&aspect), "{crop}");
            assert!(
                crop.left >= 0.0 && crop.left + crop.width <= 120.0,
                "{crop}"
            );
            assert!(crop.top >= 0.0 && crop.top + crop.height <= 90.0, "{crop}");
            areas.push(share);
        }
        assert!((900..1100).contains(&flips), "{flips}");
        let mean = areas.iter().sum::<f64>() / areas.len() as f64;
        assert!((0.4..0.6).contains(&mean), "{mean}");
        let one = augmentation.draw(7, 1, 3, 120, 90);
        assert_eq!(one, augmentation.draw(7, 1, 3, 120, 90));
        assert_ne!(one, augmentation.draw(7, 2, 3, 120, 90));
        assert_ne!(one, augmentation.draw(8, 1, 3, 120, 90));
    }

    #[test]
    fn an_image_too_narrow_for_any_crop_gives_its_middle() {
        let augmentation = Augmentation {
            area: [0.9, 1.0],
            ..Augmentation::default()
        };
        let (crop, _) = augmentation.draw(0, 0, 0, 400, 20);
        let middle = SourceBox {
            left: 186.0,
            top: 0.0,
            width: 27.0,
            height: 20.0,
        };
        assert_eq!(crop, middle);
        let (crop, _) = augmentation.draw(0, 0, 0, 1, 1);
        assert_eq!((crop.width, crop.height), (1.0, 1.0));
    }

    #[test]
    fn a_mirrored_crop_is_the_crop_from_right_to_left() {
        let pixels: Vec<u8> = (0..4 * 2 * 3).collect();
        let image = RgbImage::new(4, 2, pixels).unwrap();
        let whole = SourceBox::whole(&image);
        let mut resizer = Resizer::new();
        let plain = random_crop(&mut resizer, &image, (whole, false), 4, 2).unwrap();
        let mirror = random_crop(&mut resizer, &image, (whole, true), 4, 2).unwrap();
        assert_eq!(plain, image.pixels());
        assert_eq!(mirror[..3], plain[9..12]);
        assert_eq!(mirror[12..15], plain[21..24]);
    }
}
