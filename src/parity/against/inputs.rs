//! What both models are fed with.

use std::path::PathBuf;

use incept_exporters::onnx::proto::{BFLOAT16, FLOAT, FLOAT16, INT64, UINT8};
use incept_exporters::onnx::type_name;

use super::AgainstError;
use super::interface::{InputPair, Interface, shape_text};
use super::npz;
use crate::parity;
use crate::runtime::Tensor;

/// How the inputs are to be filled.
#[derive(Debug, Clone, Default)]
pub struct InputOptions {
    /// Images in the batch, where the files leave that open; 1 where none.
    pub batch: Option<usize>,
    /// Height and width, where the files leave them open.
    pub image_size: Option<(usize, usize)>,
    /// Whole shapes, by the inputs' names.
    pub shapes: Vec<(String, Vec<usize>)>,
    /// Seed of the random values.
    pub seed: u64,
    /// A file with the values, instead of random ones.
    pub file: Option<PathBuf>,
}

/// The inputs of one graph, by name.
pub(crate) type Inputs = Vec<(String, Tensor)>;

/// Fills the inputs of both models: for A and for B, the same tensors under each one's names.
pub(crate) fn fill(
    interface: &Interface,
    options: &InputOptions,
) -> Result<(Inputs, Inputs), AgainstError> {
    for (name, _) in &options.shapes {
        if !interface.inputs.iter().any(|pair| pair.is_called(name)) {
            let names: Vec<String> = interface
                .inputs
                .iter()
                .map(|pair| format!("`{}`", pair.of_b.name))
                .collect();
            return Err(AgainstError::NoSuchInput {
                found: name.clone(),
                expected: names.join(", "),
            });
        }
    }
    let mut arrays = match &options.file {
        Some(path) => Some(npz::read(path)?),
        None => None,
    };
    let (mut for_a, mut for_b) = (vec![], vec![]);
    for (place, pair) in interface.inputs.iter().enumerate() {
        let tensor = match (&mut arrays, &options.file) {
            (Some(arrays), Some(path)) => {
                let at = arrays.iter().position(|(name, _)| pair.is_called(name));
                let Some(at) = at else {
                    let names: Vec<String> =
                        arrays.iter().map(|(name, _)| format!("`{name}`")).collect();
                    return Err(AgainstError::Values {
                        path: path.clone(),
                        reason: format!(
                            "expected an array `{}`, found {}",
                            pair.of_b.name,
                            names.join(", ")
                        ),
                    });
                };
                let (name, array) = arrays.swap_remove(at);
                given(pair, array).map_err(|reason| AgainstError::Values {
                    path: path.clone(),
                    reason: format!("array `{name}`: {reason}"),
                })?
            }
            // Each input has values of its own.
            _ => random(pair, options, options.seed.wrapping_add(place as u64))?,
        };
        for_a.push((pair.of_a.name.clone(), tensor.clone()));
        for_b.push((pair.of_b.name.clone(), tensor));
    }
    Ok((for_a, for_b))
}

impl InputPair {
    fn is_called(&self, name: &str) -> bool {
        self.of_a.name == name || self.of_b.name == name
    }

    /// The sizes that either file states.
    fn stated(&self) -> Vec<Result<usize, String>> {
        let (a, b) = (&self.of_a.shape, &self.of_b.shape);
        if a.is_empty() || b.is_empty() {
            return if a.is_empty() { b.clone() } else { a.clone() };
        }
        let sizes = a.iter().zip(b);
        sizes
            .map(|(a, b)| if a.is_ok() { a.clone() } else { b.clone() })
            .collect()
    }

    /// Refuses a shape other than the stated one.
    fn check(&self, found: &[usize]) -> Result<(), AgainstError> {
        let stated = self.stated();
        let sizes = || {
            stated
                .iter()
                .zip(found)
                .all(|(stated, found)| stated.as_ref().ok().is_none_or(|size| size == found))
        };
        if stated.is_empty() || stated.len() == found.len() && sizes() {
            return Ok(());
        }
        Err(AgainstError::Shape {
            input: self.of_b.name.clone(),
            expected: shape_text(&stated),
            found: found.into(),
        })
    }

    /// The shape to be filled.
    fn shape(&self, options: &InputOptions) -> Result<Vec<usize>, AgainstError> {
        if let Some((_, asked)) = options.shapes.iter().find(|(name, _)| self.is_called(name)) {
            self.check(asked)?;
            return Ok(asked.clone());
        }
        let stated = self.stated();
        // Channels stand last where they are stated there, and not in front.
        let channels_last = stated.len() == 4 && stated[3] == Ok(3) && stated[1] != Ok(3);
        let map = if channels_last { 1..3 } else { 2..4 };
        let mut shape = vec![];
        for (place, size) in stated.iter().enumerate() {
            let is_map = stated.len() == 4 && map.contains(&place);
            let asked = match options.image_size {
                Some((height, width)) if is_map => {
                    Some(if place == map.start { height } else { width })
                }
                _ if place == 0 => options.batch,
                _ => None,
            };
            match (size, asked) {
                (Ok(size), None) => shape.push(*size),
                (_, Some(asked)) => shape.push(asked),
                (Err(_), None) if place == 0 => shape.push(1),
                (Err(_), None) => {
                    return Err(AgainstError::Size {
                        input: self.of_b.name.clone(),
                        shape: shape_text(&stated),
                        place,
                    });
                }
            }
        }
        self.check(&shape)?;
        Ok(shape)
    }
}

fn random(pair: &InputPair, options: &InputOptions, seed: u64) -> Result<Tensor, AgainstError> {
    let shape = pair.shape(options)?;
    let floats = parity::random(seed, &shape);
    match pair.of_b.element_type {
        FLOAT | FLOAT16 | BFLOAT16 => Ok(Tensor::Floats(floats)),
        UINT8 => Ok(Tensor::Bytes(
            floats.mapv(|value| ((value + 1.0) * 127.5).round() as u8),
        )),
        other => Err(AgainstError::Random {
            input: pair.of_b.name.clone(),
            element_type: type_name(other),
        }),
    }
}

/// An array of a file as an input.
fn given(pair: &InputPair, tensor: Tensor) -> Result<Tensor, String> {
    match (pair.of_b.element_type, &tensor) {
        (FLOAT | FLOAT16 | BFLOAT16, Tensor::Floats(_))
        | (UINT8, Tensor::Bytes(_))
        | (INT64, Tensor::Integers(_)) => {}
        (expected, _) => {
            return Err(format!(
                "expected {}, found {}",
                type_name(expected),
                npz::type_name(&tensor)
            ));
        }
    }
    match pair.check(tensor.shape()) {
        Ok(()) => Ok(tensor),
        Err(error) => Err(error.to_string()),
    }
}
