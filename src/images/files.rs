//! Images named by files and folders, whether or not they are a dataset.

use std::collections::HashSet;
use std::path::PathBuf;

use super::dataset::{is_image_name, sorted_names};
use super::{Dataset, ImageError};

/// Image files in an order that is the same on every machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageFiles {
    /// The files.
    pub files: Vec<PathBuf>,
    /// Their classes, where they come from one folder that has a folder for each class.
    pub labels: Option<Labels>,
}

/// The classes of image files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labels {
    /// How many there are.
    pub classes: usize,
    /// That of each file, counted from 0.
    pub of_files: Vec<usize>,
}

impl ImageFiles {
    /// Lists what paths name, each file once: a file is taken as it is; of a folder its JPEG and PNG files, or else those of the folders
    /// in it, one for each class, see [`Dataset::open`].
    ///
    /// # Errors
    /// [`ImageError`] for a folder without images, and for what the operating system refused.
    pub fn find(paths: &[PathBuf]) -> Result<Self, ImageError> {
        let mut found = Self {
            files: vec![],
            labels: None,
        };
        for path in paths {
            if !path.is_dir() {
                found.files.push(path.clone());
                continue;
            }
            let names = sorted_names(path)?;
            let images = names.iter().filter(|name| is_image_name(name));
            let images: Vec<PathBuf> = images
                .map(|name| path.join(name))
                .filter(|file| file.is_file())
                .collect();
            if !images.is_empty() {
                found.files.extend(images);
                continue;
            }
            let dataset = Dataset::open(path)?;
            let samples = dataset.samples();
            found
                .files
                .extend(samples.iter().map(|sample| dataset.path_of(sample)));
            if paths.len() == 1 {
                found.labels = Some(Labels {
                    classes: dataset.classes().len(),
                    of_files: samples.iter().map(|sample| sample.class).collect(),
                });
            }
        }
        // A file that is named twice is one image; labels come from a folder, where there is none.
        let mut seen = HashSet::new();
        if found.labels.is_none() {
            found.files.retain(|file| seen.insert(file.clone()));
        }
        Ok(found)
    }

    /// At most this many of them, at even distances: of a dataset, about as many of each class.
    #[must_use]
    pub fn spread(self, count: usize) -> Self {
        let all = self.files.len();
        if all <= count {
            return self;
        }
        let places: Vec<usize> = (0..count).map(|place| place * all / count).collect();
        let labels = self.labels.map(|labels| Labels {
            of_files: places.iter().map(|&place| labels.of_files[place]).collect(),
            ..labels
        });
        Self {
            files: places
                .iter()
                .map(|&place| self.files[place].clone())
                .collect(),
            labels,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::fs;

    #[test]
    fn files_folders_and_datasets_are_listed_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in [
            "flat/b.png",
            "flat/a.JPG",
            "flat/notes.txt",
            "data/x/1.jpg",
            "data/y/2.jpg",
        ] {
            fs::create_dir_all(at(name).parent().unwrap()).unwrap();
            fs::write(at(name), "").unwrap();
        }
        let flat = ImageFiles::find(&[at("flat"), at("flat/b.png")]).unwrap();
        assert_eq!(flat.files, [at("flat/a.JPG"), at("flat/b.png")]);
        assert_eq!(flat.labels, None);
        let data = ImageFiles::find(&[at("data")]).unwrap();
        let labels = data.labels.clone().unwrap();
        assert_eq!((labels.classes, labels.of_files), (2, vec![0, 1]));
        assert_eq!(data.clone().spread(2), data);
        let one = data.spread(1);
        assert_eq!(one.files, [at("data/x/1.jpg")]);
        assert_eq!(one.labels.unwrap().of_files, [0]);
        let two = ImageFiles::find(&[at("data"), at("flat")]).unwrap();
        assert_eq!(
            (two.files.len(), two.labels),
            (4, None),
            "classes of one folder only"
        );
        fs::create_dir(at("empty")).unwrap();
        assert!(ImageFiles::find(&[at("empty")]).is_err());
    }

    #[test]
    fn the_spread_is_even() {
        let files = |count: usize| (0..count).map(|n| PathBuf::from(n.to_string()));
        let all = ImageFiles {
            files: files(10).collect(),
            labels: None,
        };
        let some: Vec<String> = all
            .spread(4)
            .files
            .iter()
            .map(|f| f.display().to_string())
            .collect();
        assert_eq!(some, ["0", "2", "5", "7"]);
    }
}
