//! The sorted table of keys and values that both kinds of checkpoint are, as LevelDB describes it: blocks of entries, an
//! index of the blocks, and a footer that says where the index lies.

use bytes::Bytes;
use rayon::prelude::*;

use super::super::Malformed;
use super::MOST_DESCRIPTION;

/// Last 8 bytes of every table.
const MAGIC: u64 = 0xdb47_7524_8b80_fb57;
/// Two block handles, padded, and the magic number.
const FOOTER: usize = 48;
/// After each block: how it is compressed, and the CRC-32C of both.
const TRAILER: usize = 5;
/// A snappy element of 3 bytes gives at most 64: no block grows more.
const MOST_GROWTH: usize = 22;
/// A key, its value, and where they lie.
pub(super) struct Entry {
    pub(super) key: Vec<u8>,
    /// Shares the bytes of the file, or of its block where that is compressed.
    pub(super) value: Bytes,
    /// The value's first byte in the file; the block's where that is compressed.
    pub(super) offset: usize,
}

/// Whether the bytes end as a table does.
pub(super) fn has_footer(bytes: &[u8]) -> bool {
    bytes.len() >= FOOTER && bytes.ends_with(&MAGIC.to_le_bytes())
}

/// Every entry of a table in the order of keys, each block's CRC-32C checked.
pub(super) fn entries(bytes: &Bytes) -> Result<Vec<Entry>, Malformed> {
    let handles = handles(bytes)?;
    let blocks: Vec<Block> = handles
        .par_iter()
        .map(|&handle| block(bytes, handle))
        .collect::<Result<_, _>>()?;
    all_entries(&blocks)
}

/// The value of the first entry.
pub(super) fn first_value(bytes: &Bytes) -> Result<Option<Bytes>, Malformed> {
    let Some(&first) = handles(bytes)?.first() else {
        return Ok(None);
    };
    let mut entries = all_entries(&[block(bytes, first)?])?.into_iter();
    Ok(entries.next().map(|entry| entry.value))
}

/// Where a block lies, its trailer not counted.
#[derive(Clone, Copy)]
struct Handle {
    offset: usize,
    size: usize,
}

/// The data blocks, which must follow one another: a block that were read twice could grow without bound.
fn handles(bytes: &Bytes) -> Result<Vec<Handle>, Malformed> {
    let Some(footer_at) = bytes.len().checked_sub(FOOTER) else {
        return Err(Malformed::new(format!(
            "expected at least {FOOTER} bytes, found {}",
            bytes.len()
        )));
    };
    if !has_footer(bytes) {
        let reason = format!("expected it to end in the table's magic number {MAGIC:016x}");
        return Err(Malformed::new(reason).at(bytes.len() - 8));
    }
    let mut footer = Reader {
        bytes: &bytes[footer_at..bytes.len() - 8],
        at: footer_at,
    };
    // The block of blocks' metadata, which TensorFlow leaves empty.
    footer.handle(bytes.len())?;
    let index = footer.handle(bytes.len())?;
    let mut handles = vec![];
    let mut free_from = 0;
    for entry in all_entries(&[block(bytes, index)?])? {
        let mut value = Reader {
            bytes: &entry.value,
            at: entry.offset,
        };
        let handle = value.handle(bytes.len())?;
        if handle.offset < free_from {
            let reason = format!(
                "expected a block after byte {free_from}, found one at byte {}",
                handle.offset
            );
            return Err(Malformed::new(reason).at(entry.offset));
        }
        free_from = handle.offset + handle.size + TRAILER;
        handles.push(handle);
    }
    Ok(handles)
}

/// A block's bytes, decompressed where they need to be.
struct Block {
    bytes: Bytes,
    /// Where it lies in the file.
    offset: usize,
    compressed: bool,
}

impl Block {
    /// Where one of its bytes lies in the file; where it begins, if it is compressed.
    fn place(&self, at: usize) -> usize {
        self.offset + if self.compressed { 0 } else { at }
    }
}

fn block(file: &Bytes, handle: Handle) -> Result<Block, Malformed> {
    let Handle { offset, size } = handle;
    // `Reader::handle` has checked the bounds.
    let stored = file.slice(offset..offset + size);
    let (kind, crc) = (file[offset + size], &file[offset + size + 1..]);
    let crc = crc.first_chunk().map_or(0, |&crc| u32::from_le_bytes(crc));
    check_crc(&file[offset..=offset + size], crc)
        .map_err(|reason| Malformed::new(format!("block of {size} bytes: {reason}")).at(offset))?;
    let bytes = match kind {
        0 => stored,
        1 => decompressed(&stored).map_err(|reason| reason.at(offset))?,
        kind => {
            let reason = format!("expected compression 0 (none) or 1 (snappy), found {kind}");
            return Err(Malformed::new(reason).at(offset + size));
        }
    };
    Ok(Block {
        bytes,
        offset,
        compressed: kind == 1,
    })
}

fn decompressed(stored: &[u8]) -> Result<Bytes, Malformed> {
    let failed = |error: snap::Error| Malformed::new(format!("snappy: {error}"));
    let size = snap::raw::decompress_len(stored).map_err(failed)?;
    if size > stored.len().saturating_mul(MOST_GROWTH) {
        return Err(Malformed::new(format!(
            "snappy: expected at most {MOST_GROWTH} times the {} bytes stored, found {size}",
            stored.len()
        )));
    }
    let mut whole = vec![0; size];
    let written = snap::raw::Decoder::new().decompress(stored, &mut whole);
    whole.truncate(written.map_err(failed)?);
    Ok(whole.into())
}

/// The entries of blocks that follow one another. Keys are stored without what they share with the one before, so that
/// together they may be far longer than the file: they are counted.
fn all_entries(blocks: &[Block]) -> Result<Vec<Entry>, Malformed> {
    let mut entries: Vec<Entry> = vec![];
    let mut keys = 0;
    for block in blocks {
        let end = restarts_at(&block.bytes).map_err(|reason| reason.at(block.offset))?;
        let mut reader = Reader {
            bytes: &block.bytes[..end],
            at: 0,
        };
        while !reader.bytes.is_empty() {
            let at = reader.at;
            let last = entries.last().map(|entry| &entry.key[..]);
            let shared_with = if at == 0 { None } else { last };
            let most_key = MOST_DESCRIPTION - keys;
            let mut entry = entry(&mut reader, &block.bytes, shared_with, most_key)
                .map_err(|reason| Malformed::new(reason).at(block.place(at)))?;
            if let Some(last) = last {
                in_order(last, &entry.key, block.place(at))?;
            }
            entry.offset = block.place(entry.offset);
            keys += entry.key.len();
            entries.push(entry);
        }
    }
    Ok(entries)
}

/// Where a block's entries end: a list of places to begin reading from follows, and its length.
fn restarts_at(block: &[u8]) -> Result<usize, Malformed> {
    let count = block.last_chunk().map(|&count| u32::from_le_bytes(count));
    let end = count
        .and_then(|count| usize::try_from(count).ok())
        .filter(|&count| count > 0)
        .and_then(|count| count.checked_mul(4)?.checked_add(4))
        .and_then(|list| block.len().checked_sub(list));
    end.ok_or_else(|| {
        Malformed::new(format!(
            "expected a block that ends in its restart points, found {} bytes with {} of them",
            block.len(),
            count.unwrap_or(0)
        ))
    })
}

/// The entry that begins here; its key begins as the one before it.
fn entry(
    reader: &mut Reader<'_>,
    block: &Bytes,
    previous: Option<&[u8]>,
    most_key: usize,
) -> Result<Entry, String> {
    let shared = reader.length()?;
    let fresh = reader.length()?;
    let length = reader.length()?;
    let previous = previous.unwrap_or_default();
    if shared > previous.len() {
        return Err(format!(
            "expected a key that shares at most the {} bytes of the one before it, found {shared}",
            previous.len()
        ));
    }
    let fresh = reader.take(fresh)?;
    if shared.saturating_add(fresh.len()) > most_key {
        return Err(format!(
            "expected keys of at most {MOST_DESCRIPTION} bytes in all, found one of {} bytes after {}",
            shared.saturating_add(fresh.len()),
            MOST_DESCRIPTION - most_key
        ));
    }
    let offset = reader.at;
    let value = reader.take(length)?;
    Ok(Entry {
        key: [&previous[..shared], fresh].concat(),
        value: block.slice_ref(value),
        offset,
    })
}

fn in_order(earlier: &[u8], later: &[u8], offset: usize) -> Result<(), Malformed> {
    if earlier < later {
        return Ok(());
    }
    let what = if earlier == later {
        "twice"
    } else {
        "out of order"
    };
    let name = String::from_utf8_lossy(&later[..later.len().min(200)]);
    Err(Malformed::new(format!("the key `{}` is there {what}", name.escape_debug())).at(offset))
}

/// Compares bytes with their CRC-32C, masked as LevelDB does it.
pub(super) fn check_crc(bytes: &[u8], stored: u32) -> Result<(), String> {
    let found = crc32c::crc32c(bytes)
        .rotate_right(15)
        .wrapping_add(0xa282_ead8);
    // A fuzzer would find nothing behind a checksum.
    if found == stored || cfg!(fuzzing) {
        return Ok(());
    }
    Err(format!(
        "expected the masked CRC-32C {stored:08x}, found {found:08x}"
    ))
}

/// Reads lengths and bytes one after the other, and counts where it is.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], String> {
        let Some((taken, rest)) = self.bytes.split_at_checked(length) else {
            return Err(format!(
                "expected {length} bytes, found {}",
                self.bytes.len()
            ));
        };
        self.bytes = rest;
        self.at += length;
        Ok(taken)
    }

    /// A number of up to 64 bits, 7 in each byte, the lowest first.
    fn length(&mut self) -> Result<usize, String> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let &byte = self.take(1)?.first().unwrap_or(&0);
            let bits = u64::from(byte & 0x7f);
            if (bits << shift) >> shift != bits {
                break;
            }
            value |= bits << shift;
            if byte < 0x80 {
                return usize::try_from(value).map_err(|error| error.to_string());
            }
        }
        Err("expected a length of at most 64 bits".into())
    }

    /// Where a block lies, in a file of this many bytes.
    fn handle(&mut self, file: usize) -> Result<Handle, Malformed> {
        let at = self.at;
        let mut length = || self.length().map_err(|r| Malformed::new(r).at(at));
        let (offset, size) = (length()?, length()?);
        let end = offset
            .checked_add(size)
            .and_then(|n| n.checked_add(TRAILER));
        if end.is_none_or(|end| end > file - FOOTER) {
            let reason = format!(
                "expected a block within the {} bytes before the footer, found {size} bytes from byte {offset}",
                file - FOOTER
            );
            return Err(Malformed::new(reason).at(at));
        }
        Ok(Handle { offset, size })
    }
}
