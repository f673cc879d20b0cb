//! rten: a runtime in Rust that needs nothing installed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use ndarray::ArrayD;
use rten::{Model, NodeId, RunOptions, ThreadPool, Value, ValueOrView};
use rten_tensor::prelude::*;
use rten_tensor::{Tensor, TensorView};

use super::{
    InputTensor, LoadOptions, NamedOutput, Placement, Runtime, RuntimeError, Session, shapes_of,
};

const NAME: &str = "rten";

/// The only device it has.
const DEVICE: &str = "CPU";

/// The version Cargo.toml asks for; the crate does not tell its own.
const VERSION: &str = "rten 0.27";

pub(super) struct Rten;

impl Runtime for Rten {
    fn name(&self) -> &'static str {
        NAME
    }

    fn device(&self) -> &'static str {
        DEVICE
    }

    fn version(&self) -> Result<String, RuntimeError> {
        Ok(VERSION.into())
    }

    fn honours_threads(&self) -> bool {
        true
    }

    fn load(&self, model: &[u8], options: LoadOptions) -> Result<Box<dyn Session>, RuntimeError> {
        let refused = |reason: String| RuntimeError::Load {
            runtime: NAME,
            reason,
        };
        // It infers shapes when it loads, and answers some that it did not expect by panicking.
        let load = || Model::load(model.to_vec());
        let model = catch_unwind(AssertUnwindSafe(load))
            .map_err(|_| refused("the runtime panicked".into()))?
            .map_err(|error| refused(error.to_string()))?;
        let name = |id: &NodeId| {
            model
                .node_info(*id)
                .and_then(|info| info.name().map(str::to_string))
        };
        let named = |ids: &[NodeId]| ids.iter().filter_map(|id| Some((*id, name(id)?))).unzip();
        let (input_ids, inputs): (Vec<NodeId>, Vec<String>) = named(model.input_ids());
        let (output_ids, outputs): (Vec<NodeId>, Vec<String>) = named(model.output_ids());
        let threads = options
            .threads
            .map(|count| Arc::new(ThreadPool::with_num_threads(count)));
        Ok(Box::new(Loaded {
            model,
            input_ids,
            inputs,
            output_ids,
            outputs,
            threads,
        }))
    }
}

struct Loaded {
    model: Model,
    input_ids: Vec<NodeId>,
    inputs: Vec<String>,
    output_ids: Vec<NodeId>,
    outputs: Vec<String>,
    threads: Option<Arc<ThreadPool>>,
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
        let mut values = Vec::with_capacity(inputs.len());
        for (name, input) in inputs {
            let place = self.inputs.iter().position(|known| known == name);
            let place = place.ok_or_else(|| failed(format!("it has no input `{name}`")))?;
            values.push((self.input_ids[place], value(input).map_err(failed)?));
        }
        let mut options = RunOptions::default();
        options.thread_pool.clone_from(&self.threads);
        // Some of its operators answer a shape they did not expect by panicking.
        let run = || self.model.run(values, &self.output_ids, Some(options));
        let values = catch_unwind(AssertUnwindSafe(run))
            .map_err(|_| failed("the runtime panicked".into()))?
            .map_err(|error| failed(error.to_string()))?;
        let named = self.outputs.iter().zip(values);
        let named = named.map(|(name, value)| {
            let array = as_float32(value).map_err(|reason| failed(format!("`{name}` {reason}")))?;
            Ok((name.clone(), array))
        });
        named.collect()
    }
}

/// The value rten takes, a copy where the input is not contiguous.
fn value<'a>(input: &InputTensor<'a>) -> Result<ValueOrView<'a>, String> {
    let shape = input.shape().to_vec();
    Ok(match input {
        InputTensor::Floats(view) => match view.to_slice() {
            Some(values) => TensorView::from_data(shape.as_slice(), values).into(),
            None => Tensor::from_data(&shape, view.iter().copied().collect::<Vec<f32>>()).into(),
        },
        InputTensor::Bytes(view) => match view.to_slice() {
            Some(values) => TensorView::from_data(shape.as_slice(), values).into(),
            None => Tensor::from_data(&shape, view.iter().copied().collect::<Vec<u8>>()).into(),
        },
        InputTensor::Integers(view) => {
            // It keeps whole numbers in 32 bits.
            let narrow = |&value: &i64| i32::try_from(value).map_err(|error| error.to_string());
            let values = view.iter().map(narrow).collect::<Result<Vec<i32>, _>>()?;
            Tensor::from_data(&shape, values).into()
        }
    })
}

/// An output as float32.
fn as_float32(value: Value) -> Result<ArrayD<f32>, String> {
    let (shape, values): (Vec<usize>, Vec<f32>) = match value {
        Value::FloatTensor(tensor) => (tensor.shape().to_vec(), tensor.to_vec()),
        Value::Int32Tensor(tensor) => (
            tensor.shape().to_vec(),
            tensor.iter().map(|&value| value as f32).collect(),
        ),
        Value::UInt8Tensor(tensor) => (
            tensor.shape().to_vec(),
            tensor.iter().map(|&value| f32::from(value)).collect(),
        ),
        Value::Int8Tensor(tensor) => (
            tensor.shape().to_vec(),
            tensor.iter().map(|&value| f32::from(value)).collect(),
        ),
        _ => return Err("is no tensor of numbers".into()),
    };
    ArrayD::from_shape_vec(shape, values).map_err(|error| error.to_string())
}
