//! Precision, as a pass over the finished graph: the element types of tensors and values, and Cast nodes at the borders.
//! Each block may have its own, as a plan says.
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
//!
//! int8 is of weights only: `<weight>` holds whole numbers from -127 to 127, `<weight>/scale` what each filter's are
//! multiplied with, and DequantizeLinear makes `<weight>/float32` of them, which is computed with in float32.

mod convert;

pub(super) use convert::{Stored, convert};

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::rounding::Rounding;
use super::{BatchNorm, ExportError, OLDEST_OPSET};
use crate::net::Net;
use crate::text::nearest;
use crate::weights::ElementType;

/// What weights are stored and layers computed in.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// float32.
    #[default]
    Fp32,
    /// float16: 11 bits of each number, up to 65504.
    Fp16,
    /// bfloat16: 8 bits of each number, and float32's range.
    Bf16,
    /// Weights as whole numbers of 8 bits, with a scale for each filter; computed in float32.
    Int8,
}

impl Precision {
    /// Every precision there is.
    pub const ALL: [Self; 4] = [Self::Fp32, Self::Fp16, Self::Bf16, Self::Int8];

    fn name(self) -> &'static str {
        match self {
            Self::Fp32 => "fp32",
            Self::Fp16 => "fp16",
            Self::Bf16 => "bf16",
            Self::Int8 => "int8",
        }
    }

    /// Whether layers are computed in 16 bits.
    pub fn is_half(self) -> bool {
        matches!(self, Self::Fp16 | Self::Bf16)
    }

    /// The type weights are stored in.
    pub fn element_type(self) -> ElementType {
        match self {
            Self::Fp32 => ElementType::Float32,
            Self::Fp16 => ElementType::Float16,
            Self::Bf16 => ElementType::BFloat16,
            Self::Int8 => ElementType::Int8,
        }
    }

    /// The precision of a tensor stored as this type; none where no precision stores its weights so.
    pub(super) fn of(element_type: ElementType) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|precision| precision.element_type() == element_type)
    }

    /// The largest number that can be stored.
    pub fn largest(self) -> f64 {
        match self {
            // A filter's scale is a float32.
            Self::Fp32 | Self::Int8 => f32::MAX.into(),
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
        let found = Self::ALL.into_iter().find(named);
        found.ok_or_else(|| format!("expected fp32, fp16, bf16 or int8, found `{text}`"))
    }
}

/// What can be chosen about the precision of a file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PrecisionOptions {
    /// Of the weights and layers of every block that `blocks` does not name.
    pub precision: Precision,
    /// Of these blocks, see [`Net::blocks`].
    pub blocks: BTreeMap<String, Precision>,
    /// The image and the outputs in the same precision, rather than in float32.
    pub half_inputs_outputs: bool,
    /// In bf16, operators on bfloat16 itself, rather than on float32 values rounded to bfloat16.
    pub native_bfloat16: bool,
    /// In fp16, operators on float32 values rounded to float16, as in bf16, rather than on float16 itself: then the file is
    /// computed as by an accelerator in every runtime, also in one that keeps more bits than the file says.
    pub emulated_float16: bool,
    /// Numbers beyond the largest are stored as the largest, and counted; otherwise they are an error.
    pub allow_clamp: bool,
}

impl PrecisionOptions {
    /// One precision throughout.
    pub fn throughout(precision: Precision) -> Self {
        Self {
            precision,
            ..Self::default()
        }
    }

    /// The precision of a block.
    pub fn of_block(&self, block: &str) -> Precision {
        self.blocks.get(block).copied().unwrap_or(self.precision)
    }

    /// Whether any block may be of a precision.
    pub fn any(&self, of: impl Fn(Precision) -> bool) -> bool {
        of(self.precision) || self.blocks.values().copied().any(of)
    }

    /// The oldest operator set that has what these options need, and what needs it.
    ///
    /// bfloat16 came to Conv, MaxPool, AveragePool and GlobalAveragePool with operator set 22; BatchNormalization takes
    /// factors and statistics of another type than the value since 15.
    pub fn oldest_opset(&self, batch_norm: BatchNorm) -> (u32, &'static str) {
        let half = self.any(|precision| precision == Precision::Fp16);
        let brain = self.any(|precision| precision == Precision::Bf16);
        if brain && self.native_bfloat16 {
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

    pub(super) fn check(
        &self,
        net: &Net,
        opset: u32,
        batch_norm: BatchNorm,
    ) -> Result<(), ExportError> {
        let blocks = net.blocks();
        let unknown = |name: &&String| !blocks.contains(&name.as_str());
        if let Some(name) = self.blocks.keys().find(unknown) {
            return Err(ExportError::MissingBlock {
                network: format!("{} ({})", net.name(), net.variant()),
                found: name.clone(),
                nearest: nearest(name, blocks.iter().copied()).map(str::to_owned),
                blocks: blocks.iter().map(|block| (*block).to_owned()).collect(),
            });
        }
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
        if self.half_inputs_outputs && self.precision.is_half() {
            self.precision.element_type()
        } else {
            ElementType::Float32
        }
    }
}

/// What rounding did to one tensor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TensorRounding {
    /// Its name in the file.
    pub name: String,
    /// What its numbers were rounded to.
    pub precision: Precision,
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
    pub(super) fn new(
        name: &str,
        precision: Precision,
        elements: u64,
        rounding: &Rounding,
    ) -> Self {
        Self {
            name: name.into(),
            precision,
            elements,
            clamped: rounding.overflows,
            underflows: rounding.zeros,
            subnormals: rounding.subnormals,
            largest: rounding.largest,
            largest_change: rounding.largest_change,
        }
    }

    /// Whether more was lost than the last bits. That a small weight becomes 0 is what whole numbers of 8 bits are like.
    pub fn lost(&self) -> bool {
        let underflows = match self.precision {
            Precision::Int8 => 0,
            _ => self.underflows,
        };
        self.clamped + underflows + self.subnormals > 0
    }
}

/// What rounding a network's weights did to each tensor that is not stored as float32.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PrecisionReport {
    /// `incept.precision/2`.
    pub schema: String,
    /// Numbers rounded.
    pub elements: u64,
    /// Sum over the tensors.
    pub clamped: u64,
    /// Sum over the tensors.
    pub underflows: u64,
    /// Sum over the tensors.
    pub subnormals: u64,
    /// Every such tensor, in the order of the file.
    pub tensors: Vec<TensorRounding>,
}

impl PrecisionReport {
    pub(super) fn new(tensors: Vec<TensorRounding>) -> Self {
        let sum = |of: fn(&TensorRounding) -> u64| tensors.iter().map(of).sum();
        Self {
            schema: "incept.precision/2".into(),
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
