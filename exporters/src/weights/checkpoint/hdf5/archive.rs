//! The `.keras` archive: a zip file with the model's description, and its weights as an HDF5 file that is not compressed.

use bytes::Bytes;
use rawzip::{CompressionMethod, ZipArchive};

use crate::weights::Malformed;

/// The record with the weights.
const WEIGHTS: &[u8] = b"model.weights.h5";

/// Whether these bytes are such an archive.
pub(super) fn detect(bytes: &[u8]) -> bool {
    if !bytes.starts_with(b"PK\x03\x04") {
        return false;
    }
    let Ok(zip) = ZipArchive::from_slice(bytes) else {
        return false;
    };
    let mut records = zip.entries().map_while(Result::ok);
    records.any(|record| record.file_path().as_bytes() == WEIGHTS)
}

/// The HDF5 file in the archive, and the byte it begins at.
///
/// # Errors
/// [`Malformed`]: compressed or encrypted, cut off, or its checksum differs.
pub(super) fn weights(bytes: &Bytes) -> Result<(Bytes, usize), Malformed> {
    let failed = |reason: &str| {
        Malformed::new(format!(
            "record `model.weights.h5` of the zip archive: {reason}"
        ))
    };
    let broken = |error: rawzip::Error| failed(&error.to_string());
    let zip = ZipArchive::from_slice(bytes.as_ref()).map_err(broken)?;
    let mut entries = zip.entries();
    while let Some(entry) = entries.next_entry().map_err(broken)? {
        if entry.file_path().as_bytes() != WEIGHTS {
            continue;
        }
        let stored = entry.compression_method() == CompressionMethod::STORE;
        if !stored || entry.flags().is_encrypted() {
            return Err(failed(
                "expected it stored, found it compressed or encrypted; unpack the archive and give the file in it",
            ));
        }
        let record = zip.get_entry(entry.wayfinder()).map_err(broken)?;
        let sum = crc32fast::hash(record.data());
        if sum != record.claim_verifier().crc {
            let listed = record.claim_verifier().crc;
            let reason = format!("expected the CRC-32 {listed:08x}, found {sum:08x}");
            return Err(failed(&reason));
        }
        let (start, _) = record.compressed_data_range();
        let start = usize::try_from(start).unwrap_or(usize::MAX);
        return Ok((bytes.slice_ref(record.data()), start));
    }
    Err(failed("there is no such record"))
}
