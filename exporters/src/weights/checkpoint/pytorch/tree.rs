//! The containers of a pickle as a tree, to find the dictionary that is a network's state.

use std::collections::HashMap;
use std::sync::Arc;

use super::value::{Handle, Heap, Object, Value, printable};

/// Keys that training programs keep a network's state under. Where there are several the first of these is taken: weights
/// as trained before their running average.
const WRAPPERS: [&str; 16] = [
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "net",
    "network",
    "module",
    "weights",
    "params",
    "state_dict_ema",
    "model_state_dict_ema",
    "model_ema",
    "ema_state_dict",
    "ema_model",
    "params_ema",
    "ema",
];
/// Keys that a path is shown with at most.
const LONGEST_PATH: usize = 8;

/// The containers below the top one, each once, under the first path that leads to it; parents before children.
pub(super) struct Tree<'a> {
    heap: &'a Heap,
    pub(super) nodes: Vec<Node<'a>>,
    by_handle: HashMap<Handle, usize>,
    /// Where the objects lie that were not made: node and key.
    uncalled: HashMap<Handle, (usize, Key<'a>)>,
}

/// A dictionary or sequence.
pub(super) struct Node<'a> {
    pub(super) object: &'a Object,
    /// The node it lies in and its key there; none for the top one.
    parent: Option<(usize, Key<'a>)>,
    /// Tensors it holds itself, under names.
    pub(super) tensors: usize,
    /// Whether every key that leads to it is text, and none an optimiser's.
    may_be_state: bool,
    /// Whether it, or what lies in it, is a state.
    leads_to_state: bool,
}

/// A key of a dictionary, or a place in a sequence.
#[derive(Clone, Copy)]
pub(super) enum Key<'a> {
    Value(&'a Value),
    Place(usize),
}

impl Key<'_> {
    pub(super) fn printable(self) -> String {
        match self {
            Self::Value(Value::Text(text)) => printable(text),
            Self::Value(Value::Int(number)) => number.to_string(),
            Self::Value(_) => "?".into(),
            Self::Place(place) => place.to_string(),
        }
    }

    fn may_lead_to_state(self) -> bool {
        matches!(self, Self::Value(Value::Text(text)) if !text.starts_with("optim"))
    }
}

impl<'a> Tree<'a> {
    pub(super) fn of(heap: &'a Heap, root: &'a Value) -> Self {
        let mut tree = Self {
            heap,
            nodes: vec![],
            by_handle: HashMap::new(),
            uncalled: HashMap::new(),
        };
        tree.visit(root, None);
        let mut next = 0;
        while let Some(node) = tree.nodes.get(next) {
            match node.object {
                Object::Dictionary(entries) => {
                    for (key, value) in entries {
                        tree.visit(value, Some((next, Key::Value(key))));
                    }
                }
                Object::Sequence(values) => {
                    for (place, value) in values.iter().enumerate() {
                        tree.visit(value, Some((next, Key::Place(place))));
                    }
                }
                _ => {}
            }
            next += 1;
        }
        tree.mark_states();
        tree
    }

    /// Adds what lies at a key, unless it was found before.
    fn visit(&mut self, value: &'a Value, parent: Option<(usize, Key<'a>)>) {
        let Value::Object(handle) = value else {
            return;
        };
        let object = self.heap.get(*handle);
        match object {
            Object::Uncalled { .. } => {
                if let Some(parent) = parent {
                    self.uncalled.entry(*handle).or_insert(parent);
                }
            }
            Object::Dictionary(_) | Object::Sequence(_) => {
                let place = self.nodes.len();
                if *self.by_handle.entry(*handle).or_insert(place) != place {
                    return;
                }
                let may_be_state = parent.is_none_or(|(node, key)| {
                    self.nodes[node].may_be_state && key.may_lead_to_state()
                });
                self.nodes.push(Node {
                    object,
                    parent,
                    tensors: tensors_in(self.heap, object),
                    may_be_state,
                    leads_to_state: false,
                });
            }
            Object::Tensor { .. } | Object::Storage { .. } => {}
        }
    }

    fn mark_states(&mut self) {
        for place in 0..self.nodes.len() {
            let mut next = self.is_state(place).then_some(place);
            while let Some(node) = next.and_then(|node| self.nodes.get_mut(node)) {
                // Whoever marked it has marked all above it.
                if std::mem::replace(&mut node.leads_to_state, true) {
                    break;
                }
                next = node.parent.map(|(parent, _)| parent);
            }
        }
    }

    fn is_state(&self, node: usize) -> bool {
        self.nodes[node].tensors > 0 && self.nodes[node].may_be_state
    }

    /// Follows the keys that training programs keep a state under, as far as they go. None if there is no state.
    pub(super) fn descend(&self) -> Option<usize> {
        let mut node = 0;
        if !self.nodes.first()?.leads_to_state {
            return None;
        }
        while let Some(inner) = self.wrapped_in(node) {
            node = inner;
        }
        Some(node)
    }

    fn wrapped_in(&self, node: usize) -> Option<usize> {
        let Object::Dictionary(entries) = self.nodes[node].object else {
            return None;
        };
        let wrapped = entries.iter().filter_map(|(key, value)| {
            let (Value::Text(key), Value::Object(handle)) = (key, value) else {
                return None;
            };
            let rank = WRAPPERS.iter().position(|&name| name == key.as_ref())?;
            let inner = *self.by_handle.get(handle)?;
            // A container of another place, which this key leads to as well, could lead back here.
            let parent = self.nodes[inner].parent.map(|(parent, _)| parent);
            (self.nodes[inner].leads_to_state && parent == Some(node)).then_some((rank, inner))
        });
        wrapped.min().map(|(_, inner)| inner)
    }

    /// The states in a node, itself included.
    pub(super) fn states_in(&self, top: usize) -> Vec<usize> {
        let mut within = vec![false; self.nodes.len()];
        for (place, node) in self.nodes.iter().enumerate() {
            let inherited = node.parent.is_some_and(|(parent, _)| within[parent]);
            within[place] = place == top || inherited;
        }
        let places = 0..self.nodes.len();
        places
            .filter(|&node| within[node] && self.is_state(node))
            .collect()
    }

    /// The keys of a dictionary besides the one that leads to a node below it.
    pub(super) fn keys_beside(&self, node: usize, below: usize) -> impl Iterator<Item = Key<'a>> {
        let mut child = below;
        while let Some((parent, _)) = self.nodes[child].parent
            && parent != node
        {
            child = parent;
        }
        let entries = match self.nodes[node].object {
            Object::Dictionary(entries) => entries.as_slice(),
            _ => &[],
        };
        let leads = move |value: &Value| match value {
            Value::Object(handle) => self.by_handle.get(handle) == Some(&child),
            _ => false,
        };
        let beside = entries.iter().filter(move |(_, value)| !leads(value));
        beside.map(|(key, _)| Key::Value(key))
    }

    /// The path to a node, for a message.
    pub(super) fn path(&self, node: usize) -> String {
        self.shown(self.nodes[node].parent)
    }

    /// The path to an object that was not made, for a message, if the top one leads to it.
    pub(super) fn path_of_uncalled(&self, handle: Handle) -> Option<String> {
        let place = self.uncalled.get(&handle)?;
        Some(self.shown(Some(*place)))
    }

    fn shown(&self, mut place: Option<(usize, Key<'a>)>) -> String {
        let mut keys = vec![];
        while let Some((node, key)) = place {
            if keys.len() == LONGEST_PATH {
                keys.push("...".into());
                break;
            }
            keys.push(key.printable());
            place = self.nodes[node].parent;
        }
        keys.reverse();
        keys.join(".")
    }

    /// The keys that lead from one node to another below it, each with a dot behind it. None if they are longer than
    /// `longest` bytes, or are not all text.
    pub(super) fn path_between(&self, from: usize, to: usize, longest: usize) -> Option<String> {
        let mut keys: Vec<&Arc<str>> = vec![];
        let mut length = 0;
        let mut node = to;
        while node != from {
            let (parent, Key::Value(Value::Text(key))) = self.nodes[node].parent? else {
                return None;
            };
            length += key.len() + 1;
            if length > longest {
                return None;
            }
            keys.push(key);
            node = parent;
        }
        Some(keys.iter().rev().map(|key| format!("{key}.")).collect())
    }
}

fn tensors_in(heap: &Heap, object: &Object) -> usize {
    let Object::Dictionary(entries) = object else {
        return 0;
    };
    let is_tensor = |(key, value): &&(Value, Value)| {
        matches!(key, Value::Text(_))
            && match heap.object(value) {
                Some(Object::Tensor { .. }) => true,
                Some(Object::Uncalled { callable, .. }) => is_special_tensor(callable.as_ref()),
                _ => false,
            }
    };
    entries.iter().filter(is_tensor).count()
}

/// Whether this is a function of PyTorch that makes a tensor of a kind that is not read.
pub(super) fn is_special_tensor(callable: Option<&Arc<str>>) -> bool {
    callable.is_some_and(|name| {
        name.starts_with("torch._utils._rebuild_") || name.starts_with("torch._tensor._rebuild_")
    })
}
