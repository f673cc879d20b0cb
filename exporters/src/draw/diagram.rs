//! What a figure shows: boxes and the arrows between them, still without a place.

use crate::net::{Net, NodeId, Op};

use super::cut::Cut;
use super::label;
use super::layers::{Align, rows};

/// What a box stands for, and so how it is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A value made outside the figure.
    Given,
    /// One layer, or a convolution with the batch normalisation and ReLU after it.
    Layer,
    /// The sum of trunk and residual.
    Sum,
    /// A stage, drawn in a figure of its own.
    Stage,
}

/// A box.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Element {
    pub(super) kind: Kind,
    pub(super) label: String,
    /// What is written to the right of it: the size of its output, or the factor on a sum's residual.
    pub(super) beside: Option<String>,
    /// The nodes it stands for, those of all equal repetitions together; none where another figure shows them.
    pub(super) nodes: Vec<NodeId>,
}

/// How an arrow runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LinkKind {
    /// Up the middle.
    Main,
    /// From the trunk around a residual's layers to the sum.
    Shortcut,
    /// Into a branch that never comes back: an auxiliary head.
    Side,
}

/// An arrow between two boxes; `from` always comes before `to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) kind: LinkKind,
}

/// Boxes in an order in which they can be computed, and arrows in the order of their targets' inputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Diagram {
    pub(super) elements: Vec<Element>,
    pub(super) links: Vec<Link>,
    pub(super) align: Align,
}

impl Diagram {
    /// A run of nodes, layer by layer, above what it is given from outside.
    pub(super) fn of_layers(cut: &Cut, groups: &[usize]) -> Self {
        let net = cut.net();
        let mut place = vec![None; net.nodes().len()];
        let inside = |place: &[Option<usize>], id: NodeId| place[id.index()].is_some();
        for &group in groups {
            for id in cut.nodes(group) {
                place[id.index()] = Some(group);
            }
        }
        let mut given: Vec<NodeId> = vec![];
        for id in groups.iter().flat_map(|&group| cut.nodes(group)) {
            for &input in &net.at(*id).inputs {
                if !inside(&place, input) && !given.contains(&input) {
                    given.push(input);
                }
            }
        }
        let mut elements: Vec<Element> = given
            .iter()
            .map(|&id| Element {
                kind: Kind::Given,
                label: "Input".into(),
                beside: Some(label::size(net.at(id).shape)),
                nodes: vec![],
            })
            .collect();
        for (index, id) in given.iter().enumerate() {
            place[id.index()] = Some(index);
        }
        for &group in groups {
            for id in cut.nodes(group) {
                place[id.index()] = Some(elements.len());
            }
            elements.push(layer(net, cut.nodes(group)));
        }
        let links = links(net, &place, given.len());
        let mut diagram = Self::new(elements, links, Align::Top);
        diagram.keep_sizes_of_the_trunk();
        diagram
    }

    /// The whole network, stage by stage. A stage of one layer is that layer's box.
    pub(super) fn of_stages(cut: &Cut) -> Self {
        let net = cut.net();
        let mut place = vec![None; net.nodes().len()];
        let mut elements = vec![];
        for unit in cut.units() {
            for &id in unit.groups.iter().flat_map(|&group| cut.nodes(group)) {
                place[id.index()] = Some(elements.len());
            }
            let element = match (unit.stage, unit.groups.as_slice()) {
                (Some(stage), [_, _, ..]) => {
                    let stage = &net.stages()[stage];
                    let title = label::title(&stage.name);
                    Element {
                        kind: Kind::Stage,
                        label: match stage.repeat {
                            0 | 1 => title,
                            repeat => format!("{repeat} x {title}"),
                        },
                        beside: Some(format!(
                            "Output: {}",
                            label::size(net.at(stage.output).shape)
                        )),
                        nodes: vec![],
                    }
                }
                (_, groups) => {
                    let nodes: Vec<NodeId> = groups
                        .iter()
                        .flat_map(|&group| cut.nodes(group))
                        .copied()
                        .collect();
                    let mut element = layer(net, &nodes);
                    if nodes.iter().all(|&id| net.at(id).op != Op::Input) {
                        element.beside = element.beside.map(|size| format!("Output: {size}"));
                    }
                    element
                }
            };
            elements.push(element);
        }
        let mut links = links(net, &place, 0);
        for link in &mut links {
            link.kind = LinkKind::Main;
        }
        let mut different: Vec<Link> = vec![];
        for link in links {
            if !different.contains(&link) {
                different.push(link);
            }
        }
        Self::new(elements, different, Align::Bottom)
    }

    fn new(elements: Vec<Element>, links: Vec<Link>, align: Align) -> Self {
        let mut diagram = Self {
            elements,
            links,
            align,
        };
        diagram.mark_side_branches();
        diagram
    }

    /// Whether both show the same layers; what they are given may differ in its number of channels.
    pub(super) fn same_layers(&self, other: &Self) -> bool {
        let alike = |a: &Element, b: &Element| {
            (a.kind, &a.label) == (b.kind, &b.label)
                && (a.kind == Kind::Given || a.beside == b.beside)
        };
        self.links == other.links
            && self.elements.len() == other.elements.len()
            && (self.elements.iter().zip(&other.elements)).all(|(a, b)| alike(a, b))
    }

    /// Lets this diagram stand for `other` too, whose layers are the same.
    pub(super) fn absorb(&mut self, other: Self) {
        for (element, other) in self.elements.iter_mut().zip(other.elements) {
            element.nodes.extend(other.nodes);
            if let (Some(size), Some(another)) = (&mut element.beside, other.beside)
                && size.split(", then ").all(|known| known != another)
            {
                *size += &format!(", then {another}");
            }
        }
    }

    /// The box the figure leads up to: at the end of the longest way, the later one of equals.
    pub(super) fn main_end(&self) -> Option<usize> {
        let heights = rows(self.elements.len(), &self.links, Align::Bottom);
        let mut end = vec![true; self.elements.len()];
        for link in &self.links {
            end[link.from] = false;
        }
        (0..self.elements.len())
            .filter(|&element| end[element])
            .max_by_key(|&element| (heights[element], element))
    }

    fn mark_side_branches(&mut self) {
        let mut leads_to_end = vec![false; self.elements.len()];
        if let Some(end) = self.main_end() {
            leads_to_end[end] = true;
        }
        for element in (0..self.elements.len()).rev() {
            let links = self.links.iter();
            leads_to_end[element] |= links
                .filter(|link| link.from == element)
                .any(|link| leads_to_end[link.to]);
        }
        for link in &mut self.links {
            if leads_to_end[link.from] && !leads_to_end[link.to] {
                link.kind = LinkKind::Side;
            }
        }
    }

    /// Sizes stand beside the boxes every way up leads through.
    fn keep_sizes_of_the_trunk(&mut self) {
        let row_of = rows(self.elements.len(), &self.links, self.align);
        for (index, element) in self.elements.iter_mut().enumerate() {
            let row = row_of[index];
            let others = row_of.iter().filter(|&&other| other == row).count() > 1;
            let passed = (self.links.iter())
                .filter(|link| link.kind == LinkKind::Main)
                .any(|link| row_of[link.from] < row && row < row_of[link.to]);
            if element.kind != Kind::Sum && (others || passed) {
                element.beside = None;
            }
        }
    }
}

/// The box of some nodes that are drawn as one: the first gives its text, the last its size.
fn layer(net: &Net, nodes: &[NodeId]) -> Element {
    let (first, last) = (net.at(nodes[0]), net.at(nodes[nodes.len() - 1]));
    let (kind, beside) = match first.op {
        Op::ScaledAdd { scale } => (Kind::Sum, format!("residual x {scale}")),
        _ => (Kind::Layer, label::size(last.shape)),
    };
    Element {
        kind,
        label: label::layer(&first.op, first.shape, nodes.len() > 1),
        beside: Some(beside),
        nodes: nodes.to_vec(),
    }
}

/// The arrows between boxes, given each node's box; the first `given` boxes have none leading to them.
fn links(net: &Net, place: &[Option<usize>], given: usize) -> Vec<Link> {
    let mut links = vec![];
    for (node, &to) in net.nodes().iter().zip(place) {
        for (position, input) in node.inputs.iter().enumerate() {
            let (Some(from), Some(to)) = (place[input.index()], to) else {
                continue;
            };
            // Within a box there is nothing to draw; boxes stand in an order in which they can be computed.
            if from >= to || to < given {
                continue;
            }
            let trunk = matches!(node.op, Op::ScaledAdd { .. }) && position == 0;
            let kind = if trunk {
                LinkKind::Shortcut
            } else {
                LinkKind::Main
            };
            links.push(Link { from, to, kind });
        }
    }
    links
}
