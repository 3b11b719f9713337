//! A reader of Python's pickles as plain data. Nothing is executed: a function call becomes a [`Value::Object`] that
//! names the function and its arguments.
//!
//! It supports the data opcodes of protocols 2 to 5, including those of Python 2, whose strings are bytes.
//! All values are
//! in one list and refer to each other by index ([`Node`]). Therefore shared values are stored once, a pickle
//! may contain
//! itself, and neither reading nor dropping recurses. A pickle of `n` bytes becomes at most `n` values, and at most
//! [`LIMIT`]; bytes and texts are borrowed.
//!
//! Not supported: protocols 0 and 1, sets, extension codes, buffers outside the pickle.
//!
//! # Source
//! Python's `Lib/pickletools.py`, which describes every opcode.
//!
//! ```
//! use prospr_store::pickle::{Pickle, Value};
//! // pickle.dumps({"seed": 7}, protocol=2)
//! let pickle = Pickle::read(b"\x80\x02}q\x00X\x04\x00\x00\x00seedq\x01K\x07s.")?;
//! let seed = pickle.get(pickle.root(), "seed").unwrap();
//! assert_eq!(pickle[seed], Value::Int(7));
//! # Ok::<(), prospr_store::pickle::PickleError>(())
//! ```

mod numpy;
mod read;

use std::ops::Index;

/// Largest number of operations in a pickle; more are an error. Four million limit the memory to about 400 MB.
pub const LIMIT: usize = 1 << 22;

/// The values of a pickle.
#[derive(Clone, Debug, PartialEq)]
pub struct Pickle<'a> {
    values: Vec<Value<'a>>,
    root: Node,
}

/// The index of a value in its [`Pickle`]; `pickle[node]` is the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Node(u32);

/// A value, which refers to the values in it by [`Node`].
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// `None`.
    None,
    /// A Boolean.
    Bool(bool),
    /// An integer of up to 128 bits.
    Int(i128),
    /// A float.
    Float(f64),
    /// Bytes, a byte array, or a string of Python 2.
    Bytes(&'a [u8]),
    /// A text.
    Text(&'a str),
    /// A list.
    List(Vec<Node>),
    /// A tuple.
    Tuple(Vec<Node>),
    /// A dictionary: keys and values in the order of insertion.
    Dict(Vec<(Node, Node)>),
    /// The name of a class or a function.
    Global {
        /// Module of the class or function.
        module: &'a str,
        /// Name in the module.
        name: &'a str,
    },
    /// A function call, recorded but not executed.
    Object {
        /// The function, usually a [`Value::Global`].
        function: Node,
        /// The arguments, usually a tuple.
        args: Node,
        /// Items that Python would insert into the object as into a dictionary.
        items: Vec<(Node, Node)>,
        /// The argument of the object's `__setstate__`.
        state: Option<Node>,
    },
    /// The identifier of an object outside the pickle.
    Persistent(Node),
}

/// The error of a pickle that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("byte {at} of the pickle: {reason}")]
pub struct PickleError {
    /// Position of the fault, in bytes from the start.
    pub at: usize,
    /// The expected and the found bytes.
    pub reason: String,
}

impl<'a> Pickle<'a> {
    /// Reads a pickle; bytes after its end are ignored.
    ///
    /// # Errors
    /// [`PickleError`] if it is truncated or damaged, has unsupported opcodes, or more than [`LIMIT`] of them.
    pub fn read(bytes: &'a [u8]) -> Result<Pickle<'a>, PickleError> {
        read::Machine::new(bytes).run()
    }

    /// The pickled value, which contains all others.
    pub fn root(&self) -> Node {
        self.root
    }

    /// All values.
    pub fn values(&self) -> impl Iterator<Item = &Value<'a>> {
        self.values.iter()
    }

    /// The text of a string value, or of bytes in UTF-8 (a string of Python 2).
    pub fn text(&self, node: Node) -> Option<&'a str> {
        match self[node] {
            Value::Text(text) => Some(text),
            Value::Bytes(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    /// The value of a non-negative integer.
    pub fn size(&self, node: Node) -> Option<usize> {
        match self[node] {
            Value::Int(value) => value.try_into().ok(),
            _ => None,
        }
    }

    /// The elements of a list or a tuple.
    pub fn elements(&self, node: Node) -> Option<&[Node]> {
        match &self[node] {
            Value::List(nodes) | Value::Tuple(nodes) => Some(nodes),
            _ => None,
        }
    }

    /// Keys and values of a dictionary, or of an object that acts as one.
    pub fn items(&self, node: Node) -> Option<&[(Node, Node)]> {
        match &self[node] {
            Value::Dict(items) | Value::Object { items, .. } => Some(items),
            _ => None,
        }
    }

    /// The value of a text key, the last if there are several.
    pub fn get(&self, node: Node, key: &str) -> Option<Node> {
        let mut items = self.items(node)?.iter().rev();
        items.find(|(k, _)| self.text(*k) == Some(key)).map(|&(_, value)| value)
    }

    /// Module and name of a global.
    pub fn global(&self, node: Node) -> Option<(&'a str, &'a str)> {
        match self[node] {
            Value::Global { module, name } => Some((module, name)),
            _ => None,
        }
    }

    /// Module and name of the function, and the arguments, of an object.
    pub fn call(&self, node: Node) -> Option<(&'a str, &'a str, &[Node])> {
        let Value::Object { function, args, .. } = self[node] else {
            return None;
        };
        let (module, name) = self.global(function)?;
        Some((module, name, self.elements(args)?))
    }
}

impl<'a> Index<Node> for Pickle<'a> {
    type Output = Value<'a>;

    fn index(&self, node: Node) -> &Value<'a> {
        &self.values[node.0 as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a generator of deterministic pseudorandom numbers: Marsaglia's xorshift.
    fn noise() -> impl FnMut() -> usize {
        let mut x = 0x9E37_79B9_7F4A_7C15u64;
        move || {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            x as usize
        }
    }

    fn error(bytes: &[u8]) -> String {
        Pickle::read(bytes).unwrap_err().to_string()
    }

    /// `pickle.dumps({"a": [1, -2, 300, 70000, 2**70, 1.5, None, True, False], b"b": (b"x", ("y",), (), (1, 2, 3))}, 4)`
    const ALL: &[u8] = b"\x80\x04\x95\x4b\0\0\0\0\0\0\0}\x94(\x8c\x01a\x94]\x94(K\x01J\xfe\xff\xff\xffM\x2c\x01J\x70\x11\x01\0\x8a\x09\0\0\0\0\0\0\0\0\x40G\x3f\xf8\0\0\0\0\0\0N\x88\x89eC\x01b\x94(C\x01x\x94\x8c\x01y\x94\x85\x94)K\x01K\x02K\x03\x87\x94t\x94u.";

    #[test]
    fn values_of_every_type_are_read() {
        let pickle = Pickle::read(ALL).unwrap();
        let list = pickle.get(pickle.root(), "a").unwrap();
        let list: Vec<&Value> =
            pickle.elements(list).unwrap().iter().map(|&node| &pickle[node]).collect();
        let expected = [
            Value::Int(1),
            Value::Int(-2),
            Value::Int(300),
            Value::Int(70000),
            Value::Int(1 << 70),
            Value::Float(1.5),
            Value::None,
            Value::Bool(true),
            Value::Bool(false),
        ];
        assert!(list.into_iter().eq(&expected));
        let tuple = pickle.get(pickle.root(), "b").unwrap();
        let parts = pickle.elements(tuple).unwrap();
        assert_eq!(pickle[parts[0]], Value::Bytes(b"x"));
        let sizes: Vec<usize> =
            parts[1..].iter().map(|&part| pickle.elements(part).unwrap().len()).collect();
        assert_eq!(sizes, [1, 0, 3]);
    }

    #[test]
    fn calls_are_data() {
        // os.system("echo"), with the function's name in the opcode and on the stack.
        for bytes in [
            &b"\x80\x02cos\nsystem\nX\x04\0\0\0echo\x85R."[..],
            b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x04echo\x85R.",
        ] {
            let pickle = Pickle::read(bytes).unwrap();
            let (module, name, args) = pickle.call(pickle.root()).unwrap();
            assert_eq!((module, name, pickle.text(args[0])), ("os", "system", Some("echo")));
        }
    }

    #[test]
    fn a_value_may_contain_itself_and_be_shared() {
        let pickle = Pickle::read(b"\x80\x02]q\0h\0a.").unwrap();
        assert_eq!(pickle.elements(pickle.root()), Some(&[pickle.root()][..]));
        // Ten nested lists that contain the previous list twice: 1024 leaves, but only eleven values.
        let mut bomb = b"\x80\x02]q\0".to_vec();
        (0..10).for_each(|_| bomb.extend(b"0](h\0h\0eq\0"));
        bomb.push(b'.');
        assert_eq!(Pickle::read(&bomb).unwrap().values().count(), 11);
    }

    #[test]
    fn deep_nesting_does_not_overflow_the_stack() {
        let mut deep = vec![b']'; 1_000_000];
        deep.extend(vec![b'a'; 999_999]);
        deep.push(b'.');
        assert_eq!(Pickle::read(&deep).unwrap().values().count(), 1_000_000);
        assert!(error(&vec![b'('; LIMIT + 1]).contains("operations"));
    }

    #[test]
    fn damage_gives_a_reason() {
        for (bytes, part) in [
            (&b""[..], "cut short"),
            (b"\x80\x06N.", "protocol 6"),
            (b"\x80\x02X\xff\xff\xff\x7fabc", "cut short"),
            (b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\xffabc", "cut short"),
            (b"\x80\x02h\x05.", "5"),
            (b"\x80\x02.", "nothing"),
            (b"\x80\x02(.", "nothing"),
            (b"\x80\x02NNs.", "nothing"),
            (b"\x80\x02N(NNNu.", "pairs"),
            (b"\x80\x02NNa.", "list"),
            (b"\x80\x02t.", "mark"),
            (b"\x80\x02\x8a\x11aaaaaaaaaaaaaaaaa.", "128 bits"),
            (b"\x80\x02T\xff\xff\xff\xff.", "length"),
            (b"\x80\x02U\x01\xffNb.", "object"),
            (b"\x80\x04\x8c\x01\xff.", "UTF-8"),
            (b"(dp1\n.", "0x70"),
        ] {
            let error = error(bytes);
            assert!(error.contains(part), "{part} in {error}");
        }
    }

    #[test]
    fn damaged_bytes_never_panic() {
        for cut in 0..ALL.len() {
            assert!(error(&ALL[..cut]).contains("cut short"));
        }
        let mut next = noise();
        for _ in 0..20_000 {
            let mut bytes = ALL.to_vec();
            for _ in 0..1 + next() % 4 {
                let at = next() % bytes.len();
                bytes[at] = next() as u8;
            }
            if let Ok(pickle) = Pickle::read(&bytes) {
                for value in pickle.values() {
                    assert!(!format!("{value:?}").is_empty());
                }
                let _ = pickle.byte_array(pickle.root());
            }
        }
    }
}
