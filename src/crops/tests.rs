//! Tests of plans, geometry and rendering; numbers computed by hand stand beside their sums.
#![allow(clippy::unwrap_used)]
use super::*;
use crate::images::comparison::{agree, golden, manifest};
use crate::images::{Filter, RgbImage, load};

const SIZE: InputSize = InputSize {
    height: 299,
    width: 299,
};

fn plan(argument: &str) -> CropPlan {
    CropPlan::from_argument(argument, SIZE).unwrap()
}

fn cut(left: u32, top: u32, width: u32, height: u32) -> Rectangle {
    Rectangle {
        left,
        top,
        width,
        height,
    }
}

/// The unmirrored cuts of a plan.
fn cuts(plan: &CropPlan, width: u32, height: u32) -> Vec<Rectangle> {
    let crops = plan.all_crops(width, height).unwrap();
    crops
        .iter()
        .filter(|crop| !crop.mirrored)
        .map(|crop| crop.cut)
        .collect()
}

#[test]
fn plans_hold_as_many_crops_as_their_names_say() {
    for (argument, count) in [
        ("1", 1),
        ("1-tf-slim", 1),
        ("10", 10),
        ("12", 12),
        ("144", 144),
    ] {
        let plan = plan(argument);
        assert_eq!(plan.count(), count);
        for (width, height) in [
            (500, 375),
            (333, 500),
            (400, 400),
            (1, 1),
            (31, 900),
            (300, 299),
        ] {
            assert_eq!(plan.all_crops(width, height).unwrap().len(), count);
            let distinct = plan.crops(width, height).unwrap();
            let sum: u32 = distinct.iter().map(|weighted| weighted.multiplicity).sum();
            assert_eq!(sum as usize, count, "{argument} of {width}x{height}");
        }
    }
}

#[test]
fn crops_are_distinct_unless_squares_coincide() {
    for (width, height) in [(500, 375), (375, 500)] {
        for argument in ["10", "12", "144"] {
            let plan = plan(argument);
            assert_eq!(
                plan.crops(width, height).unwrap().len(),
                plan.count(),
                "{argument}"
            );
        }
    }
    let square = plan("144").crops(640, 640).unwrap();
    assert_eq!(square.len(), 48);
    assert!(square.iter().all(|weighted| weighted.multiplicity == 3));
    assert_eq!(plan("12").crops(640, 640).unwrap().len(), 12);
    // 342 / 1000 * 1001 = 342.3 is 342: as good as square at every scale.
    assert_eq!(plan("144").crops(1001, 1000).unwrap().len(), 48);
    // 401 / 400: widths 342, 384, 428, 471, so at two scales the right square is one pixel further,
    // and the centre one (0.5, halves to even) is the left one: 2 * 12 + 2 * 24.
    let nearly = plan("144").crops(401, 400).unwrap();
    assert_eq!(nearly.len(), 2 * 12 + 2 * 24);
}

#[test]
fn offsets_equal_hand_computed_numbers() {
    // Single: shorter side floor(299 / 0.875) = 341, longer floor(341 * 500 / 375) = 454;
    // (454 - 299) / 2 = 77.5, halves to even: 78; (341 - 299) / 2 = 21.
    let single = plan("1").all_crops(500, 375).unwrap()[0];
    assert_eq!(single.resized, (454, 341));
    assert_eq!(single.cut, cut(78, 21, 299, 299));
    assert_eq!(single.filter, Filter::Bicubic);
    // Inception-ResNet-v2: floor(299 / 0.8975) = 333, floor(333 * 500 / 375) = 444; 72.5 is 72.
    let v2 = CropPlan::single(SIZE, 0.8975)
        .unwrap()
        .all_crops(375, 500)
        .unwrap()[0];
    assert_eq!((v2.resized, v2.cut), ((333, 444), cut(17, 72, 299, 299)));

    // Ten: shorter side round(256 * 299 / 224) = 342, longer 456; 456 - 299 = 157, 342 - 299 = 43;
    // 78.5 is 78, 21.5 is 22.
    let ten = [(0, 0), (157, 0), (0, 43), (157, 43), (78, 22)];
    assert_eq!(
        cuts(&plan("10"), 500, 375),
        ten.map(|(x, y)| cut(x, y, 299, 299))
    );

    // Twelve: the centre square begins at (456 - 342) / 2 = 57.
    let mut twelve = [(57, 0), (100, 0), (57, 43), (100, 43), (79, 22)]
        .map(|(x, y)| cut(x, y, 299, 299))
        .to_vec();
    twelve.push(cut(57, 0, 342, 342));
    assert_eq!(cuts(&plan("12"), 500, 375), twelve);

    // 144, portrait 375 x 500, last scale 470 x 626: squares at 0, (626 - 470) / 2 = 78 and 156.
    let all = cuts(&plan("144"), 375, 500);
    assert_eq!(all.len(), 72);
    let last_scale = &all[54..];
    assert_eq!(last_scale[5], cut(0, 0, 470, 470));
    assert_eq!(last_scale[6], cut(0, 78, 299, 299));
    assert_eq!(last_scale[11], cut(0, 78, 470, 470));
    // 470 - 299 = 171; 85.5 is 86.
    assert_eq!(last_scale[15], cut(171, 156 + 171, 299, 299));
    assert_eq!(last_scale[16], cut(86, 156 + 86, 299, 299));
    assert_eq!(last_scale[17], cut(0, 156, 470, 470));
}

#[test]
fn scales_are_in_proportion_to_the_input() {
    let scales = |size| {
        let plan = CropPlan::one_hundred_forty_four(InputSize::square(size)).unwrap();
        match plan.method() {
            Method::ShorterSide { scales } => scales.clone(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(scales(299), [342, 384, 427, 470]);
    assert_eq!(scales(224), [256, 288, 320, 352]);
    // 75 / 224 * 256 = 85.7, 96.4, 107.1, 117.9
    assert_eq!(scales(75), [86, 96, 107, 118]);
}

#[test]
fn every_crop_lies_in_its_image() {
    let sizes = [
        (1, 1),
        (500, 375),
        (375, 501),
        (299, 299),
        (64, 2000),
        (4000, 31),
    ];
    for argument in ["1", "1-tf-slim", "10", "12", "144"] {
        for size in [75, 149, 224, 299, 331] {
            let plan = CropPlan::from_argument(argument, InputSize::square(size)).unwrap();
            for (width, height) in sizes {
                for Crop { resized, cut, .. } in plan.all_crops(width, height).unwrap() {
                    assert!(cut.left + cut.width <= resized.0 && cut.top + cut.height <= resized.1);
                    assert!(cut.width > 0 && cut.height > 0);
                }
            }
        }
    }
}

#[test]
fn only_the_single_crop_takes_an_input_that_is_not_square() {
    let input = InputSize {
        height: 150,
        width: 300,
    };
    for argument in ["10", "12", "144"] {
        let error = CropPlan::from_argument(argument, input).unwrap_err();
        assert!(matches!(error, CropError::NotSquare { .. }), "{error}");
        assert!(
            error.to_string().contains("150x300") && error.hint().is_some(),
            "{error}"
        );
    }
    // floor(150 / 0.875) = 171, floor(300 / 0.875) = 342. A 500 x 400 image covers 342 x 171 at
    // min(500 / 342, 400 / 171) = 1.462: 342 x round(273.6) = 274. (274 - 150) / 2 = 62.
    let crop = CropPlan::from_argument("1", input)
        .unwrap()
        .all_crops(500, 400)
        .unwrap()[0];
    assert_eq!(
        (crop.resized, crop.cut),
        ((342, 274), cut(21, 62, 300, 150))
    );
    let slim = CropPlan::from_argument("1-tf-slim", input)
        .unwrap()
        .all_crops(500, 400)
        .unwrap()[0];
    // 500 / 16 = 31.25 and 400 / 16 = 25 are left out at either side.
    assert_eq!((slim.cut, slim.output), (cut(31, 25, 438, 350), input));
}

#[test]
fn the_hash_belongs_to_the_geometry() {
    // printf 'crop: 299x299\nresize: shorter side to 342, 384, 427, 470\nsquares: three\nviews: top-left,
    // top-right, bottom-left, bottom-right, centre, whole\nmirror: true\nfilter: bicubic\n' | sha256sum
    // (one line)
    assert_eq!(
        plan("144").sha256(),
        "55e4a6440f08fd1371273759c77434d45b7f09884429c8f8c5f63b8575eef35f"
    );
    let mut hashes: Vec<String> = ["1", "1-tf-slim", "10", "12", "144"]
        .map(|argument| plan(argument).sha256())
        .to_vec();
    hashes.push(CropPlan::single(SIZE, 0.8975).unwrap().sha256());
    hashes.push(CropPlan::ten(InputSize::square(224)).unwrap().sha256());
    let count = hashes.len();
    hashes.sort();
    hashes.dedup();
    assert_eq!(hashes.len(), count);
    // The same crops under another name.
    let written = CropPlan::from_toml(TWELVE, "x.toml", SIZE).unwrap();
    assert_eq!(written.sha256(), plan("12").sha256());
    assert_eq!(
        written.all_crops(500, 375).unwrap(),
        plan("12").all_crops(500, 375).unwrap()
    );
}

const TWELVE: &str = r#"
name = "mine"
crop_size = 224
scales = [256]
squares = "centre"
views = ["top-left", "top-right", "bottom-left", "bottom-right", "centre", "whole"]
mirror = true
"#;

#[test]
fn a_plan_is_printed_with_its_note() {
    let text = plan("12").to_string();
    assert!(
        text.starts_with("plan 12: 12 crops (an interpretation"),
        "{text}"
    );
    assert!(
        text.contains("resize: shorter side to 342\nsquares: centre\n"),
        "{text}"
    );
    assert!(plan("1").to_string().starts_with("plan 1: 1 crop ("));
}

#[test]
fn bad_plans_say_what_is_wrong() {
    let cases = [
        ("mirror = true", "mirror = \"yes\"", "is not a crop plan"),
        ("mirror = true", "", "is not a crop plan"),
        (
            "mirror = true",
            "mirror = true\ncolour = 1",
            "is not a crop plan",
        ),
        ("[256]", "[256", "is not a crop plan"),
        ("\"whole\"", "\"hole\"", "is not a crop plan"),
        ("[256]", "[]", "`scales` is empty"),
        (
            "[256]",
            "[200]",
            "`scales` is 200, expected shorter sides from the crop's 224 up",
        ),
        ("[256]", "[256, 256]", "each scale once"),
        ("[256]", "[4000000000]", "`scales` is"),
        ("\"whole\"", "\"centre\"", "each view once"),
        ("crop_size = 224", "crop_size = 0", "`crop_size` is 0"),
        ("\"mine\"", "\" \"", "`name` is"),
        (
            "mirror = true",
            "mirror = true\nfilter = \"tensorflow-bilinear\"",
            "`filter` is",
        ),
    ];
    for (part, replacement, complaint) in cases {
        let text = TWELVE.replacen(part, replacement, 1);
        assert_ne!(text, TWELVE);
        let error = CropPlan::from_toml(&text, "plan.toml", SIZE).unwrap_err();
        assert!(
            error.to_string().contains(complaint),
            "{complaint}: {error}"
        );
        assert!(
            error.to_string().contains("plan.toml") && error.hint().is_some(),
            "{error}"
        );
    }
    let views = TWELVE.replace(
        r#"["top-left", "top-right", "bottom-left", "bottom-right", "centre", "whole"]"#,
        "[]",
    );
    let error = CropPlan::from_toml(&views, "plan.toml", SIZE).unwrap_err();
    assert!(error.to_string().contains("`views` is empty"), "{error}");

    let error = CropPlan::from_argument("13", SIZE).unwrap_err();
    assert_eq!(
        error.to_string(),
        "unknown crop plan `13`: expected 1, 10, 12, 144 or a .toml file"
    );
    let error = CropPlan::from_argument("/nonexistent/plan.toml", SIZE).unwrap_err();
    assert!(
        error.to_string().contains("/nonexistent/plan.toml"),
        "{error}"
    );
    for fraction in [0.0, -1.0, 1.5, f64::NAN] {
        assert!(CropPlan::single(SIZE, fraction).is_err());
        assert!(CropPlan::tf_slim(SIZE, fraction).is_err());
    }
    assert!(CropPlan::single(InputSize::square(0), 0.875).is_err());
    assert!(plan("1").crops(0, 10).is_err());
    assert!(plan("1").crops(1, u32::MAX).is_err());
}

fn render(plan: &CropPlan, image: &RgbImage) -> Vec<RgbImage> {
    let crops = plan.all_crops(image.width(), image.height()).unwrap();
    let InputSize { height, width } = plan.crop_size();
    let pixels = CropRenderer::new().render(image, crops).unwrap();
    let crops = pixels.chunks_exact(width as usize * height as usize * 3);
    crops
        .map(|pixels| RgbImage::new(width, height, pixels.to_vec()).unwrap())
        .collect()
}

fn beside_each_other(images: &[RgbImage]) -> RgbImage {
    let (width, height) = (images[0].width(), images[0].height());
    let rows = (0..height).flat_map(|y| images.iter().flat_map(move |i| i.row(y).to_vec()));
    RgbImage::new(width * images.len() as u32, height, rows.collect()).unwrap()
}

#[test]
fn single_and_ten_crops_equal_torchvision_s_formulas_on_pillow() {
    let cases = manifest().crops;
    assert_eq!(cases.len(), 3);
    for case in cases {
        let image = load(&golden().join(&case.source)).unwrap();
        let input = InputSize::square(case.size);
        let expected = |name: &str| load(&golden().join(name)).unwrap();
        let plan = |argument| CropPlan::from_argument(argument, input).unwrap();

        let single = render(&plan("1"), &image);
        agree(&single[0], &expected(&case.single), 0, 1e-9).expect(&case.single);

        let slim = render(&plan("1-tf-slim"), &image);
        agree(&slim[0], &expected(&case.tf_slim), 0, 1e-9).expect(&case.tf_slim);

        // torchvision lists the five and then their mirror images; here each is followed by its own.
        let ten = render(&plan("10"), &image);
        let order: Vec<_> = (0..10).map(|i| ten[i % 5 * 2 + i / 5].clone()).collect();
        agree(&beside_each_other(&order), &expected(&case.ten), 0, 1e-9).expect(&case.ten);
        // Planted: another order.
        assert!(agree(&beside_each_other(&ten), &expected(&case.ten), 1, 1.0).is_err());
    }
}

#[test]
fn each_second_crop_mirrors_the_one_before() {
    let image = load(&golden().join("source_portrait.png")).unwrap();
    let plan = CropPlan::one_hundred_forty_four(InputSize::square(40)).unwrap();
    let crops = render(&plan, &image);
    for pair in crops.chunks_exact(2) {
        assert_ne!(pair[0], pair[1]);
        for (x, y) in [(0, 0), (5, 7), (39, 20), (12, 39)] {
            assert_eq!(pair[0].pixel(x, y), pair[1].pixel(39 - x, y));
        }
    }
    // One by one, in any order, the same pixels.
    let list = plan.all_crops(image.width(), image.height()).unwrap();
    let mut renderer = CropRenderer::new();
    for index in [143, 0, 71, 1, 70, 142, 12] {
        let alone = renderer.render(&image, [list[index]]).unwrap();
        assert_eq!(alone, crops[index].pixels(), "crop {index}");
    }
}

#[test]
fn distinct_crops_of_a_square_are_the_first_of_all() {
    let image = load(&golden().join("source_square.png")).unwrap();
    let plan = CropPlan::one_hundred_forty_four(InputSize::square(40)).unwrap();
    let all = render(&plan, &image);
    let distinct = plan.crops(90, 90).unwrap();
    let pixels = CropRenderer::new()
        .render(&image, distinct.iter().map(|w| w.crop))
        .unwrap();
    assert_eq!(distinct.len(), 48);
    for pixels in pixels.chunks_exact(40 * 40 * 3) {
        assert_eq!(all.iter().filter(|crop| crop.pixels() == pixels).count(), 3);
    }
}

#[test]
fn a_crop_of_another_image_is_an_error() {
    let crop = plan("1-tf-slim").all_crops(500, 375).unwrap()[0];
    let small = RgbImage::filled(20, 20, [9; 3]);
    let odd = Crop {
        resized: (20, 20),
        ..crop
    };
    assert!(matches!(
        CropRenderer::new().render(&small, [odd]),
        Err(CropError::Render(_))
    ));
}

#[test]
fn tensors_are_planes_in_minus_one_to_one() {
    // Two crops of 1 x 2 pixels.
    let pixels = [0, 51, 255, 102, 153, 204, 255, 255, 255, 0, 0, 0];
    let mut output = [9.0; 12];
    to_tensor(&pixels, 1, 2, &mut output).unwrap();
    let expected = [
        -1.0, -0.2, -0.6, 0.2, 1.0, 0.6, 1.0, -1.0, 1.0, -1.0, 1.0, -1.0,
    ];
    for (found, expected) in output.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-6, "{output:?}");
    }
    for byte in 0..=255u8 {
        let mut value = [0.0; 3];
        to_tensor(&[byte; 3], 1, 1, &mut value).unwrap();
        assert_eq!(
            value[0].to_bits(),
            (f32::from(byte) / 127.5 - 1.0).to_bits()
        );
    }
    assert!(to_tensor(&pixels[..11], 1, 2, &mut output[..11]).is_err());
    assert!(to_tensor(&pixels, 1, 2, &mut output[..6]).is_err());
    assert!(to_tensor(&pixels, 0, 2, &mut output).is_err());
}
