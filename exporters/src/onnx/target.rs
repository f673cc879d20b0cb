//! The runtime a file is for: what is safe there, and what is refused. `docs/onnx.md` gives the source of each entry.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use super::{
    Batch, DEFAULT_OPSET, ExportError, ExportOptions, ImageSize, Input, NEWEST_OPSET, OLDEST_OPSET,
};

/// A runtime to choose safe settings for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// ONNX Runtime.
    OnnxRuntime,
    /// TensorRT, by its own parser or through ONNX Runtime.
    TensorRt,
    /// OpenVINO.
    OpenVino,
    /// tract.
    Tract,
    /// rten.
    Rten,
    /// Core ML, through ONNX Runtime's execution provider.
    CoreMl,
    /// ONNX Runtime Web: WebAssembly, WebGPU, WebNN.
    Web,
}

/// What a runtime takes, and what is chosen where the user left it open.
struct Limits {
    name: &'static str,
    opsets: RangeInclusive<u32>,
    batch: Batch,
    /// Why a batch or an image size must be fixed, where it must.
    fixed: Option<&'static str>,
    /// Why the resize cannot be in the graph, where it cannot.
    no_resize: Option<&'static str>,
}

/// Everything incept writes is taken.
const NO_LIMITS: Limits = Limits {
    name: "onnxruntime",
    opsets: OLDEST_OPSET..=NEWEST_OPSET,
    batch: Batch::Dynamic,
    fixed: None,
    no_resize: None,
};

impl Target {
    /// Every target.
    pub const ALL: [Self; 7] = [
        Self::OnnxRuntime,
        Self::TensorRt,
        Self::OpenVino,
        Self::Tract,
        Self::Rten,
        Self::CoreMl,
        Self::Web,
    ];

    fn limits(self) -> Limits {
        match self {
            Self::OnnxRuntime => NO_LIMITS,
            Self::TensorRt => Limits {
                name: "tensorrt",
                opsets: OLDEST_OPSET..=25,
                batch: Batch::Fixed(1),
                no_resize: Some("its Resize is nearest or linear, and without antialias"),
                ..NO_LIMITS
            },
            Self::OpenVino => Limits {
                name: "openvino",
                no_resize: Some("it ignores Resize's antialias and gives other pixels"),
                ..NO_LIMITS
            },
            Self::Tract => Limits {
                name: "tract",
                no_resize: Some("its Resize needs a size that is known when the model is loaded"),
                ..NO_LIMITS
            },
            Self::Rten => Limits {
                name: "rten",
                no_resize: Some("its Resize has no antialias"),
                ..NO_LIMITS
            },
            Self::CoreMl => Limits {
                name: "coreml",
                batch: Batch::Fixed(1),
                fixed: Some("Core ML takes fixed shapes only"),
                no_resize: Some("Core ML takes fixed shapes only"),
                ..NO_LIMITS
            },
            Self::Web => Limits {
                name: "web",
                batch: Batch::Fixed(1),
                ..NO_LIMITS
            },
        }
    }

    /// Its name at the command line.
    pub fn name(self) -> &'static str {
        self.limits().name
    }

    /// `options` with the operator set and the batch that were asked for, or else those that are safe: for this target,
    /// or without one for any runtime. What was asked for stands, unless the target cannot take it.
    ///
    /// # Errors
    /// [`ExportError::Contradiction`] where the target cannot take what was asked for.
    pub fn settle(
        target: Option<Self>,
        opset: Option<u32>,
        batch: Option<Batch>,
        options: ExportOptions,
    ) -> Result<ExportOptions, ExportError> {
        let limits = target.map_or(NO_LIMITS, Self::limits);
        let (of_precision, _) = options.precision.oldest_opset(options.batch_norm);
        let oldest = options.input.oldest_opset().max(of_precision);
        let settled = ExportOptions {
            opset: opset.unwrap_or(DEFAULT_OPSET.max(oldest)),
            batch: batch.unwrap_or(limits.batch),
            ..options
        };
        let refused = |second: String, reason: &'static str| {
            Err(ExportError::Contradiction {
                first: format!("--target {}", limits.name),
                second,
                reason,
            })
        };
        // Without a target the range is the one that every export is checked for.
        if target.is_some() && !limits.opsets.contains(&settled.opset) {
            return refused(
                format!("--opset {}", settled.opset),
                "it takes other operator sets, see docs/onnx.md",
            );
        }
        match (limits.fixed, settled.batch, settled.image_size) {
            (Some(reason), Batch::Dynamic, _) => {
                return refused("--batch dynamic".into(), reason);
            }
            (Some(reason), _, ImageSize::Dynamic) => {
                return refused("--image-size dynamic".into(), reason);
            }
            _ => {}
        }
        match limits.no_resize {
            Some(reason) if settled.input == Input::ImageOfAnySize => {
                refused("--resize".into(), reason)
            }
            _ => Ok(settled),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = |target: &Self| target.name() == text;
        Self::ALL.into_iter().find(known).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("expected one of {names}, found `{text}`")
        })
    }
}
