//! A network's state: which dictionary of the file it is, its tensors' names, and what was left out.

use std::collections::BTreeMap;
use std::fmt;

use super::tensors::{Found, found};
use super::tree::{Tree, is_special_tensor};
use super::value::{Heap, Object, Value, named, printable};
use crate::weights::Malformed;

/// What is put before every name by data-parallel training, by `torch.compile`, and by programs that keep the network as
/// a part of another module.
const PREFIXES: [&str; 6] = [
    "module.",
    "_orig_mod.",
    "model.",
    "net.",
    "network.",
    "backbone.",
];
/// The longest name of a tensor, in bytes: names are joined of keys, which a pickle can repeat in few bytes.
const LONGEST_NAME: usize = 1024;
/// Tensors that are read. These networks have about a thousand.
const MOST_TENSORS: usize = 1 << 16;
/// Names that are listed in one note.
const MOST_LISTED: usize = 10;
/// Calls that are nothing by themselves: they make arguments of others.
const ARGUMENTS_ONLY: [&str; 4] = [
    "numpy.dtype",
    "_codecs.encode",
    "torch.device",
    "torch.serialization._get_layout",
];

/// The tensors of the network's state, not made yet, and notes on what was done and left out.
pub(super) struct State {
    pub(super) tensors: Vec<Found>,
    pub(super) notes: Vec<String>,
}

/// Chooses the dictionary, and checks what the pickle says of its tensors. `place` ties an error to a byte of the pickle.
///
/// # Errors
/// [`Malformed`]: no dictionary holds tensors, or what is said of one cannot be.
pub(super) fn read(
    heap: &Heap,
    root: &Value,
    place: &impl Fn(Malformed, usize) -> Malformed,
) -> Result<State, Malformed> {
    let tree = Tree::of(heap, root);
    let uncalled = uncalled(heap, &tree, place);
    let Some(top) = tree.descend() else {
        return Err(no_state(heap, root, &uncalled));
    };
    let chosen = match tree.nodes[top].tensors {
        0 => tree.states_in(top),
        _ => vec![top],
    };
    let base = match chosen.as_slice() {
        [only] => *only,
        _ => top,
    };

    let mut state = State {
        tensors: vec![],
        notes: vec![],
    };
    if base != 0 {
        state
            .notes
            .push(format!("read the dictionary `{}`", tree.path(base)));
    }
    if chosen.len() > 1 {
        let mut names = Names::default();
        chosen
            .iter()
            .for_each(|&node| names.add(|| tree.path(node)));
        let count = chosen.len();
        state.notes.push(format!(
            "{count} dictionaries hold tensors, and all were read, their own names first: {names}"
        ));
    }
    let mut others = Names::default();
    for &node in &chosen {
        let Some(before) = tree.path_between(base, node, LONGEST_NAME) else {
            return Err(too_long(&tree.path(node)));
        };
        if let Object::Dictionary(entries) = tree.nodes[node].object {
            state.read_entries(heap, &before, entries, &mut others, place)?;
        }
    }
    // What the top one holds itself is among the others.
    let unread = tree.states_in(0).into_iter();
    let unread = unread.filter(|node| *node != 0 && chosen.binary_search(node).is_err());
    for node in unread.take(MOST_LISTED) {
        let (path, count) = (tree.path(node), tree.nodes[node].tensors);
        let note = format!("`{path}` holds tensors as well ({count}), which were not read");
        state.notes.push(note);
    }
    if base != 0 {
        for key in tree.keys_beside(0, base) {
            others.add(|| key.printable());
        }
    }
    if others.count > 0 {
        state.notes.push(format!("left out: {others}"));
    }
    state.notes.extend(uncalled);
    state.strip_prefixes();
    Ok(state)
}

impl State {
    fn read_entries(
        &mut self,
        heap: &Heap,
        before: &str,
        entries: &[(Value, Value)],
        others: &mut Names,
        place: &impl Fn(Malformed, usize) -> Malformed,
    ) -> Result<(), Malformed> {
        for (key, value) in entries {
            let Value::Text(key) = key else {
                others.add(|| format!("{before}{}", heap.describe(key)));
                continue;
            };
            if before.len() + key.len() > LONGEST_NAME {
                return Err(too_long(key));
            }
            let name = format!("{before}{key}");
            match heap.object(value) {
                Some(&Object::Tensor {
                    form,
                    arguments,
                    at,
                }) => {
                    let found = found(heap, &name, (form, arguments, at))
                        .map_err(|error| place(error, at).in_tensor(printable(&name)))?;
                    if self.tensors.len() == MOST_TENSORS {
                        let reason = format!("there are more than {MOST_TENSORS} tensors");
                        return Err(place(Malformed::new(reason), at).in_tensor(printable(&name)));
                    }
                    self.tensors.push(found);
                }
                Some(Object::Uncalled { callable, at }) if is_special_tensor(callable.as_ref()) => {
                    let maker = named(callable);
                    let reason = format!("is made by {maker}, which is not read as weights");
                    let hint = "quantised, sparse and other special tensors: make them plain in PyTorch and save again";
                    return Err(place(Malformed::new(reason), *at)
                        .in_tensor(printable(&name))
                        .with_hint(hint));
                }
                _ => others.add(|| name),
            }
        }
        Ok(())
    }

    /// Takes off what stands before every name.
    fn strip_prefixes(&mut self) {
        let common = |tensors: &[Found]| {
            let all = |prefix: &&str| {
                let behind = |tensor: &Found| tensor.name.strip_prefix(prefix) != Some("");
                tensors
                    .iter()
                    .all(|tensor| tensor.name.starts_with(prefix) && behind(tensor))
            };
            PREFIXES.into_iter().find(all)
        };
        let mut taken = String::new();
        while let Some(prefix) = common(&self.tensors)
            && !self.tensors.is_empty()
        {
            for tensor in &mut self.tensors {
                tensor.name.drain(..prefix.len());
            }
            taken.push_str(prefix);
        }
        if !taken.is_empty() {
            self.notes.push(format!("took `{taken}` off every name"));
        }
    }
}

fn too_long(name: &str) -> Malformed {
    Malformed::new(format!(
        "a tensor's name is longer than the {LONGEST_NAME} bytes that are read"
    ))
    .in_tensor(printable(name))
}

/// One line for each callable that the pickle wanted called: where the first of its results would lie, and how many there are.
fn uncalled(
    heap: &Heap,
    tree: &Tree<'_>,
    place: &impl Fn(Malformed, usize) -> Malformed,
) -> Vec<String> {
    let mut calls: BTreeMap<String, (Option<String>, usize, usize)> = BTreeMap::new();
    for (handle, object) in heap.iter() {
        let Object::Uncalled { callable, at } = object else {
            continue;
        };
        let (path, count, _) = calls.entry(named(callable)).or_insert((None, 0, *at));
        *count += 1;
        if path.is_none() {
            *path = tree.path_of_uncalled(handle);
        }
    }
    let argument = |name: &str| ARGUMENTS_ONLY.contains(&name.trim_matches('`'));
    calls.retain(|name, (path, ..)| path.is_some() || !argument(name));
    let count = calls.len();
    let mut notes: Vec<String> = calls
        .into_iter()
        .take(MOST_LISTED)
        .map(|(name, (path, count, at))| {
            let place = match path {
                Some(path) => format!("`{path}`"),
                // Thrown away again, or an argument of another call.
                None => match place(Malformed::default(), at).offset {
                    Some(offset) => format!("at byte {offset}"),
                    None => "somewhere".into(),
                },
            };
            let more = match count {
                1 => String::new(),
                _ => format!(" ({count} such calls)"),
            };
            format!("{place}: calls {name}, not executed{more}")
        })
        .collect();
    if count > MOST_LISTED {
        notes.push(format!("calls {} more, none executed", count - MOST_LISTED));
    }
    notes
}

fn no_state(heap: &Heap, root: &Value, uncalled: &[String]) -> Malformed {
    let save = "load it in PyTorch, and save `model.state_dict()` instead of the model itself";
    let found = match heap.object(root) {
        Some(Object::Tensor { .. }) => "found one tensor without a name".into(),
        Some(Object::Uncalled { callable, .. }) => {
            format!(
                "found an object made by {}, which is not executed",
                named(callable)
            )
        }
        _ if uncalled.is_empty() => format!("found {} without", heap.describe(root)),
        _ => format!(
            "found {} without; {}",
            heap.describe(root),
            uncalled.join("; ")
        ),
    };
    let reason = Malformed::new(format!("expected a dictionary of named tensors, {found}"));
    match uncalled.is_empty() {
        true => reason.with_hint("save the network's `state_dict()`"),
        false => reason.with_hint(save),
    }
}

/// Names for a note: the first of them, and how many there are. A pickle can have a million of one long name.
#[derive(Debug, Default)]
struct Names {
    shown: Vec<String>,
    count: usize,
}

impl Names {
    fn add(&mut self, name: impl FnOnce() -> String) {
        if self.shown.len() < MOST_LISTED {
            self.shown.push(format!("`{}`", printable(&name())));
        }
        self.count += 1;
    }
}

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown.join(", "))?;
        match self.count - self.shown.len() {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}
