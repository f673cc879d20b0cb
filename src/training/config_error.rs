//! What can be wrong with a configuration.

use std::path::PathBuf;

use crate::exporters::net::NetError;
use crate::exporters::zoo::ZooError;
use crate::files::FileError;

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The text is not TOML, or a value is not of its key's type.
    #[error("`{source_name}` is not a training configuration: {reason}")]
    Malformed {
        /// The file, or where else the text came from.
        source_name: String,
        /// What is wrong, with key and line where the parser tells.
        reason: String,
    },
    /// A key that does not exist.
    #[error("`{source_name}`: there is no key `{key}`")]
    UnknownKey {
        /// The file or override.
        source_name: String,
        /// The dotted key.
        key: String,
        /// The nearest key there is.
        nearest: Option<&'static str>,
    },
    /// An override that is not `key=value`.
    #[error(
        "override `{text}`: expected `key=value`, where value is written as in TOML, found {found}"
    )]
    Override {
        /// The override as given.
        text: String,
        /// What it is instead.
        found: String,
    },
    /// A value out of its range.
    #[error("key `{key}`: expected {expected}, found {found}")]
    Value {
        /// The dotted key.
        key: &'static str,
        /// The range in words.
        expected: &'static str,
        /// The value.
        found: String,
    },
    /// No such network or variant.
    #[error("key `network`")]
    Network(#[from] ZooError),
    /// The network cannot be built with these options.
    #[error("key `options`")]
    Options(#[from] NetError),
    /// The data have another number of classes than the configuration says.
    #[error("key `options.classes`: expected {expected}, as many as `{}` has, found {found}", data.display())]
    Classes {
        /// The data folder.
        data: PathBuf,
        /// Classes in the data.
        expected: usize,
        /// Classes in the configuration.
        found: usize,
    },
}

impl ConfigError {
    /// The fix, where one is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::File(error) => error.hint(),
            Self::UnknownKey {
                nearest: Some(near),
                ..
            } => Some(format!("did you mean `{near}`?")),
            Self::UnknownKey { .. } => Some(format!(
                "the keys are {}",
                super::overrides::KEYS.join(", ")
            )),
            Self::Override { .. } => Some(
                "for example `--set learning_rate.initial=0.1` or `--set device='cuda:0'`".into(),
            ),
            Self::Network(error) => error.hint(),
            Self::Options(error) => error.hint(),
            Self::Classes { .. } => {
                Some("leave `options.classes` out: it is then taken from the data".into())
            }
            Self::Malformed { .. } | Self::Value { .. } => None,
        }
    }
}
