//! What computes a bundle's outputs: libtorch in float64 where it can, else a runtime that leaves the graph as it is.

use std::path::Path;

use incept_exporters::onnx::{self, ModelFacts};
use ndarray::ArrayD;

use super::GoldenError;
use super::inputs::Inputs;
use crate::provenance::Provenance;
use crate::runtime::{self, LoadOptions, Optimization, Session};

/// The name that asks for libtorch.
pub(super) const LIBTORCH: &str = "libtorch";

/// The runtime that is the reference where libtorch cannot be.
const RUNTIME: &str = "ort";

/// The values of a run by name.
pub(super) type Values = Vec<(String, ArrayD<f64>)>;

/// A reference that is ready to compute.
pub(super) enum Reference {
    /// libtorch, float64, from the network's description.
    #[cfg(feature = "torch")]
    Libtorch {
        oracle: Box<crate::torch::Reference>,
        /// The values asked for and their nodes.
        nodes: Vec<(String, incept_exporters::net::NodeId)>,
    },
    /// A runtime, float32, without optimisation, of the file extended by the values asked for.
    Runtime {
        session: Box<dyn Session>,
        names: Vec<String>,
        description: String,
    },
}

/// What a reference is made from.
pub(super) struct Model<'a> {
    pub(super) file: &'a onnx::Model,
    pub(super) facts: &'a ModelFacts,
    /// The weights it was exported from, where they are given.
    pub(super) weights: Option<&'a Path>,
}

impl Reference {
    /// The reference of that name for these values; of the best there is where no name is given.
    pub(super) fn new(
        model: &Model<'_>,
        name: Option<&str>,
        values: &[String],
        provenance: &mut Provenance,
    ) -> Result<Self, GoldenError> {
        let libtorch = cfg!(feature = "torch") && model.facts.network.is_some();
        match name.unwrap_or(if libtorch { LIBTORCH } else { RUNTIME }) {
            LIBTORCH => Self::libtorch(model, values, provenance),
            name => Self::runtime(model, name, values, provenance),
        }
    }

    #[cfg(feature = "torch")]
    fn libtorch(
        model: &Model<'_>,
        values: &[String],
        provenance: &mut Provenance,
    ) -> Result<Self, GoldenError> {
        let path = model.file.path.as_path();
        let missing = |reason: String| GoldenError::Reference {
            path: path.into(),
            reason,
            hint: Some(format!("--reference {RUNTIME} takes any model")),
        };
        let network = model.facts.network.as_ref().ok_or_else(|| {
            missing("libtorch needs the network, and the file's metadata names none".into())
        })?;
        let net = network
            .build()
            .map_err(|source| crate::parity::ParityError::Rebuild {
                path: path.into(),
                source,
            })?;
        let node = |name: &String| {
            let id = net.id(name).ok_or_else(|| {
                missing(format!("the network {} has no layer `{name}`", net.name()))
            })?;
            Ok((name.clone(), id))
        };
        let nodes = values
            .iter()
            .map(node)
            .collect::<Result<_, GoldenError>>()?;
        let mut notes = vec![];
        let files = (path, model.weights);
        let weights = crate::parity::weights_of(&net, network, files, provenance, &mut notes)?;
        let oracle = crate::torch::Reference::new(&net, &weights);
        let oracle = oracle.map_err(crate::parity::ParityError::from)?;
        if let Some(reason) = notes.pop() {
            return Err(GoldenError::OtherWeights {
                path: path.into(),
                reason,
            });
        }
        Ok(Self::Libtorch {
            oracle: Box::new(oracle),
            nodes,
        })
    }

    #[cfg(not(feature = "torch"))]
    fn libtorch(model: &Model<'_>, _: &[String], _: &mut Provenance) -> Result<Self, GoldenError> {
        Err(GoldenError::Reference {
            path: model.file.path.clone(),
            reason: "this build has no libtorch (feature `torch`)".into(),
            hint: Some(format!(
                "--reference {RUNTIME}, or build with `--features torch`"
            )),
        })
    }

    fn runtime(
        model: &Model<'_>,
        name: &str,
        values: &[String],
        provenance: &mut Provenance,
    ) -> Result<Self, GoldenError> {
        let runtime = runtime::find(name)?;
        if model.weights.is_some() {
            return Err(GoldenError::Reference {
                path: model.file.path.clone(),
                reason: format!(
                    "`{name}` computes the file itself, and --weights would compute nothing"
                ),
                hint: Some(format!(
                    "leave out --weights, or give --reference {LIBTORCH}"
                )),
            });
        }
        let version = runtime.version()?;
        let extended = model.file.with_outputs(values)?;
        let options = LoadOptions {
            optimization: Optimization::None,
            ..LoadOptions::default()
        };
        let session = runtime.load(&extended, options)?;
        let device = runtime.device();
        provenance.runtimes.push(format!("{version}, {device}"));
        Ok(Self::Runtime {
            session,
            names: values.to_vec(),
            description: format!("{version}, {device}, from the file itself, without optimisation"),
        })
    }

    /// What it is, in words.
    pub(super) fn describe(&self) -> String {
        match self {
            #[cfg(feature = "torch")]
            Self::Libtorch { .. } => {
                "libtorch, float64, CPU, from the same description and weights".into()
            }
            Self::Runtime { description, .. } => description.clone(),
        }
    }

    /// Computes the values.
    pub(super) fn run(&mut self, inputs: &Inputs) -> Result<Values, GoldenError> {
        match self {
            #[cfg(feature = "torch")]
            Self::Libtorch { oracle, nodes } => {
                let ids: Vec<_> = nodes.iter().map(|(_, id)| *id).collect();
                let values = oracle.run(inputs.scaled().view(), &ids);
                let values = values.map_err(crate::parity::ParityError::from)?;
                let named = nodes.iter().zip(values);
                Ok(named
                    .map(|((name, _), value)| (name.clone(), value))
                    .collect())
            }
            Self::Runtime { session, names, .. } => {
                let outputs = session.run_named(&inputs.tensors())?;
                let asked = outputs.into_iter().filter(|(name, _)| names.contains(name));
                Ok(asked
                    .map(|(name, value)| (name, value.mapv(f64::from)))
                    .collect())
            }
        }
    }
}
