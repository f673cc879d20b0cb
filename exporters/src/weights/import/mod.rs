//! From a file's tensors, under whosever names, to a network's weights: every one of either accounted for.

mod listing;
mod open;
mod report;

pub use listing::{Fate, FileListing, ListedNetwork, ListedTensor, listing};
pub use open::{OpenError, Opened, Request, metadata, open};
pub use report::{Ignored, ImportReport, Made, Used};

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::error::SHOWN;
use super::names::{Binding, Naming};
use super::recognise::{Choice, recognise};
use super::{Checkpoint, Misshapen, Source, Tensor, Weights, WeightsError, initial_values};
use crate::net::Net;
use crate::text::nearest;

/// How a file's tensors become a network's weights: with the file all that is needed to get the same again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// In whose names the file is.
    pub naming: Naming,
    /// Leaves out class 0 of the classifiers: the background of TF-slim's 1001 classes.
    #[serde(default)]
    pub drop_background: bool,
    /// Makes new classifiers from this seed, whatever the file has.
    #[serde(default)]
    pub reset_classifier: Option<u64>,
    /// Makes a classifier where the file has none: for outputs that do not need it.
    #[serde(default)]
    pub without_classifier: bool,
}

impl Recipe {
    /// A file in these names, as it is.
    pub fn of(naming: Naming) -> Self {
        Self {
            naming,
            drop_background: false,
            reset_classifier: None,
            without_classifier: false,
        }
    }

    /// Whether it is our own file, as it is.
    pub(crate) fn is_plain(&self) -> bool {
        *self == Self::of(Naming::of(super::Library::Incept))
    }
}

/// Weights from a file, and the account of it.
#[derive(Debug, Clone)]
pub struct Imported {
    /// The weights, under our names.
    pub weights: Weights,
    /// What became of each tensor.
    pub report: ImportReport,
}

/// Reads the weights of `net` from a file. The names are recognised, unless the file has those of the recipe.
///
/// # Errors
/// As [`Checkpoint::read`], [`recognise`] and [`import`].
pub fn load(net: &Net, path: &Path, recipe: Option<&Recipe>) -> Result<Imported, WeightsError> {
    let checkpoint = Checkpoint::read(path)?;
    let tensors = &checkpoint.tensors;
    let fits = |recipe: &&Recipe| {
        let bindings = recipe.naming.bind(net, tensors).unwrap_or_default();
        bindings
            .iter()
            .any(|binding| binding.find(tensors).is_some())
    };
    if let Some(recipe) = recipe.filter(fits) {
        return import(&checkpoint, net, recipe);
    }
    let choice = Choice {
        network: Some(net.name().into()),
        variant: Some(net.variant().into()),
        ..Choice::default()
    };
    let naming = recognise(&checkpoint, &choice)?.naming;
    import(&checkpoint, net, &Recipe::of(naming))
}

/// Takes the weights of `net` from a file's tensors. No number is looked at: [`Weights::check`] names those that are
/// not finite, under both names.
///
/// # Errors
/// [`WeightsError::Mismatch`] with all that is missing, unused, misshapen, or of a type that no weights have, at once,
/// and with all that is not finite besides; [`WeightsError::Unnamed`] where the library does not have the network.
pub fn import(
    checkpoint: &Checkpoint,
    net: &Net,
    recipe: &Recipe,
) -> Result<Imported, WeightsError> {
    let tensors = &checkpoint.tensors;
    let naming = &recipe.naming;
    let bindings = naming
        .bind(net, tensors)
        .ok_or_else(|| WeightsError::Unnamed {
            library: naming.library,
            network: net.name().into(),
            variant: Some(net.variant().into()),
        })?;
    let mut account = Account::new(recipe, tensors);
    for binding in bindings {
        account.take(binding);
    }
    let has_auxiliary = net.options().auxiliary_head;
    account.leave(has_auxiliary);
    let Account {
        weights,
        origins,
        problems,
        used,
        made,
        ignored,
        ..
    } = account;
    let weights = Weights {
        tensors: weights,
        source: Source::Named(checkpoint.path.display().to_string()),
        origins,
        recipe: Some(recipe.clone()),
    };
    if !problems.is_empty() {
        return Err(problems.into_error(net, &weights));
    }
    let report = ImportReport {
        schema: report::SCHEMA,
        network: net.name().into(),
        variant: net.variant().into(),
        format: checkpoint.format.to_string(),
        recipe: recipe.clone(),
        tensors: tensors.len(),
        classes: net.options().classes,
        used,
        made,
        ignored,
        notes: checkpoint.notes.clone(),
    };
    Ok(Imported { weights, report })
}

/// What does not fit.
#[derive(Default)]
struct Problems {
    missing: Vec<(String, Option<String>)>,
    unused: Vec<String>,
    misshapen: Vec<Misshapen>,
    mistyped: Vec<(String, super::ElementType)>,
    /// What the file would call those that are missing, misshapen or mistyped.
    sources: BTreeMap<String, String>,
}

impl Problems {
    fn is_empty(&self) -> bool {
        self.missing.is_empty()
            && self.unused.is_empty()
            && self.misshapen.is_empty()
            && self.mistyped.is_empty()
    }

    /// The error, with those of the tensors that fit which are not finite.
    fn into_error(self, net: &Net, weights: &Weights) -> WeightsError {
        let Self {
            mut missing,
            unused,
            misshapen,
            mistyped,
            mut sources,
        } = self;
        // Every pair of names takes a while, and only the first names are shown.
        for (name, near) in missing.iter_mut().take(SHOWN) {
            let wanted = sources.get(name).unwrap_or(name);
            *near = nearest(wanted, unused.iter().map(String::as_str)).map(str::to_string);
        }
        sources.extend(weights.origins.clone());
        sources.retain(|ours, theirs| ours != theirs);
        WeightsError::Mismatch {
            network: net.name().into(),
            missing,
            unused,
            misshapen,
            mistyped,
            not_finite: weights.not_finite(),
            sources,
        }
    }
}

/// The bookkeeping of one import.
struct Account<'a> {
    recipe: &'a Recipe,
    tensors: &'a BTreeMap<String, Tensor>,
    weights: BTreeMap<String, Tensor>,
    origins: BTreeMap<String, String>,
    /// Tensors of the file that the network has a place for, whether or not they fit it.
    known: BTreeSet<String>,
    /// Those whose place was filled in another way.
    replaced: BTreeSet<String>,
    problems: Problems,
    used: Vec<Used>,
    made: Vec<Made>,
    ignored: Vec<Ignored>,
}

impl<'a> Account<'a> {
    fn new(recipe: &'a Recipe, tensors: &'a BTreeMap<String, Tensor>) -> Self {
        Self {
            recipe,
            tensors,
            weights: BTreeMap::new(),
            origins: BTreeMap::new(),
            known: BTreeSet::new(),
            replaced: BTreeSet::new(),
            problems: Problems::default(),
            used: vec![],
            made: vec![],
            ignored: vec![],
        }
    }

    /// Fills one place of the network.
    fn take(&mut self, binding: Binding) {
        let name = binding.parameter.name.clone();
        let found = binding.find(self.tensors);
        let of_classifier = is_of_classifier(&name);
        if let Some((source, _)) = found {
            self.known.insert(source.into());
        }
        if let Some(seed) = self.recipe.reset_classifier.filter(|_| of_classifier) {
            self.replaced
                .extend(found.map(|(source, _)| source.to_string()));
            let values = initial_values(seed, &binding.parameter);
            return self.make(binding, values, format!("initial values, seed {seed}"));
        }
        match (found, binding.default) {
            (Some((source, tensor)), _) => self.use_tensor(&binding, source, tensor),
            (None, Some(value)) => {
                let values = vec![value; binding.parameter.elements()];
                let how = format!("{value}: the library leaves it out");
                self.make(binding, values, how);
            }
            (None, None) if self.recipe.without_classifier && name.starts_with("logits/") => {
                let values = initial_values(0, &binding.parameter);
                let how =
                    "initial values, seed 0: the file has no classifier and the output needs none";
                self.make(binding, values, how.into());
            }
            (None, None) => {
                if let Some(source) = binding.sources.first() {
                    self.problems.sources.insert(name.clone(), source.clone());
                }
                self.problems.missing.push((name, None));
            }
        }
    }

    fn make(&mut self, binding: Binding, values: Vec<f32>, how: String) {
        let parameter = binding.parameter;
        let tensor = Tensor::owned(parameter.shape, values);
        self.weights.insert(parameter.name.clone(), tensor);
        self.made.push(Made {
            target: parameter.name,
            how,
        });
    }

    fn use_tensor(&mut self, binding: &Binding, source: &str, tensor: &Tensor) {
        let name = &binding.parameter.name;
        let found = tensor.shape();
        let mut expected = binding.layout.source_shape(&binding.parameter.shape, found);
        let axis = binding.layout.class_axis(expected.len());
        let shortened = self.recipe.drop_background && is_of_classifier(name);
        if shortened && let Some(classes) = expected.get_mut(axis) {
            *classes += 1;
        }
        if !tensor.element_type().is_floating() {
            self.problems
                .mistyped
                .push((name.clone(), tensor.element_type()));
            self.problems.sources.insert(name.clone(), source.into());
            return;
        }
        let fitting = (expected == found).then(|| {
            let part = if shortened {
                tensor.sliced(axis, 1, expected[axis])?
            } else {
                tensor.clone()
            };
            binding.layout.turned(&part)
        });
        let Some(Ok(fitting)) = fitting else {
            self.problems.sources.insert(name.clone(), source.into());
            return self.problems.misshapen.push(Misshapen {
                name: name.clone(),
                expected,
                found: found.to_vec(),
            });
        };
        self.used.push(Used {
            source: source.into(),
            target: name.clone(),
            element_type: tensor.element_type().to_string(),
            shape: found.to_vec(),
            layout: binding.layout.to_string(),
            without_background: shortened,
        });
        if source != name {
            self.origins.insert(name.clone(), source.into());
        }
        self.weights.insert(name.clone(), fitting);
    }

    /// Goes through the tensors of the file that no place took.
    fn leave(&mut self, has_auxiliary: bool) {
        let naming = &self.recipe.naming;
        for name in self.tensors.keys() {
            let reason = if self.replaced.contains(name) {
                Some("of a classifier that is replaced")
            } else if self.known.contains(name) {
                continue;
            } else if !has_auxiliary && naming.is_auxiliary(name) {
                Some("of the auxiliary head, which only training uses")
            } else {
                naming.ignored(name, |name| self.known.contains(name))
            };
            match reason {
                Some(reason) => self.ignored.push(Ignored {
                    source: name.clone(),
                    reason,
                }),
                None => self.problems.unused.push(name.clone()),
            }
        }
    }
}

fn is_of_classifier(name: &str) -> bool {
    name.starts_with("logits/") || name.starts_with("auxiliary_logits/")
}

impl Binding {
    /// The file's tensor for this place, under the name it has there.
    pub fn find<'a>(&self, tensors: &'a BTreeMap<String, Tensor>) -> Option<(&'a str, &'a Tensor)> {
        let mut sources = self.sources.iter();
        sources
            .find_map(|source| tensors.get_key_value(source))
            .map(|(name, tensor)| (name.as_str(), tensor))
    }
}
