//! The zip archive that `torch.save` writes: a folder with `data.pkl`, and a record for each storage in `data/`.

use std::collections::HashMap;
use std::io::Read;

use bytes::Bytes;
use flate2::bufread::DeflateDecoder;
use rawzip::{CompressionMethod, ZipArchive, ZipArchiveEntryWayfinder, ZipSliceArchive};

use super::value::printable;
use crate::weights::Malformed;

/// The record with the names and shapes, in the archive's folder.
pub(super) const PICKLE: &str = "data.pkl";
/// What compressed records may unfold to in all, in multiples of the file's length. Trained weights shrink by a tenth at
/// most, zeros and ones a thousandfold.
const MOST_INFLATION: u64 = 32;
/// What compressed records may unfold to in all, whatever the file's length.
const ALWAYS_INFLATED: u64 = 16 << 20;

/// An archive, and where its records lie.
pub(super) struct Archive<'a> {
    bytes: &'a Bytes,
    zip: ZipSliceArchive<&'a [u8]>,
    /// By their names within the folder.
    records: HashMap<String, Record>,
    /// Whether it was written without checksums, as `torch.serialization.set_crc32_options(False)` has it: all are 0.
    pub(super) without_checksums: bool,
}

#[derive(Debug, Clone, Copy)]
struct Record {
    place: ZipArchiveEntryWayfinder,
    method: CompressionMethod,
    encrypted: bool,
    /// CRC-32 of its bytes.
    checksum: u32,
    /// The byte of its line in the archive's directory.
    listed_at: u64,
}

/// A record's bytes.
pub(super) struct Contents {
    /// A part of the file, or what a compressed record unfolds to.
    pub(super) bytes: Bytes,
    /// The byte of the file at which the record begins.
    pub(super) start: u64,
    /// Whether it was compressed: its bytes have no places in the file then.
    pub(super) inflated: bool,
}

/// Whether these are the bytes of a zip archive from PyTorch, as far as that can be told of a file that may be cut off.
pub(super) fn detect(bytes: &[u8]) -> bool {
    const NAME_AT: usize = 30;
    if !bytes.starts_with(b"PK\x03\x04") {
        return false;
    }
    // `torch.save` writes the pickle first.
    let length = bytes.get(26..28).map_or(0, |length| {
        usize::from(u16::from_le_bytes([length[0], length[1]]))
    });
    let first = bytes.get(NAME_AT..NAME_AT + length);
    if first.is_some_and(|name| folder_of_pickle(name).is_some()) {
        return true;
    }
    let Ok(zip) = ZipArchive::from_slice(bytes) else {
        return false;
    };
    let mut records = zip.entries().map_while(Result::ok);
    records.any(|record| folder_of_pickle(record.file_path().as_bytes()).is_some())
}

/// The folder, with its slash, if this is the name of a pickle in one.
fn folder_of_pickle(name: &[u8]) -> Option<&[u8]> {
    name.strip_suffix(PICKLE.as_bytes())
        .filter(|folder| folder.is_empty() || folder.ends_with(b"/"))
}

impl<'a> Archive<'a> {
    /// Reads the archive's directory.
    ///
    /// # Errors
    /// [`Malformed`]: no directory (the file is cut off), not one pickle, a name that comes twice.
    pub(super) fn open(bytes: &'a Bytes) -> Result<Self, Malformed> {
        let zip = ZipArchive::from_slice(bytes.as_ref()).map_err(broken)?;
        let mut folders = vec![];
        let mut listed = vec![];
        let mut entries = zip.entries();
        while let Some(entry) = entries.next_entry().map_err(broken)? {
            let name = entry.file_path().as_bytes();
            folders.extend(folder_of_pickle(name).map(<[u8]>::to_vec));
            let record = Record {
                place: entry.wayfinder(),
                method: entry.compression_method(),
                encrypted: entry.flags().is_encrypted(),
                checksum: entry.crc32(),
                listed_at: entry.central_directory_offset(),
            };
            listed.push((String::from_utf8_lossy(name).into_owned(), record));
        }
        let [folder] = folders.as_slice() else {
            return Err(Malformed::new(format!(
                "expected one `{PICKLE}` in the archive, found {}",
                folders.len()
            )));
        };
        let folder = String::from_utf8_lossy(folder).into_owned();
        let without_checksums = listed.iter().all(|(_, record)| record.checksum == 0);
        let mut records = HashMap::new();
        for (name, record) in listed {
            let Some(name) = name.strip_prefix(&folder) else {
                continue;
            };
            if records.insert(name.to_string(), record).is_some() {
                let name = printable(name);
                let reason = format!("two records of the archive are called `{name}`");
                return Err(Malformed::new(reason).at(record.listed_at));
            }
        }
        Ok(Self {
            bytes,
            zip,
            records,
            without_checksums,
        })
    }

    /// The names of the records, without the folder.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.records.keys().map(String::as_str)
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.records.contains_key(name)
    }

    /// Checks that these records are no zip bomb: what they say they unfold to, together, is in proportion to the file.
    pub(super) fn bounded<'n>(
        &self,
        names: impl Iterator<Item = &'n str>,
    ) -> Result<(), Malformed> {
        let length = u64::try_from(self.bytes.len()).unwrap_or(u64::MAX);
        let most = length
            .saturating_mul(MOST_INFLATION)
            .saturating_add(ALWAYS_INFLATED);
        let mut total = 0_u64;
        for record in names.filter_map(|name| self.records.get(name)) {
            if record.method != CompressionMethod::STORE {
                total = total.saturating_add(record.place.uncompressed_size_hint());
            }
            if total > most {
                return Err(Malformed::new(format!(
                    "compressed records unfold to {total} bytes or more; of a file of {length} bytes, {most} are read"
                ))
                .at(record.listed_at));
            }
        }
        Ok(())
    }

    /// A record's bytes, its checksum compared. [`Archive::bounded`] has been asked before.
    ///
    /// # Errors
    /// [`Malformed`]: absent, encrypted, cut off, or its bytes are others than were written.
    pub(super) fn read(&self, name: &str) -> Result<Contents, Malformed> {
        let Some(record) = self.records.get(name) else {
            return Err(Malformed::new(format!(
                "the archive has no record `{}`",
                printable(name)
            )));
        };
        let failed = |reason: String| {
            Malformed::new(format!("record `{}`: {reason}", printable(name))).at(record.listed_at)
        };
        if record.encrypted {
            return Err(failed("is encrypted".into()));
        }
        let entry = self
            .zip
            .get_entry(record.place)
            .map_err(|error| failed(lower_first(&error.to_string())))?;
        let local_name = entry.local_header().file_path();
        if !local_name.as_bytes().ends_with(name.as_bytes()) {
            return Err(failed(format!(
                "is called `{}` where it lies",
                printable(&String::from_utf8_lossy(local_name.as_bytes()))
            )));
        }
        let (start, _) = entry.compressed_data_range();
        let expected = record.place.uncompressed_size_hint();
        let inflated = record.method != CompressionMethod::STORE;
        let bytes = match record.method {
            CompressionMethod::STORE => self.bytes.slice_ref(entry.data()),
            CompressionMethod::DEFLATE => {
                inflate(entry.data(), expected).map_err(|error| failed(error.to_string()))?
            }
            other => {
                return Err(failed(format!(
                    "expected it stored or deflated, found {other}"
                )));
            }
        };
        if u64::try_from(bytes.len()) != Ok(expected) {
            let found = bytes.len();
            return Err(failed(format!("expected {expected} bytes, found {found}")));
        }
        if !self.without_checksums {
            let (expected, found) = (record.checksum, crc32fast::hash(&bytes));
            if expected != found {
                let reason = format!("expected the CRC-32 {expected:08x}, found {found:08x}");
                return Err(failed(reason).at(start));
            }
        }
        Ok(Contents {
            bytes,
            start,
            inflated,
        })
    }
}

/// Unfolds deflated bytes, no further than to the length that was announced and checked.
fn inflate(deflated: &[u8], length: u64) -> std::io::Result<Bytes> {
    // Two bits of input give 258 bytes at most.
    let most = deflated.len().saturating_mul(4 * 258);
    let length_here = usize::try_from(length).unwrap_or(usize::MAX);
    let mut inflated = Vec::with_capacity(length_here.min(most));
    DeflateDecoder::new(deflated)
        .take(length.saturating_add(1))
        .read_to_end(&mut inflated)?;
    Ok(inflated.into())
}

fn broken(error: rawzip::Error) -> Malformed {
    let offset = error.eocd_offset();
    let reason = Malformed::new(format!("zip archive: {}", lower_first(&error.to_string())));
    match offset {
        Some(offset) => reason.at(offset),
        None => reason,
    }
}

/// The crate's messages are sentences; here they follow a colon.
fn lower_first(message: &str) -> String {
    let mut letters = message.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_lowercase().chain(letters).collect()
    })
}
