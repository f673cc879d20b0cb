//! The reference of every layer, computed in float64 ahead of the runtimes that are compared with it.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::mpsc::SyncSender;

use incept_exporters::net::{Net, NodeId, Op};
use ndarray::{ArrayD, Axis};

use super::ParityError;
use super::feed::Feed;
use super::layers::{Layer, Layers};
use crate::torch::{Oracle, Rounding, Traced, TracedInput};

/// The unit roundoff that computing an image from its bytes amounts to: a conversion, a quotient, a difference.
const SCALING: f64 = 4.0;

/// What computes the reference.
pub(super) struct Truth<'a> {
    pub(super) net: &'a Net,
    pub(super) oracle: &'a mut Oracle,
    pub(super) layers: &'a Layers,
    /// The last node that reads each node's value.
    pub(super) last_use: &'a [Option<usize>],
}

/// A node's value, for each group of images.
pub(super) struct Known {
    pub(super) node: NodeId,
    /// Which layer of the file it is; none for the image that the file takes.
    pub(super) place: Option<usize>,
    pub(super) values: Vec<Values>,
}

/// One group's: the reference, and the standard deviations that rounding gives it.
pub(super) struct Values {
    pub(super) reference: ArrayD<f64>,
    pub(super) isolated: ArrayD<f32>,
    pub(super) accumulated: ArrayD<f32>,
}

impl Truth<'_> {
    /// Computes node after node for all groups and sends what the file has a value of,
    /// or why it cannot. Ends early where nobody listens any more.
    pub(super) fn compute(
        &self,
        feed: &Feed,
        groups: &[Range<usize>],
        sender: &SyncSender<Result<Known, ParityError>>,
    ) {
        let mut traced: Vec<HashMap<NodeId, Traced>> =
            groups.iter().map(|_| HashMap::new()).collect();
        let roundings = self.roundings();
        let mut layers = self.layers.all.iter().enumerate().peekable();
        for (index, node) in self.net.nodes().iter().enumerate() {
            let id = self
                .net
                .id(&node.name)
                .filter(|_| self.last_use[index].is_some());
            let Some(id) = id else { continue };
            let layer = layers.next_if(|(_, layer)| layer.node == id);
            let told = layer.is_some() || index == 0;
            let known = self.node(feed, groups, &mut traced, (id, told), &roundings[index]);
            let done = |id: &NodeId| self.last_use[id.index()].is_some_and(|last| last <= index);
            traced
                .iter_mut()
                .for_each(|traced| traced.retain(|id, _| !done(id)));
            let failed = known.is_err();
            let known = known.map(|values| Known {
                node: id,
                place: layer.map(|(place, _)| place),
                values,
            });
            // What the file has no value of is nobody's but this thread's.
            if !told && !failed {
                continue;
            }
            if sender.send(known).is_err() || failed {
                return;
            }
        }
    }

    /// How each node is computed: as the layer of the file that it is, or is a part of and then not stored.
    fn roundings(&self) -> Vec<Rounding> {
        let nodes = self.net.nodes();
        let mut roundings = vec![Rounding::FLOAT32; nodes.len()];
        for layer in &self.layers.all {
            let rounding = rounding_of(layer);
            roundings[layer.node.index()] = rounding;
            let mut inside: Vec<NodeId> = self.net.at(layer.node).inputs.clone();
            while let Some(id) = inside.pop() {
                if id.index() == 0 || self.layers.has_value_of(&id) {
                    continue;
                }
                roundings[id.index()] = Rounding {
                    values: 0.0,
                    ..rounding
                };
                inside.extend(&self.net.at(id).inputs);
            }
        }
        roundings
    }

    fn node(
        &self,
        feed: &Feed,
        groups: &[Range<usize>],
        traced: &mut [HashMap<NodeId, Traced>],
        (id, told): (NodeId, bool),
        rounding: &Rounding,
    ) -> Result<Vec<Values>, ParityError> {
        let mut values = vec![];
        for (group, traced) in groups.iter().zip(traced) {
            let value = self.trace(feed, group.clone(), traced, id, rounding)?;
            if told {
                values.push(Values {
                    reference: value.value()?,
                    isolated: value.isolated()?,
                    accumulated: value.accumulated()?,
                });
            }
            traced.insert(id, value);
        }
        Ok(values)
    }

    fn trace(
        &self,
        feed: &Feed,
        group: Range<usize>,
        traced: &HashMap<NodeId, Traced>,
        id: NodeId,
        rounding: &Rounding,
    ) -> Result<Traced, ParityError> {
        let node = self.net.at(id);
        if node.op == Op::Input {
            let (values, offset) = match self.layers.takes_bytes {
                true => (SCALING, 1.0),
                false => (self.layers.unit_of_image(), 0.0),
            };
            let rounding = Rounding {
                values,
                ..*rounding
            };
            let image = feed.scaled.slice_axis(Axis(0), group.into());
            return Ok(self.oracle.image(image, &rounding, offset)?);
        }
        let inputs = node.inputs.iter().filter_map(|input| {
            Some(TracedInput {
                traced: traced.get(input)?,
                given: self.layers.has_value_of(input),
            })
        });
        let inputs: Vec<TracedInput<'_>> = inputs.collect();
        Ok(self.oracle.step(id, &inputs, rounding)?)
    }
}

fn rounding_of(layer: &Layer) -> Rounding {
    Rounding {
        given: layer.given,
        rounded: layer.rounded,
        weights: layer.weights,
        sums: 1.0,
        values: layer.values,
        smallest: layer.smallest,
        int8: layer.int8,
    }
}
