//! rten: a runtime in Rust that needs nothing installed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use ndarray::ArrayD;
use rten::{Model, NodeId, RunOptions, ThreadPool, ValueOrView};
use rten_tensor::prelude::*;
use rten_tensor::{Tensor, TensorView};

use super::{Images, LoadOptions, NamedOutput, Runtime, RuntimeError, Session};

const NAME: &str = "rten";

/// The version Cargo.toml asks for; the crate does not tell its own.
const VERSION: &str = "rten 0.27";

const SCATTERED: &str = "the batch is not contiguous";

pub(super) struct Rten;

impl Runtime for Rten {
    fn name(&self) -> &'static str {
        NAME
    }

    fn device(&self) -> &'static str {
        "CPU"
    }

    fn version(&self) -> Result<String, RuntimeError> {
        Ok(VERSION.into())
    }

    fn load(&self, model: &[u8], options: LoadOptions) -> Result<Box<dyn Session>, RuntimeError> {
        let refused = |reason: String| RuntimeError::Load {
            runtime: NAME,
            reason,
        };
        let model = Model::load(model.to_vec()).map_err(|error| refused(error.to_string()))?;
        let &[input] = model.input_ids() else {
            return Err(refused(format!(
                "expected 1 input, found {}",
                model.input_ids().len()
            )));
        };
        let name = |id: &NodeId| {
            model
                .node_info(*id)
                .and_then(|info| info.name().map(str::to_string))
        };
        let outputs: Vec<(NodeId, String)> = model
            .output_ids()
            .iter()
            .filter_map(|id| Some((*id, name(id)?)))
            .collect();
        let threads = options
            .threads
            .map(|count| Arc::new(ThreadPool::with_num_threads(count)));
        Ok(Box::new(Loaded {
            model,
            input,
            outputs,
            threads,
        }))
    }
}

struct Loaded {
    model: Model,
    input: NodeId,
    outputs: Vec<(NodeId, String)>,
    threads: Option<Arc<ThreadPool>>,
}

impl Session for Loaded {
    fn run_images(&mut self, images: Images<'_>) -> Result<Vec<NamedOutput>, RuntimeError> {
        let shape = images.shape().to_vec();
        let failed = |reason: String| RuntimeError::Run {
            runtime: NAME,
            shape: shape.clone(),
            reason,
        };
        let (floats, bytes);
        let input: ValueOrView<'_> = match &images {
            Images::Floats(view) => {
                floats = view.as_standard_layout();
                let values = floats.as_slice().ok_or_else(|| failed(SCATTERED.into()))?;
                TensorView::from_data(shape.as_slice(), values).into()
            }
            Images::Bytes(view) => {
                bytes = view.as_standard_layout();
                let values = bytes.as_slice().ok_or_else(|| failed(SCATTERED.into()))?;
                TensorView::from_data(shape.as_slice(), values).into()
            }
        };
        let ids: Vec<NodeId> = self.outputs.iter().map(|(id, _)| *id).collect();
        let mut options = RunOptions::default();
        options.thread_pool.clone_from(&self.threads);
        // Some of its operators answer a shape they did not expect by panicking.
        let run = || {
            self.model
                .run(vec![(self.input, input)], &ids, Some(options))
        };
        let values = catch_unwind(AssertUnwindSafe(run))
            .map_err(|_| failed("the runtime panicked".into()))?
            .map_err(|error| failed(error.to_string()))?;
        let named = self.outputs.iter().zip(values).map(|((_, name), value)| {
            let tensor: Tensor<f32> = value
                .try_into()
                .map_err(|_| failed(format!("`{name}` is not float32")))?;
            let array = ArrayD::from_shape_vec(tensor.shape().to_vec(), tensor.to_vec());
            Ok((
                name.clone(),
                array.map_err(|error| failed(error.to_string()))?,
            ))
        });
        named.collect()
    }
}
