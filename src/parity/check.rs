//! `incept check`: an exported model in each runtime, against libtorch in float64 built from the same description.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use incept_exporters::net::{Net, NodeId};
use incept_exporters::onnx::{Model, ModelFacts, NetworkFacts, Output, Preprocessing, Scaling};

use super::feed::Feed;
use super::{ImageOptions, ParityError, ParityReport, Rule, RuntimeChecked};
use crate::crops::CroppedImages;
use crate::provenance::Provenance;
use crate::runtime;

/// What a check compares.
#[derive(Debug, Clone)]
pub struct CheckOptions {
    /// Runtimes by name; [`runtime::DEFAULT`] where empty.
    pub runtimes: Vec<String>,
    /// The weights the model was exported from; not needed where it was exported from a seed.
    pub weights: Option<PathBuf>,
    /// Images in each batch that is run; every layer of the largest is compared.
    pub batches: Vec<usize>,
    /// What decides, where it is not what rounding explains.
    pub rule: Option<Rule>,
    /// The images, instead of random ones: then they are the only batch.
    pub images: Option<ImageOptions>,
    /// Seed of random images.
    pub seed: u64,
    /// Whether what each runtime differs from itself is measured.
    pub noise: bool,
    /// Bytes of memory that the comparison of layers may take.
    pub memory: u64,
}

/// What a check may take where nothing is said: 2 GiB.
pub const DEFAULT_MEMORY: u64 = 2 << 30;

impl Default for CheckOptions {
    fn default() -> Self {
        Self {
            runtimes: vec![],
            weights: None,
            batches: vec![1, 3],
            rule: None,
            images: None,
            seed: 0,
            noise: true,
            memory: DEFAULT_MEMORY,
        }
    }
}

/// A model that is checked, read and understood.
pub(super) struct Subject {
    pub(super) model: Model,
    pub(super) facts: ModelFacts,
    pub(super) network: NetworkFacts,
    pub(super) net: Net,
    /// The heads it puts out.
    #[cfg(feature = "torch")]
    pub(super) heads: Vec<NodeId>,
    /// The sizes of the batches.
    pub(super) batches: Vec<usize>,
    /// Crops of images, and how the network takes them, instead of random ones.
    images: Option<(CroppedImages, Scaling)>,
    /// The number of images it is fixed to.
    #[cfg(feature = "torch")]
    pub(super) fixed: Option<usize>,
}

impl Subject {
    /// The images of the largest batch.
    ///
    /// # Errors
    /// [`ParityError`] for crops that are not of their own size.
    pub(super) fn feed(&self, seed: u64) -> Result<Feed, ParityError> {
        let largest = self.batches.iter().copied().max().unwrap_or(1);
        match &self.images {
            Some((crops, scaling)) => {
                Ok(Feed::of_crops(crops, *scaling, self.facts.takes_bytes())?)
            }
            None => Ok(Feed::new(&self.net, &self.facts, seed, largest)),
        }
    }
}

/// Runs the model in every runtime and compares its outputs and every layer's with the reference: libtorch in float64.
/// In a build without the feature `torch` the first runtime is the reference of the others, and outputs and stages are
/// compared.
///
/// # Errors
/// [`ParityError`] where a part could not run at all; a difference is not an error but in the report.
pub fn check(
    model: &Path,
    options: &CheckOptions,
    progress: &mut dyn FnMut(&str),
) -> Result<ParityReport, ParityError> {
    let mut provenance = Provenance::of_this_run();
    let mut notes = vec![];
    let subject = read(model, options, &mut provenance, &mut notes)?;
    // Beside itself a runtime would be no comparison.
    let runtimes = runtime::find_each(&options.runtimes, runtime::DEFAULT)?;
    let mut checked = vec![];
    for runtime in &runtimes {
        let version = runtime.version()?;
        provenance.runtimes.push(runtime.title()?);
        checked.push(RuntimeChecked {
            runtime: runtime.name().into(),
            version,
            device: runtime.device().into(),
            placement: None,
            comparisons: vec![],
            layers: vec![],
            noise: vec![],
            layer_by_layer: vec![],
        });
    }
    let mut run = super::Run {
        options,
        provenance: &mut provenance,
        notes: &mut notes,
        progress,
    };
    let (reference, rule, images) =
        super::compare_all(&subject, &runtimes, &mut checked, &mut run)?;
    Ok(ParityReport {
        schema: "incept.check/2".into(),
        provenance,
        model: subject.model.path.display().to_string(),
        network: subject.net.name().into(),
        variant: subject.net.variant().into(),
        reference,
        rule,
        formula: rule.to_string(),
        images,
        holds: checked.iter().any(RuntimeChecked::compared_something)
            && checked.iter().all(RuntimeChecked::holds),
        notes,
        runtimes: checked,
    })
}

/// A model that names its network, which is built again.
pub(crate) struct Opened {
    pub(crate) model: Model,
    pub(crate) facts: ModelFacts,
    pub(crate) network: NetworkFacts,
    pub(crate) net: Net,
}

impl Opened {
    /// Reads a model.
    ///
    /// # Errors
    /// [`ParityError`] for what is no ONNX file, names no network, or one that cannot be built.
    pub(crate) fn read(path: &Path) -> Result<Self, ParityError> {
        let model = Model::load(path)?;
        let facts = model.facts()?;
        let network = facts
            .network
            .clone()
            .ok_or_else(|| ParityError::Foreign { path: path.into() })?;
        let net = network.build().map_err(|source| ParityError::Rebuild {
            path: path.into(),
            source,
        })?;
        Ok(Self {
            model,
            facts,
            network,
            net,
        })
    }
}

fn read(
    path: &Path,
    options: &CheckOptions,
    provenance: &mut Provenance,
    notes: &mut Vec<String>,
) -> Result<Subject, ParityError> {
    let opened = Opened::read(path)?;
    provenance.add_model(&opened.model)?;
    let images = match &options.images {
        Some(images) => {
            let contract = opened.contract()?;
            if contract
                .as_ref()
                .is_some_and(Preprocessing::takes_any_image)
            {
                return Err(ParityError::TakesWholeImages { path: path.into() });
            }
            let scaling = contract.map_or(Scaling::UNIT, |contract| contract.scaling);
            Some((
                opened
                    .pictures(images, MOST_PIXELS, provenance, notes)?
                    .cropped,
                scaling,
            ))
        }
        None => None,
    };
    let Opened {
        model,
        facts,
        network,
        net,
    } = opened;
    let fixed = facts.inputs.first().and_then(|input| input.shape.first());
    let fixed = fixed.and_then(|size| size.as_ref().ok()).copied();
    Ok(Subject {
        model,
        #[cfg(feature = "torch")]
        heads: network
            .outputs
            .iter()
            .filter_map(|output| net.id(output.name()))
            .collect(),
        batches: match &images {
            Some((crops, _)) => of_crops(fixed, crops.crops.len())?,
            None => batches(fixed, &options.batches)?,
        },
        images,
        facts,
        network,
        net,
        #[cfg(feature = "torch")]
        fixed,
    })
}

/// The batch sizes to run: those asked for, or the one the file is fixed to.
fn batches(fixed: Option<usize>, asked: &[usize]) -> Result<Vec<usize>, ParityError> {
    let asked = match &fixed {
        Some(fixed) => std::slice::from_ref(fixed),
        None => asked,
    };
    match asked.iter().find(|&&batch| batch == 0 || batch > 4096) {
        Some(&found) => Err(ParityError::Batch {
            expected: "1 to 4096".into(),
            found,
        }),
        None => Ok(asked.to_vec()),
    }
}

/// Bytes of pixels that are held at most; as numbers they are four times as many.
const MOST_PIXELS: u64 = 512 << 20;

/// All crops, as one batch, of a model that is not fixed to another number.
fn of_crops(fixed: Option<usize>, crops: usize) -> Result<Vec<usize>, ParityError> {
    match fixed {
        Some(fixed) if fixed != crops => Err(ParityError::Batch {
            expected: format!("{fixed}, which the model is fixed to, of the images given"),
            found: crops,
        }),
        _ => Ok(vec![crops]),
    }
}

/// The nodes whose values stand for the network: the heads the file says it puts out and the output of every stage up to
/// the last of them, as far as a head depends on it, and with `layers` every other value the file computes. Folding leaves
/// some layers without a value, but no stage.
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
    let nodes = net.nodes().iter().filter_map(|node| net.id(&node.name));
    nodes
        .filter(|id| {
            let stage = stages.contains(id) && needed[id.index()];
            heads.contains(id) || stage || layers && computed.contains(net.at(*id).name.as_str())
        })
        .collect()
}
