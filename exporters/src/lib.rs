//! Inception networks described once, and written as ONNX: no framework, no native library.
//!
//! - [`net`]: the language networks are written in, with shapes and costs;
//! - [`zoo`]: the networks, one file each, one function per figure of the paper;
//! - [`weights`]: named tensors, from a seed or a file;
//! - [`draw`]: drawings in the style of the paper's figures;
//! - [`onnx`]: the file format, emission, reading;
//! - [`numpy`]: arrays in numpy's files.

pub mod draw;
pub mod files;
pub mod net;
pub mod numpy;
pub mod onnx;
pub mod text;
pub mod weights;
pub mod zoo;
