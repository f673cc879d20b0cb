//! Tests of the synthetic dataset.
#![allow(clippy::unwrap_used)]
use super::*;
use crate::images::{Dataset, load};
use sha2::{Digest, Sha256};
use std::fs;

fn options(images: u32, seed: u64) -> SyntheticOptions {
    SyntheticOptions {
        images,
        classes: 4,
        seed,
        validation_share: 0.25,
    }
}

fn write(folder: &Path, options: &SyntheticOptions) -> Result<SyntheticDataset, SyntheticError> {
    write_dataset(folder, options, &mut |_, _| {})
}

#[test]
fn an_image_is_decided_by_seed_split_class_and_number() {
    let pixels = |seed, split, class, index| draw(class, seed, split, index).unwrap();
    let reference = pixels(7, Split::Train, "star", 1);
    assert_eq!(reference, pixels(7, Split::Train, "star", 1));
    assert_ne!(reference, pixels(8, Split::Train, "star", 1));
    assert_ne!(reference, pixels(7, Split::Validation, "star", 1));
    assert_ne!(reference, pixels(7, Split::Train, "ring", 1));
    assert_ne!(reference, pixels(7, Split::Train, "star", 2));
    assert!(draw("unicorn", 7, Split::Train, 1).is_none());
    // The drawing itself is fixed: a change of it needs a new schema, or folders half drawn by either
    // version would pass for whole.
    let hash = super::super::hexadecimal(&Sha256::digest(encode_jpeg(&reference, 90).unwrap()));
    assert_eq!(
        hash,
        "dfc395a5cc380329aadf282d86fbd059d38218b83a4a879435b72fcf4417e152"
    );
}

#[test]
fn a_dataset_is_laid_out_as_classes_and_all_of_it_decodes() {
    let folder = tempfile::tempdir().unwrap();
    let mut calls = Vec::new();
    let made = write_dataset(folder.path(), &options(42, 1), &mut |done, total| {
        calls.push((done, total));
    })
    .unwrap();
    assert_eq!((made.drawn, made.kept), (42, 0));
    assert_eq!(
        (calls.first(), calls.last()),
        (Some(&(0, 42)), Some(&(42, 42)))
    );
    let train = Dataset::open(&made.train).unwrap();
    let validation = Dataset::open(&made.validation).unwrap();
    assert_eq!(train.classes(), made.classes);
    assert_eq!(validation.classes(), made.classes);
    // 42 images of 4 classes: 11, 11, 10, 10; a quarter of each, rounded: 3, 3, 3, 3.
    assert_eq!(
        (train.samples().len(), validation.samples().len()),
        (30, 12)
    );
    assert!(train.ignored().is_empty());
    for sample in validation.samples() {
        load(&validation.path_of(sample)).unwrap();
    }
    assert_eq!(train.name_of(&train.samples()[0]), "disc/000001.jpg");
}

#[test]
fn more_images_leave_the_first_ones_as_they_are() {
    let (few, many) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(few.path(), &options(8, 5)).unwrap();
    write(many.path(), &options(24, 5)).unwrap();
    for name in ["train/disc/000001.jpg", "val/triangle/000001.jpg"] {
        let read = |folder: &tempfile::TempDir| fs::read(folder.path().join(name)).unwrap();
        assert_eq!(read(&few), read(&many), "{name}");
    }
}

#[test]
fn an_interrupted_run_goes_on_and_a_finished_one_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, options) = (folder.path().join("data"), options(16, 3));
    write(&whole, &options).unwrap();
    let lost = whole.join("train/ring/000002.jpg");
    let bytes = fs::read(&lost).unwrap();
    fs::remove_file(&lost).unwrap();
    let manifest = fs::read_to_string(whole.join(MANIFEST)).unwrap();
    fs::write(
        whole.join(MANIFEST),
        manifest.replace("\"complete\": true", "\"complete\": false"),
    )
    .unwrap();

    let again = write(&whole, &options).unwrap();
    assert_eq!((again.drawn, again.kept), (1, 15));
    assert_eq!(fs::read(&lost).unwrap(), bytes);
    assert_eq!(fs::read_to_string(whole.join(MANIFEST)).unwrap(), manifest);

    let before = fs::metadata(whole.join(MANIFEST))
        .unwrap()
        .modified()
        .unwrap();
    let third = write(&whole, &options).unwrap();
    assert_eq!((third.drawn, third.kept), (0, 16));
    assert_eq!(
        fs::metadata(whole.join(MANIFEST))
            .unwrap()
            .modified()
            .unwrap(),
        before
    );
}

#[test]
fn folders_of_something_else_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &options(8, 3)).unwrap();
    let error = write(folder.path(), &options(8, 4)).unwrap_err();
    assert!(
        matches!(error, SyntheticError::OtherOptions { .. }),
        "{error}"
    );
    assert!(error.to_string().contains("seed 4") && error.to_string().contains("seed 3"));
    assert!(error.hint().is_some());

    fs::write(folder.path().join(MANIFEST), "{").unwrap();
    assert!(matches!(
        write(folder.path(), &options(8, 3)),
        Err(SyntheticError::OtherOptions { .. })
    ));
    fs::remove_file(folder.path().join(MANIFEST)).unwrap();
    let error = write(folder.path(), &options(8, 3)).unwrap_err();
    assert!(matches!(error, SyntheticError::Occupied { .. }) && error.hint().is_some());
}

#[test]
fn options_out_of_range_and_unwritable_folders_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let good = options(8, 0);
    for (bad, option) in [
        (
            SyntheticOptions {
                classes: 1,
                ..good.clone()
            },
            "classes",
        ),
        (
            SyntheticOptions {
                classes: 99,
                ..good.clone()
            },
            "classes",
        ),
        (
            SyntheticOptions {
                images: 7,
                ..good.clone()
            },
            "images",
        ),
        (
            SyntheticOptions {
                validation_share: 0.0,
                ..good.clone()
            },
            "validation_share",
        ),
        (
            SyntheticOptions {
                validation_share: f64::NAN,
                ..good.clone()
            },
            "validation_share",
        ),
    ] {
        let error = write(folder.path(), &bad).unwrap_err();
        assert!(error.to_string().contains(option), "{error}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    let error = write(Path::new("/proc/incept"), &good).unwrap_err();
    assert!(error.to_string().contains("/proc/incept"), "{error}");
}

#[test]
fn images_vary_in_size_and_proportion() {
    let (mut wide, mut tall, mut square) = (0, 0, 0);
    for index in 1..=60 {
        let image = draw("heart", 2, Split::Train, index).unwrap();
        let (width, height) = (image.width(), image.height());
        assert!((96..=320).contains(&width) && (96..=320).contains(&height));
        match width.cmp(&height) {
            std::cmp::Ordering::Greater => wide += 1,
            std::cmp::Ordering::Less => tall += 1,
            std::cmp::Ordering::Equal => square += 1,
        }
    }
    assert!(
        wide > 10 && tall > 10 && square > 3,
        "{wide} wide, {tall} tall, {square} square"
    );
}

#[test]
fn every_class_covers_a_good_part_of_its_disc_and_no_two_are_alike() {
    use super::shapes::Tone;
    const SIDE: usize = 40;
    let at = |i: usize| (i as f32 + 0.5) / SIDE as f32 * 2.0 - 1.0;
    let masks: Vec<Vec<Tone>> = SHAPES
        .iter()
        .map(|(_, shape)| {
            (0..SIDE * SIDE)
                .map(|i| shape(at(i % SIDE), at(i / SIDE)))
                .collect()
        })
        .collect();
    for (index, mask) in masks.iter().enumerate() {
        let covered = mask.iter().filter(|tone| **tone != Tone::Nothing).count();
        let share = covered as f32 / mask.len() as f32;
        assert!(
            (0.12..0.72).contains(&share),
            "{}: {share}",
            SHAPES[index].0
        );
        for (other, other_mask) in masks.iter().enumerate().skip(index + 1) {
            let different = mask.iter().zip(other_mask).filter(|(a, b)| a != b).count();
            let share = different as f32 / mask.len() as f32;
            assert!(
                share > 0.1,
                "{} and {}: {share}",
                SHAPES[index].0,
                SHAPES[other].0
            );
        }
    }
    assert_eq!(class_names(MAXIMUM_CLASSES).len(), MAXIMUM_CLASSES);
}
