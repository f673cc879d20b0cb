//! PyTorch's checkpoints, as `torch.save` writes them: the zip archives since version 1.6, and the format before that.
//!
//! Names and shapes are in a Python pickle, which is a program: loaded by Python it may call anything. Here a pickle is
//! only read. The functions that make a tensor, and the containers that hold tensors, are known by name; what anything
//! else would make is left out and noted, by name. Numbers are views of the mapped file, unless a record was compressed.
//!
//! The layout is that of PyTorch's `torch/serialization.py` and `caffe2/serialize/inline_container.cc`, the opcodes those
//! of Python's `pickletools`.

mod archive;
mod call;
mod legacy;
mod pickle;
mod state;
mod tensors;
mod tree;
mod value;

use std::collections::BTreeSet;

use bytes::Bytes;

use self::archive::{Archive, PICKLE};
use self::tensors::{Storage, StorageKind};
use super::Contents;
use crate::weights::Malformed;

/// The newest version of the archive that PyTorch itself reads.
const NEWEST_VERSION: u64 = 10;

/// Whether a file's bytes are PyTorch's, or a Python pickle of another program, as far as can be told of one that may be
/// cut off.
pub fn detect(bytes: &[u8]) -> bool {
    archive::detect(bytes) || legacy::detect(bytes) || is_pickle(bytes)
}

fn is_pickle(bytes: &[u8]) -> bool {
    // The first eight bytes of safetensors are a length, which may look like this; then comes a brace.
    matches!(bytes, [0x80, 2..=5, ..]) && bytes.get(8).is_some_and(|&byte| byte != b'{')
}

/// Reads a whole file: the tensors of the network's state, wherever in it that is.
///
/// # Errors
/// [`Malformed`], with tensor and byte: cut off, inconsistent, numbers that no weights have, no tensors at all.
pub fn read(bytes: &Bytes) -> Result<Contents, Malformed> {
    if legacy::detect(bytes) {
        read_legacy(bytes)
    } else if is_pickle(bytes) {
        let reason =
            "expected a checkpoint of `torch.save`, found a Python pickle of another program";
        Err(Malformed::new(reason)
            .with_hint("load it in Python, and save the tensors with `torch.save`"))
    } else {
        read_archive(bytes)
    }
}

fn read_legacy(bytes: &Bytes) -> Result<Contents, Malformed> {
    let legacy = legacy::read(bytes)?;
    let place = |error: Malformed, at: usize| match error.offset {
        None => error.at(at),
        Some(_) => error,
    };
    let state = state::read(&legacy.pickle.heap, &legacy.pickle.root, &place)?;
    let load = |storage: &Storage| Ok(bytes.slice(legacy.place(storage)?));
    Ok((tensors::make(state.tensors, load, place)?, state.notes))
}

fn read_archive(bytes: &Bytes) -> Result<Contents, Malformed> {
    let archive = Archive::open(bytes)?;
    if archive.contains("constants.pkl") || archive.names().any(|name| name.starts_with("code/")) {
        let reason = "expected a checkpoint of `torch.save`, found a TorchScript program";
        return Err(Malformed::new(reason).with_hint(
            "in PyTorch: `torch.save(torch.jit.load(FILE, map_location=\"cpu\").state_dict(), NEW_FILE)`",
        ));
    }
    let small = [PICKLE, "version", "byteorder"];
    archive.bounded(small.into_iter())?;
    check_version(&archive)?;
    let big_endian = is_big_endian(&archive)?;
    let record = archive.read(PICKLE)?;
    let place = |error: Malformed, at: usize| match (error.offset, record.inflated) {
        (Some(_), _) => error,
        (None, false) => error.at(record.start.saturating_add(u64::try_from(at).unwrap_or(0))),
        (None, true) => Malformed {
            reason: format!("{}, byte {at} of what `{PICKLE}` unfolds to", error.reason),
            ..error.at(record.start)
        },
    };
    let pickle = pickle::read(&record.bytes, 0).map_err(|error| {
        let at = error.offset.and_then(|at| usize::try_from(at).ok());
        let error = Malformed {
            offset: None,
            reason: format!("`{PICKLE}`: {}", error.reason),
            ..error
        };
        place(error, at.unwrap_or(0))
    })?;
    let mut state = state::read(&pickle.heap, &pickle.root, &place)?;
    if archive.without_checksums {
        let note = "the archive was written without checksums: whether its numbers are intact was not checked";
        state.notes.push(note.into());
    }

    let record_name = |key: &str| format!("data/{key}");
    let storages: BTreeSet<&str> = (state.tensors.iter())
        .map(|found| found.storage.key.as_ref())
        .collect();
    let names: Vec<String> = storages.into_iter().map(record_name).collect();
    archive.bounded(names.iter().map(String::as_str).chain(small))?;
    let load = |storage: &Storage| {
        let expected = storage.bytes()?;
        let record = archive.read(&record_name(&storage.key))?;
        let found = record.bytes.len();
        if found != expected {
            let reason = format!("expected a storage of {expected} bytes, found {found}");
            return Err(Malformed::new(reason).at(record.start));
        }
        match big_endian {
            true => little_endian(&record.bytes, &storage.kind),
            false => Ok(record.bytes),
        }
    };
    Ok((tensors::make(state.tensors, load, place)?, state.notes))
}

fn check_version(archive: &Archive<'_>) -> Result<(), Malformed> {
    // Archives that other programs wrote may have none.
    if !archive.contains("version") {
        return Ok(());
    }
    let record = archive.read("version")?;
    let text = String::from_utf8_lossy(&record.bytes);
    match text.trim().parse() {
        Ok(0..=NEWEST_VERSION) => Ok(()),
        _ => Err(Malformed::new(format!(
            "expected a version up to {NEWEST_VERSION}, found `{}`",
            value::printable(text.trim())
        ))
        .at(record.start)),
    }
}

fn is_big_endian(archive: &Archive<'_>) -> Result<bool, Malformed> {
    // Written since PyTorch 2.1; before that every archive was little-endian in practice.
    if !archive.contains("byteorder") {
        return Ok(false);
    }
    let record = archive.read("byteorder")?;
    match record.bytes.as_ref() {
        b"little" => Ok(false),
        b"big" => Ok(true),
        other => {
            let found = value::printable(&String::from_utf8_lossy(other));
            let reason = format!("expected the byte order `little` or `big`, found `{found}`");
            Err(Malformed::new(reason).at(record.start))
        }
    }
}

/// Turns each number's bytes round.
fn little_endian(bytes: &Bytes, kind: &StorageKind) -> Result<Bytes, Malformed> {
    if *kind == StorageKind::Untyped {
        let reason = "its storage is big-endian and does not say of what numbers";
        return Err(Malformed::new(reason).with_hint("save it again on a little-endian machine"));
    }
    let mut bytes = bytes.to_vec();
    for number in bytes.chunks_exact_mut(kind.size()) {
        number.reverse();
    }
    Ok(bytes.into())
}

#[cfg(test)]
mod tests;
