//! A failing model cut down to the smallest part that still fails, as a bug report that other tools can load.

mod bundle;
mod report;
mod search;
mod shrink;
mod trial;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use incept_exporters::files::FileError;
use incept_exporters::onnx::CutError;

pub use report::{BisectReport, CulpritNode, TensorShape};
pub use trial::Failure;

use super::against::{
    AgainstError, InputOptions, Interface, Layers, Side, Tolerance, fill, find, open,
};
use crate::provenance::Provenance;
use crate::runtime::RuntimeError;
use trial::Trials;

/// What is to be cut, and beside what it fails.
#[derive(Debug, Clone)]
pub struct BisectOptions {
    /// The file that is right; none: the model itself, in another runtime.
    pub against: Option<PathBuf>,
    /// The runtime that fails.
    pub runtime: String,
    /// The runtime that is right.
    pub reference_runtime: String,
    /// What the model is fed with.
    pub inputs: InputOptions,
    /// How far the values may be from the reference's.
    pub tolerance: Tolerance,
    /// The folder for the bug report: there must be none of that name, or an empty one.
    pub out: PathBuf,
}

/// A bisection that could not run.
#[derive(Debug, thiserror::Error)]
pub enum BisectError {
    /// Files, interfaces, runtimes and inputs.
    #[error(transparent)]
    Against(#[from] AgainstError),
    /// A graph that is not whole.
    #[error("the graph is not whole")]
    Cut(#[from] CutError),
    /// The reference does not run.
    #[error("the reference does not run")]
    Reference(#[source] RuntimeError),
    /// The report cannot be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The folder is taken.
    #[error("`{}`: expected no folder or an empty one, found files in it", path.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// Model and reference are the same.
    #[error("nothing to compare: `{runtime}` beside itself, on the same file")]
    Itself {
        /// The runtime.
        runtime: String,
    },
}

impl BisectError {
    /// The fix, where one is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Against(error) => error.hint(),
            Self::Cut(_) => {
                Some("the file may be cut off, or was put together wrongly: export it again".into())
            }
            Self::Reference(error) => error
                .hint()
                .or_else(|| Some("the reference must be a model and a runtime that work".into())),
            Self::File(error) => error.hint(),
            Self::NotEmpty { .. } => {
                Some("name another folder: nothing that is there is replaced".into())
            }
            Self::Itself { .. } => Some(
                "give another runtime with --reference-runtime, or another file with --against"
                    .into(),
            ),
        }
    }
}

/// Cuts a model down to the smallest part that fails beside the reference, and writes the bug report. None where the
/// model does not fail; then nothing is written.
///
/// # Errors
/// [`BisectError`] where the reference does not run, or the report cannot be written.
pub fn bisect(
    model: &Path,
    options: &BisectOptions,
    progress: &mut dyn FnMut(&str),
) -> Result<Option<BisectReport>, BisectError> {
    if options.against.is_none() && options.runtime == options.reference_runtime {
        return Err(BisectError::Itself {
            runtime: options.runtime.clone(),
        });
    }
    bundle::check_folder(&options.out)?;
    let mut provenance = Provenance::of_this_run();
    let of_a = open(model, &mut provenance)?;
    let other = match &options.against {
        Some(path) => Some(open(path, &mut provenance)?),
        None => None,
    };
    let of_b = other.as_ref().unwrap_or(&of_a);
    let interface = Interface::pair(&of_a.parts, &of_b.parts)?;
    let (for_a, for_b) = fill(&interface, &options.inputs)?;
    let (runtime, reference) = (find(&options.runtime)?, find(&options.reference_runtime)?);
    let side_a = Side::of(model, runtime)?;
    let side_b = Side::of(options.against.as_deref().unwrap_or(model), reference)?;
    provenance.runtimes = vec![
        format!("A: {}, {}", side_a.version, side_a.device),
        format!("B: {}, {}", side_b.version, side_b.device),
    ];
    let layers = other
        .as_ref()
        .map(|other| Layers::align(&of_a.parts, &other.parts, &interface));
    let mut trials = Trials {
        a: &of_a.parts,
        b: &of_b.parts,
        layers: layers.as_ref(),
        outputs: &interface.outputs,
        for_a: &for_a,
        for_b: &for_b,
        runtime,
        reference,
        tolerance: options.tolerance,
        held: HashMap::new(),
        looked_for: None,
        tried: 0,
    };
    let Some(found) = search::search(&mut trials, progress)? else {
        return Ok(None);
    };
    let example = shrink::shrink(&mut trials, found, progress)?;
    let report = BisectReport::new(provenance, side_a, side_b, &trials, &example);
    bundle::write(&options.out, &report, &trials, &example)?;
    Ok(Some(report))
}
