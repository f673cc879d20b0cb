//! `incept synth`.

use std::collections::BTreeMap;
use std::fs;

use incept::images::{Dataset, load};
use sha2::{Digest, Sha256};

use super::*;

fn synth(folder: &Path, seed: u64) -> Command {
    let mut command = incept();
    command
        .arg("synth")
        .arg(folder)
        .args(["--images", "96", "--seed", &seed.to_string()]);
    command
}

/// SHA-256 of every file below a folder, by its path there.
fn hashes(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let hash = Sha256::digest(fs::read(&path).unwrap()).to_vec();
                found.insert(path.strip_prefix(folder).unwrap().into(), hash);
            }
        }
    }
    found
}

#[test]
fn the_seed_decides_every_byte_and_an_interrupted_run_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    synth(&path("a"), 1).assert().success();
    let expected = hashes(&path("a"));
    assert_eq!(expected.len(), 96 + 1, "the images and the manifest");

    synth(&path("b"), 1)
        .env("RAYON_NUM_THREADS", "1")
        .assert()
        .success();
    assert!(expected == hashes(&path("b")), "another number of threads");

    synth(&path("c"), 2).assert().success();
    let other = hashes(&path("c"));
    assert!(expected.keys().eq(other.keys()));
    let same = expected
        .iter()
        .filter(|(name, hash)| other[*name] == **hash);
    assert_eq!(same.count(), 0, "another seed draws other images");

    let lost = expected
        .keys()
        .filter(|path| path.extension().unwrap() == "jpg");
    for name in lost.step_by(30) {
        fs::remove_file(path("a").join(name)).unwrap();
    }
    fs::remove_dir_all(path("a/val/ring")).unwrap();
    let left = hashes(&path("a")).len() - 1;
    let output = synth(&path("a"), 1).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(
        said.contains(&format!("{} drawn, {left} already there", 96 - left)),
        "{said}"
    );
    assert!(left < 93 && expected == hashes(&path("a")));
}

#[test]
fn there_are_sixteen_classes_and_pictures_of_every_shape() {
    let folder = tempfile::tempdir().unwrap();
    synth(folder.path(), 3).assert().success();
    let (mut landscape, mut portrait, mut square) = (0, 0, 0);
    let mut sizes = std::collections::BTreeSet::new();
    for split in ["train", "val"] {
        let dataset = Dataset::open(&folder.path().join(split)).unwrap();
        assert!(dataset.classes().len() >= 16);
        for sample in dataset.samples() {
            let image = load(&dataset.path_of(sample)).unwrap();
            let (width, height) = (image.width(), image.height());
            assert!((96..=320).contains(&width) && (96..=320).contains(&height));
            sizes.insert((width, height));
            match width.cmp(&height) {
                std::cmp::Ordering::Greater => landscape += 1,
                std::cmp::Ordering::Less => portrait += 1,
                std::cmp::Ordering::Equal => square += 1,
            }
        }
    }
    println!(
        "{landscape} landscape, {portrait} portrait, {square} square, {} sizes",
        sizes.len()
    );
    assert!(landscape >= 10 && portrait >= 10 && square >= 3);
    assert!(sizes.len() > 48, "sizes hardly repeat");
}

#[test]
fn places_that_cannot_be_written_or_hold_something_else() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    write(&file, "in the way");
    let said = failure(&mut synth(&file.join("data"), 1));
    assert!(said.contains("file/data"), "{said}");
    let said = failure(&mut synth(&file, 1));
    assert!(said.contains("file`"), "{said}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "in the way");

    // Somebody's folder, with nothing in it that looks like a dataset.
    let occupied = folder.path().join("occupied");
    fs::create_dir(&occupied).unwrap();
    write(&occupied.join("thesis.txt"), "not to be mixed up with");
    let said = failure(&mut synth(&occupied, 1));
    assert!(
        said.contains("occupied") && said.contains("hint: choose an empty or a new folder"),
        "{said}"
    );
    assert_eq!(fs::read_dir(&occupied).unwrap().count(), 1);

    let done = folder.path().join("done");
    synth(&done, 1).assert().success();
    let before = hashes(&done);
    let said = failure(&mut synth(&done, 2));
    assert!(
        said.contains("seed 2") && said.contains("seed 1") && said.contains("hint: "),
        "{said}"
    );
    assert!(before == hashes(&done));

    for (option, value) in [("--classes", "1"), ("--classes", "1000"), ("--images", "3")] {
        let mut command = incept();
        command
            .arg("synth")
            .arg(folder.path().join("new"))
            .args([option, value]);
        let said = failure(&mut command);
        assert!(said.contains(&format!("is {value}, expected ")), "{said}");
        assert!(!folder.path().join("new").exists());
    }
}
