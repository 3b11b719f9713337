//! The graph that plans are compiled from. Each distinct value is one node.
//!
//! Adding a node simplifies it and looks for an equal one (hash consing), so that aliases, duplicates and arithmetic
//! with constants never reach a kernel.

use std::collections::HashMap;
use std::mem::{Discriminant, discriminant};

use crate::DType;
use crate::ir::{Binary, Compare, Op, Unary, shape};
use crate::runtime::Device;

/// Index of a node. Its inputs have smaller indices.
pub(crate) type Id = usize;

/// One value.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// [`Op::Data`] for values from outside the graph.
    pub op: Op,
    pub inputs: Vec<Id>,
    pub shape: Box<[usize]>,
    pub dtype: DType,
    pub device: Device,
}

impl Node {
    pub fn numel(&self) -> usize {
        shape::numel(&self.shape)
    }

    /// Returns the bytes of memory that the value adds to that of its inputs: 0 for views and constants.
    pub fn stored_bytes(&self) -> u64 {
        match self.op.is_stored() {
            true => (self.numel() * self.dtype.size()) as u64,
            false => 0,
        }
    }
}

/// Key under which equal nodes are found: the operation without its attributes, the inputs and the shape.
type NodeKey = (Discriminant<Op>, Vec<Id>, Box<[usize]>);

/// Distinct values in topological order.
#[derive(Default)]
pub(crate) struct Graph {
    pub nodes: Vec<Node>,
    known: HashMap<NodeKey, Vec<Id>>,
}

impl Graph {
    /// Adds a value from outside the graph.
    pub fn leaf(&mut self, shape: &[usize], dtype: DType, device: &Device) -> Id {
        self.append(Node {
            op: Op::Data,
            inputs: Vec::new(),
            shape: shape.into(),
            dtype,
            device: device.clone(),
        })
    }

    fn append(&mut self, node: Node) -> Id {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    /// Returns the node of an operation's value: a new one, or an older one that is equal.
    pub fn push(&mut self, mut node: Node) -> Id {
        if let Some(id) = self.simplify(&mut node) {
            return id;
        }
        let key = (discriminant(&node.op), node.inputs.clone(), node.shape.clone());
        if let Some(id) = self.find(&key, &node).filter(|_| node.op != Op::Fence) {
            return id;
        }
        let id = self.append(node);
        self.known.entry(key).or_default().push(id);
        id
    }

    /// Returns an older node that is equal to `node`.
    fn find(&self, key: &NodeKey, node: &Node) -> Option<Id> {
        self.known.get(key)?.iter().copied().find(|&id| {
            let other = &self.nodes[id];
            other.op == node.op && other.dtype == node.dtype && other.device == node.device
        })
    }

    /// Returns the value of a node that is a constant.
    fn full(&self, id: Id) -> Option<f64> {
        match self.nodes[id].op {
            Op::Full(value) => Some(value),
            _ => None,
        }
    }

    /// Simplifies the node in place, or returns an older node with the same value.
    fn simplify(&mut self, node: &mut Node) -> Option<Id> {
        if let Some(value) = self.constant(node) {
            node.op = Op::Full(value);
            node.inputs.clear();
            return None;
        }
        let first = *node.inputs.first()?;
        if node.op == Op::Binary(Binary::Add) && node.inputs[1] == first && node.dtype.is_float() {
            let two = self.push(Node { op: Op::Full(2.0), inputs: Vec::new(), ..node.clone() });
            node.op = Op::Binary(Binary::Mul);
            node.inputs[1] = two;
        }
        let same_shape = |id: Id| self.nodes[id].shape == node.shape;
        match &mut node.op {
            Op::Alias | Op::Detach => return Some(first),
            Op::Broadcast if same_shape(first) => return Some(first),
            Op::Sum(axes) if axes.iter().all(|&a| self.nodes[first].shape[a] == 1) => {
                return Some(first);
            }
            Op::Reshape => {
                let mut source = first;
                while self.nodes[source].op == Op::Reshape {
                    source = self.nodes[source].inputs[0];
                }
                node.inputs[0] = source;
                if same_shape(source) {
                    return Some(source);
                }
            }
            Op::Permute(axes) => {
                let mut source = first;
                if let Op::Permute(before) = &self.nodes[first].op {
                    *axes = axes.iter().map(|&a| before[a]).collect();
                    source = self.nodes[first].inputs[0];
                    node.inputs[0] = source;
                }
                if axes.iter().enumerate().all(|(i, &a)| i == a) {
                    return Some(source);
                }
            }
            Op::Unary(Unary::Neg) if self.nodes[first].op == Op::Unary(Unary::Neg) => {
                return Some(self.nodes[first].inputs[0]);
            }
            Op::Binary(op) => {
                let (a, b) = (first, node.inputs[1]);
                let (ca, cb) = (self.full(a), self.full(b));
                return match (op, ca, cb) {
                    (Binary::Mul, Some(1.0), _) | (Binary::Add, Some(0.0), _) if same_shape(b) => {
                        Some(b)
                    }
                    (Binary::Mul | Binary::Div, _, Some(1.0))
                    | (Binary::Add | Binary::Sub, _, Some(0.0))
                        if same_shape(a) =>
                    {
                        Some(a)
                    }
                    _ => None,
                };
            }
            // relu(z) > 0 exactly where z > 0. The result of relu is stored in any case, so that `z` need not be.
            Op::Compare(Compare::Gt) if self.full(node.inputs[1]) == Some(0.0) => {
                let of = &self.nodes[first];
                let relu = Node { op: Op::Unary(Unary::Relu), inputs: vec![first], ..of.clone() };
                let key = (discriminant(&relu.op), relu.inputs.clone(), relu.shape.clone());
                if let Some(id) = self.find(&key, &relu) {
                    node.inputs[0] = id;
                }
            }
            Op::Select if self.full(first).is_some() => {
                let taken = node.inputs[if self.full(first) == Some(0.0) { 2 } else { 1 }];
                if same_shape(taken) {
                    return Some(taken);
                }
            }
            _ => {}
        }
        None
    }

    /// Returns the value of all elements if it follows from constant inputs.
    fn constant(&self, node: &Node) -> Option<f64> {
        let value = |i: usize| node.inputs.get(i).and_then(|&id| self.full(id));
        let result = match &node.op {
            Op::Fence => return None,
            op if op.is_view() => value(0)?,
            Op::Cast if node.dtype.is_float() => value(0)?,
            Op::Cast => value(0)?.trunc(),
            Op::Sum(_) if self.nodes[node.inputs[0]].numel() == 0 => 0.0,
            Op::Sum(axes) if node.dtype.is_float() => {
                let shape = &self.nodes[node.inputs[0]].shape;
                value(0)? * axes.iter().map(|&a| shape[a]).product::<usize>() as f64
            }
            Op::Unary(Unary::Neg) => -value(0)?,
            Op::Unary(Unary::Sqrt) => value(0)?.sqrt(),
            Op::Unary(Unary::Recip) => 1.0 / value(0)?,
            Op::Binary(op) if node.dtype.is_float() => {
                let mut result = [0.0];
                op.map(&mut result, &[value(0)?], &[value(1)?]);
                result[0]
            }
            _ => return None,
        };
        Some(match node.dtype {
            DType::F32 => f64::from(result as f32),
            _ => result,
        })
    }
}
