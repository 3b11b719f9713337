//! The stack machine that reads a pickle: a stack, marks and a memo.

use std::collections::HashMap;

use super::{LIMIT, Node, Pickle, PickleError, Value};

type Result<T> = std::result::Result<T, PickleError>;

/// Stack machine that executes the opcodes of a pickle. It builds values and calls nothing.
pub struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    values: Vec<Value<'a>>,
    stack: Vec<Node>,
    /// Heights of the stack at the marks; values below the last mark cannot be popped.
    marks: Vec<usize>,
    memo: HashMap<u32, Node>,
}

impl<'a> Machine<'a> {
    pub fn new(bytes: &'a [u8]) -> Machine<'a> {
        Machine {
            bytes,
            at: 0,
            values: Vec::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
        }
    }

    /// Executes all opcodes up to STOP and returns the values, of which the one on the stack is the root.
    pub fn run(mut self) -> Result<Pickle<'a>> {
        for _ in 0..LIMIT {
            let [code] = self.array()?;
            if code == b'.' {
                let root = self.pop()?;
                let values = self.values;
                return Ok(Pickle { values, root });
            }
            self.step(code)?;
        }
        self.wrong(format!(
            "expected at most {LIMIT} operations, found more; store less in one file"
        ))
    }

    /// Returns an error at the current position.
    fn wrong<T>(&self, reason: impl Into<String>) -> Result<T> {
        Err(PickleError { at: self.at, reason: reason.into() })
    }

    /// Executes one opcode.
    fn step(&mut self, code: u8) -> Result<()> {
        match code {
            // Frame of protocol 4 and later: a length that only helps to read ahead.
            0x95 => drop(self.array::<8>()?),
            0x80 => match self.array()? {
                [2..=5] => (),
                [other] => return self.wrong(format!("protocol {other}, expected 2 to 5")),
            },
            b'0' => drop(self.pop()?),
            b'1' => drop(self.pop_to_mark()?),
            b'2' => {
                let top = self.top()?;
                self.stack.push(top);
            }
            b'(' => self.marks.push(self.stack.len()),
            b'q' | b'r' | 0x94 => self.remember(code)?,
            b'h' | b'j' => self.recall(code)?,
            b'N' => self.push(Value::None),
            0x88 | 0x89 => self.push(Value::Bool(code == 0x88)),
            b'J' | b'K' | b'M' | 0x8a | 0x8b => {
                let value = self.integer(code)?;
                self.push(Value::Int(value));
            }
            b'G' => {
                let value = f64::from_be_bytes(self.array()?);
                self.push(Value::Float(value));
            }
            b'T' | b'U' | b'B' | b'C' | 0x8e | 0x96 => {
                let bytes = self.sized(code)?;
                self.push(Value::Bytes(bytes));
            }
            b'X' | 0x8c | 0x8d => {
                let bytes = self.sized(code)?;
                let text = self.utf8(bytes)?;
                self.push(Value::Text(text));
            }
            b']' => self.push(Value::List(Vec::new())),
            b')' => self.push(Value::Tuple(Vec::new())),
            b'}' => self.push(Value::Dict(Vec::new())),
            b'l' | b't' | b'd' | 0x85..=0x87 => self.gather(code)?,
            b'a' | b'e' => self.append(code)?,
            b's' | b'u' => self.set_items(code)?,
            b'c' | 0x93 => self.global(code)?,
            b'R' | 0x81 => {
                let args = self.pop()?;
                let function = self.pop()?;
                let (items, state) = (Vec::new(), None);
                self.push(Value::Object { function, args, items, state });
            }
            b'b' => {
                let given = self.pop()?;
                let top = self.top()?;
                match &mut self.values[top.0 as usize] {
                    Value::Object { state, .. } if state.is_none() => *state = Some(given),
                    _ => return self.wrong("expected an object without state before a state"),
                }
            }
            b'Q' => {
                let name = self.pop()?;
                self.push(Value::Persistent(name));
            }
            other => {
                return self.wrong(format!(
                    "expected a data opcode of protocols 2 to 5, found {other:#04x}; pickle it again with one of these"
                ));
            }
        }
        Ok(())
    }

    /// Reads the next bytes.
    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let rest = &self.bytes[self.at..];
        let Some(taken) = rest.get(..length) else {
            return self.wrong(format!(
                "expected {length} more bytes, found {}: the file is cut short or damaged",
                rest.len()
            ));
        };
        self.at += length;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let taken = self.take(N)?;
        Ok(taken.try_into().expect("`take` returns N bytes"))
    }

    fn utf8(&self, bytes: &'a [u8]) -> Result<&'a str> {
        std::str::from_utf8(bytes).or_else(|_| self.wrong("expected a text in UTF-8"))
    }

    /// Creates a value and pushes it.
    fn push(&mut self, value: Value<'a>) {
        let node = u32::try_from(self.values.len()).expect("fewer than LIMIT");
        self.values.push(value);
        self.stack.push(Node(node));
    }

    /// The top of the stack, if it is above the last mark.
    fn top(&self) -> Result<Node> {
        let floor = self.marks.last().copied().unwrap_or(0);
        match self.stack[floor..].last() {
            Some(&node) => Ok(node),
            None => self.wrong("expected a value, found nothing on the stack"),
        }
    }

    fn pop(&mut self) -> Result<Node> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    /// Pops all values above the last mark, and the mark.
    fn pop_to_mark(&mut self) -> Result<Vec<Node>> {
        match self.marks.pop() {
            Some(mark) => Ok(self.stack.split_off(mark)),
            None => self.wrong("expected a mark, found none"),
        }
    }

    /// Groups values into pairs of key and value.
    fn pairs(&self, nodes: &[Node]) -> Result<Vec<(Node, Node)>> {
        let (pairs, []) = nodes.as_chunks() else {
            return self.wrong("expected pairs of keys and values, found an odd number");
        };
        Ok(pairs.iter().map(|&[key, value]| (key, value)).collect())
    }

    /// Stores the top of the stack in the memo: BINPUT, LONG_BINPUT and MEMOIZE. The stack stays as it is.
    fn remember(&mut self, code: u8) -> Result<()> {
        let key = match code {
            b'q' => u8::from_le_bytes(self.array()?).into(),
            b'r' => u32::from_le_bytes(self.array()?),
            _ => u32::try_from(self.memo.len()).expect("fewer than LIMIT"),
        };
        let top = self.top()?;
        self.memo.insert(key, top);
        Ok(())
    }

    /// Pushes a value of the memo: BINGET and LONG_BINGET.
    fn recall(&mut self, code: u8) -> Result<()> {
        let key = match code {
            b'h' => u8::from_le_bytes(self.array()?).into(),
            _ => u32::from_le_bytes(self.array()?),
        };
        let Some(&node) = self.memo.get(&key) else {
            return self.wrong(format!("expected value {key} in the memo, found none"));
        };
        self.stack.push(node);
        Ok(())
    }

    /// Reads the integer of BININT, BININT1, BININT2, LONG1 or LONG4.
    fn integer(&mut self, code: u8) -> Result<i128> {
        let length = match code {
            b'J' => return Ok(i32::from_le_bytes(self.array()?).into()),
            b'K' => return Ok(u8::from_le_bytes(self.array()?).into()),
            b'M' => return Ok(u16::from_le_bytes(self.array()?).into()),
            0x8a => usize::from(u8::from_le_bytes(self.array()?)),
            _ => {
                let length = i32::from_le_bytes(self.array()?);
                self.length(length)?
            }
        };
        let bytes = self.take(length)?;
        if length > 16 {
            return self.wrong("expected an integer of at most 128 bits, found a longer one");
        }
        let sign = if bytes.last().is_some_and(|b| b >> 7 == 1) { 0xff } else { 0 };
        let mut whole = [sign; 16];
        whole[..length].copy_from_slice(bytes);
        Ok(i128::from_le_bytes(whole))
    }

    /// Converts a length that was read, which must not be negative.
    fn length<T: TryInto<usize> + std::fmt::Display + Copy>(&self, length: T) -> Result<usize> {
        length.try_into().or_else(|_| {
            self.wrong(format!("expected a length that fits in memory, found {length}"))
        })
    }

    /// Reads a length and then that number of bytes.
    fn sized(&mut self, code: u8) -> Result<&'a [u8]> {
        let length = match code {
            b'U' | b'C' | 0x8c => usize::from(u8::from_le_bytes(self.array()?)),
            b'B' | b'X' => {
                let length = u32::from_le_bytes(self.array()?);
                self.length(length)?
            }
            b'T' => {
                let length = i32::from_le_bytes(self.array()?);
                self.length(length)?
            }
            _ => {
                let length = u64::from_le_bytes(self.array()?);
                self.length(length)?
            }
        };
        self.take(length)
    }

    /// Pops values and pushes a list, tuple or dictionary of them.
    fn gather(&mut self, code: u8) -> Result<()> {
        let nodes = match code {
            0x85..=0x87 => {
                let mut nodes = Vec::new();
                for _ in 0x84..code {
                    nodes.push(self.pop()?);
                }
                nodes.reverse();
                nodes
            }
            _ => self.pop_to_mark()?,
        };
        let value = match code {
            b'l' => Value::List(nodes),
            b'd' => Value::Dict(self.pairs(&nodes)?),
            _ => Value::Tuple(nodes),
        };
        self.push(value);
        Ok(())
    }

    /// Pops values and appends them to the list below: APPEND and APPENDS.
    fn append(&mut self, code: u8) -> Result<()> {
        let nodes = match code {
            b'a' => vec![self.pop()?],
            _ => self.pop_to_mark()?,
        };
        let top = self.top()?;
        match &mut self.values[top.0 as usize] {
            Value::List(list) => list.extend(nodes),
            _ => return self.wrong("expected a list to append to"),
        }
        Ok(())
    }

    /// Pops keys and values and adds them to the dictionary or object below: SETITEM and SETITEMS.
    fn set_items(&mut self, code: u8) -> Result<()> {
        let pairs = match code {
            b's' => {
                let value = self.pop()?;
                vec![(self.pop()?, value)]
            }
            _ => {
                let nodes = self.pop_to_mark()?;
                self.pairs(&nodes)?
            }
        };
        let top = self.top()?;
        match &mut self.values[top.0 as usize] {
            Value::Dict(items) | Value::Object { items, .. } => items.extend(pairs),
            _ => return self.wrong("expected a dictionary to put items into"),
        }
        Ok(())
    }

    /// Reads a text up to the end of the line.
    fn line(&mut self) -> Result<&'a str> {
        let rest = &self.bytes[self.at..];
        let end = rest.iter().position(|&b| b == b'\n');
        let line = self.take(end.unwrap_or(rest.len() + 1))?;
        self.at += 1;
        self.utf8(line)
    }

    /// Pushes the name of a class or function, read from the pickle (GLOBAL) or from the stack (STACK_GLOBAL).
    fn global(&mut self, code: u8) -> Result<()> {
        let (module, name) = if code == b'c' {
            (self.line()?, self.line()?)
        } else {
            let (name, module) = (self.pop()?, self.pop()?);
            let text = |node: Node| match self.values[node.0 as usize] {
                Value::Text(text) => Ok(text),
                _ => self.wrong("expected texts as a global's module and name"),
            };
            (text(module)?, text(name)?)
        };
        self.push(Value::Global { module, name });
        Ok(())
    }
}
