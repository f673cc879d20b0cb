//! incept: the networks of "Inception-v4, Inception-ResNet and the Impact of Residual Connections on
//! Learning" (arXiv 1602.07261): export, training, parity and crop evaluation.

pub use incept_exporters as exporters;
pub use incept_exporters::files;

pub mod cli;
pub mod crops;
#[cfg(feature = "torch")]
pub mod demo;
pub mod evaluate;
pub mod golden;
pub mod images;
#[cfg(feature = "torch")]
pub mod matrix;
pub mod parity;
pub mod provenance;
pub mod report;
pub mod runtime;
pub mod sensitivity;
#[cfg(feature = "torch")]
pub mod torch;
pub mod training;
