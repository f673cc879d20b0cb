//! Folders that appear whole or not at all.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{FileError, folder_of};

/// A folder that is filled beside its place and appears there once it is whole. Dropped before, it leaves nothing.
#[derive(Debug)]
pub struct NewFolder {
    place: PathBuf,
    written: TempDir,
}

impl NewFolder {
    /// An empty folder beside `place`, on the same disk.
    ///
    /// # Errors
    /// [`FileError`] with the path, where the folder around it is missing or may not be written to.
    pub fn beside(place: &Path) -> Result<Self, FileError> {
        let written = hidden(place).map_err(|source| FileError::new("write", place, source))?;
        Ok(Self {
            place: place.into(),
            written,
        })
    }

    /// Where to fill it.
    pub fn path(&self) -> &Path {
        self.written.path()
    }

    /// Puts it in its place. A folder that is there makes way, and is removed once this one is there; where this one
    /// cannot take the place, the older is there again.
    ///
    /// # Errors
    /// [`FileError`] with the place.
    pub fn appear(self) -> Result<(), FileError> {
        let Self { place, written } = self;
        let failed = |source| FileError::new("write", &place, source);
        sync_folders(written.path()).map_err(failed)?;
        let older = match fs::symlink_metadata(&place) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(failed(error)),
            Ok(_) => {
                let aside = hidden(&place).map_err(failed)?;
                fs::rename(&place, aside.path().join("older")).map_err(failed)?;
                Some(aside)
            }
        };
        if let Err(error) = fs::rename(written.path(), &place) {
            if let Some(aside) = older {
                // The first error is the one to tell; what could not go back stays where it is, and is not removed.
                let aside = aside.keep();
                let _ = fs::rename(aside.join("older"), &place);
                let _ = fs::remove_dir(aside);
            }
            return Err(failed(error));
        }
        // Nothing is left under its first name to be removed.
        let _ = written.keep();
        let around = folder_of(&place);
        File::open(around)
            .and_then(|opened| opened.sync_all())
            .map_err(|source| FileError::new("write", around, source))
    }
}

/// A folder beside `place` that is removed when dropped.
fn hidden(place: &Path) -> io::Result<TempDir> {
    use std::os::unix::fs::PermissionsExt;
    super::beside()
        .permissions(fs::Permissions::from_mode(0o777))
        .tempdir_in(folder_of(place))
}

/// Syncs the entries of a folder and of those in it.
fn sync_folders(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_folders(&entry.path())?;
        }
    }
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn entries(folder: &Path) -> Vec<String> {
        let names = fs::read_dir(folder).unwrap();
        let mut names: Vec<String> = names
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_folder_appears_whole_and_replaces_the_older() {
        let around = tempfile::tempdir().unwrap();
        let place = around.path().join("bundle");
        for content in ["first", "second"] {
            let new = NewFolder::beside(&place).unwrap();
            fs::create_dir(new.path().join("inside")).unwrap();
            fs::write(new.path().join("inside").join(content), content).unwrap();
            new.appear().unwrap();
            assert_eq!(entries(around.path()), ["bundle"]);
            assert_eq!(entries(&place.join("inside")), [content]);
        }
    }

    #[test]
    fn a_folder_that_was_not_finished_leaves_nothing() {
        let around = tempfile::tempdir().unwrap();
        let place = around.path().join("bundle");
        let new = NewFolder::beside(&place).unwrap();
        fs::write(new.path().join("half"), "").unwrap();
        drop(new);
        assert_eq!(entries(around.path()), [""; 0]);
        let error = NewFolder::beside(&place.join("deeper")).unwrap_err();
        assert!(error.hint().unwrap().contains("create the folder"));
    }
}
