//! Scales and shifts behind a layer, which other files have within it.

use std::collections::HashMap;

use incept_exporters::onnx::{Part, Parts};

use super::{Reader, SAME, Value};

/// Which nodes read each value; an output of the graph counts as one more.
pub(super) fn readers(parts: &Parts) -> HashMap<&str, Vec<usize>> {
    let mut readers: HashMap<&str, Vec<usize>> = HashMap::new();
    for (index, node) in parts.nodes().iter().enumerate() {
        for input in &node.inputs {
            readers.entry(input).or_default().push(index);
        }
    }
    for output in parts.outputs() {
        readers.entry(output).or_default().push(usize::MAX);
    }
    readers
}

impl<'a> Reader<'a> {
    /// The scales and shifts by constants right behind a node, which may be folded into its weights: batch
    /// normalisation, and multiplications and additions. Only where nothing else reads the values between.
    pub(super) fn tail(&self, index: usize, node: &'a Part) -> Vec<usize> {
        let mut tail = vec![];
        let mut at = index;
        let mut output = node.outputs.first().map_or("", String::as_str);
        let mut candidates = vec![];
        while let Some([next]) = self.readers.get(output).map(Vec::as_slice) {
            let Some(reader) = self.parts.nodes().get(*next).filter(|_| *next > at) else {
                break;
            };
            let is_constant = |name: &String| name.is_empty() || self.is_constant(name);
            let others = reader.input_places().iter().filter(|name| *name != output);
            let scales = match reader.operator.as_str() {
                "BatchNormalization" => others.clone().all(is_constant),
                "Mul" | "Add" | "Sub" => {
                    others.clone().count() == 1 && others.clone().all(is_constant)
                }
                "Div" => {
                    reader
                        .input_places()
                        .first()
                        .is_some_and(|name| name == output)
                        && others.clone().all(is_constant)
                }
                operator => {
                    // Passed over, if scales follow.
                    if !SAME[..4].contains(&operator) && !operator.ends_with("uantizeLinear") {
                        break;
                    }
                    false
                }
            };
            at = *next;
            candidates.push((at, scales));
            output = reader.outputs.first().map_or("", String::as_str);
        }
        tail.extend(
            candidates
                .iter()
                .filter(|(_, scales)| *scales)
                .map(|(at, _)| *at),
        );
        tail
    }

    /// Whether a value depends on no input.
    fn is_constant(&self, name: &str) -> bool {
        let mut waiting = vec![name];
        let mut steps = 0;
        while let Some(name) = waiting.pop() {
            steps += 1;
            if self.parts.is_stored(name)
                || matches!(self.graph.values.get(name), Some(Value::Constant(_)))
            {
                continue;
            }
            match self.parts.producer(name) {
                // A constant is a few steps deep; what is deeper is taken for none.
                Some(producer) if steps < 64 => waiting.extend(
                    self.parts.nodes()[producer]
                        .inputs
                        .iter()
                        .map(String::as_str),
                ),
                _ => return false,
            }
        }
        true
    }
}
