//! Keras's layers in HDF5 files: most are numbered, and by two counts.
//!
//! Old files (`.h5`) name a layer as the model does: `conv2d_93/kernel:0`, numbered in the order in which the program
//! made its layers, from whatever it had made before; only the order of the numbers says which is which. New files
//! (`.weights.h5`) have `layers/conv2d_93/vars/0`: every layer of a class is numbered from none, in the order of
//! `model.layers`. That is by distance to the output, then by a walk from the output backwards, and is walked here
//! from the [`Net`] in the same way. Where a new file also tells the model's own name of each layer, its reader names
//! the tensors so (`conv2d_93/0`): numbered as in old files, their variables without names as in new ones.

use std::collections::{BTreeMap, BTreeSet};

use super::Binding;
use super::style::KERAS;
use crate::net::{Net, Node, NodeId, Op, ParameterKind};
use crate::weights::Tensor;

/// Whether Keras has this network.
pub(super) fn has(network: &str, variant: &str) -> bool {
    matches!(
        (network, variant),
        ("inception_v3", _) | ("inception_resnet_v2", "published")
    )
}

/// Whether a name ends as those of Keras's files do.
pub(super) fn may_have_written(name: &str) -> bool {
    let plain = name.split(':').next().unwrap_or(name);
    plain.ends_with("/kernel")
        || name.contains("/vars/")
        || name.rsplit('/').next().is_some_and(is_index)
}

/// Whether a variable has a number and no name.
fn is_index(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit())
}

/// Why a tensor that no layer takes may be left out, if it may.
pub(super) fn ignored(name: &str) -> Option<&'static str> {
    let mut parts = name.split('/');
    parts.find_map(|part| match part {
        "optimizer_weights" | "optimizer" | "_optimizer" => Some("a state of the optimizer"),
        "seed_generator" => Some("the state of dropout's random numbers"),
        "metrics" | "compile_metrics" | "_compile_metrics" => Some("a metric of the training"),
        _ => None,
    })
}

/// Binds each tensor of `net` to a name in the file.
pub(super) fn bind(net: &Net, tensors: &BTreeMap<String, Tensor>) -> Option<Vec<Binding>> {
    if !has(net.name(), net.variant()) {
        return None;
    }
    let file = File::new(tensors);
    let names = if file.counted_by_class {
        names_by_class(net)
    } else {
        names_by_creation(net, &file)
    };
    let mut bindings = vec![];
    for node in net.nodes() {
        for parameter in net.parameters_of(node) {
            let kind = parameter.kind;
            let layer = match node.op {
                Op::Linear { .. } if node.name == "logits" => Some(file.classifier()),
                _ => names.get(node.name.as_str()).cloned(),
            };
            bindings.push(Binding {
                parameter,
                sources: layer.map_or(vec![], |layer| file.sources(&layer, kind)),
                layout: KERAS.layout(kind),
                default: KERAS.default(kind),
            });
        }
    }
    Some(bindings)
}

/// The file's names, taken apart.
struct File<'a> {
    /// For each layer its parts, and what the file calls them.
    layers: BTreeMap<&'a str, BTreeMap<&'a str, &'a str>>,
    counted_by_class: bool,
    /// Whether variables have numbers and no names.
    indexed: bool,
    /// Layers with a weight of two dimensions.
    linear: Vec<&'a str>,
}

impl<'a> File<'a> {
    fn new(tensors: &'a BTreeMap<String, Tensor>) -> Self {
        let mut file = Self {
            layers: BTreeMap::new(),
            counted_by_class: false,
            indexed: false,
            linear: vec![],
        };
        for (name, tensor) in tensors {
            if ignored(name).is_some() {
                continue;
            }
            let mut parts = name.rsplit('/');
            let (Some(mut part), Some(mut layer)) = (parts.next(), parts.next()) else {
                continue;
            };
            if layer == "vars" {
                let Some(before) = parts.next() else { continue };
                layer = before;
                file.counted_by_class = true;
            } else {
                part = part.split(':').next().unwrap_or(part);
            }
            file.indexed |= is_index(part);
            if tensor.shape().len() == 2 {
                file.linear.push(layer);
            }
            file.layers.entry(layer).or_default().insert(part, name);
        }
        file
    }

    /// What the file calls a part of a layer, or would.
    fn sources(&self, layer: &str, kind: ParameterKind) -> Vec<String> {
        let parts = self.layers.get(layer);
        let part = if self.indexed {
            // Without factor there is one variable less.
            let gamma = parts.is_some_and(|parts| parts.len() == 4);
            match kind {
                ParameterKind::Gamma if !gamma => return vec![],
                ParameterKind::ConvolutionWeight
                | ParameterKind::LinearWeight
                | ParameterKind::Gamma => "0",
                ParameterKind::ConvolutionBias | ParameterKind::LinearBias => "1",
                ParameterKind::Beta if gamma => "1",
                ParameterKind::RunningMean if gamma => "2",
                ParameterKind::RunningVariance if gamma => "3",
                ParameterKind::Beta => "0",
                ParameterKind::RunningMean => "1",
                ParameterKind::RunningVariance => "2",
            }
        } else {
            KERAS.bare_part(kind)
        };
        let found = parts.and_then(|parts| parts.get(part));
        // Where it is not there, it would be beside the layer's other parts.
        let beside = || {
            let (other, name) = parts?.first_key_value()?;
            let (folder, last) = name.rsplit_once('/')?;
            Some(format!("{folder}/{}", last.replacen(other, part, 1)))
        };
        let vars = if self.counted_by_class { "vars/" } else { "" };
        vec![match found {
            Some(name) => (*name).into(),
            None => beside().unwrap_or_else(|| format!("{layer}/{vars}{part}")),
        }]
    }

    /// The classifier may have been replaced by one of another name.
    fn classifier(&self) -> String {
        let usual = if self.counted_by_class {
            "dense"
        } else {
            "predictions"
        };
        match self.linear[..] {
            [only] => only.into(),
            _ => usual.into(),
        }
    }

    /// The file's layer of this class and place. If not as many are there as `expected`, some are missing, and the
    /// numbers from the first on tell which.
    fn numbered(&self, class: &str, place: usize, expected: usize) -> String {
        let numbers: BTreeSet<usize> = self
            .layers
            .keys()
            .filter_map(|layer| number(layer, class))
            .collect();
        let number = match numbers.iter().nth(place) {
            Some(&number) if numbers.len() == expected => number,
            _ => numbers.first().unwrap_or(&0).saturating_add(place),
        };
        name(class, number)
    }
}

/// The number of a layer of this class: none is 0.
fn number(layer: &str, class: &str) -> Option<usize> {
    match layer.strip_prefix(class)? {
        "" => Some(0),
        rest => rest.strip_prefix('_')?.parse().ok(),
    }
}

fn name(class: &str, number: usize) -> String {
    match number {
        0 => class.into(),
        _ => format!("{class}_{number}"),
    }
}

fn class(op: Op) -> Option<&'static str> {
    match op {
        Op::Convolution { .. } => Some("conv2d"),
        Op::BatchNorm { .. } => Some("batch_normalization"),
        _ => None,
    }
}

/// Numbers in the order of `model.layers`; every layer of a class counts.
fn names_by_class(net: &Net) -> BTreeMap<&str, String> {
    let mut counts = BTreeMap::new();
    let mut names = BTreeMap::new();
    for node in in_order_of_layers(net) {
        if let Some(class) = class(node.op) {
            let count = counts.entry(class).or_insert(0);
            names.insert(node.name.as_str(), name(class, *count));
            *count += 1;
        }
    }
    names
}

/// Numbers in the order of creation, which is ours; some layers have names of their own.
fn names_by_creation<'a>(net: &'a Net, file: &File) -> BTreeMap<&'a str, String> {
    let numbered = |wanted: &str| -> Vec<&'a Node> {
        let nodes = net.nodes().iter();
        nodes
            .filter(|node| {
                class(node.op) == Some(wanted)
                    && own_name(node).is_none()
                    && !node.name.starts_with("auxiliary")
            })
            .collect()
    };
    let mut names: BTreeMap<&str, String> = net
        .nodes()
        .iter()
        .filter_map(|node| Some((node.name.as_str(), own_name(node)?)))
        .collect();
    for class in ["conv2d", "batch_normalization"] {
        let nodes = numbered(class);
        for (place, node) in nodes.iter().enumerate() {
            let name = file.numbered(class, place, nodes.len());
            names.insert(&node.name, name);
        }
    }
    names
}

/// The name Keras's program gives a layer of Inception-ResNet-v2 itself.
fn own_name(node: &Node) -> Option<String> {
    let (block, layer) = node.name.split_once('/')?;
    let (stage, index) = match block.split_once('.') {
        Some((stage, index)) => (stage, index.parse().ok()?),
        None => (block, 0_usize),
    };
    match (stage, node.op) {
        ("conv_7b", Op::Convolution { .. }) => return Some("conv_7b".into()),
        ("conv_7b", Op::BatchNorm { .. }) => return Some("conv_7b_bn".into()),
        (_, Op::Convolution { bias: true, .. }) if layer == "linear_1x1" => {}
        _ => return None,
    }
    let (kind, number) = match stage {
        "inception_resnet_a" => ("block35", index + 1),
        "inception_resnet_b" => ("block17", index + 1),
        "inception_resnet_c" => ("block8", index + 1),
        "last_inception_resnet_c" => ("block8", 10),
        _ => return None,
    };
    Some(format!("{kind}_{number}_conv"))
}

/// The nodes that the probabilities need, as Keras sorts its layers: the farthest from the output first, and among
/// those as far in the order in which a walk from the output, depth first, meets them.
fn in_order_of_layers(net: &Net) -> Vec<&Node> {
    let nodes = net.nodes();
    let Some(output) = net.id("probabilities").map(|id| id.index()) else {
        return vec![];
    };
    let mut met = vec![None; nodes.len()];
    let mut count = 0_usize;
    let mut waiting = vec![output];
    while let Some(index) = waiting.pop() {
        if met[index].is_none() {
            met[index] = Some(count);
            count += 1;
            waiting.extend(nodes[index].inputs.iter().rev().map(|id| id.index()));
        }
    }
    let mut depth = vec![0_usize; nodes.len()];
    for index in (0..nodes.len()).rev().filter(|&index| met[index].is_some()) {
        let node = &nodes[index];
        for input in &node.inputs {
            let further =
                depth[index] + 1 + usize::from(is_forked(net, node, &nodes[input.index()]));
            depth[input.index()] = depth[input.index()].max(further);
        }
    }
    let mut order: Vec<usize> = (0..nodes.len())
        .filter(|&index| met[index].is_some())
        .collect();
    order.sort_by_key(|&index| (std::cmp::Reverse(depth[index]), met[index]));
    order.into_iter().map(|index| &nodes[index]).collect()
}

/// Whether an input of a concatenation is one of two from the same branch: Keras joins these two first.
fn is_forked(net: &Net, node: &Node, input: &Node) -> bool {
    let branch = branch_of(&input.name);
    let same = |id: &&NodeId| branch_of(&net.at(**id).name) == branch;
    node.op == Op::Concatenate && node.inputs.iter().filter(same).count() > 1
}

/// `inception_c.0/branch_1` of `inception_c.0/branch_1/conv_1x3/relu`.
fn branch_of(name: &str) -> &str {
    let second = name.match_indices('/').nth(1);
    second.map_or(name, |(end, _)| &name[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_from_names() {
        assert_eq!(number("conv2d", "conv2d"), Some(0));
        assert_eq!(number("conv2d_17", "conv2d"), Some(17));
        assert_eq!(number("conv2d_transpose", "conv2d"), None);
        assert_eq!(number("conv2d_99999999999999999999", "conv2d"), None);
    }
}
