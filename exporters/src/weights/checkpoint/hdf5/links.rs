//! What a group links to: in a symbol table (h5py's default), in its header, or in a heap with a B-tree (files of the
//! library's newer versions with many links).

use std::collections::HashSet;

use hdf5_reader::btree_v1::collect_btree_v1_leaves_storage;
use hdf5_reader::btree_v2::{BTreeV2Header, BTreeV2Record, collect_btree_v2_records_storage};
use hdf5_reader::error::Error;
use hdf5_reader::fractal_heap::{FractalHeap, FractalHeapDirectBlockCache};
use hdf5_reader::io::Cursor;
use hdf5_reader::local_heap::LocalHeap;
use hdf5_reader::messages::HdfMessage;
use hdf5_reader::messages::link::{self, LinkMessage, LinkTarget};
use hdf5_reader::messages::symbol_table_msg::SymbolTableMessage;
use hdf5_reader::object_header::ObjectHeader;
use hdf5_reader::symbol_table::SymbolTableNode;

use super::source::Source;
use crate::weights::Malformed;

/// A name in a group, and what it stands for.
pub(super) struct Link {
    pub(super) name: String,
    pub(super) target: Target,
}

pub(super) enum Target {
    /// The object whose header lies at this address.
    Object(u64),
    /// A link by name, in words.
    Elsewhere(&'static str),
}

/// A soft link's mark in a symbol table.
const SOFT: u32 = 2;

/// The links of the group whose header this is.
///
/// # Errors
/// [`Malformed`] at the group, or at the node of its symbol table.
pub(super) fn links(
    source: &Source,
    address: u64,
    header: &ObjectHeader,
) -> Result<Vec<Link>, Malformed> {
    let mut links = vec![];
    for message in &header.messages {
        match message {
            HdfMessage::SymbolTable(table) => symbols(source, table, &mut links)?,
            HdfMessage::Link(message) => links.push(named(message)),
            HdfMessage::LinkInfo(info) if source.is_defined(info.fractal_heap_address) => {
                let (heap, tree) = (info.fractal_heap_address, info.btree_name_index_address);
                for object in heap_objects(source, address, heap, tree)? {
                    let message = link::parse(
                        &mut Cursor::new(&object),
                        source.offset_size(),
                        source.length_size(),
                        object.len(),
                    );
                    links.push(named(&source.within(heap, message)?));
                }
            }
            _ => {}
        }
    }
    Ok(links)
}

fn named(message: &LinkMessage) -> Link {
    Link {
        name: message.name.clone(),
        target: match message.target {
            LinkTarget::Hard { address } => Target::Object(address),
            LinkTarget::Soft { .. } => Target::Elsewhere("a soft link"),
            LinkTarget::External { .. } => Target::Elsewhere("a link into another file"),
        },
    }
}

/// The links of a symbol table: a B-tree of nodes, whose entries have their names in a heap.
fn symbols(
    source: &Source,
    table: &SymbolTableMessage,
    links: &mut Vec<Link>,
) -> Result<(), Malformed> {
    let (offsets, lengths) = (source.offset_size(), source.length_size());
    let storage = source.storage();
    let heap = LocalHeap::parse_at_storage(storage, table.heap_address, offsets, lengths);
    let heap = source.within(table.heap_address, heap)?;
    let length = usize::try_from(heap.data_segment_size).unwrap_or(usize::MAX);
    let names = storage.read_range(heap.data_segment_address, length);
    let names = source.within(heap.data_segment_address, names)?;
    let nodes = collect_btree_v1_leaves_storage(
        storage,
        table.btree_address,
        offsets,
        lengths,
        None,
        &[],
        None,
    );
    let mut seen = HashSet::new();
    for (_, address) in source.within(table.btree_address, nodes)? {
        let place = source.place(address);
        if !seen.insert(address) {
            return Err(Malformed::new("a symbol table has the same node twice").at(place));
        }
        for entry in source.within(address, node(source, address))?.entries {
            let name = usize::try_from(entry.link_name_offset)
                .ok()
                .and_then(|from| names.get(from..)?.split(|&byte| byte == 0).next())
                .and_then(|name| std::str::from_utf8(name).ok());
            let Some(name) = name else {
                let reason = "a symbol table has a name that is no text in its heap";
                return Err(Malformed::new(reason).at(place));
            };
            source.spend(name.len())?;
            links.push(Link {
                name: name.to_string(),
                target: match entry.cache_type {
                    SOFT => Target::Elsewhere("a soft link"),
                    _ => Target::Object(entry.object_header_address),
                },
            });
        }
    }
    Ok(())
}

/// A node of a symbol table: signature, version, number of entries, entries.
fn node(source: &Source, address: u64) -> Result<SymbolTableNode, Error> {
    const HEAD: usize = 8;
    let entry = 2 * usize::from(source.offset_size()) + 24;
    let head = source.storage().read_range(address, HEAD)?;
    let entries = head
        .last_chunk()
        .map_or(0, |&count| usize::from(u16::from_le_bytes(count)));
    let node = source
        .storage()
        .read_range(address, HEAD + entries * entry)?;
    SymbolTableNode::parse(
        &mut Cursor::new(&node),
        source.offset_size(),
        source.length_size(),
    )
}

/// The objects of a fractal heap that a B-tree (of links or of attributes) lists. `address` is of the header that has them.
pub(super) fn heap_objects(
    source: &Source,
    address: u64,
    heap: u64,
    tree: u64,
) -> Result<Vec<Vec<u8>>, Malformed> {
    let (offsets, lengths) = (source.offset_size(), source.length_size());
    let storage = source.storage();
    let found = FractalHeap::parse_at_storage(storage, heap, offsets, lengths);
    let found = source.within(heap, found)?;
    let header = BTreeV2Header::parse_at_storage(storage, tree, offsets, lengths);
    let header = source.within(tree, header)?;
    let records =
        collect_btree_v2_records_storage(storage, &header, offsets, lengths, None, &[], None);
    let mut blocks = FractalHeapDirectBlockCache::default();
    let mut objects = vec![];
    for record in source.within(tree, records)? {
        let (BTreeV2Record::LinkNameHash { heap_id, .. }
        | BTreeV2Record::AttributeNameHash { heap_id, .. }) = record
        else {
            let reason = "a group's index lists neither links nor attributes";
            return Err(Malformed::new(reason).at(source.place(address)));
        };
        let object = found.get_object_storage_cached_with_registry(
            &heap_id,
            storage,
            offsets,
            lengths,
            &mut blocks,
            None,
        );
        let object = source.within(heap, object)?;
        source.spend(object.len())?;
        objects.push(object);
    }
    Ok(objects)
}
