//! ONNX Runtime with each of its execution providers. Its library is loaded when first used.

mod library;
mod placement;
mod providers;
mod tensors;

use ort::logging::LogLevel;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::value::TensorElementType;

use super::{
    InputTensor, LoadOptions, NamedOutput, Optimization, Placement, Runtime, RuntimeError, Session,
    shapes_of,
};
use library::environment;
use placement::Recording;
use providers::Provider;
use tensors::{as_float32, tensor};

/// ONNX Runtime with one of its execution providers.
pub(super) struct Ort {
    name: &'static str,
    device: &'static str,
    provider: Provider,
}

pub(super) const CPU: Ort = Ort {
    name: "ort",
    device: "CPU",
    provider: Provider::Cpu,
};
pub(super) const CUDA: Ort = Ort {
    name: "ort-cuda",
    device: "CUDA device 0",
    provider: Provider::Cuda,
};
pub(super) const TENSORRT: Ort = Ort {
    name: "ort-tensorrt",
    device: "CUDA device 0",
    provider: Provider::TensorRt,
};
pub(super) const OPENVINO: Ort = Ort {
    name: "ort-openvino",
    device: "CPU, through OpenVINO",
    provider: Provider::OpenVino,
};

impl Ort {
    fn builder(
        &self,
        options: LoadOptions,
        recording: &Recording,
    ) -> Result<SessionBuilder, RuntimeError> {
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
        if options.brief {
            builder = builder
                .with_intra_op_spinning(false)
                .map_err(|e| failed(e.to_string()))?;
        }
        let level = match options.optimization {
            Optimization::All => None,
            Optimization::Extended => Some(GraphOptimizationLevel::Level2),
            Optimization::Basic => Some(GraphOptimizationLevel::Level1),
            Optimization::None => Some(GraphOptimizationLevel::Disable),
        };
        if let Some(level) = level {
            builder = builder
                .with_optimization_level(level)
                .map_err(|e| failed(e.to_string()))?;
        }
        if let Some(prefix) = recording.prefix() {
            builder = builder
                .with_profiling(prefix)
                .map_err(|e| failed(e.to_string()))?;
        }
        self.provider.register(self.name, builder, options)
    }
}

impl Runtime for Ort {
    fn name(&self) -> &'static str {
        self.name
    }

    fn device(&self) -> &'static str {
        self.device
    }

    fn provider(&self) -> &'static str {
        self.provider.name()
    }

    fn version(&self) -> Result<String, RuntimeError> {
        self.builder(LoadOptions::default(), &Recording::None)?;
        Ok(format!("ONNX Runtime {}", library::version()))
    }

    fn honours_threads(&self) -> bool {
        matches!(self.provider, Provider::Cpu)
    }

    fn honours_tf32(&self) -> bool {
        self.provider == Provider::Cuda
    }

    fn optimizations(&self) -> &'static [Optimization] {
        &[
            Optimization::None,
            Optimization::Basic,
            Optimization::Extended,
        ]
    }

    fn load(&self, model: &[u8], options: LoadOptions) -> Result<Box<dyn Session>, RuntimeError> {
        let refused = |reason: String| RuntimeError::Load {
            runtime: self.name,
            reason,
        };
        let recording = Recording::new(options.placement)
            .map_err(|error| refused(format!("no folder for its profile: {error}")))?;
        let mut builder = self.builder(options, &recording)?;
        let session = builder
            .commit_from_memory(model)
            .map_err(|error| refused(error.to_string()))?;
        let inputs = session.inputs().iter();
        let inputs = inputs.map(|input| (input.name().to_string(), input.dtype().tensor_type()));
        let (inputs, element_types) = inputs.unzip();
        Ok(Box::new(Loaded {
            runtime: self.name,
            inputs,
            element_types,
            session,
            recording,
        }))
    }
}

struct Loaded {
    runtime: &'static str,
    inputs: Vec<String>,
    /// The element type of each input.
    element_types: Vec<Option<TensorElementType>>,
    session: ort::session::Session,
    /// After the session, which writes into its folder until it is dropped.
    recording: Recording,
}

impl Session for Loaded {
    fn inputs(&self) -> &[String] {
        &self.inputs
    }

    fn placement(&mut self) -> Result<Placement, RuntimeError> {
        let runtime = self.runtime;
        let ended = self.recording.end(&mut self.session);
        ended.map_err(|reason| RuntimeError::NoPlacement { runtime, reason })
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
