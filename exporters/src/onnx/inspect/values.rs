//! A stored tensor's values as bytes, in whichever field they lie.

use prost::bytes::Bytes;
use prost::encoding::decode_varint;
use sha2::{Digest, Sha256};

use super::super::data_type::{self, STRING};
use super::super::proto::TensorProto;

/// SHA-256 of values that lie as bytes.
pub(super) fn digest_of_bytes(values: &[u8]) -> [u8; 32] {
    Sha256::digest(values).into()
}

/// SHA-256 of a tensor's values as little-endian bytes; none for texts and types unknown.
///
/// `raw_data` and the lists of floats are such bytes. Whole numbers lie in lists of varints, several narrow types in
/// `int32_data`, each number by itself: they are brought to their width, and those of less than a byte are packed there
/// already.
pub(super) fn digest(tensor: &TensorProto, expected: u64) -> Result<Option<[u8; 32]>, String> {
    let Some(bits) = data_type::bits(tensor.data_type) else {
        return Ok(None);
    };
    debug_assert_ne!(tensor.data_type, STRING);
    let mut values = Values {
        hash: Sha256::new(),
        bytes: 0,
    };
    values.add(&tensor.raw_data);
    tensor.float_data.iter().for_each(|list| values.add(list));
    tensor.double_data.iter().for_each(|list| values.add(list));
    let width = bits.div_ceil(8).min(8) as usize;
    for (lists, width) in [
        (&tensor.int32_data, width),
        (&tensor.int64_data, width),
        (&tensor.uint64_data, width),
    ] {
        for list in lists {
            values.add_varints(list.clone(), width)?;
        }
    }
    if values.bytes != expected {
        return Err(format!(
            "expected {expected} bytes of values for its shape, found {}",
            values.bytes
        ));
    }
    Ok(Some(values.hash.finalize().into()))
}

struct Values {
    hash: Sha256,
    bytes: u64,
}

impl Values {
    fn add(&mut self, values: &[u8]) {
        self.hash.update(values);
        self.bytes += values.len() as u64;
    }

    fn add_varints(&mut self, mut list: Bytes, width: usize) -> Result<(), String> {
        while !list.is_empty() {
            let number = decode_varint(&mut list).map_err(|error| error.to_string())?;
            self.add(&number.to_le_bytes()[..width]);
        }
        Ok(())
    }
}
