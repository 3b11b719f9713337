//! Fusion of nodes into kernels.
//!
//! Elementwise nodes are computed in registers by each kernel that uses them, unless their value is needed in memory
//! or computing it again would cost more than storing it. Stored values and sums over the same domain that share
//! inputs become one [`Program`].

use std::collections::{HashMap, HashSet};

use self::axes::{AxisMap, maps_axes, stretched, through};
use self::cost::stored;
use super::values::{Graph, Id, Node};
use crate::DType;
use crate::ir::program::{Input, Instr, Output, Program, Register};
use crate::ir::{Logic, Op, shape};

mod axes;
mod cost;

/// Largest number of inputs and outputs of a kernel: the 8 storage buffers that every GPU supports, less one for
/// parameters.
pub(super) const BINDINGS: usize = 7;
/// Largest number of instructions of one expression.
pub(super) const LENGTH: usize = 40;

/// One kernel: an operation by itself, or a program for one or more nodes.
pub(crate) enum Fused {
    Op(Id),
    Program { program: Program, inputs: Vec<Id>, outputs: Vec<Id> },
}

impl Fused {
    pub fn inputs<'a>(&'a self, graph: &'a Graph) -> &'a [Id] {
        match self {
            Fused::Op(id) => &graph.nodes[*id].inputs,
            Fused::Program { inputs, .. } => inputs,
        }
    }

    pub fn outputs(&self) -> &[Id] {
        match self {
            Fused::Op(id) => std::slice::from_ref(id),
            Fused::Program { outputs, .. } => outputs,
        }
    }
}

/// Role of a node in a program.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Role {
    /// An elementwise function of its inputs.
    Function,
    /// The input's elements in another order or repeated: an axis map.
    AxisMap,
    /// A sum of its input.
    Sum,
    /// A constant.
    Constant,
    /// An operation that no program can contain.
    Opaque,
}

/// Returns the role that a node can have in a program.
fn role(graph: &Graph, node: &Node) -> Role {
    let dtype = |i: usize| graph.nodes[node.inputs[i]].dtype;
    let float = |d: DType| d.is_float();
    let function = |yes: bool| if yes { Role::Function } else { Role::Opaque };
    match &node.op {
        Op::Full(_) if float(node.dtype) => Role::Constant,
        Op::Unary(_) | Op::Binary(_) => function(float(node.dtype)),
        Op::Compare(_) | Op::IsFinite => function(float(dtype(0))),
        Op::Logic(_) => Role::Function,
        Op::Select => function(float(node.dtype)),
        Op::Cast => function(float(node.dtype) && !float(dtype(0))),
        Op::Sum(_) if float(node.dtype) => Role::Sum,
        _ if maps_axes(graph, node) => Role::AxisMap,
        _ => Role::Opaque,
    }
}

/// Fuses the nodes that the targets need, and returns the kernels in an order in which they can run.
pub(crate) fn fuse(graph: &Graph, targets: &[Id]) -> Vec<Fused> {
    let live = live(graph, targets);
    let roles: Vec<Role> = graph.nodes.iter().map(|n| role(graph, n)).collect();
    let stored = stored(graph, targets, &live, &roles);
    let pass = Fusion { graph, roles, stored };
    pass.kernels(&live)
}

/// Returns for each node whether the targets need it.
fn live(graph: &Graph, targets: &[Id]) -> Vec<bool> {
    let mut live = vec![false; graph.nodes.len()];
    for &id in targets {
        live[id] = true;
    }
    for id in (0..graph.nodes.len()).rev() {
        if live[id] {
            for &input in &graph.nodes[id].inputs {
                live[input] = true;
            }
        }
    }
    live
}

/// The graph, and for each node its role and whether its value is stored.
struct Fusion<'a> {
    graph: &'a Graph,
    roles: Vec<Role>,
    stored: Vec<bool>,
}

impl Fusion<'_> {
    /// Returns the kernels that compute all stored values.
    fn kernels(&self, live: &[bool]) -> Vec<Fused> {
        let mut order = KernelList::default();
        let wanted = |&id: &Id| live[id] && self.stored[id];
        for id in (0..self.graph.nodes.len()).filter(wanted) {
            match self.roles[id] {
                Role::Function | Role::Sum => self.place_program(&mut order, id),
                // Views are placed when they are first read, so that they do not separate kernels that could become
                // one program.
                Role::AxisMap => {}
                Role::Constant | Role::Opaque => self.place_alone(&mut order, id),
            }
        }
        for id in (0..self.graph.nodes.len()).filter(wanted) {
            if self.roles[id] == Role::AxisMap && !order.read.contains(&id) {
                self.place_alone(&mut order, id);
            }
        }
        order.kernels.into_iter().flatten().collect()
    }

    /// Places an operation as a kernel of its own, after the views that it reads.
    fn place_alone(&self, order: &mut KernelList, id: Id) {
        let node = &self.graph.nodes[id];
        if node.op == Op::Data {
            return;
        }
        for &input in &node.inputs {
            if order.read.insert(input) && self.roles[input] == Role::AxisMap {
                self.place_alone(order, input);
            }
        }
        order.kernels.push(Some(Fused::Op(id)));
    }

    /// Places a program for this node, or adds the node to an earlier program.
    fn place_program(&self, order: &mut KernelList, id: Id) {
        let alone = self.program(&[id]);
        let key = (alone.domain.clone(), alone.summed.clone());
        let earlier = order.open.get(&key).into_iter().flatten().rev().take(8).copied();
        let joined = earlier
            .filter_map(|at| self.joined(order, at, id, &alone).map(|both| (at, both)))
            .next();
        let (members, builder) = match joined {
            Some((at, (members, both))) => {
                order.kernels[at] = None;
                (members, both)
            }
            None => (vec![id], alone),
        };
        order.read.extend(&builder.sources);
        let open = order.open.entry(key).or_default();
        open.retain(|&at| order.kernels[at].is_some());
        open.push(order.kernels.len());
        order.kernels.push(Some(self.finish(builder, members)));
    }

    /// Returns an earlier kernel's nodes with one more, and their common program, if this is possible and saves reads.
    fn joined(
        &self,
        order: &KernelList,
        at: usize,
        id: Id,
        alone: &ProgramBuilder,
    ) -> Option<(Vec<Id>, ProgramBuilder)> {
        let nodes = &self.graph.nodes;
        let Some(Fused::Program { outputs, inputs, .. }) = &order.kernels[at] else {
            return None;
        };
        // The joined kernel runs in the later place, so that no kernel in between may read the earlier one's outputs.
        let unread = outputs.iter().all(|o| !order.read.contains(o));
        let large = |i: &Id| nodes[*i].numel() * 2 > shape::numel(&alone.domain);
        let shares = |i: &&Id| (inputs.contains(i) || outputs.contains(i)) && large(i);
        let useful = alone.sources.iter().any(|i| shares(&i));
        if !unread || !useful || nodes[outputs[0]].device != nodes[id].device {
            return None;
        }
        let members: Vec<Id> = outputs.iter().copied().chain([id]).collect();
        let both = self.program(&members);
        let fits = both.sources.len() + members.len() <= BINDINGS
            && both.code.len() <= 2 * LENGTH
            && !both.mixed
            // One kernel adds the partial sums of all outputs: it reads and writes one buffer for each.
            && (!both.summed.contains(&true) || 2 * members.len() <= BINDINGS)
            && both.sources.iter().all(|i| !members.contains(i));
        fits.then_some((members, both))
    }

    /// Returns the kernel of a complete program.
    fn finish(&self, builder: ProgramBuilder, outputs: Vec<Id>) -> Fused {
        let nodes = &self.graph.nodes;
        let output = |(&id, &register): (&Id, &Register)| Output {
            register,
            dtype: nodes[id].dtype,
            shape: nodes[id].shape.to_vec(),
        };
        let program = Program {
            // A program of truth values alone has no float arithmetic, so that either type serves.
            float: builder.float.unwrap_or(DType::F32),
            outputs: outputs.iter().zip(&builder.results).map(output).collect(),
            domain: builder.domain,
            summed: builder.summed,
            inputs: builder.inputs,
            code: builder.code,
        };
        Fused::Program { program, inputs: builder.sources, outputs }
    }

    /// Builds the program that computes the members, which have the same domain.
    fn program(&self, members: &[Id]) -> ProgramBuilder {
        let nodes = &self.graph.nodes;
        let first = &nodes[members[0]];
        let (domain, summed) = match &first.op {
            Op::Sum(axes) => {
                let shape = nodes[first.inputs[0]].shape.to_vec();
                let summed = (0..shape.len()).map(|a| axes.contains(&a)).collect();
                (shape, summed)
            }
            _ => (first.shape.to_vec(), vec![false; first.shape.len()]),
        };
        let mut builder = ProgramBuilder {
            float: None,
            mixed: false,
            members: members.to_vec(),
            domain,
            summed,
            sources: Vec::new(),
            inputs: Vec::new(),
            code: Vec::new(),
            results: Vec::new(),
            known: HashMap::new(),
        };
        let identity: AxisMap = (0..builder.domain.len()).map(Some).collect();
        for &member in members {
            let id = match nodes[member].op {
                Op::Sum(_) => nodes[member].inputs[0],
                _ => member,
            };
            let register = self.emit(&mut builder, id, &identity, id == member);
            builder.results.push(register);
        }
        builder
    }

    /// Adds the instructions of a node's element and returns its register. With `fresh`, the element is computed even
    /// if it is stored. The depth of the recursion is bounded by [`LENGTH`].
    fn emit(&self, to: &mut ProgramBuilder, mut id: Id, map: &AxisMap, fresh: bool) -> Register {
        let nodes = &self.graph.nodes;
        let mut map = map.clone();
        while self.roles[id] == Role::AxisMap {
            map = through(self.graph, &nodes[id], &map);
            id = nodes[id].inputs[0];
        }
        let node = &nodes[id];
        if node.dtype.is_float() {
            to.mixed |= to.float.is_some_and(|float| float != node.dtype);
            to.float = Some(node.dtype);
        }
        let key = (id, map);
        if let Some(&register) = to.known.get(&key) {
            return register;
        }
        let map = &key.1;
        let inside = to.members.contains(&id)
            && self.roles[id] == Role::Function
            && map.iter().enumerate().all(|(i, a)| *a == Some(i));
        let instr = match &node.op {
            Op::Full(value) => Instr::Const(*value),
            _ if self.stored[id] && !fresh && !inside => {
                let axes = to.axes(map);
                to.sources.push(id);
                to.inputs.push(Input { dtype: node.dtype, axes });
                Instr::Load(to.inputs.len() - 1)
            }
            op => {
                let registers: Vec<Register> = node
                    .inputs
                    .iter()
                    .map(|&input| {
                        let inner = stretched(&nodes[input].shape, &node.shape, map);
                        self.emit(to, input, &inner, false)
                    })
                    .collect();
                let r = |i: usize| registers[i];
                match op {
                    Op::Unary(op) => Instr::Unary(*op, r(0)),
                    Op::Binary(op) => Instr::Binary(*op, r(0), r(1)),
                    Op::Compare(op) => Instr::Compare(*op, r(0), r(1)),
                    Op::IsFinite => Instr::IsFinite(r(0)),
                    Op::Logic(Logic::Not) => Instr::Logic(Logic::Not, r(0), r(0)),
                    Op::Logic(op) => Instr::Logic(*op, r(0), r(1)),
                    Op::Select => Instr::Select(r(0), r(1), r(2)),
                    Op::Cast if nodes[node.inputs[0]].dtype == DType::Bool => Instr::Number(r(0)),
                    // Integers are converted when they are loaded.
                    Op::Cast => {
                        to.known.insert(key, r(0));
                        return r(0);
                    }
                    _ => unreachable!("{} is no function", op.name()),
                }
            }
        };
        to.code.push(instr);
        to.known.insert(key, to.code.len() - 1);
        to.code.len() - 1
    }
}

/// The kernels placed so far.
#[derive(Default)]
struct KernelList {
    /// `None` where a kernel was joined with a later one.
    kernels: Vec<Option<Fused>>,
    /// Values that these kernels read.
    read: HashSet<Id>,
    /// Indices of the programs that nodes may still be added to, by domain and summed axes.
    open: HashMap<(Vec<usize>, Vec<bool>), Vec<usize>>,
}

/// A program under construction.
struct ProgramBuilder {
    float: Option<DType>,
    /// True if the nodes have both float types, which one program cannot have.
    mixed: bool,
    members: Vec<Id>,
    domain: Vec<usize>,
    summed: Vec<bool>,
    /// The node that each input reads.
    sources: Vec<Id>,
    inputs: Vec<Input>,
    code: Vec<Instr>,
    results: Vec<Register>,
    known: HashMap<(Id, AxisMap), Register>,
}

impl ProgramBuilder {
    /// Returns the input's axis for each axis of the domain.
    fn axes(&self, map: &AxisMap) -> Vec<Option<usize>> {
        (0..self.domain.len()).map(|d| map.iter().position(|&a| a == Some(d))).collect()
    }
}
