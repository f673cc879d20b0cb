//! Two ONNX files of equal interface, whoever wrote them, compared layer by layer: A, which is checked, with B, which is
//! the reference.

mod align;
mod closeness;
mod error;
mod graph;
mod inputs;
mod interface;
mod layers;
mod npz;
mod report;
mod walk;

use std::path::Path;

use incept_exporters::onnx::{Bytes, Model, Parts};

pub use align::AlignedBy;
pub use closeness::{CLOSENESS, Difference, Tolerance};
pub use error::AgainstError;
pub use inputs::InputOptions;
pub use report::{AgainstReport, AgainstRun, Layer, Side, Unaligned};

pub(crate) use closeness::difference;
pub(crate) use inputs::{Inputs, fill};
pub(crate) use interface::Interface;
pub(crate) use walk::{can_be_handed_on, input, run_cut};

use crate::provenance::Provenance;
use crate::runtime::{self, LoadOptions, NamedOutput, Optimization, Runtime, Session};
use graph::Graph;

/// What is compared, and how.
#[derive(Debug, Clone)]
pub struct AgainstOptions {
    /// The runtimes for A, by name; [`DEFAULT_RUNTIME`] where empty.
    pub runtimes: Vec<String>,
    /// The runtime for B; none: the first of A's.
    pub against_runtime: Option<String>,
    /// What both models are fed with.
    pub inputs: InputOptions,
    /// How far A may be from B.
    pub tolerance: Tolerance,
    /// Bytes of the layers that are held at once.
    pub window_bytes: usize,
}

/// The runtime where none is named.
pub const DEFAULT_RUNTIME: &str = "ort";

/// The bytes of layers that are held at once where nothing else is said.
pub const DEFAULT_WINDOW: usize = 512 << 20;

impl Default for AgainstOptions {
    fn default() -> Self {
        Self {
            runtimes: vec![],
            against_runtime: None,
            inputs: InputOptions::default(),
            tolerance: Tolerance::default(),
            window_bytes: DEFAULT_WINDOW,
        }
    }
}

/// A model, taken apart.
pub(crate) struct Opened {
    pub(crate) parts: Parts,
    bytes: Bytes,
}

/// Opens a model, and says so in the provenance.
pub(crate) fn open(path: &Path, provenance: &mut Provenance) -> Result<Opened, AgainstError> {
    let model = Model::load(path)?;
    provenance.add_model(&model)?;
    Ok(Opened {
        parts: model.parts()?,
        bytes: model.bytes,
    })
}

/// Whose values are which: the pairs of two graphs' layers.
pub(crate) struct Layers {
    a: Graph,
    b: Graph,
    alignment: align::Alignment,
    /// Pairs of classes, in B's order.
    pairs: Vec<(usize, usize)>,
}

impl Layers {
    pub(crate) fn align(a: &Parts, b: &Parts, interface: &Interface) -> Self {
        let (of_a, of_b) = (Graph::read(a), Graph::read(b));
        let alignment = align::align(&of_a, &of_b, &interface.input_names(), &interface.outputs);
        let pairs = alignment.layers(&of_a, &of_b);
        Self {
            a: of_a,
            b: of_b,
            alignment,
            pairs,
        }
    }

    /// The value of B that holds the same as a value of A, where that can only be one.
    pub(crate) fn of_value(&self, value: &str) -> Option<&str> {
        let class = self.a.class_of(value)?;
        let (members, others) = (
            &self.a.classes[class].members,
            &self.b.classes[self.alignment.of_a[class]?].members,
        );
        let named = others.iter().find(|other| *other == value);
        let only = || {
            others
                .first()
                .filter(|_| members.len() == 1 && others.len() == 1)
        };
        named.or_else(only).map(String::as_str)
    }
}

/// Compares two models of equal interface: their outputs, from the files as they are, and every layer that both have,
/// by itself and with all before it.
///
/// # Errors
/// [`AgainstError`] where a part could not run at all; a difference is not an error but in the report.
pub fn against(
    a: &Path,
    b: &Path,
    options: &AgainstOptions,
    progress: &mut dyn FnMut(&str),
) -> Result<AgainstReport, AgainstError> {
    let mut provenance = Provenance::of_this_run();
    let (opened_a, opened_b) = (open(a, &mut provenance)?, open(b, &mut provenance)?);
    let interface = Interface::pair(&opened_a.parts, &opened_b.parts)?;
    let (for_a, for_b) = fill(&interface, &options.inputs)?;
    let layers = Layers::align(&opened_a.parts, &opened_b.parts, &interface);
    let runtimes = runtime::find_each(&options.runtimes, &[DEFAULT_RUNTIME]);
    let runtimes = runtimes.map_err(AgainstError::runtime)?;
    let reference = match &options.against_runtime {
        Some(name) => find(name)?,
        None => runtimes[0],
    };
    let mut notes = interface.notes.clone();
    if layers.alignment.names_contradict {
        notes.push(
            "some names are of other layers in A than in B: layers were told by structure alone"
                .into(),
        );
    }
    let side_b = Side::of(b, reference)?;
    provenance
        .runtimes
        .push(format!("B: {}, {}", side_b.version, side_b.device));
    let mut runs = vec![];
    for runtime in runtimes {
        let side_a = Side::of(a, runtime)?;
        provenance
            .runtimes
            .push(format!("A: {}, {}", side_a.version, side_a.device));
        progress(&format!("running both models, A in {}", runtime.name()));
        let outputs = {
            let whole_b = whole(
                reference,
                &opened_b.bytes,
                LoadOptions::default(),
                &for_b,
                1,
                "B",
            )?;
            let mut runs_a = whole(
                runtime,
                &opened_a.bytes,
                LoadOptions::default(),
                &for_a,
                2,
                "A",
            )?;
            for variation in variations() {
                runs_a.extend(whole(runtime, &opened_a.bytes, variation, &for_a, 1, "A")?);
            }
            outputs(&interface, &runs_a, &whole_b[0], options.tolerance)
        };
        let comparer = layers::Comparer {
            layers: &layers,
            a: &opened_a.parts,
            b: &opened_b.parts,
            for_a: &for_a,
            for_b: &for_b,
            runtime,
            reference,
            tolerance: options.tolerance,
            window_bytes: options.window_bytes,
        };
        let (compared, window) = comparer.run(progress)?;
        runs.push(AgainstRun::new(side_a, &layers, outputs, compared, window));
    }
    let shapes = for_b
        .iter()
        .map(|(name, tensor)| (name.clone(), tensor.shape().to_vec()));
    Ok(AgainstReport {
        schema: "incept.against/1".into(),
        provenance,
        a: a.into(),
        b: side_b,
        inputs: shapes.collect(),
        formula: CLOSENESS.into(),
        tolerance: options.tolerance,
        aligned: layers.pairs.len(),
        unaligned_a: report::unaligned(
            &layers.a,
            &layers.alignment.of_a,
            &layers.b,
            &opened_a.parts,
        ),
        unaligned_b: report::unaligned(
            &layers.b,
            &layers.alignment.of_b,
            &layers.a,
            &opened_b.parts,
        ),
        notes,
        holds: !runs.is_empty() && runs.iter().all(|run| run.holds),
        runs,
    })
}

/// The ways A runs besides, to see what they change: on one thread, and as the graph stands.
fn variations() -> [LoadOptions; 2] {
    [
        LoadOptions {
            threads: Some(1),
            ..LoadOptions::default()
        },
        LoadOptions {
            optimization: Optimization::None,
            ..LoadOptions::default()
        },
    ]
}

pub(crate) fn find(name: &str) -> Result<&'static dyn Runtime, AgainstError> {
    runtime::find(name).map_err(AgainstError::runtime)
}

/// Runs a file as it is, this many times.
fn whole(
    runtime: &dyn Runtime,
    model: &[u8],
    options: LoadOptions,
    inputs: &Inputs,
    times: usize,
    side: &str,
) -> Result<Vec<Vec<NamedOutput>>, AgainstError> {
    let failed = |source| AgainstError::Runtime {
        side: Some(side.into()),
        source,
    };
    let mut session: Box<dyn Session> = runtime.load(model, options).map_err(failed)?;
    let given: Vec<_> = inputs
        .iter()
        .map(|(name, tensor)| (name.as_str(), tensor.view()))
        .collect();
    (0..times)
        .map(|_| session.run_named(&given).map_err(failed))
        .collect()
}

/// The outputs of the files as they are.
fn outputs(
    interface: &Interface,
    runs_a: &[Vec<NamedOutput>],
    run_b: &[NamedOutput],
    tolerance: Tolerance,
) -> Vec<Layer> {
    let find = |outputs: &[NamedOutput], name: &str| {
        outputs
            .iter()
            .find(|(output, _)| output == name)
            .map(|(_, array)| array.clone())
    };
    let compared = interface.outputs.iter().map(|(of_a, of_b)| {
        let found: Vec<_> = runs_a.iter().map(|run| find(run, of_a)).collect();
        let difference = match (found.first().cloned().flatten(), find(run_b, of_b)) {
            (Some(a), Some(b)) => {
                let again = found[1..].iter().map(|other| {
                    other
                        .as_ref()
                        .map_or(f64::NAN, |other| closeness::largest_difference(&a, other))
                });
                difference(&a, &b, tolerance, Some(again.fold(0.0, largest)))
            }
            (a, _) => Difference::missing(if a.is_none() { "A" } else { "B" }),
        };
        Layer {
            a: of_a.clone(),
            b: of_b.clone(),
            operator: String::new(),
            aligned_by: if of_a == of_b {
                AlignedBy::StructureAndName
            } else {
                AlignedBy::Structure
            },
            accumulated: difference,
            isolated: None,
            not_isolated: None,
        }
    });
    compared.collect()
}

/// The larger; a NaN stays.
fn largest(one: f64, other: f64) -> f64 {
    if one.is_nan() || other.is_nan() {
        f64::NAN
    } else {
        one.max(other)
    }
}
