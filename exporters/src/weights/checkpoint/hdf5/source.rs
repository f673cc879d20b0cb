//! The opened file, and the memory that reading it may take.

use std::cell::Cell;
use std::sync::Arc;

use bytes::Bytes;
use hdf5_reader::error::Error;
use hdf5_reader::group::Group;
use hdf5_reader::io::Cursor;
use hdf5_reader::messages::HdfMessage;
use hdf5_reader::object_header::ObjectHeader;
use hdf5_reader::{Hdf5File, OpenOptions, Storage};

use crate::weights::Malformed;

/// Memory that headers, names, and numbers that cannot stay in the file may take: so much, and so many times the file's
/// length. Weights that were trained shrink by a tenth when they are compressed; zeros may shrink a thousandfold, which is
/// what the first is for.
const ALWAYS_ALLOWED: usize = 256 << 20;
const ALLOWED_TIMES: usize = 8;
/// Bytes of one object's header. Those of Keras have some hundreds, with the model's description some 100,000.
const LARGEST_HEADER: usize = 4 << 20;

/// The file, from its superblock on.
pub(super) struct Source {
    pub(super) bytes: Bytes,
    /// Where it begins, for messages: addresses count from there.
    start: usize,
    file: Hdf5File,
    allowance: Cell<usize>,
}

impl Source {
    pub(super) fn open(bytes: Bytes, start: usize) -> Result<Self, Malformed> {
        let allowance = bytes
            .len()
            .saturating_mul(ALLOWED_TIMES)
            .saturating_add(ALWAYS_ALLOWED);
        let options = OpenOptions::default()
            .with_chunk_cache_bytes(0)
            .with_max_chunk_bytes(allowance)
            .with_max_read_bytes(allowance)
            .with_max_object_header_bytes(LARGEST_HEADER);
        let file = Hdf5File::from_owner(bytes.clone(), options)
            .map_err(|error| malformed(&error).at(start))?;
        Ok(Self {
            bytes,
            start,
            file,
            allowance: Cell::new(allowance),
        })
    }

    pub(super) fn root(&self) -> Result<Group, Malformed> {
        self.within(0, self.file.root_group())
    }

    /// The header of an object, with its messages.
    pub(super) fn header(&self, address: u64) -> Result<Arc<ObjectHeader>, Malformed> {
        let header = self.within(address, self.file.get_or_parse_header(address))?;
        let attributes = header.messages.iter().map(|message| match message {
            HdfMessage::Attribute(attribute) => attribute.raw_data.len(),
            _ => 0,
        });
        let messages = header.messages.len() * size_of::<HdfMessage>();
        self.spend(attributes.sum::<usize>().saturating_add(messages))?;
        Ok(header)
    }

    /// Takes so many bytes off what may be used.
    pub(super) fn spend(&self, bytes: usize) -> Result<(), Malformed> {
        match self.allowance.get().checked_sub(bytes) {
            Some(left) => {
                self.allowance.set(left);
                Ok(())
            }
            None => Err(Malformed::new(format!(
                "names and unpacked numbers take more than {} MiB and {ALLOWED_TIMES} times the file",
                ALWAYS_ALLOWED >> 20
            ))),
        }
    }

    pub(super) fn storage(&self) -> &dyn Storage {
        self.file.storage()
    }

    pub(super) fn offset_size(&self) -> u8 {
        self.file.superblock().offset_size
    }

    pub(super) fn length_size(&self) -> u8 {
        self.file.superblock().length_size
    }

    /// Whether the file has set this address: all bits are set where it has not.
    pub(super) fn is_defined(&self, address: u64) -> bool {
        !Cursor::is_undefined_offset(address, self.offset_size())
    }

    /// The byte of the file at this address.
    pub(super) fn place(&self, address: u64) -> u64 {
        address.saturating_add(u64::try_from(self.start).unwrap_or(u64::MAX))
    }

    /// A result, its error at the object with this address.
    pub(super) fn within<T>(&self, address: u64, result: Result<T, Error>) -> Result<T, Malformed> {
        result.map_err(|error| malformed(&error).at(self.place(address)))
    }
}

/// What the crate says, without the names it repeats before it.
fn malformed(error: &Error) -> Malformed {
    match error {
        Error::Context { source, .. } => malformed(source),
        other => Malformed::new(other.to_string()),
    }
}
