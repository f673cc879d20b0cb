//! What the calls in a pickle mean. Nothing is ever called: a few names stand for tensors and containers, and a call of
//! any other is kept as its name.

use std::sync::Arc;

use super::value::{Handle, Heap, Object, TensorForm, Value};

/// The value of `callable(*arguments)`, found at byte `at` of the pickle.
pub(super) fn call(heap: &mut Heap, callable: &Value, arguments: &Value, at: usize) -> Value {
    let Value::Global(name) = callable else {
        return uncalled(heap, None, at);
    };
    let known = match arguments {
        Value::Object(handle) => meaning(heap, name, *handle, at),
        _ => None,
    };
    known.unwrap_or_else(|| {
        let class = class(heap, name, arguments).unwrap_or_else(|| name.clone());
        uncalled(heap, Some(class), at)
    })
}

/// The class that Python's general function for making objects is called with: it says more than the function's name.
fn class(heap: &Heap, function: &str, arguments: &Value) -> Option<Arc<str>> {
    let general = ["copy_reg._reconstructor", "copyreg._reconstructor"].contains(&function);
    match heap.sequence(arguments)?.first()? {
        Value::Global(class) if general => Some(class.clone()),
        _ => None,
    }
}

fn uncalled(heap: &mut Heap, callable: Option<Arc<str>>, at: usize) -> Value {
    Value::Object(heap.add(Object::Uncalled { callable, at }))
}

fn meaning(heap: &mut Heap, name: &str, arguments: Handle, at: usize) -> Option<Value> {
    if let Some(form) = tensor_form(name) {
        let tensor = Object::Tensor {
            form,
            arguments,
            at,
        };
        return Some(Value::Object(heap.add(tensor)));
    }
    let Object::Sequence(values) = heap.get(arguments) else {
        return None;
    };
    match name {
        // A parameter is its tensor; `Size` and sets are the sequence they are made of.
        "torch._utils._rebuild_parameter"
        | "torch._utils._rebuild_parameter_with_state"
        | "torch.Size" => values.first().cloned(),
        "builtins.set" | "__builtin__.set" | "builtins.frozenset" | "__builtin__.frozenset" => {
            values.first().cloned()
        }
        // A tensor that carries Python attributes: (function, type, arguments, attributes).
        "torch._tensor._rebuild_from_type_v2" => {
            let (Some(Value::Global(function)), Some(Value::Object(arguments))) =
                (values.first(), values.get(2))
            else {
                return None;
            };
            let (form, arguments) = (tensor_form(function)?, *arguments);
            let tensor = Object::Tensor {
                form,
                arguments,
                at,
            };
            Some(Value::Object(heap.add(tensor)))
        }
        "collections.OrderedDict" => {
            let entries = match values.first().cloned() {
                None => vec![],
                Some(pairs) => take_entries(heap, &pairs)?,
            };
            Some(Value::Object(heap.add(Object::Dictionary(entries))))
        }
        // Its only argument makes missing entries.
        "collections.defaultdict" => Some(Value::Object(heap.add(Object::Dictionary(vec![])))),
        _ => None,
    }
}

fn tensor_form(name: &str) -> Option<TensorForm> {
    match name {
        "torch._utils._rebuild_tensor" | "torch._utils._rebuild_tensor_v2" => {
            Some(TensorForm::OfStorage)
        }
        "torch._utils._rebuild_tensor_v3" => Some(TensorForm::OfType),
        _ => None,
    }
}

/// Python 2 wrote an ordered dictionary as a list of pairs. They are taken out of the list: if they were copied, a file
/// could have the same list copied again and again.
fn take_entries(heap: &mut Heap, pairs: &Value) -> Option<Vec<(Value, Value)>> {
    let Value::Object(list) = pairs else {
        return None;
    };
    let Object::Sequence(pairs) = heap.get_mut(*list) else {
        return None;
    };
    let pairs = std::mem::take(pairs);
    let pair = |value| match heap.sequence(value)? {
        [key, value] => Some((key.clone(), value.clone())),
        _ => None,
    };
    pairs.iter().map(pair).collect()
}

/// What a persistent identifier stands for.
pub(super) fn persistent(heap: &mut Heap, identifier: &Value, at: usize) -> Value {
    if let Value::Object(handle) = identifier
        && let Object::Sequence(values) = heap.get(*handle)
        && let Some(Value::Text(kind)) = values.first()
    {
        match (kind.as_ref(), values.get(1)) {
            ("storage", _) => {
                let identifier = *handle;
                return Value::Object(heap.add(Object::Storage { identifier }));
            }
            // The class of a pickled module, with its source beside it.
            ("module", Some(class)) => return class.clone(),
            _ => {}
        }
    }
    uncalled(heap, None, at)
}
