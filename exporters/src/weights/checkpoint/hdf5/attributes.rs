//! The attributes of groups and datasets that hold text: lists of names.

use hdf5_reader::group::Group;
use hdf5_reader::io::Cursor;
use hdf5_reader::messages::HdfMessage;
use hdf5_reader::messages::attribute::{self, AttributeMessage};
use hdf5_reader::object_header::ObjectHeader;
use hdf5_reader::{Datatype, StringSize, VarLenKind};

use super::links::heap_objects;
use super::source::Source;
use crate::weights::Malformed;

/// The attributes of a group, wherever they lie: in its header, or in a heap where they are many or long.
pub(super) fn of_group(
    source: &Source,
    address: u64,
    header: &ObjectHeader,
) -> Result<Vec<AttributeMessage>, Malformed> {
    let mut attributes: Vec<_> = in_header(header).cloned().collect();
    for message in &header.messages {
        let HdfMessage::AttributeInfo(info) = message else {
            continue;
        };
        if !source.is_defined(info.fractal_heap_address) {
            continue;
        }
        let (heap, tree) = (info.fractal_heap_address, info.btree_name_index_address);
        for object in heap_objects(source, address, heap, tree)? {
            let message = attribute::parse(
                &mut Cursor::new(&object),
                source.offset_size(),
                source.length_size(),
                object.len(),
            );
            attributes.push(source.within(heap, message)?);
        }
    }
    Ok(attributes)
}

/// The attributes in an object's header itself.
pub(super) fn in_header(header: &ObjectHeader) -> impl Iterator<Item = &AttributeMessage> {
    header.messages.iter().filter_map(|message| match message {
        HdfMessage::Attribute(attribute) => Some(attribute),
        _ => None,
    })
}

/// The texts of an attribute: of fixed length, or of any length in the file's global heap. An empty list may be of any
/// type (Keras writes float64).
///
/// # Errors
/// [`Malformed`] where the attribute holds something else.
pub(super) fn texts(
    source: &Source,
    group: &Group,
    attribute: &AttributeMessage,
) -> Result<Vec<String>, Malformed> {
    let failed = |reason: &str| {
        let reason = format!("attribute `{}`: {reason}", attribute.name);
        Malformed::new(reason).at(source.place(group.address()))
    };
    let count = attribute.dataspace.num_elements().ok();
    let count = count
        .and_then(|count| usize::try_from(count).ok())
        .ok_or_else(|| failed("has more elements than can be counted"))?;
    if count == 0 {
        return Ok(vec![]);
    }
    let width = match attribute.datatype {
        Datatype::String {
            size: StringSize::Fixed(width),
            ..
        } => usize::try_from(width).unwrap_or(usize::MAX),
        // The length, the address of a heap, and the number of an object there.
        Datatype::VarLen {
            kind: VarLenKind::String,
            ..
        } => 4 + usize::from(source.offset_size()) + 4,
        _ => return Err(failed("expected text")),
    };
    let needed = count.checked_mul(width).filter(|&needed| needed > 0);
    let stored = needed.and_then(|needed| attribute.raw_data.get(..needed));
    let Some(stored) = stored else {
        let found = attribute.raw_data.len();
        let reason = format!("expected {count} texts of {width} bytes, found {found} bytes");
        return Err(failed(&reason));
    };
    source.spend(stored.len().saturating_add(count * size_of::<String>()))?;
    let text = |bytes: &[u8]| {
        // Shorter texts are filled up with zeros or, by Fortran, with spaces.
        let end = bytes.iter().position(|&byte| byte == 0);
        let bytes = &bytes[..end.unwrap_or(bytes.len())];
        let text = std::str::from_utf8(bytes).map_err(|_| failed("expected UTF-8"))?;
        Ok(text.trim_end_matches(' ').to_string())
    };
    let in_heap = matches!(attribute.datatype, Datatype::VarLen { .. });
    let pieces = stored.chunks_exact(width);
    if !in_heap {
        return pieces.map(text).collect();
    }
    pieces
        .map(|reference| {
            let length = reference
                .first_chunk()
                .map_or(0, |&length| u32::from_le_bytes(length));
            source.spend(usize::try_from(length).unwrap_or(usize::MAX))?;
            let bytes = group.resolve_vlen_reference_bytes(reference, 1);
            text(&source.within(group.address(), bytes)?)
        })
        .collect()
}
