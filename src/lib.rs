//! incept: the networks of "Inception-v4, Inception-ResNet and the Impact of Residual Connections on
//! Learning" (arXiv 1602.07261): export, training, parity and crop evaluation.
pub use incept_exporters as exporters;
pub use incept_exporters::files;

pub mod crops;
pub mod images;
#[cfg(feature = "torch")]
pub mod torch;
pub mod training;
