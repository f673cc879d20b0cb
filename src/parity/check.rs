//! `incept check`: an exported model in each runtime, against libtorch in float64 built from the same description.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use incept_exporters::files::FileError;
use incept_exporters::net::{Net, NodeId};
use incept_exporters::onnx::{self, LoadError, Model, ModelFacts, Output, ReadError, RebuildError};
use incept_exporters::weights::WeightsError;
use ndarray::ArrayD;
use serde::{Deserialize, Serialize};

use super::feed::Feed;
use super::oracle::Oracle;
use super::{Comparison, DEFAULT_TOLERANCE, FORMULA, Verdict, compare};
use crate::provenance::Provenance;
use crate::runtime::{self, LoadOptions, NamedOutput, Runtime, RuntimeError, Session};

/// Stands behind the output's name where the file ran without further outputs.
const AS_IT_IS: &str = ", file as it is";

/// What a check compares.
#[derive(Debug, Clone)]
pub struct CheckOptions {
    /// Runtimes by name; [`runtime::DEFAULT`] where empty.
    pub runtimes: Vec<String>,
    /// The weights the model was exported from; not needed where it was exported from a seed.
    pub weights: Option<PathBuf>,
    /// Images in each batch that is run.
    pub batches: Vec<usize>,
    /// Every layer's value rather than every stage's.
    pub layers: bool,
    /// See [`FORMULA`].
    pub tolerance: f64,
    /// Seed of the input images.
    pub seed: u64,
}

impl Default for CheckOptions {
    fn default() -> Self {
        Self {
            runtimes: vec![],
            weights: None,
            batches: vec![1, 3],
            layers: false,
            tolerance: DEFAULT_TOLERANCE,
            seed: 0,
        }
    }
}

/// A check that could not run.
#[derive(Debug, thiserror::Error)]
pub enum ParityError {
    /// The model or a result cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The model cannot be loaded with its data.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The model is not ONNX.
    #[error("cannot read the model `{}`", path.display())]
    Model {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: ReadError,
    },
    /// The model does not say which network it is.
    #[error("`{}` does not name its network: expected metadata `incept.network`, found none", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The model names a network this version does not have.
    #[error("`{}` names a network that cannot be built", path.display())]
    Rebuild {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: RebuildError,
    },
    /// The reference needs weights.
    #[error("`{}` was exported from a weights file: the reference needs it", path.display())]
    WeightsNeeded {
        /// The file.
        path: PathBuf,
    },
    /// The weights do not fit.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// A runtime is missing or refuses the model.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// A batch size that cannot be run.
    #[error("batch size {found}: expected {expected}")]
    Batch {
        /// The sizes that can.
        expected: String,
        /// The size given.
        found: usize,
    },
    /// libtorch failed.
    #[cfg(feature = "torch")]
    #[error(transparent)]
    Torch(#[from] crate::torch::TorchError),
}

impl ParityError {
    /// The fix, where one is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::File(error) => error.hint(),
            Self::Load(error) => error.hint(),
            Self::Model { source, .. } => source.hint(),
            Self::Foreign { .. } => {
                Some("`incept check` takes models that `incept export` wrote".into())
            }
            Self::WeightsNeeded { .. } => {
                Some("give the file it was exported from: --weights FILE".into())
            }
            Self::Weights(error) => error.hint(),
            Self::Runtime(error) => error.hint(),
            Self::Rebuild { .. } | Self::Batch { .. } => None,
            #[cfg(feature = "torch")]
            Self::Torch(error) => error.hint(),
        }
    }
}

/// One runtime's comparisons.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RuntimeChecked {
    /// Its name at the command line.
    pub runtime: String,
    /// Its version.
    pub version: String,
    /// The device it computed on.
    pub device: String,
    /// Every value of every batch, in the network's order.
    pub comparisons: Vec<Comparison>,
}

/// The outcome of a check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ParityReport {
    /// `incept.check/1`.
    pub schema: String,
    /// Where it comes from.
    pub provenance: Provenance,
    /// The network's name.
    pub network: String,
    /// Its variant.
    pub variant: String,
    /// What the runtimes were compared with.
    pub reference: String,
    /// The verdict's formula.
    pub formula: String,
    /// The tolerance in it.
    pub tolerance: f64,
    /// What the reader should know besides.
    pub notes: Vec<String>,
    /// Each runtime's comparisons.
    pub runtimes: Vec<RuntimeChecked>,
    /// Whether something was compared and all of it holds.
    pub holds: bool,
}

impl ParityReport {
    /// The comparison with the largest relative error, or one that failed without numbers.
    pub fn worst(&self) -> Option<(&RuntimeChecked, &Comparison)> {
        let error = |c: &Comparison| c.metrics.map_or(f64::INFINITY, |m| m.relative_error);
        let all = self
            .runtimes
            .iter()
            .flat_map(|r| r.comparisons.iter().map(move |c| (r, c)));
        all.max_by(|a, b| error(a.1).total_cmp(&error(b.1)))
    }
}

/// Runs the model in every runtime and compares its outputs and every stage's (or layer's) with the reference:
/// libtorch in float64, or without the feature `torch` the first runtime.
///
/// # Errors
/// [`ParityError`] where a part could not run at all; a difference is not an error but in the report.
pub fn check(
    model: &Path,
    options: &CheckOptions,
    progress: &mut dyn FnMut(&str),
) -> Result<ParityReport, ParityError> {
    let loaded = Model::load(model)?;
    let bytes = loaded.bytes;
    let facts = ModelFacts::read(&bytes).map_err(|source| ParityError::Model {
        path: model.into(),
        source,
    })?;
    let network = facts
        .network
        .as_ref()
        .ok_or_else(|| ParityError::Foreign { path: model.into() })?;
    let net = network.build().map_err(|source| ParityError::Rebuild {
        path: model.into(),
        source,
    })?;
    let nodes = compared_nodes(&net, &facts, &network.outputs, options.layers);
    let names: Vec<String> = nodes.iter().map(|&id| net.at(id).name.clone()).collect();
    let batches = batches(&facts, &options.batches)?;
    let extended = onnx::with_outputs(&bytes, &put_out(&names, &facts, &network.outputs)).map_err(
        |source| ParityError::Model {
            path: model.into(),
            source,
        },
    )?;

    let mut provenance = Provenance::of_this_run();
    provenance.add_file(model)?;
    loaded
        .data_files
        .iter()
        .try_for_each(|file| provenance.add_file(file))?;
    let mut notes = vec![];
    let weights = options.weights.as_deref();
    let mut oracle = Oracle::new(&net, network, model, weights, &mut provenance, &mut notes)?;

    let asked: Vec<&str> = match options.runtimes.as_slice() {
        [] => runtime::DEFAULT.to_vec(),
        named => named.iter().map(String::as_str).collect(),
    };
    let mut distinct: Vec<&str> = vec![];
    for name in asked {
        // A runtime beside itself would be no comparison.
        if !distinct.contains(&name) {
            distinct.push(name);
        }
    }
    let runtimes = distinct
        .into_iter()
        .map(runtime::find)
        .collect::<Result<Vec<&dyn Runtime>, _>>()?;
    let mut sessions: Vec<[Box<dyn Session>; 2]> = vec![];
    let mut checked = vec![];
    for runtime in runtimes {
        progress(&format!("loading the model in {}", runtime.name()));
        let version = runtime.version()?;
        provenance
            .runtimes
            .push(format!("{version}, {}", runtime.device()));
        // Asking for every stage keeps a runtime from fusing across them: the file as it is runs too.
        let load = |model: &[u8]| runtime.load(model, LoadOptions::default());
        sessions.push([load(&extended)?, load(&bytes)?]);
        checked.push(RuntimeChecked {
            runtime: runtime.name().into(),
            version,
            device: runtime.device().into(),
            comparisons: vec![],
        });
    }
    for &batch in &batches {
        let feed = Feed::new(&net, &facts, options.seed, batch);
        progress(&format!("computing the reference, batch {batch}"));
        let mut reference = oracle.run(&feed.scaled, &nodes)?;
        for ([session, as_it_is], checked) in sessions.iter_mut().zip(&mut checked) {
            progress(&format!("running {}, batch {batch}", checked.runtime));
            let outputs = session.run_images(feed.images())?;
            let Some(reference) = &reference else {
                // The first runtime is the reference of the others.
                reference = Some(reference_from(outputs, &names));
                continue;
            };
            let compared = |name: &str, outputs: &[NamedOutput]| {
                let place = names.iter().position(|known| known == name);
                let Some(expected) = place.and_then(|place| reference[place].as_ref()) else {
                    return Comparison::missing(name, batch, &[]);
                };
                match outputs.iter().find(|(output, _)| output == name) {
                    Some((_, found)) => {
                        compare(name, expected.view(), found.view(), options.tolerance)
                    }
                    None => Comparison::missing(name, batch, expected.shape()),
                }
            };
            let stages = names.iter().map(|name| compared(name, &outputs));
            checked.comparisons.extend(stages);
            let as_it_is = as_it_is.run_images(feed.images())?;
            for head in &network.outputs {
                let mut last = compared(head.name(), &as_it_is);
                last.value += AS_IT_IS;
                // A layer may be dead; where the output is, any dead network would agree with it.
                if last
                    .metrics
                    .is_some_and(|metrics| metrics.max_reference == 0.0)
                {
                    let reason =
                        "the reference is 0 throughout: agreement with it says nothing".into();
                    last.verdict = Verdict::Fails { reason };
                }
                checked.comparisons.push(last);
            }
        }
    }
    if oracle.is_first_runtime() {
        notes.push("this build has no libtorch (feature `torch`): runtimes were compared with each other, not with a reference".into());
        if checked.len() < 2 {
            notes.push("only one runtime ran: nothing was compared".into());
        }
    }
    let mut all = checked
        .iter()
        .flat_map(|runtime| &runtime.comparisons)
        .peekable();
    let holds = all.peek().is_some() && all.all(|comparison| comparison.verdict.holds());
    Ok(ParityReport {
        schema: "incept.check/1".into(),
        provenance,
        network: net.name().into(),
        variant: net.variant().into(),
        reference: oracle.describe(
            checked
                .first()
                .map(|first| (first.version.as_str(), first.runtime.as_str())),
        ),
        formula: FORMULA.into(),
        tolerance: options.tolerance,
        notes,
        runtimes: checked,
        holds,
    })
}

/// The nodes whose values are compared: the heads the file says it puts out and the output of every stage up to the last
/// of them, as far as a head depends on it, and with `layers` every other value the file computes. Folding leaves some
/// layers without a value, but no stage: one that is not there is compared all the same, and fails.
pub(crate) fn compared_nodes(
    net: &Net,
    facts: &ModelFacts,
    heads: &[Output],
    layers: bool,
) -> Vec<NodeId> {
    let heads: Vec<NodeId> = heads
        .iter()
        .filter_map(|output| net.id(output.name()))
        .collect();
    let needed = net.needed(&heads);
    let stages: HashSet<NodeId> = net.stages().iter().map(|stage| stage.output).collect();
    let computed: HashSet<&str> = facts.values.iter().map(String::as_str).collect();
    net.nodes()
        .iter()
        .filter_map(|node| net.id(&node.name))
        .filter(|id| {
            let stage = stages.contains(id) && needed[id.index()];
            heads.contains(id) || stage || layers && computed.contains(net.at(*id).name.as_str())
        })
        .collect()
}

/// Of the values to compare, those a runtime can be asked for: the file computes them, and its heads are those that it
/// puts out itself.
fn put_out(names: &[String], facts: &ModelFacts, heads: &[Output]) -> Vec<String> {
    let computed: HashSet<&str> = facts.values.iter().map(String::as_str).collect();
    let declared = |name: &str| facts.outputs.iter().any(|value| value.name == name);
    let head = |name: &str| heads.iter().any(|head| head.name() == name);
    names
        .iter()
        .filter(|name| computed.contains(name.as_str()))
        .filter(|name| !head(name) || declared(name))
        .cloned()
        .collect()
}

/// The batch sizes to run: those asked for, or the one the file is fixed to.
fn batches(facts: &ModelFacts, asked: &[usize]) -> Result<Vec<usize>, ParityError> {
    let fixed = facts.inputs.first().and_then(|input| input.shape.first());
    let asked = match fixed {
        Some(Ok(fixed)) => std::slice::from_ref(fixed),
        _ => asked,
    };
    match asked.iter().find(|&&batch| batch == 0 || batch > 4096) {
        Some(&found) => Err(ParityError::Batch {
            expected: "1 to 4096".into(),
            found,
        }),
        None => Ok(asked.to_vec()),
    }
}

fn reference_from(outputs: Vec<NamedOutput>, names: &[String]) -> Vec<Option<ArrayD<f64>>> {
    let find = |name: &String| outputs.iter().find(|(output, _)| output == name);
    names
        .iter()
        .map(|name| find(name).map(|(_, value)| value.mapv(f64::from)))
        .collect()
}
