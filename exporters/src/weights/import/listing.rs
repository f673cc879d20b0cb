//! What is in a file, tensor by tensor, whether or not it is of a network known.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use crate::net::NetOptions;
use crate::weights::recognise::{Choice, Recognised, recognise};
use crate::weights::{Checkpoint, Tensor, WeightsError};

/// The listing's schema.
const SCHEMA: &str = "incept.weights/1";

/// A file's tensors, and what they are.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FileListing {
    /// `incept.weights/1`.
    pub schema: &'static str,
    /// The file's format.
    pub format: String,
    /// The network it holds, where that is known.
    pub network: Option<ListedNetwork>,
    /// Why it is not, otherwise.
    pub unrecognised: String,
    /// Numbers in all tensors.
    pub numbers: u64,
    /// Bytes that they take as they are stored.
    pub bytes: u64,
    /// What the file's reader did besides reading.
    pub notes: Vec<String>,
    /// The tensors, in the order of their names.
    pub tensors: Vec<ListedTensor>,
}

/// The network of a file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ListedNetwork {
    /// Its name in the zoo.
    pub name: &'static str,
    /// Its variant.
    pub variant: &'static str,
    /// In whose names.
    pub naming: String,
    /// What stands before each name.
    pub prefix: String,
    /// Tensors that the network has without its classifiers.
    pub expected: usize,
    /// How many of them are there in their shapes.
    pub found: usize,
    /// Numbers the classifier puts out, where there is one.
    pub classes: Option<usize>,
    /// Whether there is an auxiliary head.
    pub auxiliary_head: bool,
    /// Numbers in the embedding, where the network has one.
    pub embedding: Option<usize>,
    /// Factor on the filters.
    pub width_multiplier: f64,
}

/// A tensor of a file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ListedTensor {
    /// Its name.
    pub name: String,
    /// Its dimensions.
    pub shape: Vec<usize>,
    /// How its numbers are stored.
    pub element_type: String,
    /// What becomes of it.
    #[serde(flatten)]
    pub fate: Fate,
}

/// What becomes of a tensor.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "fate", rename_all = "snake_case")]
pub enum Fate {
    /// It becomes this tensor of the network.
    Becomes {
        /// Ours.
        target: String,
    },
    /// It is left out.
    Ignored {
        /// Why.
        reason: &'static str,
    },
    /// Nothing is known of it.
    Unknown,
}

/// Lists a file. That it is of no network known is no error here.
///
/// # Errors
/// As [`Checkpoint::read`].
pub fn listing(path: &Path, choice: &Choice) -> Result<FileListing, WeightsError> {
    let checkpoint = Checkpoint::read(path)?;
    let (network, fates, unrecognised) = match recognise(&checkpoint, choice) {
        Ok(recognised) => {
            let fates = fates(&recognised, &checkpoint);
            (Some(described(&recognised)), fates, String::new())
        }
        Err(error) => (None, BTreeMap::new(), error.to_string()),
    };
    let tensor = |(name, tensor): (&String, &Tensor)| ListedTensor {
        name: name.clone(),
        shape: tensor.shape().to_vec(),
        element_type: tensor.element_type().to_string(),
        fate: fates.get(name).cloned().unwrap_or(Fate::Unknown),
    };
    let tensors = &checkpoint.tensors;
    let size = |tensor: &Tensor| (tensor.elements() * tensor.element_type().size()) as u64;
    Ok(FileListing {
        schema: SCHEMA,
        format: checkpoint.format.to_string(),
        network,
        unrecognised,
        numbers: tensors.values().map(|t| t.elements() as u64).sum(),
        bytes: tensors.values().map(size).sum(),
        tensors: tensors.iter().map(tensor).collect(),
        notes: checkpoint.notes,
    })
}

fn described(recognised: &Recognised) -> ListedNetwork {
    ListedNetwork {
        name: recognised.entry.name,
        variant: recognised.entry.variant,
        naming: recognised.naming.to_string(),
        prefix: recognised.naming.prefix.clone(),
        expected: recognised.expected,
        found: recognised.found,
        classes: recognised.classes,
        auxiliary_head: recognised.auxiliary_head,
        embedding: recognised.embedding,
        width_multiplier: recognised.width_multiplier,
    }
}

/// What becomes of the tensors that the network or its library knows; shapes are not looked at.
fn fates(recognised: &Recognised, checkpoint: &Checkpoint) -> BTreeMap<String, Fate> {
    let options = NetOptions {
        auxiliary_head: recognised.auxiliary_head,
        ..NetOptions::default()
    };
    let tensors = &checkpoint.tensors;
    let naming = &recognised.naming;
    let net = recognised.entry.build(&options).ok();
    let bindings = net.and_then(|net| naming.bind(&net, tensors));
    let mut fates = BTreeMap::new();
    for binding in bindings.unwrap_or_default() {
        if let Some((name, _)) = binding.find(tensors) {
            let target = binding.parameter.name.clone();
            fates.insert(name.to_string(), Fate::Becomes { target });
        }
    }
    let ignored = tensors.keys().filter(|name| !fates.contains_key(*name));
    let ignored: Vec<(String, Fate)> = ignored
        .filter_map(|name| {
            let reason = naming.ignored(name, |name| fates.contains_key(name))?;
            Some((name.clone(), Fate::Ignored { reason }))
        })
        .collect();
    fates.extend(ignored);
    fates
}
