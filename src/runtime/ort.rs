//! ONNX Runtime, on the CPU or through CUDA. Its library is loaded when first used.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use half::{bf16, f16};
use ndarray::ArrayD;
use ort::environment::Environment;
use ort::ep;
use ort::session::SessionInputValue;
use ort::session::builder::SessionBuilder;
use ort::value::{DynValue, Tensor, TensorElementType, TensorRef};

use super::{Images, LoadOptions, NamedOutput, Runtime, RuntimeError, Session};

/// The environment variable that names the library.
const LIBRARY_VARIABLE: &str = "ORT_DYLIB_PATH";

/// Where `scripts/setup.sh` puts it, from the checkout.
const LIBRARY: &str = ".runtime/onnxruntime/libonnxruntime.so";

/// ONNX Runtime with one of its execution providers.
pub(super) struct Ort {
    name: &'static str,
    device: &'static str,
    cuda: bool,
}

pub(super) const CPU: Ort = Ort {
    name: "ort",
    device: "CPU",
    cuda: false,
};
pub(super) const CUDA: Ort = Ort {
    name: "ort-cuda",
    device: "CUDA device 0",
    cuda: true,
};

/// The library's environment, or why there is none. Loading is tried once: `ort` panics, and aborts at exit, if any
/// other of its functions is the first to look for the library.
static ENVIRONMENT: OnceLock<Result<Environment, String>> = OnceLock::new();

fn environment(runtime: &'static str) -> Result<&'static Environment, RuntimeError> {
    let loaded = ENVIRONMENT.get_or_init(|| {
        let path = library();
        let builder = ort::init_from(&path).map_err(|error| error.to_string())?;
        builder
            .with_name("incept")
            .build()
            .map_err(|error| error.to_string())
    });
    loaded.as_ref().map_err(|reason| RuntimeError::Missing {
        runtime,
        reason: reason.clone(),
        hint: format!(
            "run ./scripts/setup.sh, or set {LIBRARY_VARIABLE} to a libonnxruntime.so of version 1.17 or later"
        ),
    })
}

/// The variable's path; else the library of the checkout that holds the program or the working directory; else the
/// system's.
fn library() -> PathBuf {
    if let Some(path) = env::var_os(LIBRARY_VARIABLE) {
        return path.into();
    }
    let program = env::current_exe().ok();
    let working = env::current_dir().ok();
    let starts = [program.as_deref(), working.as_deref()];
    let folders = starts.into_iter().flatten().flat_map(Path::ancestors);
    let mut libraries = folders.map(|folder| folder.join(LIBRARY));
    libraries
        .find(|path| path.is_file())
        .unwrap_or_else(|| "libonnxruntime.so".into())
}

impl Ort {
    fn builder(&self, options: LoadOptions) -> Result<SessionBuilder, RuntimeError> {
        let environment = environment(self.name)?;
        let failed = |reason: String| RuntimeError::Load {
            runtime: self.name,
            reason,
        };
        let mut builder =
            ort::session::Session::builder(environment).map_err(|e| failed(e.to_string()))?;
        if let Some(threads) = options.threads {
            builder = builder
                .with_intra_threads(threads)
                .map_err(|e| failed(e.to_string()))?;
        }
        if self.cuda {
            // Registered or an error, never a silent fall back to the CPU; and without TF32, which would
            // keep 10 bits of each factor.
            let cuda = ep::CUDA::default()
                .with_tf32(false)
                .build()
                .error_on_failure();
            builder = builder
                .with_execution_providers([cuda])
                .and_then(SessionBuilder::with_disable_cpu_fallback)
                .map_err(|error| RuntimeError::Missing {
                    runtime: self.name,
                    reason: error.to_string(),
                    hint: "this needs an NVIDIA GPU, its driver, the libraries of CUDA and cuDNN, and onnxruntime-gpu's \
                           libonnxruntime.so; use `--runtime ort` for the CPU"
                        .into(),
                })?;
        }
        Ok(builder)
    }
}

impl Runtime for Ort {
    fn name(&self) -> &'static str {
        self.name
    }

    fn device(&self) -> &'static str {
        self.device
    }

    fn version(&self) -> Result<String, RuntimeError> {
        self.builder(LoadOptions::default())?;
        // The library's build information names no version where it was built from a detached commit; its file does:
        // libonnxruntime.so is a link to libonnxruntime.so.1.31.1.
        let file = library().canonicalize().ok();
        let name = file
            .as_deref()
            .and_then(Path::file_name)
            .and_then(|name| name.to_str());
        let version = name.and_then(|name| name.split(".so.").nth(1));
        Ok(format!(
            "ONNX Runtime {}",
            version.unwrap_or("of unknown version")
        ))
    }

    fn load(&self, model: &[u8], options: LoadOptions) -> Result<Box<dyn Session>, RuntimeError> {
        let mut builder = self.builder(options)?;
        let session = builder
            .commit_from_memory(model)
            .map_err(|error| RuntimeError::Load {
                runtime: self.name,
                reason: error.to_string(),
            })?;
        let input = session.inputs().first();
        Ok(Box::new(Loaded {
            runtime: self.name,
            input: input.and_then(|input| input.dtype().tensor_type()),
            session,
        }))
    }
}

struct Loaded {
    runtime: &'static str,
    /// The element type of the model's input.
    input: Option<TensorElementType>,
    session: ort::session::Session,
}

impl Session for Loaded {
    fn run_images(&mut self, images: Images<'_>) -> Result<Vec<NamedOutput>, RuntimeError> {
        let runtime = self.runtime;
        let shape = images.shape().to_vec();
        let failed = |error: ort::Error| RuntimeError::Run {
            runtime,
            shape: shape.clone(),
            reason: error.to_string(),
        };
        // Kept for the run, where a batch has to be copied to be contiguous.
        let (floats, bytes);
        let input: SessionInputValue<'_> = match (&images, self.input) {
            (Images::Floats(view), Some(TensorElementType::Float16)) => {
                let tensor = Tensor::from_array(view.mapv(f16::from_f32));
                tensor.map_err(failed)?.into()
            }
            (Images::Floats(view), Some(TensorElementType::Bfloat16)) => {
                let tensor = Tensor::from_array(view.mapv(bf16::from_f32));
                tensor.map_err(failed)?.into()
            }
            // A model that takes something else says so itself.
            (Images::Floats(view), _) => {
                floats = view.as_standard_layout();
                let tensor = TensorRef::from_array_view(floats.view());
                tensor.map_err(failed)?.into()
            }
            (Images::Bytes(view), _) => {
                bytes = view.as_standard_layout();
                let tensor = TensorRef::from_array_view(bytes.view());
                tensor.map_err(failed)?.into()
            }
        };
        let outputs = self.session.run(ort::inputs![input]).map_err(failed)?;
        let mut named = Vec::with_capacity(outputs.len());
        for (name, value) in outputs.iter() {
            named.push((name.to_string(), as_float32(&value).map_err(failed)?));
        }
        Ok(named)
    }
}

/// An output as float32, which holds every number of the half types.
fn as_float32(value: &DynValue) -> ort::Result<ArrayD<f32>> {
    Ok(match value.dtype().tensor_type() {
        Some(TensorElementType::Float16) => value.try_extract_array::<f16>()?.mapv(f16::to_f32),
        Some(TensorElementType::Bfloat16) => value.try_extract_array::<bf16>()?.mapv(bf16::to_f32),
        _ => value.try_extract_array::<f32>()?.into_owned(),
    })
}
