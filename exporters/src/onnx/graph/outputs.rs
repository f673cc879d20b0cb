//! Which of a network's values a file puts out.

use glob::{MatchOptions, Pattern};

use super::super::{ExportError, ExportOptions, Output};
use super::folds_into;
use crate::net::{Net, Node, NodeId, Op};
use crate::text::nearest;

/// A `*` stands for anything, `/` and a leading dot included: names are no paths.
const EVERYTHING: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: false,
    require_literal_leading_dot: false,
};

/// The nodes whose values are put out: the heads in the order asked for, then the further layers in the network's
/// order, each value once.
pub(super) fn select(net: &Net, options: &ExportOptions) -> Result<Vec<NodeId>, ExportError> {
    let mut selected = vec![];
    for &output in &options.outputs {
        let id = net
            .id(output.name())
            .ok_or_else(|| missing_head(net, output))?;
        if selected.contains(&id) {
            return Err(ExportError::OutputTwice { output });
        }
        selected.push(id);
    }
    let mut layers = vec![false; net.nodes().len()];
    for pattern in &options.layers {
        for id in matching(net, options, pattern)? {
            layers[id.index()] = !selected.contains(&id);
        }
    }
    let ids = net.nodes().iter().filter_map(|node| net.id(&node.name));
    selected.extend(ids.filter(|id| layers[id.index()]));
    if selected.is_empty() {
        return Err(ExportError::NoOutput);
    }
    Ok(selected)
}

fn missing_head(net: &Net, found: Output) -> ExportError {
    let has = Output::ALL
        .into_iter()
        .filter(|output| net.id(output.name()).is_some());
    ExportError::MissingHead {
        network: format!("{} ({})", net.name(), net.variant()),
        found,
        has: has.map(Output::name).collect::<Vec<_>>().join(", "),
    }
}

/// The nodes whose names match and whose values the file has.
fn matching(net: &Net, options: &ExportOptions, text: &str) -> Result<Vec<NodeId>, ExportError> {
    let pattern = Pattern::new(text).map_err(|error| ExportError::Pattern {
        pattern: text.into(),
        reason: error.msg.into(),
    })?;
    let named: Vec<NodeId> = net
        .nodes()
        .iter()
        .filter(|node| pattern.matches_with(&node.name, EVERYTHING))
        .filter_map(|node| net.id(&node.name))
        .collect();
    let found: Vec<NodeId> = named
        .iter()
        .filter(|id| stands_for(net, options, **id).is_none())
        .copied()
        .collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let pattern = text.to_string();
    Err(match named.first() {
        Some(&first) => ExportError::NoValue {
            pattern,
            found: net.at(first).name.clone(),
            instead: stands_for(net, options, first).map(|node| node.name.clone()),
        },
        None => {
            let ids = net.nodes().iter().filter_map(|node| net.id(&node.name));
            let with_value = ids.filter(|id| stands_for(net, options, *id).is_none());
            let names = with_value.map(|id| net.at(id).name.as_str());
            ExportError::MissingLayer {
                nearest: nearest(text, names).map(str::to_string),
                pattern,
            }
        }
    })
}

/// Where the file does not hold the node's own value, the node whose value stands for it: the normalisation it was folded
/// into, the node before a dropout, the image itself.
fn stands_for<'a>(net: &'a Net, options: &ExportOptions, id: NodeId) -> Option<&'a Node> {
    let node = net.at(id);
    match node.op {
        Op::Input => Some(node),
        Op::Dropout { .. } => Some(net.at(node.inputs[0])),
        _ => folds_into(net, options, id.index()),
    }
}
