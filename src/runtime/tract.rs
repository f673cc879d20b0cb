//! tract: a second runtime in Rust (feature `tract`).

use ndarray::{ArrayD, ArrayViewD};
use tract_onnx::prelude::*;

use super::{
    InputTensor, LoadOptions, NamedOutput, Placement, Runtime, RuntimeError, Session, shapes_of,
};

const NAME: &str = "tract";

/// The only device it has.
const DEVICE: &str = "CPU, one thread";

/// The version Cargo.toml asks for; the crate does not tell its own.
const VERSION: &str = "tract 0.23";

pub(super) struct Tract;

impl Runtime for Tract {
    fn name(&self) -> &'static str {
        NAME
    }

    fn device(&self) -> &'static str {
        DEVICE
    }

    fn version(&self) -> Result<String, RuntimeError> {
        Ok(VERSION.into())
    }

    fn load(&self, model: &[u8], _: LoadOptions) -> Result<Box<dyn Session>, RuntimeError> {
        let refused = |error: TractError| RuntimeError::Load {
            runtime: NAME,
            reason: format!("{error:#}"),
        };
        let mut bytes = model;
        let onnx = tract_onnx::onnx();
        let model = onnx.model_for_read(&mut bytes).map_err(refused)?;
        let outlets = model.output_outlets().map_err(refused)?.to_vec();
        let names = outlets
            .iter()
            .map(|outlet| model.outlet_label(*outlet).unwrap_or_default().to_string())
            .collect();
        let inputs = model.input_outlets().map_err(refused)?;
        let inputs = inputs
            .iter()
            .map(|outlet| model.node(outlet.node).name.clone())
            .collect();
        let optimized = model.into_optimized().map_err(refused)?;
        let facts = optimized.input_outlets().map_err(refused)?.iter();
        let facts = facts.map(|outlet| Ok(optimized.outlet_fact(*outlet)?.datum_type));
        let types = facts.collect::<TractResult<_>>().map_err(refused)?;
        let plan = optimized.into_runnable().map_err(refused)?;
        Ok(Box::new(Loaded {
            plan,
            inputs,
            types,
            names,
        }))
    }
}

struct Loaded {
    plan: Arc<TypedRunnableModel>,
    inputs: Vec<String>,
    /// The element type of each input.
    types: Vec<DatumType>,
    names: Vec<String>,
}

impl Session for Loaded {
    fn inputs(&self) -> &[String] {
        &self.inputs
    }

    fn placement(&mut self) -> Result<Placement, RuntimeError> {
        Ok(Placement::OneDevice(DEVICE))
    }

    fn run_named(
        &mut self,
        inputs: &[(&str, InputTensor<'_>)],
    ) -> Result<Vec<NamedOutput>, RuntimeError> {
        let failed = |reason: String| RuntimeError::Run {
            runtime: NAME,
            shape: shapes_of(inputs),
            reason,
        };
        // In the model's order.
        let tensor = |(name, element_type): (&String, &DatumType)| {
            let input = inputs.iter().find(|(given, _)| given == name);
            let (_, input) = input.ok_or_else(|| failed(format!("input `{name}` is missing")))?;
            let tensor = match input {
                InputTensor::Floats(view) => tensor(view),
                InputTensor::Bytes(view) => tensor(view),
                InputTensor::Integers(view) => tensor(view),
            };
            // Half types get floats rounded, float64 gets them as they are; a model that takes something else says so.
            let tensor = tensor.and_then(|tensor| {
                match tensor.datum_type().is_float() && element_type.is_float() {
                    true => Ok(tensor.cast_to_dt(*element_type)?.into_owned()),
                    false => Ok(tensor),
                }
            });
            Ok(tensor
                .map_err(|error| failed(format!("{error:#}")))?
                .into_tvalue())
        };
        let tensors = self.inputs.iter().zip(&self.types).map(tensor);
        let tensors = tensors.collect::<Result<TVec<TValue>, RuntimeError>>()?;
        let outputs = self
            .plan
            .run(tensors)
            .map_err(|error| failed(format!("{error:#}")))?;
        let named = self.names.iter().zip(outputs).map(|(name, value)| {
            let value = value
                .cast_to::<f32>()
                .map_err(|error| failed(format!("{error:#}")))?;
            let values = value
                .view()
                .as_slice::<f32>()
                .map_err(|error| failed(format!("{error:#}")))?
                .to_vec();
            let array = ArrayD::from_shape_vec(value.shape().to_vec(), values);
            Ok((
                name.clone(),
                array.map_err(|error| failed(error.to_string()))?,
            ))
        });
        named.collect()
    }
}

fn tensor<T: Datum + Copy>(view: &ArrayViewD<'_, T>) -> TractResult<Tensor> {
    let values: Vec<T> = view.iter().copied().collect();
    Tensor::from_shape(view.shape(), &values)
}
