//! Weights: named tensors, whether generated from a seed or read from a file.
//!
//! A file goes through three steps: a [`Checkpoint`] has its tensors under the names it gives them; [`recognise()`] tells
//! which network these are, in whose [`names`]; [`import()`] takes the network's weights from it and accounts for every
//! tensor.

pub mod checkpoint;
mod error;
pub mod import;
mod initial;
pub mod names;
mod recognise;
mod tensor;

pub use checkpoint::{Checkpoint, Format, Malformed};
use error::SHOWN;
pub use error::{Likeness, Misshapen, WeightsError};
pub use import::{ImportReport, Imported, Recipe, import, load};
pub use initial::{
    initial_values, random_image, randomised_values, standard_normal, stream_key, uniform,
};
pub use names::{Library, NamesChoice, Naming};
pub use recognise::{Choice, Recognised, recognise};
pub(crate) use tensor::little_endian;
pub use tensor::{ElementType, Tensor, TensorError};

use std::collections::BTreeMap;
use std::path::Path;

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use crate::net::{Net, Parameter};
use crate::text::nearest;

/// Where weights came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The portable generator, with this seed.
    Seed(u64),
    /// A file, or values made in memory, by this description.
    Named(String),
}

/// Named float32 tensors, in the order of their names.
#[derive(Debug, Clone)]
pub struct Weights {
    tensors: BTreeMap<String, Tensor>,
    source: Source,
    /// What the file they come from calls those that it does not call as we do.
    origins: BTreeMap<String, String>,
    /// How they come from a file, where they were imported.
    recipe: Option<Recipe>,
}

impl Weights {
    /// Initial weights for `net`: truncated normal scaled by fan-in, biases and offsets zero, factors and
    /// variances one. Seed and tensor name alone decide the values: see [`initial_values`].
    pub fn initial(net: &Net, seed: u64) -> Self {
        Self::new(
            generate(net, |p| initial_values(seed, p)),
            Source::Seed(seed),
        )
    }

    /// Weights for tests of parity: biases and batch-norm statistics that leave nothing at 0 or 1, see
    /// [`randomised_values`].
    pub fn randomised(net: &Net, seed: u64) -> Self {
        let source = Source::Named(format!("randomised, seed {seed}"));
        Self::new(generate(net, |p| randomised_values(seed, p)), source)
    }

    /// Reads a file under the names it has; for anybody's names see [`load`]. The file is mapped; numbers of any type
    /// become float32 when they are needed.
    ///
    /// # Errors
    /// As [`Checkpoint::read`].
    pub fn read(path: &Path) -> Result<Self, WeightsError> {
        let source = Source::Named(path.display().to_string());
        Ok(Self::new(Checkpoint::read(path)?.tensors, source))
    }

    /// Weights made in memory, with a description of where they come from.
    pub fn from_tensors(tensors: BTreeMap<String, Tensor>, source: impl Into<String>) -> Self {
        Self::new(tensors, Source::Named(source.into()))
    }

    fn new(tensors: BTreeMap<String, Tensor>, source: Source) -> Self {
        Self {
            tensors,
            source,
            origins: BTreeMap::new(),
            recipe: None,
        }
    }

    /// Writes a safetensors file, whole or not at all, with `metadata` in its header.
    ///
    /// # Errors
    /// [`WeightsError`] with the path.
    pub fn write(
        &self,
        path: &Path,
        metadata: &BTreeMap<String, String>,
    ) -> Result<(), WeightsError> {
        checkpoint::safetensors::write(path, &self.tensors, metadata)
    }

    /// Where they came from.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// How they come from a file, where they were imported.
    pub fn recipe(&self) -> Option<&Recipe> {
        self.recipe.as_ref()
    }

    /// The tensors, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.tensors
            .iter()
            .map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// The tensor of that name.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.tensors.get(name)
    }

    /// The tensor of that name, with the name as long as the weights live.
    pub(crate) fn entry(&self, name: &str) -> Option<(&str, &Tensor)> {
        let found = self.tensors.get_key_value(name);
        found.map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// Replaces or adds a tensor.
    pub fn insert(&mut self, name: impl Into<String>, tensor: Tensor) {
        self.tensors.insert(name.into(), tensor);
    }

    /// Checks that these are the weights of `net`: every tensor there, in its shape, finite, and none besides.
    ///
    /// # Errors
    /// [`WeightsError::Mismatch`] with all that is missing, unused, misshapen or not finite, at once.
    pub fn check(&self, net: &Net) -> Result<(), WeightsError> {
        self.compare(net, self.not_finite())
    }

    /// As [`Weights::check`], but looks at no value.
    pub(crate) fn check_shapes(&self, net: &Net) -> Result<(), WeightsError> {
        self.compare(net, vec![])
    }

    fn compare(&self, net: &Net, not_finite: Vec<(String, usize)>) -> Result<(), WeightsError> {
        let wanted: BTreeMap<String, Vec<usize>> = net
            .parameters()
            .into_iter()
            .map(|parameter| (parameter.name, parameter.shape))
            .collect();
        let unused: Vec<String> = self
            .tensors
            .keys()
            .filter(|name| !wanted.contains_key(*name))
            .cloned()
            .collect();
        let mut missing = vec![];
        let mut misshapen = vec![];
        for (name, expected) in &wanted {
            match self.tensors.get(name) {
                None => {
                    // Every pair of names takes a while, and only the first names are shown.
                    let shown = missing.len() < SHOWN;
                    let like = unused.iter().map(String::as_str).filter(|_| shown);
                    missing.push((name.clone(), nearest(name, like).map(str::to_string)));
                }
                Some(tensor) if tensor.shape() != expected => misshapen.push(Misshapen {
                    name: name.clone(),
                    expected: expected.clone(),
                    found: tensor.shape().to_vec(),
                }),
                Some(_) => {}
            }
        }
        let mistyped: Vec<(String, ElementType)> = self
            .tensors
            .iter()
            .filter(|(_, tensor)| !tensor.element_type().is_floating())
            .map(|(name, tensor)| (name.clone(), tensor.element_type()))
            .collect();
        let fits = missing.is_empty() && unused.is_empty() && misshapen.is_empty();
        if fits && mistyped.is_empty() && not_finite.is_empty() {
            return Ok(());
        }
        let network = net.name().to_string();
        Err(WeightsError::Mismatch {
            network,
            missing,
            unused,
            misshapen,
            mistyped,
            not_finite,
            sources: self.origins.clone(),
        })
    }

    /// The tensors with NaN or infinite values, and how many.
    fn not_finite(&self) -> Vec<(String, usize)> {
        let count = |(name, tensor): (&String, &Tensor)| {
            let count = tensor.not_finite();
            (count > 0).then(|| (name.clone(), count))
        };
        self.tensors.par_iter().filter_map(count).collect()
    }

    /// SHA-256 over all tensors in the order of their names: for each, `name\0`, its dimensions joined by `x`, `\0`,
    /// then the 32 bytes of the SHA-256 of its float32 values in little-endian order. So tensors are hashed side by
    /// side. The same weights have the same hash however they came.
    pub fn sha256(&self) -> String {
        let digests = self.tensors.par_iter();
        let digests: BTreeMap<&str, [u8; 32]> = digests
            .map(|(name, tensor)| (name.as_str(), digest(&tensor.values())))
            .collect();
        self.combine(&digests)
    }

    /// [`Weights::sha256`] from the hashes of all tensors' values.
    pub(crate) fn combine(&self, digests: &BTreeMap<&str, [u8; 32]>) -> String {
        let mut hash = Sha256::new();
        for (name, tensor) in &self.tensors {
            let dimensions: Vec<String> = tensor.shape().iter().map(usize::to_string).collect();
            hash.update(name.as_bytes());
            hash.update(b"\0");
            hash.update(dimensions.join("x").as_bytes());
            hash.update(b"\0");
            hash.update(digests.get(name.as_str()).copied().unwrap_or_default());
        }
        crate::text::hex(&hash.finalize())
    }
}

/// SHA-256 of float32 values in little-endian order.
pub(crate) fn digest(values: &[f32]) -> [u8; 32] {
    Sha256::digest(little_endian(values)).into()
}

/// NaN and infinite values.
pub(crate) fn not_finite(values: &[f32]) -> usize {
    // An exponent of ones only: whole numbers are compared many at a time, and counted in numbers as wide.
    let block = |values: &[f32]| -> u32 {
        let is_special = |value: &f32| value.to_bits() & 0x7f80_0000 == 0x7f80_0000;
        values
            .iter()
            .map(|value| u32::from(is_special(value)))
            .sum()
    };
    values
        .chunks(1 << 16)
        .map(|values| block(values) as usize)
        .sum()
}

fn generate(net: &Net, values: impl Fn(&Parameter) -> Vec<f32> + Sync) -> BTreeMap<String, Tensor> {
    let tensor = |parameter: Parameter| {
        let values = values(&parameter);
        (parameter.name, Tensor::owned(parameter.shape, values))
    };
    net.parameters().into_par_iter().map(tensor).collect()
}
