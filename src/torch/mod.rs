//! libtorch (feature `torch`): any [`Net`](crate::exporters::net::Net) computed forwards and backwards
//! from its description, the paper's optimiser, and training.
//!
//! ```
//! use incept::exporters::{net::NetOptions, weights::Weights, zoo};
//! use incept::torch::{Mode, Model, tch};
//!
//! let options = NetOptions { classes: 10, width_multiplier: 0.1, ..NetOptions::default() };
//! let net = zoo::find("inception_v4", None)?.build(&options.image_size(75))?;
//! let weights = Weights::initial(&net, 1);
//! let model = Model::new(&net, &weights, tch::Kind::Float, tch::Device::Cpu)?;
//! let image = tch::Tensor::f_zeros([2, 3, 75, 75], (tch::Kind::Float, tch::Device::Cpu))?;
//! let logits = model.logits(&image, Mode::Evaluation)?;
//! assert_eq!(logits.size(), [2, 10]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod average;
mod bench;
mod device;
mod error;
mod forward;
mod layout;
mod optimizer;
mod oracle;
mod reference;
mod threads;
mod train;

pub use average::Averages;
pub use bench::{Timing, bench_forward, bench_training_step};
pub use device::{Found, device, found};
pub use error::TorchError;
pub use forward::{Mode, Model};
pub use layout::{Layout, Variable};
pub use optimizer::{GradientSettings, Optimizer, Rule};
pub use oracle::{Oracle, Rounding, Traced, TracedInput};
pub use reference::Reference;
pub use tch;
pub(crate) use threads::Threads;
pub use train::{Event, TrainingError, TrainingSummary, Validation, train};
