//! A file whose network is not known before: recognised, built and filled in one step.

use std::collections::BTreeMap;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::{ImportReport, Imported, Recipe, import};
use crate::files::{self, FileError};
use crate::net::{Net, NetError, NetOptions};
use crate::weights::checkpoint::files_of;
use crate::weights::recognise::{Choice, Recognised, recognise};
use crate::weights::{Checkpoint, Weights, WeightsError};
use crate::zoo::{self, Entry, ZooError};

/// What is asked of a file. What is left open is as the file has it.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// What is known of its network and names.
    pub choice: Choice,
    /// Classes that the network is to have.
    pub classes: Option<usize>,
    /// Factor on the filters.
    pub width_multiplier: Option<f64>,
    /// See [`Recipe::drop_background`].
    pub drop_background: bool,
    /// See [`Recipe::reset_classifier`].
    pub reset_classifier: Option<u64>,
    /// Whether the outputs can be computed without the classifier, so that the file may lack it.
    pub without_classifier: bool,
    /// Keeps the auxiliary head that the file has, whatever the options say.
    pub keep_auxiliary_head: bool,
}

/// A file's network with its weights.
#[derive(Debug)]
pub struct Opened {
    /// Which network.
    pub entry: &'static Entry,
    /// The network, with the file's classes and width.
    pub net: Net,
    /// Its weights.
    pub weights: Weights,
    /// What became of each tensor.
    pub report: ImportReport,
}

/// A file that cannot be opened as a network's.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The tensors.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The network chosen is not in the zoo.
    #[error(transparent)]
    Zoo(#[from] ZooError),
    /// The network cannot be built with these options.
    #[error(transparent)]
    Net(#[from] NetError),
}

impl OpenError {
    /// The fix, where one is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Weights(error) => error.hint(),
            Self::Zoo(error) => error.hint(),
            Self::Net(error) => error.hint(),
        }
    }
}

/// Reads a file, recognises its network, builds that with `options` but the file's classes and width, and fills it.
///
/// # Errors
/// As [`Checkpoint::read`], [`recognise`] and [`import`]; a network that is not in the zoo, or options out of range.
pub fn open(path: &Path, request: &Request, options: &NetOptions) -> Result<Opened, OpenError> {
    let mut choice = request.choice.clone();
    if let Some(network) = &choice.network {
        choice.network = Some(zoo::find(network, choice.variant.as_deref())?.name.into());
    }
    // What cannot be built needs no file to be read.
    options.check()?;
    let checkpoint = Checkpoint::read(path)?;
    let recognised = recognise(&checkpoint, &choice)?;
    let recipe = Recipe {
        naming: recognised.naming.clone(),
        drop_background: request.drop_background,
        reset_classifier: request.reset_classifier,
        without_classifier: request.without_classifier && recognised.classes.is_none(),
    };
    let entry = recognised.entry;
    let net = entry.build(&fitting(&recognised, request, options))?;
    let Imported { weights, report } = import(&checkpoint, &net, &recipe)?;
    Ok(Opened {
        entry,
        net,
        weights,
        report,
    })
}

fn fitting(recognised: &Recognised, request: &Request, options: &NetOptions) -> NetOptions {
    let background = usize::from(request.drop_background);
    let classes = recognised
        .classes
        .map(|classes| classes.saturating_sub(background));
    let kept = request.keep_auxiliary_head && recognised.auxiliary_head;
    NetOptions {
        classes: request.classes.or(classes).unwrap_or(options.classes),
        width_multiplier: request
            .width_multiplier
            .unwrap_or(recognised.width_multiplier),
        auxiliary_head: options.auxiliary_head || kept,
        ..options.clone()
    }
}

/// What a converted file says of itself: its network, variant and options, and what it was made from: whose names that
/// has, and the SHA-256 of its files one after the other.
///
/// # Errors
/// [`FileError`] where the source cannot be read again.
pub fn metadata(opened: &Opened, source: &Path) -> Result<BTreeMap<String, String>, FileError> {
    let options = opened.net.options();
    let mut hash = Sha256::new();
    for file in files_of(source) {
        hash.update(files::map(&file)?);
    }
    let entries = [
        ("network", opened.net.name().to_string()),
        ("variant", opened.net.variant().to_string()),
        ("classes", options.classes.to_string()),
        ("width", options.width_multiplier.to_string()),
        ("source.names", opened.report.recipe.naming.to_string()),
        ("source.sha256", crate::text::hex(&hash.finalize())),
    ];
    Ok(entries.map(|(key, value)| (key.into(), value)).into())
}
