//! What can be wrong with weights.

use std::fmt;
use std::path::PathBuf;

use super::ElementType;
use super::checkpoint::{Format, Malformed};
use crate::files::FileError;

/// A tensor whose shape is not the network's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misshapen {
    /// The tensor.
    pub name: String,
    /// The network's shape.
    pub expected: Vec<usize>,
    /// The file's shape.
    pub found: Vec<usize>,
}

/// Weights that cannot be read, written or used.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// The file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file is not whole, or not of the format it begins as.
    #[error("`{}` is not a whole {format} file: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The format it was read as.
        format: Format,
        /// What is wrong, and where.
        reason: Malformed,
    },
    /// The tensors are not those of the network.
    #[error("the weights do not fit `{network}`{}", Lists { missing, unused, misshapen, mistyped, not_finite })]
    Mismatch {
        /// The network.
        network: String,
        /// Tensors the network has and the weights lack, the first of them with an unused name like it.
        missing: Vec<(String, Option<String>)>,
        /// Tensors the weights have and the network lacks.
        unused: Vec<String>,
        /// Tensors of another shape.
        misshapen: Vec<Misshapen>,
        /// Tensors of whole numbers, which no weights are.
        mistyped: Vec<(String, ElementType)>,
        /// Tensors with NaN or infinite values, and how many.
        not_finite: Vec<(String, usize)>,
    },
}

impl WeightsError {
    /// The fix, where one is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::File(error) => error.hint(),
            Self::Malformed { reason, .. } => Some(reason.hint.clone().unwrap_or_else(|| {
                "the file may be cut off: compare its size with the original, or fetch it again"
                    .into()
            })),
            Self::Mismatch {
                misshapen,
                missing,
                unused,
                ..
            } => {
                if missing.is_empty() && unused.is_empty() && !misshapen.is_empty() {
                    Some("the shapes depend on --classes and --width: give those the weights were trained with".into())
                } else {
                    Some("check the network's name and options; `incept info NET --json` lists every tensor".into())
                }
            }
        }
    }
}

/// How many of each list are shown.
pub(super) const SHOWN: usize = 10;

struct Lists<'a> {
    missing: &'a [(String, Option<String>)],
    unused: &'a [String],
    misshapen: &'a [Misshapen],
    mistyped: &'a [(String, ElementType)],
    not_finite: &'a [(String, usize)],
}

impl fmt::Display for Lists<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        list(f, "missing", self.missing, |f, (name, near)| {
            write!(f, "`{name}`")?;
            near.iter()
                .try_for_each(|near| write!(f, " (is it `{near}`?)"))
        })?;
        list(f, "unused", self.unused, |f, name| write!(f, "`{name}`"))?;
        list(
            f,
            "misshapen",
            self.misshapen,
            |f,
             Misshapen {
                 name,
                 expected,
                 found,
             }| { write!(f, "`{name}`: expected {expected:?}, found {found:?}") },
        )?;
        list(
            f,
            "not numbers with a fraction",
            self.mistyped,
            |f, (name, found)| write!(f, "`{name}`: {found}"),
        )?;
        list(f, "not finite", self.not_finite, |f, (name, count)| {
            write!(f, "`{name}`: {count} NaN or infinite values")
        })
    }
}

fn list<T>(
    f: &mut fmt::Formatter<'_>,
    title: &str,
    items: &[T],
    show: impl Fn(&mut fmt::Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    if items.is_empty() {
        return Ok(());
    }
    write!(f, "\n  {} {title}:", items.len())?;
    for item in items.iter().take(SHOWN) {
        write!(f, "\n    ")?;
        show(f, item)?;
    }
    if items.len() > SHOWN {
        write!(f, "\n    and {} more", items.len() - SHOWN)?;
    }
    Ok(())
}
