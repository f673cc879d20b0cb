//! The crops of image files, all in memory.

use std::ops::Range;
use std::path::PathBuf;

use incept_exporters::onnx::Scaling;
use ndarray::{ArrayD, ArrayView4, IxDyn};
use rayon::prelude::*;

use super::{CropError, CropPlan, CropRenderer, InputSize, to_tensor_by};
use crate::images::load;

/// The crops of image files by one plan.
#[derive(Debug, Clone)]
pub struct CroppedImages {
    /// Height and width of each crop.
    pub size: InputSize,
    /// Of each crop the number of its image, and how often it counts in the image's average.
    pub crops: Vec<(usize, u32)>,
    /// The pixels, `[crops, height, width, 3]`.
    pixels: Vec<u8>,
}

impl CroppedImages {
    /// Decodes and crops files on all cores.
    ///
    /// # Errors
    /// [`CropError`] for the first file, in order, that cannot be decoded or that the plan does not suit.
    pub fn render(files: &[PathBuf], plan: &CropPlan) -> Result<Self, CropError> {
        let rendered = files
            .par_iter()
            .map_init(CropRenderer::new, |renderer, file| {
                let image = load(file).map_err(CropError::Load)?;
                renderer.render_plan(&image, plan)
            });
        let rendered: Vec<Result<_, CropError>> = rendered.collect();
        let mut all = Self {
            size: plan.crop_size(),
            crops: vec![],
            pixels: vec![],
        };
        for (image, rendered) in rendered.into_iter().enumerate() {
            let (weights, pixels) = rendered?;
            all.crops
                .extend(weights.into_iter().map(|weight| (image, weight)));
            all.pixels.extend(pixels);
        }
        Ok(all)
    }

    /// Images there are.
    pub fn images(&self) -> usize {
        self.crops.last().map_or(0, |(image, _)| image + 1)
    }

    /// Some crops, `[crops, height, width, 3]`.
    ///
    /// # Errors
    /// [`CropError::BufferLength`] where there are not so many.
    pub fn bytes(&self, crops: Range<usize>) -> Result<ArrayView4<'_, u8>, CropError> {
        let (height, width) = (self.size.height as usize, self.size.width as usize);
        let one = height * width * 3;
        let some = self.pixels.get(crops.start * one..crops.end * one);
        let view = some
            .and_then(|some| ArrayView4::from_shape((crops.len(), height, width, 3), some).ok());
        view.ok_or(CropError::BufferLength {
            height: self.size.height,
            width: self.size.width,
            expected: crops.end * one,
            found: self.pixels.len(),
        })
    }

    /// Some crops as a network takes them, `[crops, 3, height, width]`.
    ///
    /// # Errors
    /// As [`CroppedImages::bytes`].
    pub fn scaled(&self, crops: Range<usize>, scaling: Scaling) -> Result<ArrayD<f32>, CropError> {
        let bytes = self.bytes(crops.clone())?;
        let InputSize { height, width } = self.size;
        let shape = [crops.len(), 3, height as usize, width as usize];
        let mut values = ArrayD::zeros(IxDyn(&shape));
        if let (Some(bytes), Some(values)) = (bytes.as_slice(), values.as_slice_mut()) {
            to_tensor_by(bytes, height, width, |byte| scaling.value(byte), values)?;
        }
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::images::{RgbImage, write_png};

    #[test]
    fn crops_stand_in_the_order_of_their_files() {
        let folder = tempfile::tempdir().unwrap();
        let files: Vec<PathBuf> = [10_u8, 200]
            .map(|grey| {
                let path = folder.path().join(format!("{grey}.png"));
                write_png(&path, &RgbImage::filled(90, 80, [grey, 0, 255])).unwrap();
                path
            })
            .into();
        let plan = CropPlan::from_argument("10", InputSize::square(75)).unwrap();
        let cropped = CroppedImages::render(&files, &plan).unwrap();
        assert_eq!((cropped.crops.len(), cropped.images()), (20, 2));
        assert_eq!(cropped.crops[9..11], [(0, 1), (1, 1)]);
        let bytes = cropped.bytes(9..11).unwrap();
        assert_eq!((bytes[[0, 0, 0, 0]], bytes[[1, 74, 74, 0]]), (10, 200));
        let scaled = cropped.scaled(9..11, Scaling::UNIT).unwrap();
        assert_eq!(scaled.shape(), [2, 3, 75, 75]);
        assert_eq!(scaled[[1, 0, 3, 4]], 200.0 / 127.5 - 1.0);
        assert_eq!((scaled[[0, 1, 3, 4]], scaled[[0, 2, 3, 4]]), (-1.0, 1.0));
        assert!(cropped.bytes(19..21).is_err());

        let missing = [files[0].clone(), folder.path().join("none.png")];
        let error = CroppedImages::render(&missing, &plan).unwrap_err();
        assert!(error.to_string().contains("none.png"), "{error}");
    }
}
