//! One float32 tensor, in memory of its own or in a mapped file.

use std::borrow::Cow;
use std::sync::Arc;

use memmap2::Mmap;

/// A float32 tensor: a shape, and values in row-major order.
#[derive(Debug, Clone)]
pub struct Tensor {
    shape: Vec<usize>,
    storage: Storage,
}

#[derive(Debug, Clone)]
enum Storage {
    Owned(Vec<f32>),
    /// Little-endian float32 bytes of a mapped file, from `start`.
    Mapped {
        map: Arc<Mmap>,
        start: usize,
        end: usize,
    },
}

impl Tensor {
    /// A tensor of these values.
    ///
    /// # Panics
    /// If the values are not as many as the shape has elements; that is a mistake of the caller, not of a file.
    pub fn owned(shape: Vec<usize>, values: Vec<f32>) -> Self {
        assert_eq!(
            shape.iter().product::<usize>(),
            values.len(),
            "values for the shape {shape:?}"
        );
        Self {
            shape,
            storage: Storage::Owned(values),
        }
    }

    /// The caller has checked that the range lies in the map and holds the shape's elements.
    pub(super) fn mapped(shape: Vec<usize>, map: Arc<Mmap>, start: usize, end: usize) -> Self {
        Self {
            shape,
            storage: Storage::Mapped { map, start, end },
        }
    }

    /// The dimensions.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The values in row-major order; borrowed unless a mapped file holds them unaligned.
    pub fn values(&self) -> Cow<'_, [f32]> {
        match &self.storage {
            Storage::Owned(values) => Cow::Borrowed(values),
            Storage::Mapped { map, start, end } => {
                let bytes = &map[*start..*end];
                if cfg!(target_endian = "little")
                    && let Ok(values) = bytemuck::try_cast_slice(bytes)
                {
                    return Cow::Borrowed(values);
                }
                let word = |b: &[u8]| f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
                Cow::Owned(bytes.chunks_exact(4).map(word).collect())
            }
        }
    }

    /// The values as little-endian bytes.
    pub fn bytes(&self) -> Cow<'_, [u8]> {
        match &self.storage {
            Storage::Mapped { map, start, end } => Cow::Borrowed(&map[*start..*end]),
            Storage::Owned(values) => little_endian(values),
        }
    }
}

/// float32 values as little-endian bytes, without a copy where the machine has that order.
pub(crate) fn little_endian(values: &[f32]) -> Cow<'_, [u8]> {
    if cfg!(target_endian = "little") {
        Cow::Borrowed(bytemuck::cast_slice(values))
    } else {
        Cow::Owned(
            values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect(),
        )
    }
}
