//! `--resize`: ONNX Runtime's resize and crop beside ours, which are Pillow 12's to the bit.
//!
//! ONNX Runtime's resize of bytes goes along the rows and then along the columns, with weights of 22 bits, and rounds to
//! bytes after each, as Pillow's does. It takes the factor between the sizes from the sizes in float32, where Pillow has
//! float64: weights differ by some 1e-7 of themselves, a sum of 255 times such weights by at most some 1e-4, and so a
//! pixel by one level where the sum lies that near to a half. A pixel that the first pass has rounded otherwise enters the
//! second with a weight of at most 1.2, which may move it by one level more than its own rounding does: 2 levels at most.
//! Measured over all images below: 2 levels in single pixels, and 3 in 10,000 values that differ at all.

use incept::crops::{CropPlan, CropRenderer, InputSize};
use incept::exporters::onnx::{Batch, Recipe};
use incept::exporters::weights::random_image;
use incept::images::{self, RgbImage};
use ndarray::{ArrayD, IxDyn};

use super::*;

/// The largest difference of a pixel in levels.
const LEVELS: f32 = 2.0;

/// The largest share of pixels that differ at all.
const SHARE: f64 = 1e-3;

/// Smooth waves of all colours, so that a crop elsewhere or of another scale has other pixels.
fn waves(width: u32, height: u32) -> RgbImage {
    let mut pixels = Vec::with_capacity((width * height * 3) as usize);
    for y in 0..height {
        for x in 0..width {
            for channel in 0..3u32 {
                let (x, y) = (x as f32, y as f32);
                let wave = (x * 0.11 + channel as f32).sin() + (y * 0.17 - x * 0.02).cos();
                pixels.push((127.5 + 63.0 * wave).round() as u8);
            }
        }
    }
    RgbImage::new(width, height, pixels).unwrap()
}

/// Black, white and all between at random: every resampling overshoots somewhere.
fn noise(width: u32, height: u32) -> RgbImage {
    let values = random_image(u64::from(width), (width * height * 3) as usize);
    let byte = |value: f32| ((value * 3.0).clamp(-1.0, 1.0) * 127.5 + 127.5) as u8;
    RgbImage::new(width, height, values.into_iter().map(byte).collect()).unwrap()
}

fn golden(name: &str) -> RgbImage {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/images");
    images::load(&folder.join(name)).unwrap()
}

fn as_batch(images: &[RgbImage]) -> ArrayD<u8> {
    let (width, height) = (images[0].width() as usize, images[0].height() as usize);
    let pixels = images.iter().flat_map(|image| image.pixels().to_vec());
    ArrayD::from_shape_vec(IxDyn(&[images.len(), height, width, 3]), pixels.collect()).unwrap()
}

/// Our crop as the network's image before scaling: bytes as floats, channel by channel.
fn ours(image: &RgbImage, size: (usize, usize), fraction: f64) -> Vec<f32> {
    let input = InputSize {
        height: size.0 as u32,
        width: size.1 as u32,
    };
    let plan = CropPlan::single(input, fraction).unwrap();
    let crops = plan.crops(image.width(), image.height()).unwrap();
    let crops = crops.iter().map(|weighted| weighted.crop);
    let pixels = CropRenderer::new().render(image, crops).unwrap();
    let channel = |channel: usize| pixels.iter().skip(channel).step_by(3);
    (0..3)
        .flat_map(|number| channel(number).map(|&byte| f32::from(byte)))
        .collect()
}

/// Largest difference in levels, and the share of values that differ.
fn difference(a: &[f32], b: &[f32]) -> (f32, f64) {
    assert!(!a.is_empty() && a.len() == b.len());
    let differences = a.iter().zip(b).map(|(a, b)| (a - b).abs());
    let worst = differences.clone().fold(0.0, f32::max);
    let differing = differences.filter(|difference| *difference != 0.0).count();
    (worst, differing as f64 / a.len() as f64)
}

/// A model that also puts out the image before it is scaled.
fn resizing(size: (usize, usize), fraction: f64) -> Box<dyn Session> {
    let options = ExportOptions {
        recipe: Some(Recipe::timm(fraction)),
        ..taking(Input::ImageOfAnySize)
    };
    let model = model(&net("inception_resnet_v1", size), &options);
    load("ort", &putting_out(model, "image/transposed"))
}

fn theirs(session: &mut dyn Session, images: &[RgbImage]) -> Vec<Vec<f32>> {
    let batch = as_batch(images);
    let outputs = session
        .run_images(InputTensor::Bytes(batch.view()))
        .unwrap();
    let found = output(&outputs, "image/transposed");
    found
        .outer_iter()
        .map(|image| image.iter().copied().collect())
        .collect()
}

fn all_images() -> Vec<(String, RgbImage)> {
    let mut images: Vec<(String, RgbImage)> = ["landscape", "portrait", "square", "noise"]
        .map(|name| format!("source_{name}.png"))
        .into_iter()
        .map(|name| (name.clone(), golden(&name)))
        .collect();
    // Photographs' sizes, sizes that leave each remainder of the space around the crop, the exact size, slim images.
    let sizes = [
        (500, 375),
        (375, 500),
        (640, 480),
        (333, 333),
        (1000, 667),
        (86, 85),
        (85, 86),
        (87, 85),
        (88, 85),
        (89, 85),
        (85, 85),
        (75, 75),
        (76, 300),
        (301, 60),
        (20, 30),
        (1, 2),
        (3, 1),
        (257, 91),
        (640, 1),
    ];
    for (width, height) in sizes {
        images.push((format!("waves {width}x{height}"), waves(width, height)));
        images.push((format!("noise {width}x{height}"), noise(width, height)));
    }
    images
}

#[test]
fn resize_and_crop_are_pillows_within_two_levels() {
    let images = all_images();
    for (size, fraction) in [((75, 75), 0.875), ((128, 128), 0.8975), ((91, 139), 0.875)] {
        let mut session = resizing(size, fraction);
        let (mut worst, mut differing, mut shifted_pixels) = (0.0f32, 0.0, 0);
        for (name, image) in &images {
            let expected = ours(image, size, fraction);
            let found = &theirs(session.as_mut(), std::slice::from_ref(image))[0];
            let (levels, share) = difference(found, &expected);
            assert!(
                levels <= LEVELS,
                "{name} to {size:?}: {levels} levels in {share:.1e}"
            );
            worst = worst.max(levels);
            differing += share / images.len() as f64;
            // The comparison must see a crop that is one pixel off.
            let shifted: Vec<f32> = expected
                .iter()
                .skip(1)
                .chain(&expected[..1])
                .copied()
                .collect();
            let (levels, share) = difference(found, &shifted);
            shifted_pixels += usize::from(levels > LEVELS && share > SHARE);
        }
        println!("{size:?}, {fraction}: {worst} levels, share {differing:.1e}");
        assert!(
            differing <= SHARE,
            "{size:?}: {differing:.1e} of all values differ"
        );
        // Of images of one pixel's height all pixels may be alike.
        assert!(
            shifted_pixels + 4 >= images.len(),
            "{shifted_pixels} of {}",
            images.len()
        );
    }
}

/// The comparison above finds other filters.
#[test]
fn other_filters_are_found() {
    use incept::exporters::onnx::proto::{ModelProto, NodeProto};
    use prost::Message;
    let size = (75, 75);
    let image = golden("source_landscape.png");
    let large = waves(500, 375);
    let options = taking(Input::ImageOfAnySize);
    let good = putting_out(
        model(&net("inception_resnet_v1", size), &options),
        "image/transposed",
    );
    let with = |change: &dyn Fn(&mut NodeProto)| {
        let mut model = ModelProto::decode(good.as_slice()).unwrap();
        change(support::node(&mut model, "image/resized"));
        load("ort", &model.encode_to_vec())
    };
    let set = |name: &'static str, value: i64, number: f32, text: &'static str| {
        move |node: &mut NodeProto| {
            let attribute = node.attribute.iter_mut().find(|a| a.name == name).unwrap();
            (attribute.i, attribute.f) = (value, number);
            if !text.is_empty() {
                attribute.s = text.into();
            }
        }
    };
    for (what, change) in [
        ("the other cubic", set("cubic_coeff_a", 0, -0.75, "")),
        ("linear", set("mode", 0, 0.0, "linear")),
    ] {
        let mut session = with(&change);
        let (levels, share) = [&image, &large]
            .map(|image| {
                let found = &theirs(session.as_mut(), std::slice::from_ref(image))[0];
                difference(found, &ours(image, size, 0.875))
            })
            .into_iter()
            .fold((0.0f32, 0.0f64), |(a, b), (c, d)| (a.max(c), b.max(d)));
        println!("{what}: {levels} levels in {share:.1e}");
        assert!(
            levels > LEVELS && share > SHARE,
            "{what}: {levels} {share:.1e}"
        );
    }
}

/// Images of one size make a batch, and each is what it is alone.
#[test]
fn a_batch_of_images_is_each_of_them() {
    let images = [waves(200, 120), noise(200, 120), waves(200, 120)];
    let mut session = resizing((75, 75), 0.875);
    let together = theirs(session.as_mut(), &images);
    assert_eq!(together.len(), 3);
    for (image, found) in images.iter().zip(&together) {
        assert!(theirs(session.as_mut(), std::slice::from_ref(image))[0] == *found);
    }
    let fixed = ExportOptions {
        batch: Batch::Fixed(3),
        ..taking(Input::ImageOfAnySize)
    };
    let model = model(&net("inception_resnet_v1", (75, 75)), &fixed);
    let mut session = load("ort", &putting_out(model, "image/transposed"));
    assert!(theirs(session.as_mut(), &images) == together);
}
