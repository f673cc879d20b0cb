//! The matrix (feature `torch`): every network and variant of the zoo, in every precision, with batch normalisation folded and
//! kept, on every runtime that is present, beside the float64 reference; and what is known not to work, with the reason.

mod cases;
mod error;
mod gaps;
mod judge;
mod table;

pub use cases::{Case, cases};
pub use error::MatrixError;
pub use gaps::{Gap, Gaps};
pub use judge::tolerance;

use incept_exporters::net::NetOptions;
use ndarray::ArrayD;
use serde::Serialize;

use crate::provenance::Provenance;
use crate::runtime::{self, LoadOptions, REGISTRY, Runtime, RuntimeError};
use crate::torch::Threads;

/// What is run.
#[derive(Debug, Clone)]
pub struct MatrixOptions {
    /// Runtimes by name; every one that is present where empty.
    pub runtimes: Vec<String>,
    /// What is known not to work.
    pub gaps: Gaps,
    /// Size, width and classes of each network.
    pub net: NetOptions,
    /// Images in the batch.
    pub batch: usize,
    /// Seed of weights and images.
    pub seed: u64,
}

impl MatrixOptions {
    /// Small networks, so that all of it takes minutes: every layer is there at any width.
    pub fn small(gaps: Gaps) -> Self {
        let net = NetOptions {
            classes: 10,
            width_multiplier: 0.1,
            ..NetOptions::default()
        };
        Self {
            runtimes: vec![],
            gaps,
            net: net.image_size(75),
            batch: 2,
            seed: 3,
        }
    }
}

/// What came out of one case on one runtime.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// It ran on the device asked for, within the tolerance.
    Works,
    /// It did not run, or not there, or its numbers are others.
    Fails {
        /// In words, with expected and found.
        reason: String,
    },
}

/// One case on one runtime.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cell {
    /// What was exported.
    #[serde(flatten)]
    pub case: Case,
    /// The runtime's name.
    pub runtime: String,
    /// `max|actual − reference| / max|reference|`, where it ran.
    pub relative_error: Option<f64>,
    /// What it may be at most.
    pub tolerance: f64,
    /// What came out.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// Why it is known not to work, where it is.
    pub known_gap: Option<String>,
}

impl Cell {
    /// Whether the outcome is the known one: it works, or it fails and that is listed.
    pub fn is_expected(&self) -> bool {
        (self.outcome == Outcome::Works) == self.known_gap.is_none()
    }
}

/// A runtime that was not run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Absent {
    /// Its name.
    pub runtime: String,
    /// Why not.
    pub reason: String,
}

/// A runtime that was run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Present {
    /// Its name.
    pub runtime: String,
    /// Its version.
    pub version: String,
    /// The device it computed on.
    pub device: String,
}

/// The whole matrix.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Matrix {
    /// `incept.matrix/1`.
    pub schema: String,
    /// Where it comes from.
    pub provenance: Provenance,
    /// The runtimes that were run, in the order of the columns.
    pub runtimes: Vec<Present>,
    /// The runtimes that were not.
    pub absent: Vec<Absent>,
    /// Every case on every runtime, case by case.
    pub cells: Vec<Cell>,
    /// Known gaps of a runtime that ran which no case met: they stand for nothing.
    pub stale_gaps: Vec<Gap>,
    /// Whether something ran, and everything came out as it is known.
    pub holds: bool,
}

/// Runs all of it.
///
/// # Errors
/// [`MatrixError`] where a part could not run at all, and for a runtime that was asked for and is missing. A case that fails is
/// no error but in the matrix.
pub fn run(options: &MatrixOptions, progress: &mut dyn FnMut(&str)) -> Result<Matrix, MatrixError> {
    let (runtimes, present, absent) = find(&options.runtimes)?;
    let mut provenance = Provenance::of_this_run();
    provenance.runtimes = present
        .iter()
        .map(|found| format!("{}, {}", found.version, found.device))
        .collect();
    let _threads = Threads::new(THREADS);
    let mut cells = vec![];
    let images = cases::images(options);
    for entry in incept_exporters::zoo::REGISTRY {
        let network = cases::Network::new(entry, options, &images)?;
        for (precision, batch_norm) in cases::forms() {
            let case = Case::new(entry, precision, batch_norm);
            progress(&case.to_string());
            let model = network.export(precision, batch_norm)?;
            for runtime in &runtimes {
                let found = compute(*runtime, &model, &images, network.head);
                cells.push(cell(&case, *runtime, found, &network.expected, options));
            }
        }
    }
    let ran: Vec<&str> = present.iter().map(|found| found.runtime.as_str()).collect();
    let stale_gaps = options.gaps.stale(&cells, &ran);
    let expected = cells.iter().all(Cell::is_expected);
    Ok(Matrix {
        schema: "incept.matrix/1".into(),
        provenance,
        holds: !cells.is_empty() && expected && stale_gaps.is_empty(),
        runtimes: present,
        absent,
        cells,
        stale_gaps,
    })
}

/// Networks this small are not faster on more threads, and threads that wait for one another on a busy machine make them many
/// times slower.
const THREADS: usize = 1;

type Found = (Vec<&'static dyn Runtime>, Vec<Present>, Vec<Absent>);

/// The runtimes asked for, each once; without any, those of the build that are present.
fn find(asked: &[String]) -> Result<Found, MatrixError> {
    let mut runtimes: Vec<&'static dyn Runtime> = vec![];
    let (mut present, mut absent) = (vec![], vec![]);
    let mut add = |runtime: &'static dyn Runtime, version: String| {
        runtimes.push(runtime);
        present.push(Present {
            runtime: runtime.name().into(),
            version,
            device: runtime.device().into(),
        });
    };
    for runtime in runtime::find_each(asked, &[])? {
        add(runtime, runtime.version()?);
    }
    if asked.is_empty() {
        for runtime in REGISTRY {
            match runtime.version() {
                Ok(version) => add(*runtime, version),
                Err(error) => absent.push(Absent {
                    runtime: runtime.name().into(),
                    reason: error.to_string(),
                }),
            }
        }
    }
    Ok((runtimes, present, absent))
}

/// The head's value, from a session all of whose nodes ran where they were asked to.
fn compute(
    runtime: &dyn Runtime,
    model: &[u8],
    images: &ArrayD<f32>,
    head: &str,
) -> Result<Option<ArrayD<f32>>, RuntimeError> {
    let options = LoadOptions {
        threads: Some(THREADS),
        placement: true,
        ..LoadOptions::default()
    };
    let mut session = runtime.load(model, options)?;
    let outputs = session.run(images.view())?;
    session.placement()?.require(runtime.provider())?;
    let mut named = outputs.into_iter();
    Ok(named.find(|(name, _)| name == head).map(|(_, value)| value))
}

fn cell(
    case: &Case,
    runtime: &dyn Runtime,
    found: Result<Option<ArrayD<f32>>, RuntimeError>,
    expected: &ArrayD<f64>,
    options: &MatrixOptions,
) -> Cell {
    let tolerance = tolerance(case.precision, runtime.precision());
    let (relative_error, outcome) = match found {
        Ok(Some(value)) => judge::judge(expected, &value, tolerance),
        Ok(None) => {
            let reason = "the head was not put out".into();
            (None, Outcome::Fails { reason })
        }
        Err(error) => {
            // Some explain themselves over several lines.
            let said = error.to_string();
            let reason = said.split_whitespace().collect::<Vec<_>>().join(" ");
            (None, Outcome::Fails { reason })
        }
    };
    Cell {
        case: case.clone(),
        runtime: runtime.name().into(),
        relative_error,
        tolerance,
        outcome,
        known_gap: options.gaps.find(case, runtime.name()),
    }
}
