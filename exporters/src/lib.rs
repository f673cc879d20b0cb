//! Inception networks described once, and written as ONNX.
pub mod files;
