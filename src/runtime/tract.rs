//! tract: a second runtime in Rust (feature `tract`).

use ndarray::{ArrayD, ArrayViewD};
use tract_onnx::prelude::*;

use super::{Images, LoadOptions, NamedOutput, Runtime, RuntimeError, Session};

const NAME: &str = "tract";

/// The version Cargo.toml asks for; the crate does not tell its own.
const VERSION: &str = "tract 0.23";

pub(super) struct Tract;

impl Runtime for Tract {
    fn name(&self) -> &'static str {
        NAME
    }

    fn device(&self) -> &'static str {
        "CPU, one thread"
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
        let plan = model
            .into_optimized()
            .and_then(IntoRunnable::into_runnable)
            .map_err(refused)?;
        Ok(Box::new(Loaded { plan, names }))
    }
}

struct Loaded {
    plan: Arc<TypedRunnableModel>,
    names: Vec<String>,
}

impl Session for Loaded {
    fn run_images(&mut self, images: Images<'_>) -> Result<Vec<NamedOutput>, RuntimeError> {
        let shape = images.shape().to_vec();
        let failed = |reason: String| RuntimeError::Run {
            runtime: NAME,
            shape: shape.clone(),
            reason,
        };
        let input = match images {
            Images::Floats(view) => tensor(&shape, view),
            Images::Bytes(view) => tensor(&shape, view),
        };
        let input = input.map_err(|error| failed(format!("{error:#}")))?;
        let outputs = self
            .plan
            .run(tvec!(input.into_tvalue()))
            .map_err(|error| failed(format!("{error:#}")))?;
        let named = self.names.iter().zip(outputs).map(|(name, value)| {
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

fn tensor<T: Datum + Copy>(shape: &[usize], view: ArrayViewD<'_, T>) -> TractResult<Tensor> {
    let values: Vec<T> = view.iter().copied().collect();
    Tensor::from_shape(shape, &values)
}
