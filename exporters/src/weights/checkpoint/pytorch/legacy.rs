//! The format of `torch.save` before PyTorch 1.6, and of `_use_new_zipfile_serialization=False` since: five pickles one
//! after the other, then each storage as its length and its numbers, little-endian on every machine.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use super::pickle::{self, Pickle};
use super::tensors::{Storage, storage};
use super::value::{Object, Value, printable};
use crate::weights::Malformed;

/// The number a file begins with, 0x1950a86a20f9469cfc6c, as protocol 2 and later write it.
pub(super) const MAGIC: &[u8] = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
/// The same as protocol 1 writes it.
const MAGIC_IN_DECIMAL: &[u8] = b"L119547037146038801333356L\n.";
/// The version of the format: there was only one.
const VERSION: i64 = 1001;

/// Whether a file begins as this format does.
pub(super) fn detect(bytes: &[u8]) -> bool {
    // Protocol 2 begins with two bytes, protocol 4 and later with nine more.
    let begins = |skipped| {
        bytes
            .get(skipped..)
            .is_some_and(|rest| rest.starts_with(MAGIC))
    };
    bytes.starts_with(MAGIC_IN_DECIMAL) || bytes.starts_with(b"\x80") && (begins(2) || begins(11))
}

/// A file's pickle, and where its storages lie.
pub(super) struct Legacy {
    pub(super) pickle: Pickle,
    storages: HashMap<Arc<str>, Range<usize>>,
}

/// Reads the pickles and finds the storages.
///
/// # Errors
/// [`Malformed`] with the byte.
pub(super) fn read(bytes: &[u8]) -> Result<Legacy, Malformed> {
    let magic = pickle::read(bytes, 0)?;
    let version = pickle::read(bytes, magic.end)?;
    if !matches!(version.root, Value::Int(VERSION)) {
        let found = version.heap.describe(&version.root);
        let reason = format!("expected the version {VERSION}, found {found}");
        return Err(Malformed::new(reason).at(magic.end));
    }
    // Byte order and sizes of the machine that wrote it: the numbers do not depend on them.
    let machine = pickle::read(bytes, version.end)?;
    let pickle = pickle::read(bytes, machine.end)?;
    let keys = pickle::read(bytes, pickle.end)?;

    let mut sizes: HashMap<Arc<str>, Storage> = HashMap::new();
    for (_, object) in pickle.heap.iter() {
        // One that cannot be read is told of where a tensor wants it, or where its numbers should be passed over.
        if let Object::Storage { identifier } = object
            && let Ok((storage, _)) = storage(&pickle.heap, *identifier)
        {
            sizes.insert(storage.key.clone(), storage);
        }
    }
    let Some(names) = keys.heap.sequence(&keys.root) else {
        let found = keys.heap.describe(&keys.root);
        let reason = format!("expected the list of storages, found {found}");
        return Err(Malformed::new(reason).at(pickle.end));
    };
    let mut storages = HashMap::new();
    let mut position = keys.end;
    for name in names {
        let known = match name {
            Value::Text(name) => sizes.get(name.as_ref()),
            _ => None,
        };
        let Some(known) = known else {
            let found = keys.heap.describe(name);
            let reason = format!("lists {found} as a storage, which nothing before it mentions");
            return Err(Malformed::new(reason).at(pickle.end));
        };
        let range = numbers(bytes, position, known)?;
        position = range.end;
        if storages.insert(known.key.clone(), range).is_some() {
            let reason = format!("lists the storage `{}` twice", printable(&known.key));
            return Err(Malformed::new(reason).at(pickle.end));
        }
    }
    Ok(Legacy { pickle, storages })
}

/// Where a storage's numbers lie, whose length stands at this byte.
fn numbers(bytes: &[u8], position: usize, storage: &Storage) -> Result<Range<usize>, Malformed> {
    let failed = |reason: String| {
        let key = printable(&storage.key);
        Malformed::new(format!("storage `{key}`: {reason}")).at(position)
    };
    let left = &bytes[position.min(bytes.len())..];
    let Some(length) = left.first_chunk::<8>() else {
        return Err(failed(format!(
            "expected 8 bytes with its length, found {}",
            left.len()
        )));
    };
    let length = u64::from_le_bytes(*length);
    if usize::try_from(length) != Ok(storage.length) {
        return Err(failed(format!(
            "expected {} numbers, found a length of {length}",
            storage.length
        )));
    }
    let needed = storage.bytes().map_err(|error| failed(error.reason))?;
    let left = left.len() - 8;
    if needed > left {
        return Err(failed(format!("expected {needed} bytes, found {left}")));
    }
    let start = position + 8;
    Ok(start..start + needed)
}

impl Legacy {
    /// Where a storage's numbers lie.
    ///
    /// # Errors
    /// [`Malformed`] where the file does not list it.
    pub(super) fn place(&self, storage: &Storage) -> Result<Range<usize>, Malformed> {
        let known = self.storages.get(&storage.key).cloned();
        known.ok_or_else(|| {
            let key = printable(&storage.key);
            Malformed::new(format!("the file does not list its storage `{key}`"))
        })
    }
}
