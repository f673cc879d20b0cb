//! Files that appear whole or not at all, and I/O errors that carry their path.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use memmap2::Mmap;

/// An I/O failure, with what was being done and the path it was done to.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} `{}`", path.display())]
pub struct FileError {
    /// What was being done, as an infinitive: `read`, `write`, `create the folder`.
    pub action: &'static str,
    /// The path it was done to.
    pub path: PathBuf,
    /// What the operating system said.
    #[source]
    pub source: io::Error,
}

impl FileError {
    /// Ties an I/O error to the action and the path it belongs to.
    pub fn new(action: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self {
            action,
            path: path.into(),
            source,
        }
    }

    /// The likely fix, where the operating system's answer points to one.
    pub fn hint(&self) -> Option<String> {
        match self.source.kind() {
            io::ErrorKind::NotFound if self.action == "write" => {
                let folder = self.path.parent().unwrap_or(&self.path);
                Some(format!("create the folder `{}` first", folder.display()))
            }
            io::ErrorKind::NotFound => Some(format!(
                "check that `{}` exists and is spelled correctly",
                self.path.display()
            )),
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Some("choose a place you may write to, or change its permissions".into())
            }
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Some("free some space or write to another disk; no partial file was left".into())
            }
            io::ErrorKind::FileTooLarge => Some(
                "the file system or `ulimit -f` allows no file of this size; no partial file was left"
                    .into(),
            ),
            _ => None,
        }
    }
}

/// Reads a whole file.
///
/// # Errors
/// [`FileError`] with the path.
pub fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    fs::read(path).map_err(|source| FileError::new("read", path, source))
}

/// Maps a file into memory: nothing is read until it is looked at, and the bytes are shared, not copied.
///
/// # Errors
/// [`FileError`] with the path.
pub fn map(path: &Path) -> Result<Bytes, FileError> {
    let failed = |source| FileError::new("read", path, source);
    let file = File::open(path).map_err(failed)?;
    let found = file.metadata().map_err(failed)?;
    if found.is_dir() {
        return Err(failed(io::ErrorKind::IsADirectory.into()));
    }
    if !found.is_file() || found.len() == 0 {
        // A pipe has no length and cannot be mapped, and neither can nothing.
        return Ok(read(path)?.into());
    }
    #[expect(
        unsafe_code,
        reason = "memmap2 offers no safe mapping: it cannot keep others from shortening the file"
    )]
    // SAFETY: the map is only read; a file another process changes meanwhile gives changed values, as reading would.
    let map = unsafe { Mmap::map(&file) }.map_err(failed)?;
    Ok(Bytes::from_owner(map))
}

/// Creates a folder and its parents.
///
/// # Errors
/// [`FileError`] with the path.
pub fn create_folder(path: &Path) -> Result<(), FileError> {
    fs::create_dir_all(path).map_err(|source| FileError::new("create the folder", path, source))
}

/// Writes a file so that it appears whole or not at all: written beside its place, synced, renamed.
/// Where `fill` or the disk fails, an older file at `path` stays as it was and nothing new is left.
///
/// A link is followed: the file it leads to is replaced, not the link. What is no regular file (a device, a pipe) has
/// no place beside it and is written to as it is.
///
/// # Errors
/// [`FileError`] with the path, whichever step failed.
pub fn write_whole(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<&mut File>) -> io::Result<()>,
) -> Result<(), FileError> {
    let failed = |source| FileError::new("write", path, source);
    let resolved = fs::canonicalize(path).unwrap_or_else(|_| path.into());
    match fs::metadata(&resolved) {
        Ok(found) if found.is_dir() => return Err(failed(io::ErrorKind::IsADirectory.into())),
        Ok(found) if !found.is_file() => {
            let mut device = File::options()
                .write(true)
                .open(&resolved)
                .map_err(failed)?;
            let mut writer = BufWriter::with_capacity(1 << 20, &mut device);
            return fill(&mut writer)
                .and_then(|()| writer.flush())
                .map_err(failed);
        }
        _ => {}
    }
    write_beside(&resolved, fill).map_err(failed)
}

fn write_beside(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<&mut File>) -> io::Result<()>,
) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut beside = tempfile::Builder::new()
        .prefix(".incept-")
        .suffix(".partial")
        .permissions(permissions())
        .tempfile_in(folder)?;
    let mut writer = BufWriter::with_capacity(1 << 20, beside.as_file_mut());
    fill(&mut writer)?;
    writer.flush()?;
    drop(writer);
    beside.as_file().sync_all()?;
    beside.persist(path).map_err(|error| error.error)?;
    // The rename itself survives a power cut only once the folder is synced.
    File::open(folder)?.sync_all()
}

/// A temporary file is private by default; a result is as readable as any file the user makes.
fn permissions() -> fs::Permissions {
    use std::os::unix::fs::PermissionsExt;
    fs::Permissions::from_mode(0o666)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("result.json");
        write_whole(&path, |w| w.write_all(b"old")).unwrap();
        let error = write_whole(&path, |w| {
            w.write_all(b"half of the new")?;
            Err(io::Error::from(io::ErrorKind::StorageFull))
        })
        .unwrap_err();
        assert!(error.to_string().contains("result.json"), "{error}");
        assert!(error.hint().is_some());
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_followed_and_a_pipe_written_to() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, b"old").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        write_whole(&link, |w| w.write_all(b"new")).unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"new");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());

        let pipe = folder.path().join("pipe");
        assert!(
            std::process::Command::new("mkfifo")
                .arg(&pipe)
                .status()
                .unwrap()
                .success()
        );
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || fs::read(pipe).unwrap()
        });
        write_whole(&pipe, |w| w.write_all(b"through")).unwrap();
        assert_eq!(reader.join().unwrap(), b"through");
        assert!(
            !fs::metadata(&pipe).unwrap().is_file(),
            "the pipe is still a pipe"
        );
    }

    #[test]
    fn an_absent_folder_is_named() {
        let error = write_whole(Path::new("/nonexistent/x.onnx"), |_| Ok(())).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/x.onnx"));
    }
}
