//! Tests against vectors made by Pillow (`scripts/golden/images.py`), and what the decoder refuses.
#![allow(clippy::unwrap_used)]
use super::*;
use serde::Deserialize;
use std::path::{Path, PathBuf};

pub(crate) fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/images")
}

/// The largest and the mean absolute difference of two images in levels, or why they cannot be compared.
pub(crate) fn difference(found: &RgbImage, expected: &RgbImage) -> Result<(u8, f64), String> {
    if (found.width(), found.height()) != (expected.width(), expected.height()) {
        return Err(format!("expected {expected:?}, found {found:?}"));
    }
    let differences = found
        .pixels()
        .iter()
        .zip(expected.pixels())
        .map(|(a, b)| a.abs_diff(*b));
    let (mut largest, mut sum) = (0, 0u64);
    for difference in differences {
        largest = largest.max(difference);
        sum += u64::from(difference);
    }
    if found.pixels().is_empty() {
        return Err("nothing to compare".into());
    }
    Ok((largest, sum as f64 / found.pixels().len() as f64))
}

/// Within `levels` everywhere and below `mean` on average.
pub(crate) fn agree(
    found: &RgbImage,
    expected: &RgbImage,
    levels: u8,
    mean: f64,
) -> Result<(), String> {
    let (largest, average) = difference(found, expected)?;
    if largest > levels || average >= mean {
        return Err(format!(
            "largest difference {largest} (allowed {levels}), mean {average:.4} (below {mean})"
        ));
    }
    Ok(())
}

#[derive(Deserialize)]
pub(crate) struct Manifest {
    decoding: Vec<Decoding>,
    resizing: Vec<Resizing>,
    pub(crate) crops: Vec<Crops>,
}

#[derive(Deserialize)]
struct Decoding {
    file: String,
    reference: String,
    upright: Option<String>,
}

#[derive(Deserialize)]
struct Resizing {
    source: String,
    filter: Filter,
    width: u32,
    height: u32,
    /// left, upper, right, lower
    #[serde(rename = "box")]
    source_box: Option<[f64; 4]>,
    reference: String,
}

#[derive(Deserialize)]
pub(crate) struct Crops {
    pub(crate) source: String,
    pub(crate) size: u32,
    pub(crate) single: String,
    pub(crate) tf_slim: String,
    pub(crate) ten: String,
}

pub(crate) fn manifest() -> Manifest {
    let bytes = std::fs::read(golden().join("manifest.json")).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

fn report(failures: Vec<String>, cases: usize) {
    assert!(cases > 0, "no cases");
    assert!(
        failures.is_empty(),
        "{} of {cases}:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

#[test]
fn decoding_equals_pillow_bit_for_bit() {
    let cases = manifest().decoding;
    let mut failures = Vec::new();
    for case in &cases {
        let found = load(&golden().join(&case.file)).unwrap();
        let expected = load(&golden().join(&case.reference)).unwrap();
        if let Err(why) = agree(&found, &expected, 0, 1e-9) {
            failures.push(format!("{}: {why}", case.file));
        }
    }
    assert!(cases.len() >= 30, "only {} cases", cases.len());
    report(failures, cases.len());
}

#[test]
fn exif_orientation_is_applied_only_when_asked_for() {
    let options = DecodeOptions {
        orientation: ExifOrientation::Apply,
        ..Default::default()
    };
    let mut failures = Vec::new();
    let mut turned = 0;
    let cases: Vec<_> = manifest()
        .decoding
        .into_iter()
        .filter(|c| c.upright.is_some())
        .collect();
    for case in &cases {
        let stored = load(&golden().join(&case.file)).unwrap();
        let found = load_with(&golden().join(&case.file), &options).unwrap();
        let expected = load(&golden().join(case.upright.as_ref().unwrap())).unwrap();
        if let Err(why) = agree(&found, &expected, 0, 1e-9) {
            failures.push(format!("{}: {why}", case.file));
        }
        turned += usize::from(agree(&stored, &expected, 2, 0.2).is_err());
    }
    // All eight orientations but the first differ from the stored pixels.
    assert_eq!((cases.len(), turned), (8, 7));
    report(failures, cases.len());
}

#[test]
fn resampling_equals_pillow_bit_for_bit() {
    let cases = manifest().resizing;
    let mut failures = Vec::new();
    let mut resizer = Resizer::new();
    for case in &cases {
        let image = load(&golden().join(&case.source)).unwrap();
        let source = match case.source_box {
            None => SourceBox::whole(&image),
            Some([left, top, right, lower]) => SourceBox {
                left,
                top,
                width: right - left,
                height: lower - top,
            },
        };
        let expected = load(&golden().join(&case.reference)).unwrap();
        let found = resizer
            .resize(&image, source, case.width, case.height, case.filter)
            .unwrap();
        if let Err(why) = agree(&found, &expected, 0, 1e-9) {
            failures.push(format!("{}: {why}", case.reference));
        }
    }
    assert!(cases.len() >= 20, "only {} cases", cases.len());
    report(failures, cases.len());
}

#[test]
fn the_comparison_catches_planted_differences() {
    let image = load(&golden().join("source_landscape.png")).unwrap();
    let planted = |change: &dyn Fn(usize, u8) -> u8| {
        let pixels = image
            .pixels()
            .iter()
            .enumerate()
            .map(|(i, v)| change(i, *v))
            .collect();
        RgbImage::new(image.width(), image.height(), pixels).unwrap()
    };
    let up = |value: u8, by: u8| value.checked_add(by).unwrap_or(value - by);
    assert!(agree(&image, &image, 0, 1e-9).is_ok());
    // One value of 45,000 is off by two, then by three levels; every value is off by one.
    assert!(
        agree(
            &planted(&|i, v| if i == 777 { up(v, 2) } else { v }),
            &image,
            1,
            1.0
        )
        .is_err()
    );
    assert!(
        agree(
            &planted(&|i, v| if i == 777 { up(v, 3) } else { v }),
            &image,
            2,
            0.2
        )
        .is_err()
    );
    assert!(agree(&planted(&|_, v| up(v, 1)), &image, 2, 0.2).is_err());
    // The wrong filter, the wrong channel order, a mirror image, another size.
    let bicubic = resize(&image, 75, 50, Filter::Bicubic).unwrap();
    let bilinear = resize(&image, 75, 50, Filter::Bilinear).unwrap();
    let tensorflow = resize(&image, 75, 50, Filter::TensorflowBilinear).unwrap();
    assert!(agree(&bicubic, &bilinear, 1, 1.0).is_err());
    assert!(agree(&tensorflow, &bilinear, 1, 1.0).is_err());
    let bgr: Vec<u8> = image
        .pixels()
        .chunks_exact(3)
        .flat_map(|p| [p[2], p[1], p[0]])
        .collect();
    let bgr = RgbImage::new(image.width(), image.height(), bgr).unwrap();
    assert!(agree(&bgr, &image, 2, 0.2).is_err());
    assert!(agree(&bicubic, &image, 255, 255.0).is_err());
}

#[test]
fn tensorflow_bilinear_equals_hand_computed_values() {
    // Two columns to four: positions 0, 0.5, 1, 1.5; the last has no right neighbour and repeats.
    let image = RgbImage::new(2, 1, vec![0, 0, 0, 100, 101, 200]).unwrap();
    let wider = resize(&image, 4, 1, Filter::TensorflowBilinear).unwrap();
    assert_eq!(
        wider.pixels(),
        [0, 0, 0, 50, 51, 100, 100, 101, 200, 100, 101, 200]
    );
    // Four columns to two: columns 0 and 2 are taken as they are, the others are not seen.
    let image = RgbImage::new(4, 1, vec![10, 10, 10, 255, 255, 255, 30, 30, 30, 0, 0, 0]).unwrap();
    let narrower = resize(&image, 2, 1, Filter::TensorflowBilinear).unwrap();
    assert_eq!(narrower.pixels(), [10, 10, 10, 30, 30, 30]);
}

#[test]
fn impossible_resizes_are_errors_not_panics() {
    let image = RgbImage::filled(10, 8, [1, 2, 3]);
    let part = |left, top, width, height| SourceBox {
        left,
        top,
        width,
        height,
    };
    let mut resizer = Resizer::new();
    for (source, width, height) in [
        (part(0.0, 0.0, 10.0, 8.0), 0, 5),
        (part(0.0, 0.0, 0.0, 8.0), 5, 5),
        (part(1.0, 0.0, 10.0, 8.0), 5, 5),
        (part(-0.5, 0.0, 5.0, 8.0), 5, 5),
        (part(f64::NAN, 0.0, 5.0, 8.0), 5, 5),
        (part(0.0, 0.0, f64::INFINITY, 8.0), 5, 5),
    ] {
        for filter in [Filter::Bicubic, Filter::TensorflowBilinear] {
            let error = resizer
                .resize(&image, source, width, height, filter)
                .unwrap_err();
            assert!(error.to_string().contains("of a 10x8 image"), "{error}");
        }
    }
    let fraction = part(0.5, 0.0, 5.0, 5.0);
    assert!(
        resizer
            .resize(&image, fraction, 5, 5, Filter::Bicubic)
            .is_ok()
    );
    assert!(
        resizer
            .resize(&image, fraction, 5, 5, Filter::TensorflowBilinear)
            .is_err()
    );
    assert!(RgbImage::new(10, 8, vec![0; 239]).is_err());
}

#[test]
fn every_cut_of_a_file_is_an_error() {
    for file in [
        "rgb_420_q75.jpg",
        "progressive_420_q85.jpg",
        "cmyk_q90.jpg",
        "grey_q80.jpg",
    ] {
        let bytes = std::fs::read(golden().join(file)).unwrap();
        for length in 3..bytes.len() {
            let error = decode(&bytes[..length], file).unwrap_err();
            let truncated = matches!(error, ImageError::Truncated { .. });
            assert!(
                truncated && error.to_string().contains(file),
                "{length}: {error}"
            );
        }
        // Bytes after the end do no harm.
        let longer = [&bytes[..], b"trailing"].concat();
        assert_eq!(
            decode(&longer, file).unwrap(),
            decode(&bytes, file).unwrap()
        );
    }
    for file in ["rgb.png", "palette.png", "rgb_16_bits.png"] {
        let bytes = std::fs::read(golden().join(file)).unwrap();
        for length in 8..bytes.len() {
            let error = decode(&bytes[..length], file).unwrap_err();
            assert!(error.to_string().contains(file), "{length}: {error}");
        }
    }
}

#[test]
fn an_embedded_thumbnail_does_not_hide_a_cut() {
    // A thumbnail's own end marker, inside an application segment of a file that has none.
    let bytes = std::fs::read(golden().join("rgb_420_q75.jpg")).unwrap();
    let mut file = bytes[..2].to_vec();
    file.extend([0xFF, 0xE1, 0, 6, 0xFF, 0xD8, 0xFF, 0xD9]);
    file.extend(&bytes[2..]);
    assert!(decode(&file, "whole").is_ok());
    let error = decode(&file[..file.len() - 2], "cut").unwrap_err();
    assert!(matches!(error, ImageError::Truncated { .. }), "{error}");
}

#[test]
fn damaged_bytes_never_panic() {
    for file in [
        "rgb_420_q75.jpg",
        "progressive_420_q85.jpg",
        "ycck_q90.jpg",
        "palette.png",
    ] {
        let whole = std::fs::read(golden().join(file)).unwrap();
        let mut refused = 0;
        for position in 0..whole.len().min(900) {
            for value in [0x00, 0x01, 0x7F, 0xFF] {
                let mut bytes = whole.clone();
                bytes[position] = value;
                refused += usize::from(decode(&bytes, file).is_err());
            }
        }
        assert!(refused > 20, "{file}: only {refused} refused");
    }
}

#[test]
fn a_file_of_another_kind_is_named_with_what_was_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cat.jpg");
    for (content, found) in [
        (&b"I am a cat"[..], "text, \"I am a cat\""),
        (b"GIF89a....", "a GIF image"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "a WebP image"),
        (b"<!DOCTYPE html><html>", "an HTML page"),
        (
            b"version https://git-lfs.github.com/spec/v1",
            "Git LFS pointer",
        ),
        (b"\0\x01\x02\x03\xfe", "the bytes 00 01 02 03 fe"),
        (b"", "empty"),
    ] {
        std::fs::write(&path, content).unwrap();
        let error = load(&path).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("cat.jpg") && text.contains(found), "{text}");
        assert!(error.hint().is_some());
    }
    let error = load(&folder.path().join("absent.jpg")).unwrap_err();
    assert!(error.to_string().contains("absent.jpg"), "{error}");
    assert!(error.hint().is_some());
}

#[test]
fn a_bomb_is_refused_before_it_is_unpacked() {
    // 50,000 x 50,000 pixels declared by a header of a few bytes.
    let mut png = std::fs::read(golden().join("rgb.png")).unwrap();
    png[16..24].copy_from_slice(&[0, 0, 0xC3, 0x50, 0, 0, 0xC3, 0x50]);
    // The header's checksum must hold, or it would be refused for that.
    let mut checksum = 0xFFFF_FFFFu32;
    for byte in &png[12..29] {
        checksum ^= u32::from(*byte);
        for _ in 0..8 {
            checksum = (checksum >> 1) ^ (0xEDB8_8320 & 0u32.wrapping_sub(checksum & 1));
        }
    }
    png[29..33].copy_from_slice(&(!checksum).to_be_bytes());
    let error = decode(&png, "bomb.png").unwrap_err();
    assert!(
        matches!(error, ImageError::TooLarge { width: 50_000, .. }),
        "{error}"
    );

    let mut jpeg = std::fs::read(golden().join("grey_q80.jpg")).unwrap();
    let frame = jpeg
        .windows(2)
        .position(|pair| pair == [0xFF, 0xC0])
        .unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0xC3, 0x50, 0xC3, 0x50]);
    let error = decode(&jpeg, "bomb.jpg").unwrap_err();
    assert!(
        matches!(error, ImageError::TooLarge { height: 50_000, .. }),
        "{error}"
    );

    let options = DecodeOptions {
        maximum_pixels: 61 * 40 - 1,
        ..Default::default()
    };
    let bytes = std::fs::read(golden().join("grey_q80.jpg")).unwrap();
    assert!(decode_with(&bytes, "x", &options).is_err());
}

#[test]
fn encoded_images_come_back() {
    let image = load(&golden().join("source_portrait.png")).unwrap();
    let png = encode_png(&image).unwrap();
    assert_eq!(decode(&png, "png").unwrap(), image);
    let jpeg = encode_jpeg(&image, 90).unwrap();
    assert_eq!(jpeg, encode_jpeg(&image, 90).unwrap());
    let (_, mean) = difference(&decode(&jpeg, "jpeg").unwrap(), &image).unwrap();
    assert!((0.5..6.0).contains(&mean), "{mean}");
    assert!(encode_jpeg(&RgbImage::filled(0, 3, [0; 3]), 90).is_err());
    assert!(encode_jpeg(&RgbImage::filled(70_000, 1, [0; 3]), 90).is_err());
    assert!(encode_png(&RgbImage::filled(0, 3, [0; 3])).is_err());
}
