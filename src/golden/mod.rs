//! Golden bundles: a model with inputs and what has to come out, in the layout of ONNX's backend tests. [`write()`] makes one,
//! [`verify()`] holds runtimes to any. See `docs/golden.md`.

mod bundle;
mod checksum;
mod compare;
mod error;
mod inputs;
mod npz;
mod parts;
mod record;
mod reference;
mod report;
mod run;
mod safetensors;
mod verify;
mod write;

pub use checksum::{Checksum, DEVIATIONS, PROJECTIONS};
pub use compare::{Differences, FORMULA, ONNX_TOLERANCE, Tolerance, Verdict};
pub use error::GoldenError;
pub use record::{DataSetRecord, OutputRecord, Projections, Record, SCHEMA, ValueRecord};
pub use report::{Compared, Counts, GoldenReport, Kind, RuntimeVerified};
pub use verify::{VerifyOptions, verify};
pub use write::{Layers, WriteOptions, write};
