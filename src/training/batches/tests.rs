#![allow(clippy::unwrap_used)]
use super::*;
use crate::images::encode_png;
use std::fs;

#[test]
fn an_epoch_is_a_permutation_of_its_own() {
    for images in [1, 2, 7, 1000] {
        let mut order = epoch_order(3, 5, images);
        order.sort_unstable();
        assert_eq!(order, (0..images as u32).collect::<Vec<_>>());
    }
    assert_ne!(epoch_order(3, 5, 1000), epoch_order(3, 6, 1000));
    assert_ne!(epoch_order(3, 5, 1000), epoch_order(4, 5, 1000));
    // No place is favoured: over many epochs every image comes first about as often.
    let mut firsts = [0; 8];
    for epoch in 0..8000 {
        firsts[epoch_order(1, epoch, 8)[0] as usize] += 1;
    }
    assert!(
        firsts.iter().all(|&n| (850..1150).contains(&n)),
        "{firsts:?}"
    );
}

/// Every class is one brightness, so that a pixel tells where an image came from.
fn lay_out(folder: &std::path::Path, classes: usize, images: usize) -> Dataset {
    for class in 0..classes {
        for image in 0..images {
            let level = (class * images + image) as u8 * 3;
            let path = folder.join(format!("{class}/{image}.png"));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let png = encode_png(&RgbImage::filled(90, 80, [level; 3])).unwrap();
            fs::write(path, png).unwrap();
        }
    }
    Dataset::open(folder).unwrap()
}

fn config(batch_size: usize, workers: usize, cache: usize) -> TrainingConfig {
    let text = format!(
        "network='inception_v4'\ndata='d'\noutput='o'\nepochs=1\nbatch_size={batch_size}\n\
         workers={workers}\nimage_cache_mib={cache}\noptions.image_height=75\noptions.image_width=75"
    );
    TrainingConfig::from_toml(&text, "test").unwrap()
}

#[test]
fn every_image_is_seen_once_an_epoch_with_its_label_whatever_the_workers() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = lay_out(folder.path(), 3, 5);
    let read = |workers, cache, from| {
        let config = config(4, workers, cache);
        let images = TrainingImages::start(&config, &dataset, from..15).unwrap();
        images.map(Result::unwrap).collect::<Vec<Batch>>()
    };
    let batches = read(1, 100, 0);
    // 15 batches of 4 are 4 epochs of 15: batches cross the epochs' borders.
    let seen: Vec<(u8, i64)> = batches
        .iter()
        .flat_map(|batch| {
            let size = 75 * 75 * 3;
            assert_eq!(batch.pixels.len(), 4 * size);
            batch
                .labels
                .iter()
                .enumerate()
                .map(move |(i, &label)| (batch.pixels[i * size], label))
        })
        .collect();
    for epoch in seen.chunks(15) {
        let mut levels: Vec<u8> = epoch.iter().map(|&(level, _)| level).collect();
        levels.sort_unstable();
        assert_eq!(levels, (0..15).map(|n| n * 3).collect::<Vec<u8>>());
        assert!(
            epoch
                .iter()
                .all(|&(level, label)| i64::from(level / 15) == label)
        );
    }
    assert_ne!(seen[..15], seen[15..30]);
    assert_eq!(read(3, 0, 0), batches);
    assert_eq!(read(2, 100, 6), batches[6..]);
}

#[test]
fn validation_takes_every_image_once_in_order_and_again_from_memory() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = lay_out(folder.path(), 2, 40);
    let mut images = ValidationImages::new(&config(4, 2, 0), dataset);
    assert_eq!((images.len(), images.is_empty()), (80, false));
    let read = |images: &mut ValidationImages| {
        let mut found = vec![];
        let mut labels: Vec<i64> = vec![];
        images
            .for_each::<BatchError>(|batch| {
                found.extend(batch.pixels.chunks(75 * 75 * 3).map(|image| image[0]));
                labels.extend(&batch.labels);
                Ok(())
            })
            .unwrap();
        (found, labels)
    };
    let (found, labels) = read(&mut images);
    assert_eq!(labels, [vec![0; 40], vec![1; 40]].concat());
    let expected: Vec<u8> = images
        .dataset
        .samples()
        .iter()
        .map(|sample| {
            let number: usize = sample.file.trim_end_matches(".png").parse().unwrap();
            (sample.class * 40 + number) as u8 * 3
        })
        .collect();
    assert_eq!(found, expected);
    fs::remove_dir_all(folder.path()).unwrap();
    assert_eq!(read(&mut images), (found, labels));
}

#[test]
fn a_file_that_cannot_be_decoded_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = lay_out(folder.path(), 1, 2);
    fs::write(folder.path().join("0/1.png"), "nothing").unwrap();
    let mut images = TrainingImages::start(&config(2, 1, 0), &dataset, 0..1).unwrap();
    let error = images.next().unwrap().unwrap_err();
    assert!(error.to_string().contains("1.png"), "{error}");
}
