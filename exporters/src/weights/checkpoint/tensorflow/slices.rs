//! Slices of a tensor: partitioned variables are saved in boxes, each under a key of its own, and joined here.

use std::ops::Range;

use bytes::Bytes;

use super::proto::{Extent, TensorSliceProto};
use crate::weights::{ElementType, Tensor};

impl TensorSliceProto {
    /// The key of this slice in the table: TensorFlow's `EncodeTensorNameSlice`, an encoding that sorts as the values do.
    pub(super) fn key(&self, tensor: &str) -> Vec<u8> {
        let mut key = vec![0];
        for &byte in tensor.as_bytes() {
            match byte {
                0x00 => key.extend([0x00, 0xff]),
                0xff => key.extend([0xff, 0x00]),
                _ => key.push(byte),
            }
        }
        key.extend([0x00, 0x01]);
        // As few bytes as the number needs, and before them how many.
        let dimensions = self.extent.len().to_be_bytes();
        let zeros = dimensions.iter().take_while(|&&byte| byte == 0).count();
        key.push((dimensions.len() - zeros) as u8);
        key.extend(&dimensions[zeros..]);
        for extent in &self.extent {
            signed(&mut key, extent.start);
            signed(&mut key, extent.length.unwrap_or(-1));
        }
        key
    }

    /// The slice's part of each axis of a tensor of this shape.
    pub(super) fn ranges(&self, shape: &[usize]) -> Result<Vec<Range<usize>>, String> {
        let outside = || {
            let extents = self.extent.iter().take(8);
            let found: Vec<_> = extents.map(|e| (e.start, e.length)).collect();
            format!("expected a slice within the shape {shape:?}, found start and length {found:?}")
        };
        if self.extent.len() != shape.len() {
            return Err(outside());
        }
        let range = |(extent, &size): (&Extent, &usize)| {
            let start = usize::try_from(extent.start).ok()?;
            let length = match extent.length {
                Some(length) => usize::try_from(length).ok()?,
                None => size.checked_sub(start)?,
            };
            let end = start.checked_add(length)?;
            (end <= size).then_some(start..end)
        };
        let ranges = self.extent.iter().zip(shape).map(range);
        ranges.collect::<Option<_>>().ok_or_else(outside)
    }
}

/// Appends a number: its sign, one bit for each byte that follows the first, and its bits, so that longer ones sort later.
fn signed(key: &mut Vec<u8>, value: i64) {
    let magnitude = if value < 0 { !value } else { value };
    let bits = 64 - magnitude.leading_zeros() as usize;
    let length = bits / 7 + 1;
    // The header's bits: as many ones as there are bytes, then a zero, turned round where the number is negative.
    let header = u128::MAX << (80 - length) & ((1 << 80) - 1);
    let extended = i128::from(value) as u128 & ((1 << 80) - 1);
    let shifted = extended << (80 - 8 * length) & ((1 << 80) - 1);
    let encoded = (shifted ^ header).to_be_bytes();
    key.extend(&encoded[6..6 + length]);
}

/// Elements of a box, unless they are too many to count.
pub(super) fn volume(ranges: &[Range<usize>]) -> Option<usize> {
    let lengths = ranges.iter().map(ExactSizeIterator::len);
    lengths.into_iter().try_fold(1, usize::checked_mul)
}

/// A tensor of slices and their numbers in row-major order, each as many as its slice has elements. Every element must
/// be in exactly one of them. A single slice's numbers are not copied.
pub(super) fn join(
    shape: Vec<usize>,
    element_type: ElementType,
    mut slices: Vec<(Vec<Range<usize>>, Bytes)>,
) -> Result<Tensor, String> {
    let size = element_type.size();
    let elements = shape.iter().try_fold(1, |n, &d| usize::checked_mul(n, d));
    let found = slices
        .iter()
        .try_fold(0, |n, (ranges, _)| usize::checked_add(n, volume(ranges)?));
    if elements.is_none() || elements != found {
        let text = |n: Option<usize>| n.map_or("uncountably many".into(), |n: usize| n.to_string());
        return Err(format!(
            "expected slices of {} elements in all, found {}",
            text(elements),
            text(found)
        ));
    }
    if slices.len() == 1
        && let Some((_, numbers)) = slices.pop()
    {
        return Tensor::contiguous(numbers, element_type, shape).map_err(|e| e.to_string());
    }
    // The slices' own bytes are as many, so this is no more than the file holds.
    let mut whole = vec![0; slices.iter().map(|(_, numbers)| numbers.len()).sum()];
    let mut covered = vec![false; whole.len() / size];
    for (ranges, numbers) in &slices {
        let Some((columns, outer)) = ranges.split_last() else {
            return Err("expected one slice of a single number, found several".into());
        };
        let mut index: Vec<usize> = outer.iter().map(|range| range.start).collect();
        for row in numbers.chunks_exact((columns.len() * size).max(1)) {
            let above = index.iter().zip(&shape);
            let first = above.fold(0, |place, (i, dimension)| place * dimension + i);
            let place = first * shape[outer.len()] + columns.start;
            let cells = &mut covered[place..place + columns.len()];
            if cells.contains(&true) {
                return Err(format!(
                    "two slices hold the element {index:?}, {columns:?}"
                ));
            }
            cells.fill(true);
            whole[place * size..][..row.len()].copy_from_slice(row);
            // Counts up the outer indices, the last fastest.
            for axis in (0..outer.len()).rev() {
                index[axis] += 1;
                if index[axis] < outer[axis].end {
                    break;
                }
                index[axis] = outer[axis].start;
            }
        }
    }
    Tensor::contiguous(whole.into(), element_type, shape).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_those_of_tensorflows_ordered_code() {
        let of = |value| {
            let mut key = vec![];
            signed(&mut key, value);
            key
        };
        // From the description of the encoding: length in unary, then the number; negative ones turned round.
        for (value, expected) in [
            (0, &[0x80][..]),
            (-1, &[0x7f]),
            (63, &[0xbf]),
            (-64, &[0x40]),
            (64, &[0xc0, 0x40]),
            (-65, &[0x3f, 0xbf]),
            (8191, &[0xdf, 0xff]),
            (8192, &[0xe0, 0x20, 0x00]),
            (1 << 20, &[0xf0, 0x10, 0x00, 0x00]),
            (
                i64::MAX,
                &[0xff, 0xc0, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            ),
            (i64::MIN, &[0x00, 0x3f, 0x80, 0, 0, 0, 0, 0, 0, 0]),
        ] {
            assert_eq!(of(value), expected, "{value}");
        }
        let numbers: Vec<i64> = (0..63).flat_map(|bit| [1 << bit, (1 << bit) - 1]).collect();
        let mut numbers: Vec<i64> = numbers.iter().flat_map(|&n| [n, -n - 1]).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert!(numbers.windows(2).all(|pair| of(pair[0]) < of(pair[1])));
        let nameless = TensorSliceProto { extent: vec![] };
        assert_eq!(nameless.key("a\0"), [0, b'a', 0, 0xff, 0, 1, 0]);
    }
}
