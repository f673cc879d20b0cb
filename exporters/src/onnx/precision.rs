//! Half precision, as a pass over the finished graph: the element types of tensors and values, and Cast nodes at the
//! borders.
//!
//! What is computed in half precision is what reads a convolution's or linear layer's value. So whatever prepares the image
//! stays as it was, and sums over whole grids and exponentials (global average pool, softmax, norms) are computed in
//! float32. A value's own name always holds the value in the precision it is computed in; a Cast's is
//! `<value>/float16`, `<value>/bfloat16` or `<value>/float32`. A graph's outputs keep their names and are float32 unless
//! half precision was asked for.
//!
//! float16 is computed by the operators themselves. For bfloat16 most runtimes have kernels on accelerators only: unless
//! [`PrecisionOptions::native_bfloat16`] is set, each operator is computed in float32 on values that were rounded to
//! bfloat16, and its result is rounded to bfloat16, which is what such an accelerator computes.

mod convert;

pub(super) use convert::{Stored, convert};

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::rounding::Rounding;
use super::{BatchNorm, ExportError, OLDEST_OPSET};
use crate::weights::ElementType;

/// What weights are stored and layers computed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// float32.
    #[default]
    Fp32,
    /// float16: 11 bits of each number, up to 65504.
    Fp16,
    /// bfloat16: 8 bits of each number, and float32's range.
    Bf16,
}

impl Precision {
    fn name(self) -> &'static str {
        match self {
            Self::Fp32 => "fp32",
            Self::Fp16 => "fp16",
            Self::Bf16 => "bf16",
        }
    }

    /// The type weights are stored in.
    pub fn element_type(self) -> ElementType {
        match self {
            Self::Fp32 => ElementType::Float32,
            Self::Fp16 => ElementType::Float16,
            Self::Bf16 => ElementType::BFloat16,
        }
    }

    /// The largest number of that type.
    pub fn largest(self) -> f64 {
        match self {
            Self::Fp32 => f32::MAX.into(),
            Self::Fp16 => half::f16::MAX.to_f64(),
            Self::Bf16 => half::bf16::MAX.to_f64(),
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Precision {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = |precision: &Self| precision.name() == text;
        let all = [Self::Fp32, Self::Fp16, Self::Bf16];
        let found = all.into_iter().find(named);
        found.ok_or_else(|| format!("expected fp32, fp16 or bf16, found `{text}`"))
    }
}

/// What can be chosen about the precision of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PrecisionOptions {
    /// Of weights and layers.
    pub precision: Precision,
    /// The image and the outputs in the same precision, rather than in float32.
    pub half_inputs_outputs: bool,
    /// With bf16, operators on bfloat16 itself, rather than on float32 values rounded to bfloat16.
    pub native_bfloat16: bool,
    /// Numbers beyond the largest are stored as the largest, and counted; otherwise they are an error.
    pub allow_clamp: bool,
}

impl PrecisionOptions {
    /// The oldest operator set that has what these options need, and what needs it.
    ///
    /// bfloat16 came to Conv, MaxPool, AveragePool and GlobalAveragePool with operator set 22; BatchNormalization takes
    /// factors and statistics of another type than the value since 15.
    pub fn oldest_opset(&self, batch_norm: BatchNorm) -> (u32, &'static str) {
        let half = self.precision == Precision::Fp16;
        if self.precision == Precision::Bf16 && self.native_bfloat16 {
            (22, "bfloat16 in convolutions and pools")
        } else if half && batch_norm == BatchNorm::Kept {
            (
                15,
                "batch normalisation of float16 values with float32 statistics",
            )
        } else {
            (OLDEST_OPSET, "")
        }
    }

    pub(super) fn check(&self, opset: u32, batch_norm: BatchNorm) -> Result<(), ExportError> {
        let (needed, what) = self.oldest_opset(batch_norm);
        if opset < needed {
            let found = opset;
            return Err(ExportError::OpsetTooOld {
                found,
                what,
                needed,
            });
        }
        Ok(())
    }

    /// The type a value of the graph's interface has.
    fn interface(&self) -> ElementType {
        if self.half_inputs_outputs {
            self.precision.element_type()
        } else {
            ElementType::Float32
        }
    }
}

/// What rounding to half precision did to one tensor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TensorRounding {
    /// Its name in the file.
    pub name: String,
    /// Numbers in it.
    pub elements: u64,
    /// Numbers beyond the largest of the type: stored as the largest.
    pub clamped: u64,
    /// Numbers other than 0 that became 0.
    pub underflows: u64,
    /// Numbers below the smallest normal one that lost bits, and did not become 0.
    pub subnormals: u64,
    /// The largest magnitude before rounding.
    pub largest: f64,
    /// The largest change of a number that was not clamped.
    pub largest_change: f64,
}

impl TensorRounding {
    pub(super) fn new(name: &str, elements: u64, rounding: &Rounding) -> Self {
        Self {
            name: name.into(),
            elements,
            clamped: rounding.overflows,
            underflows: rounding.zeros,
            subnormals: rounding.subnormals,
            largest: rounding.largest,
            largest_change: rounding.largest_change,
        }
    }

    /// Whether more was lost than the last bits.
    pub fn lost(&self) -> bool {
        self.clamped + self.underflows + self.subnormals > 0
    }
}

/// What converting a network's weights to half precision did to each tensor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PrecisionReport {
    /// `incept.precision/1`.
    pub schema: String,
    /// What the tensors were rounded to.
    pub precision: Precision,
    /// Numbers rounded.
    pub elements: u64,
    /// Sum over the tensors.
    pub clamped: u64,
    /// Sum over the tensors.
    pub underflows: u64,
    /// Sum over the tensors.
    pub subnormals: u64,
    /// Every tensor stored in that precision, in the order of the file.
    pub tensors: Vec<TensorRounding>,
}

impl PrecisionReport {
    pub(super) fn new(precision: Precision, tensors: Vec<TensorRounding>) -> Self {
        let sum = |of: fn(&TensorRounding) -> u64| tensors.iter().map(of).sum();
        Self {
            schema: "incept.precision/1".into(),
            precision,
            elements: sum(|tensor| tensor.elements),
            clamped: sum(|tensor| tensor.clamped),
            underflows: sum(|tensor| tensor.underflows),
            subnormals: sum(|tensor| tensor.subnormals),
            tensors,
        }
    }

    /// The tensors that lost more than the last bits, those that lost most first: clamped, then underflows, then
    /// subnormals, each as a share of the tensor's numbers.
    pub fn worst(&self) -> Vec<&TensorRounding> {
        let mut lost: Vec<&TensorRounding> = self.tensors.iter().filter(|t| t.lost()).collect();
        let share = |count: u64, tensor: &TensorRounding| count as f64 / tensor.elements as f64;
        let key = |t: &TensorRounding| [t.clamped, t.underflows, t.subnormals].map(|n| share(n, t));
        lost.sort_by(|a, b| {
            key(b)
                .partial_cmp(&key(a))
                .unwrap_or(std::cmp::Ordering::Equal)
        });
        lost
    }
}
