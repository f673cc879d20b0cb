//! Python's pickle, protocols 0 to 5: a stack machine whose results are plain data.
//!
//! Every opcode is at least a byte and makes at most one value, so the memory stays within a fixed multiple of the
//! pickle's length; the machine also bounds the number of values, for pickles that were compressed.

mod machine;

use std::ops::Range;
use std::sync::Arc;

use self::machine::{Machine, Step};
use super::call::{call, persistent};
use super::value::{Handle, Heap, Object, Value, printable};
use crate::weights::Malformed;

/// The newest protocol there is.
const NEWEST_PROTOCOL: u8 = 5;

/// What a pickle holds.
pub(super) struct Pickle {
    pub(super) heap: Heap,
    /// The value at the top.
    pub(super) root: Value,
    /// The byte after the pickle's last.
    pub(super) end: usize,
}

/// Reads the pickle that begins at `start`; bytes after it are left alone.
///
/// # Errors
/// [`Malformed`] with the byte, counted from the beginning of `bytes`.
pub(super) fn read(bytes: &[u8], start: usize) -> Result<Pickle, Malformed> {
    let mut machine = Machine::new(bytes, start);
    loop {
        let at = machine.position;
        let opcode = machine.byte().map_err(|error| error.at(at))?;
        if opcode == b'.' {
            let root = machine.pop().map_err(|error| error.at(at))?;
            return Ok(Pickle {
                root,
                end: machine.position,
                heap: machine.heap,
            });
        }
        machine.step(opcode, at).map_err(|error| Malformed {
            reason: format!("pickle opcode 0x{opcode:02x}: {}", error.reason),
            ..error.at(at)
        })?;
    }
}

impl Machine<'_> {
    fn step(&mut self, opcode: u8, at: usize) -> Step {
        match opcode {
            // The frame of the pickle, and its stack.
            0x80 => self.protocol(),
            0x95 => self.frame(),
            b'(' => {
                self.spend(1)?;
                self.marks.push(self.stack.len());
                Ok(())
            }
            b'0' => self.pop_or_unmark(),
            b'1' => self.above_mark().map(drop),
            b'2' => {
                let top = self.top()?.clone();
                self.push(top)
            }
            // Plain values.
            b'N' => self.push(Value::None),
            0x88 => self.push(Value::Bool(true)),
            0x89 => self.push(Value::Bool(false)),
            b'I' | b'L' => self.decimal(),
            b'J' => {
                let value = i32::from_le_bytes(self.array()?);
                self.push(Value::Int(value.into()))
            }
            b'K' => {
                let value = self.byte()?;
                self.push(Value::Int(value.into()))
            }
            b'M' => {
                let value = u16::from_le_bytes(self.array()?);
                self.push(Value::Int(value.into()))
            }
            0x8a | 0x8b => self.long(opcode),
            b'F' => {
                self.line()?;
                self.push(Value::Plain)
            }
            b'G' => {
                self.take(8)?;
                self.push(Value::Plain)
            }
            // Text, and bytes as Python 2 wrote its text.
            b'S' | b'V' => self.quoted(),
            b'X' | b'T' => self.counted::<4>().and_then(|range| self.text(range)),
            0x8c | b'U' => self.counted::<1>().and_then(|range| self.text(range)),
            0x8d => self.counted::<8>().and_then(|range| self.text(range)),
            // Bytes.
            b'B' => self.counted::<4>().and_then(|_| self.push(Value::Plain)),
            b'C' => self.counted::<1>().and_then(|_| self.push(Value::Plain)),
            0x8e | 0x96 => self.counted::<8>().and_then(|_| self.push(Value::Plain)),
            0x97 | 0x98 => Err(Malformed::new("refers to buffers outside the pickle")),
            // Containers.
            b')' | b']' | 0x8f => self.push_object(Object::Sequence(vec![])),
            b'}' => self.push_object(Object::Dictionary(vec![])),
            b't' | b'l' | 0x91 => {
                let values = self.above_mark()?;
                self.push_object(Object::Sequence(values))
            }
            0x85..=0x87 => {
                let first = self.below(usize::from(opcode - 0x84))?;
                let values = self.stack.split_off(first);
                self.push_object(Object::Sequence(values))
            }
            b'd' => {
                let values = self.above_mark()?;
                let entries = pairs(values)?;
                self.push_object(Object::Dictionary(entries))
            }
            b'a' => {
                let value = self.pop()?;
                self.extend(vec![value])
            }
            b'e' | 0x90 => self.above_mark().and_then(|values| self.extend(values)),
            b's' => {
                let first = self.below(2)?;
                let values = self.stack.split_off(first);
                self.insert(values)
            }
            b'u' => self.above_mark().and_then(|values| self.insert(values)),
            // The memo.
            b'p' | b'q' | b'r' | 0x94 => self.remember(opcode),
            b'g' | b'h' | b'j' => self.recall(opcode),
            // Names and what is done with them.
            b'c' => {
                let name = self.global_name()?;
                self.push(Value::Global(name))
            }
            0x93 => self.stack_global(),
            b'R' | 0x81 => {
                let arguments = self.pop()?;
                self.call(arguments, at)
            }
            0x92 => {
                self.pop()?;
                let arguments = self.pop()?;
                self.call(arguments, at)
            }
            b'i' => {
                let class = Value::Global(self.global_name()?);
                let arguments = self.above_mark()?;
                self.stack.push(class);
                let arguments = Value::Object(self.heap.add(Object::Sequence(arguments)));
                self.call(arguments, at)
            }
            b'o' => {
                let mut arguments = self.above_mark()?;
                if arguments.is_empty() {
                    return Err(Malformed::new("expected a class, found nothing"));
                }
                let class = arguments.remove(0);
                self.stack.push(class);
                let arguments = Value::Object(self.heap.add(Object::Sequence(arguments)));
                self.call(arguments, at)
            }
            // A state for an object's `__setstate__` or attributes: no tensor of a dictionary is in one.
            b'b' => {
                self.pop()?;
                self.top().map(drop)
            }
            b'P' => {
                let range = self.line()?;
                let identifier = self.decoded(range);
                self.persistent(&identifier, at)
            }
            b'Q' => {
                let identifier = self.pop()?;
                self.persistent(&identifier, at)
            }
            // Numbers of classes in a registry that is in no file.
            0x82 => self.extension(1, at),
            0x83 => self.extension(2, at),
            0x84 => self.extension(4, at),
            _ => Err(Malformed::new("no such opcode")),
        }
    }

    // The opcodes that are more than a line.

    fn protocol(&mut self) -> Step {
        match self.byte()? {
            0..=NEWEST_PROTOCOL => Ok(()),
            found => Err(Malformed::new(format!(
                "expected a protocol from 0 to {NEWEST_PROTOCOL}, found {found}"
            ))),
        }
    }

    /// A frame promises that so many bytes follow.
    fn frame(&mut self) -> Step {
        let start = self.counted::<8>()?.start;
        self.position = start;
        Ok(())
    }

    /// A whole number in decimal; `00` and `01` are how protocol 0 and 1 write truth values.
    fn decimal(&mut self) -> Step {
        let line = self.line()?;
        let digits = str::from_utf8(&self.bytes[line]).unwrap_or_default();
        let digits = digits.trim_end_matches('L');
        let unsigned = digits.trim_start_matches(['-', '+']);
        self.push(match digits {
            "00" => Value::Bool(false),
            "01" => Value::Bool(true),
            _ if unsigned.is_empty() || !unsigned.bytes().all(|b| b.is_ascii_digit()) => {
                return Err(Malformed::new("expected a whole number in decimal"));
            }
            _ => digits.parse().map_or(Value::Plain, Value::Int),
        })
    }

    /// A whole number of any length in two's complement.
    fn long(&mut self, opcode: u8) -> Step {
        let range = match opcode {
            0x8a => self.counted::<1>(),
            _ => self.counted::<4>(),
        }?;
        let digits = &self.bytes[range];
        let sign = match digits.last() {
            Some(0x80..) => 0xff,
            _ => 0,
        };
        let mut bytes = [sign; 8];
        let value = match bytes.get_mut(..digits.len()) {
            Some(low) => {
                low.copy_from_slice(digits);
                Value::Int(i64::from_le_bytes(bytes))
            }
            None => Value::Plain,
        };
        self.push(value)
    }

    fn decoded(&self, range: Range<usize>) -> Value {
        Value::Text(String::from_utf8_lossy(&self.bytes[range]).into())
    }

    fn text(&mut self, range: Range<usize>) -> Step {
        let text = self.decoded(range);
        self.push(text)
    }

    /// A line of text as protocol 0 writes it. Escapes stay as they are: no tensor's name has any.
    fn quoted(&mut self) -> Step {
        let mut line = self.line()?;
        let text = &self.bytes[line.clone()];
        if let [first @ (b'\'' | b'"'), .., last] = text
            && first == last
        {
            line = line.start + 1..line.end - 1;
        }
        self.text(line)
    }

    fn extend(&mut self, values: Vec<Value>) -> Step {
        match self.target()? {
            Some(Object::Sequence(list)) => list.extend(values),
            Some(Object::Uncalled { .. }) => {}
            _ => return Err(Malformed::new("expected a list or set to add values to")),
        }
        Ok(())
    }

    fn insert(&mut self, values: Vec<Value>) -> Step {
        let entries = pairs(values)?;
        match self.target()? {
            Some(Object::Dictionary(dictionary)) => dictionary.extend(entries),
            Some(Object::Uncalled { .. }) => {}
            _ => return Err(Malformed::new("expected a dictionary to add entries to")),
        }
        Ok(())
    }

    /// The object on top of the stack.
    fn target(&mut self) -> Result<Option<&mut Object>, Malformed> {
        let handle: Option<Handle> = match self.top()? {
            Value::Object(handle) => Some(*handle),
            _ => None,
        };
        Ok(handle.map(|handle| self.heap.get_mut(handle)))
    }

    fn memo_key(&mut self, opcode: u8) -> Result<u32, Malformed> {
        Ok(match opcode {
            b'q' | b'h' => self.byte()?.into(),
            b'r' | b'j' => u32::from_le_bytes(self.array()?),
            0x94 => u32::try_from(self.memo.len()).unwrap_or(u32::MAX),
            _ => {
                let line = self.line()?;
                let digits = str::from_utf8(&self.bytes[line]).unwrap_or_default();
                digits.parse().map_err(|_| {
                    Malformed::new(format!(
                        "expected a place in the memo, found `{}`",
                        printable(digits)
                    ))
                })?
            }
        })
    }

    fn remember(&mut self, opcode: u8) -> Step {
        let key = self.memo_key(opcode)?;
        let value = self.top()?.clone();
        self.spend(1)?;
        self.memo.insert(key, value);
        Ok(())
    }

    fn recall(&mut self, opcode: u8) -> Step {
        let key = self.memo_key(opcode)?;
        match self.memo.get(&key).cloned() {
            Some(value) => self.push(value),
            None => Err(Malformed::new(format!(
                "nothing was put at place {key} of the memo"
            ))),
        }
    }

    fn global_name(&mut self) -> Result<Arc<str>, Malformed> {
        let (module, name) = (self.line()?, self.line()?);
        let part = |range: Range<usize>| String::from_utf8_lossy(&self.bytes[range]).into_owned();
        Ok(format!("{}.{}", part(module), part(name)).into())
    }

    fn stack_global(&mut self) -> Step {
        let (name, module) = (self.pop()?, self.pop()?);
        let (Value::Text(module), Value::Text(name)) = (&module, &name) else {
            return Err(Malformed::new(format!(
                "expected the names of a module and of what is in it, found {} and {}",
                self.heap.describe(&module),
                self.heap.describe(&name)
            )));
        };
        // Two long texts of the memo can be joined again and again by few bytes.
        self.spend((module.len() + name.len()) / 16)?;
        let name = format!("{module}.{name}").into();
        self.push(Value::Global(name))
    }

    /// Replaces the callable on top of the stack by what a call of it stands for.
    fn call(&mut self, arguments: Value, at: usize) -> Step {
        let callable = self.pop()?;
        let value = call(&mut self.heap, &callable, &arguments, at);
        self.push(value)
    }

    fn persistent(&mut self, identifier: &Value, at: usize) -> Step {
        let value = persistent(&mut self.heap, identifier, at);
        self.push(value)
    }

    fn extension(&mut self, bytes: usize, at: usize) -> Step {
        self.take(bytes)?;
        self.push_object(Object::Uncalled { callable: None, at })
    }
}

/// Keys and values that lie one after the other.
fn pairs(values: Vec<Value>) -> Result<Vec<(Value, Value)>, Malformed> {
    if !values.len().is_multiple_of(2) {
        return Err(Malformed::new(format!(
            "expected keys with a value each, found {} values",
            values.len()
        )));
    }
    let mut values = values.into_iter();
    let mut pairs = Vec::with_capacity(values.len() / 2);
    while let (Some(key), Some(value)) = (values.next(), values.next()) {
        pairs.push((key, value));
    }
    Ok(pairs)
}
