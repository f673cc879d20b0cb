//! V2: an index, which is a table of names and places (`BundleEntryProto`), and shards that hold nothing but numbers.

use std::collections::btree_map::Entry::Vacant;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use prost::Message;
use rayon::prelude::*;

use super::super::{Contents, Malformed};
use super::proto::{self, BundleEntryProto, BundleHeaderProto, VersionDef};
use super::table::{self, Entry};
use super::{LeftOut, MOST_DESCRIPTION, slices};
use crate::files::FileError;
use crate::weights::ElementType;

/// One of the files that hold the numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shard {
    /// Which, from 0.
    pub number: u32,
    /// Of how many.
    pub of: u32,
}

impl fmt::Display for Shard {
    /// The end of its file's name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, ".data-{:05}-of-{:05}", self.number, self.of)
    }
}

/// What is wrong with a checkpoint of several files, and with which.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The index is malformed.
    #[error(transparent)]
    Index(#[from] Malformed),
    /// A shard does not hold what the index says.
    #[error("{shard}: {reason}")]
    Shard {
        /// The shard.
        shard: Shard,
        /// What is wrong, at which of its bytes.
        reason: Malformed,
    },
    /// A shard cannot be opened.
    #[error("{shard}, which holds `{tensor}`: {source}")]
    Absent {
        /// The shard.
        shard: Shard,
        /// The first tensor that lies there.
        tensor: String,
        /// Why not.
        source: FileError,
    },
}

/// Reads an index and the shards it names: `open` gives a shard's bytes, which the tensors share. Each shard that
/// holds tensors is opened once; the CRC-32C of every tensor is checked.
///
/// # Errors
/// [`BundleError`]: a file cut off, absent or changed, or an index that contradicts itself.
pub fn read(
    index: &Bytes,
    open: impl Fn(Shard) -> Result<Bytes, FileError>,
) -> Result<Contents, BundleError> {
    let (variables, left_out) = variables(index)?;
    let mut places: Vec<(&str, &Place)> = variables
        .iter()
        .flat_map(|v| v.parts.iter().map(|(_, place)| (v.name.as_str(), place)))
        .collect();
    places.sort_by_key(|(_, place)| (place.shard, place.offset, place.size));
    let mut shards: BTreeMap<Shard, Bytes> = BTreeMap::new();
    for &(name, &Place { shard, .. }) in &places {
        if let Vacant(vacant) = shards.entry(shard) {
            vacant.insert(open(shard).map_err(|source| BundleError::Absent {
                shard,
                tensor: name.into(),
                source,
            })?);
        }
    }
    disjoint(&places)?;
    places.par_iter().try_for_each(|&(name, place)| {
        check(&shards[&place.shard], place).map_err(|reason| BundleError::Shard {
            shard: place.shard,
            reason: Malformed::new(reason).at(place.offset).in_tensor(name),
        })
    })?;
    let mut tensors = BTreeMap::new();
    for variable in variables {
        let parts = variable.parts.into_iter().map(|(ranges, place)| {
            let bytes = &shards[&place.shard];
            (ranges, bytes.slice(place.offset..place.offset + place.size))
        });
        let tensor = slices::join(variable.shape, variable.element_type, parts.collect())
            .map_err(|reason| Malformed::new(reason).in_tensor(&variable.name))?;
        tensors.insert(variable.name, tensor);
    }
    Ok((tensors, left_out.notes()))
}

/// A tensor, as one slice or several.
struct Variable {
    name: String,
    shape: Vec<usize>,
    element_type: ElementType,
    parts: Vec<(Vec<Range<usize>>, Place)>,
}

/// Where numbers lie.
struct Place {
    shard: Shard,
    offset: usize,
    size: usize,
    crc: u32,
}

/// What the index says, checked against itself.
fn variables(index: &Bytes) -> Result<(Vec<Variable>, LeftOut), Malformed> {
    let entries = table::entries(index)?;
    let described: usize = entries.iter().map(|entry| entry.value.len()).sum();
    if described > MOST_DESCRIPTION {
        return Err(Malformed::new(format!(
            "expected descriptions of at most {MOST_DESCRIPTION} bytes, found {described}"
        )));
    }
    let Some((first, entries)) = entries.split_first().filter(|(e, _)| e.key.is_empty()) else {
        return Err(Malformed::new(
            "expected a first entry that counts the shards, found none",
        ));
    };
    let of = shards(first).map_err(|reason| Malformed::new(reason).at(first.offset))?;
    // The keys of slices begin with a zero, and so come before all names.
    let slices = entries.partition_point(|entry| entry.key.starts_with(&[0]));
    let (slices, named) = entries.split_at(slices);
    let mut slices: HashMap<&[u8], &Entry> = slices.iter().map(|e| (&e.key[..], e)).collect();
    let mut variables = vec![];
    let mut left_out = LeftOut::default();
    for entry in named {
        let name = std::str::from_utf8(&entry.key).map_err(|_| {
            let found = String::from_utf8_lossy(&entry.key);
            let reason = format!("expected a name in UTF-8, found `{}`", found.escape_debug());
            Malformed::new(reason).at(entry.offset)
        })?;
        match variable(name, entry, &mut slices, of)? {
            Ok(variable) => variables.push(variable),
            Err(holds) => left_out.add(name, &holds),
        }
    }
    if let Some(entry) = slices.values().min_by_key(|entry| entry.offset) {
        let reason = format!(
            "expected slices of the tensors listed, found {} others",
            slices.len()
        );
        return Err(Malformed::new(reason).at(entry.offset));
    }
    Ok((variables, left_out))
}

/// The header: how many shards there are.
fn shards(first: &Entry) -> Result<u32, String> {
    let header = BundleHeaderProto::decode(first.value.clone()).map_err(|e| e.to_string())?;
    if header.endianness != 0 {
        return Err(format!(
            "expected little-endian numbers (0), found endianness {}: TensorFlow must write the checkpoint anew",
            header.endianness
        ));
    }
    if let Some(reason) = VersionDef::too_new(header.version.as_ref()) {
        return Err(reason);
    }
    let shards = u32::try_from(header.num_shards).ok().filter(|&n| n > 0);
    shards.ok_or_else(|| format!("expected 1 shard or more, found {}", header.num_shards))
}

/// One tensor; what it holds instead, where that is nothing weights are made of.
fn variable(
    name: &str,
    entry: &Entry,
    slices: &mut HashMap<&[u8], &Entry>,
    of: u32,
) -> Result<Result<Variable, String>, Malformed> {
    let failed = |reason: String, entry: &Entry| {
        let found = Malformed::new(reason).in_tensor(name);
        found.at(entry.offset)
    };
    let described = |entry: &Entry| {
        let found = BundleEntryProto::decode(entry.value.clone());
        let found = found.map_err(|error| failed(error.to_string(), entry))?;
        let shape = proto::dimensions(found.shape.as_ref());
        Ok((shape.map_err(|reason| failed(reason, entry))?, found))
    };
    let (shape, whole) = described(entry)?;
    let element_type = proto::element_type(whole.dtype);
    let mut parts = vec![];
    for slice in &whole.slices {
        let ranges = slice.ranges(&shape).map_err(|r| failed(r, entry))?;
        let Some(entry) = slices.remove(&slice.key(name)[..]) else {
            let reason = format!("its slice {ranges:?} is not in the index");
            return Err(failed(reason, entry));
        };
        let (shape, part) = described(entry)?;
        if part.dtype != whole.dtype || !shape.iter().copied().eq(ranges.iter().map(Range::len)) {
            let reason = format!(
                "expected data type {} for the slice {ranges:?}, found data type {} and shape {shape:?}",
                whole.dtype, part.dtype
            );
            return Err(failed(reason, entry));
        }
        parts.push((ranges, part, entry));
    }
    let element_type = match element_type {
        Ok(element_type) => element_type,
        Err(holds) => return Ok(Err(holds)),
    };
    if whole.slices.is_empty() {
        let ranges = shape.iter().map(|&size| 0..size).collect();
        parts.push((ranges, whole, entry));
    }
    let parts = parts.into_iter().map(|(ranges, part, entry)| {
        let place = place(&part, &ranges, element_type, of);
        Ok((ranges, place.map_err(|reason| failed(reason, entry))?))
    });
    Ok(Ok(Variable {
        name: name.into(),
        shape,
        element_type,
        parts: parts.collect::<Result<_, _>>()?,
    }))
}

/// Where a slice lies: in a shard there is, as many bytes as its numbers need.
fn place(
    entry: &BundleEntryProto,
    ranges: &[Range<usize>],
    element_type: ElementType,
    of: u32,
) -> Result<Place, String> {
    let number = u32::try_from(entry.shard_id).ok().filter(|&n| n < of);
    let number = number.ok_or_else(|| {
        format!(
            "expected a shard below {of}, found shard {}",
            entry.shard_id
        )
    })?;
    let needed = slices::volume(ranges).and_then(|n| n.checked_mul(element_type.size()));
    let found = usize::try_from(entry.size).ok();
    let (Some(size), true) = (found, needed == found) else {
        let needed = needed.map_or("uncountably many".into(), |n| n.to_string());
        return Err(format!(
            "expected {needed} bytes of {element_type}, found {}",
            entry.size
        ));
    };
    let offset = usize::try_from(entry.offset).ok();
    let offset = offset.filter(|offset| offset.checked_add(size).is_some());
    Ok(Place {
        shard: Shard { number, of },
        offset: offset.ok_or_else(|| format!("expected an offset, found {}", entry.offset))?,
        size,
        crc: entry.crc32c,
    })
}

/// No two tensors share bytes, in a list sorted by where they lie; otherwise a small index could demand much work.
fn disjoint(places: &[(&str, &Place)]) -> Result<(), BundleError> {
    for pair in places.windows(2) {
        if let &[(first, earlier), (second, later)] = pair
            && earlier.shard == later.shard
            && earlier.offset + earlier.size > later.offset
        {
            return Err(BundleError::Shard {
                shard: later.shard,
                reason: Malformed::new(format!("shares bytes with `{first}`"))
                    .at(later.offset)
                    .in_tensor(second),
            });
        }
    }
    Ok(())
}

fn check(shard: &Bytes, place: &Place) -> Result<(), String> {
    // Their sum has been checked where the place was made.
    let end = place.offset + place.size;
    let numbers = shard
        .get(place.offset..end)
        .ok_or_else(|| format!("expected {end} bytes in the shard, found {}", shard.len()))?;
    table::check_crc(numbers, place.crc)
}
