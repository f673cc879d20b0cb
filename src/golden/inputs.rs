//! Seeded inputs of a model, and a bundle's inputs as runtimes take them.

use half::{bf16, f16};
use incept_exporters::net::Net;
use incept_exporters::onnx::proto::{BFLOAT16, FLOAT, FLOAT16, UINT8};
use incept_exporters::onnx::{DataTensor, ModelFacts, Numbers, ValueFacts, type_name};
use incept_exporters::weights::{stream_key, uniform};
use ndarray::{ArrayD, IxDyn};

use crate::parity::Feed;
use crate::runtime::{InputTensor, Tensor};

/// The inputs of one run, by name.
#[derive(Debug)]
pub(super) struct Inputs {
    held: Vec<(String, i32, Tensor)>,
    /// What the network computes with, where the inputs are images for one: `[N, 3, H, W]`.
    #[cfg_attr(
        not(feature = "torch"),
        expect(dead_code, reason = "libtorch alone takes it")
    )]
    scaled: ArrayD<f32>,
}

/// An input no seeded numbers can be made for: its name, what would do, what it is.
pub(super) struct Unsuitable {
    pub(super) name: String,
    pub(super) expected: &'static str,
    pub(super) found: String,
}

impl Inputs {
    /// Seeded images for a network of incept's.
    pub(super) fn of_network(net: &Net, facts: &ModelFacts, seed: u64, batch: usize) -> Self {
        let feed = Feed::new(net, facts, seed, batch);
        let (name, element_type) = facts
            .inputs
            .first()
            .map(|input| (input.name.clone(), input.element_type))
            .unwrap_or_default();
        let scaled = feed.scaled.mapv(|value| rounded(value, element_type));
        let held = match feed.images() {
            InputTensor::Bytes(view) => Tensor::Bytes(view.to_owned()),
            _ => Tensor::Floats(scaled.clone()),
        };
        Self {
            held: vec![(name, element_type, held)],
            scaled,
        }
    }

    /// Seeded numbers for any model: floats uniform in [-1, 1), bytes in 0 to 255. Of an open shape, the first dimension
    /// is the batch.
    pub(super) fn of_model(
        facts: &ModelFacts,
        seed: u64,
        batch: usize,
    ) -> Result<Self, Unsuitable> {
        let held = facts.inputs.iter().map(|input| {
            let held = seeded(input, seed, batch)?;
            Ok((input.name.clone(), input.element_type, held))
        });
        Ok(Self {
            held: held.collect::<Result<_, _>>()?,
            scaled: ArrayD::zeros(IxDyn(&[0])),
        })
    }

    /// A bundle's inputs under the model's names, in order.
    ///
    /// # Errors
    /// In words: what incept cannot hand to a runtime.
    pub(super) fn of_bundle(facts: &ModelFacts, tensors: Vec<DataTensor>) -> Result<Self, String> {
        let held = facts.inputs.iter().zip(tensors).map(|(input, tensor)| {
            let element_type = tensor.element_type;
            let held =
                held(tensor).map_err(|reason| format!("input `{}`: {reason}", input.name))?;
            Ok::<_, String>((input.name.clone(), element_type, held))
        });
        Ok(Self {
            held: held.collect::<Result<_, _>>()?,
            scaled: ArrayD::zeros(IxDyn(&[0])),
        })
    }

    /// The images as the network takes them.
    #[cfg(feature = "torch")]
    pub(super) fn scaled(&self) -> &ArrayD<f32> {
        &self.scaled
    }

    /// The inputs as a runtime takes them.
    pub(super) fn tensors(&self) -> Vec<(&str, InputTensor<'_>)> {
        let held = self.held.iter();
        held.map(|(name, _, held)| (name.as_str(), held.view()))
            .collect()
    }

    /// The inputs as a bundle holds them.
    pub(super) fn data_tensors(&self) -> Vec<DataTensor> {
        let of = |(name, element_type, tensor): &(String, i32, Tensor)| {
            tensor.to_data(name, *element_type)
        };
        self.held.iter().map(of).collect()
    }
}

/// A number as an input of this type holds it.
fn rounded(value: f32, element_type: i32) -> f32 {
    match element_type {
        FLOAT16 => f16::from_f32(value).to_f32(),
        BFLOAT16 => bf16::from_f32(value).to_f32(),
        _ => value,
    }
}

fn seeded(input: &ValueFacts, seed: u64, batch: usize) -> Result<Tensor, Unsuitable> {
    let unsuitable = |expected, found| Unsuitable {
        name: input.name.clone(),
        expected,
        found,
    };
    let sizes = input.shape.iter().enumerate();
    let shape = sizes.map(|(place, size)| match size {
        Ok(size) => Ok(*size),
        Err(_) if place == 0 => Ok(batch),
        Err(name) => Err(unsuitable(
            "a shape that is open in its first dimension at most",
            format!("`{name}` in dimension {place}"),
        )),
    });
    let shape = shape.collect::<Result<Vec<usize>, _>>()?;
    let key = stream_key(seed, &input.name);
    let mut index = 0;
    let mut next = || {
        index += 1;
        uniform(key, index - 1)
    };
    let shape = IxDyn(&shape);
    match input.element_type {
        FLOAT | FLOAT16 | BFLOAT16 => {
            let value = || rounded((next() * 2.0 - 1.0) as f32, input.element_type);
            Ok(Tensor::Floats(ArrayD::from_shape_simple_fn(shape, value)))
        }
        UINT8 => {
            let value = || (next() * 256.0) as u8;
            Ok(Tensor::Bytes(ArrayD::from_shape_simple_fn(shape, value)))
        }
        other => Err(unsuitable(
            "float32, float16, bfloat16 or uint8",
            type_name(other),
        )),
    }
}

/// A tensor's numbers in a type that every runtime is handed.
fn held(tensor: DataTensor) -> Result<Tensor, String> {
    let shape = IxDyn(&tensor.shape);
    let kind = type_name(tensor.element_type);
    let wrong = |error: ndarray::ShapeError| error.to_string();
    match tensor.numbers {
        Numbers::Floats(values) => {
            let exact = |&value: &f64| value.is_nan() || f64::from(value as f32) == value;
            if !values.iter().all(exact) {
                return Err(format!(
                    "{kind}: incept hands float32 to runtimes, which does not hold all of its numbers"
                ));
            }
            let values = values.into_iter().map(|value| value as f32).collect();
            ArrayD::from_shape_vec(shape, values)
                .map(Tensor::Floats)
                .map_err(wrong)
        }
        Numbers::Integers(values) if tensor.element_type == UINT8 => {
            let values = values.into_iter().map(|value| value as u8).collect();
            ArrayD::from_shape_vec(shape, values)
                .map(Tensor::Bytes)
                .map_err(wrong)
        }
        Numbers::Integers(values) => ArrayD::from_shape_vec(shape, values)
            .map(Tensor::Integers)
            .map_err(wrong),
    }
}
