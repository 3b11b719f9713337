//! How views lead to the elements that they show.

use crate::graph::values::{Graph, Node};
use crate::ir::Op;

/// Whether a reshape only adds or removes axes of size 1.
pub(super) fn is_unit_reshape(a: &[usize], b: &[usize]) -> bool {
    let long = |s: &[usize]| s.iter().copied().filter(|&n| n != 1).collect::<Vec<_>>();
    long(a) == long(b)
}

/// Which axis of the domain each axis of a node walks along.
pub(super) type Map = Vec<Option<usize>>;

/// The map of a view's input from the view's own.
pub(super) fn through(graph: &Graph, view: &Node, map: &Map) -> Map {
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
            let next = |&size: &usize| {
                (size != 1)
                    .then(|| long.next().and_then(|a| map[a]))
                    .flatten()
            };
            from.iter().map(next).collect()
        }
        _ => unreachable!("not a view"),
    }
}

/// The map of an operand that is stretched to the shape whose map is given.
pub(super) fn stretched(from: &[usize], to: &[usize], map: &Map) -> Map {
    let extra = to.len() - from.len();
    (0..from.len())
        .map(|a| {
            if from[a] == 1 && to[a + extra] != 1 {
                None
            } else {
                map[a + extra]
            }
        })
        .collect()
}
