//! What a part is beside its bytes: the places of its inputs, its settings, and the constants it reads.

use prost::Message;
use prost::bytes::Bytes;

use super::super::ValueFacts;
use super::super::proto::{SparseTensorProto, TensorProto};
use super::super::read::for_each_field;
use super::{Part, Parts};

/// How many whole numbers a constant may hold to be read: axes, zero points and shapes are small.
const MOST_INTEGERS: usize = 64;

impl Part {
    /// Its inputs by their places; one that is left out is empty.
    pub fn input_places(&self) -> &[String] {
        &self.decoded.input
    }

    /// Its outputs by their places; one that is left out is empty.
    pub fn output_places(&self) -> &[String] {
        &self.decoded.output
    }

    /// A setting that is a whole number.
    pub fn integer(&self, name: &str) -> Option<i64> {
        let mut found = self.decoded.attribute.iter();
        found.find(|a| a.name == name).map(|a| a.i)
    }

    /// A setting that is a list of whole numbers.
    pub fn integers(&self, name: &str) -> Option<&[i64]> {
        let mut found = self.decoded.attribute.iter();
        found.find(|a| a.name == name).map(|a| a.ints.as_slice())
    }

    /// A setting that is a text.
    pub fn text(&self, name: &str) -> Option<String> {
        let mut found = self.decoded.attribute.iter();
        let found = found.find(|a| a.name == name)?;
        Some(String::from_utf8_lossy(&found.s).into_owned())
    }

    /// The tensor a `Constant` holds as its value.
    fn constant(&self) -> Option<&TensorProto> {
        let mut value = self.decoded.attribute.iter().filter(|a| a.name == "value");
        value.next()?.t.as_ref()
    }
}

impl Parts {
    /// The graph's inputs, without its stored tensors.
    pub fn input_facts(&self) -> Vec<ValueFacts> {
        self.inputs.iter().map(ValueFacts::read).collect()
    }

    /// The graph's outputs.
    pub fn output_facts(&self) -> Vec<ValueFacts> {
        self.outputs.iter().map(ValueFacts::read).collect()
    }

    /// The shape of a tensor that the file holds, among its initializers or in a `Constant`.
    pub fn constant_shape(&self, value: &str) -> Option<Vec<i64>> {
        if let Some((field, _)) = self.tensors.get(value) {
            let contents = contents(field)?;
            return match TensorProto::decode(contents.clone()) {
                Ok(tensor) if tensor.name == value => Some(tensor.dims),
                _ => Some(SparseTensorProto::decode(contents).ok()?.dims),
            };
        }
        let node = &self.nodes[self.producer(value)?];
        Some(node.constant()?.dims.clone())
    }

    /// The numbers of a small tensor of whole numbers that the file holds; none where it has other numbers, or many.
    pub fn constant_integers(&self, value: &str) -> Option<Vec<i64>> {
        if let Some((field, _)) = self.tensors.get(value) {
            return integers(&TensorProto::decode(contents(field)?).ok()?);
        }
        let node = &self.nodes[self.producer(value)?];
        match node.constant() {
            Some(tensor) => integers(tensor),
            None => node.integers("value_ints").map(<[i64]>::to_vec),
        }
    }
}

/// The contents of a field that has a length.
fn contents(field: &Bytes) -> Option<Bytes> {
    let mut found = None;
    let read = for_each_field(field, |_, _, contents| {
        found = contents;
        Ok(())
    });
    read.ok().and(found)
}

fn integers(tensor: &TensorProto) -> Option<Vec<i64>> {
    let raw = &tensor.raw_data;
    let lists = match tensor.data_type {
        7 => &tensor.int64_data,
        _ => &tensor.int32_data,
    };
    if !raw.is_empty() && raw.len() > 8 * MOST_INTEGERS {
        return None;
    }
    let numbers: Vec<i64> = match tensor.data_type {
        2 if !raw.is_empty() => raw.iter().map(|&byte| byte.into()).collect(),
        3 if !raw.is_empty() => raw.iter().map(|&byte| i64::from(byte as i8)).collect(),
        6 if !raw.is_empty() => {
            let words = raw.as_chunks::<4>().0.iter();
            words.map(|word| i32::from_le_bytes(*word).into()).collect()
        }
        7 if !raw.is_empty() => {
            let words = raw.as_chunks::<8>().0.iter();
            words.map(|word| i64::from_le_bytes(*word)).collect()
        }
        2 | 3 | 6 | 7 => {
            let mut numbers = vec![];
            for list in lists {
                let mut rest = list.clone();
                while !rest.is_empty() && numbers.len() <= MOST_INTEGERS {
                    // A negative number of 32 bits is written with 64.
                    numbers.push(prost::encoding::decode_varint(&mut rest).ok()? as i64);
                }
            }
            numbers
        }
        _ => return None,
    };
    (numbers.len() <= MOST_INTEGERS).then_some(numbers)
}
