//! numpy's archives: arrays by name, stored in a zip file that is the same for the same arrays.

use std::io::Write;

use half::bf16;
use incept_exporters::onnx::proto::{
    BFLOAT16, BOOL, DOUBLE, FLOAT, FLOAT16, INT8, INT16, INT32, UINT8, UINT16, UINT32, UINT64,
};
use incept_exporters::onnx::{DataTensor, Numbers};
use rawzip::{CompressionMethod, ZipArchiveWriter};

/// Bytes that every `.npy` file begins with, of format 1.0.
const MAGIC: &[u8] = b"\x93NUMPY\x01\x00";

/// The header's end comes at a multiple of this.
const ALIGNMENT: usize = 64;

/// The arrays as an `.npz` file, each under its name. numpy has no bfloat16: such an array is written as float32, which
/// holds each of its numbers.
///
/// # Errors
/// What the zip writer says of a name or a size that no zip file holds.
pub(super) fn npz(tensors: &[(String, &DataTensor)]) -> Result<Vec<u8>, rawzip::Error> {
    let mut archive = ZipArchiveWriter::new(vec![]);
    for (name, tensor) in tensors {
        let path = format!("{name}.npy");
        let file = archive.new_file(&path);
        let (mut entry, config) = file.compression_method(CompressionMethod::STORE).start()?;
        let mut writer = config.wrap(&mut entry);
        writer.write_all(&npy(tensor))?;
        let (_, descriptor) = writer.finish()?;
        entry.finish(descriptor)?;
    }
    archive.finish()
}

/// One array as an `.npy` file.
fn npy(tensor: &DataTensor) -> Vec<u8> {
    let widened;
    let tensor = match (tensor.element_type, &tensor.numbers) {
        (BFLOAT16, Numbers::Floats(values)) => {
            // The numbers that bfloat16 holds, not those that were rounded to it.
            let values = values.iter().map(|&value| bf16::from_f64(value).into());
            widened = DataTensor {
                element_type: FLOAT,
                numbers: Numbers::Floats(values.collect()),
                ..tensor.clone()
            };
            &widened
        }
        _ => tensor,
    };
    let shape: String = tensor
        .shape
        .iter()
        .map(|size| format!("{size}, "))
        .collect();
    let mut header = format!(
        "{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}",
        descriptor(tensor.element_type),
        shape.trim_end()
    );
    let before = MAGIC.len() + 2;
    // Blanks, and a line break at the end.
    let whole = (before + header.len() + 1).next_multiple_of(ALIGNMENT);
    while before + header.len() + 1 < whole {
        header.push(' ');
    }
    header.push('\n');
    let mut bytes = MAGIC.to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(tensor.raw());
    bytes
}

/// What numpy calls an element type.
fn descriptor(element_type: i32) -> &'static str {
    match element_type {
        FLOAT => "<f4",
        DOUBLE => "<f8",
        FLOAT16 => "<f2",
        BOOL => "|b1",
        INT8 => "|i1",
        UINT8 => "|u1",
        INT16 => "<i2",
        UINT16 => "<u2",
        INT32 => "<i4",
        UINT32 => "<u4",
        UINT64 => "<u8",
        _ => "<i8",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// numpy itself reads these files in `tests/bundles/readers.rs`; here, where the numbers begin and that nothing else
    /// follows.
    #[test]
    fn numbers_begin_at_a_multiple_of_64_bytes() {
        for shape in [vec![], vec![3], vec![1, 3], vec![1; 32]] {
            let count = shape.iter().product();
            let tensor = DataTensor {
                name: String::new(),
                element_type: FLOAT,
                shape,
                numbers: Numbers::Floats(vec![1.0; count]),
            };
            let bytes = npy(&tensor);
            assert_eq!((bytes.len() - 4 * count) % ALIGNMENT, 0);
            assert_eq!(bytes[bytes.len() - 4 * count - 1], b'\n');
        }
    }

    #[test]
    fn bfloat16_is_widened_as_it_was_rounded() {
        let tensor = |element_type| DataTensor {
            name: "x".into(),
            element_type,
            shape: vec![1],
            numbers: Numbers::Floats(vec![1.0 / 3.0]),
        };
        let bytes = npy(&tensor(BFLOAT16));
        let found = f32::from_le_bytes(*bytes.last_chunk().unwrap());
        assert_eq!(found, bf16::from_f64(1.0 / 3.0).to_f32());
        assert_ne!(bytes, npy(&tensor(FLOAT)));
    }

    #[test]
    fn the_same_arrays_give_the_same_bytes() {
        let tensor = DataTensor {
            name: "x".into(),
            element_type: BFLOAT16,
            shape: vec![2],
            numbers: Numbers::Floats(vec![1.0, -2.0]),
        };
        let write = || npz(&[("a/b".into(), &tensor), ("c".into(), &tensor)]).unwrap();
        let bytes = write();
        assert_eq!(bytes, write());
        let archive = rawzip::ZipArchive::from_slice(&bytes).unwrap();
        assert_eq!(archive.entries_hint(), 2);
    }
}
