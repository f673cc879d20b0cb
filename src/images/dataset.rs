//! Datasets laid out as one folder per class.
use super::ImageError;
use crate::files::FileError;
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};

/// One image of a [`Dataset`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Index of its class in [`Dataset::classes`].
    pub class: usize,
    /// File name, without the folder.
    pub file: String,
    /// Size of the file in bytes.
    pub bytes: u64,
}

/// The listing of a folder that holds one sub-folder of images per class.
///
/// Classes are the sub-folders' names, sorted byte by byte, so that the order is the same on every
/// platform and in every locale (as Python's `sorted` has it for torchvision's `ImageFolder`).
/// Samples are sorted by class, then by file name. Links are followed.
#[derive(Debug, Clone)]
pub struct Dataset {
    folder: PathBuf,
    classes: Vec<String>,
    samples: Vec<Sample>,
    ignored: Vec<String>,
    sha256: String,
}

impl Dataset {
    /// Lists a dataset. Only names and sizes are read, no content.
    ///
    /// Files named `.jpg`, `.jpeg` or `.png` (in any case) directly inside a class folder are samples;
    /// everything else, hidden files and deeper folders included, is in [`Dataset::ignored`].
    ///
    /// # Errors
    /// [`ImageError`]: not a folder, no class folders, a class without images, a name that is not
    /// UTF-8, or what the operating system refused, with its path.
    pub fn open(folder: &Path) -> Result<Self, ImageError> {
        if !metadata(folder)?.is_dir() {
            return Err(ImageError::NotAFolder {
                path: folder.into(),
            });
        }
        let mut classes = Vec::new();
        let mut ignored = Vec::new();
        let mut images_at_the_top = 0;
        for name in sorted_names(folder)? {
            if !name.starts_with('.') && metadata(&folder.join(&name))?.is_dir() {
                classes.push(name);
            } else {
                images_at_the_top += usize::from(is_image_name(&name));
                ignored.push(name);
            }
        }
        if classes.is_empty() {
            let found = match (ignored.len(), images_at_the_top) {
                (0, _) => "an empty folder".to_owned(),
                (files, 0) => format!("{files} other entries"),
                (_, images) => format!("{images} images that belong to no class"),
            };
            return Err(ImageError::NoClasses {
                path: folder.into(),
                found,
            });
        }
        let mut samples = Vec::new();
        let mut empty = Vec::new();
        for (class, class_name) in classes.iter().enumerate() {
            let before = samples.len();
            let class_folder = folder.join(class_name);
            for file in sorted_names(&class_folder)? {
                let entry = metadata(&class_folder.join(&file))?;
                if entry.is_file() && is_image_name(&file) {
                    samples.push(Sample {
                        class,
                        file,
                        bytes: entry.len(),
                    });
                } else {
                    ignored.push(format!("{class_name}/{file}"));
                }
            }
            if samples.len() == before {
                empty.push(class_name.clone());
            }
        }
        if !empty.is_empty() {
            return Err(ImageError::EmptyClasses {
                path: folder.into(),
                classes: classes.len(),
                empty,
            });
        }
        let sha256 = digest(&classes, &samples);
        Ok(Self {
            folder: folder.into(),
            classes,
            samples,
            ignored,
            sha256,
        })
    }

    /// The folder as given to [`Dataset::open`].
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The class names, in the order of their indices.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// The images, sorted by class and file name.
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// What stands in the folder and is no sample, as paths relative to it.
    pub fn ignored(&self) -> &[String] {
        &self.ignored
    }

    /// `<class>/<file>`: how reports and journals name a sample.
    pub fn name_of(&self, sample: &Sample) -> String {
        format!("{}/{}", self.classes[sample.class], sample.file)
    }

    /// Where a sample lies.
    pub fn path_of(&self, sample: &Sample) -> PathBuf {
        self.folder
            .join(&self.classes[sample.class])
            .join(&sample.file)
    }

    /// SHA-256, in hexadecimal, of the listing: class names, file names and sizes, not the content and
    /// not the place. In bytes: every class name followed by a NUL, an empty name (one more NUL), then
    /// for every sample `class/file`, a NUL, the size in decimal and a NUL.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }
}

fn digest(classes: &[String], samples: &[Sample]) -> String {
    let mut hash = Sha256::new();
    for class in classes {
        hash.update(format!("{class}\0"));
    }
    hash.update("\0");
    for Sample { class, file, bytes } in samples {
        hash.update(format!("{}/{file}\0{bytes}\0", classes[*class]));
    }
    hexadecimal(&hash.finalize())
}

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn is_image_name(name: &str) -> bool {
    let extension = Path::new(name)
        .extension()
        .and_then(|extension| extension.to_str());
    !name.starts_with('.')
        && extension.is_some_and(|extension| {
            ["jpg", "jpeg", "png"]
                .iter()
                .any(|known| extension.eq_ignore_ascii_case(known))
        })
}

fn metadata(path: &Path) -> Result<fs::Metadata, FileError> {
    fs::metadata(path).map_err(|source| FileError::new("read", path, source))
}

pub(super) fn sorted_names(folder: &Path) -> Result<Vec<String>, ImageError> {
    let failed = |source| FileError::new("list the folder", folder, source);
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name().into_string();
        names.push(name.map_err(|name| ImageError::NameNotUtf8 {
            path: folder.join(name),
        })?);
    }
    // Strings compare by their bytes.
    names.sort_unstable();
    Ok(names)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn lay_out(files: &[(&str, usize)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (path, size) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, vec![0; *size]).unwrap();
        }
        folder
    }

    #[test]
    fn classes_and_files_are_sorted_by_bytes_and_the_rest_is_listed() {
        let folder = lay_out(&[
            ("zebra/1.jpg", 3),
            ("Zoo/b.PNG", 4),
            ("Zoo/a.JPeG", 5),
            ("Zoo/é.jpg", 1),
            ("Zoo/z.jpg", 1),
            ("Zoo/notes.txt", 1),
            ("Zoo/.hidden.jpg", 1),
            ("Zoo/deeper/x.jpg", 1),
            (".git/x.jpg", 1),
            ("README.md", 1),
        ]);
        let dataset = Dataset::open(folder.path()).unwrap();
        assert_eq!(dataset.classes(), ["Zoo", "zebra"]);
        let names: Vec<_> = dataset
            .samples()
            .iter()
            .map(|s| dataset.name_of(s))
            .collect();
        assert_eq!(
            names,
            [
                "Zoo/a.JPeG",
                "Zoo/b.PNG",
                "Zoo/z.jpg",
                "Zoo/é.jpg",
                "zebra/1.jpg"
            ]
        );
        assert_eq!(
            dataset.ignored(),
            [
                ".git",
                "README.md",
                "Zoo/.hidden.jpg",
                "Zoo/deeper",
                "Zoo/notes.txt"
            ]
        );
        let last = dataset.samples().last().unwrap();
        assert_eq!(dataset.path_of(last), folder.path().join("zebra/1.jpg"));
        assert_eq!((last.class, last.bytes), (1, 3));
    }

    #[test]
    fn the_digest_depends_on_names_and_sizes_not_on_the_place() {
        let files = [("a/1.jpg", 3), ("b/1.jpg", 4)];
        let digest = |files| {
            Dataset::open(lay_out(files).path())
                .unwrap()
                .sha256()
                .to_owned()
        };
        let reference = digest(&files);
        // printf 'a\0b\0\0a/1.jpg\0003\0b/1.jpg\0004\0' | sha256sum
        assert_eq!(
            reference,
            "510329a1731a64cd150dcd61e43f84e84ca0f408a02864a8e47f08d83de27a01"
        );
        assert_eq!(reference, digest(&files));
        assert_ne!(reference, digest(&[("a/1.jpg", 3), ("b/1.jpg", 5)]));
        assert_ne!(reference, digest(&[("a/1.jpg", 3), ("b/2.jpg", 4)]));
        assert_ne!(reference, digest(&[("a/1.jpg", 3), ("c/1.jpg", 4)]));
    }

    #[test]
    fn folders_that_are_no_dataset_say_what_is_wrong() {
        let missing = Dataset::open(Path::new("/nonexistent/data")).unwrap_err();
        assert!(
            missing.to_string().contains("/nonexistent/data"),
            "{missing}"
        );

        let empty = lay_out(&[]);
        let error = Dataset::open(empty.path()).unwrap_err();
        assert!(error.to_string().contains("an empty folder"), "{error}");
        assert!(error.hint().unwrap().contains("incept synth"));

        let flat = lay_out(&[("1.jpg", 1), ("2.png", 1)]);
        let error = Dataset::open(flat.path()).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("2 images that belong to no class"),
            "{error}"
        );

        let error = Dataset::open(&flat.path().join("1.jpg")).unwrap_err();
        assert!(matches!(error, ImageError::NotAFolder { .. }), "{error}");

        let hollow = lay_out(&[("a/1.jpg", 1), ("b/1.txt", 1), ("c/1.gif", 1)]);
        let error = Dataset::open(hollow.path()).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("in 2 of its 3 class folders: `b`, `c`"),
            "{error}"
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_name_that_is_not_utf8_is_an_error() {
        use std::os::unix::ffi::OsStrExt;
        let folder = lay_out(&[("a/1.jpg", 1)]);
        let name = std::ffi::OsStr::from_bytes(b"\xFF.jpg");
        fs::write(folder.path().join("a").join(name), b"x").unwrap();
        let error = Dataset::open(folder.path()).unwrap_err();
        assert!(matches!(error, ImageError::NameNotUtf8 { .. }), "{error}");
    }
}
