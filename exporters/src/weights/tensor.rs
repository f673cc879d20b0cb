//! One tensor: a view into bytes of its own or of a mapped file, read as float32 when it is needed.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;

/// How a tensor's numbers are stored; little-endian throughout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names say it")]
pub enum ElementType {
    Float16,
    BFloat16,
    Float32,
    Float64,
    Bool,
    Uint8,
    Int8,
    Int16,
    Int32,
    Int64,
}

impl ElementType {
    /// Bytes of one number.
    pub fn size(self) -> usize {
        match self {
            Self::Bool | Self::Uint8 | Self::Int8 => 1,
            Self::Float16 | Self::BFloat16 | Self::Int16 => 2,
            Self::Float32 | Self::Int32 => 4,
            Self::Float64 | Self::Int64 => 8,
        }
    }

    /// Whether it can hold weights.
    pub fn is_floating(self) -> bool {
        matches!(
            self,
            Self::Float16 | Self::BFloat16 | Self::Float32 | Self::Float64
        )
    }
}

impl fmt::Display for ElementType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Float16 => "float16",
            Self::BFloat16 => "bfloat16",
            Self::Float32 => "float32",
            Self::Float64 => "float64",
            Self::Bool => "bool",
            Self::Uint8 => "uint8",
            Self::Int8 => "int8",
            Self::Int16 => "int16",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
        })
    }
}

/// A view that its bytes do not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TensorError {
    /// The view reaches beyond the bytes, or its size overflows.
    #[error("shape {shape:?} needs {expected} bytes from byte {offset}, found {found}")]
    OutOfBounds {
        /// The dimensions.
        shape: Vec<usize>,
        /// Where its first number lies.
        offset: usize,
        /// Bytes it needs, in words where they overflow.
        expected: String,
        /// Bytes there are in all.
        found: usize,
    },
    /// Strides are not as many as dimensions, or axes not a permutation of them.
    #[error("shape {shape:?}: expected {expected}, found {found:?}")]
    Axes {
        /// The dimensions.
        shape: Vec<usize>,
        /// What was expected.
        expected: &'static str,
        /// The strides, axes, range or shape given.
        found: Vec<usize>,
    },
}

impl fmt::Debug for Tensor {
    /// What it is, not its numbers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tensor({} {:?})", self.element_type, self.shape)
    }
}

/// Numbers that repeat (stride 0) may stand for so many at most: they have no bytes that would bound them.
const MOST_REPEATED: usize = 1 << 26;

/// A tensor: shape, and numbers that lie in row-major order or at other strides. Cloning, turning and slicing share the bytes.
#[derive(Clone)]
pub struct Tensor {
    bytes: Bytes,
    element_type: ElementType,
    shape: Vec<usize>,
    /// In numbers, one for each dimension.
    strides: Vec<usize>,
    /// Of the first number, in bytes.
    offset: usize,
}

/// Lets [`Bytes`] own float32 values: their memory stays aligned.
struct Values(Vec<f32>);

impl AsRef<[u8]> for Values {
    fn as_ref(&self) -> &[u8] {
        little_endian(&self.0)
    }
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
            strides: row_major(&shape),
            bytes: Bytes::from_owner(Values(values)),
            element_type: ElementType::Float32,
            shape,
            offset: 0,
        }
    }

    /// A tensor whose numbers lie one after the other, from the beginning of `bytes`.
    ///
    /// # Errors
    /// [`TensorError::OutOfBounds`] unless the bytes are exactly as many as the shape needs.
    pub fn contiguous(
        bytes: Bytes,
        element_type: ElementType,
        shape: Vec<usize>,
    ) -> Result<Self, TensorError> {
        let needed = shape
            .iter()
            .try_fold(element_type.size(), |n, &size| n.checked_mul(size));
        if needed != Some(bytes.len()) {
            return Err(out_of_bounds(&shape, 0, needed, bytes.len()));
        }
        let strides = row_major(&shape);
        Self::strided(bytes, element_type, shape, strides, 0)
    }

    /// A tensor whose numbers lie at these strides (counted in numbers) from byte `offset` on.
    ///
    /// # Errors
    /// [`TensorError`] where the view reaches beyond the bytes, or stands for far more numbers than there are.
    pub fn strided(
        bytes: Bytes,
        element_type: ElementType,
        shape: Vec<usize>,
        strides: Vec<usize>,
        offset: usize,
    ) -> Result<Self, TensorError> {
        if strides.len() != shape.len() {
            let expected = "a stride for each dimension";
            let found = strides;
            return Err(TensorError::Axes {
                shape,
                expected,
                found,
            });
        }
        let size = element_type.size();
        let elements = shape.iter().try_fold(1_usize, |n, &d| n.checked_mul(d));
        let end = match elements {
            Some(0) => Some(offset),
            _ => shape
                .iter()
                .zip(&strides)
                .try_fold(0_usize, |last, (&dimension, &stride)| {
                    last.checked_add((dimension - 1).checked_mul(stride)?)
                })
                .and_then(|last| last.checked_add(1)?.checked_mul(size)?.checked_add(offset)),
        };
        let repeats = elements
            .is_some_and(|n| n > MOST_REPEATED.max((bytes.len() - offset.min(bytes.len())) / size));
        match end {
            Some(end) if end <= bytes.len() && elements.is_some() && !repeats => Ok(Self {
                bytes,
                element_type,
                shape,
                strides,
                offset,
            }),
            _ => {
                let needed = elements.and_then(|n| n.checked_mul(size));
                let needed = needed.max(end.and_then(|end| end.checked_sub(offset)));
                Err(out_of_bounds(&shape, offset, needed, bytes.len()))
            }
        }
    }

    /// The dimensions.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// How its numbers are stored.
    pub fn element_type(&self) -> ElementType {
        self.element_type
    }

    /// Numbers in the tensor.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// The same numbers with the axes in another order: axis `i` of the result is axis `axes[i]` of this one.
    ///
    /// # Errors
    /// [`TensorError::Axes`] unless `axes` names each axis once.
    pub fn permuted(&self, axes: &[usize]) -> Result<Self, TensorError> {
        let mut sorted = axes.to_vec();
        sorted.sort_unstable();
        if sorted.iter().copied().ne(0..self.shape.len()) {
            return Err(TensorError::Axes {
                shape: self.shape.clone(),
                expected: "each axis once",
                found: axes.to_vec(),
            });
        }
        let mut turned = self.clone();
        turned.shape = axes.iter().map(|&axis| self.shape[axis]).collect();
        turned.strides = axes.iter().map(|&axis| self.strides[axis]).collect();
        Ok(turned)
    }

    /// The part `from..to` along one axis.
    ///
    /// # Errors
    /// [`TensorError::Axes`] where there is no such axis or part.
    pub fn sliced(&self, axis: usize, from: usize, to: usize) -> Result<Self, TensorError> {
        if axis >= self.shape.len() || from > to || to > self.shape[axis] {
            return Err(TensorError::Axes {
                shape: self.shape.clone(),
                expected: "an axis and a part of it",
                found: vec![axis, from, to],
            });
        }
        let mut part = self.clone();
        part.shape[axis] = to - from;
        part.offset += from * self.strides[axis] * self.element_type.size();
        Ok(part)
    }

    /// The same numbers without one axis of length 1: `[2048, 1000, 1]` without axis 2 is `[2048, 1000]`.
    ///
    /// # Errors
    /// [`TensorError::Axes`] where there is no such axis or it is longer.
    pub fn without_axis(&self, axis: usize) -> Result<Self, TensorError> {
        if self.shape.get(axis) != Some(&1) {
            return Err(TensorError::Axes {
                shape: self.shape.clone(),
                expected: "an axis of length 1",
                found: vec![axis],
            });
        }
        let mut without = self.clone();
        without.shape.remove(axis);
        without.strides.remove(axis);
        Ok(without)
    }

    /// The values as float32 in row-major order; borrowed where they lie so already.
    pub fn values(&self) -> Cow<'_, [f32]> {
        if let Some(bytes) = self.float32_bytes() {
            if let Ok(values) = bytemuck::try_cast_slice(bytes) {
                return Cow::Borrowed(values);
            }
            let words = bytes.as_chunks::<4>().0.iter();
            return Cow::Owned(words.map(|&word| f32::from_le_bytes(word)).collect());
        }
        Cow::Owned(match self.element_type {
            ElementType::Float16 => self.gather(|b| half::f16::from_le_bytes(b).to_f32()),
            ElementType::BFloat16 => self.gather(|b| half::bf16::from_le_bytes(b).to_f32()),
            ElementType::Float32 => self.gather(f32::from_le_bytes),
            ElementType::Float64 => self.gather(|b| f64::from_le_bytes(b) as f32),
            ElementType::Bool => self.gather(|[b]: [u8; 1]| f32::from(u8::from(b != 0))),
            ElementType::Uint8 => self.gather(|[b]: [u8; 1]| f32::from(b)),
            ElementType::Int8 => self.gather(|b| f32::from(i8::from_le_bytes(b))),
            ElementType::Int16 => self.gather(|b| f32::from(i16::from_le_bytes(b))),
            ElementType::Int32 => self.gather(|b| i32::from_le_bytes(b) as f32),
            ElementType::Int64 => self.gather(|b| i64::from_le_bytes(b) as f32),
        })
    }

    /// How many of the values are NaN or infinite as float32. They are read in the order in which they lie.
    pub fn not_finite(&self) -> usize {
        let mut axes: Vec<usize> = (0..self.shape.len()).collect();
        axes.sort_by_key(|&axis| std::cmp::Reverse(self.strides[axis]));
        let mut lying = self.clone();
        let mut repeats = 1;
        lying.strides = axes.iter().map(|&axis| self.strides[axis]).collect();
        lying.shape = axes
            .iter()
            .map(|&axis| match self.strides[axis] {
                // The same numbers again.
                0 => {
                    repeats *= self.shape[axis];
                    self.shape[axis].min(1)
                }
                _ => self.shape[axis],
            })
            .collect();
        let values = lying.values();
        repeats * values.iter().filter(|value| !value.is_finite()).count()
    }

    /// The values as float32 in little-endian bytes, row-major; borrowed where they lie so already.
    pub fn bytes(&self) -> Cow<'_, [u8]> {
        match self.float32_bytes() {
            Some(bytes) => Cow::Borrowed(bytes),
            None => Cow::Owned(little_endian(&self.values()).to_vec()),
        }
    }

    /// The bytes themselves, where they hold float32 in row-major order.
    fn float32_bytes(&self) -> Option<&[u8]> {
        let as_is = self.element_type == ElementType::Float32 && self.is_row_major();
        // The constructors have checked the bounds.
        as_is.then(|| &self.bytes[self.offset..][..self.elements() * 4])
    }

    fn is_row_major(&self) -> bool {
        // The stride of a dimension of length 1 is never taken.
        let plain = row_major(&self.shape);
        let taken = self.shape.iter().zip(plain.iter().zip(&self.strides));
        self.elements() == 0 || taken.into_iter().all(|(&size, (a, b))| size == 1 || a == b)
    }

    /// Every number in row-major order, wherever it lies.
    fn gather<const N: usize>(&self, value: impl Fn([u8; N]) -> f32) -> Vec<f32> {
        let mut values = Vec::with_capacity(self.elements());
        let bytes = &self.bytes[self.offset.min(self.bytes.len())..];
        let number = |place: usize| {
            // The constructors have checked the bounds.
            bytes[place * N..]
                .first_chunk()
                .map_or(f32::NAN, |&b| value(b))
        };
        let Some((&columns, outer)) = self.shape.split_last() else {
            return vec![number(0)];
        };
        if self.elements() == 0 {
            return values;
        }
        let step = self.strides[outer.len()];
        let mut index = vec![0; outer.len()];
        loop {
            let row: usize = index.iter().zip(&self.strides).map(|(i, s)| i * s).sum();
            values.extend((0..columns).map(|column| number(row + column * step)));
            // Counts up the outer indices, the last fastest.
            let Some(axis) = (0..outer.len())
                .rev()
                .find(|&axis| index[axis] + 1 < outer[axis])
            else {
                return values;
            };
            index[axis] += 1;
            index[axis + 1..].fill(0);
        }
    }
}

fn out_of_bounds(
    shape: &[usize],
    offset: usize,
    needed: Option<usize>,
    found: usize,
) -> TensorError {
    TensorError::OutOfBounds {
        shape: shape.to_vec(),
        offset,
        expected: needed.map_or_else(|| "more than can be counted".into(), |n| n.to_string()),
        found,
    }
}

/// Strides of numbers that lie one after the other, the last axis fastest.
pub(crate) fn row_major(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1_usize; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis].saturating_mul(shape[axis].max(1));
    }
    strides
}

/// float32 values as little-endian bytes.
pub(crate) fn little_endian(values: &[f32]) -> &[u8] {
    const {
        assert!(
            cfg!(target_endian = "little"),
            "written for little-endian machines"
        )
    };
    bytemuck::cast_slice(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(shape: &[usize]) -> Tensor {
        let values = (0..shape.iter().product())
            .map(|n: usize| n as f32)
            .collect();
        Tensor::owned(shape.to_vec(), values)
    }

    #[test]
    fn turned_and_sliced_share_the_bytes() {
        let tensor = counted(&[2, 3, 1]);
        let turned = tensor.permuted(&[1, 2, 0]).unwrap();
        assert_eq!(turned.shape(), [3, 1, 2]);
        assert_eq!(*turned.values(), [0., 3., 1., 4., 2., 5.]);
        let part = turned.sliced(0, 1, 3).unwrap();
        assert_eq!(*part.values(), [1., 4., 2., 5.]);
        assert_eq!(part.shape(), [2, 1, 2]);
        let matrix = part.without_axis(1).unwrap();
        assert_eq!(matrix.shape(), [2, 2]);
        assert_eq!(*matrix.values(), [1., 4., 2., 5.]);
        let flat = tensor.without_axis(2).unwrap();
        assert!(matches!(flat.values(), Cow::Borrowed(_)));
        assert!(tensor.without_axis(0).is_err());
        assert!(tensor.without_axis(3).is_err());
        assert!(tensor.permuted(&[0, 0, 1]).is_err());
        assert!(tensor.sliced(0, 1, 3).is_err());
        assert!(tensor.sliced(3, 0, 0).is_err());
    }

    #[test]
    fn what_is_not_finite_is_counted_wherever_it_lies() {
        let mut values = vec![0.5; 24];
        values[5] = f32::NAN;
        values[23] = f32::INFINITY;
        let tensor = Tensor::owned(vec![2, 3, 4], values);
        assert_eq!(tensor.not_finite(), 2);
        assert_eq!(tensor.permuted(&[2, 0, 1]).unwrap().not_finite(), 2);
        assert_eq!(tensor.sliced(2, 2, 4).unwrap().not_finite(), 1);
        let nan = Bytes::copy_from_slice(&f32::NAN.to_le_bytes());
        let repeated = |shape: &[usize], strides: &[usize]| {
            let float = ElementType::Float32;
            Tensor::strided(nan.clone(), float, shape.into(), strides.into(), 0).unwrap()
        };
        assert_eq!(repeated(&[2, 3], &[0, 0]).not_finite(), 6);
        assert_eq!(repeated(&[2, 0], &[0, 0]).not_finite(), 0);
        assert_eq!(repeated(&[], &[]).not_finite(), 1);
    }

    #[test]
    fn numbers_of_every_type_become_float32() {
        let of = |element, bytes: &'static [u8]| {
            let count = bytes.len() / ElementType::size(element);
            let tensor = Tensor::contiguous(Bytes::from_static(bytes), element, vec![count]);
            tensor.unwrap().values().into_owned()
        };
        assert_eq!(of(ElementType::Float16, &[0, 0x3c, 0, 0xc0]), [1.0, -2.0]);
        assert_eq!(of(ElementType::BFloat16, &[0x80, 0x3f]), [1.0]);
        assert_eq!(
            of(
                ElementType::Int64,
                &[254, 255, 255, 255, 255, 255, 255, 255]
            ),
            [-2.0]
        );
        assert_eq!(of(ElementType::Bool, &[0, 1]), [0.0, 1.0]);
        assert_eq!(of(ElementType::Int8, &[255]), [-1.0]);
    }

    #[test]
    fn a_view_beyond_its_bytes_is_refused_with_numbers() {
        let bytes = Bytes::from_static(&[0; 16]);
        let view = |shape: &[usize], strides: &[usize], offset| {
            let float = ElementType::Float32;
            Tensor::strided(bytes.clone(), float, shape.into(), strides.into(), offset)
        };
        assert!(view(&[2, 2], &[2, 1], 0).is_ok());
        assert!(view(&[2, 2], &[0, 1], 8).is_ok(), "rows that repeat");
        assert!(view(&[0, 9], &[9, 1], 16).is_ok(), "nothing needs nothing");
        assert_eq!(
            view(&[2, 2], &[2, 1], 4).unwrap_err().to_string(),
            "shape [2, 2] needs 16 bytes from byte 4, found 16"
        );
        for (shape, strides, offset) in [
            (vec![usize::MAX, 2], vec![1, 1], 0),
            (vec![2], vec![usize::MAX], 0),
            (vec![1 << 40], vec![0], 0),
            (vec![1], vec![1], usize::MAX),
            (vec![0], vec![1], 17),
            (vec![2], vec![], 0),
        ] {
            assert!(
                view(&shape, &strides, offset).is_err(),
                "{shape:?} {strides:?} {offset}"
            );
        }
        let short = Tensor::contiguous(bytes.clone(), ElementType::Float64, vec![3]);
        assert!(short.is_err());
        assert!(
            Tensor::contiguous(bytes, ElementType::Float32, vec![3]).is_err(),
            "bytes left over"
        );
    }
}
