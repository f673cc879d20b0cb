//! What can be wrong with weights.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use super::checkpoint::{Format, Malformed};
use super::{ElementType, Library};
use crate::files::FileError;

/// A tensor whose shape is not the network's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misshapen {
    /// The tensor.
    pub name: String,
    /// The network's shape, in the order in which the file's library stores axes.
    pub expected: Vec<usize>,
    /// The file's shape.
    pub found: Vec<usize>,
}

/// The network that a file is most like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Likeness {
    /// The network, and in whose names.
    pub names: String,
    /// How many of its tensors are there by name.
    pub found: usize,
    /// How many it has, without its classifiers.
    pub expected: usize,
    /// The first that are not there, with a name of the file like it.
    pub missing: Vec<(String, Option<String>)>,
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
    /// The file is of a known kind, but none that weights are read from.
    #[error("`{}` is no weight file but {found}", path.display())]
    NotWeights {
        /// The file.
        path: PathBuf,
        /// What it is.
        found: &'static str,
        /// What to do.
        fix: String,
    },
    /// The tensors are not those of the network.
    #[error("the weights do not fit `{network}`{}", Lists { missing, unused, misshapen, mistyped, not_finite, sources })]
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
        /// What the file calls tensors, or would, that it does not call as we do.
        sources: BTreeMap<String, String>,
    },
    /// The names are of no network known.
    #[error("`{}` has {tensors} tensors in the names of no network known{}", path.display(), Like(like.as_ref()))]
    Unrecognised {
        /// The file.
        path: PathBuf,
        /// Tensors in it.
        tensors: usize,
        /// What it is most like.
        like: Option<Likeness>,
    },
    /// Several networks fit equally.
    #[error("`{}` may be {}", path.display(), candidates.join(", or "))]
    Ambiguous {
        /// The file.
        path: PathBuf,
        /// What it may be.
        candidates: Vec<String>,
    },
    /// The file holds another network.
    #[error("`{}`: expected the weights of {asked}, found {found}", path.display())]
    OtherNetwork {
        /// The file.
        path: PathBuf,
        /// The network chosen.
        asked: String,
        /// The file's, and in whose names.
        found: String,
    },
    /// The library does not have the network.
    #[error("{library} has no names for `{network}`{}", variant.as_ref().map_or_else(String::new, |v| format!(" ({v})")))]
    Unnamed {
        /// The library.
        library: Library,
        /// The network.
        network: String,
        /// Its variant.
        variant: Option<String>,
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
            Self::NotWeights { fix, .. } => Some(fix.clone()),
            Self::Mismatch {
                misshapen,
                missing,
                unused,
                ..
            } => Some(if missing.is_empty() && unused.is_empty() && !misshapen.is_empty() {
                misshapen_hint(misshapen)
            } else if !missing.is_empty() && missing.iter().all(|(name, _)| is_classifier(name)) {
                "the file has no such classifier: `--reset-classifier SEED` makes a new one, `--output features` needs none"
                    .into()
            } else if !missing.is_empty() && missing.iter().all(|(name, _)| name.starts_with("auxiliary")) {
                "the file has no auxiliary head: build the network without one".into()
            } else {
                "check the network's name and options; `incept info NET --json` lists every tensor".into()
            }),
            Self::Unrecognised { .. } => Some(
                "`incept weights list FILE` shows every tensor; --names, --variant and --prefix say what they are".into(),
            ),
            Self::Ambiguous { .. } => {
                Some("choose with NET, --variant, --names or --prefix".into())
            }
            Self::OtherNetwork { .. } => {
                Some("leave out NET and --variant to take the network that the file holds".into())
            }
            Self::Unnamed { .. } => Some("leave out --names to have the names recognised".into()),
        }
    }
}

fn is_classifier(name: &str) -> bool {
    name.starts_with("logits/")
}

/// Where only shapes are wrong: one class more is TF-slim's background; other classes need another classifier.
fn misshapen_hint(misshapen: &[Misshapen]) -> String {
    let of_classes =
        |m: &Misshapen| is_classifier(&m.name) || m.name.starts_with("auxiliary_logits/");
    let differing = |m: &Misshapen| {
        let pairs = m.expected.iter().zip(&m.found);
        let differing: Vec<(usize, usize)> = pairs
            .map(|(e, f)| (*e, *f))
            .filter(|(e, f)| e != f)
            .collect();
        let same_rank = m.expected.len() == m.found.len();
        (same_rank && differing.len() == 1).then(|| differing[0])
    };
    let classes = misshapen.first().and_then(differing);
    match classes.filter(|_| misshapen.iter().all(of_classes)) {
        Some((expected, found)) if found == expected + 1 => format!(
            "class 0 of {found} is TF-slim's background: `--drop-background` leaves it out, `--classes {found}` keeps it"
        ),
        Some((expected, found)) => format!(
            "`--classes {found}` keeps the file's classifier, `--reset-classifier SEED` makes a new one for {expected} classes"
        ),
        None => {
            "the shapes depend on --classes and --width: give those the weights were trained with"
                .into()
        }
    }
}

struct Like<'a>(Option<&'a Likeness>);

impl fmt::Display for Like<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(like) = self.0 else { return Ok(()) };
        write!(
            f,
            "\n  most like {}: {} of {} names",
            like.names, like.found, like.expected
        )?;
        like.missing.iter().try_for_each(|(name, near)| {
            write!(f, "\n    lacks `{name}`")?;
            near.iter()
                .try_for_each(|near| write!(f, " (is it `{near}`?)"))
        })
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
    sources: &'a BTreeMap<String, String>,
}

impl fmt::Display for Lists<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = |f: &mut fmt::Formatter<'_>, name: &str| {
            write!(f, "`{name}`")?;
            self.sources
                .get(name)
                .map_or(Ok(()), |source| write!(f, ", in the file `{source}`"))
        };
        list(f, "missing", self.missing, |f, (name, near)| {
            named(f, name)?;
            near.iter()
                .try_for_each(|near| write!(f, " (is it `{near}`?)"))
        })?;
        list(f, "unused", self.unused, |f, name| write!(f, "`{name}`"))?;
        list(f, "misshapen", self.misshapen, |f, misshapen| {
            named(f, &misshapen.name)?;
            let (expected, found) = (&misshapen.expected, &misshapen.found);
            write!(f, ": expected {expected:?}, found {found:?}")
        })?;
        list(
            f,
            "not numbers with a fraction",
            self.mistyped,
            |f, (name, found)| {
                named(f, name)?;
                write!(f, ": {found}")
            },
        )?;
        list(f, "not finite", self.not_finite, |f, (name, count)| {
            named(f, name)?;
            write!(f, ": {count} NaN or infinite values")
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
