//! Files that people give in place of a TensorFlow checkpoint: told by content, with what to give instead.

use std::path::Path;

use bytes::Bytes;

use super::proto::{self, Field, Fields};
use super::{prefix_of_shard, with_ending};
use crate::weights::WeightsError;

/// What a file is that lies beside checkpoints or holds one, and what to do.
pub(in super::super) fn explain(bytes: &Bytes, path: &Path) -> Option<WeightsError> {
    if bytes.get(8) == Some(&b'{') {
        // safetensors' header.
        return None;
    }
    let (found, fix) = if bytes.starts_with(&[0x1f, 0x8b]) {
        let fix = format!("unpack it first: `tar -xzf {}`", path.display());
        ("a gzip archive", fix)
    } else if let Some(named) = checkpoint_file(bytes) {
        let named = path.with_file_name(named);
        let fix = format!("give the checkpoint it names: `{}`", named.display());
        ("TensorFlow's list of checkpoints", fix)
    } else if is_saved_model(bytes) {
        let variables = path.with_file_name("variables").join("variables.index");
        let fix = format!("its variables are in `{}`: give that", variables.display());
        ("the graph of a TensorFlow saved model", fix)
    } else if is_meta_graph(bytes) {
        let prefix = path.with_extension("");
        let fix = format!(
            "its weights are in the checkpoint beside it: give `{}`",
            prefix.display()
        );
        ("a TensorFlow meta graph, which holds no weights", fix)
    } else if is_graph(bytes) {
        let fix = "give the checkpoint it was frozen from: a frozen graph no longer has the network's variables";
        ("a frozen TensorFlow graph", fix.into())
    } else if let Some(prefix) = prefix_of_shard(path) {
        let index = with_ending(&prefix, ".index");
        let fix = format!("fetch `{}` as well, and give that", index.display());
        ("a shard of a TensorFlow checkpoint without its index", fix)
    } else {
        return None;
    };
    Some(WeightsError::NotWeights {
        path: path.into(),
        found,
        fix,
    })
}

/// The checkpoint that a `checkpoint` file names: text in protobuf's form.
fn checkpoint_file(bytes: &[u8]) -> Option<&str> {
    let rest = bytes.strip_prefix(b"model_checkpoint_path:")?;
    let line = std::str::from_utf8(rest.split(|&byte| byte == b'\n').next()?).ok()?;
    let name = line.trim().strip_prefix('"')?.strip_suffix('"')?;
    (!name.contains(char::is_control)).then_some(name)
}

/// `SavedModel`: a version, then meta graphs.
fn is_saved_model(bytes: &Bytes) -> bool {
    let mut fields = Fields::of(bytes);
    matches!(fields.next(), Some(Ok((1, Field::Varint(1)))))
        && matches!(fields.next(), Some(Ok((2, Field::Delimited(graph)))) if is_meta_graph(&graph))
}

/// `MetaGraphDef`: facts about the graph, then the graph.
fn is_meta_graph(bytes: &Bytes) -> bool {
    let mut fields = Fields::of(bytes);
    matches!(fields.next(), Some(Ok((1, Field::Delimited(_)))))
        && matches!(fields.next(), Some(Ok((2, Field::Delimited(graph)))) if is_graph(&graph))
}

/// `GraphDef`: nodes, each with a name and an operator.
fn is_graph(bytes: &Bytes) -> bool {
    let Some(Ok((1, Field::Delimited(node)))) = Fields::of(bytes).next() else {
        return false;
    };
    let is_word = |number| {
        let word = proto::delimited(&node, number).ok().flatten();
        word.is_some_and(|word| !word.is_empty() && word.iter().all(u8::is_ascii_graphic))
    };
    is_word(1) && is_word(2)
}
