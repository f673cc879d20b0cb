//! OpenVINO itself (feature `openvino`), on the CPU. Its library is loaded when first used.

use std::env;
use std::path::PathBuf;
use std::sync::OnceLock;

use half::{bf16, f16};
use incept_exporters::onnx::proto::{BFLOAT16, FLOAT16};
use incept_exporters::onnx::{Bytes, ModelFacts};
use ndarray::{ArrayD, IxDyn};
use openvino::{
    CompiledModel, Core, DeviceType, ElementType, InferRequest, InferenceError, RwPropertyKey,
    Shape, Tensor,
};

use super::{
    InputTensor, LoadOptions, NamedOutput, Placement, Runtime, RuntimeError, Session,
    in_the_checkout, shapes_of,
};

const NAME: &str = "openvino";

/// The only device that is asked for.
const DEVICE: &str = "CPU";

/// Where `scripts/setup.sh --openvino` puts the library, from the checkout.
const LIBRARY: &str = ".runtime/openvino/libopenvino_c.so";

/// The variable that names a folder of OpenVINO's, as its own archives are unpacked.
const FOLDER_VARIABLE: &str = "OPENVINO_INSTALL_DIR";

/// What it computes float32 in. Left to itself it takes bfloat16 where the processor multiplies that faster.
const PRECISION: &str = "f32";

pub(super) struct OpenVino;

/// Loads the library, once: from the folder that the variable names, else from the checkout, else from the system.
fn library() -> Result<(), RuntimeError> {
    static LOADED: OnceLock<Result<(), String>> = OnceLock::new();
    let load = || {
        let named = env::var_os(FOLDER_VARIABLE).is_some();
        let ours = (!named).then(|| in_the_checkout(LIBRARY)).flatten();
        let path: PathBuf = ours
            .or_else(openvino_sys::library::find)
            .ok_or("libopenvino_c.so was not found")?;
        openvino_sys::library::load_from(path)
    };
    let loaded = LOADED.get_or_init(load);
    loaded.clone().map_err(|reason| RuntimeError::Missing {
        runtime: NAME,
        reason,
        hint: format!("run ./scripts/setup.sh --openvino, or set {FOLDER_VARIABLE}"),
    })
}

impl Runtime for OpenVino {
    fn name(&self) -> &'static str {
        NAME
    }

    fn device(&self) -> &'static str {
        DEVICE
    }

    fn version(&self) -> Result<String, RuntimeError> {
        library()?;
        let version = openvino::version().build_number;
        // `2026.4.1-22982-...`: the version, its build, its branch.
        let version = version.split('-').next().unwrap_or_default();
        Ok(format!("OpenVINO {version}"))
    }

    fn load(&self, model: &[u8], options: LoadOptions) -> Result<Box<dyn Session>, RuntimeError> {
        library()?;
        let refused = |reason: String| RuntimeError::Load {
            runtime: NAME,
            reason,
        };
        let said = |error: InferenceError| refused(error.to_string());
        let facts = ModelFacts::read(&Bytes::copy_from_slice(model))
            .map_err(|error| refused(error.to_string()))?;
        let mut core = Core::new().map_err(|error| refused(error.to_string()))?;
        let device = DeviceType::CPU;
        let precision = RwPropertyKey::HintInferencePrecision;
        core.set_property(&device, &precision, PRECISION)
            .map_err(said)?;
        if let Some(threads) = options.threads {
            let key = RwPropertyKey::InferenceNumThreads;
            core.set_property(&device, &key, &threads.to_string())
                .map_err(said)?;
        }
        let read = core.read_model_from_buffer(model, None).map_err(said)?;
        let mut compiled = core.compile_model(&read, device).map_err(said)?;
        let request = compiled.create_infer_request().map_err(said)?;
        let inputs = facts.inputs.iter();
        let element_types = inputs.map(|input| input.element_type).collect();
        Ok(Box::new(Loaded {
            request,
            _compiled: compiled,
            _core: core,
            inputs: facts.inputs.into_iter().map(|input| input.name).collect(),
            element_types,
            outputs: facts.outputs.into_iter().map(|value| value.name).collect(),
        }))
    }
}

/// Dropped in this order: what computes before what it was made from.
struct Loaded {
    request: InferRequest,
    _compiled: CompiledModel,
    _core: Core,
    inputs: Vec<String>,
    element_types: Vec<i32>,
    outputs: Vec<String>,
}

impl Loaded {
    fn infer(&mut self, inputs: &[(&str, InputTensor<'_>)]) -> Result<Vec<NamedOutput>, String> {
        let said = |error: InferenceError| error.to_string();
        for (name, element_type) in self.inputs.iter().zip(&self.element_types) {
            let given = inputs.iter().find(|(given, _)| given == name);
            let (_, given) = given.ok_or_else(|| format!("input `{name}` is missing"))?;
            let tensor = tensor(given, *element_type).map_err(said)?;
            self.request.set_tensor(name, &tensor).map_err(said)?;
        }
        self.request.infer().map_err(said)?;
        let outputs = self.outputs.iter().map(|name| {
            let tensor = self.request.get_tensor(name).map_err(said)?;
            let array = as_float32(&tensor).map_err(|reason| format!("`{name}`: {reason}"))?;
            Ok((name.clone(), array))
        });
        outputs.collect()
    }
}

impl Session for Loaded {
    fn inputs(&self) -> &[String] {
        &self.inputs
    }

    fn placement(&mut self) -> Result<Placement, RuntimeError> {
        // The model was compiled for this device, without a fallback.
        Ok(Placement::OneDevice(DEVICE))
    }

    fn run_named(
        &mut self,
        inputs: &[(&str, InputTensor<'_>)],
    ) -> Result<Vec<NamedOutput>, RuntimeError> {
        self.infer(inputs).map_err(|reason| RuntimeError::Run {
            runtime: NAME,
            shape: shapes_of(inputs),
            reason,
        })
    }
}

/// The tensor OpenVINO takes, a copy.
fn tensor(input: &InputTensor<'_>, element_type: i32) -> Result<Tensor, InferenceError> {
    fn filled<T: Copy>(
        kind: ElementType,
        shape: &[usize],
        values: impl Iterator<Item = T>,
    ) -> Result<Tensor, InferenceError> {
        let dimensions: Vec<i64> = shape.iter().map(|&size| size as i64).collect();
        let mut tensor = Tensor::new(kind, &Shape::new(&dimensions)?)?;
        for (place, value) in tensor.get_data_mut::<T>()?.iter_mut().zip(values) {
            *place = value;
        }
        Ok(tensor)
    }
    let shape = input.shape();
    match (input, element_type) {
        (InputTensor::Floats(view), FLOAT16) => {
            let values = view.iter().map(|&value| f16::from_f32(value));
            filled(ElementType::F16, shape, values)
        }
        (InputTensor::Floats(view), BFLOAT16) => {
            let values = view.iter().map(|&value| bf16::from_f32(value));
            filled(ElementType::Bf16, shape, values)
        }
        // A model that takes something else says so itself.
        (InputTensor::Floats(view), _) => filled(ElementType::F32, shape, view.iter().copied()),
        (InputTensor::Bytes(view), _) => filled(ElementType::U8, shape, view.iter().copied()),
        (InputTensor::Integers(view), _) => filled(ElementType::I64, shape, view.iter().copied()),
    }
}

/// An output as float32.
fn as_float32(tensor: &Tensor) -> Result<ArrayD<f32>, String> {
    fn values<T: Copy>(tensor: &Tensor, to: fn(T) -> f32) -> Result<Vec<f32>, InferenceError> {
        Ok(tensor
            .get_data::<T>()?
            .iter()
            .map(|&value| to(value))
            .collect())
    }
    let said = |error: InferenceError| error.to_string();
    let numbers = match tensor.get_element_type().map_err(said)? {
        ElementType::F32 => values::<f32>(tensor, |value| value),
        ElementType::F16 => values::<f16>(tensor, f16::to_f32),
        ElementType::Bf16 => values::<bf16>(tensor, bf16::to_f32),
        ElementType::F64 => values::<f64>(tensor, |value| value as f32),
        ElementType::I64 => values::<i64>(tensor, |value| value as f32),
        ElementType::I32 => values::<i32>(tensor, |value| value as f32),
        ElementType::U8 => values::<u8>(tensor, f32::from),
        other => return Err(format!("expected an output of numbers, found {other:?}")),
    };
    let shape = tensor.get_shape().map_err(said)?;
    let sizes = shape.get_dimensions().iter();
    let sizes: Vec<usize> = sizes.map(|&size| size.unsigned_abs() as usize).collect();
    ArrayD::from_shape_vec(IxDyn(&sizes), numbers.map_err(said)?).map_err(|error| error.to_string())
}
