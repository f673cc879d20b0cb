//! What a pickle builds: values, and the objects they refer to.
//!
//! Objects lie in one list and refer to each other by their places in it. So an object that contains itself is as harmless
//! as any other, nothing is freed by recursion, and an object that is referred to a million times is still stored once.

use std::sync::Arc;

/// One value. Cloning is cheap: it never copies an object.
#[derive(Debug, Clone)]
pub(super) enum Value {
    None,
    Bool(bool),
    Int(i64),
    Text(Arc<str>),
    /// A class or function by its full name, such as `collections.OrderedDict`. It is only a name here.
    Global(Arc<str>),
    Object(Handle),
    /// Of no use for tensors: a fraction, a whole number beyond 64 bits, bytes.
    Plain,
}

/// An object's place in the [`Heap`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Handle(usize);

/// One object.
#[derive(Debug)]
pub(super) enum Object {
    /// A list, set or tuple.
    Sequence(Vec<Value>),
    /// A dictionary, in the order in which its entries were set. A key may come twice.
    Dictionary(Vec<(Value, Value)>),
    /// What the persistent identifier of a storage says: a tuple that is checked when a tensor of it is wanted.
    Storage { identifier: Handle },
    /// A call that makes a tensor: the arguments are checked when the tensor is wanted.
    Tensor {
        form: TensorForm,
        arguments: Handle,
        at: usize,
    },
    /// What a call of something else would have made. It was not called. The callable has no name where it was itself
    /// the result of a call.
    Uncalled {
        callable: Option<Arc<str>>,
        at: usize,
    },
}

/// The functions of PyTorch that make a tensor of a storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TensorForm {
    /// `_rebuild_tensor` and `_rebuild_tensor_v2`: the storage has the type.
    OfStorage,
    /// `_rebuild_tensor_v3`: the type is an argument, the storage is bytes.
    OfType,
}

/// All objects of a pickle.
#[derive(Debug, Default)]
pub(super) struct Heap {
    objects: Vec<Object>,
}

impl Heap {
    pub(super) fn add(&mut self, object: Object) -> Handle {
        self.objects.push(object);
        Handle(self.objects.len() - 1)
    }

    pub(super) fn get(&self, handle: Handle) -> &Object {
        &self.objects[handle.0]
    }

    pub(super) fn get_mut(&mut self, handle: Handle) -> &mut Object {
        &mut self.objects[handle.0]
    }

    /// Every object with its place, in the order they were made.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Handle, &Object)> {
        let places = self.objects.iter().enumerate();
        places.map(|(place, object)| (Handle(place), object))
    }

    /// The object a value refers to.
    pub(super) fn object(&self, value: &Value) -> Option<&Object> {
        match value {
            Value::Object(handle) => Some(self.get(*handle)),
            _ => None,
        }
    }

    /// The values of a list or tuple.
    pub(super) fn sequence(&self, value: &Value) -> Option<&[Value]> {
        match self.object(value)? {
            Object::Sequence(values) => Some(values),
            _ => None,
        }
    }

    /// What a value is, in words for a message.
    pub(super) fn describe(&self, value: &Value) -> String {
        match value {
            Value::None => "None".into(),
            Value::Bool(value) => value.to_string(),
            Value::Int(value) => value.to_string(),
            Value::Text(text) => format!("the text `{}`", printable(text)),
            Value::Global(name) => format!("`{}`", printable(name)),
            Value::Plain => "a number or bytes".into(),
            Value::Object(handle) => match self.get(*handle) {
                Object::Sequence(values) => format!("a sequence of {}", values.len()),
                Object::Dictionary(entries) => format!("a dictionary of {}", entries.len()),
                Object::Storage { .. } => "a storage".into(),
                Object::Tensor { .. } => "a tensor".into(),
                Object::Uncalled { callable, .. } => format!("what {} makes", named(callable)),
            },
        }
    }
}

/// A callable's name, in words for a message.
pub(super) fn named(callable: &Option<Arc<str>>) -> String {
    match callable {
        Some(name) => format!("`{}`", printable(name)),
        None => "a callable without a name".into(),
    }
}

/// A name from a file as it may be shown: without control characters, and not longer than a line.
pub(super) fn printable(name: &str) -> String {
    const LONGEST: usize = 120;
    let shown: String = name.chars().take(LONGEST).collect();
    let rest = if shown.len() < name.len() { "..." } else { "" };
    format!("{}{rest}", shown.escape_debug())
}
