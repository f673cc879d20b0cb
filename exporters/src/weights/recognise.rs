//! Which network a file holds, and in whose names: told by the names and shapes of its tensors.

mod width;

use std::collections::{BTreeMap, BTreeSet};

use width::width;

use super::names::{Binding, Library, NamesChoice, Naming};
use super::{Checkpoint, Likeness, Tensor, WeightsError};
use crate::net::{Net, NetError, NetOptions, ParameterKind};
use crate::text::nearest;
use crate::zoo::{self, Entry};

/// What is known of a file before it is looked at.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Choice {
    /// The network's name in the zoo.
    pub network: Option<String>,
    /// Its variant.
    pub variant: Option<String>,
    /// Whose names the file has.
    pub names: Option<NamesChoice>,
    /// What stands before each name.
    pub prefix: Option<String>,
}

/// What a file holds.
#[derive(Debug, Clone)]
pub struct Recognised {
    /// The network and variant.
    pub entry: &'static Entry,
    /// In whose names.
    pub naming: Naming,
    /// Tensors of the network, without its classifiers.
    pub expected: usize,
    /// How many of them are there in their shapes.
    pub found: usize,
    /// Numbers the classifier puts out; `None` where the file has no classifier.
    pub classes: Option<usize>,
    /// Whether it holds an auxiliary head.
    pub auxiliary_head: bool,
    /// Numbers in the embedding, where the network has one.
    pub embedding: Option<usize>,
    /// Factor on the filters.
    pub width_multiplier: f64,
}

/// The share of a network's names that a file must have to be taken for it.
const ENOUGH: f64 = 0.5;

/// Finds the network and the names that fit a file best.
///
/// # Errors
/// [`WeightsError::Unrecognised`] with what it is most like, [`WeightsError::Ambiguous`] where several fit equally,
/// [`WeightsError::OtherNetwork`] where the file holds another network than the one chosen, [`WeightsError::Unnamed`]
/// where the chosen library does not have the chosen network.
pub fn recognise(checkpoint: &Checkpoint, choice: &Choice) -> Result<Recognised, WeightsError> {
    let mut fits: Vec<Fit> = vec![];
    let libraries = libraries(checkpoint, choice);
    for entry in zoo::REGISTRY {
        let Ok(net) = build(entry, 1.0) else { continue };
        for &library in &libraries {
            if library.has(entry.name, entry.variant) {
                fits.extend(fits_of(entry, &net, library, checkpoint, choice));
            }
        }
    }
    let chosen = |fit: &&Fit| {
        let entry = fit.entry;
        let same_name = choice
            .network
            .as_ref()
            .is_none_or(|name| name == entry.name);
        same_name
            && choice
                .variant
                .as_ref()
                .is_none_or(|name| is_called(entry, name))
    };
    let Some(best) = fits.iter().max_by(|a, b| a.rank(b)) else {
        return Err(unnamed(choice));
    };
    let other_network = || WeightsError::OtherNetwork {
        path: checkpoint.path.clone(),
        asked: describe(
            choice.network.as_deref().unwrap_or(best.entry.name),
            choice.variant.as_deref(),
        ),
        found: best.to_string(),
    };
    let Some(best_chosen) = fits.iter().filter(chosen).max_by(|a, b| a.rank(b)) else {
        return Err(match choice.names {
            Some(_) => unnamed(choice),
            None if best.is_enough() => other_network(),
            None => unrecognised(checkpoint, best),
        });
    };
    let settled = choice.names.is_some() && choice.network.is_some() && choice.variant.is_some();
    if !settled {
        if best.share > best_chosen.share && best.is_enough() {
            return Err(other_network());
        }
        if !best_chosen.is_enough() {
            return Err(unrecognised(checkpoint, best_chosen));
        }
    }
    let equal: Vec<&Fit> = fits
        .iter()
        .filter(chosen)
        .filter(|fit| fit.rank(best_chosen).is_eq() && !fit.is_as(best_chosen))
        .collect();
    if !equal.is_empty() {
        let all = equal.iter().copied().chain([best_chosen]);
        let mut candidates: Vec<String> = all.map(ToString::to_string).collect();
        candidates.sort();
        candidates.dedup();
        return Err(WeightsError::Ambiguous {
            path: checkpoint.path.clone(),
            candidates,
        });
    }
    // Libraries that share a network's names: the first is its origin.
    let first = fits
        .iter()
        .filter(chosen)
        .find(|fit| fit.rank(best_chosen).is_eq());
    Ok(first.unwrap_or(best_chosen).recognised(checkpoint))
}

/// The library chosen, or those that may have written the file; all where none may.
fn libraries(checkpoint: &Checkpoint, choice: &Choice) -> Vec<Library> {
    if let Some(names) = choice.names {
        return vec![names.library];
    }
    let may = |library: &Library| {
        let mut names = checkpoint.tensors.keys();
        names.any(|name| library.may_have_written(name))
    };
    match Library::ALL.into_iter().filter(may).collect::<Vec<_>>() {
        none if none.is_empty() => Library::ALL.into(),
        some => some,
    }
}

/// Whether a variant is this entry's. Where none is called `published`, all are that were.
fn is_called(entry: &Entry, variant: &str) -> bool {
    let published = || {
        let mut same_network = zoo::REGISTRY
            .iter()
            .filter(|other| other.name == entry.name);
        entry.variant != "paper" && same_network.all(|other| other.variant != "published")
    };
    entry.variant == variant || (variant == "published" && published())
}

fn unnamed(choice: &Choice) -> WeightsError {
    WeightsError::Unnamed {
        library: choice.names.map_or(Library::Incept, |names| names.library),
        network: choice
            .network
            .clone()
            .unwrap_or_else(|| "any network".into()),
        variant: choice.variant.clone(),
    }
}

fn describe(network: &str, variant: Option<&str>) -> String {
    variant.map_or_else(
        || format!("`{network}`"),
        |variant| format!("`{network}` ({variant})"),
    )
}

fn unrecognised(checkpoint: &Checkpoint, best: &Fit) -> WeightsError {
    let tensors = &checkpoint.tensors;
    let absent = best.bindings.iter().filter_map(|binding| {
        let source = binding.sources.first()?;
        let absent = !tensors.contains_key(source) && binding.default.is_none();
        absent.then(|| source.clone())
    });
    let missing = absent.take(3).map(|name| {
        let like = nearest(&name, tensors.keys().map(String::as_str)).map(str::to_string);
        (name, like)
    });
    WeightsError::Unrecognised {
        path: checkpoint.path.clone(),
        tensors: tensors.len(),
        like: (best.named > 0).then(|| Likeness {
            names: best.to_string(),
            found: best.named,
            expected: best.expected,
            missing: missing.collect(),
        }),
    }
}

/// How well a network in a library's names fits a file.
struct Fit {
    entry: &'static Entry,
    naming: Naming,
    bindings: Vec<Binding>,
    width_multiplier: f64,
    /// Tensors of the network without its classifiers.
    expected: usize,
    /// Those of them whose names are there.
    named: usize,
    /// Those whose shapes are right too.
    shaped: usize,
    /// `shaped` of the tensors that the network or the file has.
    share: f64,
    /// Whether the file or the library says that it is this variant.
    is_origin: bool,
}

impl std::fmt::Display for Fit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Entry { name, variant, .. } = self.entry;
        write!(f, "`{name}` ({variant}) in the names of {}", self.naming)?;
        if !self.naming.prefix.is_empty() {
            write!(f, " behind `{}`", self.naming.prefix)?;
        }
        Ok(())
    }
}

impl Fit {
    fn rank(&self, other: &Self) -> std::cmp::Ordering {
        let share = self.share.total_cmp(&other.share);
        let named = self.named.cmp(&other.named);
        share.then(named).then(self.is_origin.cmp(&other.is_origin))
    }

    fn is_as(&self, other: &Self) -> bool {
        let entry = |fit: &Self| (fit.entry.name, fit.entry.variant);
        entry(self) == entry(other) && self.naming.prefix == other.naming.prefix
    }

    fn is_enough(&self) -> bool {
        self.named as f64 >= ENOUGH * self.expected as f64
    }

    fn recognised(&self, checkpoint: &Checkpoint) -> Recognised {
        let found = |wanted: &str| {
            let mut bindings = self.bindings.iter();
            let binding = bindings.find(|binding| binding.parameter.name == wanted)?;
            let tensor = binding.find(&checkpoint.tensors)?.1;
            let axis = binding.layout.class_axis(tensor.shape().len());
            tensor.shape().get(axis).copied()
        };
        let auxiliary = |binding: &&Binding| binding.parameter.name.starts_with("auxiliary");
        Recognised {
            entry: self.entry,
            naming: self.naming.clone(),
            expected: self.expected,
            found: self.shaped,
            classes: found("logits/bias").or_else(|| found("logits/weight")),
            auxiliary_head: self
                .bindings
                .iter()
                .filter(auxiliary)
                .any(|binding| binding.find(&checkpoint.tensors).is_some()),
            embedding: found("bottleneck/weight"),
            width_multiplier: self.width_multiplier,
        }
    }
}

/// One fit for each prefix that the first names might have.
fn fits_of(
    entry: &'static Entry,
    net: &Net,
    library: Library,
    checkpoint: &Checkpoint,
    choice: &Choice,
) -> Vec<Fit> {
    let averaged = choice.names.is_some_and(|names| names.averaged);
    let plain = Naming {
        averaged,
        ..Naming::of(library)
    };
    let prefixes = match &choice.prefix {
        Some(prefix) => BTreeSet::from([prefix.clone()]),
        None => prefixes(net, &plain, &checkpoint.tensors),
    };
    let fit = |prefix: String| {
        let naming = Naming {
            prefix,
            ..plain.clone()
        };
        fit(entry, net, naming, checkpoint)
    };
    prefixes.into_iter().filter_map(fit).collect()
}

/// The network with every tensor it can have: with its auxiliary head, if it has one.
fn build(entry: &Entry, width_multiplier: f64) -> Result<Net, NetError> {
    let options = |auxiliary_head| NetOptions {
        width_multiplier,
        auxiliary_head,
        ..NetOptions::default()
    };
    match entry.build(&options(true)) {
        Err(NetError::NoAuxiliaryHead { .. }) => entry.build(&options(false)),
        built => built,
    }
}

/// What stands in the file before the names of the network's first layers; nothing where none of them is there.
fn prefixes(net: &Net, naming: &Naming, tensors: &BTreeMap<String, Tensor>) -> BTreeSet<String> {
    let bindings = naming.bind(net, tensors).unwrap_or_default();
    let first = bindings
        .iter()
        .filter(|binding| binding.parameter.kind == ParameterKind::ConvolutionWeight)
        .take(3)
        .flat_map(|binding| &binding.sources);
    let mut prefixes = BTreeSet::new();
    // Keras's names come whole from the file.
    if naming.library != Library::Keras {
        for name in first {
            let before = tensors
                .keys()
                .filter_map(|key| key.strip_suffix(name.as_str()));
            prefixes.extend(
                before
                    .filter(|prefix| prefix.is_empty() || prefix.ends_with(['.', '/']))
                    .map(str::to_string),
            );
        }
    }
    if prefixes.is_empty() {
        prefixes.insert(String::new());
    }
    prefixes
}

fn fit(entry: &'static Entry, net: &Net, naming: Naming, checkpoint: &Checkpoint) -> Option<Fit> {
    let tensors = &checkpoint.tensors;
    let mut bindings = naming.bind(net, tensors)?;
    let mut width_multiplier = 1.0;
    if naming.library == Library::Incept {
        let found = width(&bindings, tensors);
        if let Some(width) = found.filter(|&width| width != 1.0) {
            width_multiplier = width;
            bindings = naming.bind(&build(entry, width).ok()?, tensors)?;
        }
    }
    let is_classifier = |binding: &Binding| {
        let name = &binding.parameter.name;
        name.starts_with("logits/") || name.starts_with("auxiliary")
    };
    let (mut expected, mut named, mut shaped) = (0, 0, 0);
    let mut bound = BTreeSet::new();
    for binding in &bindings {
        let found = binding.find(tensors);
        bound.extend(found.map(|(name, _)| name));
        if is_classifier(binding) || (found.is_none() && binding.default.is_some()) {
            continue;
        }
        expected += 1;
        named += usize::from(found.is_some());
        shaped += usize::from(found.is_some_and(|(_, tensor)| {
            let shape = tensor.shape();
            binding.layout.source_shape(&binding.parameter.shape, shape) == shape
        }));
    }
    let unused = tensors
        .keys()
        .filter(|name| !bound.contains(name.as_str()))
        .filter(|name| naming.ignored(name, |name| bound.contains(name)).is_none())
        .count();
    let stated = |key, value| {
        checkpoint
            .metadata
            .get(key)
            .is_none_or(|found| found == value)
    };
    let is_origin = naming.library.is_origin_of(entry.name, entry.variant)
        && stated("network", entry.name)
        && stated("variant", entry.variant);
    Some(Fit {
        entry,
        share: shaped as f64 / (expected + unused).max(1) as f64,
        naming,
        bindings,
        width_multiplier,
        expected,
        named,
        shaped,
        is_origin,
    })
}
