//! ONNX Runtime's execution providers: how each is registered, so that it computes the whole model or is an error.

use ort::ep::{self, ExecutionProvider, ExecutionProviderDispatch};
use ort::session::builder::SessionBuilder;

use super::super::{LoadOptions, RuntimeError};
use super::library::{LIBRARY_VARIABLE, library};

/// An execution provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Provider {
    Cpu,
    Cuda,
    TensorRt,
    OpenVino,
}

impl Provider {
    /// ONNX Runtime's name for it, which its profile says too.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Cpu => "CPUExecutionProvider",
            Self::Cuda => "CUDAExecutionProvider",
            Self::TensorRt => "TensorrtExecutionProvider",
            Self::OpenVino => "OpenVINOExecutionProvider",
        }
    }

    /// Registers it, and forbids to fall back to the processor.
    ///
    /// # Errors
    /// [`RuntimeError::Missing`] where the library that was loaded has no such provider, or the provider finds no device.
    pub(super) fn register(
        self,
        runtime: &'static str,
        builder: SessionBuilder,
        options: LoadOptions,
    ) -> Result<SessionBuilder, RuntimeError> {
        let Some((available, provider)) = self.dispatch(options) else {
            return Ok(builder);
        };
        let missing = |reason| RuntimeError::Missing {
            runtime,
            reason,
            hint: self.hint(),
        };
        match available {
            Ok(true) => {}
            Ok(false) => {
                return Err(missing(format!(
                    "the library that was loaded, `{}`, was built without the {}",
                    library().display(),
                    self.name()
                )));
            }
            Err(error) => return Err(missing(error.to_string())),
        }
        builder
            .with_execution_providers([provider.error_on_failure()])
            .and_then(SessionBuilder::with_disable_cpu_fallback)
            .map_err(|error| missing(error.to_string()))
    }

    /// Whether the library has it, and how to ask for it; none for the processor, which is always there.
    fn dispatch(
        self,
        options: LoadOptions,
    ) -> Option<(ort::Result<bool>, ExecutionProviderDispatch)> {
        fn known<P>(provider: P) -> (ort::Result<bool>, ExecutionProviderDispatch)
        where
            P: ExecutionProvider + Into<ExecutionProviderDispatch>,
        {
            (P::is_available(), provider.into())
        }
        match self {
            Self::Cpu => None,
            Self::Cuda => Some(known(ep::CUDA::default().with_tf32(options.tf32))),
            Self::TensorRt => Some(known(ep::TensorRT::default())),
            Self::OpenVino => {
                // What it may compute in is said, or it takes bfloat16 where the processor has it.
                let provider = ep::OpenVINO::default()
                    .with_device_type("CPU")
                    .with_precision("FP32");
                Some(known(match options.threads {
                    Some(threads) => provider.with_num_threads(threads),
                    None => provider,
                }))
            }
        }
    }

    /// How to get it.
    fn hint(self) -> String {
        let library = match self {
            Self::Cpu => return String::new(),
            Self::Cuda => {
                "this needs an NVIDIA GPU, its driver, the libraries of CUDA and cuDNN, and onnxruntime-gpu's"
            }
            Self::TensorRt => {
                "this needs an NVIDIA GPU, its driver, the libraries of CUDA, cuDNN and TensorRT, and onnxruntime-gpu's"
            }
            Self::OpenVino => "this needs onnxruntime-openvino's",
        };
        format!(
            "{library} libonnxruntime.so, named by {LIBRARY_VARIABLE}; docs/runtimes.md says how to get it; use `--runtime ort` \
             for the CPU"
        )
    }
}
