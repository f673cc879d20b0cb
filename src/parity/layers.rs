//! The layers of a file: which values of it are the network's, and the part of the graph that computes each.

use std::collections::{HashMap, HashSet};

use incept_exporters::net::{Net, NodeId};
use incept_exporters::onnx::proto::{FLOAT, INT8};
use incept_exporters::onnx::{
    BatchNorm, Cut, CutError, INPUT_NAME, ModelFacts, NetworkFacts, Parts,
};

use super::rounding::{smallest_normal, unit_roundoff};

/// The network's image, where the file computes it from bytes.
const SCALED_IMAGE: &str = "image/scaled";

/// One value of the network that the file computes.
#[derive(Debug, Clone)]
pub(super) struct Layer {
    /// The node.
    pub(super) node: NodeId,
    /// The value's name.
    pub(super) value: String,
    /// The block it belongs to: what stands before the first `/` of its name.
    pub(super) block: String,
    /// The operators that compute it; empty where the file does not.
    pub(super) operators: Vec<String>,
    /// The values it is computed from.
    pub(super) inputs: Vec<String>,
    /// The unit roundoff, as a multiple of float32's, of the values it is given,
    pub(super) given: f64,
    /// of what these are rounded to before anything is computed, 0 where they are not,
    pub(super) rounded: f64,
    /// of its stored weights beside the reference's,
    pub(super) weights: f64,
    /// and of its value.
    pub(super) values: f64,
    /// Whether its weights are stored as int8, each filter with its scale.
    pub(super) int8: bool,
    /// The smallest normal number of these types, see [`smallest_normal`].
    pub(super) smallest: f64,
}

/// The file's layers, in the network's order, and where to find them.
pub(super) struct Layers {
    pub(super) parts: Parts,
    pub(super) all: Vec<Layer>,
    /// The nodes whose values the file has, by the values' names.
    pub(super) by_value: HashMap<String, NodeId>,
    /// The same nodes.
    with_values: HashSet<NodeId>,
    /// Whether the file computes the network's image from bytes.
    pub(super) takes_bytes: bool,
}

impl Layers {
    /// The layers that the file's heads need. A stage or a head that the file does not compute is a layer without
    /// operators.
    ///
    /// # Errors
    /// [`CutError`] for a graph that is not whole.
    pub(super) fn plan(
        net: &Net,
        parts: Parts,
        facts: &ModelFacts,
        network: &NetworkFacts,
    ) -> Result<Self, CutError> {
        let takes_bytes = facts.takes_bytes();
        let heads: Vec<NodeId> = network
            .outputs
            .iter()
            .filter_map(|output| net.id(output.name()))
            .collect();
        let needed = net.needed(&heads);
        let image = if takes_bytes {
            SCALED_IMAGE
        } else {
            INPUT_NAME
        };
        let mut by_value = HashMap::new();
        let mut wanted = vec![];
        for (index, node) in net.nodes().iter().enumerate() {
            let Some(id) = net.id(&node.name).filter(|_| needed[index]) else {
                continue;
            };
            let name = if index == 0 { image } else { &node.name };
            let computed = parts.producer(name).is_some();
            let must = heads.contains(&id) || net.stages().iter().any(|stage| stage.output == id);
            if computed || name == INPUT_NAME {
                by_value.insert(name.to_string(), id);
            }
            // A stage may end in a node that does nothing at inference, dropout: its value is its input's.
            let moves = matches!(node.op, incept_exporters::net::Op::Dropout { .. });
            if computed || (must && index > 0 && !moves) {
                wanted.push((id, name.to_string()));
            }
        }
        let folded = network.batch_norm == BatchNorm::Folded;
        let mut layers = Self {
            parts,
            all: vec![],
            with_values: by_value.values().copied().collect(),
            by_value,
            takes_bytes,
        };
        for (id, value) in wanted {
            let layer = layers.layer(net, id, value, folded)?;
            layers.all.push(layer);
        }
        Ok(layers)
    }

    fn layer(
        &self,
        net: &Net,
        node: NodeId,
        value: String,
        folded: bool,
    ) -> Result<Layer, CutError> {
        let block = net.at(node).block().to_string();
        if self.parts.producer(&value).is_none() {
            return Ok(Layer {
                node,
                value,
                block,
                operators: vec![],
                inputs: vec![],
                given: 1.0,
                rounded: 0.0,
                weights: 1.0,
                values: 1.0,
                int8: false,
                smallest: 0.0,
            });
        }
        let cut = self.cut(&value, |_| None)?;
        let nodes: Vec<_> = cut
            .nodes
            .iter()
            .map(|&index| &self.parts.nodes()[index])
            .collect();
        let unit = |name: &String| unit_roundoff(self.parts.element_type(name));
        let largest = |units: &mut dyn Iterator<Item = f64>| units.fold(0.0, f64::max);
        let computed = || nodes.iter().flat_map(|node| &node.outputs);
        let read = nodes.iter().flat_map(|node| &node.inputs).chain(computed());
        let smallest = read.map(|name| smallest_normal(self.parts.element_type(name)));
        let stored = nodes.iter().flat_map(|node| &node.inputs);
        let stored = stored.filter(|name| self.parts.is_stored(name));
        let int8 = stored
            .clone()
            .any(|name| self.parts.element_type(name) == INT8);
        let weights = match largest(&mut stored.map(unit)) {
            // float32 weights are the reference's, where nothing was folded into them.
            units if units <= 1.0 => f64::from(u8::from(folded)),
            units => units,
        };
        let inputs: Vec<String> = cut.inputs.iter().map(|input| input.name.clone()).collect();
        // A layer may begin with rounding what it is given.
        let casts = nodes.iter().filter(|node| node.operator == "Cast");
        let casts = casts.flat_map(|node| node.inputs.iter().zip(&node.outputs));
        let rounded = casts
            .filter(|(from, to)| inputs.contains(from) && unit(to) > unit(from))
            .map(|(_, to)| unit(to));
        let rounded = largest(&mut rounded.into_iter());
        Ok(Layer {
            node,
            block,
            operators: nodes.iter().map(|node| node.operator.clone()).collect(),
            given: largest(&mut inputs.iter().map(unit)).max(1.0),
            rounded,
            weights,
            values: largest(&mut computed().map(unit)).max(1.0),
            int8,
            smallest: largest(&mut smallest.into_iter()),
            value,
            inputs,
        })
    }

    /// Whether the file has a value of this node.
    pub(super) fn has_value_of(&self, node: &NodeId) -> bool {
        self.with_values.contains(node)
    }

    /// The part of the graph that computes a layer's value from those of other layers, or the file's input.
    ///
    /// # Errors
    /// [`CutError`] for a graph that is not whole.
    pub(super) fn cut(
        &self,
        value: &str,
        shape: impl Fn(&str) -> Option<Vec<usize>>,
    ) -> Result<Cut, CutError> {
        self.parts
            .cut(&[value], |name| self.by_value.contains_key(name), shape)
    }

    /// The unit roundoff of the image as the file takes it: 0 for float32, which is what it is given in.
    pub(super) fn unit_of_image(&self) -> f64 {
        match self.parts.element_type(INPUT_NAME) {
            FLOAT => 0.0,
            other => unit_roundoff(other),
        }
    }
}

#[cfg(test)]
mod tests;
