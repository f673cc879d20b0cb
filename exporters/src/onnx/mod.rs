//! ONNX files: emission from a network's description, and reading back what they say of themselves.
//!
//! ```
//! use incept_exporters::{net::NetOptions, onnx, weights::Weights, zoo};
//!
//! let options = NetOptions { classes: 10, width_multiplier: 0.1, ..NetOptions::default() }.image_size(75);
//! let net = zoo::find("inception_resnet_v1", None)?.build(&options)?;
//! let weights = Weights::initial(&net, 0);
//! let model = onnx::to_bytes(&net, &weights, &onnx::ExportOptions::default())?;
//! let facts = onnx::ModelFacts::read(&model.into())?;
//! assert_eq!(facts.network.unwrap().name, "inception_resnet_v1");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod data_type;
mod error;
mod external;
mod fold;
mod graph;
mod inspect;
mod int8;
mod layout;
mod manifest;
mod metadata;
mod options;
mod parts;
mod precision;
mod preprocessing;
#[expect(
    missing_docs,
    reason = "the fields are those of ONNX's schema, which documents them"
)]
pub mod proto;
mod read;
mod recipe;
mod rounding;
mod target;
mod tensor;
mod write;

pub use data_type::type_name;
pub use error::ExportError;
pub use external::{LoadError, Model};
pub use inspect::{
    Constants, ExternalFile, Inspection, OperatorCount, OpsetImport, StoredTensor, TypedCount,
    ValueType,
};
pub use layout::bytes_of_blocks;
pub use manifest::{Manifest, ManifestTensor, Provenance, WrittenFile};
pub use metadata::{INPUT_NAME, NetworkFacts, RebuildError};
pub use options::{
    Batch, BatchNorm, DEFAULT_OPSET, ExportOptions, ImageSize, Input, NEWEST_OPSET, OLDEST_OPSET,
    Output,
};
pub use parts::{Cut, CutError, Part, Parts};
pub use precision::{Precision, PrecisionOptions, PrecisionReport, TensorRounding};
pub use preprocessing::{
    ClassContract, ContractError, ElementType, Labels, Layout, Preprocessing, SizeContract, Step,
};
pub use prost::bytes::Bytes;
pub use read::{ModelFacts, ReadError, ValueFacts, with_outputs};
pub use recipe::{Interpolation, Recipe, Resize, Scaling};
pub use target::Target;
pub use tensor::{DataTensor, Numbers};
pub use write::{Destination, Exported, check_size, export, to_bytes, write};
