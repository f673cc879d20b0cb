//! Which nodes are one box, and which boxes are one block.

use crate::net::{Net, NodeId, Op, Stage};

use super::diagram::Diagram;

/// A network cut into groups of nodes, each one box: a convolution with the batch normalisation and the ReLU that alone
/// read it, any other node by itself.
pub(super) struct Cut<'a> {
    net: &'a Net,
    groups: Vec<Vec<NodeId>>,
    /// For each group, the stage it belongs to.
    stage_of: Vec<Option<usize>>,
}

/// A part of the overall figure: a stage, or a group in none.
pub(super) struct Unit {
    pub(super) stage: Option<usize>,
    pub(super) groups: Vec<usize>,
}

/// The repetitions of a stage that have the same layers.
pub(super) struct Block {
    /// Which ones, from 0.
    pub(super) repetitions: Vec<usize>,
    pub(super) diagram: Diagram,
}

impl<'a> Cut<'a> {
    pub(super) fn new(net: &'a Net) -> Self {
        let mut stage_of_node = vec![None; net.nodes().len()];
        for (index, stage) in net.stages().iter().enumerate() {
            for stage_of in &mut stage_of_node[range(stage)] {
                stage_of.get_or_insert(index);
            }
        }
        let mut groups: Vec<Vec<NodeId>> = vec![];
        let mut done = vec![false; net.nodes().len()];
        let readers = readers(net);
        for index in 0..net.nodes().len() {
            if done[index] {
                continue;
            }
            let mut group = vec![index];
            if let Some([norm, relu]) = normalised(net, &readers, index)
                && [norm, relu].map(|node| stage_of_node[node]) == [stage_of_node[index]; 2]
            {
                group.extend([norm, relu]);
            }
            for &node in &group {
                done[node] = true;
            }
            groups.push(group.into_iter().map(NodeId).collect());
        }
        let stage_of = groups
            .iter()
            .map(|group| stage_of_node[group[0].index()])
            .collect();
        Self {
            net,
            groups,
            stage_of,
        }
    }

    pub(super) fn net(&self) -> &'a Net {
        self.net
    }

    /// The nodes of a group, in order.
    pub(super) fn nodes(&self, group: usize) -> &[NodeId] {
        &self.groups[group]
    }

    /// Stages and what stands between them, in order.
    pub(super) fn units(&self) -> Vec<Unit> {
        let mut units: Vec<Unit> = vec![];
        for (group, &stage) in self.stage_of.iter().enumerate() {
            let known = units
                .iter_mut()
                .find(|unit| stage.is_some() && unit.stage == stage);
            match known {
                Some(unit) => unit.groups.push(group),
                None => units.push(Unit {
                    stage,
                    groups: vec![group],
                }),
            }
        }
        units
    }

    /// The blocks of a stage: its repetitions, those with the same layers together.
    pub(super) fn blocks(&self, stage: &Stage) -> Vec<Block> {
        let range = range(stage);
        let groups: Vec<usize> = (0..self.groups.len())
            .filter(|&group| range.contains(&self.groups[group][0].index()))
            .collect();
        // `inception_a.3/branch_0/...`: what stands before the first slash is the repetition.
        let repetition = |&group: &usize| {
            let name = &self.net.at(self.groups[group][0]).name;
            name.split_once('/')
                .map_or(name.as_str(), |(start, _)| start)
        };
        let mut runs: Vec<&[usize]> = groups
            .chunk_by(|a, b| repetition(a) == repetition(b))
            .collect();
        // The parts of a stem are counted as repetitions are, but are one block.
        if runs.len() != stage.repeat {
            runs = vec![&groups];
        }
        let mut blocks: Vec<Block> = vec![];
        for (index, run) in runs.into_iter().enumerate() {
            let diagram = Diagram::of_layers(self, run);
            let known = blocks
                .iter_mut()
                .find(|block| block.diagram.same_layers(&diagram));
            match known {
                Some(block) => {
                    block.repetitions.push(index);
                    block.diagram.absorb(diagram);
                }
                None => blocks.push(Block {
                    repetitions: vec![index],
                    diagram,
                }),
            }
        }
        blocks
    }
}

fn range(stage: &Stage) -> std::ops::Range<usize> {
    stage.first.index()..(stage.output.index() + 1).max(stage.first.index())
}

/// For each node, the nodes that read it.
fn readers(net: &Net) -> Vec<Vec<usize>> {
    let mut readers = vec![vec![]; net.nodes().len()];
    for (index, node) in net.nodes().iter().enumerate() {
        for input in &node.inputs {
            readers[input.index()].push(index);
        }
    }
    readers
}

/// The batch normalisation and the ReLU after a convolution, where nothing else reads what they read.
fn normalised(net: &Net, readers: &[Vec<usize>], convolution: usize) -> Option<[usize; 2]> {
    let only_reader = |index: usize| match readers[index][..] {
        [reader] => Some((reader, net.nodes()[reader].op)),
        _ => None,
    };
    if !matches!(net.nodes()[convolution].op, Op::Convolution { .. }) {
        return None;
    }
    let (norm, op) = only_reader(convolution)?;
    if !matches!(op, Op::BatchNorm { .. }) {
        return None;
    }
    let (relu, op) = only_reader(norm)?;
    (op == Op::Relu).then_some([norm, relu])
}
