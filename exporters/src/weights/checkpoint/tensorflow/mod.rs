//! TensorFlow's checkpoints, TF-slim's among them: [`v1`], one file, and [`v2`], an index with shards beside it. Both
//! are sorted tables; names, slots of optimisers and moving averages come through as they are.

mod proto;
mod slices;
mod strangers;
mod table;
pub mod v1;
pub mod v2;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use bytes::Bytes;

pub(super) use strangers::explain;

use super::{Contents, Format, Malformed};
use crate::files;
use crate::weights::WeightsError;
use v2::{BundleError, Shard};

/// Names of all tensors take so many bytes at most, and so do their shapes and places: enough for 100 thousand tensors.
/// Few bytes in a file may stand for many, and each of these takes some twenty times its length in memory.
const MOST_DESCRIPTION: usize = 16 << 20;

/// The kind of checkpoint these bytes are, if any: told by the footer of the table and by its first value. One that is
/// cut off is told by its first bytes.
pub(super) fn detect(bytes: &Bytes) -> Option<Format> {
    let of = |value: &[u8]| match value.first()? {
        // A list of tensors, field 1 of `SavedTensorSlices`.
        0x0a => Some(Format::TensorFlowV1),
        // The number of shards, field 1 of `BundleHeaderProto`.
        0x08 => Some(Format::TensorFlowV2),
        _ => None,
    };
    let whole = table::has_footer(bytes);
    if whole && let Ok(Some(first)) = table::first_value(bytes) {
        return of(&first).or(Some(Format::TensorFlowV1));
    }
    // The first entry of the first block: an empty key, then the value's length.
    let begun = bytes.strip_prefix(&[0, 0]).and_then(|rest| {
        let length = rest.iter().take(5).position(|&byte| byte < 0x80)?;
        of(rest.get(length + 1..)?)
    });
    let safetensors = bytes.get(8) == Some(&b'{');
    match begun {
        Some(format) if whole || !safetensors => Some(format),
        _ => whole.then_some(Format::TensorFlowV1),
    }
}

/// The index to read where a user names a checkpoint as TensorFlow does, by the beginning of its files' names, or names
/// one of its shards, or the folder of a saved model.
pub(super) fn index_of(path: &Path) -> Option<PathBuf> {
    let index = match prefix_of_shard(path) {
        Some(prefix) => with_ending(&prefix, ".index"),
        None if path.is_dir() => path.join("variables").join("variables.index"),
        None if path.exists() => return None,
        None => with_ending(path, ".index"),
    };
    index.is_file().then_some(index)
}

/// The index that is read for this name and the shards beside it; none where it is no index's.
pub(super) fn files_of(path: &Path) -> Vec<PathBuf> {
    let index = index_of(path).unwrap_or_else(|| path.into());
    if index.extension().is_none_or(|ending| ending != "index") {
        return vec![];
    }
    let prefix = index.with_extension("");
    let entries = std::fs::read_dir(files::folder_of(&index))
        .into_iter()
        .flatten()
        .flatten();
    let names = entries.map(|entry| index.with_file_name(entry.file_name()));
    let shards = names.filter(|name| prefix_of_shard(name).as_ref() == Some(&prefix));
    let mut files: Vec<PathBuf> = shards.collect();
    files.sort();
    files.insert(0, index);
    files
}

/// Reads an index, and its shards from the same folder: their names are made of its own.
pub(super) fn read_bundle(index: &Bytes, path: &Path) -> Result<Contents, WeightsError> {
    let named = path.extension().is_some_and(|ending| ending == "index");
    let prefix = if named {
        path.with_extension("")
    } else {
        path.into()
    };
    let file = |shard: Shard| with_ending(&prefix, &shard.to_string());
    let malformed = |path: &Path, reason| WeightsError::Malformed {
        path: path.into(),
        format: Format::TensorFlowV2,
        reason,
    };
    v2::read(index, |shard| files::map(&file(shard))).map_err(|error| match error {
        BundleError::Index(reason) => malformed(path, reason),
        BundleError::Shard { shard, reason } => malformed(&file(shard), reason),
        BundleError::Absent {
            shard,
            tensor,
            source,
        } if source.source.kind() == ErrorKind::NotFound => {
            let missing = file(shard);
            let reason = format!("expected its numbers in `{}`, found no such file", missing.display());
            let fix = "a checkpoint's files belong together: put this one beside its index, under the same name";
            let reason = Malformed::new(reason).in_tensor(tensor).with_hint(fix);
            malformed(path, reason)
        }
        BundleError::Absent { source, .. } => source.into(),
    })
}

/// `model.ckpt` of `model.ckpt.data-00000-of-00001`.
fn prefix_of_shard(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_str()?;
    let (prefix, shard) = name.rsplit_once(".data-")?;
    let (number, of) = shard.split_once("-of-")?;
    let digits = |text: &str| text.len() >= 5 && text.bytes().all(|b| b.is_ascii_digit());
    (digits(number) && digits(of)).then(|| path.with_file_name(prefix))
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    name.into()
}

/// Tensors that are no numbers, by what they hold instead.
#[derive(Default)]
struct LeftOut(BTreeMap<String, Vec<String>>);

impl LeftOut {
    fn add(&mut self, tensor: &str, holds: &str) {
        let names = self.0.entry(holds.into()).or_default();
        names.push(format!("`{tensor}`"));
    }

    fn notes(self) -> Vec<String> {
        /// Names that are shown.
        const SHOWN: usize = 4;
        let note = |(holds, mut names): (String, Vec<String>)| {
            let more = names.len().saturating_sub(SHOWN);
            names.truncate(SHOWN);
            let more = if more > 0 {
                format!(" and {more} more")
            } else {
                String::new()
            };
            format!("left out, holding {holds}: {}{more}", names.join(", "))
        };
        self.0.into_iter().map(note).collect()
    }
}

#[cfg(test)]
mod tests;
