//! Files that appear whole or not at all, and I/O errors that carry their path.

mod folder;
mod sync;

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use memmap2::Mmap;
use serde::Serialize;
use tempfile::{NamedTempFile, TempPath};

pub use self::folder::NewFolder;
pub use self::sync::SyncedAhead;

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
    fill: impl FnOnce(&mut Writer<'_>) -> io::Result<()>,
) -> Result<(), FileError> {
    let mut together = Together::default();
    together.add(path, fill)?;
    together.appear()
}

/// Writes a JSON document, indented and with a line break at its end, as [`write_whole`] does.
///
/// # Errors
/// [`FileError`] with the path.
pub fn write_json(path: &Path, value: &impl Serialize) -> Result<(), FileError> {
    write_whole(path, |writer| {
        serde_json::to_writer_pretty(&mut *writer, value)?;
        writer.write_all(b"\n")
    })
}

/// What fills a file.
pub type Writer<'a> = BufWriter<Sink<'a>>;

/// Where a file's bytes go: a file that is synced while it is written, or what cannot be synced (a device, a pipe).
#[derive(Debug)]
pub enum Sink<'a> {
    /// A regular file.
    File(SyncedAhead<'a>),
    /// A device or a pipe.
    Device(&'a mut File),
}

impl Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.write(bytes),
            Self::Device(device) => device.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::File(file) => file.flush(),
            Self::Device(device) => device.flush(),
        }
    }
}

/// Files that belong together: each is written beside its place and synced, and only once all of them are do they
/// appear, in the order they were added. Where one cannot, those before it are taken back; files that were there before
/// are there again.
#[derive(Debug, Default)]
pub struct Together {
    waiting: Vec<(PathBuf, NamedTempFile)>,
}

impl Together {
    /// Writes one more file, beside its place for now; paths as in [`write_whole`].
    ///
    /// # Errors
    /// [`FileError`] with the path; dropping `self` leaves nothing.
    pub fn add(
        &mut self,
        path: &Path,
        fill: impl FnOnce(&mut Writer<'_>) -> io::Result<()>,
    ) -> Result<(), FileError> {
        let failed = |source| FileError::new("write", path, source);
        let resolved = fs::canonicalize(path).unwrap_or_else(|_| path.into());
        match fs::metadata(&resolved) {
            Ok(found) if found.is_dir() => Err(failed(io::ErrorKind::IsADirectory.into())),
            Ok(found) if !found.is_file() => {
                let mut device = File::options()
                    .write(true)
                    .open(&resolved)
                    .map_err(failed)?;
                fill_sink(Sink::Device(&mut device), fill).map_err(failed)
            }
            _ => {
                let written = write_beside(&resolved, fill).map_err(failed)?;
                self.waiting.push((resolved, written));
                Ok(())
            }
        }
    }

    /// Puts all files in their places.
    ///
    /// # Errors
    /// [`FileError`] with the path of the first that cannot be put there; then none of them is.
    pub fn appear(self) -> Result<(), FileError> {
        // A single rename is whole by itself; before several, a second name keeps each older file.
        let several = self.waiting.len() > 1;
        let mut done: Vec<(PathBuf, Option<TempPath>)> = vec![];
        let mut folders: Vec<PathBuf> = vec![];
        for (path, written) in self.waiting {
            let older = several.then(|| second_name(&path)).flatten();
            if let Err(error) = written.persist(&path) {
                for (path, older) in done.into_iter().rev() {
                    // The first error is the one to tell.
                    let _ = match older {
                        Some(older) => fs::rename(&older, &path),
                        None => fs::remove_file(&path),
                    };
                }
                return Err(FileError::new("write", path, error.error));
            }
            let folder = folder_of(&path).to_path_buf();
            if !folders.contains(&folder) {
                folders.push(folder);
            }
            done.push((path, older));
        }
        // The renames themselves survive a power cut only once the folders are synced.
        for folder in folders {
            File::open(&folder)
                .and_then(|opened| opened.sync_all())
                .map_err(|source| FileError::new("write", folder, source))?;
        }
        Ok(())
    }
}

/// The folder that a file or folder of this path is in.
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn beside() -> tempfile::Builder<'static, 'static> {
    let mut beside = tempfile::Builder::new();
    beside.prefix(".incept-").suffix(".partial");
    beside
}

/// A further name of the file at `path`, removed when dropped; none where there is no file, or the disk has no links.
fn second_name(path: &Path) -> Option<TempPath> {
    let linked = beside().make_in(folder_of(path), |name| fs::hard_link(path, name));
    linked.ok().map(NamedTempFile::into_temp_path)
}

fn write_beside(
    path: &Path,
    fill: impl FnOnce(&mut Writer<'_>) -> io::Result<()>,
) -> io::Result<NamedTempFile> {
    let mut written = beside()
        .permissions(permissions())
        .tempfile_in(folder_of(path))?;
    fill_sink(Sink::File(SyncedAhead::new(written.as_file_mut())), fill)?;
    Ok(written)
}

fn fill_sink(
    sink: Sink<'_>,
    fill: impl FnOnce(&mut Writer<'_>) -> io::Result<()>,
) -> io::Result<()> {
    let mut writer = BufWriter::with_capacity(1 << 20, sink);
    fill(&mut writer)?;
    writer.flush()?;
    match writer.into_inner()? {
        Sink::File(file) => file.finish(),
        Sink::Device(_) => Ok(()),
    }
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
    fn files_that_belong_together_appear_together_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let [first, second, third] = ["first", "second", "third"].map(|n| folder.path().join(n));
        fs::write(&first, b"old").unwrap();
        let fill = |text: &'static str| move |w: &mut Writer<'_>| w.write_all(text.as_bytes());

        // The third is taken by a folder only after it was written: its rename fails.
        let mut together = Together::default();
        together.add(&first, fill("new")).unwrap();
        together.add(&second, fill("new")).unwrap();
        together.add(&third, fill("new")).unwrap();
        assert!(!second.exists(), "nothing appears before all is written");
        fs::create_dir_all(third.join("inside")).unwrap();
        let error = together.appear().unwrap_err();
        assert!(error.to_string().contains("third"), "{error}");
        assert_eq!(fs::read(&first).unwrap(), b"old", "the older file is back");
        assert!(!second.exists());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);

        let mut together = Together::default();
        together.add(&first, fill("new")).unwrap();
        together.add(&second, fill("new too")).unwrap();
        together.appear().unwrap();
        assert_eq!(fs::read(&first).unwrap(), b"new");
        assert_eq!(fs::read(&second).unwrap(), b"new too");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
    }

    #[test]
    fn a_file_that_is_synced_while_it_is_written_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("large");
        let block: Vec<u8> = (0..=255).cycle().take(1 << 20).collect();
        write_whole(&path, |w| (0..20).try_for_each(|_| w.write_all(&block))).unwrap();
        let found = fs::read(&path).unwrap();
        assert_eq!(found.len(), 20 << 20);
        assert!(found.chunks(1 << 20).all(|found| found == block));
    }

    #[test]
    fn an_absent_folder_is_named() {
        let error = write_whole(Path::new("/nonexistent/x.onnx"), |_| Ok(())).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/x.onnx"));
    }
}
