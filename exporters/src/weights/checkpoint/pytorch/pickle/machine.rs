//! The machine's parts: the bytes it reads, its stack, its marks.

use std::collections::HashMap;
use std::ops::Range;

use crate::weights::Malformed;
use crate::weights::checkpoint::pytorch::value::{Heap, Object, Value};

/// Values that one pickle may make. A checkpoint of these networks with its optimiser makes some ten thousand.
const MOST_VALUES: usize = 1 << 20;

pub(super) struct Machine<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) position: usize,
    pub(super) heap: Heap,
    pub(super) stack: Vec<Value>,
    /// Heights of the stack at which marks lie.
    pub(super) marks: Vec<usize>,
    pub(super) memo: HashMap<u32, Value>,
    values: usize,
}

/// What an opcode gives: nothing but what it does to the machine.
pub(super) type Step = Result<(), Malformed>;

impl<'a> Machine<'a> {
    pub(super) fn new(bytes: &'a [u8], start: usize) -> Self {
        Self {
            bytes,
            position: start.min(bytes.len()),
            heap: Heap::default(),
            stack: vec![],
            marks: vec![],
            memo: HashMap::new(),
            values: 0,
        }
    }

    // The bytes.

    pub(super) fn take(&mut self, count: usize) -> Result<Range<usize>, Malformed> {
        let left = self.bytes.len() - self.position;
        if count > left {
            return Err(Malformed::new(format!(
                "expected {count} more bytes of the pickle, found {left}"
            )));
        }
        let start = self.position;
        self.position += count;
        Ok(start..self.position)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let range = self.take(N)?;
        let mut array = [0; N];
        array.copy_from_slice(&self.bytes[range]);
        Ok(array)
    }

    pub(super) fn byte(&mut self) -> Result<u8, Malformed> {
        self.array().map(|[byte]| byte)
    }

    /// A little-endian number of `N` bytes, at most 8.
    pub(super) fn number<const N: usize>(&mut self) -> Result<u64, Malformed> {
        let mut bytes = [0; 8];
        bytes[..N].copy_from_slice(&self.array::<N>()?);
        Ok(u64::from_le_bytes(bytes))
    }

    /// As many bytes as a number of `N` bytes before them says.
    pub(super) fn counted<const N: usize>(&mut self) -> Result<Range<usize>, Malformed> {
        let count = self.number::<N>()?;
        // More than a machine can address is more than is left.
        self.take(usize::try_from(count).unwrap_or(usize::MAX))
    }

    /// The bytes up to the next line feed, which is passed over.
    pub(super) fn line(&mut self) -> Result<Range<usize>, Malformed> {
        let rest = &self.bytes[self.position..];
        let Some(length) = rest.iter().position(|&byte| byte == b'\n') else {
            return Err(Malformed::new(format!(
                "expected a line, found no end of it in {} bytes",
                rest.len()
            )));
        };
        let line = self.take(length)?;
        self.position += 1;
        Ok(line)
    }

    // The stack.

    pub(super) fn spend(&mut self, values: usize) -> Step {
        self.values += values;
        if self.values > MOST_VALUES {
            return Err(Malformed::new(format!(
                "the pickle makes more than {MOST_VALUES} values"
            )));
        }
        Ok(())
    }

    pub(super) fn push(&mut self, value: Value) -> Step {
        self.spend(1)?;
        self.stack.push(value);
        Ok(())
    }

    pub(super) fn push_object(&mut self, object: Object) -> Step {
        let handle = self.heap.add(object);
        self.push(Value::Object(handle))
    }

    /// The lowest place a value may be taken from: what lies below a mark is out of reach.
    pub(super) fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    /// The height of the stack without its `count` topmost values.
    pub(super) fn below(&self, count: usize) -> Result<usize, Malformed> {
        let reach = self.stack.len().saturating_sub(self.floor());
        if count > reach {
            return Err(Malformed::new(format!(
                "expected {count} values on the stack, found {reach}"
            )));
        }
        Ok(self.stack.len() - count)
    }

    pub(super) fn top(&self) -> Result<&Value, Malformed> {
        self.below(1).map(|place| &self.stack[place])
    }

    pub(super) fn pop(&mut self) -> Result<Value, Malformed> {
        self.below(1)?;
        Ok(self.stack.pop().unwrap_or(Value::None))
    }

    pub(super) fn pop_or_unmark(&mut self) -> Step {
        if self.marks.last() == Some(&self.stack.len()) {
            self.marks.pop();
            return Ok(());
        }
        self.pop().map(drop)
    }

    /// Takes everything above the topmost mark, and the mark.
    pub(super) fn above_mark(&mut self) -> Result<Vec<Value>, Malformed> {
        match self.marks.pop() {
            Some(mark) => Ok(self.stack.split_off(mark.min(self.stack.len()))),
            None => Err(Malformed::new("expected a mark on the stack, found none")),
        }
    }
}
