//! The account of an import, as data and as a few lines.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::Recipe;

/// The report's schema.
pub(super) const SCHEMA: &str = "incept.import/1";

/// What became of every tensor of a file, and where every tensor of the network comes from.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ImportReport {
    /// `incept.import/1`.
    pub schema: &'static str,
    /// The network.
    pub network: String,
    /// Its variant.
    pub variant: String,
    /// The file's format.
    pub format: String,
    /// The names, and what was asked of the classifiers.
    pub recipe: Recipe,
    /// Tensors in the file.
    pub tensors: usize,
    /// Classes of the network.
    pub classes: usize,
    /// The tensors that were taken, each once, in the order of the network's layers.
    pub used: Vec<Used>,
    /// The network's tensors that are not in the file.
    pub made: Vec<Made>,
    /// The tensors that were not taken, and why not.
    pub ignored: Vec<Ignored>,
    /// What the file's reader did besides reading.
    pub notes: Vec<String>,
}

/// A tensor of the file that became one of the network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Used {
    /// Its name in the file.
    pub source: String,
    /// Its name in the network.
    pub target: String,
    /// How its numbers are stored in the file.
    pub element_type: String,
    /// Its shape in the file.
    pub shape: Vec<usize>,
    /// What was done with its axes.
    pub layout: String,
    /// Whether class 0 was left out.
    pub without_background: bool,
}

/// A tensor of the network that did not come from the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Made {
    /// Its name in the network.
    pub target: String,
    /// Its values, and why.
    pub how: String,
}

/// A tensor of the file that was not taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ignored {
    /// Its name in the file.
    pub source: String,
    /// Why not.
    pub reason: &'static str,
}

impl fmt::Display for ImportReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} file with the names of {}: {} ({}), {} of {} tensors used",
            self.format,
            self.recipe.naming,
            self.network,
            self.variant,
            self.used.len(),
            self.tensors,
        )?;
        for (reason, count) in counted(self.ignored.iter().map(|ignored| ignored.reason)) {
            write!(f, "\n  {count} ignored: {reason}")?;
        }
        for (how, count) in counted(self.made.iter().map(|made| made.how.as_str())) {
            write!(f, "\n  {count} made: {how}")?;
        }
        if self.recipe.drop_background {
            write!(
                f,
                "\n  {} of {} classes: class 0, the background, left out",
                self.classes,
                self.classes + 1,
            )?;
        }
        self.notes
            .iter()
            .try_for_each(|note| write!(f, "\n  {note}"))
    }
}

fn counted<'a>(items: impl Iterator<Item = &'a str>) -> BTreeMap<&'a str, usize> {
    let mut counts = BTreeMap::new();
    for item in items {
        *counts.entry(item).or_insert(0) += 1;
    }
    counts
}
