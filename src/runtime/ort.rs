//! ONNX Runtime, on the CPU or through CUDA. Its library is loaded when first used.

use std::env;
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use half::{bf16, f16};
use ndarray::{ArrayD, ArrayViewD};
use ort::environment::Environment;
use ort::ep;
use ort::logging::LogLevel;
use ort::session::SessionInputValue;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::value::{DynValue, PrimitiveTensorElementType, Tensor, TensorElementType, TensorRef};

use super::{
    InputTensor, LoadOptions, NamedOutput, Optimization, Runtime, RuntimeError, Session, shapes_of,
};

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
        // What goes wrong comes back as an error: the library need not write it to standard error as well.
        let mut builder = ort::session::Session::builder(environment)
            .map_err(|e| failed(e.to_string()))?
            .with_log_level(LogLevel::Fatal)
            .map_err(|e| failed(e.to_string()))?;
        if let Some(threads) = options.threads {
            builder = builder
                .with_intra_threads(threads)
                .map_err(|e| failed(e.to_string()))?;
        }
        if options.optimization == Optimization::None {
            builder = builder
                .with_optimization_level(GraphOptimizationLevel::Disable)
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
        let inputs = session.inputs().iter();
        let inputs = inputs.map(|input| (input.name().to_string(), input.dtype().tensor_type()));
        let (inputs, element_types) = inputs.unzip();
        Ok(Box::new(Loaded {
            runtime: self.name,
            inputs,
            element_types,
            session,
        }))
    }
}

struct Loaded {
    runtime: &'static str,
    inputs: Vec<String>,
    /// The element type of each input.
    element_types: Vec<Option<TensorElementType>>,
    session: ort::session::Session,
}

impl Session for Loaded {
    fn inputs(&self) -> &[String] {
        &self.inputs
    }

    fn run_named(
        &mut self,
        inputs: &[(&str, InputTensor<'_>)],
    ) -> Result<Vec<NamedOutput>, RuntimeError> {
        let runtime = self.runtime;
        let failed = |error: ort::Error| RuntimeError::Run {
            runtime,
            shape: shapes_of(inputs),
            reason: error.to_string(),
        };
        let mut tensors = Vec::with_capacity(inputs.len());
        for (name, input) in inputs {
            let place = self.inputs.iter().position(|known| known == name);
            let element_type = place.and_then(|place| self.element_types[place]);
            tensors.push((*name, tensor(input, element_type).map_err(failed)?));
        }
        let outputs = self.session.run(tensors).map_err(failed)?;
        let mut named = Vec::with_capacity(outputs.len());
        for (name, value) in outputs.iter() {
            named.push((name.to_string(), as_float32(&value).map_err(failed)?));
        }
        Ok(named)
    }
}

/// The tensor ONNX Runtime takes: a view of the input where it is contiguous and of the model's type, else a copy.
fn tensor<'a>(
    input: &InputTensor<'a>,
    element_type: Option<TensorElementType>,
) -> ort::Result<SessionInputValue<'a>> {
    fn plain<'a, T: PrimitiveTensorElementType + Clone + Debug + 'static>(
        view: &ArrayViewD<'a, T>,
    ) -> ort::Result<SessionInputValue<'a>> {
        match view.is_standard_layout() {
            true => Ok(TensorRef::from_array_view(view.clone())?.into()),
            false => Ok(Tensor::from_array(view.as_standard_layout().into_owned())?.into()),
        }
    }
    Ok(match (input, element_type) {
        (InputTensor::Floats(view), Some(TensorElementType::Float16)) => {
            Tensor::from_array(view.mapv(f16::from_f32))?.into()
        }
        (InputTensor::Floats(view), Some(TensorElementType::Bfloat16)) => {
            Tensor::from_array(view.mapv(bf16::from_f32))?.into()
        }
        // A model that takes something else says so itself.
        (InputTensor::Floats(view), _) => plain(view)?,
        (InputTensor::Bytes(view), _) => plain(view)?,
        (InputTensor::Integers(view), _) => plain(view)?,
    })
}

/// An output as float32, which holds every number of the half types.
fn as_float32(value: &DynValue) -> ort::Result<ArrayD<f32>> {
    Ok(match value.dtype().tensor_type() {
        Some(TensorElementType::Float16) => value.try_extract_array::<f16>()?.mapv(f16::to_f32),
        Some(TensorElementType::Bfloat16) => value.try_extract_array::<bf16>()?.mapv(bf16::to_f32),
        Some(TensorElementType::Float64) => value.try_extract_array::<f64>()?.mapv(|x| x as f32),
        Some(TensorElementType::Int64) => value.try_extract_array::<i64>()?.mapv(|x| x as f32),
        Some(TensorElementType::Int32) => value.try_extract_array::<i32>()?.mapv(|x| x as f32),
        Some(TensorElementType::Uint8) => value.try_extract_array::<u8>()?.mapv(f32::from),
        Some(TensorElementType::Int8) => value.try_extract_array::<i8>()?.mapv(f32::from),
        Some(TensorElementType::Bool) => value.try_extract_array::<bool>()?.mapv(f32::from),
        _ => value.try_extract_array::<f32>()?.into_owned(),
    })
}
