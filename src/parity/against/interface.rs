//! What two models take and put out: which of A's inputs and outputs are which of B's.

use incept_exporters::onnx::proto::{BFLOAT16, DOUBLE, FLOAT, FLOAT16};
use incept_exporters::onnx::{Parts, ValueFacts, type_name};

use super::AgainstError;

/// An input that both models have.
#[derive(Debug, Clone)]
pub(crate) struct InputPair {
    pub(crate) of_a: ValueFacts,
    pub(crate) of_b: ValueFacts,
}

/// Pairs of inputs and outputs.
#[derive(Debug, Clone)]
pub(crate) struct Interface {
    pub(crate) inputs: Vec<InputPair>,
    /// By name, in A and in B.
    pub(crate) outputs: Vec<(String, String)>,
    /// How they were paired, where not by name.
    pub(crate) notes: Vec<String>,
}

impl Interface {
    /// Pairs by name where the names are the same, else in order.
    pub(crate) fn pair(a: &Parts, b: &Parts) -> Result<Self, AgainstError> {
        let mut notes = vec![];
        let inputs = pair("inputs", a.input_facts(), b.input_facts(), &mut notes)?;
        let outputs = pair("outputs", a.output_facts(), b.output_facts(), &mut notes)?;
        Ok(Self {
            inputs: inputs
                .into_iter()
                .map(|(of_a, of_b)| InputPair { of_a, of_b })
                .collect(),
            outputs: outputs
                .into_iter()
                .map(|(of_a, of_b)| (of_a.name, of_b.name))
                .collect(),
            notes,
        })
    }

    /// The inputs by name, in A and in B.
    pub(crate) fn input_names(&self) -> Vec<(String, String)> {
        let pairs = self.inputs.iter();
        pairs
            .map(|pair| (pair.of_a.name.clone(), pair.of_b.name.clone()))
            .collect()
    }
}

fn pair(
    what: &'static str,
    of_a: Vec<ValueFacts>,
    of_b: Vec<ValueFacts>,
    notes: &mut Vec<String>,
) -> Result<Vec<(ValueFacts, ValueFacts)>, AgainstError> {
    let refused = || AgainstError::Interface {
        what,
        expected: list(&of_b),
        found: list(&of_a),
    };
    if of_a.len() != of_b.len() || of_a.is_empty() {
        return Err(refused());
    }
    let place = |name: &str| of_b.iter().position(|value| value.name == name);
    let places: Vec<Option<usize>> = of_a.iter().map(|value| place(&value.name)).collect();
    let by_name = places.iter().all(Option::is_some);
    // Some of the same names, and at other places: neither order nor names are to be trusted.
    let crossed = places
        .iter()
        .enumerate()
        .any(|(place, named)| named.is_some_and(|named| named != place));
    if !by_name && crossed {
        return Err(refused());
    }
    let mut pairs = vec![];
    for (place, value) in of_a.iter().enumerate() {
        let other = &of_b[places[place].unwrap_or(place)];
        if !fits(value, other) {
            return Err(refused());
        }
        if value.name != other.name {
            notes.push(format!(
                "{what} are paired in order: `{}` of A with `{}` of B",
                value.name, other.name
            ));
        }
        if value.element_type != other.element_type {
            notes.push(format!(
                "`{}` is {} in A, {} in B",
                value.name,
                type_name(value.element_type),
                type_name(other.element_type)
            ));
        }
        pairs.push((value.clone(), other.clone()));
    }
    Ok(pairs)
}

/// Whether a value may stand where the other does: the same type, or both floating-point numbers; the same sizes, where
/// both state them.
fn fits(a: &ValueFacts, b: &ValueFacts) -> bool {
    let is_float =
        |value: &ValueFacts| [FLOAT, FLOAT16, BFLOAT16, DOUBLE].contains(&value.element_type);
    let types = a.element_type == b.element_type || is_float(a) && is_float(b);
    // A file that states no shape looks as one that states a scalar's.
    let unknown = a.shape.is_empty() || b.shape.is_empty();
    let sizes = a.shape.iter().zip(&b.shape).all(|(a, b)| match (a, b) {
        (Ok(a), Ok(b)) => a == b,
        _ => true,
    });
    types && (unknown || a.shape.len() == b.shape.len() && sizes)
}

fn list(values: &[ValueFacts]) -> String {
    let texts: Vec<String> = values
        .iter()
        .map(|value| {
            format!(
                "`{}` {} {}",
                value.name,
                type_name(value.element_type),
                shape_text(&value.shape)
            )
        })
        .collect();
    match texts.is_empty() {
        true => "none".into(),
        false => texts.join(", "),
    }
}

/// `[N, 3, 299, 299]`
pub(super) fn shape_text(shape: &[Result<usize, String>]) -> String {
    let sizes: Vec<String> = shape
        .iter()
        .map(|size| match size {
            Ok(size) => size.to_string(),
            Err(name) => name.clone(),
        })
        .collect();
    format!("[{}]", sizes.join(", "))
}
