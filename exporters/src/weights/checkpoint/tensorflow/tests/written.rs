//! Tables written here, so that every part of one can be wrong.

use super::super::proto::{
    BundleEntryProto, BundleHeaderProto, Extent, SavedSliceMeta, TensorShapeProto, TensorSliceProto,
};
use bytes::Bytes;
use prost::Message;

pub(super) fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = vec![];
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

pub(super) fn masked_crc(bytes: &[u8]) -> u32 {
    let crc = crc32c::crc32c(bytes);
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// A field of a message that is itself a message, a text or a packed list.
pub(super) fn delimited(number: u32, bytes: &[u8]) -> Vec<u8> {
    let key = varint(u64::from(number << 3 | 2));
    [key, varint(bytes.len() as u64), bytes.to_vec()].concat()
}

/// A table in the making.
#[derive(Default)]
pub(super) struct Table {
    pub(super) bytes: Vec<u8>,
    index: Vec<u8>,
}

impl Table {
    /// Entries as they lie in a block, no key shortened.
    pub(super) fn entries(entries: &[(&[u8], &[u8])]) -> Vec<u8> {
        let entry = |(key, value): &(&[u8], &[u8])| {
            let lengths = [
                vec![0],
                varint(key.len() as u64),
                varint(value.len() as u64),
            ];
            [lengths.concat(), key.to_vec(), value.to_vec()].concat()
        };
        entries.iter().flat_map(entry).collect()
    }

    /// Entries, with one restart point at their beginning.
    pub(super) fn restarted(entries: &[u8]) -> Vec<u8> {
        [entries, &[0, 0, 0, 0, 1, 0, 0, 0]].concat()
    }

    /// Appends a block as it is; gives its handle.
    pub(super) fn raw(&mut self, block: &[u8], kind: u8) -> Vec<u8> {
        let handle = [varint(self.bytes.len() as u64), varint(block.len() as u64)].concat();
        let start = self.bytes.len();
        self.bytes.extend(block);
        self.bytes.push(kind);
        let crc = masked_crc(&self.bytes[start..]);
        self.bytes.extend(crc.to_le_bytes());
        handle
    }

    /// Names a block in the index.
    pub(super) fn name(mut self, last_key: &[u8], handle: &[u8]) -> Self {
        self.index.extend(Self::entries(&[(last_key, handle)]));
        self
    }

    /// Appends a block as it is, and names it.
    pub(super) fn block(mut self, last_key: &[u8], block: &[u8], kind: u8) -> Self {
        let handle = self.raw(block, kind);
        self.name(last_key, &handle)
    }

    pub(super) fn finish(mut self) -> Bytes {
        let metaindex = self.raw(&Self::restarted(&[]), 0);
        let index = Self::restarted(&std::mem::take(&mut self.index));
        let index = self.raw(&index, 0);
        self.footer(&[metaindex, index].concat())
    }

    pub(super) fn footer(mut self, handles: &[u8]) -> Bytes {
        self.bytes.extend(handles);
        self.bytes.resize(self.bytes.len() + 40 - handles.len(), 0);
        self.bytes.extend(0xdb47_7524_8b80_fb57_u64.to_le_bytes());
        self.bytes.into()
    }

    /// A table of one block.
    pub(super) fn of(entries: &[(&[u8], &[u8])]) -> Bytes {
        let block = Self::restarted(&Self::entries(entries));
        let last = entries.last().map_or(&[][..], |(key, _)| key);
        Self::default().block(last, &block, 0).finish()
    }
}

pub(super) fn shape(dimensions: &[i64]) -> Option<TensorShapeProto> {
    let dimension = |&size: &i64| {
        let size = [vec![8], varint(size as u64)].concat();
        delimited(2, &size)
    };
    let bytes: Vec<u8> = dimensions.iter().flat_map(dimension).collect();
    Some(TensorShapeProto::decode(&bytes[..]).unwrap())
}

/// A slice of these starts and lengths; length -1 is all of the axis.
pub(super) fn slice(extents: &[(i64, i64)]) -> TensorSliceProto {
    let extent = |&(start, length): &(i64, i64)| Extent {
        start,
        length: (length >= 0).then_some(length),
    };
    TensorSliceProto {
        extent: extents.iter().map(extent).collect(),
    }
}

/// An index of one shard, unless the header says otherwise.
pub(super) fn index(header: &BundleHeaderProto, named: &[(Vec<u8>, BundleEntryProto)]) -> Bytes {
    let header = header.encode_to_vec();
    let mut values = vec![(vec![], header)];
    values.extend(
        named
            .iter()
            .map(|(key, e)| (key.clone(), e.encode_to_vec())),
    );
    values.sort();
    let entries: Vec<(&[u8], &[u8])> = values.iter().map(|(k, v)| (&k[..], &v[..])).collect();
    Table::of(&entries)
}

pub(super) fn one_shard() -> BundleHeaderProto {
    BundleHeaderProto {
        num_shards: 1,
        ..BundleHeaderProto::default()
    }
}

/// An entry for float32 numbers that are all zero.
pub(super) fn zeros(dimensions: &[i64], offset: i64) -> BundleEntryProto {
    let size = 4 * dimensions.iter().product::<i64>();
    BundleEntryProto {
        dtype: 1,
        shape: shape(dimensions),
        offset,
        size,
        crc32c: masked_crc(&vec![0; size as usize]),
        ..BundleEntryProto::default()
    }
}

/// A V1 checkpoint: tensors and slices as listed, then the slices that are there with their `TensorProto`.
pub(super) fn v1_file(
    listed: &[SavedSliceMeta],
    there: &[(&str, TensorSliceProto, Vec<u8>)],
) -> Bytes {
    let meta: Vec<u8> = listed
        .iter()
        .flat_map(|meta| delimited(1, &meta.encode_to_vec()))
        .collect();
    let mut values = vec![(vec![], delimited(1, &meta))];
    for (name, slice, list) in there {
        let saved = [
            delimited(1, name.as_bytes()),
            delimited(2, &slice.encode_to_vec()),
            delimited(3, list),
        ];
        values.push((slice.key(name), delimited(2, &saved.concat())));
    }
    values.sort();
    let entries: Vec<(&[u8], &[u8])> = values.iter().map(|(k, v)| (&k[..], &v[..])).collect();
    Table::of(&entries)
}

pub(super) fn listed(
    name: &str,
    dtype: i32,
    dimensions: &[i64],
    slices: &[TensorSliceProto],
) -> SavedSliceMeta {
    SavedSliceMeta {
        name: name.into(),
        shape: shape(dimensions),
        dtype,
        slice: slices.to_vec(),
    }
}
