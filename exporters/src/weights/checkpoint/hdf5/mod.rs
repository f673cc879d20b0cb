//! HDF5 as Keras writes it: `.h5` with the weights or the whole model, `.weights.h5`, and `.keras`, a zip archive around
//! the latter.
//!
//! The crate `hdf5-reader` takes the structures of the file apart. This folder walks the groups, leaves numbers where
//! they lie in the file if they lie there in one piece, and gives the tensors the names Keras means.
//!
//! Links to other places and files, numbers in other files and virtual datasets are refused, as Keras refuses them.

mod archive;
mod attributes;
mod dataset;
mod keras;
mod links;
mod source;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashSet};
use std::iter::successors;

use bytes::Bytes;
use hdf5_reader::group::Group;
use hdf5_reader::messages::HdfMessage;
use hdf5_reader::object_header::ObjectHeader;
use hdf5_reader::superblock::HDF5_MAGIC;

use super::{Contents, Malformed};
use crate::weights::Tensor;
use dataset::Found;
use links::{Link, Target};
use source::Source;

/// Bytes of a path, at most: this bounds how deep groups lie in one another. Keras's paths have about a hundred.
const LONGEST_PATH: usize = 4096;

/// Whether these bytes are HDF5, or an archive of Keras with HDF5 in it.
pub(super) fn detect(bytes: &[u8]) -> bool {
    archive::detect(bytes) || superblock(bytes).is_some()
}

/// Where the file begins: at its first byte, or behind a block of 512 bytes, or twice that, or twice that, and so on.
fn superblock(bytes: &[u8]) -> Option<usize> {
    let doubled = successors(Some(512_usize), |at| at.checked_mul(2));
    let mut places = [0].into_iter().chain(doubled);
    places
        .by_ref()
        .take_while(|&at| at < bytes.len())
        .find(|&at| bytes[at..].starts_with(&HDF5_MAGIC))
}

/// Reads a whole file. `order` receives the names of the network's tensors in the order of its layers, where the file
/// tells it.
///
/// # Errors
/// [`Malformed`]: cut off, inconsistent, with links to elsewhere, packed with other filters than deflate, shuffle and
/// Fletcher's checksum, or taking far more memory than the file is long.
pub fn read(bytes: &Bytes, order: &mut Vec<String>) -> Result<Contents, Malformed> {
    let (bytes, start) = if archive::detect(bytes) {
        archive::weights(bytes)?
    } else {
        let start = superblock(bytes).unwrap_or_default();
        (bytes.slice(start..), start)
    };
    let mut walk = Walk {
        source: Source::open(bytes, start)?,
        tensors: BTreeMap::new(),
        notes: vec![],
        names: keras::Names::default(),
    };
    walk.groups()?;
    let (tensors, names, notes) = (walk.tensors, walk.names, walk.notes);
    let (contents, layers) = names.apply(tensors, notes)?;
    *order = layers;
    Ok(contents)
}

/// What has been found on the way through the file's groups.
struct Walk {
    source: Source,
    tensors: BTreeMap<String, Tensor>,
    notes: Vec<String>,
    names: keras::Names,
}

impl Walk {
    /// Visits every group once.
    fn groups(&mut self) -> Result<(), Malformed> {
        let root = self.source.root()?;
        let mut seen = HashSet::from([root.address()]);
        let mut waiting = vec![(String::new(), root)];
        while let Some((path, group)) = waiting.pop() {
            let header = self.source.header(group.address())?;
            self.names.read(&self.source, &path, &group, &header)?;
            for Link { name, target } in links::links(&self.source, group.address(), &header)? {
                let full = self.path(&path, &name)?;
                let at = |reason: String| Malformed::new(reason).in_tensor(&full);
                let address = match target {
                    Target::Object(address) => address,
                    Target::Elsewhere(kind) => {
                        let reason =
                            format!("is {kind}; only what lies in the file itself is read");
                        return Err(at(reason).at(self.source.place(group.address())));
                    }
                };
                let here = self.source.place(address);
                let header = self
                    .source
                    .header(address)
                    .map_err(|error| error.in_tensor(&full))?;
                match kind(&header) {
                    Kind::Group if !seen.insert(address) => {
                        return Err(at("is a group that is linked twice".into()).at(here));
                    }
                    Kind::Group => {
                        let child = self.source.within(address, group.group(&name));
                        let child = child.map_err(|error| error.in_tensor(&full))?;
                        if child.address() != address {
                            return Err(at("two groups have this name".into()).at(here));
                        }
                        waiting.push((full, child));
                    }
                    Kind::Dataset => self.dataset(full, &name, address, &group, &header)?,
                    Kind::Other => self
                        .notes
                        .push(format!("left out `{full}`: neither a group nor a dataset")),
                }
            }
        }
        Ok(())
    }

    fn dataset(
        &mut self,
        full: String,
        name: &str,
        address: u64,
        group: &Group,
        header: &ObjectHeader,
    ) -> Result<(), Malformed> {
        let read = dataset::read(&self.source, name, address, group, header)
            .map_err(|error| error.in_tensor(&full))?;
        match read {
            Found::Tensor(tensor) => {
                if self.tensors.insert(full.clone(), tensor).is_some() {
                    return Err(Malformed::new("two datasets have this name")
                        .in_tensor(full)
                        .at(self.source.place(address)));
                }
            }
            Found::Other(reason) => self.notes.push(format!("left out `{full}`: {reason}")),
        }
        Ok(())
    }

    /// The path of what a group links to.
    fn path(&self, group: &str, name: &str) -> Result<String, Malformed> {
        if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) {
            return Err(Malformed::new(format!(
                "group `{group}` has a link with the name {name:?}, which cannot be part of a path"
            )));
        }
        let length = group.len() + 1 + name.len();
        if length > LONGEST_PATH {
            return Err(Malformed::new(format!(
                "group `{}`…: expected paths of at most {LONGEST_PATH} bytes, found {length}",
                group.chars().take(80).collect::<String>()
            )));
        }
        self.source.spend(length)?;
        Ok(match group {
            "" => name.to_string(),
            _ => format!("{group}/{name}"),
        })
    }
}

enum Kind {
    Group,
    Dataset,
    Other,
}

/// What an object is, by the messages in its header.
fn kind(header: &ObjectHeader) -> Kind {
    let mut kind = Kind::Other;
    for message in &header.messages {
        match message {
            HdfMessage::SymbolTable(_)
            | HdfMessage::Link(_)
            | HdfMessage::LinkInfo(_)
            | HdfMessage::GroupInfo(_) => return Kind::Group,
            HdfMessage::Dataspace(_) | HdfMessage::DataLayout(_) => kind = Kind::Dataset,
            _ => {}
        }
    }
    kind
}
