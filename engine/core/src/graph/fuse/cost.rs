//! Choice of the values that are stored in memory. All others are computed again by each of their users.

use super::{BINDINGS, LENGTH, Role};
use crate::DType;
use crate::graph::values::{Graph, Id};
use crate::ir::Op;

/// Cost of computing a node in registers.
#[derive(Clone, Default)]
struct RegisterCost {
    /// Float type of the arithmetic, if there is any.
    float: Option<DType>,
    inputs: Vec<Id>,
    instructions: usize,
    /// True if the expression contains a function that takes tens of instructions.
    heavy: bool,
}

/// Returns for each node whether its value is stored in memory.
pub(super) fn stored(graph: &Graph, targets: &[Id], live: &[bool], roles: &[Role]) -> Vec<bool> {
    let nodes = &graph.nodes;
    let mut users = vec![0; nodes.len()];
    let mut needed = vec![false; nodes.len()];
    for &id in targets {
        needed[id] = true;
    }
    for id in (0..nodes.len()).rev().filter(|&id| live[id]) {
        let (as_value, uses) = match roles[id] {
            Role::Opaque => (true, 1),
            Role::AxisMap => (needed[id], users[id].max(1)),
            _ => (false, 1),
        };
        for &input in &nodes[id].inputs {
            users[input] += uses;
            needed[input] |= as_value;
        }
    }
    let mut stored: Vec<bool> = (0..nodes.len())
        .map(|id| needed[id] || matches!(roles[id], Role::Opaque | Role::Sum))
        .collect();
    // Storing a value for one user changes the costs of others, so this repeats until nothing changes.
    loop {
        let before = stored.clone();
        decide(graph, live, roles, &users, &mut stored);
        if stored == before {
            return stored;
        }
    }
}

/// Computes the cost of every expression and marks the nodes that have to be stored. Marks are never removed.
fn decide(graph: &Graph, live: &[bool], roles: &[Role], users: &[usize], stored: &mut [bool]) {
    let nodes = &graph.nodes;
    let mut costs: Vec<RegisterCost> = vec![RegisterCost::default(); nodes.len()];
    for id in (0..nodes.len()).filter(|&id| live[id]) {
        if !matches!(roles[id], Role::Function | Role::Sum) {
            continue;
        }
        costs[id] = loop {
            let (cost, parts) = cost(graph, roles, stored, &costs, id);
            let fits = cost.inputs.len() < BINDINGS && cost.instructions <= LENGTH;
            match parts.into_iter().max_by_key(|&part| costs[part].inputs.len()) {
                Some(largest) if !fits => stored[largest] = true,
                _ => break cost,
            }
        };
        if roles[id] == Role::Function && users[id] > 1 && !stored[id] {
            let cost = &costs[id];
            let large = |&&i: &&Id| nodes[i].numel() * 2 > nodes[id].numel();
            let reads = cost.inputs.iter().filter(large).count();
            stored[id] = cost.heavy || reads > 2 || cost.instructions > 8;
        }
    }
}

/// Returns the cost of a node's expression with the expressions inside it, and the nodes of the latter.
fn cost(
    graph: &Graph,
    roles: &[Role],
    stored: &mut [bool],
    costs: &[RegisterCost],
    id: Id,
) -> (RegisterCost, Vec<Id>) {
    let nodes = &graph.nodes;
    let mut cost = RegisterCost {
        instructions: 1,
        heavy: nodes[id].op.is_heavy(),
        float: [id, nodes[id].inputs[0]]
            .map(|id| nodes[id].dtype)
            .into_iter()
            .find(|d| d.is_float()),
        ..RegisterCost::default()
    };
    let mut parts = Vec::new();
    for &input in &nodes[id].inputs {
        let mut source = input;
        while roles[source] == Role::AxisMap {
            source = nodes[source].inputs[0];
        }
        if roles[source] == Role::Constant {
            continue;
        }
        // A smaller operand is stored, because a program would compute it again for each index of the broadcast axis.
        stored[source] |= nodes[source].numel() < domain_size(graph, id);
        // Truth values may come from arithmetic in the other float type, which needs a program of its own.
        let float = costs[source].float;
        stored[source] |= float.is_some() && cost.float.is_some() && float != cost.float;
        if stored[source] {
            cost.inputs.push(source);
            continue;
        }
        parts.push(source);
        cost.float = cost.float.or(float);
        cost.inputs.extend(&costs[source].inputs);
        cost.instructions += costs[source].instructions;
        cost.heavy |= costs[source].heavy;
    }
    cost.inputs.sort_unstable();
    cost.inputs.dedup();
    (cost, parts)
}

/// Returns the number of elements for which a node's expression is computed.
fn domain_size(graph: &Graph, id: Id) -> usize {
    let node = &graph.nodes[id];
    match node.op {
        Op::Sum(_) => graph.nodes[node.inputs[0]].numel(),
        _ => node.numel(),
    }
}
