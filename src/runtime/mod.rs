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

/// A batch of images, as a model takes it.
#[derive(Debug, Clone)]
pub enum Images<'a> {
    /// Scaled, `[N, 3, H, W]`.
    Floats(ArrayViewD<'a, f32>),
    /// As they were decoded, `[N, H, W, 3]`.
    Bytes(ArrayViewD<'a, u8>),
}

impl Images<'_> {
    /// The batch's shape.
    pub fn shape(&self) -> &[usize] {
        match self {
            Self::Floats(view) => view.shape(),
            Self::Bytes(view) => view.shape(),
        }
    }
}

/// A loaded model with one input.
pub trait Session: Send {
    /// Runs a batch; returns every output of the model, float32, in the model's order.
    ///
    /// # Errors
    /// [`RuntimeError`] where the runtime refuses the batch.
    fn run_images(&mut self, images: Images<'_>) -> Result<Vec<NamedOutput>, RuntimeError>;

    /// [`Session::run_images`] of scaled images, `[N, 3, H, W]`.
    ///
    /// # Errors
    /// As [`Session::run_images`].
    fn run(&mut self, image: ArrayViewD<'_, f32>) -> Result<Vec<NamedOutput>, RuntimeError> {
        self.run_images(Images::Floats(image))
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
