//! Tensors from what a pickle says of them: a storage, and a view of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use rayon::prelude::*;

use super::value::{Handle, Heap, Object, TensorForm, Value, printable};
use crate::weights::{ElementType, Malformed, Tensor};

/// The most dimensions a tensor may have, as in PyTorch's own code for views.
const MOST_DIMENSIONS: usize = 64;

/// What a storage's persistent identifier says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Storage {
    /// The name of its record.
    pub(super) key: Arc<str>,
    pub(super) kind: StorageKind,
    /// Numbers in the whole storage, or bytes where it has no type.
    pub(super) length: usize,
}

/// What a storage holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum StorageKind {
    Numbers(ElementType),
    /// Bytes: each tensor says what they are.
    Untyped,
    /// Numbers that no weights here have, by the storage's class, and the bytes of one.
    Other(Arc<str>, usize),
}

impl StorageKind {
    /// The bytes of one number.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Numbers(element_type) => element_type.size(),
            Self::Untyped => 1,
            Self::Other(_, size) => *size,
        }
    }
}

impl Storage {
    /// Bytes in all.
    pub(super) fn bytes(&self) -> Result<usize, Malformed> {
        let bytes = self.length.checked_mul(self.kind.size());
        bytes.ok_or_else(|| {
            let count = self.length;
            Malformed::new(format!("the storage's {count} numbers overflow"))
        })
    }
}

/// A tensor that was found in a pickle and not made yet.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) name: String,
    /// The byte of the pickle that makes it.
    pub(super) at: usize,
    pub(super) storage: Storage,
    element_type: ElementType,
    shape: Vec<usize>,
    strides: Vec<usize>,
    /// Of the first number, in bytes of the storage.
    offset: usize,
}

/// What a pickle's call says of a tensor.
///
/// # Errors
/// [`Malformed`] without a place: an argument that is missing, of another kind or negative; a type no weights have.
pub(super) fn found(
    heap: &Heap,
    name: &str,
    (form, arguments, at): (TensorForm, Handle, usize),
) -> Result<Found, Malformed> {
    let arguments = heap.sequence(&Value::Object(arguments)).unwrap_or_default();
    let [storage, offset, shape, strides, rest @ ..] = arguments else {
        return Err(Malformed::new(format!(
            "expected a storage, an offset, a size and strides, found {} arguments",
            arguments.len()
        )));
    };
    let Some(Object::Storage { identifier }) = heap.object(storage) else {
        let found = heap.describe(storage);
        return Err(Malformed::new(format!("expected a storage, found {found}")));
    };
    let (storage, view) = self::storage(heap, *identifier)?;
    // Both have two arguments for training, the third form then the type; the last may be a dictionary of flags.
    let (element_type, flags) = match (form, &storage.kind) {
        (TensorForm::OfType, _) => (declared_type(heap, rest.get(2))?, rest.get(3)),
        (TensorForm::OfStorage, StorageKind::Numbers(element_type)) => (*element_type, rest.get(2)),
        (TensorForm::OfStorage, StorageKind::Other(class, _)) => return Err(not_weights(class)),
        (TensorForm::OfStorage, StorageKind::Untyped) => {
            return Err(Malformed::new("its storage has no type of number"));
        }
    };
    if let Some(flag) = flags.and_then(|flags| flag(heap, flags)) {
        return Err(Malformed::new(format!(
            "its numbers are marked `{flag}`, to be changed when they are read"
        ))
        .with_hint("save what `resolve_neg()` or `resolve_conj()` makes of it"));
    }
    let offset = count(heap, "offset", offset)?
        .checked_mul(element_type.size())
        .and_then(|bytes| bytes.checked_add(view))
        .ok_or_else(|| Malformed::new("its offset overflows"))?;
    Ok(Found {
        name: name.into(),
        at,
        shape: counts(heap, "size", shape)?,
        strides: counts(heap, "stride", strides)?,
        storage,
        element_type,
        offset,
    })
}

/// What a persistent identifier says, and at which byte of the storage its view begins:
/// ('storage', type, key, device, numbers), and in the older format a last (key, first number, numbers) for a view.
pub(super) fn storage(heap: &Heap, identifier: Handle) -> Result<(Storage, usize), Malformed> {
    let identifier = heap
        .sequence(&Value::Object(identifier))
        .unwrap_or_default();
    let [_, class, key, _, length, rest @ ..] = identifier else {
        return Err(Malformed::new(format!(
            "expected a storage's type, key, device and length, found {} values",
            identifier.len()
        )));
    };
    let Value::Text(key) = key else {
        let found = heap.describe(key);
        return Err(Malformed::new(format!(
            "expected a storage's key, found {found}"
        )));
    };
    let storage = Storage {
        key: key.clone(),
        kind: storage_kind(heap, class)?,
        length: count(heap, "storage", length)?,
    };
    let view = match rest.first() {
        Some(view) if !matches!(view, Value::None) => {
            let Some([_, first, _]) = heap.sequence(view) else {
                let found = heap.describe(view);
                return Err(Malformed::new(format!("expected a view, found {found}")));
            };
            let first = count(heap, "view", first)?.checked_mul(storage.kind.size());
            first.ok_or_else(|| Malformed::new("the view's first number overflows"))?
        }
        _ => 0,
    };
    Ok((storage, view))
}

fn storage_kind(heap: &Heap, class: &Value) -> Result<StorageKind, Malformed> {
    let Value::Global(name) = class else {
        let found = heap.describe(class);
        return Err(Malformed::new(format!(
            "expected a storage's type, found {found}"
        )));
    };
    let short = name
        .strip_prefix("torch.storage.")
        .or_else(|| name.strip_prefix("torch.cuda."))
        .or_else(|| name.strip_prefix("torch."))
        .and_then(|name| name.strip_suffix("Storage"));
    Ok(StorageKind::Numbers(match short {
        Some("Half") => ElementType::Float16,
        Some("BFloat16") => ElementType::BFloat16,
        Some("Float") => ElementType::Float32,
        Some("Double") => ElementType::Float64,
        Some("Bool") => ElementType::Bool,
        Some("Byte") => ElementType::Uint8,
        Some("Char") => ElementType::Int8,
        Some("Short") => ElementType::Int16,
        Some("Int") => ElementType::Int32,
        Some("Long") => ElementType::Int64,
        Some("Untyped") => return Ok(StorageKind::Untyped),
        Some("QInt8" | "QUInt8" | "QUInt4x2" | "QUInt2x4") => {
            return Ok(StorageKind::Other(name.clone(), 1));
        }
        Some("QInt32") => return Ok(StorageKind::Other(name.clone(), 4)),
        Some("ComplexFloat") => return Ok(StorageKind::Other(name.clone(), 8)),
        Some("ComplexDouble") => return Ok(StorageKind::Other(name.clone(), 16)),
        _ => return Err(not_weights(name)),
    }))
}

fn declared_type(heap: &Heap, value: Option<&Value>) -> Result<ElementType, Malformed> {
    let Some(Value::Global(name)) = value else {
        let found = value.map_or_else(|| "none".into(), |value| heap.describe(value));
        return Err(Malformed::new(format!(
            "expected a type of number, found {found}"
        )));
    };
    Ok(match name.as_ref() {
        "torch.float16" => ElementType::Float16,
        "torch.bfloat16" => ElementType::BFloat16,
        "torch.float32" => ElementType::Float32,
        "torch.float64" => ElementType::Float64,
        "torch.bool" => ElementType::Bool,
        "torch.uint8" => ElementType::Uint8,
        "torch.int8" => ElementType::Int8,
        "torch.int16" => ElementType::Int16,
        "torch.int32" => ElementType::Int32,
        "torch.int64" => ElementType::Int64,
        _ => return Err(not_weights(name)),
    })
}

fn not_weights(name: &Arc<str>) -> Malformed {
    let reason = format!("holds `{}`, which is not read as weights", printable(name));
    Malformed::new(reason).with_hint(
        "real numbers of 16, 32 or 64 bits, whole numbers and truth values are read: convert the tensor in PyTorch and save it again",
    )
}

/// The first flag that is set in a dictionary such as `{'conj': True}`.
fn flag(heap: &Heap, flags: &Value) -> Option<String> {
    let Some(Object::Dictionary(flags)) = heap.object(flags) else {
        return None;
    };
    let set = flags
        .iter()
        .find(|(_, value)| matches!(value, Value::Bool(true)))?;
    match &set.0 {
        Value::Text(name) => Some(printable(name)),
        other => Some(heap.describe(other)),
    }
}

fn count(heap: &Heap, what: &str, value: &Value) -> Result<usize, Malformed> {
    let count = match value {
        Value::Int(count) => usize::try_from(*count).ok(),
        _ => None,
    };
    count.ok_or_else(|| {
        let found = heap.describe(value);
        Malformed::new(format!(
            "its {what}: expected a number from 0 up, found {found}"
        ))
    })
}

fn counts(heap: &Heap, what: &str, value: &Value) -> Result<Vec<usize>, Malformed> {
    let Some(values) = heap.sequence(value) else {
        let found = heap.describe(value);
        return Err(Malformed::new(format!(
            "its {what}: expected a tuple, found {found}"
        )));
    };
    if values.len() > MOST_DIMENSIONS {
        return Err(Malformed::new(format!(
            "its {what}: expected at most {MOST_DIMENSIONS} dimensions, found {}",
            values.len()
        )));
    }
    values
        .iter()
        .map(|value| count(heap, what, value))
        .collect()
}

/// Makes the tensors. `load` gives a storage's bytes; it is asked once for each, for several at the same time.
///
/// # Errors
/// [`Malformed`] with the tensor: its storage cannot be had, is of another length, or does not hold the tensor.
pub(super) fn make(
    found: Vec<Found>,
    load: impl Fn(&Storage) -> Result<Bytes, Malformed> + Sync,
    place: impl Fn(Malformed, usize) -> Malformed,
) -> Result<BTreeMap<String, Tensor>, Malformed> {
    let mut wanted: BTreeMap<&Arc<str>, &Found> = BTreeMap::new();
    for tensor in &found {
        let first = *wanted.entry(&tensor.storage.key).or_insert(tensor);
        if first.storage != tensor.storage {
            let reason = Malformed::new(format!(
                "expected the storage `{}` as `{}` has it, found {} numbers of type {:?}",
                printable(&tensor.storage.key),
                printable(&first.name),
                tensor.storage.length,
                tensor.storage.kind
            ));
            return Err(place(reason, tensor.at).in_tensor(printable(&tensor.name)));
        }
    }
    let loaded: BTreeMap<Arc<str>, Bytes> = wanted
        .into_par_iter()
        .map(|(key, tensor)| {
            let bytes =
                load(&tensor.storage).map_err(|error| error.in_tensor(printable(&tensor.name)))?;
            Ok((Arc::clone(key), bytes))
        })
        .collect::<Result<_, Malformed>>()?;
    let mut tensors = BTreeMap::new();
    for tensor in found {
        let failed = |reason: String| {
            place(Malformed::new(reason), tensor.at).in_tensor(printable(&tensor.name))
        };
        let Some(bytes) = loaded.get(&tensor.storage.key).cloned() else {
            return Err(failed("its storage was not read".into()));
        };
        // A tensor without numbers may point beyond its storage.
        let offset = if tensor.shape.contains(&0) {
            0
        } else {
            tensor.offset
        };
        let made = Tensor::strided(
            bytes,
            tensor.element_type,
            tensor.shape,
            tensor.strides,
            offset,
        )
        .map_err(|error| failed(error.to_string()))?;
        if tensors.insert(tensor.name.clone(), made).is_some() {
            return Err(failed("two tensors have this name".into()));
        }
    }
    Ok(tensors)
}
