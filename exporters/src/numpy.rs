//! Arrays as numpy saves them: `.npz` archives of `.npy` files.

use std::io::Read;

use bytes::Bytes;
use flate2::bufread::DeflateDecoder;
use half::f16;
use rawzip::{CompressionMethod, ZipArchive};

/// The most bytes that one compressed array may unfold to, in multiples of the archive's length.
const MOST_INFLATION: u64 = 1000;

/// An array, in row-major order.
#[derive(Debug, Clone, PartialEq)]
pub struct NumpyArray {
    /// Its name in the archive.
    pub name: String,
    /// Its sizes.
    pub shape: Vec<usize>,
    /// Its values.
    pub values: NumpyValues,
}

/// The values of an array.
#[derive(Debug, Clone, PartialEq)]
pub enum NumpyValues {
    /// Of float16, float32 and float64, the last rounded to float32.
    Floats(Vec<f32>),
    /// Of uint8.
    Bytes(Vec<u8>),
    /// Of int32 and int64.
    Integers(Vec<i64>),
}

/// Bytes that are no archive of arrays.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("not a whole .npz file: {reason}")]
pub struct NumpyError {
    /// What is wrong, with expected and found.
    pub reason: String,
}

/// Reads the arrays of a `.npz` archive, stored or compressed.
///
/// # Errors
/// [`NumpyError`] where it is cut off, or holds arrays of another type or order.
pub fn read_npz(bytes: &Bytes) -> Result<Vec<NumpyArray>, NumpyError> {
    let failed = |reason: String| NumpyError { reason };
    let zip = ZipArchive::from_slice(bytes.as_ref()).map_err(|error| failed(error.to_string()))?;
    let mut arrays = vec![];
    let mut entries = zip.entries();
    while let Some(listed) = entries
        .next_entry()
        .map_err(|error| failed(error.to_string()))?
    {
        let name = String::from_utf8_lossy(listed.file_path().as_bytes()).into_owned();
        let name = name.strip_suffix(".npy").unwrap_or(&name).to_string();
        let failed = |reason: String| failed(format!("array `{name}`: {reason}"));
        let expected = listed.uncompressed_size_hint();
        let method = listed.compression_method();
        if expected > (bytes.len() as u64).saturating_mul(MOST_INFLATION) {
            return Err(failed(format!(
                "unfolds to {expected} bytes, from a file of {}",
                bytes.len()
            )));
        }
        let entry = zip
            .get_entry(listed.wayfinder())
            .map_err(|error| failed(error.to_string()))?;
        let contents: Vec<u8> = match method {
            CompressionMethod::STORE => entry.data().to_vec(),
            CompressionMethod::DEFLATE => {
                let mut inflated = vec![];
                let mut decoder =
                    DeflateDecoder::new(entry.data()).take(expected.saturating_add(1));
                decoder
                    .read_to_end(&mut inflated)
                    .map_err(|error| failed(error.to_string()))?;
                inflated
            }
            other => {
                return Err(failed(format!(
                    "expected it stored or deflated, found {other}"
                )));
            }
        };
        if contents.len() as u64 != expected {
            return Err(failed(format!(
                "expected {expected} bytes, found {}",
                contents.len()
            )));
        }
        let (shape, values) = read_npy(&contents).map_err(failed)?;
        arrays.push(NumpyArray {
            name,
            shape,
            values,
        });
    }
    Ok(arrays)
}

fn read_npy(contents: &[u8]) -> Result<(Vec<usize>, NumpyValues), String> {
    let wrong = || "expected a .npy header, found none".to_string();
    let rest = contents.strip_prefix(b"\x93NUMPY").ok_or_else(wrong)?;
    let (&[version, _], rest) = rest.split_first_chunk().ok_or_else(wrong)?;
    let (length, rest) = if version == 1 {
        let (length, rest) = rest.split_first_chunk().ok_or_else(wrong)?;
        (usize::from(u16::from_le_bytes(*length)), rest)
    } else {
        let (length, rest) = rest.split_first_chunk().ok_or_else(wrong)?;
        (
            usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX),
            rest,
        )
    };
    let (header, data) = rest.split_at_checked(length).ok_or_else(wrong)?;
    let header = String::from_utf8_lossy(header).into_owned();
    // A dictionary of three keys, as numpy writes it.
    let behind = |key: &str| {
        header
            .split_once(key)
            .map(|(_, rest)| rest.trim_start_matches([':', ' ']))
    };
    let quoted = |text: &str| text.split('\'').nth(1).map(str::to_string);
    let descr = behind("'descr'").and_then(quoted).ok_or_else(wrong)?;
    if behind("'fortran_order'").is_none_or(|text| !text.starts_with("False")) {
        return Err(
            "expected row-major order, found column-major: save `numpy.ascontiguousarray` of it"
                .into(),
        );
    }
    let shape = behind("'shape'").and_then(|text| text.strip_prefix('(')?.split(')').next());
    let sizes = shape
        .ok_or_else(wrong)?
        .split(',')
        .map(str::trim)
        .filter(|size| !size.is_empty());
    let shape: Vec<usize> = sizes
        .map(|size| size.parse().map_err(|_| wrong()))
        .collect::<Result<_, _>>()?;
    let elements = shape
        .iter()
        .try_fold(1_usize, |all, size| all.checked_mul(*size));
    let width = match descr.as_str() {
        "<f2" => 2,
        "<f4" | "<i4" => 4,
        "<f8" | "<i8" => 8,
        "|u1" => 1,
        other => {
            return Err(format!(
                "expected float16, float32, float64, uint8, int32 or int64, found `{other}`"
            ));
        }
    };
    let expected = elements.and_then(|elements| elements.checked_mul(width));
    if expected != Some(data.len()) {
        return Err(format!(
            "expected {width} bytes for each number of shape {shape:?}, found {} in all",
            data.len()
        ));
    }
    let values = match descr.as_str() {
        "<f2" => NumpyValues::Floats(
            data.as_chunks()
                .0
                .iter()
                .map(|b| f16::from_le_bytes(*b).to_f32())
                .collect(),
        ),
        "<f4" => NumpyValues::Floats(
            data.as_chunks()
                .0
                .iter()
                .map(|b| f32::from_le_bytes(*b))
                .collect(),
        ),
        "<f8" => NumpyValues::Floats(
            data.as_chunks()
                .0
                .iter()
                .map(|b| f64::from_le_bytes(*b) as f32)
                .collect(),
        ),
        "<i4" => NumpyValues::Integers(
            data.as_chunks()
                .0
                .iter()
                .map(|b| i32::from_le_bytes(*b).into())
                .collect(),
        ),
        "<i8" => NumpyValues::Integers(
            data.as_chunks()
                .0
                .iter()
                .map(|b| i64::from_le_bytes(*b))
                .collect(),
        ),
        _ => NumpyValues::Bytes(data.to_vec()),
    };
    Ok((shape, values))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn npy(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
        let header =
            format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
        let mut file = b"\x93NUMPY\x01\x00".to_vec();
        file.extend((header.len() as u16).to_le_bytes());
        file.extend(header.as_bytes());
        file.extend(data);
        file
    }

    #[test]
    fn numbers_of_every_type_are_read() {
        let read = |descr: &str, data: &[u8]| read_npy(&npy(descr, "(1,)", data)).unwrap();
        assert_eq!(
            read("<f4", &1.5_f32.to_le_bytes()),
            (vec![1], NumpyValues::Floats(vec![1.5]))
        );
        assert_eq!(
            read("<f8", &1.5_f64.to_le_bytes()).1,
            NumpyValues::Floats(vec![1.5])
        );
        assert_eq!(read("<f2", &[0, 0x3e]).1, NumpyValues::Floats(vec![1.5]));
        assert_eq!(read("|u1", &[9]).1, NumpyValues::Bytes(vec![9]));
        assert_eq!(
            read("<i4", &(-2_i32).to_le_bytes()).1,
            NumpyValues::Integers(vec![-2])
        );
        assert_eq!(
            read("<i8", &(-2_i64).to_le_bytes()).1,
            NumpyValues::Integers(vec![-2])
        );
        assert_eq!(
            read_npy(&npy("<f4", "()", &[0; 4])).unwrap().0,
            Vec::<usize>::new()
        );
    }

    #[test]
    fn what_is_no_array_is_refused() {
        assert!(read_npy(b"no").unwrap_err().contains("header"));
        assert!(
            read_npy(&npy("<f4", "(2, 3)", &[0; 4]))
                .unwrap_err()
                .contains("found 4 in all")
        );
        assert!(
            read_npy(&npy("<c8", "(1,)", &[0; 8]))
                .unwrap_err()
                .contains("`<c8`")
        );
        let columns =
            String::from_utf8_lossy(&npy("<f4", "(1,)", &[0; 4])[10..]).replace("False", "True");
        let mut file = b"\x93NUMPY\x01\x00".to_vec();
        file.extend((columns.len() as u16 - 4).to_le_bytes());
        file.extend(columns.as_bytes());
        assert!(read_npy(&file).unwrap_err().contains("column-major"));
        assert!(read_npz(&Bytes::from_static(b"no archive")).is_err());
    }
}
