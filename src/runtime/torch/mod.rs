//! libtorch as a runtime (feature `torch`): the ONNX graph of the file, node by node, with the file's own tensors. So it
//! checks the file, unlike the reference of a check, which is built from the network's description.

mod graph;
mod operators;
mod tensors;

use std::collections::HashMap;

use incept_exporters::onnx::Precision;
use tch::{Device, Kind, Tensor};

use super::{
    InputTensor, LoadOptions, NamedOutput, PlacedNode, Placement, RecordedValue, Runtime,
    RuntimeError, Session, computes, shapes_of,
};
use crate::torch::Threads;
use graph::Graph;
use operators::{Operands, apply};
use tensors::{Target, as_float32, input, stored, type_name};

/// libtorch on one device, in one precision.
pub(super) struct Torch {
    name: &'static str,
    device: Where,
    /// What every float of the model is computed in; none where the file says it.
    kind: Option<Kind>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Where {
    Cpu,
    Cuda,
}

const fn torch(name: &'static str, device: Where, kind: Option<Kind>) -> Torch {
    Torch { name, device, kind }
}

pub(super) const FILE: Torch = torch("torch", Where::Cpu, None);
pub(super) const F64: Torch = torch("torch-f64", Where::Cpu, Some(Kind::Double));
pub(super) const BF16: Torch = torch("torch-bf16", Where::Cpu, Some(Kind::BFloat16));
pub(super) const CUDA: Torch = torch("torch-cuda", Where::Cuda, None);
pub(super) const CUDA_F64: Torch = torch("torch-cuda-f64", Where::Cuda, Some(Kind::Double));
pub(super) const CUDA_BF16: Torch = torch("torch-cuda-bf16", Where::Cuda, Some(Kind::BFloat16));

impl Torch {
    /// The device, once it is known to be there.
    fn target(&self) -> Result<Target, RuntimeError> {
        let text = match self.device {
            Where::Cpu => "cpu",
            Where::Cuda => "cuda",
        };
        let device = crate::torch::device(text).map_err(|error| RuntimeError::Missing {
            runtime: self.name,
            reason: error.to_string(),
            hint: error.hint().unwrap_or_default(),
        })?;
        Ok(Target {
            device,
            kind: self.kind,
        })
    }
}

impl Runtime for Torch {
    fn name(&self) -> &'static str {
        self.name
    }

    fn device(&self) -> &'static str {
        match self.device {
            Where::Cpu => "CPU",
            Where::Cuda => "CUDA device 0",
        }
    }

    fn precision(&self) -> Option<Precision> {
        (self.kind == Some(Kind::BFloat16)).then_some(Precision::Bf16)
    }

    fn version(&self) -> Result<String, RuntimeError> {
        self.target()?;
        let folder = crate::torch::found().folder;
        let version = folder.and_then(|folder| {
            // Beside the libraries lies the file libtorch's own distribution names its version in.
            std::fs::read_to_string(folder.parent()?.join("build-version")).ok()
        });
        let version = version.as_deref().unwrap_or("of unknown version").trim();
        Ok(format!("libtorch {version}"))
    }

    fn load(&self, model: &[u8], options: LoadOptions) -> Result<Box<dyn Session>, RuntimeError> {
        let target = self.target()?;
        let refused = |reason| RuntimeError::Load {
            runtime: self.name,
            reason,
        };
        let graph = Graph::read(model).map_err(refused)?;
        let tensors = graph.initializers.iter().map(|tensor| {
            let value = stored(tensor, &target)
                .map_err(|reason| refused(format!("tensor `{}`: {reason}", tensor.name)))?;
            Ok((tensor.name.clone(), value))
        });
        Ok(Box::new(Loaded {
            runtime: self.name,
            device: self.device(),
            tensors: tensors.collect::<Result<_, RuntimeError>>()?,
            inputs: graph.inputs.iter().map(|(name, _)| name.clone()).collect(),
            graph,
            target,
            threads: options.threads,
            placed: options.placement.then(Vec::new),
        }))
    }
}

struct Loaded {
    runtime: &'static str,
    device: &'static str,
    graph: Graph,
    /// The tensors stored in the file, by name.
    tensors: HashMap<String, Tensor>,
    inputs: Vec<String>,
    target: Target,
    threads: Option<usize>,
    /// Where each node ran, where that was asked for.
    placed: Option<Vec<PlacedNode>>,
}

impl Loaded {
    /// Computes the graph's nodes in order; a value is let go after its last use.
    fn compute(&mut self, inputs: &[(&str, InputTensor<'_>)]) -> Result<Vec<NamedOutput>, String> {
        let mut values: HashMap<String, Tensor> = HashMap::new();
        for (name, element_type) in &self.graph.inputs {
            let given = inputs.iter().find(|(given, _)| given == name);
            let (_, given) = given.ok_or_else(|| format!("input `{name}` is missing"))?;
            let value = input(given, *element_type, &self.target)
                .map_err(|reason| format!("input `{name}`: {reason}"))?;
            values.insert(name.clone(), value);
        }
        let mut placed = vec![];
        for (index, node) in self.graph.nodes.iter().enumerate() {
            let failed = |reason: String| format!("`{}` ({}): {reason}", node.name, node.op_type);
            let result = {
                let find = |name: &String| {
                    let value = values.get(name).or_else(|| self.tensors.get(name));
                    value.ok_or_else(|| failed(format!("reads `{name}`, which nothing computes")))
                };
                // An empty name stands for an input that is left out.
                let operands = node.input.iter();
                let operands =
                    operands.map(|name| (!name.is_empty()).then(|| find(name)).transpose());
                let operands = operands.collect::<Result<Vec<Option<&Tensor>>, String>>()?;
                apply(node, &Operands(operands), &self.target).map_err(failed)?
            };
            if self.placed.is_some() {
                placed.push(self.place(&node.name, &node.op_type, &result));
            }
            for name in &self.graph.last_used[index] {
                values.remove(name);
            }
            values.insert(node.output[0].clone(), result);
        }
        if let Some(recorded) = &mut self.placed {
            placed.retain(|node| !recorded.contains(node));
            recorded.append(&mut placed);
        }
        let outputs = self.graph.outputs.iter().map(|name| {
            let value = values.get(name).or_else(|| self.tensors.get(name));
            let value = value.ok_or_else(|| format!("nothing computes the output `{name}`"))?;
            let value = as_float32(value).map_err(|error| error.to_string())?;
            Ok((name.clone(), value))
        });
        outputs.collect()
    }

    fn place(&self, name: &str, operator: &str, result: &Tensor) -> PlacedNode {
        let value = RecordedValue {
            element_type: type_name(result).into(),
            shape: result.size(),
        };
        PlacedNode {
            name: name.into(),
            operator: operator.into(),
            provider: match result.device() {
                device if device == self.target.device => self.device.into(),
                Device::Cpu => "CPU".into(),
                device => format!("{device:?}"),
            },
            computes: computes(operator, &[value]),
        }
    }
}

impl Session for Loaded {
    fn inputs(&self) -> &[String] {
        &self.inputs
    }

    fn placement(&mut self) -> Result<Placement, RuntimeError> {
        let placed = self.placed.clone();
        placed
            .map(Placement::Nodes)
            .ok_or_else(|| RuntimeError::NoPlacement {
                runtime: self.runtime,
                reason: "the session was not loaded with the option to record it".into(),
            })
    }

    fn run_named(
        &mut self,
        inputs: &[(&str, InputTensor<'_>)],
    ) -> Result<Vec<NamedOutput>, RuntimeError> {
        let _threads = self.threads.map(Threads::new);
        tch::no_grad(|| self.compute(inputs)).map_err(|reason| RuntimeError::Run {
            runtime: self.runtime,
            shape: shapes_of(inputs),
            reason,
        })
    }
}
