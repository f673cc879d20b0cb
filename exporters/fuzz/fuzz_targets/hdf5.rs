//! HDF5: any bytes are a checkpoint or an error, and every tensor's numbers can be read.
//!
//!     RUSTC_BOOTSTRAP=1 cargo fuzz run hdf5 CORPUS ../golden/checkpoints/keras -- -rss_limit_mb=2048 -max_len=65536

#![no_main]

use std::path::Path;

use bytes::Bytes;
use hdf5_reader::checksum::jenkins_lookup3;
use incept_exporters::weights::Checkpoint;
use libfuzzer_sys::fuzz_target;

/// Numbers of one tensor that are looked at.
const MOST: usize = 1 << 20;

fuzz_target!(|data: &[u8]| {
    let mut data = data.to_vec();
    repair(&mut data);
    let Ok(checkpoint) = Checkpoint::parse(Bytes::from(data), Path::new("fuzz.h5")) else {
        return;
    };
    for name in &checkpoint.order {
        assert!(checkpoint.tensors.contains_key(name));
    }
    for tensor in checkpoint.tensors.values() {
        if tensor.elements() <= MOST {
            assert_eq!(tensor.values().len(), tensor.elements());
        }
    }
});

/// Writes the checksums that the parts of newer files should have: with wrong ones, nothing would get past them.
fn repair(data: &mut [u8]) {
    for at in 0..data.len() {
        let Some(length) = length(&data[at..]) else {
            continue;
        };
        let Some(end) = at.checked_add(length).filter(|end| end + 4 <= data.len()) else {
            continue;
        };
        let sum = jenkins_lookup3(&data[at..end]);
        data[end..end + 4].copy_from_slice(&sum.to_le_bytes());
    }
}

/// Bytes before the checksum of the part that begins here, for addresses of eight bytes.
fn length(part: &[u8]) -> Option<usize> {
    match part.first_chunk()? {
        b"\x89HDF" if matches!(part.get(8)?, 2 | 3) => Some(44),
        b"OHDR" => {
            let flags = *part.get(5)?;
            let mut head = 6;
            head += if flags & 0x20 == 0 { 0 } else { 16 };
            head += if flags & 0x10 == 0 { 0 } else { 4 };
            let width = 1_usize << (flags & 3);
            let field = part.get(head..head + width)?;
            let size = field.iter().rev().try_fold(0_usize, |size, &byte| {
                Some(size.checked_mul(256)? + usize::from(byte))
            })?;
            size.checked_add(head + width)
        }
        b"BTHD" => Some(34),
        b"FRHP" => Some(142),
        b"FAHD" => Some(24),
        b"EAHD" => Some(68),
        _ => None,
    }
}
