//! Runtimes that execute ONNX files: one trait, one file each, one line each in the registry.

mod error;
#[cfg(feature = "openvino")]
mod openvino;
mod ort;
mod placement;
mod rten;
#[cfg(feature = "torch")]
mod torch;
#[cfg(feature = "tract")]
mod tract;
mod web;

pub use error::RuntimeError;
pub use placement::{PlacedNode, Placement, RecordedValue, computes};
pub use web::chromium;

use std::env;
use std::path::{Path, PathBuf};

use incept_exporters::onnx::Precision;
use incept_exporters::onnx::{DataTensor, Numbers};
use incept_exporters::text::nearest;
use ndarray::{ArrayD, ArrayViewD};
#[cfg(feature = "torch")]
use ndarray::{Axis, Slice};

/// A named output of a model.
pub type NamedOutput = (String, ArrayD<f32>);

/// How a model is to be loaded.
#[derive(Debug, Clone, Copy, Default)]
pub struct LoadOptions {
    /// Threads for one run; `None` leaves it to the runtime, which takes all cores.
    pub threads: Option<usize>,
    /// How far the runtime may change the graph; a runtime without such a choice ignores it.
    pub optimization: Optimization,
    /// Whether the model runs a few times only, beside others: then threads sleep while they wait for work, where the
    /// runtime has that choice, instead of running in circles.
    pub brief: bool,
    /// Whether products may be rounded to TF32, 10 bits of each factor, where the runtime has that choice; they are not
    /// unless this is asked for.
    pub tf32: bool,
    /// Whether the session records where its nodes run, for [`Session::placement`]; runs take a little longer.
    pub placement: bool,
}

/// How far a runtime may change a graph before it runs it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Optimization {
    /// As far as it can: its default.
    #[default]
    All,
    /// ONNX Runtime's extended level: fusions of nodes too, but no other layout of values.
    Extended,
    /// ONNX Runtime's basic level: only what leaves the operators as they are.
    Basic,
    /// Not at all.
    None,
}

/// A program that runs ONNX models.
pub trait Runtime: Sync {
    /// Its name at the command line: `ort`, `rten`, ...
    fn name(&self) -> &'static str;

    /// The device it computes on, in words.
    fn device(&self) -> &'static str;

    /// What it is asked to compute on, as [`Placement::require`] takes it: an execution provider of ONNX Runtime, or the
    /// device.
    fn provider(&self) -> &'static str {
        self.device()
    }

    /// The precision that it rounds every float to, whatever the file says; none where it computes as the file says, or more
    /// precisely.
    fn precision(&self) -> Option<Precision> {
        None
    }

    /// Its version, if it is present and loads.
    ///
    /// # Errors
    /// [`RuntimeError::Missing`] with the way to get it.
    fn version(&self) -> Result<String, RuntimeError>;

    /// Its version and its device, as results name it.
    ///
    /// # Errors
    /// As [`Runtime::version`].
    fn title(&self) -> Result<String, RuntimeError> {
        Ok(format!("{}, {}", self.version()?, self.device()))
    }

    /// Whether it takes [`LoadOptions::threads`] into account.
    fn honours_threads(&self) -> bool {
        false
    }

    /// Whether it takes [`LoadOptions::tf32`] into account.
    fn honours_tf32(&self) -> bool {
        false
    }

    /// The values of [`LoadOptions::optimization`] that it takes into account, besides its default.
    fn optimizations(&self) -> &'static [Optimization] {
        &[]
    }

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

    /// The first image of a batch.
    #[cfg(feature = "torch")]
    pub(crate) fn first_image(&self) -> InputTensor<'_> {
        let first = Slice::from(..1);
        match self {
            Self::Floats(view) => InputTensor::Floats(view.slice_axis(Axis(0), first)),
            Self::Bytes(view) => InputTensor::Bytes(view.slice_axis(Axis(0), first)),
            Self::Integers(view) => InputTensor::Integers(view.slice_axis(Axis(0), first)),
        }
    }
}

/// A tensor that a model takes, with its values.
#[derive(Debug, Clone)]
pub enum Tensor {
    /// See [`InputTensor::Floats`].
    Floats(ArrayD<f32>),
    /// See [`InputTensor::Bytes`].
    Bytes(ArrayD<u8>),
    /// See [`InputTensor::Integers`].
    Integers(ArrayD<i64>),
}

impl Tensor {
    /// The tensor as a model takes it.
    pub fn view(&self) -> InputTensor<'_> {
        match self {
            Self::Floats(array) => InputTensor::Floats(array.view()),
            Self::Bytes(array) => InputTensor::Bytes(array.view()),
            Self::Integers(array) => InputTensor::Integers(array.view()),
        }
    }

    /// Its shape.
    pub fn shape(&self) -> &[usize] {
        match self {
            Self::Floats(array) => array.shape(),
            Self::Bytes(array) => array.shape(),
            Self::Integers(array) => array.shape(),
        }
    }

    /// The tensor as ONNX's files of tensors hold it, under a name and of an element type.
    pub fn to_data(&self, name: &str, element_type: i32) -> DataTensor {
        let numbers = match self {
            Self::Floats(array) => {
                Numbers::Floats(array.iter().map(|&value| value.into()).collect())
            }
            Self::Bytes(array) => {
                Numbers::Integers(array.iter().map(|&value| value.into()).collect())
            }
            Self::Integers(array) => Numbers::Integers(array.iter().copied().collect()),
        };
        DataTensor {
            name: name.into(),
            element_type,
            shape: self.shape().to_vec(),
            numbers,
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

    /// Where the nodes of all runs so far were computed. The first call ends the recording: later runs are not in it.
    ///
    /// # Errors
    /// [`RuntimeError::NoPlacement`] where the session was not loaded with [`LoadOptions::placement`], or the recording
    /// cannot be read.
    fn placement(&mut self) -> Result<Placement, RuntimeError>;

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
    &ort::TENSORRT,
    &ort::OPENVINO,
    #[cfg(feature = "openvino")]
    &openvino::OpenVino,
    &rten::Rten,
    &web::Web,
    #[cfg(feature = "tract")]
    &tract::Tract,
    #[cfg(feature = "torch")]
    &torch::FILE,
    #[cfg(feature = "torch")]
    &torch::F64,
    #[cfg(feature = "torch")]
    &torch::BF16,
    #[cfg(feature = "torch")]
    &torch::CUDA,
    #[cfg(feature = "torch")]
    &torch::CUDA_F64,
    #[cfg(feature = "torch")]
    &torch::CUDA_BF16,
];

/// Runtimes that this build was made without: the name, and the feature that has it.
pub const LEFT_OUT: &[(&str, &str)] = &[
    #[cfg(not(feature = "openvino"))]
    ("openvino", "openvino"),
    #[cfg(not(feature = "tract"))]
    ("tract", "tract"),
    #[cfg(not(feature = "torch"))]
    ("torch", "torch"),
    #[cfg(not(feature = "torch"))]
    ("torch-f64", "torch"),
    #[cfg(not(feature = "torch"))]
    ("torch-bf16", "torch"),
    #[cfg(not(feature = "torch"))]
    ("torch-cuda", "torch"),
    #[cfg(not(feature = "torch"))]
    ("torch-cuda-f64", "torch"),
    #[cfg(not(feature = "torch"))]
    ("torch-cuda-bf16", "torch"),
];

/// How to get a feature that this build was made without.
pub(crate) fn feature_hint(feature: &str) -> String {
    let setup = match feature {
        "torch" => "run ./scripts/setup.sh, and ",
        "openvino" => "run ./scripts/setup.sh --openvino, and ",
        _ => "",
    };
    format!("{setup}build with `cargo build --release --features {feature}`")
}

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

/// A file of the checkout that holds the program or the working directory, where it is there.
fn in_the_checkout(file: &str) -> Option<PathBuf> {
    let program = env::current_exe().ok();
    let working = env::current_dir().ok();
    let starts = [program.as_deref(), working.as_deref()];
    let folders = starts.into_iter().flatten().flat_map(Path::ancestors);
    let mut files = folders.map(|folder| folder.join(file));
    files.find(|path| path.is_file())
}

/// Finds the runtimes asked for, each once and in the order they were asked for; where none is, those of `default`.
///
/// # Errors
/// As [`find`].
pub fn find_each(
    asked: &[String],
    default: &[&str],
) -> Result<Vec<&'static dyn Runtime>, RuntimeError> {
    let asked: Vec<&str> = match asked {
        [] => default.to_vec(),
        named => named.iter().map(String::as_str).collect(),
    };
    let mut found: Vec<&'static dyn Runtime> = vec![];
    for name in asked {
        if found.iter().all(|runtime| runtime.name() != name) {
            found.push(find(name)?);
        }
    }
    Ok(found)
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
