//! Axis maps: views that a program reads directly, because they only reorder, stretch or drop axes.

use crate::graph::values::{Graph, Node};
use crate::ir::Op;

/// For each axis of a node, the axis of the domain that advances with it; `None` if it is always read at index 0.
pub(super) type AxisMap = Vec<Option<usize>>;

/// Returns true if a view is an axis map. Slices are not, nor reshapes that merge or split axes.
pub(super) fn maps_axes(graph: &Graph, view: &Node) -> bool {
    let long =
        |shape: &[usize]| -> Vec<usize> { shape.iter().copied().filter(|&n| n != 1).collect() };
    match view.op {
        Op::Broadcast | Op::Permute(_) => true,
        Op::Reshape => long(&graph.nodes[view.inputs[0]].shape) == long(&view.shape),
        _ => false,
    }
}

/// Returns the axis map of a view's input, from the map of the view.
pub(super) fn through(graph: &Graph, view: &Node, map: &AxisMap) -> AxisMap {
    let from = &graph.nodes[view.inputs[0]].shape;
    match &view.op {
        Op::Broadcast => stretched(from, &view.shape, map),
        Op::Permute(axes) => {
            let mut inner = vec![None; axes.len()];
            for (to, &axis) in axes.iter().enumerate() {
                inner[axis] = map[to];
            }
            inner
        }
        Op::Reshape => {
            let mut long = (0..view.shape.len()).filter(|&a| view.shape[a] != 1);
            let next =
                |&size: &usize| (size != 1).then(|| long.next().and_then(|a| map[a])).flatten();
            from.iter().map(next).collect()
        }
        _ => unreachable!("no axis map"),
    }
}

/// Returns the axis map of an operand that is broadcast to a shape, from the map of that shape.
pub(super) fn stretched(from: &[usize], to: &[usize], map: &AxisMap) -> AxisMap {
    let extra = to.len() - from.len();
    (0..from.len())
        .map(|a| if from[a] == 1 && to[a + extra] != 1 { None } else { map[a + extra] })
        .collect()
}
