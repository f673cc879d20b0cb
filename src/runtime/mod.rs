//! Runtimes that execute ONNX files: one trait, one file each, one line each in the registry.

mod error;
mod ort;
mod rten;
#[cfg(feature = "tract")]
mod tract;

pub use error::RuntimeError;

use incept_exporters::text::nearest;
use ndarray::{ArrayD, ArrayViewD};

/// A named output of a model.
pub type NamedOutput = (String, ArrayD<f32>);

/// How a model is to be loaded.
#[derive(Debug, Clone, Copy, Default)]
pub struct LoadOptions {
    /// Threads for one run; `None` leaves it to the runtime, which takes all cores.
    pub threads: Option<usize>,
    /// How far the runtime may change the graph; a runtime without such a choice ignores it.
    pub optimization: Optimization,
}

/// How far a runtime may change a graph before it runs it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Optimization {
    /// As far as it can: its default.
    #[default]
    All,
    /// Not at all.
    None,
}

/// A program that runs ONNX models.
pub trait Runtime: Sync {
    /// Its name at the command line: `ort`, `rten`, ...
    fn name(&self) -> &'static str;

    /// The device it computes on, in words.
    fn device(&self) -> &'static str;

    /// Its version, if it is present and loads.
    ///
    /// # Errors
    /// [`RuntimeError::Missing`] with the way to get it.
    fn version(&self) -> Result<String, RuntimeError>;

    /// Loads a model from the bytes of its file.
    ///
    /// # Errors
    /// [`RuntimeError`] where the runtime is missing or refuses the model.
    fn load(&self, model: &[u8], options: LoadOptions) -> Result<Box<dyn Session>, RuntimeError>;
}

/// A tensor that a model takes.
#[derive(Debug, Clone)]
pub enum InputTensor<'a> {
    /// Images that are scaled, `[N, 3, H, W]`, and every other value of a network. A model that takes float16 or
    /// bfloat16 gets them rounded, one that takes float64 as they are.
    Floats(ArrayViewD<'a, f32>),
    /// Images as they were decoded, `[N, H, W, 3]`.
    Bytes(ArrayViewD<'a, u8>),
    /// Whole numbers, as some models take for shapes; one that takes int32 or bool gets them as such.
    Integers(ArrayViewD<'a, i64>),
}

impl InputTensor<'_> {
    /// The tensor's shape.
    pub fn shape(&self) -> &[usize] {
        match self {
            Self::Floats(view) => view.shape(),
            Self::Bytes(view) => view.shape(),
            Self::Integers(view) => view.shape(),
        }
    }
}

/// A loaded model.
pub trait Session: Send {
    /// The names of its inputs, in the model's order.
    fn inputs(&self) -> &[String];

    /// Runs the model on inputs by name; returns every output of the model, as float32, in the model's order.
    ///
    /// # Errors
    /// [`RuntimeError`] where the runtime refuses an input.
    fn run_named(
        &mut self,
        inputs: &[(&str, InputTensor<'_>)],
    ) -> Result<Vec<NamedOutput>, RuntimeError>;

    /// Runs a model of one input on a batch of images.
    ///
    /// # Errors
    /// As [`Session::run_named`].
    fn run_images(&mut self, images: InputTensor<'_>) -> Result<Vec<NamedOutput>, RuntimeError> {
        let name = self.inputs().first().cloned().unwrap_or_default();
        self.run_named(&[(&name, images)])
    }

    /// [`Session::run_images`] of scaled images, `[N, 3, H, W]`.
    ///
    /// # Errors
    /// As [`Session::run_images`].
    fn run(&mut self, image: ArrayViewD<'_, f32>) -> Result<Vec<NamedOutput>, RuntimeError> {
        self.run_images(InputTensor::Floats(image))
    }
}

/// Every runtime of this build, in the order they are tried and listed.
pub const REGISTRY: &[&dyn Runtime] = &[
    &ort::CPU,
    &ort::CUDA,
    &rten::Rten,
    #[cfg(feature = "tract")]
    &tract::Tract,
];

/// The runtimes a check uses where none is named: those that any machine can run.
pub const DEFAULT: &[&str] = &["ort", "rten"];

/// Finds a runtime by name.
///
/// # Errors
/// [`RuntimeError::Unknown`] with the names there are.
pub fn find(name: &str) -> Result<&'static dyn Runtime, RuntimeError> {
    let names = || REGISTRY.iter().map(|runtime| runtime.name());
    REGISTRY
        .iter()
        .find(|runtime| runtime.name() == name)
        .copied()
        .ok_or_else(|| RuntimeError::Unknown {
            found: name.into(),
            known: names().collect::<Vec<_>>().join(", "),
            nearest: nearest(name, names()),
        })
}

/// The shapes of a run's inputs, for messages.
fn shapes_of(inputs: &[(&str, InputTensor<'_>)]) -> String {
    match inputs {
        [(_, input)] => format!("{:?}", input.shape()),
        several => {
            let shapes = several.iter();
            let shapes: Vec<String> = shapes
                .map(|(name, input)| format!("`{name}` {:?}", input.shape()))
                .collect();
            shapes.join(", ")
        }
    }
}
